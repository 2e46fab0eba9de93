import { jsonb } from '../../batch/types.ts'
import { type Offer, ROWS } from '../../contract/encodings.ts'
import type { SinkSession, SinkTable, SplitWriter, WriterWork } from '../../contract/sink.ts'
import type { Split } from '../../contract/split.ts'
import type { RunIdentity, WriteRequest } from '../../contract/write.ts'
import { FerryError } from '../../errors.ts'
import type { ChangeTable } from '../changes/changetable.ts'
import { matchKeys } from '../changes/loosekeys.ts'
import { formerEpochs, LEDGER, Ledger, type LedgerClient } from '../ledger.ts'
import { SqlSinkTable } from '../sql/sinktable.ts'
import { chooseStrategy, type LiveTable, type Strategy } from '../sql/strategy.ts'
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
import type { MysqlTarget } from './target.ts'
import { MERGE, MysqlSplitWriter, mergeStatements } from './writer.ts'

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
    // Avoids an unhandled rejection: who awaits it gets the error.
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

/** What the strategy asks of a table that is there. */
function liveTable({ keys }: WriteRequest, table: MysqlTable, { unique, inbound, own }: Dependants): LiveTable {
  const isKeys = (columns: string[]) => columns.join() === [...keys].sort().join()
  return {
    isTable: !table.isView,
    columns: table.columns,
    // Another unique index could match another row.
    mergesByIndex: async () => unique.length === 1 && isKeys(unique[0]!),
    hasUniqueKeys: async () => unique.some(isKeys),
    isReferenced: async () => inbound > 0,
    hasDependants: async () => own > 0,
  }
}

class MysqlSinkTable extends SqlSinkTable implements MysqlTarget {
  readonly lanes: number
  readonly live: string
  readonly columns: WrittenColumn[]
  readonly offers: Offer[] = [ROWS]
  private readonly session: MysqlSink
  private readonly target: Name
  private readonly collation: string
  private readonly dependants: Dependants | undefined
  protected readonly dialect = sql

  private constructor(
    session: MysqlSink,
    request: WriteRequest,
    strategy: Strategy,
    about: { collation: string; isMariaDB: boolean },
    existing: { table: MysqlTable; dependants: Dependants } | undefined,
  ) {
    const target = splitName(request.object, session.settings)
    const name = qualified({ database: target.database, table: LEDGER })
    const hasLedger = session.settings.ledger !== 'off'
    const ledger = hasLedger ? new Ledger(name, session.run, request.ordinal, sql.LEDGER_DIALECT) : undefined
    super(session.run, request, strategy, ledger)
    this.session = session
    this.target = target
    this.live = qualified(target)
    this.collation = about.collation
    this.dependants = existing?.dependants
    // Writers that merge into one table would wait for each other's locks, and for each other in a circle.
    this.lanes = !hasLedger || strategy.kind === 'merge' ? 1 : 16
    const found = new Map(existing?.table.columns.map(c => [c.name, c.native]))
    const altered = new Set(request.alter?.map(a => a.column))
    this.columns = request.columns.map(c => {
      const native = (altered.has(c.name) ? undefined : found.get(c.name)) ?? sql.nativeOf(c, request.keys)
      return { name: c.name, type: native === 'json' && !about.isMariaDB ? jsonb : c.type, native }
    })
    this.describePlan(this.notes())
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
    const existing = table && { table, dependants: await dependantsOf(client, table) }
    const strategy = await chooseStrategy(request, existing && liveTable(request, existing.table, existing.dependants))
    return new MysqlSinkTable(session, request, strategy, about, existing)
  }

  get connections(): MysqlSink {
    return this.session
  }

  protected quote(name: string): string {
    return quoteName(name)
  }

  protected beside(table: string): string {
    return qualified({ database: this.target.database, table })
  }

  get mergesByIndex(): boolean {
    return this.strategy.kind !== 'merge' || this.strategy.byIndex
  }

  protected override encoder() {
    return new LoadEncoder(this.columns, [])
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

  get loadTarget(): string {
    if (this.strategy.kind === 'merge') return MERGE
    return this.staged ? this.stage : this.live
  }

  matching(loose = this.loose): string {
    return matchKeys(this.request.keys, loose, { quote: quoteName, dialect: sql })
  }

  override async alter(): Promise<void> {
    const client = await this.session.client()
    const there = await describe(client, { object: this.request.object }, this.session.settings)
    for (const { kind, column, native, missing } of this.request.alter ?? []) {
      const found = there?.columns.find(c => c.name === column)
      if (kind === 'add' && found) continue
      const fill = missing === undefined ? '' : ` DEFAULT ${quoteText(missing)}`
      const [type, comment] = native.split(' COMMENT ')
      const required = kind === 'widen' && found?.nullable === false ? 'NOT NULL' : 'NULL'
      const words = `${quoteName(column)} ${type} ${required}${fill}${comment === undefined ? '' : ` COMMENT ${comment}`}`
      await this.within(c => c.query(`ALTER TABLE ${this.live} ${kind === 'add' ? 'ADD' : 'MODIFY'} COLUMN ${words}`))
    }
  }

  /** DDL ends transactions, so that the ledger's line alone keeps no other process out: a lock by name does. */
  protected async within<T>(work: (client: LedgerClient) => Promise<T>): Promise<T> {
    const client = await this.session.client()
    const lock = quoteText(`ferry ${this.stageTable}`.slice(0, 64))
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

  protected createTable(name: string): string {
    return sql.createTable(name, this.request.columns, this.request.keys, this.collation)
  }

  protected createLike(): string[] {
    return [`CREATE TABLE IF NOT EXISTS ${this.stage} LIKE ${this.live}`]
  }

  protected override truncation(): string {
    return `${this.dependants?.inbound ? 'DELETE FROM' : 'TRUNCATE TABLE'} ${this.live}`
  }

  protected override replacing(): string[] {
    const on = { keys: this.request.keys, match: this.matching([]) }
    const merge = sql.mergeByComparison(this.live, this.stage, this.columnNames, on)
    return [sql.deleteOthers(this.live, this.stage, on), ...merge]
  }

  protected rename(): string[] {
    return [`RENAME TABLE ${this.stage} TO ${this.live}`]
  }

  protected override swap(): string[] {
    const old = this.beside(`${this.stageTable}_old`)
    return [`RENAME TABLE ${this.live} TO ${old}, ${this.stage} TO ${this.live}`, `DROP TABLE ${old}`]
  }

  protected loading(): string[] {
    if (this.strategy.kind !== 'merge') return [`LOAD DATA LOCAL INFILE ... INTO TABLE ${this.loadTarget}`]
    return ['-- each split: LOAD DATA into a temporary table, then', ...mergeStatements(this)]
  }

  protected async writer(split: Split, _offer: Offer, work: WriterWork): Promise<SplitWriter> {
    return new MysqlSplitWriter(this, split, await this.session.take(), work.from)
  }

  protected override async changeOver(client: LedgerClient): Promise<void> {
    const { strategy } = this
    // Renaming ends the transaction: a try that was killed behind it has left no staging table.
    const renames = strategy.kind === 'stage' && (strategy.publish === 'rename' || strategy.publish === 'swap')
    if (renames && !(await this.isStaged(client))) return
    await super.changeOver(client)
  }

  private async isStaged(client: LedgerClient): Promise<boolean> {
    const [database, table] = [quoteText(this.target.database), quoteText(this.stageTable)]
    const rows = await client.query(
      `SELECT 1 FROM information_schema.tables WHERE table_schema = ${database} AND table_name = ${table}`,
    )
    return rows.length > 0
  }

  private notes(): string[] {
    const { strategy, request } = this
    const notes: string[] = []
    if (strategy.kind === 'stage' && strategy.publish === 'refill') {
      notes.push('foreign keys or triggers hang on the table: its rows are replaced in one transaction')
    }
    for (const c of this.columns) {
      const wished = request.columns.find(r => r.name === c.name)!
      if (wished.native === 'longtext' && c.native !== 'longtext' && !request.existing) {
        notes.push(`${c.name}: as a key it is created as ${c.native}`)
      }
    }
    return notes
  }
}
