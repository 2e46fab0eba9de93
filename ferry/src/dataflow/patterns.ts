/** What a pattern asks of a column before anything runs: its name, type, position and streams. */
import { runInNewContext } from 'node:vm'
import { escaped } from '../batch/escaped.ts'
import { FerryError } from '../errors.ts'
import { type Column, flowFault, refused } from './scope.ts'
import { parseExpression } from './script/parser.ts'
import type { Argument, Expression } from './script/tree.ts'
import { type FlowType, isNumber, nameOf } from './types.ts'

type Known = string | number | boolean | null

interface About {
  column: Column
  /** From 1. */
  position: number
  parameters: ReadonlyMap<string, { constant?: string; type: FlowType }>
}

/** True if a pattern means a column. Throws FERRY-7003, FERRY-7006. */
export function isMatched(e: Expression, about: About): boolean {
  const found = known(e, about)
  if (typeof found === 'boolean') return found
  throw flowFault(e, 'a pattern is a condition')
}

/** The name that a pattern gives a column. Throws FERRY-7003. */
export function patternName(e: Expression, about: About): string {
  // A name by itself is a name.
  if (e.kind === 'name') return e.name
  const found = known(e, about)
  if (typeof found === 'string') return found
  throw flowFault(e, 'the name of a column is a text')
}

/** The pattern of `each(match(...), ...)` and `each(patternMatch(...), ...)`, and what it does. */
export function patternOf(e: Expression): { condition: Expression; rest: Argument[] } | undefined {
  if (e.kind !== 'call' || e.name !== 'each') return undefined
  const at = e.args.findIndex(
    a => a.kind === 'value' && a.value.kind === 'call' && ['match', 'patternMatch'].includes(a.value.name),
  )
  if (at !== 0) throw refused(e, `each takes match(...) first here: patterns within structures do not run`)
  const match = (e.args[0] as Extract<Argument, { kind: 'value' }>).value as Extract<Expression, { kind: 'call' }>
  const condition = match.args.at(-1)
  if (condition?.kind !== 'value') throw flowFault(match, 'match takes a condition')
  return { condition: condition.value, rest: e.args.slice(1) }
}

function known(e: Expression, about: About): Known {
  const { column, position } = about
  const all = (args: readonly Argument[]) => args.map(a => (a.kind === 'value' ? known(a.value, about) : null))
  switch (e.kind) {
    case 'text':
      return e.quote === '"' ? filled(e, about) : e.value
    case 'number':
      return Number(e.text)
    case 'pattern':
      return column.name
    case 'name':
      if (e.name === 'name') return column.name
      if (e.name === 'type') return nameOf(column.type)
      if (e.name === 'position') return position
      if (e.name === 'stream') return column.streams[0] ?? ''
      if (e.name === 'origin') return column.origin ?? column.streams.at(-1) ?? ''
      if (e.name === 'true' || e.name === 'false') return e.name === 'true'
      throw flowFault(e, `a pattern knows name, type, position, stream and origin, and not ${e.name}`)
    case 'parameter': {
      const found = about.parameters.get(e.name)
      if (found?.constant === undefined)
        throw flowFault(e, `there is no parameter ${e.name} that is known before a run`)
      const { constant, type } = found
      return type.kind === 'boolean' ? constant === 'true' : isNumber(type) ? Number(constant) : constant
    }
    case 'unary': {
      const of = known(e.of, about)
      return e.operator === '!' ? !of : -Number(of)
    }
    case 'binary': {
      const side = [e.left, e.right].findIndex(x => x.kind === 'name' && x.name === 'stream')
      // A column is of every stream that it has come through.
      if (side >= 0 && (e.operator === '==' || e.operator === '!=')) {
        const isOf = column.streams.includes(String(known(side === 0 ? e.right : e.left, about)))
        return isOf === (e.operator === '==')
      }
      return compared(e, known(e.left, about), known(e.right, about))
    }
    case 'call': {
      const called = e.name.toLowerCase()
      const found = Object.hasOwn(CALLS, called) ? CALLS[called] : undefined
      if (found) {
        try {
          return found(all(e.args))
        } catch (error) {
          throw error instanceof FerryError ? error : flowFault(e, `${e.name}: ${(error as Error).message}`)
        }
      }
      if (e.name.toLowerCase() === 'in') {
        const [list, item] = e.args
        if (list?.kind === 'value' && list.value.kind === 'array' && item?.kind === 'value') {
          const wanted = known(item.value, about)
          return list.value.items.some(one => known(one, about) === wanted)
        }
      }
      throw refused(e, `${e.name} does not run in a pattern here`)
    }
    default:
      throw refused(e, `this does not run in a pattern here`)
  }
}

function compared(e: Extract<Expression, { kind: 'binary' }>, a: Known, b: Known): Known {
  switch (e.operator) {
    case '==':
    case '===':
      return a === b
    case '!=':
      return a !== b
    case '<=>':
      return String(a).toLowerCase() === String(b).toLowerCase()
    case '&&':
      return a === true && b === true
    case '||':
      return a === true || b === true
    case '+':
      return typeof a === 'number' && typeof b === 'number' ? a + b : `${a}${b}`
    case '-':
      return Number(a) - Number(b)
    case '%':
      return Number(a) % Number(b)
    case '<':
      return a! < b!
    case '<=':
      return a! <= b!
    case '>':
      return a! > b!
    case '>=':
      return a! >= b!
    default:
      throw refused(e, `${e.operator} does not run in a pattern here`)
  }
}

const words = (pattern: Known) =>
  new RegExp(`^${escaped(String(pattern)).replaceAll('%', '.*').replaceAll('_', '.')}$`, 's')

/** A regular expression of Java: `(?i)` at its beginning is a flag. */
function pattern(text: Known, flags = '', isWhole = false): RegExp {
  const [, own = '', rest] = /^(?:\(\?([ims]+)\))?([\s\S]*)$/.exec(String(text))!
  return new RegExp(isWhole ? `^(?:${rest})$` : rest!, flags + own)
}

const PATIENCE_MS = 500

/** A regular expression may take longer than anybody lives: it is given up. */
const inTime = <T extends Known>(code: string, given: { s: string; p: RegExp; r?: string }): T =>
  runInNewContext(code, given, { timeout: PATIENCE_MS }) as T

/** A text whose braces are filled in. */
const filled = (e: Extract<Expression, { kind: 'text' }>, about: About): string =>
  e.value.replace(/\{([^{}]+)\}/g, (_, inner: string) => String(known(parseExpression(inner), about)))

/** Kinds of types, as `typeMatch` knows them. */
const KINDS: Record<string, string[]> = {
  number: ['byte', 'short', 'integer', 'long', 'float', 'double', 'decimal'],
  integral: ['byte', 'short', 'integer', 'long'],
  fractional: ['float', 'double', 'decimal'],
  datetime: ['date', 'timestamp'],
}

const CALLS: Record<string, (args: Known[]) => Known> = {
  true: () => true,
  false: () => false,
  not: ([a]) => !a,
  and: ([a, b]) => a === true && b === true,
  or: ([a, b]) => a === true || b === true,
  equals: ([a, b]) => a === b,
  notequals: ([a, b]) => a !== b,
  upper: ([s]) => String(s).toUpperCase(),
  lower: ([s]) => String(s).toLowerCase(),
  trim: ([s, letters]) => {
    if (letters === undefined) return String(s).trim()
    const any = `[${String(letters).replace(/[\]\\^-]/g, '\\$&')}]+`
    return String(s).replace(new RegExp(`^${any}|${any}$`, 'g'), '')
  },
  length: ([s]) => String(s).length,
  concat: all => all.join(''),
  startswith: ([s, t]) => String(s).startsWith(String(t)),
  endswith: ([s, t]) => String(s).endsWith(String(t)),
  instr: ([s, t]) => String(s).indexOf(String(t)) + 1,
  left: ([s, n]) => String(s).slice(0, Number(n)),
  right: ([s, n]) => String(s).slice(-Number(n)),
  substring: ([s, from, n]) =>
    String(s).substring(Number(from) - 1, n === undefined ? undefined : Number(from) - 1 + Number(n)),
  replace: ([s, a, b]) => String(s).replaceAll(String(a), String(b ?? '')),
  regexreplace: ([s, p, r]) => inTime('s.replace(p, r)', { s: String(s), p: pattern(p!, 'g'), r: String(r) }),
  regexmatch: ([s, p]) => inTime('p.test(s)', { s: String(s), p: pattern(p!, '', true) }),
  rlike: ([s, p]) => inTime('p.test(s)', { s: String(s), p: pattern(p!) }),
  like: ([s, p]) => inTime('p.test(s)', { s: String(s), p: words(p!) }),
  initcap: ([s]) =>
    String(s)
      .toLowerCase()
      .replace(/(^|\s)\S/g, c => c.toUpperCase()),
  typematch: ([type, of]) => type === of || (KINDS[String(of)]?.includes(String(type)) ?? false),
}
