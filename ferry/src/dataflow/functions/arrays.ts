/** Functions of arrays and maps, those with an expression for each element too. */
import { converted } from '../convert.ts'
import { flowFault, type Scope, type Value } from '../scope.ts'
import { ANY, arrayOf, BOOLEAN, common, type FlowType, INTEGER, quoted, STRING, sqlType } from '../types.ts'
import { type Call, expressionAt, type FlowFunction, hasItem, taken, unknownElement } from './kinds.ts'

const array = (
  name: string,
  sql: (list: string, ...rest: string[]) => string,
  arity: [number, number],
  type: (of: FlowType) => FlowType,
): FlowFunction => ({
  name,
  arity,
  build: (args, call) => {
    const list = taken(args[0]!, 'a', 0, call)
    return { sql: sql(list.sql, ...args.slice(1).map(v => v.sql)), type: type(unknownElement(list.type)) }
  },
})

/** A function whose second argument is an expression of each element. */
function each(
  name: string,
  sql: (
    list: string,
    lambda: (names: string[], body: string) => string,
    body: Value,
    more: Value[],
    names: string[],
  ) => string,
  type: (list: FlowType, body: FlowType) => FlowType,
  { body = 1, hasIndex = false, arity = [2, 2] as [number, number] } = {},
): FlowFunction {
  return {
    name,
    arity,
    isOfElements: true,
    build: (_, call) => {
      const list = taken(call.compile(expressionAt(call, 0)), 'a', 0, call)
      const { inner, names } = within(call, {
        item: unknownElement(list.type),
        ...(hasIndex ? { index: INTEGER } : {}),
      })
      const made = call.compile(expressionAt(call, body), inner)
      const more = call.args
        .slice(1)
        .flatMap((_, i) => (i + 1 === body ? [] : [call.compile(expressionAt(call, i + 1), inner)]))
      return { sql: sql(list.sql, lambda, made, more, names), type: type(list.type, made.type) }
    },
  }
}

/** Each element once, where it comes first. */
const once = (list: string) =>
  `list_filter(${list}, lambda "ferry x", "ferry i": coalesce(list_position(${list}, "ferry x"), "ferry i") = "ferry i")`

const lambda = (names: string[], body: string) => `lambda ${names.join(', ')}: ${body}`

/** A scope with items. The variables of its lambda have names that no column has. */
function within(call: Call, given: Record<string, FlowType>): { inner: Scope; names: string[] } {
  const { scope } = call
  const depth = scope.depth + 1
  const names = Object.keys(given).map(name => quoted(`ferry ${name} ${depth}`))
  const items = new Map(scope.items)
  Object.entries(given).forEach(([name, type], i) => void items.set(name, { sql: names[i]!, type }))
  return { inner: { ...scope, items, depth }, names }
}

export const ARRAYS: FlowFunction[] = [
  {
    name: 'array',
    arity: [0, Number.POSITIVE_INFINITY],
    build: args => listOf(args),
  },
  array(
    'size',
    list => `len(${list})`,
    [1, 1],
    () => INTEGER,
  ),
  array('distinct', once, [1, 1], arrayOf),
  array(
    'slice',
    (list, from, n) => `list_slice(${list}, ${from}, ${n ? `${from} + ${n} - 1` : `len(${list})`})`,
    [2, 3],
    arrayOf,
  ),
  array('union', (a, b) => once(`list_concat(${a}, ${b})`), [2, 2], arrayOf),
  array(
    'intersect',
    (a, b) => once(`list_filter(${a}, lambda "ferry y": list_contains(${b}, "ferry y"))`),
    [2, 2],
    arrayOf,
  ),
  array(
    'except',
    (a, b) => once(`list_filter(${a}, lambda "ferry y": NOT list_contains(${b}, "ferry y"))`),
    [2, 2],
    arrayOf,
  ),
  array(
    'flatten',
    list => `flatten(${list})`,
    [1, 1],
    of => (of.kind === 'array' ? of : arrayOf(of)),
  ),
  {
    name: 'in',
    arity: [2, 2],
    build: ([list, item], call) => {
      const { sql, type } = taken(list!, 'a', 0, call)
      const both = common(unknownElement(type), item!.type, 'in')
      return {
        sql: `list_contains(${converted({ sql, type }, arrayOf(both)).sql}, ${converted(item!, both).sql})`,
        type: BOOLEAN,
      }
    },
  },
  {
    name: 'at',
    arity: [2, 2],
    build: ([of, key]) =>
      of!.type.kind === 'map'
        ? { sql: `${of!.sql}[${key!.sql}]`, type: of!.type.value }
        : { sql: `${of!.sql}[${key!.sql}]`, type: unknownElement(of!.type) },
  },
  {
    name: 'keyValues',
    arity: [2, 2],
    build: ([keys, values]) => ({
      sql: `map(${keys!.sql}, ${values!.sql})`,
      type: { kind: 'map', key: unknownElement(keys!.type), value: unknownElement(values!.type) },
    }),
  },
  {
    name: 'associate',
    arity: [2, Number.POSITIVE_INFINITY],
    build: args => {
      const keys = listOf(args.filter((_, i) => i % 2 === 0))
      const values = listOf(args.filter((_, i) => i % 2 === 1))
      return {
        sql: `map(${keys.sql}, ${values.sql})`,
        type: { kind: 'map', key: unknownElement(keys.type), value: unknownElement(values.type) },
      }
    },
  },
  {
    ...each(
      'filter',
      (list, of, body, _, names) => `list_filter(${list}, ${of(names, body.sql)})`,
      list => list,
    ),
  },
  each(
    'map',
    (list, of, body, _, names) => `list_transform(${list}, ${of(names, body.sql)})`,
    (_, body) => arrayOf(body),
  ),
  each(
    'mapIndex',
    (list, of, body, _, names) => `list_transform(${list}, ${of(names, body.sql)})`,
    (_, body) => arrayOf(body),
    {
      hasIndex: true,
    },
  ),
  each(
    'mapIf',
    (list, of, body, [condition], [item]) =>
      `list_transform(list_filter(${list}, ${of([item!], condition!.sql)}), ${of([item!], body.sql)})`,
    (_, body) => arrayOf(body),
    { body: 2, arity: [3, 3] },
  ),
  each(
    'find',
    (list, of, body, _, names) => `list_filter(${list}, ${of(names, body.sql)})[1]`,
    list => unknownElement(list),
  ),
  each(
    'contains',
    (list, of, body, _, names) => `(len(list_filter(${list}, ${of(names, body.sql)})) > 0)`,
    () => BOOLEAN,
  ),
  {
    name: 'mapLoop',
    arity: [2, 2],
    isOfElements: true,
    build: (_, call) => {
      const most = call.compile(expressionAt(call, 0))
      const { inner, names } = within(call, { index: INTEGER })
      const body = call.compile(expressionAt(call, 1), inner)
      return { sql: `list_transform(range(1, ${most.sql} + 1), ${lambda(names, body.sql)})`, type: arrayOf(body.type) }
    },
  },
  {
    name: 'reduce',
    arity: [4, 4],
    isOfElements: true,
    build: (_, call) => {
      const list = taken(call.compile(expressionAt(call, 0)), 'a', 0, call)
      const initial = call.compile(expressionAt(call, 1))
      const element = unknownElement(list.type)
      const first = within(call, { acc: initial.type, item: element })
      const step = call.compile(expressionAt(call, 2), first.inner)
      const type = common(initial.type, step.type, 'reduce')
      // The engine reduces values of one type.
      const start = converted(initial, type).sql
      if (sqlType(type) !== sqlType(element)) {
        throw flowFault(call.place, 'reduce needs elements of the type of its result here: convert them by map before')
      }
      const reduced: Value = { sql: `list_reduce(${list.sql}, ${lambda(first.names, step.sql)}, ${start})`, type }
      const items = new Map(call.scope.items).set('result', reduced)
      return call.compile(expressionAt(call, 3), { ...call.scope, items })
    },
  },
  {
    name: 'sort',
    arity: [2, 2],
    isOfElements: true,
    build: (_, call) => {
      const list = taken(call.compile(expressionAt(call, 0)), 'a', 0, call)
      const by = expressionAt(call, 1)
      const sides = by.kind === 'call' && by.name === 'compare' ? by.args : []
      const [x, i] = [quoted(`ferry x ${call.scope.depth}`), quoted(`ferry i ${call.scope.depth}`)]
      const item: Value = { sql: x, type: unknownElement(list.type) }
      // Both sides ask the same of two elements: by what of one they are ordered.
      const keys = [0, 1].map(side => {
        const e = sides[side]
        if (e?.kind !== 'value') throw flowFault(call.place, 'sort takes compare(of #item1, of #item2)')
        const of = (name: string) => {
          const items = new Map(call.scope.items).set(name, item)
          return call.compile(e.value, { ...call.scope, items, depth: call.scope.depth + 1 })
        }
        const name = hasItem(e.value, 'item1') ? 'item1' : 'item2'
        return { name, ...of(name) }
      })
      const [left, right] = keys as [(typeof keys)[0], (typeof keys)[0]]
      if (left.sql !== right.sql || left.name === right.name) {
        throw flowFault(call.place, 'sort orders by one thing of #item1 and #item2 here: compare(#item1.a, #item2.a)')
      }
      const [order, sign] = left.name === 'item1' ? ['ASC', ''] : ['DESC', '-']
      // Elements that are alike stay in their order.
      const made = `list_transform(${list.sql}, lambda ${x}, ${i}: struct_pack(k := ${left.sql}, i := ${sign}${i}, v := ${x}))`
      return { sql: `list_transform(list_sort(${made}, '${order}'), lambda ${x}: ${x}.v)`, type: list.type }
    },
  },
]

/** An array of values, in the type that they have together. */
export function listOf(args: Value[]): Value {
  const values = args.flatMap(v => v.many ?? [v])
  if (values.length === 0) return { sql: 'CAST([] AS VARCHAR[])', type: arrayOf(STRING) }
  const type = values.map(v => v.type).reduce((a, b) => common(a, b, 'an array'), ANY)
  return { sql: `[${values.map(v => converted(v, type).sql).join(', ')}]`, type: arrayOf(type) }
}
