/**
 * MySQL's binary form of JSON, as its log holds it, into the text that the server itself would give.
 *
 * Source: https://dev.mysql.com/doc/dev/mysql-server/latest/json__binary_8h.html
 */
import { FerryError } from '../../errors.ts'

const TYPE = {
  smallObject: 0,
  largeObject: 1,
  smallArray: 2,
  largeArray: 3,
  literal: 4,
  int16: 5,
  uint16: 6,
  int32: 7,
  uint32: 8,
  int64: 9,
  uint64: 10,
  double: 11,
  string: 12,
  opaque: 15,
} as const

/** Column types of opaque values. */
const OPAQUE = { timestamp: 7, date: 10, time: 11, datetime: 12, decimal: 246 } as const

const LITERALS = ['null', 'true', 'false']

/** The decimal in a column's form at `at`, of so many digits, `scale` of them behind the point. */
export type ReadDecimal = (buffer: Buffer, at: number, precision: number, scale: number) => string

/** The text of a document; of no bytes at all it is `null`. */
export function jsonText(buffer: Buffer, decimal: ReadDecimal): string {
  return buffer.length === 0 ? 'null' : new Reader(buffer, decimal).value(buffer[0]!, 1)
}

class Reader {
  private readonly buffer: Buffer
  private readonly decimal: ReadDecimal

  constructor(buffer: Buffer, decimal: ReadDecimal) {
    this.buffer = buffer
    this.decimal = decimal
  }

  value(type: number, at: number): string {
    const { buffer } = this
    switch (type) {
      case TYPE.smallObject:
      case TYPE.largeObject:
      case TYPE.smallArray:
      case TYPE.largeArray:
        return this.container(type, at)
      case TYPE.literal:
        return LITERALS[buffer[at]!] ?? this.refuse(`literal ${buffer[at]}`)
      case TYPE.int16:
        return String(buffer.readInt16LE(at))
      case TYPE.uint16:
        return String(buffer.readUInt16LE(at))
      case TYPE.int32:
        return String(buffer.readInt32LE(at))
      case TYPE.uint32:
        return String(buffer.readUInt32LE(at))
      case TYPE.int64:
        return String(buffer.readBigInt64LE(at))
      case TYPE.uint64:
        return String(buffer.readBigUInt64LE(at))
      case TYPE.double:
        return doubleText(buffer.readDoubleLE(at))
      case TYPE.string: {
        const { begin, end } = this.counted(at)
        return JSON.stringify(buffer.toString('utf8', begin, end))
      }
      case TYPE.opaque:
        return this.opaque(at)
      default:
        return this.refuse(`type ${type}`)
    }
  }

  /** Offsets in it count from its own first byte. */
  private container(type: number, start: number): string {
    const { buffer } = this
    const isLarge = type === TYPE.largeObject || type === TYPE.largeArray
    const isObject = type === TYPE.smallObject || type === TYPE.largeObject
    const size = isLarge ? 4 : 2
    const number = (at: number) => buffer.readUIntLE(at, size)
    const count = number(start)
    const keys = start + 2 * size
    const values = keys + (isObject ? count * (size + 2) : 0)
    const parts: string[] = []
    for (let i = 0; i < count; i++) {
      const entry = values + i * (size + 1)
      const kind = buffer[entry]!
      const text = this.value(kind, isInline(kind, isLarge) ? entry + 1 : start + number(entry + 1))
      if (!isObject) {
        parts.push(text)
        continue
      }
      const key = keys + i * (size + 2)
      const name = start + number(key)
      const end = name + buffer.readUInt16LE(key + size)
      parts.push(`${JSON.stringify(buffer.toString('utf8', name, end))}: ${text}`)
    }
    return isObject ? `{${parts.join(', ')}}` : `[${parts.join(', ')}]`
  }

  /** Bytes behind a length of seven bits a byte, the lowest first. */
  private counted(at: number): { begin: number; end: number } {
    let length = 0
    for (let i = 0; ; i++) {
      const byte = this.buffer[at + i]!
      length += (byte & 0x7f) * 2 ** (7 * i)
      if (byte < 0x80) return { begin: at + i + 1, end: at + i + 1 + length }
    }
  }

  private opaque(at: number): string {
    const { buffer } = this
    const type = buffer[at]!
    const { begin, end } = this.counted(at + 1)
    switch (type) {
      case OPAQUE.decimal:
        return this.decimal(buffer, begin + 2, buffer[begin]!, buffer[begin + 1]!)
      case OPAQUE.date:
        return `"${dateText(buffer.readBigInt64LE(begin))}"`
      case OPAQUE.datetime:
      case OPAQUE.timestamp: {
        const packed = buffer.readBigInt64LE(begin)
        return `"${dateText(packed)} ${timeText(packed, 5)}"`
      }
      case OPAQUE.time: {
        const packed = buffer.readBigInt64LE(begin)
        return packed < 0n ? `"-${timeText(-packed, 10)}"` : `"${timeText(packed, 10)}"`
      }
      default: {
        const lines = buffer.toString('base64', begin, end).match(/.{1,76}/g) ?? []
        return JSON.stringify(`base64:type${type}:${lines.join('\n')}`)
      }
    }
  }

  private refuse(what: string): never {
    throw new FerryError('FERRY-4002', `a JSON document in the log holds ${what}, which is not known`)
  }
}

function isInline(type: number, isLarge: boolean): boolean {
  if (type === TYPE.literal || type === TYPE.int16 || type === TYPE.uint16) return true
  return isLarge && (type === TYPE.int32 || type === TYPE.uint32)
}

const two = (value: number) => String(value).padStart(2, '0')

/** The day in the upper 40 bits: 17 bits of time below year, month and day. */
function dateText(packed: bigint): string {
  const days = Number(packed >> 41n)
  const months = days >> 5
  return `${String(Math.floor(months / 13)).padStart(4, '0')}-${two(months % 13)}-${two(days & 31)}`
}

/** Hours, minutes and seconds above 24 bits of microseconds; the hours of a day take 5 bits, those of a duration 10. */
function timeText(packed: bigint, hourBits: number): string {
  const time = Number((packed >> 24n) % (1n << BigInt(12 + hourBits)))
  const micros = String(packed % (1n << 24n)).padStart(6, '0')
  return `${two(time >> 12)}:${two((time >> 6) & 63)}:${two(time & 63)}.${micros}`
}

/** Digits as the server prints them: an exponent beyond 15 places, and a point in every other number. */
function doubleText(value: number): string {
  const [digits, power] = value.toExponential().split('e') as [string, string]
  const exponent = Number(power)
  if (exponent + 1 > 15 || exponent + 1 < -14) return `${digits}e${exponent}`
  const text = Object.is(value, -0) ? '-0' : plain(value)
  return text.includes('.') ? text : `${text}.0`
}

/** Without an exponent, however small. */
function plain(value: number): string {
  const text = String(value)
  const found = /^(-?)(\d)(?:\.(\d+))?e-(\d+)$/.exec(text)
  if (!found) return text
  const [, sign, first, rest = '', zeros] = found
  return `${sign}0.${'0'.repeat(Number(zeros) - 1)}${first}${rest}`
}
