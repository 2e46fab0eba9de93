/** Local files with bytes of remote objects, for readers that take nothing else. */
import { open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { FerryError } from '../../errors.ts'
import type { Policy } from '../../policy.ts'
import { makeScratch, removeScratch } from '../../scratch.ts'
import type { ByteRange, LocalFile, ObjectHead } from '../store.ts'

/** Ranges with so few bytes between them are fetched as one. */
const GAP = 1 << 20
/** Ranges of one file that are fetched at one time. */
const AT_ONCE = 4

export class Spool {
  private readonly policy: Policy
  private folder: string | undefined
  private count = 0

  constructor(policy: Policy) {
    this.policy = policy
  }

  /** A file of the size of an object, with these bytes of it; it takes no more room than they do. Throws FERRY-4006. */
  async fileOf(head: ObjectHead, ranges: ByteRange[], read: (range: ByteRange) => Readable): Promise<LocalFile> {
    this.folder ??= makeScratch(this.policy.scratch, 'objects')
    const path = join(this.folder, String(this.count++))
    const release = () => rm(path, { force: true })
    const handle = await open(path, 'w', 0o600)
    try {
      await handle.truncate(head.size!)
      const left = joined(ranges, head.size!).values()
      const lane = async () => {
        for (const range of left) {
          let at = range.start
          for await (const data of read(range)) {
            const chunk = data as Buffer
            for (let done = 0; done < chunk.length; ) {
              const { bytesWritten } = await handle.write(chunk, done, chunk.length - done, at)
              done += bytesWritten
              at += bytesWritten
            }
          }
        }
      }
      await Promise.all(Array.from({ length: AT_ONCE }, lane))
    } catch (error) {
      await release()
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
      throw new FerryError('FERRY-4006', `${head.key} does not fit on the disk here: ${path}`, {
        hint: 'Parquet is read through a file of this machine: make room, or set TMPDIR to a larger disk.',
        cause: error,
      })
    } finally {
      await handle.close()
    }
    return { path, release }
  }

  close(): void {
    if (this.folder) removeScratch(this.folder)
    this.folder = undefined
  }
}

/** The ranges in their order, without those that touch or overlap others. */
export function joined(ranges: ByteRange[], size: number): Required<ByteRange>[] {
  const all = ranges.map(({ start, end = size }) => ({ start: Math.max(0, start), end: Math.min(end, size) }))
  const found: Required<ByteRange>[] = []
  for (const range of all.filter(r => r.end > r.start).sort((a, b) => a.start - b.start)) {
    const last = found.at(-1)
    if (last && range.start <= last.end + GAP) last.end = Math.max(last.end, range.end)
    else found.push({ ...range })
  }
  return found
}
