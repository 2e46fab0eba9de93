/** Functions of dates and timestamps. Timestamps have no zone: they are as they are written. */
import { flowFault, type Value } from '../scope.ts'
import { DATE, type FlowType, literal, TIMESTAMP } from '../types.ts'
import { constantOf, type FlowFunction, fn } from './kinds.ts'

/** Names that Java knows and the engine does not. */
const ZONES: Record<string, string> = {
  PST: 'America/Los_Angeles',
  EST: 'America/New_York',
  CST: 'America/Chicago',
  MST: 'America/Denver',
  IST: 'Asia/Kolkata',
  JST: 'Asia/Tokyo',
  CET: 'Europe/Paris',
  GMT: 'UTC',
}

const zone = (name: string) => literal(ZONES[name] ?? name)

/** A part of a moment; with a zone, of the time there: it is UTC here. */
function part(name: string, sql: (moment: string) => string): FlowFunction {
  return {
    name,
    arity: [1, 2],
    build: ([moment, where], call) => {
      if (moment!.type.kind !== 'date' && moment!.type.kind !== 'timestamp' && moment!.type.kind !== 'any')
        throw flowFault(call.place, `${name} takes a date or a timestamp`)
      // The example of Data Factory keeps the hour as it is written, whatever zone is named.
      if (where !== undefined) call.scope.note(`${name}: the zone of a time without one is passed over`)
      return { sql: sql(moment!.sql), type: { kind: 'integer' } }
    },
  }
}

const moved = (args: Value[]): FlowType => args[0]!.type

function shift(name: string, unit: string, sign: string): FlowFunction {
  return fn(name, 'd i x? -> s', (moment, n) => `(${moment} ${sign} to_${unit}(CAST(${n} AS INTEGER)))`, moved)
}

/** An addition to a date is a timestamp for the engine. */
function kept(f: FlowFunction): FlowFunction {
  return {
    ...f,
    build: (args, call) => {
      const made = f.build(args, call)
      return made.type.kind === 'date' ? { sql: `CAST(${made.sql} AS DATE)`, type: DATE } : made
    },
  }
}

/** The last day of a month leads to the last day of another one. */
const months = (name: string, sign: '+' | '-') =>
  fn(
    name,
    'd i x? -> s',
    (d, n) => {
      const moved = `(CAST(${d} AS TIMESTAMP) ${sign} to_months(CAST(${n} AS INTEGER)))`
      const isLast = `CAST(${d} AS DATE) = last_day(${d})`
      return `CASE WHEN ${isLast} THEN ${moved} + to_days(CAST(date_diff('day', CAST(${moved} AS DATE), last_day(${moved})) AS INTEGER)) ELSE ${moved} END`
    },
    ([d]) => d!.type,
  )

export const MOMENTS: FlowFunction[] = [
  part('year', m => `CAST(year(${m}) AS INTEGER)`),
  part('month', m => `CAST(month(${m}) AS INTEGER)`),
  part('dayOfMonth', m => `CAST(day(${m}) AS INTEGER)`),
  part('dayOfYear', m => `CAST(dayofyear(${m}) AS INTEGER)`),
  part('dayOfWeek', m => `CAST(dayofweek(${m}) + 1 AS INTEGER)`),
  part('weekOfYear', m => `CAST(week(${m}) AS INTEGER)`),
  part('hour', m => `CAST(hour(CAST(${m} AS TIMESTAMP)) AS INTEGER)`),
  part('minute', m => `CAST(minute(CAST(${m} AS TIMESTAMP)) AS INTEGER)`),
  part('second', m => `CAST(second(CAST(${m} AS TIMESTAMP)) AS INTEGER)`),
  part('millisecond', m => `CAST(millisecond(CAST(${m} AS TIMESTAMP)) % 1000 AS INTEGER)`),
  kept(shift('addDays', 'days', '+')),
  kept(shift('subDays', 'days', '-')),
  kept(months('addMonths', '+')),
  kept(months('subMonths', '-')),
  fn(
    'lastDayOfMonth',
    'd -> s',
    d => `last_day(${d})`,
    () => DATE,
  ),
  fn('monthsBetween', 'd d b? x? -> f', (a, b) => {
    const [x, y] = [`CAST(${a} AS TIMESTAMP)`, `CAST(${b} AS TIMESTAMP)`]
    const isWhole = `(day(${x}) = day(${y}) OR (day(${x}) = day(last_day(${x})) AND day(${y}) = day(last_day(${y}))))`
    const months = `((year(${x}) - year(${y})) * 12 + month(${x}) - month(${y}))`
    const seconds = (t: string) => `(day(${t}) * 86400 + epoch(${t}) - epoch(date_trunc('day', ${t})))`
    return `round(CASE WHEN ${isWhole} THEN ${months} ELSE ${months} + (${seconds(x)} - ${seconds(y)}) / 2678400.0 END, 8)`
  }),
  {
    name: 'currentDate',
    arity: [0, 1],
    build: ([where], call) => {
      const name = constantOf(where, 'the zone', call)
      const now = `TIMESTAMPTZ ${literal(call.scope.startedAt)}`
      return { sql: `CAST(timezone(${zone(name ?? 'UTC')}, ${now}) AS DATE)`, type: DATE }
    },
  },
  ...['currentTimestamp', 'currentUTC'].map(
    (name): FlowFunction => ({
      name,
      arity: [0, 1],
      build: ([where], call) => {
        const at = constantOf(where, 'the zone', call)
        return { sql: `timezone(${zone(at ?? 'UTC')}, TIMESTAMPTZ ${literal(call.scope.startedAt)})`, type: TIMESTAMP }
      },
    }),
  ),
  ...(['fromUTC', 'toUTC'] as const).map(
    (name): FlowFunction => ({
      name,
      arity: [1, 2],
      build: ([moment, where], call) => {
        const there = zone(constantOf(where, 'the zone', call) ?? 'UTC')
        const at = `CAST(${moment!.sql} AS TIMESTAMP)`
        const sql =
          name === 'fromUTC'
            ? `timezone(${there}, timezone('UTC', ${at}))`
            : `timezone('UTC', timezone(${there}, ${at}))`
        return { sql, type: TIMESTAMP }
      },
    }),
  ),
]
