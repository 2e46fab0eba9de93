/** Functions of numbers and of logic. */
import { converted } from '../convert.ts'
import { flowFault, type Value } from '../scope.ts'
import { BOOLEAN, common, DOUBLE, type FlowType, isIntegral, LONG, sqlType } from '../types.ts'
import { type FlowFunction, fn } from './kinds.ts'

const same = ([first]: Value[]): FlowType => first!.type
const whole = ([first]: Value[]): FlowType => (isIntegral(first!.type) ? first!.type : DOUBLE)

const ROUNDINGS: Record<string, (n: string, by: string) => string> = {
  '1': (n, by) => `(sign(${n}) * ceil(abs(${n}) * ${by}) / ${by})`,
  '2': (n, by) => `(trunc(${n} * ${by}) / ${by})`,
  '3': (n, by) => `(ceil(${n} * ${by}) / ${by})`,
  '4': (n, by) => `(floor(${n} * ${by}) / ${by})`,
  '6': (n, by) => `(sign(${n}) * ceil(abs(${n}) * ${by} - 0.5) / ${by})`,
}

/** The type that several values have together, each converted to it. */
function together(args: Value[], name: string): { type: FlowType; all: string[] } {
  const values = args.flatMap(v => v.many ?? [v])
  const type = values.map(v => v.type).reduce((a, b) => common(a, b, name))
  return { type, all: values.map(v => converted(v, type).sql) }
}

const alike = (name: string, sql: (all: string[]) => string): FlowFunction => ({
  name,
  arity: [1, Number.POSITIVE_INFINITY],
  build: args => {
    const { type, all } = together(args, name)
    return { sql: sql(all), type }
  },
})

export const NUMBERS: FlowFunction[] = [
  fn('abs', 'n -> f', n => `abs(${n})`, same),
  fn('negate', 'n -> f', n => `(-${n})`, same),
  fn('ceil', 'n -> f', n => `ceil(${n})`, whole),
  fn('floor', 'n -> f', n => `floor(${n})`, whole),
  fn('sqrt', 'n -> f', n => `CASE WHEN ${n} >= 0 THEN sqrt(${n}) END`),
  fn('cbrt', 'n -> f', n => `cbrt(${n})`),
  fn('power', 'n n -> f', (a, b) => `pow(${a}, ${b})`),
  fn('log', 'n n? -> f', (n, base) => (base ? `(ln(${n}) / ln(${base}))` : `ln(${n})`)),
  fn('log10', 'n -> f', n => `log10(${n})`),
  fn('exp', 'n -> f', n => `exp(${n})`),
  ...['sin', 'cos', 'tan', 'asin', 'acos', 'atan', 'sinh', 'cosh', 'tanh', 'degrees', 'radians'].map(name =>
    fn(name, 'n -> f', n => `${name}(${n})`),
  ),
  fn('atan2', 'n n -> f', (a, b) => `atan2(${a}, ${b})`),
  fn('factorial', 'i -> l', n => `CAST(factorial(CAST(${n} AS INTEGER)) AS BIGINT)`),
  fn('pMod', 'n n -> f', (a, b) => `(((${a} % ${b}) + ${b}) % ${b})`, same),
  fn('isNan', 'n -> b', n => `isnan(CAST(${n} AS DOUBLE))`),
  fn('isBitSet', 'i i -> b', (n, bit) => `((${n} >> ${bit}) & 1 = 1)`),
  fn('bitwiseAnd', 'i i -> l', (a, b) => `(${a} & ${b})`, same),
  fn('bitwiseOr', 'i i -> l', (a, b) => `(${a} | ${b})`, same),
  fn('bitwiseXor', 'i i -> l', (a, b) => `xor(${a}, ${b})`, same),
  {
    name: 'round',
    arity: [1, 3],
    build: ([n, scale, mode], call) => {
      if (n!.type.kind === 'string') throw flowFault(call.place, 'round takes a number')
      const digits = scale?.sql ?? '0'
      const how = mode?.constant ?? '5'
      const type: FlowType = n!.type.kind === 'decimal' || isIntegral(n!.type) ? n!.type : DOUBLE
      const cast = (sql: string): Value => ({ sql: `CAST(${sql} AS ${sqlType(type)})`, type })
      if (how === '5' && type.kind === 'double') {
        // A float is rounded as the decimal that it is written as: 1.005 is no less than that.
        const exact = `round(CAST(CAST(${n!.sql} AS VARCHAR) AS DECIMAL(38,18)), CAST(${digits} AS INTEGER))`
        return cast(`CASE WHEN abs(${n!.sql}) < 1e15 THEN CAST(${exact} AS DOUBLE) ELSE ${n!.sql} END`)
      }
      if (how === '5') return cast(`round(${n!.sql}, CAST(${digits} AS INTEGER))`)
      if (how === '7') return cast(`round_even(${n!.sql}, CAST(${digits} AS INTEGER))`)
      const rounded = ROUNDINGS[how]
      if (!rounded) throw flowFault(call.place, `round has no option ${how} here`)
      return cast(rounded(n!.sql, `pow(10, ${digits})`))
    },
  },
  alike('greatest', all => `greatest(${all.join(', ')})`),
  alike('least', all => `least(${all.join(', ')})`),
  alike('coalesce', all => `coalesce(${all.join(', ')})`),
  alike('iifNull', all => `coalesce(${all.join(', ')})`),
  fn('isNull', 'x -> b', x => `(${x} IS NULL)`),
  fn('true', '-> b', () => 'true'),
  fn('false', '-> b', () => 'false'),
  fn('not', 'b -> b', b => `(NOT ${b})`),
  fn('and', 'b b -> b', (a, b) => `(${a} AND ${b})`),
  fn('or', 'b b -> b', (a, b) => `(${a} OR ${b})`),
  fn('xor', 'b b -> b', (a, b) => `(${a} <> ${b})`),
  {
    name: 'iif',
    arity: [2, 3],
    build: ([condition, yes, no], call) => {
      if (condition!.type.kind !== 'boolean') throw flowFault(call.place, 'iif takes a condition first')
      const { type, all } = together(no ? [yes!, no] : [yes!], 'iif')
      return { sql: `CASE WHEN ${condition!.sql} THEN ${all[0]}${all[1] ? ` ELSE ${all[1]}` : ''} END`, type }
    },
  },
  {
    name: 'case',
    arity: [2, Number.POSITIVE_INFINITY],
    build: (args, call) => {
      const conditions = args.filter((_, i) => i % 2 === 0 && i < args.length - 1)
      const odd = conditions.find(c => c.type.kind !== 'boolean')
      if (odd) throw flowFault(call.place, 'case takes conditions and values in turn')
      const results = args.filter((_, i) => i % 2 === 1 || i === args.length - 1)
      const { type, all } = together(results, 'case')
      const whens = conditions.map((c, i) => `WHEN ${c.sql} THEN ${all[i]}`)
      const other = args.length % 2 === 1 ? ` ELSE ${all.at(-1)}` : ''
      return { sql: `CASE ${whens.join(' ')}${other} END`, type }
    },
  },
  {
    name: 'between',
    arity: [3, 3],
    build: args => {
      const { all } = together(args, 'between')
      return { sql: `(${all[0]} BETWEEN ${all[1]} AND ${all[2]})`, type: BOOLEAN }
    },
  },
  {
    name: 'compare',
    arity: [2, 2],
    build: args => {
      const { all } = together(args, 'compare')
      const [a, b] = all
      return {
        sql: `CASE WHEN ${a} < ${b} THEN -1 WHEN ${a} > ${b} THEN 1 WHEN ${a} = ${b} THEN 0 END`,
        type: { kind: 'integer' },
      }
    },
  },
  fn('random', 'i? -> f', () => 'random()'),
  fn(
    'weeks',
    'i -> l',
    n => `(CAST(${n} AS BIGINT) * 604800000)`,
    () => LONG,
  ),
  fn(
    'days',
    'i -> l',
    n => `(CAST(${n} AS BIGINT) * 86400000)`,
    () => LONG,
  ),
  fn(
    'hours',
    'i -> l',
    n => `(CAST(${n} AS BIGINT) * 3600000)`,
    () => LONG,
  ),
  fn(
    'minutes',
    'i -> l',
    n => `(CAST(${n} AS BIGINT) * 60000)`,
    () => LONG,
  ),
  fn(
    'seconds',
    'i -> l',
    n => `(CAST(${n} AS BIGINT) * 1000)`,
    () => LONG,
  ),
  fn(
    'milliseconds',
    'i -> l',
    n => `CAST(${n} AS BIGINT)`,
    () => LONG,
  ),
]
