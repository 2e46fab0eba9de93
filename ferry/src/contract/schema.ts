import type { Column, LogicalType } from '../batch/types.ts'

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

/** A change of the destination's columns. */
export interface Alteration {
  kind: 'add' | 'widen'
  column: string
  native: string
  /** What rows hold that are there already, as canonical text. */
  missing?: string
}
