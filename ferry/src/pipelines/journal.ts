/** What a run of a pipeline keeps, so that another process can go on with it. */
import type { ActivityError } from './errors.ts'
import type { Value, ValueObject } from './expressions/values.ts'
import type { ActivityState } from './model.ts'

/** A change of a variable by an activity. */
export type Effect = { set: string; value: Value } | { append: string; value: Value }

/** One activity of one run: `key` is its path, such as `ForEach1/3/Copy1`. */
export interface ActivityRecord {
  key: string
  name: string
  type: string
  state: ActivityState
  attempt: number
  /** Milliseconds since 1970. */
  startedAt: number
  endedAt?: number | undefined
  input?: Value | undefined
  output?: ValueObject | undefined
  error?: ActivityError | undefined
  /** What was decided when it began: the items of a loop, the branch that is taken. */
  decision?: Value | undefined
  effect?: Effect | undefined
  /** The copy that it runs. */
  copy?: string | undefined
  /** True if its input or output is a secret. */
  secure?: { input: boolean; output: boolean } | undefined
  userProperties?: ValueObject | undefined
}

export interface Journal {
  /** What an earlier process has saved of an activity; each is asked for once. */
  take(key: string): ActivityRecord | undefined
  /** Changes of variables by activities that had ended, in their order. */
  readonly effects: readonly Effect[]
  /** Saves a record; it is in the state after `flush`, and soon anyway. */
  save(record: ActivityRecord): void
  /** True if so many records wait to be saved that the run should wait for them. */
  readonly isFull: boolean
  /** Resolves when all that was saved is in the state. Throws FERRY-5004 if another process has taken the run. */
  flush(): Promise<void>
}

/** A journal in memory, for tests. */
export class MemoryJournal implements Journal {
  readonly records = new Map<string, ActivityRecord>()
  readonly effects: Effect[] = []
  readonly isFull = false

  take(key: string): ActivityRecord | undefined {
    return this.records.get(key)
  }

  save(record: ActivityRecord): void {
    this.records.set(record.key, structuredClone(record))
  }

  async flush(): Promise<void> {}
}
