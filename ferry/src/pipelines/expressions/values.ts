/**
 * Values of expressions: those of JSON. Integers of 64 bits are bigint and other numbers are number, so that `div(7, 2)` is 3 and
 * `div(7.0, 2)` is 3.5, and an id of 19 digits stays as it is.
 */
import { FerryError } from '../../errors.ts'

export type Value = null | boolean | bigint | number | string | Value[] | ValueObject

export interface ValueObject {
  [name: string]: Value
}

const INTEGER = /^-?\d+$/
const LEAST_INTEGER = -(2n ** 63n)
const MOST_INTEGER = 2n ** 63n - 1n

/** True for an integer of 64 bits. */
export function isInt64(value: bigint): boolean {
  return value >= LEAST_INTEGER && value <= MOST_INTEGER
}

export function isObject(value: Value | undefined): value is ValueObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The value of a JSON text. Throws a SyntaxError. */
export function parseValue(text: string): Value {
  return JSON.parse(text, function revive(this: unknown, _key, value, context?: { source: string }) {
    if (typeof value !== 'number') return value
    const { source } = context!
    return INTEGER.test(source) && isInt64(BigInt(source)) ? BigInt(source) : value
  })
}

/** JSON that a program made, as a value: its whole numbers are integers. */
export function valueOf(made: unknown): Value {
  const exactly = (_key: string, value: unknown) => (typeof value === 'bigint' ? rawJSON(String(value)) : value)
  return parseValue(JSON.stringify(made, exactly) ?? 'null')
}

/** A value as JSON text. A float keeps its point: `2.0`. */
export function printValue(value: Value, indent?: number): string {
  return JSON.stringify(value, rawNumber, indent)
}

const { rawJSON } = JSON as unknown as { rawJSON: (text: string) => unknown }

function rawNumber(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return rawJSON(String(value))
  if (typeof value === 'number' && Number.isFinite(value)) return rawJSON(floatJson(value))
  return value
}

function floatJson(value: number): string {
  const text = Object.is(value, -0) ? '-0' : String(value)
  return /[.e]/.test(text) ? text : `${text}.0`
}

/** A value as programs of JavaScript have it. Integers beyond 2^53 become texts, which keep all digits. */
export function plainOf(value: Value): unknown {
  if (typeof value === 'bigint') {
    return value >= -(2n ** 53n) && value <= 2n ** 53n ? Number(value) : String(value)
  }
  if (Array.isArray(value)) return value.map(plainOf)
  if (isObject(value)) return Object.fromEntries(Object.entries(value).map(([name, v]) => [name, plainOf(v)]))
  return value
}

/** A float as .NET writes it: the shortest digits that give the same float, `1E+16` from sixteen digits on. */
export function floatText(value: number): string {
  if (Number.isNaN(value)) return 'NaN'
  if (!Number.isFinite(value)) return value > 0 ? 'Infinity' : '-Infinity'
  if (Object.is(value, -0)) return '-0'
  if (value === 0) return '0'
  const [digits = '', power = '0'] = value.toExponential().split('e')
  const exponent = Number(power)
  if (exponent >= 15 || exponent < -4) {
    const size = String(Math.abs(exponent)).padStart(2, '0')
    return `${digits}E${exponent < 0 ? '-' : '+'}${size}`
  }
  return /e/.test(String(value)) ? value.toFixed(digits.replace(/\D/g, '').length - 1 - exponent) : String(value)
}

const XML = /^application\/xml\b/i

/** The text of XML that `xml()` made; undefined for other values. */
export function xmlText(value: Value): string | undefined {
  if (!isObject(value)) return undefined
  const { $content: content, '$content-type': type } = value
  if (typeof content !== 'string' || typeof type !== 'string' || !XML.test(type)) return undefined
  return Buffer.from(content, 'base64').toString('utf8')
}

/** A value within a text: null is empty, `true` is `True` as in .NET, lists and objects are JSON. */
export function textOf(value: Value): string {
  if (typeof value === 'string') return value
  if (value === null) return ''
  if (typeof value === 'boolean') return value ? 'True' : 'False'
  if (typeof value === 'bigint') return String(value)
  if (typeof value === 'number') return floatText(value)
  return xmlText(value) ?? printValue(value)
}

/** The type of a value, as messages name it. */
export function typeOf(value: Value): string {
  if (value === null) return 'Null'
  if (typeof value === 'boolean') return 'Boolean'
  if (typeof value === 'bigint') return 'Integer'
  if (typeof value === 'number') return 'Float'
  if (typeof value === 'string') return 'String'
  return Array.isArray(value) ? 'Array' : 'Object'
}

/** A value in a message: its type and its beginning. */
export function shownValue(value: Value): string {
  const text = printValue(value) ?? 'null'
  return `${typeOf(value)} ${text.length > 80 ? `${text.slice(0, 80)}…` : text}`
}

/** True if two values are the same; 1 equals 1.0, and the order of an object's members does not count. */
export function sameValue(a: Value, b: Value): boolean {
  if (a === b) return true
  if ((typeof a === 'bigint' && typeof b === 'number') || (typeof a === 'number' && typeof b === 'bigint')) {
    // biome-ignore lint/suspicious/noDoubleEquals: an integer and a float are compared exactly so.
    return a == b
  }
  if (Array.isArray(a) || Array.isArray(b)) {
    return Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.every((v, i) => sameValue(v, b[i]!))
  }
  if (!isObject(a) || !isObject(b)) return false
  const names = Object.keys(a)
  return (
    names.length === Object.keys(b).length &&
    names.every(name => Object.hasOwn(b, name) && sameValue(a[name]!, b[name]!))
  )
}

/** The most characters of a text, and the most members of a list, that an expression may make. */
export const MOST_CHARACTERS = 32_000_000
export const MOST_MEMBERS = 1_000_000

/** Throws FERRY-7003 if a text or a list is larger than an expression may make. */
export function requireSize<T extends string | Value[]>(made: T): T {
  if (typeof made === 'string') requireLength(made.length)
  else if (made.length > MOST_MEMBERS) throw tooLarge(MOST_MEMBERS, 'members')
  return made
}

/** The same for a text that is not made yet. */
export function requireLength(characters: number): void {
  if (characters > MOST_CHARACTERS) throw tooLarge(MOST_CHARACTERS, 'characters')
}

function tooLarge(most: number, what: string): FerryError {
  return new FerryError('FERRY-7003', `the result has more than ${most.toLocaleString('en-US')} ${what}`)
}
