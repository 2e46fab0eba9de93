import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { FerryError } from '../../../errors.ts'
import type { CopyJob } from '../../../job/schema.ts'
import type { ActivityContext, ActivityKind } from '../../../pipelines/activity.ts'
import { ActivityFailure } from '../../../pipelines/errors.ts'
import { type ValueObject, valueOf } from '../../../pipelines/expressions/values.ts'
import { discardCopy, keptCopies, keptCopy, spoolFolder } from '../../../pipelines/keptcopy.ts'
import { requireBoolean, requireObject } from '../../../pipelines/resolve.ts'
import type { RunReport } from '../../../runtime/report.ts'
import { withoutSecrets } from '../../../runtime/stores.ts'
import type { State } from '../../../state/database.ts'
import { newestRun } from '../../../state/runs.ts'
import { datasetAt, filesIn, kindsOf, type Running } from '../context.ts'
import { copyJobOf } from '../copyjob.ts'
import type { Dataset } from '../datasets.ts'
import { fetched } from '../fetched.ts'
import { listedFiles } from '../filelist.ts'
import { spool } from '../rest.ts'
import { deliver } from '../restsink.ts'
import { writeLog } from './copylog.ts'

/** A copy, as a run of its own, which a process that goes on with the pipeline resumes. */
export function copyActivity(around: Running): ActivityKind {
  return {
    type: 'Copy',
    isOutside: true,
    run: context => copy(around, context),
  }
}

async function copy(around: Running, context: ActivityContext): Promise<ValueObject> {
  const { signal, isLastAttempt } = context
  try {
    const output = await copyOnce(around, context)
    forget(around, context)
    return output
  } catch (error) {
    // What stops goes on later, with what is here.
    if (signal.reason !== 'stop' && (isLastAttempt || signal.aborted)) forget(around, context)
    throw error
  }
}

/** Removes what came from a service or is for one. */
function forget({ state }: Running, context: ActivityContext): void {
  const outgoing = spoolPath(state, context, 'out')
  for (const path of [spoolPath(state, context, 'in'), outgoing, `${outgoing}.sent`]) rmSync(path, { force: true })
  rmSync(spoolFolder(state, jobName(context)), { recursive: true, force: true })
}

async function copyOnce(around: Running, context: ActivityContext): Promise<ValueObject> {
  const { activity, signal } = context
  const { state, policy } = around
  const given = requireObject(context.resolve(activity.typeProperties), 'typeProperties')
  const asked = datasetAt(around, context, activity.inputs?.[0], 'input')
  const sink = datasetAt(around, context, activity.outputs?.[0], 'output')
  // Its process may have ended it when the one that executes the pipeline was gone.
  const ended = await completedRun(state, jobName(context))
  const fetching = { around, context, name: jobName(context), source: asked, properties: given }
  const here = ended ? undefined : await fetched({ ...fetching, execute: job => executed(around, context, job) })
  const { source, properties } = here ?? fetching
  const spooled = ended ? undefined : await spoolOf(around, context, source, properties)
  const outgoing = sink.at.kind === 'rest' ? spoolPath(state, context, 'out') : undefined
  if (outgoing !== undefined) mkdirSync(spoolFolder(state), { recursive: true, mode: 0o700 })
  const made = () =>
    kindsOf(around).then(async kindOf =>
      copyJobOf({
        name: jobName(context),
        source,
        sink,
        properties,
        kindOf,
        spooled,
        outgoing,
        listed: await listedFiles(around, source, properties),
        list: filesIn(around),
      }),
    )
  const delivered = async () => {
    if (outgoing === undefined || sink.at.kind !== 'rest') return
    const words = {
      settings: sink.service.properties,
      relativeUrl: sink.at.relativeUrl,
      sink: requireObject(properties.sink, 'sink'),
    }
    const { sleep } = context
    if (existsSync(outgoing)) await deliver({ ...words, signal, sleep: ms => sleep.call(context, ms) }, outgoing)
  }
  const started = Date.now()
  const facts = { source: source.type, sink: sink.type, started, properties }
  const told = { source: requireObject(given.source, 'source'), sink: requireObject(given.sink, 'sink') }
  if (ended) {
    context.told(told)
    context.copies(ended.id)
    await delivered()
    return withLog(around, context, properties, outputOf(ended, facts), ended.id)
  }
  const job = here
    ? (await keptCopies(context, 'deliveries', async () => [await made()]))[0]!
    : await keptCopy(context, made)
  context.told({ ...told, job: valueOf(withoutSecrets(job)) })
  await context.flush()
  const report = await executed(around, context, job).catch(async error => {
    // A process that has died leaves what it had begun.
    if (context.isLastAttempt && signal.reason !== 'stop') await discardCopy(state, job, policy)
    throw error
  })
  const isGivenUp =
    report.status === 'paused' ? signal.reason !== 'stop' : report.status === 'failed' && context.isLastAttempt
  if (isGivenUp) await discardCopy(state, job, policy)
  const output = outputOf({ ...report, id: report.runId }, facts)
  if (report.status === 'completed') {
    await delivered()
    return withLog(around, context, properties, output, report.runId)
  }
  throw failureOf(report, output)
}

/** The output with the place of the log, where one is written. */
async function withLog(
  around: Running,
  context: ActivityContext,
  properties: ValueObject,
  output: ValueObject,
  run: string,
): Promise<ValueObject> {
  if (output.rowsSkipped === undefined) return output
  const logFilePath = await writeLog(around, context, properties, { run })
  return logFilePath === undefined ? output : { ...output, logFilePath }
}

/** What a REST service gives, in a file beside the state; undefined for other sources. A process that goes on has it already. */
async function spoolOf(
  { state }: Running,
  context: ActivityContext,
  { at, service }: Dataset,
  properties: ValueObject,
): Promise<string | undefined> {
  if (at.kind !== 'rest') return undefined
  const path = spoolPath(state, context, 'in')
  if (existsSync(path)) return path
  mkdirSync(spoolFolder(state), { recursive: true, mode: 0o700 })
  const source = requireObject(properties.source, 'source')
  const { relativeUrl } = at
  const { signal } = context
  // Only what is whole has the name.
  await spool(
    { settings: service.properties, relativeUrl, source, signal, sleep: ms => context.sleep(ms) },
    `${path}.tmp`,
  )
  renameSync(`${path}.tmp`, path)
  return path
}

/** A file beside the state for what an activity gets from a service, or sends to one. */
function spoolPath(state: State, context: ActivityContext, side: 'in' | 'out'): string {
  return join(spoolFolder(state), `${jobName(context)}${side === 'in' ? '' : '-out'}.jsonl`)
}

/** How long the process of a copy may take to end when the one that it works for is gone. */
const LINGER_MS = 30_000

/** Executes a copy; one whose former process is about to end is waited for. */
export async function executed(around: Running, context: ActivityContext, job: CopyJob): Promise<RunReport> {
  const { signal } = context
  for (const began = Date.now(); ; ) {
    try {
      return await around.copier.run({ job, signal, onStart: run => context.copies(run) })
    } catch (error) {
      const lingers = error instanceof FerryError && error.code === 'FERRY-5001' && Date.now() - began < LINGER_MS
      if (!lingers) throw error
      await context.sleep(100)
    }
  }
}

/** The run of a copy that has completed; undefined if it has not. */
export async function completedRun(state: State, job: string): Promise<CopyEnd | undefined> {
  const run = await newestRun(state.db, job)
  if (run?.state !== 'completed') return undefined
  return {
    id: run.id,
    status: run.state,
    rowsRead: Number(run.rows_read),
    rowsCopied: Number(run.rows_copied),
    rowsSkipped: Number(run.rows_skipped),
    dataRead: Number(run.bytes_read),
    dataWritten: Number(run.bytes_written),
    copyDuration: Number(run.worked_ms) / 1000,
    usedParallelCopies: 1,
    errors: [],
  }
}

/** What the output of a copy is made of. */
type CopyEnd = Pick<
  RunReport,
  | 'status'
  | 'rowsRead'
  | 'rowsCopied'
  | 'rowsSkipped'
  | 'dataRead'
  | 'dataWritten'
  | 'copyDuration'
  | 'usedParallelCopies'
  | 'errors'
> & { id: string }

/** The same for the same activity of the same run: another try and another process resume its copy. */
function jobName(context: ActivityContext): string {
  return `adf-${context.pipeline.replace(/[^A-Za-z0-9._-]/g, '-').slice(0, 60)}-${printOf(context)}`
}

/** Names an activity of a run in names of jobs and files. */
export const printOf = ({ runId, key }: Pick<ActivityContext, 'runId' | 'key'>): string =>
  createHash('sha256').update(`${runId}/${key}`).digest('hex').slice(0, 16)

/** Why an activity fails whose copy has not completed. */
export function failureOf(
  { status, errors }: Pick<RunReport, 'status' | 'errors'>,
  output?: ValueObject,
): ActivityFailure {
  const [first] = errors
  return new ActivityFailure(
    first?.code ?? 'Cancelled',
    first ? `${first.message}. ${first.hint}` : `the copy is ${status}`,
    output,
  )
}

/** The report of a run with the names that Data Factory's output has. */
function outputOf(
  report: CopyEnd,
  { source, sink, started, properties }: { source: string; sink: string; started: number; properties: ValueObject },
): ValueObject {
  const isBinary = source === 'Binary'
  const seconds = Math.max(1, Math.round(report.copyDuration))
  const isVerified =
    properties.validateDataConsistency !== undefined &&
    requireBoolean(properties.validateDataConsistency, 'validateDataConsistency')
  const isWhole = report.rowsRead === report.rowsCopied + report.rowsSkipped
  const rows = isBinary
    ? { filesRead: report.rowsRead, filesWritten: report.rowsCopied }
    : {
        rowsRead: report.rowsRead,
        rowsCopied: report.rowsCopied,
        ...(report.rowsSkipped > 0 ? { rowsSkipped: report.rowsSkipped } : {}),
      }
  const status = report.status === 'completed' ? 'Succeeded' : report.status === 'failed' ? 'Failed' : 'Cancelled'
  return valueOf({
    dataRead: report.dataRead,
    dataWritten: report.dataWritten,
    ...rows,
    sourcePeakConnections: report.usedParallelCopies,
    sinkPeakConnections: report.usedParallelCopies,
    copyDuration: seconds,
    throughput: Math.round((report.dataRead / 1024 / Math.max(report.copyDuration, 0.001)) * 1000) / 1000,
    errors: report.errors.map(e => ({ Code: e.code, Message: e.message, EventType: 0, Category: 5, Data: {} })),
    effectiveIntegrationRuntime: 'Ferry',
    usedDataIntegrationUnits: 1,
    usedParallelCopies: report.usedParallelCopies,
    executionDetails: [
      {
        source: { type: source },
        sink: { type: sink },
        status,
        start: new Date(started).toISOString(),
        duration: seconds,
        usedDataIntegrationUnits: 1,
        usedParallelCopies: report.usedParallelCopies,
        profile: { queue: { status: 'Completed', duration: 0 }, transfer: { status: 'Completed', duration: seconds } },
        detailedDurations: { queuingDuration: 0, transferDuration: seconds },
      },
    ],
    dataConsistencyVerification: {
      VerificationResult: isVerified && isWhole ? 'Verified' : 'NotVerified',
      ...(isVerified ? { InconsistentData: isWhole ? 'None' : 'Found' } : {}),
    },
    durationInQueue: { integrationRuntimeQueue: 0 },
    ferryRunId: report.id,
  }) as ValueObject
}
