/** Messages for values that do not match a schema, in plain words: every zod schema uses them. */
import { z } from 'zod'
import { type Fault, nearest } from './errors.ts'

type Issue = z.core.$ZodRawIssue

const KINDS: Record<string, string> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'names with values',
  record: 'names with values',
  null: 'null',
}

z.config({ customError: said })

function said(issue: Issue): string | undefined {
  switch (issue.code) {
    case 'invalid_type':
      if (issue.input === undefined) return 'is missing'
      return `must be ${KINDS[issue.expected] ?? `a ${issue.expected}`}`
    case 'invalid_value':
      if (issue.input === undefined)
        return `is missing: ${issue.values.length === 1 ? '' : 'one of '}${listed(issue.values)}`
      return `must be ${issue.values.length === 1 ? '' : 'one of '}${listed(issue.values)}`
    case 'too_small':
      return bounded(issue.origin, issue.inclusive === false ? 'more than' : 'at least', issue.minimum)
    case 'too_big':
      return bounded(issue.origin, issue.inclusive === false ? 'less than' : 'at most', issue.maximum)
    case 'not_multiple_of':
      return `must be a multiple of ${issue.divisor}`
    case 'invalid_format':
      return issue.format === 'regex' ? `does not match ${issue.pattern}` : `must be a ${issue.format}`
    case 'unrecognized_keys':
      return `unknown here: ${issue.keys.slice(0, 10).join(', ')}`
    case 'invalid_key':
      return 'has a name that cannot be one'
    case 'invalid_union':
      return closest(issue.errors)
    default:
      return undefined
  }
}

function listed(values: readonly unknown[]): string {
  return values.map(String).join(', ')
}

function bounded(origin: string, than: string, bound: number | bigint | Date): string {
  if (origin === 'string')
    return bound === 1 && than === 'at least' ? 'must not be empty' : `must have ${than} ${bound} characters`
  if (origin === 'array' || origin === 'set') return `must have ${than} ${bound} ${bound === 1 ? 'entry' : 'entries'}`
  return `must be ${than} ${bound}`
}

/** What is wrong with a value of names with values, by its schema; `at` is the place of the value, empty where it is the whole. */
export function faultsIn(schema: z.ZodObject, value: Record<string, unknown>, at = ''): Fault[] {
  const result = schema.safeParse(value)
  if (result.success) return []
  const known = Object.keys(schema.shape)
  const placeOf = (path: PropertyKey[]) => [...(at === '' ? [] : [at]), ...path].join('.')
  return withoutEchoes(result.error.issues).flatMap(issue => {
    if (issue.code !== 'unrecognized_keys') return [{ path: placeOf(issue.path), message: issue.message }]
    return issue.keys.map(name => {
      const near = nearest(name, known)
      const advice = near ? `did you mean "${near}"?` : `there are ${known.join(', ')}`
      return { path: placeOf([...issue.path, name]), message: `is unknown: ${advice}` }
    })
  })
}

/** The issues without those of the size of what is of another kind anyway. */
export function withoutEchoes<T extends { code?: string | undefined; path: PropertyKey[] }>(issues: T[]): T[] {
  const otherKind = new Set(issues.filter(i => i.code === 'invalid_type').map(i => i.path.join('\n')))
  return issues.filter(i => (i.code !== 'too_small' && i.code !== 'too_big') || !otherKind.has(i.path.join('\n')))
}

/** The faults as one message, a line each. */
export function toldFaults(faults: Fault[]): string {
  return [...new Set(faults.map(f => (f.path === '' ? f.message : `${f.path}: ${f.message}`)))].join('\n')
}

/** Of several forms that a value may have, the one that it comes closest to. */
export function closestOf<T extends { code?: string | undefined; path: PropertyKey[] }>(branches: T[][]): T[] {
  const score = (branch: T[]) => (branch.some(i => i.code === 'invalid_type' && i.path.length === 0) ? 0 : 1)
  return [...branches].sort((a, b) => score(b) - score(a))[0] ?? []
}

/** True if every branch of a union rejects the value itself, and none a part of it: the message then lists all branches. */
export function isOfItself(branches: { path: PropertyKey[] }[][]): boolean {
  return branches.every(branch => branch.every(issue => issue.path.length === 0))
}

function closest(branches: z.core.$ZodIssue[][]): string | undefined {
  const best = closestOf(branches)
  if (isOfItself(branches) || best.every(i => i.path.length === 0 && i.code === 'invalid_type')) {
    const kinds = branches.flat().map(i => i.message.replace(/^must be /, ''))
    return kinds.every(k => k === 'is missing') ? 'is missing' : `must be ${[...new Set(kinds)].join(', or ')}`
  }
  return best.map(i => (i.path.length > 0 ? `${i.path.join('.')}: ${i.message}` : i.message)).join('; ')
}
