/** What staging in a remote store has in common: uploads that are not revealed yet, and a small manifest of them beside the target. */
import { createReadStream } from 'node:fs'
import { rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Checkpoint } from '../../batch/encoding.ts'
import type { Committed } from '../../contract/split.ts'
import type { RunIdentity, WriteRequest } from '../../contract/write.ts'
import { makeScratch, removeScratch } from '../../scratch.ts'
import { each } from '../each.ts'
import type { ObjectWriter, StagedFile, Staging } from '../staging.ts'
import { Keeper } from './keeper.ts'
import type { ObjectService, Staged } from './service.ts'
import { type PartBuffers, Upload } from './upload.ts'

export interface RemoteTarget {
  /** The key of the object; of a folder what its keys begin with: empty, or with a slash at its end. */
  key: string
  /** The ending of the names of objects, without the dot before it. */
  ending: string
  /** Whether objects are in folders by partition. */
  partitioned: boolean
  /** The folder of this machine for temporary files. */
  scratch: string
}

export abstract class RemoteStaging extends Keeper implements Staging {
  abstract readonly shape: 'file' | 'folder'
  abstract readonly description: string
  readonly target: string
  readonly guarantee: string
  protected readonly run: RunIdentity
  protected readonly request: WriteRequest
  protected readonly key: string
  /** By this process. */
  protected isPublished = false
  private readonly buffers: PartBuffers
  private readonly scratchParent: string
  private scratch: string | undefined

  constructor(
    service: ObjectService,
    buffers: PartBuffers,
    { run, request }: { run: RunIdentity; request: WriteRequest },
    { key, scratch }: RemoteTarget,
  ) {
    super(service)
    this.buffers = buffers
    this.run = run
    this.request = request
    this.key = key
    this.scratchParent = scratch
    this.target = `${service.label}/${key}`
    this.guarantee = service.guarantee
  }

  /** What an object of this run records: see `Reveal`. */
  protected get by(): string {
    return `${this.run.run}-${this.request.ordinal}`
  }

  /**
   * What the keys of everything begin with that the run keeps beside its target. Manifests are kept for each epoch: a process
   * that was suspended and resumes writes where no later process looks.
   */
  protected get hidden(): string {
    return `${this.key.slice(0, this.key.lastIndexOf('/') + 1)}.ferry-${this.by}/`
  }

  /** An object that is there once the run is published. */
  private get marker(): string {
    return `${this.hidden}done`
  }

  protected async isMarked(): Promise<boolean> {
    return (await this.call(this.marker, () => this.service.head(this.marker))) !== undefined
  }

  protected async mark(): Promise<void> {
    await this.call(this.marker, () => this.service.put(this.marker, Buffer.alloc(0)))
  }

  protected async drop(uploads: { key: string; id: string }[]): Promise<void> {
    await each(uploads, upload => this.call(upload.key, () => this.service.drop(upload)))
  }

  protected async reveal(staged: Staged[], ifAbsent: boolean): Promise<void> {
    const how = { by: this.by, ifAbsent, isOwn: this.shape === 'folder' }
    await each(staged, one => this.call(one.key, () => this.service.reveal(one, how)))
  }

  protected begins(key: string, onStored: (staged: Staged) => void): Promise<Upload> {
    return Upload.begin(this.service, this.buffers, { key, by: this.by }, onStored)
  }

  /** Written here first, and sent when it is whole. */
  async createFile(split: number, part: number, folder?: string): Promise<StagedFile> {
    this.scratch ??= makeScratch(this.scratchParent, 'objects')
    const path = join(this.scratch, `${split}-${part}`)
    const finish = async () => {
      const writer = await this.create(split, part, folder)
      try {
        for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 }))
          await writer.write(chunk as Buffer)
        await writer.finish()
      } catch (error) {
        await writer.abandon()
        throw error
      }
      const { size } = await stat(path)
      await rm(path)
      return size
    }
    return { path, finish }
  }

  /** Removes what was written here. */
  protected removeScratch(): void {
    if (this.scratch) removeScratch(this.scratch)
    this.scratch = undefined
  }

  async publish(): Promise<void> {
    if (!this.isPublished) await this.show()
    this.isPublished = true
    this.removeScratch()
  }

  /** Asks whether the run is still this process's, and reveals what is staged. Can be repeated after an error. */
  protected abstract show(): Promise<void>

  async forget(): Promise<void> {
    this.removeScratch()
    await this.remove(await this.keysBelow(this.hidden))
  }

  abstract create(split: number, part: number, folder?: string): Promise<ObjectWriter>
  abstract requireRoom(): Promise<string | undefined>
  abstract prepare(known: Committed): Promise<Committed>
  abstract committed(known: Committed): Promise<Committed>
  abstract discard(): Promise<boolean>
  abstract begin(split: number, from: Checkpoint | undefined): Promise<number>
  abstract reached(split: number, checkpoint: Checkpoint | undefined, parts: number): Promise<void>
}
