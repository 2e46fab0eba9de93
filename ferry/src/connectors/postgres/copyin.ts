/**
 * COPY ... FROM STDIN over the client's own socket: bytes in messages that are made here, or messages that another
 * server's COPY made, handed on as they are.
 *
 * Source: https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-COPY
 */
import type { Socket } from 'node:net'
import type pg from 'pg'
import { messageHeader } from './messages.ts'

const COPY_DONE = Buffer.from([0x63, 0, 0, 0, 4])
const COPY_FAIL = Buffer.from([0x66, 0, 0, 0, 5, 0])

interface Connection {
  stream: Socket
  query(text: string): void
}

/** A statement that `pg.Client.query` runs: write to it what it copies. */
export class CopyIn {
  private readonly text: string
  private stream: Socket | undefined
  private rows = 0
  private failure: Error | undefined
  private waiting: (() => void)[] = []
  /** Whether the server takes data: not yet, now, or no more. */
  private phase: 'asked' | 'open' | 'ended' = 'asked'

  constructor(text: string) {
    this.text = text
  }

  /** Called by the client when it is this statement's turn. */
  submit(connection: Connection): void {
    this.stream = connection.stream
    this.stream.on('drain', this.wake)
    connection.query(this.text)
  }

  /** Sends bytes; resolves when more may come. Throws what the server said when it refused some. */
  async write(data: Buffer, framed: boolean, release?: () => void): Promise<void> {
    await this.until(() => this.phase !== 'asked')
    if (data.length === 0) return
    const { stream } = this
    if (!framed) {
      stream!.cork()
      stream!.write(messageHeader(data.length))
      stream!.write(data, release)
      stream!.uncork()
    } else stream!.write(data, release)
    if (stream!.writableNeedDrain) await this.until(() => !stream!.writableNeedDrain)
  }

  /** Ends the COPY; gives back how many rows it took. */
  async end(): Promise<number> {
    await this.until(() => this.phase !== 'asked')
    this.stream!.write(COPY_DONE)
    await this.until(() => this.phase === 'ended')
    return this.rows
  }

  /** Ends the COPY with nothing taken: its transaction has failed, and the connection is free again. */
  async fail(): Promise<void> {
    try {
      await this.until(() => this.phase !== 'asked')
      this.stream!.write(COPY_FAIL)
      await this.until(() => this.phase === 'ended')
    } catch {
      // The server's word for it.
    }
  }

  private async until(condition: () => boolean): Promise<void> {
    while (!this.failure && !condition()) {
      await new Promise<void>(resolve => {
        this.waiting.push(resolve)
      })
    }
    if (this.failure) throw this.failure
  }

  private readonly wake = (): void => {
    for (const resume of this.waiting.splice(0)) resume()
  }

  private finish(): void {
    this.phase = 'ended'
    this.stream?.removeListener('drain', this.wake)
    this.wake()
  }

  handleCopyInResponse(): void {
    this.phase = 'open'
    this.wake()
  }

  handleCommandComplete(message: { text: string }): void {
    this.rows = Number(/COPY (\d+)/.exec(message.text)?.[1] ?? 0)
  }

  handleReadyForQuery(): void {
    this.finish()
  }

  handleError(error: Error): void {
    this.failure = error
    this.finish()
  }

  // The client calls these on whatever it runs; a COPY gives none of them.
  handleRowDescription(): void {}
  handleDataRow(): void {}
  handlePortalSuspended(): void {}
  handleEmptyQuery(): void {}
  handleCopyData(): void {}
}

/** Starts a COPY ... FROM STDIN. */
export function copyIn(client: pg.Client, text: string): CopyIn {
  const copy = new CopyIn(text)
  ;(client as unknown as { query(submittable: CopyIn): void }).query(copy)
  return copy
}
