import { hash } from 'node:crypto'
import { z } from 'zod'
import type { Checkpoint } from '../../batch/encoding.ts'
import type { Committed } from '../../contract/split.ts'
import type { RunIdentity, WriteRequest } from '../../contract/write.ts'
import { FerryError } from '../../errors.ts'
import { KeptForm } from '../../kept.ts'
import { each } from '../each.ts'
import { isMade, isPartitioned, overtaken, PartNames, replacedOf } from '../partnames.ts'
import type { ObjectWriter } from '../staging.ts'
import { type ObjectService, type Staged, stagedSchema } from './service.ts'
import { RemoteStaging, type RemoteTarget } from './staging.ts'
import type { PartBuffers } from './upload.ts'

/** What is staged of a split: its parts, and how many of them there are at each checkpoint; at the end of the split, null. */
const manifest = z.object({
  parts: z.array(stagedSchema),
  checkpoints: z.array(z.tuple([z.string().nullable(), z.number()])),
})
type Manifest = z.output<typeof manifest>
const manifests = new KeptForm('manifest of a split', manifest)
const folders = new KeptForm('folder of partitions', z.object({ folder: z.string() }))

/** A folder that each run adds objects to. Their names follow from run, split and part. */
export class FolderStaging extends RemoteStaging {
  readonly shape = 'folder'
  private readonly names: PartNames
  private readonly partitioned: boolean
  /** Those that are noted. */
  private readonly folders = new Set<string>()
  /** Those of splits that this process writes. */
  private readonly writing = new Map<number, Manifest>()
  /** Splits that are staged to their ends, by this process or by former ones. */
  private readonly ended = new Set<number>()

  constructor(
    service: ObjectService,
    buffers: PartBuffers,
    what: { run: RunIdentity; request: WriteRequest },
    target: RemoteTarget,
  ) {
    super(service, buffers, what, target)
    this.partitioned = target.partitioned
    const folder = /([^/]*)\/$/.exec(target.key)?.[1]
    this.names = new PartNames(folder || 'part', what.run.run, target.ending)
  }

  get description(): string {
    return `objects ${this.target}${this.names.of(0, 1)} ...`
  }

  /** True if objects of earlier copies are removed when this one is published. */
  private get replaces(): boolean {
    return this.request.update === 'overwrite' || this.request.truncate
  }

  /** The manifests of each split, by the last process that wrote one, none of a later process. */
  private async manifestKeys(): Promise<Map<number, string>> {
    const latest = new Map<number, { epoch: number; key: string }>()
    for (const key of await this.keysBelow(this.hidden)) {
      const [, epoch, split] = /^(\d+)\/(\d+)\.json$/.exec(key.slice(this.hidden.length))?.map(Number) ?? []
      if (epoch === undefined || split === undefined || epoch > this.run.epoch) continue
      if (epoch >= (latest.get(split)?.epoch ?? 0)) latest.set(split, { epoch, key })
    }
    return new Map([...latest].map(([split, { key }]) => [split, key]))
  }

  private async manifests(): Promise<Map<number, Manifest>> {
    const found = new Map<number, Manifest>()
    await each([...(await this.manifestKeys())], async ([split, key]) => {
      const read = await this.readManifest(key, manifests)
      if (read) found.set(split, read)
    })
    return found
  }

  async prepare(known: Committed): Promise<Committed> {
    await this.run.confirm()
    if (await this.isMarked()) {
      this.isPublished = true
      await this.drop(await this.leftovers())
      return { splits: known.splits, published: true }
    }
    const resumed: Committed['splits'] = new Map()
    if (known.splits.size === 0) return { splits: resumed, published: false }
    const found = await this.manifests()
    for (const [id, split] of known.splits) {
      // A split of which the parts at its checkpoint are not known is written again.
      const staged = typeof id === 'number' ? found.get(id) : undefined
      if (!staged || partsAt(staged, split.checkpoint) === undefined) continue
      resumed.set(id, split)
      if (typeof id === 'number' && split.checkpoint === undefined) this.ended.add(id)
    }
    return { splits: resumed, published: false }
  }

  async begin(split: number, from: Checkpoint | undefined): Promise<number> {
    const key = (await this.manifestKeys()).get(split)
    const found = (key === undefined ? undefined : await this.readManifest(key, manifests)) ?? {
      parts: [],
      checkpoints: [],
    }
    const staged = from === undefined ? 0 : partsAt(found, from)
    if (staged === undefined) {
      throw new FerryError(
        'FERRY-5005',
        `${this.target}: the objects of split ${split} at its checkpoint are not known`,
      )
    }
    await this.drop(found.parts.slice(staged))
    const checkpoints = found.checkpoints.filter(([at, count]) => at !== null && count <= staged)
    this.writing.set(split, { parts: found.parts.slice(0, staged), checkpoints })
    return staged
  }

  async create(split: number, part: number, folder?: string): Promise<ObjectWriter> {
    const { parts } = this.writing.get(split)!
    const below = folder === undefined ? '' : `${folder}/`
    if (folder !== undefined && !this.folders.has(folder)) {
      // What a process that is killed leaves in it is found by this note.
      const note = `${this.hidden}folders/${hash('sha256', folder, 'hex').slice(0, 32)}.json`
      await this.writeManifest(note, folders, { folder })
      this.folders.add(folder)
    }
    const key = `${this.key}${below}${this.names.of(split, part)}`
    if (Buffer.byteLength(key) > this.service.longestKey) {
      throw new FerryError('FERRY-3015', `${key}: names have at most ${this.service.longestKey} bytes here`)
    }
    return this.begins(key, staged => {
      parts[part - 1] = staged
    })
  }

  async reached(split: number, checkpoint: Checkpoint | undefined, parts: number): Promise<void> {
    const own = this.writing.get(split)!
    own.checkpoints.push([checkpoint ?? null, parts])
    await this.writeManifest(`${this.hidden}${this.run.epoch}/${split}.json`, manifests, own)
    if (checkpoint === undefined) this.ended.add(split)
  }

  async committed({ splits }: Committed): Promise<Committed> {
    await this.run.confirm()
    return { splits, published: (await this.isMarked()) || (this.replaces && (await this.isMoved())) }
  }

  /** The names in the folder, without hidden ones. */
  private async visible(): Promise<string[]> {
    const names = (await this.keysBelow(this.key, !this.partitioned)).map(key => key.slice(this.key.length))
    return names.filter(isPartitioned)
  }

  private keysOf(names: string[]): string[] {
    return names.map(name => `${this.key}${name}`)
  }

  /** True if all objects of this run are revealed: those of earlier copies may be gone. */
  private async isMoved(): Promise<boolean> {
    if (await this.isMarked()) return true
    const staged = await this.staged()
    const there = new Set(this.keysOf(await this.visible()))
    return staged.length > 0 && staged.every(({ key }) => there.has(key))
  }

  private async staged(): Promise<Staged[]> {
    return [...(await this.manifests()).values()].flatMap(m => m.parts)
  }

  /** The objects of earlier copies that this one replaces. */
  private async earlier(): Promise<string[]> {
    if (!this.replaces) return []
    return this.keysOf((await this.visible()).filter(name => !this.names.isOwn(name) && isMade(name)))
  }

  protected async show(): Promise<void> {
    // Listed while the run is surely this process's: a process that is suspended behind this removes nothing of a later run.
    const earlier = await this.earlier()
    const found = await this.manifests()
    for (const [split, own] of this.writing) found.set(split, own)
    await this.run.confirm()
    const lost = [...this.ended].find(split => !found.has(split))
    if (lost !== undefined) {
      throw new FerryError('FERRY-5007', `${this.target}: what is known of split ${lost} is gone from ${this.hidden}`, {
        hint: 'Something else removes what runs keep there. Give the unfinished run up and copy everything anew.',
      })
    }
    const open = [...found].find(([, m]) => partsAt(m, undefined) === undefined)
    if (open) throw new FerryError('FERRY-5007', `${this.target}: split ${open[0]} is not staged to its end`)
    // New objects first, old ones last: a reader may see both for a moment, but never none.
    await this.reveal(
      [...found.values()].flatMap(m => m.parts),
      false,
    )
    await this.remove([...earlier, ...(await this.meanwhile(earlier))])
    await this.mark()
    // What processes that were killed have begun.
    await this.drop(await this.leftovers())
  }

  /** The objects that another run has published at the same time. A later one stays in place of this run's. */
  private async meanwhile(earlier: string[]): Promise<string[]> {
    if (!this.replaces) return []
    const known = new Set(earlier)
    const names = (await this.visible()).filter(name => !known.has(`${this.key}${name}`))
    try {
      return this.keysOf(overtaken(names, this.run.run, this.target))
    } catch (error) {
      await this.remove(this.keysOf(names.filter(name => this.names.isOwn(name))))
      throw error
    }
  }

  private async leftovers(): Promise<{ key: string; id: string }[]> {
    const found: { key: string; id: string }[] = []
    const noted = await Promise.all(
      (await this.keysBelow(`${this.hidden}folders/`)).map(key => this.readManifest(key, folders)),
    )
    for (const below of ['', ...noted.flatMap(note => (note ? [`${note.folder}/`] : []))]) {
      const prefix = `${this.key}${below}${this.names.prefix}`
      found.push(...(await this.call(prefix, () => this.service.staged(prefix))))
    }
    return found
  }

  /** Throws FERRY-3018 if the folder is to be replaced and holds objects that no copy has made. */
  async requireRoom(): Promise<string | undefined> {
    return this.replaces ? replacedOf(this.request.object, await this.visible(), 'objects') : undefined
  }

  /**
   * Also removes objects that are revealed already. If objects of earlier copies may be gone, the run is published instead:
   * otherwise nothing would be left.
   */
  async discard(): Promise<boolean> {
    const remains = this.replaces && (await this.isMoved())
    const earlier = remains ? await this.earlier() : []
    await this.run.confirm()
    if (remains) await this.remove(earlier)
    else await this.remove(this.keysOf((await this.visible()).filter(name => this.names.isOwn(name))))
    await this.drop(await this.leftovers())
    await this.forget()
    return remains
  }
}

/** How many parts there are at a checkpoint, or at the end of the split; undefined if it was not reached. */
function partsAt({ checkpoints }: Manifest, checkpoint: Checkpoint | undefined): number | undefined {
  return checkpoints.findLast(([at]) => at === (checkpoint ?? null))?.[1]
}
