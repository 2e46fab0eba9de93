/** What changed in a container since an earlier copy: by its change feed, or by a property that grows. */
import { formatText } from '../../batch/text.ts'
import { float64, int64, timestamptz, utf8 } from '../../batch/types.ts'
import type { Increment, Overlap, ReadRequest, Since } from '../../contract/read.ts'
import type { TableColumn } from '../../contract/schema.ts'
import { FerryError } from '../../errors.ts'
import { narrowed, type WatermarkQueries, watermark } from '../watermark.ts'
import type { PartitionRange } from './container.ts'
import { feedPieces, overlapping, type Piece, pieces } from './table.ts'

/** A part of the key space with the places in its feed that are read from and up to: the numbers of changes. */
export interface FeedRange extends PartitionRange {
  newest: number
}

/** What the feed holds beyond the last copy. */
export function feedIncrement(request: ReadRequest, ranges: FeedRange[], { after, cdc }: Since): Increment {
  const known: (FeedRange | Piece)[] = after === undefined ? ranges : pieces.read(after)
  const part = known.map(piece => {
    const { low, high } = piece
    const continuation = 'continuation' in piece ? { continuation: piece.continuation } : {}
    // The first load reads the latest states; from then on every change.
    const follows = cdc && after !== undefined ? { follows: true as const } : {}
    return {
      low,
      high,
      ...continuation,
      ...follows,
      until: Math.max(0, ...overlapping(ranges, piece).map(r => r.newest)),
    }
  })
  const isBehind = (p: (typeof part)[number]) => p.until > Number(/\d+/.exec(p.continuation ?? '-1')?.[0] ?? -1)
  const behind = part.filter(isBehind)
  const position = ranges.map(({ low, high, newest }) => ({ low, high, continuation: `"${newest}"` }))
  return {
    // Of a first load the states are all that is read.
    read: { ...request, part: feedPieces.write(behind), ...(after === undefined ? { log: undefined } : {}) },
    position: pieces.write(position),
    isEmpty: after !== undefined && behind.length === 0,
    range: after === undefined ? 'everything, up to now' : `the change feed since the last copy, up to now`,
    notes:
      after === undefined ? ['the feed tells of no deletes: tracking: cdc does, where the account keeps them'] : [],
  }
}

/** An increment by a property. `values` asks a query for its bare results. */
export async function propertyIncrement(
  request: ReadRequest,
  since: Since,
  values: (query: string) => Promise<unknown[]>,
): Promise<Increment> {
  const property = since.column!
  const name = `c${property
    .split('.')
    .map(step => `[${JSON.stringify(step)}]`)
    .join('')}`
  const present = `IS_DEFINED(${name}) AND NOT IS_NULL(${name})`
  const filter = (condition: string) =>
    `FROM c WHERE (${condition})${request.where === undefined ? '' : ` AND (${request.where})`}`
  const [sample] = await values(`SELECT TOP 1 VALUE ${name} ${filter(present)}`)
  const column = columnOf(property, sample)
  const queries: WatermarkQueries = {
    name,
    present,
    absent: `NOT (${present})`,
    literal: text => text,
    highest: async condition => {
      const [value] = await values(`SELECT VALUE MAX(${name}) ${filter(condition)}`)
      return value === undefined || value === null ? null : JSON.stringify(value)
    },
    count: async condition => {
      const [count] = await values(`SELECT VALUE COUNT(1) ${filter(condition)}`)
      return Number(count ?? 0)
    },
    earlier: (text, overlap) => earlier(text, overlap),
  }
  // The service's own time is a number of seconds.
  const overlap =
    property === '_ts' && since.overlap && 'seconds' in since.overlap
      ? { amount: since.overlap.seconds }
      : since.overlap
  const { condition, ...found } = await watermark(queries, column, { ...since, overlap })
  return { ...found, read: narrowed(request, condition) }
}

function columnOf(name: string, sample: unknown): TableColumn {
  if (name === '_ts') return { name, type: int64, nullable: false }
  const shape = { name, nullable: true }
  if (sample === undefined || typeof sample === 'number') return { ...shape, type: float64 }
  if (typeof sample !== 'string') {
    throw new FerryError('FERRY-3012', `${name} holds ${JSON.stringify(sample)?.slice(0, 40)}, which does not grow`)
  }
  return { ...shape, type: Number.isNaN(Date.parse(sample)) ? utf8 : timestamptz }
}

/** A JSON text so much earlier; a time stays a text in the same form, cut to seconds. */
function earlier(text: string, overlap: Overlap): string {
  const value = JSON.parse(text) as string | number
  if ('amount' in overlap) return formatText(Number(value) - overlap.amount, float64)
  const at = new Date(Date.parse(String(value)) - overlap.seconds * 1000).toISOString()
  return JSON.stringify(at.slice(0, Math.min(19, String(value).length)))
}
