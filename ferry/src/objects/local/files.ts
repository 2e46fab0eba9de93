/** Files that are put into a local folder: written beside all others in a hidden folder, and renamed when they are whole. */
import { constants } from 'node:fs'
import { copyFile, mkdir, open, readFile, rename, rm, utimes, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { z } from 'zod'
import type { RunIdentity } from '../../contract/write.ts'
import { FerryError } from '../../errors.ts'
import { KeptForm } from '../../kept.ts'
import { type FileTarget, isPlain, type SourceFile } from '../store.ts'
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

  constructor(folder: string, allowed: (path: string) => string, run: RunIdentity, ordinal: number) {
    this.target = folder
    this.allowed = allowed
    this.hidden = join(folder, `.ferry-${run.run}-${ordinal}`)
    this.epoch = run.epoch
  }

  private readonly epoch: number

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
      if (store.remote) await this.receive(part, file, signal)
      else await copyFile(head.key, part, constants.COPYFILE_FICLONE)
      await store.requireSame?.(head)
      const seconds = Number(head.modified / 1000n) / 1e6
      await utimes(part, seconds, seconds)
      const handle = await open(part, 'r+')
      try {
        const { size } = await handle.stat()
        if (size !== head.size) {
          throw new FerryError(
            'FERRY-5005',
            `${head.key} has ${size} bytes now, and had ${head.size} when it was listed`,
          )
        }
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

  private async receive(part: string, { store, head }: SourceFile, signal: AbortSignal): Promise<void> {
    const handle = await open(part, 'w')
    try {
      for await (const chunk of store.readRange(head, { start: 0 }, { chunk: 1 << 20, signal })) {
        const data = chunk as Buffer
        for (let at = 0; at < data.length; ) at += (await handle.write(data, at)).bytesWritten
      }
    } finally {
      await handle.close()
    }
  }

  private movesOf(split: number): string {
    return join(this.hidden, `${split}.json`)
  }

  async moving(split: number, paths: string[]): Promise<void> {
    await this.make(this.hidden)
    const path = this.movesOf(split)
    await writeFile(`${path}.tmp`, moves.write(paths), { flush: true })
    await rename(`${path}.tmp`, path)
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
