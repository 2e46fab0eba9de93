/** What the state keeps of the past: who did what, and how long ended runs stay. */
import type { Kysely } from 'kysely'
import { deleteJob } from './jobs.ts'
import { type AuditRow, PARTS_OF_RUN, type Schema } from './schema.ts'
import { databaseNow } from './time.ts'

let lastId = 0

/** Ids grow with time, also where several events come in one millisecond. */
function nextId(): number {
  lastId = Math.max(lastId + 1, Date.now() * 1000 + Math.floor(Math.random() * 1000))
  return lastId
}

export async function writeAudit(db: Kysely<Schema>, event: Omit<AuditRow, 'id' | 'at'>): Promise<void> {
  await db
    .insertInto('audit')
    .values({ id: nextId(), at: new Date().toISOString(), ...event })
    .execute()
}

/** Newest first, from before the event `before`. */
export async function readAudit(db: Kysely<Schema>, most: number, before?: number): Promise<AuditRow[]> {
  let query = db.selectFrom('audit').selectAll().orderBy('id', 'desc').limit(most)
  if (before !== undefined) query = query.where('id', '<', before)
  return query.execute()
}

/** How many runs are deleted in one step, so that others do not wait long. */
const STEP = 200

/**
 * Forgets runs that ended before a moment, with their tables, splits and rows that were skipped; but of each job its newest
 * run stays, and what the tables have come to stays too. Gives back how many it forgot.
 */
export async function forgetRuns(db: Kysely<Schema>, before: Date): Promise<number> {
  let forgotten = 0
  for (;;) {
    const rows = await db
      .selectFrom('run')
      .select('id')
      .where(eb => eb.or([eb('state', 'in', ['completed', 'cancelled']), eb('given_up', '=', 1)]))
      .where('ended_at', '<', before.toISOString())
      .where(eb =>
        eb.or([
          eb.exists(eb.selectFrom('job').select('name').whereRef('name', '=', 'run.job').where('one_off', '=', 1)),
          eb.exists(
            eb
              .selectFrom('run as later')
              .select('later.id')
              .whereRef('later.job', '=', 'run.job')
              .whereRef('later.id', '>', 'run.id'),
          ),
        ]),
      )
      .limit(STEP)
      .execute()
    const ids = rows.map(r => r.id)
    if (ids.length === 0) {
      await forgetOneOffs(db, before)
      return forgotten
    }
    await db.transaction().execute(async tx => {
      for (const table of PARTS_OF_RUN) await tx.deleteFrom(table).where('run', 'in', ids).execute()
      await tx.deleteFrom('run').where('id', 'in', ids).execute()
    })
    forgotten += ids.length
  }
}

/** Copies of the command line go with their last run; one that begins at this moment has none yet. */
async function forgetOneOffs(db: Kysely<Schema>, before: Date): Promise<void> {
  const rows = await db
    .selectFrom('job')
    .select('name')
    .where('one_off', '=', 1)
    .where('updated_at', '<', before.toISOString())
    .where(eb => eb.not(eb.exists(eb.selectFrom('run').select('id').whereRef('run.job', '=', 'job.name'))))
    .execute()
  for (const { name } of rows) await deleteJob(db, name)
}

/** Forgets what was written into the audit before a moment, and sessions that have ended. */
export async function forgetAudit(db: Kysely<Schema>, before: Date): Promise<void> {
  await db
    .deleteFrom('audit')
    .where('id', '<', before.getTime() * 1000)
    .execute()
  await db
    .deleteFrom('session')
    .where('expires_at', '<', await databaseNow(db))
    .execute()
}
