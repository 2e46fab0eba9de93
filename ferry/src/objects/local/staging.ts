import { existsSync } from 'node:fs'
import { mkdir, open, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { basename, dirname, join, relative } from 'node:path'
import type { Checkpoint } from '../../batch/encoding.ts'
import type { Committed } from '../../contract/split.ts'
import type { RunIdentity, WriteRequest } from '../../contract/write.ts'
import { FerryError } from '../../errors.ts'
import type { ObjectWriter, StagedFile, Staging } from '../staging.ts'
import { translate } from './errors.ts'
import { FileWriter, translated } from './writer.ts'

export interface LocalTarget {
  /** The absolute path of the file or the folder. */
  path: string
  /** The ending of the names of files, without the dot before it. */
  ending: string
  /** Whether files are in folders by partition. */
  partitioned?: boolean
}

/** Files are written into a hidden folder beside their target, and renamed when the run is published. */
export abstract class LocalStaging implements Staging {
  abstract readonly shape: 'file' | 'folder'
  abstract readonly description: string
  abstract readonly guarantee: string
  readonly target: string
  protected readonly run: RunIdentity
  protected readonly request: WriteRequest
  /** By this process. */
  private isPublished = false

  constructor(run: RunIdentity, request: WriteRequest, { path }: LocalTarget) {
    this.run = run
    this.request = request
    this.target = path
  }

  protected get folder(): string {
    return dirname(this.target)
  }

  /** The beginning of the names of everything hidden that the run keeps beside its target. */
  private get hidden(): string {
    return `.${basename(this.target)}.ferry-${this.run.run}-${this.request.ordinal}`
  }

  /**
   * The hidden folder with the files that are not yet published. Each process that takes the run has its own: a process that
   * was suspended and resumes can no longer write or publish, since the next process has taken its folder away.
   */
  protected get work(): string {
    return join(this.folder, `${this.hidden}-${this.run.epoch}`)
  }

  /** A file that is there once the run is published. */
  private get marker(): string {
    return join(this.folder, `${this.hidden}.done`)
  }

  protected isMarked(): boolean {
    return existsSync(this.marker)
  }

  protected async mark(): Promise<void> {
    await writeFile(this.marker, '', { flush: true })
  }

  /** Folders of processes that had the run before, the last one first. */
  protected async formerWork(): Promise<string[]> {
    const names = await namesIn(this.folder)
    const epochOf = (name: string) => Number(/-(\d+)$/.exec(name)![1])
    return names
      .filter(name => name.startsWith(`${this.hidden}-`) && epochOf(name) < this.run.epoch)
      .sort((a, b) => epochOf(b) - epochOf(a))
      .map(name => join(this.folder, name))
  }

  protected async remove(paths: string[]): Promise<void> {
    for (const path of paths) await rm(path, { recursive: true, force: true })
  }

  async prepare(known: Committed): Promise<Committed> {
    return translated(this.target, this.takeOver(known))
  }

  private async takeOver(known: Committed): Promise<Committed> {
    const former = await this.formerWork()
    if (this.isMarked() || (await this.isPublishedIn(former))) {
      await this.remove(former)
      this.isPublished = true
      return { splits: known.splits, published: true }
    }
    const resumed = await this.takeFrom(former, known)
    await mkdir(this.work, { recursive: true })
    // A process that has lost the run and comes late fails here, before anything is written.
    await this.run.confirm().catch(async error => {
      if (error instanceof FerryError && error.code === 'FERRY-5004') await this.remove([this.work])
      throw error
    })
    return { splits: resumed, published: false }
  }

  /** True if a former process has published the run and stopped before it wrote the marker; the marker is then written. */
  protected abstract isPublishedIn(former: string[]): Promise<boolean>

  /** Takes the files of the former processes over, or removes them. Gives back the splits that they have files of. */
  protected abstract takeFrom(former: string[], known: Committed): Promise<Committed['splits']>

  async publish(): Promise<void> {
    if (this.isPublished) return
    const work = async () => {
      await this.reveal()
      await syncFolder(this.folder)
      this.isPublished = true
    }
    return translated(this.target, work())
  }

  /** Asks whether the run is still this process's, and makes the staged files visible. Can be repeated after an error. */
  protected abstract reveal(): Promise<void>

  async forget(): Promise<void> {
    await rm(this.marker, { force: true })
  }

  /** The staged path of a part of a split. */
  protected abstract pathOf(split: number, part: number, folder?: string): string

  async create(split: number, part: number, folder?: string): Promise<ObjectWriter> {
    return FileWriter.create(await this.placeFor(split, part, folder))
  }

  private async placeFor(split: number, part: number, folder: string | undefined): Promise<string> {
    const path = this.pathOf(split, part, folder)
    if (folder !== undefined) await translated(path, mkdir(dirname(path), { recursive: true }))
    return path
  }

  async createFile(split: number, part: number, folder?: string): Promise<StagedFile> {
    const path = await this.placeFor(split, part, folder)
    const finish = async () => {
      const handle = await open(path, 'r+')
      try {
        await handle.sync()
        return (await handle.stat()).size
      } finally {
        await handle.close()
      }
    }
    return { path, finish: () => translated(path, finish()) }
  }

  abstract requireRoom(): Promise<string | undefined>
  abstract committed(known: Committed): Promise<Committed>
  abstract discard(): Promise<boolean>
  abstract begin(split: number, from: Checkpoint | undefined): Promise<number>
  abstract reached(split: number, checkpoint: Checkpoint | undefined, parts: number): Promise<void>
}

/** The files below a folder, by their paths in it; none if it does not exist yet. */
export async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(error => {
    if (error.code === 'ENOENT') return []
    throw translate(error, folder)
  })
  return entries.filter(e => !e.isDirectory()).map(e => relative(folder, join(e.parentPath, e.name)))
}

/** The names in a folder; none if it does not exist yet. */
export async function namesIn(folder: string): Promise<string[]> {
  return readdir(folder).catch(error => {
    if (error.code === 'ENOENT') return []
    throw translate(error, folder)
  })
}

export async function isSameFile(a: string, b: string): Promise<boolean> {
  const [one, other] = await Promise.all([a, b].map(path => stat(path, { bigint: true }).catch(() => undefined)))
  return one !== undefined && other !== undefined && one.ino === other.ino && one.dev === other.dev
}

/** Makes the names in a folder durable. Windows has no such call. */
export async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
