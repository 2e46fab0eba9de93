/** Partition key ranges: where clients find the partitions of a container. */
import { containerLink } from './account.ts'
import type { Container } from './container.ts'
import { list } from './lists.ts'
import type { Answer, Request } from './protocol.ts'

/**
 * The partition key ranges: all of them, or with `A-IM: Incremental Feed` those that came behind the etag that the
 * client has; 304 where there are none. Ids grow, so the etag holds the largest one.
 */
export function partitionKeyRanges(c: Container, request: Request): Answer {
  const newest = Math.max(...c.partitions.all.map(p => p.id))
  const etag = `"${c.num}-${newest}"`
  const seen = request.headers['if-none-match']?.split('-')
  const isIncremental = request.headers['a-im'] !== undefined && seen?.[0] === `"${c.num}`
  const after = isIncremental ? Number.parseInt(seen?.[1] ?? '', 10) : -1
  const behind = c.partitions.all.filter(p => !(p.id <= after))
  if (behind.length === 0) return { status: 304, etag }
  const ranges = behind.map(p => ({
    _rid: c.rid,
    id: String(p.id),
    _etag: `"${p.id}"`,
    minInclusive: p.low,
    maxExclusive: p.high,
    ridPrefix: p.id,
    _self: `${containerLink(c)}pkranges/${p.id}/`,
    throughputFraction: 1 / c.partitions.all.length,
    status: 'online',
    parents: p.parents.map(String),
    _ts: c.ts,
  }))
  return { ...list('PartitionKeyRanges', c.rid, ranges, request), etag }
}
