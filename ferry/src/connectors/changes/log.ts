/**
 * The log of a store that holds the changes of all its tables: one stream for all tables of a run, each of which reads its
 * own changes in the order of the source's commits.
 */
import type { Behind } from '../../batch/encoding.ts'
import type { Column } from '../../batch/types.ts'
import type { FerryError } from '../../errors.ts'
import { type LogPosition, LogTable } from './logtable.ts'

/** How often the server's own place is looked up while its log is followed. */
const LAG_MS = 1000
/** How often a table that waits asks whether there is more. */
const ASK_MS = 50

/** The log of a store. `P` is a place between two of its transactions. */
export interface LogSource<P> {
  /** Negative if `a` is before `b`, 0 if they are one place. */
  compare(a: P, b: P): number
  /** The bytes of log from one place to a later one, about. */
  distance(from: P, to: P): number
  format(position: LogPosition<P>): string
  parse(text: string): LogPosition<P>
  /** The place where the server's log ends now. */
  end(): Promise<P>
  /** Called when all tables have read their snapshots: from here on only the log is read. */
  loaded(): Promise<void>
  /** Starts to read, and calls `begin`, `wants`, `commit`, `caughtUp` and `failed` of the log. */
  open(from: P, log: TableLog<P>): Promise<LogStream<P>>
}

export interface LogStream<P> {
  resume(): void
  /** Asks the server how far it has sent its log, if it does not report that by itself. */
  ask(): void
  /** Tells the server that everything before a place may be removed. */
  confirm(at: P): void
  close(): void
}

/** The log of a store, read once and distributed to the tables of a run. */
export class TableLog<P> {
  failure: FerryError | undefined
  /** The place of the open transaction; undefined before the first. */
  at: P | undefined
  /** When it was committed, in microseconds since 1970. */
  time = 0
  /** Tables whose last batch is being written: they learn at once when the log has no more for them. */
  readonly awaited = new Set<LogTable<P>>()
  readonly source: LogSource<P>
  private readonly tables = new Map<string, LogTable<P>>()
  private readonly touched = new Set<LogTable<P>>()
  /** Positions of tables that are not read now: nothing behind the first of them is confirmed. */
  private readonly kept: readonly P[]
  private stream: LogStream<P> | undefined
  private starting: Promise<void> | undefined
  private readonly attaching: (() => void)[] = []
  private newest: P | undefined
  private timer: NodeJS.Timeout | undefined
  private asking: NodeJS.Timeout | undefined

  constructor(source: LogSource<P>, kept: readonly P[]) {
    this.source = source
    this.kept = kept
  }

  add(name: string, columns: Column[], from: LogPosition<P>, until: P | undefined): LogTable<P> {
    const made = new LogTable<P>(this, name, columns, from, until)
    this.tables.set(name, made)
    return made
  }

  table(name: string): LogTable<P> | undefined {
    return this.tables.get(name)
  }

  /** Waits until all tables are ready, or have left: the stream passes once. */
  async attach(table: LogTable<P>, from: LogPosition<P>, signal: AbortSignal): Promise<void> {
    table.from = from
    table.confirmed = this.later(table.confirmed, from.at)
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

  compare(a: P, b: P): number {
    return this.source.compare(a, b)
  }

  format(position: LogPosition<P>): string {
    return this.source.format(position)
  }

  private later(a: P, b: P): P {
    return this.compare(a, b) < 0 ? b : a
  }

  private first(places: P[]): P {
    return places.reduce((a, b) => (this.compare(b, a) < 0 ? b : a))
  }

  private isComplete(): boolean {
    return [...this.tables.values()].every(t => t.attached || t.left)
  }

  private pass(): void {
    if (!this.isComplete()) return
    for (const tell of this.attaching.splice(0)) tell()
  }

  leave(table: LogTable<P>): void {
    table.left = true
    table.ended = true
    this.pass()
    this.resume()
    if ([...this.tables.values()].every(t => t.left)) this.close()
  }

  private async start(): Promise<void> {
    await this.source.loaded()
    this.newest = await this.source.end()
    this.stream = await this.source.open(this.first(this.present().map(t => t.from.at)), this)
    this.timer = setInterval(async () => {
      this.newest = await this.source.end().catch(() => this.newest)
    }, LAG_MS)
  }

  private present(): LogTable<P>[] {
    return [...this.tables.values()].filter(t => t.attached && !t.left)
  }

  /** Ends what is to end at this place: an online copy that is completed. */
  endAt(at: P): void {
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
    const { at, newest } = this
    const bytes = at === undefined || newest === undefined ? 1 : Math.max(1, this.source.distance(at, newest))
    return { changes: bytes, unit: 'bytes', ...(time === undefined ? {} : { since: Math.floor(time / 1000) }) }
  }

  /** Everything of the table before a position is stored at the destination. */
  confirm(table: LogTable<P>, at: P): void {
    table.confirmed = this.later(table.confirmed, at)
    this.stream?.confirm(this.first([...this.kept, ...[...this.tables.values()].map(t => t.confirmed)]))
  }

  close(): void {
    clearInterval(this.timer)
    clearTimeout(this.asking)
    this.stream?.close()
    this.stream = undefined
  }

  // What the stream reported.

  /** The server has sent everything before this place. */
  caughtUp(at: P): void {
    this.newest = this.newest === undefined ? at : this.later(this.newest, at)
    for (const table of this.present()) table.quiet(at)
  }

  failed(error: FerryError): void {
    this.failure ??= error
    for (const table of this.tables.values()) table.tell()
  }

  begin(at: P, time: number): void {
    this.at = at
    this.time = time
    for (const table of this.present()) {
      if (table.until !== undefined && this.compare(at, table.until) >= 0 && !table.ended) {
        table.ended = true
        table.tell()
      }
    }
  }

  commit(end: P): void {
    for (const table of this.touched) table.commit(end)
    this.touched.clear()
  }

  /** Whether the table wants the next change: it has not read it before, and has not ended. */
  wants(table: LogTable<P>): boolean {
    if (table.ended || table.isStopped || !table.attached) return false
    const order = this.compare(this.at!, table.from.at)
    if (order < 0) return false
    if (!this.touched.has(table)) {
      this.touched.add(table)
      table.begin()
    }
    table.seq++
    return order > 0 || table.seq > table.from.seq
  }
}
