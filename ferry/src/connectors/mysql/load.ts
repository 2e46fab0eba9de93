/** One `LOAD DATA LOCAL`: bytes go to the server as it takes them; what it warns of afterwards is an error. */
import { EventEmitter, once } from 'node:events'
import type { Writable } from 'node:stream'
import { type FerryError, RowError } from '../../errors.ts'
import { type Connection, classify, query } from './client.ts'

/** What mysql2 takes for the local file: events, and nothing of its own to pause. */
class LocalFile extends EventEmitter {
  pause(): void {}
  resume(): void {}
}

interface LoadResult {
  affectedRows: number
  warningStatus: number
  info: string
}

export class Load {
  private readonly connection: Connection
  private readonly socket: Writable
  private readonly file = new LocalFile()
  private readonly done: Promise<LoadResult>
  private readonly asked: Promise<void>
  private failure: { error: unknown } | undefined
  private readonly place: string

  constructor(connection: Connection, sql: string, place: string) {
    this.connection = connection
    this.place = place
    this.socket = (connection as unknown as { stream: Writable }).stream
    let ask: () => void
    this.asked = new Promise(resolve => {
      ask = resolve
    })
    this.done = new Promise((resolve, reject) => {
      const options = {
        sql,
        infileStreamFactory: () => {
          // The server has asked for the file: it takes bytes as soon as mysql2 listens.
          setImmediate(ask)
          return this.file as never
        },
      }
      connection.query(options as never, (error, result) => {
        if (error) reject(error)
        else resolve(result as unknown as LoadResult)
        ask()
      })
    })
    this.done.catch(error => {
      this.failure = { error }
    })
  }

  async write(bytes: Buffer): Promise<void> {
    await this.asked
    if (this.failure) throw this.failure.error
    this.file.emit('data', bytes)
    if (!this.socket.writableNeedDrain) return
    const gone = new AbortController()
    const drained = once(this.socket, 'drain', { signal: gone.signal })
    try {
      // A server that has refused the rows takes no more of them.
      await Promise.race([drained, this.done])
    } finally {
      gone.abort()
      drained.catch(() => undefined)
    }
  }

  /** Ends the file. Gives back how many rows were taken. Throws what the server refused. */
  async end(): Promise<number> {
    await this.asked
    if (this.failure) throw this.failure.error
    this.file.emit('end')
    const { warningStatus, info } = await this.done
    if (warningStatus > 0) throw await this.warning()
    return Number(/Records: (\d+)/.exec(info)?.[1] ?? 0)
  }

  /** With LOCAL the server warns where it would have refused: what it did instead is not wanted. */
  private async warning(): Promise<FerryError> {
    const [first] = await query(this.connection, 'SHOW WARNINGS LIMIT 1')
    const message = String(first?.Message ?? 'the server altered rows')
    const code = classify(Object.assign(new Error(message), { errno: Number(first?.Code) }))
    const column = /column '([^']+)'/i.exec(message)?.[1]
    const known = code === 'FERRY-4005' || code === 'FERRY-4001' ? code : 'FERRY-4001'
    return new RowError(known, `${this.place}: ${message}`, column)
  }
}
