/** Runs a query over the items of a range, page by page. */
import type { Container } from '../container.ts'
import { badRequest } from '../errors.ts'
import type { JsonObject } from '../json.ts'
import { ITEM_COLUMNS, type ItemRow } from '../store.ts'
import { computing } from './computed.ts'
import type { Scope } from './evaluate.ts'
import type { Value } from './values.ts'

export interface RunnableQuery {
  run: (scopes: Scope[]) => Value[]
  /** Whether each item can be looked at by itself. */
  streams: boolean
  /** Whether documents leave as they are. */
  whole: boolean
}

export interface QueryPage {
  documents: string[]
  continuation: string | undefined
  /** How many items were read, and the size of their texts. */
  scanned: number
  scannedBytes: number
  /** Size of the results. */
  bytes: number
}

/** Where a page ended: behind an item of a partition, or behind so many results. */
type Continuation = { low: string; after: number } | { skip: number }

const MOST_BYTES = 4 * 1024 * 1024
const ROWS_AT_ONCE = 200

export function readQueryPage(
  container: Container,
  query: RunnableQuery,
  range: { low: string; high: string; partitions: readonly { id: number; low?: string }[]; pk: string | undefined },
  page: { continuation: string | undefined; mostItems: number },
): QueryPage {
  const from = parseContinuation(page.continuation)
  return query.streams
    ? stream(container, query, range, from, page.mostItems)
    : collect(container, query, range, from, page.mostItems)
}

function parseContinuation(text: string | undefined): Continuation | undefined {
  if (text === undefined) return undefined
  try {
    return JSON.parse(text) as Continuation
  } catch {
    throw badRequest(`The continuation ${text} is invalid`)
  }
}

type Range = Parameters<typeof readQueryPage>[2]

function rowsBehind(container: Container, part: number, range: Range, after: number, most: number): ItemRow[] {
  const byKey = range.pk === undefined ? '' : 'AND pk = ?7'
  const values: (string | number)[] = [container.num, part, after, range.low, range.high, container.now()]
  if (range.pk !== undefined) values.push(range.pk)
  return container.rows(
    `SELECT ${ITEM_COLUMNS} FROM items
     WHERE container = ?1 AND part = ?2 AND num > ?3 AND epk >= ?4 AND epk < ?5
     AND (expires IS NULL OR expires > ?6) ${byKey} ORDER BY num LIMIT ${most}`,
    values,
  )
}

type Reader = (row: ItemRow) => Scope

/** Reads an item as a query sees it: with the computed properties that its container defines. */
function readerOf(container: Container): Reader {
  const { computedProperties = [] } = container.definition
  const complete = computedProperties.length === 0 ? (d: JsonObject) => d : computing(computedProperties)
  return row => ({ names: { ROOT: complete(JSON.parse(container.shown(row)) as JsonObject) } })
}

/** Items one by one. A page ends where its partition does, as pages of the service do; it may be empty. */
function stream(
  container: Container,
  query: RunnableQuery,
  range: Range,
  from: Continuation | undefined,
  most: number,
): QueryPage {
  const read = readerOf(container)
  const page: QueryPage = { documents: [], continuation: undefined, scanned: 0, scannedBytes: 0, bytes: 0 }
  const { documents } = page
  const start = from && 'low' in from ? from : undefined
  const partitions = container.partitions.overlapping(range.low, range.high).filter(p => !start || p.low >= start.low)
  const [partition, next] = partitions
  if (!partition) return page
  const nextPartition = next && JSON.stringify({ low: next.low, after: 0 })
  let after = start && partition.low === start.low ? start.after : 0
  const atOnce = Math.min(ROWS_AT_ONCE, most)
  for (;;) {
    // One more than is needed tells whether there is another page.
    const rows = rowsBehind(container, partition.id, range, after, atOnce + 1)
    for (const [i, row] of rows.slice(0, atOnce).entries()) {
      page.scanned++
      page.scannedBytes += row.body.length
      const results = query.whole ? [container.shown(row)] : query.run([read(row)]).map(value => JSON.stringify(value))
      documents.push(...results)
      for (const result of results) page.bytes += result.length
      after = row.num
      if (documents.length < most && page.bytes < MOST_BYTES) continue
      const isLast = i === rows.length - 1
      return { ...page, continuation: isLast ? nextPartition : JSON.stringify({ low: partition.low, after }) }
    }
    if (rows.length <= atOnce) return { ...page, continuation: nextPartition }
  }
}

/** All of it, since the last row may come first; a page is a piece of the result. */
function collect(
  container: Container,
  query: RunnableQuery,
  range: Range,
  from: Continuation | undefined,
  most: number,
): QueryPage {
  const read = readerOf(container)
  const scopes: Scope[] = []
  let scannedBytes = 0
  for (const partition of container.partitions.overlapping(range.low, range.high)) {
    for (let after = 0; ; ) {
      const rows = rowsBehind(container, partition.id, range, after, 5000)
      for (const row of rows) {
        scopes.push(read(row))
        scannedBytes += row.body.length
      }
      if (rows.length < 5000) break
      after = rows.at(-1)!.num
    }
  }
  const skip = from && 'skip' in from ? from.skip : 0
  const results = query.run(scopes)
  const documents: string[] = []
  let bytes = 0
  for (const value of results.slice(skip, skip + most)) {
    const text = JSON.stringify(value)
    bytes += text.length
    if (bytes > MOST_BYTES && documents.length > 0) break
    documents.push(text)
  }
  const next = skip + documents.length
  return {
    documents,
    continuation: next < results.length ? JSON.stringify({ skip: next }) : undefined,
    scanned: scopes.length,
    scannedBytes,
    bytes,
  }
}
