/** Jobs in the state. */
import type { Kysely } from 'kysely'
import { FerryError, nearest } from '../errors.ts'
import { peekJob } from '../job/kept.ts'
import { requireNobodyBehind, requireOrder } from './behind.ts'
import { runningAlready } from './claims.ts'
import { isAlive } from './owner.ts'
import { unfinished } from './runs.ts'
import { type JobRow, PARTS_OF_RUN, type Schema } from './schema.ts'
import { forgetHookSecrets } from './secrets.ts'
import { databaseNow, iso } from './time.ts'

const now = async (db: Kysely<Schema>) => new Date(await databaseNow(db)).toISOString()

/** Throws FERRY-1007. */
export async function findJob(db: Kysely<Schema>, name: string): Promise<JobRow> {
  const row = await db.selectFrom('job').selectAll().where('name', '=', name).executeTakeFirst()
  if (row) return row
  const all = await db.selectFrom('job').select('name').execute()
  const near = nearest(
    name,
    all.map(j => j.name),
  )
  throw new FerryError('FERRY-1007', `there is no job "${name}"${near ? `: did you mean "${near}"?` : ''}`)
}

/** Keeps a new job. Throws FERRY-1008 where there is one of that name, and FERRY-1007 and FERRY-1003 of triggers. */
export async function createJob(db: Kysely<Schema>, name: string, definition: string): Promise<void> {
  await db.transaction().execute(async tx => {
    await requireOrder(tx, name, definition)
    const at = await now(tx)
    const made = await tx
      .insertInto('job')
      .values({ name, definition, created_at: at, updated_at: at, one_off: 0 })
      .onConflict(c => c.column('name').doNothing())
      .executeTakeFirst()
    if (Number(made.numInsertedOrUpdatedRows) > 0) return
    throw new FerryError('FERRY-1008', `there is a job "${name}" already`, { hint: 'Choose another name.' })
  })
}

/**
 * Saves an edited job; runs that are at work are not changed. `seen` is when what was edited had been changed last. Throws FERRY-1007,
 * FERRY-1003 of triggers, and FERRY-6008 if it has been changed since.
 */
export async function updateJob(db: Kysely<Schema>, name: string, definition: string, seen?: string): Promise<void> {
  await db.transaction().execute(async tx => {
    await requireOrder(tx, name, definition)
    const { updated_at: before } = await findJob(tx, name)
    requireSeen({ name, updated_at: before }, seen)
    // The time is its version: two edits in a millisecond are two.
    const updated_at = iso(Math.max(await databaseNow(tx), Date.parse(before) + 1))
    await tx.updateTable('job').set({ definition, updated_at }).where('name', '=', name).execute()
    const called = peekJob(definition).triggers.flatMap(t => (t.webhook ? [t.name] : []))
    await forgetHookSecrets(tx, name, called)
  })
}

/** Throws FERRY-6008 if the job was changed after `seen`, the `updated_at` that the caller has loaded. */
export function requireSeen({ name, updated_at }: Pick<JobRow, 'name' | 'updated_at'>, seen: string | undefined): void {
  if (seen === undefined || updated_at === seen) return
  throw new FerryError('FERRY-6008', `job ${name} was changed at ${updated_at}, after what you have edited was loaded`)
}

/** The jobs that name a connection, as source, destination, or in a trigger. */
export async function jobsWith(db: Kysely<Schema>, connection: string): Promise<string[]> {
  const rows = await db.selectFrom('job').select(['name', 'definition']).orderBy('name').execute()
  return rows.flatMap(({ name, definition }) => {
    const { source, destination, triggers } = peekJob(definition)
    const named = [source, destination].map(e =>
      typeof e === 'object' && 'connection' in e ? e.connection : undefined,
    )
    return [...named, ...triggers.map(t => t.connection)].includes(connection) ? [name] : []
  })
}

/**
 * Removes a job with its history. Throws FERRY-1009 where others run behind it; FERRY-5001 while it runs; FERRY-5006 where a
 * run is unfinished, unless `force` allows what the run left at the destination to stay there; FERRY-6008 where it was
 * changed since `seen`.
 */
export async function deleteJob(
  db: Kysely<Schema>,
  name: string,
  { force = false, seen }: { force?: boolean; seen?: string | undefined } = {},
): Promise<void> {
  await findJob(db, name)
  await db.transaction().execute(async tx => {
    await tx.updateTable('job').set({ name }).where('name', '=', name).execute()
    requireSeen(await findJob(tx, name), seen)
    await requireNobodyBehind(tx, name)
    const open = await tx.selectFrom('run').selectAll().where('job', '=', name).where(unfinished).execute()
    const time = await databaseNow(tx)
    const alive = open.find(r => isAlive(r, time))
    if (alive) throw runningAlready(alive)
    // What it left at the destination would stay there for ever.
    if (open[0] && !force) {
      throw new FerryError('FERRY-5006', `run ${open[0].id} of ${name} is ${open[0].state}: it may go on`, {
        hint: `Give it up first: ferry cancel ${open[0].id}; or leave there what it has written: ferry delete ${name} --force`,
      })
    }
    const runs = tx.selectFrom('run').select('id').where('job', '=', name)
    for (const table of PARTS_OF_RUN) await tx.deleteFrom(table).where('run', 'in', runs).execute()
    for (const table of ['run', 'position', 'table_total', 'firing', 'arrival'] as const) {
      await tx.deleteFrom(table).where('job', '=', name).execute()
    }
    await forgetHookSecrets(tx, name, [])
    await tx.deleteFrom('job').where('name', '=', name).execute()
  })
}
