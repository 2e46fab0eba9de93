import type { ChangeFeed } from '../contract/changefeed.ts'
import type { Offer } from '../contract/encodings.ts'
import type { ReadRequest } from '../contract/read.ts'
import type { SinkSession, SinkTable } from '../contract/sink.ts'
import type { SourceSession, SourceTable } from '../contract/source.ts'
import type { Store } from '../contract/store.ts'
import type { RunIdentity, WriteRequest } from '../contract/write.ts'
import type { IncrementPlan, KeptPosition } from './increment.ts'

/** All that a run needs to copy a table, as plain data: a resumed run uses it again. */
export interface TablePlan {
  ordinal: number
  from: string
  to: string
  read: ReadRequest
  write: WriteRequest
  offer: Offer
  /** Why better encodings were passed over. */
  passedOver: string[]
  guarantee: string
  statements: string[]
  notes: string[]
  /** What is at the destination and will be gone, in words. */
  replaces?: string
  /** What was inferred about the source. */
  guesses?: string[]
  rows?: number
  bytes?: number
  onRowError: 'fail' | 'skip'
  /** Where both objects are: a run is resumed with these and no others. Undefined of older versions. */
  places?: { from: string; to: string }
  /** The columns of both sides when the table was planned: a resumed run requires that they are unchanged. */
  shape?: string
  /** See SourceTable.fingerprint. */
  fingerprint?: string
  /** Of an incremental copy. */
  increment?: IncrementPlan
}

export interface OpenTable {
  readonly plan: TablePlan
  readonly source: SourceTable
  readonly sink: SinkTable
  /** The changes behind the snapshot, once the run follows its source. */
  readonly feed?: ChangeFeed
}

/** A table of which nothing is to be copied: no side of it is opened. */
export interface IdleTable {
  plan: TablePlan
}

/** Both stores of a run with their sessions. */
export interface Sessions {
  sourceStore: Store
  destinationStore: Store
  source: SourceSession
  sink: SinkSession
}

/** What the job and the state say about the plan of a table. */
export interface PlanOptions {
  /** Whether nothing is going to be written. */
  onlyReads?: boolean
  /** Which run the plan is of. */
  identity: Pick<RunIdentity, 'run' | 'job'>
  /** Where rows are counted, bytes may not pass unread. */
  rowsOnly: boolean
  online?: { splits: number } | undefined
  /** Of an incremental copy: how far copies of the table are, where there were any. */
  incremental?:
    | {
        kept: (from: string, to: string) => KeptPosition | undefined
        /** The positions of all tables of the job. */
        all: string[]
      }
    | undefined
  /** For a table that is planned anew in the middle of its run: the place that it continues from. */
  resumesAt?: { increment: IncrementPlan; log: string }
}

/** Throws FERRY-3006 where the destination does not know the update method. */
