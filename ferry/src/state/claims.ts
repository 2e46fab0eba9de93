/** Taking runs: by a job, by an id, or for a retry. Who takes a run gets its lease. */
import type { Kysely } from 'kysely'
import { FerryError } from '../errors.ts'
import { peekJob } from '../job/kept.ts'
import { beginAttempt, endDead } from './attempts.ts'
import { requireOrder } from './behind.ts'
import { isAlive, self } from './owner.ts'
import { findRun, finishRun, isUnfinished, type Lease, nextRunId, unfinished, update } from './runs.ts'
import type { RunRow, RunState, Schema } from './schema.ts'
import { type ErrorInfo, errorOf } from './texts.ts'
import { databaseNow, iso } from './time.ts'

/** Removes what a run that is not resumed left behind, under this process's lease. */
export type Abandon = (row: RunRow, lease: Lease) => Promise<unknown>

export interface Claimed {
  lease: Lease
  row: RunRow
  /** True if an earlier attempt of this run can be resumed. */
  resumed: boolean
}

/**
 * Takes the job's unfinished run, or makes a new one. A run whose definition is no longer the job's, or that `fresh`
 * gives up, is handed to `abandon` first (its lease is then this process's), so that nothing of it is left behind.
 * Throws FERRY-5001 while another process executes the job.
 */
export async function claimRun(
  db: Kysely<Schema>,
  job: string,
  definition: string,
  options: { fresh: boolean; abandon: Abandon; oneOff?: boolean },
): Promise<Claimed> {
  const found = await lockJob(db, job, definition, { oneOff: options.oneOff === true })
  const mayGoOn = found && !options.fresh && found.row.wish !== 'cancel'
  if (mayGoOn && identity(found.row.definition) === identity(definition)) {
    await beginAttempt(db, found.lease, await databaseNow(db))
    return { ...found, resumed: true }
  }
  if (found) await cancelTaken(db, found, options.abandon)
  const made = await newRun(db, job, definition, null)
  const now = made.changed_at
  const row: RunRow = { ...made, epoch: 1, ...self(now), taken_at: now, started_at: iso(now) }
  const lease = { run: row.id, epoch: 1 }
  await db.transaction().execute(async tx => {
    await tx.insertInto('run').values(row).execute()
    await beginAttempt(tx, lease, now)
  })
  return { lease, row, resumed: false }
}

/** A run that no process executes yet; it is not in the state before it is inserted. */
export async function newRun(
  db: Kysely<Schema>,
  job: string,
  definition: string,
  queue: string | null,
): Promise<RunRow> {
  const now = await databaseNow(db)
  return pendingRun(await nextRunId(db, now), { job, definition, queue, now })
}

/** The line of a run that no process executes yet; `now` in milliseconds since 1970. */
export function pendingRun(
  id: string,
  { job, definition, queue, now }: { job: string; definition: string; queue: string | null; now: number },
): RunRow {
  return {
    id,
    job,
    definition,
    queue,
    state: 'pending',
    wish: null,
    waiting: null,
    epoch: 0,
    owner_host: null,
    owner_pid: null,
    owner_started: null,
    heartbeat_at: null,
    taken_at: null,
    deaths: 0,
    worked_ms: 0,
    given_up: 0,
    mode: peekJob(definition).mode,
    created_at: iso(now),
    started_at: null,
    ended_at: null,
    error: null,
    invoked_by: 'manual',
    asked: null,
    changed_at: now,
    rows_read: 0,
    rows_copied: 0,
    rows_skipped: 0,
    bytes_read: 0,
    bytes_written: 0,
    tables: 0,
    tables_done: 0,
    samples: null,
  }
}

function objectOf(definition: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(definition)
  } catch {
    return undefined
  }
}

/** What makes two definitions the same work: the rest may change between a run and its resumption. */
export function identity(definition: string): string {
  const all = objectOf(definition)
  if (all === undefined) return definition
  for (const aside of ['limits', 'description', 'tags', 'schedules', 'triggers']) delete all[aside]
  return JSON.stringify(all)
}

/**
 * Ends the unfinished run of a job, the newest one or that of an id, as cancelled, once `abandon` has removed what it left.
 */
export async function giveUp(
  db: Kysely<Schema>,
  job: string,
  abandon: Abandon,
  id?: string,
): Promise<string | undefined> {
  const row = await db.selectFrom('job').select(['definition', 'one_off']).where('name', '=', job).executeTakeFirst()
  const found = row && (await lockJob(db, job, row.definition, { id, oneOff: row.one_off === 1 }))
  if (!found) return undefined
  await cancelTaken(db, found, abandon)
  return found.row.id
}

/** How a run ends that is not resumed: one that has failed stays failed, with its error. */
export function endOf(row: RunRow): [RunState, { error?: ErrorInfo | undefined; givenUp?: true }] {
  if (row.state !== 'failed') return ['cancelled', {}]
  return ['failed', { error: errorOf(row.error), givenUp: true }]
}

/** Ends a run that was taken, once `abandon` has removed what it left. */
export async function cancelTaken(
  db: Kysely<Schema>,
  { row, lease }: Pick<Claimed, 'row' | 'lease'>,
  abandon: Abandon,
): Promise<void> {
  try {
    await abandon(row, lease)
  } catch (error) {
    // It keeps its state without an owner, until a user decides.
    await finishRun(db, lease, row.state === 'paused' ? 'paused' : 'failed', { error: errorOf(row.error) })
    throw error
  }
  await finishRun(db, lease, ...endOf(row))
}

export function runningAlready(row: RunRow): FerryError {
  const who = row.owner_pid === null ? 'it waits for its turn' : `process ${row.owner_pid} on ${row.owner_host}`
  return new FerryError('FERRY-5001', `job ${row.job} is running already: run ${row.id}, ${who}`, {
    hint: `Wait for it, or: ferry cancel ${row.id}`,
  })
}

/** Records the job and takes its unfinished run, in one transaction that begins with a write to the job's line. */
async function lockJob(
  db: Kysely<Schema>,
  job: string,
  definition: string,
  { id, oneOff }: { id?: string; oneOff: boolean },
) {
  return db.transaction().execute(async tx => {
    const kept = await tx.selectFrom('job').select('definition').where('name', '=', job).executeTakeFirst()
    if (kept?.definition !== definition) await requireOrder(tx, job, definition)
    const now = await databaseNow(tx)
    await tx
      .insertInto('job')
      .values({ name: job, definition, created_at: iso(now), updated_at: iso(now), one_off: oneOff ? 1 : 0 })
      .onConflict(c => c.column('name').doUpdateSet({ definition, updated_at: iso(now) }))
      .execute()
    let open = tx.selectFrom('run').selectAll().where('job', '=', job).where(unfinished)
    if (id !== undefined) open = open.where('id', '=', id)
    const row = await open.orderBy('id', 'desc').executeTakeFirst()
    if (!row) return undefined
    return take(tx, row, now)
  })
}

/** Makes this process the one that holds a run. Throws FERRY-5001 while another process executes it. */
async function take(tx: Kysely<Schema>, row: RunRow, now: number): Promise<Pick<Claimed, 'row' | 'lease'>> {
  if (isAlive(row, now)) throw runningAlready(row)
  const epoch = row.epoch + 1
  // What an online copy was asked for last holds on: to end when it has caught up.
  const wish = row.wish === 'complete' ? 'complete' : null
  const worked_ms = await endDead(tx, row)
  const taken = { ...self(now), taken_at: now, epoch, wish, worked_ms, error: null, ended_at: null } as const
  await tx
    .updateTable('run')
    .set({ ...taken, changed_at: now })
    .where('id', '=', row.id)
    .execute()
  return { row: { ...row, epoch, worked_ms }, lease: { run: row.id, epoch } }
}

/** Takes an unfinished run to resume it as it began. Throws FERRY-1007, FERRY-5001, and FERRY-5006 for an ended one. */
export async function takeRun(db: Kysely<Schema>, id: string): Promise<Claimed> {
  return db.transaction().execute(async tx => {
    const row = await lockUnfinished(tx, id)
    const now = await databaseNow(tx)
    const taken = await take(tx, row, now)
    await beginAttempt(tx, taken.lease, now)
    // A person who resumes a run allows it all its tries again.
    return { ...taken, row: { ...taken.row, deaths: 0 }, resumed: true }
  })
}

/**
 * Takes a completed run whose skipped rows are copied again: no other process does so meanwhile. Throws FERRY-5006 for another
 * state, FERRY-5001 while another process is at it.
 */
export async function takeForRetry(db: Kysely<Schema>, id: string): Promise<{ row: RunRow; lease: Lease }> {
  return db.transaction().execute(async tx => {
    const row = await lockRun(tx, id)
    if (row.state !== 'completed') {
      throw new FerryError(
        'FERRY-5006',
        `run ${row.id} is ${row.state}: its skipped rows are retried when it has completed`,
      )
    }
    const now = await databaseNow(tx)
    if (isAlive(row, now)) throw runningAlready(row)
    const epoch = row.epoch + 1
    const taken = { ...self(now), taken_at: now, epoch, changed_at: now }
    await tx.updateTable('run').set(taken).where('id', '=', row.id).execute()
    return { row: { ...row, epoch }, lease: { run: row.id, epoch } }
  })
}

/** Lets go of a run that was taken so. */
export async function letGo(db: Kysely<Schema>, lease: Lease): Promise<void> {
  await update(db, lease, { owner_pid: null })
}

/** An unfinished run whose job no other transaction changes before this one ends. Throws FERRY-1007, FERRY-5006. */
export async function lockUnfinished(tx: Kysely<Schema>, id: string): Promise<RunRow> {
  const row = await lockRun(tx, id)
  requireUnfinished(row)
  return row
}

/** A run whose job no other transaction changes before this one ends. Throws FERRY-1007. */
async function lockRun(tx: Kysely<Schema>, id: string): Promise<RunRow> {
  const { job } = await findRun(tx, id)
  await tx.updateTable('job').set({ name: job }).where('name', '=', job).execute()
  return findRun(tx, id)
}

/** Throws FERRY-5006 for a run that cannot be resumed. */
export function requireUnfinished(row: RunRow): void {
  if (isUnfinished(row)) return
  const state = row.given_up === 1 ? 'failed, and given up' : row.state
  throw new FerryError('FERRY-5006', `run ${row.id} is ${state}: it cannot be resumed`)
}

/**
 * Takes the oldest of the earlier unfinished runs of a job, of which one has begun: it is given up for it. Undefined where
 * there is none. Throws FERRY-5001 while another process executes it.
 */
export async function takeEarlier(db: Kysely<Schema>, begun: RunRow): Promise<Claimed | undefined> {
  return db.transaction().execute(async tx => {
    const row = await tx
      .selectFrom('run')
      .selectAll()
      .where('job', '=', begun.job)
      .where('id', '<', begun.id)
      .where(unfinished)
      .orderBy('id')
      .executeTakeFirst()
    if (!row) return undefined
    return { ...(await take(tx, row, await databaseNow(tx))), resumed: true }
  })
}
