/** SQLite for Kysely, through one or several connections to the file. */
import {
  CompiledQuery,
  type DatabaseConnection,
  type Driver,
  Kysely,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely'
import type { Schema } from './schema.ts'

/** What a statement gives back: its rows, or what it has changed. */
export type Result = QueryResult<Record<string, unknown>>

/** One connection. */
export interface Link {
  run(sql: string, parameters: readonly unknown[]): Result | Promise<Result>
  close(): void | Promise<void>
}

/** A state through at most so many connections, each opened when it is needed first. */
export function throughLinks(open: () => Link, most: number): Kysely<Schema> {
  return new Kysely<Schema>({
    dialect: {
      createAdapter: () => new Adapter(),
      createDriver: () => new LinkDriver(open, most),
      createIntrospector: db => new SqliteIntrospector(db),
      createQueryCompiler: () => new SqliteQueryCompiler(),
    },
  })
}

class Adapter extends SqliteAdapter {
  override get supportsMultipleConnections(): boolean {
    return true
  }
}

class Connection implements DatabaseConnection {
  private readonly link: Link

  constructor(link: Link) {
    this.link = link
  }

  async executeQuery<R>({ sql, parameters }: CompiledQuery): Promise<QueryResult<R>> {
    return (await this.link.run(sql, parameters)) as QueryResult<R>
  }

  // biome-ignore lint/correctness/useYield: nothing of the state is streamed
  async *streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    throw new Error('the state is not streamed')
  }

  async close(): Promise<void> {
    await this.link.close()
  }
}

class LinkDriver implements Driver {
  private readonly open: () => Link
  private readonly most: number
  private readonly all: Connection[] = []
  private readonly free: Connection[] = []
  private readonly waiting: ((connection: Connection) => void)[] = []

  constructor(open: () => Link, most: number) {
    this.open = open
    this.most = most
  }

  async init(): Promise<void> {}

  async acquireConnection(): Promise<DatabaseConnection> {
    const free = this.free.pop()
    if (free) return free
    if (this.all.length === this.most) return new Promise(resolve => this.waiting.push(resolve))
    const made = new Connection(this.open())
    this.all.push(made)
    return made
  }

  async releaseConnection(connection: DatabaseConnection): Promise<void> {
    const next = this.waiting.shift()
    if (next) next(connection as Connection)
    else this.free.push(connection as Connection)
  }

  async beginTransaction(connection: DatabaseConnection): Promise<void> {
    // One that reads before it writes must not find out then that another one was faster.
    await connection.executeQuery(CompiledQuery.raw('begin immediate'))
  }

  async commitTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw('commit'))
  }

  async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw('rollback'))
  }

  async destroy(): Promise<void> {
    await Promise.all(this.all.map(c => c.close()))
  }
}
