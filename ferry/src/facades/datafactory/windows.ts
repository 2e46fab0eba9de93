/** Windows of tumbling window triggers: made, started when they are ready, and tried again. */
import type { Kysely } from 'kysely'
import { type RunInfo, roundTrip } from '../../pipelines/values.ts'
import type { State } from '../../state/database.ts'
import { findPipelineRun } from '../../state/pipelines.ts'
import type { PipelineRunRow, PipelineTriggerRow, PipelineWindowRow, Schema } from '../../state/schema.ts'
import * as triggers from '../../state/triggers.ts'
import type { Factory } from './artifacts.ts'
import { type TriggeredPipeline, type TriggerOf, windowEnd } from './triggers.ts'

/** Windows that are made at one time. */
const MOST_WINDOWS = 500

type Tumbling = Extract<TriggerOf, { kind: 'tumbling' }>

export interface Firing {
  state: State
  factory: Factory
  createRun(
    db: Kysely<Schema>,
    pipeline: TriggeredPipeline,
    info: RunInfo['trigger'],
    now: number,
  ): Promise<PipelineRunRow>
  tell(trigger: string, outcome: string, run?: string): Promise<void>
}

export async function byWindows(
  firing: Firing,
  row: PipelineTriggerRow,
  trigger: Tumbling,
  now: number,
): Promise<void> {
  const { state, factory } = firing
  const { end, delay } = trigger
  let at = Number(row.at)
  const windows: { start: number; end: number }[] = []
  while (windows.length < MOST_WINDOWS) {
    const next = windowEnd(trigger, at)
    if (next > end || next + delay > now) break
    windows.push({ start: at, end: next })
    at = next
  }
  if (windows.length > 0) {
    await state.db.transaction().execute(async tx => {
      if (await triggers.moveTrigger(tx, row, at)) await triggers.addWindows(tx, factory.name, row.name, windows)
    })
  }
  const open = await triggers.openWindows(state.db, factory.name, row.name)
  let running = 0
  for (const window of open.filter(w => w.state === 'Running'))
    if (!(await mirror(firing, window, trigger, now))) running++
  for (const window of open.filter(w => w.state === 'Waiting')) {
    if (running >= trigger.most) break
    if (Number(window.retry_at ?? 0) > now || !(await isReady(firing, window, row, trigger))) continue
    await startWindow(firing, window, row, trigger, now)
    running++
  }
}

/** True if all windows that a window depends on have succeeded. */
async function isReady(
  firing: Firing,
  window: PipelineWindowRow,
  row: PipelineTriggerRow,
  trigger: Tumbling,
): Promise<boolean> {
  const { state, factory } = firing
  for (const { trigger: other, offset, size } of trigger.dependsOn) {
    const from = Number(window.start_at) + offset
    const to = from + (size ?? Number(window.end_at) - Number(window.start_at))
    const isSelf = other === undefined
    // Before the first window there is nothing to wait for.
    if (isSelf && from < trigger.start) continue
    const name = isSelf ? row.name : factory.require('trigger', other).name
    if (!(await triggers.areDone(state.db, factory.name, name, from, to))) return false
  }
  return true
}

async function startWindow(
  firing: Firing,
  window: PipelineWindowRow,
  row: PipelineTriggerRow,
  { pipelines: [pipeline] }: Tumbling,
  now: number,
): Promise<void> {
  const { state } = firing
  const [start, end] = [roundTrip(Number(window.start_at)), roundTrip(Number(window.end_at))]
  const info = {
    type: 'TumblingWindowTrigger',
    name: row.name,
    id: row.name,
    scheduledTime: end,
    outputs: { windowStartTime: start, windowEndTime: end },
  }
  const run = await state.db.transaction().execute(async tx => {
    const taken = await triggers.moveWindow(tx, window, { state: 'Running', attempts: window.attempts + 1 })
    if (!taken) return undefined
    const { id } = await firing.createRun(tx, pipeline, info, now)
    await triggers.moveWindow(tx, { ...window, state: 'Running' }, { run: id })
    return id
  })
  if (run !== undefined) await firing.tell(row.name, `window ${start} to ${end}`, run)
}

/** Takes over how the run of a window has ended; false while it has not. */
async function mirror(firing: Firing, window: PipelineWindowRow, trigger: Tumbling, now: number): Promise<boolean> {
  const { state } = firing
  if (window.run === null) return false
  const run = await findPipelineRun(state.db, window.run)
  if (run.state === 'InProgress' || run.state === 'Queued') return false
  const isRepeated = run.state === 'Failed' && window.attempts <= trigger.retries
  await triggers.moveWindow(
    state.db,
    window,
    isRepeated ? { state: 'Waiting', retry_at: now + trigger.retryMs } : { state: run.state },
  )
  return true
}
