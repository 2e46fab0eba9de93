/** What is read: requests are saved with the plan of a table, as JSON. */
import type { Checkpoint } from '../batch/encoding.ts'
import type { Offer } from './encodings.ts'
import type { MappedColumn, ObjectSpec } from './schema.ts'

/** How far before the last value an incremental copy reads again. */
export type Overlap = { amount: number } | { seconds: number }

export interface ReadRequest extends ObjectSpec {
  columns: MappedColumn[]
  /** A filter in the source's language, checked by `table`. */
  where?: string
  /** The maximal number of rows. */
  limit?: number
  /** The bytes that a split should have, about. */
  splitBytes: number
  /** True if a row that cannot be read is given as rejected; otherwise it ends the run. */
  skipBadRows: boolean
  /** The parts of the object to read, set by `increment`; opaque outside the connector. */
  part?: string
  /** Only of documents: the members that the plan knows. A document with another one throws FERRY-3013. */
  known?: string[]
  /** How the log of the store is followed, set by `increment` and `follow`; opaque outside the connector. */
  log?: string
  /** Set if every change after the snapshot is read, too, until the copy is completed; in at most `splits` splits. */
  online?: { splits: number }
}

/** What an incremental copy knows about the previous one. */
export interface Since {
  /** True if changes are read from the log of the store. */
  cdc?: boolean
  /** The columns that identify a row, by their names at the source. */
  keys: string[]
  /** The positions of the other tables of the job. */
  others: string[]
  /** The incremental column; undefined if the store knows what is new. */
  column?: string | undefined
  overlap?: Overlap | undefined
  /** The position that the last successful copy saved; undefined if everything is to be read. */
  after?: string | undefined
  /** True if rows may be copied again, since they are merged. */
  again: boolean
}

/** What an incremental copy reads. */
export interface Increment {
  /** The request that reads only this. */
  read: ReadRequest
  /** Where the next copy starts; opaque outside the connector. */
  position: string
  /** True if nothing is new. */
  isEmpty: boolean
  /** What is read, for people. */
  range: string
  notes: string[]
}

export interface ReadOptions {
  /** The form of rows that the table and the sink agreed on. */
  offer: Offer
  /** The checkpoint to resume from; undefined to start at the beginning of the split. */
  from?: Checkpoint
  /** Aborted to stop at once: reading then throws. */
  signal: AbortSignal
  /** Aborted to complete an online copy: reading ends with what the source holds at that moment. */
  complete?: AbortSignal
}
