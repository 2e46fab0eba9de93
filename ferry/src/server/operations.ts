/** What operators and their tools ask: is it alive, is it ready, what does it count. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import type { State } from '../state/database.ts'
import type { Metrics } from '../telemetry/metrics.ts'

export const operationRoutes: FastifyPluginAsyncZod<{
  state: State
  metrics: Metrics
  isStopping: () => boolean
}> = async (app, { state, metrics, isStopping }) => {
  const answer = z.object({ status: z.string() })
  let last: { at: number; check: Promise<void> } | undefined
  /** Anybody may ask: the state is written to once a second at the most. */
  const checked = () => {
    if (!last || performance.now() - last.at > 1000) last = { at: performance.now(), check: state.check() }
    return last.check
  }

  app.route({
    method: 'GET',
    url: '/healthz',
    logLevel: 'warn',
    config: { role: 'public' },
    schema: { tags: ['operations'], summary: 'Whether the process is alive', response: { 200: answer } },
    handler: async () => ({ status: 'ok' }),
  })

  app.route({
    method: 'GET',
    url: '/readyz',
    logLevel: 'warn',
    config: { role: 'public' },
    schema: {
      tags: ['operations'],
      summary: 'Whether it can work: the state answers, and it is not about to end',
      response: { 200: answer, 503: answer },
    },
    handler: async (_, reply) => {
      if (isStopping()) return reply.code(503).send({ status: 'stopping' })
      try {
        await checked()
        return { status: 'ok' }
      } catch (error) {
        return reply.code(503).send({ status: `the state does not work: ${(error as Error).message}` })
      }
    },
  })

  app.route({
    method: 'GET',
    url: '/metrics',
    logLevel: 'warn',
    config: { role: 'viewer' },
    schema: { tags: ['operations'], summary: 'Metrics for Prometheus', response: { 200: z.string() } },
    handler: async (_, reply) => {
      reply.type(metrics.registry.contentType).serializer(String)
      return metrics.registry.metrics()
    },
  })
}
