/**
 * A value of one type as a value of another, exact or refused: nothing is rounded, cut or guessed.
 */
import { RowError } from '../errors.ts'
import { fromJson, toJson } from './json.ts'
import { quoteShort } from './quote.ts'
import { codePoints, fitDecimal, formatFloat, formatText, intInRange, isJson, parseText } from './text.ts'
import { rescale } from './time.ts'
import {
  hasDigits,
  type Interval,
  isTime,
  type LogicalType,
  sameType,
  type TimeType,
  typeName,
  type Value,
  withAllDigits,
} from './types.ts'

export type Converter = (value: Value) => Value

/**
 * How a type relates to the one that is to hold it:
 * `same`; `wider` (every value fits as it is); `narrower` (some values may not: each must be checked);
 * `none` (no value can be carried over).
 */
export type Fit = 'same' | 'wider' | 'narrower' | 'none'

export function fit(from: LogicalType, to: LogicalType): Fit {
  if (sameType(from, to)) return 'same'
  if (isTime(to) && to.digits !== undefined) {
    const whole = fit(from, withAllDigits(to))
    return keepsDigits(from, to) || whole === 'none' ? whole : 'narrower'
  }
  if (isTime(from) && from.digits !== undefined) return fit(withAllDigits(from), to)
  if (to.kind === 'utf8') return to.length === undefined ? 'wider' : fitLength(from, to.length)
  if (to.kind === 'numeric' && ['int', 'decimal'].includes(from.kind)) return 'wider'
  switch (from.kind) {
    case 'int':
      return fitInt(from, to)
    case 'bool':
      return to.kind === 'int' ? 'wider' : 'none'
    case 'float':
      if (to.kind === 'float') return to.bits > from.bits ? 'wider' : 'narrower'
      return ['int', 'decimal', 'numeric'].includes(to.kind) ? 'narrower' : 'none'
    case 'decimal':
      if (to.kind === 'decimal') {
        const fits = to.scale >= from.scale && to.precision - to.scale >= from.precision - from.scale
        return fits ? 'wider' : 'narrower'
      }
      return to.kind === 'int' || to.kind === 'float' ? 'narrower' : 'none'
    case 'numeric':
      return ['decimal', 'int', 'float'].includes(to.kind) ? 'narrower' : 'none'
    case 'utf8':
      return 'narrower'
    case 'json':
      if (to.kind === 'json') return to.once ? 'narrower' : 'wider'
      return ['list', 'struct', 'map'].includes(to.kind) ? 'narrower' : 'none'
    case 'uuid':
      return 'none'
    case 'date':
      return to.kind === 'timestamp' ? 'wider' : 'none'
    case 'time':
      return to.kind === 'interval' ? 'wider' : 'none'
    case 'interval':
      return to.kind === 'time' ? 'narrower' : 'none'
    case 'timestamp':
      if (to.kind === 'date') return 'narrower'
      if (to.kind !== 'timestamp' || to.zone !== from.zone) return 'none'
      return 'ms us ns'.indexOf(to.unit) > 'ms us ns'.indexOf(from.unit) && to.unit !== 'ns' ? 'wider' : 'narrower'
    case 'list':
      if (to.kind === 'json') return jsonSafe(from) ? 'wider' : 'narrower'
      return to.kind === 'list' ? fit(from.item, to.item) : 'none'
    case 'struct':
    case 'map':
      if (to.kind === 'json') return jsonSafe(from) ? 'wider' : 'narrower'
      if (to.kind === 'struct' && from.kind === 'struct') return 'narrower'
      return 'none'
    default:
      return 'none'
  }
}

/** Whether a column keeps the digits of a second that values of a type have. */
function keepsDigits(from: LogicalType, { digits }: TimeType): boolean {
  if (digits === undefined || from.kind === 'date') return true
  return isTime(from) && from.digits !== undefined && from.digits <= digits
}

function fitLength(from: LogicalType, length: number): Fit {
  if (from.kind === 'utf8' && from.length !== undefined && from.length <= length) return 'wider'
  if (from.kind === 'uuid' && length >= 36) return 'wider'
  return 'narrower'
}

function fitInt(from: { bits: number; signed: boolean }, to: LogicalType): Fit {
  const digits = { 8: 3, 16: 5, 32: 10, 64: 20 }[from.bits] ?? 20
  if (to.kind === 'decimal') return to.precision - to.scale >= digits ? 'wider' : 'narrower'
  if (to.kind === 'float') return from.bits <= (to.bits === 64 ? 32 : 16) ? 'wider' : 'narrower'
  if (to.kind === 'bool') return 'narrower'
  if (to.kind !== 'int') return 'none'
  if (from.signed === to.signed) return to.bits > from.bits ? 'wider' : 'narrower'
  return to.signed && to.bits > from.bits ? 'wider' : 'narrower'
}

function jsonSafe(type: LogicalType): boolean {
  if (type.kind === 'list') return jsonSafe(type.item)
  if (type.kind === 'map') return jsonSafe(type.value)
  if (type.kind === 'struct') return type.fields.every(f => jsonSafe(f.type))
  return type.kind !== 'float' && type.kind !== 'numeric'
}

/** The function that carries values over; undefined where nothing is to be done. */
export function converter(from: LogicalType, to: LogicalType): Converter | undefined {
  if (sameType(from, to)) return undefined
  if (isTime(from) && from.digits !== undefined) {
    return converter(withAllDigits(from), keepsDigits(from, to as TimeType) && isTime(to) ? withAllDigits(to) : to)
  }
  const convert = conversion(from, to)
  return value => (value === null ? null : convert(value))
}

type NotNull = Exclude<Value, null>

function conversion(from: LogicalType, to: LogicalType): (value: NotNull) => Value {
  const refuse = (value: NotNull): never => {
    const shown = from.kind === 'utf8' ? quoteShort(value as string) : formatText(value, from)
    throw new RowError('FERRY-4001', `${shown.slice(0, 80)} does not fit ${typeName(to)}`)
  }
  if (isTime(to) && to.digits !== undefined) {
    const all = withAllDigits(to)
    const convert = sameType(from, all) ? (value: NotNull) => value : conversion(from, all)
    return value => {
      const result = convert(value)
      return result === null || hasDigits(result, to) ? result : refuse(value)
    }
  }
  const need = (result: Value | undefined, value: NotNull): Value => (result === undefined ? refuse(value) : result)

  if (to.kind === 'utf8') {
    const { length } = to
    if (length === undefined) return value => formatText(value, from)
    return value => {
      const text = formatText(value, from)
      return codePoints(text) > length ? refuse(value) : text
    }
  }
  if (from.kind === 'utf8') {
    return value => parseText(value as string, to)
  }
  if (from.kind === 'json') {
    if (to.kind === 'json' && !to.once) return value => value
    return value => (isJson(value as string) ? fromJson((value as string).trim(), to) : refuse(value))
  }
  switch (to.kind) {
    case 'bool':
      return value => (value === 0 ? false : value === 1 ? true : refuse(value))
    case 'int':
      return value => need(toInt(value, from, to), value)
    case 'float':
      return value => need(toFloat(value, from, to.bits), value)
    case 'decimal':
      return value =>
        Object.is(value, -0) ? refuse(value) : need(fitDecimal(decimalText(value, from), to.precision, to.scale), value)
    case 'numeric':
      return value => (Object.is(value, -0) ? refuse(value) : decimalText(value, from))
    case 'json':
      return value => fromJson(toJson(value, from), to)
    case 'date':
      return value => need(toDate(value, from), value)
    case 'time':
      return value => need(toTime(value, from), value)
    case 'interval':
      return from.kind === 'time' ? value => ({ months: 0, days: 0, micros: value as number }) : refuse
    case 'timestamp':
      return value => need(toTimestamp(value, from, to), value)
    case 'list':
      if (from.kind === 'list') {
        const item = converter(from.item, to.item) ?? (v => v)
        return value => (value as Value[]).map(item)
      }
      return refuse
    case 'struct':
      if (from.kind === 'struct') {
        const fields = to.fields.map(f => {
          const at = from.fields.findIndex(g => g.name === f.name)
          const convert = at < 0 ? undefined : converter(from.fields[at]!.type, f.type)
          return { at, convert }
        })
        return value =>
          fields.map(({ at, convert }) => {
            const item = at < 0 ? null : (value as Value[])[at]!
            return convert ? convert(item) : item
          })
      }
      return refuse
    default:
      return refuse
  }
}

function toInt(
  value: NotNull,
  from: LogicalType,
  to: { bits: 8 | 16 | 32 | 64; signed: boolean },
): number | bigint | undefined {
  if (typeof value === 'boolean') return value ? 1 : 0
  if (from.kind === 'int') return intInRange(value as number | bigint, to)
  if (from.kind === 'float') {
    return Number.isInteger(value) && !Object.is(value, -0) ? intInRange(BigInt(value as number), to) : undefined
  }
  const whole = fitDecimal(value as string, 1000, 0)
  return whole === undefined || whole === 'NaN' ? undefined : intInRange(BigInt(whole), to)
}

function toFloat(value: NotNull, from: LogicalType, bits: 32 | 64): number | undefined {
  if (from.kind === 'int') {
    const result = Number(value)
    return BigInt(result) === BigInt(value as number) && (bits === 64 || Math.fround(result) === result)
      ? result
      : undefined
  }
  if (from.kind === 'float') {
    const narrow = Math.fround(value as number)
    return bits === 64 || Object.is(narrow, value) ? (value as number) : undefined
  }
  const text = value as string
  const result = Number(text)
  if (!Number.isFinite(result)) return /[NI]/.test(text) ? result : undefined
  // A decimal fits a float when the float's shortest text is that decimal again.
  const back = decimalText(bits === 32 ? Math.fround(result) : result, { kind: 'float', bits })
  return fitDecimal(back, 1000, 400) === fitDecimal(text, 1000, 400)
    ? bits === 32
      ? Math.fround(result)
      : result
    : undefined
}

function decimalText(value: NotNull, from: LogicalType): string {
  if (from.kind !== 'float') return String(value)
  const text = formatFloat(value as number, from.bits)
  return /e/.test(text) ? parseText(text, { kind: 'numeric' }).toString() : text === '-0' ? '0' : text
}

/** A time of the day: a span without days, between nothing and 24 hours. */
function toTime(value: NotNull, from: LogicalType): number | undefined {
  if (from.kind !== 'interval') return undefined
  const { months, days, micros } = value as Interval
  return months === 0 && days === 0 && micros >= 0 && micros <= 86_400_000_000 ? Number(micros) : undefined
}

function toDate(value: NotNull, from: LogicalType): number | undefined {
  if (from.kind !== 'timestamp') return undefined
  if (value === Infinity || value === -Infinity) return value
  const unitsPerDay = { ms: 86_400_000n, us: 86_400_000_000n, ns: 86_400_000_000_000n }[from.unit]
  const units = BigInt(value as number)
  return units % unitsPerDay === 0n ? Number(units / unitsPerDay) : undefined
}

function toTimestamp(
  value: NotNull,
  from: LogicalType,
  to: LogicalType & { kind: 'timestamp' },
): number | bigint | undefined {
  if (from.kind === 'date') {
    const days = value as number
    return Number.isFinite(days) ? rescale(BigInt(days) * 86_400_000n, 'ms', to.unit) : days
  }
  if (from.kind !== 'timestamp') return undefined
  return rescale(value as number | bigint, from.unit, to.unit)
}
