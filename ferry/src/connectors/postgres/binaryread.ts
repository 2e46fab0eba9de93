/**
 * PostgreSQL's binary COPY format, reading: values by type, exact.
 *
 * Source: https://www.postgresql.org/docs/current/sql-copy.html (Binary Format) and the servers' send functions.
 */

import { compact } from '../../batch/time.ts'
import type { Row, Value } from '../../batch/types.ts'
import { valueOf } from '../../batch/valueof.ts'
import { placed, RowError } from '../../errors.ts'
import { EPOCH_DAYS, EPOCH_MICROS, HEADER, INT64_MAX, INT64_MIN } from './binary.ts'
import { bare } from './types.ts'

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
  return valueOf(DECODERS, name) ?? decodeText
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

/** Mutex the bytes of a binary COPY into rows, in whatever pieces they arrive. It keeps no part of a piece. */
export class BinaryReader {
  private readonly decoders: Decode[]
  private readonly names: string[]
  private readonly placeOf: (row: Row) => string
  private rest: Buffer = EMPTY
  private pieces: Buffer[] = []
  private missing = 0
  private started = false

  /** `placeOf` names a row for messages, as far as it is read. */
  constructor(natives: string[], names: string[], placeOf: (row: Row) => string) {
    this.decoders = natives.map(decoder)
    this.names = names
    this.placeOf = placeOf
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
          row[i] = this.decode(i, row, buffer, at, length)
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

  private decode(i: number, row: Row, buffer: Buffer, at: number, length: number): Value {
    try {
      return this.decoders[i]!(buffer, at, length)
    } catch (error) {
      if (!(error instanceof RowError)) throw error
      const message = `${this.placeOf(row)}: column ${this.names[i]}: ${error.message}`
      throw placed(new RowError(error.code, message, this.names[i], { hint: error.hint }))
    }
  }
}
