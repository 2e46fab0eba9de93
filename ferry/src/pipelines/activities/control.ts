/** Activities that choose, repeat and call: they hold other activities. */
import { FerryError } from '../../errors.ts'
import type { ActivityContext, ActivityKind } from '../activity.ts'
import { ActivityFailure } from '../errors.ts'
import { textOf, type Value, type ValueObject } from '../expressions/values.ts'
import type { Activity } from '../model.ts'
import { requireBoolean, requireInteger, requireList, requireObject, requireSpan, requireText } from '../resolve.ts'

const MOST_ITEMS = 100_000
const DEFAULT_BATCH = 20
const MOST_BATCH = 50
const MOST_UNTIL_MS = 90 * 86_400_000
const DEFAULT_UNTIL_MS = 7 * 86_400_000

const listOf = (context: ActivityContext, name: string) =>
  (context.activity.typeProperties[name] ?? []) as readonly Activity[]

function requireSuccess(failure: string | undefined): void {
  if (failure !== undefined) throw new ActivityFailure('ActionFailed', failure)
}

export const ifCondition: ActivityKind = {
  type: 'IfCondition',
  isOutside: false,
  isContainer: true,
  async run(context) {
    const holds = context.decide(() => requireBoolean(context.property('expression'), 'expression'))
    const name = holds ? 'ifTrueActivities' : 'ifFalseActivities'
    const { failure } = await context.runAll(holds ? 'true' : 'false', listOf(context, name))
    requireSuccess(failure)
    return { result: holds }
  },
}

export const switchActivity: ActivityKind = {
  type: 'Switch',
  isOutside: false,
  isContainer: true,
  async run(context) {
    const { typeProperties } = context.activity
    const value = context.decide(() => {
      const on = context.property('on' in typeProperties ? 'on' : 'expression')
      if (on === undefined || on === null || typeof on === 'object') requireText(on, 'on')
      return textOf(on as Value)
    })
    const cases = (typeProperties.cases ?? []) as { value: unknown; activities?: Activity[] }[]
    const found = cases.find(c => textOf(c.value as Value) === value)
    const activities = found ? (found.activities ?? []) : listOf(context, 'defaultActivities')
    const { failure } = await context.runAll(found ? String(found.value) : 'default', activities)
    requireSuccess(failure)
    return { result: value }
  },
}

export const forEach: ActivityKind = {
  type: 'ForEach',
  isOutside: false,
  isContainer: true,
  async run(context) {
    const items = requireList(
      context.decide(() => requireList(context.property('items'), 'items')),
      'items',
    )
    if (items.length > MOST_ITEMS) {
      throw new FerryError('FERRY-7003', `items has ${items.length} members: at most ${MOST_ITEMS} can be gone through`)
    }
    const { typeProperties } = context.activity
    const isSequential =
      'isSequential' in typeProperties && requireBoolean(context.property('isSequential'), 'isSequential')
    const batch =
      typeProperties.batchCount === undefined
        ? DEFAULT_BATCH
        : requireInteger(context.property('batchCount'), 'batchCount', 1, MOST_BATCH)
    const activities = listOf(context, 'activities')
    let next = 0
    let failure: string | undefined
    const work = async () => {
      for (let i = next++; i < items.length; i = next++) {
        const end = await context.runAll(i, activities, items[i]!)
        failure ??= end.failure
      }
    }
    // All of them are waited for: what is being stopped puts away what it has begun.
    const lanes = await Promise.allSettled(
      Array.from({ length: isSequential ? 1 : Math.min(batch, items.length) }, work),
    )
    for (const lane of lanes) if (lane.status === 'rejected') throw lane.reason
    requireSuccess(failure)
    return { itemsCount: BigInt(items.length) }
  },
}

export const until: ActivityKind = {
  type: 'Until',
  isOutside: false,
  isContainer: true,
  async run(context) {
    const { typeProperties } = context.activity
    const limit =
      typeProperties.timeout === undefined ? DEFAULT_UNTIL_MS : requireSpan(context.property('timeout'), 'timeout')
    for (let turn = 0; ; turn++) {
      const { failure } = await context.runAll(turn, listOf(context, 'activities'))
      // The expression is an activity of its own here: its answer of each turn is kept.
      const { failure: wrong } = await context.runAll(`${turn}.until`, [
        { name: 'until', type: UNTIL_ANSWER, typeProperties: { expression: typeProperties.expression } },
      ])
      if (wrong !== undefined && wrong !== NOT_YET) throw new ActivityFailure('ActionFailed', wrong)
      if (wrong === undefined) {
        requireSuccess(failure)
        return { iterations: BigInt(turn + 1) }
      }
      if (Date.now() - context.startedAt > Math.min(limit, MOST_UNTIL_MS)) {
        throw new ActivityFailure(
          'TimedOut',
          `the expression was not true within ${String(typeProperties.timeout ?? '7.00:00:00')}`,
        )
      }
    }
  },
}

const UNTIL_ANSWER = '.Until'
const NOT_YET = 'Operation on target until failed: the expression is false'

/** The answer of one turn of an Until. */
export const untilAnswer: ActivityKind = {
  type: UNTIL_ANSWER,
  isOutside: false,
  async run(context) {
    if (requireBoolean(context.property('expression'), 'expression')) return { result: true }
    throw new ActivityFailure('false', 'the expression is false')
  },
}

export const executePipeline: ActivityKind = {
  type: 'ExecutePipeline',
  isOutside: true,
  isContainer: true,
  async run(context) {
    const { typeProperties } = context.activity
    const reference = typeProperties.pipeline as { referenceName?: unknown } | undefined
    const name = requireText(context.resolve(reference?.referenceName ?? null, 'pipeline.referenceName'), 'pipeline')
    const given = context.resolve(typeProperties.parameters ?? {}, 'parameters')
    const wait =
      typeProperties.waitOnCompletion === undefined ||
      requireBoolean(context.property('waitOnCompletion'), 'waitOnCompletion')
    context.told({ pipeline: name, parameters: context.shownParameters(name, requireObject(given, 'parameters')) })
    return context.runPipeline(name, requireObject(given, 'parameters'), wait) as Promise<ValueObject>
  },
}
