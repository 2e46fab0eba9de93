/**
 * Objects of a web server: read by range where it has ranges, else from the beginning. Nothing is listed and nothing written.
 *
 * Source: RFC 9110, sections 13 and 14
 */
import { Readable } from 'node:stream'
import { type ErrorCode, FerryError } from '../../errors.ts'
import { requireRange } from '../../objects/remote/answers.ts'
import { readSection, type SectionReader } from '../../objects/remote/reader.ts'
import { type Answer, send } from '../../objects/remote/request.ts'
import { ObjectChanged } from '../../objects/remote/service.ts'
import { Spool } from '../../objects/remote/spool.ts'
import { retried } from '../../objects/remote/upload.ts'
import type { Staging } from '../../objects/staging.ts'
import type { ByteRange, FileTarget, Found, LocalFile, ObjectHead, ObjectStore } from '../../objects/store.ts'
import type { Policy } from '../../policy.ts'
import type { HttpSettings } from './settings.ts'

const REQUEST_MS = 60_000

export class HttpStore implements ObjectStore {
  readonly label: string
  readonly place: string
  private readonly base: URL
  private readonly headers: Record<string, string>
  private readonly spool: Spool
  private readonly reader: SectionReader

  constructor({ url, user, password, token }: HttpSettings, policy: Policy) {
    this.base = new URL(url.endsWith('/') ? url : `${url}/`)
    this.label = this.base.href.replace(/\/$/, '')
    this.place = `http:${this.label}`
    const basic = user === undefined ? undefined : Buffer.from(`${user}:${password ?? ''}`).toString('base64')
    const identity = token !== undefined ? `Bearer ${token}` : basic && `Basic ${basic}`
    this.headers = { 'accept-encoding': 'identity', ...(identity ? { authorization: identity } : {}) }
    this.spool = new Spool(policy)
    this.reader = {
      read: (key, start, end, options) => this.read(key, start, end, options),
      explain: (error, key) => this.explain(error, key),
      nameOf: key => this.shown(key),
      secrets: [token, password].filter(s => s !== undefined),
    }
  }

  /** Throws FERRY-2006 for a name that leads to another place. */
  private urlOf(name: string): URL {
    // A fragment is never sent: here it is a part of a name.
    const url = new URL(name.replaceAll('#', '%23'), this.base)
    if (url.origin === this.base.origin && url.pathname.startsWith(this.base.pathname)) return url
    throw new FerryError('FERRY-2006', `${name} leads out of ${this.label}`)
  }

  private async request(
    key: string,
    { headers, ...init }: { method?: string; headers?: Record<string, string>; signal?: AbortSignal },
  ): Promise<Answer> {
    const response = await send(this.urlOf(key), { ...init, headers: { ...this.headers, ...headers } })
    const { pathname } = this.urlOf(key)
    if (response.status < 300) {
      // Who is not signed in is often led to a page, which would be read as rows.
      if (/^text\/html/i.test(response.header('content-type') ?? '') && !/\.x?html?$/i.test(pathname)) {
        response.body.destroy()
        throw new FerryError('FERRY-2007', `${this.shown(key)}: the server answers with a page (text/html)`, {
          hint: 'It may ask to sign in: check user, password, token and address.',
        })
      }
      return response
    }
    response.body.destroy()
    throw Object.assign(new Error(`${response.status} ${response.statusText}`.trim()), { status: response.status })
  }

  async test(): Promise<string> {
    const response = await retried(this.reader, '', () =>
      fetch(this.base, { method: 'HEAD', headers: this.headers, signal: AbortSignal.timeout(REQUEST_MS) }),
    )
    return `${this.label} answers ${response.status}`
  }

  async names(): Promise<string[]> {
    return []
  }

  async list(name: string): Promise<Found> {
    if (name.endsWith('/') || /[*[{]/.test(name.replace(/\?.*$/s, ''))) {
      throw new FerryError('FERRY-3001', `${name}: a web server lists no files`, { hint: 'Name each file.' })
    }
    const head = await this.head(name)
    const pages = async function* () {
      if (head) yield [head]
    }
    return { base: name.slice(0, name.replace(/[?#].*$/s, '').lastIndexOf('/') + 1), single: true, pages: pages() }
  }

  /** An address for messages: what follows the name may be a signature. */
  private shown(key: string): string {
    return `${this.label}/${key.replace(/\?.*$/s, '?…')}`
  }

  nameOf(key: string): string {
    return key
  }

  identityOf(name: string): string {
    return this.urlOf(name).href
  }

  head(key: string): Promise<ObjectHead | undefined> {
    return retried(this.reader, key, async () => {
      const signal = AbortSignal.timeout(REQUEST_MS)
      try {
        const answer = await this.request(key, { method: 'HEAD', signal })
        answer.body.destroy()
        const found = headOf(key, answer)
        if (found.size !== undefined) return found
      } catch (error) {
        const { status } = error as { status?: number }
        if (status === 404 || status === 410) return undefined
        // Servers that do not know HEAD, or sign each method on its own.
        if (status === undefined || ![400, 403, 405, 501].includes(status)) throw error
      }
      const response = await this.request(key, { headers: { range: 'bytes=0-0' }, signal })
      response.body.destroy()
      const found = headOf(key, response)
      if (found.size !== undefined) return found
      throw new FerryError('FERRY-2007', `${this.shown(key)}: the server does not tell how long it is`, {
        hint: 'Load it first, with curl or another program, and copy the file.',
      })
    })
  }

  readRange(head: ObjectHead, range: ByteRange, { signal }: { signal?: AbortSignal | undefined } = {}): Readable {
    return readSection(this.reader, head, range, signal)
  }

  private async read(
    key: string,
    start: number,
    end: number,
    { version, signal }: { version: string; signal?: AbortSignal },
  ): Promise<Readable> {
    const response = await this.request(key, {
      headers: { range: `bytes=${start}-${end - 1}` },
      ...(signal ? { signal } : {}),
    }).catch(error => {
      if ([404, 410, 416].includes(error.status)) throw new ObjectChanged(key)
      throw error
    })
    if (headOf(key, response).version !== version) {
      response.body.destroy()
      throw new ObjectChanged(key)
    }
    const { body } = response
    if (response.status === 206) requireRange(response.header('content-range'), start)
    // A server without ranges sends everything.
    return response.status === 206 ? body : Readable.from(sliced(body, start, end), { objectMode: false })
  }

  async localFile(head: ObjectHead, ranges: () => Promise<ByteRange[]> | ByteRange[]): Promise<LocalFile> {
    return this.spool.fileOf(head, await ranges(), range => this.readRange(head, range))
  }

  explain(error: unknown, key: string): unknown {
    if (error instanceof FerryError || !(error instanceof Error)) return error
    const { status } = error as { status?: number }
    const cause = error.cause as Error | undefined
    if (cause instanceof FerryError) return cause
    const told = (code: ErrorCode, hint?: string) =>
      new FerryError(code, `${this.shown(key)}: ${cause?.message ?? error.message}`, {
        cause: error,
        ...(hint === undefined ? {} : { hint }),
      })
    if (status === 401) return told('FERRY-2002', 'Check user and password, or the token.')
    if (status === 403) return told('FERRY-2004', 'The server refuses it: an address that is signed may be over.')
    if (status === 404 || status === 410) return told('FERRY-3001')
    if (status === 429 || status === 503)
      return told('FERRY-2005', 'The server asks for fewer requests: run again later.')
    if (status !== undefined) return told('FERRY-2007')
    if (error.name === 'TimeoutError') return told('FERRY-2005')
    return cause ? told('FERRY-2001', 'Check the address and the network.') : error
  }

  stage(): Staging {
    throw this.isSource()
  }

  files(): FileTarget {
    throw this.isSource()
  }

  async remove(): Promise<boolean> {
    throw this.isSource()
  }

  private isSource(): FerryError {
    return new FerryError('FERRY-3006', `${this.label}: a web server is a source only`, {
      hint: 'Copy into a folder, or into an object store.',
    })
  }

  async close(): Promise<void> {
    this.spool.close()
  }
}

/** What a response says of its object: an entity tag, else time and length, show a change. */
function headOf(key: string, response: Answer): ObjectHead {
  const { header } = response
  const total = /\/(\d+)$/.exec(header('content-range') ?? '')?.[1]
  const length = total ?? (response.status === 206 ? undefined : header('content-length'))
  const size = length === undefined || length === null ? undefined : Number(length)
  const changed = Date.parse(header('last-modified') ?? '')
  return {
    key,
    size,
    modified: BigInt(Number.isNaN(changed) ? 0 : changed) * 1_000_000n,
    // A weak tag may stay when bytes change.
    version: `${header('etag') ?? ''} ${header('last-modified') ?? ''} ${size}`,
  }
}

async function* sliced(body: AsyncIterable<unknown>, start: number, end: number): AsyncGenerator<Buffer> {
  let at = 0
  for await (const data of body) {
    const chunk = Buffer.from(data as Uint8Array)
    const part = chunk.subarray(Math.max(0, start - at), Math.max(0, end - at))
    if (part.length > 0) yield part
    at += chunk.length
    if (at >= end) return
  }
}
