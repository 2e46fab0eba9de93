/**
 * What a store must do to be copied from and to. A connector is a folder that exports one {@link Connector}; engine and
 * CLI know stores only through these interfaces.
 */
import type { z } from 'zod'
import type { Batch, Checkpoint, CsvDialect, Encoding } from '../batch/encoding.ts'
import type { Column, LogicalType, Row } from '../batch/types.ts'
import type { FerryError } from '../errors.ts'
import type { Locators } from './locator.ts'

/** Settings of a connection: flat, secrets already resolved. Each connector checks them with its own zod schema. */
export type Settings = Record<string, unknown>

/** What a kind of store declares: it is known without the driver. */
export interface Kind {
  /** The name in job files and locators: `postgres`. */
  readonly kind: string
  /** The name as people say it: `PostgreSQL`. */
  readonly label: string
  readonly abilities: Abilities
  /** What its settings are: forms and documentation are made of it. */
  readonly settings: z.ZodObject
  readonly locators: Locators
  /** What jobs may say more of its objects, in `read` and `write`. */
  readonly options?: { read: z.ZodObject; write: z.ZodObject }
  /** Whether the store tells its changes: online copies, and incremental ones by its log. */
  readonly tellsChanges: boolean
  /** Checks the settings, and gives back what is opened by them. Throws FERRY-2003. */
  check(settings: Settings): unknown
}

/** A kind of store, to be copied from and to. */
export interface Connector extends Kind {
  /** Checks the settings and makes a store that is not connected yet. Throws FERRY-2003. */
  open(settings: Settings): Store
}

/** How far before its last value an incremental copy reads again. */
export type Overlap = { amount: number } | { seconds: number }

/** What a kind of store can do: the conformance suite tries what is declared here, and nothing else names a store. */
export interface Abilities {
  /** Update methods that the store's sink knows; the first one is taken where nothing is said. */
  update: readonly UpdateMethod[]
  /** Whether rows and checkpoint commit in one transaction. */
  transactional: boolean
  /** Whether it answers queries with rows. */
  queries: boolean
  /** Whether it knows by itself what is new since the last copy: no column has to be named. */
  knowsNew: boolean
  /** Whether a name may be a pattern of the store's own, of many parts that are one object: files in folders. */
  patterns: boolean
  /** Whether objects arrive, and are taken away again: triggers wait for them, and what was copied need not be there. */
  arrivals: boolean
  /** Whether each run writes objects of its own, beside those of earlier runs: what is there is not looked at. */
  writesApart: boolean
}

/** The abilities of a database of tables, in SQL and with transactions. */
export const DATABASE: Abilities = {
  update: ['append', 'overwrite', 'merge'],
  transactional: true,
  queries: true,
  knowsNew: false,
  patterns: false,
  arrivals: false,
  writesApart: false,
}

export type UpdateMethod = 'append' | 'overwrite' | 'merge'

/** One reachable store: a database, a folder of files. */
export interface Store {
  readonly kind: string
  /** The store as messages name it, without secrets: `postgres://localhost:5432/shop`. */
  readonly label: string
  readonly abilities: Abilities
  /** Where it is: one text for all ways to name it. */
  readonly place: string
  /** Whether jobs may say more of its objects, in `read` and `write`. */
  readonly takesOptions?: boolean
  /** The error for an object that is not there, where the store has words of its own for it. */
  missing?(object: string): FerryError
  /** The options that read back what was written, where it does not tell itself what it is. */
  readBack?(write: Pick<WriteRequest, 'options' | 'columns'>): Record<string, unknown>
  /** Why it cannot be written while it is read, where it cannot. */
  refusesReading?(): string | undefined
  /** How many splits gain from being at work at one time, where waiting for the store limits and not the processor. */
  readonly parallel?: number
  /** Connects and says what answered, for `connections test`. */
  test(): Promise<string>
  /** The objects that can be copied, in a stable order: views too, unless only tables are asked for. */
  objects(only?: 'tables'): Promise<string[]>
  /** Gives up what the store keeps for positions that nobody goes on from, a place in its log, unless `kept` need it. */
  release?(positions: string[], kept: string[]): Promise<void>
  /** The position of a copy by the log that ended at one of its checkpoints. */
  positionAt?(position: string, checkpoint: string): string
  /** Files that match a pattern, each with what changes when it does: its size and time. */
  arrivals?(pattern: string): Promise<{ path: string; print: string }[]>
  /** An object as it is now, or undefined where there is none. */
  describe(object: ObjectSpec): Promise<TableInfo | undefined>
  /** A destination object as it is now; undefined where it is to be made, as files always are. */
  existing(target: ObjectSpec): Promise<TableInfo | undefined>
  /** The column that making the target gives a column of a store of `kind`. */
  created(column: Column, kind: string, target: ObjectSpec): { type: LogicalType; native: string }
  /** The native type that a column of a key is made as, where that is not what `created` says: an index may be shorter. */
  keyNative?(native: string): string
  /** What tells one document from another, in a store that holds nothing else. */
  readonly documentKeys?: string[]
  /** Whether the target holds documents, so that those of a source go there as they are. */
  takesDocuments?(target: ObjectSpec): boolean
  /** Why requests to the store wait, where they do for longer than a moment. */
  waitingFor?(): string | undefined
  /** What copies of whole containers need; undefined where the store has none. */
  readonly containers?: Containers
  /** Where an object goes when a job does not say: `public.orders` -> `orders`; `options` are those of writing. */
  defaultObject(from: ObjectName, options: Record<string, unknown>): string
  /** An object's name taken apart. Throws FERRY-3001 for what is no name. */
  nameParts(object: string): ObjectName
  /** A name of any store as a part of the name of an object of this one, quoted where it must be. */
  namePart(text: string): string
  /** What two names of one object have in common. */
  objectKey(object: string): string
  /** What names of an object's columns must be. */
  naming(target: ObjectSpec): Naming
  /** Opens the store for reading: one consistent snapshot for all tables where the store has one. */
  source(): Promise<SourceSession>
  /** Opens the store for writing. */
  sink(run: RunIdentity): Promise<SinkSession>
  close(): Promise<void>
}

/** The bare names of an object and of what it is in, without quotes: a schema, a database, a folder. */
export interface ObjectName {
  schema: string
  table: string
}

/** What names a store takes for columns. */
export interface Naming {
  /** Whether `Id` and `id` are one name. */
  foldsCase: boolean
  /** How long a name may be: the rest would be cut off. */
  mostBytes?: number
  mostCharacters?: number
  /** Names that are the store's own. */
  reserved?: readonly string[]
  /** Whether a name may be empty. */
  mayBeEmpty?: boolean
}

/** Containers as the account's administrator sees them. */
export interface Containers {
  /** How many copy jobs of the account may be at work at one time. */
  readonly copiesAtOnce: number
  /** Checks that objects can be copied from or to, before anything is written. Throws in the service's words. */
  check(objects: string[], role: { as: 'source' | 'destination'; online: boolean }): Promise<void>
  /** All containers of the account. */
  list(): Promise<{ database: string; container: string }[]>
  /** How a container is defined, as JSON, with its keys and policies; undefined where there is none. */
  definition(object: string): Promise<string | undefined>
  /** Makes a container after a definition, with another partition key and RU/s of its own where they are given. */
  create(
    object: string,
    definition: string,
    own: { partitionKey?: string[] | undefined; throughput?: number | undefined },
  ): Promise<void>
}

/** What to read: an object by name, or the result of a query; `options` are the connector's own (format, header, ...). */
export interface ObjectSpec {
  object: string
  query?: string
  options: Record<string, unknown>
  /**
   * What becomes of columns that the object turns out to have: they end the reading (FERRY-3013), or are left out. Under
   * `evolve` an object without a schema is looked at as a whole, so that there are none.
   */
  drift?: 'freeze' | 'evolve' | 'ignore'
}

export interface TableInfo {
  /** The object's full name as the store writes it. */
  object: string
  columns: TableColumn[]
  primaryKey: string[]
  /** Of an object that holds documents: the paths that tell one from another. Its columns are those of a sample. */
  documents?: { identity?: string[][] }
  /** The names of all objects that are read, where `object` is a pattern or a folder. */
  parts?: string[]
  /** What of this was found out and not said, for people: they can say it where it is wrong. */
  guesses?: string[]
  /** Estimates, for progress and splits. */
  rows?: number
  bytes?: number
}

/** The column of files that says which of them a row is from, where it is asked for; the name is Data Factory's. */
export const FILE_PATH = '$$FILEPATH'

/** The name of the column that is the whole document, as JSON text. */
export const DOCUMENT = '$'

export interface TableColumn extends Column {
  /** Whether the store fills the column itself when it gets no value. */
  hasDefault?: boolean
  /** Whether an index begins with it; undefined where the store does not tell. */
  indexed?: boolean
  /** Whether it fills the column with the next number. */
  autoIncrement?: boolean
  /** An expression of the store's own language that fills it and means the same in every database of its kind. */
  defaultSql?: string
  /** Whether the store computes the column and takes no value for it. */
  generated?: boolean
  /** Whether the column is copied only where a job names it: a part of another one, such as `address.city`. */
  onRequest?: boolean
  /** What rows hold that are older than the column, as canonical text: the default that it was added with. */
  missing?: string
  /** Why its values cannot be read as they are, and what would help. */
  unreadable?: { why: string; hint: string }
  /** Whether texts that differ are one for it, as `a` and `A` under some collations. */
  loose?: boolean
  /** What the store does to values of other types than this very one, without a word: so they are refused. */
  alters?: string
  /** Whether the type is a guess from text, so that the destination's type may be read from the text instead. */
  inferred?: boolean
}

/** A column on its way: where its values come from and what the destination holds. */
export interface MappedColumn {
  /** Name at the destination. */
  name: string
  /** The source column; undefined where the value is a constant. */
  from?: string
  /** Type as read from the source; of a constant, utf8. */
  sourceType: LogicalType
  sourceNative?: string
  /** A constant value, or the value that stands in for null, as canonical text. */
  constant?: string
  default?: string
  /** Type at the destination. */
  type: LogicalType
  native?: string
  nullable: boolean
  /** Whether each value must be checked because some may not fit. */
  checked: boolean
  /** Of a column that is created: how the source fills it for rows that give it no value. */
  filled?: { by: 'numbers' } | { by: 'text'; text: string } | { by: 'sql'; sql: string }
  /** Whether the type is a guess from a text file that nobody confirmed: a text that it would alter is refused. */
  guessed?: boolean
}

/** A form in which a sink takes rows. The source says whether it can make it. */
export type Offer =
  | { encoding: 'pg-copy-binary' | 'pg-copy-text'; wire: string[] }
  | {
      encoding: 'csv'
      types: LogicalType[]
      wire?: string[]
      dialect: CsvDialect | 'any'
      /** Who reads the fields: PostgreSQL refuses what is not of a type, DuckDB would round it, a file keeps it. */
      parser: 'postgres' | 'duckdb' | 'none'
    }
  | { encoding: 'duckdb-sql'; types: LogicalType[] }
  | { encoding: 'rows' }

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

/** Reading from one store in one run. */
export interface SourceSession {
  table(request: ReadRequest): Promise<SourceTable>
  /** What changed since an earlier copy, up to now; undefined where the store cannot tell. */
  increment?(request: ReadRequest, since: Since): Promise<Increment>
  /**
   * Makes ready to follow the log for the tables of the run, before any of them is read: what it finds is put into the
   * `log` of their requests. `kept` are the positions of the job's other tables, which nothing may be forgotten of.
   */
  follow?(requests: ReadRequest[], kept: { object: string; position: string }[]): Promise<void>
  close(): Promise<void>
}

export interface SourceTable {
  /** Whether reading can go on behind the snapshot, change by change and in order: an online copy. */
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
  /** Of a table whose log is followed, once all of them are known: the log waits for it from here on. */
  join?(): void
  /** Of a table whose log is followed: that everything up to the checkpoint is kept at the destination. */
  confirm?(checkpoint: Checkpoint): void
  /** Of a table whose log is followed: nothing more is read of it. */
  leave?(): void
  /** Of a table whose log is followed: the position that the next copy goes on from. */
  reached?(): string | undefined
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

export interface ReadOptions {
  offer: Offer
  from?: Checkpoint
  /** Ends it at once. */
  signal: AbortSignal
  /** Aborted when an online copy is to end: with what the source holds at that moment. */
  complete?: AbortSignal
}

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

/** A change of the destination's columns. */
export interface Alteration {
  kind: 'add' | 'widen'
  column: string
  native: string
  /** What rows hold that are there already, as canonical text. */
  missing?: string
}

/** Writing to one store in one run. */
export interface SinkSession {
  table(request: WriteRequest): Promise<SinkTable>
  close(): Promise<void>
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

export interface SinkTable {
  /** What `plan` prints: statements that would run, the guarantee, and what a user should know. */
  readonly plan: { statements: string[]; guarantee: string; notes: string[] }
  /**
   * `split`: every split commits by itself, in parallel up to `lanes`. `table`: one commit for all, fed by at most
   * `lanes` splits at a time, each batch of whole rows (a single file).
   */
  readonly unit: 'split' | 'table'
  readonly lanes: number
  /** How many batches of a split may be on their way at one time; one where omitted. */
  readonly inFlight?: number
  /** Whether batches may hold changes, deletes too, that are applied in order. */
  readonly takesChanges?: boolean
  /** Applying the changes of a log; undefined where the table takes none. */
  readonly changes?: ChangeSink
  /**
   * Throws where what is at the place would be lost without a word; asked before a run begins. Gives back what will be
   * replaced of it, in words.
   */
  requireRoom?(): Promise<string | undefined>
  /** Makes the alterations of the request; harmless when repeated. Undefined where columns are not fixed. */
  alter?(): Promise<void>
  /** The offer for an encoding, or the reason why this table does not take it. */
  offer(encoding: Encoding): Offer | string
  /**
   * Makes the destination ready; harmless when repeated. Gives back what this run has committed already: from the
   * destination's ledger where there is one, else `known`, which the state remembers.
   */
  prepare(known: Committed): Promise<Committed>
  /**
   * What this run has committed, as `prepare` gives it back, with no other process of the run able to commit more; nothing
   * is made ready.
   */
  committed(known: Committed): Promise<Committed>
  open(split: Split, offer: Offer, work?: WriterWork): Promise<SplitWriter>
  /** The change-over after the last split, at once and once; harmless when repeated. */
  publish(): Promise<void>
  /** Removes the run's ledger lines, once the state has recorded the end. */
  forget(): Promise<void>
  /** Removes everything unpublished, for a run that will not go on. */
  discard(): Promise<void>
  /** Whether rows that are committed are seen with `publish` only: `discard` leaves none of them. */
  readonly staged: boolean
}

/** Applying the changes behind a snapshot, or behind an earlier copy, to a table that is there. */
export interface ChangeSink {
  /** How far this run has applied them: by the destination's ledger, else as the state knows it. */
  committed(known: CommittedSplit | undefined): Promise<CommittedSplit | undefined>
  open(work: WriterWork): Promise<SplitWriter>
}

/** The work that a writer is part of. */
export interface WriterWork {
  /** Ends it at once. */
  signal?: AbortSignal
  /** The checkpoint that the split goes on from. */
  from?: Checkpoint | undefined
  /** Whether the first changes may be older than what is there: those that the snapshot holds already. */
  replays?: boolean
  /** Whether an earlier try of the run may have written more than it has committed, where these are not one. */
  resumed?: boolean
}

export interface SplitWriter {
  /**
   * Takes a batch; gives back the rows that the store refused, where the table skips such rows. The next one comes when it is
   * taken, unless the table's `inFlight` allows for more.
   */
  write(batch: Batch): Promise<Refused[]>
  /** How many changes wait for others that are still to come: nothing is committed meanwhile. */
  readonly held?: number
  /** Writes what is held, or refuses it for good: no more changes are known. */
  settle?(): Promise<{ row: Row; error: FerryError }[]>
  /** Commits what was written since the last commit together with the checkpoint; `undefined` ends the split. */
  commit(checkpoint: Checkpoint | undefined, counts: { rows: number; bytes: number }): Promise<CommitResult>
  abort(): Promise<void>
}

export interface CommitResult {
  /** Rows that the store says it took, where only it knows (bytes lanes). */
  rows?: number
  bytesWritten?: number
}

/** A row that the sink refused: its position in the batch, and why. */
export interface Refused {
  index: number
  error: FerryError
}
