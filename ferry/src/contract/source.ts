/** Reading from a store. docs/architecture.md draws the order of calls. */
import type { Batch, Checkpoint, CsvDialect, DuckdbQuery } from '../batch/encoding.ts'
import type { Column, Row } from '../batch/types.ts'
import type { FerryError } from '../errors.ts'
import type { ChangeFeed } from './changefeed.ts'
import type { Offer } from './encodings.ts'
import type { Increment, ReadOptions, ReadRequest, Since } from './read.ts'
import type { MappedColumn } from './schema.ts'
import type { Split } from './split.ts'

/** Reading from one store in one run. */
export interface SourceSession {
  /** Opens a table. Throws FERRY-3001 if it does not exist, FERRY-3016 for a filter or query that is none. */
  table(request: ReadRequest): Promise<SourceTable>
  /** What is new since an earlier copy, up to now. Undefined if the store cannot find it. Throws FERRY-3012, FERRY-5010. */
  increment?(request: ReadRequest, since: Since): Promise<Increment>
  /**
   * Prepares to follow the log for tables of the run that were opened with `table`, before any of them is read. Gives back
   * a feed for each request, in their order. `kept` are the positions of the job's tables: the store keeps its log for those
   * that are not followed now, too. Undefined if the store has no log, or if each split follows its own part of it.
   */
  follow?(requests: ReadRequest[], kept: { object: string; position: string }[]): Promise<ChangeFeed[]>
  close(): Promise<void>
}

/** One table of a session. */
export interface SourceTable {
  /** True if changes behind the snapshot can be read in order: by a change feed, or by each split itself. */
  readonly follows?: boolean
  /** Why `read` cannot give this form of rows; undefined if it can. `rows` it always can. */
  refuses(offer: Offer): string | undefined
  /** The dialect of the CSV that `read` gives, if the offer accepts `any`. */
  csvDialect?(): CsvDialect
  /** The columns of the form `rows`, in order, as they are before the mapping. */
  readonly rowColumns: Column[]
  /** Cuts the table into ranges that can be read independently. */
  splits(offer: Offer): Promise<Split[]>
  /** What must be unchanged for `splits` to hold in a later session; undefined if they always hold. Call `splits` first. */
  fingerprint(): Promise<string | undefined>
  /** Reads a split. A batch with a checkpoint may be committed: reading can be resumed right after it. */
  read(split: Split, options: ReadOptions): AsyncIterable<Batch>
  /**
   * A query of DuckDB that reads all of the table where it lies, for as long as `fingerprint` stays the same. Undefined where what it reads
   * is here for a moment only.
   */
  lend?(offer: Offer): Promise<DuckdbQuery | undefined>
  /** The current rows with the keys of these rows; undefined for a row that is gone. Only of documents. */
  current?(rows: Row[]): Promise<(Row | undefined)[]>
  /** The names of members that no column copies, in the documents that were read so far. */
  passedOver?(): string[]
  /** Checksums that the store computes over the columns as `target` holds them; undefined if it cannot. */
  checksums?(target: ChecksumTarget): StoreChecksums | undefined
  /**
   * The fault in bytes that passed unread and that the destination rejected, with file, line and column. Undefined if the source
   * finds none.
   */
  explain?(split: Split, from: Checkpoint | undefined): Promise<FerryError | undefined>
}

/** What checksums are computed over. `keys` are positions in `columns`. */
export interface ChecksumTarget {
  columns: MappedColumn[]
  keys: number[]
  /** The number of buckets that rows are distributed to by their keys: a power of two. */
  buckets: number
}

/** Checksums of a table's rows; the order of rows does not matter. */
export interface Checksums {
  /** The rows and the checksum of each bucket that is not empty. */
  buckets(): Promise<Map<number, { rows: number; sum: string }>>
  /** The key and the checksum of each row in these buckets; at most `most` rows. */
  rowsIn(buckets: number[], most: number): AsyncIterable<{ key: string; sum: string }>
}

/** Checksums computed inside a store. Two of them can be compared if `by` is the same. */
export interface StoreChecksums extends Checksums {
  by: string
}
