/** Jobs and runs in the state: who executes what, how far it is, what was asked of it. */
import type { ExpressionBuilder, Kysely, UpdateObject } from 'kysely'
import { FerryError } from '../errors.ts'
import { peekJob } from '../job/kept.ts'
import { beginAttempt, endAttempt, endDead } from './attempts.ts'
import { requireOrder } from './behind.ts'
import { isAlive, self } from './owner.ts'
import type { RunRow, RunState, RunTableRow, Schema, Wish } from './schema.ts'
import { databaseNow, databaseTime, iso, isSqlite } from './time.ts'
import { addTotals } from './totals.ts'

const UNFINISHED: RunState[] = ['pending', 'planning', 'running', 'paused', 'completing', 'failed']

/** Runs that are at work or can be resumed. */
export const unfinished = (eb: ExpressionBuilder<Schema, 'run'>) =>
  eb.and([eb('run.state', 'in', UNFINISHED), eb('run.given_up', '=', 0)])

export function isUnfinished(row: Pick<RunRow, 'state' | 'given_up'>): boolean {
  return UNFINISHED.includes(row.state) && row.given_up === 0
}

/** This process's right to execute a run. What is written with it throws FERRY-5004 once another process has a higher epoch. */
export interface Lease {
  run: string
  epoch: number
}

/** Removes what a run that is not resumed left behind, under this process's lease. */
export type Abandon = (row: RunRow, lease: Lease) => Promise<unknown>

export interface Claimed {
  lease: Lease
  row: RunRow
  /** True if an earlier attempt of this run can be resumed. */
  resumed: boolean
}

/** A run's id sorts by time: `20261121T072353.123-4f2a`. */
function runIdAt(time: number): string {
  const stamp = iso(time).replace(/[-:]/g, '').replace('Z', '')
  return `${stamp}-${Math.floor(Math.random() * 0x10000)
    .toString(16)
    .padStart(4, '0')}`
}

/** An id for the next run: later than all earlier ones, also in one millisecond or where the database's clock went back. */
async function nextRunId(db: Kysely<Schema>, now: number): Promise<string> {
  const last = await db.selectFrom('run').select('id').orderBy('id', 'desc').limit(1).executeTakeFirst()
  const id = runIdAt(now)
  if (!last || last.id < id) return id
  const [, year, month, day, hour, minute, rest] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)([\d.]+)/.exec(last.id)!
  return runIdAt(Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${rest}Z`) + 1)
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

/** A run that nobody executes yet; it is not in the state before it is inserted. */
export async function newRun(
  db: Kysely<Schema>,
  job: string,
  definition: string,
  queue: string | null,
): Promise<RunRow> {
  const now = await databaseNow(db)
  return pendingRun(await nextRunId(db, now), { job, definition, queue, now })
}

/** The line of a run that nobody executes yet; `now` in milliseconds since 1970. */
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
  const found =
    row && (await lockJob(db, job, row.definition, { ...(id === undefined ? {} : { id }), oneOff: row.one_off === 1 }))
  if (!found) return undefined
  await cancelTaken(db, found, abandon)
  return found.row.id
}

/** How a run ends that will not go on: one that has failed stays failed, with what it failed of. */
export function endOf(row: RunRow): [RunState, { error?: ErrorInfo | undefined; givenUp?: true }] {
  if (row.state !== 'failed') return ['cancelled', {}]
  return ['failed', { error: errorOf(row), givenUp: true }]
}

function errorOf({ error }: RunRow): ErrorInfo | undefined {
  return error === null ? undefined : JSON.parse(error)
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
    // It stays as it was, and nobody's, for whoever decides what becomes of it.
    await finishRun(db, lease, row.state === 'paused' ? 'paused' : 'failed', { error: errorOf(row) })
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

/** Takes an unfinished run, to go on with it as it began. Throws FERRY-1007, FERRY-5001, and FERRY-5006 for an ended one. */
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
 * Takes a completed run whose skipped rows are copied again: nobody else does so meanwhile. Throws FERRY-5006 for another
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

/** Throws FERRY-5006 for a run that will not go on. */
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

/** How many runs are in each state. */
export async function countStates(db: Kysely<Schema>): Promise<Partial<Record<RunState, number>>> {
  const rows = await db
    .selectFrom('run')
    .select(eb => ['state', eb.fn.countAll<number>().as('count')])
    .groupBy('state')
    .execute()
  return Object.fromEntries(rows.map(r => [r.state, Number(r.count)]))
}

/** Saves the reason why the run waits, for other terminals to show; undefined if it does not wait. */
export async function saveWaiting(db: Kysely<Schema>, lease: Lease, waiting: string | undefined): Promise<void> {
  await update(db, lease, { waiting: waiting ?? null })
}

/** Renews the lease. Throws FERRY-5004 if another process has taken the run. */
export async function heartbeat(db: Kysely<Schema>, lease: Lease): Promise<void> {
  await update(db, lease, { heartbeat_at: databaseTime(db) })
}

/** Throws FERRY-5004 where another process has taken the run. */
export async function requireHeld(db: Kysely<Schema>, lease: Lease): Promise<void> {
  const row = await db.selectFrom('run').select('epoch').where('id', '=', lease.run).executeTakeFirst()
  if (row?.epoch !== lease.epoch) throw lost(lease)
}

/**
 * Runs the work in a transaction that holds the run: nobody takes it over before it ends. Throws FERRY-5004 where another
 * process has taken the run already.
 */
export async function whileHeld<T>(
  db: Kysely<Schema>,
  lease: Lease,
  work: (tx: Kysely<Schema>) => Promise<T>,
): Promise<T> {
  return db.transaction().execute(async tx => {
    // On SQLite the transaction itself keeps all other writers out.
    const run = tx.selectFrom('run').select('epoch').where('id', '=', lease.run)
    const row = await (isSqlite(db) ? run : run.forShare()).executeTakeFirst()
    if (row?.epoch !== lease.epoch) throw lost(lease)
    return work(tx)
  })
}

export async function readWish(db: Kysely<Schema>, lease: Lease): Promise<Wish | null> {
  const row = await db.selectFrom('run').select(['wish', 'epoch']).where('id', '=', lease.run).executeTakeFirst()
  if (row && row.epoch !== lease.epoch) throw lost(lease)
  return row?.wish ?? null
}

export async function setState(db: Kysely<Schema>, lease: Lease, state: RunState): Promise<void> {
  await update(db, lease, { state })
}

/** What is kept of a run as a whole, and of each of its tables, while it is at work. */
export type Sums = Pick<
  RunRow,
  'rows_read' | 'rows_copied' | 'rows_skipped' | 'bytes_read' | 'bytes_written' | 'tables' | 'tables_done' | 'samples'
>
export type Counts = Pick<
  RunTableRow,
  'state' | 'rows_read' | 'rows_copied' | 'rows_skipped' | 'bytes_read' | 'bytes_written' | 'started_at'
>

export async function saveSums(db: Kysely<Schema>, lease: Lease, sums: Sums): Promise<void> {
  await update(db, lease, sums)
}

/** Throws FERRY-5004. */
export async function saveCounts(db: Kysely<Schema>, lease: Lease, counts: Map<number, Counts>): Promise<void> {
  if (counts.size === 0) return
  await whileHeld(db, lease, async tx => {
    for (const [ordinal, set] of counts) {
      await tx.updateTable('run_table').set(set).where('run', '=', lease.run).where('ordinal', '=', ordinal).execute()
    }
  })
}

/** Of each table that was not completed: its state, and what of it stays at the destination. */
export type Remains = Map<number, { state: RunState; rowsCopied: number; bytesWritten: number }>

/** Of a run that will not go on: what of its unfinished tables stays at the destination. Throws FERRY-5004. */
export async function saveRemains(db: Kysely<Schema>, lease: Lease, remains: Remains): Promise<void> {
  await whileHeld(db, lease, async tx => {
    for (const [ordinal, { state, rowsCopied, bytesWritten }] of remains) {
      await tx
        .updateTable('run_table')
        .set({ state, rows_copied: rowsCopied, bytes_written: bytesWritten })
        .where('run', '=', lease.run)
        .where('ordinal', '=', ordinal)
        .execute()
    }
    const tables = await runTables(tx, lease.run)
    await update(tx, lease, {
      rows_copied: tables.reduce((n, t) => n + t.rows_copied, 0),
      bytes_written: tables.reduce((n, t) => n + t.bytes_written, 0),
    })
  })
}

/**
 * Ends this process's hold on the run, in whatever state it is. False, with nothing done, where it was wished meanwhile what
 * `unless` says.
 */
export async function finishRun(
  db: Kysely<Schema>,
  lease: Lease,
  state: RunState,
  end: { error?: ErrorInfo | undefined; wish?: Wish | null; sums?: Sums; givenUp?: true; unless?: Wish } = {},
): Promise<boolean> {
  return db.transaction().execute(async tx => {
    if (end.unless !== undefined) {
      const asked = tx.selectFrom('run').select('wish').where('id', '=', lease.run).where('epoch', '=', lease.epoch)
      const row = await (isSqlite(db) ? asked : asked.forUpdate()).executeTakeFirst()
      if (row?.wish === end.unless) return false
    }
    const now = await databaseNow(tx)
    const error = end.error ? JSON.stringify(end.error) : null
    const worked = await endAttempt(tx, lease, { now, outcome: state, error })
    await update(tx, lease, {
      ...end.sums,
      state,
      wish: end.wish ?? null,
      waiting: null,
      owner_pid: null,
      deaths: 0,
      worked_ms: eb => eb('worked_ms', '+', worked),
      given_up: end.givenUp ? 1 : 0,
      ended_at: iso(now),
      error,
    })
    // What has ended for good counts, once, in what the tables have come to.
    if (state === 'completed' || state === 'cancelled' || end.givenUp) await addTotals(tx, lease.run)
    return true
  })
}

export interface ErrorInfo {
  code: string
  message: string
  hint: string
}

type Values = UpdateObject<Schema, 'run'>

async function update(db: Kysely<Schema>, lease: Lease, values: Values): Promise<void> {
  const result = await db
    .updateTable('run')
    .set({ ...values, changed_at: databaseTime(db) })
    .where('id', '=', lease.run)
    .where('epoch', '=', lease.epoch)
    .executeTakeFirst()
  if (Number(result.numUpdatedRows) === 0) throw lost(lease)
}

export function lost(lease: Lease): FerryError {
  return new FerryError('FERRY-5004', `run ${lease.run} was taken over by another process`)
}

const PAST: Record<Wish, string> = { pause: 'paused', cancel: 'cancelled', complete: 'completed' }

/** Asks whoever executes the run to pause, cancel or complete it. Gives back the run as it was at that moment. */
export async function wishFor(db: Kysely<Schema>, id: string, wish: Wish): Promise<RunRow> {
  const { id: run } = await findRun(db, id)
  return db.transaction().execute(tx => wishWithin(tx, run, wish))
}

async function wishWithin(tx: Kysely<Schema>, id: string, wish: Wish): Promise<RunRow> {
  // The line is written first: whoever ends the run at this moment has done so, or sees what is wished.
  await tx
    .updateTable('run')
    .set({ wish, changed_at: databaseTime(tx) })
    .where('id', '=', id)
    .execute()
  const row = await findRun(tx, id)
  const isStill = row.state === 'paused' || row.state === 'failed'
  if (!isUnfinished(row) || (isStill && wish === 'pause' && !isAlive(row, await databaseNow(tx)))) {
    throw new FerryError('FERRY-5006', `run ${row.id} is ${row.state}: it cannot be ${PAST[wish]}`)
  }
  if (wish === 'complete' && row.mode !== 'online') {
    throw new FerryError('FERRY-5006', `run ${row.id} is no online copy: it ends by itself`)
  }
  return row
}

/** The run of that id, or the newest run of a job of that name. Throws FERRY-1007. */
export async function findRun(db: Kysely<Schema>, idOrJob: string): Promise<RunRow> {
  const row =
    (await db.selectFrom('run').selectAll().where('id', '=', idOrJob).executeTakeFirst()) ??
    (await db.selectFrom('run').selectAll().where('job', '=', idOrJob).orderBy('id', 'desc').executeTakeFirst())
  if (!row) throw new FerryError('FERRY-1007', `there is no run and no job "${idOrJob}"`)
  return row
}

export async function runTables(db: Kysely<Schema>, run: string): Promise<RunTableRow[]> {
  return db.selectFrom('run_table').selectAll().where('run', '=', run).orderBy('ordinal').execute()
}

/** Throws FERRY-5004. */
export async function saveTable(db: Kysely<Schema>, lease: Lease, row: RunTableRow): Promise<void> {
  await whileHeld(db, lease, tx => putTable(tx, row))
}

/** The same as a part of a transaction that holds the run. */
export async function putTable(tx: Kysely<Schema>, row: RunTableRow): Promise<void> {
  const { run, ordinal, ...rest } = row
  await tx
    .insertInto('run_table')
    .values(row)
    .onConflict(c => c.columns(['run', 'ordinal']).doUpdateSet(rest))
    .execute()
}
