/** Names of objects and columns in a store. */
import type { Naming, ObjectName, ObjectSpec } from './schema.ts'

export interface Names {
  /** The default name of a destination object: `public.orders` -> `orders`. `options` are those of `write`. */
  defaultObject(from: ObjectName, options: Record<string, unknown>): string
  /** Splits the name of an object. Throws FERRY-3001 if it is no name. */
  parts(object: string): ObjectName
  /** A name from any store as a part of an object's name in this one, quoted if needed. */
  part(text: string): string
  /** Identifies an object within the store: the same text for all of its names. */
  key(object: string): string
  /** The names of columns that an object accepts. */
  columns(target: ObjectSpec): Naming
}

/** The names of a store whose objects and columns have any names, and are in no schemas. */
export const PLAIN_NAMES: Names = {
  defaultObject: ({ table }) => table,
  parts: object => ({ schema: '', table: object }),
  part: text => text,
  key: object => object,
  columns: () => ({ foldsCase: false, mayBeEmpty: true }),
}
