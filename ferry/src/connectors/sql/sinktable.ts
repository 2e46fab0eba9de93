/**
 * A table of a SQL store as a destination: the parts that all of these stores share. Each of them adds how its tables are
 * made, filled and changed over, and how a split is written.
 *
 * Order of calls: `prepare` once for each process that takes the run, then `open` for each split, `publish` after the last
 * split, `forget` when the state has recorded the end. `committed` and `discard` serve a run that is given up.
 */

import type { Offer } from '../../contract/encodings.ts'
import type { ChangeSink, SplitWriter, WriterWork } from '../../contract/sink.ts'
import type { Committed, Split } from '../../contract/split.ts'
import type { RunIdentity, WriteRequest } from '../../contract/write.ts'
import { appliesRows, changeSink, changeWriter, forgetIfThere, noteApplied, withFeed } from '../changes/applier.ts'
import type { ChangeTable } from '../changes/changetable.ts'
import type { ChangeTarget } from '../changes/gathering.ts'
import { looseKeys } from '../changes/loosekeys.ts'
import type { Ledger, LedgerClient } from '../ledger.ts'

export abstract class SqlSinkTable implements ChangeTarget {
  readonly request: WriteRequest
  /** The latest checkpoint of each split of changes, by split id; null where nothing is committed. */
  readonly applied = new Map<number, string | null>()
  private readonly run: RunIdentity

  constructor(run: RunIdentity, request: WriteRequest) {
    this.run = run
    this.request = request
  }

  /** Undefined where the user may not create one: the whole table is then one transaction. */
  abstract readonly ledger: Ledger | undefined
  /** True if rows go into a staging table, and are visible after `publish` only. */
  abstract readonly staged: boolean
  /** Quoted name of the staging table. */
  protected abstract readonly stageName: string

  /** Runs `work` on the connection that is used for everything but rows. Errors name the object. */
  protected abstract within<T>(work: (client: LedgerClient) => Promise<T>): Promise<T>
  /** SQL that runs once per run, before the first row: `before` statements, new tables, `truncate`. */
  protected abstract preparation(): string[]
  /** Makes the rows of all splits visible: runs once per run, in one transaction where the store can. */
  protected abstract changeOver(client: LedgerClient): Promise<void>
  /** The writer of one split of rows that are not changes. */
  protected abstract writer(split: Split, offer: Offer, work: WriterWork): Promise<SplitWriter>
  abstract transaction(work: (table: ChangeTable, client: Pick<LedgerClient, 'query'>) => Promise<void>): Promise<void>

  /** Runs one statement of `preparation`. */
  protected async execute(client: LedgerClient, statement: string): Promise<void> {
    await client.query(statement)
  }

  /** Creates the ledger's table if it is missing. */
  protected async createLedger(client: LedgerClient, ledger: Ledger): Promise<void> {
    await client.query(ledger.create)
  }

  get columnNames(): string[] {
    return this.request.columns.map(c => c.name)
  }

  get loose(): string[] {
    return looseKeys(this.request)
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

  async discard(): Promise<void> {
    await this.within(async client => {
      await client.query(`DROP TABLE IF EXISTS ${this.stageName}`)
      if (this.ledger) await forgetIfThere(this.ledger, client)
    })
  }
}
