/**
 * What a run writes into a store of objects. An object is there whole or not at all: its bytes are staged, where no reader
 * sees them, and published when all are stored.
 */
import type { Checkpoint } from '../batch/encoding.ts'
import type { Committed } from '../contract/split.ts'

/** Writes the bytes of one object. Calls: `write`, then `finish` or `abandon`. */
export interface ObjectWriter {
  /** Resolves when more may be written. Calls `release` when `data` is no longer needed, at the latest then or later. */
  write(data: Buffer, release?: () => void): Promise<void>
  /** Resolves when all bytes are stored durably; no reader sees them yet. */
  finish(): Promise<void>
  /** Releases what the writer holds. Throws nothing. */
  abandon(): Promise<void>
}

/** A staged object as a local file, for writers that make files themselves. */
export interface StagedFile {
  /** The path to write to. */
  readonly path: string
  /** Resolves when all bytes are stored durably. Gives back how many they are. */
  finish(): Promise<number>
}

export interface Staging {
  /** `file`: one object. `folder`: objects beside each other, named by run, split and part. `stream`: standard output. */
  readonly shape: 'file' | 'folder' | 'stream'
  /** The object or the folder, for messages. */
  readonly target: string
  /** What is written, for a plan. */
  readonly description: string
  /** How often rows arrive, for a plan. */
  readonly guarantee: string
  /** See `SinkTable`: these have the same meaning. */
  requireRoom(): Promise<string | undefined>
  prepare(known: Committed): Promise<Committed>
  committed(known: Committed): Promise<Committed>
  publish(): Promise<void>
  forget(): Promise<void>
  discard(): Promise<boolean>
  /**
   * Called before a split is written: removes what was staged of it behind the checkpoint `from`, or all of it without one. Gives
   * back how many parts stay.
   */
  begin(split: number, from: Checkpoint | undefined): Promise<number>
  /** Records that a split has so many parts at a checkpoint, or at its end, all of them finished. */
  reached(split: number, checkpoint: Checkpoint | undefined, parts: number): Promise<void>
  /** Stages a part of a split; parts are 1, 2, 3 ... `folder`: below the target, with slashes, of a target in partitions. */
  create(split: number, part: number, folder?: string): Promise<ObjectWriter>
  /** The same for a writer of files; undefined if nothing but streams can be staged. */
  createFile?(split: number, part: number, folder?: string): Promise<StagedFile>
}
