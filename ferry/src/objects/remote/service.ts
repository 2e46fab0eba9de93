/** What a kind of store of objects does over the network. Everything above it is common to all kinds: see {@link RemoteStore}. */
import type { Readable } from 'node:stream'
import { z } from 'zod'
import type { ObjectAbout, ObjectHead } from '../head.ts'

/** An object in a remote store. Keys have no slash at their beginning. */
export interface RemoteHead extends ObjectHead {
  size: number
  /** Changes whenever the bytes do: an entity tag, or a generation. */
  version: string
}

/** Bytes that are stored durably under a key where no reader sees them, until they are revealed. Saved as JSON. */
export const stagedSchema = z.object({
  key: z.string(),
  /** Identifies the upload; its meaning is the service's. */
  id: z.string(),
  /** Identifies the parts, in their order; their meaning is the service's. */
  parts: z.array(z.string()),
  /** In bytes. */
  size: z.number(),
})
export type Staged = z.output<typeof stagedSchema>

export interface Listing {
  objects: RemoteHead[]
  /** Only of shallow listings: what the keys below it begin with, each with a slash at its end. */
  folders: string[]
}

/** How a staged object is made visible. */
export interface Reveal {
  /** Recorded with the object, so that a process that takes the run over knows what was revealed; nothing if omitted. */
  by?: string
  /** Kept with the object. */
  about?: ObjectAbout | undefined
  /** Throws {@link ObjectExists} if there is an object already. */
  ifAbsent: boolean
  /** True if the key is the run's own: whatever is there was revealed by it. */
  isOwn: boolean
}

/** The object that must not exist does. */
export class ObjectExists extends Error {}

export interface ObjectService {
  /** Identifies the store in messages, without secrets. */
  readonly label: string
  /** The same text for all settings that lead to the same objects. */
  readonly place: string
  /** The longest key, in bytes of UTF-8. */
  readonly longestKey: number
  /** The size of the parts of an upload, all but the last one, in bytes; `part` is 1, 2, 3 ... */
  partSize(part: number): number
  /** The most parts of one object. */
  readonly mostParts: number
  /** What no message may show. */
  readonly secrets?: readonly string[]
  /** What `plan` says of how objects appear. */
  readonly guarantee: string
  /** Connects, and gives back what answered, for people. */
  test(): Promise<string>
  /** The buckets or containers that the identity may see, at most `most`. */
  siblings?(most: number): Promise<string[]>
  /**
   * Objects whose keys begin with a prefix, page by page, sorted by key. A shallow listing has those without a slash behind
   * the prefix alone, and the folders beside them. Requests are repeated where that helps: pages of a listing that begins
   * again need not be the same.
   */
  list(prefix: string, shallow: boolean): AsyncIterable<Listing>
  /** Undefined if there is no such object. */
  head(key: string): Promise<RemoteHead | undefined>
  /** True if the object under a key was revealed with this `by`. */
  isRevealed(key: string, by: string): Promise<boolean>
  /**
   * The bytes of an object, `end` excluded. Fails with {@link ObjectChanged} if the object is another version. The stream may
   * break at any byte: the caller opens it again.
   */
  read(key: string, start: number, end: number, options: { version: string; signal?: AbortSignal }): Promise<Readable>
  /** Writes a small object at once. */
  put(key: string, bytes: Buffer, about?: ObjectAbout): Promise<void>
  /** True if keys are paths of folders: empty names and `..` are none. */
  readonly keysArePaths?: boolean
  /** True if `about` can be kept. */
  readonly keepsAbout?: boolean
  about?(key: string): Promise<ObjectAbout>
  /** Sets when a file was changed, in nanoseconds since 1970: only of stores where that is not the service's own. */
  setModified?(key: string, modified: bigint): Promise<void>
  /**
   * Copies an object of another service, with what is kept with it, without its bytes passing through here. False if that is not
   * possible. Throws {@link ObjectChanged} if it is another version.
   */
  copyFrom?(from: ObjectService, head: RemoteHead, key: string): Promise<boolean>
  /** Removes objects. Does nothing for those that do not exist. */
  remove(keys: string[]): Promise<void>
  /** Removes a folder and those below it that hold nothing; absent where folders are there only with objects in them. */
  removeEmpty?(folder: string): Promise<void>
  /** Begins an object under a key; `by` and `about` as in `Reveal`. Gives back the identity of the upload. */
  stage(key: string, recorded: Pick<Reveal, 'by' | 'about'>): Promise<string>
  /** Stores a part durably; parts may be stored in any order, some at a time. Gives back what identifies it. */
  putPart(upload: { key: string; id: string }, part: number, bytes: Buffer): Promise<string>
  /** Called when all parts are stored, where that alone is not durable. */
  seal?(upload: { key: string; id: string }): Promise<void>
  /** Makes a staged object visible, whole. Does nothing if it was revealed before. */
  reveal(staged: Staged, how: Reveal): Promise<void>
  /** Releases what was staged. Throws nothing if it is gone. */
  drop(upload: { key: string; id: string }): Promise<void>
  /** What was staged under keys that begin with a prefix, and is not revealed. */
  staged(prefix: string): Promise<{ key: string; id: string }[]>
  /** An error of the service as an error of Ferry, or as it is. */
  explain(error: unknown, key: string): unknown
  close(): Promise<void>
}

/** The object is no longer the version that was found. */
export class ObjectChanged extends Error {}

const MIB = 1 << 20
const SMALLEST_PART = 8 * MIB
const LARGEST_PART = 128 * MIB

/** The size of parts where the object's size is not known: twice as much after each `count` of them, in bytes. */
export function growingPart(part: number, count: number): number {
  return Math.min(LARGEST_PART, SMALLEST_PART * 2 ** Math.floor((part - 1) / count))
}

/** A time as listings have it, in nanoseconds since 1970; 0 if the service gives none. */
export function nanosecondsOf(time: Date | undefined): bigint {
  return BigInt(time?.getTime() ?? 0) * 1_000_000n
}
