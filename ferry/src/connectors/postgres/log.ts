/**
 * Following tables through the write-ahead log: one slot and one publication for a job, one stream for all tables of a
 * run, each of which reads its own changes in the order of the source's commits.
 */
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import type { Behind, Change, RowBatch } from '../../batch/encoding.ts'
import type { Column, Row } from '../../batch/types.ts'
import { FerryError } from '../../errors.ts'
import { type PostgresTable, qualified } from './catalog.ts'
import { quoteName } from './client.ts'
import { formatLsn, type LogHandler, type LogRelation, type Lsn, PgOutput, parseLsn, type Tuple } from './pgoutput.ts'
import { connectForReplication, createSlot, LogStream, type Slot, type StreamHandler } from './replication.ts'
import type { PostgresSettings } from './settings.ts'
import { RowOfTuple } from './tuples.ts'

/** A place in the log: everything that was committed before `lsn` is behind it, and `seq` changes of the next commit. */
export interface LogPosition {
  lsn: Lsn
  seq: number
}

/** What a request knows of the log, as JSON in its `log`. */
export interface LogPlan {
  slot: string
  /** Source names of the columns that tell rows apart. */
  keys: string[]
  /** Where changes begin: unknown until the slot is made. */
  from?: string
  /** Whether a snapshot is read first. */
  load: boolean
  /** Where a copy that ends by itself ends. */
  until?: string
}

/** What is kept between copies. */
export interface LogMark {
  slot: string
  lsn: string
}

/** The mark in a position; undefined where that is of another kind. */
export function markOf(position: string): LogMark | undefined {
  const mark = JSON.parse(position) as Partial<LogMark>
  return typeof mark === 'object' && mark !== null && mark.slot !== undefined ? (mark as LogMark) : undefined
}

export function newSlotName(): string {
  return `ferry_${Date.now().toString(36)}_${randomBytes(4).toString('hex')}`
}

export const formatPosition = ({ lsn, seq }: LogPosition) => (seq === 0 ? formatLsn(lsn) : `${formatLsn(lsn)}+${seq}`)

export function parsePosition(text: string): LogPosition {
  const [lsn, seq = '0'] = text.split('+')
  return { lsn: parseLsn(lsn!), seq: Number(seq) }
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
/** How long the server may take to see that a connection has ended. */
const DROP_MS = 10_000
/** How often a table that waits asks whether there is more. */
const ASK_MS = 50

/** What is wrong with the slot for who goes on from a place; undefined where nothing is. */
export async function slotFault(client: pg.Client, name: string, from: Lsn): Promise<FerryError | undefined> {
  const { rows } = await client.query(
    `SELECT wal_status, confirmed_flush_lsn::text AS confirmed, to_jsonb(s) ->> 'invalidation_reason' AS reason
     FROM pg_replication_slots s WHERE slot_name = $1`,
    [name],
  )
  const slot = rows[0]
  const gone = (why: string) => new FerryError('FERRY-5010', `the replication slot ${name} ${why}`)
  if (!slot) return gone('is gone')
  if (slot.wal_status === 'lost') return gone(`was given up by the server${slot.reason ? ` (${slot.reason})` : ''}`)
  if (slot.confirmed !== null && parseLsn(slot.confirmed) > from) {
    return gone(
      `is at ${slot.confirmed}, beyond ${formatLsn(from)} where the last copy ended: somebody else read from it`,
    )
  }
  return undefined
}

export async function slotExists(client: pg.Client, name: string): Promise<boolean> {
  const { rows } = await client.query('SELECT 1 FROM pg_replication_slots WHERE slot_name = $1', [name])
  return rows.length > 0
}

/** Makes the publication hold these tables, before their changes are wanted. */
export async function publish(
  client: pg.Client,
  name: string,
  tables: { schema: string; table: string }[],
): Promise<void> {
  const list = tables.map(qualified).join(', ')
  const published = await client.query('SELECT 1 FROM pg_publication WHERE pubname = $1', [name])
  if (published.rows.length === 0) {
    const options = 'WITH (publish_via_partition_root = true)'
    await client.query(`CREATE PUBLICATION ${quoteName(name)} FOR TABLE ${list} ${options}`)
    return
  }
  const { rows } = await client.query(
    `SELECT n.nspname AS schema, c.relname AS table FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid
     JOIN pg_class c ON c.oid = r.prrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE p.pubname = $1`,
    [name],
  )
  const before = new Set(rows.map(qualified))
  const isSame = before.size === tables.length && tables.every(t => before.has(qualified(t)))
  if (!isSame) await client.query(`ALTER PUBLICATION ${quoteName(name)} SET TABLE ${list}`)
}

/** Makes the slot; where it is there, a temporary one that only gives a snapshot. The connection holds the snapshot. */
export async function snapshotWithSlot(
  settings: PostgresSettings,
  name: string,
  isThere: boolean,
): Promise<{ slot: Slot; client: pg.Client }> {
  const client = await connectForReplication(settings)
  try {
    const slot = await createSlot(client, isThere ? `${name.slice(0, 50)}_s${process.pid}` : name, isThere)
    return { slot, client }
  } catch (error) {
    await client.end().catch(() => undefined)
    throw error
  }
}

/** Removes slot and publication, as soon as the server has seen that nobody reads from it any more. */
export async function dropLog(client: pg.Client, name: string): Promise<void> {
  const end = Date.now() + DROP_MS
  for (;;) {
    const { rows } = await client.query('SELECT active FROM pg_replication_slots WHERE slot_name = $1', [name])
    if (rows.length === 0) break
    if (!rows[0].active || Date.now() > end) {
      await client.query('SELECT pg_drop_replication_slot($1)', [name])
      break
    }
    await sleep(50)
  }
  await client.query(`DROP PUBLICATION IF EXISTS ${quoteName(name)}`)
}

/** One table's part of the stream. */
export class LogTable {
  readonly name: string
  readonly columns: Column[]
  /** Everything before it is behind us, or in the snapshot. */
  from: LogPosition
  until: Lsn | undefined
  confirmed: Lsn
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
  private wake: (() => void) | undefined
  /** The server has sent everything up to here. */
  private quietAt: Lsn | undefined
  private readonly log: PostgresLog

  constructor(log: PostgresLog, table: PostgresTable, columns: Column[], from: LogPosition) {
    this.log = log
    this.name = `${table.schema}.${table.table}`
    this.columns = columns
    this.from = from
    this.confirmed = from.lsn
  }

  /** Whether its reader waits, for more rows or for the word that there are none. */
  get isWaiting(): boolean {
    return this.wake !== undefined && (this.log.awaited.has(this) || this.until !== undefined)
  }

  get isFull(): boolean {
    return this.bytes > FULL_BYTES
  }

  begin(): void {
    this.isOpen = true
    this.seq = 0
    this.transactionBytes = 0
  }

  add(row: Row, change: Change, bytes: number, more: { unchanged?: number[]; before?: Row } = {}): void {
    this.open.add(row, change, more, this.log.at)
    this.bytes += bytes
    this.transactionBytes += bytes
    if (this.open.rows.length >= FULL_ROWS) this.tell()
  }

  commit(end: Lsn): void {
    this.isOpen = false
    this.from = { lsn: end, seq: 0 }
    this.quietAt = undefined
    if (this.closed.rows.length === 0) this.closed = this.open
    else this.closed.append(this.open)
    this.open = new Gathered()
    this.tell()
  }

  quiet(lsn: Lsn): void {
    if (this.isOpen) return
    this.quietAt = Math.max(lsn, this.from.lsn)
    if (this.until !== undefined && lsn >= this.until) this.ended = true
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
      // In the middle of a transaction there is no place to stop at, unless it is too large to be held.
      const isLarge = this.seq > LARGE_ROWS || this.transactionBytes > LARGE_BYTES
      if (this.open.rows.length >= FULL_ROWS || this.isFull) {
        return this.take(this.open, isLarge ? { lsn: this.log.lsn, seq: this.seq } : undefined)
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
      ...(place === undefined ? {} : { checkpoint: formatPosition(place) }),
    }
  }

  /** That there is nothing for now. */
  private still(): RowBatch {
    const place = { lsn: this.quietAt!, seq: 0 }
    this.from = place
    this.quietAt = undefined
    this.log.awaited.delete(this)
    return { kind: 'rows', rows: [], changes: [], bytes: 0, checkpoint: formatPosition(place), behind: { changes: 0 } }
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

/** The stream of a run, taken apart for its tables. */
export class PostgresLog implements LogHandler, StreamHandler {
  failure: FerryError | undefined
  /** Where the open transaction's commit stands, and when it was. */
  lsn: Lsn = 0
  at = 0
  /** Tables whose rows are on their way: they are told at once when there are no more. */
  readonly awaited = new Set<LogTable>()
  private readonly settings: PostgresSettings
  private readonly slot: string
  private readonly tables = new Map<string, LogTable>()
  private readonly relations = new Map<number, RowOfTuple>()
  private readonly touched = new Set<LogTable>()
  private readonly parser = new PgOutput(this)
  /** Positions of tables that are not read now. */
  private readonly floor: Lsn
  private stream: LogStream | undefined
  private starting: Promise<void> | undefined
  private readonly attaching: (() => void)[] = []
  private readonly serverLsn: () => Promise<Lsn>
  private newest: Lsn = 0
  private timer: NodeJS.Timeout | undefined
  private asking: NodeJS.Timeout | undefined

  constructor(settings: PostgresSettings, slot: string, floor: Lsn, serverLsn: () => Promise<Lsn>) {
    this.settings = settings
    this.slot = slot
    this.floor = floor
    this.serverLsn = serverLsn
  }

  add(table: PostgresTable, columns: Column[], from: LogPosition, until: Lsn | undefined): LogTable {
    const made = new LogTable(this, table, columns, from)
    made.until = until
    this.tables.set(made.name, made)
    return made
  }

  /** Waits until all tables are ready, or have left: the stream passes once. */
  async attach(table: LogTable, from: LogPosition, signal: AbortSignal): Promise<void> {
    table.from = from
    table.confirmed = Math.max(table.confirmed, from.lsn)
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
    const client = await connectForReplication(this.settings)
    const from = Math.min(...this.present().map(t => t.from.lsn))
    this.newest = await this.serverLsn()
    this.stream = new LogStream(client, this.slot, this.slot, from, this)
    this.timer = setInterval(async () => {
      this.newest = await this.serverLsn().catch(() => this.newest)
    }, LAG_MS)
  }

  private present(): LogTable[] {
    return [...this.tables.values()].filter(t => t.attached && !t.left)
  }

  /** Ends what is to end at this place: an online copy that is completed. */
  endAt(lsn: Lsn): void {
    for (const table of this.tables.values()) table.until ??= lsn
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
    if (!this.present().some(t => t.isFull)) this.stream?.resume()
  }

  behind(time: number | undefined): Behind {
    const bytes = Math.max(1, this.newest - this.lsn)
    return { changes: bytes, unit: 'bytes', ...(time === undefined ? {} : { since: Math.floor(time / 1000) }) }
  }

  /** Everything of the table up to a place is kept at the destination. */
  confirm(table: LogTable, lsn: Lsn): void {
    table.confirmed = Math.max(table.confirmed, lsn)
    const least = Math.min(this.floor, ...[...this.tables.values()].map(t => t.confirmed))
    this.stream?.confirm(least)
  }

  close(): void {
    clearInterval(this.timer)
    clearTimeout(this.asking)
    this.stream?.close()
    this.stream = undefined
  }

  // What the stream says.

  message(buffer: Buffer, at: number): boolean {
    try {
      this.parser.take(buffer, at)
    } catch (error) {
      this.failed(error instanceof FerryError ? error : new FerryError('FERRY-9000', String(error), { cause: error }))
      return false
    }
    return !this.present().some(t => t.isFull)
  }

  caughtUp(walEnd: Lsn): void {
    this.newest = Math.max(this.newest, walEnd)
    for (const table of this.present()) table.quiet(walEnd)
  }

  failed(error: FerryError): void {
    this.failure ??= error
    for (const table of this.tables.values()) table.tell()
  }

  begin(lsn: Lsn, at: number): void {
    this.lsn = lsn
    this.at = at
    for (const table of this.present()) {
      if (table.until !== undefined && lsn >= table.until && !table.ended) {
        table.ended = true
        table.tell()
      }
    }
  }

  commit(end: Lsn): void {
    for (const table of this.touched) table.commit(end)
    this.touched.clear()
  }

  relation(relation: LogRelation): void {
    const table = this.tables.get(`${relation.schema}.${relation.table}`)
    if (table) this.relations.set(relation.id, new RowOfTuple(table, relation))
  }

  /** The reader of a relation's rows, where its table wants this change. */
  private wanted(id: number): RowOfTuple | undefined {
    const reader = this.relations.get(id)
    const table = reader?.table
    if (!table || table.ended || !table.attached || this.lsn < table.from.lsn) return undefined
    if (!this.touched.has(table)) {
      this.touched.add(table)
      table.begin()
    }
    table.seq++
    return this.lsn === table.from.lsn && table.seq <= table.from.seq ? undefined : reader
  }

  insert(id: number, row: Tuple): void {
    this.wanted(id)?.insert(row)
  }

  update(id: number, old: Tuple | undefined, whole: boolean, row: Tuple): void {
    this.wanted(id)?.update(old, whole, row)
  }

  delete(id: number, old: Tuple): void {
    this.wanted(id)?.delete(old)
  }

  truncate(ids: number[]): void {
    for (const id of ids) this.wanted(id)?.truncate()
  }
}
