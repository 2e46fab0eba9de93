import type { Committed } from '../../contract/split.ts'
import { FerryError } from '../../errors.ts'
import { KeptForm } from '../../kept.ts'
import type { ObjectWriter } from '../staging.ts'
import { ObjectExists, type Staged, stagedSchema } from './service.ts'
import { RemoteStaging } from './staging.ts'

const manifests = new KeptForm('manifest of a staged object', stagedSchema)

/** One object, which is written anew as a whole and replaces an earlier one when it is revealed. */
export class ObjectStaging extends RemoteStaging {
  readonly shape = 'file'
  /** What this process has staged. */
  private staged: Staged | undefined

  get description(): string {
    return this.target
  }

  private manifestOf(epoch: number): string {
    return `${this.hidden}${epoch}.json`
  }

  async begin(): Promise<number> {
    return 0
  }

  async create(): Promise<ObjectWriter> {
    const own = this.manifestOf(this.run.epoch)
    const former = await this.readManifest(own, manifests)
    if (former) await this.dropOf(former)
    // The next process must find this upload, to drop it: even if this one ends before it knows what to look for.
    await this.writeManifest(own, manifests, { key: this.key, id: '', parts: [], size: 0 })
    const upload = await this.begins(this.key, staged => {
      this.staged = staged
    })
    await this.writeManifest(own, manifests, { key: this.key, id: upload.id, parts: [], size: 0 })
    return upload
  }

  /** All splits are one commit. */
  async reached(): Promise<void> {
    if (this.staged) await this.writeManifest(this.manifestOf(this.run.epoch), manifests, this.staged)
  }

  async prepare(known: Committed): Promise<Committed> {
    if (await this.isVisible()) {
      this.isPublished = true
      await this.mark()
      await this.dropUploads(() => true)
      return { splits: known.splits, published: true }
    }
    await this.run.confirm()
    // Without its upload a former process can no longer publish.
    await this.dropUploads(epoch => epoch < this.run.epoch)
    return { splits: new Map(), published: false }
  }

  async committed({ splits }: Committed): Promise<Committed> {
    await this.run.confirm()
    return { splits, published: await this.isVisible() }
  }

  /** True if the object at the target is this run's. */
  private async isVisible(): Promise<boolean> {
    return (await this.isMarked()) || (await this.isRevealed())
  }

  private isRevealed(): Promise<boolean> {
    return this.call(this.key, () => this.service.isRevealed(this.key, this.by))
  }

  /** Of an upload that was begun and not named all of its key are meant. */
  private async dropOf(staged: Staged): Promise<void> {
    if (staged.id !== '') return this.drop([staged])
    const found = await this.call(this.key, () => this.service.staged(this.key))
    await this.drop(found.filter(one => one.key === this.key))
  }

  private async dropUploads(isMeant: (epoch: number) => boolean): Promise<void> {
    for (const key of await this.keysBelow(this.hidden)) {
      const epoch = /(\d+)\.json$/.exec(key.slice(this.hidden.length))?.[1]
      if (epoch === undefined || !isMeant(Number(epoch))) continue
      const staged = await this.readManifest(key, manifests)
      if (staged) await this.dropOf(staged)
      await this.remove([key])
    }
  }

  protected async show(): Promise<void> {
    await this.run.confirm()
    const staged = this.staged ?? (await this.readManifest(this.manifestOf(this.run.epoch), manifests))
    if (!staged || staged.parts.length === 0) {
      throw new FerryError('FERRY-5007', `${this.target}: what was staged of the run is gone`, {
        hint: 'Run again: ferry reset JOB, then run it.',
      })
    }
    const isNew = this.request.update === 'append'
    await this.reveal([staged], isNew).catch(async error => {
      if (!(error instanceof ObjectExists)) throw error
      // Another process of this run has published: these are the rows that the state has counted.
      if (await this.isRevealed()) return this.reveal([staged], false)
      throw new FerryError('FERRY-3006', `${this.target} has come into being since the run was planned`, {
        hint: 'Use update: overwrite, or copy to another name.',
      })
    })
    await this.mark()
  }

  /** Throws FERRY-3006 for an object that is to be added to. */
  async requireRoom(): Promise<string | undefined> {
    const { object, update } = this.request
    const found = await this.call(this.key, () => this.service.head(this.key))
    if (found && update === 'append') {
      throw new FerryError('FERRY-3006', `${object} is there, and an object cannot be added to`, {
        hint: `Use update: overwrite, or copy into a folder, where each run adds objects: to: ${object.replace(/\.[^/]*$/, '')}/`,
      })
    }
    return found && `the object ${object}`
  }

  async discard(): Promise<boolean> {
    const remains = await this.isVisible()
    await this.dropUploads(() => true)
    await this.forget()
    return remains
  }
}
