/** Views of runs, tables and jobs for the API, made of the state's lines. */
import { type Kysely, sql } from 'kysely'
import type { CopyJob } from '../job/schema.ts'
import { isAlive } from '../state/owner.ts'
import { isUnfinished } from '../state/runs.ts'
import type { AttemptRow, RunRow, Schema } from '../state/schema.ts'
import { FEED_ROW } from '../state/splits.ts'
import { errorOf } from '../state/texts.ts'
import type { AttemptView, RunView, TableView } from './schemas.ts'

/** The columns that a list of runs needs; definitions and samples would make it slow. */
export const RUN_COLUMNS = [
  'id',
  'job',
  'mode',
  'state',
  'wish',
  'waiting',
  'owner_host',
  'owner_pid',
  'owner_started',
  'heartbeat_at',
  'taken_at',
  'worked_ms',
  'given_up',
  'created_at',
  'started_at',
  'ended_at',
  'error',
  'invoked_by',
  'changed_at',
  'rows_read',
  'rows_copied',
  'rows_skipped',
  'bytes_read',
  'bytes_written',
  'tables',
  'tables_done',
] as const

export type ListedRun = Pick<RunRow, (typeof RUN_COLUMNS)[number]>

/** A run as the API answers it; `now` is the database's time. */
export function runView(row: ListedRun, now: number): RunView {
  const executing = isAlive(row, now)
  const duration = secondsAtWork(row, executing, now)
  return {
    id: row.id,
    job: row.job,
    mode: row.mode,
    state: row.state,
    executing,
    resumable: isUnfinished(row) && !executing && row.state !== 'pending',
    wish: row.wish,
    waiting: row.waiting,
    invokedBy: row.invoked_by,
    createdAt: row.created_at,
    startedAt: row.started_at,
    endedAt: row.ended_at,
    duration,
    rowsRead: row.rows_read,
    rowsCopied: row.rows_copied,
    rowsSkipped: row.rows_skipped,
    dataRead: row.bytes_read,
    dataWritten: row.bytes_written,
    throughput: perSecond(row.bytes_read, duration),
    tables: row.tables,
    tablesDone: row.tables_done,
    error: errorOf(row.error) ?? null,
  }
}

/** How long processes worked at it, without pauses and without the time between attempts. */
function secondsAtWork(row: ListedRun, executing: boolean, now: number): number | null {
  if (row.started_at === null) return null
  const until = executing ? now : Number(row.heartbeat_at ?? 0)
  const current = row.owner_pid === null || row.taken_at === null ? 0 : Math.max(0, until - Number(row.taken_at))
  return Math.round(row.worked_ms + current) / 1000
}

/** One attempt as the API answers it; `now` is the database's time. */
export function attemptView(row: AttemptRow, executing: boolean, now: number): AttemptView {
  const isOpen = row.ended_at === null
  return {
    host: row.host,
    startedAt: row.started_at,
    endedAt: row.ended_at,
    duration: secondsBetween(row.started_at, row.ended_at, executing, now),
    outcome: isOpen && !executing ? 'died' : row.outcome,
    error: errorOf(row.error) ?? null,
  }
}

function secondsBetween(start: string | null, end: string | null, isAtWork: boolean, now: number): number | null {
  if (start === null) return null
  if (end === null && !isAtWork) return null
  const until = end === null ? now : Date.parse(end)
  return Math.max(0, Math.round(until - Date.parse(start)) / 1000)
}

function perSecond(bytes: number, seconds: number | null): number | null {
  return seconds === null || bytes === 0 ? null : Math.round(bytes / Math.max(seconds, 0.001))
}

/** The tables of a run. */
export async function describeTables(
  db: Kysely<Schema>,
  run: string,
  executing: boolean,
  now: number,
): Promise<TableView[]> {
  const rows = await db
    .selectFrom('run_table')
    .select([
      'ordinal',
      'source',
      'destination',
      'state',
      'encoding',
      'rows_read',
      'rows_copied',
      'rows_skipped',
      'bytes_read',
      'bytes_written',
      'total_rows',
      'started_at',
      'ended_at',
      'error',
    ])
    .where('run', '=', run)
    .orderBy('ordinal')
    .execute()
  const splits = await db
    .selectFrom('split')
    .select(eb => [
      'ordinal',
      sql<number>`COUNT(CASE WHEN id <> ${FEED_ROW} THEN 1 END)`.as('all'),
      sql<number>`COUNT(CASE WHEN id <> ${FEED_ROW} AND done = 1 THEN 1 END)`.as('done'),
      sql<number>`COUNT(behind)`.as('following'),
      sql<number>`COUNT(CASE WHEN id = ${FEED_ROW} THEN 1 END)`.as('log'),
      eb.fn.sum<number | null>('behind').as('behind'),
      eb.fn.min('behind_since').as('since'),
    ])
    .where('run', '=', run)
    .groupBy('ordinal')
    .execute()
  const of = new Map(splits.map(s => [s.ordinal, s]))
  return rows.map(row => {
    const own = of.get(row.ordinal)
    const isAtWork = executing && row.state === 'running'
    const duration = secondsBetween(row.started_at, row.ended_at, isAtWork, now)
    const follows = isAtWork && own !== undefined && Number(own.following) > 0
    return {
      ordinal: row.ordinal,
      source: row.source,
      destination: row.destination,
      state: row.state,
      encoding: row.encoding,
      rowsRead: row.rows_read,
      rowsCopied: row.rows_copied,
      rowsSkipped: row.rows_skipped,
      dataRead: row.bytes_read,
      dataWritten: row.bytes_written,
      totalRows: row.total_rows,
      startedAt: row.started_at,
      endedAt: row.ended_at,
      duration,
      throughput: perSecond(row.bytes_read, duration),
      splits: Number(own?.all ?? 0),
      splitsDone: Number(own?.done ?? 0),
      lag: follows
        ? {
            left: Number(own.behind ?? 0),
            unit: Number(own.log) > 0 ? ('bytes' as const) : ('changes' as const),
            seconds:
              Number(own.behind ?? 0) === 0 || own.since === null
                ? 0
                : Math.max(0, Math.round((now - Number(own.since)) / 1000)),
          }
        : null,
      error: errorOf(row.error) ?? null,
    }
  })
}

/** A job without what its defaults say anyway, as people write it. */
export function compactJob(job: CopyJob): Record<string, unknown> {
  const isPlain = (value: unknown) =>
    value === undefined ||
    (Array.isArray(value) && value.length === 0) ||
    (typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length === 0)
  const entries = Object.entries(job).filter(([key, value]) => !isPlain(value) && !(key === 'mode' && value === 'full'))
  const schedules = job.schedules.map(withoutDefaults)
  const triggers = job.triggers.map(withoutDefaults)
  return {
    ...Object.fromEntries(entries),
    ...(schedules.length > 0 ? { schedules } : {}),
    ...(triggers.length > 0 ? { triggers } : {}),
  }
}

const DEFAULTS: Record<string, unknown> = { enabled: true, timeZone: 'UTC', missed: 'run' }

function withoutDefaults(of: Record<string, unknown>): Record<string, unknown> {
  const isTrigger = !('timeZone' in of)
  return Object.fromEntries(
    Object.entries(of).filter(([key, value]) => {
      if (key === 'overlap') return value !== (isTrigger ? 'queue' : 'skip')
      if (key === 'settled') return 'files' in of
      return value !== undefined && DEFAULTS[key] !== value
    }),
  )
}
