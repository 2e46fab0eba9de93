/** A data flow as queries: one for each transformation, with the columns that it gives. */
import { didYouMean, FerryError } from '../errors.ts'
import { type Cache, cached, inOrder, isCache, lookedUp } from './cache.ts'
import { compile } from './compile.ts'
import { converted } from './convert.ts'
import { NOT_HERE, requireKnown, TRANSFORMATIONS } from './properties.ts'
import { type Flow, type Made, quietly, type Relation, type Step, scopeOf } from './relation.ts'
import { flowFault, refused, type Value } from './scope.ts'
import type { Script, Statement, StreamName } from './script/tree.ts'
import { type PlannedSink, sinkOf } from './sink.ts'
import { type Declared, declaredOf, readSource, type Stored } from './source.ts'
import { cast, derive, foldDown, parse, select, stringify } from './transformations/columns.ts'
import { aggregate, pivot, rank, unpivot, window } from './transformations/groups.ts'
import { alterRow, assert, filter, keyGenerate, sort, split } from './transformations/rows.ts'
import { exists, join, lookup, union } from './transformations/sets.ts'
import { type FlowType, isIntegral, isMoment, isNumber, quoted, shownType, typeOf } from './types.ts'

export interface PlannedStep {
  /** `name`, or `split@branch`. */
  stream: string
  kind: string
  /** The streams that it reads. */
  inputs: string[]
  /** How other queries refer to it, quoted. */
  id: string
  sql: string
  relation: Relation
  /** True if more than one transformation reads it: it is then worked out once. */
  isShared: boolean
}

export interface Plan {
  steps: PlannedStep[]
  /** In the order in which they are written. */
  sinks: PlannedSink[]
  /** What is not quite as Data Factory has it. */
  notes: string[]
}

export interface PlanRequest {
  script: Script
  /** Values by the names of parameters; those that are not here have their defaults. */
  parameters: ReadonlyMap<string, Value>
  /** When the run began, as an ISO text in UTC. */
  startedAt: string
  /** What each source really has; one that is not here is taken to be as its projection says. */
  stored?: ReadonlyMap<string, Stored>
}

const MAKERS: Record<string, (step: Step) => Made[]> = {
  filter,
  sort,
  split,
  alterRow,
  assert,
  keyGenerate,
  derive,
  select,
  cast,
  parse,
  stringify,
  foldDown,
  join,
  lookup,
  exists,
  union,
  aggregate,
  window,
  rank,
  pivot,
  unpivot,
}

/** How a source is read, and whether its columns are known before it is. */
export interface SourceOf {
  name: string
  statement: Statement
  declared: Declared
}

export function sourcesOf({ statements }: Script): SourceOf[] {
  return statements
    .filter(s => s.kind === 'source')
    .map(statement => ({ name: statement.output, statement, declared: declaredOf(statement) }))
}

/** Throws FERRY-7002, FERRY-7003, FERRY-7006 with the place in the script. */
export function planFlow({ script, parameters, startedAt, stored }: PlanRequest): Plan {
  requireGraph(script)
  const notes = new Set<string>()
  const given = parametersOf(script, parameters, startedAt)
  const steps: PlannedStep[] = []
  const sinks: PlannedSink[] = []
  const relations = new Map<string, Relation>()
  const caches = new Map<string, Cache>()
  const ids = new Set<string>()
  const keep = (made: Made, { kind }: Statement, inputs: string[]): Relation => {
    const { stream, sql, columns, hasMark = false, hasMatch = false, hasErrors = false } = made
    // The engine takes names in any case for one.
    let id = stream
    for (let i = 2; ids.has(id.toLowerCase()); i++) id = `${stream} ${i}`
    ids.add(id.toLowerCase())
    const relation = { name: stream, id: quoted(id), columns, hasMark, hasMatch, hasErrors }
    steps.push({ stream, kind, inputs, id: relation.id, sql, relation, isShared: false })
    return relation
  }
  for (const statement of inOrder(script)) {
    const inputs = statement.inputs.map(name => relations.get(streamOf(name))!)
    const used = new Set<string>()
    const flow: Flow = {
      parameters: given,
      startedAt,
      note: text => notes.add(text),
      cached: (e, args) => {
        const cache = caches.get(e.sink)
        if (!cache) throw flowFault(e, `there is no cache ${e.sink}${didYouMean(e.sink, [...caches.keys()])}`)
        used.add(cache.relation.name)
        return lookedUp(e, cache, args)
      },
    }
    if (isCache(statement)) {
      const { made, keys } = cached({ statement, inputs, flow })
      const reads = [...statement.inputs.map(streamOf), ...used]
      caches.set(statement.output, { relation: keep(made, { ...statement, kind: 'cache' }, reads), keys })
      continue
    }
    if (statement.kind === 'sink') {
      sinks.push({ ...sinkOf({ statement, inputs, flow }), caches: [...used] })
      continue
    }
    const made =
      statement.kind === 'source'
        ? [readSource({ statement, flow, stored: stored?.get(statement.output) })]
        : MAKERS[statement.kind]!({ statement, inputs, flow })
    for (const one of made) {
      const reads = [...(one.inputs ?? statement.inputs.map(streamOf)), ...used]
      relations.set(one.stream, keep(one, statement, reads))
    }
  }
  for (const step of steps) step.isShared = step.kind === 'cache' || readersOf({ steps, sinks }, step.stream) > 1
  const order = sinks.map((sink, i) => ({ sink, i })).sort((a, b) => a.sink.order - b.sink.order || a.i - b.i)
  return { steps, sinks: order.map(o => o.sink), notes: [...notes] }
}

/** A stream as it is called where it is read. */
export const streamOf = ({ name, branch }: StreamName) => (branch === undefined ? name : `${name}@${branch}`)

/** How many queries read a stream: a sink has one for each way, an unpivot one for each column. */
function readersOf({ steps, sinks }: Pick<Plan, 'steps' | 'sinks'>, stream: string): number {
  const read = steps.map(s => s.inputs.filter(i => i === stream).length * (s.kind === 'unpivot' ? 2 : 1))
  const written = sinks.map(s => (s.input === stream || s.caches.includes(stream) ? s.rows.length : 0))
  return [...read, ...written].reduce((a, b) => a + b, 0)
}

/** What settings of a flow are asked with. Throws FERRY-7003, FERRY-7004. */
export const flowing = ({ script, parameters, startedAt }: Omit<PlanRequest, 'stored'>): Flow =>
  quietly({ parameters: parametersOf(script, parameters, startedAt), startedAt })

/** Values of parameters: given ones, else defaults. Throws FERRY-7003, FERRY-7004. */
function parametersOf(script: Script, given: PlanRequest['parameters'], startedAt: string): Map<string, Value> {
  const known = new Map<string, Value>()
  const flow = quietly({ parameters: known, startedAt })
  for (const name of given.keys()) {
    if (script.parameters.some(p => p.name === name)) continue
    const near = didYouMean(
      name,
      script.parameters.map(p => p.name),
    )
    throw new FerryError('FERRY-7004', `the data flow has no parameter ${name}${near}`)
  }
  for (const { name, type, default: byDefault } of script.parameters) {
    const value = given.get(name) ?? (byDefault && compile(byDefault, scopeOf({ columns: [] }, flow)))
    if (value === undefined) throw new FerryError('FERRY-7004', `the parameter ${name} of the data flow has no value`)
    const { constant } = value
    const wanted = typeOf(type)
    // Its text may become part of a query or of a name: it is what its type says, or nothing.
    if (constant !== undefined && !isOf(constant, wanted)) {
      throw new FerryError(
        'FERRY-7004',
        `the parameter ${name} of the data flow is ${shownType(wanted)}, and ${JSON.stringify(constant.slice(0, 100))} is none`,
      )
    }
    known.set(name, { ...converted(value, wanted), ...(constant === undefined ? {} : { constant }) })
  }
  return known
}

/** True if a text is a value of a type. */
function isOf(text: string, type: FlowType): boolean {
  if (isIntegral(type)) return /^[+-]?\d{1,19}$/.test(text)
  if (isNumber(type)) return /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?$/.test(text)
  if (type.kind === 'boolean') return /^(true|false)$/i.test(text)
  if (isMoment(type)) return /^\d{4}-\d{1,2}-\d{1,2}([T ][\d:.]+(Z|[+-][\d:]+)?)?$/.test(text)
  return true
}

/** Throws FERRY-7002 for streams that are not there, come twice, or lead into a circle, and for unknown transformations. */
export function requireGraph({ statements }: Script): void {
  const outputs = new Map<string, number>()
  statements.forEach((statement, i) => {
    const { kind, output, branches } = statement
    const why = Object.hasOwn(NOT_HERE, kind) ? NOT_HERE[kind] : undefined
    if (why !== undefined) throw refused(statement, why)
    if (!TRANSFORMATIONS.includes(kind)) {
      throw fault(statement, `there is no transformation ${kind}${didYouMean(kind, TRANSFORMATIONS)}`)
    }
    requireKnown(statement)
    if (kind === 'split' && branches.length === 0) throw fault(statement, 'split names its branches: ~> name@(a, b)')
    for (const name of branches.length > 0 ? branches.map(b => `${output}@${b}`) : [output]) {
      const other = [...outputs.keys()].find(known => known.toLowerCase() === name.toLowerCase())
      if (other !== undefined) {
        const how = other === name ? name : `${other} and ${name}: names differ by more than case`
        throw fault(statement, `two streams are called ${how}`)
      }
      outputs.set(name, i)
    }
  })
  statements.forEach((statement, i) => {
    const { kind, inputs } = statement
    if (kind === 'source' ? inputs.length > 0 : inputs.length === 0) {
      throw fault(statement, kind === 'source' ? 'a source has no input' : `${kind} has no input`)
    }
    for (const input of inputs) {
      const name = streamOf(input)
      const at = outputs.get(name)
      if (at === undefined) {
        throw fault(statement, `there is no stream ${name}${didYouMean(name, [...outputs.keys()])}`)
      }
      if (statements[at]!.kind === 'sink') throw fault(statement, `${name} is a sink, and gives nothing`)
      if (at < i) continue
      if (leadsTo(statements, outputs, at, i))
        throw fault(statement, `${name} and ${statement.output} wait for each other`)
      throw fault(statement, `the stream ${name} is used before it is defined (line ${statements[at]!.line})`)
    }
  })
}

/** True if a statement reads, at whatever distance, what another one gives. */
function leadsTo(
  statements: readonly Statement[],
  outputs: ReadonlyMap<string, number>,
  from: number,
  to: number,
): boolean {
  const seen = new Set<number>()
  for (const left = [from]; left.length > 0; ) {
    const next = left.pop()!
    if (next === to) return true
    if (seen.has(next)) continue
    seen.add(next)
    for (const input of statements[next]!.inputs) {
      const at = outputs.get(streamOf(input))
      if (at !== undefined) left.push(at)
    }
  }
  return false
}

const fault = (place: Statement, message: string) => flowFault(place, message, 'FERRY-7002')
