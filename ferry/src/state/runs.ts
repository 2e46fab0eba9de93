/** Jobs and runs in the state: who executes what, how far it is, what was asked of it. */
import type { ExpressionBuilder, Kysely, UpdateObject } from 'kysely'
import { FerryError } from '../errors.ts'
import { endAttempt } from './attempts.ts'
import { isAlive } from './owner.ts'
import type { RunRow, RunState, RunTableRow, Schema, Wish } from './schema.ts'
import type { ErrorInfo } from './texts.ts'
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

/** A run's id sorts by time: `20261121T072353.123-4f2a`. */
function runIdAt(time: number): string {
  const stamp = iso(time).replace(/[-:]/g, '').replace('Z', '')
  return `${stamp}-${Math.floor(Math.random() * 0x10000)
    .toString(16)
    .padStart(4, '0')}`
}

/** An id for the next run: later than all earlier ones, also in one millisecond or where the database's clock went back. */
export async function nextRunId(db: Kysely<Schema>, now: number): Promise<string> {
  const last = await db.selectFrom('run').select('id').orderBy('id', 'desc').limit(1).executeTakeFirst()
  const id = runIdAt(now)
  if (!last || last.id < id) return id
  const [, year, month, day, hour, minute, rest] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)([\d.]+)/.exec(last.id)!
  return runIdAt(Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${rest}Z`) + 1)
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
 * Runs the work in a transaction that holds the run: no process takes it over before it ends. Throws FERRY-5004 if another
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

/** What is stored of a run, and of each of its tables, while it runs. */
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

/** Records what a discarded run leaves at the destination, for each of its unfinished tables. Throws FERRY-5004. */
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

type Values = UpdateObject<Schema, 'run'>

export async function update(db: Kysely<Schema>, lease: Lease, values: Values): Promise<void> {
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

/** Asks the process that executes the run to pause, cancel or complete it. Gives back the run as it was at that moment. */
export async function wishFor(db: Kysely<Schema>, id: string, wish: Wish): Promise<RunRow> {
  const { id: run } = await findRun(db, id)
  return db.transaction().execute(tx => wishWithin(tx, run, wish))
}

async function wishWithin(tx: Kysely<Schema>, id: string, wish: Wish): Promise<RunRow> {
  // The line is locked first: a process that ends the run at this moment has done so, or sees the request.
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
    (await newestRun(db, idOrJob))
  if (!row) throw new FerryError('FERRY-1007', `there is no run and no job "${idOrJob}"`)
  return row
}

export async function newestRun(db: Kysely<Schema>, job: string): Promise<RunRow | undefined> {
  return db.selectFrom('run').selectAll().where('job', '=', job).orderBy('id', 'desc').executeTakeFirst()
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
