import type { z } from 'zod'
import type { Column, LogicalType } from '../batch/types.ts'
import type { FerryError } from '../errors.ts'
import type { Arrivals, Containers, Documents, KeptLog, Throttle } from './capabilities.ts'
import type { Locators } from './locator.ts'
import type { Naming, ObjectName, ObjectSpec, TableInfo } from './schema.ts'
import type { SinkSession } from './sink.ts'
import type { SourceSession } from './source.ts'
import type { RunIdentity, UpdateMethod, WriteRequest } from './write.ts'

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
  /** The forms of rows that are its own, by their names, each with the schema of its offer. */
  readonly encodings?: Record<string, z.ZodType>
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

/** The abilities of a store that has none but to be read and added to. */
export const PLAIN: Abilities = {
  update: ['append'],
  transactional: false,
  queries: false,
  knowsNew: false,
  patterns: false,
  arrivals: false,
  writesApart: false,
}

/** The abilities of a database of tables, in SQL and with transactions. */
export const DATABASE: Abilities = {
  ...PLAIN,
  update: ['append', 'overwrite', 'merge'],
  transactional: true,
  queries: true,
}

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
  /** Connects and says what answered, for `connections test`. */
  test(): Promise<string>
  /** The objects that can be copied, in a stable order: views too, unless only tables are asked for. */
  objects(only?: 'tables'): Promise<string[]>
  /** An object as it is now, or undefined where there is none. */
  describe(object: ObjectSpec): Promise<TableInfo | undefined>
  /** A destination object as it is now; undefined where it is to be made, as files always are. */
  existing(target: ObjectSpec): Promise<TableInfo | undefined>
  /** The column that making the target gives a column of a store of `kind`. */
  created(column: Column, kind: string, target: ObjectSpec): { type: LogicalType; native: string }
  /** The native type that a column of a key is made as, where that is not what `created` says: an index may be shorter. */
  keyNative?(native: string): string
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
  // What only some stores can.
  readonly log?: KeptLog
  readonly documents?: Documents
  readonly arrivals?: Arrivals
  readonly throttle?: Throttle
  readonly containers?: Containers
  /** Opens the store for reading: one consistent snapshot for all tables where the store has one. */
  source(): Promise<SourceSession>
  /** Opens the store for writing. */
  sink(run: RunIdentity): Promise<SinkSession>
  close(): Promise<void>
}
