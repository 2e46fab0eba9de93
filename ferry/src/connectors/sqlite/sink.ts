import type { DatabaseSync } from 'node:sqlite'
import { type Offer, ROWS } from '../../contract/encodings.ts'
import type { SinkSession, SinkTable, SplitWriter, WriterWork } from '../../contract/sink.ts'
import type { Split } from '../../contract/split.ts'
import type { RunIdentity, WriteRequest } from '../../contract/write.ts'
import { RowError } from '../../errors.ts'
import { oneKey } from '../changes/loosekeys.ts'
import type { DatabaseFile } from '../databasefile.ts'
import { LEDGER, Ledger, type LedgerClient } from '../ledger.ts'
import { Mutex } from '../mutex.ts'
import { fileTable, OneConnectionTable } from '../sql/oneconnection.ts'
import { chooseStrategy, type Strategy } from '../sql/strategy.ts'
import { changeTable, DIALECT } from './apply.ts'
import { openDatabase, quoteName, tableName, translate } from './database.ts'
import type { Stored } from './store.ts'
import { ledgerClient, type SqliteTarget } from './target.ts'
import { toNative } from './types.ts'
import { SqliteSplitWriter } from './writer.ts'

/** SQLite has one writer: all tables of a run share one connection, and its transactions take turns. */
export class SqliteSink implements SinkSession {
  readonly run: RunIdentity
  private readonly file: DatabaseFile
  private opened: DatabaseSync | undefined
  readonly mutex = new Mutex()

  constructor(file: DatabaseFile, run: RunIdentity) {
    this.file = file
    this.run = run
  }

  get db(): DatabaseSync {
    this.opened ??= openDatabase(this.file, 'write')
    return this.opened
  }

  async table(request: WriteRequest): Promise<SinkTable> {
    const live = request.existing && fileTable(request, request.existing.columns)
    return new SqliteSinkTable(this, request, await chooseStrategy(request, live))
  }

  async close(): Promise<void> {
    this.opened?.close()
    this.opened = undefined
  }
}

const quoteText = (text: string) => `'${text.replaceAll("'", "''")}'`

class SqliteSinkTable extends OneConnectionTable implements SqliteTarget {
  declare readonly ledger: Ledger
  readonly live: string
  readonly offers: Offer[] = [ROWS]
  private readonly session: SqliteSink
  private readonly name: string
  protected readonly dialect = DIALECT

  constructor(session: SqliteSink, request: WriteRequest, strategy: Strategy) {
    super(session.run, request, strategy, new Ledger(LEDGER, session.run, request.ordinal))
    this.session = session
    this.name = tableName(request.object)
    this.live = quoteName(this.name)
    this.describePlan()
  }

  get mutex(): Mutex {
    return this.session.mutex
  }

  get db(): DatabaseSync {
    return this.session.db
  }

  protected quote(name: string): string {
    return quoteName(name)
  }

  protected beside(table: string): string {
    return quoteName(table)
  }

  protected createTable(name: string): string {
    const { columns, keys } = this.request
    const lines = columns.map(c => {
      const required = !c.nullable || keys.includes(c.name) ? ' NOT NULL' : ''
      const { filled } = c
      const given = filled?.by === 'text' ? quoteText(filled.text) : filled?.by === 'sql' ? filled.sql : undefined
      return `${quoteName(c.name)} ${c.native ?? toNative(c.type)}${required}${given === undefined ? '' : ` DEFAULT ${given}`}`
    })
    if (keys.length > 0) lines.push(`PRIMARY KEY (${keys.map(quoteName).join(', ')})`)
    return `CREATE TABLE IF NOT EXISTS ${name} (\n  ${lines.join(',\n  ')}\n)`
  }

  protected createLike(): string[] {
    return [`CREATE TABLE IF NOT EXISTS ${this.stage} AS SELECT ${this.names} FROM ${this.live} WHERE false`]
  }

  protected rename(): string[] {
    return [`ALTER TABLE ${this.stage} RENAME TO ${this.live}`]
  }

  protected loading(): string[] {
    return [this.insert(1)]
  }

  /** The statement that writes `count` rows. */
  insert(count: number): string {
    const { request } = this
    const marks = `(${request.columns.map(() => '?').join(', ')})`
    const rows = Array.from({ length: count }, () => marks).join(', ')
    const target = this.staged ? this.stage : this.live
    // Whatever conflict clauses the columns were declared with.
    const insert = `INSERT OR ABORT INTO ${target} (${this.names}) VALUES ${rows}`
    if (this.strategy.kind !== 'merge') return insert
    const loose = this.loose.map(quoteName)
    const rest = request.columns.filter(c => !request.keys.includes(c.name)).map(c => quoteName(c.name))
    const set = (rest.length > 0 ? rest : loose.slice(0, 1)).map(c => `${c} = excluded.${c}`).join(', ')
    // A row whose key is written otherwise is not updated: the writer counts.
    const same = loose.map(c => `${target}.${c} = excluded.${c} COLLATE BINARY`).join(' AND ')
    const action = set === '' ? 'DO NOTHING' : `DO UPDATE SET ${set}${same === '' ? '' : ` WHERE ${same}`}`
    return `${insert} ON CONFLICT (${request.keys.map(quoteName).join(', ')}) ${action}`
  }

  /** What is wrong with the key of a row that the table takes for another one. */
  keyTaken(values: Stored[]): RowError | undefined {
    const { keys, columns, object } = this.request
    const of = (key: string) => values[columns.findIndex(c => c.name === key)]!
    const match = keys.map(key => `${quoteName(key)} = ?`).join(' AND ')
    const row = this.session.db
      .prepare(`SELECT ${keys.map(quoteName).join(', ')} FROM ${this.live} WHERE ${match}`)
      .get(...keys.map(of))
    const key = this.loose.find(k => row && row[k] !== of(k))
    return key === undefined ? undefined : oneKey(object, key, of(key), row![key])
  }

  override async alter(): Promise<void> {
    await this.within(async client => {
      const there = await client.query(`SELECT name FROM pragma_table_info(${quoteText(this.name)})`)
      for (const { kind, column, native, missing } of this.request.alter ?? []) {
        // A declared type does not limit what SQLite can store: wider values fit unchanged.
        if (kind === 'widen' || there.some(c => c.name === column)) continue
        const fill = missing === undefined ? '' : ` DEFAULT ${quoteText(missing)}`
        await client.query(`ALTER TABLE ${this.live} ADD COLUMN ${quoteName(column)} ${native}${fill}`)
      }
    })
  }

  protected async writer(split: Split, _offer: Offer, work: WriterWork): Promise<SplitWriter> {
    return new SqliteSplitWriter(this, split, work.from)
  }

  /** A text of the job may be several statements. */
  protected override async execute(_client: LedgerClient, statement: string): Promise<void> {
    this.db.exec(statement)
  }

  protected override async changeOver(client: LedgerClient): Promise<void> {
    await super.changeOver(client)
    if (this.staged && this.request.existing) this.checkForeignKeys()
  }

  /** Enforcement is off while rows are replaced, since deleting them would cascade: the result is checked instead. */
  private checkForeignKeys(): void {
    const violation = this.session.db
      .prepare('SELECT "table" AS child, parent FROM pragma_foreign_key_check WHERE parent = ? OR "table" = ? LIMIT 1')
      .get(this.name, this.name)
    if (!violation) return
    throw new RowError(
      'FERRY-4005',
      `after the overwrite, rows of ${violation.child} would refer to none of ${violation.parent}`,
    )
  }

  protected async client() {
    return ledgerClient(this.db)
  }

  protected async changeTable() {
    return changeTable(this, this.db)
  }

  protected explain(error: unknown) {
    return translate(error, this.request.object)
  }
}
