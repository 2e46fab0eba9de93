/**
 * Requests about items: one of them, several in a batch, a query, or the change feed.
 *
 * One file: the headers of one endpoint say which of these a request is.
 */
import type { Account } from './account.ts'
import { MOST_OPERATIONS, parseBatch, resultsText, runBulk, runTransaction } from './batch.ts'
import { allVersions, type FeedRequest, latestVersions } from './changefeed.ts'
import { feedCharge, queryCharge, readCharge, writeCharge } from './charges.ts'
import type { Container, Written } from './container.ts'
import { badRequest, CosmosError, crossPartitionDisabled, notFound, partitionGone } from './errors.ts'
import type { Fault } from './faults.ts'
import { KEY_SPACE_END, type KeyValue } from './hash.ts'
import { parseObject } from './json.ts'
import type { PatchOperation } from './patch.ts'
import {
  type Answer,
  allowsCrossPartition,
  isPlanRequest,
  isQuery,
  pageSize,
  type Request,
  readQuery,
} from './protocol.ts'
import { conditionOf } from './query/condition.ts'
import { compileQuery } from './query/evaluate.ts'
import { metricsText } from './query/metrics.ts'
import { parseQuery } from './query/parse.ts'
import { pinsKey } from './query/pins.ts'
import { needsPlan, planOf } from './query/plan.ts'
import { readQueryPage } from './query/run.ts'
import { etagOf } from './rids.ts'
import type { ItemRow } from './store.ts'

/** Bytes of a batch, as the limits of the service say: 2 MB. */
const LARGEST_BATCH = 2 * 1024 * 1024

export function answerItems(account: Account, container: Container, request: Request, faults: Fault[]): Answer {
  return new ItemRequest(account, container, request, faults).answer()
}

class ItemRequest {
  private readonly account: Account
  private readonly container: Container
  private readonly request: Request
  private readonly faults: Fault[]
  private readonly budget: number | undefined

  constructor(account: Account, container: Container, request: Request, faults: Fault[]) {
    this.account = account
    this.container = container
    this.request = request
    this.faults = faults
    this.budget = account.budget(container)
  }

  answer(): Answer {
    const { method, path, headers } = this.request
    const id = path[5]
    this.checkSession()
    if (id !== undefined) return this.one(method, id)
    if (method === 'GET') return this.feed()
    if (method !== 'POST') throw new CosmosError(405, `${method} is not allowed here`)
    if (isPlanRequest(this.request)) return this.plan()
    if (isQuery(this.request)) return this.query()
    if (headers['x-ms-cosmos-is-batch-request']?.toLowerCase() === 'true') return this.batch()
    return this.post()
  }

  /**
   * A session that has seen more than there is reads too early: not here, but a client must be able to meet it. A token
   * is `range:version#lsn#region=lsn`, one for each partition with commas between them. Throws 404/1002.
   */
  private checkSession(): void {
    const header = this.request.headers['x-ms-session-token']
    if (!header) return
    for (const token of header.split(',')) {
      const lsn = /^\s*\d+:(?:-?\d+#)?(-?\d+)(?:#\d+=-?\d+)*\s*$/.exec(token)?.[1]
      if (lsn === undefined) throw badRequest(`The session token provided '${token}' is invalid.`)
      if (Number(lsn) > this.container.lsn) {
        throw notFound('The read session is not available for the input session token.', 1002)
      }
    }
  }

  /** The partition key that the header names. */
  private key(): KeyValue[] | undefined {
    const text = this.request.headers['x-ms-documentdb-partitionkey']
    return text === undefined ? undefined : this.container.parseKey(text)
  }

  private neededKey(): KeyValue[] {
    const key = this.key()
    if (!key) throw badRequest('PartitionKey value must be supplied for this operation.')
    if (key.length !== this.container.keyDefinition.paths.length) {
      throw badRequest(
        "Partition key provided either doesn't correspond to definition in the collection or doesn't match partition key field values specified in the document.",
        1001,
      )
    }
    return key
  }

  private admit(part: number): void {
    if (this.budget !== undefined) this.account.throttle.admit(this.bucket(part), this.budget)
  }

  private charge(part: number, units: number): void {
    if (this.budget !== undefined) this.account.throttle.charge(this.bucket(part), this.budget, units)
  }

  private bucket(part: number): string {
    return `${this.container.num}/${part}`
  }

  private session(...parts: number[]): Record<string, string | undefined> {
    return itemHeaders(this.container, this.request.path, parts)
  }

  /** Headers of an answer about one item. */
  private about(row: ItemRow): Record<string, string | undefined> {
    const lsn = String(row.lsn)
    return { ...this.session(row.part), 'x-ms-item-lsn': lsn, 'x-ms-cosmos-item-llsn': lsn }
  }

  private one(method: string, id: string): Answer {
    const { container, request } = this
    const key = this.neededKey()
    const part = container.partitions.of(container.epkOf(key)).id
    this.admit(part)
    const conditions = { ifMatch: request.headers['if-match'], ifNoneMatch: request.headers['if-none-match'] }
    switch (method) {
      case 'GET': {
        const row = container.read(container.keyText(key), id, conditions)
        if (row === 'not modified') return { status: 304, headers: this.session(part) }
        const charge = readCharge(row.body.length)
        this.charge(part, charge)
        return { body: container.shown(row), charge, etag: etagOf(row), headers: this.about(row) }
      }
      case 'PUT':
        return this.written(() => container.replace(id, request.body, key, conditions))
      case 'PATCH': {
        const { operations, condition } = parsePatch(request.body)
        return this.written(() => container.patch(id, key, operations, conditionOf(condition), conditions))
      }
      case 'DELETE': {
        const row = this.commit(() => container.delete(id, key, conditions))
        const charge = writeCharge(row.body.length, 'delete', container.isIndexed)
        this.charge(part, charge)
        return { status: 204, charge, headers: this.session(part) }
      }
      default:
        throw new CosmosError(405, `${method} is not allowed here`)
    }
  }

  private post(): Answer {
    const { container, request } = this
    const key = this.key()
    if (key) this.admit(container.partitions.of(container.epkOf(key)).id)
    const conditions = { ifMatch: request.headers['if-match'] }
    const isUpsert = request.headers['x-ms-documentdb-is-upsert']?.toLowerCase() === 'true'
    return this.written(() =>
      isUpsert ? container.upsert(request.body, key, conditions) : container.create(request.body, key),
    )
  }

  private commit<T>(work: () => T): T {
    return this.account.store.transaction(() => {
      const result = work()
      this.container.saveLsn()
      return result
    })
  }

  private written(work: () => Written): Answer {
    const { container, request } = this
    const { status, row } = this.commit(work)
    const how = status === 201 ? 'create' : 'replace'
    const charge = writeCharge(row.body.length, how, container.isIndexed)
    this.charge(row.part, charge)
    const minimal = request.headers.prefer === 'return=minimal'
    return {
      status,
      body: minimal ? '' : container.shown(row),
      charge,
      etag: etagOf(row),
      headers: this.about(row),
    }
  }

  private batch(): Answer {
    const { container, request } = this
    const { headers } = request
    const atomic = headers['x-ms-cosmos-batch-atomic']?.toLowerCase() === 'true'
    if (Buffer.byteLength(request.body) > LARGEST_BATCH) throw new CosmosError(413, 'Request size is too large')
    const operations = parseBatch(request.body)
    if (operations.length === 0) throw badRequest('Batch request has no operations.')
    if (operations.length > MOST_OPERATIONS) {
      throw badRequest(`Batch request has more operations than what is supported. It may have ${MOST_OPERATIONS}.`)
    }
    const range = headers['x-ms-documentdb-partitionkeyrangeid']
    const partition = range === undefined ? undefined : container.partitions.named(range)
    let units = 0
    const context = {
      store: this.account.store,
      container,
      minimal: headers.prefer === 'return=minimal',
      admit: (key: KeyValue[]) => {
        if (!partition && this.budget === undefined) return
        const epk = container.epkOf(key)
        if (partition && (epk < partition.low || epk >= partition.high)) throw partitionGone()
        this.admit(partition?.id ?? container.partitions.of(epk).id)
      },
      charge: (part: number, charge: number) => {
        units += charge
        this.charge(part, charge)
      },
    }
    // A key that is not whole is an error of the request, not of its first operation.
    if (atomic) this.neededKey()
    const key = atomic ? headers['x-ms-documentdb-partitionkey'] : undefined
    for (const operation of operations) operation.partitionKey ??= key as string
    const carryOn = headers['x-ms-cosmos-batch-continue-on-error']?.toLowerCase() !== 'false'
    const results = atomic ? runTransaction(context, operations) : runBulk(context, operations, carryOn)
    const failed = results.some(r => r.statusCode >= 400)
    const part = partition?.id ?? 0
    return {
      status: failed ? 207 : 200,
      body: resultsText(results),
      charge: Math.round(units * 100) / 100,
      headers: this.session(part),
    }
  }

  private plan(): Answer {
    const { query, parameters } = readQuery(this.request.body)
    const supported = this.request.headers['x-ms-cosmos-supported-query-features'] ?? ''
    return { body: JSON.stringify(planOf(query, parameters, supported)) }
  }

  private query(): Answer {
    const { container, request } = this
    const started = performance.now()
    const { query, parameters } = readQuery(request.body)
    const parsed = parseQuery(query)
    const key = this.key()
    const range = request.headers['x-ms-documentdb-partitionkeyrangeid']
    if (!key && range === undefined) {
      if (!allowsCrossPartition(request) && !pinsKey(parsed, container.keyPaths)) throw crossPartitionDisabled()
      if (needsPlan(parsed)) return crossPartitionRefusal()
    }
    const bounds = key ? this.keyBounds(key) : this.rangeBounds(range)
    for (const partition of bounds.partitions) this.admit(partition.id)
    const mostItems = pageSize(request.headers['x-ms-max-item-count'])
    const page = readQueryPage(
      container,
      { run: compileQuery(parsed, parameters), streams: !needsPlan(parsed), whole: isWhole(query) },
      {
        ...bounds,
        pk: key && key.length === container.keyDefinition.paths.length ? container.keyText(key) : undefined,
      },
      { continuation: request.headers['x-ms-continuation'], mostItems },
    )
    const charge = queryCharge(page.scanned, page.bytes)
    const parts = bounds.partitions.map(p => p.id)
    this.charge(parts[0] ?? 0, charge)
    const body = listOf(container, page.documents)
    const wantsMetrics = request.headers['x-ms-documentdb-populatequerymetrics']?.toLowerCase() === 'true'
    return {
      body,
      charge,
      headers: {
        ...this.session(...parts),
        ...(wantsMetrics ? { 'x-ms-documentdb-query-metrics': metricsText(page, performance.now() - started) } : {}),
        'x-ms-item-count': String(page.documents.length),
        'x-ms-continuation': page.continuation,
      },
    }
  }

  /** Where the items of a key are; of the beginning of a hierarchical key, all that extend it. */
  private keyBounds(key: KeyValue[]) {
    const { container } = this
    const epk = container.epkOf(key)
    const whole = key.length === container.keyDefinition.paths.length
    const high = whole ? `${epk}!` : `${epk}FF`
    return { low: epk, high, partitions: container.partitions.overlapping(epk, high) }
  }

  private rangeBounds(range: string | undefined) {
    const { container, request } = this
    const from = request.headers['x-ms-start-epk']
    const to = request.headers['x-ms-end-epk']
    if (range === undefined) {
      const [low, high] = [from ?? '', to ?? KEY_SPACE_END]
      return { low, high, partitions: container.partitions.overlapping(low, high) }
    }
    const partition = container.partitions.named(range)
    const low = from !== undefined && from > partition.low ? from : partition.low
    const high = to !== undefined && to < partition.high ? to : partition.high
    return { low, high, partitions: [partition] }
  }

  private feed(): Answer {
    const { container, request, account } = this
    const { headers } = request
    const mode = headers['a-im']
    const key = this.key()
    const bounds = key ? this.keyBounds(key) : this.rangeBounds(headers['x-ms-documentdb-partitionkeyrangeid'])
    if (mode === undefined) return this.readFeed(bounds)
    if (bounds.partitions.length !== 1) {
      // A range that was one partition when the client looked, and is two now.
      throw partitionGone()
    }
    const part = bounds.partitions[0]!.id
    this.admit(part)
    const duplicates = this.faults.find(f => f.duplicates !== undefined)?.duplicates
    const feed: FeedRequest = {
      part,
      low: bounds.low,
      high: bounds.high,
      continuation: earlier(headers['if-none-match'], duplicates),
      since: timeOf(headers['if-modified-since']),
      mostItems: pageSize(headers['x-ms-max-item-count']),
    }
    const full = /full-fidelity/i.test(mode)
    if (full && !account.options.continuousBackup) {
      throw badRequest(
        'The All Versions and Deletes change feed mode must be enabled on the account: it needs continuous backup.',
      )
    }
    const page = full ? allVersions(container, feed, account.retentionSeconds) : latestVersions(container, feed)
    const charge = feedCharge(page.bytes, page.documents.length)
    this.charge(part, charge)
    const common = {
      charge,
      etag: page.continuation,
      headers: { ...this.session(part), 'x-ms-item-count': String(page.documents.length) },
    }
    if (page.documents.length === 0) return { ...common, status: 304 }
    return {
      ...common,
      body: listOf(container, page.documents),
    }
  }

  private readFeed(bounds: { low: string; high: string; partitions: readonly { id: number }[] }): Answer {
    const { container, request } = this
    const all = compileQuery(parseQuery('SELECT * FROM c'), {})
    const page = readQueryPage(
      container,
      { run: all, streams: true, whole: true },
      { ...bounds, pk: undefined },
      {
        continuation: request.headers['x-ms-continuation'],
        mostItems: pageSize(request.headers['x-ms-max-item-count']),
      },
    )
    const body = listOf(container, page.documents)
    return {
      body,
      charge: feedCharge(page.bytes, page.documents.length),
      headers: { 'x-ms-continuation': page.continuation },
    }
  }
}

/** Headers of every answer about items: the session tokens of the partitions that it is about, and where it came from. */
export function itemHeaders(container: Container, path: string[], parts: number[]): Record<string, string | undefined> {
  const lsn = String(container.lsn)
  return {
    'x-ms-session-token': parts.map(part => `${part}:0#${lsn}`).join(','),
    'x-ms-documentdb-partitionkeyrangeid': parts.length === 1 ? String(parts[0]) : undefined,
    'x-ms-alt-content-path': path.slice(0, 4).join('/'),
    'x-ms-content-path': container.rid,
    lsn,
    'x-ms-cosmos-llsn': lsn,
    'x-ms-global-committed-lsn': lsn,
  }
}

/** Documents as the body of an answer. */
function listOf(container: Container, documents: string[]): string {
  return `{"_rid":"${container.rid}","Documents":[${documents.join(',')}],"_count":${documents.length}}`
}

/** Whether a query gives documents as they are, so that their text can pass unread. */
function isWhole(query: string): boolean {
  return /^\s*SELECT\s+\*\s+FROM\s+\w+(\s+\w+)?\s*$/i.test(query)
}

function parsePatch(body: string): { operations: PatchOperation[]; condition: string | undefined } {
  const value = body.trimStart().startsWith('[') ? { operations: JSON.parse(body) } : parseObject(body)
  return value as unknown as { operations: PatchOperation[]; condition: string | undefined }
}

function timeOf(header: string | undefined): number | undefined {
  if (header === undefined) return undefined
  const time = Date.parse(header)
  if (Number.isNaN(time)) throw badRequest(`If-Modified-Since is no date: ${header}`)
  return Math.floor(time / 1000)
}

/** A continuation that lies some changes back, so that these come twice. */
function earlier(continuation: string | undefined, by: number | undefined): string | undefined {
  const lsn = by === undefined ? undefined : /^"?(\d+)"?$/.exec(continuation ?? '')?.[1]
  return lsn === undefined ? continuation : `"${Math.max(0, Number(lsn) - by!)}"`
}

/** Tells the client to ask for the plan and to put partitions together itself. */
function crossPartitionRefusal(): Answer {
  const message =
    'The provided cross partition query can not be directly served by the gateway. This is a first chance (internal) exception that all newer clients will know how to handle gracefully.'
  return {
    status: 400,
    body: JSON.stringify({
      code: 'BadRequest',
      message,
      additionalErrorInfo: '{"partitionedQueryExecutionInfoVersion":2}',
    }),
    headers: { 'x-ms-substatus': '1004' },
  }
}
