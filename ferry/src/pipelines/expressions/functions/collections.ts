import { countAt, define, listAt, textAt, wrongArgument } from '../function.ts'
import { isObject, printValue, requireSize, sameValue, textOf, type Value, type ValueObject } from '../values.ts'

export const COLLECTIONS = [
  define('contains', 2, 2, args => {
    const [all, one] = args as [Value, Value]
    if (typeof all === 'string') return all.includes(textOf(one))
    if (Array.isArray(all)) return all.some(v => sameValue(v, one))
    if (isObject(all)) return Object.hasOwn(all, textAt(args, 1))
    throw wrongArgument(0, 'a text, an array or an object', all)
  }),
  define('empty', 1, 1, ([all]) => {
    if (all === null) return true
    if (typeof all === 'string' || Array.isArray(all)) return all.length === 0
    if (isObject(all)) return Object.keys(all).length === 0
    throw wrongArgument(0, 'a text, an array or an object', all!)
  }),
  define('first', 1, 1, ([all]) => {
    if (typeof all === 'string') return all.slice(0, 1)
    if (Array.isArray(all)) return all[0] ?? null
    throw wrongArgument(0, 'a text or an array', all!)
  }),
  define('last', 1, 1, ([all]) => {
    if (typeof all === 'string') return all.slice(-1)
    if (Array.isArray(all)) return all.at(-1) ?? null
    throw wrongArgument(0, 'a text or an array', all!)
  }),
  define('intersection', 1, Infinity, args => combine(args, intersectLists, intersectObjects)),
  define('union', 1, Infinity, args => combine(args, uniteLists, (a, b) => ({ ...a, ...b }))),
  define('join', 2, 2, args => {
    const all = listAt(args, 0)
    return requireSize(all.map(textOf).join(textAt(args, 1)))
  }),
  define('length', 1, 1, ([all]) => {
    if (typeof all === 'string' || Array.isArray(all)) return BigInt(all.length)
    throw wrongArgument(0, 'a text or an array', all!)
  }),
  define('skip', 2, 2, args => listAt(args, 0).slice(Math.max(0, countAt(args, 1)))),
  define('take', 2, 2, args => {
    const count = Math.max(0, countAt(args, 1))
    const [all] = args
    if (typeof all === 'string' || Array.isArray(all)) return all.slice(0, count)
    throw wrongArgument(0, 'a text or an array', all!)
  }),
]

function combine(
  args: Value[],
  lists: (a: Value[], b: Value[]) => Value[],
  objects: (a: ValueObject, b: ValueObject) => ValueObject,
): Value {
  const [first] = args
  if (Array.isArray(first)) {
    return args.slice(1).reduce<Value[]>((a, _, i) => lists(a, listAt(args, i + 1)), lists(first, first))
  }
  if (!isObject(first)) throw wrongArgument(0, 'an array or an object', first!)
  return args.slice(1).reduce<ValueObject>((a, b, i) => {
    if (!isObject(b)) throw wrongArgument(i + 1, 'an object', b)
    return objects(a, b)
  }, first)
}

/** A key under which equal values are together; those of one key are compared. */
function keyOf(value: Value): string {
  if (typeof value === 'number' || typeof value === 'bigint') return `n${Number(value)}`
  if (isObject(value)) return `o${Object.keys(value).sort().join()}`
  return Array.isArray(value) ? `a${value.length}` : printValue(value)
}

class ValueSet {
  private readonly groups = new Map<string, Value[]>()

  has(value: Value): boolean {
    return this.groups.get(keyOf(value))?.some(v => sameValue(v, value)) ?? false
  }

  /** False if the value is in it already. */
  add(value: Value): boolean {
    if (this.has(value)) return false
    const key = keyOf(value)
    this.groups.set(key, [...(this.groups.get(key) ?? []), value])
    return true
  }
}

function uniteLists(a: Value[], b: Value[]): Value[] {
  const seen = new ValueSet()
  return [...a, ...b].filter(value => seen.add(value))
}

function intersectLists(a: Value[], b: Value[]): Value[] {
  const other = new ValueSet()
  for (const value of b) other.add(value)
  const seen = new ValueSet()
  return a.filter(value => other.has(value) && seen.add(value))
}

function intersectObjects(a: ValueObject, b: ValueObject): ValueObject {
  return Object.fromEntries(
    Object.entries(a).filter(([name, value]) => Object.hasOwn(b, name) && sameValue(b[name]!, value)),
  )
}
