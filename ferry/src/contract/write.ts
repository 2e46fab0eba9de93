import type { Alteration, MappedColumn, TableInfo } from './schema.ts'

export type UpdateMethod = 'append' | 'overwrite' | 'merge'

/** Which run writes: ledgers and temporary names are made from it. */
export interface RunIdentity {
  readonly run: string
  readonly job: string
  /** Raised each time a process takes the run: a destination refuses what is written under a lower one. */
  readonly epoch: number
  /** Asks the state. Throws FERRY-5004 where another process has taken the run. */
  confirm(): Promise<void>
  /** The same, but asks the state only if the last answer is so old that the run may have been taken meanwhile. */
  holds(): Promise<void>
}

export interface WriteRequest {
  object: string
  options: Record<string, unknown>
  /** Position of the table in its job: part of ledger keys and temporary names. */
  ordinal: number
  columns: MappedColumn[]
  /** The destination as it was at plan time; undefined where it is to be created. */
  existing?: TableInfo
  /** Key columns (destination names): the primary key of a created table, the match of a merge. */
  keys: string[]
  update: UpdateMethod
  /** Empty the destination before a full copy. */
  truncate: boolean
  before: string[]
  after: string[]
  skipBadRows: boolean
  /** Whether the rows come to those of earlier runs, which stay. */
  adds?: boolean
  /** Whether two rows may have the same key. Splits are then written one after the other, and the last row read wins. */
  inOrder?: boolean
  /** Whether changes follow, what becomes of deleted rows, and whether they come from a log behind the snapshot. */
  follows?: { deletes: 'apply' | 'mark' | 'ignore'; deletedAt: string; log: boolean }
  /**
   * Where every version of a row is kept: the keys of the row itself, the columns of the time that a version is valid, and
   * others that do not make one version differ from another. The keys of the table are the row's and its beginning.
   */
  history?: { keys: string[]; from: string; to: string; current: string; apart: string[] }
  /** Columns that the destination gets, or gets wider, before rows come: the source has changed. */
  alter?: Alteration[]
  /** Of documents that come as they are: the paths that tell one from all others at the source. */
  identity?: string[][]
  /** Of rows that become documents: the columns that tell one from all others at the source, where some do. */
  rowKeys?: string[]
}
