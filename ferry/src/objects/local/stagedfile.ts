import { link, rename, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Committed } from '../../contract/split.ts'
import { FerryError } from '../../errors.ts'
import { isSameFile, LocalStaging } from './staging.ts'

/** One file, which is written anew as a whole and replaces an earlier one by a rename. */
export class FileStaging extends LocalStaging {
  readonly shape = 'file'
  readonly guarantee = 'exactly once: the file appears whole, by a rename'

  get description(): string {
    return this.target
  }

  private nameIn(folder: string): string {
    return join(folder, basename(this.target))
  }

  protected pathOf(): string {
    return this.nameIn(this.work)
  }

  async begin(): Promise<number> {
    return 0
  }

  /** Never called: all splits are one commit. */
  async reached(): Promise<void> {}

  async committed({ splits }: Committed): Promise<Committed> {
    await this.run.confirm()
    return { splits, published: await this.isVisible() }
  }

  /** True if the file at the target is this run's, after an append. */
  private async isVisible(): Promise<boolean> {
    return this.isMarked() || this.isLinked([this.work, ...(await this.formerWork())])
  }

  /** True if the target is a link to the file in one of the folders. */
  private async isLinked(folders: string[]): Promise<boolean> {
    for (const folder of folders) if (await isSameFile(this.nameIn(folder), this.target)) return true
    return false
  }

  protected async isPublishedIn(former: string[]): Promise<boolean> {
    if (!(await this.isLinked(former))) return false
    await this.mark()
    return true
  }

  protected async takeFrom(former: string[]): Promise<Committed['splits']> {
    await this.remove(former)
    return new Map()
  }

  protected async reveal(): Promise<void> {
    await this.run.confirm()
    const whole = this.pathOf()
    if (this.request.update === 'append') {
      // There was no file when the run was planned: one that has come since then is not replaced.
      await link(whole, this.target).catch(async error => {
        if (error.code !== 'EEXIST') return rename(whole, this.target)
        if (await isSameFile(whole, this.target)) return
        throw new FerryError('FERRY-3006', `${this.request.object} has come into being since the run was planned`, {
          hint: 'Use update: overwrite, or copy to another name.',
        })
      })
      // The next process must know this file as its own.
      await this.mark()
    } else await rename(whole, this.target)
    await this.remove([this.work])
  }

  /** Throws FERRY-3018 for a folder, FERRY-3006 for a file that is to be added to. */
  async requireRoom(): Promise<string | undefined> {
    const { object, update } = this.request
    const found = await stat(this.target).catch(() => undefined)
    if (found?.isDirectory()) {
      throw new FerryError('FERRY-3018', `${object} is a folder`, {
        hint: `Write ${object}/ to add files to it, or the name of a file in it.`,
      })
    }
    if (found && update === 'append') {
      throw new FerryError('FERRY-3006', `${object} is there, and a file cannot be added to`, {
        hint: `Use update: overwrite, or copy into a folder, where each run adds files: to: ${object.replace(/\.[^/]*$/, '')}/`,
      })
    }
    return found && `the file ${object}`
  }

  async discard(): Promise<boolean> {
    const remains = await this.isVisible()
    await this.remove([this.work, ...(await this.formerWork())])
    await this.forget()
    return remains
  }
}
