/**
 * Dates and times between their text and their numbers, exact to the unit: proleptic Gregorian calendar, years of any
 * length, `BC` as PostgreSQL writes it, `infinity` and `-infinity`.
 */
import type { Interval, TimeUnit } from './types.ts'

export const PER_SECOND: Record<TimeUnit, number> = { ms: 1_000, us: 1_000_000, ns: 1_000_000_000 }

/** Days since 1970-01-01 of a civil date; year 0 is 1 BC. After Howard Hinnant's public-domain `days_from_civil`. */
export function daysFromCivil(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year
  const era = Math.floor(y / 400)
  const yearOfEra = y - era * 400
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1
  return era * 146097 + yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear - 719468
}

/** The civil date [year, month, day] of a number of days since 1970-01-01; year 0 is 1 BC. */
export function civilFromDays(days: number): [number, number, number] {
  const z = days + 719468
  const era = Math.floor(z / 146097)
  const dayOfEra = z - era * 146097
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36524) - Math.floor(dayOfEra / 146096)) / 365,
  )
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100))
  const mp = Math.floor((5 * dayOfYear + 2) / 153)
  const month = mp < 10 ? mp + 3 : mp - 9
  return [yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - Math.floor((153 * mp + 2) / 5) + 1]
}

const two = (n: number) => (n < 10 ? `0${n}` : `${n}`)

function civilText(days: number): { text: string; bc: boolean } {
  const [year, month, day] = civilFromDays(days)
  const bc = year <= 0
  return { text: `${String(bc ? 1 - year : year).padStart(4, '0')}-${two(month)}-${two(day)}`, bc }
}

/** `2024-02-29`, `0044-03-15 BC`, `infinity`. */
export function formatDate(days: number): string {
  if (days === Infinity) return 'infinity'
  if (days === -Infinity) return '-infinity'
  const { text, bc } = civilText(days)
  return bc ? `${text} BC` : text
}

/** Microseconds since midnight as `10:20:30.5`: no trailing zeros in the fraction. */
export function formatTime(micros: number): string {
  const seconds = Math.floor(micros / 1e6)
  return clock(seconds) + fraction(micros - seconds * 1e6, 6)
}

function clock(seconds: number): string {
  return `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`
}

function fraction(units: number, digits: number): string {
  if (units === 0) return ''
  return `.${String(units).padStart(digits, '0').replace(/0+$/, '')}`
}

const DIGITS: Record<TimeUnit, number> = { ms: 3, us: 6, ns: 9 }

/** Units since 1970 as `2024-02-29 10:20:30.123456`, with `+00` behind it where the type has a zone. */
export function formatTimestamp(value: number | bigint, unit: TimeUnit, zone: boolean): string {
  if (value === Infinity) return 'infinity'
  if (value === -Infinity) return '-infinity'
  let seconds: number
  let rest: number
  const per = PER_SECOND[unit]
  if (typeof value === 'bigint') {
    const bigPer = BigInt(per)
    let remainder = value % bigPer
    if (remainder < 0n) remainder += bigPer
    seconds = Number((value - remainder) / bigPer)
    rest = Number(remainder)
  } else {
    // Division in doubles may land on the next integer for large values, so the remainder decides.
    rest = value % per
    if (rest < 0) rest += per
    seconds = (value - rest) / per
  }
  const days = Math.floor(seconds / 86400)
  const { text, bc } = civilText(days)
  return `${text} ${clock(seconds - days * 86400)}${fraction(rest, DIGITS[unit])}${zone ? '+00' : ''}${bc ? ' BC' : ''}`
}

const DATE = /^(\d{4,7})-(\d{1,2})-(\d{1,2})( BC)?$/
const TIMESTAMP =
  /^(\d{4,7})-(\d{1,2})-(\d{1,2})[ T](\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)? ?(Z|z|UTC|[+-]\d{2}(?::?\d{2}(?::?\d{2})?)?)?( BC)?$/
const TIME = /^(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?$/

function validDays(year: string, month: string, day: string, bc: boolean): number | undefined {
  const y = bc ? 1 - Number(year) : Number(year)
  const m = Number(month)
  const d = Number(day)
  if (m < 1 || m > 12 || d < 1) return undefined
  const days = daysFromCivil(y, m, d)
  const back = civilFromDays(days)
  return back[1] === m && back[2] === d ? days : undefined
}

function infinity(text: string): number | undefined {
  const word = text.toLowerCase()
  if (word === 'infinity' || word === '+infinity') return Infinity
  return word === '-infinity' ? -Infinity : undefined
}

/** Days since 1970 of a date's text, or undefined where it is none. */
export function parseDate(text: string): number | undefined {
  const match = DATE.exec(text)
  return match ? validDays(match[1]!, match[2]!, match[3]!, match[4] !== undefined) : infinity(text)
}

/** Microseconds since midnight of a time's text; undefined where it is none or finer than a microsecond. */
export function parseTime(text: string): number | undefined {
  const match = TIME.exec(text)
  if (!match) return undefined
  const units = fractionUnits(match[4], 6)
  const seconds = clockSeconds(match[1]!, match[2]!, match[3])
  if (units === undefined || seconds === undefined) return undefined
  const micros = seconds * 1e6 + units
  return micros <= 86_400_000_000 ? micros : undefined
}

function clockSeconds(hour: string, minute: string, second = '0'): number | undefined {
  const h = Number(hour)
  const m = Number(minute)
  const s = Number(second)
  return h <= 24 && m < 60 && s < 60 ? h * 3600 + m * 60 + s : undefined
}

function fractionUnits(text: string | undefined, digits: number): number | undefined {
  if (text === undefined) return 0
  if (text.length > digits && !/^0*$/.test(text.slice(digits))) return undefined
  return Number(text.slice(0, digits).padEnd(digits, '0'))
}

/**
 * Units since 1970 of a timestamp's text; undefined where it is none, or finer than the unit. A zone in the text is
 * applied when the type has one; without a zone in the text such a value is read as UTC. A zone in the text of a type
 * without one is refused (undefined), since dropping it would alter the value.
 */
export function parseTimestamp(text: string, unit: TimeUnit, zone: boolean): number | bigint | undefined {
  const quick = parseUsual(text, unit, zone)
  if (quick !== undefined) return quick
  const match = TIMESTAMP.exec(text)
  if (!match) {
    const days = parseDate(text)
    return days === undefined ? undefined : Number.isFinite(days) ? scale(days * 86400, 0, unit) : days
  }
  if (match[8] !== undefined && !zone) return undefined
  const days = validDays(match[1]!, match[2]!, match[3]!, match[9] !== undefined)
  const seconds = clockSeconds(match[4]!, match[5]!, match[6])
  const units = fractionUnits(match[7], DIGITS[unit])
  if (days === undefined || seconds === undefined || units === undefined) return undefined
  return scale(days * 86400 + seconds - zoneSeconds(match[8]), units, unit)
}

/** The number of two digits, or NaN. */
function pair(text: string, at: number): number {
  const high = text.charCodeAt(at) - 48
  const low = text.charCodeAt(at + 1) - 48
  return high >= 0 && high <= 9 && low >= 0 && low <= 9 ? high * 10 + low : Number.NaN
}

/** `2024-02-29 10:20:30[.123456][+00|Z]` without a regex: what nearly every timestamp looks like. Else undefined. */
function parseUsual(text: string, unit: TimeUnit, zone: boolean): number | undefined {
  let { length } = text
  if (zone) {
    if (text.endsWith('+00')) length -= 3
    else if (text.endsWith('Z')) length -= 1
  }
  if (length < 19 || length > 26 || length === 20 || unit === 'ns') return undefined
  const separator = text.charCodeAt(10)
  if ((separator !== 32 && separator !== 84) || text.charCodeAt(4) !== 45 || text.charCodeAt(7) !== 45) return undefined
  if (text.charCodeAt(13) !== 58 || text.charCodeAt(16) !== 58) return undefined
  const year = pair(text, 0) * 100 + pair(text, 2)
  const month = pair(text, 5)
  const day = pair(text, 8)
  const hour = pair(text, 11)
  const minute = pair(text, 14)
  const second = pair(text, 17)
  const sound = year > 0 && month >= 1 && month <= 12 && day >= 1 && hour < 24 && minute < 60 && second < 60
  if (!sound || day > daysInMonth(year, month)) return undefined
  let micros = 0
  if (length > 19) {
    if (text.charCodeAt(19) !== 46) return undefined
    for (let i = 20; i < 26; i++) {
      const digit = i < length ? text.charCodeAt(i) - 48 : 0
      if (digit < 0 || digit > 9) return undefined
      micros = micros * 10 + digit
    }
  }
  const seconds = daysFromCivil(year, month, day) * 86400 + hour * 3600 + minute * 60 + second
  if (unit === 'us') {
    const value = seconds * 1_000_000 + micros
    return Number.isSafeInteger(value) ? value : undefined
  }
  return micros % 1000 === 0 ? seconds * 1000 + micros / 1000 : undefined
}

function daysInMonth(year: number, month: number): number {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31
}

function zoneSeconds(zone: string | undefined): number {
  if (zone === undefined || !/^[+-]/.test(zone)) return 0
  const digits = zone.slice(1).replaceAll(':', '')
  const seconds =
    Number(digits.slice(0, 2)) * 3600 + Number(digits.slice(2, 4) || 0) * 60 + Number(digits.slice(4) || 0)
  return zone[0] === '-' ? -seconds : seconds
}

function scale(seconds: number, units: number, unit: TimeUnit): number | bigint {
  const value = seconds * PER_SECOND[unit] + units
  return Number.isSafeInteger(value) ? value : BigInt(seconds) * BigInt(PER_SECOND[unit]) + BigInt(units)
}

/** A timestamp in another unit; undefined where that would lose digits. */
export function rescale(value: number | bigint, from: TimeUnit, to: TimeUnit): number | bigint | undefined {
  if (from === to || value === Infinity || value === -Infinity) return value
  const a = BigInt(PER_SECOND[from])
  const b = BigInt(PER_SECOND[to])
  const scaled = BigInt(value) * b
  return scaled % a === 0n ? compact(scaled / a) : undefined
}

/** A bigint as a number where that is safe: the form that integers have in rows. */
export function compact(value: bigint): number | bigint {
  return value >= -9007199254740991n && value <= 9007199254740991n ? Number(value) : value
}

/** An ISO 8601 duration: `P1Y2M3DT4H5M6.5S`; `PT0S` for nothing. Months, days and microseconds stay separate. */
export function formatInterval({ months, days, micros }: Interval): string {
  const years = Math.trunc(months / 12)
  const m = months - years * 12
  let date = ''
  if (years) date += `${years}Y`
  if (m) date += `${m}M`
  if (days) date += `${days}D`
  const total = BigInt(micros)
  const sign = total < 0n ? '-' : ''
  const abs = total < 0n ? -total : total
  const hours = abs / 3_600_000_000n
  const minutes = (abs / 60_000_000n) % 60n
  const seconds = Number(abs % 60_000_000n)
  let clockText = ''
  if (hours) clockText += `${sign}${hours}H`
  if (minutes) clockText += `${sign}${minutes}M`
  if (seconds) clockText += `${sign}${Math.floor(seconds / 1e6)}${fraction(seconds % 1e6, 6)}S`
  if (date === '' && clockText === '') return 'PT0S'
  return `P${date}${clockText === '' ? '' : `T${clockText}`}`
}

const INTERVAL = new RegExp(
  '^P(?:(-?\\d+)Y)?(?:(-?\\d+)M)?(?:(-?\\d+)W)?(?:(-?\\d+)D)?' +
    '(?:T(?:(-?\\d+)H)?(?:(-?\\d+)M)?(?:(-?)(\\d+)(?:\\.(\\d{1,6}))?S)?)?$',
)

/** The interval of an ISO 8601 duration, or undefined. */
export function parseInterval(text: string): Interval | undefined {
  const match = INTERVAL.exec(text)
  if (!match || text === 'P' || text.endsWith('T')) return undefined
  const n = (i: number) => BigInt(match[i] ?? 0)
  const seconds = n(8) * 1_000_000n + BigInt(fractionUnits(match[9], 6)!)
  const micros = n(5) * 3_600_000_000n + n(6) * 60_000_000n + (match[7] === '-' ? -seconds : seconds)
  return { months: Number(n(1) * 12n + n(2)), days: Number(n(3) * 7n + n(4)), micros: compact(micros) }
}
