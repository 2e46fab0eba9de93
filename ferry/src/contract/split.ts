import type { Checkpoint } from '../batch/encoding.ts'

/** The id of the split that is the log behind the snapshot: it is read last, and in order. */
export const CHANGES = 1_000_000

/** An independently readable piece of a table. `spec` is opaque outside the connector. */
export interface Split {
  id: number
  label: string
  spec: string
  rows?: number
  bytes?: number
}

/** What committed before a crash: the engine starts from it. */
export interface Committed {
  splits: Map<number, CommittedSplit>
  published: boolean
}

export interface CommittedSplit {
  /** `undefined` where the split is done. */
  checkpoint: Checkpoint | undefined
  rows: number
  bytes: number
}
