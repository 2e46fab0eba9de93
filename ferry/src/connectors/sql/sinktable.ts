/**
 * A table of a SQL store as a destination: what these stores share. Each of them adds how its tables are created, filled and
 * changed over, and how a split is written.
 *
 * Order of calls: `prepare` once for each process that takes the run, then `open` for each split, `publish` after the last
 * split, `forget` when the state has recorded the end. `committed` and `discard` serve a run that is given up.
 */
import type { Row } from '../../batch/types.ts'
import type { Offer } from '../../contract/encodings.ts'
import type { ChangeSink, SinkTable, SplitWriter, WriterWork } from '../../contract/sink.ts'
import type { Committed, Split } from '../../contract/split.ts'
import type { RunIdentity, WriteRequest } from '../../contract/write.ts'
import { RowError } from '../../errors.ts'
import { appliesRows, changeSink, changeWriter, forgetIfThere, noteApplied, withFeed } from '../changes/applier.ts'
import type { ChangeDialect, ChangeTable } from '../changes/changetable.ts'
import type { ChangeTarget } from '../changes/gathering.ts'
import { looseKeys, looseNotes, requireOwnKeys } from '../changes/loosekeys.ts'
import { formerEpochs, type Ledger, type LedgerClient, stageName } from '../ledger.ts'
import { guaranteeOf, type Strategy } from './strategy.ts'
import type { RowEncoder, SqlTarget } from './target.ts'

export abstract class SqlSinkTable implements SinkTable, ChangeTarget, SqlTarget {
  readonly plan = { statements: [] as string[], guarantee: '', notes: [] as string[] }
  readonly unit: 'split' | 'table'
  readonly request: WriteRequest
  readonly strategy: Strategy
  readonly ledger: Ledger | undefined
  /** Bare name of the staging table. */
  protected readonly stageTable: string
  /** Bare names of staging tables of processes that had the run before: without a ledger their rows are unknown. */
  private readonly formerStages: string[]
  /** The latest checkpoint of each split of changes, by its number in the ledger; null where nothing is committed. */
  readonly applied = new Map<number, string | null>()
  private readonly run: RunIdentity
  private probe: RowEncoder | undefined

  constructor(run: RunIdentity, request: WriteRequest, strategy: Strategy, ledger: Ledger | undefined) {
    this.run = run
    this.request = request
    this.strategy = strategy
    this.ledger = ledger
    this.unit = ledger ? 'split' : 'table'
    const stage = stageName(run, request.ordinal)
    // Without a ledger, rows of one process cannot be distinguished from those of an earlier process of the run.
    this.stageTable = ledger ? stage : `${stage}_${run.epoch}`
    this.formerStages = ledger ? [] : formerEpochs(run).map(epoch => `${stage}_${epoch}`)
  }

  abstract readonly lanes: number
  abstract readonly offers: Offer[]
  abstract readonly live: string
  protected abstract readonly dialect: Pick<ChangeDialect, 'exact'>
  protected abstract quote(name: string): string
  /** The quoted name of a table in the schema of the live one. */
  protected abstract beside(table: string): string

  /** Runs `work` on the connection that is used for everything but rows. Errors name the object. */
  protected abstract within<T>(work: (client: LedgerClient) => Promise<T>): Promise<T>
  abstract transaction(work: (table: ChangeTable, client: Pick<LedgerClient, 'query'>) => Promise<void>): Promise<void>
  /** The writer of one split of rows that are not changes. */
  protected abstract writer(split: Split, offer: Offer, work: WriterWork): Promise<SplitWriter>

  // Statements.

  /** Creates the live table or, under this name, a staging table that becomes it. */
  protected abstract createTable(name: string): string
  /** Creates a staging table with the columns of the live one. */
  protected abstract createLike(): string[]
  /** Makes the staging table the live one, under its name. */
  protected abstract rename(): string[]
  /** Come before all others: schemas. */
  protected preliminaries(): string[] {
    return []
  }
  /** Removes all rows: outside a transaction where `truncate` asks for it, and in the one of the change-over. */
  protected truncation(): string {
    return this.clearing()
  }
  protected clearing(): string {
    return `DELETE FROM ${this.live}`
  }
  /** Makes the live rows equal to the staged ones by key. */
  protected replacing(): string[] {
    return []
  }
  /** Puts the staging table in the live one's place. */
  protected swap(): string[] {
    return []
  }
  /** What a new table gets once its rows are there. */
  protected completion(_table: string): string[] {
    return []
  }
  /** What is between INSERT INTO and SELECT. */
  protected get overridingClause(): string {
    return ''
  }
  /** What writes a split, for people. */
  protected abstract loading(): string[]

  /** SQL that runs once per run, before the first row. */
  protected preparation(): string[] {
    const { request, strategy, live, stage } = this
    const statements = [...request.before, ...this.preliminaries()]
    if (strategy.kind === 'stage') {
      const former = [this.stageTable, ...this.formerStages].map(table => this.beside(table))
      if (!this.ledger) statements.push(`DROP TABLE IF EXISTS ${former.join(', ')}`)
      return [...statements, ...(request.existing ? this.createLike() : [this.createTable(stage)])]
    }
    if (!request.existing) statements.push(this.createTable(live))
    if (request.truncate && request.existing) statements.push(this.truncation())
    return statements
  }

  /** SQL that brings staged rows into a live table that keeps its identity. */
  private filling(): string[] {
    const { strategy, live, stage, names } = this
    if (strategy.kind !== 'stage') return []
    if (strategy.publish === 'byKey') return this.replacing()
    if (strategy.publish !== 'refill') return []
    return [this.clearing(), `INSERT INTO ${live} (${names})${this.overridingClause} SELECT ${names} FROM ${stage}`]
  }

  /** SQL that ends a run. */
  private publication(): string[] {
    const { strategy, request, live, stage } = this
    const { after, existing } = request
    if (strategy.kind !== 'stage') return [...(existing ? [] : this.completion(live)), ...after]
    if (strategy.publish === 'rename') return [...this.completion(stage), ...this.rename(), ...after]
    if (strategy.publish === 'swap') return [...this.swap(), ...after]
    return [...after, `DROP TABLE IF EXISTS ${stage}`]
  }

  /** Makes the rows of all splits visible: once per run, in one transaction where the store has them. */
  protected async changeOver(client: LedgerClient): Promise<void> {
    for (const statement of this.filling()) await this.execute(client, statement)
    const { strategy } = this
    if (strategy.kind === 'stage' && strategy.publish === 'byKey') await this.requireOwnKeys(client, this.stage)
    if (strategy.kind === 'stage') await this.requireFilled(client)
    for (const statement of this.publication()) await this.execute(client, statement)
  }

  /** Throws if staged rows are not in the live table, which keeps its identity. */
  protected async requireFilled(_client: LedgerClient): Promise<void> {}

  /** Fills in the plan: subclasses call it at the end of their constructors. */
  protected describePlan(notes: string[] = []): void {
    const { plan, strategy, ledger } = this
    plan.statements.push(...this.preparation(), ...this.loading(), ...this.filling(), ...this.publication())
    plan.guarantee = guaranteeOf(strategy, { hasLedger: ledger !== undefined })
    plan.notes.push(...looseNotes(this.request), ...notes)
  }

  /** Runs one statement of the preparation or the change-over. */
  protected async execute(client: LedgerClient, statement: string): Promise<void> {
    await client.query(statement)
  }

  /** Creates the ledger's table if it is missing. */
  protected async createLedger(client: LedgerClient, ledger: Ledger): Promise<void> {
    await client.query(ledger.create)
  }

  get stage(): string {
    return this.beside(this.stageTable)
  }

  get staged(): boolean {
    return this.strategy.kind === 'stage'
  }

  get columnNames(): string[] {
    return this.request.columns.map(c => c.name)
  }

  get names(): string {
    return this.columnNames.map(name => this.quote(name)).join(', ')
  }

  get loose(): string[] {
    return looseKeys(this.request)
  }

  confirm(): Promise<void> {
    return this.run.confirm()
  }

  requireOwnKeys(client: Pick<LedgerClient, 'query'>, stage: string): Promise<void> {
    const { live, dialect } = this
    const first = async (sql: string) => (await client.query(sql))[0]
    return requireOwnKeys({ live, quote: name => this.quote(name), dialect, first }, this.request, stage)
  }

  /** The encoder that finds values which cannot be written; undefined where only the store knows. */
  protected encoder(): RowEncoder | undefined {
    return undefined
  }

  refuses(row: Row): RowError | undefined {
    this.probe ??= this.encoder()
    try {
      this.probe?.row(row)
      return undefined
    } catch (error) {
      if (error instanceof RowError) return error
      throw error
    } finally {
      this.probe?.take()
    }
  }

  async alter(): Promise<void> {
    await this.within(async client => {
      for (const { kind, column, native, missing } of this.request.alter ?? []) {
        const name = this.quote(column)
        const fill = missing === undefined ? '' : ` DEFAULT '${missing.replaceAll("'", "''")}'`
        await client.query(
          kind === 'add'
            ? `ALTER TABLE ${this.live} ADD COLUMN IF NOT EXISTS ${name} ${native}${fill}`
            : `ALTER TABLE ${this.live} ALTER COLUMN ${name} TYPE ${native}`,
        )
      }
    })
  }

  /** Changes are applied by key, to a table that exists. */
  get takesChanges(): boolean {
    return this.request.update === 'merge'
  }

  get changes(): ChangeSink | undefined {
    return this.takesChanges ? changeSink(this, work => this.within(work)) : undefined
  }

  async ensureLedger(): Promise<void> {
    const { ledger } = this
    if (!ledger) return
    await this.within(async client => {
      await this.createLedger(client, ledger)
      await ledger.raise(client)
    })
  }

  async prepare(): Promise<Committed> {
    const { ledger } = this
    return this.within(async client => {
      const work = async () => {
        for (const statement of this.preparation()) await this.execute(client, statement)
      }
      if (ledger) {
        await this.createLedger(client, ledger)
        const committed = await ledger.prepare(client, work)
        noteApplied(this, committed)
        return withFeed(committed, this.request)
      }
      await this.run.confirm()
      await work()
      return { splits: new Map(), published: false }
    })
  }

  async committed(): Promise<Committed> {
    const { ledger } = this
    if (ledger) return withFeed(await this.within(client => ledger.settled(client)), this.request)
    await this.run.confirm()
    return { splits: new Map(), published: false }
  }

  async open(split: Split, offer: Offer, work: WriterWork = {}): Promise<SplitWriter> {
    // Changes that come among the rows of a snapshot: all of them are applied by key.
    return appliesRows(this.request) ? changeWriter(this, split.id, work) : this.writer(split, offer, work)
  }

  async publish(): Promise<void> {
    const { ledger } = this
    await this.within(async client => {
      const work = () => this.changeOver(client)
      if (!ledger) await this.run.confirm()
      await (ledger ? ledger.publish(client, work) : client.transaction(work))
    })
  }

  async forget(): Promise<void> {
    const { ledger } = this
    if (ledger) await this.within(client => forgetIfThere(ledger, client))
  }

  async discard(): Promise<boolean> {
    const { ledger, staged, stage } = this
    return this.within(async client => {
      const published = ledger !== undefined && (await ledger.settled(client)).published
      await client.query(`DROP TABLE IF EXISTS ${stage}`)
      if (ledger) await forgetIfThere(ledger, client)
      return !staged || published
    })
  }
}
