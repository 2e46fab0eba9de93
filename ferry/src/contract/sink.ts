import type { Batch, Checkpoint } from '../batch/encoding.ts'
import type { Row } from '../batch/types.ts'
import type { FerryError } from '../errors.ts'
import type { Offer } from './encodings.ts'
import type { Committed, CommittedSplit, Split } from './split.ts'
import type { WriteRequest } from './write.ts'

/** Writing to one store in one run. */
export interface SinkSession {
  table(request: WriteRequest): Promise<SinkTable>
  close(): Promise<void>
}

export interface SinkTable {
  /** What `plan` prints: statements that would run, the guarantee, and what a user should know. */
  readonly plan: { statements: string[]; guarantee: string; notes: string[] }
  /**
   * `split`: every split commits by itself, in parallel up to `lanes`. `table`: one commit for all, fed by at most
   * `lanes` splits at a time, each batch of whole rows (a single file).
   */
  readonly unit: 'split' | 'table'
  readonly lanes: number
  /** How many batches of a split may be on their way at one time; one where omitted. */
  readonly inFlight?: number
  /** Whether batches may hold changes, deletes too, that are applied in order. */
  readonly takesChanges?: boolean
  /** Applying the changes of a log; undefined where the table takes none. */
  readonly changes?: ChangeSink
  /**
   * Throws where what is at the place would be lost without a word; asked before a run begins. Gives back what will be
   * replaced of it, in words.
   */
  requireRoom?(): Promise<string | undefined>
  /** Makes the alterations of the request; harmless when repeated. Undefined where columns are not fixed. */
  alter?(): Promise<void>
  /** The forms of rows that the table takes, best first; `rows` always. */
  readonly offers: Offer[]
  /**
   * Makes the destination ready; harmless when repeated. Gives back what this run has committed already: from the
   * destination's ledger where there is one, else `known`, which the state remembers.
   */
  prepare(known: Committed): Promise<Committed>
  /**
   * What this run has committed, as `prepare` gives it back, with no other process of the run able to commit more; nothing
   * is made ready.
   */
  committed(known: Committed): Promise<Committed>
  open(split: Split, offer: Offer, work?: WriterWork): Promise<SplitWriter>
  /** The change-over after the last split, at once and once; harmless when repeated. */
  publish(): Promise<void>
  /** Removes the run's ledger lines, once the state has recorded the end. */
  forget(): Promise<void>
  /**
   * Removes everything unpublished, for a run that will not be resumed. Gives back whether rows of the run stay visible:
   * those committed without a stage, or published.
   */
  discard(): Promise<boolean>
}

/** Applying the changes behind a snapshot, or behind an earlier copy, to a table that is there. */
export interface ChangeSink {
  /** How far this run has applied them: by the destination's ledger, else as the state knows it. */
  committed(known: CommittedSplit | undefined): Promise<CommittedSplit | undefined>
  open(work: WriterWork): Promise<SplitWriter>
}

/** The work that a writer is part of. */
export interface WriterWork {
  /** Ends it at once. */
  signal?: AbortSignal
  /** The checkpoint that the split goes on from. */
  from?: Checkpoint | undefined
  /** Whether the first changes may be older than what is there: those that the snapshot holds already. */
  replays?: boolean
  /** Whether an earlier try of the run may have written more than it has committed, where these are not one. */
  resumed?: boolean
}

export interface SplitWriter {
  /**
   * Takes a batch; gives back the rows that the store refused, where the table skips such rows. The next one comes when it is
   * taken, unless the table's `inFlight` allows for more.
   */
  write(batch: Batch): Promise<Refused[]>
  /** How many changes wait for others that are still to come: nothing is committed meanwhile. */
  readonly held?: number
  /** Writes what is held, or refuses it for good: no more changes are known. */
  settle?(): Promise<{ row: Row; error: FerryError }[]>
  /** Commits what was written since the last commit together with the checkpoint; `undefined` ends the split. */
  commit(checkpoint: Checkpoint | undefined, counts: { rows: number; bytes: number }): Promise<CommitResult>
  abort(): Promise<void>
}

export interface CommitResult {
  /** Rows that the store says it took, where only it knows (bytes lanes). */
  rows?: number
  bytesWritten?: number
}

/** A row that the sink refused: its position in the batch, and why. */
export interface Refused {
  index: number
  error: FerryError
}
