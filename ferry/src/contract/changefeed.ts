/**
 * The changes of one table, read from the log of its store.
 *
 * Order of calls: `SourceSession.follow` gives the feeds of a run, all at once. Their requests are kept in the state before
 * the first row moves. Then, for each table: the splits of its snapshot where `snapshot` is true, `read`, `confirm` after each
 * commit of the destination, `position` at the end, and `stop`, always. The tables of a run share one stream, which starts
 * when each feed is read or stopped.
 */
import type { Batch, Checkpoint } from '../batch/encoding.ts'
import type { ReadOptions, ReadRequest } from './read.ts'

export interface ChangeFeed {
  /** The table's request with the places in the log that it is followed from and, unless the copy is online, up to. */
  readonly request: ReadRequest
  /** True if the rows of the table are copied before its changes. */
  readonly snapshot: boolean
  /**
   * Reads the changes behind `from`, or behind the snapshot, in the order of the source's commits. A run that is resumed
   * gives the checkpoint it committed last. Ends at the end of the request, or at the source's end as of the moment
   * `complete` is aborted.
   */
  read(options: Omit<ReadOptions, 'offer'>): AsyncIterable<Batch>
  /** Tells the store that the destination holds everything up to a checkpoint, so that its log may be removed. */
  confirm(checkpoint: Checkpoint): void
  /** The position that the next copy starts from, once `read` has ended. */
  position(): string
  /** Ends reading: the other tables no longer wait for this one. */
  stop(): void
}
