/** What only some stores can: each is one member of {@link Store}, and undefined where a store cannot do it. */
import type { Checkpoint } from '../batch/encoding.ts'
import type { ObjectSpec } from './schema.ts'

/** A store that keeps its log for those who follow it. Positions are those of its increments. */
export interface KeptLog {
  /** Removes what the store keeps for `positions`, unless one of `kept` needs it; nothing if it keeps nothing by itself. */
  release(positions: string[], kept: string[]): Promise<void>
  /** The position of a copy from `position` that ended at one of its checkpoints. */
  positionAt(position: string, checkpoint: Checkpoint): string
}

/** A store that holds documents. */
export interface Documents {
  /** The paths that identify a document, if the store holds nothing else. */
  readonly keys?: string[]
  /** True if the target holds documents, so that those of a source are written as they are. */
  takes(target: ObjectSpec): boolean
}

/** A store whose objects arrive and are taken away: triggers wait for them. */
export interface Arrivals {
  /** The objects that match a pattern, each with a text that changes when it does. */
  find(pattern: string): Promise<{ path: string; fingerprint: string }[]>
}

/** A store of files in folders, to be looked around in. */
export interface Folders {
  /** The values that the setting `listed` of the kind may have, as far as the identity may see them: at most `most`. */
  listed?(most: number): Promise<string[]>
  /** What is directly in a folder, by names as jobs say them, folders with a slash at their end; at most `most` of each. */
  list(folder: string, most: number): Promise<FolderView>
  /** The files that a name or a pattern means: how many, their bytes, and the first `most` names; `atLeast` if it stopped counting. */
  matching(pattern: string, most: number): Promise<{ files: number; bytes: number; names: string[]; atLeast: boolean }>
  /** A file by its name; undefined if there is none. */
  file(name: string): Promise<FileView | undefined>
  /** The files that a name or a pattern means; `deep`: a folder means all that is below it. */
  files(name: string, deep: boolean): AsyncIterable<FileView[]>
  /** The MD5 of a file, in base64: all of its bytes are read. Undefined if there is no such file. */
  md5(name: string): Promise<string | undefined>
  /** Removes a folder and those below it that hold nothing; a store that has folders only where files are has nothing to remove. */
  removeEmpty(folder: string): Promise<void>
  /** Removes a file if it is still as `file` says. False if it is another one, which stays. */
  remove(file: FileView): Promise<boolean>
}

/** A file by the name that jobs have for it. */
export interface FileView {
  name: string
  size: number
  /** Milliseconds since 1970; 0 if it is not known. */
  modified: number
}

export interface FolderView {
  folders: string[]
  files: FileView[]
  more: boolean
}

/** A store whose answers take long or are rationed, so that waiting limits a copy and not the processor. */
export interface Throttle {
  /** How many splits at work at one time still gain. */
  readonly parallel: number
  /** Why requests wait; undefined unless they have for longer than a moment. */
  waitingFor(): string | undefined
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

/** A table in a statement over two: `t` is changed, and `s` says how. */
export interface Aliased {
  name: string
  as: 's' | 't'
}

/** Statements over two tables. */
export interface TwoTables {
  /** Sets columns of one table from another, where both match. */
  update(into: Aliased, set: { column: string; value: string }[], from: Aliased, match: string): string
  /** Deletes what another table matches. */
  remove(from: Aliased, using: Aliased, match: string): string
}

/** A store that executes statements in its own language. */
export interface Statements extends TwoTables {
  /** An object as a statement names it: with its schema, quoted. */
  table(object: string): string
  quote(name: string): string
  /** Executes one statement that gives no rows. Gives back how many rows it changed; undefined if the store does not say. */
  execute(statement: string): Promise<number | undefined>
  /** Calls a procedure; a name of a parameter is empty where the store knows them by position only. */
  call(
    procedure: string,
    parameters: { name: string; value: string | number | bigint | boolean | null }[],
  ): Promise<void>
}
