/** Arguments of transformations: expressions, properties, columns with their expressions, patterns. */
import { compile } from '../compile.ts'
import { isMatched, patternName, patternOf } from '../patterns.ts'
import { type Flow, scopeOf } from '../relation.ts'
import { type Column, flowFault, type Scope, type Value } from '../scope.ts'
import type { Argument, Expression, Statement } from '../script/tree.ts'

/** Expressions that stand by themselves; `partitionBy(...)` says how rows are spread. */
export const values = ({ args }: { args: readonly Argument[] }): Expression[] =>
  args.flatMap(a =>
    a.kind === 'value' && !(a.value.kind === 'call' && a.value.name === 'partitionBy') ? [a.value] : [],
  )

/** The arguments of `output(...)`, `over(...)`, `groupBy(...)`; undefined if it is not there. */
export function within({ args }: { args: readonly Argument[] }, ...names: string[]): readonly Argument[] | undefined {
  for (const arg of args)
    if (arg.kind === 'value' && arg.value.kind === 'call' && names.includes(arg.value.name)) return arg.value.args
  return undefined
}

export function property({ args }: { args: readonly Argument[] }, name: string): Expression | undefined {
  for (const arg of args) if (arg.kind === 'property' && arg.name === name) return arg.value
  return undefined
}

/** A property that is a text, a number or a boolean, or a parameter. Throws FERRY-7003. */
export function setting(of: { args: readonly Argument[] }, name: string, flow: Flow): string | undefined {
  const e = property(of, name)
  if (e === undefined) return undefined
  if (e.kind === 'name') return e.name
  const constant = constantOf(e, flow)
  if (constant !== undefined) return constant
  throw flowFault(e, `${name} has to be written as it is`)
}

/** What is written, what a parameter is, or the two put together: `concat('in/', $year)`. */
function constantOf(e: Expression, flow: Flow): string | undefined {
  if (e.kind !== 'call' || e.name !== 'concat') return compile(e, scopeOf({ columns: [] }, flow)).constant
  const parts = e.args.map(arg => (arg.kind === 'value' ? constantOf(arg.value, flow) : undefined))
  return parts.includes(undefined) ? undefined : parts.join('')
}

export const isOn = (of: { args: readonly Argument[] }, name: string, flow: Flow): boolean =>
  setting(of, name, flow) === 'true'

/** A list of texts: `keys:['a','b']`. */
export function texts(of: { args: readonly Argument[] }, name: string, flow: Flow): string[] {
  const e = property(of, name)
  if (e === undefined) return []
  const scope = scopeOf({ columns: [] }, flow)
  const all = e.kind === 'array' ? e.items : [e]
  return all.map(one => {
    const { constant } = compile(one, scope)
    if (constant === undefined) throw flowFault(one, `${name} has to be written as it is`)
    return constant
  })
}

export interface Assigned {
  name: string
  value: Value
  /** The path within a column: `a.b = ...`. */
  path: string[]
  /** The column that a pattern has matched. */
  of?: Column
}

/** Columns with their expressions, patterns among them. */
export function assigned(args: readonly Argument[], scope: Scope): Assigned[] {
  return args.flatMap((arg): Assigned[] => {
    if (arg.kind === 'assignment') {
      const path = pathOf(arg.to)
      return [{ name: path[0]!, path: path.slice(1), value: compile(arg.value, scope) }]
    }
    if (arg.kind !== 'value') return []
    const pattern = patternOf(arg.value)
    if (!pattern) {
      if (arg.value.kind === 'name') return [{ name: arg.value.name, path: [], value: compile(arg.value, scope) }]
      return []
    }
    return scope.columns.flatMap((column, i) => {
      const about = { column, position: i + 1, parameters: scope.parameters }
      if (!isMatched(pattern.condition, about)) return []
      return pattern.rest.flatMap((rest): Assigned[] => {
        if (rest.kind !== 'assignment') throw flowFault(arg.value, 'a pattern gives names to expressions: $$ = ...')
        const value = compile(rest.value, { ...scope, matched: column })
        return [{ name: patternName(rest.to, about), path: [], value, of: column }]
      })
    })
  })
}

/** `a.b.c`, as its parts. */
export function pathOf(e: Expression): string[] {
  if (e.kind === 'name') return [e.name]
  if (e.kind === 'member') return [...pathOf(e.of), e.name]
  if (e.kind === 'origin') return [e.name]
  throw flowFault(e, 'a column is expected here')
}

/** `asc(a, true)`, `desc(b, false)`: with true nulls come first. */
export function ordered(args: readonly Argument[], scope: Scope): string[] {
  return args.flatMap(arg => {
    if (arg.kind !== 'value' || arg.value.kind !== 'call' || !['asc', 'desc'].includes(arg.value.name)) return []
    const { name, args: of } = arg.value
    const [e, first] = of
    if (e?.kind !== 'value') throw flowFault(arg.value, `${name} takes a column`)
    const nullsFirst = first?.kind === 'value' && compile(first.value, scope).constant === 'true'
    return [`${compile(e.value, scope).sql} ${name.toUpperCase()} NULLS ${nullsFirst ? 'FIRST' : 'LAST'}`]
  })
}

/** Throws FERRY-7002 unless a transformation has so many inputs. */
export function requireInputs(statement: Statement, inputs: readonly unknown[], least: number, most = least): void {
  if (inputs.length >= least && inputs.length <= most) return
  throw flowFault(
    statement,
    `${statement.kind} takes ${least === most ? least : `at least ${least}`} inputs, and gets ${inputs.length}`,
  )
}

export function condition(e: Expression | undefined, scope: Scope, statement: Statement): string {
  if (e === undefined) throw flowFault(statement, `${statement.kind} has no condition`)
  const { sql, type } = compile(e, scope)
  if (type.kind === 'boolean' || type.kind === 'any') return sql
  throw flowFault(e, `${statement.kind} takes a condition`)
}
