import type { Batch, Checkpoint, CsvDialect } from '../batch/encoding.ts'
import type { Column, Row } from '../batch/types.ts'
import type { FerryError } from '../errors.ts'
import type { ChangeFeed } from './changefeed.ts'
import type { Offer } from './encodings.ts'
import type { Increment, ReadOptions, ReadRequest, Since } from './read.ts'
import type { MappedColumn } from './schema.ts'
import type { Split } from './split.ts'

/** Reading from one store in one run. */
export interface SourceSession {
  table(request: ReadRequest): Promise<SourceTable>
  /** What changed since an earlier copy, up to now; undefined where the store cannot tell. */
  increment?(request: ReadRequest, since: Since): Promise<Increment>
  /**
   * Prepares to follow the log for tables of the run that were opened with `table`, before any of them is read. Gives back
   * a feed for each request, in their order. `kept` are the positions of the job's tables: the store keeps its log for those
   * that are not followed now, too. Undefined if the store has no log, or if each split follows its own part of it.
   */
  follow?(requests: ReadRequest[], kept: { object: string; position: string }[]): Promise<ChangeFeed[]>
  close(): Promise<void>
}

export interface SourceTable {
  /** True if changes behind the snapshot can be read in order: by a change feed, or by each split itself. */
  readonly follows?: boolean
  /** Why the offer cannot be served, or undefined where it can. `rows` always can. */
  refuses(offer: Offer): string | undefined
  /** The dialect of the CSV that `read` gives, where the offer leaves it open. */
  csvDialect?(): CsvDialect
  /** The columns of the rows encoding, in order: what is read before the engine maps. */
  readonly rowColumns: Column[]
  splits(offer: Offer): Promise<Split[]>
  /** What must be unchanged for the splits to be resumed in a later snapshot; undefined where nothing must. */
  fingerprint(): Promise<string | undefined>
  read(split: Split, options: ReadOptions): AsyncIterable<Batch>
  /** Rows as the source holds them now, of a source that is followed; undefined for those that are gone. */
  current?(rows: Row[]): Promise<(Row | undefined)[]>
  /** Members of documents that were read so far and that no column asks for, by their names. */
  passedOver?(): string[]
  /** Checksums that the store computes itself, over the columns as `target` holds them; undefined where it cannot. */
  checksums?(target: ChecksumTarget): StoreChecksums | undefined
  /**
   * What is wrong with bytes that the destination refused, in the words of the source: file, line and column. Undefined
   * where the source finds no fault in them.
   */
  explain?(split: Split, from: Checkpoint | undefined): Promise<FerryError | undefined>
}

/** What checksums are computed over: the destination's columns, and which of them are keys. */
export interface ChecksumTarget {
  columns: MappedColumn[]
  keys: number[]
  /** Rows are spread over so many buckets by their keys, a power of two. */
  buckets: number
}

/** Checksums of a table's rows, whatever order they come in. */
export interface Checksums {
  /** How many rows are in each bucket that has any, and their checksum. */
  buckets(): Promise<Map<number, { rows: number; sum: string }>>
  /** Key and checksum of each row in some buckets, at most so many. */
  rowsIn(buckets: number[], most: number): AsyncIterable<{ key: string; sum: string }>
}

/** Checksums computed inside a store: comparable with those that the same functions compute elsewhere. */
export interface StoreChecksums extends Checksums {
  by: string
}
