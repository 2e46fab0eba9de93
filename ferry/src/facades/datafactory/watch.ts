/**
 * Fires the triggers of a factory and executes its runs, for as long as it is let. Any number of processes may do so with one state: a
 * time that is due moves the place of its trigger in the transaction that makes the runs.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Kysely } from 'kysely'
import { asFerryError, FerryError } from '../../errors.ts'
import { type Execution, executeRun } from '../../pipelines/execute.ts'
import { printValue } from '../../pipelines/expressions/values.ts'
import { fingerprintOf, parametersOf } from '../../pipelines/make.ts'
import { type RunInfo, roundTrip } from '../../pipelines/values.ts'
import type { Copier } from '../../runtime/copier.ts'
import { settledOf, takeSeen } from '../../state/arrivals.ts'
import type { State } from '../../state/database.ts'
import { endPipeline, takePipelineRun, tellStuck, waitingPipelineRuns } from '../../state/pipelines.ts'
import type { PipelineRunRow, PipelineTriggerRow, Schema } from '../../state/schema.ts'
import { databaseNow, iso } from '../../state/time.ts'
import * as triggers from '../../state/triggers.ts'
import { arrivedBlobs } from './arrivals.ts'
import type { Factory } from './artifacts.ts'
import { createTriggered, watcherOf } from './fire.ts'
import { programOf } from './program.ts'
import { nextTime } from './recurrence.ts'
import { type Opened, stampOf } from './source.ts'
import { readTrigger, type TriggeredPipeline, type TriggerOf, triggerFingerprint } from './triggers.ts'
import { byWindows, type Firing } from './windows.ts'

/** How often times are looked at. */
const TICK_MS = 1000
/** Runs at work at one time. */
const MOST_RUNS = 500
/** A time further in the past than this was missed: nobody watched. Schedules make up for none; windows for all. */
const GRACE_MS = 60_000
/** How often files are looked for, and whether those of the factory have changed. */
const FILES_MS = 5000
const LOOK_TICKS = 2
/** So long a file has to be as it is before it has arrived. */
const SETTLED_MS = 10_000

export interface Watching {
  state: State
  copier: Copier
  /** Stops all runs so that they can be resumed. */
  signal: AbortSignal
  /** Reads the factory: at first, and again when its files have changed. */
  open: () => Promise<Opened>
  /** Where answers to webhooks are received; undefined where nobody does. */
  callbacks?: string | undefined
  /** Told what was fired, and what went wrong. */
  onEvent?: (event: { trigger: string; outcome: string; run?: string }) => void
}

interface Current {
  opened: Opened
  execution: Execution
  stamp: string
}

type Blobs = Extract<TriggerOf, { kind: 'blobs' }>

function toldOf(error: unknown): string {
  const { code, message } = asFerryError(error)
  return `${code} ${message}`
}

export class Watch {
  private readonly of: Watching
  private readonly active = new Map<string, Promise<unknown>>()
  private now: Current
  /** Triggers whose files are being looked for. */
  private readonly looking = new Map<string, Promise<void>>()
  private ticks = 0
  /** What was told of runs that cannot go on, and of the factory, so that it is told once. */
  private readonly told = new Map<string, string>()
  /** When files were looked for last, by trigger. */
  private readonly looked = new Map<string, number>()

  private constructor(of: Watching, now: Current) {
    this.of = of
    this.now = now
  }

  /** Throws what keeps the factory from being read. */
  static async open(of: Watching): Promise<Watch> {
    return new Watch(of, await Watch.load(of))
  }

  private static async load(of: Watching): Promise<Current> {
    const { state, copier, signal, callbacks } = of
    const opened = await of.open()
    const { policy, factory, redirects } = opened
    const program = programOf({ factory, redirects, state, policy, copier, callbacks })
    return { opened, execution: { state, program, policy, signal }, stamp: stampOf(opened) }
  }

  /** Reads the factory again if its files have changed; while they cannot be read it stays as it was. */
  private async refresh(): Promise<void> {
    if (this.ticks++ % LOOK_TICKS === 0 && stampOf(this.now.opened) !== this.now.stamp) await this.reload()
  }

  private async reload(): Promise<void> {
    try {
      const now = await Watch.load(this.of)
      // Another name is another factory: its runs are not those of this one.
      if (now.opened.factory.name !== this.name) {
        throw new FerryError('FERRY-7001', `the factory calls itself ${now.opened.factory.name} now`)
      }
      this.now = now
      this.told.delete('')
    } catch (error) {
      const { code, message } = asFerryError(error)
      this.once('', `its artifacts cannot be read, and stay as they were: ${code} ${message}`)
    }
  }

  /** The name of the factory. */
  get name(): string {
    return this.factory.name
  }

  private get factory(): Factory {
    return this.now.opened.factory
  }

  /** True if there is nothing to watch, and no run at work. */
  async isIdle(): Promise<boolean> {
    const { db } = this.of.state
    const { waiting } = await waitingPipelineRuns(db, this.factory.name)
    const started = await triggers.startedTriggers(db, this.factory.name)
    return this.active.size === 0 && waiting.length === 0 && started.length === 0
  }

  /** Watches until the signal is aborted; runs at work are then left to be resumed. */
  async run(): Promise<void> {
    const { signal } = this.of
    while (!signal.aborted) {
      await this.tick()
      await sleep(TICK_MS, undefined, { signal }).catch(() => {})
    }
    await this.settled()
  }

  /** Resolves when no run is at work. */
  async settled(): Promise<void> {
    while (this.active.size + this.looking.size > 0) {
      await Promise.all([...this.active.values(), ...this.looking.values()])
    }
  }

  /** Does what is due at `at` (milliseconds since 1970; by the state's clock where omitted). */
  async tick(at?: number): Promise<void> {
    const { state } = this.of
    await this.refresh()
    const { factory } = this
    const now = at ?? (await databaseNow(state.db))
    for (const row of await triggers.startedTriggers(state.db, factory.name)) {
      try {
        await this.look(row, now)
      } catch (error) {
        await this.tell(row.name, toldOf(error))
      }
    }
    await this.startWaiting()
  }

  private async look(row: PipelineTriggerRow, now: number): Promise<void> {
    const isSame = () => row.fingerprint === triggerFingerprint(this.factory.require('trigger', row.name))
    // Who has started it may have seen files that are newer than those that were read here.
    if (!isSame()) await this.reload()
    const artifact = this.factory.require('trigger', row.name)
    const trigger = readTrigger(artifact)
    if (!isSame()) {
      throw new FerryError(
        'FERRY-5009',
        `trigger ${row.name} was edited since it was started: stop it, and start it again`,
      )
    }
    if (trigger.kind === 'schedule') await this.bySchedule(row, trigger, now)
    else if (trigger.kind === 'tumbling') await byWindows(this.firing, row, trigger, now)
    else if (trigger.kind === 'blobs') this.lookForFiles(row, trigger, now)
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

  /** Looks for files, while others have their turn: a store may take long to answer. */
  private lookForFiles(row: PipelineTriggerRow, trigger: Blobs, now: number): void {
    if (this.looking.has(row.name) || now - (this.looked.get(row.name) ?? 0) < FILES_MS) return
    this.looked.set(row.name, now)
    const look = this.byFiles(row, trigger, now)
      .catch(error => this.tell(row.name, toldOf(error)))
      .finally(() => this.looking.delete(row.name))
    this.looking.set(row.name, look)
  }

  /** New files, each with a run of its own. */
  private async byFiles(row: PipelineTriggerRow, trigger: Blobs, now: number): Promise<void> {
    const { db } = this.of.state
    const watcher = watcherOf(this.name, row.name)
    const files = await arrivedBlobs({ ...this.now.opened, state: this.of.state }, trigger)
    // A file that is being written has not arrived yet.
    for (const file of await settledOf(db, watcher, files, { now, before: now - SETTLED_MS })) {
      const cut = file.path.lastIndexOf('/')
      const body = {
        folderPath: [trigger.container, file.path.slice(0, Math.max(0, cut))].filter(Boolean).join('/'),
        fileName: file.path.slice(cut + 1),
      }
      const info = {
        type: 'BlobEventsTrigger',
        name: row.name,
        id: row.name,
        scheduledTime: roundTrip(now),
        outputs: { body },
      }
      const fire = (tx: Kysely<Schema>) =>
        Promise.all(trigger.pipelines.map(async pipeline => (await this.createRun(tx, pipeline, info, now)).id))
      const made = await db
        .transaction()
        .execute(async tx => ((await takeSeen(tx, watcher, [file])) ? fire(tx) : []))
        .catch(async error => {
          // One that no run can be made for keeps no others back.
          await takeSeen(db, watcher, [file])
          await this.tell(row.name, `${file.path}: ${toldOf(error)}`)
          return []
        })
      for (const run of made) await this.tell(row.name, `${file.path} has arrived`, run)
    }
  }

  /** What triggers fire with. */
  private get firing(): Firing {
    return {
      state: this.of.state,
      factory: this.factory,
      createRun: (db, pipeline, info, now) => this.createRun(db, pipeline, info, now),
      tell: (trigger, outcome, run) => this.tell(trigger, outcome, run),
    }
  }

  private createRun(db: Kysely<Schema>, pipeline: TriggeredPipeline, info: RunInfo['trigger'], now: number) {
    const { execution, opened } = this.now
    return createTriggered(execution, opened, { db, pipeline, info, now })
  }

  /** Executes runs that wait, and those that a process has left; a pipeline has so many at a time as it says. */
  private async startWaiting(): Promise<void> {
    const { state, signal } = this.of
    if (signal.aborted) return
    const { waiting, atWork } = await waitingPipelineRuns(state.db, this.name)
    for (const row of waiting) {
      if (this.active.size >= MOST_RUNS) return
      if (this.active.has(row.id)) continue
      const isLeft = row.state === 'InProgress'
      try {
        // Who has asked for it may have seen artifacts that are newer than those that were read here.
        if (!this.isOfNow(row) && !this.told.has(row.id)) await this.reload()
        const { execution } = this.now
        const { concurrency } = execution.program.pipeline(row.pipeline)
        const busy = atWork.get(row.pipeline) ?? 0
        if (!isLeft && concurrency !== undefined && busy >= concurrency) continue
        // One that has begun goes on with the artifacts that it has begun with.
        if (isLeft && !this.isOfNow(row)) {
          await this.stuck(row, 'it cannot go on: artifacts that it uses have changed since it began')
          continue
        }
        atWork.set(row.pipeline, busy + 1)
        const work = this.execute(execution, row, isLeft)
        this.active.set(row.id, work)
        work.finally(() => this.active.delete(row.id))
      } catch (error) {
        if (isLeft) await this.stuck(row, `it cannot go on: ${toldOf(error)}`)
        else await this.refuse(row, error)
      }
    }
  }

  /** A run that waits for its artifacts says so. */
  private async stuck(row: PipelineRunRow, why: string): Promise<void> {
    if (this.told.get(row.id) === why) return
    await tellStuck(this.of.state.db, row.id, printValue({ message: `${why}. Cancel it, or bring them back.` }))
    this.once(row.id, why)
  }

  /** Ends a run that cannot even begin. */
  private async refuse(row: PipelineRunRow, error: unknown): Promise<void> {
    const { code, message } = asFerryError(error)
    const failure = { activity: '', error: { errorCode: code, message, failureType: 'UserError', target: '' }, message }
    try {
      const { epoch } = await takePipelineRun(this.of.state.db, row.id)
      const ended = { state: 'Failed' as const, error: printValue(failure), return_value: null }
      await endPipeline(this.of.state.db, { run: row.id, epoch }, ended)
    } catch (taken) {
      if (!['FERRY-5001', 'FERRY-5004', 'FERRY-5006'].includes(asFerryError(taken).code)) throw taken
    }
    this.once(row.id, `${code} ${message}`)
  }

  /** True if a run is of the artifacts as they were read last. */
  private isOfNow(row: PipelineRunRow): boolean {
    const { program, state } = this.now.execution
    return row.fingerprint === fingerprintOf(program, row.pipeline, parametersOf(state, row))
  }

  private async execute(execution: Execution, { id }: PipelineRunRow, resumed: boolean): Promise<void> {
    const { state, program } = execution
    try {
      const row = await takePipelineRun(state.db, id)
      const fingerprint = fingerprintOf(program, row.pipeline, parametersOf(state, row))
      // Nothing of it has run: it begins with the artifacts as they are now.
      if (!resumed && row.fingerprint !== fingerprint) {
        await state.db.updateTable('pipeline_run').set({ fingerprint }).where('id', '=', id).execute()
      }
      await tellStuck(state.db, id, null)
      await executeRun(execution, { ...row, fingerprint: resumed ? row.fingerprint : fingerprint }, resumed)
    } catch (error) {
      const { code, message } = asFerryError(error)
      // Another process was faster.
      if (code !== 'FERRY-5001' && code !== 'FERRY-5006') this.once(id, `${code} ${message}`)
    }
  }

  /** Tells something of a run, or of the factory, once. */
  private once(run: string, outcome: string): void {
    if (this.told.get(run) === outcome) return
    this.told.set(run, outcome)
    this.of.onEvent?.({ trigger: '', outcome, ...(run === '' ? {} : { run }) })
  }

  private async tell(trigger: string, outcome: string, run?: string): Promise<void> {
    const { state, onEvent } = this.of
    const { factory } = this
    if (await triggers.tellOutcome(state.db, factory.name, trigger, outcome))
      onEvent?.({ trigger, outcome, ...(run ? { run } : {}) })
  }
}
