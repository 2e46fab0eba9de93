/**
 * Logical types: the hub between the stores. Names and meanings are Arrow's; `decimal` without bounds and `json` are
 * added because stores have them.
 *
 * The JavaScript value of each, used in the rows encoding:
 *
 * | type | value |
 * |---|---|
 * | bool | boolean |
 * | int8 ... uint64 | number where it is safe, else bigint |
 * | float32, float64 | number |
 * | decimal(p,s), decimal | string: plain digits, `NaN`, `Infinity`, `-Infinity` |
 * | utf8, json, uuid | string (json: the text as it came; uuid: lower case) |
 * | binary | Uint8Array |
 * | date | days since 1970-01-01 as number; Infinity and -Infinity |
 * | time | microseconds since midnight as number (24:00 included) |
 * | timestamp | units since 1970-01-01 00:00 as number where safe, else bigint; Infinity and -Infinity |
 * | interval | { months, days, micros } |
 * | list | array of values |
 * | struct | array of values, in the order of the fields |
 * | map | array of [key, value] |
 */
import { valueOf } from './valueof.ts'

export type LogicalType =
  | { kind: 'bool' }
  | { kind: 'int'; bits: 8 | 16 | 32 | 64; signed: boolean }
  | { kind: 'float'; bits: 32 | 64 }
  | { kind: 'decimal'; precision: number; scale: number }
  | { kind: 'numeric' }
  | { kind: 'utf8'; length?: number }
  /** `once`: the store keeps only the last value of a member that an object has twice (`jsonb`). */
  | { kind: 'json'; once?: boolean }
  | { kind: 'uuid' }
  | { kind: 'binary' }
  | { kind: 'date' }
  | { kind: 'time'; digits?: number }
  | { kind: 'timestamp'; zone: boolean; unit: TimeUnit; digits?: number }
  | { kind: 'interval'; digits?: number }
  | { kind: 'list'; item: LogicalType }
  | { kind: 'struct'; fields: { name: string; type: LogicalType }[] }
  | { kind: 'map'; key: LogicalType; value: LogicalType }

/** A type of time whose column may keep fewer digits of a second than its values have: `digits`, of 0 to 9. */
export type TimeType = LogicalType & { kind: 'time' | 'timestamp' | 'interval' }

export function isTime(type: LogicalType): type is TimeType {
  return type.kind === 'time' || type.kind === 'timestamp' || type.kind === 'interval'
}

/** The type with all digits that its values can have. */
export function withAllDigits(type: TimeType): TimeType {
  const { digits: _, ...all } = type
  return all
}

/** Whether a time has no more digits of a second than its column keeps. */
export function hasDigits(value: Exclude<Value, null>, type: TimeType): boolean {
  const units = type.kind === 'interval' ? (value as Interval).micros : (value as number | bigint)
  if (units === Infinity || units === -Infinity) return true
  const has = type.kind === 'timestamp' ? { ms: 3, us: 6, ns: 9 }[type.unit] : 6
  const digits = Math.min(has, type.digits!)
  return BigInt(units) % 10n ** BigInt(has - digits) === 0n
}

/** Precision of a timestamp: milliseconds, microseconds or nanoseconds. */
export type TimeUnit = 'ms' | 'us' | 'ns'

export interface Interval {
  months: number
  days: number
  micros: number | bigint
}

export type Value = null | boolean | number | bigint | string | Uint8Array | Interval | Value[]
/** One row: values by position under a schema. */
export type Row = Value[]

export const bool: LogicalType = { kind: 'bool' }
export const int16: LogicalType = { kind: 'int', bits: 16, signed: true }
export const int32: LogicalType = { kind: 'int', bits: 32, signed: true }
export const int64: LogicalType = { kind: 'int', bits: 64, signed: true }
export const float32: LogicalType = { kind: 'float', bits: 32 }
export const float64: LogicalType = { kind: 'float', bits: 64 }
export const numeric: LogicalType = { kind: 'numeric' }
export const utf8: LogicalType = { kind: 'utf8' }
export const json: LogicalType = { kind: 'json' }
export const jsonb: LogicalType = { kind: 'json', once: true }
export const uuid: LogicalType = { kind: 'uuid' }
export const binary: LogicalType = { kind: 'binary' }
export const date: LogicalType = { kind: 'date' }
export const time: LogicalType = { kind: 'time' }
export const timestamp: LogicalType = { kind: 'timestamp', zone: false, unit: 'us' }
export const timestamptz: LogicalType = { kind: 'timestamp', zone: true, unit: 'us' }
export const interval: LogicalType = { kind: 'interval' }

/** A column of a schema. `native` is the store's own name of the type, for copies between stores of one kind. */
export interface Column {
  name: string
  type: LogicalType
  nullable: boolean
  native?: string
}

/** The type's name as plans, docs and job files write it: `int64`, `decimal(10,2)`, `timestamp[us, tz]`, `list<int32>`. */
export function typeName(type: LogicalType): string {
  switch (type.kind) {
    case 'int':
      return `${type.signed ? '' : 'u'}int${type.bits}`
    case 'float':
      return `float${type.bits}`
    case 'decimal':
      return `decimal(${type.precision},${type.scale})`
    case 'numeric':
      return 'decimal'
    case 'json':
      return type.once ? 'jsonb' : 'json'
    case 'utf8':
      return type.length === undefined ? 'utf8' : `utf8(${type.length})`
    case 'timestamp':
      return `timestamp[${type.unit}${type.zone ? ', tz' : ''}]${digitsName(type)}`
    case 'time':
    case 'interval':
      return `${type.kind}${digitsName(type)}`
    case 'list':
      return `list<${typeName(type.item)}>`
    case 'struct':
      return `struct<${type.fields.map(f => `${fieldName(f.name)}: ${typeName(f.type)}`).join(', ')}>`
    case 'map':
      return `map<${typeName(type.key)}, ${typeName(type.value)}>`
    default:
      return type.kind
  }
}

/** A name as it is, or as a JSON text if it could be taken for another part of the type. */
const fieldName = (name: string) => (/^[\p{L}\p{N}_$.-]+$/u.test(name) ? name : JSON.stringify(name))

function digitsName({ digits }: TimeType): string {
  return digits === undefined ? '' : `(${digits})`
}

/** Whether two types hold the same values in the same form. */
export function sameType(a: LogicalType, b: LogicalType): boolean {
  return typeName(a) === typeName(b)
}

/** The type with a name, or undefined: the reverse of {@link typeName}, with a few usual short names. */
export function parseType(text: string): LogicalType | undefined {
  const parser = new TypeParser(text)
  const type = parser.type()
  return type && parser.atEnd() ? type : undefined
}

const SIMPLE: Record<string, LogicalType> = {
  bool,
  boolean: bool,
  float32,
  float64,
  double: float64,
  decimal: numeric,
  numeric,
  utf8,
  string: utf8,
  text: utf8,
  json,
  jsonb,
  uuid,
  binary,
  date,
  time,
  timestamp,
  timestamptz,
  interval,
}
for (const bits of [8, 16, 32, 64] as const) {
  SIMPLE[`int${bits}`] = { kind: 'int', bits, signed: true }
  SIMPLE[`uint${bits}`] = { kind: 'int', bits, signed: false }
}

class TypeParser {
  private readonly text: string
  private at = 0

  constructor(text: string) {
    this.text = text
  }

  type(): LogicalType | undefined {
    const name = this.match(/[A-Za-z][A-Za-z0-9]*/y)?.toLowerCase()
    if (name === undefined) return undefined
    if (name === 'list' && this.match(/</y)) {
      const item = this.type()
      return item && this.match(/>/y) ? { kind: 'list', item } : undefined
    }
    if (name === 'map' && this.match(/</y)) {
      const key = this.type()
      if (!key || !this.match(/,/y)) return undefined
      const value = this.type()
      return value && this.match(/>/y) ? { kind: 'map', key, value } : undefined
    }
    if (name === 'struct' && this.match(/</y)) {
      const fields: { name: string; type: LogicalType }[] = []
      do {
        const name = this.fieldName()
        const type = name !== undefined && this.match(/:/y) ? this.type() : undefined
        if (name === undefined || !type) return undefined
        fields.push({ name, type })
      } while (this.match(/,/y))
      return this.match(/>/y) ? { kind: 'struct', fields } : undefined
    }
    if (/^(decimal|decimal128|numeric)$/.test(name)) {
      const bounds = this.match(/\(\s*\d+\s*(,\s*\d+\s*)?\)/y)
      if (bounds === undefined) return numeric
      const [precision = 0, scale = 0] = bounds.slice(1, -1).split(',').map(Number)
      return { kind: 'decimal', precision, scale }
    }
    if (/^(utf8|string|text)$/.test(name)) {
      const length = this.match(/\(\s*\d+\s*\)/y)
      return length === undefined ? utf8 : { kind: 'utf8', length: Number(length.slice(1, -1)) }
    }
    if (name === 'timestamp') {
      const options = this.match(/\[\s*(ms|us|ns)\s*(,\s*tz\s*)?\]/y)
      if (options === undefined) return timestamp
      const unit = /ms|us|ns/.exec(options)![0] as TimeUnit
      return this.withDigits({ kind: 'timestamp', unit, zone: options.includes('tz') })
    }
    const type = valueOf(SIMPLE, name)
    return type && isTime(type) ? this.withDigits(type) : type
  }

  private fieldName(): string | undefined {
    const quoted = this.match(/"(?:[^"\\]|\\.)*"/y)
    if (quoted === undefined) return this.match(/[^:<>,"]+/y)?.trim()
    try {
      return JSON.parse(quoted)
    } catch {
      return undefined
    }
  }

  private withDigits(type: TimeType): TimeType {
    const digits = this.match(/\(\d\)/y)
    return digits === undefined ? type : { ...type, digits: Number(digits[1]) }
  }

  atEnd(): boolean {
    return this.text.slice(this.at).trim() === ''
  }

  private match(pattern: RegExp): string | undefined {
    while (this.text[this.at] === ' ') this.at++
    pattern.lastIndex = this.at
    const found = pattern.exec(this.text)?.[0]
    if (found !== undefined) this.at += found.length
    return found
  }
}
