/** The journal of a table in the state of Ferry. */
import type { Kysely } from 'kysely'
import type { Behind, Checkpoint, Rejected } from '../batch/encoding.ts'
import type { Committed, CommittedSplit, Split, SplitId } from '../contract/split.ts'
import type { Journal } from '../engine/journal.ts'
import type { Lease } from '../state/runs.ts'
import type { Schema } from '../state/schema.ts'
import { saveSkipped } from '../state/skipped.ts'
import { saveProgress, saveSplits, splitsOf } from '../state/splits.ts'

export interface JournaledTable {
  ordinal: number
  from: string
  /** True if changes follow the snapshot. */
  hasFeed: boolean
  /** Called before recorded ranges are read again. Throws FERRY-5005 if they no longer hold. */
  requireUnchanged(): Promise<void>
  /** Called once the ranges are cut, before they are recorded. */
  onCut(): Promise<void>
  /** Called after each commit. */
  onCommit(behind: Behind | undefined): Promise<void>
}

export class StateJournal implements Journal {
  private readonly db: Kysely<Schema>
  private readonly lease: Lease
  private readonly table: JournaledTable

  constructor(db: Kysely<Schema>, lease: Lease, table: JournaledTable) {
    this.db = db
    this.lease = lease
    this.table = table
  }

  async splits(cut: () => Promise<Split[]>): Promise<{ splits: Split[]; known: Committed }> {
    const { db, lease, table } = this
    const kept = await splitsOf(db, lease.run, table.ordinal)
    if (kept) {
      await table.requireUnchanged()
      return { splits: kept.ranges, known: { splits: kept.committed, published: false } }
    }
    const splits = await cut()
    await table.onCut()
    await saveSplits(db, lease, table.ordinal, splits, { feed: table.hasFeed })
    return { splits, known: { splits: new Map(), published: false } }
  }

  async committed(split: SplitId, progress: CommittedSplit, behind: Behind | undefined): Promise<void> {
    await saveProgress(this.db, this.lease, this.table.ordinal, split, progress, behind)
    await this.table.onCommit(behind)
  }

  async rejected(split: SplitId, from: Checkpoint | undefined, rows: Rejected[]): Promise<void> {
    const { db, lease, table } = this
    const skipped = rows.map(row => ({ table: table.from, ...row }))
    await saveSkipped(db, lease, { ordinal: table.ordinal, split, from }, skipped)
  }
}
