/** Runs that wait for a worker. */
import type { Kysely } from 'kysely'
import { FerryError } from '../errors.ts'
import { beginAttempt, endDead } from './attempts.ts'
import { type Claimed, identity, lockUnfinished, newRun } from './claims.ts'
import { isAlive, self } from './owner.ts'
import { unfinished } from './runs.ts'
import type { RunRow, Schema, Wish } from './schema.ts'
import { type Asked, askedOf } from './texts.ts'
import { databaseNow, databaseTime, iso } from './time.ts'

/** The queue of all jobs that servers and workers execute. No connection has such a name. */
export const JOBS = ':jobs'

export type Asking = Asked & {
  /** `manual`, `schedule:NAME`, `trigger:NAME`. */
  by: string
  /** What becomes of it while the job runs: nothing, or it waits, or the running one is cancelled. */
  overlap: 'skip' | 'queue' | 'cancel'
}

/** The outcome of a request for a run: one is resumed, a new one, or none because the job runs or is paused. */
export type Answer = { row: RunRow; outcome: 'resumed' | 'queued' | 'running' | 'paused' }

/**
 * Asks for a run of a job. An unfinished one is resumed, unless the job was edited since or everything is to be copied
 * again: then a new one discards it when it begins. A run that a user has paused only a user resumes.
 */
export async function askForRun(db: Kysely<Schema>, job: string, asking: Asking): Promise<Answer> {
  return db.transaction().execute(tx => askWithin(tx, job, asking))
}

/** The same as a part of a transaction. */
export async function askWithin(tx: Kysely<Schema>, job: string, asking: Asking): Promise<Answer> {
  const { by, overlap, fresh, only } = asking
  const now = await databaseNow(tx)
  // The job's line keeps others out until this is decided.
  await tx.updateTable('job').set({ name: job }).where('name', '=', job).execute()
  const kept = await tx.selectFrom('job').select('definition').where('name', '=', job).executeTakeFirst()
  if (!kept) throw new FerryError('FERRY-1007', `there is no job "${job}"`)
  const rows = await tx
    .selectFrom('run')
    .selectAll()
    .where('job', '=', job)
    .where(unfinished)
    .orderBy('id', 'desc')
    .execute()
  const asked = JSON.stringify({ ...(fresh ? { fresh } : {}), ...(only?.length ? { only } : {}) } satisfies Asked)
  // A run that is to be cancelled is discarded by the next worker.
  const waits = rows.find(r => r.state === 'pending' && r.wish !== 'cancel' && !isAlive(r, now))
  if (waits) return { row: waits, outcome: 'running' }
  // A run that a worker has abandoned is resumed by another one.
  const isLeft = (r: RunRow) => r.queue !== null && ['planning', 'running', 'completing'].includes(r.state)
  const active = rows.find(r => isAlive(r, now) || isLeft(r))
  if (active && overlap === 'skip') return { row: active, outcome: 'running' }
  if (active && overlap === 'cancel') {
    await tx.updateTable('run').set({ wish: 'cancel', changed_at: now }).where('id', '=', active.id).execute()
  }
  const former = active ? undefined : rows[0]
  if (former?.state === 'paused' && by !== 'manual') return { row: former, outcome: 'paused' }
  const mayGoOn = former && former.wish !== 'cancel' && !fresh && !only?.length && !isOfSome(former)
  const goesOn = mayGoOn && identity(former.definition) === identity(kept.definition)
  if (goesOn) return { row: await putBack(tx, former, by, now), outcome: 'resumed' }
  const row: RunRow = { ...(await newRun(tx, job, kept.definition, JOBS)), invoked_by: by, asked }
  await tx.insertInto('run').values(row).execute()
  return { row, outcome: 'queued' }
}

/** Whether a run was asked for some of its job's tables: who asks for the job means all of them. */
function isOfSome({ asked }: RunRow): boolean {
  return askedOf(asked).only !== undefined
}

/** Resumes an unfinished run as it began, also if its job has changed since. Throws FERRY-5006 where it is ended or at work. */
export async function resumeQueued(db: Kysely<Schema>, id: string): Promise<RunRow> {
  return db.transaction().execute(async tx => {
    const row = await lockUnfinished(tx, id)
    const now = await databaseNow(tx)
    if (isAlive(row, now)) throw new FerryError('FERRY-5006', `run ${row.id} is at work: it cannot be resumed`)
    return putBack(tx, row, 'manual', now)
  })
}

async function putBack(tx: Kysely<Schema>, row: RunRow, by: string, now: number): Promise<RunRow> {
  const again = { queue: JOBS, state: 'pending', error: null, ended_at: null, invoked_by: by } as const
  const wish: Wish | null = row.wish === 'complete' ? 'complete' : null
  const worked_ms = await endDead(tx, row)
  const set: RunRow = { ...row, ...again, wish, worked_ms, owner_pid: null, deaths: 0, changed_at: now }
  await tx.updateTable('run').set(set).where('id', '=', row.id).execute()
  return set
}

/**
 * How many runs of a queue are at work, anywhere; and those that could begin, the oldest first: one of each job that nobody
 * executes.
 */
export async function queueNow(
  db: Kysely<Schema>,
  queue: string,
): Promise<{ atWork: number; waiting: Pick<RunRow, 'id' | 'job'>[] }> {
  const rows = await db
    .selectFrom('run')
    .select(['id', 'job', 'queue', 'owner_pid', 'owner_host', 'owner_started', 'heartbeat_at'])
    .where('state', 'in', ['pending', 'planning', 'running', 'completing'])
    .orderBy('id')
    .execute()
  const now = await databaseNow(db)
  const alive = rows.filter(r => isAlive(r, now))
  const busy = new Set(alive.map(r => r.job))
  const waiting = rows.filter(r => {
    if (r.queue !== queue || busy.has(r.job)) return false
    busy.add(r.job)
    return true
  })
  return { atWork: alive.filter(r => r.queue === queue).length, waiting }
}

/** The oldest waiting run of a queue whose job is not at work; none if `most` runs are. */
async function nextOf(db: Kysely<Schema>, queue: string, most: number): Promise<RunRow | undefined> {
  const { atWork, waiting } = await queueNow(db, queue)
  if (atWork >= most || !waiting[0]) return undefined
  return db.selectFrom('run').selectAll().where('id', '=', waiting[0].id).executeTakeFirst()
}

/** Keeps a new job with a run that waits in a queue. Throws FERRY-1008 where there is a job of that name. */
export async function enqueueJob(
  db: Kysely<Schema>,
  job: { name: string; definition: string; queue: string },
): Promise<RunRow> {
  const { name, definition, queue } = job
  return db.transaction().execute(async tx => {
    const row = await newRun(tx, name, definition, queue)
    const made = await tx
      .insertInto('job')
      .values({ name, definition, created_at: row.created_at, updated_at: row.created_at, one_off: 0 })
      .onConflict(c => c.column('name').doNothing())
      .executeTakeFirst()
    if (Number(made.numInsertedOrUpdatedRows) === 0) {
      throw new FerryError('FERRY-1008', `there is a job "${name}" already`)
    }
    await tx.insertInto('run').values(row).execute()
    return row
  })
}

/** All runs of a queue, ended ones too, in the order of their creation. */
export async function queuedRuns(db: Kysely<Schema>, queue: string): Promise<RunRow[]> {
  return db.selectFrom('run').selectAll().where('queue', '=', queue).orderBy('created_at').orderBy('id').execute()
}

/** Puts a run that no process executes back into its queue, or sets it aside. */
export async function requeue(
  db: Kysely<Schema>,
  row: Pick<RunRow, 'id' | 'epoch'>,
  state: 'pending' | 'paused',
): Promise<void> {
  await db.transaction().execute(async tx => {
    const held = await tx
      .selectFrom('run')
      .select(['id', 'heartbeat_at', 'worked_ms', 'wish'])
      .where('id', '=', row.id)
      .where('epoch', '=', row.epoch)
      .executeTakeFirst()
    if (!held) return
    const worked_ms = await endDead(tx, held)
    const wish = held.wish === 'complete' ? held.wish : null
    await tx
      .updateTable('run')
      .set({ state, wish, worked_ms, owner_pid: null, error: null, ended_at: null, changed_at: databaseTime(db) })
      .where('id', '=', row.id)
      .where('epoch', '=', row.epoch)
      .execute()
  })
}

/**
 * Takes the oldest run of a queue that nobody executes, new or left behind, unless so many are at work already.
 */
export async function claimQueued(db: Kysely<Schema>, queue: string, most: number): Promise<Claimed | undefined> {
  return db.transaction().execute(async tx => {
    // The queue's line keeps other processes out until this one has chosen.
    await tx
      .insertInto('queue')
      .values({ name: queue })
      .onConflict(c => c.column('name').doUpdateSet({ name: queue }))
      .execute()
    const next = await nextOf(tx, queue, most)
    if (!next) return undefined
    const epoch = next.epoch + 1
    const now = await databaseNow(tx)
    const own = { ...self(now), taken_at: now, epoch, changed_at: now, deaths: deathsOf(next) }
    const worked_ms = await endDead(tx, next)
    const taken = { ...own, worked_ms, started_at: next.started_at ?? iso(now) }
    await tx.updateTable('run').set(taken).where('id', '=', next.id).execute()
    const lease = { run: next.id, epoch }
    await beginAttempt(tx, lease, now)
    return { row: { ...next, ...taken }, lease, resumed: next.started_at !== null }
  })
}

/** A run whose processes die so often in a row is not tried again. */
export const MOST_DEATHS = 3

export function diedTooOften(run: string, deaths: number, how?: string): FerryError {
  const last = how === undefined ? '' : `, the last time by ${how}`
  return new FerryError('FERRY-5012', `the process that executed run ${run} died ${deaths} times${last}`)
}

/** A process that has lived so long did not die of what it began with. */
const LIVED_MS = 600_000

/**
 * How many processes in a row have died executing a run, with the one that holds it. A run that was put down in order is
 * nobody's, and has none.
 */
export function deathsOf({ owner_pid, deaths, taken_at, heartbeat_at }: RunRow): number {
  if (owner_pid === null) return 0
  return (Number(heartbeat_at) - Number(taken_at) > LIVED_MS ? 0 : deaths) + 1
}
