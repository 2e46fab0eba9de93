/**
 * Following the log of a store: one stream for all tables of a run, each of which reads its own changes, in the order of
 * the source's commits. Places in a log are numbers that grow.
 */
import type { Batch, Behind, Change, RowBatch } from '../../batch/encoding.ts'
import type { Column, Row } from '../../batch/types.ts'
import type { ReadOptions } from '../../contract/source.ts'
import { CHANGES, type Split } from '../../contract/split.ts'
import { FerryError } from '../../errors.ts'

/** A place in the log: every transaction before `at` is behind it, and `seq` changes of the one that stands there. */
export interface LogPosition {
  at: number
  seq: number
}

/** A batch is handed over when so many rows wait, and the stream pauses when so many bytes do. */
const FULL_ROWS = 2000
const FULL_BYTES = 4_000_000
/** A transaction with more than this of one table is committed in pieces. */
const LARGE_ROWS = 20_000
const LARGE_BYTES = 16_000_000
/** How often a table without changes tells its place. */
const IDLE_MS = 5000
/** How often the server's own place is looked up while its log is followed. */
const LAG_MS = 1000
/** How often a table that waits asks whether there is more. */
const ASK_MS = 50

/** One table's part of the stream. */
export class LogTable {
  readonly name: string
  readonly columns: Column[]
  /** Everything before it is behind us, or in the snapshot. */
  from: LogPosition
  until: number | undefined
  confirmed: number
  attached = false
  left = false
  ended = false
  /** How many changes of the open transaction there were. */
  seq = 0
  private bytes = 0
  private transactionBytes = 0
  /** Rows of transactions that have ended, and of the one that has not. */
  private closed = new Gathered()
  private open = new Gathered()
  private isOpen = false
  private stopped: FerryError | undefined
  private wake: (() => void) | undefined
  /** The server has sent everything up to here. */
  private quietAt: number | undefined
  private readonly log: TableLog

  constructor(log: TableLog, name: string, columns: Column[], from: LogPosition) {
    this.log = log
    this.name = name
    this.columns = columns
    this.from = from
    this.confirmed = from.at
  }

  /** Whether its reader waits, for more rows or for the word that there are none. */
  get isWaiting(): boolean {
    return this.wake !== undefined && (this.log.awaited.has(this) || this.until !== undefined)
  }

  get isFull(): boolean {
    return this.bytes > FULL_BYTES
  }

  /** Ends the table behind what was committed so far: what follows cannot be read as the copy was planned. */
  stop(error: FerryError): void {
    this.stopped ??= error
    this.tell()
  }

  get isStopped(): boolean {
    return this.stopped !== undefined
  }

  begin(): void {
    this.isOpen = true
    this.seq = 0
    this.transactionBytes = 0
  }

  add(row: Row, change: Change, bytes: number, more: { unchanged?: number[]; before?: Row } = {}): void {
    this.open.add(row, change, more, this.log.time)
    this.bytes += bytes
    this.transactionBytes += bytes
    if (this.open.rows.length >= FULL_ROWS) this.tell()
  }

  commit(end: number): void {
    this.isOpen = false
    this.from = { at: end, seq: 0 }
    this.quietAt = undefined
    if (this.closed.rows.length === 0) this.closed = this.open
    else this.closed.append(this.open)
    this.open = new Gathered()
    this.tell()
  }

  quiet(at: number): void {
    if (this.isOpen) return
    this.quietAt = Math.max(at, this.from.at)
    if (this.until !== undefined && at >= this.until) this.ended = true
    this.tell()
  }

  tell(): void {
    this.wake?.()
    this.wake = undefined
  }

  /** The next batch; undefined at the end. Throws what broke the stream. */
  async next(signal: AbortSignal): Promise<RowBatch | undefined> {
    const idleSince = performance.now()
    for (;;) {
      signal.throwIfAborted()
      if (this.log.failure) throw this.log.failure
      if (this.closed.rows.length > 0) return this.take(this.closed, this.from)
      if (this.stopped) throw this.stopped
      // In the middle of a transaction there is no place to stop at, unless it is too large to be held.
      const isLarge = this.seq > LARGE_ROWS || this.transactionBytes > LARGE_BYTES
      if (this.open.rows.length >= FULL_ROWS || this.isFull) {
        return this.take(this.open, isLarge ? { at: this.log.at, seq: this.seq } : undefined)
      }
      if (this.ended) return undefined
      const isIdle = performance.now() - idleSince > IDLE_MS
      if (!this.isOpen && this.quietAt !== undefined && (this.log.awaited.has(this) || isIdle)) return this.still()
      if (!this.isOpen) this.log.ask()
      await this.news(signal)
    }
  }

  /** Waits until something is told, or for some time. */
  private async news(signal: AbortSignal): Promise<void> {
    const tell = () => this.tell()
    const timer = setTimeout(tell, IDLE_MS)
    signal.addEventListener('abort', tell, { once: true })
    await new Promise<void>(resolve => {
      this.wake = resolve
    })
    clearTimeout(timer)
    signal.removeEventListener('abort', tell)
  }

  private take(gathered: Gathered, place: LogPosition | undefined): RowBatch {
    const { rows, changes, unchanged, before, times } = gathered
    const { bytes } = this
    if (gathered === this.closed) this.closed = new Gathered()
    else this.open = new Gathered()
    this.bytes = 0
    this.log.resume()
    this.log.awaited.add(this)
    return {
      kind: 'rows',
      rows,
      changes,
      unchanged,
      before,
      times,
      bytes,
      behind: this.log.behind(times.at(-1)),
      ...(place === undefined ? {} : { checkpoint: this.log.source.format(place) }),
    }
  }

  /** That there is nothing for now. */
  private still(): RowBatch {
    const place = { at: this.quietAt!, seq: 0 }
    this.from = place
    this.quietAt = undefined
    this.log.awaited.delete(this)
    return {
      kind: 'rows',
      rows: [],
      changes: [],
      bytes: 0,
      checkpoint: this.log.source.format(place),
      behind: { changes: 0 },
    }
  }
}

class Gathered {
  readonly rows: Row[] = []
  readonly changes: Change[] = []
  readonly unchanged: (number[] | undefined)[] = []
  readonly before: (Row | undefined)[] = []
  readonly times: number[] = []

  add(row: Row, change: Change, { unchanged, before }: { unchanged?: number[]; before?: Row }, at: number): void {
    this.rows.push(row)
    this.changes.push(change)
    this.unchanged.push(unchanged)
    this.before.push(before)
    this.times.push(at)
  }

  append(others: Gathered): void {
    for (const [i, row] of others.rows.entries()) {
      this.rows.push(row)
      this.changes.push(others.changes[i]!)
      this.unchanged.push(others.unchanged[i])
      this.before.push(others.before[i])
      this.times.push(others.times[i]!)
    }
  }
}

/** What a store's log is, for who follows it. */
export interface LogSource {
  /** A place as text, and the place of a text. */
  format(position: LogPosition): string
  parse(text: string): LogPosition
  /** Where the server's log ends now. */
  end(): Promise<number>
  /** That all tables have read their snapshots: from here on only the log is read. */
  loaded(): Promise<void>
  /** Begins to read; what is found is told to the log. */
  open(from: number, log: TableLog): Promise<LogStream>
}

export interface LogStream {
  resume(): void
  /** Asks the server how far it is, where it does not tell by itself. */
  ask(): void
  /** That everything before a place is kept elsewhere. */
  confirm(at: number): void
  close(): void
}

/** The stream of a run, taken apart for its tables. */
export class TableLog {
  failure: FerryError | undefined
  /** Where the open transaction stands, and when it happened, in microseconds since 1970. */
  at = 0
  time = 0
  /** Tables whose rows are on their way: they are told at once when there are no more. */
  readonly awaited = new Set<LogTable>()
  readonly source: LogSource
  private readonly tables = new Map<string, LogTable>()
  private readonly touched = new Set<LogTable>()
  /** Before this nothing is confirmed: the positions of tables that are not read now. */
  private readonly floor: number
  private stream: LogStream | undefined
  private starting: Promise<void> | undefined
  private readonly attaching: (() => void)[] = []
  private newest = 0
  private timer: NodeJS.Timeout | undefined
  private asking: NodeJS.Timeout | undefined

  constructor(source: LogSource, floor: number) {
    this.source = source
    this.floor = floor
  }

  add(name: string, columns: Column[], from: LogPosition, until: number | undefined): LogTable {
    const made = new LogTable(this, name, columns, from)
    made.until = until
    this.tables.set(name, made)
    return made
  }

  table(name: string): LogTable | undefined {
    return this.tables.get(name)
  }

  /** Waits until all tables are ready, or have left: the stream passes once. */
  async attach(table: LogTable, from: LogPosition, signal: AbortSignal): Promise<void> {
    table.from = from
    table.confirmed = Math.max(table.confirmed, from.at)
    table.attached = true
    this.pass()
    while (!this.isComplete()) {
      signal.throwIfAborted()
      await new Promise<void>(resolve => {
        this.attaching.push(resolve)
        signal.addEventListener('abort', () => resolve(), { once: true })
      })
    }
    this.starting ??= this.start()
    await this.starting
  }

  private isComplete(): boolean {
    return [...this.tables.values()].every(t => t.attached || t.left)
  }

  private pass(): void {
    if (!this.isComplete()) return
    for (const tell of this.attaching.splice(0)) tell()
  }

  leave(table: LogTable): void {
    table.left = true
    table.ended = true
    this.pass()
    this.resume()
    if ([...this.tables.values()].every(t => t.left)) this.close()
  }

  private async start(): Promise<void> {
    await this.source.loaded()
    this.newest = await this.source.end()
    this.stream = await this.source.open(Math.min(...this.present().map(t => t.from.at)), this)
    this.timer = setInterval(async () => {
      this.newest = await this.source.end().catch(() => this.newest)
    }, LAG_MS)
  }

  private present(): LogTable[] {
    return [...this.tables.values()].filter(t => t.attached && !t.left)
  }

  /** Ends what is to end at this place: an online copy that is completed. */
  endAt(at: number): void {
    for (const table of this.tables.values()) table.until ??= at
    this.ask()
  }

  /** Asks the server how far it is: at once, and then not more often than it can matter. */
  ask(): void {
    if (this.asking) return
    this.stream?.ask()
    this.asking = setTimeout(() => {
      this.asking = undefined
      if (this.present().some(t => t.isWaiting)) this.ask()
    }, ASK_MS)
  }

  resume(): void {
    if (this.mayGoOn) this.stream?.resume()
  }

  /** Whether more of the log may come: no table has too much of it. */
  get mayGoOn(): boolean {
    return !this.present().some(t => t.isFull && !t.isStopped)
  }

  behind(time: number | undefined): Behind {
    const bytes = Math.max(1, this.newest - this.at)
    return { changes: bytes, unit: 'bytes', ...(time === undefined ? {} : { since: Math.floor(time / 1000) }) }
  }

  /** Everything of the table before a place is kept at the destination. */
  confirm(table: LogTable, at: number): void {
    table.confirmed = Math.max(table.confirmed, at)
    this.stream?.confirm(Math.min(this.floor, ...[...this.tables.values()].map(t => t.confirmed)))
  }

  close(): void {
    clearInterval(this.timer)
    clearTimeout(this.asking)
    this.stream?.close()
    this.stream = undefined
  }

  // What the stream says.

  /** The server has sent everything before this place. */
  caughtUp(at: number): void {
    this.newest = Math.max(this.newest, at)
    for (const table of this.present()) table.quiet(at)
  }

  failed(error: FerryError): void {
    this.failure ??= error
    for (const table of this.tables.values()) table.tell()
  }

  begin(at: number, time: number): void {
    this.at = at
    this.time = time
    for (const table of this.present()) {
      if (table.until !== undefined && at >= table.until && !table.ended) {
        table.ended = true
        table.tell()
      }
    }
  }

  commit(end: number): void {
    for (const table of this.touched) table.commit(end)
    this.touched.clear()
  }

  /** Whether the table wants the next change: it has not read it before, and has not ended. */
  wants(table: LogTable): boolean {
    if (table.ended || table.isStopped || !table.attached || this.at < table.from.at) return false
    if (!this.touched.has(table)) {
      this.touched.add(table)
      table.begin()
    }
    table.seq++
    return this.at > table.from.at || table.seq > table.from.seq
  }
}

/** The split that is the log. */
export const LOG_SPLIT: Split = { id: CHANGES, label: 'the log', spec: '' }

/** The changes of a table behind a place, until its end, or until an online copy is completed. */
export async function* readLog(
  log: TableLog,
  table: LogTable,
  place: { online: boolean; begin: string; end: () => Promise<number> },
  { from, signal, complete }: ReadOptions,
  explain: (error: unknown) => FerryError,
): AsyncGenerator<Batch> {
  const end = async () => log.endAt(await place.end())
  const onComplete = () => void end().catch(error => log.failed(explain(error)))
  try {
    await log.attach(table, log.source.parse(from ?? place.begin), signal)
    if (place.online) {
      if (complete?.aborted) await end()
      else complete?.addEventListener('abort', onComplete, { once: true })
    }
    for (;;) {
      const batch = await table.next(signal)
      if (!batch) return
      yield batch
    }
  } catch (error) {
    throw explain(error)
  } finally {
    complete?.removeEventListener('abort', onComplete)
  }
}

/** A table whose log is read before its session has joined it: nothing would come, and it would look like no changes. */
export function notJoined(table: string): FerryError {
  return new FerryError('FERRY-9000', `${table}: its log is read before it is followed`)
}
