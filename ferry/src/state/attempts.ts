/** The attempts of a run: which processes worked at it, from when to when, and how each of them ended. */
import type { Kysely } from 'kysely'
import { hostName } from './owner.ts'
import type { AttemptRow, RunRow, RunState, Schema } from './schema.ts'
import { iso } from './time.ts'

/** This process begins to work at a run; `now` is the database's time. */
export async function beginAttempt(
  db: Kysely<Schema>,
  { run, epoch }: { run: string; epoch: number },
  now: number,
): Promise<void> {
  const started = { run, epoch, host: hostName(), started_at: iso(now) }
  await db
    .insertInto('attempt')
    .values({ ...started, ended_at: null, outcome: null, error: null })
    .execute()
}

/** Ends the attempt of an epoch, where it is one; gives back how long it was at work, in milliseconds. */
export async function endAttempt(
  db: Kysely<Schema>,
  { run, epoch }: { run: string; epoch: number },
  end: { now: number; outcome: RunState; error: string | null },
): Promise<number> {
  const { now, outcome, error } = end
  const open = await openAttempts(db, run)
  const own = open.find(a => a.epoch === epoch)
  if (!own) return 0
  await close(db, own, { ended_at: iso(now), outcome, error })
  return Math.max(0, now - Date.parse(own.started_at))
}

/**
 * Ends what a process has left open that is gone, with the run's last sign of life. Gives back how long all of its attempts
 * were at work, in milliseconds.
 */
export async function endDead(
  db: Kysely<Schema>,
  row: Pick<RunRow, 'id' | 'heartbeat_at' | 'worked_ms'>,
): Promise<number> {
  let worked = row.worked_ms
  for (const attempt of await openAttempts(db, row.id)) {
    const started = Date.parse(attempt.started_at)
    const ended = Math.max(started, Number(row.heartbeat_at ?? started))
    await close(db, attempt, { ended_at: iso(ended), outcome: 'died', error: null })
    worked += ended - started
  }
  return worked
}

/** All attempts of a run, the first one first. */
export async function attemptsOf(db: Kysely<Schema>, run: string): Promise<AttemptRow[]> {
  return db.selectFrom('attempt').selectAll().where('run', '=', run).orderBy('epoch').execute()
}

function openAttempts(db: Kysely<Schema>, run: string): Promise<AttemptRow[]> {
  return db.selectFrom('attempt').selectAll().where('run', '=', run).where('ended_at', 'is', null).execute()
}

async function close(
  db: Kysely<Schema>,
  { run, epoch }: AttemptRow,
  end: Pick<AttemptRow, 'ended_at' | 'outcome' | 'error'>,
): Promise<void> {
  await db.updateTable('attempt').set(end).where('run', '=', run).where('epoch', '=', epoch).execute()
}
