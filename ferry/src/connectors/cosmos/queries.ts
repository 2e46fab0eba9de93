/**
 * Reading what a query finds. A query that looks at each item by itself is asked of every partition range, in parallel and
 * resumable, and its documents travel as they are; one that sorts, groups or counts is put together by the official SDK.
 */
import type { Batch } from '../../batch/encoding.ts'
import type { ReadOptions, ReadRequest } from '../../contract/read.ts'
import type { SourceTable } from '../../contract/source.ts'
import type { Split } from '../../contract/split.ts'
import { FerryError } from '../../errors.ts'
import { pagesOfSdk } from './client.ts'
import type { CosmosContainer, PartitionRange } from './container.ts'
import { documentsIn } from './documents.ts'
import { type CosmosReadOptions, yieldingHeaders } from './options.ts'
import { rowsOf } from './rows.ts'
import type { CosmosSettings } from './settings.ts'
import { CosmosTable, pieces as keptPieces, type OpenContainer, type Piece, pieceHeaders } from './table.ts'
import { continuationOf, explain, QUERY_HEADERS, type WireResponse } from './wire.ts'

type QueryOptions = CosmosReadOptions & { query: string }

export class CosmosQueryTable extends CosmosTable<QueryOptions> implements SourceTable {
  private readonly settings: CosmosSettings

  constructor(opened: OpenContainer, request: ReadRequest, options: QueryOptions, settings: CosmosSettings) {
    super(opened, request, options)
    this.settings = settings
  }

  async splits(): Promise<Split[]> {
    if (await needsPlan(this.container, this.options.query)) return [{ id: 0, label: 'the query', spec: '' }]
    const ranges = await this.container.ranges()
    const pieces = ranges.map(({ low, high }): Piece => ({ low, high }))
    // A limit is of all splits together.
    const groups = this.request.limit === undefined ? pieces.map(piece => [piece]) : [pieces]
    return groups.map((group, id) => ({
      id,
      label: `keys from ${group[0]!.low || 'the first'}`,
      spec: keptPieces.write(group),
    }))
  }

  async *read(split: Split, { from, signal }: ReadOptions): AsyncGenerator<Batch> {
    let left = this.request.limit ?? Infinity
    const pages = split.spec === '' ? this.together() : this.apart(keptPieces.read(from ?? split.spec), signal)
    for await (const { documents, bytes, checkpoint } of pages) {
      signal.throwIfAborted()
      // A document may be several rows.
      const rows = rowsOf(documents.slice(0, left), this.reader, this.options).slice(0, left)
      left -= rows.length
      yield {
        kind: 'rows',
        rows,
        bytes,
        ...(checkpoint !== undefined && this.request.limit === undefined ? { checkpoint } : {}),
      }
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
      const page = await this.page(piece, range => rangeRequest(range, piece, this.options), signal)
      if (Array.isArray(page)) {
        pieces = [...page, ...rest]
        continue
      }
      if (page.status !== 200) throw refused(page, this.container)
      const continuation = continuationOf(page)
      pieces = continuation === undefined ? rest : [{ ...piece, continuation }, ...rest]
      const documents = objectsIn(page.body)
      yield {
        documents,
        bytes: page.body.length,
        ...(pieces.length > 0 ? { checkpoint: keptPieces.write(pieces) } : {}),
      }
    }
  }
}

/** The first documents that a query finds, for their columns. */
export async function sampleQuery(
  container: CosmosContainer,
  options: QueryOptions,
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
      const response = await container.send(rangeRequest(range, range, options))
      if (response.status === 410) return 'gone'
      if (response.status !== 200) throw refused(response, container)
      const documents = objectsIn(response.body)
      if (documents.length > 0) return documents
    }
    return []
  })
}

/** The query as one partition is asked it, for a piece of it. */
function rangeRequest(range: PartitionRange, piece: Piece, options: QueryOptions) {
  const headers = {
    ...QUERY_HEADERS,
    ...yieldingHeaders(options),
    ...pieceHeaders(range, piece),
    'x-ms-max-item-count': String(options.pageSize),
    ...(piece.continuation === undefined ? {} : { 'x-ms-continuation': piece.continuation }),
  }
  const body = JSON.stringify({ query: options.query, parameters: [] })
  return { method: 'POST', type: 'docs', read: true, headers, body } as const
}

/** True if partitions cannot answer the query independently, by the service's own plan. */
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
