/** Functions of groups and of windows. */
import { converted } from '../convert.ts'
import { flowFault, type Value } from '../scope.ts'
import {
  ANY,
  arrayOf,
  DOUBLE,
  type FlowType,
  INTEGER,
  isIntegral,
  isNumber,
  LONG,
  shownType,
  sqlType,
} from '../types.ts'
import type { Call, FlowFunction } from './kinds.ts'

const sumOf = (type: FlowType): FlowType =>
  type.kind === 'decimal'
    ? { kind: 'decimal', precision: Math.min(38, type.precision + 10), scale: type.scale }
    : isIntegral(type)
      ? LONG
      : DOUBLE

/** Puts a call over its group, or over its window. */
function over(sql: string, call: Call, filter?: string): string {
  const { over } = call.scope
  const own = over?.kind === 'group' ? over.filter : undefined
  const all = [own, filter].filter(f => f !== undefined)
  const filtered = all.length === 0 ? sql : `${sql} FILTER (WHERE ${all.map(f => `(${f})`).join(' AND ')})`
  return over?.kind === 'window' ? `${filtered} OVER (${over.clause})` : filtered
}

interface Shape {
  arity?: [number, number]
  type: (value: FlowType) => FlowType
  sql: (...args: string[]) => string
}

/** A function of a group, and the one of those rows alone for which a condition holds: `sum`, `sumIf`. */
function both(name: string, { arity = [1, 1], type, sql }: Shape): FlowFunction[] {
  const made = (args: Value[], call: Call, filter?: string): Value => {
    const odd = args.find(a => !['min', 'max'].includes(name) && !isNumber(a.type) && a.type.kind !== 'any')
    if (odd) throw flowFault(call.place, `${call.name} takes numbers, and gets ${shownType(odd.type)}`)
    const found = type(args[0]?.type ?? ANY)
    return { sql: `CAST(${over(sql(...args.map(a => a.sql)), call, filter)} AS ${sqlType(found)})`, type: found }
  }
  return [
    { name, arity, isAggregate: true, build: (args, call) => made(args, call) },
    {
      name: `${name}If`,
      arity: [arity[0] + 1, arity[1] + 1],
      isAggregate: true,
      build: ([condition, ...args], call) => {
        if (condition!.type.kind !== 'boolean') throw flowFault(call.place, `${call.name} takes a condition first`)
        return made(args, call, condition!.sql)
      },
    },
  ]
}

const alike = (type: FlowType) => type
const double = () => DOUBLE
const statistics: [string, string][] = [
  ['stddev', 'stddev_samp'],
  ['stddevSample', 'stddev_samp'],
  ['stddevPopulation', 'stddev_pop'],
  ['variance', 'var_samp'],
  ['varianceSample', 'var_samp'],
  ['variancePopulation', 'var_pop'],
  ['kurtosis', 'kurtosis_pop'],
]

/** The first or the last value, in the order of the window, else in that of the rows. */
function end(name: 'first' | 'last'): FlowFunction {
  return {
    name,
    arity: [1, 2],
    isAggregate: true,
    build: ([value, ignoresNulls], call) => {
      const ignores = ignoresNulls?.sql === 'true'
      const { scope } = call
      if (scope.over?.kind === 'window') {
        return {
          sql: `${name}_value(${value!.sql}${ignores ? ' IGNORE NULLS' : ''}) OVER (${scope.over.clause})`,
          type: value!.type,
        }
      }
      return {
        sql: over(`${name}(${value!.sql})`, call, ignores ? `${value!.sql} IS NOT NULL` : undefined),
        type: value!.type,
      }
    },
  }
}

function shifted(name: 'lag' | 'lead'): FlowFunction {
  return {
    name,
    arity: [1, 3],
    isWindow: true,
    build: ([value, by, otherwise], call) => {
      const rest = `${by ? `, ${by.sql}` : ''}${otherwise ? `, ${converted(otherwise, value!.type).sql}` : ''}`
      return { sql: over(`${name}(${value!.sql}${rest})`, call), type: value!.type }
    },
  }
}

const ranking = (name: string, sql: string, type: FlowType): FlowFunction => ({
  name,
  arity: [0, 0],
  isWindow: true,
  build: (_, call) => ({ sql: `CAST(${over(sql, call)} AS ${sqlType(type)})`, type }),
})

/** Counting takes rows where none of its values is null. */
function counted(name: string, isDistinct: boolean, takesNulls: boolean): FlowFunction {
  return {
    name,
    arity: [0, Number.POSITIVE_INFINITY],
    isAggregate: true,
    build: (args, call) => {
      const values = args.flatMap(a => a.many ?? [a])
      const all = values.map(v => v.sql)
      if (all.length === 0 || (takesNulls && !isDistinct)) return { sql: over('count(*)', call), type: LONG }
      const none = takesNulls ? undefined : all.map(sql => `${sql} IS NOT NULL`).join(' AND ')
      const what = isDistinct
        ? `count(DISTINCT ${all.length === 1 && !takesNulls ? all[0] : `row(${all.join(', ')})`})`
        : 'count(*)'
      return { sql: over(what, call, none), type: LONG }
    },
  }
}

/** An array of the values of a group that are not null. */
function collected(how: string, { sql, type }: Value, call: Call): Value {
  const list = over(`list(${how}${sql})`, call, `${sql} IS NOT NULL`)
  return { sql: `coalesce(${list}, CAST([] AS ${sqlType(arrayOf(type))}))`, type: arrayOf(type) }
}

export const GROUPS: FlowFunction[] = [
  ...both('sum', { type: sumOf, sql: x => `sum(${x})` }),
  ...both('sumDistinct', { type: sumOf, sql: x => `sum(DISTINCT ${x})` }),
  ...both('avg', { type: double, sql: x => `avg(${x})` }),
  ...both('mean', { type: double, sql: x => `avg(${x})` }),
  ...both('min', { type: alike, sql: x => `min(${x})` }),
  ...both('max', { type: alike, sql: x => `max(${x})` }),
  ...statistics.flatMap(([name, sql]) => both(name, { type: double, sql: x => `${sql}(${x})` })),
  ...both('correlation', { arity: [2, 2], type: double, sql: (x, y) => `corr(${x}, ${y})` }),
  ...both('covarianceSample', { arity: [2, 2], type: double, sql: (x, y) => `covar_samp(${x}, ${y})` }),
  ...both('covariancePopulation', { arity: [2, 2], type: double, sql: (x, y) => `covar_pop(${x}, ${y})` }),
  counted('count', false, false),
  counted('countAll', false, true),
  counted('countDistinct', true, false),
  counted('countAllDistinct', true, true),
  {
    name: 'countIf',
    arity: [1, 2],
    isAggregate: true,
    build: ([condition, value], call) => {
      if (condition!.type.kind !== 'boolean') throw flowFault(call.place, 'countIf takes a condition first')
      const filter = value ? `${condition!.sql} AND ${value.sql} IS NOT NULL` : condition!.sql
      return { sql: over('count(*)', call, filter), type: LONG }
    },
  },
  {
    name: 'approxDistinctCount',
    arity: [1, 2],
    isAggregate: true,
    build: ([value], call) => ({ sql: over(`approx_count_distinct(${value!.sql})`, call), type: LONG }),
  },
  {
    name: 'collect',
    arity: [1, 1],
    isAggregate: true,
    build: ([value], call) => collected('', value!, call),
  },
  {
    name: 'collectUnique',
    arity: [1, 1],
    isAggregate: true,
    build: ([value], call) => collected('DISTINCT ', value!, call),
  },
  end('first'),
  end('last'),
  shifted('lag'),
  shifted('lead'),
  ranking('rowNumber', 'row_number()', INTEGER),
  ranking('rank', 'rank()', INTEGER),
  ranking('denseRank', 'dense_rank()', INTEGER),
  ranking('cumeDist', 'cume_dist()', DOUBLE),
  {
    name: 'nTile',
    arity: [1, 1],
    isWindow: true,
    build: ([n], call) => ({ sql: `CAST(${over(`ntile(${n!.sql})`, call)} AS INTEGER)`, type: INTEGER }),
  },
]
