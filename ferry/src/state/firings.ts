/** Up to when the times of schedules and the events of triggers are dealt with. */
import type { Kysely } from 'kysely'
import type { FiringRow, Schema } from './schema.ts'

/** A schedule or trigger as its job has it at `now` (milliseconds since 1970). */
export interface Known {
  job: string
  /** `schedule:NAME` or `trigger:NAME`. */
  name: string
  /** What changes when it is edited. */
  print: string
  now: number
}

export async function findFiring(
  db: Kysely<Schema>,
  { job, name }: Pick<Known, 'job' | 'name'>,
): Promise<FiringRow | undefined> {
  return db.selectFrom('firing').selectAll().where('job', '=', job).where('name', '=', name).executeTakeFirst()
}

/** The place of a schedule or trigger: where it is, or now where it is new or was edited. */
export async function firingOf(db: Kysely<Schema>, { job, name, print, now }: Known): Promise<FiringRow> {
  await db
    .insertInto('firing')
    .values({ job, name, print, at: now, outcome: null, outcome_at: null })
    .onConflict(c => c.columns(['job', 'name']).doUpdateSet({ print, at: now }).where('firing.print', '!=', print))
    .execute()
  return db.selectFrom('firing').selectAll().where('job', '=', job).where('name', '=', name).executeTakeFirstOrThrow()
}

/** Moves the place from where it was read; false where another server was faster, or the schedule was edited. */
export async function movePlace(db: Kysely<Schema>, row: FiringRow, at: number, outcome: string): Promise<boolean> {
  const moved = await db
    .updateTable('firing')
    .set({ at, outcome, outcome_at: new Date().toISOString() })
    .where('job', '=', row.job)
    .where('name', '=', row.name)
    .where('at', '=', row.at)
    .where('print', '=', row.print)
    .executeTakeFirst()
  return Number(moved.numUpdatedRows) === 1
}

/** Keeps what came of it, for people. */
export async function tellOutcome(
  db: Kysely<Schema>,
  { job, name }: Pick<Known, 'job' | 'name'>,
  outcome: string,
): Promise<void> {
  const outcome_at = new Date().toISOString()
  await db.updateTable('firing').set({ outcome, outcome_at }).where('job', '=', job).where('name', '=', name).execute()
}
