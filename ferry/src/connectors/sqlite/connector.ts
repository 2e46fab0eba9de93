import { existsSync, statSync } from 'node:fs'
import type { DatabaseSync } from 'node:sqlite'
import type { Column, LogicalType } from '../../batch/types.ts'
import type { Statements } from '../../contract/capabilities.ts'
import type { Names } from '../../contract/names.ts'
import type { ObjectSpec, TableInfo } from '../../contract/schema.ts'
import type { SinkSession } from '../../contract/sink.ts'
import type { SourceSession } from '../../contract/source.ts'
import type { Connector, Store } from '../../contract/store.ts'
import type { RunIdentity } from '../../contract/write.ts'
import { FerryError } from '../../errors.ts'
import { realOf } from '../../policy.ts'
import type { DatabaseFile } from '../databasefile.ts'
import { DIALECT } from './apply.ts'
import { describe, listObjects } from './catalog.ts'
import { namePart, openDatabase, quoteName, tableName, translate } from './database.ts'
import { sqliteKind } from './settings.ts'
import { SqliteSink } from './sink.ts'
import { SqliteSource } from './source.ts'
import { toLogical, toNative } from './types.ts'

/** SQLite 3, through Node's own driver. */
export const sqlite: Connector = {
  ...sqliteKind,
  open: (settings, policy) => new SqliteStore(sqliteKind.check(settings, policy)),
}

class SqliteStore implements Store {
  readonly kind = 'sqlite'
  readonly abilities = sqliteKind.abilities
  readonly label: string
  private readonly file: DatabaseFile
  private readonly path: string
  private looking: { db: DatabaseSync; print: string } | undefined

  constructor(file: DatabaseFile) {
    this.file = file
    this.path = file.path
    this.label = `sqlite:${file.path}`
  }

  get place(): string {
    return realOf(this.path)
  }

  async test(): Promise<string> {
    const row = this.reading(db => db.prepare('SELECT sqlite_version() AS version').get())
    return `SQLite ${row!.version}`
  }

  async objects(only?: 'tables'): Promise<string[]> {
    return this.reading(db => listObjects(db, only))
  }

  async describe(spec: ObjectSpec): Promise<TableInfo | undefined> {
    // A destination file that is yet to be made holds nothing.
    if (!existsSync(this.path)) return undefined
    return this.reading(db => describe(db, spec))
  }

  readonly statements: Statements = {
    ...DIALECT,
    table: object => quoteName(tableName(object)),
    quote: quoteName,
    execute: async statement => {
      const db = openDatabase(this.file, 'write')
      try {
        const before = db.prepare('SELECT total_changes() AS n').get()!.n as number
        // A text may hold several statements.
        db.exec(statement)
        return (db.prepare('SELECT total_changes() AS n').get()!.n as number) - before
      } catch (error) {
        throw translate(error, 'statement')
      } finally {
        db.close()
      }
    },
    call: async procedure => {
      throw new FerryError('FERRY-3016', `${procedure}: SQLite has no procedures`)
    },
  }

  existing(target: ObjectSpec): Promise<TableInfo | undefined> {
    return this.describe(target)
  }

  created(column: Column, kind: string): { type: LogicalType; native: string } {
    // ANY has its own meaning in STRICT tables only.
    const own = kind === 'sqlite' && column.native && !/^any$/i.test(column.native)
    const native = own ? column.native! : toNative(column.type)
    return { type: toLogical(native), native }
  }

  readonly names: Names = {
    defaultObject: ({ table }) => namePart(table),
    parts: object => ({ schema: 'main', table: tableName(object) }),
    part: text => namePart(text),
    key: object => tableName(object).toLowerCase(),
    columns: () => ({ foldsCase: true }),
  }

  refusesReading(): string | undefined {
    const mode = this.reading(db => db.prepare('PRAGMA journal_mode').get())!.journal_mode
    return mode === 'wal'
      ? undefined
      : `who reads keeps others from writing, unless PRAGMA journal_mode is WAL (here: ${mode})`
  }

  async source(): Promise<SourceSession> {
    return new SqliteSource(this.file)
  }

  async sink(run: RunIdentity): Promise<SinkSession> {
    return new SqliteSink(this.file, run)
  }

  async close(): Promise<void> {
    this.looking?.db.close()
    this.looking = undefined
  }

  private reading<T>(work: (db: DatabaseSync) => T): T {
    const db = this.connection()
    try {
      return work(db)
    } catch (error) {
      throw translate(error, this.label)
    }
  }

  /** A connection that only looks, of the file that is there now: opening one reads the whole schema. */
  private connection(): DatabaseSync {
    const file = existsSync(this.path) ? statSync(this.path) : undefined
    const print = `${file?.dev}:${file?.ino}`
    if (this.looking?.print === print) return this.looking.db
    this.looking?.db.close()
    this.looking = undefined
    const db = openDatabase(this.file, 'read')
    this.looking = { db, print }
    return db
  }
}
