/** Stores of objects: files in a folder, later blobs in a container. Formats know nothing else of where their bytes are. */
import type { Readable } from 'node:stream'
import type { RunIdentity, WriteRequest } from '../contract/write.ts'
import type { Staging } from './staging.ts'

/** An object as a listing gives it. */
export interface ObjectHead {
  /** The name of the object within its store; for a local file its absolute path. */
  key: string
  /** In bytes; undefined for a stream, which has no length and can be read once. */
  size: number | undefined
  /** Nanoseconds since 1970; 0 for a stream. */
  modified: bigint
  /** Changes whenever the bytes do; undefined for files, which have no such mark. */
  version?: string
}

/** A part of an object, in bytes: `end` is excluded, and the end of the object if omitted. */
export interface ByteRange {
  start: number
  end?: number
}

export interface ObjectStore {
  /** Identifies the store in messages, without secrets: `files:/data`. */
  readonly label: string
  /** Identifies the store: the same text for all settings that lead to objects with the same identities. */
  readonly place: string
  /** Checks that the store can be read, and gives back what answered, for people. Throws FERRY-2001 to FERRY-2007. */
  test(): Promise<string>
  /** The names, relative to the store, of the objects that match a pattern; sorted. */
  names(pattern: string): Promise<string[]>
  /**
   * The objects that a name means: one object, those directly in a folder, or those that match a pattern. Sorted by key,
   * without hidden ones; empty if there are none. Throws FERRY-2006 for what may not be read.
   */
  find(name: string): Promise<ObjectHead[]>
  /** Identifies an object: the same text for all of its names, in all connections of the same place. */
  identityOf(name: string): string
  /** An object as it is now; undefined if there is none. */
  head(key: string): Promise<ObjectHead | undefined>
  /**
   * The bytes of an object, at most `chunk` at a time. The reader destroys the stream, which fails with FERRY-5005 if the
   * object is no longer the version of `head`.
   */
  readRange(
    head: ObjectHead,
    range: ByteRange,
    options?: { chunk?: number; signal?: AbortSignal | undefined },
  ): Readable
  /** A local file with the bytes of an object, for readers that take no others; valid until the store is closed. */
  localFile(head: ObjectHead): Promise<string>
  /** The error of reading or writing an object as an error of Ferry, or as it is. */
  explain(error: unknown, key: string): unknown
  /** Where one run writes one table. `request.object` ends with a slash, or `many` is true, for a folder of objects. */
  stage(run: RunIdentity, request: WriteRequest, form: { ending: string; many: boolean }): Staging
  close(): Promise<void>
}
