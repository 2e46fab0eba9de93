/** `toInteger` and the others, and those that ask whether a text could be converted. */
import { converted } from '../convert.ts'
import { flowFault, type Value } from '../scope.ts'
import { BOOLEAN, type FlowType, literal, NAMES, STRING } from '../types.ts'
import { type Call, constantOf, type FlowFunction } from './kinds.ts'

const capital = (name: string) => name[0]!.toUpperCase() + name.slice(1)

const { any: _, ...TYPES } = NAMES

function refuseLocale(value: Value | undefined, call: Call): void {
  const locale = constantOf(value, 'the locale', call)
  if (locale !== undefined && !/^en\b/i.test(locale)) {
    throw flowFault(call.place, `${call.name}: the locale ${locale} does not run here`)
  }
}

const to = (name: string, type: FlowType): FlowFunction => ({
  name: `to${capital(name)}`,
  arity: [1, 3],
  build: ([value, format, third], call) => {
    const pattern = constantOf(format, 'the pattern', call)
    // A timestamp has no zone, here as there: the example with one keeps the time as it is written.
    if (name === 'timestamp' && third !== undefined) call.scope.note('toTimestamp: the zone is passed over')
    else refuseLocale(third, call)
    const one = (v: Value) => converted(v, type, pattern)
    // All columns at once.
    if (value!.many) return { sql: '', type, many: value!.many.map(one) }
    return one(value!)
  },
})

const is = (name: string, type: FlowType): FlowFunction => ({
  name: `is${capital(name)}`,
  arity: [1, 2],
  build: ([value, format], call) => ({
    sql: `(${converted(value!, type, constantOf(format, 'the pattern', call)).sql} IS NOT NULL)`,
    type: BOOLEAN,
  }),
})

export const CONVERSIONS: FlowFunction[] = [
  ...Object.entries(TYPES).map(([name, type]) => to(name, type)),
  {
    name: 'toDecimal',
    arity: [1, 5],
    build: ([value, precision, scale, format, locale], call) => {
      refuseLocale(locale, call)
      const type: FlowType = {
        kind: 'decimal',
        precision: Number(constantOf(precision, 'the precision', call) ?? 10),
        scale: Number(constantOf(scale, 'the scale', call) ?? 2),
      }
      if (!(type.precision >= 1 && type.precision <= 38 && type.scale <= type.precision)) {
        throw flowFault(call.place, `there is no decimal(${type.precision},${type.scale})`)
      }
      return converted(value!, type, constantOf(format, 'the pattern', call))
    },
  },
  ...Object.entries(TYPES)
    .filter(([name]) => name !== 'string' && name !== 'binary')
    .map(([name, type]) => is(name, type)),
  is('decimal', { kind: 'decimal', precision: 38, scale: 10 }),
  {
    name: 'escape',
    arity: [2, 2],
    build: ([value, format], call) => {
      const how = constantOf(format, 'the format', call)
      if (how !== 'json') throw flowFault(call.place, `escape by ${how} does not run here: json does`)
      return { sql: `trim(CAST(to_json(${value!.sql}) AS VARCHAR), ${literal('"')})`, type: STRING }
    },
  },
]
