/** Runs of pipelines and of their activities. */
import { randomBytes } from 'node:crypto'
import type { Kysely } from 'kysely'
import { FerryError } from '../errors.ts'
import { uuidOf } from '../uuid.ts'
import { isAlive, self } from './owner.ts'
import type { ActivityRunRow, PipelineRunRow, Schema } from './schema.ts'
import { databaseNow, iso } from './time.ts'

export interface PipelineLease {
  run: string
  epoch: number
}

const NOBODY = { owner_host: null, owner_pid: null, owner_started: null, heartbeat_at: null }

export type NewPipelineRun = Pick<
  PipelineRunRow,
  'factory' | 'pipeline' | 'fingerprint' | 'parameters' | 'info' | 'parent_run' | 'parent_key' | 'rerun_of'
> & { group_id: string | null }

/** A UUID of version 7: ids grow with time, and are no one else's. Data Factory's ids of runs are UUIDs too. */
function runIdAt(ms: number): string {
  const bytes = Buffer.concat([Buffer.alloc(6), randomBytes(10)])
  bytes.writeUIntBE(ms, 0, 6)
  return uuidOf(bytes, 7)
}

/** Makes a run, which this process executes; with `queued` the next process that looks for one. */
export async function newPipelineRun(
  db: Kysely<Schema>,
  run: NewPipelineRun,
  { queued = false } = {},
): Promise<PipelineRunRow> {
  const now = await databaseNow(db)
  const id = runIdAt(now)
  const row: PipelineRunRow = {
    ...run,
    id,
    group_id: run.group_id ?? id,
    state: queued ? 'Queued' : 'InProgress',
    watched: queued ? 1 : 0,
    deaths: 0,
    wish: null,
    epoch: queued ? 0 : 1,
    created_at: iso(now),
    ended_at: null,
    error: null,
    return_value: null,
    ...(queued ? NOBODY : self(now)),
  }
  await db.insertInto('pipeline_run').values(row).execute()
  return row
}

/** Throws FERRY-1007. */
export async function findPipelineRun(db: Kysely<Schema>, id: string): Promise<PipelineRunRow> {
  const row = await db.selectFrom('pipeline_run').selectAll().where('id', '=', id).executeTakeFirst()
  if (row) return row
  throw new FerryError('FERRY-1007', `there is no run ${id} of a pipeline`, { hint: 'See `ferry adf list`.' })
}

export interface Listed {
  factory?: string | undefined
  pipeline?: string | undefined
  state?: readonly PipelineRunRow['state'][] | undefined
  /** Runs that are older than this one. */
  before?: string | undefined
  /** Also those that other pipelines have started. */
  inner?: boolean | undefined
  limit: number
}

/** Newest first. */
export async function listPipelineRuns(
  db: Kysely<Schema>,
  { factory, pipeline, state, before, inner, limit }: Listed,
): Promise<PipelineRunRow[]> {
  let query = db.selectFrom('pipeline_run').selectAll().orderBy('id', 'desc').limit(limit)
  if (factory !== undefined) query = query.where('factory', '=', factory)
  if (pipeline !== undefined) query = query.where(eb => eb(eb.fn('lower', ['pipeline']), '=', pipeline.toLowerCase()))
  if (state !== undefined) query = query.where('state', 'in', state)
  if (before !== undefined) query = query.where('id', '<', before)
  if (!inner) query = query.where('parent_run', 'is', null)
  return query.execute()
}

/** Unfinished runs of a pipeline that no process executes, newest first. */
export async function abandonedPipelineRuns(
  db: Kysely<Schema>,
  of: Pick<PipelineRunRow, 'factory' | 'pipeline'>,
): Promise<PipelineRunRow[]> {
  const rows = await db
    .selectFrom('pipeline_run')
    .selectAll()
    .where('factory', '=', of.factory)
    .where('pipeline', '=', of.pipeline)
    .where('state', '=', 'InProgress')
    .where('parent_run', 'is', null)
    .orderBy('id', 'desc')
    .execute()
  const now = await databaseNow(db)
  return rows.filter(row => !isAlive(row, now))
}

/** Runs of a factory that wait for a process, oldest first, and how many of each pipeline are at work. */
export async function waitingPipelineRuns(
  db: Kysely<Schema>,
  factory: string,
): Promise<{ waiting: PipelineRunRow[]; atWork: Map<string, number> }> {
  const rows = await db
    .selectFrom('pipeline_run')
    .selectAll()
    .where('factory', '=', factory)
    .where('state', 'in', ['Queued', 'InProgress'])
    .where('parent_run', 'is', null)
    .orderBy('id')
    .execute()
  const now = await databaseNow(db)
  const atWork = new Map<string, number>()
  // Those of the command line are gone on with by whoever has begun them.
  const waiting = rows.filter(row => !isAlive(row, now) && Number(row.watched) === 1)
  for (const row of rows) if (isAlive(row, now)) atWork.set(row.pipeline, (atWork.get(row.pipeline) ?? 0) + 1)
  return { waiting, atWork }
}

/** The run that an activity has started; undefined if it has not. */
export async function childRun(db: Kysely<Schema>, parent: string, key: string): Promise<PipelineRunRow | undefined> {
  return db
    .selectFrom('pipeline_run')
    .selectAll()
    .where('parent_run', '=', parent)
    .where('parent_key', '=', key)
    .orderBy('id', 'desc')
    .executeTakeFirst()
}

/** Makes this process the one that executes a run. Throws FERRY-5001 while another one does, FERRY-5006 for one that has ended. */
export async function takePipelineRun(db: Kysely<Schema>, id: string): Promise<PipelineRunRow> {
  return db.transaction().execute(async tx => {
    await tx.updateTable('pipeline_run').set({ id }).where('id', '=', id).execute()
    const row = await findPipelineRun(tx, id)
    if (row.state !== 'InProgress' && row.state !== 'Queued') {
      throw new FerryError('FERRY-5006', `run ${id} has ended: ${row.state}`, {
        hint: 'Run it again: ferry adf rerun RUN',
      })
    }
    const now = await databaseNow(tx)
    if (isAlive(row, now)) {
      throw new FerryError('FERRY-5001', `run ${id} is executed by process ${row.owner_pid} on ${row.owner_host}`)
    }
    const taken = { ...self(now), epoch: row.epoch + 1, state: 'InProgress' as const }
    await tx.updateTable('pipeline_run').set(taken).where('id', '=', id).execute()
    return { ...row, ...taken }
  })
}

const lost = (run: string) => new FerryError('FERRY-5004', `run ${run} was taken over by another process`)

/** Shows a sign of life, and gives back what is wished. Throws FERRY-5004. */
export async function pulsePipeline(
  db: Kysely<Schema>,
  { run, epoch }: PipelineLease,
): Promise<PipelineRunRow['wish']> {
  const now = await databaseNow(db)
  const [row] = await db
    .updateTable('pipeline_run')
    .set({ heartbeat_at: now })
    .where('id', '=', run)
    .where('epoch', '=', epoch)
    .returning('wish')
    .execute()
  if (!row) throw lost(run)
  return row.wish
}

/** Lets go of a run that is to be resumed later. */
export async function releasePipeline(db: Kysely<Schema>, { run, epoch }: PipelineLease): Promise<void> {
  await db
    .updateTable('pipeline_run')
    .set({ owner_pid: null })
    .where('id', '=', run)
    .where('epoch', '=', epoch)
    .execute()
}

export async function endPipeline(
  db: Kysely<Schema>,
  { run, epoch }: PipelineLease,
  end: Pick<PipelineRunRow, 'state' | 'error' | 'return_value'>,
): Promise<void> {
  await db.transaction().execute(async tx => {
    const now = await databaseNow(tx)
    const [row] = await tx
      .updateTable('pipeline_run')
      .set({ ...end, ended_at: iso(now), owner_pid: null })
      .where('id', '=', run)
      .where('epoch', '=', epoch)
      .returning('id')
      .execute()
    if (!row) throw lost(run)
    if (end.state === 'Cancelled') {
      const all = await tx.selectFrom('activity_run').select(['key', 'seq', 'state']).where('run', '=', run).execute()
      let seq = all.reduce((most, a) => Math.max(most, Number(a.seq)), 0)
      for (const { key } of all.filter(a => a.state === 'InProgress')) {
        // Who asks for what has changed gets them, too.
        const ended = { state: 'Cancelled' as const, ended_at: now, seq: ++seq }
        await tx.updateTable('activity_run').set(ended).where('run', '=', run).where('key', '=', key).execute()
      }
    }
  })
}

/** Asks for a run, and those that it has started, to be cancelled. Gives back those that nobody executes. */
export async function wishCancelled(db: Kysely<Schema>, id: string): Promise<PipelineRunRow[]> {
  const root = await findPipelineRun(db, id)
  const found = [root]
  for (let i = 0; i < found.length; i++) {
    found.push(...(await db.selectFrom('pipeline_run').selectAll().where('parent_run', '=', found[i]!.id).execute()))
  }
  const open = found.filter(row => row.state === 'InProgress' || row.state === 'Queued')
  if (root.state !== 'InProgress' && root.state !== 'Queued') {
    throw new FerryError('FERRY-5006', `run ${id} has ended: ${root.state}`)
  }
  for (const { id: run } of open)
    await db.updateTable('pipeline_run').set({ wish: 'cancel' }).where('id', '=', run).execute()
  const now = await databaseNow(db)
  return open.filter(row => !isAlive(row, now))
}

/** Activities of a run, in the order of their ends. */
export async function activityRuns(db: Kysely<Schema>, run: string, most?: number): Promise<ActivityRunRow[]> {
  const query = db.selectFrom('activity_run').selectAll().where('run', '=', run).orderBy('seq')
  return (most === undefined ? query : query.limit(most)).execute()
}

/** Activities of a run that were saved behind a place, in the order in which they were; without what they got and gave. */
export async function changedActivities(
  db: Kysely<Schema>,
  run: string,
  { after, limit }: { after: number; limit: number },
): Promise<Omit<ActivityRunRow, 'input' | 'output' | 'decision' | 'effect'>[]> {
  return db
    .selectFrom('activity_run')
    .select(['run', 'key', 'seq', 'name', 'type', 'state', 'attempt', 'started_at', 'ended_at', 'error'])
    .select(['copy', 'secure', 'user_properties'])
    .where('run', '=', run)
    .where('seq', '>', after)
    .orderBy('seq')
    .limit(limit)
    .execute()
}

/** One activity of a run; undefined if it has not begun. */
export async function activityRun(db: Kysely<Schema>, run: string, key: string): Promise<ActivityRunRow | undefined> {
  return db.selectFrom('activity_run').selectAll().where('run', '=', run).where('key', '=', key).executeTakeFirst()
}

/** Unfinished runs that a run has started. */
export async function openChildren(db: Kysely<Schema>, parent: string): Promise<PipelineRunRow[]> {
  return db
    .selectFrom('pipeline_run')
    .selectAll()
    .where('parent_run', '=', parent)
    .where('state', 'in', ['InProgress', 'Queued'])
    .orderBy('id')
    .execute()
}

/** Rows of one statement: SQLite takes 32,766 values. */
const MOST_ROWS = 500

/** Saves activities in one transaction, fenced by the run's epoch. Throws FERRY-5004. */
export async function saveActivities(db: Kysely<Schema>, lease: PipelineLease, rows: ActivityRunRow[]): Promise<void> {
  await db.transaction().execute(tx => putActivities(tx, lease, rows))
}

/** The same within a transaction. */
export async function putActivities(
  tx: Kysely<Schema>,
  { run, epoch }: PipelineLease,
  rows: ActivityRunRow[],
): Promise<void> {
  const [held] = await tx
    .updateTable('pipeline_run')
    .set({ epoch })
    .where('id', '=', run)
    .where('epoch', '=', epoch)
    .returning('id')
    .execute()
  if (!held) throw lost(run)
  for (let i = 0; i < rows.length; i += MOST_ROWS) {
    await tx
      .insertInto('activity_run')
      .values(rows.slice(i, i + MOST_ROWS))
      .onConflict(c =>
        c.columns(['run', 'key']).doUpdateSet(eb => ({
          seq: eb.ref('excluded.seq'),
          state: eb.ref('excluded.state'),
          attempt: eb.ref('excluded.attempt'),
          ended_at: eb.ref('excluded.ended_at'),
          input: eb.ref('excluded.input'),
          output: eb.ref('excluded.output'),
          error: eb.ref('excluded.error'),
          decision: eb.ref('excluded.decision'),
          effect: eb.ref('excluded.effect'),
          copy: eb.ref('excluded.copy'),
          user_properties: eb.ref('excluded.user_properties'),
        })),
      )
      .execute()
  }
}

/** Says why a run that is not at its end does not go on; null if it does. */
export async function tellStuck(db: Kysely<Schema>, id: string, error: string | null): Promise<void> {
  await db
    .updateTable('pipeline_run')
    .set({ error })
    .where('id', '=', id)
    .where('state', 'in', ['Queued', 'InProgress'])
    .execute()
}

/** Unfinished runs of a factory that whoever watches it executes, those that others have started not among them. */
export async function openRuns(db: Kysely<Schema>, factory: string): Promise<PipelineRunRow[]> {
  return db
    .selectFrom('pipeline_run')
    .selectAll()
    .where('factory', '=', factory)
    .where('state', 'in', ['Queued', 'InProgress'])
    .where('watched', '=', 1)
    .where('parent_run', 'is', null)
    .execute()
}

/** Counts the death of a process for each run that it executed; gives back those that have had so many. */
export async function countDeaths(db: Kysely<Schema>, pid: number, most: number): Promise<PipelineRunRow[]> {
  const rows = await db
    .updateTable('pipeline_run')
    .set(eb => ({ deaths: eb('deaths', '+', 1) }))
    .where('owner_pid', '=', pid)
    .where('state', '=', 'InProgress')
    .where('parent_run', 'is', null)
    .returningAll()
    .execute()
  return rows.filter(row => Number(row.deaths) >= most)
}

const ENDED: PipelineRunRow['state'][] = ['Succeeded', 'Failed', 'Cancelled']

/** Forgets runs that ended before a moment, with their activities. */
export async function forgetPipelineRuns(db: Kysely<Schema>, before: Date): Promise<number> {
  let forgotten = 0
  for (;;) {
    const rows = await db
      .selectFrom('pipeline_run')
      .select('id')
      .where('state', 'in', ENDED)
      .where('ended_at', '<', before.toISOString())
      .limit(50)
      .execute()
    if (rows.length === 0) return forgotten
    const ids = rows.map(r => r.id)
    await db.transaction().execute(async tx => {
      await tx.deleteFrom('activity_run').where('run', 'in', ids).execute()
      await tx.deleteFrom('callback').where('run', 'in', ids).execute()
      await tx.deleteFrom('pipeline_run').where('id', 'in', ids).execute()
    })
    forgotten += ids.length
  }
}
