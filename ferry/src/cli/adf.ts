/** `ferry adf`: factories of Azure Data Factory, checked and run. */
import { setTimeout as sleep } from 'node:timers/promises'
import { FerryError } from '../errors.ts'
import { checkFactory } from '../facades/datafactory/check.ts'
import { convertCopy } from '../facades/datafactory/convert.ts'
import { programOf } from '../facades/datafactory/program.ts'
import { summaryOf, viewOf } from '../facades/datafactory/runs.ts'
import { keptSource, type Opened, openFactory, reopenFactory, requireRuns } from '../facades/datafactory/source.ts'
import { cancelPipeline } from '../pipelines/cancel.ts'
import { type Ended, type Execution, executeRun } from '../pipelines/execute.ts'
import { plainOf, printValue, type ValueObject } from '../pipelines/expressions/values.ts'
import { createRerun, createRun, fingerprintOf, type Program, parametersOf } from '../pipelines/make.ts'
import type { Pipeline } from '../pipelines/model.ts'
import { bindParameters, fromCommandLine } from '../pipelines/parameters.ts'
import type { Policy } from '../policy.ts'
import { type Copier, CopierPool } from '../runtime/copier.ts'
import { findServer } from '../server/beacon.ts'
import type { State } from '../state/database.ts'
import { abandonedPipelineRuns, findPipelineRun, takePipelineRun, waitingPipelineRuns } from '../state/pipelines.ts'
import type { PipelineRunRow } from '../state/schema.ts'
import { policyOf, type VariableOptions } from './job.ts'
import { EXIT, paint, printError, printJson, seconds } from './output.ts'
import { withState } from './state.ts'

/** Copies at work at one time: each is a process. */
export const MOST_COPIES = 4

export interface FactoryOptions extends VariableOptions {
  json: boolean
  parameters?: string[]
  redirect?: string
  runtime?: string[]
}

/** The factory of a command, with what it is redirected to. */
export function open(place: string, options: FactoryOptions): Opened {
  const { parameters = [], redirect = null, runtime = [] } = options
  return openFactory({ factory: place, parameters, redirect, runtime }, policyOf(options))
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
    // One cause is often met in many places.
    for (const [message, [first, ...others]] of Map.groupBy(artifact.findings, f => f.message)) {
      const more = others.length > 0 ? ` and ${others.length} more` : ''
      out.write(`    ${message}\n      ${artifact.file} ${first!.path}${more}\n`)
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
  const opened = open(options.factory, options)
  const { factory, redirects, policy } = opened
  await withState(state =>
    foreground(state, options, async (execution, copier) => {
      const callbacks = findServer(state.home)?.url
      const program = programOf({ factory, redirects, state, policy, copier: copier(policy), callbacks })
      const artifact = factory.require('pipeline', options.pipeline)
      requireRuns(opened, artifact.name)
      const pipeline = program.pipeline(artifact.name)
      const given = fromCommandLine(options.parameter ?? [], pipeline.parameters)
      const parameters = bindParameters(`pipeline ${pipeline.name}`, pipeline.parameters, given)
      const own = { ...execution, program, policy }
      const left = options.new ? undefined : await leftRun(state, program, pipeline.name, parameters)
      if (left) return executeRun(own, await takePipelineRun(state.db, left.id), true)
      await turnOf(state, program, pipeline, options.json || options.quiet === true)
      const row = await createRun(own, pipeline.name, parameters, {
        trigger: { type: 'Manual', name: 'Manual', id: 'Manual' },
        source: keptSource(opened.source),
      })
      return executeRun(own, row, false)
    }),
  )
}

/** Waits while as many runs of a pipeline are at work as it allows. */
async function turnOf(
  state: State,
  { factory }: Program,
  { name, concurrency }: Pipeline,
  isQuiet: boolean,
): Promise<void> {
  if (concurrency === undefined) return
  for (let told = isQuiet; ; told = true) {
    const { atWork } = await waitingPipelineRuns(state.db, factory)
    if ((atWork.get(name) ?? 0) < concurrency) return
    if (!told) process.stderr.write(`Waits: ${name} has ${concurrency} runs at a time.\n`)
    await sleep(500)
  }
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

type OfRun = VariableOptions & { json: boolean; quiet?: boolean; from?: string }

export async function resume([id]: string[], options: OfRun): Promise<void> {
  await withState(state =>
    foreground(state, options, async (execution, copier) => {
      const found = await findPipelineRun(state.db, id!)
      const opened = reopenFactory(found, policyOf(options))
      const program = programOf({
        ...opened,
        state,
        copier: copier(opened.policy),
        callbacks: findServer(state.home)?.url,
      })
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
      const opened = reopenFactory(found, policyOf(options))
      requireRuns(opened, found.pipeline)
      const own = {
        ...execution,
        policy: opened.policy,
        program: programOf({ ...opened, state, copier: copier(opened.policy), callbacks: findServer(state.home)?.url }),
      }
      return executeRun(own, await createRerun(own, found, { from: options.from }), false)
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
