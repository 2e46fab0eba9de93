/** Values of artifacts with their expressions evaluated. */
import { FerryError } from '../errors.ts'
import { evaluateText, type Scope } from './expressions/evaluate.ts'
import { isObject, shownValue, type Value, type ValueObject, valueOf } from './expressions/values.ts'

const MOST_DEPTH = 100

/**
 * Evaluates all expressions in a JSON value: strings with `@`, and `{ "type": "Expression", "value": ... }`. Throws FERRY-7002 and
 * FERRY-7003 with the path of the expression.
 */
export function resolve(value: unknown, scope: Scope, path = '', depth = 0): Value {
  if (depth > MOST_DEPTH) throw new FerryError('FERRY-7001', `${path}: values lie more than ${MOST_DEPTH} deep`)
  if (typeof value === 'string') {
    if (!value.includes('@')) return value
    try {
      return evaluateText(value, scope)
    } catch (error) {
      throw path !== '' && error instanceof FerryError ? inProperty(error, path) : error
    }
  }
  if (Array.isArray(value)) return value.map((v, i) => resolve(v, scope, `${path}[${i}]`, depth + 1))
  if (typeof value !== 'object' || value === null) return typeof value === 'bigint' ? value : valueOf(value)
  const of = value as Record<string, unknown>
  if (of.type === 'Expression' && 'value' in of) {
    // The value of an expression object is one even if it is no text.
    return resolve(of.value, scope, path, depth + 1)
  }
  const result: ValueObject = {}
  for (const [name, v] of Object.entries(of)) {
    const made = resolve(v, scope, path === '' ? name : `${path}.${name}`, depth + 1)
    Object.defineProperty(result, name, { value: made, enumerable: true, writable: true, configurable: true })
  }
  return result
}

function inProperty(error: FerryError, path: string): FerryError {
  return new FerryError(error.code, `${path}: ${error.message}`, { hint: error.hint })
}

/** A property that has to be a text. Throws FERRY-7003. */
export function requireText(value: Value | undefined, name: string): string {
  if (typeof value === 'string') return value
  throw wrong(name, 'a text', value)
}

/** A property that has to be a whole number, also as a text. Throws FERRY-7003. */
export function requireInteger(value: Value | undefined, name: string, least: number, most: number): number {
  const number = typeof value === 'string' && /^\s*-?\d+\s*$/.test(value) ? Number(value) : Number(value ?? Number.NaN)
  const isNumber = typeof value === 'string' || typeof value === 'bigint' || typeof value === 'number'
  if (isNumber && Number.isInteger(number) && number >= least && number <= most) return number
  throw wrong(name, `a whole number from ${least} to ${most}`, value)
}

export function requireBoolean(value: Value | undefined, name: string): boolean {
  if (typeof value === 'boolean') return value
  if (typeof value === 'string' && /^(true|false)$/i.test(value)) return value.toLowerCase() === 'true'
  throw wrong(name, 'true or false', value)
}

export function requireList(value: Value | undefined, name: string): Value[] {
  if (Array.isArray(value)) return value
  throw wrong(name, 'an array', value)
}

export function requireObject(value: Value | undefined, name: string): ValueObject {
  if (isObject(value)) return value
  throw wrong(name, 'an object', value)
}

function wrong(name: string, what: string, value: Value | undefined): FerryError {
  const got = value === undefined ? 'is missing' : `is ${shownValue(value)}`
  return new FerryError('FERRY-7003', `${name} has to be ${what}, and ${got}`)
}

/** A span such as `1.02:03:04` or `00:10:00`, in milliseconds. Throws FERRY-7003. */
export function requireSpan(value: Value | undefined, name: string): number {
  const match =
    typeof value === 'string' ? /^(?:(\d{1,7})\.)?(\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?$/.exec(value) : null
  if (!match) throw wrong(name, 'a span such as 0.12:00:00', value)
  const [, days = '0', hours, minutes, seconds = '0'] = match
  return (((Number(days) * 24 + Number(hours)) * 60 + Number(minutes)) * 60 + Number(seconds)) * 1000
}
