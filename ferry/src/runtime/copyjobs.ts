/**
 * Copy jobs of an account: stored under a name that is unique there, queued in the account's queue, and executed one
 * after another by the processes that work for it.
 */
import type { Containers } from '../contract/capabilities.ts'
import type { Store } from '../contract/store.ts'
import { FerryError } from '../errors.ts'
import { matcher } from '../glob.ts'
import { type CopyJobWords, type CopyRun, jobOf, nameOf, objectOf, type Task } from '../import/arm/copyjob.ts'
import { readJob } from '../job/kept.ts'
import type { Policy } from '../policy.ts'
import * as claims from '../state/claims.ts'
import { findConnection } from '../state/connections.ts'
import type { State } from '../state/database.ts'
import { isAlive } from '../state/owner.ts'
import * as queue from '../state/queue.ts'
import * as runs from '../state/runs.ts'
import type { RunRow, RunTableRow, SplitRow, Wish } from '../state/schema.ts'
import { errorOf } from '../state/texts.ts'
import { databaseNow } from '../state/time.ts'
import { abandon } from './discard.ts'
import type { RunReport } from './report.ts'
import { type RunOptions, runJob } from './run.ts'
import { closeStores, openStore, openStores, resolveEndpoint } from './stores.ts'

export interface CreateOptions {
  /** Make targets that are missing, after their source's definition. */
  createTargets: boolean
  /** The partition key of each target that is made; its source's where omitted. */
  partitionKey?: string[] | undefined
  /** RU/s of each target that is made; their database's, or the service's default, where omitted. */
  throughput?: number | undefined
}

/**
 * Checks a copy job and keeps it; its run waits in the account's queue. Patterns in the tasks match what the source
 * holds now. Nothing is saved or created if a check fails.
 */
export async function createCopyJob(
  state: State,
  words: CopyJobWords,
  options: CreateOptions,
  policy: Policy,
): Promise<RunRow> {
  const source = await openAccount(state, words.sourceAccount, policy)
  const destination = await openAccount(state, words.account, policy)
  try {
    if (await findJobRow(state, words.account, words.jobName)) throw nameTaken(words)
    const online = words.mode === 'Online'
    const tasks = await expandTasks(words.tasks, source)
    refuseMuddled(tasks, words.sourceAccount === words.account)
    await containersOf(source).check(
      tasks.map(t => objectOf(t.source)),
      { as: 'source', online },
    )
    const targets = tasks.map(t => objectOf(t.destination))
    await containersOf(destination).check(options.createTargets ? [] : targets, { as: 'destination', online })
    if (options.createTargets) await createTargets(tasks, source, destination, options)
    const job = jobOf({ ...words, tasks })
    const definition = JSON.stringify(job)
    return await queue.enqueueJob(state.db, { name: job.name, definition, queue: words.account }).catch(error => {
      throw error instanceof FerryError && error.code === 'FERRY-1008' ? nameTaken(words) : error
    })
  } finally {
    await closeStores({ source, destination })
  }
}

function nameTaken({ account, jobName }: CopyJobWords): FerryError {
  return new FerryError('FERRY-1008', `account ${account} has a copy job "${jobName}" already`, {
    hint: 'Choose another --job-name: names are unique in an account, of ended jobs too.',
    service: { code: '409', message: `Conflict: a copy job named ${jobName} already exists in account ${account}.` },
  })
}

/** An account is a named connection. */
async function openAccount(state: State, account: string, policy: Policy): Promise<Store> {
  const locator = await resolveEndpoint({ connection: account }, state, policy)
  const store = await openStore(locator, policy)
  if (store.containers) return store
  await store.close()
  throw new FerryError('FERRY-2003', `connection ${account} is of kind ${locator.kind}: copy jobs need an account`)
}

function containersOf(store: Store): Containers {
  return store.containers!
}

/** Tasks with patterns (`*`, `?`) in their names made into one for each container that matches. */
async function expandTasks(tasks: Task[], source: Store): Promise<Task[]> {
  const isPattern = ({ source: s }: Task) => /[*?]/.test(s.databaseName + s.containerName)
  const all = tasks.some(isPattern) ? await containersOf(source).list() : []
  const expanded: Task[] = []
  for (const task of tasks) {
    if (!isPattern(task)) {
      expanded.push(task)
      continue
    }
    const { databaseName, containerName } = task.source
    const [wantedDatabase, wantedContainer] = [
      matcher(databaseName, { exact: true }),
      matcher(containerName, { exact: true }),
    ]
    const chosen = all.filter(c => wantedDatabase(c.database) && wantedContainer(c.container))
    if (chosen.length === 0) {
      throw new FerryError('FERRY-3008', `no container of ${source.label} matches ${databaseName}/${containerName}`)
    }
    for (const one of chosen) {
      const fill = (text: string) =>
        text.replaceAll('{database}', one.database).replaceAll('{container}', one.container)
      const { databaseName: database, containerName: container } = task.destination
      expanded.push({
        source: { databaseName: one.database, containerName: one.container },
        destination: { databaseName: fill(database), containerName: fill(container) },
      })
    }
  }
  return expanded
}

/** Throws for tasks that cannot be meant: onto itself, or two into one container. */
function refuseMuddled(tasks: Task[], isSameAccount: boolean): void {
  const seen = new Map<string, string>()
  for (const { source, destination } of tasks) {
    const [from, to] = [objectOf(source), objectOf(destination)]
    if (isSameAccount && from === to) throw new FerryError('FERRY-1003', `${from} would be copied onto itself`)
    if (seen.has(to)) throw new FerryError('FERRY-1005', `${seen.get(to)} and ${from} both go to ${to}`)
    seen.set(to, from)
  }
}

async function createTargets(tasks: Task[], source: Store, destination: Store, options: CreateOptions) {
  const { partitionKey, throughput } = options
  for (const task of tasks) {
    const target = objectOf(task.destination)
    if ((await containersOf(destination).definition(target)) !== undefined) continue
    const definition = await containersOf(source).definition(objectOf(task.source))
    await containersOf(destination).create(target, definition!, { partitionKey, throughput })
  }
}

async function findJobRow(state: State, account: string, jobName: string) {
  return state.db.selectFrom('job').selectAll().where('name', '=', nameOf(account, jobName)).executeTakeFirst()
}

/** The newest run of a copy job. Throws FERRY-1007. */
export async function findCopyJob(state: State, account: string, jobName: string): Promise<RunRow> {
  if (await findJobRow(state, account, jobName)) return runs.findRun(state.db, nameOf(account, jobName))
  throw new FerryError('FERRY-1007', `account ${account} has no copy job "${jobName}"`, {
    hint: `See its jobs: ferry cosmos copy list --account-name ${account}`,
    service: { code: '404', message: `NotFound: copy job ${jobName} was not found in account ${account}.` },
  })
}

/** All copy jobs of an account, in the order of their creation. Throws FERRY-1007 where there is no such account. */
export async function listCopyJobs(state: State, account: string): Promise<RunRow[]> {
  await findConnection(state.db, account)
  return queue.queuedRuns(state.db, account)
}

/** What is known of a run, for pages and answers. */
export async function describeCopy(state: State, row: RunRow): Promise<CopyRun> {
  const tables = await runs.runTables(state.db, row.id)
  const splits = await state.db.selectFrom('split').selectAll().where('run', '=', row.id).execute()
  const executing = isAlive(row, await databaseNow(state.db))
  const ofTable = (t: RunTableRow) => splits.filter(s => s.ordinal === t.ordinal)
  const ended = row.ended_at === null ? 0 : Date.parse(row.ended_at)
  return {
    job: readJob(row.definition),
    state: row.state,
    executing,
    createdAt: row.created_at,
    startedAt: row.started_at,
    endedAt: row.ended_at,
    updatedAt: new Date(Math.max(row.heartbeat_at ?? 0, ended, Date.parse(row.created_at))),
    error: errorOf(row.error),
    tables: tables.map(t => countsOf(t, ofTable(t))),
    behind: executing ? behindOf(tables.map(ofTable)) : undefined,
    waiting: await waitingOf(state, row, executing),
  }
}

function countsOf(table: RunTableRow, splits: SplitRow[]) {
  const { source: from, rows_skipped: skipped } = table
  if (table.state === 'completed') return { from, processed: table.rows_read, total: table.rows_read, skipped }
  const processed = splits.reduce((n, s) => n + s.rows_done, 0)
  const left = splits.reduce((n, s) => n + (s.behind ?? 0), 0)
  const follows = splits.length > 0 && splits.every(s => s.behind !== null)
  const total = follows ? processed + left : Math.max(table.total_rows ?? 0, processed + left)
  return { from, processed, total, skipped }
}

/** How far behind its sources an online copy is, once all of its tables follow them. */
function behindOf(tables: SplitRow[][]): { changes: number; seconds: number } | undefined {
  const splits = tables.flat()
  if (splits.length === 0 || tables.some(t => t.length === 0) || splits.some(s => s.behind === null)) return undefined
  const changes = splits.reduce((n, s) => n + s.behind!, 0)
  const since = splits.filter(s => s.behind! > 0 && s.behind_since !== null).map(s => s.behind_since!)
  const seconds = since.length === 0 ? 0 : Math.max(0, Math.round((Date.now() - Math.min(...since)) / 1000))
  return { changes, seconds }
}

/** Why a run does not move: a store, another job, or that no process executes it. */
async function waitingOf(state: State, row: RunRow, executing: boolean): Promise<string | undefined> {
  if (executing) return row.waiting ?? undefined
  if (!['pending', 'planning', 'running', 'completing'].includes(row.state)) return undefined
  const now = await databaseNow(state.db)
  const ahead = (await queue.queuedRuns(state.db, row.queue!)).filter(r => r.id !== row.id && isAlive(r, now))
  if (ahead.length > 0)
    return `job ${ahead.map(r => r.job.slice(row.queue!.length + 1)).join(', ')} of the same account`
  return `somebody who executes it: ferry cosmos copy work --account-name ${row.queue}`
}

/** Resumes a paused or failed job, or one whose process is gone: it is put back into its queue. */
export async function resumeCopyJob(state: State, row: RunRow): Promise<void> {
  claims.requireUnfinished(row)
  const alive = isAlive(row, await databaseNow(state.db))
  const waits = row.state === 'paused' || row.state === 'failed'
  const isLeft = ['pending', 'planning', 'running', 'completing'].includes(row.state) && !alive
  if (!waits && !isLeft) {
    throw new FerryError('FERRY-5006', `the job is ${alive ? 'running' : row.state}: it cannot be resumed`)
  }
  await queue.requeue(state.db, row, 'pending')
}

/** Pauses, cancels or completes a job, whether or not a process executes it. */
export async function wishForCopyJob(state: State, row: RunRow, wish: Wish, policy: Policy): Promise<RunRow> {
  const asked = await runs.wishFor(state.db, row.id, wish)
  if (isAlive(asked, await databaseNow(state.db))) return asked
  if (wish === 'pause') await queue.requeue(state.db, asked, 'paused')
  if (wish === 'complete') await queue.requeue(state.db, asked, 'pending')
  if (wish === 'cancel') {
    const stores = await openStores(readJob(row.definition), state, policy)
    try {
      await claims.giveUp(state.db, row.job, (run, lease) => abandon(state, run, lease, stores))
    } finally {
      await closeStores(stores)
    }
  }
  return runs.findRun(state.db, row.id)
}

/**
 * Executes the jobs that wait in an account's queue, one after another, until none is left for this process. Gives back
 * the reports; the run of a job that does not begin has the error.
 */
export async function work(
  state: State,
  account: string,
  options: Pick<RunOptions, 'signal' | 'onStart'> & { policy: Policy },
): Promise<RunReport[]> {
  const store = await openAccount(state, account, options.policy)
  const { copiesAtOnce } = containersOf(store)
  await store.close()
  const reports: RunReport[] = []
  while (!options.signal?.aborted) {
    const claimed = await queue.claimQueued(state.db, account, copiesAtOnce)
    if (!claimed) break
    const job = readJob(claimed.row.definition)
    try {
      const report = await runJob({ ...options, state, job, claimed })
      reports.push(report)
      // No user paused the job: the next worker resumes it.
      if (report.status === 'paused' && options.signal?.aborted) {
        await queue.requeue(state.db, { id: claimed.lease.run, epoch: claimed.lease.epoch }, 'pending')
      }
    } catch (error) {
      process.stderr.write(`${job.name}: ${(error as Error).message}\n`)
    }
  }
  return reports
}
