/** Moments of .NET's DateTime: from year 1 to 9999, to 100 nanoseconds, in UTC or in no zone at all. */

import { FerryError } from '../../errors.ts'
import { civilFromDays, daysFromCivil } from '../time.ts'

export interface Instant {
  /** Milliseconds since 1970 of what the clock shows. */
  ms: number
  /** What is beyond the millisecond, in 100 nanoseconds: 0 to 9999. */
  ticks: number
  /** True if it is UTC; otherwise no zone is known. */
  isUtc: boolean
}

export const DAY = 86_400_000

export interface Civil {
  year: number
  month: number
  day: number
  hour: number
  minute: number
  second: number
  millisecond: number
  /** Sunday is 0. */
  weekday: number
}

export function civilOf({ ms }: Instant): Civil {
  const days = Math.floor(ms / DAY)
  const rest = ms - days * DAY
  const [year, month, day] = civilFromDays(days)
  return {
    year,
    month,
    day,
    hour: Math.floor(rest / 3_600_000),
    minute: Math.floor(rest / 60_000) % 60,
    second: Math.floor(rest / 1000) % 60,
    millisecond: rest % 1000,
    weekday: (((days + 4) % 7) + 7) % 7,
  }
}

const LEAST_MS = daysFromCivil(1, 1, 1) * DAY
const MOST_MS = daysFromCivil(9999, 12, 31) * DAY + DAY - 1

/** The moment so much later. Throws FERRY-7003 outside the years 1 to 9999. */
export function later(of: Instant, ticks: bigint): Instant {
  const total = BigInt(of.ms) * 10_000n + BigInt(of.ticks) + ticks
  const rest = ((total % 10_000n) + 10_000n) % 10_000n
  return requireRange({ ...of, ms: Number((total - rest) / 10_000n), ticks: Number(rest) })
}

/** Months later; the day is cut to the length of the month. */
export function monthsLater(of: Instant, months: number): Instant {
  const { year, month, day } = civilOf(of)
  const count = year * 12 + month - 1 + months
  const toYear = Math.floor(count / 12)
  const toMonth = count - toYear * 12 + 1
  if (toYear < 1 || toYear > 9999) throw outOfRange()
  const length = daysInMonth(toYear, toMonth)
  const rest = of.ms - Math.floor(of.ms / DAY) * DAY
  return { ...of, ms: daysFromCivil(toYear, toMonth, Math.min(day, length)) * DAY + rest }
}

export function daysInMonth(year: number, month: number): number {
  const next = month === 12 ? daysFromCivil(year + 1, 1, 1) : daysFromCivil(year, month + 1, 1)
  return next - daysFromCivil(year, month, 1)
}

export const isInRange = ({ ms }: Instant): boolean => ms >= LEAST_MS && ms <= MOST_MS

export function requireRange(instant: Instant): Instant {
  if (!isInRange(instant)) throw outOfRange()
  return instant
}

function outOfRange(): FerryError {
  return new FerryError('FERRY-7003', 'the date is outside the years 1 to 9999')
}

/** 100 nanoseconds since the year 1. */
export function ticksOf({ ms, ticks }: Instant): bigint {
  return BigInt(ms - LEAST_MS) * 10_000n + BigInt(ticks)
}

/** Now, in UTC. */
export function now(ms = Date.now()): Instant {
  return { ms, ticks: 0, isUtc: true }
}

/** Makes a moment of parts. Undefined if there is no such day or time. */
export function instantOf(parts: {
  year: number
  month: number
  day: number
  hour?: number
  minute?: number
  second?: number
  /** Digits after the point. */
  fraction?: string
  /** Minutes east of UTC; the moment is then in UTC. */
  offset?: number | undefined
}): Instant | undefined {
  const { year, month, day, hour = 0, minute = 0, second = 0, fraction = '', offset } = parts
  if (year < 1 || year > 9999 || month < 1 || month > 12 || day < 1 || day > daysInMonth(year, month)) return undefined
  if (hour > 23 || minute > 59 || second > 59) return undefined
  const sub = Number(fraction.padEnd(7, '0').slice(0, 7))
  const ms =
    daysFromCivil(year, month, day) * DAY +
    hour * 3_600_000 +
    minute * 60_000 +
    second * 1000 +
    Math.floor(sub / 10_000)
  const shifted = offset === undefined ? ms : ms - offset * 60_000
  if (shifted < LEAST_MS || shifted > MOST_MS) return undefined
  return { ms: shifted, ticks: sub % 10_000, isUtc: offset !== undefined }
}
