/** Factories whose pipelines servers execute, and those of them that have something to do. */
import type { Kysely } from 'kysely'
import { FerryError } from '../errors.ts'
import type { FactoryRow, Schema } from './schema.ts'

export async function listFactories(db: Kysely<Schema>): Promise<FactoryRow[]> {
  return db.selectFrom('factory').selectAll().orderBy('name').execute()
}

/** Throws FERRY-1007. */
export async function findFactory(db: Kysely<Schema>, name: string): Promise<FactoryRow> {
  const row = await db.selectFrom('factory').selectAll().where('name', '=', name).executeTakeFirst()
  if (row) return row
  throw new FerryError('FERRY-1007', `there is no factory ${name}`)
}

/** Saves a factory, new or in place of the one with its name. */
export async function saveFactory(db: Kysely<Schema>, name: string, source: string): Promise<void> {
  const added_at = new Date().toISOString()
  await db
    .insertInto('factory')
    .values({ name, source, added_at })
    .onConflict(c => c.column('name').doUpdateSet({ source }))
    .execute()
}

/** Removes a factory; its runs stay. False if there is none. */
export async function removeFactory(db: Kysely<Schema>, name: string): Promise<boolean> {
  return db.transaction().execute(async tx => {
    await tx.updateTable('pipeline_trigger').set({ started: 0 }).where('factory', '=', name).execute()
    const [row] = await tx.deleteFrom('factory').where('name', '=', name).returning('name').execute()
    return row !== undefined
  })
}

/** Names of factories with triggers that are started, or runs that are not at their end. */
export async function busyFactories(db: Kysely<Schema>): Promise<string[]> {
  const rows = await db
    .selectFrom('factory')
    .select('name')
    .where(eb =>
      eb.or([
        eb.exists(
          eb
            .selectFrom('pipeline_trigger')
            .select('pipeline_trigger.name')
            .whereRef('pipeline_trigger.factory', '=', 'factory.name')
            .where('started', '=', 1),
        ),
        eb.exists(
          eb
            .selectFrom('pipeline_run')
            .select('id')
            .whereRef('pipeline_run.factory', '=', 'factory.name')
            .where('state', 'in', ['Queued', 'InProgress'])
            .where('watched', '=', 1),
        ),
      ]),
    )
    .execute()
  return rows.map(r => r.name)
}
