/**
 * Where the copy of one table records what it does. The state of Ferry is one implementation; {@link MemoryJournal} serves
 * a copy that nothing resumes.
 */
import type { Behind, Checkpoint, Rejected } from '../batch/encoding.ts'
import type { Committed, CommittedSplit, Split, SplitId } from '../contract/split.ts'

export interface Journal {
  /**
   * The ranges that the run began with, and what is committed of them and of the feed. Calls `cut` and records its ranges if
   * none are recorded; a resumed run reads the same ranges. Throws FERRY-5005 if the source has changed since they were cut.
   */
  splits(cut: () => Promise<Split[]>): Promise<{ splits: Split[]; known: Committed }>
  /**
   * Records that the destination has committed a split up to `progress.checkpoint`, with the totals of the whole run.
   * Throws FERRY-5004 if another process has taken the run.
   */
  committed(split: SplitId, progress: CommittedSplit, behind: Behind | undefined): Promise<void>
  /**
   * Records the rows that were skipped since the checkpoint `from`, before they are committed as skipped. Replaces what was
   * recorded for the same split and checkpoint.
   */
  rejected(split: SplitId, from: Checkpoint | undefined, rows: Rejected[]): Promise<void>
}

export class MemoryJournal implements Journal {
  /** Of the newest commit of each split. */
  readonly commits = new Map<SplitId, CommittedSplit>()
  private readonly skipped = new Map<string, Rejected[]>()
  private cut: Split[] | undefined

  async splits(cut: () => Promise<Split[]>): Promise<{ splits: Split[]; known: Committed }> {
    this.cut ??= await cut()
    return { splits: this.cut, known: { splits: new Map(this.commits), published: false } }
  }

  async committed(split: SplitId, progress: CommittedSplit): Promise<void> {
    this.commits.set(split, progress)
  }

  async rejected(split: SplitId, from: Checkpoint | undefined, rows: Rejected[]): Promise<void> {
    this.skipped.set(JSON.stringify([split, from]), rows)
  }

  /** All rows that were skipped. */
  get rejections(): Rejected[] {
    return [...this.skipped.values()].flat()
  }
}
