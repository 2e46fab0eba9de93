import type { Row } from './types.ts'

/** How a CSV stream is written. Every value is one character; `header`: true if the first record has the names of the columns. */
export interface CsvDialect {
  delimiter: string
  quote: string
  escape: string
  nullText: string
  encoding: string
}

export const FERRY_CSV: CsvDialect = { delimiter: ',', quote: '"', escape: '"', nullText: '', encoding: 'utf-8' }

/**
 * Thrown by a source in the middle of bytes that pass unread: the destination might read them otherwise than the source
 * does. What is not committed yet is read again, as rows.
 */
export class NotAsBytes extends Error {}

/** A query for a DuckDB: statements that make its sources known, then the query itself. */
export interface DuckdbQuery {
  setup: string[]
  sql: string
  teardown: string[]
}

/** A place within a split from which reading can be resumed; opaque outside the connector that made it. */
export type Checkpoint = string

/**
 * A piece of a split in flight. `checkpoint`, where present, is the place right behind this batch: the engine may
 * commit there. `bytes` is the size as read, for progress, throughput and rate limits. Who has written `data` out may
 * call `release`: the source then reads into the same memory again.
 */
export type Batch =
  | { kind: 'bytes'; data: Buffer; rows?: number; bytes: number; checkpoint?: Checkpoint; release?: () => void }
  | RowBatch
  | { kind: 'query'; query: DuckdbQuery; bytes: number }

export interface RowBatch {
  kind: 'rows'
  rows: Row[]
  bytes: number
  checkpoint?: Checkpoint
  rejected?: Rejected[]
  /** What happened to each row; undefined where they are rows of a snapshot, each there once. */
  changes?: Change[]
  /** Of changes: by position in the row, the values that the source leaves out since they did not change. */
  unchanged?: (readonly number[] | undefined)[]
  /** Of changes: the row under its former key, where the key changed. */
  before?: (Row | undefined)[]
  /** Of changes: when each happened, in microseconds since 1970. */
  times?: number[]
  /** Of an online copy: what is known to be left behind this batch. */
  behind?: Behind
}

/**
 * What happened to a row since the snapshot. Of a deleted one the row holds what is known of it, its key at least.
 * `clear` is about all rows at once: its own row is empty.
 */
export type Change = 'create' | 'replace' | 'delete' | 'clear'

/** How far reading is behind the source. */
export interface Behind {
  /** What is still to be read, about: nothing where it is 0. Changes, or bytes of the log where only these are known. */
  changes: number
  unit?: 'bytes'
  /** When the last change that was read happened, in milliseconds since 1970. */
  since?: number
}

/** A row that could not be read, with its reason; `place` names it (a line, a key). */
export interface Rejected {
  place: string
  reason: string
  column?: string
  /** The source row, column by column as canonical text; what `retry` copies again. */
  values?: Record<string, string | null>
  /** The text of the record, if it could not be parsed. */
  raw?: string
}
