/**
 * The canonical text of every logical type: what CSV files, TEXT columns and messages hold. It is PostgreSQL's ISO
 * output wherever PostgreSQL has the type, so that bytes can pass between the two unread; nested values are JSON.
 */

import { RowError } from '../errors.ts'
import { nestedToJson, parseNested } from './json.ts'
import { quoteShort } from './quote.ts'
import {
  compact,
  formatDate,
  formatInterval,
  formatTime,
  formatTimestamp,
  parseDate,
  parseInterval,
  parseTime,
  parseTimestamp,
} from './time.ts'
import { hasDigits, type Interval, isTime, type LogicalType, typeName, type Value } from './types.ts'
import { valueOf } from './valueof.ts'

/** A float's shortest text that reads back as the same bits; `-0`, `NaN`, `Infinity`. */
export function formatFloat(value: number, bits: 32 | 64): string {
  if (bits === 32 && Number.isFinite(value) && value !== 0) {
    for (let digits = 6; digits < 9; digits++) {
      const short = Number(value.toPrecision(digits))
      if (Math.fround(short) === value) return formatFloat(short, 64)
    }
  }
  return Object.is(value, -0) ? '-0' : String(value)
}

/** The canonical text of a value that is not null. */
export function formatText(value: Exclude<Value, null>, type: LogicalType): string {
  switch (type.kind) {
    case 'utf8':
    case 'json':
    case 'uuid':
    case 'decimal':
    case 'numeric':
      return value as string
    case 'float':
      return formatFloat(value as number, type.bits)
    case 'binary':
      return `\\x${hex(value as Uint8Array)}`
    case 'date':
      return formatDate(value as number)
    case 'time':
      return formatTime(value as number)
    case 'timestamp':
      return formatTimestamp(value as number | bigint, type.unit, type.zone)
    case 'interval':
      return formatInterval(value as Interval)
    case 'list':
    case 'struct':
    case 'map':
      return nestedToJson(value, type)
    default:
      return String(value)
  }
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
}

const INTEGER = /^[+-]?\d+$/
const DECIMAL = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
const SPECIAL: Record<string, string> = {
  nan: 'NaN',
  infinity: 'Infinity',
  inf: 'Infinity',
  '+infinity': 'Infinity',
  '-infinity': '-Infinity',
  '-inf': '-Infinity',
}
const BOOLEAN: Record<string, boolean> = {
  true: true,
  false: false,
  t: true,
  f: false,
  yes: true,
  no: false,
  y: true,
  n: false,
  on: true,
  off: false,
  '1': true,
  '0': false,
}

/** The value of a text under a type; throws a RowError where the text is not of the type or does not fit it. */
export function parseText(text: string, type: LogicalType): Exclude<Value, null> {
  const value = tryParse(text, type)
  if (value === undefined || (isTime(type) && type.digits !== undefined && !hasDigits(value, type))) {
    throw new RowError('FERRY-4001', `${quoteShort(text)} is not of type ${typeName(type)}`)
  }
  return value
}

function tryParse(text: string, type: LogicalType): Exclude<Value, null> | undefined {
  switch (type.kind) {
    case 'utf8':
      return type.length !== undefined && codePoints(text) > type.length ? undefined : text
    case 'json':
      return isJson(text) && !(type.once && hasMemberTwice(text)) ? text : undefined
    case 'uuid': {
      const bare = text.toLowerCase()
      return UUID.test(bare) ? bare : undefined
    }
    case 'bool':
      return valueOf(BOOLEAN, text.toLowerCase())
    case 'int':
      return INTEGER.test(text) ? intInRange(text.length < 16 ? Number(text) : BigInt(text), type) : undefined
    case 'float':
      return parseFloatText(text, type.bits)
    case 'decimal':
      return fitDecimal(text, type.precision, type.scale)
    case 'numeric':
      return normalDecimal(text)
    case 'binary':
      return /^\\x([0-9a-fA-F]{2})*$/.test(text) ? Buffer.from(text.slice(2), 'hex') : undefined
    case 'date':
      return parseDate(text)
    case 'time':
      return parseTime(text)
    case 'timestamp':
      return parseTimestamp(text, type.unit, type.zone)
    case 'interval':
      return parseInterval(text)
    case 'list':
    case 'struct':
    case 'map':
      return parseNested(text, type)
  }
}

function parseFloatText(text: string, bits: 32 | 64): number | undefined {
  const special = valueOf(SPECIAL, text.toLowerCase())
  if (special !== undefined) return Number(special)
  if (!DECIMAL.test(text) || !isExactFloat(text, bits)) return undefined
  return bits === 32 ? Math.fround(Number(text)) : Number(text)
}

/**
 * Whether a decimal text is a float: printed with as many digits as the text has, or as few as identify it, the
 * nearest float is that text again. Every text of up to 15 digits is (6 of a `float32`), and whatever was printed from a float with up to 17 (9).
 */
export function isExactFloat(text: string, bits: 32 | 64): boolean {
  const double = Number(text)
  const value = bits === 32 ? Math.fround(double) : double
  if (!Number.isFinite(value)) return false
  if (text.length <= (bits === 64 ? 15 : 6) && !/[eE]/.test(text)) return true
  const digits = significantDigits(text)
  if (digits === 0) return true
  if (bits === 32 && digits > 9) return value === double && isExactFloat(text, 64)
  if (digits > 17) return false
  const own = plainDigits(text)
  // The shortest text that reads back as the float is not always the nearest of that length.
  return plainDigits(value.toPrecision(digits)) === own || plainDigits(formatFloat(value, bits)) === own
}

function plainDigits(text: string): string {
  return withoutTrailingZeros(normalDecimal(text)!)
}

/** A decimal text without the zeros at the end of its fraction. */
export function withoutTrailingZeros(text: string): string {
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text
}

/** How many digits of a decimal text carry meaning: leading and trailing zeros do not. */
export function significantDigits(text: string): number {
  const digits = text.replace(/[eE].*$/, '').replace(/[^0-9]/g, '')
  return digits.replace(/^0+/, '').replace(/0+$/, '').length
}

/** The integer as rows hold it, or undefined where it is outside the type's range. */
export function intInRange(
  value: number | bigint,
  type: { bits: 8 | 16 | 32 | 64; signed: boolean },
): number | bigint | undefined {
  if (typeof value === 'number' && type.bits <= 32) {
    const half = type.bits === 32 ? 2147483648 : type.bits === 16 ? 32768 : 128
    const fits = type.signed ? value >= -half && value < half : value >= 0 && value < 2 * half
    return fits ? value + 0 : undefined
  }
  const [low, high] = INT_RANGES[`${type.signed ? '' : 'u'}${type.bits}`]!
  if (value < low || value > high) return undefined
  return typeof value === 'bigint' ? compact(value) : value === 0 ? 0 : value
}

const INT_RANGES: Record<string, [bigint, bigint]> = {}
for (const bits of [8n, 16n, 32n, 64n]) {
  INT_RANGES[`${bits}`] = [-(1n << (bits - 1n)), (1n << (bits - 1n)) - 1n]
  INT_RANGES[`u${bits}`] = [0n, (1n << bits) - 1n]
}

/** Plain digits of a decimal text: no exponent, no plus sign, no leading zeros; the scale stays as written. */
export function normalDecimal(text: string): string | undefined {
  const special = valueOf(SPECIAL, text.toLowerCase())
  if (special !== undefined) return special
  const match = /^([+-]?)(\d*)\.?(\d*)(?:[eE]([+-]?\d+))?$/.exec(text)
  if (!match || (match[2] === '' && match[3] === '')) return undefined
  let whole = match[2]!
  let part = match[3]!
  const exponent = Number(match[4] ?? 0)
  if (Math.abs(exponent) > 200_000) return undefined
  if (exponent > 0) {
    part = part.padEnd(exponent, '0')
    whole += part.slice(0, exponent)
    part = part.slice(exponent)
  } else if (exponent < 0) {
    whole = whole.padStart(-exponent, '0')
    part = whole.slice(whole.length + exponent) + part
    whole = whole.slice(0, whole.length + exponent)
  }
  whole = whole.replace(/^0+(?=\d)/, '') || '0'
  const zero = /^0*$/.test(whole) && /^0*$/.test(part)
  return (match[1] === '-' && !zero ? '-' : '') + whole + (part === '' ? '' : `.${part}`)
}

/** Whether the text is already digits, a point and exactly `scale` digits, and fits: the common case, without a regex. */
function isPlainDecimal(text: string, precision: number, scale: number): boolean {
  const { length } = text
  const start = text.charCodeAt(0) === 45 ? 1 : 0
  const point = scale === 0 ? length : length - scale - 1
  const whole = point - start
  if (whole < 1 || whole > precision - scale) return false
  // A single leading zero stays, and `-0.00` is 0.00.
  if (text.charCodeAt(start) === 48 && (whole > 1 || start === 1)) return false
  for (let i = start; i < length; i++) {
    const c = text.charCodeAt(i)
    if (i === point ? c !== 46 : c < 48 || c > 57) return false
  }
  return true
}

/** The text with exactly `scale` digits behind the point; undefined where it does not fit without rounding. */
export function fitDecimal(text: string, precision: number, scale: number): string | undefined {
  if (isPlainDecimal(text, precision, scale)) return text
  const normal = normalDecimal(text)
  if (normal === undefined || normal === 'Infinity' || normal === '-Infinity') return undefined
  // PostgreSQL's numeric(p,s) holds NaN; stores whose decimals do not must refuse it themselves.
  if (normal === 'NaN') return normal
  const [whole = '', part = ''] = normal.replace('-', '').split('.')
  if (part.length > scale && !/^0*$/.test(part.slice(scale))) return undefined
  if ((whole === '0' ? 0 : whole.length) > precision - scale) return undefined
  const sign = normal.startsWith('-') ? '-' : ''
  return sign + whole + (scale > 0 ? `.${part.slice(0, scale).padEnd(scale, '0')}` : '')
}

export function codePoints(text: string): number {
  let count = text.length
  for (let i = 0; i < text.length; i++) if ((text.charCodeAt(i) & 0xfc00) === 0xd800) count--
  return count
}

export function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** Whether an object within a JSON text that is known to be valid has a member twice. */
export function hasMemberTwice(text: string): boolean {
  const colons = text.replace(/"(?:[^"\\]|\\.)*"/g, '').split(':').length - 1
  return colons > 1 && countMembers(JSON.parse(text)) < colons
}

function countMembers(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  const inner = Object.values(value)
  return inner.reduce((n: number, v) => n + countMembers(v), Array.isArray(value) ? 0 : inner.length)
}
