/** Copying one table: splits in parallel, each read, mapped, written and committed with its checkpoint. */
import { setImmediate } from 'node:timers/promises'
import { type Batch, type Behind, NotAsBytes, type Rejected, type RowBatch } from '../batch/encoding.ts'
import { members } from '../batch/json.ts'
import { formatText } from '../batch/text.ts'
import type { Column, Row } from '../batch/types.ts'
import type { Offer } from '../contract/encodings.ts'
import { DOCUMENT } from '../contract/schema.ts'
import type { SplitWriter } from '../contract/sink.ts'
import { CHANGES, type Committed, type CommittedSplit, type Split } from '../contract/split.ts'
import { FerryError, RowError } from '../errors.ts'
import { type RateLimit, Slots } from './limits.ts'
import { RowGarbage } from './memory.ts'
import type { OpenTable } from './plan.ts'
import type { TableProgress } from './progress.ts'
import { type RowMapper, rowMapper } from './rows.ts'

/** A split that can say where it is commits at least after so many bytes, and so often. */
const COMMIT_BYTES = 64_000_000
const COMMIT_MS = 2000
/** The same for changes of a log, which are held in memory. */
const CHANGES_BYTES = 16_000_000
const CHANGES_ROWS = 50_000
/** Changes that wait for others to come hold a commit back for so long at most. */
const HOLD_MS = 60_000
/** Reading from a driver that never waits must let timers and signals have their turn this often. */
const TURN_MS = 25

/** What every store gives and takes. */
const ROWS: Offer = { encoding: 'rows' }

/** What the copy of a table needs from the run around it. */
export interface CopyContext {
  signal: AbortSignal
  /** Whether there was an earlier try. */
  resumed: boolean
  /** Aborted when an online copy is to end. */
  complete?: AbortSignal
  slots: Slots
  /** Splits that one table may have at work. */
  parallel: number
  rows?: RateLimit
  bytes?: RateLimit
  progress: TableProgress
  /** The splits as the run began with them; made and kept on the first call. */
  splits: () => Promise<{ splits: Split[]; known: Committed }>
  /** Records a commit in the state. */
  committed: (split: Split, done: boolean, progress: CommittedSplit, behind: Behind | undefined) => Promise<void>
  /** Keeps rows that were skipped since the checkpoint, before they are committed as skipped. */
  rejected: (split: Split, from: string | undefined, rows: Rejected[]) => Promise<void>
}

/** Copies what is left of a table and changes over. Throws what ended it; what is committed stays. */
export async function copyTable(table: OpenTable, context: CopyContext): Promise<void> {
  const { splits, known } = await context.splits()
  const snapshot = splits.filter(s => s.id !== CHANGES)
  const changes = splits.find(s => s.id === CHANGES)
  context.progress.splits = snapshot.length
  if (snapshot.length > 0 || !changes) await copySnapshot(table, context, snapshot, known)
  if (changes) await copyChanges(table, context, changes, known)
}

async function copySnapshot(table: OpenTable, context: CopyContext, splits: Split[], known: Committed): Promise<void> {
  const { sink } = table
  const { progress } = context
  const committed = await sink.prepare(known)
  if (!committed.published) {
    const open = splits.filter(split => {
      const done = committed.splits.get(split.id)
      if (!done) return true
      progress.rowsRead += done.rows
      progress.rowsCopied += done.rows
      progress.bytesRead += done.bytes
      if (done.checkpoint === undefined) progress.splitsDone++
      return done.checkpoint !== undefined
    })
    if (sink.unit === 'table') await copyTogether(table, context, splits)
    else await copyApart(table, context, open, committed)
    context.signal.throwIfAborted()
    await sink.publish()
  }
}

/** What the log tells behind the snapshot, in order. It waits for others that follow it: nobody waits for its slot. */
async function copyChanges(table: OpenTable, context: CopyContext, split: Split, known: Committed): Promise<void> {
  const { changes } = table.sink
  if (!changes) throw new FerryError('FERRY-9000', `${table.plan.to} takes no changes`)
  const before = await changes.committed(known.splits.get(CHANGES))
  if (before) {
    context.progress.rowsRead += before.rows
    context.progress.rowsCopied += before.rows
    context.progress.bytesRead += before.bytes
  }
  // From here on how far behind it is takes the place of how much is done.
  if (table.plan.read.online) context.progress.splits = 1
  const replays = table.plan.increment?.load !== 'changes'
  const { signal, resumed } = context
  const writer = await changes.open({ signal, from: before?.checkpoint, replays, resumed })
  const segment = new Segment(table, context, split, before, ROWS)
  try {
    await feed(table, { ...context, offer: ROWS }, split, before?.checkpoint, async batch => {
      await segment.take(batch, await segment.write(writer, batch))
      if (batch.kind === 'query' || batch.checkpoint === undefined) return
      if (!segment.isDueOfChanges()) return
      await segment.settle(writer)
      await segment.commitChanges(writer, batch.checkpoint)
    })
    context.signal.throwIfAborted()
    await segment.settle(writer)
    await segment.endChanges(writer)
  } catch (error) {
    await writer.abort()
    segment.undo()
    throw error
  }
}

/** Every split commits by itself. */
async function copyApart(table: OpenTable, context: CopyContext, splits: Split[], committed: Committed): Promise<void> {
  const queue = [...splits]
  const failures: unknown[] = []
  const lane = async () => {
    for (let split = queue.shift(); split && failures.length === 0; split = queue.shift()) {
      try {
        await context.slots.use(() => copySplit(table, context, split, committed.splits.get(split.id)))
      } catch (error) {
        failures.push(error)
      }
      if (context.signal.aborted) return
    }
  }
  const lanes = table.plan.write.inOrder ? 1 : table.sink.lanes
  await Promise.all(Array.from({ length: Math.min(lanes, splits.length) }, lane))
  if (failures.length > 0) throw failures[0]
}

async function copySplit(
  table: OpenTable,
  context: CopyContext,
  split: Split,
  before: CommittedSplit | undefined,
  offer: Offer = table.plan.offer,
): Promise<void> {
  if (context.signal.aborted) return
  const writer = await table.sink.open(split, offer, { signal: context.signal, from: before?.checkpoint })
  const segment = new Segment(table, context, split, before, offer)
  try {
    const writes = new InFlight(table.plan.write.inOrder ? 1 : (table.sink.inFlight ?? 1))
    await feed(table, { ...context, offer }, split, before?.checkpoint, async batch => {
      // Changes come behind all that was there before, and one after the other.
      const inOrder = batch.kind === 'rows' && batch.changes !== undefined
      if (inOrder) await writes.all()
      await writes.add(async () => segment.take(batch, await segment.write(writer, batch)))
      if (inOrder) await writes.all()
      if (batch.kind !== 'query' && batch.checkpoint !== undefined && segment.isDue(writer)) {
        await writes.all()
        await segment.settle(writer)
        await segment.commit(writer, batch.checkpoint)
      }
    })
    await writes.all()
    context.signal.throwIfAborted()
    await segment.settle(writer)
    await segment.commit(writer, undefined)
    context.progress.splitsDone++
  } catch (error) {
    await writer.abort()
    segment.undo()
    if (!(error instanceof NotAsBytes)) throw await explained(table, split, segment, error)
    await copySplit(table, context, split, segment.committed, ROWS)
  }
}

/** Work of which some may be under way at one time; the first failure ends it all. */
class InFlight {
  private readonly most: number
  private readonly running = new Set<Promise<void>>()
  private failure: { error: unknown } | undefined

  constructor(most: number) {
    this.most = most
  }

  /** Starts work, as soon as there is room for it; with room for one it is done when this returns. */
  async add(work: () => Promise<void>): Promise<void> {
    const running = work()
      .catch(error => {
        this.failure ??= { error }
      })
      .finally(() => this.running.delete(running))
    this.running.add(running)
    if (this.running.size >= this.most) await Promise.race(this.running)
    if (this.failure) await this.all()
  }

  async all(): Promise<void> {
    await Promise.all(this.running)
    if (this.failure) throw this.failure.error
  }
}

/** Bytes that passed unread are refused by the destination in its own words: the source knows file, line and column. */
async function explained(table: OpenTable, split: Split, segment: Segment, error: unknown): Promise<unknown> {
  const aboutData = error instanceof FerryError && /^FERRY-400[123]$/.test(error.code)
  if (!aboutData || table.plan.offer.encoding !== 'csv') return error
  return (await table.source.explain?.(split, segment.from)) ?? error
}

/** One commit for all splits, which feed one writer through its lanes. */
async function copyTogether(
  table: OpenTable,
  context: CopyContext,
  splits: Split[],
  offer: Offer = table.plan.offer,
): Promise<void> {
  const most = table.plan.write.inOrder ? 1 : table.sink.lanes
  const lanes = Math.max(1, Math.min(most, splits.length, context.parallel))
  const all: Split = { id: 0, label: 'all', spec: '' }
  const queue = [...splits]
  const done = context.progress.splitsDone
  const turns = new Slots(1)
  let asRows = false
  await context.slots.use(async () => {
    const writer = await table.sink.open(all, offer, { signal: context.signal })
    const segment = new Segment(table, context, all, undefined, offer)
    const failures: unknown[] = []
    const lane = async () => {
      for (let split = queue.shift(); split && failures.length === 0; split = queue.shift()) {
        try {
          await feed(table, { ...context, offer }, split, undefined, async batch => {
            await turns.use(async () => segment.take(batch, await segment.write(writer, batch)))
          })
          context.progress.splitsDone++
        } catch (error) {
          failures.push(error)
        }
      }
    }
    try {
      await Promise.all(Array.from({ length: lanes }, lane))
      if (failures.length > 0) throw failures[0]
      context.signal.throwIfAborted()
      await segment.commit(writer, undefined)
    } catch (error) {
      await writer.abort()
      segment.undo()
      if (!(error instanceof NotAsBytes)) throw error
      context.progress.splitsDone = done
      asRows = true
    }
  })
  if (asRows) await copyTogether(table, context, splits, ROWS)
}

/** Reads a split batch by batch, within the limits, until it ends or the run is stopped. */
async function feed(
  table: OpenTable,
  context: CopyContext & { offer: Offer },
  split: Split,
  from: string | undefined,
  take: (batch: Batch) => Promise<void>,
): Promise<void> {
  let turn = performance.now()
  const garbage = new RowGarbage()
  const options = {
    signal: context.signal,
    offer: context.offer,
    ...(from === undefined ? {} : { from }),
    ...(context.complete === undefined ? {} : { complete: context.complete }),
  }
  for await (const batch of table.source.read(split, options)) {
    await context.bytes?.take(batch.bytes, context.signal)
    if (batch.kind === 'rows') await context.rows?.take(batch.rows.length, context.signal)
    context.signal.throwIfAborted()
    await take(batch)
    if (batch.kind === 'rows') garbage.passed(batch.bytes, batch.rows.length)
    if (performance.now() - turn > TURN_MS) {
      await setImmediate()
      context.signal.throwIfAborted()
      turn = performance.now()
    }
  }
}

/** What was written since the last commit, with the rows that were skipped in it. */
class Segment {
  bytes = 0
  private rows = 0
  private committedAt = performance.now()
  /** Changes since the last commit, and the last place to stop at. */
  private held = 0
  private last: string | undefined
  private behind: Behind | undefined
  private total: { rows: number; bytes: number }
  /** The checkpoint that what was written since the last commit began at. */
  from: string | undefined
  private rejected: Rejected[] = []
  private readonly table: OpenTable
  private readonly context: CopyContext
  private readonly split: Split
  private readonly map: RowMapper | undefined
  private readonly keyAt: { name: string; at: number }[]

  constructor(table: OpenTable, context: CopyContext, split: Split, before: CommittedSplit | undefined, offer: Offer) {
    this.table = table
    this.context = context
    this.split = split
    this.from = before?.checkpoint
    this.total = { rows: before?.rows ?? 0, bytes: before?.bytes ?? 0 }
    const columns = table.source.rowColumns
    this.map = offer.encoding === 'rows' ? rowMapper(columns, table.plan.read.columns) : undefined
    const keys = table.plan.write.keys.map(k => table.plan.read.columns.find(c => c.name === k)?.from)
    this.keyAt = keys.flatMap(name => {
      const at = columns.findIndex(c => c.name === name)
      return at < 0 ? [] : [{ name: name!, at }]
    })
  }

  /** Maps and writes a batch; gives back how many rows were written. */
  async write(writer: SplitWriter, batch: Batch): Promise<number | undefined> {
    if (batch.kind !== 'rows') {
      if (batch.kind === 'query' || batch.data.length > 0) await writer.write(batch)
      return batch.kind === 'bytes' ? batch.rows : undefined
    }
    const skip = this.table.plan.onRowError === 'skip'
    if (batch.rejected) this.reject(batch.rejected)
    const mapped = this.map ? this.mapRows(batch, skip) : batch
    const { rows } = mapped
    if (rows.length === 0) return 0
    try {
      const refused = await writer.write(mapped)
      for (const { index, error } of refused) {
        const original = this.map ? (sources.get(rows[index]!) ?? rows[index]!) : rows[index]!
        this.reject([this.rejection(original, error)])
      }
      return rows.length - refused.length
    } catch (error) {
      throw this.explain(error, rows)
    }
  }

  private mapRows(batch: RowBatch, skip: boolean): RowBatch {
    const mapped: Row[] = []
    const kept: number[] = []
    for (const [i, row] of batch.rows.entries()) {
      try {
        const out = row.length === 0 ? row : this.map!(row)
        if (skip) sources.set(out, row)
        mapped.push(out)
        kept.push(i)
      } catch (error) {
        if (!(error instanceof RowError)) throw error
        if (!skip) {
          throw new RowError(error.code, `${this.table.plan.from}${this.place(row)}: ${error.message}`, error.column)
        }
        this.reject([this.rejection(row, error)])
      }
    }
    if (!batch.changes) return { ...batch, rows: mapped }
    const { changes, unchanged, before, times } = batch
    return {
      ...batch,
      rows: mapped,
      changes: kept.map(i => changes[i]!),
      ...(unchanged ? { unchanged: kept.map(i => this.mapPlaces(unchanged[i])) } : {}),
      ...(before ? { before: kept.map(i => before[i] && this.map!(before[i])) } : {}),
      ...(times ? { times: kept.map(i => times[i]!) } : {}),
    }
  }

  /** Where values of the source stand in a row of the destination. */
  private mapPlaces(places: readonly number[] | undefined): number[] | undefined {
    if (!places) return undefined
    const { rowColumns } = this.table.source
    const names = new Set(places.map(at => rowColumns[at]!.name))
    return this.table.plan.read.columns.flatMap((c, i) => (c.from !== undefined && names.has(c.from) ? [i] : []))
  }

  /** An error of the sink names its column and the row's position: the table and the row's key are added here. */
  private explain(error: unknown, rows: Row[]): unknown {
    if (!(error instanceof RowError) || error.isPlaced) return error
    const row = error.index === undefined ? undefined : rows[error.index]
    const { columns, keys } = this.table.plan.write
    const key = keys.map(name => columns.findIndex(c => c.name === name)).filter(at => at >= 0)
    const named = (from: Row) => key.map(at => `, ${columns[at]!.name} ${shown(from[at]!, columns[at]!)}`).join('')
    const place = row ? named(row) || documentPlace(row, columns) : ''
    return new RowError(error.code, `${this.table.plan.to}${place}: ${error.message}`, error.column, {
      cause: error.cause,
    })
  }

  private place(row: Row): string {
    const { rowColumns } = this.table.source
    const parts = this.keyAt.map(({ name, at }) => `${name} ${shown(row[at]!, rowColumns[at]!)}`)
    return parts.length > 0 ? `, ${parts.join(', ')}` : documentPlace(row, rowColumns)
  }

  private rejection(row: Row, error: FerryError): Rejected {
    const { rowColumns } = this.table.source
    const values = Object.fromEntries(
      rowColumns.map((c, i) => [c.name, row[i] === null ? null : shown(row[i]!, c)] as const),
    )
    return {
      place: this.place(row).replace(/^, /, ''),
      reason: error.message,
      values,
      ...(error instanceof RowError && error.column !== undefined ? { column: error.column } : {}),
    }
  }

  private reject(rows: Rejected[]): void {
    this.rejected.push(...rows)
    this.context.progress.rowsSkipped += rows.length
    this.context.progress.rowsRead += rows.length
  }

  /** What is committed of the split; undefined where nothing is. */
  get committed(): CommittedSplit | undefined {
    return this.from === undefined ? undefined : { checkpoint: this.from, ...this.total }
  }

  /** Takes back what was counted since the last commit. */
  undo(): void {
    const { progress } = this.context
    progress.bytesRead -= this.bytes
    progress.rowsRead -= this.rows + this.rejected.length
    progress.rowsCopied -= this.rows
    progress.rowsSkipped -= this.rejected.length
    this.bytes = 0
    this.rows = 0
    this.rejected = []
  }

  /** Whether it is time to commit what was written: much of it, for some time, or all that there is for now. */
  isDue({ held = 0 }: SplitWriter): boolean {
    if (this.behind?.changes === 0) return true
    const since = performance.now() - this.committedAt
    return held > 0 ? since >= HOLD_MS : this.bytes >= COMMIT_BYTES || since >= COMMIT_MS
  }

  /** Changes are held in memory until they are committed, and seen as soon as there are no more for now. */
  isDueOfChanges(): boolean {
    if (this.behind?.changes === 0) return true
    const since = performance.now() - this.committedAt
    return this.held >= CHANGES_ROWS || this.bytes >= CHANGES_BYTES || since >= COMMIT_MS
  }

  /** Where nothing was written since, only the state learns of the place: quiet tables cost the destination nothing. */
  async commitChanges(writer: SplitWriter, checkpoint: string): Promise<void> {
    const { context, split } = this
    if (this.held > 0) await this.commit(writer, checkpoint)
    else {
      this.from = checkpoint
      this.committedAt = performance.now()
      await context.committed(split, false, { checkpoint, ...this.total }, this.behind)
    }
    this.held = 0
    this.table.source.confirm?.(checkpoint)
  }

  async endChanges(writer: SplitWriter): Promise<void> {
    // Never done: what goes on after a crash reads up to a later end.
    if (this.last !== undefined) await this.commitChanges(writer, this.last)
  }

  /** What waits for changes to come is written or refused: all that are known are written. */
  async settle(writer: SplitWriter): Promise<void> {
    if (!writer.held) return
    for (const { row, error } of (await writer.settle?.()) ?? []) {
      if (this.table.plan.onRowError !== 'skip') throw this.explain(error, [row])
      const { progress } = this.context
      this.rows--
      progress.rowsRead--
      progress.rowsCopied--
      this.reject([this.rejection(this.map ? (sources.get(row) ?? row) : row, error)])
    }
  }

  async take(batch: Batch, written: number | undefined): Promise<void> {
    const { progress } = this.context
    this.bytes += batch.bytes
    if (batch.kind === 'rows') this.held += batch.rows.length
    if (batch.kind !== 'query') this.last = batch.checkpoint ?? this.last
    if (batch.kind === 'rows' && batch.behind) {
      this.behind = batch.behind
      progress.behind.set(this.split.id, batch.behind)
    }
    progress.bytesRead += batch.bytes
    if (written === undefined) return
    this.rows += written
    progress.rowsRead += written
    progress.rowsCopied += written
  }

  async commit(writer: SplitWriter, checkpoint: string | undefined): Promise<void> {
    const { context, split } = this
    if (this.table.plan.onRowError === 'skip') await context.rejected(split, this.from, this.rejected)
    const result = await writer.commit(checkpoint, { rows: this.rows, bytes: this.bytes })
    // Where bytes passed unread only the store knows how many rows they were.
    if (result.rows !== undefined && this.rows === 0) {
      this.rows = result.rows
      context.progress.rowsRead += result.rows
      context.progress.rowsCopied += result.rows
    }
    context.progress.bytesWritten += result.bytesWritten ?? this.bytes
    this.total = { rows: this.total.rows + this.rows, bytes: this.total.bytes + this.bytes }
    await context.committed(split, checkpoint === undefined, { checkpoint, ...this.total }, this.behind)
    this.committedAt = performance.now()
    this.rows = 0
    this.bytes = 0
    this.rejected = []
    this.from = checkpoint
  }
}

/** Of a row that is a whole document, its id. */
function documentPlace(row: Row, columns: { name: string }[]): string {
  if (columns[0]?.name !== DOCUMENT) return ''
  const id = members(row[0] as string).find(([name]) => name === 'id')?.[1]
  return id === undefined ? '' : `, id ${id.replace(/^"|"$/g, '')}`
}

/** The source row that a mapped row came from, while its batch is on its way. */
const sources = new WeakMap<Row, Row>()

function shown(value: Row[number], column: Pick<Column, 'type'>): string {
  return value === null ? 'null' : formatText(value, column.type)
}
