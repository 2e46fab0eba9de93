/** Partial updates of a document: add, set, replace, remove, incr, move. */
import { badRequest } from './errors.ts'
import { type Json, type JsonObject, numberOf } from './json.ts'

export interface PatchOperation {
  op: string
  path: string
  from?: string
  value?: Json
}

const MOST_OPERATIONS = 10

/** Applies the operations in order, in place. */
export function applyPatch(document: JsonObject, operations: PatchOperation[]): void {
  if (!Array.isArray(operations) || operations.length === 0) throw badRequest('A patch needs operations')
  if (operations.length > MOST_OPERATIONS) {
    throw badRequest(`The number of patch operations can't exceed '${MOST_OPERATIONS}'`)
  }
  for (const operation of operations) apply(document, operation)
}

function apply(document: JsonObject, { op, path, from, value }: PatchOperation): void {
  switch (op.toLowerCase()) {
    case 'add':
    case 'set':
      put(document, path, value ?? null, op.toLowerCase() === 'add')
      return
    case 'replace':
      if (take(document, path, false) === undefined) throw missing(op, path)
      put(document, path, value ?? null, false)
      return
    case 'remove':
      if (take(document, path, true) === undefined) throw missing(op, path)
      return
    case 'incr': {
      const by = numberOf(value)
      if (by === undefined) throw badRequest(`Increment of ${path} needs a number`)
      const before = take(document, path, false)
      const number = before === undefined ? 0 : numberOf(before)
      if (number === undefined) throw badRequest(`The value at ${path} is no number`)
      put(document, path, number + by, false)
      return
    }
    case 'move': {
      if (from === undefined) throw badRequest('A move needs from')
      const moved = take(document, from, true)
      if (moved === undefined) throw missing(op, from)
      put(document, path, moved, false)
      return
    }
    default:
      throw badRequest(`There is no patch operation ${op}`)
  }
}

function missing(op: string, path: string) {
  return badRequest(`For Operation(${op}): the path '${path}' is not in the document`)
}

function stepsOf(path: string): string[] {
  if (!path.startsWith('/')) throw badRequest(`The patch path ${path} does not begin with /`)
  return path
    .slice(1)
    .split('/')
    .map(step => step.replaceAll('~1', '/').replaceAll('~0', '~'))
}

function parentOf(document: JsonObject, path: string): { parent: Json[] | JsonObject; name: string } {
  const steps = stepsOf(path)
  let parent: Json | undefined = document
  for (const step of steps.slice(0, -1)) {
    parent = Array.isArray(parent) ? parent[Number(step)] : (parent as JsonObject)[step]
    if (parent === null || parent === undefined || typeof parent !== 'object') {
      throw badRequest(`The path '${path}' leads through what is no object or array`)
    }
  }
  return { parent: parent as Json[] | JsonObject, name: steps.at(-1)! }
}

function put(document: JsonObject, path: string, value: Json, insert: boolean): void {
  const { parent, name } = parentOf(document, path)
  if (!Array.isArray(parent)) {
    parent[name] = value
    return
  }
  const at = name === '-' ? parent.length : Number(name)
  if (!Number.isInteger(at) || at < 0 || at > parent.length) throw badRequest(`There is no place ${name} in the array`)
  if (insert || at === parent.length) parent.splice(at, 0, value)
  else parent[at] = value
}

function take(document: JsonObject, path: string, remove: boolean): Json | undefined {
  const { parent, name } = parentOf(document, path)
  if (Array.isArray(parent)) {
    const at = Number(name)
    return remove && at < parent.length ? parent.splice(at, 1)[0] : parent[at]
  }
  const value = parent[name]
  if (remove) delete parent[name]
  return value
}
