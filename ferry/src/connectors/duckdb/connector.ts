import { existsSync } from 'node:fs'
import type { Column, LogicalType } from '../../batch/types.ts'
import type { Statements } from '../../contract/capabilities.ts'
import type { Names } from '../../contract/names.ts'
import type { ObjectSpec, TableInfo } from '../../contract/schema.ts'
import type { SinkSession } from '../../contract/sink.ts'
import type { SourceSession } from '../../contract/source.ts'
import type { Connector, Store } from '../../contract/store.ts'
import type { RunIdentity } from '../../contract/write.ts'
import { Duckdb, quoteName, translate } from '../../duckdb/engine.ts'
import { held, toNative } from '../../duckdb/logical.ts'
import { FerryError } from '../../errors.ts'
import { realOf } from '../../policy.ts'
import type { DatabaseFile } from '../databasefile.ts'
import { DIALECT } from './apply.ts'
import { describe, listObjects, namePart, qualified, splitName } from './catalog.ts'
import { duckdbKind } from './settings.ts'
import { DuckdbSink } from './sink.ts'
import { DuckdbSource } from './source.ts'

/** DuckDB database files. One process at a time may write to one. */
export const duckdb: Connector = {
  ...duckdbKind,
  open: (settings, policy) => new DuckdbStore(duckdbKind.check(settings, policy)),
}

class DuckdbStore implements Store {
  readonly kind = 'duckdb'
  readonly abilities = duckdbKind.abilities
  readonly label: string
  private readonly file: DatabaseFile
  private readonly path: string

  constructor(file: DatabaseFile) {
    this.file = file
    this.path = file.path
    this.label = `duckdb:${file.path}`
  }

  get place(): string {
    return realOf(this.path)
  }

  async test(): Promise<string> {
    const rows = await this.reading(db => db.all('SELECT version() AS version'))
    return `DuckDB ${rows[0]!.version}`
  }

  async objects(only?: 'tables'): Promise<string[]> {
    return this.reading(db => listObjects(db, only))
  }

  async describe(spec: ObjectSpec): Promise<TableInfo | undefined> {
    if (!existsSync(this.path)) return undefined
    return this.reading(db => describe(db, spec))
  }

  readonly statements: Statements = {
    ...DIALECT,
    table: object => qualified(splitName(object)),
    quote: quoteName,
    execute: async statement => {
      const db = await Duckdb.open(this.file.policy, this.path)
      try {
        return (await db.run(statement)).rowsChanged
      } catch (error) {
        throw translate(error, 'statement')
      } finally {
        await db.close()
      }
    },
    call: async procedure => {
      throw new FerryError('FERRY-3016', `${procedure}: DuckDB has no procedures`)
    },
  }

  existing(target: ObjectSpec): Promise<TableInfo | undefined> {
    return this.describe(target)
  }

  created(column: Column): { type: LogicalType; native: string } {
    const type = held(column.type)
    return { type, native: toNative(type) }
  }

  readonly names: Names = {
    defaultObject: ({ table }) => namePart(table),
    parts: object => splitName(object),
    part: text => namePart(text),
    key: object => qualified(splitName(object)).toLowerCase(),
    columns: () => ({ foldsCase: true }),
  }

  refusesReading(): string {
    return 'DuckDB opens a file once'
  }

  async source(): Promise<SourceSession> {
    return new DuckdbSource(this.file)
  }

  async sink(run: RunIdentity): Promise<SinkSession> {
    return new DuckdbSink(this.file, run)
  }

  async close(): Promise<void> {}

  /** Opened for each question and closed again, since a file that is open here cannot be written elsewhere. */
  private async reading<T>(work: (db: Duckdb) => Promise<T>): Promise<T> {
    if (!existsSync(this.path)) throw new FerryError('FERRY-2001', `${this.path} does not exist`)
    const db = await Duckdb.open(this.file.policy, this.path, 'read')
    try {
      return await work(db)
    } catch (error) {
      throw translate(error, this.label)
    } finally {
      await db.close()
    }
  }
}
