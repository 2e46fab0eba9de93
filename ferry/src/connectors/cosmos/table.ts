/** What reading the feed and reading a query share: pieces of the key space, each asked of the partition that holds it. */

import { z } from 'zod'
import type { Column } from '../../batch/types.ts'
import type { Offer } from '../../contract/encodings.ts'
import type { ReadRequest } from '../../contract/read.ts'
import { FerryError } from '../../errors.ts'
import { DocumentReader } from '../../formats/documents.ts'
import { KeptForm } from '../../kept.ts'
import type { CosmosContainer, PartitionRange } from './container.ts'
import type { CosmosReadOptions } from './options.ts'
import { Cost, sendPaced } from './paced.ts'
import { wantedColumns } from './rows.ts'
import type { Throughput } from './throughput.ts'
import type { WireRequest, WireResponse } from './wire.ts'

/** A part of the key space with the place in its feed or in a query's results. */
export const piece = z.object({ low: z.string(), high: z.string(), continuation: z.string().exactOptional() })
export type Piece = z.output<typeof piece>
export const pieces = new KeptForm('parts of a container', z.array(piece))

/** One whose change feed is read. */
const feedPiece = piece.extend({
  /** Where the feed stood at the plan. */
  until: z.number(),
  /** Whether the snapshot is read and every change is followed. */
  follows: z.literal(true).exactOptional(),
})
export type FeedPiece = z.output<typeof feedPiece>
export const feedPieces = new KeptForm('places in the feeds of a container', z.array(feedPiece))

export interface OpenContainer {
  container: CosmosContainer
  pace: Throughput
}

export abstract class CosmosTable<Options extends CosmosReadOptions = CosmosReadOptions> {
  readonly rowColumns: Column[]
  protected readonly reader: DocumentReader
  protected readonly container: CosmosContainer
  protected readonly pace: Throughput
  protected readonly request: ReadRequest
  protected readonly options: Options
  private readonly cost = new Cost(1)

  constructor({ container, pace }: OpenContainer, request: ReadRequest, options: Options) {
    this.container = container
    this.pace = pace
    this.request = request
    this.options = options
    this.rowColumns = wantedColumns(request)
    this.reader = new DocumentReader(this.rowColumns, request)
  }

  refuses(offer: Offer): string | undefined {
    return offer.encoding === 'rows' ? undefined : 'Cosmos DB gives documents'
  }

  passedOver(): string[] {
    return [...this.reader.passedOver]
  }

  async fingerprint(): Promise<string | undefined> {
    return undefined
  }

  /** The answer for a piece; where its partition was split since, the pieces that continue from the same position. */
  protected async page<P extends Piece>(
    piece: P,
    ask: (range: PartitionRange) => Omit<WireRequest, 'link' | 'paced'>,
    signal: AbortSignal,
  ): Promise<WireResponse | P[]> {
    for (;;) {
      const ranges = await this.container.ranges()
      const parts = overlapping(ranges, piece)
      if (parts.length !== 1) return partsOf(piece, parts)
      const range = parts[0]!
      const { container, pace, cost } = this
      const response = await sendPaced({ container, pace, cost, signal }, range, ranges.length, ask(range))
      if (response.status !== 410) return response
      await this.container.ranges(true)
    }
  }
}

/** The headers by which a partition gives no more than a piece of it. */
export function pieceHeaders(range: PartitionRange, piece: Piece): Record<string, string> {
  if (piece.low <= range.low && piece.high >= range.high) return { 'x-ms-documentdb-partitionkeyrangeid': range.id }
  return {
    'x-ms-documentdb-partitionkeyrangeid': range.id,
    'x-ms-read-key-type': 'EffectivePartitionKeyRange',
    'x-ms-start-epk': piece.low,
    'x-ms-end-epk': piece.high,
  }
}

/** The partitions that hold a part of the key space. */
export function overlapping<T extends PartitionRange>(ranges: T[], piece: { low: string; high: string }): T[] {
  const found = ranges.filter(r => r.low < piece.high && piece.low < r.high)
  if (found.length > 0) return found
  throw new FerryError('FERRY-9000', `no partition holds the keys from ${piece.low} to ${piece.high}`)
}

/** A piece cut along the partitions that hold it, each part at the same place of its feed. */
function partsOf<T extends Piece>(piece: T, parts: PartitionRange[]): T[] {
  return parts.map(p => ({
    ...piece,
    low: p.low > piece.low ? p.low : piece.low,
    high: p.high < piece.high ? p.high : piece.high,
  }))
}
