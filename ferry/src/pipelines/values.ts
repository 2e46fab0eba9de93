/** What expressions see of a run: its parameters and variables, its trigger, the outcomes of its activities. */
import { didYouMean, FerryError } from '../errors.ts'
import { RETURN_VALUE } from './activities/simple.ts'
import { clockOf } from './clock.ts'
import type { Scope } from './expressions/evaluate.ts'
import { type Value, type ValueObject, valueOf } from './expressions/values.ts'
import type { ActivityRecord, Effect } from './journal.ts'
import type { Pipeline } from './model.ts'
import { ofType } from './parameters.ts'

/** What a run knows of itself: `pipeline()` and `trigger()` give it to expressions. */
export interface RunInfo {
  id: string
  groupId: string
  factory: string
  /** Milliseconds since 1970. */
  startedAt: number
  trigger: {
    type: string
    name: string
    id: string
    outputs?: ValueObject | undefined
    scheduledTime?: string | undefined
  }
  /** How many pipelines have executed one another to come here. */
  depth?: number
  /** The run whose ExecutePipeline has started this one. */
  parent?: { pipeline: string; run: string; key: string } | undefined
}

/** What expressions see at one place of a run. */
export interface Place {
  /** The path that the keys of activities begin with. */
  prefix: string
  outcomes: Map<string, ValueObject>
  outer: Place | undefined
  item: { value: Value } | undefined
}

export class RunValues {
  private readonly pipeline: Pipeline
  private readonly info: RunInfo
  private readonly variables = new Map<string, Value>()
  private readonly self: ValueObject
  private readonly trigger: ValueObject

  constructor(pipeline: Pipeline, parameters: ValueObject, info: RunInfo, globalParameters: ValueObject) {
    this.pipeline = pipeline
    this.info = info
    const { trigger, parent } = info
    const startTime = roundTrip(info.startedAt)
    this.self = {
      DataFactory: info.factory,
      Pipeline: pipeline.name,
      RunId: info.id,
      GroupId: info.groupId,
      TriggerType: trigger.type,
      TriggerName: trigger.name,
      TriggerId: trigger.id,
      TriggerTime: startTime,
      TriggeredByPipelineName: parent?.pipeline ?? null,
      TriggeredByPipelineRunId: parent?.run ?? null,
      parameters,
      globalParameters: globalParameters,
    }
    this.trigger = {
      name: trigger.name,
      type: trigger.type,
      startTime,
      scheduledTime: trigger.scheduledTime ?? startTime,
      outputs: trigger.outputs ?? {},
    }
    for (const [name, { type, defaultValue }] of Object.entries(pipeline.variables)) {
      this.variables.set(name, initial(defaultValue, type, name))
    }
  }

  /** What the pipeline gives back; undefined if it says nothing. */
  get returnValue(): Value | undefined {
    return this.variables.get(RETURN_VALUE)
  }

  /** Changes a variable as an activity did that is taken over; one that the pipeline no longer has is passed over. */
  restore(effect: Effect): void {
    try {
      this.apply(effect)
    } catch (error) {
      if (!(error instanceof FerryError && error.code === 'FERRY-7004')) throw error
    }
  }

  /** Changes a variable. Throws FERRY-7004. */
  apply(effect: Effect): void {
    const name = 'set' in effect ? effect.set : effect.append
    if (name === RETURN_VALUE) {
      const before = this.variables.get(RETURN_VALUE)
      this.variables.set(name, { ...((before ?? {}) as ValueObject), ...(effect.value as ValueObject) })
      return
    }
    const own = Object.keys(this.pipeline.variables).find(n => n.toLowerCase() === name.toLowerCase())
    if (own === undefined) throw noVariable(name, this.pipeline)
    const declared = this.pipeline.variables[own]!
    if ('set' in effect) {
      this.variables.set(own, ofType(effect.value, declared.type, `variable ${own}`))
      return
    }
    const list = this.variables.get(own)
    if (!Array.isArray(list))
      throw new FerryError('FERRY-7004', `variable ${name} is no array: nothing can be appended to it`)
    list.push(effect.value)
  }

  scopeAt(place: Place, record: ActivityRecord): Scope {
    const { self, trigger } = this
    return {
      clock: clockOf(`${this.info.id}/${record.key}`, record.startedAt),
      functions: new Map<string, (args: Value[]) => Value>([
        ['pipeline', () => self],
        ['trigger', () => trigger],
        ['triggerbody', () => (trigger.outputs as ValueObject).body ?? trigger.outputs!],
        ['triggeroutputs', () => trigger.outputs!],
        ['parameters', args => named(self.parameters as ValueObject, args, 'parameter')],
        ['variables', args => this.variable(args)],
        ['activity', args => activityAt(place, args, record)],
        ...(place.item ? ([['item', () => place.item!.value]] as const) : []),
      ]),
    }
  }

  private variable([name]: Value[]): Value {
    if (typeof name === 'string') {
      const found = this.variables.has(name)
        ? name
        : [...this.variables.keys()].find(n => n.toLowerCase() === name.toLowerCase())
      if (found !== undefined) {
        const value = this.variables.get(found)!
        // A list that an expression has got does not grow under it.
        return Array.isArray(value) ? [...value] : value
      }
    }
    throw noVariable(String(name), this.pipeline)
  }
}

function initial(value: unknown, type: string, name: string): Value {
  if (value === undefined) {
    const empty: Record<string, Value> = {
      array: [],
      bool: false,
      boolean: false,
      string: '',
      integer: 0n,
      int: 0n,
      float: 0,
    }
    const made = empty[type.toLowerCase()] ?? null
    return Array.isArray(made) ? [] : made
  }
  const made = ofType(valueOf(value), type, `the default of variable ${name}`)
  return Array.isArray(made) ? [...made] : made
}

/** A moment as .NET's round-trip format writes it, in UTC. */
export function roundTrip(ms: number): string {
  return new Date(ms).toISOString().replace('Z', '0000Z')
}

function named(all: ValueObject, [name]: Value[], what: string): Value {
  if (typeof name === 'string' && Object.hasOwn(all, name)) return all[name]!
  const near = didYouMean(String(name), Object.keys(all))
  throw new FerryError('FERRY-7003', `there is no ${what} ${String(name)}${near}`)
}

function noVariable(name: string, { name: pipeline, variables }: Pipeline): FerryError {
  const near = didYouMean(name, Object.keys(variables))
  return new FerryError('FERRY-7004', `pipeline ${pipeline} has no variable ${name}${near}`)
}

function activityAt(place: Place, [name]: Value[], record: ActivityRecord): Value {
  const names: string[] = []
  for (let at: Place | undefined = place; at; at = at.outer) {
    const lower = String(name).toLowerCase()
    const found = at.outcomes.get(String(name)) ?? [...at.outcomes].find(([n]) => n.toLowerCase() === lower)?.[1]
    if (found) return found
    names.push(...at.outcomes.keys())
  }
  const near = didYouMean(String(name), names)
  throw new FerryError('FERRY-7003', `activity ${String(name)} has not run before ${record.name}${near}`, {
    hint: 'Only what an activity depends on has an output that it can use.',
  })
}

/** What `activity('X')` gives. */
export function outcomeOf(record: ActivityRecord): ValueObject {
  return {
    output: record.output ?? {},
    error: record.error ?? null,
    status: record.state,
    ActivityRunStart: roundTrip(record.startedAt),
    ActivityRunEnd: record.endedAt === undefined ? null : roundTrip(record.endedAt),
  }
}
