/**
 * A destination table in PostgreSQL, for one run.
 *
 * One file: one class; its statements, its writer and what it publishes are in files of their own.
 */
import type pg from 'pg'
import { typeName } from '../../batch/types.ts'
import { type Offer, ROWS } from '../../contract/encodings.ts'
import type { SinkSession, SinkTable, SplitWriter, WriterWork } from '../../contract/sink.ts'
import type { Split } from '../../contract/split.ts'
import type { RunIdentity, WriteRequest } from '../../contract/write.ts'
import { FerryError, RowError } from '../../errors.ts'
import { appliesRows } from '../changes/applier.ts'
import type { ChangeTable } from '../changes/changetable.ts'
import { LEDGER, Ledger, type LedgerClient, STANDARD } from '../ledger.ts'
import { SqlSinkTable } from '../sql/sinktable.ts'
import { chooseStrategy, type LiveTable, type Strategy } from '../sql/strategy.ts'
import { changeTable } from './apply.ts'
import type { PostgresColumn, PostgresTable } from './catalog.ts'
import { describeTable, qualified } from './catalog.ts'
import { connect, inTransaction, ledgerClient, quoteName, splitName, translate } from './client.ts'
import { ConnectionPool } from './pool.ts'
import { advanceSequences, swapTables } from './publish.ts'
import type { PostgresSettings } from './settings.ts'
import * as sql from './statements.ts'
import { type EncodedColumn, encoderOf, type PostgresTarget } from './target.ts'
import { isKnown, toNative } from './types.ts'
import { wireType } from './wire.ts'
import { MERGE, PostgresSplitWriter } from './writer.ts'

export class PostgresSink implements SinkSession {
  readonly settings: PostgresSettings
  readonly run: RunIdentity
  readonly pool: ConnectionPool
  private readonly control: Promise<pg.Client>
  private evicted: Promise<void> | undefined
  private readonly ledgers = new Map<string, Promise<void>>()

  constructor(settings: PostgresSettings, run: RunIdentity) {
    this.settings = settings
    this.run = run
    const name = sessionName(run.run, run.epoch)
    this.pool = new ConnectionPool(settings, { name })
    this.control = connect(settings, { name })
    // Avoids an unhandled rejection: who awaits it gets the error.
    this.control.catch(() => undefined)
  }

  async table(request: WriteRequest): Promise<SinkTable> {
    const client = await this.client()
    try {
      return await PostgresSinkTable.open(this, client, request)
    } catch (error) {
      throw translate(error, request.object)
    }
  }

  /** The connection for everything but rows. */
  client(): Promise<pg.Client> {
    return this.control
  }

  /**
   * Ends the sessions of processes that had the run before: one that was stopped, or that a broken network cut off, would
   * keep its transaction, and this process waiting, for hours. What it has not committed is rolled back.
   */
  evict(): Promise<void> {
    this.evicted ??= this.run.epoch > 1 ? this.endFormer() : Promise.resolve()
    return this.evicted
  }

  private async endFormer(): Promise<void> {
    const client = await this.client()
    const { rows } = await client.query(
      `SELECT pid, application_name AS name FROM pg_stat_activity
       WHERE datname = current_database() AND starts_with(application_name, $1)`,
      [sessionName(this.run.run)],
    )
    const former = rows.filter(r => Number(r.name.slice(r.name.lastIndexOf(' ') + 1)) < this.run.epoch)
    // A server that does not let this user end them makes it wait for them.
    await client
      .query('SELECT pg_terminate_backend(pid) FROM unnest($1::int[]) AS pid', [former.map(r => r.pid)])
      .catch(() => undefined)
  }

  /** Whether the user may create a ledger in this schema; `plan` asks without creating it. */
  async mayKeepLedger(client: pg.Client, schema: string): Promise<boolean> {
    if (this.settings.ledger === 'off') return false
    const { rows } = await client.query(
      `SELECT to_regclass($2) IS NOT NULL AND has_table_privilege(to_regclass($2), 'SELECT, INSERT, UPDATE, DELETE')
         OR EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = $1 AND has_schema_privilege(oid, 'CREATE'))
         OR NOT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = $1) AS ok`,
      [schema, qualified({ schema, table: LEDGER })],
    )
    return rows[0].ok
  }

  /** Makes the schema and its ledger, once a session; several tables and processes may ask at the same time. */
  ensureLedger(schema: string, create: string): Promise<void> {
    let ready = this.ledgers.get(schema)
    if (!ready) {
      ready = this.createLedger(schema, create)
      this.ledgers.set(schema, ready)
    }
    return ready
  }

  private async createLedger(schema: string, create: string): Promise<void> {
    const client = await this.client()
    if (await hasLedger(client, schema)) return
    await inTransaction(client, async () => {
      await client.query(`SELECT pg_advisory_xact_lock(hashtext('ferry_ledger'))`)
      await ensureSchema(client, schema)
      await client.query(create)
    })
  }

  async close(): Promise<void> {
    await this.pool.close()
    const client = await this.control.catch(() => undefined)
    await client?.end().catch(() => undefined)
  }
}

/** How the server knows the sessions of a run, and those of one epoch of it. */
function sessionName(run: string, epoch?: number): string {
  return `ferry ${run.slice(0, 44)} ${epoch ?? ''}`
}

async function hasLedger(client: pg.Client, schema: string): Promise<boolean> {
  const { rows } = await client.query('SELECT to_regclass($1) IS NOT NULL AS there', [
    qualified({ schema, table: LEDGER }),
  ])
  return rows[0].there
}

async function ensureSchema(client: pg.Client, schema: string): Promise<void> {
  const { rows } = await client.query('SELECT 1 FROM pg_namespace WHERE nspname = $1', [schema])
  if (rows.length === 0) await client.query(`CREATE SCHEMA IF NOT EXISTS ${quoteName(schema)}`)
}

/** Locks keep the fence as it is while writers work. */
const LEDGER_DIALECT = { ...STANDARD, share: ' FOR SHARE' }

/** What the strategy asks of a table that is there. */
function liveTable(client: pg.Client, { keys }: WriteRequest, table: PostgresTable): LiveTable {
  const hasUniqueKeys = async () => (await client.query(sql.UNIQUE_ON, [table.oid, keys])).rows[0].found
  return {
    isTable: table.kind === 'r' || table.kind === 'p',
    columns: table.columns,
    mergesByIndex: hasUniqueKeys,
    hasUniqueKeys,
    isReferenced: async () => (await client.query(sql.INBOUND_KEYS, [table.oid])).rows[0].count > 0,
    hasDependants: async () => (await client.query(sql.HAS_DEPENDANTS, [table.oid])).rows[0].found,
  }
}

class PostgresSinkTable extends SqlSinkTable implements PostgresTarget {
  readonly lanes: number
  readonly live: string
  readonly overriding: boolean
  private readonly session: PostgresSink
  private readonly target: { schema: string; table: string }
  private readonly columns: PostgresColumn[]
  protected readonly dialect = sql

  private constructor(
    session: PostgresSink,
    request: WriteRequest,
    strategy: Strategy,
    { hasLedger, existing, triggers }: { hasLedger: boolean; existing: PostgresTable | undefined; triggers: string[] },
  ) {
    const target = splitName(request.object, session.settings.schema)
    const name = qualified({ schema: target.schema, table: LEDGER })
    const ledger = hasLedger ? new Ledger(name, session.run, request.ordinal, LEDGER_DIALECT) : undefined
    super(session.run, request, strategy, ledger)
    this.session = session
    this.target = target
    this.live = qualified(target)
    this.lanes = !hasLedger || (strategy.kind === 'merge' && !strategy.byIndex) ? 1 : 16
    const found = new Map(existing?.columns.map(c => [c.name, c]))
    const altered = new Set(request.alter?.map(a => a.column))
    this.columns = request.columns.map(c => {
      const there = altered.has(c.name) ? undefined : found.get(c.name)
      return there ?? created(c.name, c.native ?? toNative(c.type))
    })
    this.overriding = this.columns.some(c => c.identity === 'a')
    this.describePlan(this.notes(triggers))
  }

  static async open(session: PostgresSink, client: pg.Client, request: WriteRequest): Promise<PostgresSinkTable> {
    const target = splitName(request.object, session.settings.schema)
    const existing = request.existing && (await describeTable(client, request.object, session.settings.schema))
    if (request.existing && !existing) {
      throw new FerryError('FERRY-5007', `${request.object} was there when the run was planned, and is gone`)
    }
    const strategy = await chooseStrategy(request, existing && liveTable(client, request, existing))
    const triggers = existing && strategy.kind !== 'stage' ? await triggersOf(client, existing.oid) : []
    const hasLedger = await session.mayKeepLedger(client, target.schema)
    return new PostgresSinkTable(session, request, strategy, { hasLedger, existing, triggers })
  }

  get pool(): ConnectionPool {
    return this.session.pool
  }

  protected quote(name: string): string {
    return quoteName(name)
  }

  protected beside(table: string): string {
    return qualified({ schema: this.target.schema, table })
  }

  get copyTarget(): string {
    if (this.strategy.kind === 'merge') return MERGE
    return this.staged ? this.stage : this.live
  }

  leftOut(taken: number, given: number): RowError {
    return new RowError(
      'FERRY-4005',
      `${this.request.object}: the server took ${taken} of ${given} rows: a trigger or a rule leaves rows out`,
      undefined,
      { hint: 'Disable it for the copy, or copy into a table of its own.' },
    )
  }

  get offers(): Offer[] {
    // Rows that are applied by key, or that may be skipped, are looked at one by one.
    if (appliesRows(this.request) || this.request.skipBadRows) return [ROWS]
    const wire = this.columns.map(wireType)
    const types = this.request.columns.map(c => c.type)
    const bases = this.columns.map(c => c.base)
    return [
      { encoding: 'pg-copy-binary', wire },
      { encoding: 'csv', types, wire: bases, dialect: 'any', misfits: 'refused' },
      { encoding: 'pg-copy-text', wire },
      ROWS,
    ]
  }

  get encoded(): EncodedColumn[] {
    return this.request.columns.map((c, i) => ({ name: c.name, type: c.type, native: this.columns[i]!.base }))
  }

  get isBinary(): boolean {
    return this.columns.every(c => isKnown(c.base) || wireType(c) === 'text')
  }

  protected override encoder() {
    return encoderOf(this, this.encoded)
  }

  async transaction(work: (table: ChangeTable, client: Pick<LedgerClient, 'query'>) => Promise<void>): Promise<void> {
    const { pool } = this.session
    const client = await pool.take()
    try {
      await inTransaction(client, async () => {
        // Only the index over the keys is of use, whatever the planner guesses of tables without statistics.
        await client.query('SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off')
        await work(changeTable(this, client), ledgerClient(client))
      })
      pool.release(client)
    } catch (error) {
      pool.drop(client)
      throw translate(error, this.request.object)
    }
  }

  protected override async createLedger(_client: LedgerClient, ledger: Ledger): Promise<void> {
    await this.session.ensureLedger(this.target.schema, ledger.create)
  }

  protected async within<T>(work: (client: LedgerClient) => Promise<T>): Promise<T> {
    const client = await this.session.client()
    try {
      await this.session.evict()
      return await work(ledgerClient(client))
    } catch (error) {
      throw translate(error, this.request.object)
    }
  }

  protected override preliminaries(): string[] {
    const { schema } = this.target
    return this.request.existing || schema === 'public' ? [] : [`CREATE SCHEMA IF NOT EXISTS ${quoteName(schema)}`]
  }

  /** The key comes last, once the rows are there; rows that are merged need it at once. */
  protected createTable(name: string): string {
    return sql.createTable(name, this.request.columns, this.strategy.kind === 'merge' ? this.request.keys : [])
  }

  protected createLike(): string[] {
    const { strategy, stage, live, request } = this
    const isSwap = strategy.kind === 'stage' && strategy.publish === 'swap'
    const like = `LIKE ${live}${isSwap ? ' INCLUDING ALL EXCLUDING INDEXES' : ''}`
    // Columns that get no value stay null in the stage; the live table's defaults fill them on publishing.
    const mapped = new Set(this.columnNames)
    const empty = isSwap ? [] : request.existing!.columns.filter(c => !c.nullable && !mapped.has(c.name))
    return [
      `CREATE TABLE IF NOT EXISTS ${stage} (${like})`,
      ...empty.map(c => `ALTER TABLE ${stage} ALTER COLUMN ${quoteName(c.name)} DROP NOT NULL`),
    ]
  }

  protected override clearing(): string {
    return `TRUNCATE ${this.live}`
  }

  protected override replacing(): string[] {
    return sql.replaceByKey(this.live, this.stage, this.columnNames, this.request.keys, this.overriding)
  }

  protected override completion(table: string): string[] {
    const { keys } = this.request
    return keys.length > 0 && this.strategy.kind !== 'merge'
      ? [`ALTER TABLE ${table} ADD PRIMARY KEY (${sql.names(keys)})`]
      : []
  }

  protected rename(): string[] {
    return [`ALTER TABLE ${this.stage} RENAME TO ${quoteName(this.target.table)}`]
  }

  protected override get overridingClause(): string {
    return this.overriding ? ' OVERRIDING SYSTEM VALUE' : ''
  }

  protected loading(): string[] {
    const { strategy, request } = this
    if (strategy.kind === 'merge') {
      return ['-- each split: COPY into a temporary table, then INSERT ... ON CONFLICT by key']
    }
    const copy = sql.copyIn(this.copyTarget, this.columnNames, '...')
    if (strategy.kind !== 'stage' || strategy.publish !== 'swap') return [copy]
    return [copy, `-- at the end, in one transaction: the staging table takes the place of ${request.object}`]
  }

  /** Throws FERRY-4005 if some of the staged rows are not in the live table. */
  protected override async requireFilled(client: LedgerClient): Promise<void> {
    const { strategy, stage, live } = this
    if (strategy.kind !== 'stage' || strategy.publish === 'rename' || strategy.publish === 'swap') return
    const [row] = await client.query(
      `SELECT (SELECT count(*) FROM ${stage}) AS given, (SELECT count(*) FROM ${live}) AS taken`,
    )
    if (Number(row!.given) !== Number(row!.taken)) throw this.leftOut(Number(row!.taken), Number(row!.given))
  }

  protected async writer(split: Split, offer: Offer, work: WriterWork): Promise<SplitWriter> {
    return new PostgresSplitWriter(this, split, await this.pool.take(), offer, work.from)
  }

  protected override async changeOver(client: LedgerClient): Promise<void> {
    const { strategy, target, request } = this
    if (strategy.kind === 'stage' && strategy.publish === 'swap') {
      await swapTables(client, target, { schema: target.schema, table: this.stageTable })
    }
    await super.changeOver(client)
    const counts = request.existing || request.columns.some(c => c.filled?.by === 'numbers')
    if (counts) await advanceSequences(client, target, this.columnNames)
  }

  private notes(triggers: string[]): string[] {
    const { strategy, request, columns } = this
    const notes: string[] = []
    if (!this.ledger) notes.push(`no ledger table in schema ${this.target.schema}: one transaction for the table`)
    if (strategy.kind === 'stage' && strategy.publish === 'refill') {
      notes.push('the table keeps its identity (something depends on it): its rows are replaced in one transaction')
    }
    for (const [i, c] of request.columns.entries()) {
      const { base, native } = columns[i]!
      if (base.startsWith('character(') && c.sourceNative !== native) {
        notes.push(`${c.name} (${native}) fills texts up with spaces`)
      }
      const becomesText = native === 'text' && c.type.kind === 'utf8' && c.sourceType.kind !== 'utf8'
      if (!request.existing && becomesText && c.sourceNative) {
        notes.push(`${c.name}: ${typeName(c.sourceType)} is created as text`)
      }
    }
    if (triggers.length > 0) notes.push(`triggers of the table may change its rows: ${triggers.join(', ')}`)
    return notes
  }
}

function created(name: string, native: string): PostgresColumn {
  return {
    name,
    type: { kind: 'utf8' },
    nullable: true,
    native,
    base: native,
    typeKind: 'b',
    identity: '',
    stored: false,
  }
}

/** Triggers that see each row before it is written. */
async function triggersOf(client: pg.Client, oid: number): Promise<string[]> {
  const { rows } = await client.query(
    `SELECT tgname AS name FROM pg_trigger WHERE tgrelid = $1 AND NOT tgisinternal AND tgenabled <> 'D' AND tgtype & 3 = 3 ORDER BY 1`,
    [oid],
  )
  return rows.map(r => r.name)
}
