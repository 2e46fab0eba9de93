/** Rows of packets as CSV: the bytes of each value are copied once, and no text is decoded. */
import { type RowPacket, valueLength } from './packets.ts'

/** A buffer is handed over when so much is in it. */
const FULL = 1 << 17

const COMMA = 44
const QUOTE = 34
const NEWLINE = 10

export class CsvPackets {
  rows = 0
  private readonly quoted: boolean[]
  private readonly free: Buffer[] = []
  private out: Buffer = Buffer.allocUnsafe(FULL * 2)
  private at = 0
  private readonly cursor = { at: 0 }

  /** `quoted`: the columns that are texts, which may contain anything. */
  constructor(quoted: boolean[]) {
    this.quoted = quoted
  }

  /** A buffer that was written out. */
  recycle(buffer: Buffer): void {
    if (this.free.length < 8) this.free.push(Buffer.from(buffer.buffer, buffer.byteOffset, buffer.buffer.byteLength))
  }

  /** Adds a row; gives back what is to be handed over. */
  take({ buffer, offset, end }: RowPacket): Buffer | undefined {
    const { quoted, cursor } = this
    // Of each byte no more than two come, and no more than three of each column.
    this.reserve(2 * (end - offset) + 3 * quoted.length)
    const { out } = this
    let { at } = this
    cursor.at = offset
    for (let i = 0; i < quoted.length; i++) {
      if (i > 0) out[at++] = COMMA
      const length = valueLength(buffer, cursor)
      if (length < 0) continue
      const start = cursor.at
      const stop = start + length
      cursor.at = stop
      if (quoted[i]) {
        out[at++] = QUOTE
        if (length <= 32 || buffer.subarray(start, stop).includes(QUOTE)) {
          for (let j = start; j < stop; j++) {
            const byte = buffer[j]!
            if (byte === QUOTE) out[at++] = QUOTE
            out[at++] = byte
          }
        } else at += buffer.copy(out, at, start, stop)
        out[at++] = QUOTE
      } else if (length > 32) at += buffer.copy(out, at, start, stop)
      else for (let j = start; j < stop; j++) out[at++] = buffer[j]!
    }
    out[at++] = NEWLINE
    this.at = at
    this.rows++
    return at > FULL ? this.rest() : undefined
  }

  /** What is left. */
  rest(): Buffer | undefined {
    if (this.at === 0) return undefined
    const full = this.out.subarray(0, this.at)
    this.out = this.free.pop() ?? Buffer.allocUnsafe(FULL * 2)
    this.at = 0
    return full
  }

  private reserve(bytes: number): void {
    if (this.out.length - this.at >= bytes) return
    const larger = Buffer.allocUnsafe(Math.max(FULL * 2, this.at + bytes))
    this.out.copy(larger, 0, 0, this.at)
    this.out = larger
  }
}
