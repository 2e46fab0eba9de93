/**
 * PostgreSQL's binary COPY format: values by type, exact.
 *
 * Source: https://www.postgresql.org/docs/current/sql-copy.html (Binary Format) and the servers' send/recv functions.
 */
import { normalDecimal } from '../../batch/text.ts'
import { compact } from '../../batch/time.ts'
import type { Interval, LogicalType, Row, Value } from '../../batch/types.ts'
import { RowError } from '../../errors.ts'
import { bare, OIDS } from './types.ts'

const EPOCH_DAYS = 10957
const EPOCH_MICROS = 946_684_800_000_000
const INT64_MAX = 9223372036854775807n
const INT64_MIN = -9223372036854775808n

/** `PGCOPY\n\377\r\n\0`, flags, header extension length. */
export const HEADER = Buffer.from('5047434f50590aff0d0a000000000000000000', 'hex')
export const TRAILER = Buffer.from([0xff, 0xff])

const EMPTY = Buffer.alloc(0)

type Decode = (buffer: Buffer, at: number, length: number) => Value

function int64(buffer: Buffer, at: number): number | bigint {
  const high = buffer.readInt32BE(at)
  // Within 2^53 a double is exact and much cheaper than a bigint.
  if (high >= -2097152 && high < 2097152) return high * 4294967296 + buffer.readUInt32BE(at + 4)
  return compact(buffer.readBigInt64BE(at))
}

const DECODERS: Record<string, Decode> = {
  boolean: (b, at) => b[at] !== 0,
  smallint: (b, at) => b.readInt16BE(at),
  integer: (b, at) => b.readInt32BE(at),
  oid: (b, at) => b.readUInt32BE(at),
  bigint: int64,
  real: (b, at) => b.readFloatBE(at),
  'double precision': (b, at) => b.readDoubleBE(at),
  numeric: decodeNumeric,
  bytea: (b, at, n) => Buffer.from(b.subarray(at, at + n)),
  uuid: (b, at) => {
    const h = b.toString('hex', at, at + 16)
    return `${h.slice(0, 8)}-${h.slice(8, 12)}-${h.slice(12, 16)}-${h.slice(16, 20)}-${h.slice(20)}`
  },
  date: (b, at) => {
    const days = b.readInt32BE(at)
    return days === 2147483647 ? Infinity : days === -2147483648 ? -Infinity : days + EPOCH_DAYS
  },
  'time without time zone': (b, at) => Number(int64(b, at)),
  'timestamp without time zone': decodeTimestamp,
  'timestamp with time zone': decodeTimestamp,
  interval: (b, at) => {
    const micros = int64(b, at)
    const days = b.readInt32BE(at + 8)
    const months = b.readInt32BE(at + 12)
    if ((days === 2147483647 && months === 2147483647) || (days === -2147483648 && months === -2147483648)) {
      throw new RowError('FERRY-4001', 'an infinite interval has no counterpart elsewhere')
    }
    return { months, days, micros }
  },
  jsonb: (b, at, n) => b.toString('utf8', at + 1, at + n),
}

function decodeTimestamp(buffer: Buffer, at: number): Value {
  const value = int64(buffer, at)
  if (typeof value === 'number') {
    const moved = value + EPOCH_MICROS
    return Number.isSafeInteger(moved) ? moved : BigInt(value) + BigInt(EPOCH_MICROS)
  }
  if (value === INT64_MAX) return Infinity
  if (value === INT64_MIN) return -Infinity
  return compact(value + BigInt(EPOCH_MICROS))
}

function decodeNumeric(buffer: Buffer, at: number): string {
  const count = buffer.readInt16BE(at)
  const weight = buffer.readInt16BE(at + 2)
  const sign = buffer.readUInt16BE(at + 4)
  const scale = buffer.readUInt16BE(at + 6)
  if (sign === 0xc000) return 'NaN'
  if (sign === 0xd000) return 'Infinity'
  if (sign === 0xf000) return '-Infinity'
  const digit = (i: number) => (i >= 0 && i < count ? buffer.readInt16BE(at + 8 + i * 2) : 0)
  let whole = ''
  for (let i = 0; i <= weight; i++) whole += i === 0 ? digit(i) : String(digit(i)).padStart(4, '0')
  let text = (sign === 0x4000 ? '-' : '') + (whole === '' ? '0' : whole)
  if (scale > 0) {
    let part = ''
    for (let i = weight + 1; part.length < scale; i++) part += String(digit(i)).padStart(4, '0')
    text += `.${part.slice(0, scale)}`
  }
  return text
}

function decodeText(buffer: Buffer, at: number, length: number): string {
  return length < 64 ? shortText(buffer, at, length) : buffer.toString('utf8', at, at + length)
}

function shortText(buffer: Buffer, at: number, length: number): string {
  // latin1Slice of pure ASCII is several times cheaper than a UTF-8 decode.
  for (let i = at; i < at + length; i++) if (buffer[i]! > 127) return buffer.toString('utf8', at, at + length)
  return buffer.toString('latin1', at, at + length)
}

function decoder(native: string): Decode {
  const name = bare(native)
  if (name.endsWith('[]')) {
    const item = decoder(name.slice(0, -2))
    return (b, at) => decodeArray(b, at, item)
  }
  return DECODERS[name] ?? decodeText
}

function decodeArray(buffer: Buffer, at: number, item: Decode): Value[] {
  const dimensions = buffer.readInt32BE(at)
  if (dimensions === 0) return []
  if (dimensions > 1) throw new RowError('FERRY-4001', 'an array of more than one dimension is no list')
  if (buffer.readInt32BE(at + 16) !== 1)
    throw new RowError('FERRY-4001', 'an array that does not start at 1 is no list')
  const count = buffer.readInt32BE(at + 12)
  const items: Value[] = new Array(count)
  let from = at + 20
  for (let i = 0; i < count; i++) {
    const length = buffer.readInt32BE(from)
    from += 4
    if (length < 0) items[i] = null
    else {
      items[i] = item(buffer, from, length)
      from += length
    }
  }
  return items
}

/** Turns the bytes of a binary COPY into rows, in whatever pieces they arrive. It keeps no part of a piece. */
export class BinaryReader {
  private readonly decoders: Decode[]
  private readonly names: string[]
  private rest: Buffer = EMPTY
  private pieces: Buffer[] = []
  private missing = 0
  private started = false

  constructor(natives: string[], names: string[]) {
    this.decoders = natives.map(decoder)
    this.names = names
  }

  /** The rows that are complete with this chunk. */
  push(chunk: Buffer): Row[] {
    // A row of many megabytes arrives in many pieces: join them once, when the last is there.
    if (this.missing > chunk.length) {
      this.pieces.push(Buffer.from(chunk))
      this.missing -= chunk.length
      return []
    }
    const buffer =
      this.rest.length + this.pieces.length === 0 ? chunk : Buffer.concat([this.rest, ...this.pieces, chunk])
    this.pieces = []
    this.missing = 0
    const rows: Row[] = []
    let at = 0
    if (!this.started) {
      if (buffer.length < HEADER.length) {
        this.rest = Buffer.from(buffer)
        return rows
      }
      at = HEADER.length
      this.started = true
    }
    const { decoders } = this
    for (;;) {
      if (at + 2 > buffer.length) break
      if (buffer.readInt16BE(at) < 0) {
        at += 2
        break
      }
      const start = at
      at += 2
      const row: Row = new Array(decoders.length)
      let complete = true
      for (let i = 0; i < decoders.length; i++) {
        if (at + 4 > buffer.length) {
          complete = false
          break
        }
        const length = buffer.readInt32BE(at)
        at += 4
        if (length < 0) row[i] = null
        else {
          if (at + length > buffer.length) {
            this.missing = at + length - buffer.length
            complete = false
            break
          }
          row[i] = this.decode(i, buffer, at, length)
          at += length
        }
      }
      if (!complete) {
        at = start
        break
      }
      rows.push(row)
    }
    this.rest = at === buffer.length ? EMPTY : Buffer.from(buffer.subarray(at))
    return rows
  }

  private decode(i: number, buffer: Buffer, at: number, length: number): Value {
    try {
      return this.decoders[i]!(buffer, at, length)
    } catch (error) {
      if (!(error instanceof RowError)) throw error
      throw new RowError(error.code, `column ${this.names[i]}: ${error.message}`, this.names[i])
    }
  }
}

/** A buffer that grows, with the writes that the format needs. */
class Bytes {
  buffer = Buffer.allocUnsafe(1 << 17)
  at = 0

  ensure(more: number): void {
    if (this.at + more <= this.buffer.length) return
    const bigger = Buffer.allocUnsafe(Math.max(this.buffer.length * 2, this.at + more))
    this.buffer.copy(bigger, 0, 0, this.at)
    this.buffer = bigger
  }

  int16(value: number): void {
    this.ensure(2)
    this.at = this.buffer.writeInt16BE(value, this.at)
  }

  int32(value: number): void {
    this.ensure(4)
    const { buffer, at } = this
    buffer[at] = value >>> 24
    buffer[at + 1] = value >>> 16
    buffer[at + 2] = value >>> 8
    buffer[at + 3] = value
    this.at = at + 4
  }

  int64(value: number | bigint): void {
    if (typeof value === 'number' && Number.isSafeInteger(value)) {
      const high = Math.floor(value / 4294967296)
      this.int32(high)
      this.int32(value - high * 4294967296)
    } else {
      this.ensure(8)
      this.at = this.buffer.writeBigInt64BE(BigInt(value), this.at)
    }
  }

  /** The bytes so far; the next ones go into a new buffer, since these are on their way to a socket. */
  take(): Buffer {
    const taken = this.buffer.subarray(0, this.at)
    this.buffer = Buffer.allocUnsafe(Math.min(1 << 20, Math.max(1 << 17, this.at + (this.at >> 2))))
    this.at = 0
    return taken
  }
}

type Encode = (out: Bytes, value: Exclude<Value, null>) => void

const ENCODERS: Record<string, Encode> = {
  boolean: (out, v) => {
    out.int32(1)
    out.ensure(1)
    out.buffer[out.at++] = v ? 1 : 0
  },
  smallint: (out, v) => {
    out.int32(2)
    out.int16(v as number)
  },
  integer: (out, v) => {
    out.int32(4)
    out.int32(v as number)
  },
  oid: (out, v) => {
    out.int32(4)
    out.int32((v as number) | 0)
  },
  bigint: (out, v) => {
    out.int32(8)
    out.int64(v as number | bigint)
  },
  real: (out, v) => {
    out.int32(4)
    out.ensure(4)
    out.at = out.buffer.writeFloatBE(v as number, out.at)
  },
  'double precision': (out, v) => {
    out.int32(8)
    out.ensure(8)
    out.at = out.buffer.writeDoubleBE(v as number, out.at)
  },
  numeric: (out, v) => encodeNumeric(out, String(v)),
  bytea: (out, v) => {
    const bytes = v as Uint8Array
    out.int32(bytes.length)
    out.ensure(bytes.length)
    out.buffer.set(bytes, out.at)
    out.at += bytes.length
  },
  uuid: (out, v) => {
    out.int32(16)
    out.ensure(16)
    out.buffer.write((v as string).replaceAll('-', ''), out.at, 'hex')
    out.at += 16
  },
  date: (out, v) => {
    out.int32(4)
    const days = v as number
    if (Number.isFinite(days)) {
      // PostgreSQL's dates run from 4714-11-24 BC to 5874897-12-31.
      if (days < -2440588 || days > 2145031948) throw new RowError('FERRY-4001', 'the date is outside PostgreSQL dates')
      out.int32(days - EPOCH_DAYS)
    } else out.int32(days > 0 ? 2147483647 : -2147483648)
  },
  'time without time zone': (out, v) => {
    out.int32(8)
    out.int64(v as number)
  },
  'timestamp without time zone': encodeTimestamp,
  'timestamp with time zone': encodeTimestamp,
  interval: (out, v) => {
    const { months, days, micros } = v as Interval
    out.int32(16)
    out.int64(micros)
    out.int32(days)
    out.int32(months)
  },
  json: encodeText,
  jsonb: (out, v) => {
    const start = out.at
    encodeText(out, v)
    out.ensure(1)
    out.buffer.copyWithin(start + 5, start + 4, out.at)
    out.buffer[start + 4] = 1
    out.at++
    out.buffer.writeInt32BE(out.at - start - 4, start)
  },
}

function encodeTimestamp(out: Bytes, v: Exclude<Value, null>): void {
  out.int32(8)
  if (v === Infinity) out.int64(INT64_MAX)
  else if (v === -Infinity) out.int64(INT64_MIN)
  else {
    const moved = typeof v === 'number' ? v - EPOCH_MICROS : (v as bigint) - BigInt(EPOCH_MICROS)
    const exact =
      typeof moved === 'number' && !Number.isSafeInteger(moved) ? BigInt(v as number) - BigInt(EPOCH_MICROS) : moved
    // 4714-11-24 BC to 294276 AD.
    if (exact < -211813488000000000n || exact > 9223371331199999999n) {
      throw new RowError('FERRY-4001', 'the timestamp is outside PostgreSQL timestamps')
    }
    out.int64(exact)
  }
}

function encodeText(out: Bytes, v: Exclude<Value, null>): void {
  const text = v as string
  const length = text.length
  if (length < 48) {
    out.ensure(4 + length)
    const { buffer } = out
    const start = out.at + 4
    let i = 0
    for (; i < length; i++) {
      const c = text.charCodeAt(i)
      if (c === 0 || c > 127) break
      buffer[start + i] = c
    }
    if (i === length) {
      out.int32(length)
      out.at += length
      return
    }
  }
  if (text.includes('\0')) throw new RowError('FERRY-4001', 'PostgreSQL text cannot hold a NUL character')
  if (!text.isWellFormed()) throw new RowError('FERRY-4001', 'the text has half a surrogate pair')
  const size = Buffer.byteLength(text)
  out.int32(size)
  out.ensure(size)
  out.at += out.buffer.write(text, out.at, 'utf8')
}

function encodeNumeric(out: Bytes, text: string): void {
  const start = out.at
  out.ensure(12)
  if (text === 'NaN' || text === 'Infinity' || text === '-Infinity') {
    out.int32(8)
    out.int32(0)
    out.int16((text === 'NaN' ? 0xc000 : text === 'Infinity' ? 0xd000 : 0xf000) - 0x10000)
    out.int16(0)
    return
  }
  const plain = /e/i.test(text) ? normalDecimal(text)! : text
  const negative = plain.charCodeAt(0) === 45
  const point = plain.indexOf('.')
  const whole = plain.slice(negative ? 1 : 0, point < 0 ? undefined : point)
  const part = point < 0 ? '' : plain.slice(point + 1)
  out.at += 12
  let count = 0
  let weight = Math.ceil(whole.length / 4) - 1
  const push = (digit: number) => {
    // Leading zero groups are not stored: they lower the weight instead.
    if (count === 0 && digit === 0) weight--
    else {
      out.int16(digit)
      count++
    }
  }
  const lead = whole.length % 4
  if (lead > 0) push(Number(whole.slice(0, lead)))
  for (let i = lead; i < whole.length; i += 4) push(Number(whole.slice(i, i + 4)))
  for (let i = 0; i < part.length; i += 4) push(Number(part.slice(i, i + 4).padEnd(4, '0')))
  while (count > 0 && out.buffer.readInt16BE(out.at - 2) === 0) {
    out.at -= 2
    count--
  }
  const { buffer } = out
  buffer.writeInt32BE(8 + count * 2, start)
  buffer.writeInt16BE(count, start + 4)
  buffer.writeInt16BE(count === 0 ? 0 : weight, start + 6)
  buffer.writeUInt16BE(negative && count > 0 ? 0x4000 : 0, start + 8)
  buffer.writeUInt16BE(part.length, start + 10)
}

function encoder(native: string): Encode {
  const name = bare(native)
  if (!name.endsWith('[]')) return ENCODERS[name] ?? encodeText
  const item = encoder(name.slice(0, -2))
  const oid = OIDS[name.slice(0, -2)]!
  return (out, value) => {
    const items = value as Value[]
    const start = out.at
    out.int32(0)
    out.int32(items.length === 0 ? 0 : 1)
    out.int32(items.includes(null) ? 1 : 0)
    out.int32(oid)
    if (items.length > 0) {
      out.int32(items.length)
      out.int32(1)
    }
    for (const v of items) {
      if (v === null) out.int32(-1)
      else item(out, v)
    }
    out.buffer.writeInt32BE(out.at - start - 4, start)
  }
}

/** Turns rows into the bytes of a binary COPY. */
export class BinaryWriter {
  readonly header = HEADER
  readonly trailer = TRAILER
  private readonly out = new Bytes()
  private readonly encoders: Encode[]
  private readonly names: string[]

  constructor(columns: { name: string; native: string; type: LogicalType }[]) {
    this.encoders = columns.map(c => encoder(c.native))
    this.names = columns.map(c => c.name)
  }

  get size(): number {
    return this.out.at
  }

  /** Appends a row; on a RowError (naming the column) the bytes are as they were before. */
  row(row: Row): void {
    const { out, encoders } = this
    const start = out.at
    out.int16(encoders.length)
    let i = 0
    try {
      for (; i < encoders.length; i++) {
        const value = row[i]!
        if (value === null) out.int32(-1)
        else encoders[i]!(out, value)
      }
    } catch (error) {
      out.at = start
      if (!(error instanceof RowError)) throw error
      throw new RowError(error.code, `column ${this.names[i]}: ${error.message}`, this.names[i])
    }
  }

  take(): Buffer {
    return this.out.take()
  }
}
