/**
 * Fires the triggers of a factory and executes its runs, for as long as it is let. Any number of processes may do so with one state: a
 * time that is due moves the place of its trigger in the transaction that makes the runs.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Kysely } from 'kysely'
import { asFerryError, FerryError } from '../../errors.ts'
import { type Execution, executeRun } from '../../pipelines/execute.ts'
import type { Scope } from '../../pipelines/expressions/evaluate.ts'
import { type ValueObject, valueOf } from '../../pipelines/expressions/values.ts'
import { createRun } from '../../pipelines/make.ts'
import { bindParameters } from '../../pipelines/parameters.ts'
import { resolve } from '../../pipelines/resolve.ts'
import { type RunInfo, roundTrip } from '../../pipelines/values.ts'
import { findPipelineRun, takePipelineRun, waitingPipelineRuns } from '../../state/pipelines.ts'
import type { PipelineTriggerRow, PipelineWindowRow, Schema } from '../../state/schema.ts'
import { databaseNow, iso } from '../../state/time.ts'
import * as triggers from '../../state/triggers.ts'
import type { Factory } from './artifacts.ts'
import { nextTime } from './recurrence.ts'
import { fingerprintOf, readTrigger, type TriggeredPipeline, type TriggerOf } from './triggers.ts'

/** How often times are looked at. */
const TICK_MS = 1000
/** Runs at work at one time. */
const MOST_RUNS = 20
/** A time further in the past than this was missed: nobody watched. Schedules make up for none; windows for all. */
const GRACE_MS = 60_000
/** Windows that are made at one time. */
const MOST_WINDOWS = 500

export interface Watching extends Execution {
  factory: Factory
  source: ValueObject
  /** Told what was fired, and what went wrong. */
  onEvent?: (event: { trigger: string; outcome: string; run?: string }) => void
}

type Tumbling = Extract<TriggerOf, { kind: 'tumbling' }>

export class Watch {
  private readonly of: Watching
  private readonly active = new Map<string, Promise<unknown>>()

  constructor(of: Watching) {
    this.of = of
  }

  /** Watches until the signal is aborted; runs at work are then left to be resumed. */
  async run(): Promise<void> {
    const { signal } = this.of
    while (!signal.aborted) {
      await this.tick()
      await sleep(TICK_MS, undefined, { signal }).catch(() => {})
    }
    await Promise.all(this.active.values())
  }

  /** Resolves when no run is at work. */
  async settled(): Promise<void> {
    while (this.active.size > 0) await Promise.all(this.active.values())
  }

  /** Does what is due at `at` (milliseconds since 1970; by the state's clock where omitted). */
  async tick(at?: number): Promise<void> {
    const { state, factory } = this.of
    const now = at ?? (await databaseNow(state.db))
    for (const row of await triggers.startedTriggers(state.db, factory.name)) {
      try {
        await this.look(row, now)
      } catch (error) {
        const { code, message } = asFerryError(error)
        await this.tell(row.name, `${code} ${message}`)
      }
    }
    await this.startWaiting()
  }

  private async look(row: PipelineTriggerRow, now: number): Promise<void> {
    const artifact = this.of.factory.require('trigger', row.name)
    const trigger = readTrigger(artifact)
    if (row.fingerprint !== fingerprintOf(artifact)) {
      throw new FerryError(
        'FERRY-5009',
        `trigger ${row.name} was edited since it was started: stop it, and start it again`,
      )
    }
    if (trigger.kind === 'schedule') await this.bySchedule(row, trigger, now)
    else await this.byWindows(row, trigger, now)
  }

  private async bySchedule(
    row: PipelineTriggerRow,
    trigger: Extract<TriggerOf, { kind: 'schedule' }>,
    now: number,
  ): Promise<void> {
    const due: number[] = []
    // Of many times that were missed the last one is told.
    for (
      let at = nextTime(trigger.recurrence, Number(row.at));
      at !== undefined && at <= now;
      at = nextTime(trigger.recurrence, at)
    ) {
      due.push(at)
      if (due.length > 1000) due.shift()
    }
    const last = due.at(-1)
    if (last === undefined) return
    const { state } = this.of
    const fresh = due.filter(at => now - at <= GRACE_MS)
    const made = await state.db.transaction().execute(async tx => {
      if (!(await triggers.moveTrigger(tx, row, last))) return undefined
      const runs: string[] = []
      for (const at of fresh) {
        const scheduled = roundTrip(at)
        for (const pipeline of trigger.pipelines) {
          const info = { type: 'ScheduleTrigger', name: row.name, id: row.name, scheduledTime: scheduled }
          runs.push((await this.createRun(tx, pipeline, info, now)).id)
        }
      }
      return runs
    })
    if (made === undefined) return
    const missed = due.length - fresh.length
    if (missed > 0)
      await this.tell(row.name, `missed ${missed} times, the last one at ${iso(due[missed - 1]!)}: nobody watched`)
    for (const run of made) await this.tell(row.name, `fired for ${iso(last)}`, run)
  }

  private async byWindows(row: PipelineTriggerRow, trigger: Tumbling, now: number): Promise<void> {
    const { state, factory } = this.of
    const { size, end, delay } = trigger
    let at = Number(row.at)
    const windows: { start: number; end: number }[] = []
    while (windows.length < MOST_WINDOWS && at + size <= end && at + size + delay <= now) {
      windows.push({ start: at, end: at + size })
      at += size
    }
    if (windows.length > 0) {
      await state.db.transaction().execute(async tx => {
        if (await triggers.moveTrigger(tx, row, at)) await triggers.addWindows(tx, factory.name, row.name, windows)
      })
    }
    const open = await triggers.openWindows(state.db, factory.name, row.name)
    let running = 0
    for (const window of open.filter(w => w.state === 'Running'))
      if (!(await this.mirror(window, trigger, now))) running++
    for (const window of open.filter(w => w.state === 'Waiting')) {
      if (running >= trigger.most) break
      if (Number(window.retry_at ?? 0) > now || !(await this.isReady(window, row, trigger))) continue
      await this.startWindow(window, row, trigger, now)
      running++
    }
  }

  /** True if all windows that a window depends on have succeeded. */
  private async isReady(window: PipelineWindowRow, row: PipelineTriggerRow, trigger: Tumbling): Promise<boolean> {
    const { state, factory } = this.of
    for (const { trigger: other, offset, size } of trigger.dependsOn) {
      const from = Number(window.start_at) + offset
      const to = from + (size ?? trigger.size)
      const isSelf = other === undefined
      // Before the first window there is nothing to wait for.
      if (isSelf && from < trigger.start) continue
      const name = isSelf ? row.name : factory.require('trigger', other).name
      if (!(await triggers.areDone(state.db, factory.name, name, from, to))) return false
    }
    return true
  }

  private async startWindow(
    window: PipelineWindowRow,
    row: PipelineTriggerRow,
    { pipelines: [pipeline] }: Tumbling,
    now: number,
  ): Promise<void> {
    const { state } = this.of
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
      const { id } = await this.createRun(tx, pipeline, info, now)
      await triggers.moveWindow(tx, { ...window, state: 'Running' }, { run: id })
      return id
    })
    if (run !== undefined) await this.tell(row.name, `window ${start} to ${end}`, run)
  }

  /** Takes over how the run of a window has ended; false while it has not. */
  private async mirror(window: PipelineWindowRow, trigger: Tumbling, now: number): Promise<boolean> {
    const { state } = this.of
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

  /** A run that waits, with the parameters that the trigger gives it. */
  private async createRun(
    db: Kysely<Schema>,
    { name, parameters }: TriggeredPipeline,
    info: RunInfo['trigger'],
    now: number,
  ) {
    const { program, source } = this.of
    const pipeline = program.pipeline(name)
    const trigger: ValueObject = {
      name: info.name,
      type: info.type,
      startTime: roundTrip(now),
      scheduledTime: info.scheduledTime ?? null,
      outputs: info.outputs ?? {},
    }
    const scope: Scope = { functions: new Map([['trigger', () => trigger]]) }
    const given = resolve(valueOf(parameters), scope, `parameters of trigger ${info.name}`) as ValueObject
    const bound = bindParameters(`pipeline ${pipeline.name}`, pipeline.parameters, given)
    return createRun(this.of, pipeline.name, bound, { trigger: info, source, queued: true }, db)
  }

  /** Executes runs that wait, and those that a process has left; a pipeline has so many at a time as it says. */
  private async startWaiting(): Promise<void> {
    const { state, factory, program, signal } = this.of
    if (signal.aborted) return
    const { waiting, atWork } = await waitingPipelineRuns(state.db, factory.name)
    for (const row of waiting) {
      if (this.active.size >= MOST_RUNS) return
      if (this.active.has(row.id)) continue
      const { concurrency } = program.pipeline(row.pipeline)
      const busy = atWork.get(row.pipeline) ?? 0
      if (row.state === 'Queued' && concurrency !== undefined && busy >= concurrency) continue
      atWork.set(row.pipeline, busy + 1)
      const work = this.execute(row.id, row.state === 'InProgress')
      this.active.set(row.id, work)
      work.finally(() => this.active.delete(row.id))
    }
  }

  private async execute(id: string, resumed: boolean): Promise<void> {
    try {
      await executeRun(this.of, await takePipelineRun(this.of.state.db, id), resumed)
    } catch (error) {
      const { code, message } = asFerryError(error)
      // Another process was faster.
      if (code !== 'FERRY-5001' && code !== 'FERRY-5006')
        this.of.onEvent?.({ trigger: '', outcome: `${code} ${message}`, run: id })
    }
  }

  private async tell(trigger: string, outcome: string, run?: string): Promise<void> {
    const { state, factory, onEvent } = this.of
    if (await triggers.tellOutcome(state.db, factory.name, trigger, outcome))
      onEvent?.({ trigger, outcome, ...(run ? { run } : {}) })
  }
}

/** Starts a trigger from now on; a tumbling window trigger from its first window, or where it was stopped. */
export async function startTrigger(
  { state, factory }: Pick<Watching, 'state' | 'factory'>,
  name: string,
): Promise<void> {
  const artifact = factory.require('trigger', name)
  const trigger = readTrigger(artifact)
  for (const { name: pipeline } of trigger.pipelines) factory.require('pipeline', pipeline)
  const now = await databaseNow(state.db)
  await triggers.startTrigger(state.db, {
    factory: factory.name,
    name: artifact.name,
    fingerprint: fingerprintOf(artifact),
    at: trigger.kind === 'tumbling' ? trigger.start : now,
    goesOn: trigger.kind === 'tumbling',
  })
}
