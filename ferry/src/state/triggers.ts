/** Triggers of factories: which are started, up to when their times are dealt with, and their windows. */
import type { Kysely } from 'kysely'
import type { PipelineTriggerRow, PipelineWindowRow, Schema } from './schema.ts'

export async function startedTriggers(db: Kysely<Schema>, factory: string): Promise<PipelineTriggerRow[]> {
  return db
    .selectFrom('pipeline_trigger')
    .selectAll()
    .where('factory', '=', factory)
    .where('started', '=', 1)
    .orderBy('name')
    .execute()
}

export async function allTriggers(db: Kysely<Schema>, factory: string): Promise<PipelineTriggerRow[]> {
  return db.selectFrom('pipeline_trigger').selectAll().where('factory', '=', factory).orderBy('name').execute()
}

/** Starts a trigger at a moment; with `goesOn` one of the same words where it was stopped. */
export async function startTrigger(
  db: Kysely<Schema>,
  {
    factory,
    name,
    fingerprint,
    at,
    goesOn,
  }: Pick<PipelineTriggerRow, 'factory' | 'name' | 'fingerprint' | 'at'> & { goesOn: boolean },
): Promise<void> {
  await db.transaction().execute(async tx => {
    const before = await tx
      .selectFrom('pipeline_trigger')
      .selectAll()
      .where('factory', '=', factory)
      .where('name', '=', name)
      .executeTakeFirst()
    const same = before?.fingerprint === fingerprint
    if (before?.started === 1 && same) return
    const from = same && goesOn ? before.at : at
    // Windows of other words would keep new ones from being made.
    if (!same)
      await tx.deleteFrom('pipeline_window').where('factory', '=', factory).where('trigger', '=', name).execute()
    await tx
      .insertInto('pipeline_trigger')
      .values({ factory, name, fingerprint, at: from, started: 1, outcome: null, outcome_at: null })
      .onConflict(c =>
        c
          .columns(['factory', 'name'])
          .doUpdateSet({ fingerprint, at: from, started: 1, outcome: null, outcome_at: null }),
      )
      .execute()
  })
}

/** False if there is no such trigger that was started. */
export async function stopTrigger(db: Kysely<Schema>, factory: string, name: string): Promise<boolean> {
  const [row] = await db
    .updateTable('pipeline_trigger')
    .set({ started: 0 })
    .where('factory', '=', factory)
    .where(eb => eb(eb.fn('lower', ['name']), '=', name.toLowerCase()))
    .where('started', '=', 1)
    .returning('name')
    .execute()
  return row !== undefined
}

/** Moves the place of a trigger from where it was read; false if another process has. */
export async function moveTrigger(tx: Kysely<Schema>, row: PipelineTriggerRow, at: number): Promise<boolean> {
  const [moved] = await tx
    .updateTable('pipeline_trigger')
    .set({ at })
    .where('factory', '=', row.factory)
    .where('name', '=', row.name)
    .where('at', '=', row.at)
    .where('started', '=', 1)
    .returning('name')
    .execute()
  return moved !== undefined
}

/** Saves what came of a trigger; false if the same was said before. */
export async function tellOutcome(
  db: Kysely<Schema>,
  factory: string,
  name: string,
  outcome: string,
): Promise<boolean> {
  const [row] = await db
    .updateTable('pipeline_trigger')
    .set({ outcome, outcome_at: new Date().toISOString() })
    .where('factory', '=', factory)
    .where('name', '=', name)
    .where(eb => eb.or([eb('outcome', 'is', null), eb('outcome', '!=', outcome)]))
    .returning('name')
    .execute()
  return row !== undefined
}

export async function addWindows(
  tx: Kysely<Schema>,
  factory: string,
  trigger: string,
  windows: { start: number; end: number }[],
): Promise<void> {
  await tx
    .insertInto('pipeline_window')
    .values(
      windows.map(({ start, end }) => ({
        factory,
        trigger,
        start_at: start,
        end_at: end,
        state: 'Waiting' as const,
        run: null,
        attempts: 0,
        retry_at: null,
      })),
    )
    .onConflict(c => c.columns(['factory', 'trigger', 'start_at']).doNothing())
    .execute()
}

/** Windows that have not ended, oldest first. */
export async function openWindows(db: Kysely<Schema>, factory: string, trigger: string): Promise<PipelineWindowRow[]> {
  return db
    .selectFrom('pipeline_window')
    .selectAll()
    .where('factory', '=', factory)
    .where('trigger', '=', trigger)
    .where('state', 'in', ['Waiting', 'Running'])
    .orderBy('start_at')
    .limit(2000)
    .execute()
}

/** The newest windows, for people. */
export async function lastWindows(
  db: Kysely<Schema>,
  factory: string,
  trigger: string,
  most: number,
): Promise<PipelineWindowRow[]> {
  return db
    .selectFrom('pipeline_window')
    .selectAll()
    .where('factory', '=', factory)
    .where('trigger', '=', trigger)
    .orderBy('start_at', 'desc')
    .limit(most)
    .execute()
}

/** Changes a window that is still in the state that it was read in; false if it is not. */
export async function moveWindow(
  db: Kysely<Schema>,
  { factory, trigger, start_at, state }: Pick<PipelineWindowRow, 'factory' | 'trigger' | 'start_at' | 'state'>,
  change: Partial<Pick<PipelineWindowRow, 'state' | 'run' | 'attempts' | 'retry_at'>>,
): Promise<boolean> {
  const [moved] = await db
    .updateTable('pipeline_window')
    .set(change)
    .where('factory', '=', factory)
    .where('trigger', '=', trigger)
    .where('start_at', '=', start_at)
    .where('state', '=', state)
    .returning('start_at')
    .execute()
  return moved !== undefined
}

/** True if windows that have succeeded cover a span without a gap. */
export async function areDone(
  db: Kysely<Schema>,
  factory: string,
  trigger: string,
  from: number,
  to: number,
): Promise<boolean> {
  const rows = await db
    .selectFrom('pipeline_window')
    .select(['start_at', 'end_at', 'state'])
    .where('factory', '=', factory)
    .where('trigger', '=', trigger)
    .where('start_at', '<', to)
    .where('end_at', '>', from)
    .orderBy('start_at')
    .execute()
  let covered = from
  for (const { start_at, end_at, state } of rows) {
    if (state !== 'Succeeded' || Number(start_at) > covered) return false
    covered = Math.max(covered, Number(end_at))
  }
  return covered >= to
}
