/** Reading a job file: YAML or JSON, variables put in, every fault with its line and the nearest known word. */

import { readFileSync } from 'node:fs'
import { type Document, isNode, isScalar, LineCounter, parseDocument, visit } from 'yaml'
import type { z } from 'zod'
import { type Fault, FerryError, nearest } from '../errors.ts'
import { closestOf, isOfItself, toldFaults, withoutEchoes } from '../faults.ts'
import type { Policy } from '../policy.ts'
import { faultsOf, type KindAt, requireNoFaults } from './check.ts'
import { type CopyJob, jobSchema } from './schema.ts'

/** Reads and checks a job file. Throws FERRY-1001 to FERRY-1004. */
export function readJobFile(path: string, policy: Policy): CopyJob {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw new FerryError('FERRY-1001', `${path}: ${(error as Error).message}`, { cause: error })
  }
  return parseJob(text, path, policy)
}

/**
 * Checks the text of a job. `${NAME}` is replaced everywhere but in source and destination: these may hold secrets, and
 * the state stores a job as it is returned here. The options of stores are checked if `kindAt` knows their kinds.
 */
export function parseJob(text: string, path: string, policy: Policy, kindAt?: KindAt): CopyJob {
  const lines = new LineCounter()
  // Duplicate keys are found below: the parser would compare each with all others.
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: false })
  const fault = document.errors[0] ?? keyTwice(document)
  if (fault) {
    const { line, col } = lines.linePos(fault.pos[0])
    const reference = /\$\{\w+\}/.test(text.split('\n')[line - 1] ?? '')
    const said = /call stack/.test(fault.message) ? 'values lie too deep within one another' : fault.message
    const advice = reference ? '; inside { } and [ ], "${NAME}" needs quotes' : ''
    throw new FerryError('FERRY-1002', `${path}:${line}:${col}: ${said}${advice}`)
  }
  const written = valueOf(document, path)
  const filled = fillIn(written, policy)
  const first = jobSchema.safeParse(filled)
  const result = first.success ? first : jobSchema.safeParse(readAsScalars(filled, written, first.error.issues))
  const faults = [
    ...(result.success ? [] : placed(result.error.issues)),
    ...faultsOf(filled, kindAt).map(f => ({ ...f, at: stepsOf(f.path) })),
  ].slice(0, MOST_TOLD)
  if (result.success && faults.length === 0) return result.data
  const messages = faults.map(f => `${path}:${lineOf(document, lines, f.at)}: ${toldFaults([f])}`)
  throw new FerryError('FERRY-1003', [...new Set(messages)].join('\n'), {
    faults: faults.map(f => ({ path: f.path, message: f.message })),
  })
}

/** A fault whose place is known step by step. */
interface PlacedFault extends Fault {
  at: PropertyKey[]
}

const stepsOf = (path: string) => path.split('.').map(step => (/^\d+$/.test(step) ? Number(step) : step))

/** The first key that occurs twice in its map, by the parser's own errors. */
function keyTwice(document: Document): { message: string; pos: [number, number] } | undefined {
  let found: { message: string; pos: [number, number] } | undefined
  visit(document, {
    Map(_, map) {
      const seen = new Set<string>()
      for (const { key } of map.items) {
        const name = String(isScalar(key) ? key.value : key)
        if (seen.has(name)) {
          const at = (isNode(key) && key.range?.[0]) || 0
          found = { message: `the key ${JSON.stringify(name.slice(0, 100))} stands twice`, pos: [at, at] }
          return visit.BREAK
        }
        seen.add(name)
      }
      return undefined
    },
  })
  return found
}

/** Throws FERRY-1002 for a text whose aliases would make it grow without end, or that lies too deep within itself. */
function valueOf(document: Document, path: string): unknown {
  let value: unknown
  try {
    value = document.toJS()
  } catch (error) {
    throw new FerryError('FERRY-1002', `${path}: ${(error as Error).message}`, { cause: error })
  }
  if (isDeeper(value, MOST_DEPTH)) {
    throw new FerryError('FERRY-1002', `${path}: values lie more than ${MOST_DEPTH} deep within one another`)
  }
  return value
}

/** How deep lists and maps may be within one another; an alias of what holds it has no end. */
export const MOST_DEPTH = 100

function isDeeper(value: unknown, levels: number): boolean {
  if (value === null || typeof value !== 'object') return false
  return levels === 0 || Object.values(value).some(v => isDeeper(v, levels - 1))
}

function fillIn(job: unknown, policy: Policy): unknown {
  if (job === null || typeof job !== 'object' || Array.isArray(job)) return job
  return Object.fromEntries(
    Object.entries(job).map(([k, v]) => [k, k === 'source' || k === 'destination' ? v : withVariables(v, policy)]),
  )
}

/** A value that is one `${NAME}` alone is a number or a boolean where the schema wants one. */
function readAsScalars(filled: unknown, written: unknown, issues: z.core.$ZodIssue[]): unknown {
  const again = structuredClone(filled)
  for (const { path, code } of issues.flatMap(deepest)) {
    const at = (root: unknown, steps: PropertyKey[]) =>
      steps.reduce<unknown>((node, step) => (node as Record<PropertyKey, unknown> | undefined)?.[step], root)
    const key = path.at(-1)
    const before = at(written, path)
    if (code !== 'invalid_type' || key === undefined || typeof before !== 'string') continue
    if (!/^\$\{\w+\}$/.test(before)) continue
    const parent = at(again, path.slice(0, -1)) as Record<PropertyKey, unknown>
    parent[key] = parseDocument(String(at(filled, path))).toJS()
  }
  return again
}

/** The most faults that one error names. */
const MOST_TOLD = 20

function placed(issues: z.core.$ZodIssue[]): PlacedFault[] {
  const faults: PlacedFault[] = []
  for (const issue of withoutEchoes(issues.slice(0, MOST_TOLD).flatMap(deepest)).slice(0, MOST_TOLD)) {
    if (issue.code === 'unrecognized_keys') {
      for (const key of issue.keys.slice(0, MOST_TOLD)) {
        const known = knownKeys(issue.path)
        const near = nearest(key, known)
        const advice = near ? `did you mean "${near}"?` : `there are ${known.join(', ')}`
        const at = [...issue.path, key]
        faults.push({ at, path: at.join('.'), message: `is unknown: ${advice}` })
      }
    } else faults.push({ at: issue.path, path: issue.path.join('.'), message: issue.message })
  }
  return faults
}

/** Of a union the branch that came closest speaks: the one that got past the value's own kind. */
function deepest(issue: z.core.$ZodIssue): z.core.$ZodIssue[] {
  if (issue.code !== 'invalid_union' || issue.errors.length === 0 || isOfItself(issue.errors)) return [issue]
  return closestOf(issue.errors).flatMap(inner =>
    deepest({ ...inner, path: [...issue.path, ...inner.path] } as z.core.$ZodIssue),
  )
}

function lineOf(document: Document, lines: LineCounter, path: PropertyKey[]): number {
  for (let length = path.length; length > 0; length--) {
    const parent = document.getIn(path.slice(0, length - 1), true)
    const items = (parent as { items?: { key?: unknown }[] } | undefined)?.items
    const key = path[length - 1]
    const pair = items?.find(p => isNode(p.key) && 'value' in p.key && p.key.value === key)
    const node = pair?.key ?? document.getIn(path.slice(0, length), true)
    if (isNode(node) && node.range) return lines.linePos(node.range[0]).line
  }
  return 1
}

/** The keys that the schema knows at a path. */
function knownKeys(path: PropertyKey[]): string[] {
  let schema: unknown = jobSchema
  for (const step of path) schema = stepInto(schema, step)
  return shapesOf(schema).flatMap(Object.keys)
}

interface AnySchema {
  def: {
    type: string
    innerType?: AnySchema
    element?: AnySchema
    valueType?: AnySchema
    options?: AnySchema[]
    shape?: Record<string, AnySchema>
  }
}

function unwrap(schema: AnySchema): AnySchema {
  return schema.def.innerType ? unwrap(schema.def.innerType) : schema
}

function stepInto(schema: unknown, step: PropertyKey): unknown {
  const options = branches(schema)
  for (const option of options) {
    if (option.def.element && typeof step === 'number') return option.def.element
    if (option.def.valueType) return option.def.valueType
    const next = option.def.shape?.[String(step)]
    if (next) return next
  }
  return undefined
}

function branches(schema: unknown): AnySchema[] {
  if (!schema) return []
  const bare = unwrap(schema as AnySchema)
  return bare.def.options ? bare.def.options.flatMap(branches) : [bare]
}

function shapesOf(schema: unknown): Record<string, AnySchema>[] {
  return branches(schema).flatMap(s => (s.def.shape ? [s.def.shape] : []))
}

/** A job that was put together from words of the command line. Throws FERRY-1003 with each word that is wrong. */
export function checkJob(value: unknown): CopyJob {
  const result = jobSchema.safeParse(value)
  if (!result.success) {
    const faults = result.error.issues.flatMap(deepest).map(i => ({ path: i.path.join('.'), message: i.message }))
    throw new FerryError('FERRY-1003', toldFaults(faults), { faults })
  }
  requireNoFaults(result.data)
  return result.data
}

/** A variables file: a flat YAML or JSON map of names to values. */
export function readVariables(path: string): Record<string, string> {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw new FerryError('FERRY-1001', `${path}: ${(error as Error).message}`, { cause: error })
  }
  const document = parseDocument(text)
  const values: unknown = document.errors.length > 0 ? undefined : document.toJS()
  if (values === null || typeof values !== 'object' || Array.isArray(values)) {
    throw new FerryError('FERRY-1002', `${path}: a variables file is a map of NAME: value`)
  }
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, String(value)]))
}

/** A value with `${NAME}` replaced in every text; `$${` stays `${`. Throws FERRY-1004 naming the variable. */
export function withVariables<T>(value: T, policy: Policy): T {
  if (typeof value === 'string') {
    return value.replace(/\$?\$\{([A-Za-z_][A-Za-z0-9_]*)\}/g, (whole, name: string) => {
      if (whole.startsWith('$$')) return whole.slice(1)
      const found = policy.valueOf(name)
      if (found === undefined) {
        const hint = `Its operator lets a server take it: ferry serve --variable ${name}.`
        throw new FerryError('FERRY-1004', `\${${name}} has no value`, policy.isLimited ? { hint } : {})
      }
      return found
    }) as T
  }
  if (Array.isArray(value)) return value.map(item => withVariables(item, policy)) as T
  if (value !== null && typeof value === 'object') {
    const entries = Object.entries(value).map(([k, v]) => [k, withVariables(v, policy)])
    return Object.fromEntries(entries) as T
  }
  return value
}
