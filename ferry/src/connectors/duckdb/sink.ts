import { FERRY_CSV } from '../../batch/encoding.ts'
import { type Offer, ROWS } from '../../contract/encodings.ts'
import type { SinkSession, SinkTable, SplitWriter, WriterWork } from '../../contract/sink.ts'
import type { Split } from '../../contract/split.ts'
import type { RunIdentity, WriteRequest } from '../../contract/write.ts'
import { Duckdb, quoteName, quoteText, translate } from '../../duckdb/engine.ts'
import { toNative } from '../../duckdb/logical.ts'
import { hasPipes } from '../../duckdb/pipe.ts'
import { appliesRows } from '../changes/applier.ts'
import type { DatabaseFile } from '../databasefile.ts'
import { LEDGER, Ledger } from '../ledger.ts'
import { Mutex } from '../mutex.ts'
import { fileTable, OneConnectionTable } from '../sql/oneconnection.ts'
import { chooseStrategy, type Strategy } from '../sql/strategy.ts'
import { changeTable, DIALECT } from './apply.ts'
import { qualified, splitName } from './catalog.ts'
import { type DuckdbTarget, ledgerClient } from './target.ts'
import { DuckdbSplitWriter } from './writer.ts'

/** Writing to a database file. All tables of a run share one connection, and its transactions take turns. */
export class DuckdbSink implements SinkSession {
  readonly run: RunIdentity
  private readonly file: DatabaseFile
  private opened: Promise<Duckdb> | undefined
  readonly mutex = new Mutex()

  constructor(file: DatabaseFile, run: RunIdentity) {
    this.file = file
    this.run = run
  }

  db(): Promise<Duckdb> {
    this.opened ??= Duckdb.open(this.file.policy, this.file.path, 'write')
    return this.opened
  }

  async table(request: WriteRequest): Promise<SinkTable> {
    const live = request.existing && fileTable(request, request.existing.columns)
    return new DuckdbSinkTable(this, request, await chooseStrategy(request, live))
  }

  async close(): Promise<void> {
    const db = await this.opened?.catch(() => undefined)
    await db?.close()
    this.opened = undefined
  }
}

class DuckdbSinkTable extends OneConnectionTable implements DuckdbTarget {
  declare readonly ledger: Ledger
  readonly target: { schema: string; table: string }
  readonly live: string
  private readonly session: DuckdbSink
  protected readonly dialect = DIALECT

  constructor(session: DuckdbSink, request: WriteRequest, strategy: Strategy) {
    super(session.run, request, strategy, new Ledger(LEDGER, session.run, request.ordinal))
    this.session = session
    this.target = splitName(request.object)
    this.live = qualified(this.target)
    this.describePlan()
  }

  get mutex(): Mutex {
    return this.session.mutex
  }

  db(): Promise<Duckdb> {
    return this.session.db()
  }

  protected quote(name: string): string {
    return quoteName(name)
  }

  protected beside(table: string): string {
    return qualified({ schema: this.target.schema, table })
  }

  get intakeTarget(): { schema: string; table: string } {
    return this.staged ? { schema: this.target.schema, table: this.stageTable } : this.target
  }

  get columns() {
    return this.request.columns.map(c => ({ name: c.name, type: c.type }))
  }

  get offers(): Offer[] {
    // Rows that are applied by key, or that may be skipped, are looked at one by one.
    if (appliesRows(this.request) || this.request.skipBadRows) return [ROWS]
    const types = this.request.columns.map(c => c.type)
    const query: Offer = { encoding: 'duckdb-sql', types }
    const hasText = types.every(t => !['list', 'struct', 'map', 'interval'].includes(t.kind))
    if (!hasPipes || !hasText) return [query, ROWS]
    return [query, { encoding: 'csv', types, dialect: FERRY_CSV, misfits: 'rounded' }, ROWS]
  }

  protected override preliminaries(): string[] {
    const { schema } = this.target
    return schema === 'main' ? [] : [`CREATE SCHEMA IF NOT EXISTS ${quoteName(schema)}`]
  }

  protected createTable(name: string): string {
    const { columns, keys } = this.request
    const lines = columns.map(
      c =>
        `${quoteName(c.name)} ${toNative(c.type)}${c.nullable && !keys.includes(c.name) ? '' : ' NOT NULL'}` +
        (c.filled?.by === 'text' ? ` DEFAULT ${quoteText(c.filled.text)}` : ''),
    )
    if (keys.length > 0) lines.push(`PRIMARY KEY (${keys.map(quoteName).join(', ')})`)
    return `CREATE TABLE IF NOT EXISTS ${name} (\n  ${lines.join(',\n  ')}\n)`
  }

  protected createLike(): string[] {
    return [`CREATE TABLE IF NOT EXISTS ${this.stage} AS SELECT ${this.names} FROM ${this.live} LIMIT 0`]
  }

  protected rename(): string[] {
    return [`ALTER TABLE ${this.stage} RENAME TO ${quoteName(this.target.table)}`]
  }

  protected loading(): string[] {
    return []
  }

  protected async writer(split: Split, _offer: Offer, work: WriterWork): Promise<SplitWriter> {
    return new DuckdbSplitWriter(this, split, work.from)
  }

  protected async client() {
    return ledgerClient(await this.db())
  }

  protected async changeTable() {
    return changeTable(this, await this.db())
  }

  protected explain(error: unknown) {
    return translate(error, this.request.object)
  }
}
