/** Lists of resources: all, or those that a query chooses, page by page. */
import type { JsonObject } from './json.ts'
import { type Answer, isQuery, pageSize, type Request, readQuery } from './protocol.ts'
import { compileQuery } from './query/evaluate.ts'
import { parseQuery } from './query/parse.ts'

/** Resources that a query chooses, or all. */
export function selectFrom(resources: JsonObject[], request: Request): unknown[] {
  if (!isQuery(request)) return resources
  const { query, parameters } = readQuery(request.body)
  return compileQuery(parseQuery(query), parameters)(resources.map(r => ({ names: { ROOT: r } })))
}

/** A page of a list of resources; the continuation is the place of the next one. */
export function list(name: string, rid: string, resources: unknown[], { headers }: Request): Answer {
  const from = Number(headers['x-ms-continuation'] ?? 0)
  const page = resources.slice(from, from + pageSize(headers['x-ms-max-item-count']))
  const next = from + page.length
  return {
    body: JSON.stringify({ _rid: rid, [name]: page, _count: page.length }),
    headers: {
      'x-ms-item-count': String(page.length),
      'x-ms-continuation': next < resources.length ? String(next) : undefined,
    },
  }
}
