/** Reading a container: its change feed, range by range in parallel, each item's latest version once. */
import type { Batch } from '../../batch/encoding.ts'
import { members } from '../../batch/json.ts'
import type { Column, Row } from '../../batch/types.ts'
import { FerryError, RowError } from '../../errors.ts'
import type { Offer, ReadOptions, ReadRequest, SourceSession, SourceTable, Split } from '../connector.ts'
import { documentRow } from '../documents.ts'
import type { CosmosContainer, PartitionRange } from './container.ts'
import { documentsIn, ownText } from './documents.ts'
import { type CosmosReadOptions, readOptions } from './options.ts'
import { explain } from './wire.ts'

/** A part of the key space with the place in its feed. Checkpoints are lists of these, as JSON. */
interface Piece {
  low: string
  high: string
  /** The feed's own mark; undefined at the beginning. */
  continuation?: string
  /** The last change at the time of the plan: what comes behind it is not waited for. */
  until: number
}

export class CosmosSource implements SourceSession {
  private readonly open: (object: string) => Promise<CosmosContainer>

  constructor(open: (object: string) => Promise<CosmosContainer>) {
    this.open = open
  }

  async table(request: ReadRequest): Promise<SourceTable> {
    return new CosmosSourceTable(await this.open(request.object), request, readOptions(request.options))
  }

  async close(): Promise<void> {}
}

class CosmosSourceTable implements SourceTable {
  readonly rowColumns: Column[]
  private readonly container: CosmosContainer
  private readonly request: ReadRequest
  private readonly options: CosmosReadOptions

  constructor(container: CosmosContainer, request: ReadRequest, options: CosmosReadOptions) {
    this.container = container
    this.request = request
    this.options = options
    const wanted = new Map(
      request.columns.flatMap(c => (c.from === undefined ? [] : [[c.from, c.sourceType] as const])),
    )
    this.rowColumns = [...wanted].map(([name, type]) => ({ name, type, nullable: true }))
  }

  refuses(offer: Offer): string | undefined {
    return offer.encoding === 'rows' ? undefined : 'Cosmos DB gives documents'
  }

  async fingerprint(): Promise<string | undefined> {
    return undefined
  }

  async splits(): Promise<Split[]> {
    return this.container.withRanges(async ranges => {
      const marks = await Promise.all(ranges.map(range => this.lastChange(range)))
      if (marks.includes('gone')) return 'gone'
      return ranges.map(({ low, high }, id) => {
        const piece: Piece = { low, high, until: marks[id] as number }
        return { id, label: `keys from ${low || 'the first'}`, spec: JSON.stringify(piece) }
      })
    })
  }

  /** The number of the newest change in a partition. */
  private async lastChange(range: PartitionRange): Promise<number | 'gone'> {
    const response = await this.container.send({
      method: 'GET',
      type: 'docs',
      read: true,
      headers: { 'a-im': 'Incremental Feed', 'if-none-match': '*', 'x-ms-documentdb-partitionkeyrangeid': range.id },
    })
    if (response.status === 410) return 'gone'
    if (response.status !== 304 && response.status !== 200) throw explain(response, this.container.name)
    return Number(/\d+/.exec(String(response.headers.etag))?.[0] ?? Number.MAX_SAFE_INTEGER)
  }

  async *read(split: Split, { from, signal }: ReadOptions): AsyncGenerator<Batch> {
    let pieces = from === undefined ? [JSON.parse(split.spec) as Piece] : (JSON.parse(from) as Piece[])
    let left = this.request.limit ?? Infinity
    while (pieces.length > 0) {
      signal.throwIfAborted()
      const [piece, ...rest] = pieces
      const parts = overlapping(await this.container.ranges(), piece!)
      if (parts.length !== 1) {
        // The partition was split since: its children go on from the same place.
        pieces = [
          ...parts.map(part => ({ ...piece!, low: later(part.low, piece!.low), high: sooner(part.high, piece!.high) })),
          ...rest,
        ]
        continue
      }
      const response = await this.page(parts[0]!, piece!, signal)
      if (response.status === 410) {
        await this.container.ranges(true)
        continue
      }
      if (response.status !== 200 && response.status !== 304) throw explain(response, this.container.name)
      const continuation = String(response.headers.etag)
      const reached = Number(/\d+/.exec(continuation)?.[0] ?? 0)
      const ended = response.status === 304 || reached >= piece!.until
      pieces = ended ? rest : [{ ...piece!, continuation }, ...rest]
      if (response.status === 304) continue
      const documents = documentsIn(response.body).slice(0, left)
      left -= documents.length
      const rows = documents.map((text, i) => this.row(text, i))
      // At the end of the split there is nothing to go on with.
      const more = pieces.length > 0 && left > 0
      yield { kind: 'rows', rows, bytes: response.body.length, ...(more ? { checkpoint: JSON.stringify(pieces) } : {}) }
      if (left <= 0) return
    }
  }

  private page(range: PartitionRange, piece: Piece, signal: AbortSignal) {
    const headers: Record<string, string> = {
      'a-im': 'Incremental Feed',
      'x-ms-documentdb-partitionkeyrangeid': range.id,
      'x-ms-max-item-count': String(this.options.pageSize),
    }
    if (piece.continuation !== undefined) headers['if-none-match'] = piece.continuation
    if (piece.low > range.low || piece.high < range.high) {
      headers['x-ms-read-key-type'] = 'EffectivePartitionKeyRange'
      headers['x-ms-start-epk'] = piece.low
      headers['x-ms-end-epk'] = piece.high
    }
    return this.container.send({ method: 'GET', type: 'docs', read: true, headers }, signal)
  }

  private row(document: string, index: number): Row {
    const text = this.options.systemProperties ? document : ownText(document)
    try {
      return documentRow(text, this.rowColumns)
    } catch (error) {
      if (!(error instanceof RowError)) throw error
      const id = new Map(members(text)).get('id') ?? `number ${index}`
      throw new RowError(error.code, `document ${id}, ${error.column}: ${error.message}`, error.column)
    }
  }
}

function overlapping(ranges: PartitionRange[], piece: Piece): PartitionRange[] {
  const found = ranges.filter(r => r.low < piece.high && piece.low < r.high)
  if (found.length > 0) return found
  throw new FerryError('FERRY-9000', `no partition holds the keys from ${piece.low} to ${piece.high}`)
}

const later = (a: string, b: string) => (a > b ? a : b)
const sooner = (a: string, b: string) => (a < b ? a : b)
