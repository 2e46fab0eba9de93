import type { Column, LogicalType } from '../../batch/types.ts'
import type { Statements } from '../../contract/capabilities.ts'
import type { Names } from '../../contract/names.ts'
import type { ObjectSpec, TableInfo } from '../../contract/schema.ts'
import type { SinkSession } from '../../contract/sink.ts'
import type { SourceSession } from '../../contract/source.ts'
import type { Connector, Store } from '../../contract/store.ts'
import type { RunIdentity } from '../../contract/write.ts'
import { FerryError } from '../../errors.ts'
import { placeOfServer } from '../names.ts'
import { DIALECT } from './apply.ts'
import { describe, listObjects } from './catalog.ts'
import {
  type Connection,
  connect,
  cut,
  labelOf,
  namePart,
  qualified,
  query,
  quoteName,
  quoteText,
  splitName,
  translate,
} from './client.ts'
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

  readonly statements: Statements = {
    ...DIALECT,
    table: object => this.names.key(object),
    quote: quoteName,
    execute: statement => this.execute(statement),
    call: (procedure, parameters) => this.call(procedure, parameters),
  }

  private async execute(statement: string): Promise<number | undefined> {
    const connection = await this.catalog()
    return new Promise((resolve, reject) => {
      connection.query(statement, (error, result) => {
        if (error) reject(translate(error, 'statement'))
        else resolve((result as { affectedRows?: number }).affectedRows)
      })
    })
  }

  /** Procedures have their arguments by position: the names are those that the server knows. */
  private async call(
    procedure: string,
    parameters: { name: string; value: string | number | bigint | boolean | null }[],
  ): Promise<void> {
    const name = splitName(procedure, this.settings)
    const rows = await query(
      await this.catalog(),
      `SELECT PARAMETER_NAME AS name FROM information_schema.PARAMETERS WHERE SPECIFIC_SCHEMA = ${quoteText(name.database)}
       AND SPECIFIC_NAME = ${quoteText(name.table)} AND PARAMETER_MODE IS NOT NULL ORDER BY ORDINAL_POSITION`,
    )
    const known = rows.map(r => String(r.name).toLowerCase())
    const given = new Map(parameters.map(p => [p.name.replace(/^@/, '').toLowerCase(), p.value]))
    const unknown = [...given.keys()].find(p => !known.includes(p))
    if (unknown !== undefined) {
      throw new FerryError(
        'FERRY-3016',
        `${procedure} has no parameter ${unknown}: it has ${known.join(', ') || 'none'}`,
      )
    }
    const args = known.map(p => {
      const value = given.get(p) ?? null
      return value === null ? 'NULL' : quoteText(String(value))
    })
    await this.execute(`CALL ${qualified(name)}(${args.join(', ')})`)
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
