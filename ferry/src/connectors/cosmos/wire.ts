/**
 * Requests to an account, as they are on the wire: signed, over connections that are kept, tried again where trying
 * again is right.
 *
 * Source: https://learn.microsoft.com/rest/api/cosmos-db/
 */
import { Agent as HttpAgent, request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { FerryError } from '../../errors.ts'
import { type Identity, identityOf } from './identity.ts'
import { Patience, type Wait } from './patience.ts'
import type { CosmosSettings } from './settings.ts'

export interface WireRequest {
  method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** What the signature is over: `docs` in `dbs/a/colls/b`. */
  type: string
  link: string
  /** The path, where it is not link and type. */
  path?: string
  headers?: Record<string, string>
  body?: string
  /** Whether it only reads: it may then go to a region that is read from. */
  read?: boolean
  /** Whether who asks deals with 429 itself. */
  paced?: boolean
}

export interface WireResponse {
  status: number
  substatus: number
  headers: IncomingHttpHeaders
  body: string
}

/** After this time without an answer the reason is shown. */
const TELL_MS = 1000
const VERSION = '2020-07-15'

/** The headers of a query over partitions. */
export const QUERY_HEADERS = {
  'content-type': 'application/query+json',
  'x-ms-documentdb-isquery': 'True',
  'x-ms-documentdb-query-enablecrosspartition': 'True',
}

export class CosmosWire {
  private readonly settings: CosmosSettings
  private readonly agents = new Map<string, HttpAgent>()
  private readonly identity: Identity
  /** Requests that are tried again, and why. */
  private readonly waits = new Map<symbol, Wait>()
  private endpoints: Promise<{ read: string; write: string }> | undefined

  constructor(settings: CosmosSettings) {
    this.settings = settings
    this.identity = identityOf(settings)
  }

  get label(): string {
    return `cosmos:${this.settings.endpoint.replace(/\/$/, '')}`
  }

  /** For what is tried again beyond single requests. */
  patience(): Patience {
    return new Patience(this.waits)
  }

  /** Why the request that waits longest does so; undefined where none waits for longer than a moment. */
  waitingFor(): string | undefined {
    const [first] = [...this.waits.values()].filter(w => Date.now() - w.since > TELL_MS)
    return first && `${first.why} (since ${new Date(first.since).toISOString().slice(11, 19)} UTC)`
  }

  /** Sends a request until it is answered by something other than "later". Throws FERRY-2001 if there is no answer. */
  send(request: WireRequest, signal?: AbortSignal): Promise<WireResponse> {
    const once = async () => {
      const { read, write } = await this.regions()
      return this.exchange(request.read ? read : write, request, signal)
    }
    return this.persist(once, { laters: Infinity, failures: Infinity, paced: request.paced === true }, signal)
  }

  /** All entries of a list of resources, to its last page; or the answer that is no list. */
  async list<T>(type: string, link: string, name: string): Promise<T[] | WireResponse> {
    const found: T[] = []
    let continuation: string | undefined
    do {
      const headers: Record<string, string> = continuation === undefined ? {} : { 'x-ms-continuation': continuation }
      const response = await this.send({ method: 'GET', type, link, headers, read: true })
      if (response.status !== 200) return response
      found.push(...(jsonOf<Record<string, T[]>>(response, this.label)[name] ?? []))
      continuation = continuationOf(response)
    } while (continuation !== undefined)
    return found
  }

  /** Asks until there is an answer, within the patience and at most so often. */
  private async persist(
    once: () => Promise<WireResponse>,
    most: { laters: number; failures: number; paced?: boolean },
    signal?: AbortSignal,
  ): Promise<WireResponse> {
    const patience = new Patience(this.waits)
    for (let attempt = 0; ; attempt++) {
      let wait: number | undefined
      let why: string
      try {
        const response = await once()
        if (!isLater(response, most.paced === true) || patience.isOver || attempt >= most.laters) {
          patience.done()
          return response
        }
        if (response.status === 429) wait = Number(response.headers['x-ms-retry-after-ms'] ?? 100)
        why = `${this.label} answers ${response.status}: ${saidBy(response)}`
      } catch (error) {
        if (signal?.aborted || patience.isOver || !isTransient(error) || attempt >= most.failures) {
          patience.done()
          signal?.throwIfAborted()
          throw this.unreachable(error)
        }
        why = `${this.label}: ${(error as Error).message}`
      }
      await patience.wait(why, wait, signal)
    }
  }

  private unreachable(error: unknown): FerryError {
    if (error instanceof FerryError) return error
    return new FerryError('FERRY-2001', `${this.label}: ${(error as Error).message}`, { cause: error })
  }

  /** The endpoints of the regions to read from and to write to. */
  private regions(): Promise<{ read: string; write: string }> {
    this.endpoints ??= this.findRegions().catch(error => {
      this.endpoints = undefined
      throw error
    })
    return this.endpoints
  }

  private async findRegions(): Promise<{ read: string; write: string }> {
    const own = this.settings.endpoint.replace(/\/$/, '')
    const ask = () => this.exchange(own, { method: 'GET', type: '', link: '', path: '' }, undefined)
    // An account that was never reached is wrong rather than away.
    const response = await this.persist(ask, { laters: 10, failures: 2 })
    if (response.status !== 200) throw explain(response, this.label)
    const account = jsonOf<Record<string, { name: string; databaseAccountEndpoint: string }[] | undefined>>(
      response,
      this.label,
    )
    const { preferredRegions, unknownRegions, endpointDiscovery } = this.settings
    if (!endpointDiscovery) return { read: own, write: own }
    const bare = (url: string | undefined) => url?.replace(/\/$/, '')
    const same = (a: string, b: string) => a.replaceAll(' ', '').toLowerCase() === b.replaceAll(' ', '').toLowerCase()
    const preferred = preferredRegions.map(r => account.readableLocations?.find(l => same(l.name, r))).find(Boolean)
    if (preferredRegions.length > 0 && !preferred && unknownRegions === 'refuse') {
      const names = account.readableLocations?.map(l => l.name).join(', ')
      throw new FerryError('FERRY-2003', `${this.label} has no region ${preferredRegions.join(', ')}`, {
        hint: `Its regions: ${names}.`,
      })
    }
    return {
      read: bare(preferred?.databaseAccountEndpoint) ?? own,
      write: bare(account.writableLocations?.[0]?.databaseAccountEndpoint) ?? own,
    }
  }

  private async exchange(
    endpoint: string,
    request: WireRequest,
    signal: AbortSignal | undefined,
  ): Promise<WireResponse> {
    const { type, link, method, body } = request
    const path = request.path ?? (link === '' ? type : `${link}/${type}`)
    const url = new URL(`${endpoint}/${path.split('/').map(encodeURIComponent).join('/')}`)
    const headers: Record<string, string | number> = {
      accept: 'application/json',
      'x-ms-version': VERSION,
      ...(await this.identity.headers(method, type, link)),
      ...request.headers,
    }
    if (body !== undefined) headers['content-length'] = Buffer.byteLength(body)
    const send = url.protocol === 'https:' ? httpsRequest : httpRequest
    return new Promise((resolve, reject) => {
      const options = { method, headers, agent: this.agent(url), timeout: this.settings.requestTimeout * 1000, signal }
      const sent = send(url, options as never, response => {
        const chunks: Buffer[] = []
        response.on('data', chunk => chunks.push(chunk))
        response.on('error', reject)
        response.on('aborted', () => reject(Object.assign(new Error('the connection was cut'), { code: 'ECONNRESET' })))
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            substatus: Number(response.headers['x-ms-substatus'] ?? 0),
            headers: response.headers,
            body: (chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)).toString('utf8'),
          }),
        )
      })
      sent.on('timeout', () => sent.destroy(Object.assign(new Error('no answer in time'), { code: 'ETIMEDOUT' })))
      sent.on('error', reject)
      sent.end(body)
    })
  }

  private agent(url: URL): HttpAgent {
    let agent = this.agents.get(url.origin)
    if (!agent) {
      const options = { keepAlive: true, maxSockets: this.settings.maxConnections }
      agent = url.protocol === 'https:' ? new HttpsAgent(options) : new HttpAgent(options)
      this.agents.set(url.origin, agent)
    }
    return agent
  }

  close(): void {
    for (const agent of this.agents.values()) agent.destroy()
  }
}

/** The continuation of a list or a query; undefined at its end. */
export function continuationOf({ headers }: WireResponse): string | undefined {
  const next = headers['x-ms-continuation']
  return next === undefined || next === '' ? undefined : String(next)
}

/** Whether a response asks to be tried again; who paces itself deals with 429. */
function isLater({ status }: WireResponse, paced: boolean): boolean {
  return status === 408 || status === 449 || status === 503 || (status === 429 && !paced)
}

function isTransient(error: unknown): boolean {
  return /^(ECONNRESET|ECONNREFUSED|EPIPE|ETIMEDOUT|EAI_AGAIN|ENETUNREACH|EHOSTUNREACH)$/.test(
    (error as { code?: string }).code ?? '',
  )
}

/** What the service said, as one of Ferry's errors. */
export function explain(response: WireResponse, place: string): FerryError {
  const { status, substatus } = response
  const said = saidBy(response)
  const message = `${place}: ${said} (status ${status}${substatus ? `, substatus ${substatus}` : ''})`
  const service = inItsWords(response, said)
  if (status === 401 && substatus === 5202) {
    return new FerryError('FERRY-2002', message, {
      hint: 'Use an Entra identity in the connection, or enable local authentication on the account.',
      service,
    })
  }
  if (status === 401) return new FerryError('FERRY-2002', message, { service })
  if (status === 403) return new FerryError('FERRY-2004', message, { service })
  if (status === 404) return new FerryError('FERRY-3001', message, { service })
  if (status === 429) {
    const hint = 'Give the container more throughput, or run the job again: it goes on where it stopped.'
    return new FerryError('FERRY-2005', message, { hint, service })
  }
  if (status === 413) return new FerryError('FERRY-4001', message, { service })
  if (status === 400) return new FerryError('FERRY-3016', message, { service })
  if (status === 408 || status === 449 || status === 503) return new FerryError('FERRY-2005', message, { service })
  return new FerryError('FERRY-9000', message, { service })
}

const NAMES: Record<number, string> = {
  400: 'BadRequest',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  408: 'RequestTimeout',
  409: 'Conflict',
  412: 'PreconditionFailed',
  413: 'RequestEntityTooLarge',
  429: 'TooManyRequests',
  449: 'RetryWith',
  500: 'InternalServerError',
  503: 'ServiceUnavailable',
}

/** The error in the words of Azure's copy jobs. */
export function inItsWords({ status, substatus, headers }: Omit<WireResponse, 'body'>, said: string) {
  const activity = headers['x-ms-activity-id'] ?? ''
  const message =
    status === 500
      ? `Error while getting resources for job, StatusCode: 500, SubStatusCode: ${substatus}, OperationId: ${activity}, ActivityId: ${activity}`
      : `Response status code does not indicate success: ${NAMES[status] ?? status} (${status}); Substatus: ${substatus}; ActivityId: ${activity}; Reason: ${said}`
  return { code: String(status), message }
}

/** The words of an answer; of one that is not the service's own nothing is shown. */
export function saidBy({ headers, body }: Pick<WireResponse, 'headers' | 'body'>): string {
  return headers['x-ms-activity-id'] === undefined ? 'the answer is not one of Azure Cosmos DB' : messageOf(body)
}

/** The JSON of an answer. Throws FERRY-2001 where it is none: nothing of it is shown. */
export function jsonOf<T>({ body }: Pick<WireResponse, 'body'>, place: string): T {
  try {
    return JSON.parse(body) as T
  } catch {
    throw new FerryError('FERRY-2001', `${place}: the answer is not one of Azure Cosmos DB`)
  }
}

/** The words of an error body: they are wrapped twice. */
export function messageOf(body: string): string {
  try {
    const { message } = JSON.parse(body) as { message?: string }
    const inner = /"Errors":\[("(?:[^"\\]|\\.)*")/.exec(message ?? '')?.[1]
    return inner ? (JSON.parse(inner) as string) : (message ?? body).split('\n')[0]!
  } catch {
    return body.slice(0, 200)
  }
}
