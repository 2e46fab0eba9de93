import type { Checkpoint } from '../batch/encoding.ts'
import type { Offer } from './encodings.ts'
import type { MappedColumn, ObjectSpec } from './schema.ts'

/** How far before its last value an incremental copy reads again. */
export type Overlap = { amount: number } | { seconds: number }

export interface ReadRequest extends ObjectSpec {
  columns: MappedColumn[]
  /** A filter in the source's own language. */
  where?: string
  /** At most so many rows. */
  limit?: number
  /** How many bytes a split should have, about. */
  splitBytes: number
  /** Whether a row that cannot be read is handed over as rejected, instead of ending the run. */
  skipBadRows: boolean
  /** Which parts of the object, as `increment` found them; opaque outside the connector. */
  part?: string
  /** Of documents: the members that the plan knows; a document with another one ends the reading (FERRY-3013). */
  known?: string[]
  /** How the log of the store is followed, as `increment` and `follow` found it; opaque outside the connector. */
  log?: string
  /** Whether reading goes on behind the snapshot with every change; then in at most so many splits. */
  online?: { splits: number }
}

/** What an incremental copy knows of the last one. */
export interface Since {
  /** Whether changes come from the log of the store. */
  cdc?: boolean
  /** The columns that tell rows apart, by their names at the source. */
  keys: string[]
  /** The positions of the job's other tables. */
  others: string[]
  /** The column that grows; undefined where the store itself knows what is new. */
  column?: string | undefined
  overlap?: Overlap | undefined
  /** The position that the last successful copy kept; undefined where everything is to be read. */
  after?: string | undefined
  /** Whether rows that were copied before may be copied again: a merge. */
  again: boolean
}

/** What an incremental copy is going to read. */
export interface Increment {
  /** The request that reads only this. */
  read: ReadRequest
  /** What the next copy goes on from; opaque outside the connector. */
  position: string
  /** Whether there is nothing. */
  isEmpty: boolean
  /** The same for people. */
  range: string
  notes: string[]
}

export interface ReadOptions {
  offer: Offer
  from?: Checkpoint
  /** Ends it at once. */
  signal: AbortSignal
  /** Aborted when an online copy is to end: with what the source holds at that moment. */
  complete?: AbortSignal
}
