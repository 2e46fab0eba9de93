/** The journal of a run in the state. Records are written in groups, as fast as the state takes them. */
import { Seal } from '../secrets/seal.ts'
import type { State } from '../state/database.ts'
import { activityRuns, type PipelineLease, saveActivities } from '../state/pipelines.ts'
import type { ActivityRunRow } from '../state/schema.ts'
import type { ActivityError } from './errors.ts'
import { parseValue, printValue, type Value, type ValueObject } from './expressions/values.ts'
import type { ActivityRecord, Effect, Journal } from './journal.ts'

/** Characters of an input that are saved. */
const MOST_INPUT = 1_000_000
/** Records that may wait to be written. */
const MOST_WAITING = 2000

export class StateJournal implements Journal {
  private readonly state: State
  private readonly lease: PipelineLease
  private readonly seal: Seal
  private readonly onSave: ((record: ActivityRecord) => void) | undefined
  private readonly kept = new Map<string, ActivityRecord>()
  readonly effects: Effect[] = []
  private readonly waiting = new Map<string, ActivityRunRow>()
  private writing: Promise<void> | undefined
  private failure: unknown
  private seq = 0

  private constructor(state: State, lease: PipelineLease, onSave: ((record: ActivityRecord) => void) | undefined) {
    this.state = state
    this.lease = lease
    this.seal = Seal.open(state.home)
    this.onSave = onSave
  }

  /** The journal of a run, with all that earlier processes have saved. */
  static async open(
    state: State,
    lease: PipelineLease,
    onSave?: (record: ActivityRecord) => void,
  ): Promise<StateJournal> {
    const journal = new StateJournal(state, lease, onSave)
    for (const row of await activityRuns(state.db, lease.run)) {
      const record = journal.recordOf(row)
      journal.seq = Math.max(journal.seq, Number(row.seq))
      journal.kept.set(row.key, record)
      if (record.effect && row.state === 'Succeeded') journal.effects.push(record.effect)
    }
    return journal
  }

  take(key: string): ActivityRecord | undefined {
    const found = this.kept.get(key)
    this.kept.delete(key)
    return found
  }

  save(record: ActivityRecord): void {
    this.waiting.set(record.key, this.rowOf(record))
    this.onSave?.(record)
    this.write()
  }

  get isFull(): boolean {
    return this.waiting.size > MOST_WAITING
  }

  async flush(): Promise<void> {
    while (this.waiting.size > 0 || this.writing) {
      this.write()
      await this.writing
    }
    if (this.failure !== undefined) throw this.failure
  }

  private write(): void {
    if (this.writing || this.waiting.size === 0) return
    // What is saved in this turn goes together.
    this.writing = Promise.resolve()
      .then(async () => {
        const rows = [...this.waiting.values()]
        this.waiting.clear()
        await saveActivities(this.state.db, this.lease, rows)
      })
      .catch(error => {
        this.failure ??= error
        this.waiting.clear()
      })
      .finally(() => {
        this.writing = undefined
        if (this.failure === undefined) this.write()
      })
  }

  private rowOf(record: ActivityRecord): ActivityRunRow {
    const { secure } = record
    const text = (value: Value | undefined) => (value === undefined ? null : printValue(value))
    const sealed = (value: string | null, name: string) =>
      value === null ? null : this.seal.close(sealName(record.key, name), value)
    const input = shortened(text(record.input))
    const output = text(record.output)
    return {
      run: this.lease.run,
      key: record.key,
      seq: ++this.seq,
      name: record.name,
      type: record.type,
      state: record.state,
      attempt: record.attempt,
      started_at: record.startedAt,
      ended_at: record.endedAt ?? null,
      input: secure?.input ? sealed(input, 'input') : input,
      output: secure?.output ? sealed(output, 'output') : output,
      error: text(record.error),
      // The items of a loop and the change of a variable may come from a secret output.
      decision: sealed(text(record.decision), 'decision'),
      effect: sealed(record.effect ? printValue(record.effect as unknown as ValueObject) : null, 'effect'),
      copy: record.copy ?? null,
      secure: (secure?.input ? 1 : 0) + (secure?.output ? 2 : 0),
      user_properties: text(record.userProperties),
    }
  }

  private recordOf(row: ActivityRunRow): ActivityRecord {
    const parse = <T>(value: string | null) => (value === null ? undefined : (parseValue(value) as T))
    const secure = Number(row.secure)
    const revealed = (value: string | null, name: string) =>
      value === null ? null : this.seal.reveal(sealName(row.key, name), value)
    const output = (secure & 2) === 0 ? row.output : revealed(row.output, 'output')
    return {
      key: row.key,
      name: row.name,
      type: row.type,
      state: row.state,
      attempt: row.attempt,
      startedAt: Number(row.started_at),
      endedAt: row.ended_at === null ? undefined : Number(row.ended_at),
      output: parse<ValueObject>(output),
      error: parse<ActivityError>(row.error),
      decision: parse<Value>(revealed(row.decision, 'decision')),
      effect: parse<Effect & ValueObject>(revealed(row.effect, 'effect')),
      copy: row.copy ?? undefined,
      secure: secure === 0 ? undefined : { input: (secure & 1) !== 0, output: (secure & 2) !== 0 },
      userProperties: parse<ValueObject>(row.user_properties),
    }
  }
}

/** The name that a part of an activity is sealed under: without the run, as a rerun takes over what another run has come to. */
export const sealName = (key: string, what: string) => `pipeline/${key}/${what}`

/** Inputs are for people. */
function shortened(text: string | null): string | null {
  return text === null || text.length <= MOST_INPUT ? text : printValue(`${text.slice(0, MOST_INPUT)}…`)
}
