/** Files that are put into a local folder: written beside all others in a hidden folder, and renamed when they are whole. */
import { constants } from 'node:fs'
import { copyFile, type FileHandle, mkdir, open, readFile, rename, rm, utimes, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { z } from 'zod'
import type { RunIdentity } from '../../contract/write.ts'
import { FerryError } from '../../errors.ts'
import { KeptForm } from '../../kept.ts'
import { type FileTarget, isPlain, requireWhole, type SourceFile } from '../store.ts'
import { isSameFile } from './staging.ts'
import { translated } from './writer.ts'

const moves = new KeptForm('files that are moved', z.array(z.string()))

export class LocalFiles implements FileTarget {
  readonly target: string
  /** Throws FERRY-2006 for a path that may not be opened, links followed. */
  private readonly allowed: (path: string) => string
  /** The folder of files that are not whole, and of what the run keeps. */
  private readonly hidden: string
  private readonly made = new Set<string>()
  private next = 0

  private readonly epoch: number

  constructor(folder: string, allowed: (path: string) => string, run: RunIdentity, ordinal: number) {
    this.target = folder
    this.allowed = allowed
    this.hidden = join(folder, `.ferry-${run.run}-${ordinal}`)
    this.epoch = run.epoch
  }

  async prepare(): Promise<void> {
    await translated(this.target, this.removeParts())
  }

  /** What was being written when a process ended. */
  private async removeParts(): Promise<void> {
    await rm(join(this.hidden, 'parts'), { recursive: true, force: true })
  }

  private async make(folder: string): Promise<void> {
    if (this.made.has(folder)) return
    await mkdir(folder, { recursive: true })
    this.made.add(folder)
  }

  async put(path: string, file: SourceFile, signal: AbortSignal): Promise<void> {
    if (!isPlain(path) || (process.platform === 'win32' && /[<>:"\\|?*]/.test(path))) {
      throw new FerryError('FERRY-3015', `${path}: no file can have this name here`)
    }
    const target = this.allowed(join(this.target, ...path.split('/')))
    await translated(target, this.write(target, file, signal))
  }

  private async write(target: string, file: SourceFile, signal: AbortSignal): Promise<void> {
    const { store, head } = file
    const parts = join(this.hidden, 'parts')
    await this.make(parts)
    await this.make(dirname(target))
    const part = this.allowed(join(parts, `${this.epoch}-${this.next++}`))
    try {
      // Asked when it is opened: a link may lead elsewhere since it was listed.
      const own = store.fileAt?.(head)
      if (own !== undefined && (await isSameFile(own, target))) {
        throw new FerryError('FERRY-3017', `${head.key} would be copied into itself: ${target} is the same file`)
      }
      // The system itself may make a copy that shares the bytes.
      if (own !== undefined) await copyFile(own, part, constants.COPYFILE_FICLONE)
      // A copy may be one that only can be read.
      const handle = await open(part, own === undefined ? 'w' : 'r')
      try {
        if (own === undefined) await receive(handle, file, signal)
        await store.requireSame?.(head)
        requireWhole(head, (await handle.stat()).size)
        await handle.sync()
      } finally {
        await handle.close()
      }
      await rename(part, target)
    } catch (error) {
      await rm(part, { force: true }).catch(() => undefined)
      throw error
    }
  }

  async setModified(path: string, modified: bigint): Promise<void> {
    const target = this.allowed(join(this.target, ...path.split('/')))
    const seconds = Number(modified / 1000n) / 1e6
    await translated(target, utimes(target, seconds, seconds))
  }

  private movesOf(split: number): string {
    return join(this.hidden, `${split}.json`)
  }

  keyOf(path: string): string {
    return join(this.target, ...path.split('/'))
  }

  async moving(split: number, paths: string[]): Promise<{ key: string }> {
    await this.make(this.hidden)
    const path = this.movesOf(split)
    await writeFile(`${path}.tmp`, moves.write(paths), { flush: true })
    await rename(`${path}.tmp`, path)
    return { key: path }
  }

  async moved(split: number): Promise<Set<string>> {
    const text = await readFile(this.movesOf(split), 'utf8').catch(error => {
      if (error.code === 'ENOENT') return undefined
      throw error
    })
    return new Set(text === undefined ? [] : moves.read(text))
  }

  async clear(): Promise<void> {
    await rm(resolve(this.hidden), { recursive: true, force: true })
  }
}

/** Parts of one file that are fetched at one time, and their size in bytes. */
const LANES = 4
const SECTION = 8 << 20

/** Writes the bytes of a remote file, some parts of it at one time. */
async function receive(handle: FileHandle, { store, head }: SourceFile, signal: AbortSignal): Promise<void> {
  const size = head.size!
  const stop = new AbortController()
  const ended = AbortSignal.any([signal, stop.signal])
  let next = 0
  const lane = async () => {
    while (next < size) {
      const start = next
      const end = Math.min(size, start + SECTION)
      next = end
      const chunks: Buffer[] = []
      let bytes = 0
      for await (const chunk of store.readRange(head, { start, end }, { signal: ended })) {
        chunks.push(chunk as Buffer)
        bytes += (chunk as Buffer).length
      }
      for (let at = start; bytes > 0; ) {
        const { bytesWritten } = await handle.writev(chunks, at)
        at += bytesWritten
        bytes -= bytesWritten
        if (bytes > 0) chunks.splice(0, chunks.length, Buffer.concat(chunks).subarray(bytesWritten))
      }
    }
  }
  const lanes = await Promise.allSettled(
    Array.from({ length: Math.min(LANES, Math.ceil(size / SECTION)) }, () =>
      lane().catch(error => {
        stop.abort()
        throw error
      }),
    ),
  )
  const failed = lanes.filter(l => l.status === 'rejected').map(l => l.reason)
  // What was stopped by another one's failure tells nothing.
  if (failed.length > 0) throw failed.find(e => e?.name !== 'AbortError') ?? failed[0]
}
