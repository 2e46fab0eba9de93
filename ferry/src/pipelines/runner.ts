/** One run of a pipeline: its activities in their order, each outcome saved, from the beginning or from where a process ended. */
import { setImmediate, setTimeout as sleepFor } from 'node:timers/promises'
import { FerryError } from '../errors.ts'
import { CONTROL } from './activities/registry.ts'
import type { ActivityContext, ActivityKind, ListEnd, Step } from './activity.ts'
import { type ActivityError, ActivityFailure, activityError, Stopped, targetFailed } from './errors.ts'
import { printValue, type Value, type ValueObject } from './expressions/values.ts'
import { type Ended, failedIn, mayRun } from './graph.ts'
import type { ActivityRecord, Journal } from './journal.ts'
import type { Activity, Pipeline } from './model.ts'
import { bindParameters } from './parameters.ts'
import { requireInteger, requireSpan, resolve } from './resolve.ts'
import { outcomeOf, type Place, type RunInfo, RunValues } from './values.ts'

/** What a run asks of those who execute it. */
export interface Host {
  /** Activities beyond those of the control flow, by type. */
  kind(type: string): ActivityKind | undefined
  readonly globalParameters: ValueObject
  /** Parameters for a pipeline without those that it declares as secrets. */
  shownParameters(pipeline: string, parameters: ValueObject): ValueObject
  /** Runs another pipeline as a run of its own; resolves with its output, or when it has begun if it is not waited for. */
  runPipeline(request: ChildRequest): Promise<ValueObject>
}

export interface ChildRequest {
  name: string
  parameters: ValueObject
  wait: boolean
  parent: NonNullable<RunInfo['parent']>
  info: RunInfo
  signal: AbortSignal
}

export interface RunEnd {
  state: 'Succeeded' | 'Failed'
  error?: { activity: string; error: ActivityError; message: string } | undefined
  returnValue?: Value | undefined
}

const DEFAULT_TIMEOUT_MS = 12 * 3_600_000
const MOST_TIMEOUT_MS = 90 * 86_400_000
const DEFAULT_RETRY_SECONDS = 30
/** How long a run may keep its process to itself. */
const BREATH_MS = 20
/** What `activity('X').output` may hold at the most; Data Factory has about 4 MB. */
const MOST_OUTPUT = 32_000_000

const CONTROLS = new Map(CONTROL.map(kind => [kind.type, kind]))

/** Runs a pipeline to its end. Throws Stopped where `signal` is aborted, with the reason `stop` or `cancel`. */
export async function runPipeline(
  pipeline: Pipeline,
  given: ValueObject,
  { info, host, journal, signal }: { info: RunInfo; host: Host; journal: Journal; signal: AbortSignal },
): Promise<RunEnd> {
  const parameters = bindParameters(`pipeline ${pipeline.name}`, pipeline.parameters, given)
  return new PipelineRun(pipeline, parameters, info, host, journal, signal).execute()
}

class PipelineRun {
  private readonly pipeline: Pipeline
  private readonly info: RunInfo
  private readonly host: Host
  private readonly journal: Journal
  private readonly signal: AbortSignal
  private readonly values: RunValues
  private breathed = performance.now()

  constructor(
    pipeline: Pipeline,
    parameters: ValueObject,
    info: RunInfo,
    host: Host,
    journal: Journal,
    signal: AbortSignal,
  ) {
    this.pipeline = pipeline
    this.info = info
    this.host = host
    this.journal = journal
    this.signal = signal
    this.values = new RunValues(pipeline, parameters, info, host.globalParameters)
    for (const effect of journal.effects) this.values.restore(effect)
  }

  async execute(): Promise<RunEnd> {
    const place: Place = { prefix: '', outcomes: new Map(), outer: undefined, item: undefined }
    const failed = await this.list(this.pipeline.activities, place)
    await this.journal.flush()
    const returnValue = this.values.returnValue
    const [first] = failed
    if (first === undefined) return { state: 'Succeeded', returnValue }
    const error = place.outcomes.get(first)!.error as ActivityError
    return {
      state: 'Failed',
      error: { activity: first, error, message: targetFailed(first, error).message },
      returnValue,
    }
  }

  /** Runs a list of activities; gives back the names of those that it fails for. */
  private async list(activities: readonly Activity[], place: Place): Promise<string[]> {
    const ends = new Map<string, Ended>()
    const running = new Map<string, Promise<void>>()
    const one = async (activity: Activity): Promise<void> => {
      await Promise.all((activity.dependsOn ?? []).map(d => running.get(d.activity)!))
      this.requireGoing()
      ends.set(activity.name, await this.activity(activity, place, mayRun(activity, ends)))
    }
    // An activity may stand before those that it depends on.
    const waiting: { activity: Activity; begin: () => void }[] = []
    for (const activity of activities) {
      const { promise, resolve: begin } = Promise.withResolvers<void>()
      running.set(
        activity.name,
        promise.then(() => one(activity)),
      )
      waiting.push({ activity, begin })
    }
    for (const { begin } of waiting) begin()
    // All of them are waited for, whatever becomes of one.
    const settled = await Promise.allSettled(running.values())
    const thrown = settled.filter(s => s.status === 'rejected').map(s => s.reason)
    if (thrown.length > 0) throw thrown.find(e => !(e instanceof Stopped)) ?? thrown[0]
    return failedIn(activities, ends)
  }

  /** Lets signs of life, wishes and signals through where activities need nothing but this process. */
  private async breathe(): Promise<void> {
    if (performance.now() - this.breathed < BREATH_MS) return
    await setImmediate()
    // What waits to be saved does not grow without bounds.
    if (this.journal.isFull) await this.journal.flush()
    this.breathed = performance.now()
    this.requireGoing()
  }

  private requireGoing(): void {
    if (this.signal.aborted) throw new Stopped(this.signal.reason === 'cancel' ? 'cancel' : 'stop')
  }

  /** One activity, with its retries; only Stopped and faults of the state are thrown. */
  private async activity(activity: Activity, place: Place, runs: boolean): Promise<Ended> {
    await this.breathe()
    const key = `${place.prefix}${activity.name}`
    const kept = this.journal.take(key)
    if (kept && (kept.state === 'Succeeded' || kept.state === 'Failed' || kept.state === 'Skipped')) {
      place.outcomes.set(activity.name, outcomeOf(kept))
      return kept.state
    }
    const record: ActivityRecord = kept ?? {
      key,
      name: activity.name,
      type: activity.type,
      state: 'InProgress',
      attempt: 1,
      startedAt: Date.now(),
    }
    const inactive = activity.state === 'Inactive' && runs
    if (!runs || inactive) {
      const state = inactive ? (activity.onInactiveMarkAs ?? 'Succeeded') : 'Skipped'
      if (state === 'Failed') {
        record.error = activityError(new ActivityFailure('InactiveActivity', 'the activity is inactive'), activity.name)
      }
      this.end(record, state, place)
      return state
    }
    const { policy } = activity
    record.secure =
      policy?.secureInput || policy?.secureOutput
        ? { input: policy.secureInput === true, output: policy.secureOutput === true }
        : undefined
    try {
      const kind = this.kindOf(activity.type)
      await this.attempts(activity, kind, record, place)
    } catch (error) {
      if (error instanceof Stopped || isOfState(error)) throw error
      record.error = activityError(error, activity.name)
      // A message may repeat what was asked and what was answered.
      if (record.secure)
        record.error.message = 'The details are not shown: the activity keeps its input or output secret.'
      if (error instanceof ActivityFailure && error.output) record.output = error.output
    }
    const state = record.error ? 'Failed' : 'Succeeded'
    this.end(record, state, place)
    return state
  }

  private kindOf(type: string): ActivityKind {
    const kind = CONTROLS.get(type) ?? this.host.kind(type)
    if (kind) return kind
    throw new FerryError('FERRY-7006', `activities of the type ${type} do not run here`)
  }

  private async attempts(activity: Activity, kind: ActivityKind, record: ActivityRecord, place: Place): Promise<void> {
    const policy = kind.isContainer ? undefined : activity.policy
    const scope = this.values.scopeAt(place, record)
    const retry =
      policy?.retry === undefined ? 0 : requireInteger(resolve(policy.retry, scope), 'policy.retry', 0, 1000)
    const seconds = policy?.retryIntervalInSeconds ?? DEFAULT_RETRY_SECONDS
    const limit =
      policy?.timeout === undefined ? DEFAULT_TIMEOUT_MS : requireSpan(resolve(policy.timeout, scope), 'policy.timeout')
    if (activity.userProperties) {
      record.userProperties = Object.fromEntries(
        activity.userProperties.map(p => [p.name, resolve(p.value, scope, `userProperties.${p.name}`)]),
      )
    }
    for (;;) {
      try {
        record.output = await this.attempt(activity, kind, record, place, {
          limit: kind.isContainer ? undefined : limit,
          isLast: record.attempt > retry,
        })
        return
      } catch (error) {
        if (error instanceof Stopped || isOfState(error) || record.attempt > retry || !isWorthAnother(error))
          throw error
        record.attempt++
        this.journal.save(record)
        await this.sleep(seconds * 1000, this.signal)
      }
    }
  }

  private async attempt(
    activity: Activity,
    kind: ActivityKind,
    record: ActivityRecord,
    place: Place,
    { limit, isLast }: { limit: number | undefined; isLast: boolean },
  ): Promise<ValueObject> {
    const stop = new AbortController()
    const onStop = () => stop.abort(this.signal.reason)
    if (this.signal.aborted) onStop()
    this.signal.addEventListener('abort', onStop, { once: true })
    const timer =
      limit === undefined
        ? undefined
        : setTimeout(() => stop.abort('timeout'), Math.min(limit, MOST_TIMEOUT_MS, 2 ** 31 - 1))
    try {
      this.journal.save(record)
      if (kind.isOutside) await this.journal.flush()
      const output = await kind.run(this.contextOf(activity, record, place, stop.signal, isLast))
      requireSize(output)
      return output
    } catch (error) {
      this.requireGoing()
      if (stop.signal.reason === 'timeout') {
        const after = String(activity.policy?.timeout ?? '0.12:00:00')
        throw new ActivityFailure('ActivityTimedOut', `the activity was not done within ${after}`)
      }
      throw error
    } finally {
      clearTimeout(timer)
      this.signal.removeEventListener('abort', onStop)
    }
  }

  private contextOf(
    activity: Activity,
    record: ActivityRecord,
    place: Place,
    signal: AbortSignal,
    isLastAttempt: boolean,
  ): ActivityContext {
    const scope = this.values.scopeAt(place, record)
    const { typeProperties } = activity
    const save = () => this.journal.save(record)
    return {
      activity,
      key: record.key,
      runId: this.info.id,
      pipeline: this.pipeline.name,
      scope,
      signal,
      attempt: record.attempt,
      isLastAttempt,
      startedAt: record.startedAt,
      resolve: (value, path = '') => resolve(value, scope, path),
      resolveWith: (value, path, item) =>
        resolve(value, this.values.scopeAt({ ...place, item: { value: item } }, record), path),
      property: name => (Object.hasOwn(typeProperties, name) ? resolve(typeProperties[name], scope, name) : undefined),
      get decision() {
        return record.decision
      },
      decide: make => {
        if (record.decision === undefined) {
          record.decision = make()
          save()
        }
        return record.decision
      },
      decideFurther: value => {
        record.decision = value
        save()
      },
      told: input => {
        record.input = input
        save()
      },
      copies: run => {
        record.copy = run
        save()
      },
      change: effect => {
        this.values.apply(effect)
        record.effect = effect
      },
      runAll: (step, activities, item) => this.runAll(record.key, step, activities, item, place),
      shownParameters: (name, parameters) => this.host.shownParameters(name, parameters),
      runPipeline: (name, parameters, wait) =>
        this.host.runPipeline({
          name,
          parameters,
          wait,
          parent: { pipeline: this.pipeline.name, run: this.info.id, key: record.key },
          info: this.info,
          signal: this.signal,
        }),
      sleep: ms => this.sleep(ms, signal),
      flush: () => this.journal.flush(),
    }
  }

  private async runAll(
    key: string,
    step: Step,
    activities: readonly Activity[],
    item: Value | undefined,
    outer: Place,
  ): Promise<ListEnd> {
    const place: Place = {
      prefix: `${key}/${String(step).replaceAll('/', '%2F')}/`,
      outcomes: new Map(),
      outer,
      item: item === undefined ? outer.item : { value: item },
    }
    const [failed] = await this.list(activities, place)
    if (failed === undefined) return { failure: undefined }
    return { failure: targetFailed(failed, place.outcomes.get(failed)!.error as ActivityError).message }
  }

  private end(record: ActivityRecord, state: Ended, place: Place): void {
    record.state = state
    record.endedAt = Date.now()
    place.outcomes.set(record.name, outcomeOf(record))
    this.journal.save(record)
  }

  private async sleep(ms: number, signal: AbortSignal): Promise<void> {
    try {
      await sleepFor(ms, undefined, { signal })
    } catch {
      this.requireGoing()
      throw new ActivityFailure('ActivityTimedOut', 'the time of the activity is over')
    }
  }
}

/** A fault of the state ends the run, not the activity. */
function isOfState(error: unknown): boolean {
  return error instanceof FerryError && /^FERRY-50(04|13)$/.test(error.code)
}

/** What would fail again in the same way is not tried again. */
function isWorthAnother(error: unknown): boolean {
  return !(error instanceof FerryError && /^FERRY-(1|70)/.test(error.code))
}

function requireSize(output: ValueObject): void {
  if (Object.keys(output).length > 0 && printValue(output).length > MOST_OUTPUT) {
    throw new ActivityFailure('2001', `the output has more than ${MOST_OUTPUT.toLocaleString('en-US')} characters`)
  }
}
