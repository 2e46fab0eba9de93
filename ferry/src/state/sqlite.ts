/** A state in a SQLite file, with the durability that a ledger of runs needs. */
import { chmodSync, closeSync, openSync, statSync } from 'node:fs'
import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import type { Kysely } from 'kysely'
import { FerryError } from '../errors.ts'
import { type Link, type Result, throughLinks } from './links.ts'
import type { Schema } from './schema.ts'

/** How long others that write at the same moment are waited for. */
const BUSY_MS = 30_000
const SQLITE_BUSY = 5

/** The state in this thread: each statement holds it up. */
export function openSqlite(path: string): Kysely<Schema> {
  return throughLinks(() => new SqliteFile(path), 1)
}

export class SqliteFile implements Link {
  private readonly file: DatabaseSync
  private readonly path: string

  constructor(path: string) {
    this.path = path
    keepPrivate(path)
    this.file = new DatabaseSync(path, { timeout: BUSY_MS })
    enterWal(this.file)
    this.file.exec('PRAGMA synchronous = FULL')
  }

  run(text: string, parameters: readonly unknown[]): Result {
    try {
      const statement = this.file.prepare(text)
      const values = parameters as SQLInputValue[]
      if (statement.columns().length > 0) return { rows: statement.all(...values) }
      const { changes, lastInsertRowid } = statement.run(...values)
      return { rows: [], numAffectedRows: BigInt(changes), insertId: BigInt(lastInsertRowid) }
    } catch (error) {
      throw this.fault(error as Error & { errcode?: number })
    }
  }

  /** What a disk or another process does to the file, as FERRY-5013. */
  private fault(error: Error & { errcode?: number }): Error {
    const why = FAULTS[(error.errcode ?? 0) % 256]
    if (why === undefined) return error
    return new FerryError('FERRY-5013', `${this.path}: ${why} (${error.message})`, { cause: error })
  }

  close(): void {
    this.file.close()
  }
}

/** Primary result codes: https://www.sqlite.org/rescode.html */
const FAULTS: Record<number, string> = {
  5: 'another process writes to it, and does not end',
  8: 'it cannot be written',
  10: 'its disk does not read or write',
  11: 'it is damaged',
  13: 'its disk is full',
  26: 'it is no state',
}

/** Readable by its owner only, whatever its folder allows; SQLite gives the files beside it the same mode. */
function keepPrivate(path: string): void {
  if (path === ':memory:') return
  closeSync(openSync(path, 'a', 0o600))
  for (const own of [path, `${path}-wal`, `${path}-shm`]) {
    const mode = statSync(own, { throwIfNoEntry: false })?.mode ?? 0
    if (process.platform !== 'win32' && (mode & 0o077) !== 0) chmodSync(own, 0o600)
  }
}

/** Two processes that switch a new file to WAL at one time get "busy" at once, without the usual wait. */
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
