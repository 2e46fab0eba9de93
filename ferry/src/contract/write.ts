/** What is written: requests are saved with the plan of a table, as JSON. */
import type { Alteration, MappedColumn, TableInfo } from './schema.ts'

export type UpdateMethod = 'append' | 'overwrite' | 'merge'

/** The run that writes: ledger lines and temporary names contain it. */
export interface RunIdentity {
  readonly run: string
  readonly job: string
  /** Raised each time a process takes the run. A destination rejects commits under a lower epoch. */
  readonly epoch: number
  /** Asks the state. Throws FERRY-5004 if another process has taken the run. */
  confirm(): Promise<void>
  /** The same, but does not ask while the last answer still guarantees that no other process has taken the run. */
  holds(): Promise<void>
}

export interface WriteRequest {
  object: string
  options: Record<string, unknown>
  /** Position of the table in its job: part of ledger keys and temporary names. */
  ordinal: number
  columns: MappedColumn[]
  /** The destination as it was when the table was planned; undefined if it is to be created. */
  existing?: TableInfo
  /** Key columns, by their names at the destination: the primary key of a created table, the match of a merge. */
  keys: string[]
  update: UpdateMethod
  /** True if the destination is emptied before a full copy. */
  truncate: boolean
  /** Statements that the job runs before the first row and after the last one. */
  before: string[]
  after: string[]
  /** True if rows that the store rejects are given back by `write`; otherwise they end the run. */
  skipBadRows: boolean
  /** True if rows of earlier runs stay. */
  adds?: boolean
  /** True if two rows may have the same key. Splits are then written one after the other, and the last row read wins. */
  inOrder?: boolean
  /** Set if changes are applied: what happens to deleted rows, and whether a change feed gives them (`log`). */
  follows?: { deletes: 'apply' | 'mark' | 'ignore'; deletedAt: string; log: boolean }
  /**
   * Set if every version of a row is kept: the keys of the row, the columns with the time for which a version is valid, and
   * `apart`, the columns whose values do not make a new version. The keys of the table are those of the row and `from`.
   */
  history?: { keys: string[]; from: string; to: string; current: string; apart: string[] }
  /** Columns to add or to widen before rows are written, since the source has changed. */
  alter?: Alteration[]
  /** Only of documents that are written unchanged: the paths that identify one at the source. */
  identity?: string[][]
  /** Only of rows that become documents: the columns that identify one at the source, if there are any. */
  rowKeys?: string[]
}
