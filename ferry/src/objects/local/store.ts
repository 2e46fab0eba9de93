/** A local folder as a store of objects; `-` is standard input and output. */
import { constants, createReadStream } from 'node:fs'
import { access, readdir, rm, rmdir, stat } from 'node:fs/promises'
import { dirname, isAbsolute, join, relative, resolve, sep } from 'node:path'
import type { Readable } from 'node:stream'
import type { RunIdentity, WriteRequest } from '../../contract/write.ts'
import { FerryError } from '../../errors.ts'
import { isMagic } from '../../glob.ts'
import { type Policy, realOf } from '../../policy.ts'
import type { Staging } from '../staging.ts'
import type { ByteRange, FileTarget, Found, LocalFile, ObjectHead, ObjectStore, StagedForm } from '../store.ts'
import { translate } from './errors.ts'
import { LocalFiles } from './files.ts'
import { below, find, headOf } from './find.ts'
import { FileStaging } from './stagedfile.ts'
import { FolderStaging } from './stagedfolder.ts'
import { StandardOutput } from './standard.ts'
import { translated } from './writer.ts'

const STANDARD = '-'
const CHUNK = 1 << 18
/** Files that are looked at together. */
const PAGE = 1000

export class LocalFolder implements ObjectStore {
  readonly label: string
  /** Paths identify files, whatever the folder of the connection. */
  readonly place = 'files'
  private readonly folder: string
  private readonly policy: Policy
  /** True if paths of locators are meant, which may be anywhere. */
  private readonly isOpen: boolean

  constructor(folder: string, policy: Policy) {
    this.folder = folder
    this.policy = policy
    this.isOpen = folder === '.'
    this.label = `files:${folder}`
  }

  private readonly isSeen = (path: string): boolean =>
    this.isOpen ? this.policy.isAllowed(path) : this.policy.isAllowedWithin(this.folder, path)

  private pathOf(name: string): string {
    const path = isAbsolute(name) ? name : join(this.folder, name)
    return this.isOpen ? this.policy.pathOf(path) : this.policy.pathWithin(this.folder, path)
  }

  async test(): Promise<string> {
    await access(this.policy.pathOf(this.folder), constants.R_OK).catch(error => {
      throw new FerryError('FERRY-2001', `${this.folder}: ${error.message}`)
    })
    return `folder ${this.folder}`
  }

  async names(pattern: string): Promise<string[]> {
    const folder = this.policy.pathOf(resolve(this.folder))
    const all = await find(pattern, folder, this.isSeen)
    return all.map(path => relative(folder, path)).sort()
  }

  async list(name: string, { deep } = { deep: false }): Promise<Found> {
    if (name === STANDARD) {
      this.policy.requireNoServer('standard input and output')
      return { base: '', single: true, pages: pagesOf([{ key: STANDARD, size: undefined, modified: 0n }]) }
    }
    const path = this.pathOf(name)
    const single = await stat(path).catch(() => undefined)
    if (single?.isFile()) {
      const whole = resolve(path)
      return { base: join(dirname(whole), sep), single: true, pages: this.heads([whole], true) }
    }
    // The name of a folder is no pattern, and neither is that of the connection.
    if (single?.isDirectory()) {
      const pages = deep ? below(resolve(path), this.isSeen) : this.heads(await find('*', path, this.isSeen))
      return { base: join(resolve(path), sep), single: false, pages }
    }
    const segments = name.split(/[/\\]/)
    const first = segments.findIndex(s => isMagic(s) || s.includes('{'))
    const plain = segments.slice(0, Math.max(0, first)).join(sep)
    const base = join(resolve(this.pathOf(plain === '' && !isAbsolute(name) ? '.' : plain || sep)), sep)
    return { base, single: false, pages: this.heads(await find(name, this.folder, this.isSeen)) }
  }

  /** `named`: whether they are shown whatever their names. */
  private async *heads(paths: string[], named = false): AsyncGenerator<ObjectHead[]> {
    const isHidden = (p: string) => /(^|[/\\])\.(?!\.?([/\\]|$))/.test(relative(this.folder, p))
    const shown = paths.filter(p => named || !isHidden(p))
    for (let at = 0; at < shown.length; at += PAGE) {
      const page = await Promise.all(shown.slice(at, at + PAGE).map(headOf))
      yield page.filter(head => head !== undefined)
    }
  }

  async folderAt(name: string, most: number) {
    const path = this.pathOf(name === '' ? '.' : name)
    const entries = await translated(path, readdir(path, { withFileTypes: true }))
    const shown = entries.filter(e => !e.name.startsWith('.') && this.isSeen(join(path, e.name))).sort(byName)
    const inside = shown.filter(e => e.isDirectory()).map(e => `${this.nameOf(join(path, e.name))}/`)
    const files = shown.filter(e => !e.isDirectory())
    const heads = await Promise.all(files.slice(0, most).map(e => headOf(join(path, e.name))))
    const objects = heads.filter(head => head !== undefined)
    return { folders: inside.slice(0, most), objects, more: inside.length > most || files.length > most }
  }

  nameOf(key: string): string {
    return relative(resolve(this.pathOf('.')), key)
  }

  identityOf(name: string): string {
    return name === STANDARD ? name : realOf(resolve(this.folder, name))
  }

  async head(key: string): Promise<ObjectHead | undefined> {
    return headOf(this.policy.pathOf(key)).catch(error => {
      if (error.code === 'ENOENT') return undefined
      throw translate(error, key)
    })
  }

  readRange(
    { key }: ObjectHead,
    { start, end }: ByteRange,
    { chunk = CHUNK, signal }: { chunk?: number; signal?: AbortSignal | undefined } = {},
  ): Readable {
    if (key === STANDARD) return process.stdin
    return createReadStream(this.policy.pathOf(key), {
      start,
      highWaterMark: chunk,
      ...(end === undefined ? {} : { end: end - 1 }),
      ...(signal ? { signal } : {}),
    })
  }

  fileAt({ key }: ObjectHead): string {
    return this.policy.pathOf(key)
  }

  async requireSame(head: ObjectHead): Promise<void> {
    const now = await this.head(head.key)
    if (now && now.size === head.size && now.modified === head.modified) return
    throw new FerryError('FERRY-5005', `${head.key} was changed or removed after it was listed`, {
      hint: 'Run again: the file is then read as it is now.',
    })
  }

  async remove(head: ObjectHead): Promise<boolean> {
    const now = await this.head(head.key)
    if (now && (now.size !== head.size || now.modified !== head.modified)) return false
    if (now) await translated(head.key, rm(this.policy.pathOf(head.key)))
    return true
  }

  async removeEmpty(folder: string): Promise<void> {
    const empty = async (path: string): Promise<void> => {
      const entries = await readdir(path, { withFileTypes: true }).catch(() => [])
      for (const entry of entries) if (entry.isDirectory()) await empty(join(path, entry.name))
      // The system refuses one that holds something.
      await rmdir(path).catch(() => undefined)
    }
    await empty(this.pathOf(folder))
  }

  files(run: RunIdentity, folder: string, ordinal: number): FileTarget {
    return new LocalFiles(resolve(this.pathOf(folder)), path => this.pathOf(path), run, ordinal)
  }

  async localFile({ key }: ObjectHead): Promise<LocalFile> {
    return { path: key, release: async () => {} }
  }

  explain(error: unknown, key: string): unknown {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return new FerryError('FERRY-3001', `${key} does not exist`, { cause: error })
    return code === 'EACCES' || code === 'EPERM' ? translate(error, key) : error
  }

  stage(run: RunIdentity, request: WriteRequest, form: StagedForm): Staging {
    if (request.object === STANDARD) {
      this.policy.requireNoServer('standard input and output')
      return new StandardOutput(form)
    }
    const path = this.pathOf(request.object)
    const isFolder = /[/\\]$/.test(request.object) || form.many
    // Files are staged beside their target.
    const beside = dirname(resolve(path))
    const isBeside = this.isOpen ? this.policy.isAllowed(beside) : this.policy.isAllowedWithin(this.folder, beside)
    if (!isBeside) {
      throw new FerryError(
        'FERRY-2006',
        `${request.object} is the folder of the connection itself, and files are staged beside it`,
        {
          hint: 'Copy into a folder or a file in it.',
        },
      )
    }
    // `.` has no name that files could begin with.
    const target = { path: resolve(path), ...form }
    return isFolder ? new FolderStaging(run, request, target) : new FileStaging(run, request, target)
  }

  async close(): Promise<void> {}
}

const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : 1)

async function* pagesOf(heads: ObjectHead[]): AsyncGenerator<ObjectHead[]> {
  yield heads
}
