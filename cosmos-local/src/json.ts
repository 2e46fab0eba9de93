/** Documents as text: read for what the server must know, stored unchanged, digit for digit. */
import { badRequest } from './errors.ts'

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json }
export type JsonObject = { [name: string]: Json }

/** A number that keeps its own digits when it is written again. */
interface RawNumber {
  rawJSON: string
}

// TypeScript does not know these yet: ECMAScript's JSON.parse source text access.
const json = JSON as unknown as {
  rawJSON(text: string): RawNumber
  isRawJSON(value: unknown): value is RawNumber
  parse(text: string, reviver: (key: string, value: Json, context: { source?: string }) => unknown): unknown
}

export function parseObject(text: string): JsonObject {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw badRequest(`The input content is invalid JSON: ${(error as Error).message}`)
  }
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    throw badRequest('The input content is invalid because it is no JSON object')
  }
  return value as JsonObject
}

/** A value whose numbers keep their digits, for changing and writing it again with {@link writeExact}. */
export function parseExact(text: string): JsonObject {
  return json.parse(text, (_, value, context) =>
    typeof value === 'number' && context.source !== undefined && String(value) !== context.source
      ? json.rawJSON(context.source)
      : value,
  ) as JsonObject
}

export function writeExact(value: unknown): string {
  return JSON.stringify(value)
}

/** The number of an exactly read value, or undefined if it is none. */
export function numberOf(value: unknown): number | undefined {
  if (typeof value === 'number') return value
  return json.isRawJSON(value) ? Number(value.rawJSON) : undefined
}

const SYSTEM = ['_rid', '_self', '_etag', '_attachments', '_ts', '_lsn']

/** The document's text without the properties that the server gives. */
export function withoutSystem(text: string, parsed: JsonObject): string {
  if (!SYSTEM.some(name => name in parsed)) return text.trim()
  const exact = parseExact(text)
  for (const name of SYSTEM) delete exact[name]
  return writeExact(exact)
}

/** The value at a path such as `/address/city`, `/"odd/name"` or `/'odd/name'`. */
export function valueAt(document: JsonObject, path: string[]): Json | undefined {
  let value: Json | undefined = document
  for (const step of path) {
    if (value === null || typeof value !== 'object' || Array.isArray(value)) return undefined
    value = value[step]
  }
  return value
}

export function parsePath(path: string): string[] {
  const steps: string[] = []
  const step = /\/(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|([^/]*))/y
  while (step.lastIndex < path.length) {
    const match = step.exec(path)
    if (!match) throw badRequest(`The path ${path} is invalid`)
    const quoted = match[1] ?? match[2]
    steps.push(quoted?.replace(/\\(.)/g, '$1') ?? match[3]!)
  }
  return steps
}
