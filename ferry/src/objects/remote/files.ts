/** Files that are put into a remote store: copied by the service itself where it can, else read and uploaded. */
import { hash } from 'node:crypto'
import { z } from 'zod'
import type { RunIdentity } from '../../contract/write.ts'
import { FerryError } from '../../errors.ts'
import { KeptForm } from '../../kept.ts'
import { gathered } from '../../streams.ts'
import type { ObjectAbout } from '../store.ts'
import { type FileTarget, isPlain, requireWhole, type SourceFile } from '../store.ts'
import { Keeper } from './keeper.ts'
import { ObjectChanged, type ObjectService, type RemoteHead, type Staged } from './service.ts'
import { type PartBuffers, Upload } from './upload.ts'

const notes = new KeptForm('object that is uploaded', z.object({ key: z.string() }))
const moves = new KeptForm('files that are moved', z.array(z.string()))

export class RemoteFiles extends Keeper implements FileTarget {
  readonly target: string
  private readonly buffers: PartBuffers
  /** What keys begin with: empty, or with a slash at its end. */
  private readonly folder: string
  /** What the keys of all begin with that the run keeps beside its files. */
  private readonly hidden: string
  private readonly by: string

  constructor(service: ObjectService, buffers: PartBuffers, folder: string, run: RunIdentity, ordinal: number) {
    super(service)
    this.buffers = buffers
    this.folder = folder
    this.by = `${run.run}-${ordinal}`
    this.hidden = `${folder}.ferry-${this.by}/`
    this.target = `${service.label}/${folder}`
  }

  /** Uploads of a process that was killed are known by notes, which are written before they begin. */
  async prepare(): Promise<void> {
    for (const key of await this.keysBelow(`${this.hidden}uploads/`)) {
      const note = await this.readManifest(key, notes)
      if (note)
        for (const one of await this.call(note.key, () => this.service.staged(note.key))) await this.drop(one, note.key)
      await this.remove([key])
    }
  }

  private async drop(staged: { key: string; id: string }, key: string): Promise<void> {
    if (staged.key === key) await this.call(key, () => this.service.drop(staged))
  }

  async put(path: string, file: SourceFile, signal: AbortSignal): Promise<void> {
    const key = `${this.folder}${path}`
    const isHeld = path !== '' && (!this.service.keysArePaths || isPlain(path))
    if (!isHeld || Buffer.byteLength(key) > this.service.longestKey) {
      throw new FerryError('FERRY-3015', `${path}: ${this.service.label} cannot hold a file of this name`)
    }
    const size = file.head.size!
    if (size > this.service.partSize(1)) await this.noted(key, () => this.putWhole(key, file, signal))
    else await this.putWhole(key, file, signal)
  }

  async setModified(path: string, modified: bigint): Promise<void> {
    const key = `${this.folder}${path}`
    await this.call(key, async () => this.service.setModified?.(key, modified))
  }

  /** Uploads of parts may be left behind by a process that is killed: the next one finds them by a note. */
  private async noted(key: string, work: () => Promise<void>): Promise<void> {
    const note = `${this.hidden}uploads/${hash('sha256', key, 'hex').slice(0, 32)}.json`
    await this.writeManifest(note, notes, { key })
    await work()
    await this.remove([note])
  }

  private async putWhole(key: string, file: SourceFile, signal: AbortSignal): Promise<void> {
    const { store, head } = file
    const from = store.remote
    if (from && (await this.copied(from, head as RemoteHead, key, signal))) return
    const about = this.service.keepsAbout ? await store.about?.(head) : undefined
    if (head.size! <= this.service.partSize(1)) await this.putAtOnce(key, file, about, signal)
    else await this.upload(key, file, about, signal)
  }

  /** True if the service copied the object by itself. */
  private copied(from: ObjectService, head: RemoteHead, key: string, signal: AbortSignal): Promise<boolean> {
    const work = async () => {
      try {
        return (await this.service.copyFrom?.(from, head, key)) ?? false
      } catch (error) {
        if (!(error instanceof ObjectChanged)) throw error
        throw new FerryError('FERRY-5005', `${head.key} was changed or removed before it was copied`)
      }
    }
    return this.call(key, work, signal)
  }

  private async putAtOnce(
    key: string,
    { store, head }: SourceFile,
    about: ObjectAbout | undefined,
    signal: AbortSignal,
  ) {
    const chunk = Math.max(1, Math.min(1 << 20, head.size!))
    const bytes = await gathered(store.readRange(head, { start: 0 }, { chunk, signal }))
    await store.requireSame?.(head)
    requireWhole(head, bytes.length)
    await this.call(key, () => this.service.put(key, bytes, about), signal)
  }

  private async upload(key: string, { store, head }: SourceFile, about: ObjectAbout | undefined, signal: AbortSignal) {
    const { service, buffers } = this
    let staged: Staged | undefined
    const upload = await Upload.begin(service, buffers, { key, about }, done => {
      staged = done
    })
    try {
      for await (const chunk of store.readRange(head, { start: 0 }, { chunk: 1 << 20, signal })) {
        await upload.write(chunk as Buffer)
      }
      await store.requireSame?.(head)
      await upload.finish()
      requireWhole(head, staged!.size)
      await this.call(key, () => service.reveal(staged!, { ifAbsent: false, isOwn: true, about }), signal)
    } catch (error) {
      await upload.abandon()
      throw error
    }
  }

  private movesOf(split: number): string {
    return `${this.hidden}moved/${split}.json`
  }

  async moving(split: number, paths: string[]): Promise<{ key: string }> {
    const key = this.movesOf(split)
    await this.writeManifest(key, moves, paths)
    return { key }
  }

  keyOf(path: string): string {
    return `${this.folder}${path}`
  }

  async moved(split: number): Promise<Set<string>> {
    return new Set(await this.readManifest(this.movesOf(split), moves))
  }

  async clear(): Promise<void> {
    await this.prepare()
    await this.remove(await this.keysBelow(this.hidden))
  }
}
