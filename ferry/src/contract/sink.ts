/** Writing to a store. docs/architecture.md draws the order of calls. */
import type { Batch, Checkpoint } from '../batch/encoding.ts'
import type { Row } from '../batch/types.ts'
import type { FerryError } from '../errors.ts'
import type { Offer } from './encodings.ts'
import type { Committed, CommittedSplit, Split } from './split.ts'
import type { WriteRequest } from './write.ts'

/** Writing to one store in one run. */
export interface SinkSession {
  /** Decides how the table is filled; changes nothing. Throws FERRY-3005, FERRY-3006, FERRY-5007. */
  table(request: WriteRequest): Promise<SinkTable>
  close(): Promise<void>
}

/** The destination of one table in one run. */
export interface SinkTable {
  /** What `plan` prints: the statements that will run, the guarantee, and what a user should know. */
  readonly plan: { statements: string[]; guarantee: string; notes: string[] }
  /**
   * `split`: each split has a writer of its own and commits by itself, at most `lanes` in parallel. `table`: one writer and
   * one commit for all splits, at most `lanes` of which are read in parallel; batches hold whole rows (a single file).
   */
  readonly unit: 'split' | 'table'
  readonly lanes: number
  /** The batches of one split that may be written at the same time; 1 if omitted. */
  readonly inFlight?: number
  /** True if batches may hold changes (deletes, too), which are applied in order. */
  readonly takesChanges?: boolean
  /** Applies the changes of a feed; undefined if the table cannot. */
  readonly changes?: ChangeSink
  /**
   * Called before a run starts. Throws FERRY-3006 or FERRY-3018 if contents of the destination would be lost unannounced. Gives
   * back what will be replaced, for people; undefined if nothing will.
   */
  requireRoom?(): Promise<string | undefined>
  /** Adds and widens columns as the request says. Can be repeated. Undefined if columns cannot be altered. */
  alter?(): Promise<void>
  /** The forms of rows that the table takes, best first; `rows` always. */
  readonly offers: Offer[]
  /**
   * Called once for each process that takes the run. Keeps former processes from committing, creates what is missing, and runs
   * the statements of the job once per run. Gives back what the run has committed: by the destination's ledger if it has one,
   * otherwise `known`, which is what the state recorded. Throws FERRY-5004 if another process has taken the run.
   */
  prepare(known: Committed): Promise<Committed>
  /**
   * What the run has committed, as `prepare` gives it back, for a run that may be given up. Keeps former processes from
   * committing, and creates nothing.
   */
  committed(known: Committed): Promise<Committed>
  /** The writer of a split, or of all splits if the unit is `table`. */
  open(split: Split, offer: Offer, work?: WriterWork): Promise<SplitWriter>
  /** Called after the last split: makes staged rows visible at once. Can be repeated. Throws FERRY-5004. */
  publish(): Promise<void>
  /** Called when the state has recorded the end: removes the ledger lines of the table. Can be repeated. */
  forget(): Promise<void>
  /**
   * Removes everything unpublished, for a run that will not be resumed. Gives back whether rows of the run stay visible:
   * those committed without a stage, or published.
   */
  discard(): Promise<boolean>
}

/** Applies changes after the snapshot, or after an earlier copy, to an existing table. */
export interface ChangeSink {
  /** How far this run has applied them: by the destination's ledger if it has one, otherwise `known`. */
  committed(known: CommittedSplit | undefined): Promise<CommittedSplit | undefined>
  open(work: WriterWork): Promise<SplitWriter>
}

/** How a writer is to work. */
export interface WriterWork {
  /** Aborted to stop at once. */
  signal?: AbortSignal
  /** The checkpoint that the split is resumed from. */
  from?: Checkpoint | undefined
  /** True if the first changes may be older than the rows: the snapshot contains them already. */
  replays?: boolean
  /** True if an earlier process of the run may have written rows without committing them, in a store without transactions. */
  resumed?: boolean
}

/** Calls: `write` and `commit` in turns, a `commit` without checkpoint at the end; or `abort`, after an error. */
export interface SplitWriter {
  /**
   * Writes a batch, which the writer owns from here on. Gives back the rows that the store rejected if the request skips such
   * rows; throws a RowError otherwise. Batches are written one at a time, unless the table has `inFlight`.
   */
  write(batch: Batch): Promise<Refused[]>
  /** How long rows may wait for a commit, where each costs much; milliseconds and bytes. */
  readonly patience?: { ms: number; bytes: number }
  /** The number of changes that wait for others to come: nothing is committed meanwhile. */
  readonly held?: number
  /** Writes the changes that wait, since no more are known. Gives back those that the store rejected. */
  settle?(): Promise<{ row: Row; error: FerryError }[]>
  /** Commits what was written since the last commit, together with the checkpoint; `undefined` ends the split. Throws FERRY-5004. */
  commit(checkpoint: Checkpoint | undefined, counts: { rows: number; bytes: number }): Promise<CommitResult>
  /** Rolls back what is not committed, and releases what the writer holds. Throws nothing. */
  abort(): Promise<void>
}

export interface CommitResult {
  /** The rows that the store counted, if bytes were passed unread. */
  rows?: number
  bytesWritten?: number
}

/** A row that the store rejected: its position in the batch, and why. */
export interface Refused {
  index: number
  error: FerryError
}
