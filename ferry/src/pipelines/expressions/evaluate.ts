/** Expressions as functions: parsed and looked up once, called for each evaluation. */
import { didYouMean, FerryError } from '../../errors.ts'
import type { Clock } from './function.ts'
import { FUNCTIONS } from './functions.ts'
import { type Expression, parseTemplate, placeIn, type Template } from './parser.ts'
import { isObject, requireSize, shownValue, textOf, type Value } from './values.ts'

/** What an expression sees of the run that it is evaluated in: `pipeline`, `activity`, `variables`, `item` and others. */
export interface Scope {
  /** Time and chance; undefined for those of the machine. */
  readonly clock?: Clock
  /** Context functions by their names in lower case. They throw FERRY-7003. */
  readonly functions: ReadonlyMap<string, (args: Value[]) => Value>
}

export type { Clock } from './function.ts'

export type Evaluate = (scope: Scope) => Value

/** Context functions that some scope has, by their names in lower case. */
export const CONTEXT = new Map(
  [
    'pipeline',
    'activity',
    'variables',
    'item',
    'dataset',
    'linkedService',
    'trigger',
    'triggerBody',
    'triggerOutputs',
    'parameters',
    'iterationItem',
  ].map(name => [name.toLowerCase(), name]),
)

/** Names of context functions, by the names in lower case. */
type Context = ReadonlyMap<string, string>

/**
 * The function of a string of an artifact; undefined for a text without expressions. Throws FERRY-7002, also for the name of a
 * function that neither the language nor `context` has.
 */
export function compile(template: Template, context: Context = CONTEXT): Evaluate | undefined {
  if (template.kind === 'text') return undefined
  const { source } = template
  if (template.kind === 'expression') return compiled(template.expression, source, context)
  const parts = template.parts.map(part => (typeof part === 'string' ? part : compiled(part, source, context)))
  return scope => requireSize(parts.map(p => (typeof p === 'string' ? p : textOf(p(scope)))).join(''))
}

const MOST_KEPT = 5000
const kept = new Map<string, Evaluate | string>()

/** Evaluates a string of an artifact; what is parsed once is kept. Throws FERRY-7002 and FERRY-7003. */
export function evaluateText(source: string, scope: Scope): Value {
  let found = kept.get(source)
  if (found === undefined) {
    const template = parseTemplate(source)
    found = template.kind === 'text' ? template.text : compile(template)!
    if (kept.size >= MOST_KEPT) kept.clear()
    kept.set(source, found)
  }
  return typeof found === 'string' ? found : found(scope)
}

function compiled(e: Expression, source: string, context: Context): Evaluate {
  switch (e.kind) {
    case 'literal': {
      const { value } = e
      return () => value
    }
    case 'call':
      return call(e, source, context)
    case 'member': {
      const of = compiled(e.of, source, context)
      const { name, optional, at } = e
      return scope => memberOf(of(scope), name, optional, source, at)
    }
    case 'index': {
      const of = compiled(e.of, source, context)
      const index = compiled(e.index, source, context)
      const { optional, at } = e
      return scope => {
        const holder = of(scope)
        return elementOf(holder, index(scope), optional, source, at)
      }
    }
  }
}

function call(e: Extract<Expression, { kind: 'call' }>, source: string, context: Context): Evaluate {
  const name = e.name.toLowerCase()
  const args = e.args.map(a => compiled(a, source, context))
  const known = FUNCTIONS.get(name)
  if (known) {
    if (args.length < known.least || args.length > known.most) {
      throw fault('FERRY-7002', source, e.at, `${known.name} takes ${amount(known)}, not ${args.length}`)
    }
    const explain = (error: unknown) => explained(error, source, e.at, known.name)
    if (known.lazy) {
      const { lazy } = known
      return scope => {
        try {
          return lazy(args.map(a => () => a(scope)))
        } catch (error) {
          throw explain(error)
        }
      }
    }
    const { of } = known
    return scope => {
      const values = args.map(a => a(scope))
      try {
        return of(values, scope.clock)
      } catch (error) {
        throw explain(error)
      }
    }
  }
  if (!context.has(name)) {
    const advice = didYouMean(e.name, [...[...FUNCTIONS.values()].map(f => f.name), ...context.values()])
    throw fault('FERRY-7002', source, e.at, `there is no function ${e.name}${advice}`)
  }
  return scope => {
    const own = scope.functions.get(name)
    if (!own) throw fault('FERRY-7003', source, e.at, `${e.name}() has no value here`)
    const values = args.map(a => a(scope))
    try {
      return own(values)
    } catch (error) {
      throw explained(error, source, e.at, e.name)
    }
  }
}

function amount({ least, most }: { least: number; most: number }): string {
  const count = least === most ? String(least) : most === Infinity ? `${least} or more` : `${least} to ${most}`
  return `${count} ${count === '1' ? 'argument' : 'arguments'}`
}

function fault(code: 'FERRY-7002' | 'FERRY-7003', source: string, at: number, message: string): FerryError {
  const error = new FerryError(code, `${placeIn(source, at)}: ${message}`)
  placed.add(error)
  return error
}

/** Errors that name their place already pass as they are. */
const placed = new WeakSet<FerryError>()

function explained(error: unknown, source: string, at: number, name: string): unknown {
  if (!(error instanceof FerryError) || placed.has(error)) return error
  const { code, message, hint } = error
  const told = new FerryError(code, `${placeIn(source, at)}: ${name}: ${message}`, { hint })
  placed.add(told)
  return told
}

function refuse(source: string, at: number, message: string): FerryError {
  return fault('FERRY-7003', source, at, message)
}

function memberOf(of: Value, name: string, optional: boolean, source: string, at: number): Value {
  if (isObject(of)) {
    if (Object.hasOwn(of, name)) return of[name]!
    // Data Factory finds properties in any case.
    const lower = name.toLowerCase()
    const near = Object.keys(of).find(key => key.toLowerCase() === lower)
    if (near !== undefined) return of[near]!
    if (optional) return null
    const names = Object.keys(of)
    const known = names.length > 0 ? `it has ${names.slice(0, 20).join(', ')}` : 'it has none'
    const like = didYouMean(name, names)
    throw refuse(source, at, `there is no property ${name}${like} (${known})`)
  }
  if (of === null && optional) return null
  throw refuse(source, at, `${shownValue(of)} has no property ${name}`)
}

function elementOf(of: Value, index: Value, optional: boolean, source: string, at: number): Value {
  if (of === null && optional) return null
  if (typeof index === 'string' && !Array.isArray(of)) return memberOf(of, index, optional, source, at)
  if (Array.isArray(of) && typeof index === 'bigint') {
    const found = index >= 0n ? of[Number(index)] : undefined
    if (found !== undefined) return found
    if (optional) return null
    throw refuse(source, at, `index ${index} is outside a list of ${of.length}`)
  }
  throw refuse(source, at, `${shownValue(of)} cannot be indexed by ${shownValue(index)}`)
}
