/**
 * Reading a container: its change feed, range by range in parallel. A full copy reads each item's latest version until
 * the feed has no more; an online copy reads them up to where the feed stood at the plan, and from there on every
 * change, in order, until it is to be completed.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Batch, Behind, RowBatch } from '../../batch/encoding.ts'
import type { Row } from '../../batch/types.ts'
import type { Increment, ReadOptions, ReadRequest, Since } from '../../contract/read.ts'
import { DOCUMENT } from '../../contract/schema.ts'
import type { SourceSession, SourceTable } from '../../contract/source.ts'
import type { Split } from '../../contract/split.ts'
import { FerryError } from '../../errors.ts'
import { Bulk } from './bulk.ts'
import { changeIn } from './changes.ts'
import { pagesOfSdk } from './client.ts'
import type { PartitionRange } from './container.ts'
import { documentsOf } from './copies.ts'
import { documentsIn, identityOf, ownText } from './documents.ts'
import { type FeedRange, feedIncrement, propertyIncrement } from './increment.ts'
import { type CosmosReadOptions, readOptions, writeOptions, yieldingHeaders } from './options.ts'
import { CosmosQueryTable } from './queries.ts'
import { rowsOf } from './rows.ts'
import type { CosmosSettings } from './settings.ts'
import { CosmosTable, type FeedPiece, feedPieces, type OpenContainer, overlapping, pieceHeaders } from './table.ts'
import { explain, type WireResponse } from './wire.ts'

/** The `log` of a request that reads every change, deletes too. */
const ALL_VERSIONS = 'all versions'
/** How often a feed without news is asked again. */
const POLL_MS = 250
/** How often the position is saved while there are no changes. */
const IDLE_COMMIT_MS = 60_000
const FEED = { latest: 'Incremental Feed', all: 'Full-Fidelity Feed' }
/** The form of all versions that clients of the service ask for. */
const WIRE_FORMAT = '2021-09-15'

export class CosmosSource implements SourceSession {
  private readonly open: (object: string, options: CosmosReadOptions) => Promise<OpenContainer>

  private readonly settings: CosmosSettings

  constructor(open: (object: string, options: CosmosReadOptions) => Promise<OpenContainer>, settings: CosmosSettings) {
    this.open = open
    this.settings = settings
  }

  async table(request: ReadRequest): Promise<SourceTable> {
    const options = readOptions(request.options)
    const opened = await this.open(request.object, options)
    const query = queryOf(request, options)
    if (query === undefined) {
      const { changes } = options
      return new CosmosSourceTable(opened, changes === undefined ? request : { ...request, part: changes }, options)
    }
    if (options.changes !== undefined)
      throw new FerryError('FERRY-3006', 'a query reads no change feed: leave read.changes out')
    return new CosmosQueryTable(opened, request, { ...options, query }, this.settings)
  }

  async increment(request: ReadRequest, since: Since): Promise<Increment> {
    const options = readOptions(request.options)
    const opened = await this.open(request.object, options)
    if (options.query !== undefined || (since.column === undefined && request.where !== undefined)) {
      throw new FerryError('FERRY-3012', `${request.object}: the change feed knows no queries`, {
        hint: 'Name an incrementalColumn, such as _ts, with `where` instead of read.query.',
      })
    }
    if (since.column === undefined) {
      if (since.overlap) throw new FerryError('FERRY-3012', 'the change feed is exact: leave overlap out')
      const all = since.cdc ? { ...request, log: ALL_VERSIONS } : request
      return feedIncrement(all, await new CosmosSourceTable(opened, all, options).newestOfAll(), since)
    }
    return propertyIncrement(request, since, async query => {
      const found: unknown[] = []
      for await (const page of pagesOfSdk(this.settings, opened.container, query, 100)) found.push(...page)
      return found
    })
  }

  async close(): Promise<void> {}
}

/** A filter is a query too. */
function queryOf({ where }: ReadRequest, { query }: CosmosReadOptions): string | undefined {
  if (where === undefined) return query
  if (query === undefined) return `SELECT * FROM c WHERE ${where}`
  throw new FerryError('FERRY-3006', 'read.query says what is copied: put the condition of `where` into it')
}

class CosmosSourceTable extends CosmosTable implements SourceTable {
  readonly follows = true

  /** A split for each range; of an online copy no more than may be at work together, some with several ranges. */
  async splits(): Promise<Split[]> {
    const { online, part, limit } = this.request
    const pieces: FeedPiece[] =
      part === undefined
        ? (await this.newestOfAll()).map(({ low, high, newest }) => ({ low, high, until: newest }))
        : feedPieces.read(part)
    // A limit is of all splits together.
    const count = Math.min(pieces.length, limit === undefined ? (online?.splits ?? Infinity) : 1)
    const groups: FeedPiece[][] = Array.from({ length: count }, () => [])
    for (const [i, piece] of pieces.entries()) groups[Math.floor((i * count) / pieces.length)]!.push(piece)
    return groups.map((group, id) => ({
      id,
      label: `keys from ${group[0]!.low || 'the first'}`,
      spec: feedPieces.write(group),
    }))
  }

  /** The current positions of the feeds of all partitions. */
  async newestOfAll(signal?: AbortSignal): Promise<FeedRange[]> {
    return this.container.withRanges(async ranges => {
      const marks = await Promise.all(ranges.map(range => this.newest(range, signal)))
      if (marks.includes('gone')) return 'gone'
      return ranges.map((range, i) => ({ ...range, newest: marks[i] as number }))
    })
  }

  /** The number of the newest change in a partition. */
  private async newest(range: PartitionRange, signal?: AbortSignal): Promise<number | 'gone'> {
    const headers = {
      'a-im': this.readsChanges ? FEED.all : FEED.latest,
      'if-none-match': '*',
      'x-ms-documentdb-partitionkeyrangeid': range.id,
      ...(this.readsChanges ? { 'x-ms-cosmos-changefeed-wire-format-version': WIRE_FORMAT } : {}),
    }
    const response = await this.container.send({ method: 'GET', type: 'docs', read: true, headers }, signal)
    if (response.status === 410) return 'gone'
    if (response.status !== 304 && response.status !== 200) throw this.refused(response)
    return numberOf(response.headers.etag)
  }

  async *read(split: Split, options: ReadOptions): AsyncGenerator<Batch> {
    const pieces = feedPieces.read(options.from ?? split.spec)
    const following = yield* this.snapshot(pieces, options)
    if (this.readsChanges) yield* this.follow(following, options)
  }

  /** Each item's latest version. Gives back the pieces from where changes are followed. */
  private async *snapshot(all: FeedPiece[], work: ReadOptions): AsyncGenerator<RowBatch, FeedPiece[]> {
    const following = all.filter(p => p.follows)
    let open = all.filter(p => !p.follows)
    let left = this.request.limit ?? Infinity
    while (open.length > 0) {
      work.signal.throwIfAborted()
      const [piece, ...rest] = open as [FeedPiece, ...FeedPiece[]]
      const page = await this.feed(piece, work.signal)
      if (Array.isArray(page)) {
        open = [...page, ...rest]
        continue
      }
      const reached = numberOf(page.headers.etag)
      const isBeyond = reached > piece.until
      const isRead = page.status === 304 || (reached >= piece.until && (this.isBounded || reached >= newestOf(page)))
      if (isRead) open = rest
      else open = [{ ...piece, continuation: String(page.headers.etag) }, ...rest]
      if (isRead && this.request.online) {
        following.push({ ...piece, continuation: `"${piece.until}"`, follows: true })
      }
      if (page.status === 304 && !this.request.online) continue
      const documents = page.status === 304 ? [] : this.ofSnapshot(documentsIn(page.body), piece).slice(0, left)
      // A document may be several rows.
      const rows = rowsOf(documents, this.reader, this.options).slice(0, left)
      left -= rows.length
      const next = [...open, ...following]
      // At the end of the split there is nothing to resume, and what is left of a limit is not in a checkpoint.
      const isResumable = next.length > 0 && this.request.limit === undefined
      const checkpoint = isResumable ? { checkpoint: feedPieces.write(next) } : {}
      // What was changed since the plan may have been read before: it has to be written behind that.
      const changes = isBeyond ? { changes: rows.map(() => 'replace' as const) } : {}
      yield { kind: 'rows', rows, bytes: page.body.length, ...checkpoint, ...changes }
      if (left <= 0) return []
    }
    return following
  }

  /** Whether every change is read, and not only the latest state of each document. */
  private get readsChanges(): boolean {
    return this.request.online !== undefined || this.request.log !== undefined
  }

  /** Whether what has changed since the plan is left out: to the changes that are followed, or to the next copy. */
  private get isBounded(): boolean {
    return this.request.online !== undefined || this.request.part !== undefined
  }

  private ofSnapshot(documents: string[], { until }: FeedPiece): string[] {
    if (!this.isBounded) return documents
    return documents.filter(text => Number(/"_lsn":(\d+)[^"]*$/.exec(text)?.[1] ?? 0) <= until)
  }

  /** Every change behind the snapshot, in order, until `complete` and then up to what there is at that moment. */
  private async *follow(begin: FeedPiece[], work: ReadOptions): AsyncGenerator<RowBatch> {
    let pieces = begin
    const left = new Map<string, number>()
    const awake = AbortSignal.any([work.signal, ...(work.complete ? [work.complete] : [])])
    /** When it was reported last that nothing is left; undefined while something is. */
    let told: number | undefined
    // A copy that ends by itself has its end from the plan.
    let ending = this.request.online === undefined
    while (pieces.length > 0) {
      if (!ending && work.complete?.aborted) {
        ending = true
        pieces = await this.endingNow(pieces, work.signal)
      }
      let news = false
      for (const piece of [...pieces]) {
        work.signal.throwIfAborted()
        const page = await this.feed(piece, work.signal)
        const at = pieces.indexOf(piece)
        if (Array.isArray(page)) {
          pieces.splice(at, 1, ...page)
          news = true
          continue
        }
        const reached = numberOf(page.headers.etag)
        const ended = ending && (page.status === 304 || reached >= piece.until)
        pieces.splice(at, 1, ...(ended ? [] : [{ ...piece, continuation: String(page.headers.etag) }]))
        left.set(piece.low, page.status === 304 ? 0 : Math.max(0, newestOf(page) - reached))
        if (page.status === 304) continue
        news = true
        told = undefined
        yield this.changes(page, pieces, sum(left))
      }
      if (news || pieces.length === 0) continue
      // All is copied for now: worth a commit, and another one now and then, since old marks of a feed are forgotten.
      if (told === undefined || performance.now() - told > IDLE_COMMIT_MS) {
        yield {
          kind: 'rows',
          rows: [],
          bytes: 0,
          checkpoint: feedPieces.write(pieces),
          changes: [],
          behind: { changes: 0 },
        }
        told = performance.now()
      }
      if (!ending) await sleep(POLL_MS, undefined, { signal: awake }).catch(() => undefined)
    }
  }

  /** The pieces with the current positions of their feeds. */
  private async endingNow(pieces: FeedPiece[], signal: AbortSignal): Promise<FeedPiece[]> {
    const ends = await this.newestOfAll(signal)
    const endOf = (piece: FeedPiece) => Math.max(0, ...overlapping(ends, piece).map(r => r.newest))
    return pieces.map(piece => ({ ...piece, until: endOf(piece) }))
  }

  private changes(page: WireResponse, next: FeedPiece[], left: number): RowBatch {
    const found = documentsIn(page.body).map(text => changeIn(text, this.container.keyPaths))
    const last = found.at(-1)?.at
    const behind: Behind = { changes: left, ...(last === undefined ? {} : { since: last * 1000 }) }
    return {
      kind: 'rows',
      rows: rowsOf(
        found.map(c => c.document),
        this.reader,
        { ...this.options, systemProperties: true },
      ),
      changes: found.map(c => c.change),
      bytes: page.body.length,
      behind,
      ...(next.length > 0 ? { checkpoint: feedPieces.write(next) } : {}),
    }
  }

  /** Documents as they are now, found by id and partition key. */
  async current(rows: Row[]): Promise<(Row | undefined)[]> {
    const bulk = new Bulk(this.container, this.pace, writeOptions({}))
    const paths = [['id'], ...this.container.keyPaths]
    const nameOf = (text: string) => identityOf(JSON.parse(text) as Record<string, unknown>, paths)
    const at = this.rowColumns.findIndex(c => c.name === DOCUMENT)
    const texts = rows.map(row => row[at] as string)
    const ids = texts.map(text => (JSON.parse(text) as { id: string }).id)
    const now = new Map((await documentsOf(bulk, ids)).map(text => [nameOf(text), ownText(text)]))
    return texts.map(text => {
      const found = now.get(nameOf(text))
      return found === undefined ? undefined : [found]
    })
  }

  /** The next page of a piece's feed; where its partition was split since, the pieces that continue from the same position. */
  private async feed(piece: FeedPiece, signal: AbortSignal): Promise<WireResponse | FeedPiece[]> {
    const ask = (range: PartitionRange) =>
      ({ method: 'GET', type: 'docs', read: true, headers: this.headers(range, piece) }) as const
    const response = await this.page(piece, ask, signal)
    if (Array.isArray(response) || response.status === 200 || response.status === 304) return response
    throw this.refused(response)
  }

  private headers(range: PartitionRange, piece: FeedPiece): Record<string, string> {
    return {
      ...yieldingHeaders(this.options),
      ...pieceHeaders(range, piece),
      'a-im': piece.follows ? FEED.all : FEED.latest,
      'x-ms-max-item-count': String(this.options.pageSize),
      ...(piece.follows ? { 'x-ms-cosmos-changefeed-wire-format-version': WIRE_FORMAT } : {}),
      ...(piece.continuation === undefined ? {} : { 'if-none-match': piece.continuation }),
    }
  }

  /** What the service refuses of an online copy has causes of its own. */
  private refused(response: WireResponse): FerryError {
    const error = explain(response, this.container.name)
    if (response.status !== 400 || !this.readsChanges) return error
    if (/retention/i.test(error.message)) {
      return new FerryError(this.request.online ? 'FERRY-5005' : 'FERRY-5010', error.message, {
        hint: 'Changes are kept for a shorter time than this: copy everything again, with --full-refresh.',
      })
    }
    return new FerryError('FERRY-3009', error.message, {
      hint: 'An online copy needs continuous backup and the all-versions change feed on the source account; or copy offline.',
    })
  }
}

/** The number of the change in an etag of the feed. */
function numberOf(etag: string | undefined): number {
  return Number(/\d+/.exec(etag ?? '')?.[0] ?? 0)
}

/** The newest change of the partition that answered: `0:-1#123#4=120` or the header of its own. */
function newestOf({ headers }: WireResponse): number {
  const token = /#(\d+)/.exec(String(headers['x-ms-session-token'] ?? ''))?.[1]
  return Number(token ?? headers.lsn ?? 0)
}

function sum(counts: Map<string, number>): number {
  return [...counts.values()].reduce((total, n) => total + n, 0)
}
