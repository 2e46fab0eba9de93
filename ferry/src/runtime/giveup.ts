/** Giving up a run that will not go on: what it left at the destination goes, and the state says so. */
import type { SinkSession, SinkTable } from '../connectors/connector.ts'
import type { TablePlan } from '../engine/plan.ts'
import { FerryError } from '../errors.ts'
import type { Variables } from '../job/read.ts'
import { jobSchema } from '../job/schema.ts'
import type { State } from '../state/database.ts'
import * as runs from '../state/runs.ts'
import type { RunRow } from '../state/schema.ts'
import { closeStores, openStores, type Stores } from './stores.ts'

/** An edited job begins a new run; rows that the unfinished one has appended would then be there twice. */
export async function refuseEdited(state: State, row: RunRow): Promise<void> {
  for (const table of await runs.runTables(state.db, row.id)) {
    const { write } = JSON.parse(table.plan) as TablePlan
    if (write.update !== 'append') continue
    const splits = await runs.splitsOf(state.db, row.id, table.ordinal)
    if (table.state !== 'completed' && !splits.some(s => s.done === 1 || s.checkpoint !== null)) continue
    throw new FerryError(
      'FERRY-5009',
      `job ${row.job} was edited, and its unfinished run ${row.id} has appended rows to ${table.destination} already`,
      { hint: `Undo the edit and run again to finish it; or give it up (its rows stay): ferry reset ${row.job}` },
    )
  }
}

/** Removes what an unfinished run that will not go on left at the destination. */
export async function abandon(state: State, row: RunRow, stores: Stores): Promise<void> {
  const tables = await runs.runTables(state.db, row.id)
  const sink = await stores.destination.sink({ run: row.id, job: row.job })
  try {
    for (const table of tables) {
      const plan = JSON.parse(table.plan) as TablePlan
      if (table.state === 'completed') continue
      const opened = await openIfThere(sink, plan)
      await opened?.discard()
    }
  } finally {
    await sink.close()
  }
}

/** Removes the marks of a table that is complete. */
export async function forgetTable(sink: SinkSession, plan: TablePlan): Promise<void> {
  await (await openIfThere(sink, plan))?.forget()
}

/** A destination that is gone has nothing to remove either. */
async function openIfThere(sink: SinkSession, plan: TablePlan): Promise<SinkTable | undefined> {
  return sink.table(plan.write).catch(error => {
    if (error instanceof FerryError && error.code === 'FERRY-5007') return undefined
    throw error
  })
}

/** Gives up the unfinished run of a job that nobody executes. Gives back its id, or undefined where there is none. */
export async function discardRun(state: State, job: string, variables: Variables): Promise<string | undefined> {
  const row = await state.db.selectFrom('job').selectAll().where('name', '=', job).executeTakeFirst()
  if (!row) throw new FerryError('FERRY-1007', `there is no job "${job}"`)
  const definition = jobSchema.parse(JSON.parse(row.definition))
  const stores = await openStores(definition, state, variables)
  try {
    return await runs.giveUp(state.db, job, run => abandon(state, run, stores))
  } finally {
    await closeStores(stores)
  }
}
