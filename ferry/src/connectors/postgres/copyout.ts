/**
 * COPY ... TO STDOUT as large chunks. The server sends one message a row; taking each as a chunk of its own costs more
 * than everything else in a copy, so messages are stripped in place within what the socket gave, or left as they are
 * for another server.
 *
 * Source: https://www.postgresql.org/docs/current/protocol-message-formats.html (CopyOutResponse, CopyData, CopyDone).
 */
import { Readable } from 'node:stream'
import type pg from 'pg'
import { COPY_DATA, MESSAGE_HEADER, messageHeader } from './messages.ts'
import { ReadSocket } from './socket.ts'

const COPY_DONE = 0x63
const COPY_OUT_RESPONSE = 0x48
const CHUNK_BYTES = 1 << 17
const BUFFER_BYTES = CHUNK_BYTES + (1 << 16)

/** Chunks besides the one that is being filled: one waits, one is being written. */
const MOST_SPARE = 2

/** Buffers beyond the usual size are multiples of this. */
const WIDE_STEP = 1 << 20

type DataListener = (chunk: Buffer) => void

interface Connection {
  stream: NodeJS.ReadableStream & { pause(): void; resume(): void }
  query(text: string): void
}

/** A statement that `pg.Client.query` runs: read it as a stream of the copied bytes, whole rows in each chunk. */
export class CopyOut extends Readable {
  /** How many rows were copied; known at the end. */
  rowCount = 0
  private readonly text: string
  private connection: Connection | undefined
  private clientListeners: DataListener[] = []
  private readonly framed: boolean
  /** Rows up to `rows`, then messages that are not looked at yet from `at` to `end`. */
  private buffer: Buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES)
  private rows = 0
  private at = 0
  private end = 0
  private readonly spare: Buffer[] = []

  constructor(text: string, framed: boolean) {
    // Chunks are handed over as they are: a byte stream would join those that wait.
    super({ objectMode: true, highWaterMark: 1 })
    this.text = text
    this.framed = framed
    // The reader gets the error from the stream; if it has gone, a lost connection must not end the process.
    this.on('error', () => {})
  }

  /** Called by the client when it is this statement's turn. */
  submit(connection: Connection): void {
    this.connection = connection
    const { stream } = connection
    if (stream instanceof ReadSocket) stream.takeBytes = this.onData
    else {
      this.clientListeners = stream.listeners('data') as DataListener[]
      stream.removeAllListeners('data')
      stream.on('data', this.onData)
    }
    connection.query(this.text)
  }

  override _read(): void {
    this.connection?.stream.resume()
  }

  private readonly onData = (arrived: Buffer): void => {
    if (this.end + arrived.length > this.buffer.length) this.makeRoom(arrived.length)
    this.buffer.set(arrived, this.end)
    this.end += arrived.length
    const { buffer, end } = this
    const skipped = this.framed ? 0 : MESSAGE_HEADER
    let { at, rows } = this
    while (at + MESSAGE_HEADER <= end) {
      const type = buffer[at]
      if (type !== COPY_DATA && type !== COPY_OUT_RESPONSE && type !== COPY_DONE) {
        // Anything else (an error, the end of the statement, a notice) is the client's to read.
        this.rows = rows
        this.giveBack(Buffer.from(buffer.subarray(at, end)))
        return
      }
      const next = at + 1 + buffer.readInt32BE(at + 1)
      if (next > end) break
      if (type === COPY_DATA) {
        const from = at + skipped
        if (from !== rows) buffer.copyWithin(rows, from, next)
        rows += next - from
      }
      at = next
    }
    this.at = at
    this.rows = rows
    // The server sends 8 kB at a time: many of them make a chunk.
    if (rows >= CHUNK_BYTES && !this.flush(0)) this.connection!.stream.pause()
  }

  /** Room for so many bytes more: whole rows are pushed; a row longer than the buffer gets a larger one. */
  private makeRoom(bytes: number): void {
    const message = this.end - this.at >= MESSAGE_HEADER ? this.buffer.readInt32BE(this.at + 1) + 1 : 0
    if (!this.flush(Math.max(message, this.end - this.at) + bytes)) this.connection!.stream.pause()
  }

  /** Takes back a chunk that its reader is done with, to read into it again. */
  recycle(chunk: Buffer): void {
    // A small one may be part of memory that Node shares between buffers.
    if (chunk.buffer.byteLength >= BUFFER_BYTES) this.keep(Buffer.from(chunk.buffer as ArrayBuffer))
  }

  /** Keeps an unused buffer; of wide ones one is enough. */
  private keep(buffer: Buffer): void {
    const isWide = buffer.length > BUFFER_BYTES
    const alike = this.spare.filter(b => b.length > BUFFER_BYTES === isWide).length
    if (alike < (isWide ? 1 : MOST_SPARE)) this.spare.push(buffer)
  }

  /** Pushes the whole rows and continues in a new buffer. True if more may be pushed. */
  private flush(atLeast: number): boolean {
    const { buffer, rows, at, end } = this
    // Rows of about one width get buffers of one size, so that each serves again.
    const needed = Math.max(atLeast, end - at)
    const size = needed <= BUFFER_BYTES ? BUFFER_BYTES : Math.ceil(needed / WIDE_STEP) * WIDE_STEP
    const fitting = this.spare.findIndex(b => b.length >= size)
    const next = fitting >= 0 ? this.spare.splice(fitting, 1)[0]! : Buffer.allocUnsafeSlow(size)
    buffer.copy(next, 0, at, end)
    this.buffer = next
    this.rows = 0
    this.at = 0
    this.end = end - at
    if (rows > 0) return this.push(buffer.subarray(0, rows))
    this.keep(buffer)
    return true
  }

  private giveBack(rest: Buffer): void {
    const { stream } = this.connection!
    if (stream instanceof ReadSocket) {
      stream.takeBytes = undefined
      this.clientListeners = stream.listeners('data') as DataListener[]
    } else {
      stream.removeListener('data', this.onData)
      for (const listener of this.clientListeners) stream.on('data', listener)
    }
    this.at = this.end
    this.flush(0)
    stream.resume()
    for (const listener of this.clientListeners) listener(rest)
  }

  handleCommandComplete(message: { text: string }): void {
    this.rowCount = Number(/COPY (\d+)/.exec(message.text)?.[1] ?? 0)
  }

  handleReadyForQuery(): void {
    this.push(null)
  }

  handleError(error: Error): void {
    this.destroy(error)
  }

  // The client calls these on whatever it runs; a COPY gives none of them.
  handleRowDescription(): void {}
  handleDataRow(): void {}
  handlePortalSuspended(): void {}
  handleEmptyQuery(): void {}
  handleCopyInResponse(): void {}

  /** Rows behind a notice come through the client. */
  handleCopyData(message: { chunk: Buffer }): void {
    const { chunk } = message
    this.push(this.framed ? Buffer.concat([messageHeader(chunk.length), chunk]) : Buffer.from(chunk))
  }
}

/** Starts a COPY ... TO STDOUT; `framed` leaves the rows in the messages that they came in. */
export function copyOut(client: pg.Client, text: string, framed: boolean): CopyOut {
  const copy = new CopyOut(text, framed)
  ;(client as unknown as { query(submittable: CopyOut): void }).query(copy)
  return copy
}
