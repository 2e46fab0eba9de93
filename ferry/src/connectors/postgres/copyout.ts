/**
 * COPY ... TO STDOUT as large chunks. The server sends one message a row; taking each as a chunk of its own costs more
 * than everything else in a copy, so messages are stripped in place within what the socket gave.
 *
 * Source: https://www.postgresql.org/docs/current/protocol-message-formats.html (CopyOutResponse, CopyData, CopyDone).
 */
import { Readable } from 'node:stream'
import type pg from 'pg'

const COPY_DATA = 0x64
const COPY_DONE = 0x63
const COPY_OUT_RESPONSE = 0x48
const HEADER_BYTES = 5
const CHUNK_BYTES = 1 << 17

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
  /** The beginning of a message that is not whole yet, and how many bytes it takes to go on. */
  private partial: Buffer[] = []
  private needed = 0
  private have = 0
  private chunk: Buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES)
  private gathered = 0

  constructor(text: string) {
    super({ highWaterMark: 1 << 20 })
    this.text = text
  }

  /** Called by the client when it is this statement's turn. */
  submit(connection: Connection): void {
    this.connection = connection
    this.clientListeners = connection.stream.listeners('data') as DataListener[]
    connection.stream.removeAllListeners('data')
    connection.stream.on('data', this.onData)
    connection.query(this.text)
  }

  override _read(): void {
    this.connection?.stream.resume()
  }

  private readonly onData = (arrived: Buffer): void => {
    const chunk = this.partial.length === 0 ? arrived : this.join(arrived)
    if (!chunk) return
    let at = 0
    let out = 0
    this.needed = 0
    for (;;) {
      if (at + HEADER_BYTES > chunk.length) {
        this.needed = HEADER_BYTES
        break
      }
      const type = chunk[at]
      if (type !== COPY_DATA && type !== COPY_OUT_RESPONSE && type !== COPY_DONE) {
        // Anything else (an error, the end of the statement, a notice) is the client's to read.
        this.giveBack(Buffer.from(chunk.subarray(at)), chunk.subarray(0, out))
        return
      }
      const end = at + 1 + chunk.readInt32BE(at + 1)
      if (end > chunk.length) {
        this.needed = end - at
        break
      }
      if (type === COPY_DATA) {
        chunk.copyWithin(out, at + HEADER_BYTES, end)
        out += end - at - HEADER_BYTES
      }
      at = end
    }
    if (at < chunk.length) {
      this.partial = [Buffer.from(chunk.subarray(at))]
      this.have = chunk.length - at
    }
    if (!this.hold(chunk.subarray(0, out))) this.connection!.stream.pause()
  }

  /** What is there of a message with its next piece; undefined while it is not whole. Long rows come in many pieces. */
  private join(arrived: Buffer): Buffer | undefined {
    this.partial.push(arrived)
    this.have += arrived.length
    if (this.have < this.needed) return undefined
    const joined = Buffer.concat(this.partial)
    this.partial = []
    return joined
  }

  /** The server sends 8 kB at a time: several make a chunk. Says whether more may come. */
  private hold(data: Buffer): boolean {
    if (data.length > CHUNK_BYTES / 2) {
      this.flush()
      return this.push(data)
    }
    const more = this.gathered + data.length <= CHUNK_BYTES || this.flush()
    this.chunk.set(data, this.gathered)
    this.gathered += data.length
    return more
  }

  private flush(): boolean {
    if (this.gathered === 0) return true
    const full = this.chunk.subarray(0, this.gathered)
    this.chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES)
    this.gathered = 0
    return this.push(full)
  }

  private giveBack(rest: Buffer, data: Buffer): void {
    const { stream } = this.connection!
    stream.removeListener('data', this.onData)
    for (const listener of this.clientListeners) stream.on('data', listener)
    this.hold(data)
    this.flush()
    stream.resume()
    for (const listener of this.clientListeners) listener(rest)
  }

  handleCommandComplete(message: { text: string }): void {
    this.rowCount = Number(/COPY (\d+)/.exec(message.text)?.[1] ?? 0)
  }

  handleReadyForQuery(): void {
    this.flush()
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
    this.hold(message.chunk)
  }
}

/** Starts a COPY ... TO STDOUT. */
export function copyOut(client: pg.Client, text: string): CopyOut {
  const copy = new CopyOut(text)
  ;(client as unknown as { query(submittable: CopyOut): void }).query(copy)
  return copy
}
