/** The change feed: each item's latest version, or every version and delete, in the order of the changes. */
import type { Container } from './container.ts'
import { badRequest } from './errors.ts'
import { parsePath } from './json.ts'
import { type ChangeRow, ITEM_COLUMNS, type ItemRow } from './store.ts'

export interface FeedRequest {
  /** The partition to read, and the range of keys within it. */
  part: number
  low: string
  high: string
  /** `"123"`: what comes behind this change; `*`: what comes from now on. */
  continuation: string | undefined
  /** Seconds since 1970: changes from then on. */
  since: number | undefined
  mostItems: number
}

export interface FeedPage {
  /** The documents as text. */
  documents: string[]
  /** The position to resume from. */
  continuation: string
  bytes: number
}

const MOST_BYTES = 4 * 1024 * 1024

/** Where a request starts: behind which change, and from which time. */
function startOf(container: Container, request: FeedRequest): { after: number; since: number } {
  const { continuation } = request
  if (continuation === '*') return { after: container.lsn, since: 0 }
  if (continuation === undefined) return { after: 0, since: request.since ?? 0 }
  const match = /^"?(\d+)"?$/.exec(continuation)
  if (!match) throw badRequest(`The continuation ${continuation} is invalid`)
  return { after: Number(match[1]), since: 0 }
}

/** The items of a range in the order of their last change. */
export function latestVersions(container: Container, request: FeedRequest): FeedPage {
  const { after, since } = startOf(container, request)
  const rows = container.feed<ItemRow>(
    `SELECT ${ITEM_COLUMNS} FROM items
     WHERE container = ? AND part = ? AND lsn > ? AND epk >= ? AND epk < ? AND ts >= ? ORDER BY lsn LIMIT ?`,
    request,
    after,
    since,
  )
  return page(container, rows, request.mostItems, row =>
    row.expires !== null && row.expires <= container.now() ? undefined : withLsn(container.shown(row), row.lsn),
  )
}

/** Every create, replace and delete of a range, in order. */
export function allVersions(container: Container, request: FeedRequest, retentionSeconds: number): FeedPage {
  if (request.continuation === undefined && request.since === undefined) {
    throw badRequest(
      'All versions and deletes cannot be read from the beginning: start from now, a time or a continuation',
    )
  }
  const { after, since } = startOf(container, request)
  const oldest = container.now() - retentionSeconds
  if (request.since !== undefined && request.since < oldest) throw tooOld()
  const rows = container.feed<ChangeRow>(
    `SELECT part, lsn, epk, operation, id, pk, num, current, previous, previous_lsn, previous_ts, ts, expired FROM changes
     WHERE container = ? AND part = ? AND lsn > ? AND epk >= ? AND epk < ? AND ts >= ? ORDER BY lsn LIMIT ?`,
    request,
    after,
    since,
  )
  if (rows.length > 0 && rows[0]!.ts < oldest) throw tooOld()
  return page(container, rows, request.mostItems, row => changeText(container, row))
}

function tooOld() {
  return badRequest('The change feed is read from before the retention of continuous backup: start from now')
}

function page<T extends { lsn: number }>(
  container: Container,
  rows: T[],
  most: number,
  text: (row: T) => string | undefined,
): FeedPage {
  const documents: string[] = []
  let bytes = 0
  for (const [i, row] of rows.entries()) {
    const document = text(row)
    if (document !== undefined) {
      bytes += document.length
      // A page has one document at least, whatever its size.
      if (bytes > MOST_BYTES && documents.length > 0) {
        return { documents, continuation: `"${rows[i - 1]!.lsn}"`, bytes: bytes - document.length }
      }
      documents.push(document)
    }
  }
  const last = rows.length < most ? container.lsn : rows.at(-1)!.lsn
  return { documents, continuation: `"${last}"`, bytes }
}

function withLsn(document: string, lsn: number): string {
  return `${document.slice(0, -1)},"_lsn":${lsn}}`
}

function changeText(container: Container, row: ChangeRow): string {
  const { num, lsn, ts } = row
  const metadata: Record<string, unknown> = {
    operationType: row.operation,
    lsn,
    crts: ts,
    previousImageLSN: row.previous_lsn ?? 0,
  }
  if (row.operation === 'delete') {
    metadata.timeToLiveExpired = row.expired === 1
    metadata.id = row.id
    metadata.partitionKey = namedKey(container, row.pk)
  }
  const current = row.current === null ? '{}' : withLsn(container.shown({ num, lsn, ts, body: row.current }), lsn)
  const previous =
    row.previous === null
      ? ''
      : `,"previous":${container.shown({ num, lsn: row.previous_lsn!, ts: row.previous_ts!, body: row.previous })}`
  return `{"current":${current}${previous},"metadata":${JSON.stringify(metadata)}}`
}

/** The key with the names of its properties: `{"tenant":"a","user":"b"}`. */
function namedKey(container: Container, pk: string): Record<string, unknown> {
  const values = JSON.parse(pk) as unknown[]
  const named: Record<string, unknown> = {}
  for (const [i, path] of container.keyDefinition.paths.entries()) {
    const value = values[i]
    const missing = value !== null && typeof value === 'object'
    if (!missing) named[parsePath(path).at(-1)!] = value
  }
  return named
}
