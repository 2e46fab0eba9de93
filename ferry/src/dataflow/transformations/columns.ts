/** Transformations that make, choose, rename and convert columns. */
import { compile, memberOf, valueOf } from '../compile.ts'
import { converted, ofJson } from '../convert.ts'
import { isMatched, patternName, patternOf } from '../patterns.ts'
import { column, type Given, type Made, projected, type Relation, type Step, scopeOf, unchanged } from '../relation.ts'
import { type Column, flowFault, type Scope, type Value } from '../scope.ts'
import type { Argument, Expression } from '../script/tree.ts'
import { type Field, type FlowType, literal, quoted, STRING, typeOf } from '../types.ts'
import { assigned, isOn, pathOf, requireInputs, setting, within } from './args.ts'

/** New columns, and new values of columns that are there; one may use those before it. */
export function derive({ statement, inputs, flow }: Step): Made[] {
  requireInputs(statement, inputs, 1)
  const [from] = inputs
  const scope = scopeOf(from!, flow)
  const values = new Values(from!, statement.output)
  for (const { name, path, value } of assigned(statement.args, scope)) {
    if (value.many) throw flowFault(statement, `${name} has one value, and gets all columns`)
    const whole = path.length === 0 ? value : withMember(values.get(name), path, value)
    values.set(name, whole)
  }
  const typed = values.all.map(v => ({ ...v, value: { ...v.value, sql: sqlOf(v.value) } }))
  return [projected(statement.output, typed, from!)]
}

/** The columns of a relation with other values and further ones; two columns of one name stay apart. */
class Values {
  readonly all: Given[]
  private readonly stream: string

  constructor(from: Relation, stream: string) {
    this.stream = stream
    this.all = unchanged(from, stream)
  }

  get(name: string): Value | undefined {
    return this.all.find(v => v.column.name === name)?.value
  }

  set(name: string, value: Value): void {
    const at = this.all.findIndex(v => v.column.name === name)
    const streams = at < 0 ? [this.stream] : this.all[at]!.column.streams
    const made = { column: { name, type: value.type, streams, origin: this.stream }, value }
    if (at < 0) this.all.push(made)
    else this.all[at] = made
  }
}

/** A null without a type is a text. */
const sqlOf = ({ sql, type }: Value) => (type.kind === 'any' ? `CAST(${sql} AS VARCHAR)` : sql)

const memberValue = ({ sql }: Value, { name, type }: Field): Value => ({
  sql: `struct_extract(${sql}, ${literal(name)})`,
  type,
})

/** A structure with another value of a member, which may be new. */
function withMember(of: Value | undefined, [first, ...rest]: string[], value: Value): Value {
  const fields = of?.type.kind === 'struct' ? of.type.fields : []
  const known = fields.find(f => f.name === first)
  const inner = rest.length === 0 ? value : withMember(known && memberValue(of!, known), rest, value)
  const all = [
    ...fields.map(f =>
      f.name === first ? { name: f.name, value: inner } : { name: f.name, value: memberValue(of!, f) },
    ),
    ...(known ? [] : [{ name: first!, value: inner }]),
  ]
  return {
    sql: `struct_pack(${all.map(f => `${quoted(f.name)} := ${f.value.sql}`).join(', ')})`,
    type: { kind: 'struct', fields: all.map(f => ({ name: f.name, type: f.value.type })) },
  }
}

/** The columns of `mapColumn(...)`: chosen, renamed, by pattern. */
export function mappedColumns(args: readonly Argument[], scope: Scope, stream: string): Given[] {
  const take = (e: Expression, name?: string): Given => {
    const value = compile(e, scope)
    const source = scope.columns.find(c => c.id === value.sql)
    return { column: column(name ?? pathOf(e).at(-1)!, value.type, stream, source), value }
  }
  return args.flatMap((arg): Given[] => {
    if (arg.kind === 'assignment') return [take(arg.value, pathOf(arg.to).at(-1)!)]
    if (arg.kind !== 'value') return []
    const pattern = patternOf(arg.value)
    if (!pattern) return [take(arg.value)]
    return scope.columns.flatMap((c, i) => {
      const about = { column: c, position: i + 1, parameters: scope.parameters }
      if (!isMatched(pattern.condition, about)) return []
      const rename = pattern.rest.find(r => r.kind === 'assignment')
      const name = rename?.kind === 'assignment' ? patternName(rename.to, about) : c.name
      const value = rename?.kind === 'assignment' ? compile(rename.value, { ...scope, matched: c }) : valueOf(c)
      return [{ column: column(name, value.type, stream, c), value }]
    })
  })
}

/** Leaves out columns that come twice where the properties say so; else two of one name are a mistake. */
export function withoutTwice(mapped: Given[], { statement, flow }: Step): Given[] {
  const inputs = new Set<string>()
  const outputs = new Set<string>()
  const skipInputs = isOn(statement, 'skipDuplicateMapInputs', flow)
  const skipOutputs = isOn(statement, 'skipDuplicateMapOutputs', flow)
  return mapped.filter(({ column: { name }, value }) => {
    if (skipInputs && inputs.has(value.sql)) return false
    inputs.add(value.sql)
    if (outputs.has(name)) {
      if (skipOutputs) return false
      throw flowFault(statement, `two columns are called ${name}: skipDuplicateMapOutputs leaves out the second one`)
    }
    outputs.add(name)
    return true
  })
}

/** What `mapColumn(...)` says, or all columns; those that come twice are left out, or refused. */
export function mapped(step: Step, scope: Scope): Given[] {
  const { statement } = step
  const args = within(statement, 'mapColumn')
  const all = args ? mappedColumns(args, scope, statement.output) : unchanged(scope, statement.output)
  return withoutTwice(all, step)
}

export function select(step: Step): Made[] {
  const { statement, inputs, flow } = step
  requireInputs(statement, inputs, 1)
  const [from] = inputs
  return [projected(statement.output, mapped(step, scopeOf(from!, flow)), from!)]
}

/** Converts columns to types: `cast(output(age as integer))`. */
export function cast({ statement, inputs, flow }: Step): Made[] {
  requireInputs(statement, inputs, 1)
  const [from] = inputs
  const scope = scopeOf(from!, flow)
  const wanted = new Map<string, { type: FlowType; format: string | undefined }>()
  for (const arg of within(statement, 'output') ?? []) {
    if (arg.kind !== 'column') throw flowFault(statement, 'cast takes output(column as type)')
    const format = arg.formats[0] ? compile(arg.formats[0], scope).constant : undefined
    const name = pathOf(arg.of)[0]!
    if (!from!.columns.some(c => c.name === name)) compile(arg.of, scope)
    wanted.set(name, { type: typeOf(arg.type), format })
  }
  const given = from!.columns.map(c => {
    const to = wanted.get(c.name)
    const value = to ? converted(valueOf(c), to.type, to.format) : valueOf(c)
    return { column: column(c.name, value.type, statement.output, c), value }
  })
  return [projected(statement.output, given, from!)]
}

/** Columns that `parse` and `stringify` make of others. */
function made({ statement, inputs, flow }: Step, make: (value: Value, type: FlowType, e: Expression) => Value): Made[] {
  requireInputs(statement, inputs, 1)
  const [from] = inputs
  const scope = scopeOf(from!, flow)
  const values = new Values(from!, statement.output)
  for (const arg of statement.args) {
    if (arg.kind !== 'assignment') continue
    const { value: e } = arg
    if (e.kind !== 'typed') throw flowFault(e, `${statement.kind} takes column = value ? type`)
    const type = typeOf(e.type)
    const name = pathOf(arg.to)[0]!
    values.set(name, make(compile(e.of, scope), type, e))
  }
  return [projected(statement.output, values.all, from!)]
}

export function parse(step: Step): Made[] {
  const format = setting(step.statement, 'format', step.flow) ?? 'json'
  const form = setting(step.statement, 'documentForm', step.flow) ?? 'singleDocument'
  if (!['singleDocument', 'documentPerLine'].includes(form))
    throw flowFault(step.statement, `parse of ${form} does not run here: singleDocument does, and an array as the type`)
  if (format !== 'json') throw flowFault(step.statement, `parse of ${format} does not run here: json does`)
  return made(step, (value, type) => ({ sql: ofJson(converted(value, STRING), type), type }))
}

export function stringify(step: Step): Made[] {
  const format = setting(step.statement, 'format', step.flow) ?? 'json'
  if (format !== 'json') throw flowFault(step.statement, `stringify as ${format} does not run here: json does`)
  return made(step, value => ({ sql: `CAST(to_json(${value.sql}) AS VARCHAR)`, type: STRING }))
}

/** A row for each element of an array, with columns of it and of what is around it. */
export function foldDown(step: Step): Made[] {
  const { statement, inputs, flow } = step
  requireInputs(statement, inputs, 1)
  const [from] = inputs
  const calls = statement.args.flatMap(a =>
    a.kind === 'value' && a.value.kind === 'call' && a.value.name === 'unroll' ? [a.value] : [],
  )
  if (calls.length === 0) throw flowFault(statement, 'foldDown takes unroll(array)')
  const elements = new Map<string, Value>()
  let source = from!.id
  for (const call of calls) {
    const [unrolled, root] = call.args
    if (unrolled?.kind !== 'value') throw flowFault(call, 'foldDown takes unroll(array)')
    if (root) throw flowFault(call, 'unroll has one array here: an unroll root does not run')
    source = unrolledFrom(source, unrolled.value, { from: from!, elements, flow })
  }
  const scope = unrolledScope(from!, elements, step)
  const args = within(statement, 'mapColumn')
  const all = args
    ? mappedColumns(rewritten(args, elements), scope, statement.output)
    : unchanged(scope, statement.output)
  const given = withoutTwice(
    all.filter(g => !g.column.name.startsWith('\0')),
    step,
  )
  return [projected(statement.output, given, from!, `${source} AS unrolled`)]
}

interface Unrolling {
  from: Relation
  /** What was unrolled, by its path. */
  elements: Map<string, Value>
  flow: Step['flow']
}

/** A row for each element of an array and of each array on the way to it, in their order. Throws FERRY-7003. */
function unrolledFrom(source: string, e: Expression, { from, elements, flow }: Unrolling): string {
  const path = pathOf(e)
  const start = from.columns.find(c => c.name === path[0])
  let value: Value = start ? valueOf(start) : compile(e, scopeOf(from, flow))
  let made = source
  let known = ''
  let isUnrolled = false
  for (const [i, part] of path.entries()) {
    if (i > 0) value = memberOf(value, part, e)
    known = i > 0 ? `${known}.${part}` : part
    const element = elements.get(known)
    if (element) value = element
    if (element || value.type.kind !== 'array') continue
    const name = `"ferry element ${elements.size + 1}"`
    // A row whose array is empty or null stays, with nulls.
    const list = `CASE WHEN len(${value.sql}) > 0 THEN ${value.sql} ELSE [NULL] END`
    made = `(SELECT *, unnest(${list}) AS ${name} FROM ${made} AS rows)`
    value = { sql: name, type: value.type.of }
    elements.set(known, value)
    isUnrolled = true
  }
  if (!isUnrolled) throw flowFault(e, `${path.join('.')} is no array`)
  return made
}

/** Columns of the relation, with elements in place of the arrays that were unrolled. */
function unrolledScope(from: Relation, elements: ReadonlyMap<string, Value>, { flow }: Step): Scope {
  const inner = [...elements].map(([path, v]): Column => ({ name: `\0${path}`, type: v.type, id: v.sql, streams: [] }))
  const columns = from.columns.map(c => {
    const element = elements.get(c.name)
    return element ? { ...c, id: element.sql, type: element.type } : c
  })
  return scopeOf({ columns: [...columns, ...inner] }, flow)
}

/** Paths through an array that was unrolled begin at its element. */
function rewritten(args: readonly Argument[], elements: ReadonlyMap<string, Value>): Argument[] {
  const paths = [...elements.keys()].sort((a, b) => b.length - a.length)
  const path = (e: Expression): string | undefined =>
    e.kind === 'name' ? e.name : e.kind === 'member' && path(e.of) !== undefined ? `${path(e.of)}.${e.name}` : undefined
  const one = (e: Expression): Expression => {
    const whole = path(e)
    const found = whole === undefined ? undefined : paths.find(p => whole === p || whole.startsWith(`${p}.`))
    if (found === undefined) return e
    const rest = whole!
      .slice(found.length + 1)
      .split('.')
      .filter(part => part !== '')
    const { line, column: at } = e
    return rest.reduce<Expression>((of, name) => ({ kind: 'member', line, column: at, of, name }), {
      kind: 'name',
      line,
      column: at,
      name: `\0${found}`,
    })
  }
  return args.map(arg => {
    if (arg.kind === 'assignment') return { ...arg, value: one(arg.value) }
    if (arg.kind !== 'value' || patternOf(arg.value)) return arg
    const value = one(arg.value)
    if (value === arg.value) return arg
    const { line, column: at } = arg.value
    return { kind: 'assignment', to: { kind: 'name', line, column: at, name: pathOf(arg.value).at(-1)! }, value }
  })
}
