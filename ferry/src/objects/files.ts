/** Files that are put as they are, each of them whole or not at all. */
import type { ObjectHead, ObjectStore } from './store.ts'

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
  /** Records, durably, paths of files that are put and are about to be removed at their source. */
  moving(split: number, paths: string[]): Promise<void>
  /** The paths that are so recorded for a split. */
  moved(split: number): Promise<Set<string>>
  /** Removes all that the run keeps here beside its files. */
  clear(): Promise<void>
}

/** True for a path that a folder can hold and that does not lead out of it. */
export function isPlain(path: string): boolean {
  return path.split('/').every(name => name !== '' && name !== '.' && name !== '..') && !path.includes('\0')
}
