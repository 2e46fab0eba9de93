/**
 * What a destination promises of its commits, called as a run calls it: by a process that ends in between, by one that has
 * lost its run, and by the next one.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it, onTestFinished } from 'vitest'
import { randomOf, seedOf } from '../../../../test/seed.ts'
import type { Row } from '../../batch/types.ts'
import { FerryError } from '../../errors.ts'
import type { SinkTable } from '../sink.ts'
import type { Committed } from '../split.ts'
import type { UpdateMethod } from '../write.ts'
import {
  COLUMNS,
  completed,
  found,
  into,
  newState,
  numbered,
  open,
  type Place,
  rowsOf,
  type Subject,
  source,
} from './subject.ts'
import { NOTHING, SPLIT, type Taken, type TakeOptions, takeFrom } from './taken.ts'

const seed = seedOf('commits of the conformance suite')

async function write({ table }: Taken, rows: Row[], { from, ends = true }: { from?: string; ends?: boolean } = {}) {
  const writer = await table.open(SPLIT, { encoding: 'rows' }, from === undefined ? {} : { from })
  try {
    await writer.write({ kind: 'rows', rows, bytes: rows.length * 10 })
    if (ends) await writer.commit(undefined, { rows: rows.length, bytes: rows.length * 10 })
  } catch (error) {
    await writer.abort()
    throw error
  }
  return writer
}

/** Publishes and forgets, each twice: both can be repeated. */
async function end({ table, close }: Taken): Promise<void> {
  for (const _ of [1, 2]) await table.publish()
  for (const _ of [1, 2]) await table.forget()
  await close()
}

export function commits({ kind, make, isLocked, isWhole, kills = 4 }: Subject, update: UpdateMethod): void {
  const { transactional } = kind.abilities
  const begin = async (place: Place, { name = 'copy', ...more }: TakeOptions & { name?: string } = {}) => {
    const words = { object: place.object(name), write: place.write ?? {}, update }
    const taken = await takeFrom(await open(place), words, COLUMNS, more)
    onTestFinished(() => taken.close().catch(() => undefined))
    return taken
  }

  it.each([
    ['the state knows', true],
    ['the state does not know', false],
  ])('knows what a process has committed that ended in the middle of a split: %s', async (_, learned) => {
    const place = await make()
    const first = await begin(place)
    const writer = await first.table.open(SPLIT, { encoding: 'rows' }, {})
    await writer.write({ kind: 'rows', rows: rowsOf(0, 10), bytes: 100 })
    let known: Committed = NOTHING
    // Where all splits are one commit there is none before the end.
    if (first.table.unit === 'split') {
      await writer.commit('after 10', { rows: 10, bytes: 100 })
      await writer.write({ kind: 'rows', rows: rowsOf(10, 13), bytes: 30 })
      await writer.commit('after 13', { rows: 3, bytes: 30 })
      await writer.write({ kind: 'rows', rows: rowsOf(13, 15), bytes: 20 })
      if (learned)
        known = { splits: new Map([[0, { checkpoint: 'after 13', rows: 13, bytes: 130 }]]), published: false }
    }
    // Without `abort`: a process that is killed calls nothing.
    await first.close()
    const next = await begin(place, { epoch: 2, known })
    const had = next.committed.splits.get(0)
    expect(next.committed.published).toBe(false)
    if (had) expect(had).toEqual({ checkpoint: 'after 13', rows: 13, bytes: 130 })
    const [from, more] = had ? [13, { from: had.checkpoint! }] : [0, {}]
    await write(next, rowsOf(from, 20), more)
    await end(next)
    expect(await found(place)).toEqual(numbered(0, 20))
  })

  it('knows that a split is done, and that all are published', async () => {
    const place = await make()
    const first = await begin(place)
    await write(first, rowsOf(0, 10))
    await first.close()
    const known: Committed = {
      splits: new Map([[0, { checkpoint: undefined, rows: 10, bytes: 100 }]]),
      published: false,
    }
    const second = await begin(place, { epoch: 2, known })
    if (!second.committed.published) {
      if (!second.committed.splits.has(0)) await write(second, rowsOf(0, 10))
      await second.table.publish()
    }
    await second.close()
    // The state has not recorded the end: another process does it again.
    const third = await begin(place, { epoch: 3, known })
    if (!third.committed.published) {
      if (!third.committed.splits.has(0)) await write(third, rowsOf(0, 10))
    }
    await end(third)
    expect(await found(place)).toEqual(numbered(0, 10))
  })

  it('keeps the tables of a run apart', async () => {
    const place = await make()
    const one = await begin(place)
    const other = await begin(place, { session: one.session, ordinal: 1, name: 'other' })
    await write(one, rowsOf(0, 10))
    await write(other, rowsOf(0, 10, 100))
    for (const { table } of [one, other]) await table.publish()
    await end(other)
    expect(await found(place)).toEqual(numbered(0, 10))
    expect(await found(place, 'other')).toEqual(numbered(0, 10, 100))
  })

  it('forgets what a writer has not committed', async () => {
    const place = await make()
    const taken = await begin(place)
    // Without transactions rows may stay: those that are written again.
    const writer = await write(taken, transactional ? rowsOf(50, 60) : rowsOf(0, 10), { ends: false })
    await writer.abort()
    await write(taken, rowsOf(0, 12))
    await end(taken)
    expect(await found(place)).toEqual(numbered(0, 12))
  })

  it.skipIf(isLocked)('lets a process that has lost its run write nothing more', async () => {
    const place = await make()
    const lost = { is: false }
    // Without transactions of the destination the state is asked; with them a late answer must not help.
    const late = async () => {
      if (lost.is && !transactional) throw new FerryError('FERRY-5004', 'the run was taken over by another process')
    }
    const former = await begin(place, { confirm: late })
    const writer = await former.table.open(SPLIT, { encoding: 'rows' }, {})
    lost.is = true
    const next = await begin(place, { epoch: 2 })
    expect(next.committed.splits.size).toBe(0)
    const writes = async () => {
      await writer.write({ kind: 'rows', rows: [['late', 1]], bytes: 10 })
      await writer.commit(undefined, { rows: 1, bytes: 10 })
      await former.table.publish()
    }
    await expect(writes()).rejects.toBeInstanceOf(FerryError)
    await writer.abort().catch(() => undefined)
    await write(next, [['r0', 0]])
    await end(next)
    expect(await found(place)).toEqual(['r0 0'])
  })

  it.skipIf(update === 'append' && isWhole)('shows nothing of a run that is given up, or says so', async () => {
    const place = await make()
    await completed(await newState(), into(place, source(10).endpoint, update))
    const objects = await (await open(place)).objects()
    const first = await begin(place)
    await write(first, rowsOf(10, 15, 1000))
    // What is published is the whole of an overwrite, at once.
    if (update === 'overwrite') expect(await found(place)).toEqual(numbered(0, 10))
    await first.close()
    const next = await begin(place, { epoch: 2, isGivenUp: true })
    const remains = await next.table.discard()
    await next.close()
    if (update === 'overwrite') expect(remains).toBe(false)
    const kept = remains ? numbered(10, 15, 1000) : []
    expect(await found(place)).toEqual([...numbered(0, 10), ...kept].sort())
    expect(await (await open(place)).objects()).toEqual(objects)
    // Nothing of it blocks the next run.
    const later = await begin(place, { run: '20260102T000000.000-abcd' })
    expect(later.committed).toEqual(NOTHING)
    await write(later, rowsOf(20, 25))
    await end(later)
    const before = update === 'overwrite' ? [] : [...numbered(0, 10), ...kept]
    expect(await found(place)).toEqual([...before, ...numbered(20, 25)].sort())
  })

  it.runIf(kills > 0 && update === kind.abilities.update[0])(
    `has each row once after ${kills} processes were killed while they committed`,
    async () => {
      const place = await make()
      const random = randomOf(seed)
      let known: Committed = NOTHING
      let epoch = 1
      for (; epoch <= kills; epoch++) {
        const child = start(place, update, epoch, known)
        const exited = once(child, 'exit')
        const told = await committing(child, exited)
        await sleep(random() * 60)
        expect(child.exitCode, 'the process ended by itself').toBeNull()
        child.kill('SIGKILL')
        await exited
        known = told.known()
      }
      const last = await begin(place, { epoch, known })
      if (!last.committed.published) await finish(last.table, last.committed)
      await end(last)
      expect(await found(place)).toEqual(numbered(0, ROWS))
    },
    60_000,
  )
}

/** Of the split that a killed process writes, a row a commit. */
const ROWS = 300

async function finish(table: SinkTable, { splits }: Committed): Promise<void> {
  const had = splits.get(0)
  if (had && had.checkpoint === undefined) return
  const writer = await table.open(SPLIT, { encoding: 'rows' }, had ? { from: had.checkpoint! } : {})
  const rows = rowsOf(Number(had?.checkpoint ?? 0), ROWS)
  await writer.write({ kind: 'rows', rows, bytes: rows.length })
  await writer.commit(undefined, { rows: rows.length, bytes: rows.length })
}

function start(place: Place, update: UpdateMethod, epoch: number, { splits, published }: Committed): ChildProcess {
  const { endpoint, write = {} } = place
  const words = {
    endpoint,
    write,
    object: place.object('copy'),
    update,
    epoch,
    known: { splits: [...splits], published },
  }
  const script = new URL('./killed.ts', import.meta.url).pathname
  const child = spawn(process.execPath, [script, JSON.stringify({ ...words, rows: ROWS })], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: process.env,
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  return child
}

/** Waits until a process begins to commit. `known` gives the commits that it has printed so far, as the state would have them. */
async function committing(child: ChildProcess, exited: Promise<unknown>): Promise<{ known: () => Committed }> {
  let text = ''
  let begins: () => void = () => {}
  const begun = new Promise<void>(resolve => {
    begins = resolve
  })
  child.stdout!.setEncoding('utf8').on('data', chunk => {
    text += chunk
    if (text.includes('\n')) begins()
  })
  await Promise.race([begun, exited])
  const known = (): Committed => {
    const rows = text.split('\n').slice(0, -1).map(Number).at(-1) ?? 0
    if (rows === 0) return NOTHING
    const checkpoint = rows === ROWS ? undefined : String(rows)
    return { splits: new Map([[0, { checkpoint, rows, bytes: rows }]]), published: false }
  }
  return { known }
}
