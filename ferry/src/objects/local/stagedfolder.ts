import { existsSync } from 'node:fs'
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { z } from 'zod'
import type { Checkpoint } from '../../batch/encoding.ts'
import type { Committed } from '../../contract/split.ts'
import type { RunIdentity, WriteRequest } from '../../contract/write.ts'
import { FerryError } from '../../errors.ts'
import { KeptForm } from '../../kept.ts'
import { isMade, isPartitioned, overtaken, PartNames, replacedOf } from '../partnames.ts'
import { filesBelow, LocalStaging, type LocalTarget, namesIn, syncFolder } from './staging.ts'
import { translated } from './writer.ts'

const checkpoints = new KeptForm('list of parts at checkpoints', z.array(z.tuple([z.string(), z.number()])))

/**
 * A folder that each run adds files to. The names of files follow from run and split, so that a split that is written again
 * replaces its own files.
 */
export class FolderStaging extends LocalStaging {
  readonly shape = 'folder'
  readonly guarantee = 'exactly once: files are moved into the folder when all are whole'
  private readonly names: PartNames
  private readonly partitioned: boolean

  constructor(run: RunIdentity, request: WriteRequest, target: LocalTarget) {
    super(run, request, target)
    this.partitioned = target.partitioned === true
    this.names = new PartNames(basename(target.path), run.run, target.ending)
  }

  get description(): string {
    return `files ${join(this.target, this.names.of(0, 1))} ...`
  }

  /** True if files of earlier copies are removed when this one is published. */
  private get replaces(): boolean {
    return this.request.update === 'overwrite' || this.request.truncate
  }

  protected pathOf(split: number, part: number, folder = ''): string {
    return join(this.work, ...folder.split('/'), this.names.of(split, part))
  }

  async begin(split: number, from: Checkpoint | undefined): Promise<number> {
    const kept = from === undefined ? 0 : (await this.partsAt(split)).get(from)
    if (kept === undefined) {
      throw new FerryError('FERRY-5005', `${this.target}: the files of split ${split} at its checkpoint are not known`)
    }
    const stays = new Set(Array.from({ length: kept }, (_, i) => this.names.of(split, i + 1)))
    const prefix = this.names.ofSplit(split)
    const isLeft = (name: string) => name.startsWith(prefix) && !stays.has(name)
    const found = (await filesBelow(this.work)).filter(path => isLeft(basename(path)))
    for (const name of found) await rm(join(this.work, name))
    return kept
  }

  /** The number of parts of a split at each of its checkpoints. A hidden file has them: they are not published. */
  private async partsAt(split: number): Promise<Map<Checkpoint, number>> {
    const text = await readFile(this.checkpointsOf(split), 'utf8').catch(error => {
      if (error.code === 'ENOENT') return '[]'
      throw error
    })
    return new Map(checkpoints.read(text))
  }

  private checkpointsOf(split: number): string {
    return join(this.work, `.${split}.json`)
  }

  async reached(split: number, checkpoint: Checkpoint | undefined, parts: number): Promise<void> {
    // At the end of a split all of its files are staged, and none is looked for by its checkpoint.
    if (checkpoint === undefined) return
    const work = async () => {
      const all = (await this.partsAt(split)).set(checkpoint, parts)
      const path = this.checkpointsOf(split)
      await writeFile(`${path}.tmp`, checkpoints.write([...all]), { flush: true })
      await rename(`${path}.tmp`, path)
      await syncFolder(this.work)
    }
    return translated(this.target, work())
  }

  async committed({ splits }: Committed): Promise<Committed> {
    await this.run.confirm()
    return { splits, published: this.isMarked() || (this.replaces && (await this.isMoved())) }
  }

  /** True if all files of this run are in the folder: those of earlier copies may be gone. */
  private async isMoved(): Promise<boolean> {
    if (this.isMarked()) return true
    const moved = (await this.visible()).some(name => this.names.isOwn(name))
    if (!moved) return false
    const waiting = await Promise.all(
      [this.work, ...(await this.formerWork())].map(path => filesBelow(path).catch(() => [])),
    )
    return waiting.flat().every(name => name.startsWith('.'))
  }

  protected async isPublishedIn(): Promise<boolean> {
    return false
  }

  protected async takeFrom([last, ...others]: string[], known: Committed): Promise<Committed['splits']> {
    // A rename takes the folder away from the former process.
    if (last) await rename(last, this.work)
    await this.remove(others)
    if (!existsSync(this.work)) return new Map()
    const resumed: Committed['splits'] = new Map()
    for (const [id, split] of known.splits) {
      // A split of which the parts at its checkpoint are not known is written again.
      const { checkpoint } = split
      const isKnown = checkpoint === undefined || (typeof id === 'number' && (await this.partsAt(id)).has(checkpoint))
      if (isKnown) resumed.set(id, split)
    }
    return resumed
  }

  /** The files of earlier copies that this one replaces. */
  private async earlier(): Promise<string[]> {
    if (!this.replaces) return []
    return (await this.visible()).filter(name => !this.names.isOwn(name) && isMade(name))
  }

  protected async reveal(): Promise<void> {
    // Listed while the run is surely this process's: a process that is suspended behind this removes nothing of a later run.
    const earlier = await this.earlier()
    await this.run.confirm()
    await mkdir(this.target, { recursive: true })
    // New files first, old ones last: a reader may see both for a moment, but never none.
    for (const name of await filesBelow(this.work)) {
      if (name.startsWith('.')) continue
      if (dirname(name) !== '.') await mkdir(join(this.target, dirname(name)), { recursive: true })
      await rename(join(this.work, name), join(this.target, name))
    }
    for (const name of [...earlier, ...(await this.meanwhile(earlier))])
      await rm(join(this.target, name), { force: true })
    await syncFolder(this.target)
    await this.mark()
    await this.remove([this.work])
  }

  /** The files that another run has published at the same time. A later one stays in place of this run's. */
  private async meanwhile(earlier: string[]): Promise<string[]> {
    if (!this.replaces) return []
    const known = new Set(earlier)
    const names = (await this.visible()).filter(name => !known.has(name))
    try {
      return overtaken(names, this.run.run, this.target)
    } catch (error) {
      for (const name of names.filter(name => this.names.isOwn(name)))
        await rm(join(this.target, name), { force: true })
      throw error
    }
  }

  private async visible(): Promise<string[]> {
    // Folders that no partition made are somebody else's.
    const names = await (this.partitioned ? filesBelow(this.target) : namesIn(this.target))
    return this.partitioned ? names.filter(isPartitioned) : names.filter(name => !name.startsWith('.'))
  }

  /** Throws FERRY-3018 if the folder is to be replaced and holds files that no copy has made. */
  async requireRoom(): Promise<string | undefined> {
    return this.replaces ? replacedOf(this.request.object, await this.visible(), 'files') : undefined
  }

  /**
   * Also removes files that are in the folder already. If files of earlier copies may be gone, the run is published instead:
   * otherwise nothing would be left.
   */
  async discard(): Promise<boolean> {
    const remains = this.replaces && (await this.isMoved())
    if (remains) {
      const earlier = await this.earlier()
      await this.run.confirm()
      for (const name of earlier) await rm(join(this.target, name), { force: true })
    } else {
      const moved = (await this.visible()).filter(name => this.names.isOwn(name))
      for (const name of moved) await rm(join(this.target, name))
    }
    await this.remove([this.work, ...(await this.formerWork())])
    await this.forget()
    return remains
  }
}
