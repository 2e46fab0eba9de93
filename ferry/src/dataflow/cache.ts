/** Sinks that are caches: what expressions look up in them, and the order in which statements are planned therefore. */
import { didYouMean } from '../errors.ts'
import { converted } from './convert.ts'
import { type Made, type Relation, type Step, scopeOf, selected } from './relation.ts'
import { type Column, flowFault, refused, type Value } from './scope.ts'
import type { Expression, Script, Statement } from './script/tree.ts'
import { isOn, property, requireInputs, texts } from './transformations/args.ts'
import { mapped } from './transformations/columns.ts'
import { arrayOf, type FlowType, quoted } from './types.ts'

/** The stream of a cache: no script can name it. */
export const cacheOf = (sink: string) => `cache ${sink}`

export function isCache({ kind, args }: Pick<Statement, 'kind' | 'args'>): boolean {
  const store = kind === 'sink' ? property({ args }, 'store') : undefined
  return store?.kind === 'text' && store.value.toLowerCase() === 'cache'
}

export interface Cache {
  relation: Relation
  keys: string[]
}

/** What a cache holds. Throws FERRY-7003, FERRY-7006. */
export function cached(step: Step): { made: Made; keys: string[] } {
  const { statement, inputs, flow } = step
  requireInputs(statement, inputs, 1)
  if (isOn(statement, 'output', flow)) {
    throw refused(statement, `output: true of the cache ${statement.output} does not run here`)
  }
  const made = selected(cacheOf(statement.output), mapped(step, scopeOf(inputs[0]!, flow)), `FROM ${inputs[0]!.id}`)
  const keys = texts(statement, 'keys', flow)
  const odd = keys.find(key => !made.columns.some(c => c.name === key))
  if (odd !== undefined) {
    const names = made.columns.map(c => c.name)
    throw flowFault(statement, `the cache ${statement.output} has no column ${odd}${didYouMean(odd, names)}`)
  }
  return { made, keys }
}

/**
 * `cache#lookup(key)`, `cache#mlookup(key)`, `cache#output()`, `cache#outputs()`. What is compared with is named apart from the columns of the
 * cache: names within the query come before those around it. Throws FERRY-7003.
 */
export function lookedUp(
  e: Extract<Expression, { kind: 'cached' }>,
  { relation, keys }: Cache,
  given: readonly Value[],
): Value {
  const { columns, id } = relation
  const row = `struct_pack(${columns.map(c => `${quoted(c.name)} := ${c.id}`).join(', ')})`
  const type: FlowType = { kind: 'struct', fields: columns.map(c => ({ name: c.name, type: c.type })) }
  const isLookup = e.name === 'lookup' || e.name === 'mlookup'
  if (!isLookup && e.name !== 'output' && e.name !== 'outputs') {
    throw flowFault(e, `a cache has lookup, mlookup, output and outputs, and no ${e.name}`)
  }
  const wanted = isLookup ? keys.length : 0
  if (given.length !== wanted || (isLookup && wanted === 0)) {
    throw flowFault(
      e,
      `${e.sink}#${e.name} takes ${wanted} keys (${keys.join(', ') || 'the cache has none'}), and gets ${given.length}`,
    )
  }
  const asked = isLookup ? keys : []
  const own = asked.map((key, i) => `${columns.find(c => c.name === key)!.id} AS "ferry key ${i}"`)
  const where = asked.map((key, i) => `"ferry key ${i}" = ${converted(given[i]!, keyOf(columns, key)).sql}`)
  const query = (value: string) =>
    `(SELECT ${value} FROM (SELECT ${[`${row} AS "ferry row"`, ...own].join(', ')} FROM ${id}) AS "ferry cache"${
      isLookup ? ` WHERE ${where.join(' AND ')}` : ''
    })`
  if (e.name === 'lookup' || e.name === 'output') return { sql: query('first("ferry row")'), type }
  return { sql: `coalesce(${query('list("ferry row")')}, [])`, type: arrayOf(type) }
}

const keyOf = (columns: readonly Column[], key: string): FlowType => columns.find(c => c.name === key)!.type

/** The statements, each behind the caches that it looks up. Throws FERRY-7003 where one waits for itself. */
export function inOrder({ statements }: Script): Statement[] {
  const caches = new Map(statements.filter(isCache).map(s => [s.output, s]))
  if (caches.size === 0) return statements
  const streams = new Map(statements.map(s => [s.output, s]))
  const order: Statement[] = []
  const open = new Set<Statement>()
  const visit = (statement: Statement): void => {
    if (order.includes(statement)) return
    if (open.has(statement)) throw flowFault(statement, `${statement.output} waits for a cache that waits for it`)
    open.add(statement)
    for (const { name } of statement.inputs) visit(streams.get(name)!)
    for (const name of namesIn(statement.args)) if (caches.has(name)) visit(caches.get(name)!)
    open.delete(statement)
    order.push(statement)
  }
  for (const statement of statements) visit(statement)
  return order
}

/** The caches that expressions name; those in braces of texts are found by their `#`, too. */
function namesIn(of: unknown): string[] {
  if (Array.isArray(of)) return of.flatMap(namesIn)
  if (typeof of !== 'object' || of === null) return []
  const { kind, sink, value } = of as { kind?: unknown; sink?: unknown; value?: unknown }
  const own = kind === 'cached' ? [String(sink)] : []
  const inText = kind === 'text' ? [...String(value).matchAll(/(\w+)#\w+\(/g)].map(m => m[1]!) : []
  return [...own, ...inText, ...Object.values(of).flatMap(namesIn)]
}
