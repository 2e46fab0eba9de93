import { setTimeout as sleep } from 'node:timers/promises'
import { asFerryError, FerryError } from '../errors.ts'
import type { Policy } from '../policy.ts'
import type { State } from '../state/database.ts'
import {
  activityRun,
  childRun,
  endPipeline,
  findPipelineRun,
  openChildren,
  type PipelineLease,
  pulsePipeline,
  releasePipeline,
  takePipelineRun,
} from '../state/pipelines.ts'
import type { PipelineRunRow } from '../state/schema.ts'
import { ActivityFailure, Stopped } from './errors.ts'
import { parseValue, printValue, type ValueObject } from './expressions/values.ts'
import type { ActivityRecord } from './journal.ts'
import { discardCopies } from './keptcopy.ts'
import { createRun, fingerprintOf, infoOf, type Making, parametersOf, sourceOf } from './make.ts'
import { type ChildRequest, type Host, type RunEnd, runPipeline } from './runner.ts'
import { StateJournal } from './statejournal.ts'

export interface Execution extends Making {
  policy: Policy
  /** Stops all runs so that they can be resumed. */
  signal: AbortSignal
  /** Told when a run begins or is resumed. */
  onStart?: ((run: PipelineRunRow, resumed: boolean) => void) | undefined
  /** Told when an activity begins, changes and ends. */
  onActivity?: ((record: ActivityRecord, run: PipelineRunRow) => void) | undefined
}

/** How deep pipelines may execute one another. */
const MOST_DEPTH = 40
/** How often a run shows a sign of life and looks for wishes. */
const PULSE_MS = 500

export interface Ended {
  run: string
  state: 'Succeeded' | 'Failed' | 'Cancelled' | 'InProgress'
  error?: RunEnd['error']
  returnValue?: RunEnd['returnValue']
}

/** Runs that are executed here and not waited for by the run that has started them. */
export type Background = Set<Promise<unknown>>

/** Executes a run that this process has made or taken, to its end. */
export async function executeRun(execution: Execution, row: PipelineRunRow, resumed: boolean): Promise<Ended> {
  const { state, program, signal, onStart } = execution
  const lease: PipelineLease = { run: row.id, epoch: row.epoch }
  const stop = new AbortController()
  const onStop = () => stop.abort('stop')
  if (signal.aborted) onStop()
  signal.addEventListener('abort', onStop, { once: true })
  const ended = new AbortController()
  const pulse = beat(state, lease, stop, ended.signal)
  const background: Background = new Set()
  try {
    if (row.fingerprint !== fingerprintOf(program, row.pipeline, parametersOf(state, row))) {
      throw new FerryError('FERRY-5009', `the artifacts of ${row.factory} have changed since run ${row.id} began`, {
        hint: `Cancel it: ferry adf cancel ${row.id}; then run the pipeline again.`,
      })
    }
    onStart?.(row, resumed)
    if (resumed) await resumeChildren(execution, row, background)
    const end = await runOne(execution, row, lease, stop, background)
    await Promise.all(background)
    // Who cancels in the last moment is heard, too.
    if ((await pulsePipeline(state.db, lease)) === 'cancel') throw new Stopped('cancel')
    const error = end.error ? printValue({ ...end.error } as unknown as ValueObject) : null
    await endPipeline(state.db, lease, {
      state: end.state,
      error,
      return_value: end.returnValue === undefined ? null : printValue(end.returnValue),
    })
    return { run: row.id, ...end }
  } catch (error) {
    await Promise.allSettled(background)
    return await interrupted(execution, lease, error)
  } finally {
    signal.removeEventListener('abort', onStop)
    ended.abort()
    await pulse
  }
}

async function interrupted({ state, policy }: Execution, lease: PipelineLease, error: unknown): Promise<Ended> {
  if (error instanceof Stopped && error.how === 'stop') {
    await releasePipeline(state.db, lease)
    return { run: lease.run, state: 'InProgress' }
  }
  if (error instanceof Stopped) {
    // Copies that wait for another try, and those of a process that was killed.
    await discardCopies(state, lease.run, policy)
    await endPipeline(state.db, lease, { state: 'Cancelled', error: null, return_value: null })
    return { run: lease.run, state: 'Cancelled' }
  }
  const { code, message } = asFerryError(error)
  // Somebody else has the run, or its artifacts are others: it is not ended here.
  if (code === 'FERRY-5004' || code === 'FERRY-5009' || code === 'FERRY-5013') {
    if (code === 'FERRY-5009') await releasePipeline(state.db, lease)
    throw error
  }
  const failure = { activity: '', error: { errorCode: code, message, failureType: 'UserError', target: '' }, message }
  await endPipeline(state.db, lease, { state: 'Failed', error: printValue(failure), return_value: null })
  return { run: lease.run, state: 'Failed', error: failure }
}

async function runOne(
  execution: Execution,
  row: PipelineRunRow,
  lease: PipelineLease,
  stop: AbortController,
  background: Background,
): Promise<RunEnd> {
  const { state, program } = execution
  const { onActivity } = execution
  const journal = await StateJournal.open(state, lease, onActivity && (record => onActivity(record, row)))
  const host: Host = {
    globalParameters: program.globalParameters,
    kind: type => program.kind(type),
    shownParameters: (name, parameters) => {
      const { parameters: declared } = program.pipeline(name)
      const isSecret = (key: string) => declared[key]?.type.toLowerCase() === 'securestring'
      return Object.fromEntries(Object.entries(parameters).map(([key, v]) => [key, isSecret(key) ? '***' : v]))
    },
    runPipeline: request =>
      runChild({ ...execution, source: sourceOf(row) }, request, stop.signal, background, () => stop.abort('cancel')),
  }
  const pipeline = program.pipeline(row.pipeline)
  return runPipeline(pipeline, parametersOf(state, row), { info: infoOf(row), host, journal, signal: stop.signal })
}

/** A pipeline that another one has started: the same run after a process has ended. */
async function runChild(
  execution: Execution & { source: ValueObject | undefined },
  { name, parameters, wait, parent, info }: ChildRequest,
  signal: AbortSignal,
  background: Background,
  cancel: () => void,
): Promise<ValueObject> {
  const { state, program } = execution
  program.pipeline(name)
  const depth = (info.depth ?? 0) + 1
  if (depth > MOST_DEPTH)
    throw new FerryError('FERRY-7006', `pipelines execute one another more than ${MOST_DEPTH} deep`)
  const known = await childRun(state.db, parent.run, parent.key)
  const isOpen = known?.state === 'InProgress' || known?.state === 'Queued'
  const row = isOpen
    ? await takePipelineRun(state.db, known.id)
    : (known ??
      (await createRun(execution, name, parameters, {
        trigger: info.trigger,
        parent,
        depth,
        groupId: info.groupId,
        ...(execution.source ? { source: execution.source } : {}),
      })))
  const output: ValueObject = { pipelineName: name, pipelineRunId: row.id }
  // It has ended when the process that waited for it was gone.
  if (known && !isOpen) return endedBefore(name, known, output)
  // A run that is not waited for is not cancelled with the one that has started it.
  if (!wait) {
    background.add(executeRun(execution, row, isOpen).catch(() => {}))
    return output
  }
  const stop = stopping(execution.signal, signal)
  const end = await executeRun({ ...execution, signal: stop.signal }, row, isOpen).finally(() => stop.release())
  if (end.state === 'InProgress') throw new Stopped('stop')
  // A wish reaches the child first.
  const isCancelled =
    (signal.aborted && signal.reason === 'cancel') || (await findPipelineRun(state.db, parent.run)).wish === 'cancel'
  if (end.state === 'Cancelled' && isCancelled) {
    cancel()
    throw new Stopped('cancel')
  }
  if (end.state !== 'Succeeded') {
    throw new ActivityFailure(
      end.error?.error.errorCode ?? end.state,
      end.error?.message ?? `pipeline ${name} was cancelled`,
      output,
    )
  }
  return withReturn(output, end.returnValue === undefined ? null : printValue(end.returnValue))
}

function endedBefore(name: string, { state, error, return_value }: PipelineRunRow, output: ValueObject): ValueObject {
  if (state === 'Succeeded') return withReturn(output, return_value)
  const failure = error === null ? undefined : (parseValue(error) as unknown as NonNullable<RunEnd['error']>)
  throw new ActivityFailure(
    failure?.error.errorCode ?? state,
    failure?.message ?? `pipeline ${name} was cancelled`,
    output,
  )
}

/** Runs that this one has started without waiting, and that a process has left. */
async function resumeChildren(execution: Execution, { id }: PipelineRunRow, background: Background): Promise<void> {
  const { state } = execution
  for (const child of await openChildren(state.db, id)) {
    const started = await activityRun(state.db, id, child.parent_key!)
    if (started?.state !== 'Succeeded') continue
    const row = await takePipelineRun(state.db, child.id)
    background.add(executeRun(execution, row, true).catch(() => {}))
  }
}

function withReturn(output: ValueObject, value: string | null): ValueObject {
  return value === null ? output : { ...output, pipelineReturnValue: parseValue(value) }
}

/** Stops with the process; a parent that is cancelled has its children cancelled by a wish of their own. */
function stopping(process: AbortSignal, parent: AbortSignal): { signal: AbortSignal; release(): void } {
  const stop = new AbortController()
  const listening = new AbortController()
  const look = () => {
    if (process.aborted || parent.reason === 'stop') stop.abort('stop')
  }
  process.addEventListener('abort', look, { once: true, signal: listening.signal })
  parent.addEventListener('abort', look, { once: true, signal: listening.signal })
  look()
  return { signal: stop.signal, release: () => listening.abort() }
}

/** Shows signs of life and hears wishes until `ended`. */
async function beat(state: State, lease: PipelineLease, stop: AbortController, ended: AbortSignal): Promise<void> {
  while (!ended.aborted) {
    try {
      if ((await pulsePipeline(state.db, lease)) === 'cancel') stop.abort('cancel')
    } catch (error) {
      // Another process has the run: this one stops where it is.
      if (asFerryError(error).code === 'FERRY-5004') return stop.abort('stop')
    }
    await sleep(PULSE_MS, undefined, { signal: ended }).catch(() => {})
  }
}
