/** Whatever comes, the API answers with what it says that it answers. */
import { Ajv2020 } from 'ajv/dist/2020.js'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { describedBy, type OpenApi, type Operation, operations } from './openapi.ts'
import { seedOf } from './seed.ts'
import { type Answer, serverWithJob } from './server.ts'

const seed = seedOf('API')

describe('fuzzed from its own description', () => {
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
  function valueOf(schema: Record<string, unknown>, api: OpenApi): fc.Arbitrary<unknown> {
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

  it('answers whatever comes, with what it says that it answers', { timeout: 300_000 }, async () => {
    const { server } = await serverWithJob()
    await server.call('POST', '/jobs/job/runs')
    await server.waitFor('job', 'completed')
    const api = await describedBy(server)
    const ajv = new Ajv2020({ strict: false, validateFormats: false })
    ajv.addSchema({ $id: 'api', components: api.components })
    const known = ['job', 'source', 'target', 'x']
    let answered = 0
    const fits = async (answer: Answer<unknown>, operation: Operation, what: string) => {
      answered++
      expect(answer.status, `${what}: ${JSON.stringify(answer.body)}`).toBeLessThan(500)
      const told = operation.responses[answer.status] ?? operation.responses[`${String(answer.status)[0]}XX`]
      expect(told, `${what} answered ${answer.status}`).toBeDefined()
      const schema = told!.content?.['application/json']?.schema
      if (!schema || answer.status === 204 || typeof answer.body === 'string') return
      const text = JSON.stringify(schema).replaceAll('"#/components/', '"api#/components/')
      const check = ajv.compile(JSON.parse(text))
      expect(
        check(answer.body),
        `${what}: ${JSON.stringify(check.errors)} ${JSON.stringify(answer.body).slice(0, 500)}`,
      ).toBe(true)
      if (answer.status >= 400) expect(answer.headers.get('content-type')).toContain('application/problem+json')
    }
    for (const { method, path, operation } of operations(api)) {
      // One never ends, one ends the session, and others reach for hosts that are not there.
      if (path === '/api/v1/events' || path === '/metrics' || path.startsWith('/api/v1/session')) continue
      const parameters = operation.parameters ?? []
      const body = operation.requestBody?.content['application/json']?.schema as Record<string, unknown> | undefined
      const property = fc.asyncProperty(
        fc.record(
          Object.fromEntries(
            parameters.map(p => [
              p.name,
              p.in === 'path'
                ? fc.oneof(fc.constantFrom(...known), fc.string({ minLength: 1, maxLength: 20 }))
                : fc.option(valueOf(p.schema as never, api), { nil: undefined }),
            ]),
          ),
        ),
        body ? valueOf(body, api) : fc.constant(undefined),
        async (values, sent) => {
          const inPath = (name: string) => encodeURIComponent(String(values[name]).toWellFormed())
          const address = path.replace(/\{(\w+)\}/g, (_, name: string) => inPath(name))
          if (/\/\.{1,2}(\/|$)/.test(address)) return
          const query = parameters.filter(p => p.in === 'query' && values[p.name] !== undefined)
          const search = new URLSearchParams(
            query.map((p): [string, string] => [p.name, String(values[p.name]).toWellFormed()]),
          )
          const isJob = path === '/api/v1/jobs' || path === '/api/v1/plan'
          // A random job may name hosts of the network.
          const safe = isJob && typeof sent === 'object' && sent !== null ? { ...sent, source: 'sqlite:none.db' } : sent
          if (path.startsWith('/api/v1/connections') && ['PUT', 'POST'].includes(method) && hasHost(safe)) return
          const answer = await server.call(
            method,
            `/!${address.slice(1)}?${search}`,
            typeof safe === 'string' ? { text: safe } : safe,
          )
          await fits(answer, operation, `${method} ${address}?${search} ${JSON.stringify(safe)}`)
        },
      )
      await fc.assert(property, { numRuns: 25, seed, endOnFailure: true })
    }
    expect(answered).toBeGreaterThan(500)
    expect((await server.call('GET', '/!healthz')).status).toBe(200)
    expect(server.log()).not.toContain('unexpected error')
  })

  function hasHost(body: unknown): boolean {
    const { kind, locator } = (body ?? {}) as Record<string, unknown>
    return ['postgres', 'mysql', 'cosmos'].includes(String(kind)) || /:\/\//.test(String(locator))
  }
})
