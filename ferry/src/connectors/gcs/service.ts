/**
 * Google Cloud Storage, by its JSON API. An upload is hidden objects, one for each part, of which the service composes the
 * object at once.
 *
 * Sources: https://cloud.google.com/storage/docs/json_api/v1, https://cloud.google.com/storage/docs/composite-objects
 */
import { createHash, randomBytes } from 'node:crypto'
import type { Readable } from 'node:stream'
import { FerryError } from '../../errors.ts'
import { asOurselves } from '../../network.ts'
import { each } from '../../objects/each.ts'
import { requireRange } from '../../objects/remote/answers.ts'
import { Pages } from '../../objects/remote/pages.ts'
import { isTransient, isUnreachable, pause } from '../../objects/remote/reader.ts'
import { send } from '../../objects/remote/request.ts'
import {
  type Listing,
  nanosecondsOf,
  ObjectChanged,
  ObjectExists,
  type ObjectService,
  type RemoteHead,
  type Reveal,
  type Staged,
} from '../../objects/remote/service.ts'
import { retried } from '../../objects/remote/upload.ts'
import type { ObjectAbout } from '../../objects/store.ts'
import { gathered } from '../../streams.ts'
import { explainGcs, type GcsError } from './errors.ts'
import type { GcsSettings } from './settings.ts'

const MIB = 1 << 20
/** Objects that one request composes. */
const COMPOSED_AT_ONCE = 32
const WRITER = 'ferry-run'
/** The folder of uploads, beside their objects. */
const UPLOADS = '.ferry-uploads/'
const ABOUT = ['contentType', 'contentEncoding', 'contentLanguage', 'contentDisposition', 'cacheControl'] as const
const FIELDS = 'name,size,updated,generation,metadata'
const SCOPE = 'https://www.googleapis.com/auth/devstorage.read_write'
const REQUEST_MS = 120_000
const REQUEST_ATTEMPTS = 4

interface Resource {
  name: string
  size: string
  updated: string
  generation: string
  metadata?: Record<string, string>
}
type Details = Resource & Partial<Record<(typeof ABOUT)[number], string>>

export class GcsService implements ObjectService {
  readonly label: string
  readonly place: string
  readonly longestKey = 1024
  readonly mostParts = COMPOSED_AT_ONCE ** 3
  readonly keepsAbout = true
  readonly guarantee = 'exactly once: objects are composed when all of their parts are stored'
  private readonly settings: GcsSettings
  private readonly objects: string
  private readonly uploads: string
  private token: Promise<() => Promise<string | undefined>> | undefined

  constructor(settings: GcsSettings) {
    this.settings = settings
    const { bucket, endpoint } = settings
    this.label = `gs://${bucket}`
    this.place = `gcs:${endpoint}/${bucket}`
    this.objects = `${endpoint}/storage/v1/b/${encodeURIComponent(bucket)}/o`
    this.uploads = `${endpoint}/upload/storage/v1/b/${encodeURIComponent(bucket)}/o`
  }

  /** Gives a token for each request; undefined if requests are anonymous. */
  private async tokens(): Promise<() => Promise<string | undefined>> {
    const { credentials, serviceAccountKey } = this.settings
    if (credentials === 'anonymous') return async () => undefined
    const { GoogleAuth } = await import('google-auth-library')
    const auth = new GoogleAuth({
      scopes: SCOPE,
      ...(credentials === 'key' ? { credentials: JSON.parse(serviceAccountKey!) } : {}),
    })
    return async () => (await asOurselves(() => auth.getAccessToken())) ?? undefined
  }

  /**
   * Asks up to four times, as the libraries of the other services do: a step of several requests would otherwise begin
   * anew at each request that fails, and hardly end while many do.
   */
  private async request(url: string, words: Words = {}): Promise<Response> {
    for (let failures = 1; ; failures++) {
      try {
        return await this.ask(url, words)
      } catch (error) {
        const isSilent = isUnreachable(error) || (error as Error).name === 'TimeoutError'
        if (failures === REQUEST_ATTEMPTS || isSilent || !isTransient(error)) throw error
        await pause(failures, undefined)
      }
    }
  }

  private async ask(url: string, { method = 'GET', body, headers = {} }: Words): Promise<Response> {
    const words = await this.signed(url, headers)
    const response = await fetch(words.url, {
      method,
      headers: words.headers,
      // The time of a body is limited where it is read.
      signal: AbortSignal.timeout(REQUEST_MS),
      ...(body === undefined ? {} : { body: body as string }),
    })
    if (response.ok) return response
    const text = await response.text()
    throw failed(response.status, response.statusText, text)
  }

  /** An address and headers, with the identity and who pays. */
  private async signed(url: string, headers: Record<string, string>) {
    this.token ??= this.tokens()
    const token = await (await this.token)()
    const { userProject } = this.settings
    const project = userProject === undefined ? '' : `${url.includes('?') ? '&' : '?'}userProject=${userProject}`
    return {
      url: `${url}${project}`,
      headers: { ...headers, ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) },
    }
  }

  private urlOf(key: string): string {
    return `${this.objects}/${encodeURIComponent(key)}`
  }

  partSize(): number {
    return 8 * MIB
  }

  async test(): Promise<string> {
    await this.request(`${this.objects}?maxResults=1&fields=prefixes`)
    return `bucket ${this.settings.bucket}`
  }

  async siblings(most: number): Promise<string[]> {
    const { serviceAccountKey, userProject, endpoint } = this.settings
    const project = userProject ?? JSON.parse(serviceAccountKey ?? '{}').project_id
    if (project === undefined) {
      throw new FerryError('FERRY-2003', 'buckets are listed for a project', { hint: 'Give userProject.' })
    }
    const query = new URLSearchParams({ project, maxResults: String(most), fields: 'items(name)' })
    const { items = [] } = await (await this.request(`${endpoint}/storage/v1/b?${query}`)).json()
    return items.map((b: { name: string }) => b.name)
  }

  async *list(prefix: string, shallow: boolean): AsyncGenerator<Listing> {
    let token: string | undefined
    const pages = new Pages()
    do {
      const query = new URLSearchParams({
        prefix,
        maxResults: '1000',
        fields: `items(${FIELDS}),prefixes,nextPageToken`,
        ...(shallow ? { delimiter: '/' } : {}),
        ...(token === undefined ? {} : { pageToken: token }),
      })
      const ask = async () => (await this.request(`${this.objects}?${query}`)).json()
      const page = (await retried(this, prefix, ask)) as {
        items?: Resource[]
        prefixes?: string[]
        nextPageToken?: string
      }
      const listing = { objects: (page.items ?? []).map(headOf), folders: page.prefixes ?? [] }
      pages.require(listing, prefix)
      yield listing
      token = page.nextPageToken
    } while (token !== undefined && token !== '')
  }

  private async resource(key: string): Promise<Resource | undefined> {
    if (key === '') return undefined
    try {
      return (await (await this.request(`${this.urlOf(key)}?fields=${FIELDS}`)).json()) as Resource
    } catch (error) {
      if ((error as GcsError).status === 404) return undefined
      throw error
    }
  }

  async head(key: string): Promise<RemoteHead | undefined> {
    const found = await this.resource(key)
    return found && headOf(found)
  }

  async isRevealed(key: string, by: string): Promise<boolean> {
    return (await this.resource(key))?.metadata?.[WRITER] === by
  }

  async read(
    key: string,
    start: number,
    end: number,
    { version, signal }: { version: string; signal?: AbortSignal },
  ): Promise<Readable> {
    // Without this a compressed object would be sent otherwise than it is stored.
    const range = { range: `bytes=${start}-${end - 1}`, 'accept-encoding': 'gzip' }
    try {
      const { url, headers } = await this.signed(`${this.urlOf(key)}?alt=media&ifGenerationMatch=${version}`, range)
      const response = await send(new URL(url), { headers, ...(signal ? { signal } : {}) })
      if (response.status >= 300) {
        throw failed(response.status, response.statusText, (await gathered(response.body)).toString('utf8'))
      }
      try {
        requireRange(response.header('content-range'), start)
        const generation = response.header('x-goog-generation')
        if (generation !== undefined && generation !== version) throw new ObjectChanged(key)
      } catch (error) {
        response.body.destroy()
        throw error
      }
      return response.body
    } catch (error) {
      if ([404, 412, 416].includes((error as GcsError).status)) throw new ObjectChanged(key)
      throw error
    }
  }

  async about(key: string): Promise<ObjectAbout> {
    const fields = `${FIELDS},${ABOUT.join(',')}`
    const found = (await (await this.request(`${this.urlOf(key)}?fields=${fields}`)).json()) as Details
    const { metadata } = found
    const said = ABOUT.flatMap(name => (found[name] === undefined ? [] : [[name, found[name]]]))
    return { ...Object.fromEntries(said), ...(metadata ? { metadata } : {}) }
  }

  async put(key: string, bytes: Buffer, about?: ObjectAbout): Promise<void> {
    const md5 = createHash('md5').update(bytes).digest('base64')
    const type = about?.contentType ?? 'application/octet-stream'
    if (!about) {
      await this.request(`${this.uploads}?uploadType=media&name=${encodeURIComponent(key)}&fields=name`, {
        method: 'POST',
        body: bytes,
        headers: { 'content-type': type, 'x-goog-hash': `md5=${md5}` },
      })
      return
    }
    const border = randomBytes(16).toString('hex')
    const resource = JSON.stringify({ ...this.written, ...about, name: key, md5Hash: md5 })
    const head = `--${border}\r\ncontent-type: application/json; charset=UTF-8\r\n\r\n${resource}\r\n--${border}\r\ncontent-type: ${type}\r\n\r\n`
    await this.request(`${this.uploads}?uploadType=multipart&fields=name`, {
      method: 'POST',
      body: Buffer.concat([Buffer.from(head), bytes, Buffer.from(`\r\n--${border}--`)]),
      headers: { 'content-type': `multipart/related; boundary=${border}` },
    })
  }

  /** How objects are stored. */
  private get written() {
    const { storageClass } = this.settings
    return storageClass ? { storageClass } : {}
  }

  async copyFrom(from: ObjectService, { key: source, version }: RemoteHead, key: string): Promise<boolean> {
    const isOwn = from instanceof GcsService && from.settings.endpoint === this.settings.endpoint
    const isSame = isOwn && from.settings.credentials === this.settings.credentials
    if (!isSame || from.settings.serviceAccountKey !== this.settings.serviceAccountKey) return false
    const { storageClass } = this.settings
    const body = storageClass ? JSON.stringify({ ...(await from.about(source)), storageClass }) : '{}'
    const target = `/rewriteTo/b/${encodeURIComponent(this.settings.bucket)}/o/${encodeURIComponent(key)}`
    try {
      for (let token = ''; ; ) {
        const more = token === '' ? '' : `&rewriteToken=${encodeURIComponent(token)}`
        const url = `${from.urlOf(source)}${target}?ifSourceGenerationMatch=${version}${more}`
        const headers = { 'content-type': 'application/json' }
        const answer = await this.request(url, { method: 'POST', headers, ...(storageClass ? { body } : {}) })
        const { done, rewriteToken } = (await answer.json()) as { done: boolean; rewriteToken?: string }
        if (done) return true
        token = rewriteToken!
      }
    } catch (error) {
      const { status } = error as GcsError
      if (status === 404 || status === 412) throw new ObjectChanged(source)
      if (status === 403) return false
      throw error
    }
  }

  async remove(keys: string[]): Promise<void> {
    await each(keys, async key => {
      await this.request(this.urlOf(key), { method: 'DELETE' }).catch(error => {
        if ((error as GcsError).status !== 404) throw error
      })
    })
  }

  async stage(key: string): Promise<string> {
    const folder = key.slice(0, key.lastIndexOf('/') + 1)
    return `${folder}${UPLOADS}${key.slice(folder.length)}/${randomBytes(12).toString('hex')}/`
  }

  async putPart({ id }: { key: string; id: string }, part: number, bytes: Buffer): Promise<string> {
    const name = `${id}${String(part).padStart(6, '0')}`
    await this.put(name, bytes)
    return name
  }

  async reveal({ key, id, parts }: Staged, { by, ifAbsent, about }: Reveal): Promise<void> {
    try {
      let left = parts
      for (let round = 1; left.length > COMPOSED_AT_ONCE; round++) left = await this.composeGroups(id, round, left)
      const own = by === undefined ? {} : { metadata: { ...about?.metadata, [WRITER]: by } }
      await this.compose(left, key, { ...about, ...own }, ifAbsent)
    } catch (error) {
      const { status } = error as GcsError
      // An answer that was lost: the object is composed, and its parts are removed.
      if (status === 404 && by !== undefined && (await this.isRevealed(key, by))) return
      if (status === 412) throw new ObjectExists(key)
      throw error
    }
    await this.drop({ id })
  }

  /** Composes groups of parts into larger ones, in their order. */
  private async composeGroups(id: string, round: number, parts: string[]): Promise<string[]> {
    const groups = Array.from({ length: Math.ceil(parts.length / COMPOSED_AT_ONCE) }, (_, i) => ({
      name: `${id}${round}-${i}`,
      of: parts.slice(i * COMPOSED_AT_ONCE, (i + 1) * COMPOSED_AT_ONCE),
    }))
    await each(groups, ({ name, of }) => this.compose(of, name, {}, false))
    return groups.map(g => g.name)
  }

  private async compose(parts: string[], key: string, more: ObjectAbout, ifAbsent: boolean) {
    const destination = { ...more, ...this.written }
    const condition = ifAbsent ? '&ifGenerationMatch=0' : ''
    await this.request(`${this.urlOf(key)}/compose?fields=name${condition}`, {
      method: 'POST',
      body: JSON.stringify({ sourceObjects: parts.map(name => ({ name })), destination }),
      headers: { 'content-type': 'application/json' },
    })
  }

  async drop({ id }: { id: string }): Promise<void> {
    for await (const { objects } of this.list(id, false)) await this.remove(objects.map(o => o.key))
  }

  async staged(prefix: string): Promise<{ key: string; id: string }[]> {
    const folder = prefix.slice(0, prefix.lastIndexOf('/') + 1)
    const found = new Map<string, string>()
    for await (const { objects } of this.list(`${folder}${UPLOADS}${prefix.slice(folder.length)}`, false)) {
      for (const { key: part } of objects) {
        const id = part.slice(0, part.lastIndexOf('/') + 1)
        const name = id.slice(folder.length + UPLOADS.length).split('/')[0]!
        found.set(id, `${folder}${name}`)
      }
    }
    return [...found].map(([id, key]) => ({ key, id }))
  }

  explain(error: unknown, key: string): unknown {
    return explainGcs(error, key, this.settings)
  }

  async close(): Promise<void> {}
}

interface Words {
  method?: string
  body?: Buffer | string
  headers?: Record<string, string>
}

function failed(status: number, statusText: string, text: string): GcsError {
  return Object.assign(new Error(messageOf(text) ?? statusText), { status }) as GcsError
}

function headOf({ name, size, updated, generation }: Resource): RemoteHead {
  return { key: name, size: Number(size), modified: nanosecondsOf(new Date(updated)), version: generation }
}

/** The message of an answer of the API. */
function messageOf(text: string): string | undefined {
  try {
    return (JSON.parse(text) as { error?: { message?: string } }).error?.message
  } catch {
    return text.slice(0, 300) || undefined
  }
}
