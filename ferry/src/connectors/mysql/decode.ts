/** Texts of the server as values of logical types. */
import { quoteShort } from '../../batch/quote.ts'
import { parseText } from '../../batch/text.ts'
import { compact, daysFromCivil } from '../../batch/time.ts'
import { type LogicalType, type Row, typeName, type Value } from '../../batch/types.ts'
import { RowError } from '../../errors.ts'
import { type RowPacket, valueLength } from './packets.ts'

/** A value from the bytes of its text. */
export type Decoder = (buffer: Buffer, start: number, end: number) => Value

export function decoderOf(type: LogicalType, options: { zeroDates: 'refuse' | 'null' }): Decoder {
  switch (type.kind) {
    case 'int':
      return integer
    case 'bool':
      return (buffer, start, end) => {
        if (end === start + 1 && (buffer[start] === 48 || buffer[start] === 49)) return buffer[start] === 49
        throw refused(buffer, start, end, type)
      }
    case 'float': {
      const { bits } = type
      return (buffer, start, end) => {
        const value = Number(buffer.toString('latin1', start, end))
        return bits === 32 ? Math.fround(value) : value
      }
    }
    case 'decimal':
      return (buffer, start, end) => {
        const text = buffer.toString('latin1', start, end)
        return /^-0(\.0*)?$/.test(text) ? text.slice(1) : text
      }
    case 'binary':
      return (buffer, start, end) => Buffer.from(buffer.subarray(start, end))
    case 'date':
      return (buffer, start, end) => dateAt(buffer, start, end, type, options)
    case 'timestamp': {
      const scale = type.unit === 'ms' ? 1000 : 1_000_000
      const digits = type.unit === 'ms' ? 3 : 6
      return (buffer, start, end) => {
        const days = dateAt(buffer, start, end, type, options)
        if (days === null) return null
        const clock = clockAt(buffer, start + 11, end, digits)
        return Number.isSafeInteger(days * 86_400 * scale + clock)
          ? days * 86_400 * scale + clock
          : compact(BigInt(days) * BigInt(86_400 * scale) + BigInt(clock))
      }
    }
    case 'interval':
      return (buffer, start, end) => {
        const negative = buffer[start] === 45
        const at = negative ? start + 1 : start
        const colon = buffer.indexOf(58, at)
        const hours = Number(buffer.toString('latin1', at, colon))
        // The hours may be three digits: minutes and seconds follow behind the first colon.
        const micros =
          hours * 3_600_000_000 + two(buffer, colon + 1) * 60_000_000 + secondsAt(buffer, colon + 4, end, 6)
        return { months: 0, days: 0, micros: negative && micros !== 0 ? -micros : micros }
      }
    case 'utf8':
    case 'json':
    case 'uuid':
      return text
    default:
      return (buffer, start, end) => parseText(buffer.toString('utf8', start, end), type)
  }
}

const text: Decoder = (buffer, start, end) => buffer.toString('utf8', start, end)

const integer: Decoder = (buffer, start, end) => {
  if (end - start > 15) return compact(BigInt(buffer.toString('latin1', start, end)))
  const negative = buffer[start] === 45
  let value = 0
  for (let i = negative ? start + 1 : start; i < end; i++) value = value * 10 + buffer[i]! - 48
  return negative && value !== 0 ? -value : value
}

const two = (buffer: Buffer, at: number) => (buffer[at]! - 48) * 10 + buffer[at + 1]! - 48

/** Days since 1970 of `YYYY-MM-DD`; null of a date that is none, where those are to be null. */
function dateAt(
  buffer: Buffer,
  start: number,
  end: number,
  type: LogicalType,
  { zeroDates }: { zeroDates: 'refuse' | 'null' },
): number | null {
  const year = two(buffer, start) * 100 + two(buffer, start + 2)
  const month = two(buffer, start + 5)
  const day = two(buffer, start + 8)
  if (month === 0 || day === 0) {
    if (zeroDates === 'null') return null
    throw new RowError(
      'FERRY-4001',
      `${quoteShort(buffer.toString('latin1', start, end))} is not of type ${typeName(type)}`,
      undefined,
      {
        hint: 'Set zeroDates: null of the connection, so that dates without month or day become null.',
      },
    )
  }
  return daysFromCivil(year, month, day)
}

/** Units since midnight of `HH:MM:SS[.fraction]`. */
function clockAt(buffer: Buffer, at: number, end: number, digits: number): number {
  const unit = digits === 3 ? 1000 : 1_000_000
  return (two(buffer, at) * 3600 + two(buffer, at + 3) * 60) * unit + secondsAt(buffer, at + 6, end, digits)
}

function secondsAt(buffer: Buffer, at: number, end: number, digits: number): number {
  let value = two(buffer, at)
  let i = at + 3
  for (let n = 0; n < digits; n++) value = value * 10 + (i < end ? buffer[i++]! - 48 : 0)
  return value
}

function refused(buffer: Buffer, start: number, end: number, type: LogicalType): RowError {
  return new RowError(
    'FERRY-4001',
    `${quoteShort(buffer.toString('utf8', start, end))} is not of type ${typeName(type)}`,
    undefined,
    {
      ...(type.kind === 'bool' ? { hint: 'Set tinyInt1: int of the connection, where tinyint(1) holds numbers.' } : {}),
    },
  )
}

/** Rows from packets. */
export class RowDecoder {
  private readonly decoders: Decoder[]
  private readonly names: string[]
  private readonly cursor = { at: 0 }

  constructor(columns: { name: string; type: LogicalType }[], options: { zeroDates: 'refuse' | 'null' }) {
    this.decoders = columns.map(c => decoderOf(c.type, options))
    this.names = columns.map(c => c.name)
  }

  row({ buffer, offset }: RowPacket): Row {
    const { decoders, cursor } = this
    const row: Row = new Array(decoders.length)
    cursor.at = offset
    for (let i = 0; i < decoders.length; i++) {
      const length = valueLength(buffer, cursor)
      if (length < 0) {
        row[i] = null
        continue
      }
      const start = cursor.at
      cursor.at = start + length
      try {
        row[i] = decoders[i]!(buffer, start, cursor.at)
      } catch (error) {
        throw this.named(error, i)
      }
    }
    return row
  }

  /** The row's texts, for the account of one that cannot be read. */
  texts({ buffer, offset }: RowPacket): Record<string, string | null> {
    const cursor = { at: offset }
    const entries = this.names.map((name): [string, string | null] => {
      const length = valueLength(buffer, cursor)
      const start = cursor.at
      cursor.at += Math.max(0, length)
      return [name, length < 0 ? null : buffer.toString('utf8', start, cursor.at)]
    })
    return Object.fromEntries(entries)
  }

  private named(error: unknown, at: number): unknown {
    if (!(error instanceof RowError)) return error
    return new RowError(error.code, error.message, this.names[at], { hint: error.hint })
  }
}
