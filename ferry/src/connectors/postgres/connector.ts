import type pg from 'pg'
import type { Column, LogicalType } from '../../batch/types.ts'
import type { Statements } from '../../contract/capabilities.ts'
import type { Names } from '../../contract/names.ts'
import type { ObjectSpec, TableInfo } from '../../contract/schema.ts'
import type { SinkSession } from '../../contract/sink.ts'
import type { SourceSession } from '../../contract/source.ts'
import type { Connector, Store } from '../../contract/store.ts'
import type { RunIdentity } from '../../contract/write.ts'
import { STANDARD_CHANGES } from '../changes/changetable.ts'
import { placeOfServer } from '../names.ts'
import { describeQuery, describeTable, listObjects, qualified } from './catalog.ts'
import { connect, joinName, labelOf, namePart, quoteName, splitName, translate } from './client.ts'
import { dropLog, logMarks } from './log.ts'
import { type PostgresSettings, postgresKind, readSettings } from './settings.ts'
import { PostgresSink } from './sink.ts'
import { PostgresSource } from './source.ts'
import { isBuiltIn, toLogical, toNative } from './types.ts'

/** PostgreSQL 12 and later. */
export const postgres: Connector = {
  ...postgresKind,
  open: (settings, policy) => new PostgresStore(readSettings(settings, policy)),
}

class PostgresStore implements Store {
  readonly kind = 'postgres'
  readonly abilities = postgresKind.abilities
  readonly label: string
  private readonly settings: PostgresSettings
  private client: Promise<pg.Client> | undefined

  constructor(settings: PostgresSettings) {
    this.settings = settings
    this.label = labelOf(settings)
  }

  get place(): string {
    return placeOfServer(this.label)
  }

  async test(): Promise<string> {
    const { rows } = await (await this.catalog()).query('SELECT version() AS version')
    return String(rows[0].version).split(' ').slice(0, 2).join(' ')
  }

  async objects(only?: 'tables'): Promise<string[]> {
    return listObjects(await this.catalog(), only)
  }

  async describe({ object, query }: ObjectSpec): Promise<TableInfo | undefined> {
    const client = await this.catalog()
    try {
      return query === undefined
        ? await describeTable(client, object, this.settings.schema)
        : await describeQuery(client, query)
    } catch (error) {
      throw translate(error, query === undefined ? object : 'query')
    }
  }

  readonly log = {
    release: (positions: string[], kept: string[]) => this.release(positions, kept),
    positionAt: (position: string, lsn: string) => logMarks.write({ ...logMarks.read(position), lsn }),
  }

  readonly statements: Statements = {
    ...STANDARD_CHANGES,
    table: object => qualified(this.names.parts(object)),
    quote: quoteName,
    execute: statement => this.execute(statement),
    call: async (procedure, parameters) => {
      const { escapeIdentifier, escapeLiteral } = await this.catalog()
      const args = parameters.map(({ name, value }) => {
        // A literal without a type takes that of the parameter.
        const text = value === null ? 'NULL' : escapeLiteral(String(value))
        return name === '' ? text : `${escapeIdentifier(name.replace(/^@/, ''))} => ${text}`
      })
      await this.execute(`CALL ${qualified(this.names.parts(procedure))}(${args.join(', ')})`)
    },
  }

  private async execute(statement: string): Promise<number | undefined> {
    const client = await this.catalog()
    try {
      const result = await client.query(statement)
      // A text of several statements has a result for each.
      const all = Array.isArray(result) ? (result as { rowCount: number | null }[]) : [result]
      const counts = all.flatMap(r => r.rowCount ?? [])
      return counts.length === 0 ? undefined : counts.reduce((sum, n) => sum + n, 0)
    } catch (error) {
      throw translate(error, 'statement')
    }
  }

  private async release(positions: string[], kept: string[]): Promise<void> {
    const slotsOf = (marks: string[]) => new Set(marks.flatMap(position => logMarks.find(position)?.slot ?? []))
    const needed = slotsOf(kept)
    const slots = [...slotsOf(positions)].filter(slot => !needed.has(slot))
    if (slots.length === 0) return
    const client = await this.catalog()
    for (const slot of slots) {
      await dropLog(client, slot).catch(error => {
        throw translate(error, slot)
      })
    }
  }

  existing(target: ObjectSpec): Promise<TableInfo | undefined> {
    return this.describe(target)
  }

  created(column: Column, kind: string): { type: LogicalType; native: string } {
    const own = kind === 'postgres' ? column.native : undefined
    const native = own !== undefined && isBuiltIn(own) ? own : toNative(column.type)
    return { type: toLogical(native), native }
  }

  readonly names: Names = {
    defaultObject: ({ table }) => joinName(this.settings.schema, table),
    parts: object => splitName(object, this.settings.schema),
    part: text => namePart(text),
    key: object => qualified(this.names.parts(object)),
    /** https://www.postgresql.org/docs/current/limits.html and ddl-system-columns.html */
    columns: () => ({
      foldsCase: false,
      mostBytes: 63,
      reserved: ['tableoid', 'xmin', 'cmin', 'xmax', 'cmax', 'ctid'],
    }),
  }

  async source(): Promise<SourceSession> {
    return PostgresSource.open(this.settings)
  }

  async sink(run: RunIdentity): Promise<SinkSession> {
    return new PostgresSink(this.settings, run)
  }

  async close(): Promise<void> {
    const client = await this.client?.catch(() => undefined)
    this.client = undefined
    await client?.end()
  }

  /** One connection for catalog questions, made when first needed. */
  private catalog(): Promise<pg.Client> {
    this.client ??= connect(this.settings)
    return this.client
  }
}
