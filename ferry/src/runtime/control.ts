/** Pausing, resuming, cancelling and completing runs, whether or not a process executes them. */
import { FerryError } from '../errors.ts'
import { readJob } from '../job/kept.ts'
import * as claims from '../state/claims.ts'
import type { State } from '../state/database.ts'
import { findJob } from '../state/jobs.ts'
import { isAlive } from '../state/owner.ts'
import { askForRun, JOBS, requeue, resumeQueued } from '../state/queue.ts'
import * as runs from '../state/runs.ts'
import type { RunRow, Wish } from '../state/schema.ts'
import { databaseNow } from '../state/time.ts'

/**
 * Asks whoever executes a run for what is wished. What nobody executes is done at once: a run that waits for its turn is set
 * aside, or given up; `discard` removes what it left. Throws FERRY-5006 where the run's state does not allow it.
 */
export async function wishForRun(
  state: State,
  id: string,
  wish: Wish,
  discard: (row: RunRow) => Promise<unknown>,
): Promise<RunRow> {
  const asked = await runs.wishFor(state.db, id, wish)
  if (!isAlive(asked, await databaseNow(state.db))) await withoutOwner(state, asked, wish, discard)
  return runs.findRun(state.db, asked.id)
}

async function withoutOwner(
  state: State,
  row: RunRow,
  wish: Wish,
  discard: (row: RunRow) => Promise<unknown>,
): Promise<void> {
  const waits = row.queue !== null && row.state !== 'paused' && row.state !== 'failed'
  if (wish === 'pause' && waits) await requeue(state.db, row, 'paused')
  if (wish === 'complete' && row.queue !== null) await requeue(state.db, row, 'pending')
  if (wish !== 'cancel') return
  const tables = await runs.runTables(state.db, row.id)
  // What has not begun has left nothing.
  if (tables.length === 0) await runs.finishRun(state.db, { run: row.id, epoch: row.epoch }, ...claims.endOf(row))
  else await discard(row)
}

/** Asks for a run of a job for a person. Throws FERRY-5001 where the job runs already. */
export async function startRun(
  state: State,
  job: string,
  { fullRefresh, tables }: { fullRefresh: boolean; tables: string[] },
): Promise<{ run: string; outcome: 'queued' | 'resumed' }> {
  readJob((await findJob(state.db, job)).definition)
  const { row, outcome } = await askForRun(state.db, job, {
    by: 'manual',
    overlap: 'skip',
    fresh: fullRefresh,
    only: tables,
  })
  if (outcome === 'queued' || outcome === 'resumed') return { run: row.id, outcome }
  throw claims.runningAlready(row)
}

/** Puts a paused, failed or abandoned run back into the queue of the servers. Throws FERRY-5006 if it cannot be resumed. */
export async function resumeRun(state: State, id: string): Promise<RunRow> {
  const row = await runs.findRun(state.db, id)
  claims.requireUnfinished(row)
  if (row.queue !== null && row.queue !== JOBS) {
    throw new FerryError('FERRY-5006', `run ${row.id} is a copy job of account ${row.queue}`, {
      hint: `ferry cosmos copy resume --account-name ${row.queue} --job-name ${row.job.slice(row.queue.length + 1)}`,
    })
  }
  return resumeQueued(state.db, row.id)
}
