import type pg from 'pg'
import { type Row, typeName } from '../../batch/types.ts'
import { type Offer, ROWS } from '../../contract/encodings.ts'
import type { SinkSession, SinkTable, SplitWriter, WriterWork } from '../../contract/sink.ts'
import type { Split } from '../../contract/split.ts'
import type { RunIdentity, WriteRequest } from '../../contract/write.ts'
import { FerryError, RowError } from '../../errors.ts'
import { appliesRows } from '../changes/applier.ts'
import type { ChangeTable } from '../changes/changetable.ts'
import { looseNotes, requireOwnKeys } from '../changes/loosekeys.ts'
import { formerEpochs, LEDGER, Ledger, type LedgerClient, STANDARD, stageName } from '../ledger.ts'
import { SqlSinkTable } from '../sql/sinktable.ts'
import { changeTable } from './apply.ts'
import { BinaryWriter } from './binarywrite.ts'
import type { PostgresColumn, PostgresTable } from './catalog.ts'
import { describeTable, qualified } from './catalog.ts'
import { connect, inTransaction, ledgerClient, quoteName, quoteText, splitName, translate } from './client.ts'
import { TextWriter } from './copytext.ts'
import { ConnectionPool } from './pool.ts'
import { advanceSequences, swapTables } from './publish.ts'
import type { PostgresSettings } from './settings.ts'
import * as sql from './statements.ts'
import { isKnown, toNative } from './types.ts'
import { wireType } from './wire.ts'
import { PostgresSplitWriter } from './writer.ts'

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
    // Whoever needs it is told.
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

/** How the destination is filled; decided when the table is opened, from what hangs on it. */
export type Way =
  /** Straight into the live table. */
  | { kind: 'direct' }
  /** Through a temporary table and an upsert, split by split. */
  | { kind: 'merge'; conflict: boolean }
  /** Into a staging table; at the end it becomes the table, or its rows replace the table's. */
  | { kind: 'stage'; publish: 'rename' | 'swap' | 'refill' | 'byKey' }

export class PostgresSinkTable extends SqlSinkTable implements SinkTable {
  readonly plan: { statements: string[]; guarantee: string; notes: string[] } = {
    statements: [],
    guarantee: '',
    notes: [],
  }
  readonly unit: 'split' | 'table'
  readonly lanes: number
  readonly session: PostgresSink
  readonly way: Way
  readonly ledger: Ledger | undefined
  readonly target: { schema: string; table: string }
  readonly stage: { schema: string; table: string }
  /** Staging tables of processes that had the run before. */
  private readonly formerStages: string[]
  /** Whether an identity column needs OVERRIDING SYSTEM VALUE in an INSERT. */
  readonly overriding: boolean
  private readonly columns: PostgresColumn[]
  private probe: BinaryWriter | TextWriter | undefined

  private constructor(
    session: PostgresSink,
    request: WriteRequest,
    way: Way,
    hasLedger: boolean,
    existing: PostgresTable | undefined,
  ) {
    super(session.run, request)
    this.session = session
    this.way = way
    this.target = splitName(request.object, session.settings.schema)
    const stage = stageName(session.run, request.ordinal)
    // Without a ledger nothing tells one process's rows from those of another that had the run before.
    const own = hasLedger ? '' : `_${session.run.epoch}`
    this.stage = { schema: this.target.schema, table: `${stage}${own}` }
    this.formerStages = hasLedger ? [] : formerEpochs(session.run).map(epoch => `${stage}_${epoch}`)
    const ledger = qualified({ schema: this.target.schema, table: LEDGER })
    this.ledger = hasLedger ? new Ledger(ledger, session.run, request.ordinal, LEDGER_DIALECT) : undefined
    this.unit = hasLedger ? 'split' : 'table'
    this.lanes = !hasLedger || (way.kind === 'merge' && !way.conflict) ? 1 : 16
    const found = new Map(existing?.columns.map(c => [c.name, c]))
    const altered = new Set(request.alter?.map(a => a.column))
    this.columns = request.columns.map(c => {
      const there = altered.has(c.name) ? undefined : found.get(c.name)
      return there ?? created(c.name, c.native ?? toNative(c.type))
    })
    this.overriding = this.columns.some(c => c.identity === 'a')
    this.describePlan()
  }

  static async open(session: PostgresSink, client: pg.Client, request: WriteRequest): Promise<PostgresSinkTable> {
    const target = splitName(request.object, session.settings.schema)
    const existing = request.existing && (await describeTable(client, request.object, session.settings.schema))
    if (request.existing && !existing) {
      throw new FerryError('FERRY-5007', `${request.object} was there when the run was planned, and is gone`)
    }
    const way = await chooseWay(client, request, existing)
    const triggers = existing && way.kind !== 'stage' ? await triggersOf(client, existing.oid) : []
    const hasLedger = await session.mayKeepLedger(client, target.schema)
    const table = new PostgresSinkTable(session, request, way, hasLedger, existing)
    if (triggers.length > 0) table.plan.notes.push(`triggers of the table may change its rows: ${triggers.join(', ')}`)
    return table
  }

  /** Where COPY writes to. */
  get copyTarget(): string {
    if (this.way.kind === 'merge') return 'ferry_merge'
    return qualified(this.way.kind === 'stage' ? this.stage : this.target)
  }

  leftOut(taken: number, given: number): RowError {
    return new RowError(
      'FERRY-4005',
      `${this.request.object}: the server took ${taken} of ${given} rows: a trigger or a rule leaves rows out`,
      undefined,
      { hint: 'Disable it for the copy, or copy into a table of its own.' },
    )
  }

  /** Throws where a staged row has gone into one of another key. */
  requireOwnKeys(client: Pick<LedgerClient, 'query'>, stage: string): Promise<void> {
    const table = {
      live: qualified(this.target),
      quote: quoteName,
      dialect: sql,
      first: async (text: string) => (await client.query(text))[0],
    }
    return requireOwnKeys(table, this.request, stage)
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

  /** Columns as the rows encoding writes them: binary where every type has an encoder here, else text. */
  writerColumns() {
    return this.request.columns.map((c, i) => ({ name: c.name, type: c.type, native: this.columns[i]!.base }))
  }

  get binaryRows(): boolean {
    return this.columns.every(c => isKnown(c.base) || wireType(c) === 'text')
  }

  refuses(row: Row): RowError | undefined {
    this.probe ??= this.binaryRows ? new BinaryWriter(this.writerColumns()) : new TextWriter(this.writerColumns())
    try {
      this.probe.row(row)
      return undefined
    } catch (error) {
      if (error instanceof RowError) return error
      throw error
    } finally {
      this.probe.take()
    }
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

  /** Works on the connection for everything but rows; what the server says against it is told as of this table. */
  protected async within<T>(work: (client: LedgerClient) => Promise<T>): Promise<T> {
    const client = await this.session.client()
    try {
      await this.session.evict()
      return await work(ledgerClient(client))
    } catch (error) {
      throw translate(error, this.request.object)
    }
  }

  /** What runs once, before the first row. */
  protected preparation(): string[] {
    const { request, way, target, stage } = this
    const statements = [...request.before]
    const isNew = !request.existing
    if (isNew) statements.push(`CREATE SCHEMA IF NOT EXISTS ${quoteName(target.schema)}`)
    if (way.kind === 'stage') {
      // A stage that an earlier try without a ledger left behind holds unknown rows.
      const { schema } = stage
      const former = [stage.table, ...this.formerStages].map(table => qualified({ schema, table }))
      if (!this.ledger) statements.push(`DROP TABLE IF EXISTS ${former.join(', ')}`)
      statements.push(
        isNew
          ? sql.createTable(stage, request.columns, [])
          : `CREATE TABLE IF NOT EXISTS ${qualified(stage)} (LIKE ${qualified(target)}${way.publish === 'swap' ? ' INCLUDING ALL EXCLUDING INDEXES' : ''})`,
      )
      if (!isNew && way.publish !== 'swap') {
        // Columns that get no value stay null in the stage; the live table's defaults fill them on publishing.
        const mapped = new Set(this.columnNames)
        for (const c of request.existing!.columns) {
          if (!c.nullable && !mapped.has(c.name)) {
            statements.push(`ALTER TABLE ${qualified(stage)} ALTER COLUMN ${quoteName(c.name)} DROP NOT NULL`)
          }
        }
      }
    } else {
      if (isNew) statements.push(sql.createTable(target, request.columns, way.kind === 'merge' ? request.keys : []))
      if (request.truncate) statements.push(`TRUNCATE ${qualified(target)}`)
    }
    return statements.filter(s => !s.startsWith('CREATE SCHEMA') || target.schema !== 'public')
  }

  /** Rows of the staging table into the live one, which foreign keys point at. */
  private replacing(): string[] {
    const { way, target, stage, request, columnNames, overriding } = this
    if (way.kind !== 'stage' || way.publish !== 'byKey') return []
    return sql.replaceByKey(qualified(target), qualified(stage), columnNames, request.keys, overriding)
  }

  /** What runs once, after the last split. */
  private publication(): string[] {
    const { request, way, target, stage } = this
    const live = qualified(target)
    const staged = qualified(stage)
    const columns = this.columnNames
    const statements: string[] = []
    const addKey = (table: string) => {
      if (request.keys.length > 0) statements.push(`ALTER TABLE ${table} ADD PRIMARY KEY (${sql.names(request.keys)})`)
    }
    if (way.kind === 'direct' && !request.existing) addKey(live)
    if (way.kind === 'stage') {
      const insert = `INSERT INTO ${live} (${sql.names(columns)})${this.overriding ? ' OVERRIDING SYSTEM VALUE' : ''} SELECT ${sql.names(columns)} FROM ${staged}`
      if (way.publish === 'rename') {
        addKey(staged)
        statements.push(`ALTER TABLE ${staged} RENAME TO ${quoteName(target.table)}`)
      } else if (way.publish === 'refill') {
        statements.push(`TRUNCATE ${live}`, insert)
      }
    }
    return [...statements, ...request.after]
  }

  /** Drops the staging table whose rows are in the live one. Throws FERRY-4005 where some of them are not. */
  private async requireAll(client: LedgerClient): Promise<void> {
    const { way, target, stage, request } = this
    if (way.kind !== 'stage' || way.publish === 'rename' || way.publish === 'swap') return
    if (request.after.length === 0) {
      const [row] = await client.query(
        `SELECT (SELECT count(*) FROM ${qualified(stage)}) AS given, (SELECT count(*) FROM ${qualified(target)}) AS taken`,
      )
      if (Number(row!.given) !== Number(row!.taken)) throw this.leftOut(Number(row!.taken), Number(row!.given))
    }
    await client.query(`DROP TABLE ${qualified(stage)}`)
  }

  protected async writer(split: Split, offer: Offer, work: WriterWork): Promise<SplitWriter> {
    return new PostgresSplitWriter(this, split, await this.session.pool.take(), offer, work.from)
  }

  protected async changeOver(client: LedgerClient): Promise<void> {
    if (this.way.kind === 'stage' && this.way.publish === 'swap') await swapTables(client, this.target, this.stage)
    const replacing = this.replacing()
    for (const statement of replacing) await client.query(statement)
    if (replacing.length > 0) await this.requireOwnKeys(client, qualified(this.stage))
    for (const statement of this.publication()) await client.query(statement)
    await this.requireAll(client)
    const counts = this.request.existing || this.request.columns.some(c => c.filled?.by === 'numbers')
    if (counts) await advanceSequences(client, this.target, this.columnNames)
  }

  protected get stageName(): string {
    return qualified(this.stage)
  }

  get staged(): boolean {
    return this.way.kind === 'stage'
  }

  private describePlan(): void {
    const { way, plan, request } = this
    plan.notes.push(...looseNotes(request))
    plan.statements.push(...this.preparation())
    if (way.kind === 'merge')
      plan.statements.push('-- each split: COPY into a temporary table, then INSERT ... ON CONFLICT by key')
    else plan.statements.push(sql.copyIn(this.copyTarget, this.columnNames, '...'))
    if (way.kind === 'stage' && way.publish === 'swap') {
      plan.statements.push(`-- at the end, in one transaction: the staging table takes the place of ${request.object}`)
    }
    plan.statements.push(...this.replacing(), ...this.publication())
    if (this.ledger) plan.guarantee = 'exactly once: each split commits with its ledger line'
    else if (way.kind === 'merge') plan.guarantee = 'exactly once by key: a repeated split writes the same rows again'
    else if (way.kind === 'stage') plan.guarantee = 'exactly once: staged in one transaction, published at once'
    else plan.guarantee = 'all or nothing in one transaction; a crash in the moment of its commit can repeat it'
    if (!this.ledger) plan.notes.push(`no ledger table in schema ${this.target.schema}: one transaction for the table`)
    if (way.kind === 'stage' && way.publish === 'refill') {
      plan.notes.push(
        'the table keeps its identity (something depends on it): its rows are replaced in one transaction',
      )
    }
    for (const [i, c] of request.columns.entries()) {
      if (this.columns[i]!.base.startsWith('character(') && c.sourceNative !== this.columns[i]!.native) {
        plan.notes.push(`${c.name} (${this.columns[i]!.native}) fills texts up with spaces`)
      }
      if (
        !request.existing &&
        this.columns[i]!.native === 'text' &&
        c.sourceNative &&
        c.type.kind === 'utf8' &&
        c.sourceType.kind !== 'utf8'
      ) {
        plan.notes.push(`${c.name}: ${typeName(c.sourceType)} is created as text`)
      }
    }
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

async function chooseWay(client: pg.Client, request: WriteRequest, existing: PostgresTable | undefined): Promise<Way> {
  if (existing && existing.kind !== 'r' && existing.kind !== 'p' && request.update !== 'append') {
    throw new FerryError('FERRY-3006', `${request.object} is not a table: only append can write to it`)
  }
  if (request.update === 'append') return { kind: 'direct' }
  if (request.update === 'merge') {
    // Rows of a snapshot that come into a new table have a key each: nothing is to be compared.
    if (!existing) return request.follows?.log ? { kind: 'direct' } : { kind: 'merge', conflict: true }
    const { rows } = await client.query(sql.UNIQUE_ON, [existing.oid, request.keys])
    return { kind: 'merge', conflict: rows[0].found }
  }
  if (!existing) return { kind: 'stage', publish: 'rename' }
  const inbound = await client.query(sql.INBOUND_KEYS, [existing.oid])
  if (inbound.rows[0].count > 0) {
    const { rows } = await client.query(sql.UNIQUE_ON, [existing.oid, request.keys])
    if (!rows[0].found) {
      throw new FerryError(
        'FERRY-3005',
        `${request.object} is referenced by foreign keys: overwriting it needs its keys`,
      )
    }
    return { kind: 'stage', publish: 'byKey' }
  }
  const { rows } = await client.query(sql.HAS_DEPENDANTS, [existing.oid])
  const partial = existing.columns.some(c => !c.generated && !request.columns.some(r => r.name === c.name))
  return { kind: 'stage', publish: rows[0].found || partial ? 'refill' : 'swap' }
}
