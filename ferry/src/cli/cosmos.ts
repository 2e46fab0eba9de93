/** `ferry cosmos copy`: the verbs of `az cosmosdb copy`, with its flags and its answers. */
import { spawn } from 'node:child_process'
import { mkdirSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { FerryError } from '../errors.ts'
import { type CopyMode, type Task, toArm } from '../import/arm/copyjob.ts'
import { readJob } from '../job/kept.ts'
import {
  createCopyJob,
  describeCopy,
  findCopyJob,
  listCopyJobs,
  resumeCopyJob,
  wishForCopyJob,
  work as workFor,
} from '../runtime/copyjobs.ts'
import { retryRun } from '../runtime/retry.ts'
import { verifyJob } from '../runtime/verify.ts'
import type { State } from '../state/database.ts'
import { isAlive } from '../state/owner.ts'
import { findRun } from '../state/runs.ts'
import type { RunRow, Wish } from '../state/schema.ts'
import { databaseNow } from '../state/time.ts'
import { exitOf, printReport } from './execute.ts'
import { policyOf, type VariableOptions } from './job.ts'
import { count, EXIT, printJson, table } from './output.ts'
import { ProgressDisplay } from './progress.ts'
import { withState } from './state.ts'
import { printVerifications } from './verify.ts'

interface CreateWords extends VariableOptions {
  jobName: string
  destAccount: string
  srcAccount?: string
  resourceGroup?: string
  srcNosql?: string[]
  destNosql?: string[]
  srcMongo?: string[]
  srcCassandra?: string[]
  mode: CopyMode
  createTargets?: boolean
  partitionKey?: string[]
  throughput?: number
  readThroughputBudget?: number
  writeThroughputBudget?: number
  priority?: 'High' | 'Low'
  throughputBucket?: number
  start: boolean
  wait?: boolean
  output: string
}

interface JobWords extends VariableOptions {
  accountName: string
  jobName: string
  output: string
  wait?: boolean
  start?: boolean
}

/** How long a verb waits until its wish has come true. */
const EFFECT_MS = 10_000

export async function create(_: string[], words: CreateWords): Promise<void> {
  await withState(async state => {
    const account = words.destAccount
    const yielding = { priority: words.priority, throughputBucket: words.throughputBucket }
    const row = await createCopyJob(
      state,
      {
        jobName: checkName(words.jobName),
        account,
        sourceAccount: words.srcAccount ?? account,
        resourceGroup: words.resourceGroup ?? 'local',
        mode: words.mode,
        tasks: tasksOf(words),
        read: defined({ throughputBudget: words.readThroughputBudget, ...yielding }),
        write: defined({ throughputBudget: words.writeThroughputBudget, ...yielding }),
      },
      {
        createTargets: words.createTargets === true,
        partitionKey: words.partitionKey,
        throughput: words.throughput,
      },
      policyOf(words),
    )
    if (words.start) startWorker(state, account, words)
    if (words.wait) await waitForEnd(state, row)
    await answer(state, await findRun(state.db, row.id), words.output)
  })
}

export async function list(_: string[], words: JobWords): Promise<void> {
  await withState(async state => {
    const found = await listCopyJobs(state, words.accountName)
    const jobs = await Promise.all(found.map(async row => toArm(await describeCopy(state, row))))
    if (words.output === 'table') printTable(jobs)
    else printJson(jobs)
  })
}

export async function show(_: string[], words: JobWords): Promise<void> {
  await withState(async state => {
    const row = await findCopyJob(state, words.accountName, words.jobName)
    if (words.wait) await waitForEnd(state, row)
    await answer(state, await findRun(state.db, row.id), words.output)
  })
}

const verb = (wish: Wish) => async (_: string[], words: JobWords) =>
  withState(async state => {
    const row = await findCopyJob(state, words.accountName, words.jobName)
    const asked = await wishForCopyJob(state, row, wish, policyOf(words))
    const alive = isAlive(asked, await databaseNow(state.db))
    // A job that no process executes is resumed to drain what is left.
    if (wish === 'complete' && !alive) startWorker(state, words.accountName, words)
    if (words.wait) await waitForEnd(state, row)
    else if (alive) await effect(state, row, wish)
    await answer(state, await findRun(state.db, row.id), words.output)
  })

export const pause = verb('pause')
export const cancel = verb('cancel')
export const complete = verb('complete')

export async function resume(_: string[], words: JobWords): Promise<void> {
  await withState(async state => {
    const row = await findCopyJob(state, words.accountName, words.jobName)
    await resumeCopyJob(state, row)
    if (words.start !== false) startWorker(state, words.accountName, words)
    if (words.wait) await waitForEnd(state, row)
    await answer(state, await findRun(state.db, row.id), words.output)
  })
}

export async function retry(_: string[], words: JobWords): Promise<void> {
  await withState(async state => {
    const row = await findCopyJob(state, words.accountName, words.jobName)
    const report = await retryRun(state, row.id, policyOf(words))
    if (report.tables.some(t => t.left > 0)) process.exitCode = EXIT.failed
    printJson(report)
  })
}

/** Compares both sides of a copy job: counts, checksums, ids that differ. */
export async function verify(_: string[], words: JobWords): Promise<void> {
  await withState(async state => {
    const row = await findCopyJob(state, words.accountName, words.jobName)
    const job = readJob(row.definition)
    const results = await verifyJob(job, state, policyOf(words), { most: 100 })
    if (results.some(r => r.differs)) process.exitCode = EXIT.failed
    if (words.output === 'table') printVerifications(results)
    else printJson(results)
  })
}

/** Executes an account's jobs here, with progress, until none is left. */
export async function work(_: string[], words: JobWords): Promise<void> {
  await withState(async state => {
    const stop = new AbortController()
    const onSignal = () => stop.abort()
    process.on('SIGINT', onSignal)
    process.on('SIGTERM', onSignal)
    let display: ProgressDisplay | undefined
    const reports = await workFor(state, words.accountName, {
      policy: policyOf(words),
      signal: stop.signal,
      onStart: run => {
        display?.stop()
        display = new ProgressDisplay()
        display.start(run.tables)
      },
    })
    display?.stop()
    for (const report of reports) printReport(report)
    process.exitCode = Math.max(EXIT.done, ...reports.map(exitOf))
  })
}

/** Starts a process of its own that executes the account's jobs and ends when none is left. */
function startWorker(state: State, account: string, words: VariableOptions): void {
  const logs = join(state.home, 'logs')
  mkdirSync(logs, { recursive: true, mode: 0o700 })
  const log = openSync(join(logs, `cosmos-copy-${account.replace(/[^\w.-]/g, '_')}.log`), 'a', 0o600)
  const given = [
    ...(words.variables === undefined ? [] : ['--variables', words.variables]),
    ...(words.set ?? []).flatMap(pair => ['--set', pair]),
  ]
  const args = [process.argv[1]!, 'cosmos', 'copy', 'work', '--account-name', account, ...given]
  const environment = { ...process.env, FERRY_HOME: state.home, NO_COLOR: '1' }
  spawn(process.execPath, args, {
    detached: true,
    windowsHide: true,
    stdio: ['ignore', log, log],
    env: environment,
  }).unref()
}

/** The least time between two lines of progress. */
const TELL_MS = 1000
const ENDED = ['completed', 'failed', 'cancelled', 'paused']

/** Waits for the end, and prints the progress to stderr. */
async function waitForEnd(state: State, row: RunRow): Promise<void> {
  let shown = ''
  let shownAt = 0
  for (;;) {
    const run = await findRun(state.db, row.id)
    const line = `${run.state}: ${count(run.rows_copied)} documents written${run.waiting ? `, waits: ${run.waiting}` : ''}\n`
    if (line !== shown && performance.now() - shownAt > TELL_MS) {
      process.stderr.write(line)
      shown = line
      shownAt = performance.now()
    }
    if (ENDED.includes(run.state) && !isAlive(run, await databaseNow(state.db))) {
      process.exitCode = run.state === 'completed' ? EXIT.done : run.state === 'failed' ? EXIT.failed : EXIT.stopped
      return
    }
    await sleep(100)
  }
}

/** Waits until a wish has come true: at once as a rule. */
async function effect(state: State, row: RunRow, wish: Wish): Promise<void> {
  const end = performance.now() + EFFECT_MS
  const wanted = wish === 'complete' ? ['completing', ...ENDED] : ENDED
  while (performance.now() < end) {
    if (wanted.includes((await findRun(state.db, row.id)).state)) return
    await sleep(20)
  }
}

async function answer(state: State, row: RunRow, output: string): Promise<void> {
  const job = toArm(await describeCopy(state, row))
  if (output === 'table') printTable([job])
  else printJson(job)
}

function printTable(jobs: ReturnType<typeof toArm>[]): void {
  if (jobs.length === 0) {
    process.stdout.write('No copy jobs.\n')
    return
  }
  const rows = jobs.map(({ name, properties: p }) => [
    name,
    p.mode,
    p.status,
    p.processedCount,
    p.totalCount,
    p.skippedCount,
    p.lag ? `${p.lag.changes} changes, ${p.lag.seconds} s` : '',
    p.duration,
    p.error?.error.message ?? p.waitingFor ?? '',
  ])
  const headings = ['job', 'mode', 'status', 'processed', 'total', 'skipped', 'behind', 'duration', 'waits for / error']
  process.stdout.write(`${table(headings, rows)}\n`)
}

function checkName(name: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/.test(name)) return name
  throw new FerryError('FERRY-1003', `--job-name ${name}: letters, digits, dash and underscore, at most 64`)
}

/** `database=D container=C`, repeated for several tasks. */
function containersIn(flag: string, pairs: string[]) {
  const found: { databaseName: string; containerName?: string }[] = []
  for (const pair of pairs) {
    const at = pair.indexOf('=')
    const [key, value] = [pair.slice(0, at), pair.slice(at + 1)]
    if (at < 1 || value === '' || !['database', 'container'].includes(key)) {
      throw new FerryError('FERRY-1003', `${flag} ${pair}: write database=NAME container=NAME`)
    }
    if (key === 'database') found.push({ databaseName: value })
    else if (found.length > 0) found.at(-1)!.containerName = value
    else throw new FerryError('FERRY-1003', `${flag}: database=NAME comes first`)
  }
  return found
}

function tasksOf(words: CreateWords): Task[] {
  if (words.srcMongo || words.srcCassandra) {
    throw new FerryError('FERRY-3009', 'copies of MongoDB collections and Cassandra tables are not there yet')
  }
  const from = containersIn('--src-nosql', words.srcNosql ?? [])
  const to = containersIn('--dest-nosql', words.destNosql ?? [])
  if (from.length === 0 || from.length !== to.length) {
    throw new FerryError('FERRY-1003', 'each --src-nosql database=D container=C needs one --dest-nosql', {
      hint: 'For a whole database: --src-nosql database=D container=* --dest-nosql database=E --create-targets',
    })
  }
  return from.map((source, i) => {
    if (source.containerName === undefined) {
      throw new FerryError('FERRY-1003', `--src-nosql database=${source.databaseName}: container=NAME is missing`)
    }
    const destination = to[i]!
    const isPattern = /[*?]/.test(source.databaseName + source.containerName)
    const containerName = destination.containerName ?? (isPattern ? '{container}' : source.containerName)
    return {
      source: { databaseName: source.databaseName, containerName: source.containerName },
      destination: { databaseName: destination.databaseName, containerName },
    }
  })
}

function defined(values: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined))
}
