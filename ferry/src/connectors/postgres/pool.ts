import type pg from 'pg'
import { FerryError } from '../../errors.ts'
import { connect } from './client.ts'
import type { PostgresSettings } from './settings.ts'

/** Connections of one session that are handed from split to split, each prepared once. */
export class ConnectionPool {
  private readonly settings: PostgresSettings
  private readonly prepare: (client: pg.Client) => Promise<void>
  private readonly name: string
  private readonly reads: boolean
  private readonly idle: pg.Client[] = []
  private readonly all = new Set<pg.Client>()
  private isClosed = false

  constructor(
    settings: PostgresSettings,
    {
      prepare = async () => {},
      name = 'ferry',
      reads = false,
    }: { prepare?: (client: pg.Client) => Promise<void>; name?: string; reads?: boolean } = {},
  ) {
    this.reads = reads
    this.settings = settings
    this.prepare = prepare
    this.name = name
  }

  async take(): Promise<pg.Client> {
    const idle = this.idle.pop()
    if (idle) return idle
    const client = await connect(this.settings, { name: this.name, reads: this.reads })
    this.all.add(client)
    try {
      await this.prepare(client)
      // Who closes meanwhile knows nothing of it.
      if (this.isClosed) throw new FerryError('FERRY-2001', 'the connections are closed')
      return client
    } catch (error) {
      this.drop(client)
      throw error
    }
  }

  /** Gives a connection back for the next split. */
  release(client: pg.Client): void {
    if (this.isClosed) this.drop(client)
    else this.idle.push(client)
  }

  /** Closes a connection whose state is unknown: a COPY was broken off, or it failed. */
  drop(client: pg.Client): void {
    this.all.delete(client)
    // Closing the socket is the only way to end a COPY that is no longer read.
    const { connection } = client as unknown as { connection: { stream: { destroy(): void } } }
    connection.stream.destroy()
  }

  /** Closes the idle connections: later ones are prepared anew. */
  async reset(): Promise<void> {
    const idle = this.idle.splice(0)
    for (const client of idle) this.all.delete(client)
    await Promise.all(idle.map(client => client.end().catch(() => undefined)))
  }

  async close(): Promise<void> {
    this.isClosed = true
    const clients = [...this.all]
    this.all.clear()
    this.idle.length = 0
    await Promise.all(clients.map(client => client.end().catch(() => undefined)))
  }
}
