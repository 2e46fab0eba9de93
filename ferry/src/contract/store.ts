import type { z } from 'zod'
import type { Column, LogicalType } from '../batch/types.ts'
import type { FerryError } from '../errors.ts'
import type { Policy } from '../policy.ts'
import type { Arrivals, Containers, Documents, Folders, KeptLog, Statements, Throttle } from './capabilities.ts'
import type { Locators } from './locator.ts'
import type { Names } from './names.ts'
import type { ObjectSpec, TableInfo } from './schema.ts'
import type { SinkSession } from './sink.ts'
import type { SourceSession } from './source.ts'
import type { RunIdentity, UpdateMethod, WriteRequest } from './write.ts'

/** Settings of a connection: flat, secrets already resolved. Each connector checks them with its own zod schema. */
export type Settings = Record<string, unknown>

/** What a kind of store declares, without loading its driver. */
export interface Kind {
  /** The name in job files and locators: `postgres`. */
  readonly kind: string
  /** The name as people say it: `PostgreSQL`. */
  readonly label: string
  readonly abilities: Abilities
  /** The settings of a connection. Forms and documentation are generated from it; `.meta({ secret: true })` marks secrets. */
  readonly settings: z.ZodObject
  /** The setting that names a part of the service which the store can list: `bucket`. */
  readonly listed?: string
  readonly locators: Locators
  /** The forms of rows that it defines, by name, each with the schema of its offer. */
  readonly encodings?: Record<string, z.ZodType>
  /** The options that jobs may give for its objects, in `read` and `write`. */
  readonly options?: { read: z.ZodObject; write: z.ZodObject }
  /** True if the store reports changes, for online copies and change data capture. */
  readonly tellsChanges: boolean
  /** Checks the settings and gives back what the store is opened with. Throws FERRY-2003. */
  check(settings: Settings, policy: Policy): unknown
}

/** A kind of store with its driver. */
export interface Connector extends Kind {
  /**
   * Checks the settings. The store connects later, when it is used. `policy` says which files it may open. Throws FERRY-2003,
   * FERRY-2006.
   */
  open(settings: Settings, policy: Policy): Store
}

/** What a kind of store can do. The conformance suite tests everything that is declared here. */
export interface Abilities {
  /** The update methods of the sink; the first one is the default. */
  update: readonly UpdateMethod[]
  /** True if rows and checkpoint commit in one transaction. */
  transactional: boolean
  /** True if it can be queried. */
  queries: boolean
  /** True if it knows what is new since the last copy, so that jobs need no incremental column. */
  knowsNew: boolean
  /** True if a name may be a pattern for many parts of one object: files in folders. */
  patterns: boolean
  /** True if objects arrive and are removed again: triggers wait for them, and an object that was copied may be gone. */
  arrivals: boolean
  /** True if each run writes new objects beside those of earlier runs, so that existing ones are not described. */
  writesApart: boolean
}

/** The abilities of a store that can be read and appended to, and no more. */
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

/** One store: a database, an account, a folder of files. */
export interface Store {
  readonly kind: string
  /** The name of the store in messages, without secrets: `postgres://localhost:5432/shop`. */
  readonly label: string
  readonly abilities: Abilities
  /** Identifies the store: the same text for all settings that lead to it. */
  readonly place: string
  /** True if jobs may give options for its objects, in `read` and `write`. */
  readonly takesOptions?: boolean
  /** The error for a missing object, if the store explains it better than FERRY-3001 with the nearest names. */
  missing?(object: string): FerryError
  /** The `read` options for what was written with `write`, if it does not describe itself (CSV). */
  readBack?(write: Pick<WriteRequest, 'options' | 'columns'>): Record<string, unknown>
  /** Why the store cannot be written while it is read; undefined if it can. */
  refusesReading?(): string | undefined
  /** Connects, and gives back what answered, for people. Throws FERRY-2001 to FERRY-2007. */
  test(): Promise<string>
  /** The objects that can be copied, in a stable order; with views unless `only` is given. */
  objects(only?: 'tables'): Promise<string[]>
  /** An object as it is now; undefined if there is none. */
  describe(object: ObjectSpec): Promise<TableInfo | undefined>
  /** A destination object as it is now; undefined if it is to be created, as files always are. */
  existing(target: ObjectSpec): Promise<TableInfo | undefined>
  /** The type that a column of a store of `kind` gets where Ferry creates the target. */
  created(column: Column, kind: string, target: ObjectSpec): { type: LogicalType; native: string }
  /** The native type of a column that is part of a key, if it differs from `created`: indexes have a maximal length. */
  keyNative?(native: string): string
  /** How objects and columns are named. */
  readonly names: Names
  // What only some stores can do: see capabilities.ts.
  readonly log?: KeptLog
  readonly documents?: Documents
  readonly arrivals?: Arrivals
  readonly folders?: Folders
  readonly throttle?: Throttle
  readonly containers?: Containers
  readonly statements?: Statements
  /** Opens the store for reading: one consistent snapshot for all tables, if the store has snapshots. */
  source(): Promise<SourceSession>
  /** Opens the store for one run to write. */
  sink(run: RunIdentity): Promise<SinkSession>
  close(): Promise<void>
}
