/** What flows between transformations: a query with columns. */
import { ERRORS, MARK, MATCH } from './compile.ts'
import type { Column, Scope, Value } from './scope.ts'
import type { Statement } from './script/tree.ts'
import { type FlowType, quoted } from './types.ts'

export interface Relation {
  /** The stream: of a branch of a split `split@branch`. */
  name: string
  /** How a query refers to it, quoted. */
  id: string
  columns: Column[]
  /** Whether rows are marked for a sink, know whether they were matched, and which assertions failed. */
  hasMark: boolean
  hasMatch: boolean
  hasErrors: boolean
}

/** What a transformation makes: one query for each stream that it gives, and for what they have in common. */
export interface Made {
  stream: string
  sql: string
  columns: Column[]
  /** The streams that it reads, where they are not those of the statement. */
  inputs?: string[]
  hasMark?: boolean
  hasMatch?: boolean
  hasErrors?: boolean
}

export interface Flow {
  parameters: ReadonlyMap<string, Value>
  startedAt: string
  note: (text: string) => void
  cached?: Scope['cached']
}

/** A flow whose notes nobody wants: it is asked for settings alone. */
export const quietly = ({ parameters, startedAt }: Omit<Flow, 'note'>): Flow => ({
  parameters,
  startedAt,
  note: () => {},
})

export interface Step {
  statement: Statement
  inputs: Relation[]
  flow: Flow
}

/** Hidden columns of a relation, to be handed on. */
export const hidden = (relation: Relation): string[] => [
  ...(relation.hasMark ? [MARK] : []),
  ...(relation.hasMatch ? [MATCH] : []),
  ...(relation.hasErrors ? [ERRORS] : []),
]

/** What a hidden column is where rows do not have it: rows without a mark are inserted. */
const MISSING: Record<string, string> = { [MARK]: "'insert'", [MATCH]: 'false', [ERRORS]: 'CAST([] AS VARCHAR[])' }

/** Hidden columns of some names, of a relation that may have them, under an alias; rows of the other side of a join have none. */
export const withHidden = (names: readonly string[], relation: Relation, alias = ''): string[] =>
  names.map(name =>
    hidden(relation).includes(name)
      ? `coalesce(${alias}${name}, ${MISSING[name]}) AS ${name}`
      : `${MISSING[name]} AS ${name}`,
  )

/** All hidden columns that one of several relations has. */
export const allHidden = (relations: readonly Relation[]) => ({
  hasMark: relations.some(r => r.hasMark),
  hasMatch: relations.some(r => r.hasMatch),
  hasErrors: relations.some(r => r.hasErrors),
})

export const keepsHidden = ({ hasMark, hasMatch, hasErrors }: Relation) => ({ hasMark, hasMatch, hasErrors })

/** A scope with the columns of one relation. */
export function scopeOf(of: { columns: readonly Column[] } | Relation, flow: Flow, more: Partial<Scope> = {}): Scope {
  const { parameters, startedAt, note, cached } = flow
  const { columns } = of
  const own = 'hasMark' in of ? hidden(of) : []
  return { columns, parameters, startedAt, note, cached, items: new Map(), depth: 0, hidden: own, ...more }
}

/** Columns with names in SQL that are their own; the engine takes names in any case for one. */
export function named(columns: readonly Omit<Column, 'id'>[]): Column[] {
  const taken = new Set<string>()
  return columns.map(column => {
    let name = column.name
    for (let i = 2; taken.has(name.toLowerCase()); i++) name = `${column.name}_${i}`
    taken.add(name.toLowerCase())
    return { ...column, id: quoted(name) }
  })
}

export const column = (name: string, type: FlowType, stream: string, from?: Column): Omit<Column, 'id'> => ({
  name,
  type,
  streams: [stream, ...(from?.streams ?? [])],
  origin: from ? (from.origin ?? from.streams.at(-1)) : stream,
  ...(from?.isDrifted ? { isDrifted: true } : {}),
})

/** A column that a transformation gives, with its value. */
export interface Given {
  column: Omit<Column, 'id'>
  value: Value
}

/** The columns of a relation as they are. */
export const unchanged = ({ columns }: { columns: readonly Column[] }, stream: string): Given[] =>
  columns.map(c => ({ column: column(c.name, c.type, stream, c), value: { sql: c.id, type: c.type } }))

/** A stream of columns made of the rows of a relation, with what is hidden in them; `source` where they are not read by its name. */
export function projected(stream: string, given: readonly Given[], from: Relation, source = from.id): Made {
  return { ...selected(stream, given, `FROM ${source}`, hidden(from)), ...keepsHidden(from) }
}

/** The same of groups of rows, in which nothing is hidden. */
export function selected(stream: string, given: readonly Given[], behind: string, more: readonly string[] = []): Made {
  const columns = named(given.map(g => g.column))
  const list = listed(
    given.map(g => g.value.sql),
    columns,
    more,
  )
  return { stream, columns, sql: `SELECT ${list} ${behind}` }
}

/** A list of `expression AS name`. */
export function listed(values: readonly string[], columns: readonly Column[], more: readonly string[] = []): string {
  const all = [...values.map((v, i) => (v === columns[i]!.id ? v : `${v} AS ${columns[i]!.id}`)), ...more]
  return all.length === 0 ? '1 AS "no columns"' : all.join(', ')
}
