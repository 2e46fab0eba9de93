/** What a function is: what it takes, what it gives, and how the engine writes it. */
import { converted } from '../convert.ts'
import type { Scope, Value } from '../scope.ts'
import { flowFault } from '../scope.ts'
import type { Place } from '../script/tokens.ts'
import type { Argument, Expression } from '../script/tree.ts'
import {
  ANY,
  BOOLEAN,
  DOUBLE,
  type FlowType,
  INTEGER,
  isIntegral,
  isMoment,
  isNumber,
  LONG,
  STRING,
  shownType,
} from '../types.ts'

/** What a function of an expression is given to look at its arguments itself. */
export interface Call {
  name: string
  place: Place
  args: readonly Argument[]
  scope: Scope
  compile(e: Expression, scope?: Scope): Value
}

export interface FlowFunction {
  name: string
  /** At least and at most so many arguments. */
  arity: [least: number, most: number]
  /** Of a group or a window: it has to be in one. */
  isAggregate?: boolean
  /** Of a window alone. */
  isWindow?: boolean
  /** It compiles its arguments itself, with items: it is given none. */
  isOfElements?: boolean
  build(args: Value[], call: Call): Value
}

/** `s` text, `n` number, `i` whole number, `d` date or timestamp, `b` boolean, `a` array, `x` anything; a question mark behind one that may be left out. */
type Signature = string

const RESULTS: Record<string, FlowType> = { s: STRING, b: BOOLEAN, i: INTEGER, l: LONG, f: DOUBLE }

/** A function by its signature: `s s? -> s`. */
export function fn(
  name: string,
  signature: Signature,
  sql: (...args: string[]) => string,
  type?: (args: Value[]) => FlowType,
): FlowFunction {
  const [takes = '', gives = 's'] = signature.split('->').map(part => part.trim())
  const letters = takes === '' ? [] : takes.split(/\s+/)
  const isMany = letters.at(-1)?.endsWith('*') ?? false
  const least = letters.filter(l => !/[?*]$/.test(l)).length
  return {
    name,
    arity: [least, isMany ? Number.POSITIVE_INFINITY : letters.length],
    build: (args, call) => {
      const given = args.map((arg, i) => taken(arg, letters[Math.min(i, letters.length - 1)]![0]!, i, call))
      return { sql: sql(...given.map(v => v.sql)), type: type ? type(given) : RESULTS[gives]! }
    },
  }
}

/** An argument as a function takes it. Throws FERRY-7003. */
export function taken(value: Value, letter: string, at: number, call: Call): Value {
  const { type } = value
  const wrong = (wanted: string) =>
    flowFault(call.place, `${call.name} takes ${wanted} as its ${ordinal(at)} argument, and gets ${shownType(type)}`)
  if (value.many && letter !== 'x') throw wrong('one value')
  if (type.kind === 'any') return letter === 's' ? { sql: `CAST(${value.sql} AS VARCHAR)`, type: STRING } : value
  switch (letter) {
    case 's':
      if (type.kind === 'string') return value
      if (isNumber(type) || isMoment(type) || type.kind === 'boolean') return converted(value, STRING)
      throw wrong('a text')
    case 'n':
      if (isNumber(type)) return value
      throw wrong('a number')
    case 'i':
      if (isIntegral(type)) return value
      throw wrong('a whole number')
    case 'd':
      if (isMoment(type)) return value
      throw wrong('a date or a timestamp')
    case 'b':
      if (type.kind === 'boolean') return value
      throw wrong('a boolean')
    case 'a':
      if (type.kind === 'array') return value
      throw wrong('an array')
    default:
      return value
  }
}

const ordinal = (i: number) => ['first', 'second', 'third', 'fourth', 'fifth'][i] ?? `${i + 1}th`

/** The text of an argument that has to be known before anything runs. Throws FERRY-7003. */
export function constantOf(value: Value | undefined, what: string, call: Call): string | undefined {
  if (value === undefined) return undefined
  if (value.constant !== undefined) return value.constant
  throw flowFault(call.place, `${what} of ${call.name} has to be written as it is`)
}

/** The expression of an argument. Throws FERRY-7003 for a property or an assignment. */
export function expressionAt(call: Call, i: number): Expression {
  const arg = call.args[i]
  if (arg?.kind === 'value') return arg.value
  throw flowFault(call.place, `${call.name} takes an expression as its ${ordinal(i)} argument`)
}

export const unknownElement = (type: FlowType): FlowType => (type.kind === 'array' ? type.of : ANY)

/** True if an expression names an item of an array, or a certain one. */
export function hasItem(e: Expression, name?: string): boolean {
  if (e.kind === 'item') return name === undefined || e.name === name
  return Object.values(e).some(v =>
    (Array.isArray(v) ? v : [v]).some(
      one => typeof one === 'object' && one !== null && hasItem(one as Expression, name),
    ),
  )
}
