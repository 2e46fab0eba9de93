import { define, defineLazy, type FunctionOf, wrongArgument } from '../function.ts'
import { sameValue, type Value } from '../values.ts'

export const LOGIC = [
  defineLazy('and', 2, Infinity, args => args.every((arg, i) => boolean(arg(), i))),
  defineLazy('or', 2, Infinity, args => args.some((arg, i) => boolean(arg(), i))),
  define('not', 1, 1, ([value]) => !boolean(value!, 0)),
  defineLazy('if', 3, 3, ([condition, yes, no]) => (boolean(condition!(), 0) ? yes!() : no!())),
  define('equals', 2, 2, ([a, b]) => sameValue(a!, b!) || sameValue(numeric(a!, b!), numeric(b!, a!))),
  comparison('greater', order => order > 0),
  comparison('greaterOrEquals', order => order >= 0),
  comparison('less', order => order < 0),
  comparison('lessOrEquals', order => order <= 0),
]

function boolean(value: Value, at: number): boolean {
  if (typeof value === 'boolean') return value
  throw wrongArgument(at, 'true or false', value)
}

function comparison(name: string, holds: (order: number) => boolean): FunctionOf {
  return define(name, 2, 2, ([a, b]) => {
    if (typeof a === 'string') {
      if (typeof b !== 'string') throw wrongArgument(1, 'a text, as the first is', b!)
      return holds(a < b ? -1 : a > b ? 1 : 0)
    }
    if (typeof a !== 'number' && typeof a !== 'bigint') throw wrongArgument(0, 'a number or a text', a!)
    if (typeof b !== 'number' && typeof b !== 'bigint') throw wrongArgument(1, 'a number, as the first is', b!)
    return holds(a < b ? -1 : a > b ? 1 : 0)
  })
}

/** True and false beside a number are 1 and 0, as documented. */
function numeric(value: Value, other: Value): Value {
  const isNumber = typeof other === 'bigint' || typeof other === 'number'
  return typeof value === 'boolean' && isNumber ? BigInt(value) : value
}
