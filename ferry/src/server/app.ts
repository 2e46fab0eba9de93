/** The server: the API under /api/v1, its description under /docs, the web UI, and what operators ask. */

import cookie from '@fastify/cookie'
import helmet from '@fastify/helmet'
import rateLimit from '@fastify/rate-limit'
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import Fastify, { type FastifyBaseLogger, type FastifyInstance } from 'fastify'
import {
  jsonSchemaTransform,
  jsonSchemaTransformObject,
  validatorCompiler,
  type ZodTypeProvider,
} from 'fastify-type-provider-zod'
import manifest from '../../package.json' with { type: 'json' }
import type { ServerScouts } from '../facades/looks.ts'
import type { Policy } from '../policy.ts'
import type { Dispatcher } from '../runtime/dispatcher.ts'
import type { State } from '../state/database.ts'
import type { Log } from '../telemetry/log.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { addAuth } from './auth.ts'
import { addBounds, MOST_BODY } from './bounds.ts'
import { connectionRoutes } from './connections.ts'
import { addDiscretion } from './discreet.ts'
import { type Events, eventRoutes } from './events.ts'
import { factoryRoutes } from './factories.ts'
import type { FactoryWorkers } from './factoryworkers.ts'
import { jobRoutes } from './jobs.ts'
import { operationRoutes } from './operations.ts'
import { pipelineRunRoutes } from './pipelineruns.ts'
import { onError, problemSchema } from './problems.ts'
import { refuseUnclear } from './records.ts'
import { runRoutes } from './runs.ts'
import { scheduleRoutes } from './schedules.ts'
import { sessionRoutes } from './session.ts'
import { addUi } from './ui.ts'

/** Swagger UI styles its elements itself; nothing else of it is inline, and nothing is from elsewhere. */
const DOCS_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ')

export interface AppOptions {
  state: State
  policy: Policy
  log: Log
  dispatcher: Dispatcher
  scouts: ServerScouts
  workers: FactoryWorkers
  events: Events
  metrics: Metrics
  /** Names under which the server answers, without ports. */
  hosts: Set<string>
  /** Whether browsers come by https, through a proxy. */
  secure: boolean
  /** Whether browsers come in through a proxy. */
  behindProxy: boolean
  isStopping: () => boolean
}

export async function makeApp(options: AppOptions): Promise<FastifyInstance> {
  const { state, policy, log, dispatcher, scouts, workers, events, metrics, hosts, secure, behindProxy, isStopping } =
    options
  const app = Fastify({
    loggerInstance: log as FastifyBaseLogger,
    bodyLimit: MOST_BODY,
    routerOptions: { maxParamLength: 1000 },
    requestTimeout: 60_000,
    // A proxy on this machine names the caller.
    trustProxy: behindProxy ? 'loopback' : false,
    return503OnClosing: true,
    forceCloseConnections: true,
    // Addresses that are none.
    frameworkErrors: (error, request, reply) => onError(error, request, reply),
  }).withTypeProvider<ZodTypeProvider>()
  app.setValidatorCompiler(validatorCompiler)
  // What handlers give back is typed; a test holds it against the schemas.
  app.setSerializerCompiler(() => JSON.stringify)
  app.setErrorHandler(onError)
  // Clients say that they send JSON where they send nothing, too.
  const parseJson = app.getDefaultJsonParser('error', 'error')
  // Events of stores of objects have a type of their own.
  const json = ['application/json', 'application/cloudevents+json', 'application/cloudevents-batch+json']
  app.addContentTypeParser(json, { parseAs: 'string' }, (request, body, done) => {
    if (body === '') return done(null, undefined)
    try {
      refuseUnclear(body as string)
    } catch (error) {
      return done(error as Error)
    }
    if (request.routeOptions.config.keepsText) request.text = body as string
    return parseJson(request, body as string, done)
  })
  for (const type of ['application/yaml', 'text/yaml', 'text/plain']) {
    app.addContentTypeParser(type, { parseAs: 'string' }, (_, body, done) => done(null, body))
  }
  await app.register(helmet, {
    contentSecurityPolicy: { useDefaults: false, directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] } },
    strictTransportSecurity: secure,
    referrerPolicy: { policy: 'no-referrer' },
    crossOriginEmbedderPolicy: true,
  })
  await app.register(cookie)
  await app.register(rateLimit, { global: false })
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Ferry',
        version: manifest.version,
        description:
          'Copy jobs: connections, jobs, runs, schedules, triggers; factories of Azure Data Factory and their pipelines. Errors are problem details (RFC 9457).',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
      security: [{ token: [] }],
    },
    transform: given => {
      const made = jsonSchemaTransform(given)
      // The least role that may call; public routes need none.
      const role = given.route.config?.role ?? 'admin'
      const open = role === 'public' ? { security: [] } : {}
      return { ...made, schema: { ...made.schema, ...open, 'x-ferry-role': role } }
    },
    transformObject: document => withoutUnused(jsonSchemaTransformObject(document)),
  })
  const problem = { description: 'A problem', content: { 'application/problem+json': { schema: problemSchema } } }
  addAuth(app, state, hosts)
  addBounds(app)
  addDiscretion(app)
  app.addHook('onRoute', route => {
    // The errors that every route may answer with.
    const schema = route.schema as { response?: Record<string, unknown>; hide?: boolean } | undefined
    if (schema?.response) schema.response = { ...schema.response, '4xx': problem, '5xx': problem }
  })
  app.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url
    if (route === undefined) return
    metrics.request({ method: request.method, route, status: reply.statusCode }, reply.elapsedTime / 1000)
  })
  await app.register(operationRoutes, { state, metrics, isStopping })
  await app.register(
    async api => {
      // Nothing of it is to be found in a cache.
      api.addHook('onSend', async (_, reply) => {
        reply.header('cache-control', 'no-store')
      })
      await api.register(sessionRoutes, { state, secure })
      await api.register(connectionRoutes, { state, scouts, policy })
      await api.register(jobRoutes, { state, policy, dispatcher, scouts })
      await api.register(scheduleRoutes, { state, dispatcher })
      await api.register(runRoutes, { state, dispatcher, scouts })
      await api.register(factoryRoutes, { state, scouts, workers })
      await api.register(pipelineRunRoutes, { state, scouts, workers })
      await api.register(eventRoutes, { state, events })
    },
    { prefix: '/api/v1' },
  )
  await app.register(async docs => {
    docs.addHook('onRoute', route => {
      route.config = { ...route.config, role: 'viewer' }
    })
    await docs.register(swaggerUi, { routePrefix: '/docs', staticCSP: DOCS_POLICY, uiConfig: { docExpansion: 'list' } })
    docs.get('/api/openapi.json', { schema: { hide: true } as object }, async () => app.swagger())
  })
  await app.register(async ui => {
    ui.addHook('onRoute', route => {
      route.config = { ...route.config, role: 'public' }
    })
    await addUi(app, ui)
  })
  return app
}

/** Each schema is generated for input and for output; most are used in one of the two only. */
function withoutUnused<T extends object>(document: T): T {
  const { schemas } = (document as { components?: { schemas?: Record<string, unknown> } }).components ?? {}
  const text = JSON.stringify(document)
  for (const name of Object.keys(schemas ?? {})) {
    if (!text.includes(`"#/components/schemas/${name}"`)) delete schemas![name]
  }
  return document
}
