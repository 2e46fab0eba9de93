/** One table's part of the log: what its feed has not read yet, transaction by transaction. */
import type { Behind, Change, RowBatch } from '../../batch/encoding.ts'
import type { Column, Row } from '../../batch/types.ts'
import type { FerryError } from '../../errors.ts'

/** A place in the log: every transaction before `at` was read, and `seq` changes of the transaction at `at`. */
export interface LogPosition<P> {
  at: P
  seq: number
}

/** What a table needs of the stream that it is a part of. */
interface Stream<P> {
  /** The error that ended the stream. */
  readonly failure: FerryError | undefined
  /** The place of the open transaction; undefined before the first. */
  readonly at: P | undefined
  /** When it was committed, in microseconds since 1970. */
  readonly time: number
  /** Tables whose last batch is being written: they learn at once when the log has no more for them. */
  readonly awaited: Set<LogTable<P>>
  compare(a: P, b: P): number
  format(position: LogPosition<P>): string
  behind(time: number | undefined): Behind
  /** Asks the server how far it has sent its log. */
  ask(): void
  /** Lets the stream send more. */
  resume(): void
}

/** A batch is handed over when so many rows wait, and the stream pauses when so many bytes do. */
const FULL_ROWS = 2000
const FULL_BYTES = 4_000_000
/** A transaction with more than this of one table is committed in pieces. */
const LARGE_ROWS = 20_000
const LARGE_BYTES = 16_000_000
/** How often a table without changes reports its position. */
const IDLE_MS = 5000

/** One table's part of the stream. */
export class LogTable<P> {
  readonly name: string
  readonly columns: Column[]
  /** Everything before it is behind us, or in the snapshot. */
  from: LogPosition<P>
  until: P | undefined
  confirmed: P
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
  private quietAt: P | undefined
  private readonly log: Stream<P>

  constructor(log: Stream<P>, name: string, columns: Column[], from: LogPosition<P>, until: P | undefined) {
    this.log = log
    this.name = name
    this.columns = columns
    this.from = from
    this.confirmed = from.at
    this.until = until
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

  commit(end: P): void {
    this.isOpen = false
    this.from = { at: end, seq: 0 }
    this.quietAt = undefined
    if (this.closed.rows.length === 0) this.closed = this.open
    else this.closed.append(this.open)
    this.open = new Gathered()
    this.tell()
  }

  quiet(at: P): void {
    if (this.isOpen) return
    this.quietAt = this.log.compare(at, this.from.at) < 0 ? this.from.at : at
    if (this.until !== undefined && this.log.compare(at, this.until) >= 0) this.ended = true
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
        return this.take(this.open, isLarge ? { at: this.log.at!, seq: this.seq } : undefined)
      }
      if (this.ended) return undefined
      const isIdle = performance.now() - idleSince > IDLE_MS
      if (!this.isOpen && this.quietAt !== undefined && (this.log.awaited.has(this) || isIdle)) return this.still()
      if (!this.isOpen) this.log.ask()
      await this.news(signal)
    }
  }

  /** Waits for the log to report something, at most IDLE_MS. */
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

  private take(gathered: Gathered, place: LogPosition<P> | undefined): RowBatch {
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
      ...(place === undefined ? {} : { checkpoint: this.log.format(place) }),
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
      checkpoint: this.log.format(place),
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
