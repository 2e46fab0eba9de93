/** Objects and their columns: as a store describes them, and as a copy maps them. */
import type { TextForms } from '../batch/forms.ts'
import type { Column, LogicalType } from '../batch/types.ts'

/** The unquoted names of an object and of the schema, database or folder that holds it. */
export interface ObjectName {
  schema: string
  table: string
}

/** The names of columns that a store accepts. */
export interface Naming {
  /** True if `Id` and `id` are the same name. */
  foldsCase: boolean
  /** The length of a name that the store does not cut off, in bytes or in characters. */
  mostBytes?: number
  mostCharacters?: number
  /** Names that the store uses itself. */
  reserved?: readonly string[]
  /** True if a name may be empty. */
  mayBeEmpty?: boolean
}

/** What to read: an object by name, or the result of a query; `options` are the connector's own (format, header, ...). */
export interface ObjectSpec {
  object: string
  query?: string
  options: Record<string, unknown>
  /**
   * What happens to a column that is found while reading and that is not in the plan: `freeze` throws FERRY-3013, `ignore` leaves
   * it out. With `evolve` an object without a schema is read as a whole by `describe`, so that no such column exists.
   */
  drift?: 'freeze' | 'evolve' | 'ignore'
}

export interface TableInfo {
  /** The object's full name, as the store writes it. */
  object: string
  columns: TableColumn[]
  primaryKey: string[]
  /** Only of an object that holds documents: `identity` has the paths that identify one. The columns are those of a sample. */
  documents?: { identity?: string[][] }
  /** The names of all objects that are read, if `object` is a pattern or a folder. */
  parts?: string[]
  /** True if all that is below the object is read, too. */
  deep?: boolean
  /** What the store inferred since the job does not state it (a delimiter, a type), for people to check. */
  guesses?: string[]
  /** Estimates, for progress and splits. */
  rows?: number
  bytes?: number
}

/** The column with the path of the file that a row comes from, if a job asks for it. Data Factory uses the same name. */
export const FILE_PATH = '$$FILEPATH'

/** The column that is a whole document, as JSON text. */
export const DOCUMENT = '$'

export interface TableColumn extends Column {
  /** True if the store fills the column when it gets no value. */
  hasDefault?: boolean
  /** True if an index begins with the column; undefined if the store does not report it. */
  indexed?: boolean
  /** True if the store fills it with the next number. */
  autoIncrement?: boolean
  /** The expression that fills it, in the store's language, if it means the same in every database of the kind. */
  defaultSql?: string
  /** True if the store computes the column: it accepts no value. */
  generated?: boolean
  /** True if the column is copied only when a job names it: a part of another one, such as `address.city`. */
  onRequest?: boolean
  /** The value of rows older than the column, as canonical text: the default that it was added with. */
  missing?: string
  /** Why its values cannot be read exactly, and what would help. */
  unreadable?: { why: string; hint: string }
  /** True if different texts are equal in it, as `a` and `A` under some collations. */
  loose?: boolean
  /** How the store alters values of other types silently: such values are rejected. */
  alters?: string
  /** True if the type was inferred from text: the destination's type may be parsed from the text instead. */
  inferred?: boolean
  /** True if the source holds all of its values as texts, whatever type they were inferred as. */
  written?: boolean
}

/** One column of a mapping: where its values come from, and what the destination holds. */
export interface MappedColumn {
  /** Name at the destination. */
  name: string
  /** The source column; undefined if the value is a constant. */
  from?: string
  /** Type as read from the source; of a constant, utf8. */
  sourceType: LogicalType
  sourceNative?: string
  /** A constant value, or the value that replaces null, as canonical text. */
  constant?: string
  default?: string
  /** Type at the destination. */
  type: LogicalType
  native?: string
  nullable: boolean
  /** True if each value must be checked, since some may not fit. */
  checked: boolean
  /** Only of a column that is created: how the source fills it for rows that have no value. */
  filled?: { by: 'numbers' } | { by: 'text'; text: string } | { by: 'sql'; sql: string }
  /** True if the type was inferred from a text file and the job does not state it: a text that it would alter is rejected. */
  guessed?: boolean
  /** How values go through texts. Such a column is checked: the engine converts it. */
  texts?: TextForms
}

/** A change of the destination's columns. */
export interface Alteration {
  kind: 'add' | 'widen'
  column: string
  native: string
  /** The value of rows that exist already, as canonical text. */
  missing?: string
}
