/** A parsed query. Every expression has its position in the text. */
import type { Json } from '../json.ts'

interface Place {
  start: number
  end: number
}

export type Expression = Place &
  (
    | { kind: 'constant'; value: Json | undefined }
    | { kind: 'parameter'; name: string }
    | { kind: 'name'; name: string }
    | { kind: 'member'; of: Expression; name: Expression }
    | { kind: 'unary'; operator: string; of: Expression }
    | { kind: 'binary'; operator: string; left: Expression; right: Expression }
    | { kind: 'choice'; condition: Expression; yes: Expression; no: Expression }
    | { kind: 'in'; of: Expression; list: Expression[]; not: boolean }
    | { kind: 'between'; of: Expression; low: Expression; high: Expression; not: boolean }
    | { kind: 'like'; of: Expression; pattern: Expression; escape: Expression | undefined; not: boolean }
    | { kind: 'call'; name: string; arguments: Expression[] }
    | { kind: 'array'; items: Expression[] }
    | { kind: 'object'; members: { name: string; value: Expression }[] }
    | { kind: 'subquery'; form: 'value' | 'array' | 'exists'; query: Query }
  )

export interface Source {
  /** What is read: a path or a subquery; undefined for the container itself. */
  of: Expression | undefined
  alias: string
  /** `IN`: each element of the array. */
  each: boolean
}

export interface Query {
  distinct: boolean
  top: Expression | undefined
  select:
    | { form: 'star' }
    | { form: 'value'; of: Expression }
    | { form: 'list'; items: { of: Expression; alias: string }[] }
  from: Source[]
  where: Expression | undefined
  groupBy: Expression[]
  orderBy: { of: Expression; descending: boolean }[]
  offset: Expression | undefined
  limit: Expression | undefined
  /** Where parts of the text begin and end, for writing the query anew. */
  text: { select: [number, number]; from: [number, number]; where: [number, number]; groupBy: [number, number] }
}

export const AGGREGATES: Record<string, string> = {
  COUNT: 'Count',
  SUM: 'Sum',
  AVG: 'Average',
  MIN: 'Min',
  MAX: 'Max',
}

/** Every expression within an expression, itself included; not those of subqueries. */
export function* expressionsIn(expression: Expression): Generator<Expression> {
  yield expression
  for (const child of children(expression)) yield* expressionsIn(child)
}

function children(e: Expression): Expression[] {
  switch (e.kind) {
    case 'member':
      return [e.of, e.name]
    case 'unary':
      return [e.of]
    case 'binary':
      return [e.left, e.right]
    case 'choice':
      return [e.condition, e.yes, e.no]
    case 'in':
      return [e.of, ...e.list]
    case 'between':
      return [e.of, e.low, e.high]
    case 'like':
      return [e.of, e.pattern]
    case 'call':
      return e.arguments
    case 'array':
      return e.items
    case 'object':
      return e.members.map(m => m.value)
    default:
      return []
  }
}

export function aggregatesIn(expression: Expression): (Expression & { kind: 'call' })[] {
  const found: (Expression & { kind: 'call' })[] = []
  for (const e of expressionsIn(expression)) if (e.kind === 'call' && e.name in AGGREGATES) found.push(e)
  return found
}

/** The expressions of the SELECT clause. */
export function selected(query: Query): Expression[] {
  if (query.select.form === 'star') return []
  return query.select.form === 'value' ? [query.select.of] : query.select.items.map(i => i.of)
}
