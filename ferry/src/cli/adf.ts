/** `ferry adf`: factories of Azure Data Factory, checked and run. */
import { resolve } from 'node:path'
import { FerryError } from '../errors.ts'
import type { Factory } from '../facades/datafactory/artifacts.ts'
import { checkFactory } from '../facades/datafactory/check.ts'
import { convertCopy } from '../facades/datafactory/convert.ts'
import { programOf } from '../facades/datafactory/program.ts'
import { readFactory } from '../facades/datafactory/read.ts'
import { type Redirects, readRedirects, requireKnown } from '../facades/datafactory/redirects.ts'
import { cancelPipeline } from '../pipelines/cancel.ts'
import {
  createRerun,
  createRun,
  type Ended,
  type Execution,
  executeRun,
  fingerprintOf,
  type Program,
  parametersOf,
  sourceOf,
} from '../pipelines/execute.ts'
import { parseValue, plainOf, printValue, type ValueObject, valueOf } from '../pipelines/expressions/values.ts'
import { bindParameters, fromCommandLine } from '../pipelines/parameters.ts'
import type { Policy } from '../policy.ts'
import { type Copier, CopierPool } from '../runtime/copier.ts'
import type { State } from '../state/database.ts'
import {
  abandonedPipelineRuns,
  activityRuns,
  findPipelineRun,
  listPipelineRuns,
  takePipelineRun,
} from '../state/pipelines.ts'
import type { ActivityRunRow, PipelineRunRow } from '../state/schema.ts'
import { policyOf, type VariableOptions } from './job.ts'
import { EXIT, moment, paint, printError, printJson, seconds, table } from './output.ts'
import { stateName, withState } from './state.ts'

/** Copies at work at one time: each is a process. */
const MOST_COPIES = 4

interface FactoryOptions extends VariableOptions {
  json: boolean
  parameters?: string[]
  redirect?: string
  runtime?: string[]
}

interface Opened {
  factory: Factory
  redirects: Redirects
  policy: Policy
}

function open(place: string, options: FactoryOptions): Opened {
  const policy = policyOf(options)
  const factory = readFactory(place, options.parameters ?? [], policy)
  const redirects = readRedirects(options.redirect, options.runtime ?? [], policy)
  requireKnown(redirects, factory)
  return { factory, redirects, policy }
}

export async function check([place]: string[], options: FactoryOptions & { all?: boolean }): Promise<void> {
  const { factory, redirects } = open(place!, options)
  const artifacts = checkFactory(factory, redirects)
  const failed = artifacts.filter(a => a.verdict === 'cannot run')
  process.exitCode = failed.length > 0 ? EXIT.failed : EXIT.done
  if (options.json) {
    printJson({ factory: factory.name, artifacts })
    return
  }
  const out = process.stdout
  for (const artifact of options.all ? artifacts : artifacts.filter(a => a.verdict !== 'runs')) {
    const colour = artifact.verdict === 'runs' ? '32' : artifact.verdict === 'cannot run' ? '31' : '33'
    out.write(`${paint(colour, artifact.verdict, out)}  ${artifact.category} ${artifact.name}\n`)
    for (const { path, message } of artifact.findings) {
      out.write(`    ${message}\n      ${artifact.file} ${path}\n`)
    }
  }
  const count = (verdict: string) => artifacts.filter(a => a.verdict === verdict).length
  out.write(
    `${factory.name}: ${count('runs')} run, ${count('runs with a redirect')} run with a redirect, ${failed.length} cannot run\n`,
  )
}

interface RunOptions extends FactoryOptions {
  factory: string
  pipeline: string
  parameter?: string[]
  new?: boolean
  quiet?: boolean
}

export async function run(_: string[], options: RunOptions): Promise<void> {
  const { factory, redirects, policy } = open(options.factory, options)
  await withState(state =>
    foreground(state, options, async (execution, copier) => {
      const program = programOf({ factory, redirects, state, policy, copier: copier(policy) })
      const artifact = factory.require('pipeline', options.pipeline)
      requireRuns(factory, redirects, artifact.name)
      const pipeline = program.pipeline(artifact.name)
      const given = fromCommandLine(options.parameter ?? [], pipeline.parameters)
      const parameters = bindParameters(`pipeline ${pipeline.name}`, pipeline.parameters, given)
      const own = { ...execution, program, policy }
      const left = options.new ? undefined : await leftRun(state, program, pipeline.name, parameters)
      if (left) return executeRun(own, await takePipelineRun(state.db, left.id), true)
      const row = await createRun(own, pipeline.name, parameters, {
        trigger: { type: 'Manual', name: 'Manual', id: 'Manual' },
        source: placeOf(options),
      })
      return executeRun(own, row, false)
    }),
  )
}

/** An unfinished run of the same words, to go on with. Throws FERRY-5009 if its artifacts or redirects were others. */
async function leftRun(
  state: State,
  program: Program,
  pipeline: string,
  parameters: ValueObject,
): Promise<PipelineRunRow | undefined> {
  const all = await abandonedPipelineRuns(state.db, { factory: program.factory, pipeline })
  const same = all.find(row => printValue(parametersOf(state, row)) === printValue(parameters))
  if (!same || same.fingerprint === fingerprintOf(program, pipeline, parameters)) return same
  throw new FerryError(
    'FERRY-5009',
    `run ${same.id} of ${pipeline} is unfinished, and its artifacts or redirects have changed since`,
    {
      hint: `Finish it as it began: ferry adf resume ${same.id} with the old artifacts; give it up: ferry adf cancel ${same.id}; or begin another one: --new.`,
    },
  )
}

/** Throws FERRY-7006 with all that keeps a pipeline, or one that it executes, from running. */
function requireRuns(factory: Factory, redirects: Redirects, name: string): void {
  const checked = checkFactory(factory, redirects).find(a => a.category === 'pipeline' && a.name === name)!
  if (checked.verdict !== 'cannot run') return
  const all = checked.findings.map(f => `${checked.file} ${f.path}: ${f.message}`)
  throw new FerryError('FERRY-7006', `pipeline ${name} cannot run:\n${all.slice(0, 20).join('\n')}`)
}

function placeOf(options: RunOptions): ValueObject {
  const absolute = (path: string) => resolve(path)
  return valueOf({
    factory: absolute(options.factory),
    parameters: (options.parameters ?? []).map(absolute),
    redirect: options.redirect === undefined ? null : absolute(options.redirect),
    runtime: options.runtime ?? [],
  }) as ValueObject
}

/** The factory of a run, from where it was. */
function reopen(row: PipelineRunRow, options: VariableOptions & { json: boolean }): Opened {
  const source = plainOf(sourceOf(row) ?? null) as {
    factory: string
    parameters: string[]
    redirect: string | null
    runtime: string[]
  } | null
  if (!source) throw new FerryError('FERRY-5006', `run ${row.id} does not say where its artifacts are`)
  const { factory, parameters, redirect, runtime } = source
  return open(factory, { ...options, parameters, runtime, ...(redirect === null ? {} : { redirect }) })
}

type OfRun = VariableOptions & { json: boolean; quiet?: boolean; from?: string }

export async function resume([id]: string[], options: OfRun): Promise<void> {
  await withState(state =>
    foreground(state, options, async (execution, copier) => {
      const found = await findPipelineRun(state.db, id!)
      const opened = reopen(found, options)
      const program = programOf({ ...opened, state, copier: copier(opened.policy) })
      return executeRun(
        { ...execution, program, policy: opened.policy },
        await takePipelineRun(state.db, found.id),
        true,
      )
    }),
  )
}

export async function rerun([id]: string[], options: OfRun): Promise<void> {
  await withState(state =>
    foreground(state, options, async (execution, copier) => {
      const found = await findPipelineRun(state.db, id!)
      const opened = reopen(found, options)
      requireRuns(opened.factory, opened.redirects, found.pipeline)
      const own = {
        ...execution,
        policy: opened.policy,
        program: programOf({ ...opened, state, copier: copier(opened.policy) }),
      }
      return executeRun(own, await createRerun(own, found, options.from), false)
    }),
  )
}

/** Executes a run with progress, and prints its end. */
async function foreground(
  state: State,
  options: { json: boolean; quiet?: boolean },
  work: (execution: Omit<Execution, 'program' | 'policy'>, copier: (policy: Policy) => Copier) => Promise<Ended>,
): Promise<void> {
  const stop = new AbortController()
  let signals = 0
  const onSignal = () => {
    if (++signals > 1) process.exit(130)
    process.stderr.write('\nStopping: what has ended stays. Again to stop at once.\n')
    stop.abort('stop')
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  const isQuiet = options.json || options.quiet
  let pool: Copier | undefined
  const copier = (policy: Policy) => {
    pool = new CopierPool(policy, MOST_COPIES)
    return pool
  }
  try {
    const own: Omit<Execution, 'program' | 'policy'> = {
      state,
      signal: stop.signal,
      onStart: (row, resumed) => {
        if (isQuiet) return
        process.stderr.write(`Run ${row.id} of ${row.pipeline} ${resumed ? 'goes on where it stopped' : 'begins'}.\n`)
      },
      onActivity: record => {
        if (isQuiet || record.state === 'InProgress' || record.state === 'Skipped' || record.type.startsWith('.'))
          return
        const colour = record.state === 'Succeeded' ? '32' : '31'
        const time = seconds(((record.endedAt ?? record.startedAt) - record.startedAt) / 1000)
        process.stderr.write(`  ${paint(colour, record.state)}  ${record.key}  (${record.type}, ${time})\n`)
      },
    }
    const end = await work(own, copier)
    process.exitCode = end.state === 'Succeeded' ? EXIT.done : end.state === 'Failed' ? EXIT.failed : EXIT.stopped
    if (options.json) printJson(await viewOf(state, await findPipelineRun(state.db, end.run)))
    else printEnd(end)
  } finally {
    await pool?.close()
    process.off('SIGINT', onSignal)
    process.off('SIGTERM', onSignal)
  }
}

function printEnd(end: Ended): void {
  const colour = end.state === 'Succeeded' ? '32' : end.state === 'Failed' ? '31' : '33'
  process.stderr.write(`\n${paint(colour, end.state)}  run ${end.run}\n`)
  if (end.error) {
    printError({
      code: 'FERRY-7005',
      message: end.error.message,
      hint: `ferry adf show ${end.run}; ferry adf rerun ${end.run}`,
    })
  }
  if (end.state === 'InProgress') process.stderr.write(`To go on: ferry adf resume ${end.run}\n`)
  if (end.returnValue !== undefined) process.stdout.write(`${JSON.stringify(plainOf(end.returnValue), null, 2)}\n`)
}

export async function list(_: string[], options: { json: boolean; pipeline?: string; most: number }): Promise<void> {
  const rows = await withState(state => listPipelineRuns(state.db, { pipeline: options.pipeline, limit: options.most }))
  if (options.json) return printJson(rows.map(summaryOf))
  if (rows.length === 0) return void process.stdout.write(`No runs of pipelines yet in ${stateName()}.\n`)
  const lines = rows.map(r => [r.id, r.factory, r.pipeline, r.state, moment(r.created_at), durationOf(r)])
  process.stdout.write(`${table(['run', 'factory', 'pipeline', 'status', 'started', 'time'], lines)}\n`)
}

const durationOf = (r: PipelineRunRow) =>
  r.ended_at === null ? '' : seconds((Date.parse(r.ended_at) - Date.parse(r.created_at)) / 1000)

const parsed = (text: string | null) => (text === null ? null : plainOf(parseValue(text)))

/** A run with the names that Data Factory has. */
function summaryOf(r: PipelineRunRow) {
  const { trigger } = parsed(r.info) as { trigger: { type: string; name: string } }
  return {
    runId: r.id,
    runGroupId: r.group_id,
    factory: r.factory,
    pipelineName: r.pipeline,
    status: r.state,
    runStart: r.created_at,
    runEnd: r.ended_at,
    invokedBy: { name: trigger.name, invokedByType: trigger.type },
    rerunOf: r.rerun_of,
    parentRun: r.parent_run,
    message: (parsed(r.error) as { message?: string } | null)?.message ?? '',
    returnValue: parsed(r.return_value),
  }
}

async function viewOf(state: State, row: PipelineRunRow) {
  const activities = await activityRuns(state.db, row.id)
  return { ...summaryOf(row), activities: activities.filter(a => !a.type.startsWith('.')).map(activityView) }
}

function activityView(a: ActivityRunRow) {
  const secure = Number(a.secure)
  return {
    activityName: a.name,
    activityType: a.type,
    key: a.key,
    status: a.state,
    activityRunStart: new Date(Number(a.started_at)).toISOString(),
    activityRunEnd: a.ended_at === null ? null : new Date(Number(a.ended_at)).toISOString(),
    durationInMs: a.ended_at === null ? null : Number(a.ended_at) - Number(a.started_at),
    retryAttempt: a.attempt - 1,
    input: secure & 1 ? '***' : parsed(a.input),
    output: secure & 2 ? '***' : parsed(a.output),
    error: parsed(a.error),
    userProperties: parsed(a.user_properties) ?? {},
    copyRun: a.copy,
  }
}

export async function show([id]: string[], options: { json: boolean }): Promise<void> {
  const view = await withState(async state => viewOf(state, await findPipelineRun(state.db, id!)))
  if (options.json) return printJson(view)
  const out = process.stdout
  out.write(`${view.pipelineName} of ${view.factory}: ${view.status}\n`)
  out.write(`  run ${view.runId}, ${moment(view.runStart)}, by ${view.invokedBy.name}\n`)
  if (view.message !== '') out.write(`  ${view.message}\n`)
  const lines = view.activities.map(a => [
    a.key,
    a.activityType,
    a.status,
    a.durationInMs === null ? '' : seconds(a.durationInMs / 1000),
    a.copyRun ?? '',
    (a.error as { message?: string } | null)?.message?.slice(0, 100) ?? '',
  ])
  if (lines.length > 0) out.write(`\n${table(['activity', 'type', 'status', 'time', 'copy', 'error'], lines)}\n`)
}

export async function cancel([id]: string[], options: VariableOptions & { json: boolean }): Promise<void> {
  const row = await withState(state => cancelPipeline(state, id!, policyOf(options)))
  if (options.json) printJson(summaryOf(row))
  else
    process.stdout.write(
      row.state === 'Cancelled' ? `Run ${row.id} is cancelled.\n` : `Run ${row.id} is asked to end.\n`,
    )
}

export async function convert(_: string[], options: RunOptions & { activity: string }): Promise<void> {
  const { factory, redirects, policy } = open(options.factory, options)
  await withState(async state => {
    const job = await convertCopy({ factory, redirects, state, policy }, options)
    process.stdout.write(`${JSON.stringify(job, null, 2)}\n`)
  })
}
