/**
 * What executes commands about jobs and runs: the server that FERRY_SERVER names, else the server that works with the same
 * state on this machine, else this process in the state itself. The answers are the same.
 */
import { FerryError } from '../errors.ts'
import type { CopyJob } from '../job/schema.ts'
import type { Policy } from '../policy.ts'
import { resumeRun, startRun, wishForRun } from '../runtime/control.ts'
import { discardRun, resetJob } from '../runtime/discard.ts'
import { describeJob, describeRun, listJobs, listRuns } from '../runtime/overview.ts'
import type { JobView, ListedJob, RunDetail, RunView, TableView } from '../runtime/schemas.ts'
import { compactJob, describeTables } from '../runtime/views.ts'
import { findServer, localToken } from '../server/beacon.ts'
import { requireNobodyBehind } from '../state/behind.ts'
import { ferryHome, openState, type State } from '../state/database.ts'
import { createJob, deleteJob, updateJob } from '../state/jobs.ts'
import { positionsOf } from '../state/positions.ts'
import type { Wish } from '../state/schema.ts'
import { databaseNow } from '../state/time.ts'

export interface Backend {
  /** The address of the server; undefined where the state itself is worked with. */
  readonly server: string | undefined
  /** `all`: copies of the command line too. */
  jobs(all: boolean): Promise<ListedJob[]>
  runs(job: string | undefined, most: number): Promise<RunView[]>
  run(idOrJob: string): Promise<RunDetail>
  tables(run: string): Promise<TableView[]>
  wish(run: string, wish: Wish): Promise<RunView>
  resume(run: string): Promise<RunView>
  /** Saves a new job, or with `replace` in place of the one with its name. */
  keep(job: CopyJob, replace: boolean): Promise<JobView>
  start(job: string, asking: { fullRefresh: boolean; tables: string[] }): Promise<{ run: string; outcome: string }>
  reset(job: string, tables: string[] | undefined): Promise<{ discarded: string | null; reset: string[] }>
  /** Removes a job with its history; `force` also if the log that its source keeps for it cannot be released. */
  remove(job: string, force: boolean): Promise<void>
  close(): Promise<void>
}

/** Runs a command with the backend, and closes it. */
export async function withBackend<T>(policy: Policy, work: (backend: Backend) => Promise<T>): Promise<T> {
  const backend = await openDesk(policy)
  try {
    return await work(backend)
  } finally {
    await backend.close()
  }
}

async function openDesk(policy: Policy): Promise<Backend> {
  const named = process.env.FERRY_SERVER
  const home = ferryHome()
  const url = named ?? findServer(home)?.url
  const token = named === undefined ? localToken(home) : process.env.FERRY_TOKEN
  // Values that are given here a server does not have.
  if (url === undefined || policy.hasValues) return localDesk(await openState(), policy)
  if (!token) {
    if (named === undefined) return localDesk(await openState(), policy)
    throw new FerryError('FERRY-6001', `${url} needs a token`, { hint: 'Set FERRY_TOKEN to one of its tokens.' })
  }
  return remoteDesk(url.replace(/\/$/, ''), token)
}

function localDesk(state: State, policy: Policy): Backend {
  const { db } = state
  return {
    server: undefined,
    jobs: async oneOff => (await listJobs(db, { limit: 10_000, oneOff })).jobs,
    runs: (job, limit) => listRuns(db, { job, limit }),
    run: id => describeRun(db, id),
    tables: async id => {
      const run = await describeRun(db, id)
      return describeTables(db, run.id, run.executing, await databaseNow(db))
    },
    wish: async (id, wish) =>
      describeRun(db, (await wishForRun(state, id, wish, row => discardRun(state, row, policy))).id),
    resume: async id => describeRun(db, (await resumeRun(state, id)).id),
    keep: async (job, replace) => {
      const definition = JSON.stringify(job)
      if (replace) await updateJob(db, job.name, definition)
      else await createJob(db, job.name, definition)
      return describeJob(db, job.name)
    },
    start: (job, asking) => startRun(state, job, asking),
    reset: async (job, only) => {
      const { run, tables } = await resetJob(state, job, policy, only)
      return { discarded: run ?? null, reset: tables }
    },
    remove: async (job, force) => {
      await requireNobodyBehind(db, job)
      const kept = await positionsOf(db, job)
      if (kept.length > 0 && !force) await resetJob(state, job, policy)
      await deleteJob(db, job, { force })
    },
    close: () => state.close(),
  }
}

function remoteDesk(url: string, token: string): Backend {
  const call = async <T>(method: string, path: string, body?: unknown): Promise<T> => {
    const headers: Record<string, string> = { authorization: `Bearer ${token}` }
    if (body !== undefined) headers['content-type'] = 'application/json'
    const sent = { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) }
    const answer = await fetch(`${url}/api/v1${path}`, sent).catch(error => {
      throw new FerryError('FERRY-6006', `${url} does not answer: ${(error as Error).message}`, { cause: error })
    })
    if (answer.status === 204) return undefined as T
    const text = await answer.text()
    if (!/json/.test(answer.headers.get('content-type') ?? '')) {
      throw new FerryError('FERRY-6006', `${url} is no Ferry: it answers ${answer.status}`)
    }
    const answered = JSON.parse(text)
    if (answer.ok) return answered as T
    throw new FerryError(answered.code, answered.detail, answered)
  }
  const at = encodeURIComponent
  return {
    server: url,
    jobs: async oneOff => {
      const all: ListedJob[] = []
      for (;;) {
        const after = all.at(-1)?.name
        const { jobs } = await call<{ jobs: ListedJob[] }>(
          'GET',
          `/jobs?limit=500${oneOff ? '&oneOff=true' : ''}${after ? `&after=${at(after)}` : ''}`,
        )
        all.push(...jobs)
        if (jobs.length < 500) return all
      }
    },
    runs: async (job, most) => {
      const { runs } = await call<{ runs: RunView[] }>('GET', `/runs?limit=${most}${job ? `&job=${at(job)}` : ''}`)
      return runs
    },
    run: id => call('GET', `/runs/${at(id)}`),
    tables: async id => (await call<{ tables: TableView[] }>('GET', `/runs/${at(id)}/tables`)).tables,
    wish: (id, wish) => call('POST', `/runs/${at(id)}/${wish}`),
    resume: id => call('POST', `/runs/${at(id)}/resume`),
    keep: (job, replace) => {
      const definition = compactJob(job)
      return replace ? call('PUT', `/jobs/${at(job.name)}`, definition) : call('POST', '/jobs', definition)
    },
    start: (job, asking) =>
      call('POST', `/jobs/${at(job)}/runs`, { fullRefresh: asking.fullRefresh, ...some(asking.tables) }),
    reset: (job, tables) => call('POST', `/jobs/${at(job)}/reset`, some(tables)),
    remove: async (job, force) => {
      await call('DELETE', `/jobs/${at(job)}${force ? '?force=true' : ''}`)
    },
    close: async () => {},
  }
}

/** Tables that a request names, where it names some: none would be all of them. */
function some(tables: string[] | undefined): { tables?: string[] } {
  return tables && tables.length > 0 ? { tables } : {}
}
