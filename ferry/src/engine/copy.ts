/** Copying one table: splits in parallel, each read, mapped, written and committed with its checkpoint. */
import { setImmediate } from 'node:timers/promises'
import { type Batch, type Checkpoint, NotAsBytes } from '../batch/encoding.ts'
import type { ChangeFeed } from '../contract/changefeed.ts'
import { type Offer, ROWS } from '../contract/encodings.ts'
import type { ReadOptions } from '../contract/read.ts'
import type { Committed, CommittedSplit, Split } from '../contract/split.ts'
import { FerryError } from '../errors.ts'
import type { Journal } from './journal.ts'
import { type RateLimit, Slots } from './limits.ts'
import { RowGarbage } from './memory.ts'
import type { TableProgress } from './progress.ts'
import { Segment } from './segment.ts'
import type { OpenTable } from './tableplan.ts'

/** Reading from a driver that never waits must let timers and signals have their turn this often. */
const TURN_MS = 25

/** What the copy of a table needs beside the table: how it is to work, and where it records what it does. */
export interface CopyWork {
  /** Ends the copy; what is committed stays. */
  signal: AbortSignal
  /** Aborted when an online copy is to end. */
  complete?: AbortSignal
  /** True if there was an earlier try of the run. */
  resumed: boolean
  /** Splits at work, of all tables. */
  slots: Slots
  /** Splits at work that feed one file. */
  parallel: number
  rows?: RateLimit | undefined
  bytes?: RateLimit | undefined
  progress: TableProgress
  journal: Journal
}

/** Copies what is left of a table, and publishes it. Throws what ended it; what is committed stays. */
export async function copyTable(table: OpenTable, work: CopyWork): Promise<void> {
  const { feed, source, plan } = table
  const cut = async () => (feed && !feed.snapshot ? [] : source.splits(plan.offer))
  const { splits, known } = await work.journal.splits(cut)
  work.progress.splits = splits.length
  if (!feed || feed.snapshot) await copySnapshot(table, work, splits, known)
  if (feed) await copyChanges(table, feed, work, known)
}

async function copySnapshot(table: OpenTable, work: CopyWork, splits: Split[], known: Committed): Promise<void> {
  const { sink } = table
  const committed = await sink.prepare(known)
  if (committed.published) {
    for (const split of committed.splits.values()) countCommitted(work.progress, split)
    work.progress.splitsDone = splits.length
    return
  }
  const open = splits.filter(split => {
    const done = committed.splits.get(split.id)
    if (!done) return true
    countCommitted(work.progress, done)
    if (done.checkpoint === undefined) work.progress.splitsDone++
    return done.checkpoint !== undefined
  })
  if (sink.unit === 'table') await copyTogether(table, work, splits)
  else await copyApart(table, work, open, committed)
  work.signal.throwIfAborted()
  await sink.publish()
}

/** Copies the changes behind the snapshot, in order. It takes no slot: the feeds of a run wait for each other. */
async function copyChanges(table: OpenTable, feed: ChangeFeed, work: CopyWork, known: Committed): Promise<void> {
  const { changes } = table.sink
  if (!changes) throw new FerryError('FERRY-9000', `${table.plan.to} takes no changes`)
  const before = await changes.committed(known.splits.get('feed'))
  if (before) countCommitted(work.progress, before)
  // From here on how far behind it is takes the place of how much is done.
  if (table.plan.read.online) work.progress.splits = 1
  const replays = table.plan.increment?.load !== 'changes'
  const { signal, resumed } = work
  const writer = await changes.open({ signal, from: before?.checkpoint, replays, resumed })
  const segment = new Segment(table, work, 'feed', before, ROWS)
  try {
    await each(feed.read(readOptions(work, before?.checkpoint)), work, async batch => {
      await segment.take(writer, batch)
      if (batch.kind === 'query' || batch.checkpoint === undefined || !segment.isDueOfChanges()) return
      await segment.settle(writer)
      await segment.commitChanges(writer, batch.checkpoint)
    })
    signal.throwIfAborted()
    await segment.settle(writer)
    await segment.endChanges(writer)
  } catch (error) {
    await writer.abort()
    segment.undo()
    throw error
  }
}

function countCommitted(progress: TableProgress, { rows, bytes }: CommittedSplit): void {
  progress.rowsRead += rows
  progress.rowsCopied += rows
  progress.bytesRead += bytes
}

/** Every split commits by itself. */
async function copyApart(table: OpenTable, work: CopyWork, splits: Split[], committed: Committed): Promise<void> {
  const queue = [...splits]
  const failures: unknown[] = []
  const lane = async () => {
    for (let split = queue.shift(); split && failures.length === 0; split = queue.shift()) {
      try {
        await work.slots.use(() => copySplit(table, work, split, committed.splits.get(split.id)))
      } catch (error) {
        failures.push(error)
      }
      if (work.signal.aborted) return
    }
  }
  const lanes = table.plan.write.inOrder ? 1 : table.sink.lanes
  await Promise.all(Array.from({ length: Math.min(lanes, splits.length) }, lane))
  if (failures.length > 0) throw failures[0]
}

/** Copies one split to its end, from its last commit. What it commits and rejects goes to the journal. */
export async function copySplit(
  table: OpenTable,
  work: CopyWork,
  split: Split,
  before: CommittedSplit | undefined,
  offer: Offer = table.plan.offer,
): Promise<void> {
  if (work.signal.aborted) return
  const writer = await table.sink.open(split, offer, { signal: work.signal, from: before?.checkpoint })
  const segment = new Segment(table, work, split.id, before, offer)
  try {
    const writes = new InFlight(table.plan.write.inOrder ? 1 : (table.sink.inFlight ?? 1))
    const batches = table.source.read(split, { offer, ...readOptions(work, before?.checkpoint) })
    await each(batches, work, async batch => {
      // Changes come behind all that was there before, and one after the other.
      const inOrder = batch.kind === 'rows' && batch.changes !== undefined
      if (inOrder) await writes.all()
      await writes.add(() => segment.take(writer, batch))
      if (inOrder) await writes.all()
      if (batch.kind !== 'query' && batch.checkpoint !== undefined && segment.isDue(writer)) {
        await writes.all()
        await segment.settle(writer)
        await segment.commit(writer, batch.checkpoint)
      }
    })
    await writes.all()
    work.signal.throwIfAborted()
    await segment.settle(writer)
    await segment.commit(writer, undefined)
    work.progress.splitsDone++
  } catch (error) {
    await writer.abort()
    segment.undo()
    if (!(error instanceof NotAsBytes)) throw await explained(table, split, segment, error)
    await copySplit(table, work, split, segment.committed, ROWS)
  }
}

/** Tasks of which a limited number runs at a time; the first failure stops all. */
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
  work: CopyWork,
  splits: Split[],
  offer: Offer = table.plan.offer,
): Promise<void> {
  const most = table.plan.write.inOrder ? 1 : table.sink.lanes
  const lanes = Math.max(1, Math.min(most, splits.length, work.parallel))
  const all: Split = { id: 0, label: 'all', spec: '' }
  const queue = [...splits]
  const done = work.progress.splitsDone
  const oneAtATime = new Slots(1)
  let asRows = false
  await work.slots.use(async () => {
    const writer = await table.sink.open(all, offer, { signal: work.signal })
    const segment = new Segment(table, work, all.id, undefined, offer)
    const failures: unknown[] = []
    const lane = async () => {
      for (let split = queue.shift(); split && failures.length === 0; split = queue.shift()) {
        try {
          const batches = table.source.read(split, { offer, ...readOptions(work, undefined) })
          await each(batches, work, batch => oneAtATime.use(() => segment.take(writer, batch)))
          work.progress.splitsDone++
        } catch (error) {
          failures.push(error)
        }
      }
    }
    try {
      await Promise.all(Array.from({ length: lanes }, lane))
      if (failures.length > 0) throw failures[0]
      work.signal.throwIfAborted()
      await segment.commit(writer, undefined)
    } catch (error) {
      await writer.abort()
      segment.undo()
      if (!(error instanceof NotAsBytes)) throw error
      work.progress.splitsDone = done
      asRows = true
    }
  })
  if (asRows) await copyTogether(table, work, splits, ROWS)
}

function readOptions({ signal, complete }: CopyWork, from: Checkpoint | undefined): Omit<ReadOptions, 'offer'> {
  return { signal, from, complete }
}

/** Hands batches over within the limits, until they end or the run is stopped. */
async function each(
  batches: AsyncIterable<Batch>,
  work: CopyWork,
  take: (batch: Batch) => Promise<void>,
): Promise<void> {
  const { signal, rows, bytes } = work
  let turn = performance.now()
  const garbage = new RowGarbage()
  for await (const batch of batches) {
    await bytes?.take(batch.bytes, signal)
    if (batch.kind === 'rows') await rows?.take(batch.rows.length, signal)
    signal.throwIfAborted()
    await take(batch)
    if (batch.kind === 'rows') garbage.passed(batch.bytes, batch.rows.length)
    if (performance.now() - turn > TURN_MS) {
      await setImmediate()
      signal.throwIfAborted()
      turn = performance.now()
    }
  }
}
