import type { Checkpoint } from '../batch/encoding.ts'

/** A range of a table's rows that is read independently of the others. `spec` is opaque outside the connector. */
export interface Split {
  /** 0, 1, 2 ... within the table. */
  id: number
  label: string
  spec: string
  /** Estimates. */
  rows?: number
  bytes?: number
}

/** What commits by itself: a range by its number, or the feed of a table's changes. */
export type SplitId = number | 'feed'

/** What a run has committed of a table: a run that is resumed starts from it. */
export interface Committed {
  splits: Map<SplitId, CommittedSplit>
  published: boolean
}

export interface CommittedSplit {
  /** Undefined if the split is done. */
  checkpoint: Checkpoint | undefined
  rows: number
  bytes: number
}
