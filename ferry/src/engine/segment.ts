/** What one split has written since its last commit: counted, and committed with its checkpoint. */
import type { Batch, Behind, Checkpoint, Rejected } from '../batch/encoding.ts'
import type { Offer } from '../contract/encodings.ts'
import type { SplitWriter } from '../contract/sink.ts'
import type { CommittedSplit, SplitId } from '../contract/split.ts'
import type { Journal } from './journal.ts'
import { TableMapping } from './mapping.ts'
import type { TableProgress } from './progress.ts'
import type { OpenTable } from './tableplan.ts'

/** A split that can be committed in the middle is committed after so many bytes, or so long. */
const COMMIT_BYTES = 64_000_000
const COMMIT_MS = 2000
/** The same for changes of a log, which are held in memory. */
const CHANGES_BYTES = 16_000_000
const CHANGES_ROWS = 50_000
/** Changes that wait for others to come put a commit off for so long at most. */
const HOLD_MS = 60_000

export class Segment {
  /** The checkpoint of the last commit. */
  from: Checkpoint | undefined
  private bytes = 0
  private rows = 0
  private rejected: Rejected[] = []
  /** Of the split, up to the last commit. */
  private total: { rows: number; bytes: number }
  private committedAt = performance.now()
  /** Changes since the last commit, and the last checkpoint that was read. */
  private changes = 0
  private last: Checkpoint | undefined
  private behind: Behind | undefined
  private readonly mapping: TableMapping
  private readonly table: OpenTable
  private readonly split: SplitId
  private readonly journal: Journal
  private readonly progress: TableProgress

  constructor(
    table: OpenTable,
    { journal, progress }: { journal: Journal; progress: TableProgress },
    split: SplitId,
    before: CommittedSplit | undefined,
    offer: Offer,
  ) {
    this.table = table
    this.journal = journal
    this.progress = progress
    this.split = split
    this.from = before?.checkpoint
    this.total = { rows: before?.rows ?? 0, bytes: before?.bytes ?? 0 }
    this.mapping = new TableMapping(table, offer)
  }

  /** Maps, writes and counts a batch. */
  async take(writer: SplitWriter, batch: Batch): Promise<void> {
    const written = await this.write(writer, batch)
    const { progress } = this
    this.bytes += batch.bytes
    progress.bytesRead += batch.bytes
    if (batch.kind === 'rows') this.changes += batch.rows.length
    if (batch.kind !== 'query') this.last = batch.checkpoint ?? this.last
    if (batch.kind === 'rows' && batch.behind) {
      this.behind = batch.behind
      progress.behind.set(this.split, batch.behind)
    }
    this.count(written ?? 0)
  }

  /** Gives back how many rows were written; undefined if only the store knows. */
  private async write(writer: SplitWriter, batch: Batch): Promise<number | undefined> {
    if (batch.kind !== 'rows') {
      if (batch.kind === 'query' || batch.data.length > 0) await writer.write(batch)
      return batch.kind === 'bytes' ? batch.rows : undefined
    }
    for (const row of batch.rejected ?? []) this.reject(row)
    const mapped = this.mapping.batch(batch, row => this.reject(row))
    const { rows } = mapped
    if (rows.length === 0) return 0
    try {
      const refused = await writer.write(mapped)
      for (const { index, error } of refused) this.reject(this.mapping.rejection(rows[index]!, error))
      return rows.length - refused.length
    } catch (error) {
      throw this.mapping.explain(error, rows)
    }
  }

  private count(rows: number): void {
    this.rows += rows
    this.progress.rowsRead += rows
    this.progress.rowsCopied += rows
  }

  private reject(row: Rejected): void {
    this.rejected.push(row)
    this.progress.rowsSkipped++
    this.progress.rowsRead++
  }

  /** What is committed of the split; undefined where nothing is. */
  get committed(): CommittedSplit | undefined {
    return this.from === undefined ? undefined : { checkpoint: this.from, ...this.total }
  }

  /** Takes back what was counted since the last commit. */
  undo(): void {
    const { progress } = this
    progress.bytesRead -= this.bytes
    progress.rowsRead -= this.rows + this.rejected.length
    progress.rowsCopied -= this.rows
    progress.rowsSkipped -= this.rejected.length
    this.clear()
  }

  private clear(): void {
    this.bytes = 0
    this.rows = 0
    this.rejected = []
  }

  /** True if it is time to commit: much is written, some time has passed, or there is no more for now. */
  isDue({ held = 0, patience = { ms: COMMIT_MS, bytes: COMMIT_BYTES } }: SplitWriter): boolean {
    if (this.behind?.changes === 0) return true
    const since = performance.now() - this.committedAt
    return held > 0 ? since >= HOLD_MS : this.bytes >= patience.bytes || since >= patience.ms
  }

  /** The same for changes, which are held in memory until they are committed. */
  isDueOfChanges(): boolean {
    if (this.behind?.changes === 0) return true
    const since = performance.now() - this.committedAt
    return this.changes >= CHANGES_ROWS || this.bytes >= CHANGES_BYTES || since >= COMMIT_MS
  }

  /** Writes the changes that wait for others to come, or rejects them: all changes that are known were written. */
  async settle(writer: SplitWriter): Promise<void> {
    if (!writer.held) return
    for (const { row, error } of (await writer.settle?.()) ?? []) {
      if (!this.mapping.skipsRows) throw this.mapping.explain(error, [row])
      this.count(-1)
      this.reject(this.mapping.rejection(row, error))
    }
  }

  /** Commits what was written with its checkpoint; without one the split is done. */
  async commit(writer: SplitWriter, checkpoint: Checkpoint | undefined): Promise<void> {
    if (this.mapping.skipsRows) await this.journal.rejected(this.split, this.from, this.rejected)
    const result = await writer.commit(checkpoint, { rows: this.rows, bytes: this.bytes })
    // Where bytes passed unread only the store knows how many rows they were.
    if (result.rows !== undefined && this.rows === 0) this.count(result.rows)
    this.progress.bytesWritten += result.bytesWritten ?? this.bytes
    this.total = { rows: this.total.rows + this.rows, bytes: this.total.bytes + this.bytes }
    this.clear()
    await this.record(checkpoint)
  }

  /**
   * Commits the changes that were written. If there are none only the journal learns of the checkpoint, so that a quiet table
   * costs the destination nothing.
   */
  async commitChanges(writer: SplitWriter, checkpoint: Checkpoint): Promise<void> {
    await (this.changes > 0 ? this.commit(writer, checkpoint) : this.record(checkpoint))
    this.changes = 0
    this.table.feed?.confirm(checkpoint)
  }

  /** Commits the rest. A feed is never done: a run that is resumed reads up to a later end. */
  async endChanges(writer: SplitWriter): Promise<void> {
    if (this.last !== undefined) await this.commitChanges(writer, this.last)
  }

  private async record(checkpoint: Checkpoint | undefined): Promise<void> {
    await this.journal.committed(this.split, { checkpoint, ...this.total }, this.behind)
    this.committedAt = performance.now()
    this.from = checkpoint
  }
}
