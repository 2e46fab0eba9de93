import type { Column, LogicalType } from '../../batch/types.ts'
import type { Names } from '../../contract/names.ts'
import type { ObjectSpec, TableInfo } from '../../contract/schema.ts'
import type { SinkSession } from '../../contract/sink.ts'
import type { SourceSession } from '../../contract/source.ts'
import type { Connector, Store } from '../../contract/store.ts'
import type { RunIdentity } from '../../contract/write.ts'
import { placeOfServer } from '../names.ts'
import { describe, listObjects } from './catalog.ts'
import { type Connection, connect, cut, labelOf, namePart, qualified, query, splitName, translate } from './client.ts'
import { logMarks } from './log.ts'
import { type MysqlSettings, mysqlKind, readSettings } from './settings.ts'
import { MysqlSink } from './sink.ts'
import { MysqlSource } from './source.ts'
import { keyNative } from './statements.ts'
import { toLogical, toNative } from './types.ts'

/** MySQL 8.0 and later, MariaDB 10.6 and later. */
export const mysql: Connector = { ...mysqlKind, open: settings => new MysqlStore(readSettings(settings)) }

class MysqlStore implements Store {
  readonly kind = 'mysql'
  readonly abilities = mysqlKind.abilities
  readonly label: string
  private readonly settings: MysqlSettings
  private connection: Promise<Connection> | undefined

  constructor(settings: MysqlSettings) {
    this.settings = settings
    this.label = labelOf(settings)
  }

  get place(): string {
    return placeOfServer(this.label)
  }

  async test(): Promise<string> {
    const [row] = await query(await this.catalog(), 'SELECT version() AS version')
    const version = String(row!.version)
    return /mariadb/i.test(version) ? `MariaDB ${version}` : `MySQL ${version}`
  }

  async objects(only?: 'tables'): Promise<string[]> {
    return listObjects(await this.catalog(), this.settings, only)
  }

  async describe(spec: ObjectSpec): Promise<TableInfo | undefined> {
    try {
      return await describe(await this.catalog(), spec, this.settings)
    } catch (error) {
      throw translate(error, spec.query === undefined ? spec.object : 'query')
    }
  }

  readonly log = {
    // The server keeps its log by its own rules.
    release: async () => {},
    positionAt: (position: string, place: string) => logMarks.write({ ...logMarks.read(position), place }),
  }

  existing(target: ObjectSpec): Promise<TableInfo | undefined> {
    return this.describe(target)
  }

  created(column: Column, kind: string): { type: LogicalType; native: string } {
    const own = kind === 'mysql' ? column.native : undefined
    const native = own ?? toNative(column.type)
    return { type: toLogical(native, this.settings.tinyInt1), native }
  }

  keyNative(native: string): string {
    return keyNative(native)
  }

  readonly names: Names = {
    defaultObject: ({ table }) => namePart(table),
    parts: object => {
      const { database, table } = splitName(object, this.settings)
      return { schema: database, table }
    },
    part: text => namePart(text),
    key: object => qualified(splitName(object, this.settings)),
    /** https://mariadb.com/kb/en/identifier-names/ */
    columns: () => ({ foldsCase: true, mostCharacters: 64 }),
  }

  async source(): Promise<SourceSession> {
    return MysqlSource.open(this.settings)
  }

  async sink(run: RunIdentity): Promise<SinkSession> {
    return new MysqlSink(this.settings, run)
  }

  async close(): Promise<void> {
    const connection = await this.connection?.catch(() => undefined)
    this.connection = undefined
    if (connection) cut(connection)
  }

  /** One connection for catalog questions, made when first needed. */
  private catalog(): Promise<Connection> {
    this.connection ??= connect(this.settings)
    return this.connection
  }
}
