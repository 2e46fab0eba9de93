/** Requests and answers, as the handlers of all resources see them. */
import { badRequest } from './errors.ts'
import { type JsonObject, parseObject } from './json.ts'

export interface Request {
  method: string
  /** Path segments, decoded. */
  path: string[]
  headers: Record<string, string | undefined>
  body: string
}

export interface Response {
  status: number
  headers: Record<string, string>
  body: string
}

/** What a handler gives: the body as text, and what the headers say. */
export interface Answer {
  status?: number
  body?: string
  charge?: number
  etag?: string
  headers?: Record<string, string | undefined>
}

/** Percent-decoded text; undefined where its escapes are not well formed. */
export function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

/** Whether a POST asks instead of creating: clients say so in a header, in another one, or by the content type alone. */
export function isQuery({ method, headers }: Request): boolean {
  if (method !== 'POST') return false
  const isTrue = (name: string) => headers[name]?.toLowerCase() === 'true'
  return (
    isTrue('x-ms-documentdb-isquery') ||
    isTrue('x-ms-documentdb-query') ||
    /^application\/query\+json\b/i.test(headers['content-type'] ?? '')
  )
}

/** Whether the client lets a query go over several partitions; a range of keys says so too. */
export function allowsCrossPartition({ headers }: Request): boolean {
  return (
    headers['x-ms-documentdb-query-enablecrosspartition']?.toLowerCase() === 'true' ||
    headers['x-ms-start-epk'] !== undefined
  )
}

/** Whether a POST asks for the plan of a query. */
export function isPlanRequest({ headers }: Request): boolean {
  return headers['x-ms-cosmos-is-query-plan-request']?.toLowerCase() === 'true'
}

/** A query's text and the values of its parameters. Throws 400. */
export function readQuery(body: string): { query: string; parameters: JsonObject } {
  const { query, parameters } = parseObject(body)
  if (typeof query !== 'string') throw badRequest('The query is missing')
  const given = (parameters ?? []) as { name: string; value: JsonObject }[]
  return { query, parameters: Object.fromEntries(given.map(p => [p.name, p.value])) }
}

const DEFAULT_PAGE = 100

/** How many entries a page holds, as a client asks for it; -1: as many as the service likes. */
export function pageSize(header: string | undefined): number {
  const size = Number(header ?? DEFAULT_PAGE)
  return size === -1 || !Number.isFinite(size) ? 1000 : Math.max(1, Math.min(size, 10_000))
}
