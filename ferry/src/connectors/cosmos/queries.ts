/**
 * Reading what a query finds. A query that looks at each item by itself is asked of every partition range, in parallel and
 * resumable, and its documents travel as they are; one that sorts, groups or counts is put together by the official SDK.
 */
import type { Batch } from '../../batch/encoding.ts'
import type { Column } from '../../batch/types.ts'
import { FerryError } from '../../errors.ts'
import type { Offer, ReadOptions, ReadRequest, SourceTable, Split } from '../connector.ts'
import { pagesOfSdk } from './client.ts'
import type { CosmosContainer, PartitionRange } from './container.ts'
import { documentsIn } from './documents.ts'
import { type CosmosReadOptions, yieldingHeaders } from './options.ts'
import { overlapping, partsOf, rowsOf, wantedColumns } from './rows.ts'
import type { CosmosSettings } from './settings.ts'
import type { Throughput } from './throughput.ts'
import { explain, type WireResponse } from './wire.ts'

/** A part of the key space with the place in the query's results. Checkpoints are lists of these, as JSON. */
interface Piece {
  low: string
  high: string
  continuation?: string
}

const QUERY_HEADERS = {
  'content-type': 'application/query+json',
  'x-ms-documentdb-isquery': 'True',
  'x-ms-documentdb-query-enablecrosspartition': 'True',
}

export class CosmosQueryTable implements SourceTable {
  readonly rowColumns: Column[]
  private readonly container: CosmosContainer
  private readonly pace: Throughput
  private readonly request: ReadRequest
  private readonly options: CosmosReadOptions & { query: string }
  private readonly settings: CosmosSettings
  private pageCost = 1

  constructor(
    { container, pace }: { container: CosmosContainer; pace: Throughput },
    request: ReadRequest,
    options: CosmosReadOptions & { query: string },
    settings: CosmosSettings,
  ) {
    this.container = container
    this.pace = pace
    this.request = request
    this.options = options
    this.settings = settings
    this.rowColumns = wantedColumns(request)
  }

  refuses(offer: Offer): string | undefined {
    return offer.encoding === 'rows' ? undefined : 'Cosmos DB gives documents'
  }

  async fingerprint(): Promise<string | undefined> {
    return undefined
  }

  async splits(): Promise<Split[]> {
    if (await needsPlan(this.container, this.options.query)) return [{ id: 0, label: 'the query', spec: '' }]
    const ranges = await this.container.ranges()
    return ranges.map(({ low, high }, id) => {
      const piece: Piece = { low, high }
      return { id, label: `keys from ${low || 'the first'}`, spec: JSON.stringify([piece]) }
    })
  }

  async *read(split: Split, { from, signal }: ReadOptions): AsyncGenerator<Batch> {
    let left = this.request.limit ?? Infinity
    const pages = split.spec === '' ? this.together() : this.apart(JSON.parse(from ?? split.spec) as Piece[], signal)
    for await (const { documents, bytes, checkpoint } of pages) {
      signal.throwIfAborted()
      const some = documents.slice(0, left)
      left -= some.length
      const rows = rowsOf(some, this.rowColumns, this.options)
      yield { kind: 'rows', rows, bytes, ...(checkpoint !== undefined && left > 0 ? { checkpoint } : {}) }
      if (left <= 0) return
    }
  }

  private async *together(): AsyncGenerator<{ documents: string[]; bytes: number; checkpoint?: string }> {
    const { query, pageSize } = this.options
    for await (const found of pagesOfSdk(this.settings, this.container, query, pageSize)) {
      const documents = found.map(item => JSON.stringify(item))
      for (const text of documents) requireObject(text)
      yield { documents, bytes: documents.reduce((n, d) => n + d.length, 0) }
    }
  }

  private async *apart(begin: Piece[], signal: AbortSignal) {
    let pieces = begin
    while (pieces.length > 0) {
      const [piece, ...rest] = pieces as [Piece, ...Piece[]]
      const page = await this.page(piece, signal)
      if (Array.isArray(page)) {
        pieces = [...page, ...rest]
        continue
      }
      const next = page.headers['x-ms-continuation']
      const goesOn = next !== undefined && next !== ''
      pieces = goesOn ? [{ ...piece, continuation: String(next) }, ...rest] : rest
      const documents = objectsIn(page.body)
      yield {
        documents,
        bytes: page.body.length,
        ...(pieces.length > 0 ? { checkpoint: JSON.stringify(pieces) } : {}),
      }
    }
  }

  /** The next page of a piece; where its partition was split since, the pieces that go on from the same place. */
  private async page(piece: Piece, signal: AbortSignal): Promise<WireResponse | Piece[]> {
    for (;;) {
      const ranges = await this.container.ranges()
      const parts = overlapping(ranges, piece)
      if (parts.length !== 1) return partsOf(piece, parts)
      const settle = await this.pace.spend(parts[0]!.id, ranges.length, this.pageCost, signal)
      const response = await queryRange(this.container, parts[0]!, piece, this.options, signal)
      const charge = Number(response.headers['x-ms-request-charge'] ?? 0)
      settle(charge, response.status === 429 ? Number(response.headers['x-ms-retry-after-ms'] ?? 100) : undefined)
      if (response.status === 429) continue
      if (response.status === 410) {
        await this.container.ranges(true)
        continue
      }
      if (response.status !== 200) throw refused(response, this.container)
      this.pageCost += (charge - this.pageCost) * 0.3
      return response
    }
  }
}

/** The first documents that a query finds, for their columns. */
export async function sampleQuery(
  container: CosmosContainer,
  options: CosmosReadOptions & { query: string },
  settings: CosmosSettings,
): Promise<string[]> {
  if (await needsPlan(container, options.query)) {
    for await (const page of pagesOfSdk(settings, container, options.query, options.pageSize)) {
      const documents = page.map(item => JSON.stringify(item))
      for (const text of documents) requireObject(text)
      return documents
    }
    return []
  }
  return container.withRanges(async ranges => {
    for (const range of ranges) {
      const response = await queryRange(container, range, range, options)
      if (response.status === 410) return 'gone'
      if (response.status !== 200) throw refused(response, container)
      const documents = objectsIn(response.body)
      if (documents.length > 0) return documents
    }
    return []
  })
}

function queryRange(
  container: CosmosContainer,
  range: PartitionRange,
  piece: Piece,
  options: CosmosReadOptions & { query: string },
  signal?: AbortSignal,
): Promise<WireResponse> {
  const headers: Record<string, string> = {
    ...QUERY_HEADERS,
    ...yieldingHeaders(options),
    'x-ms-documentdb-partitionkeyrangeid': range.id,
    'x-ms-max-item-count': String(options.pageSize),
    ...(piece.continuation === undefined ? {} : { 'x-ms-continuation': piece.continuation }),
    ...(piece.low > range.low || piece.high < range.high
      ? {
          'x-ms-read-key-type': 'EffectivePartitionKeyRange',
          'x-ms-start-epk': piece.low,
          'x-ms-end-epk': piece.high,
        }
      : {}),
  }
  const body = JSON.stringify({ query: options.query, parameters: [] })
  return container.send({ method: 'POST', type: 'docs', read: true, paced: true, headers, body }, signal)
}

/** Whether partitions cannot answer the query each for itself: the service says so. */
async function needsPlan(container: CosmosContainer, query: string): Promise<boolean> {
  const headers = {
    ...QUERY_HEADERS,
    'x-ms-cosmos-is-query-plan-request': 'True',
    'x-ms-cosmos-supported-query-features':
      'Aggregate,CompositeAggregate,Distinct,GroupBy,MultipleAggregates,MultipleOrderBy,NonValueAggregate,OffsetAndLimit,OrderBy,Top',
    'x-ms-cosmos-query-version': '1.0',
  }
  const body = JSON.stringify({ query, parameters: [] })
  const response = await container.send({ method: 'POST', type: 'docs', read: true, headers, body })
  if (response.status !== 200) throw refused(response, container)
  const { queryInfo: info } = JSON.parse(response.body) as { queryInfo?: Record<string, unknown> }
  const isThere = (value: unknown) =>
    Array.isArray(value)
      ? value.length > 0
      : value !== undefined && value !== null && value !== 'None' && value !== false
  const whole = ['top', 'offset', 'limit', 'distinctType', 'orderBy', 'groupByExpressions', 'aggregates', 'dCountInfo']
  return whole.some(name => isThere(info?.[name]))
}

function refused(response: WireResponse, container: CosmosContainer): FerryError {
  const error = explain(response, container.name)
  return response.status === 400 ? new FerryError('FERRY-3006', error.message, { cause: error }) : error
}

/** The objects in a response: rows are made of objects, not of bare values. */
function objectsIn(body: string): string[] {
  const start = body.indexOf('"Documents":[') + '"Documents":['.length
  const first = body.slice(start).trimStart()[0]
  if (first !== '{' && first !== ']') requireObject(body.slice(start, start + 40))
  return documentsIn(body)
}

function requireObject(text: string): void {
  if (text.startsWith('{')) return
  throw new FerryError('FERRY-3006', `the query gives values such as ${text.slice(0, 40)} instead of objects`, {
    hint: 'Give them a name: SELECT c.total AS total FROM c, instead of SELECT VALUE c.total.',
  })
}
