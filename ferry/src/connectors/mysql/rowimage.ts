/**
 * Rows as the binary log holds them: the storage format of each type, as values of a table's columns.
 *
 * One file: the types of one format, a few lines each, which are read side by side with its description.
 *
 * Source: https://mariadb.com/kb/en/rows_event_v1v2-rows_compressed_event_v1/ and the servers' `log_event.cc`.
 */
import { compact, daysFromCivil } from '../../batch/time.ts'
import type { Row, Value } from '../../batch/types.ts'
import { valueOf } from '../../batch/valueof.ts'
import type { TableColumn } from '../../contract/schema.ts'
import { FerryError, RowError } from '../../errors.ts'
import { missingValue } from '../changes/drift.ts'
import { jsonText } from './binaryjson.ts'
import type { MysqlColumn } from './catalog.ts'
import { FIXED } from './fixedtypes.ts'
import type { MysqlSettings } from './settings.ts'
import { isGeometry } from './types.ts'

/** Type codes of the log. */
const CODE = {
  tiny: 1,
  short: 2,
  long: 3,
  float: 4,
  double: 5,
  timestamp: 7,
  longlong: 8,
  int24: 9,
  date: 10,
  time: 11,
  datetime: 12,
  year: 13,
  varchar: 15,
  bit: 16,
  timestamp2: 17,
  datetime2: 18,
  time2: 19,
  json: 245,
  newdecimal: 246,
  enum: 247,
  set: 248,
  blob: 252,
  string: 254,
  geometry: 255,
} as const

/** How a table's rows lie in the log, until it is altered. */
export interface LoggedTable {
  database: string
  table: string
  /** Type code and metadata of each column. */
  types: number[]
  metadata: number[]
  /** Names, where the server logs them (`binlog_row_metadata = FULL`). */
  names: string[] | undefined
}

type Read = (buffer: Buffer, cursor: { at: number }) => Value

/** Reads the table map of an event whose body begins at `begin`. */
export function tableMap(buffer: Buffer, begin: number, end: number): LoggedTable {
  let at = begin
  const text = () => {
    const length = buffer[at]!
    const found = buffer.toString('utf8', at + 1, at + 1 + length)
    at += length + 2
    return found
  }
  const database = text()
  const table = text()
  const cursor = { at }
  const count = packed(buffer, cursor)
  const types = [...buffer.subarray(cursor.at, cursor.at + count)]
  cursor.at += count
  const size = packed(buffer, cursor)
  const metadata = metadataOf(types, buffer, cursor.at)
  cursor.at += size + Math.ceil(count / 8)
  return { database, table, types, metadata, names: namesIn(buffer, cursor.at, end) }
}

function metadataOf(types: number[], buffer: Buffer, begin: number): number[] {
  let at = begin
  return types.map(type => {
    switch (type) {
      case CODE.float:
      case CODE.double:
      case CODE.blob:
      case CODE.geometry:
      case CODE.json:
      case CODE.timestamp2:
      case CODE.datetime2:
      case CODE.time2:
        return buffer[at++]!
      case CODE.varchar:
      case CODE.bit: {
        at += 2
        return buffer.readUInt16LE(at - 2)
      }
      case CODE.newdecimal:
      case CODE.string:
      case CODE.enum:
      case CODE.set: {
        at += 2
        return buffer.readUInt16BE(at - 2)
      }
      default:
        return 0
    }
  })
}

const COLUMN_NAMES = 4

function namesIn(buffer: Buffer, begin: number, end: number): string[] | undefined {
  const cursor = { at: begin }
  while (cursor.at < end) {
    const kind = buffer[cursor.at++]
    const length = packed(buffer, cursor)
    const stop = cursor.at + length
    if (kind === COLUMN_NAMES) {
      const names: string[] = []
      while (cursor.at < stop) {
        const size = packed(buffer, cursor)
        names.push(buffer.toString('utf8', cursor.at, cursor.at + size))
        cursor.at += size
      }
      return names
    }
    cursor.at = stop
  }
  return undefined
}

/** A packed integer. */
export function packed(buffer: Buffer, cursor: { at: number }): number {
  const first = buffer[cursor.at++]!
  if (first < 0xfb) return first
  const size = first === 0xfc ? 2 : first === 0xfd ? 3 : 8
  cursor.at += size
  return size === 8 ? Number(buffer.readBigUInt64LE(cursor.at - 8)) : buffer.readUIntLE(cursor.at - size, size)
}

/** Reads the row images of one table. */
export class RowImages {
  /** Of each column of the log its position in the row, or -1. */
  readonly places: number[]
  private readonly reads: Read[]
  private readonly width: number
  readonly names: string[]
  /** Values of the columns that the log does not have yet. */
  private readonly missing: { at: number; value: Value }[]

  constructor(logged: LoggedTable, columns: MysqlColumn[], wanted: TableColumn[], settings: MysqlSettings) {
    const name = `${logged.database}.${logged.table}`
    const count = logged.types.length
    if (!logged.names && count > columns.length) {
      throw new FerryError('FERRY-3013', `${name}: the source has new columns, and its log does not name them`, {
        hint: 'Run the job again. With SET GLOBAL binlog_row_metadata = FULL the log says which.',
      })
    }
    // New columns come behind the others, where the log does not name them.
    this.names = logged.names ?? columns.slice(0, count).map(c => c.name)
    this.width = wanted.length
    this.places = this.names.map(n => wanted.findIndex(w => w.name === n))
    this.missing = wanted.flatMap((w, at) => (this.names.includes(w.name) ? [] : [{ at, value: missingValue(w) }]))
    this.reads = this.names.map((n, i) => {
      const column = columns.find(c => c.name === n)
      if (!column) return skipper(logged.types[i]!, logged.metadata[i]!)
      return reader(column, logged.types[i]!, logged.metadata[i]!, settings)
    })
  }

  /** One image: the columns in `present`. Gives back the row, and the places of the values that it lacks. */
  read(buffer: Buffer, cursor: { at: number }, present: boolean[]): { row: Row; missing: number[] | undefined } {
    const row: Row = new Array(this.width).fill(null)
    for (const { at, value } of this.missing) row[at] = value
    let missing: number[] | undefined
    const count = present.reduce((n, p) => n + (p ? 1 : 0), 0)
    const nulls = cursor.at
    cursor.at += (count + 7) >> 3
    let bit = 0
    for (const [i, read] of this.reads.entries()) {
      const place = this.places[i]!
      if (!present[i]) {
        if (place >= 0) {
          missing ??= []
          missing.push(place)
        }
        continue
      }
      const isNull = (buffer[nulls + (bit >> 3)]! >> (bit & 7)) & 1
      bit++
      if (isNull) continue
      try {
        const value = read(buffer, cursor)
        if (place >= 0) row[place] = value
      } catch (error) {
        if (!(error instanceof RowError)) throw error
        throw new RowError(error.code, `column ${this.names[i]}: ${error.message}`, this.names[i], { hint: error.hint })
      }
    }
    return { row, missing }
  }
}

export function bitmap(buffer: Buffer, cursor: { at: number }, count: number): boolean[] {
  const begin = cursor.at
  cursor.at += (count + 7) >> 3
  return Array.from({ length: count }, (_, i) => ((buffer[begin + (i >> 3)]! >> (i & 7)) & 1) === 1)
}

/** Skips a value of a column that is not copied. */
function skipper(type: number, metadata: number): Read {
  const column = { name: '', native: type === CODE.blob ? 'longblob' : 'binary', type: { kind: 'binary' as const } }
  try {
    return reader(column as MysqlColumn, type, metadata, { zeroDates: 'null', tinyInt1: 'int' } as MysqlSettings)
  } catch {
    return () => {
      throw new FerryError('FERRY-3013', `the log holds a type that cannot be stepped over (${type})`)
    }
  }
}

function reader(column: MysqlColumn, type: number, metadata: number, settings: MysqlSettings): Read {
  const { native } = column
  const unsigned = /unsigned|zerofill/i.test(native)
  const isBool = column.type.kind === 'bool'
  switch (type) {
    case CODE.tiny:
      return asBool(isBool, (b, c) => (unsigned ? b[c.at++]! : b.readInt8(c.at++)))
    case CODE.short:
      return fixed(2, (b, at) => (unsigned ? b.readUInt16LE(at) : b.readInt16LE(at)))
    case CODE.int24:
      return fixed(3, (b, at) => (unsigned ? b.readUIntLE(at, 3) : b.readIntLE(at, 3)))
    case CODE.long:
      return fixed(4, (b, at) => (unsigned ? b.readUInt32LE(at) : b.readInt32LE(at)))
    case CODE.longlong:
      return fixed(8, (b, at) => compact(unsigned ? b.readBigUInt64LE(at) : b.readBigInt64LE(at)))
    case CODE.float:
      return fixed(4, (b, at) => b.readFloatLE(at))
    case CODE.double:
      return fixed(8, (b, at) => b.readDoubleLE(at))
    case CODE.year:
      return fixed(1, (b, at) => (b[at] === 0 ? 0 : 1900 + b[at]!))
    case CODE.newdecimal:
      return decimalReader(metadata >> 8, metadata & 0xff)
    case CODE.date:
      return fixed(3, (b, at) => {
        const packedDate = b.readUIntLE(at, 3)
        return dayOf(packedDate >> 9, (packedDate >> 5) & 15, packedDate & 31, settings)
      })
    case CODE.datetime2:
      return datetimeReader(metadata, column, settings)
    case CODE.timestamp2:
      return (b, c) => {
        const seconds = b.readUInt32BE(c.at)
        c.at += 4
        const micros = fraction(b, c, metadata)
        if (seconds === 0 && micros === 0) return zeroDate(settings)
        return instant(seconds, micros, column)
      }
    case CODE.time2:
      return timeReader(metadata)
    case CODE.bit: {
      const bits = (metadata >> 8) * 8 + (metadata & 0xff)
      const size = (bits + 7) >> 3
      return asBool(isBool, (b, c) => {
        c.at += size
        let value = 0n
        for (let i = c.at - size; i < c.at; i++) value = value * 256n + BigInt(b[i]!)
        return compact(value)
      })
    }
    case CODE.varchar:
      return textual(column, metadata > 255 ? 2 : 1)
    case CODE.blob:
      return textual(column, metadata)
    case CODE.geometry:
      return (b, c) => (sized(b, c, metadata) as Buffer).subarray(4)
    case CODE.json:
      return (b, c) => jsonText(sized(b, c, metadata), decimalAt)
    case CODE.string:
      return stringReader(column, metadata)
    default:
      throw new FerryError('FERRY-3012', `${column.name} (${native}) cannot be read from the log`, {
        hint: 'Leave the column out, or find changes by a column: incrementalColumn.',
      })
  }
}

const fixed =
  (size: number, read: (buffer: Buffer, at: number) => Value): Read =>
  (buffer, cursor) => {
    cursor.at += size
    return read(buffer, cursor.at - size)
  }

function asBool(isBool: boolean, read: Read): Read {
  if (!isBool) return read
  return (buffer, cursor) => {
    const value = read(buffer, cursor)
    if (value === 0 || value === 1) return value === 1
    throw new RowError('FERRY-4001', `${value} is not a bool`, undefined, {
      hint: 'Set tinyInt1: int of the connection, where tinyint(1) holds numbers.',
    })
  }
}

/** Bytes behind their length. */
function sized(buffer: Buffer, cursor: { at: number }, size: number): Buffer {
  const length = buffer.readUIntLE(cursor.at, size)
  const begin = cursor.at + size
  cursor.at = begin + length
  return Buffer.from(buffer.subarray(begin, begin + length))
}

function textual(column: MysqlColumn, size: number): Read {
  if (column.type.kind === 'binary') return (b, c) => sized(b, c, size)
  const decode = textDecoder(column)
  return (b, c) => {
    const length = b.readUIntLE(c.at, size)
    const begin = c.at + size
    c.at = begin + length
    return decode(b, begin, c.at)
  }
}

/**
 * The servers' character sets that a TextDecoder reads as the server does, each tried with all characters that it holds.
 * Others of the same names differ: of `big5`, `greek`, `sjis` and more the decoder's tables are not the server's.
 */
const CHARSETS: Record<string, string> = {
  latin1: 'windows-1252',
  latin2: 'iso-8859-2',
  cp1250: 'windows-1250',
  cp1251: 'windows-1251',
  cp1256: 'windows-1256',
  cp1257: 'windows-1257',
  gbk: 'gbk',
  ucs2: 'utf-16be',
  utf16: 'utf-16be',
  utf16le: 'utf-16le',
}

function textDecoder({ name, charset }: MysqlColumn): (buffer: Buffer, begin: number, end: number) => string {
  if (charset === undefined || /^(utf8|utf8mb3|utf8mb4|ascii)$/.test(charset)) {
    return (buffer, begin, end) => buffer.toString('utf8', begin, end)
  }
  const label = valueOf(CHARSETS, charset)
  if (label === undefined) {
    throw new FerryError('FERRY-3012', `${name}: texts in ${charset} cannot be read from the log`, {
      hint: 'Find changes by a column that grows (incrementalColumn), or let the column be in utf8mb4.',
    })
  }
  const decoder = new TextDecoder(label, { fatal: true, ignoreBOM: true })
  return (buffer, begin, end) => decoder.decode(buffer.subarray(begin, end))
}

/** A decimal outside a column. */
export const decimalAt = (buffer: Buffer, at: number, precision: number, scale: number): string =>
  decimalReader(precision, scale)(buffer, { at }) as string

function stringReader(column: MysqlColumn, metadata: number): Read {
  const kind = metadata >> 8
  if (kind === CODE.enum || kind === CODE.set) {
    const size = metadata & 0xff
    const labels = labelsOf(column.native)
    return fixed(size, (b, at) => {
      const value = size === 8 ? Number(b.readBigUInt64LE(at)) : b.readUIntLE(at, size)
      if (kind === CODE.enum) return value === 0 ? '' : labels[value - 1]!
      return labels.filter((_, i) => Math.floor(value / 2 ** i) % 2 === 1).join(',')
    })
  }
  const network = /^(uuid|inet6|inet4)\b/.exec(column.native)?.[1]
  // Trailing zeros are not stored, as for BINARY.
  if (network) {
    const width = metadata & 0xff
    const text = FIXED[network]!
    return (b, c) => text(Buffer.concat([sized(b, c, 1), Buffer.alloc(width)], width), column.native)
  }
  // Two bits of the length are stored, inverted, in the type.
  const most = (((metadata >> 4) & 0x300) ^ 0x300) + (metadata & 0xff)
  const read = textual(column, most > 255 ? 2 : 1)
  if (column.type.kind !== 'binary' || isGeometry(column.native)) return read
  const width = Number(/\((\d+)\)/.exec(column.native)?.[1] ?? 1)
  // Trailing zeros of a BINARY are not stored.
  return (b, c) => Buffer.concat([read(b, c) as Buffer, Buffer.alloc(width)], width)
}

/** The words of `enum('a','it''s')`. */
function labelsOf(native: string): string[] {
  return [...native.matchAll(/'((?:[^']|'')*)'/g)].map(match => match[1]!.replaceAll("''", "'"))
}

/** Bytes that so many decimal digits take. */
const DIGIT_BYTES = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4]

function decimalReader(precision: number, scale: number): Read {
  const whole = precision - scale
  const groups = [
    ...(whole % 9 > 0 ? [whole % 9] : []),
    ...Array.from({ length: Math.floor(whole / 9) }, () => 9),
    ...Array.from({ length: Math.floor(scale / 9) }, () => 9),
    ...(scale % 9 > 0 ? [scale % 9] : []),
  ]
  const size = groups.reduce((n, digits) => n + DIGIT_BYTES[digits]!, 0)
  return fixed(size, (buffer, at) => {
    const bytes = Buffer.from(buffer.subarray(at, at + size))
    const negative = (bytes[0]! & 0x80) === 0
    bytes[0]! ^= 0x80
    if (negative) for (let i = 0; i < size; i++) bytes[i]! ^= 0xff
    let digits = ''
    let place = 0
    for (const count of groups) {
      digits += String(bytes.readUIntBE(place, DIGIT_BYTES[count]!)).padStart(count, '0')
      place += DIGIT_BYTES[count]!
    }
    const integer = digits.slice(0, whole).replace(/^0+(?=\d)/, '') || '0'
    const text = scale > 0 ? `${integer}.${digits.slice(whole)}` : integer
    return negative && /[1-9]/.test(text) ? `-${text}` : text
  })
}

function zeroDate({ zeroDates }: MysqlSettings): null {
  if (zeroDates === 'null') return null
  throw new RowError('FERRY-4001', 'a date without month or day is none', undefined, {
    hint: 'Set zeroDates: null of the connection, so that dates without month or day become null.',
  })
}

function dayOf(year: number, month: number, day: number, settings: MysqlSettings): number | null {
  return month === 0 || day === 0 ? zeroDate(settings) : daysFromCivil(year, month, day)
}

/** Microseconds of a fraction with so many digits, stored in as few bytes as possible. */
function fraction(buffer: Buffer, cursor: { at: number }, digits: number): number {
  const size = (digits + 1) >> 1
  if (size === 0) return 0
  cursor.at += size
  return buffer.readUIntBE(cursor.at - size, size) * [1, 10_000, 100, 1][size]!
}

function instant(seconds: number, micros: number, { type }: MysqlColumn): Value {
  const isMillis = type.kind === 'timestamp' && type.unit === 'ms'
  return isMillis ? seconds * 1000 + Math.floor(micros / 1000) : compact(BigInt(seconds) * 1_000_000n + BigInt(micros))
}

function datetimeReader(digits: number, column: MysqlColumn, settings: MysqlSettings): Read {
  return (buffer, cursor) => {
    const bits = buffer.readUIntBE(cursor.at, 5) - 0x8000000000
    cursor.at += 5
    const micros = fraction(buffer, cursor, digits)
    const clock = bits % 2 ** 17
    const days = Math.floor(bits / 2 ** 17)
    const months = Math.floor(days / 32)
    const day = dayOf(Math.floor(months / 13), months % 13, days % 32, settings)
    if (day === null) return null
    const seconds = day * 86_400 + (clock >> 12) * 3600 + ((clock >> 6) & 63) * 60 + (clock & 63)
    return instant(seconds, micros, column)
  }
}

function timeReader(digits: number): Read {
  const size = 3 + ((digits + 1) >> 1)
  const scale = 2 ** (8 * (size - 3))
  return fixed(size, (buffer, at) => {
    // Negative times are the complement of the whole, fraction and all.
    const raw = buffer.readUIntBE(at, size) - 0x800000 * scale
    const value = Math.abs(raw)
    const clock = Math.floor(value / scale)
    const micros = (value % scale) * [1, 10_000, 100, 1][size - 3]!
    const seconds = (clock >> 12) * 3600 + ((clock >> 6) & 63) * 60 + (clock & 63)
    const total = seconds * 1_000_000 + micros
    return { months: 0, days: 0, micros: raw < 0 ? -total : total }
  })
}
