/** What a type of activity is, and what it sees of the run. */
import type { Scope } from './expressions/evaluate.ts'
import type { Value, ValueObject } from './expressions/values.ts'
import type { Effect } from './journal.ts'
import type { Activity } from './model.ts'

/** The name of a scope for a list of activities: an iteration, a branch. */
export type Step = string | number

export interface ActivityContext {
  readonly activity: Activity
  /** The path of the activity in its run. */
  readonly key: string
  readonly runId: string
  readonly pipeline: string
  readonly scope: Scope
  /** Aborted when the run stops, or the time of the activity is over. The reason says which: `stop`, `cancel` or `timeout`. */
  readonly signal: AbortSignal
  /** From 1. */
  readonly attempt: number
  /** True if a failure is final. */
  readonly isLastAttempt: boolean
  /** When the activity began, in milliseconds since 1970; the same for a process that goes on with it. */
  readonly startedAt: number
  /** Evaluates the expressions in a value. Throws FERRY-7002, FERRY-7003. */
  resolve(value: unknown, path?: string): Value
  /** The same, with another `item()`. */
  resolveWith(value: unknown, path: string, item: Value): Value
  /** A property of the activity, evaluated; undefined if it is not there. */
  property(name: string): Value | undefined
  /** What was decided before; undefined if nothing was. */
  readonly decision: Value | undefined
  /** Makes a decision once: a process that goes on with the run gets the same. */
  decide(make: () => Value): Value
  /** Puts a decision in the place of the one before, which it goes on from. */
  decideFurther(value: Value): void
  /** Says what the activity got, for people. */
  told(input: Value): void
  /** Says which copy it runs. */
  copies(run: string): void
  /** Changes a variable. Throws FERRY-7004. */
  change(effect: Effect): void
  /** Runs activities within this one, and says which of them it fails for. */
  runAll(step: Step, activities: readonly Activity[], item?: Value): Promise<ListEnd>
  /** Parameters for another pipeline without those that it declares as secrets. */
  shownParameters(pipeline: string, parameters: ValueObject): ValueObject
  /** Runs another pipeline. */
  runPipeline(name: string, parameters: ValueObject, wait: boolean): Promise<ValueObject>
  /** Waits, or throws when the signal is aborted. */
  sleep(ms: number): Promise<void>
  /** The state is up to date with all that came before. */
  flush(): Promise<void>
}

export interface ListEnd {
  /** The message of the first activity that the list fails for; undefined if it has succeeded. */
  failure: string | undefined
}

export interface ActivityKind {
  readonly type: string
  /** True if it acts on what is outside of the run: what came before is then saved first. */
  readonly isOutside: boolean
  /** True if it holds activities and has no policy of its own. */
  readonly isContainer?: boolean
  /** Gives back the output. Throws ActivityFailure, FerryError. */
  run(context: ActivityContext): Promise<ValueObject>
}
