/**
 * PostgreSQL's binary COPY format, writing: values by type, exact.
 *
 * Source: https://www.postgresql.org/docs/current/sql-copy.html (Binary Format) and the servers' recv functions.
 */

import { normalDecimal } from '../../batch/text.ts'
import type { Interval, LogicalType, Row, Value } from '../../batch/types.ts'
import { valueOf } from '../../batch/valueof.ts'
import { RowError } from '../../errors.ts'
import { EPOCH_DAYS, EPOCH_MICROS, HEADER, INT64_MAX, INT64_MIN, TRAILER } from './binary.ts'
import { MESSAGE_HEADER, sealMessage } from './messages.ts'
import { bare, OIDS } from './types.ts'

/** A buffer that grows, with the writes that the format needs. */
class Bytes {
  buffer = Buffer.allocUnsafe(1 << 17)
  /** Where the next byte goes; what is before the first is for the message that carries the bytes. */
  at = MESSAGE_HEADER

  ensure(more: number): void {
    if (this.at + more <= this.buffer.length) return
    const bigger = Buffer.allocUnsafe(Math.max(this.buffer.length * 2, this.at + more))
    this.buffer.copy(bigger, 0, 0, this.at)
    this.buffer = bigger
  }

  int16(value: number): void {
    this.ensure(2)
    const { buffer, at } = this
    buffer[at] = value >>> 8
    buffer[at + 1] = value
    this.at = at + 2
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

  /** The bytes so far as a message; the next ones go into a new buffer, since these are being sent. */
  take(): Buffer {
    const taken = this.buffer.subarray(0, this.at)
    sealMessage(taken)
    this.buffer = Buffer.allocUnsafe(Math.min(1 << 20, Math.max(1 << 17, this.at + (this.at >> 2))))
    this.at = MESSAGE_HEADER
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
  const { length } = plain
  const negative = plain.charCodeAt(0) === 45
  const first = negative ? 1 : 0
  let point = plain.indexOf('.')
  if (point < 0) point = length
  out.at += 12
  let count = 0
  let weight = Math.ceil((point - first) / 4) - 1
  const push = (digit: number) => {
    // Leading zero groups are not stored: they lower the weight instead.
    if (count === 0 && digit === 0) weight--
    else {
      out.int16(digit)
      count++
    }
  }
  // Groups of four digits, counted from the point to both sides.
  let group = 0
  for (let i = first; i < point; i++) {
    group = group * 10 + plain.charCodeAt(i) - 48
    if ((point - i - 1) % 4 === 0) {
      push(group)
      group = 0
    }
  }
  const scale = Math.max(0, length - point - 1)
  const padded = Math.ceil(scale / 4) * 4
  for (let i = 0; i < padded; i++) {
    group = group * 10 + (i < scale ? plain.charCodeAt(point + 1 + i) - 48 : 0)
    if (i % 4 === 3) {
      push(group)
      group = 0
    }
  }
  while (count > 0 && out.buffer.readInt16BE(out.at - 2) === 0) {
    out.at -= 2
    count--
  }
  const { buffer } = out
  buffer.writeInt32BE(8 + count * 2, start)
  buffer.writeInt16BE(count, start + 4)
  buffer.writeInt16BE(count === 0 ? 0 : weight, start + 6)
  buffer.writeUInt16BE(negative && count > 0 ? 0x4000 : 0, start + 8)
  buffer.writeUInt16BE(scale, start + 10)
}

function encoder(native: string): Encode {
  const name = bare(native)
  if (!name.endsWith('[]')) return valueOf(ENCODERS, name) ?? encodeText
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

/** Mutex rows into the messages of a binary COPY. */
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
    return this.out.at - MESSAGE_HEADER
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
