/** A store of objects that is reached over the network: what all kinds have in common, over what each {@link ObjectService} does. */
import type { Readable } from 'node:stream'
import type { RunIdentity, WriteRequest } from '../../contract/write.ts'
import { FerryError } from '../../errors.ts'
import { isMagic } from '../../glob.ts'
import type { Policy } from '../../policy.ts'
import type { Staging } from '../staging.ts'
import type { FileTarget } from '../store.ts'
import {
  type ByteRange,
  type Found,
  isFerrys,
  type LocalFile,
  type ObjectAbout,
  type ObjectHead,
  type ObjectStore,
  type StagedForm,
} from '../store.ts'
import { RemoteFiles } from './files.ts'
import { findObjects, MOST_OBJECTS, segmentsOf } from './find.ts'
import { readSection } from './reader.ts'
import type { Listing, ObjectService, RemoteHead } from './service.ts'
import { Spool } from './spool.ts'
import { FolderStaging } from './stagedfolder.ts'
import { ObjectStaging } from './stagedobject.ts'
import { PartBuffers, retried } from './upload.ts'

/** The most names that a listing of a whole store gives. */
const MOST_NAMES = 100_000
/** Parts that are stored at one time, by all writers of a store. */
const PARTS_AT_ONCE = 8

export class RemoteStore implements ObjectStore {
  private readonly service: ObjectService
  /** What the keys begin with that names are relative to: empty, or with a slash at its end. */
  private readonly folder: string
  private readonly policy: Policy
  private readonly buffers = new PartBuffers(PARTS_AT_ONCE)
  private readonly spool: Spool

  constructor(service: ObjectService, folder: string, policy: Policy) {
    this.service = service
    this.folder = folder === '' ? '' : `${folder.replace(/^\/+|\/+$/g, '')}/`
    this.policy = policy
    this.spool = new Spool(policy)
  }

  get label(): string {
    return this.service.label
  }

  get place(): string {
    return this.service.place
  }

  test(): Promise<string> {
    return this.call('', () => this.service.test())
  }

  siblings(most: number): Promise<string[]> {
    const { service } = this
    if (!service.siblings) throw new FerryError('FERRY-1003', `${this.label} lists no others beside it`)
    return this.call('', () => service.siblings!(most))
  }

  private call<T>(key: string, work: () => Promise<T>): Promise<T> {
    return retried(this.service, key === '' ? this.label : key, work)
  }

  /** The key of a name. Throws FERRY-2006 for a name that leads out of the folder of the connection. */
  private keyOf(name: string): string {
    if (name === '.' || name === './' || name === '') return this.folder
    const arePaths = this.service.keysArePaths === true
    const segments = segmentsOf(name, arePaths)
    if (segments.includes('..')) {
      throw new FerryError('FERRY-2006', `${name} leads out of the folder of the connection`, {
        hint: `Its folder is ${this.label}/${this.folder}: name what is in it.`,
      })
    }
    const end = arePaths && /\/$/.test(name) && segments.length > 0 ? '/' : ''
    return `${this.folder}${segments.join('/')}${end}`
  }

  async names(pattern: string): Promise<string[]> {
    const found: string[] = []
    for await (const page of findObjects(this.service, this.folder, pattern)) {
      found.push(...page.filter(o => this.isShown(o.key)).map(o => o.key.slice(this.folder.length)))
      if (found.length > MOST_NAMES) {
        throw new FerryError('FERRY-1003', `more than ${MOST_NAMES} objects match`, { hint: 'Name a folder.' })
      }
    }
    return found.sort()
  }

  /** Hidden objects have a name in their path that begins with a dot. */
  private isShown(key: string): boolean {
    return !/(^|\/)\./.test(key.slice(this.folder.length)) && !key.endsWith('/')
  }

  async list(name: string, { deep } = { deep: false }): Promise<Found> {
    const key = this.keyOf(name)
    const isFolder = key === this.folder || key.endsWith('/')
    const one = isFolder || name.includes('*') ? undefined : await this.call(key, () => this.service.head(key))
    if (one) return { base: key.slice(0, key.lastIndexOf('/') + 1), single: true, pages: pagesOf([one]) }
    const segments = name.split('/')
    const first = segments.findIndex(s => isMagic(s) || s.includes('{'))
    if (!isFolder && first >= 0) {
      const plain = segments.slice(0, first).join('/')
      const base = plain === '' ? this.folder : `${this.keyOf(plain)}/`
      return { base, single: false, pages: this.shown(findObjects(this.service, this.folder, name)) }
    }
    const base = isFolder ? key : `${key}/`
    const all = objectsOf(this.service.list(base, !deep))
    return { base, single: false, pages: deep ? kept(all, base) : this.shown(all) }
  }

  private async *shown(pages: AsyncIterable<RemoteHead[]>): AsyncGenerator<RemoteHead[]> {
    let found = 0
    for await (const page of pages) {
      found += page.length
      if (found > MOST_OBJECTS) throw new FerryError('FERRY-1003', `more than ${MOST_OBJECTS} objects match`)
      yield page.filter(one => this.isShown(one.key))
    }
  }

  get remote(): ObjectService {
    return this.service
  }

  async about({ key }: ObjectHead): Promise<ObjectAbout> {
    return this.call(key, async () => (await this.service.about?.(key)) ?? {})
  }

  async remove(head: ObjectHead): Promise<boolean> {
    const now = await this.head(head.key)
    // One that was put onto itself has the same bytes, and another time.
    if (now && (now.version !== head.version || now.modified !== head.modified)) return false
    if (now) await this.call(head.key, () => this.service.remove([head.key]))
    return true
  }

  async removeEmpty(folder: string): Promise<void> {
    await this.service.removeEmpty?.(this.keyOf(folder).replace(/\/$/, ''))
  }

  files(run: RunIdentity, folder: string, ordinal: number): FileTarget {
    const key = this.keyOf(folder)
    const prefix = key === '' || key.endsWith('/') ? key : `${key}/`
    return new RemoteFiles(this.service, this.buffers, prefix, run, ordinal)
  }

  async folderAt(name: string, most: number) {
    const key = this.keyOf(name)
    const prefix = key === '' || key.endsWith('/') ? key : `${key}/`
    const folders: string[] = []
    const objects: RemoteHead[] = []
    let more = false
    for await (const page of this.service.list(prefix, true)) {
      folders.push(...page.folders.filter(f => this.isShown(f.slice(0, -1))).map(f => this.nameOf(f)))
      objects.push(...page.objects.filter(o => this.isShown(o.key)))
      more = folders.length > most || objects.length > most
      if (more) break
    }
    return { folders: folders.slice(0, most), objects: objects.slice(0, most), more }
  }

  nameOf(key: string): string {
    return key.slice(this.folder.length)
  }

  identityOf(name: string): string {
    return `/${this.keyOf(name).replace(/\/$/, '')}`
  }

  head(key: string): Promise<ObjectHead | undefined> {
    return this.call(key, () => this.service.head(key))
  }

  readRange(head: ObjectHead, range: ByteRange, { signal }: { signal?: AbortSignal | undefined } = {}): Readable {
    return readSection(this.service, head, range, signal)
  }

  async localFile(head: ObjectHead, ranges: () => Promise<ByteRange[]> | ByteRange[]): Promise<LocalFile> {
    return this.spool.fileOf(head, await ranges(), range => this.readRange(head, range))
  }

  explain(error: unknown, key: string): unknown {
    return this.service.explain(error, key)
  }

  stage(run: RunIdentity, request: WriteRequest, { ending, many, partitioned }: StagedForm): Staging {
    const named = this.keyOf(request.object)
    const isFolder = many || named.endsWith('/') || named === this.folder
    const key = isFolder && named !== '' && !named.endsWith('/') ? `${named}/` : named
    if (Buffer.byteLength(key) > this.service.longestKey - 100) {
      throw new FerryError('FERRY-3015', `${request.object}: names have at most ${this.service.longestKey} bytes here`)
    }
    const target = { key, ending, partitioned: partitioned === true, scratch: this.policy.scratch }
    const what = { run, request }
    return isFolder
      ? new FolderStaging(this.service, this.buffers, what, target)
      : new ObjectStaging(this.service, this.buffers, what, target)
  }

  async close(): Promise<void> {
    this.spool.close()
    await this.service.close()
  }
}

async function* objectsOf(listings: AsyncIterable<Listing>): AsyncGenerator<RemoteHead[]> {
  for await (const { objects } of listings) yield objects
}

/** Everything but what Ferry keeps for itself, and marks of folders, which have no bytes. */
async function* kept(pages: AsyncIterable<RemoteHead[]>, base: string): AsyncGenerator<RemoteHead[]> {
  for await (const page of pages) {
    yield page.filter(({ key }) => !isFerrys(key.slice(base.length)) && !key.endsWith('/'))
  }
}

async function* pagesOf(heads: RemoteHead[]): AsyncGenerator<RemoteHead[]> {
  yield heads
}
