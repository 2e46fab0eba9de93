/** Random requests, made from the API's description of itself. */
import fc from 'fast-check'
import type { OpenApi, Operation } from './openapi.ts'

/** What nobody expects. */
const hostile = fc.constantFrom<unknown>(
  '',
  '\0',
  'x'.repeat(3000),
  '../../etc/passwd',
  "'; DROP TABLE run; --",
  '{{7*7}}',
  '%00',
  '\u{1f600}\ud800',
  -1,
  1e308,
  null,
  true,
  [],
  {},
  ['a'],
  '__proto__',
  'NaN',
)

/** A value that fits a schema, now and then one that does not. */
export function valueOf(schema: Record<string, unknown>, api: OpenApi): fc.Arbitrary<unknown> {
  const at = schema.$ref as string | undefined
  if (at)
    return valueOf(
      at
        .split('/')
        .slice(1)
        .reduce<Record<string, unknown>>((node, key) => node[key] as never, api as never),
      api,
    )
  const of = (all: unknown) => (all as Record<string, unknown>[]).map(s => valueOf(s, api))
  const made = () => {
    if (schema.anyOf) return fc.oneof(...of(schema.anyOf))
    if (schema.allOf)
      return fc.tuple(...of(schema.allOf)).map(all => Object.assign({}, ...all.filter(a => typeof a === 'object')))
    if (schema.enum) return fc.constantFrom(...(schema.enum as unknown[]))
    if ('const' in schema) return fc.constant(schema.const)
    if (schema.type === 'object') {
      const properties = Object.entries((schema.properties ?? {}) as Record<string, Record<string, unknown>>)
      const shape = Object.fromEntries(properties.map(([k, v]) => [k, valueOf(v, api)]))
      const more = schema.additionalProperties
        ? fc.dictionary(fc.string({ maxLength: 8 }), hostile, { maxKeys: 3 })
        : fc.constant({})
      return fc.tuple(fc.record(shape, { requiredKeys: [] }), more).map(([a, b]) => ({ ...b, ...a }))
    }
    if (schema.type === 'array') return fc.array(valueOf((schema.items ?? {}) as never, api), { maxLength: 3 })
    if (schema.type === 'integer' || schema.type === 'number') return fc.integer({ min: -10, max: 600 })
    if (schema.type === 'boolean') return fc.boolean()
    if (schema.type === 'null') return fc.constant(null)
    return fc.oneof(
      fc.string(),
      fc.constantFrom('job', 'items', 'source', 'target', 'sqlite', '06:00', '15 min', '* * * * *'),
    )
  }
  return fc.oneof({ weight: 6, arbitrary: made() }, { weight: 1, arbitrary: hostile })
}

/** A request as the description has it, or nearly. */
export interface Request {
  method: string
  /** With its query, from the root. */
  path: string
  body: unknown
}

const asText = (value: unknown) => String(value).toWellFormed()

/** Requests of one operation, whose path has one of the names that are there, or any. */
export function requestOf(
  { method, path, operation }: { method: string; path: string; operation: Operation },
  api: OpenApi,
  names: string[],
): fc.Arbitrary<Request> {
  const parameters = operation.parameters ?? []
  const schema = operation.requestBody?.content['application/json']?.schema as Record<string, unknown> | undefined
  const values = parameters.map((p): [string, fc.Arbitrary<unknown>] => [
    p.name,
    p.in === 'path'
      ? fc.oneof(fc.constantFrom(...names), fc.string({ minLength: 1, maxLength: 20 }))
      : fc.option(valueOf(p.schema as never, api), { nil: undefined }),
  ])
  return fc
    .tuple(
      fc.record<Record<string, unknown>>(Object.fromEntries(values)),
      schema ? valueOf(schema, api) : fc.constant(undefined),
    )
    .map(([given, body]) => {
      const address = path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(asText(given[name])))
      const query = parameters.filter(p => p.in === 'query' && given[p.name] !== undefined)
      const search = new URLSearchParams(query.map((p): [string, string] => [p.name, asText(given[p.name])]))
      return { method, path: `${address}?${search}`, body }
    })
    .filter(({ path }) => !/\/\.{1,2}(\/|$|\?)/.test(path))
}
