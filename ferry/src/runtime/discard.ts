/** Discards a run that will not be resumed: removes what it left at the destination, and records that. */
import type { SinkSession, SinkTable } from '../contract/sink.ts'
import type { Store } from '../contract/store.ts'
import { tablePlans } from '../engine/keptplan.ts'
import type { TablePlan } from '../engine/tableplan.ts'
import { FerryError } from '../errors.ts'
import { readJob } from '../job/kept.ts'
import type { Policy } from '../policy.ts'
import * as claims from '../state/claims.ts'
import type { State } from '../state/database.ts'
import { findJob } from '../state/jobs.ts'
import { keepPosition, positionsOf, resetPositions } from '../state/positions.ts'
import * as runs from '../state/runs.ts'
import type { RunRow, RunTableRow } from '../state/schema.ts'
import { splitsOf } from '../state/splits.ts'
import { Hold } from './hold.ts'
import { closeStores, openStores, type Stores } from './stores.ts'

/** An edited job begins a new run; rows that the unfinished one has appended would then be there twice. */
export async function refuseEdited(state: State, row: RunRow): Promise<void> {
  for (const table of await runs.runTables(state.db, row.id)) {
    const { write } = tablePlans.read(table.plan)
    if (write.update !== 'append') continue
    const splits = await splitsOf(state.db, row.id, table.ordinal)
    if (table.state !== 'completed' && !splits?.committed.size) continue
    throw new FerryError(
      'FERRY-5009',
      `job ${row.job} was edited, and its unfinished run ${row.id} has appended rows to ${table.destination} already`,
      { hint: `Finish it as it began: ferry resume ${row.id}; or give it up (its rows stay): ferry reset ${row.job}` },
    )
  }
}

/**
 * Removes what an unfinished run that will not resume left at the destination, and corrects its counts to what stays there.
 * `lease` is this process's.
 */
export async function abandon(state: State, row: RunRow, lease: runs.Lease, stores: Stores): Promise<runs.Remains> {
  const remains: runs.Remains = new Map()
  const tables = await runs.runTables(state.db, row.id)
  const sink = await stores.destination.sink(new Hold(state.db, lease, row.job))
  try {
    for (const table of tables) {
      if (table.state === 'completed') continue
      const plan = readable(table)
      if (!plan) {
        remains.set(table.ordinal, {
          state: 'cancelled',
          rowsCopied: table.rows_copied,
          bytesWritten: table.bytes_written,
        })
        continue
      }
      const opened = await openIfThere(sink, plan)
      if (opened) await keepPlace(state, row, table, opened, stores.source)
      const outcome = table.state === 'failed' ? 'failed' : 'cancelled'
      const committed = await committedOf(state, table, opened)
      const stays = await opened?.discard()
      remains.set(table.ordinal, { state: outcome, ...(stays ? committed : { rowsCopied: 0, bytesWritten: 0 }) })
    }
  } finally {
    await sink.close()
  }
  const plans = tables.flatMap(t => readable(t) ?? [])
  await release(
    state,
    row.job,
    stores.source,
    plans.flatMap(p => p.increment?.position.value ?? []),
  )
  await runs.saveRemains(state.db, lease, remains)
  return remains
}

/** The plan of a table; undefined if it cannot be read (FERRY-5015): then nothing can be removed at its destination. */
function readable(table: RunTableRow): TablePlan | undefined {
  try {
    return tablePlans.read(table.plan)
  } catch (error) {
    if (error instanceof FerryError && error.code === 'FERRY-5015') return undefined
    throw error
  }
}

/** What of an unfinished table is committed, by its ledger too. */
async function committedOf(state: State, table: RunTableRow, sink: SinkTable | undefined) {
  const kept = await splitsOf(state.db, table.run, table.ordinal)
  if (!sink || !kept) return { rowsCopied: 0, bytesWritten: 0 }
  const known = kept.committed
  const { splits } = await sink.committed({ splits: known, published: false })
  const committed = [...new Map([...known, ...splits]).values()]
  return {
    rowsCopied: committed.reduce((n, s) => n + s.rows, 0),
    bytesWritten: committed.length === 0 ? 0 : table.bytes_written,
  }
}

/** Changes that were applied stay, and their log may be gone: the next run continues after them. */
async function keepPlace(state: State, run: RunRow, table: RunTableRow, sink: SinkTable, store: Store): Promise<void> {
  const { increment, from, to } = tablePlans.read(table.plan)
  if (increment?.load !== 'changes' || !sink.changes || !store.log) return
  const kept = await splitsOf(state.db, run.id, table.ordinal)
  const place = (await sink.changes.committed(kept?.committed.get('feed')))?.checkpoint
  if (place === undefined) return
  const { tracked, value } = increment.position
  const position = { job: run.job, source: from, destination: to, run: run.id, tracked }
  await keepPosition(state.db, { ...position, value: store.log.positionAt(value, place) })
}

/** Lets the source forget what it keeps for positions that are the job's no more. */
export async function release(state: State, job: string, source: Store, positions: string[]): Promise<void> {
  if (positions.length === 0 || !source.log) return
  const kept = await positionsOf(state.db, job)
  await source.log.release(
    positions,
    kept.map(p => p.value),
  )
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

/**
 * Discards an unfinished run that no process executes. Its stores are those that it began with; `job` is its definition where
 * the state has none of the secrets.
 */
export async function discardRun(
  state: State,
  run: RunRow,
  policy: Policy,
  job = readJob(run.definition),
): Promise<void> {
  const stores = await openStores(job, state, policy)
  try {
    await claims.giveUp(state.db, run.job, (row, lease) => abandon(state, row, lease, stores), run.id)
  } finally {
    await closeStores(stores)
  }
}

/**
 * Makes the next run of a job copy everything again, of all tables or of some; an unfinished one is given up. Throws
 * FERRY-3008 where the job keeps nothing of the tables.
 */
export async function resetJob(
  state: State,
  job: string,
  policy: Policy,
  only?: string[],
): Promise<{ run: string | undefined; tables: string[] }> {
  const row = await findJob(state.db, job)
  const stores = await openStores(readJob(row.definition), state, policy)
  try {
    let run: string | undefined
    for (;;) {
      const id = await claims.giveUp(state.db, job, (row, lease) => abandon(state, row, lease, stores))
      if (id === undefined) break
      run ??= id
    }
    const gone = await resetPositions(state.db, job, only)
    if (only && gone.length === 0) {
      throw new FerryError('FERRY-3008', `${job} keeps no position of ${only.join(', ')}`, {
        hint: 'See `ferry plan`: such a table is copied as a whole with the next run.',
      })
    }
    await release(
      state,
      job,
      stores.source,
      gone.map(p => p.value),
    )
    return { run, tables: gone.map(p => p.source) }
  } finally {
    await closeStores(stores)
  }
}
