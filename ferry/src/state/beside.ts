/**
 * A state in SQLite beside the thread of a server: who waits for a file that another process writes to, or for a slow disk,
 * holds up nobody else.
 */
import { Worker } from 'node:worker_threads'
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
import { threadPath } from '../program.ts'
import type { Schema } from './schema.ts'
import type { Answered, Asked } from './thread.ts'

/** One may wait for its turn to write while others read. */
const CONNECTIONS = 2

export function openSqliteBeside(path: string): Kysely<Schema> {
  return new Kysely<Schema>({
    dialect: {
      createAdapter: () => new SqliteAdapter(),
      createDriver: () => new BesideDriver(path),
      createIntrospector: db => new SqliteIntrospector(db),
      createQueryCompiler: () => new SqliteQueryCompiler(),
    },
  })
}

class Connection implements DatabaseConnection {
  private readonly thread: Worker
  private readonly waiting = new Map<number, PromiseWithResolvers<QueryResult<never>>>()
  private nextId = 1

  constructor(path: string) {
    this.thread = new Worker(threadPath(), { workerData: path, resourceLimits: { maxYoungGenerationSizeMb: 4 } })
    this.thread.on('message', (answered: Answered) => this.answered(answered))
    this.thread.on('error', error => {
      for (const one of this.waiting.values()) one.reject(error)
      this.waiting.clear()
    })
  }

  executeQuery<R>({ sql, parameters }: CompiledQuery): Promise<QueryResult<R>> {
    const id = this.nextId++
    const end = Promise.withResolvers<QueryResult<never>>()
    this.waiting.set(id, end)
    this.thread.postMessage({ id, sql, parameters } satisfies Asked)
    return end.promise
  }

  private answered(answered: Answered): void {
    const one = this.waiting.get(answered.id)
    this.waiting.delete(answered.id)
    if ('error' in answered) {
      const { message, ...rest } = answered.error
      one?.reject(Object.assign(new Error(message), rest))
    } else if ('rows' in answered.result) one?.resolve({ rows: answered.result.rows as never[] })
    else one?.resolve({ rows: [], numAffectedRows: answered.result.changes, insertId: answered.result.insertId })
  }

  // biome-ignore lint/correctness/useYield: nothing of the state is streamed
  async *streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    throw new Error('the state is not streamed')
  }

  async close(): Promise<void> {
    const gone = new Promise(resolve => this.thread.once('exit', resolve))
    this.thread.postMessage('close')
    await gone
  }
}

class BesideDriver implements Driver {
  private readonly path: string
  private readonly all: Connection[] = []
  private readonly free: Connection[] = []
  private readonly waiting: ((connection: Connection) => void)[] = []

  constructor(path: string) {
    this.path = path
  }

  async init(): Promise<void> {}

  async acquireConnection(): Promise<DatabaseConnection> {
    const free = this.free.pop()
    if (free) return free
    if (this.all.length < CONNECTIONS) {
      const made = new Connection(this.path)
      this.all.push(made)
      return made
    }
    return new Promise(resolve => this.waiting.push(resolve))
  }

  async releaseConnection(connection: DatabaseConnection): Promise<void> {
    const next = this.waiting.shift()
    if (next) next(connection as Connection)
    else this.free.push(connection as Connection)
  }

  async beginTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw('begin'))
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
