import { FERRY_CSV } from '../../batch/encoding.ts'
import { type Offer, ROWS } from '../../contract/encodings.ts'
import type { SinkSession, SinkTable, SplitWriter, WriterWork } from '../../contract/sink.ts'
import type { Split } from '../../contract/split.ts'
import type { RunIdentity, WriteRequest } from '../../contract/write.ts'
import { Duckdb, quoteName, quoteText, translate } from '../../duckdb/engine.ts'
import { toNative } from '../../duckdb/logical.ts'
import { hasPipes } from '../../duckdb/pipe.ts'
import { appliesRows } from '../changes/applier.ts'
import type { ChangeTable } from '../changes/changetable.ts'
import { looseNotes } from '../changes/loosekeys.ts'
import { LEDGER, Ledger, type LedgerClient, stageName } from '../ledger.ts'
import { SqlSinkTable } from '../sql/sinktable.ts'
import { Turns } from '../turns.ts'
import { changeTable } from './apply.ts'
import { qualified, splitName } from './catalog.ts'
import { DuckdbSplitWriter } from './writer.ts'

/** Writing to a database file. All tables of a run share one connection, and its transactions take turns. */
export class DuckdbSink implements SinkSession {
  readonly run: RunIdentity
  private readonly path: string
  private opened: Promise<Duckdb> | undefined
  readonly turns = new Turns()

  constructor(path: string, run: RunIdentity) {
    this.path = path
    this.run = run
  }

  db(): Promise<Duckdb> {
    this.opened ??= Duckdb.open(this.path, 'write')
    return this.opened
  }

  async table(request: WriteRequest): Promise<SinkTable> {
    return new DuckdbSinkTable(this, request)
  }

  async close(): Promise<void> {
    const db = await this.opened?.catch(() => undefined)
    await db?.close()
    this.opened = undefined
  }
}

export class DuckdbSinkTable extends SqlSinkTable implements SinkTable {
  readonly plan
  readonly unit = 'split'
  readonly lanes = 1
  readonly session: DuckdbSink
  readonly target: { schema: string; table: string }
  readonly stage: { schema: string; table: string }
  readonly ledger: Ledger

  constructor(session: DuckdbSink, request: WriteRequest) {
    super(session.run, request)
    this.session = session
    this.target = splitName(request.object)
    this.stage = { schema: this.target.schema, table: stageName(session.run, request.ordinal) }
    this.ledger = new Ledger(LEDGER, session.run, request.ordinal)
    this.plan = {
      statements: [...this.preparation(), ...this.publication()],
      guarantee: 'exactly once: each split commits with its ledger line',
      notes: looseNotes(request),
    }
  }

  get staged(): boolean {
    return this.request.update === 'overwrite'
  }

  get intakeTarget(): { schema: string; table: string } {
    return this.staged ? this.stage : this.target
  }

  get columns() {
    return this.request.columns.map(c => ({ name: c.name, type: c.type }))
  }

  get names(): string {
    return this.request.columns.map(c => quoteName(c.name)).join(', ')
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

  private create(name: { schema: string; table: string }): string {
    const { columns, keys } = this.request
    const lines = columns.map(
      c =>
        `${quoteName(c.name)} ${toNative(c.type)}${c.nullable && !keys.includes(c.name) ? '' : ' NOT NULL'}` +
        (c.filled?.by === 'text' ? ` DEFAULT ${quoteText(c.filled.text)}` : ''),
    )
    if (keys.length > 0) lines.push(`PRIMARY KEY (${keys.map(quoteName).join(', ')})`)
    return `CREATE TABLE IF NOT EXISTS ${qualified(name)} (\n  ${lines.join(',\n  ')}\n)`
  }

  protected preparation(): string[] {
    const { request } = this
    const statements = [...request.before]
    if (this.target.schema !== 'main') statements.push(`CREATE SCHEMA IF NOT EXISTS ${quoteName(this.target.schema)}`)
    if (!request.existing) statements.push(this.create(this.intakeTarget))
    else if (this.staged) {
      const select = `SELECT ${this.names} FROM ${qualified(this.target)} LIMIT 0`
      statements.push(`CREATE TABLE IF NOT EXISTS ${qualified(this.stage)} AS ${select}`)
    }
    if (request.truncate && !this.staged && request.existing) statements.push(`DELETE FROM ${qualified(this.target)}`)
    return statements
  }

  private publication(): string[] {
    const { request } = this
    const live = qualified(this.target)
    const stage = qualified(this.stage)
    if (!this.staged) return request.after
    if (!request.existing) {
      return [`ALTER TABLE ${stage} RENAME TO ${quoteName(this.target.table)}`, ...request.after]
    }
    const insert = `INSERT INTO ${live} (${this.names}) SELECT ${this.names} FROM ${stage}`
    return [`DELETE FROM ${live}`, insert, `DROP TABLE ${stage}`, ...request.after]
  }

  async alter(): Promise<void> {
    const live = qualified(this.target)
    await this.within(async client => {
      for (const { kind, column, native, missing } of this.request.alter ?? []) {
        const name = quoteName(column)
        const fill = missing === undefined ? '' : ` DEFAULT ${quoteText(missing)}`
        await client.query(
          kind === 'add'
            ? `ALTER TABLE ${live} ADD COLUMN IF NOT EXISTS ${name} ${native}${fill}`
            : `ALTER TABLE ${live} ALTER COLUMN ${name} TYPE ${native}`,
        )
      }
    })
  }

  async transaction(work: (table: ChangeTable, client: LedgerClient) => Promise<void>): Promise<void> {
    const db = await this.session.db()
    await this.within(client => client.transaction(() => work(changeTable(this, db), client)))
  }

  protected async writer(split: Split, _offer: Offer, work: WriterWork): Promise<SplitWriter> {
    return new DuckdbSplitWriter(this, split, work.from)
  }

  protected async changeOver(client: LedgerClient): Promise<void> {
    for (const statement of this.publication()) await client.query(statement)
  }

  protected get stageName(): string {
    return qualified(this.stage)
  }

  protected async within<T>(work: (client: LedgerClient) => Promise<T>): Promise<T> {
    const done = await this.session.turns.take()
    try {
      return await work(ledgerClient(await this.session.db()))
    } catch (error) {
      throw translate(error, this.request.object)
    } finally {
      done()
    }
  }
}

/** Statements in SQL text over the run's connection. */
export function ledgerClient(db: Duckdb): LedgerClient {
  return {
    query: sql => db.all(sql),
    async transaction(work) {
      await db.run('BEGIN')
      try {
        await work()
        await db.run('COMMIT')
      } catch (error) {
        await db.run('ROLLBACK').catch(() => undefined)
        throw error
      }
    },
  }
}
