/** Stores of objects: files in a folder, later blobs in a container. Formats know nothing else of where their bytes are. */
import type { Readable } from 'node:stream'
import type { RunIdentity, WriteRequest } from '../contract/write.ts'
import { FerryError } from '../errors.ts'
import type { ObjectAbout, ObjectHead } from './head.ts'
import type { ObjectService } from './remote/service.ts'
import type { Staging } from './staging.ts'

/** The objects that a name means. */
export interface Found {
  /** What all of their keys begin with: the folder that paths of files are relative to, with a slash at its end, or nothing. */
  base: string
  /** True if the name is that of one object. */
  single: boolean
  /** In no order; each object once. Pages may be empty. */
  pages: AsyncIterable<ObjectHead[]>
}

/** A part of an object, in bytes: `end` is excluded, and the end of the object if omitted. */
export interface ByteRange {
  start: number
  end?: number
}

/** What a run stages: the ending of names, without a dot; whether there are many; whether they are in folders by partition. */
export interface StagedForm {
  ending: string
  many: boolean
  partitioned?: boolean
}

/** A file of this machine with bytes of an object; who asked for it releases it, at the latest when the store is closed. */
export interface LocalFile {
  path: string
  release(): Promise<void>
}

export type { ObjectAbout, ObjectHead }

export interface ObjectStore {
  /** Identifies the store in messages, without secrets: `files:/data`. */
  readonly label: string
  /** Identifies the store: the same text for all settings that lead to objects with the same identities. */
  readonly place: string
  /** Checks that the store can be read, and gives back what answered, for people. Throws FERRY-2001 to FERRY-2007. */
  test(): Promise<string>
  /** The buckets or containers beside this one that the identity may see, at most `most`. */
  siblings?(most: number): Promise<string[]>
  /** The names, relative to the store, of the objects that match a pattern; sorted. */
  names(pattern: string): Promise<string[]>
  /**
   * The objects that a name means: one object, those directly in a folder, or those that match a pattern; without hidden ones.
   * `deep`: a folder means all that is below it, hidden or not, but for what Ferry itself keeps there. Throws FERRY-2006 for what
   * may not be read.
   */
  list(name: string, how?: { deep: boolean }): Promise<Found>
  /**
   * What is directly in a folder, hidden names left out: the folders in it, with a slash at their end, and its objects; at most
   * `most` of each. Undefined of stores that list nothing.
   */
  folderAt?(name: string, most: number): Promise<{ folders: string[]; objects: ObjectHead[]; more: boolean }>
  /** The name of an object in jobs. */
  nameOf(key: string): string
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
  /**
   * A local file that has these bytes of an object at their places, for readers that take no others; what is between them is
   * undefined. `ranges` is not asked where all bytes are here already.
   */
  localFile(head: ObjectHead, ranges: () => Promise<ByteRange[]> | ByteRange[]): Promise<LocalFile>
  /** Of a store whose objects are files of this machine: the path to open now. Throws FERRY-2006 for what may not be opened. */
  fileAt?(head: ObjectHead): string
  /** The service behind a remote store, which may copy objects by itself. */
  readonly remote?: ObjectService
  /** Of stores whose objects have no version: throws FERRY-5005 if an object is no longer that of `head`. */
  requireSame?(head: ObjectHead): Promise<void>
  /** What is kept with an object; undefined if the store keeps nothing. */
  about?(head: ObjectHead): Promise<ObjectAbout>
  /** Removes an object if it still is the version of `head`. False if it is another one, which stays. */
  remove(head: ObjectHead): Promise<boolean>
  /** Removes a folder and those below it that hold nothing; absent where folders are there only with objects in them. */
  removeEmpty?(folder: string): Promise<void>
  /** The error of reading or writing an object as an error of Ferry, or as it is. */
  explain(error: unknown, key: string): unknown
  /** Where one run writes one table. `request.object` ends with a slash, or `form.many` is true, for a folder of objects. */
  stage(run: RunIdentity, request: WriteRequest, form: StagedForm): Staging
  /** Where one run puts files as they are, below a folder. */
  files(run: RunIdentity, folder: string, ordinal: number): FileTarget
  close(): Promise<void>
}

/** A file in another store, or in the same one. */
export interface SourceFile {
  store: ObjectStore
  head: ObjectHead
}

export interface FileTarget {
  /** The folder, for messages. */
  readonly target: string
  /** Called once for each process that takes the run: removes what former ones left behind. */
  prepare(): Promise<void>
  /**
   * Puts a file under a path below the folder, with slashes; one that is there is replaced at once. Resolves when it is stored
   * durably. Throws FERRY-5005 if the source is no longer the version of its head, FERRY-3015 for a path that cannot be here.
   */
  put(path: string, file: SourceFile, signal: AbortSignal): Promise<void>
  /** Gives a file that was put the time of its source, where that can be. */
  setModified(path: string, modified: bigint): Promise<void>
  /** Records, durably, paths of files that are put and are about to be removed at their source; gives back where. */
  moving(split: number, paths: string[]): Promise<{ key: string }>
  /** The key of a path: as `ObjectHead.key` has it. */
  keyOf(path: string): string
  /** The paths that are so recorded for a split. */
  moved(split: number): Promise<Set<string>>
  /** Removes all that the run keeps here beside its files. */
  clear(): Promise<void>
}

/** The objects that a name means, sorted by key. */
export async function findAll(store: Pick<ObjectStore, 'list'>, name: string): Promise<ObjectHead[]> {
  return sorted((await store.list(name)).pages)
}

/** The objects of all pages, sorted by key. */
export async function sorted(pages: AsyncIterable<ObjectHead[]>): Promise<ObjectHead[]> {
  const all: ObjectHead[] = []
  for await (const page of pages) for (const head of page) all.push(head)
  return all.sort((a, b) => (a.key < b.key ? -1 : 1))
}

/** What Ferry's own names end in that it uses while it works: of a run, or of uploads. */
const OWN = /(^|[/\\])\.([^/\\]*\.)?ferry-(uploads([/\\]|$)|upload-|\d{8}T\d{6}\.\d{3}-[0-9a-f]{4})/

/** True if Ferry itself keeps something under this name while it works. */
export const isFerrys = (path: string): boolean => OWN.test(path)

/** True for a path that a folder can hold and that does not lead out of it. */
export function isPlain(path: string): boolean {
  return path.split('/').every(name => name !== '' && name !== '.' && name !== '..') && !path.includes('\0')
}

/** Throws FERRY-5005 if so many bytes of an object are not all that it had when it was listed. */
export function requireWhole({ key, size }: ObjectHead, bytes: number): void {
  if (bytes === size) return
  throw new FerryError('FERRY-5005', `${key} has ${bytes} bytes now, and had ${size} when it was listed`)
}
