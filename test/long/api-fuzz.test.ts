/** Whatever comes, the API answers with what it says that it answers. */
import { Ajv2020 } from 'ajv/dist/2020.js'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { describedBy, type Operation, operations } from '../openapi.ts'
import { requestOf } from '../requests.ts'
import { seedOf } from '../seed.ts'
import { type Answer, serverWithJob } from '../server.ts'

const seed = seedOf('API')

describe('fuzzed from its own description', () => {
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
      const schema = told!.content?.[answer.status >= 400 ? 'application/problem+json' : 'application/json']?.schema
      if (answer.status >= 400) expect(schema, what).toBeDefined()
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
      const property = fc.asyncProperty(
        requestOf({ method, path, operation }, api, known),
        async ({ path: address, body: sent }) => {
          const isJob = path === '/api/v1/jobs' || path === '/api/v1/plan'
          // A random job may name hosts of the network.
          const safe = isJob && typeof sent === 'object' && sent !== null ? { ...sent, source: 'sqlite:none.db' } : sent
          if (path.startsWith('/api/v1/connections') && ['PUT', 'POST'].includes(method) && hasHost(safe)) return
          const answer = await server.call(
            method,
            `/!${address.slice(1)}`,
            typeof safe === 'string' ? { text: safe } : safe,
          )
          await fits(answer, operation, `${method} ${address} ${JSON.stringify(safe)}`)
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
