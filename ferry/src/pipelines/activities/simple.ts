/** Activities without effects outside of the run. */
import type { ActivityKind } from '../activity.ts'
import { ActivityFailure } from '../errors.ts'
import { isObject, type Value, type ValueObject } from '../expressions/values.ts'
import { requireBoolean, requireInteger, requireList, requireText } from '../resolve.ts'

export const setVariable: ActivityKind = {
  type: 'SetVariable',
  isOutside: false,
  async run(context) {
    const { typeProperties } = context.activity
    const name = requireText(context.property('variableName'), 'variableName')
    if (typeProperties.setSystemVariable === true && name === 'pipelineReturnValue') {
      const value = returnValues(context.resolve(typeProperties.value, 'value'))
      context.told({ variableName: name, value })
      context.change({ set: RETURN_VALUE, value })
      return { name, value }
    }
    const value = context.property('value') ?? null
    context.told({ variableName: name, value })
    context.change({ set: name, value })
    return { name, value }
  },
}

/** The variable that holds what a pipeline returns; no name of a user's begins with a point. */
export const RETURN_VALUE = '.pipelineReturnValue'

/** `[{ key, value: { type, content } }]` as an object. */
function returnValues(list: Value): ValueObject {
  const content = (value: Value): Value => {
    if (!isObject(value) || !('type' in value)) return value
    const inner = value.content ?? null
    if (value.type === 'Null') return null
    if (value.type === 'Object') return returnValues(inner)
    if (value.type === 'Array') return requireList(inner, 'value').map(content)
    return inner
  }
  return Object.fromEntries(
    requireList(list, 'value').map(entry => {
      const { key, value } = isObject(entry) ? entry : {}
      return [requireText(key, 'key'), content(value ?? null)]
    }),
  )
}

export const appendVariable: ActivityKind = {
  type: 'AppendVariable',
  isOutside: false,
  async run(context) {
    const name = requireText(context.property('variableName'), 'variableName')
    const value = context.property('value') ?? null
    context.told({ variableName: name, value })
    context.change({ append: name, value })
    return { name, value }
  },
}

export const filter: ActivityKind = {
  type: 'Filter',
  isOutside: false,
  async run(context) {
    const items = requireList(context.property('items'), 'items')
    const { condition } = context.activity.typeProperties
    const value = items.filter(item => requireBoolean(context.resolveWith(condition, 'condition', item), 'condition'))
    return { ItemsCount: BigInt(items.length), FilteredItemsCount: BigInt(value.length), Value: value }
  },
}

export const wait: ActivityKind = {
  type: 'Wait',
  isOutside: false,
  async run(context) {
    const seconds = requireInteger(context.property('waitTimeInSeconds'), 'waitTimeInSeconds', 0, 2_147_483)
    // A process that goes on with the run waits for what is left.
    const end = Number(context.decide(() => BigInt(context.startedAt + seconds * 1000)))
    context.told({ waitTimeInSeconds: BigInt(seconds) })
    await context.flush()
    await context.sleep(Math.max(0, end - Date.now()))
    return {}
  },
}

export const fail: ActivityKind = {
  type: 'Fail',
  isOutside: false,
  async run(context) {
    const { name } = context.activity
    const read = (property: string): string | undefined => {
      try {
        const value = context.property(property)
        return typeof value === 'string' && value.trim() !== '' ? value : undefined
      } catch {
        return undefined
      }
    }
    const code = read('errorCode')
    const isGiven = context.activity.typeProperties.message !== undefined
    const message = isGiven ? read('message') : "Fail message wasn't provided"
    throw new ActivityFailure(
      code ?? 'ErrorCodeNotString',
      message ?? `Failed to interpret ${name} fail message or error code`,
    )
  },
}
