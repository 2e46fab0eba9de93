/** A state in a SQLite file, with the durability that a ledger of runs needs. */
import { chmodSync, closeSync, openSync, statSync } from 'node:fs'
import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import { Kysely, SqliteDialect } from 'kysely'
import type { Schema } from './schema.ts'

/** How long others that write at the same moment are waited for. */
const BUSY_MS = 30_000
const SQLITE_BUSY = 5

/** What a statement gives back: its rows, or what it has changed. */
export type Result = { rows: Record<string, unknown>[] } | { changes: bigint; insertId: bigint }

/** One connection to the file. */
export class SqliteFile {
  private readonly file: DatabaseSync

  constructor(path: string) {
    keepPrivate(path)
    this.file = new DatabaseSync(path, { timeout: BUSY_MS })
    enterWal(this.file)
    this.file.exec('PRAGMA synchronous = FULL')
  }

  prepare(text: string) {
    // A transaction that reads before it writes must not find out then that another one was faster.
    return this.file.prepare(text === 'begin' ? 'begin immediate' : text)
  }

  run(text: string, parameters: readonly unknown[]): Result {
    const statement = this.prepare(text)
    const values = parameters as SQLInputValue[]
    if (statement.columns().length > 0) return { rows: statement.all(...values) }
    const { changes, lastInsertRowid } = statement.run(...values)
    return { changes: BigInt(changes), insertId: BigInt(lastInsertRowid) }
  }

  close(): void {
    this.file.close()
  }
}

/** The state in this thread: each statement holds it up. */
export function openSqlite(path: string): Kysely<Schema> {
  const file = new SqliteFile(path)
  // Kysely's dialect speaks to better-sqlite3; Node's own driver differs in how parameters are handed over.
  return new Kysely<Schema>({
    dialect: new SqliteDialect({
      database: {
        close: () => file.close(),
        prepare: text => {
          const statement = file.prepare(text)
          return {
            reader: statement.columns().length > 0,
            all: parameters => statement.all(...(parameters as SQLInputValue[])),
            run: parameters => {
              const { changes, lastInsertRowid } = statement.run(...(parameters as SQLInputValue[]))
              return { changes: BigInt(changes), lastInsertRowid: BigInt(lastInsertRowid) }
            },
            iterate: parameters => statement.iterate(...(parameters as SQLInputValue[])),
          }
        },
      },
    }),
  })
}

/** For nobody else's eyes, whatever its folder allows; SQLite gives the files beside it the same mode. */
function keepPrivate(path: string): void {
  if (path === ':memory:') return
  closeSync(openSync(path, 'a', 0o600))
  for (const own of [path, `${path}-wal`, `${path}-shm`]) {
    const mode = statSync(own, { throwIfNoEntry: false })?.mode ?? 0
    if (process.platform !== 'win32' && (mode & 0o077) !== 0) chmodSync(own, 0o600)
  }
}

/** Two that change a new file to its log at one time are told that it is busy, without the wait that others get. */
function enterWal(file: DatabaseSync): void {
  const end = Date.now() + BUSY_MS
  for (;;) {
    try {
      file.exec('PRAGMA journal_mode = WAL')
      return
    } catch (error) {
      if (((error as { errcode?: number }).errcode ?? 0) % 256 !== SQLITE_BUSY || Date.now() > end) throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20)
    }
  }
}
