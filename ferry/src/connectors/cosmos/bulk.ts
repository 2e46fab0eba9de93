/**
 * Bulk requests: operations on items, each sent to the partition that holds its key, as many at a time as the pace of
 * that partition allows, until each one has its answer.
 */
import type { KeyValue } from 'cosmos-local/hash'
import { FerryError, RowError } from '../../errors.ts'
import { type CosmosContainer, keyText, type PartitionRange } from './container.ts'
import { documentsIn } from './documents.ts'
import { type CosmosWriteOptions, yieldingHeaders } from './options.ts'
import { Cost, chargeOf, laterOf, sendPaced } from './paced.ts'
import type { Throughput } from './throughput.ts'
import { continuationOf, explain, messageOf, QUERY_HEADERS, type WireResponse } from './wire.ts'

/** The service takes requests up to 2 MB; operations carry some words around the document. */
const MOST_BYTES = 1_900_000
/** Whether the results of a bulk request hold one that is no success. */
const FAILED = /"statusCode":\s*[^2\s]/
/** What an operation is answered that is to be sent again after a while. */
const BUSY = new Set([408, 424, 449, 503])
/** So many partition keys are remembered. */
const MOST_PLACES = 10_000

export interface Operation {
  type: 'Create' | 'Upsert' | 'Replace' | 'Patch' | 'Delete'
  /** Position of its item among those that are written together. */
  at: number
  epk: string
  /** The operation as JSON. */
  text: string
}

/** An operation that the service refused for good. */
export interface Refusal {
  at: number
  operation: Operation
  status: number
  error: RowError
}

interface Result {
  statusCode: number
  subStatusCode?: number
  retryAfterMilliseconds?: number
  message?: string
}

export class Bulk {
  private readonly container: CosmosContainer
  private readonly throughput: Throughput
  private readonly options: CosmosWriteOptions
  private readonly signal: AbortSignal | undefined
  private readonly holds: (() => Promise<void>) | undefined
  private readonly headers: Record<string, string>
  private readonly places = new Map<string, { named: string; epk: string }>()
  private readonly queryCost = new Cost(3)
  /** What a byte has cost lately, in request units. */
  private perByte = 6 / 1024

  /** `holds` is asked before each request that writes: it throws where another process has taken the run. */
  constructor(
    container: CosmosContainer,
    throughput: Throughput,
    options: CosmosWriteOptions,
    { signal, holds }: { signal?: AbortSignal | undefined; holds?: () => Promise<void> } = {},
  ) {
    this.holds = holds
    this.container = container
    this.throughput = throughput
    this.options = options
    this.signal = signal
    this.headers = yieldingHeaders(options)
  }

  /** An operation on an item; `document` of those that write one. */
  operation(type: Operation['type'], at: number, id: string, key: KeyValue[], document?: string): Operation {
    const { named, epk } = this.placeOf(key)
    const which = type === 'Create' || type === 'Upsert' ? '' : `,"id":${JSON.stringify(id)}`
    const body = document === undefined ? '' : `,"resourceBody":${document}`
    const text = `{"operationType":"${type}","partitionKey":${named}${which}${body}}`
    return { type, at, epk, text }
  }

  /** A key as requests name it, and its place in the key space; many documents share one. */
  private placeOf(key: KeyValue[]): { named: string; epk: string } {
    const plain = keyText(key)
    const known = this.places.get(plain)
    if (known) return known
    const place = { named: JSON.stringify(plain), epk: this.container.epkOf(key) }
    if (this.places.size >= MOST_PLACES) this.places.clear()
    this.places.set(plain, place)
    return place
  }

  /** Sends operations until each is done or refused for good. */
  async run(operations: Operation[]): Promise<Refusal[]> {
    const refused: Refusal[] = []
    const patience = this.container.patience()
    let pending = operations
    while (pending.length > 0) {
      this.signal?.throwIfAborted()
      const { again, busy } = await this.send(pending, refused)
      if (again.length < pending.length) patience.done()
      pending = again
      // The pace of a partition waits for units; those who are busy say no time.
      if (busy === undefined) continue
      const why = `${this.container.name}: ${pending.length} operations are answered ${busy}, "later"`
      if (patience.isOver) throw new FerryError('FERRY-2005', why)
      await patience.wait(why, undefined, this.signal)
    }
    patience.done()
    return refused
  }

  /** Sends operations, each to its partition; gives back those to be sent again, and a status that says "later". */
  private async send(
    pending: Operation[],
    refused: Refusal[],
  ): Promise<{ again: Operation[]; busy?: number | undefined }> {
    const ranges = await this.container.ranges()
    const again: Operation[] = []
    let busy: number | undefined
    let stale = false
    const sendOne = async ({ range, operations }: { range: PartitionRange; operations: Operation[] }) => {
      const { response, results } = await this.request(range, ranges.length, operations)
      if (response.status === 429 || response.status === 410) {
        stale ||= response.status === 410
        again.push(...operations)
        return
      }
      if (response.status !== 200 && response.status !== 207) throw explain(response, this.container.name)
      for (const [i, result] of results.entries()) {
        const operation = operations[i]!
        const { statusCode: status } = result
        if (status < 300) continue
        if (BUSY.has(status)) busy = status
        stale ||= status === 410
        if (BUSY.has(status) || status === 429 || status === 410) again.push(operation)
        else refused.push({ at: operation.at, operation, status, error: rowError(result) })
      }
    }
    await Promise.all(this.requests(pending, ranges).map(sendOne))
    if (stale) await this.container.ranges(true)
    return { again, busy }
  }

  /** One request, at the pace of its partition. */
  private async request(range: PartitionRange, count: number, operations: Operation[]) {
    const body = `[${operations.map(o => o.text).join(',')}]`
    const headers = {
      ...this.headers,
      'content-type': 'application/json',
      'x-ms-cosmos-is-batch-request': 'true',
      'x-ms-cosmos-batch-atomic': 'false',
      'x-ms-cosmos-batch-continue-on-error': 'true',
      prefer: 'return=minimal',
      'x-ms-documentdb-partitionkeyrangeid': range.id,
    }
    const settle = await this.throughput.spend(range.id, count, body.length * this.perByte, this.signal)
    // An older version of a document must not be written over what another process has written meanwhile.
    await this.holds?.()
    const response = await this.container.send(
      { method: 'POST', type: 'docs', headers, body, paced: true },
      this.signal,
    )
    const charge = chargeOf(response)
    if (response.status === 200 && charge > 0) this.perByte += (charge / body.length - this.perByte) * 0.2
    const results = resultsOf(response)
    settle(charge, laterOf(response) ?? longestOf(results))
    return { response, results }
  }

  /**
   * The texts of the items that a query finds in all partitions: `text` and its parameters. At the pace of the partitions
   * too; one that is split meanwhile makes it ask all again.
   */
  async query(text: string, parameters: { name: string; value: unknown }[]): Promise<string[]> {
    const body = JSON.stringify({ query: text, parameters })
    return this.container.withRanges(async ranges => {
      const found = await Promise.all(ranges.map(range => this.queryRange(range, ranges.length, body)))
      return found.includes('gone') ? 'gone' : (found as string[][]).flat()
    })
  }

  private async queryRange(range: PartitionRange, count: number, body: string): Promise<string[] | 'gone'> {
    const found: string[] = []
    let continuation: string | undefined
    for (;;) {
      const headers = {
        ...QUERY_HEADERS,
        ...this.headers,
        'x-ms-documentdb-partitionkeyrangeid': range.id,
        'x-ms-max-item-count': '1000',
        ...(continuation === undefined ? {} : { 'x-ms-continuation': continuation }),
      }
      const { container, throughput: pace, queryCost: cost, signal } = this
      const request = { method: 'POST', type: 'docs', headers, body } as const
      const response = await sendPaced({ container, pace, cost, signal }, range, count, request)
      if (response.status === 410) return 'gone'
      if (response.status !== 200) throw explain(response, this.container.name)
      for (const text of documentsIn(response.body)) found.push(text)
      continuation = continuationOf(response)
      if (continuation === undefined) return found
    }
  }

  /** The operations by partition, in requests of at most so many and so many bytes. */
  private requests(pending: Operation[], ranges: PartitionRange[]) {
    const byRange = new Map<PartitionRange, Operation[]>()
    for (const operation of pending) {
      const range = rangeOf(ranges, operation.epk)
      const list = byRange.get(range)
      if (list) list.push(operation)
      else byRange.set(range, [operation])
    }
    const requests: { range: PartitionRange; operations: Operation[] }[] = []
    for (const [range, operations] of byRange) {
      const { perRequest } = this.throughput.of(range.id, ranges.length)
      const mostBytes = Math.min(MOST_BYTES, perRequest / this.perByte)
      let some: Operation[] = []
      let bytes = 0
      for (const operation of operations) {
        const isFull = some.length >= this.options.batchSize || bytes + operation.text.length > mostBytes
        if (some.length > 0 && isFull) {
          requests.push({ range, operations: some })
          some = []
          bytes = 0
        }
        some.push(operation)
        bytes += operation.text.length
      }
      requests.push({ range, operations: some })
    }
    return requests
  }
}

/** The results of a bulk request that have to be looked at: none where all is well, as it is as a rule. */
function resultsOf({ status, body }: WireResponse): Result[] {
  if (status === 207 || (status === 200 && FAILED.test(body))) return JSON.parse(body) as Result[]
  return []
}

/** How long the longest of refused operations is asked to wait for units. */
function longestOf(results: Result[]): number | undefined {
  const waits = results.filter(r => r.statusCode === 429).map(r => r.retryAfterMilliseconds ?? 20)
  return waits.length > 0 ? Math.max(...waits) : undefined
}

function rowError({ statusCode, subStatusCode, message }: Result): RowError {
  const usual = statusCode === 409 ? 'the id or a unique key is there already' : 'refused'
  const said = message ? messageOf(message) : usual
  const code = statusCode === 409 ? 'FERRY-4005' : 'FERRY-4001'
  return new RowError(code, `${said} (status ${statusCode}${subStatusCode ? `, substatus ${subStatusCode}` : ''})`)
}

function rangeOf(ranges: PartitionRange[], epk: string): PartitionRange {
  let from = 0
  let to = ranges.length - 1
  while (from < to) {
    const middle = (from + to + 1) >> 1
    if (ranges[middle]!.low <= epk) from = middle
    else to = middle - 1
  }
  return ranges[from]!
}
