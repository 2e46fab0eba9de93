import { formatInstant, ROUND_TRIP } from '../../../batch/dates/format.ts'
import { civilOf, DAY, type Instant, later, monthsLater, now, ticksOf } from '../../../batch/dates/instant.ts'
import { parseInstant } from '../../../batch/dates/parse.ts'
import { fromUtc, toUtc, zoneOf } from '../../../batch/dates/zones.ts'
import { FerryError } from '../../../errors.ts'
import { define, type FunctionOf, integerAt, numberAt, optionalText, textAt, wrongArgument } from '../function.ts'
import type { Value } from '../values.ts'

const SECOND = 10_000_000n
const UNITS: Record<string, bigint> = {
  second: SECOND,
  minute: 60n * SECOND,
  hour: 3600n * SECOND,
  day: 86_400n * SECOND,
  week: 604_800n * SECOND,
}
const MONTHS: Record<string, number> = { month: 1, year: 12 }

export const DATES = [
  adding('addDays', 'day'),
  adding('addHours', 'hour'),
  adding('addMinutes', 'minute'),
  adding('addSeconds', 'second'),
  define('addToTime', 3, 4, args => shown(moved(instantAt(args, 0), args, 1, 1), args, 3)),
  define('subtractFromTime', 3, 4, args => shown(moved(instantAt(args, 0), args, 1, -1), args, 3)),
  define('getFutureTime', 2, 3, (args, clock) => shown(moved(now(clock?.now), args, 0, 1), args, 2)),
  define('getPastTime', 2, 3, (args, clock) => shown(moved(now(clock?.now), args, 0, -1), args, 2)),
  define('convertFromUtc', 2, 3, args => shown(fromUtc(instantAt(args, 0), zoneAt(args, 1)), args, 2)),
  define('convertToUtc', 2, 3, args => shown(toUtc(instantAt(args, 0), zoneAt(args, 1)), args, 2)),
  define('convertTimeZone', 3, 4, args => {
    const given = instantAt(args, 0)
    const from = zoneAt(args, 1)
    return shown(fromUtc(toUtc({ ...given, isUtc: false }, from), zoneAt(args, 2)), args, 3)
  }),
  define('dayOfMonth', 1, 1, args => BigInt(civilOf(instantAt(args, 0)).day)),
  define('dayOfWeek', 1, 1, args => BigInt(civilOf(instantAt(args, 0)).weekday)),
  define('dayOfYear', 1, 1, args => {
    const instant = instantAt(args, 0)
    const { ms } = startOf(instant, 'year')
    return BigInt(Math.floor((instant.ms - ms) / DAY) + 1)
  }),
  define('formatDateTime', 1, 3, args => {
    const locale = optionalText(args, 2) ?? 'en-US'
    return formatInstant(instantAt(args, 0), optionalText(args, 1) ?? ROUND_TRIP, locale)
  }),
  define('parseDateTime', 1, 3, args => {
    // A format of its own is not needed for the forms that are read, and others are refused.
    return formatInstant(parseInstant(textAt(args, 0), optionalText(args, 1) ?? 'en-US'), ROUND_TRIP)
  }),
  beginning('startOfDay', 'day'),
  beginning('startOfHour', 'hour'),
  beginning('startOfMonth', 'month'),
  define('ticks', 1, 1, args => ticksOf(instantAt(args, 0))),
  define('utcNow', 0, 1, (args, clock) => shown(now(clock?.now), args, 0)),
]

const MOST_PARSED = 2000
const parsed = new Map<string, Instant>()

/** A moment; the texts of one loop are mostly the same few. */
function instantAt(args: Value[], at: number): Instant {
  const text = textAt(args, at)
  const known = parsed.get(text)
  if (known) return known
  const made = parseInstant(text)
  if (parsed.size >= MOST_PARSED) parsed.clear()
  parsed.set(text, made)
  return made
}

function zoneAt(args: Value[], at: number): string {
  return zoneOf(textAt(args, at))
}

function shown(instant: Instant, args: Value[], at: number): string {
  return formatInstant(instant, optionalText(args, at) ?? ROUND_TRIP)
}

function adding(name: string, unit: string): FunctionOf {
  return define(name, 2, 3, args => {
    const amount = numberAt(args, 1)
    const ticks = typeof amount === 'bigint' ? amount * UNITS[unit]! : fraction(amount, unit)
    return shown(later(instantAt(args, 0), ticks), args, 2)
  })
}

/** .NET rounds parts of a unit to milliseconds. */
function fraction(amount: number, unit: string): bigint {
  const ms = amount * Number(UNITS[unit]! / 10_000n)
  if (!Number.isFinite(ms)) throw wrongArgument(1, 'a finite number', amount)
  return BigInt(Math.round(ms)) * 10_000n
}

/** Moves a moment by an amount and a unit, which are the arguments from `at` on. */
function moved(instant: Instant, args: Value[], at: number, sign: 1 | -1): Instant {
  const amount = integerAt(args, at) * BigInt(sign)
  const unit = textAt(args, at + 1)
    .toLowerCase()
    .replace(/s$/, '')
  if (Object.hasOwn(UNITS, unit)) return later(instant, amount * UNITS[unit]!)
  if (!Object.hasOwn(MONTHS, unit)) {
    throw wrongArgument(at + 1, 'one of Second, Minute, Hour, Day, Week, Month, Year', args[at + 1]!)
  }
  if (amount > 200_000n || amount < -200_000n)
    throw new FerryError('FERRY-7003', 'the date is outside the years 1 to 9999')
  return monthsLater(instant, Number(amount) * MONTHS[unit]!)
}

function startOf(instant: Instant, unit: 'hour' | 'day' | 'month' | 'year'): Instant {
  if (unit === 'hour') return { ...instant, ms: Math.floor(instant.ms / 3_600_000) * 3_600_000, ticks: 0 }
  const day = Math.floor(instant.ms / DAY) * DAY
  if (unit === 'day') return { ...instant, ms: day, ticks: 0 }
  const { month, day: ofMonth } = civilOf(instant)
  const first = { ...instant, ms: day - (ofMonth - 1) * DAY, ticks: 0 }
  return unit === 'month' ? first : monthsLater(first, 1 - month)
}

function beginning(name: string, unit: 'hour' | 'day' | 'month'): FunctionOf {
  return define(name, 1, 2, args => shown(startOf(instantAt(args, 0), unit), args, 1))
}
