/** Whether a query's filter leaves one partition key, so that no client has to allow it several partitions. */
import type { Expression, Query } from './ast.ts'

/** True if WHERE sets each path of the partition key to a value; `keyPaths` are its steps. */
export function pinsKey(query: Query, keyPaths: string[][]): boolean {
  const [source] = query.from
  if (!source || source.each || source.of?.kind !== 'name') return false
  const tests = query.where ? conjuncts(query.where) : []
  return keyPaths.every(path => tests.some(test => equates(test, source.alias, path)))
}

function conjuncts(e: Expression): Expression[] {
  return e.kind === 'binary' && e.operator === 'AND' ? [...conjuncts(e.left), ...conjuncts(e.right)] : [e]
}

function equates(e: Expression, alias: string, path: string[]): boolean {
  if (e.kind !== 'binary' || e.operator !== '=') return false
  const isPath = (side: Expression) => isSame(stepsOf(side), [alias, ...path])
  return (isPath(e.left) && isValue(e.right)) || (isPath(e.right) && isValue(e.left))
}

function isValue(e: Expression): boolean {
  return e.kind === 'constant' || e.kind === 'parameter'
}

function isSame(a: string[] | undefined, b: string[]): boolean {
  return a !== undefined && a.length === b.length && a.every((step, i) => step === b[i])
}

/** `c.address.city` as its steps; undefined for what is no path. */
function stepsOf(e: Expression): string[] | undefined {
  if (e.kind === 'name') return [e.name]
  if (e.kind !== 'member' || e.name.kind !== 'constant') return undefined
  const before = stepsOf(e.of)
  return before && [...before, String(e.name.value)]
}
