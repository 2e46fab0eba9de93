import { jsonb, type Row } from '../../batch/types.ts'
import { type Offer, ROWS } from '../../contract/encodings.ts'
import type { SinkSession, SinkTable, SplitWriter, WriterWork } from '../../contract/sink.ts'
import type { Split } from '../../contract/split.ts'
import type { RunIdentity, WriteRequest } from '../../contract/write.ts'
import { FerryError, RowError } from '../../errors.ts'
import type { ChangeTable } from '../changes/changetable.ts'
import { looseKeys, looseNotes, matchKeys, requireOwnKeys } from '../changes/loosekeys.ts'
import { formerEpochs, LEDGER, Ledger, type LedgerClient, stageName } from '../ledger.ts'
import { SqlSinkTable } from '../sql/sinktable.ts'
import { changeTable } from './apply.ts'
import { type Dependants, dependantsOf, describe, type MysqlTable } from './catalog.ts'
import {
  type Connection,
  connect,
  cut,
  inTransaction,
  ledgerClient,
  type Name,
  qualified,
  query,
  quoteName,
  quoteText,
  splitName,
  translate,
} from './client.ts'
import { LoadEncoder, type WrittenColumn } from './encode.ts'
import type { MysqlSettings } from './settings.ts'
import * as sql from './statements.ts'
import { MysqlSplitWriter } from './writer.ts'

/** Sessions of one run that are looked for when it is taken over. */
const MOST_SESSIONS = 32

export class MysqlSink implements SinkSession {
  readonly settings: MysqlSettings
  readonly run: RunIdentity
  private readonly control: Promise<Connection>
  private readonly all = new Set<Connection>()
  private readonly idle: Connection[] = []
  private evicted: Promise<void> | undefined
  private count = 0
  private server: Promise<{ collation: string; isMariaDB: boolean; local: boolean }> | undefined

  constructor(settings: MysqlSettings, run: RunIdentity) {
    this.settings = settings
    this.run = run
    this.control = this.connect()
    // Whoever needs it is told.
    this.control.catch(() => undefined)
  }

  client(): Promise<Connection> {
    return this.control
  }

  async table(request: WriteRequest): Promise<SinkTable> {
    try {
      return await MysqlSinkTable.open(this, request)
    } catch (error) {
      throw translate(error, request.object)
    }
  }

  /** What the server is: how texts are compared by their code points there, and whether it takes local files. */
  about(): Promise<{ collation: string; isMariaDB: boolean; local: boolean }> {
    this.server ??= this.control.then(async client => {
      const [row] = await query(client, 'SELECT version() AS version, @@local_infile AS local')
      const isMariaDB = /mariadb/i.test(String(row!.version))
      const collation = isMariaDB ? 'utf8mb4_nopad_bin' : 'utf8mb4_0900_bin'
      return { collation, isMariaDB, local: Number(row!.local) === 1 }
    })
    return this.server
  }

  /** A connection that holds a lock by a name of its own: by that a process that takes the run over finds it. */
  private async connect(): Promise<Connection> {
    const connection = await connect(this.settings)
    const name = this.lockName(this.count++)
    await query(connection, `SELECT GET_LOCK(${quoteText(name)}, 0)`)
    // MariaDB remembers what a subquery gave by its arguments, and takes `a` and `A` for one there.
    await query(connection, `SET @ferry = 1 /*M!, SESSION optimizer_switch = 'subquery_cache=off' */`)
    return connection
  }

  private lockName(number: number, epoch = this.run.epoch): string {
    return `ferry ${this.run.run.slice(0, 44)} ${epoch} ${number}`
  }

  /**
   * Ends the sessions of processes that had the run before: one that was stopped, or that a broken network cut off, would
   * keep its transaction, and this process waiting, for hours. What it has not committed is rolled back.
   */
  evict(): Promise<void> {
    this.evicted ??= this.endFormer()
    return this.evicted
  }

  private async endFormer(): Promise<void> {
    const client = await this.client()
    for (const epoch of formerEpochs(this.run)) {
      const names = Array.from({ length: MOST_SESSIONS }, (_, i) => quoteText(this.lockName(i, epoch)))
      const [row] = await query(client, `SELECT ${names.map((name, i) => `IS_USED_LOCK(${name}) AS c${i}`).join(', ')}`)
      for (const id of Object.values(row!)) {
        // One that is gone meanwhile, or that this user may not end, is waited for.
        if (id !== null) await query(client, `KILL CONNECTION ${Number(id)}`).catch(() => undefined)
      }
    }
  }

  /** A connection for a split's transaction. */
  async take(): Promise<Connection> {
    const idle = this.idle.pop()
    if (idle) return idle
    const connection = await this.connect()
    this.all.add(connection)
    // Rows are written by key: locks on the gaps between them would only make writers wait for each other.
    await query(connection, 'SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED')
    return connection
  }

  release(connection: Connection): void {
    this.idle.push(connection)
  }

  drop(connection: Connection): void {
    this.all.delete(connection)
    cut(connection)
  }

  async close(): Promise<void> {
    for (const connection of this.all) cut(connection)
    const client = await this.control.catch(() => undefined)
    if (client) cut(client)
  }
}

/** How the destination is filled. */
export type Way =
  | { kind: 'direct' }
  /** Through a temporary table; `byIndex` where the keys are the only unique index. */
  | { kind: 'merge'; byIndex: boolean }
  | { kind: 'stage'; publish: 'rename' | 'swap' | 'refill' | 'byKey' }

export class MysqlSinkTable extends SqlSinkTable implements SinkTable {
  readonly plan: { statements: string[]; guarantee: string; notes: string[] } = {
    statements: [],
    guarantee: '',
    notes: [],
  }
  readonly unit: 'split' | 'table'
  readonly lanes: number
  readonly session: MysqlSink
  readonly way: Way
  readonly ledger: Ledger | undefined
  readonly columns: WrittenColumn[]
  readonly target: Name
  private readonly stage: Name
  /** Staging tables of processes that had the run before. */
  private readonly formerStages: string[]
  private readonly collation: string
  private readonly dependants: Dependants | undefined

  private probe: LoadEncoder | undefined

  private constructor(
    session: MysqlSink,
    request: WriteRequest,
    about: { collation: string; isMariaDB: boolean },
    existing: { table: MysqlTable; dependants: Dependants } | undefined,
  ) {
    super(session.run, request)
    this.session = session
    this.collation = about.collation
    this.dependants = existing?.dependants
    this.target = splitName(request.object, session.settings)
    const hasLedger = session.settings.ledger !== 'off'
    const stage = stageName(session.run, request.ordinal)
    // Without a ledger nothing tells one process's rows from those of another that had the run before.
    const own = hasLedger ? '' : `_${session.run.epoch}`
    this.stage = { database: this.target.database, table: `${stage}${own}` }
    this.formerStages = hasLedger ? [] : formerEpochs(session.run).map(epoch => `${stage}_${epoch}`)
    this.way = chooseWay(request, existing)
    const ledger = qualified({ database: this.target.database, table: LEDGER })
    this.ledger = hasLedger ? new Ledger(ledger, session.run, request.ordinal, sql.LEDGER_DIALECT) : undefined
    this.unit = hasLedger ? 'split' : 'table'
    // Writers that merge into one table would wait for each other's locks, and for each other in a circle.
    this.lanes = !hasLedger || this.way.kind === 'merge' ? 1 : 16
    const found = new Map(existing?.table.columns.map(c => [c.name, c.native]))
    const altered = new Set(request.alter?.map(a => a.column))
    this.columns = request.columns.map(c => {
      const native = (altered.has(c.name) ? undefined : found.get(c.name)) ?? sql.nativeOf(c, request.keys)
      return { name: c.name, type: native === 'json' && !about.isMariaDB ? jsonb : c.type, native }
    })
    this.describePlan()
  }

  static async open(session: MysqlSink, request: WriteRequest): Promise<MysqlSinkTable> {
    const about = await session.about()
    if (!about.local) {
      throw new FerryError('FERRY-2003', `${request.object}: the server takes no LOAD DATA LOCAL`, {
        hint: 'Let its administrator set it: SET GLOBAL local_infile = ON.',
      })
    }
    const client = await session.client()
    const table = request.existing && (await describe(client, { object: request.object }, session.settings))
    if (request.existing && !table) {
      throw new FerryError('FERRY-5007', `${request.object} was there when the run was planned, and is gone`)
    }
    if (table?.isView && request.update !== 'append') {
      throw new FerryError('FERRY-3006', `${request.object} is not a table: only append can write to it`)
    }
    const existing = table && { table, dependants: await dependantsOf(client, table) }
    return new MysqlSinkTable(session, request, about, existing)
  }

  readonly offers: Offer[] = [ROWS]

  /** Whether the keys are the only unique index, as those of a table that this run makes are. */
  get mergesByIndex(): boolean {
    return this.way.kind !== 'merge' || this.way.byIndex
  }

  refuses(row: Row): RowError | undefined {
    this.probe ??= new LoadEncoder(this.columns, [])
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
    const { session } = this
    const connection = await session.take()
    try {
      await inTransaction(connection, () => work(changeTable(this, connection), ledgerClient(connection)))
      session.release(connection)
    } catch (error) {
      session.drop(connection)
      throw translate(error, this.request.object)
    }
  }

  /** Where LOAD DATA writes to. */
  get loadTarget(): string {
    if (this.way.kind === 'merge') return MERGE
    return qualified(this.way.kind === 'stage' ? this.stage : this.target)
  }

  /** What makes the table that rows are merged from, in the writer's own transaction. */
  get mergeStage(): string[] {
    const { keys } = this.request
    const isLoose = looseKeys(this.request).length > 0
    // A key twice in one split: the last row stands.
    return [
      `CREATE OR REPLACE TEMPORARY TABLE ${MERGE} ${isLoose ? '' : `(PRIMARY KEY (${sql.names(keys)}))`}
      SELECT ${sql.names(this.columnNames)} FROM ${qualified(this.target)} LIMIT 0`,
      ...(isLoose ? [sql.exactKeys(MERGE, keys)] : []),
    ]
  }

  /** That a row of the table and a staged one have one key: by its bytes, or as the table compares it. */
  matching(loose = looseKeys(this.request)): string {
    return matchKeys(this.request.keys, loose, { quote: quoteName, dialect: sql })
  }

  get mergeStatements(): string[] {
    const { keys } = this.request
    const args = [qualified(this.target), MERGE, this.columnNames] as const
    return this.way.kind === 'merge' && this.way.byIndex
      ? sql.mergeOnDuplicate(...args, keys)
      : sql.mergeByComparison(...args, { keys, match: this.matching() })
  }

  async alter(): Promise<void> {
    const client = await this.session.client()
    const there = await describe(client, { object: this.request.object }, this.session.settings)
    const live = qualified(this.target)
    for (const { kind, column, native, missing } of this.request.alter ?? []) {
      const found = there?.columns.find(c => c.name === column)
      if (kind === 'add' && found) continue
      const fill = missing === undefined ? '' : ` DEFAULT ${quoteText(missing)}`
      const [type, comment] = native.split(' COMMENT ')
      const required = kind === 'widen' && found?.nullable === false ? 'NOT NULL' : 'NULL'
      const words = `${quoteName(column)} ${type} ${required}${fill}${comment === undefined ? '' : ` COMMENT ${comment}`}`
      await this.within(c => c.query(`ALTER TABLE ${live} ${kind === 'add' ? 'ADD' : 'MODIFY'} COLUMN ${words}`))
    }
  }

  /**
   * Works on the connection for everything but rows. Statements about tables end transactions, so that the ledger's
   * line alone keeps nobody out: a lock by name does.
   */
  protected async within<T>(work: (client: LedgerClient) => Promise<T>): Promise<T> {
    const client = await this.session.client()
    const lock = quoteText(`ferry ${this.stage.table}`.slice(0, 64))
    try {
      await this.session.evict()
      const [row] = await query(client, `SELECT GET_LOCK(${lock}, 3600) AS taken`)
      if (Number(row!.taken) !== 1)
        throw new FerryError('FERRY-2005', `${this.request.object}: another process is at work on it`)
      return await work(ledgerClient(client))
    } catch (error) {
      throw translate(error, this.request.object)
    } finally {
      await query(client, `SELECT RELEASE_LOCK(${lock})`).catch(() => undefined)
    }
  }

  protected preparation(): string[] {
    const { request, way, target, stage } = this
    const statements = [...request.before]
    const create = (table: Name, keys: string[]) => sql.createTable(table, request.columns, keys, this.collation)
    if (way.kind === 'stage') {
      const former = [stage.table, ...this.formerStages].map(name => qualified({ ...stage, table: name }))
      if (!this.ledger) statements.push(`DROP TABLE IF EXISTS ${former.join(', ')}`)
      statements.push(
        request.existing
          ? `CREATE TABLE IF NOT EXISTS ${qualified(stage)} LIKE ${qualified(target)}`
          : create(stage, request.keys),
      )
      return statements
    }
    if (!request.existing) statements.push(create(target, request.keys))
    if (request.truncate && request.existing) {
      statements.push(`${this.dependants?.inbound ? 'DELETE FROM' : 'TRUNCATE TABLE'} ${qualified(target)}`)
    }
    return statements
  }

  /** Rows of the staging table into the live one, where that keeps its identity. */
  private filling(): string[] {
    const { request, way, target, stage } = this
    if (way.kind !== 'stage') return []
    const [live, staged] = [qualified(target), qualified(stage)]
    const columns = sql.names(this.columnNames)
    if (way.publish === 'refill') {
      return [`DELETE FROM ${live}`, `INSERT INTO ${live} (${columns}) SELECT ${columns} FROM ${staged}`]
    }
    if (way.publish !== 'byKey') return []
    const on = { keys: request.keys, match: this.matching([]) }
    return [sql.deleteOthers(live, staged, on), ...sql.mergeByComparison(live, staged, this.columnNames, on)]
  }

  private publication(): string[] {
    const { request, way, target, stage } = this
    const [live, staged] = [qualified(target), qualified(stage)]
    if (way.kind !== 'stage') return request.after
    if (way.publish === 'rename') return [`RENAME TABLE ${staged} TO ${live}`, ...request.after]
    if (way.publish === 'swap') {
      const old = qualified({ ...stage, table: `${stage.table}_old` })
      return [`RENAME TABLE ${live} TO ${old}, ${staged} TO ${live}`, `DROP TABLE ${old}`, ...request.after]
    }
    return [...request.after, `DROP TABLE IF EXISTS ${staged}`]
  }

  protected async writer(split: Split, _offer: Offer, work: WriterWork): Promise<SplitWriter> {
    return new MysqlSplitWriter(this, split, await this.session.take(), work.from)
  }

  protected async changeOver(client: LedgerClient): Promise<void> {
    // Renaming ends the transaction: a try that was killed behind it has left no staging table.
    const renames = this.way.kind === 'stage' && (this.way.publish === 'rename' || this.way.publish === 'swap')
    if (renames && !(await this.isStaged(client))) return
    for (const statement of this.filling()) await client.query(statement)
    if (this.way.kind === 'stage' && this.way.publish === 'byKey') await this.requireOwnKeys(client, this.stage)
    for (const statement of this.publication()) await client.query(statement)
  }

  protected get stageName(): string {
    return qualified(this.stage)
  }

  private async isStaged(client: LedgerClient): Promise<boolean> {
    const { database, table } = this.stage
    const rows = await client.query(
      `SELECT 1 FROM information_schema.tables WHERE table_schema = ${quoteText(database)} AND table_name = ${quoteText(table)}`,
    )
    return rows.length > 0
  }

  get staged(): boolean {
    return this.way.kind === 'stage'
  }

  /** Throws where a staged row has gone into one of another key. */
  requireOwnKeys(client: Pick<LedgerClient, 'query'>, stage?: Name): Promise<void> {
    const table = {
      live: qualified(this.target),
      quote: quoteName,
      dialect: sql,
      first: async (text: string) => (await client.query(text))[0],
    }
    return requireOwnKeys(table, this.request, stage ? qualified(stage) : MERGE)
  }

  private describePlan(): void {
    const { way, plan, request } = this
    plan.notes.push(...looseNotes(request))
    plan.statements.push(...this.preparation())
    if (way.kind === 'merge')
      plan.statements.push('-- each split: LOAD DATA into a temporary table, then', ...this.mergeStatements)
    else plan.statements.push(`LOAD DATA LOCAL INFILE ... INTO TABLE ${this.loadTarget}`)
    plan.statements.push(...this.filling(), ...this.publication())
    if (this.ledger) plan.guarantee = 'exactly once: each split commits with its ledger line'
    else if (way.kind === 'merge') plan.guarantee = 'exactly once by key: a repeated split writes the same rows again'
    else if (way.kind === 'stage') plan.guarantee = 'exactly once: staged in one transaction, published at once'
    else plan.guarantee = 'all or nothing in one transaction; a crash in the moment of its commit can repeat it'
    if (way.kind === 'stage' && way.publish === 'refill') {
      plan.notes.push('foreign keys or triggers hang on the table: its rows are replaced in one transaction')
    }
    for (const c of this.columns) {
      const wished = request.columns.find(r => r.name === c.name)!
      if (wished.native === 'longtext' && c.native !== 'longtext' && !request.existing) {
        plan.notes.push(`${c.name}: as a key it is created as ${c.native}`)
      }
    }
  }
}

const MERGE = 'ferry_merge'

function chooseWay(request: WriteRequest, existing: { table: MysqlTable; dependants: Dependants } | undefined): Way {
  const { update, keys } = request
  const isKeys = (columns: string[]) => columns.join() === [...keys].sort().join()
  if (update === 'append') return { kind: 'direct' }
  if (update === 'merge') {
    if (!existing && request.follows?.log) return { kind: 'direct' }
    const unique = existing?.dependants.unique
    return { kind: 'merge', byIndex: unique === undefined || (unique.length === 1 && isKeys(unique[0]!)) }
  }
  if (!existing) return { kind: 'stage', publish: 'rename' }
  const { table, dependants } = existing
  if (dependants.inbound > 0) {
    if (!dependants.unique.some(isKeys)) {
      throw new FerryError(
        'FERRY-3005',
        `${request.object} is referenced by foreign keys: overwriting it needs its keys`,
      )
    }
    return { kind: 'stage', publish: 'byKey' }
  }
  const partial = table.columns.some(c => !c.generated && !request.columns.some(r => r.name === c.name))
  return { kind: 'stage', publish: dependants.own > 0 || partial ? 'refill' : 'swap' }
}
