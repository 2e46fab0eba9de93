/** The positions of incremental copies, from which the next run of a job continues. */
import type { Kysely } from 'kysely'
import { type Lease, putTable, whileHeld } from './runs.ts'
import type { PositionRow, RunTableRow, Schema } from './schema.ts'

/** The positions of a job's tables. */
export async function positionsOf(db: Kysely<Schema>, job: string): Promise<PositionRow[]> {
  return db.selectFrom('position').selectAll().where('job', '=', job).execute()
}

/** Records the end of a table together with the position that it reached. Throws FERRY-5004. */
export async function completeTable(
  db: Kysely<Schema>,
  lease: Lease,
  row: RunTableRow,
  position: Omit<PositionRow, 'run' | 'updated_at'>,
): Promise<void> {
  await whileHeld(db, lease, async tx => {
    await putTable(tx, row)
    await keepPosition(tx, { ...position, run: lease.run })
  })
}

/** The same of a table whose position stays. */
export async function confirmTable(
  db: Kysely<Schema>,
  lease: Lease,
  row: RunTableRow,
  of: Pick<PositionRow, 'job' | 'source' | 'destination'>,
): Promise<void> {
  await whileHeld(db, lease, async tx => {
    await putTable(tx, row)
    await tx
      .updateTable('position')
      .set({ run: lease.run, updated_at: new Date().toISOString() })
      .where('job', '=', of.job)
      .where('source', '=', of.source)
      .where('destination', '=', of.destination)
      .execute()
  })
}

export async function keepPosition(db: Kysely<Schema>, position: Omit<PositionRow, 'updated_at'>): Promise<void> {
  const kept: PositionRow = { ...position, updated_at: new Date().toISOString() }
  const { tracked, value, run, updated_at } = kept
  await db
    .insertInto('position')
    .values(kept)
    .onConflict(c => c.columns(['job', 'source', 'destination']).doUpdateSet({ tracked, value, run, updated_at }))
    .execute()
}

/** Makes the next run copy everything again: of all tables, or of some. Gives back the deleted positions. */
export async function resetPositions(db: Kysely<Schema>, job: string, only?: string[]): Promise<PositionRow[]> {
  const kept = await positionsOf(db, job)
  const chosen = kept.filter(p => !only || only.some(o => p.source === o || p.source.endsWith(`.${o}`)))
  for (const { source, destination } of chosen) {
    await db
      .deleteFrom('position')
      .where('job', '=', job)
      .where('source', '=', source)
      .where('destination', '=', destination)
      .execute()
  }
  return chosen
}
