/** Values as queries compare them. `undefined` is what a missing property gives. */
import type { Json, JsonObject } from '../json.ts'

export type Value = Json | undefined

/** Where a document holds its computed properties: neither JSON nor `Object.keys` sees them there. */
const COMPUTED = Symbol('computed')

export function withComputed(document: JsonObject, values: Record<string, Value>): JsonObject {
  return Object.assign(document, { [COMPUTED]: values })
}

/** A property of an object as a query names it; undefined where it has none. */
export function propertyOf(object: JsonObject, name: string): Value {
  const computed = (object as { [COMPUTED]?: Record<string, Value> })[COMPUTED]
  if (computed !== undefined && Object.hasOwn(computed, name)) return computed[name]
  return Object.hasOwn(object, name) ? object[name] : undefined
}

/** The order of types: what ORDER BY, MIN and MAX go by. */
function rank(value: Value): number {
  if (value === undefined) return 0
  if (value === null) return 1
  if (typeof value === 'boolean') return 2
  if (typeof value === 'number') return 3
  if (typeof value === 'string') return 4
  return Array.isArray(value) ? 5 : 6
}

/** Orders any two values. */
export function order(a: Value, b: Value): number {
  const byType = rank(a) - rank(b)
  if (byType !== 0) return byType
  if (typeof a === 'object' && a !== null) {
    const [x, y] = [JSON.stringify(a), JSON.stringify(b)]
    return x < y ? -1 : x > y ? 1 : 0
  }
  return (a as number) < (b as number) ? -1 : (a as number) > (b as number) ? 1 : 0
}

/** Whether two values are equal; undefined where one is missing. */
export function equal(a: Value, b: Value): boolean | undefined {
  if (a === undefined || b === undefined) return undefined
  return same(a, b)
}

function same(a: Json, b: Json): boolean {
  if (a === b) return true
  if (a === null || b === null || typeof a !== 'object' || typeof b !== 'object') return false
  if (Array.isArray(a) !== Array.isArray(b)) return false
  if (Array.isArray(a)) return a.length === (b as Json[]).length && a.every((v, i) => same(v, (b as Json[])[i]!))
  const keys = Object.keys(a)
  const other = b as Record<string, Json>
  return keys.length === Object.keys(other).length && keys.every(k => k in other && same(a[k]!, other[k]!))
}

/** How two values of one simple type compare; undefined where they cannot be compared. */
export function compare(a: Value, b: Value): number | undefined {
  if (a === undefined || b === undefined || typeof a !== typeof b) return undefined
  if (typeof a === 'object' && (a !== null || b !== null)) return undefined
  return order(a, b)
}

/** A text that is the same for equal values. */
export function identity(value: Value): string {
  if (value === undefined) return 'undefined'
  if (value === null || typeof value !== 'object') return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map(identity).join(',')}]`
  const keys = Object.keys(value).sort()
  return `{${keys.map(k => `${JSON.stringify(k)}:${identity(value[k])}`).join(',')}}`
}
