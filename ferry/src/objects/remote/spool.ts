/** Local files with the bytes of remote objects, for readers that take nothing else; they are gone when the store is closed. */
import { createWriteStream } from 'node:fs'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { FerryError } from '../../errors.ts'
import type { Policy } from '../../policy.ts'
import { makeScratch, removeScratch } from '../../scratch.ts'
import type { ObjectHead } from '../store.ts'

export class Spool {
  private readonly policy: Policy
  private folder: string | undefined
  private readonly files = new Map<string, Promise<string>>()

  constructor(policy: Policy) {
    this.policy = policy
  }

  /** The path of a file with the bytes of an object. Throws FERRY-4006 if it does not fit on the disk. */
  fileOf(head: ObjectHead, read: () => Readable): Promise<string> {
    const name = `${head.version} ${head.key}`
    const known = this.files.get(name) ?? this.fetch(head, read, this.files.size)
    this.files.set(name, known)
    known.catch(() => this.files.delete(name))
    return known
  }

  private async fetch({ key }: ObjectHead, read: () => Readable, number: number): Promise<string> {
    this.folder ??= makeScratch(this.policy.scratch, 'objects')
    const path = join(this.folder, String(number))
    try {
      await pipeline(read(), createWriteStream(path))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
      throw new FerryError('FERRY-4006', `${key} does not fit on the disk here: ${path}`, {
        hint: 'Parquet is read through a file of this machine: make room, or set TMPDIR to a larger disk.',
        cause: error,
      })
    }
    return path
  }

  close(): void {
    if (this.folder) removeScratch(this.folder)
    this.folder = undefined
    this.files.clear()
  }
}
