/** Transformations of groups and windows. */
import { compile } from '../compile.ts'
import { converted } from '../convert.ts'
import {
  column,
  type Given,
  listed,
  type Made,
  named,
  projected,
  type Relation,
  type Step,
  scopeOf,
  selected,
  unchanged,
} from '../relation.ts'
import { flowFault } from '../scope.ts'
import type { Argument } from '../script/tree.ts'
import { LONG, literal, STRING, typeOf } from '../types.ts'
import { assigned, isOn, ordered, pathOf, requireInputs, setting, within } from './args.ts'

/** Names and expressions of `groupBy(a, b = upper(c))`. */
function grouped(args: readonly Argument[], step: Step): Given[] {
  const { statement, inputs, flow } = step
  const scope = scopeOf(inputs[0]!, flow)
  return args.map(arg => {
    const e = arg.kind === 'assignment' ? arg.value : arg.kind === 'value' ? arg.value : undefined
    if (!e) throw flowFault(statement, 'groupBy takes columns')
    const name = arg.kind === 'assignment' ? pathOf(arg.to).at(-1)! : pathOf(e).at(-1)!
    const value = compile(e, scope)
    const source = scope.columns.find(c => c.id === value.sql)
    return { column: column(name, value.type, statement.output, source), value }
  })
}

export function aggregate(step: Step): Made[] {
  const { statement, inputs, flow } = step
  requireInputs(statement, inputs, 1)
  const [from] = inputs
  const groups = grouped(within(statement, 'groupBy') ?? [], step)
  const scope = scopeOf(from!, flow, { over: { kind: 'group' } })
  const names = new Set(groups.map(g => g.column.name))
  // A pattern of all columns leaves out those of the group.
  const made = assigned(statement.args, scope).filter(a => !(a.of && names.has(a.name)))
  const all = [
    ...groups,
    ...made.map(({ name, value }) => ({ column: column(name, value.type, statement.output), value })),
  ]
  if (all.length === 0) throw flowFault(statement, 'aggregate has nothing to give')
  return [selected(statement.output, all, behind(from!, groups))]
}

/** Where groups come from. */
const behind = ({ id }: Relation, groups: readonly Given[]) =>
  `FROM ${id}${groups.length > 0 ? ` GROUP BY ${groups.map(g => g.value.sql).join(', ')}` : ''}`

export function window(step: Step): Made[] {
  const { statement, inputs, flow } = step
  requireInputs(statement, inputs, 1)
  const [from] = inputs
  const plain = scopeOf(from!, flow)
  const over = (within(statement, 'over') ?? []).flatMap(a =>
    a.kind === 'value' ? [compile(a.value, plain).sql] : a.kind === 'assignment' ? [compile(a.value, plain).sql] : [],
  )
  const order = ordered(statement.args, plain)
  const clause = [
    over.length > 0 ? `PARTITION BY ${over.join(', ')}` : '',
    order.length > 0 ? `ORDER BY ${order.join(', ')}` : '',
    frameOf(step),
  ]
  const scope = { ...plain, over: { kind: 'window' as const, clause: clause.filter(part => part !== '').join(' ') } }
  const made = assigned(statement.args, scope)
  const fresh = new Map(made.map(a => [a.name, a]))
  const kept = unchanged(from!, statement.output).filter(g => !fresh.has(g.column.name))
  const further = [...fresh.values()].map(({ name, value }) => ({
    column: column(name, value.type, statement.output),
    value,
  }))
  return [projected(statement.output, [...kept, ...further], from!)]
}

/** The rows around one that a window takes; without offsets all up to it, where they are ordered. */
function frameOf({ statement, flow }: Step): string {
  const rows = [setting(statement, 'startRowOffset', flow), setting(statement, 'endRowOffset', flow)]
  const range = [setting(statement, 'startRangeOffset', flow), setting(statement, 'endRangeOffset', flow)]
  if (range.some(r => r !== undefined))
    throw flowFault(statement, 'windows by a range of values do not run here: those by rows do')
  if (rows.every(r => r === undefined)) return ''
  const bound = (text: string | undefined, unbounded: string) => {
    if (text === undefined) return unbounded
    const n = Number(text)
    return n === 0 ? 'CURRENT ROW' : n < 0 ? `${-n} PRECEDING` : `${n} FOLLOWING`
  }
  return `ROWS BETWEEN ${bound(rows[0], 'UNBOUNDED PRECEDING')} AND ${bound(rows[1], 'UNBOUNDED FOLLOWING')}`
}

export function rank(step: Step): Made[] {
  const { statement, inputs, flow } = step
  requireInputs(statement, inputs, 1)
  const [from] = inputs
  const order = ordered(statement.args, scopeOf(from!, flow))
  const [out] = within(statement, 'output') ?? []
  if (out?.kind !== 'column' || order.length === 0)
    throw flowFault(statement, 'rank takes asc(column) and output(name as long)')
  const name = pathOf(out.of)[0]!
  const how = isOn(statement, 'dense', flow) ? 'dense_rank()' : 'rank()'
  const kept = unchanged(from!, statement.output).filter(g => g.column.name !== name)
  const place = { sql: `${how} OVER (ORDER BY ${order.join(', ')})`, type: LONG }
  return [projected(statement.output, [...kept, { column: column(name, LONG, statement.output), value: place }], from!)]
}

/** Columns of the values of a column: each value that is named has its own. */
export function pivot(step: Step): Made[] {
  const { statement, inputs, flow } = step
  requireInputs(statement, inputs, 1)
  const [from] = inputs
  const groups = grouped(within(statement, 'groupBy') ?? [], step)
  const [by, named_] = within(statement, 'pivotBy') ?? []
  if (by?.kind !== 'value') throw flowFault(statement, 'pivot takes pivotBy(column, [values])')
  const scope = scopeOf(from!, flow)
  const key = compile(by.value, scope)
  const items = named_?.kind === 'value' && named_.value.kind === 'array' ? named_.value.items : []
  if (items.length === 0) {
    throw flowFault(statement, 'pivot needs the values that become columns here: pivotBy(column, [1, 2])')
  }
  const naming = setting(statement, 'columnNaming', flow) ?? '$V$N'
  const names = new Set(groups.map(g => g.column.name))
  const made: Given[] = []
  for (const item of items) {
    const value = compile(item, scope)
    if (value.constant === undefined) throw flowFault(item, 'the values of a pivot are written as they are')
    const filter = `${key.sql} = ${converted(value, key.type).sql}`
    // Only rows of the value are taken; a group that has none has null.
    const filtered = scopeOf(from!, flow, { over: { kind: 'group', filter } })
    for (const { name: prefix, value: result, of } of assigned(statement.args, filtered)) {
      if (of && (names.has(of.name) || of.id === key.sql)) continue
      const name = naming.replaceAll('$N', prefix).replaceAll('$V', value.constant)
      const sql = `CASE WHEN count(*) FILTER (WHERE ${filter}) > 0 THEN ${result.sql} END`
      made.push({ column: column(name, result.type, statement.output), value: { sql, type: result.type } })
    }
  }
  return [selected(statement.output, [...groups, ...made], behind(from!, groups))]
}

/** A row for each column that is not of the group. */
export function unpivot(step: Step): Made[] {
  const { statement, inputs, flow } = step
  requireInputs(statement, inputs, 1)
  const [from] = inputs
  const groups = grouped(within(statement, 'ungroupBy') ?? [], step)
  const outputs = (within(statement, 'output') ?? []).map(arg => {
    if (arg.kind !== 'column') throw flowFault(statement, 'unpivot takes output(key as string, value as type)')
    return { name: pathOf(arg.of)[0]!, type: typeOf(arg.type) }
  })
  const [key, value] = outputs
  if (!key || !value) throw flowFault(statement, 'unpivot takes output(key as string, value as type)')
  const taken = new Set(groups.map(g => g.value.sql))
  const rest = from!.columns.filter(c => !taken.has(c.id))
  if (rest.length === 0) throw flowFault(statement, 'there is no column to unpivot')
  const columns = named([
    ...groups.map(g => g.column),
    column(key.name, key.type, statement.output),
    column(value.name, value.type, statement.output),
  ])
  const skips = isOn(statement, 'ignoreNullPivots', flow)
  const parts = rest.map(c => {
    const list = listed(
      [
        ...groups.map(g => g.value.sql),
        converted({ sql: literal(c.name), type: STRING }, key.type).sql,
        converted({ sql: c.id, type: c.type }, value.type).sql,
      ],
      columns,
    )
    return `SELECT ${list} FROM ${from!.id}${skips ? ` WHERE ${c.id} IS NOT NULL` : ''}`
  })
  return [{ stream: statement.output, sql: parts.join(' UNION ALL '), columns }]
}
