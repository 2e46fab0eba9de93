/** Transformations of several streams. */
import { MATCH } from '../compile.ts'
import { converted } from '../convert.ts'
import {
  allHidden,
  column,
  hidden,
  keepsHidden,
  listed,
  type Made,
  named,
  type Relation,
  type Step,
  scopeOf,
  withHidden,
} from '../relation.ts'
import { type Column, flowFault, type Scope } from '../scope.ts'
import { common } from '../types.ts'
import { condition, isOn, ordered, requireInputs, setting, values } from './args.ts'

interface Pair {
  left: Relation
  right: Relation
  /** The columns of both sides, as a condition names them. */
  scope: Scope
  all: Column[]
}

/** Both sides, each under a name of its own. */
function pairOf({ statement, inputs, flow }: Step): Pair {
  requireInputs(statement, inputs, 2)
  const [left, right] = inputs as [Relation, Relation]
  const of = (relation: Relation, side: string) =>
    relation.columns.map(c => ({
      ...c,
      id: `${side}.${c.id}`,
      streams: c.streams.includes(relation.name) ? c.streams : [relation.name, ...c.streams],
    }))
  const all = [...of(left, 'l'), ...of(right, 'r')]
  return { left, right, all, scope: scopeOf({ columns: all }, flow) }
}

const JOINS: Record<string, string> = { inner: 'INNER', left: 'LEFT', right: 'RIGHT', outer: 'FULL', cross: 'INNER' }

export function join(step: Step): Made[] {
  const { statement, flow } = step
  const { left, right, all, scope } = pairOf(step)
  const type = setting(statement, 'joinType', flow) ?? 'inner'
  const join = JOINS[type]
  if (!join) throw flowFault(statement, `there is no joinType ${type}: there are ${Object.keys(JOINS).join(', ')}`)
  const [first] = values(statement)
  const on = type === 'cross' && !first ? 'true' : condition(first, scope, statement)
  const columns = named(all.map(c => column(c.name, c.type, statement.output, c)))
  const sql = `SELECT ${listed(
    all.map(c => c.id),
    columns,
    withHidden(hidden(left), left, 'l.'),
  )} FROM ${left.id} AS l ${join} JOIN ${right.id} AS r ON ${on}`
  return [{ stream: statement.output, sql, columns, ...keepsHidden(left) }]
}

/** A left join; with one row of the right side for each of the left one, unless all are wanted. */
export function lookup(step: Step): Made[] {
  const { statement, flow } = step
  const { left, right, all, scope } = pairOf(step)
  const on = condition(values(statement)[0], scope, statement)
  const columns = named(all.map(c => column(c.name, c.type, statement.output, c)))
  const marks = hidden({ ...left, hasMatch: false }).map(name => `l.${name}`)
  const isMultiple = isOn(statement, 'multiple', flow)
  const pickup = setting(statement, 'pickup', flow) ?? 'any'
  const order = ordered(statement.args, scope)
  const found = `r."ferry found"`
  const match = `(${found} IS NOT NULL) AS ${MATCH}`
  const other = `(SELECT *, 1 AS "ferry found" FROM ${right.id}) AS r`
  const select = `SELECT ${listed(
    all.map(c => c.id),
    columns,
    [...marks, match],
  )}`
  const made = { stream: statement.output, columns, ...keepsHidden(left), hasMatch: true }
  if (isMultiple) return [{ ...made, sql: `${select} FROM ${left.id} AS l LEFT JOIN ${other} ON ${on}` }]
  if (pickup !== 'any' && order.length === 0)
    throw flowFault(statement, `pickup ${pickup} needs an order: asc(column, true)`)
  const by = pickup === 'last' ? order.map(turned) : order
  // The row of the left side is known by its number.
  const numbered = `(SELECT *, row_number() OVER () AS "ferry row" FROM ${left.id}) AS l`
  const sql = `${select} FROM ${numbered} LEFT JOIN ${other} ON ${on} QUALIFY row_number() OVER (PARTITION BY l."ferry row"${by.length > 0 ? ` ORDER BY ${by.join(', ')}` : ''}) = 1`
  return [{ ...made, sql }]
}

const turned = (order: string) =>
  order.replace(
    / (ASC|DESC) NULLS (FIRST|LAST)$/,
    (_, way, nulls) => ` ${way === 'ASC' ? 'DESC' : 'ASC'} NULLS ${nulls === 'FIRST' ? 'LAST' : 'FIRST'}`,
  )

/** Rows of the left side for which there is one at the right, or for which there is none. */
export function exists(step: Step): Made[] {
  const { statement, flow } = step
  const { left, right, scope } = pairOf(step)
  const on = condition(values(statement)[0], scope, statement)
  const not = isOn(statement, 'negate', flow) ? 'NOT ' : ''
  const columns = left.columns.map(c => ({ ...c, streams: [statement.output, ...c.streams] }))
  const sql = `SELECT l.* FROM ${left.id} AS l WHERE ${not}EXISTS (SELECT 1 FROM ${right.id} AS r WHERE ${on})`
  return [{ stream: statement.output, sql, columns, ...keepsHidden(left) }]
}

/** All rows of all inputs, by the names of the columns or by their places. */
export function union({ statement, inputs, flow }: Step): Made[] {
  requireInputs(statement, inputs, 2, 1000)
  const byName = isOn(statement, 'byName', flow)
  const [first] = inputs as [Relation]
  const shapes = new Map<string, { column: Omit<Column, 'id'>; at: (Column | undefined)[] }>()
  inputs.forEach((relation, n) => {
    const seen = new Map<string, number>()
    relation.columns.forEach((c, i) => {
      // The second column of a name goes to the second one of that name.
      const nth = (seen.get(c.name) ?? 0) + 1
      seen.set(c.name, nth)
      const key = byName ? `${nth} ${c.name}` : String(i)
      const known = shapes.get(key)
      if (!known) {
        const at = inputs.map((_, m) => (m === n ? c : undefined))
        shapes.set(key, { column: column(c.name, c.type, statement.output, c), at })
        return
      }
      known.at[n] = c
      known.column = { ...known.column, type: common(known.column.type, c.type, `union of ${c.name}`) }
    })
  })
  const all = [...shapes.values()]
  const columns = named(all.map(s => s.column))
  const kinds = allHidden(inputs)
  const marks = hidden({ ...first, ...kinds })
  const parts = inputs.map((relation, n) => {
    const own = all.map((s, i) => {
      const c = s.at[n]
      const { type } = columns[i]!
      return c
        ? converted({ sql: c.id, type: c.type }, type).sql
        : converted({ sql: 'NULL', type: { kind: 'any' } }, type).sql
    })
    return `SELECT ${listed(own, columns, withHidden(marks, relation))} FROM ${relation.id}`
  })
  return [{ stream: statement.output, sql: parts.join(' UNION ALL '), columns, ...kinds }]
}
