/** Lists of jobs and runs, and one run, for the API and the commands. */
import { type Kysely, sql } from 'kysely'
import { withoutPassword } from '../connectors/settings.ts'
import { peekJob, readJob } from '../job/kept.ts'
import type { CopyJob, EndpointSpec } from '../job/schema.ts'
import { nextTimes } from '../job/times.ts'
import { attemptsOf } from '../state/attempts.ts'
import { identity } from '../state/claims.ts'
import { findJob } from '../state/jobs.ts'
import { findRun } from '../state/runs.ts'
import type { RunState, Schema } from '../state/schema.ts'
import { samplesOf } from '../state/texts.ts'
import { databaseNow } from '../state/time.ts'
import type { JobView, ListedJob, RunDetail, RunView } from './schemas.ts'
import { attemptView, compactJob, RUN_COLUMNS, runView } from './views.ts'

export interface JobFilter {
  search?: string | undefined
  /** Jobs behind this name. */
  after?: string | undefined
  /** Copies of the command line too. */
  oneOff?: boolean | undefined
  limit: number
}

/** Jobs by name, each with its newest run. */
export async function listJobs(
  db: Kysely<Schema>,
  { search, after, oneOff, limit }: JobFilter,
): Promise<{ jobs: ListedJob[]; total: number }> {
  let query = db.selectFrom('job').orderBy('name')
  if (!oneOff) query = query.where('one_off', '=', 0)
  if (search) query = query.where(contains('name', search))
  const { total } = await query
    .clearOrderBy()
    .select(eb => eb.fn.countAll<number>().as('total'))
    .executeTakeFirstOrThrow()
  if (after !== undefined) query = query.where('name', '>', after)
  const jobs = await query.selectAll().limit(limit).execute()
  const newest = await db
    .selectFrom('run')
    .select(RUN_COLUMNS)
    .where('id', 'in', eb =>
      eb
        .selectFrom('job')
        .select(of =>
          of
            .selectFrom('run as r')
            .select('r.id')
            .whereRef('r.job', '=', 'job.name')
            .orderBy('r.id', 'desc')
            .limit(1)
            .as('id'),
        )
        .where(
          'name',
          'in',
          jobs.map(j => j.name),
        ),
    )
    .execute()
  const now = await databaseNow(db)
  const last = new Map(newest.map(r => [r.job, runView(r, now)]))
  const views: ListedJob[] = []
  for (const row of jobs) {
    const job = peekJob(row.definition)
    const times: number[] = []
    for (const schedule of job.schedules) if (schedule.enabled) times.push(...(await soon(schedule, now)))
    views.push({
      name: row.name,
      description: job.description ?? null,
      mode: job.mode,
      source: endpointName(job.source),
      destination: endpointName(job.destination),
      updatedAt: row.updated_at,
      nextTime: times.length > 0 ? new Date(Math.min(...times)).toISOString() : null,
      lastRun: last.get(row.name) ?? null,
    })
  }
  return { jobs: views, total: Number(total) }
}

export interface RunFilter {
  job?: string | undefined
  /** A part of the job's name. */
  search?: string | undefined
  state?: RunState[] | undefined
  /** `manual`, `schedule`, `trigger`, or one of these by its name. */
  invokedBy?: string | undefined
  /** Times of creation, ISO 8601. */
  from?: string | undefined
  until?: string | undefined
  /** Runs older than this one. */
  before?: string | undefined
  limit: number
}

/** Runs, newest first. Throws FERRY-1007 for a job that is not there. */
export async function listRuns(
  db: Kysely<Schema>,
  { job, search, state: states, invokedBy, from, until, before, limit }: RunFilter,
): Promise<RunView[]> {
  let query = db.selectFrom('run').select(RUN_COLUMNS).orderBy('id', 'desc').limit(limit)
  if (job !== undefined) query = query.where('job', '=', job)
  if (search) query = query.where(contains('job', search))
  if (states) query = query.where('state', 'in', states)
  if (before !== undefined) query = query.where('id', '<', before)
  // Ids begin with the time of creation.
  if (from !== undefined) query = query.where('id', '>=', stamp(from))
  if (until !== undefined) query = query.where('id', '<', stamp(until))
  if (invokedBy?.includes(':') || invokedBy === 'manual') query = query.where('invoked_by', '=', invokedBy)
  else if (invokedBy !== undefined) {
    query = query.where('invoked_by', '>=', `${invokedBy}:`).where('invoked_by', '<', `${invokedBy};`)
  }
  const now = await databaseNow(db)
  const rows = await query.execute()
  // No runs of a job that is not there is a mistake, not an answer.
  if (rows.length === 0 && job !== undefined) await findJob(db, job)
  return rows.map(row => runView(row, now))
}

/** A job as its file would say it. Throws FERRY-1007. */
export async function describeJob(db: Kysely<Schema>, name: string): Promise<JobView> {
  const row = await findJob(db, name)
  const definition = compactOf(row.definition)
  return { name, definition, createdAt: row.created_at, updatedAt: row.updated_at }
}

/** Definitions that were read last, as their files would say them: of large ones reading takes long. */
const compacted = new Map<string, Record<string, unknown>>()
/** Characters of all that is stored. */
const MOST_COMPACTED = 1_000_000
let compactedSize = 0

function compactOf(definition: string): Record<string, unknown> {
  const known = compacted.get(definition)
  if (known) return known
  const made = compactJob(readJob(definition))
  compacted.set(definition, made)
  compactedSize += definition.length
  for (const oldest of compacted.keys()) {
    if (compactedSize <= MOST_COMPACTED) break
    compacted.delete(oldest)
    compactedSize -= oldest.length
  }
  return made
}

/** The run of that id, or the newest one of a job of that name. Throws FERRY-1007. */
export async function describeRun(db: Kysely<Schema>, idOrJob: string): Promise<RunDetail> {
  const run = await findRun(db, idOrJob)
  const job = peekJob(run.definition)
  const kept = await db.selectFrom('job').select('definition').where('name', '=', run.job).executeTakeFirst()
  const now = await databaseNow(db)
  const view = runView(run, now)
  return {
    ...view,
    edited: kept !== undefined && identity(kept.definition) !== identity(run.definition),
    attempts: (await attemptsOf(db, run.id)).map(a => attemptView(a, view.executing, now)),
    source: endpointName(job.source),
    destination: endpointName(job.destination),
    owner: run.owner_pid === null ? null : { host: run.owner_host ?? '', process: run.owner_pid },
    samples: samplesOf(run.samples),
  }
}

/** The next time of a schedule; none if an older version saved a schedule that has no time. */
async function soon(schedule: CopyJob['schedules'][number], now: number): Promise<number[]> {
  try {
    const times = await nextTimes(schedule, now, 1)
    return times.filter(time => Math.abs(time) <= LAST_TIME)
  } catch {
    return []
  }
}

/** The last time that a date can be, in milliseconds since 1970. */
const LAST_TIME = 8.64e15

/** Whether a name has a part, in whatever case; `%` and `_` are letters like others. */
function contains(column: 'name' | 'job', part: string) {
  const like = `%${part.toLowerCase().replace(/[!%_]/g, '!$&')}%`
  return sql<boolean>`lower(${sql.ref(column)}) LIKE ${like} ESCAPE '!'`
}

/** The time as ids of runs begin with it. */
function stamp(time: string): string {
  return new Date(time).toISOString().replace(/[-:]/g, '').replace('Z', '')
}

function endpointName(endpoint: EndpointSpec | undefined): string {
  if (endpoint === undefined) return ''
  if (typeof endpoint === 'string') return withoutPassword(endpoint)
  if ('connection' in endpoint) return String(endpoint.connection)
  const { kind, path, folder, host, endpoint: address } = endpoint as Record<string, unknown>
  return `${kind}:${path ?? folder ?? host ?? address ?? ''}`
}
