import { randomInt } from 'node:crypto'
import { FerryError } from '../../../errors.ts'
import { countAt, define, type FunctionOf, integerAt, numberAt, wrongArgument } from '../function.ts'
import { isInt64, MOST_MEMBERS, type Value } from '../values.ts'

export const MATH = [
  arithmetic(
    'add',
    (a, b) => a + b,
    (a, b) => a + b,
  ),
  arithmetic(
    'sub',
    (a, b) => a - b,
    (a, b) => a - b,
  ),
  arithmetic(
    'mul',
    (a, b) => a * b,
    (a, b) => a * b,
  ),
  arithmetic(
    'div',
    (a, b) => a / notZero(b),
    (a, b) => a / notZero(b),
  ),
  arithmetic(
    'mod',
    (a, b) => a % notZero(b),
    (a, b) => a % notZero(b),
  ),
  extreme('max', (a, b) => a > b),
  extreme('min', (a, b) => a < b),
  define('rand', 2, 2, (args, clock) => {
    const least = integerAt(args, 0)
    const beyond = integerAt(args, 1)
    if (beyond <= least) throw wrongArgument(1, `more than ${least}`, beyond)
    const span = beyond - least
    if (span >= 2n ** 40n) throw wrongArgument(1, 'at most 2^40 beyond the first', beyond)
    return least + (clock?.below(span) ?? BigInt(randomInt(Number(span))))
  }),
  define('range', 2, 2, args => {
    const start = integerAt(args, 0)
    const count = countAt(args, 1)
    if (count < 0 || count > MOST_MEMBERS)
      throw wrongArgument(1, `0 to ${MOST_MEMBERS.toLocaleString('en-US')}`, args[1]!)
    return Array.from({ length: count }, (_, i) => start + BigInt(i))
  }),
]

/** Integers stay integers; a float on either side makes a float. */
function arithmetic(
  name: string,
  ofIntegers: (a: bigint, b: bigint) => bigint,
  ofFloats: (a: number, b: number) => number,
): FunctionOf {
  return define(name, 2, 2, args => {
    const a = numberAt(args, 0)
    const b = numberAt(args, 1)
    if (typeof a === 'bigint' && typeof b === 'bigint') {
      const result = ofIntegers(a, b)
      if (isInt64(result)) return result
      throw new FerryError('FERRY-7003', `the result of ${a} and ${b} has more than 64 bits`)
    }
    return ofFloats(Number(a), Number(b))
  })
}

function notZero<T extends bigint | number>(divisor: T): T {
  if (Number(divisor) !== 0) return divisor
  throw new FerryError('FERRY-7003', 'the divisor is 0')
}

function extreme(name: string, isBetter: (a: bigint | number, b: bigint | number) => boolean): FunctionOf {
  return define(name, 1, Infinity, args => {
    const all: Value[] = args.length === 1 && Array.isArray(args[0]) ? args[0] : args
    if (all.length === 0) throw new FerryError('FERRY-7003', 'the array is empty')
    return all.map((_, i) => numberAt(all, i)).reduce((best, n) => (isBetter(n, best) ? n : best))
  })
}
