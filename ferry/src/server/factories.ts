/** Factories of Data Factory: kept, checked, their pipelines and triggers. */
import { randomBytes } from 'node:crypto'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { FerryError } from '../errors.ts'
import { type FactorySource, sourceSchema } from '../facades/datafactory/source.ts'
import {
  dataFlowViewSchema,
  factorySchema,
  flowRowsSchema,
  type KeptFactory,
  keptFactorySchema,
  pipelineRunSchema,
  pipelineViewSchema,
} from '../facades/datafactory/views.ts'
import type { ServerScouts } from '../facades/looks.ts'
import { parseValue, printValue, type ValueObject } from '../pipelines/expressions/values.ts'
import type { State } from '../state/database.ts'
import { findFactory, listFactories, removeFactory, saveFactory } from '../state/factories.ts'
import { openRuns } from '../state/pipelines.ts'
import type { FactoryRow } from '../state/schema.ts'
import { forgetHookSecrets, keepHookSecret } from '../state/secrets.ts'
import { stopTrigger } from '../state/triggers.ts'
import { askerOf } from './asker.ts'
import type { FactoryWorkers } from './factoryworkers.ts'
import { gridEventsOf } from './gridevents.ts'
import { hookHeaders, hookOf, hookQuery } from './hooks.ts'
import { discreetRun } from './pipelineruns.ts'

const name = z.string().min(1).max(260)
const ofFactory = z.object({ name })
const ofPipeline = z.object({ name, pipeline: name })
const ofFlow = z.object({ name, dataflow: name })
const ofTrigger = z.object({ name, trigger: name })

export const factoryRoutes: FastifyPluginAsyncZod<{
  state: State
  scouts: ServerScouts
  workers: FactoryWorkers
}> = async (app, { state, scouts, workers }) => {
  const { db } = state

  app.route({
    method: 'GET',
    url: '/factories',
    config: { role: 'viewer' },
    schema: { tags: ['factories'], summary: 'Factories that are kept', response: { 200: z.array(keptFactorySchema) } },
    handler: async () => (await listFactories(db)).map(kept),
  })

  app.route({
    method: 'POST',
    url: '/factories',
    config: { role: 'admin' },
    schema: {
      tags: ['factories'],
      summary: 'Keeps a factory: new, or with `replace` in place of the one with its name',
      querystring: z.strictObject({ replace: z.stringbool().default(false) }),
      body: sourceSchema,
      response: { 200: keptFactorySchema },
    },
    handler: async (request, reply) => {
      const { name, source } = await scouts.ask('openFactory', { source: request.body }, askerOf(reply))
      request.object = name
      const known = (await listFactories(db)).some(f => f.name === name)
      if (known && !request.query.replace) {
        throw new FerryError('FERRY-1008', `there is a factory ${name} already`, {
          hint: 'Give this one a name of its own; or replace that one: ?replace=true.',
        })
      }
      await saveFactory(db, name, JSON.stringify(source))
      return kept(await findFactory(db, name))
    },
  })

  app.route({
    method: 'GET',
    url: '/factories/:name',
    config: { role: 'viewer' },
    schema: {
      tags: ['factories'],
      summary: 'A factory as it is now: its artifacts with what runs here and why not, its pipelines and triggers',
      params: ofFactory,
      response: { 200: factorySchema },
    },
    handler: async (request, reply) => {
      const { added_at } = await findFactory(db, request.params.name)
      const found = await scouts.ask('factory', { name: request.params.name }, askerOf(reply))
      // What came of a trigger names files and values.
      const isViewer = request.caller?.role === 'viewer'
      const triggers = isViewer ? found.triggers.map(t => ({ ...t, outcome: '' })) : found.triggers
      return { ...found, triggers, addedAt: added_at }
    },
  })

  app.route({
    method: 'DELETE',
    url: '/factories/:name',
    config: { role: 'admin' },
    schema: {
      tags: ['factories'],
      summary: 'Removes a factory and stops its triggers; its files and its runs stay',
      params: ofFactory,
      response: { 204: z.null() },
    },
    handler: async (request, reply) => {
      const { name } = request.params
      await findFactory(db, name)
      const open = await openRuns(db, name)
      if (open.length > 0) {
        const some = open.slice(0, 3).map(r => r.id)
        throw new FerryError('FERRY-1009', `${open.length} runs of ${name} are not at their end: ${some.join(', ')}`, {
          hint: 'Cancel them first.',
        })
      }
      await removeFactory(db, name)
      await forgetHookSecrets(db, hookOwner(name), [])
      return reply.code(204).send(null)
    },
  })

  app.route({
    method: 'GET',
    url: '/factories/:name/pipelines/:pipeline',
    config: { role: 'viewer' },
    schema: {
      tags: ['factories'],
      summary: 'A pipeline: its parameters, and its activities as a graph',
      params: ofPipeline,
      response: { 200: pipelineViewSchema },
    },
    handler: async (request, reply) => {
      const { name: factory, pipeline } = request.params
      return scouts.ask('pipeline', { factory, pipeline }, askerOf(reply))
    },
  })

  app.route({
    method: 'GET',
    url: '/factories/:name/dataflows/:dataflow',
    config: { role: 'viewer' },
    schema: {
      tags: ['factories'],
      summary: 'A mapping data flow: its streams as a graph, with the columns and the SQL of each',
      params: ofFlow,
      response: { 200: dataFlowViewSchema },
    },
    handler: async (request, reply) => {
      const { name: factory, dataflow } = request.params
      return scouts.ask('dataflow', { factory, dataflow }, askerOf(reply))
    },
  })

  app.route({
    method: 'POST',
    url: '/factories/:name/dataflows/:dataflow/rows',
    config: { role: 'operator' },
    schema: {
      tags: ['factories'],
      summary: 'The first rows of a stream, worked out of the first rows of its sources; nothing is written',
      params: ofFlow,
      body: z.strictObject({
        stream: name,
        parameters: z
          .array(z.string().max(10_000))
          .max(1000)
          .default([])
          .describe('`NAME=VALUE` of the flow, `STREAM.NAME=VALUE` of the dataset of a source or a sink'),
      }),
      response: { 200: flowRowsSchema },
    },
    handler: async (request, reply) => {
      const { name: factory, dataflow } = request.params
      return scouts.ask('flowRows', { factory, dataflow, ...request.body }, askerOf(reply))
    },
  })

  app.route({
    method: 'POST',
    url: '/factories/:name/pipelines/:pipeline/runs',
    config: { role: 'operator', keepsText: true },
    schema: {
      tags: ['factories'],
      summary: 'Runs a pipeline',
      params: ofPipeline,
      body: z.strictObject({ parameters: z.record(z.string().max(260), z.unknown()).optional() }).nullish(),
      response: { 202: pipelineRunSchema },
    },
    handler: async (request, reply) => {
      const { name: factory, pipeline } = request.params
      const { parameters = {} } = (parseValue(request.text ?? '{}') ?? {}) as { parameters?: ValueObject }
      const asked = printValue(parameters)
      const run = await scouts.ask('runPipeline', { factory, pipeline, parameters: asked }, askerOf(reply))
      workers.look()
      return reply.code(202).send(discreetRun(run, request.caller?.role))
    },
  })

  app.route({
    method: 'POST',
    url: '/factories/:name/triggers/:trigger/start',
    config: { role: 'operator' },
    schema: {
      tags: ['factories'],
      summary: 'Starts a trigger',
      params: ofTrigger,
      response: { 204: z.null() },
    },
    handler: async (request, reply) => {
      const { name: factory, trigger } = request.params
      await scouts.ask('startTrigger', { factory, trigger }, askerOf(reply))
      workers.look()
      return reply.code(204).send(null)
    },
  })

  app.route({
    method: 'POST',
    url: '/factories/:name/triggers/:trigger/stop',
    config: { role: 'operator' },
    schema: {
      tags: ['factories'],
      summary: 'Stops a trigger, in any case of its name; false where it was not started',
      params: ofTrigger,
      response: { 200: z.object({ stopped: z.boolean() }) },
    },
    handler: async request => {
      const { name: factory, trigger } = request.params
      await findFactory(db, factory)
      return { stopped: await stopTrigger(db, factory, trigger) }
    },
  })

  app.route({
    method: 'POST',
    url: '/factories/:name/triggers/:trigger/secret',
    config: { role: 'admin' },
    schema: {
      tags: ['factories'],
      summary: 'Makes the secret of a trigger by events; the one before is no longer valid',
      params: ofTrigger,
      response: { 200: z.object({ secret: z.string(), address: z.string() }) },
    },
    handler: async (request, reply) => {
      const { name: factory } = request.params
      const trigger = await scouts.ask('triggerName', { factory, trigger: request.params.trigger }, askerOf(reply))
      const secret = randomBytes(32).toString('base64url')
      await keepHookSecret(state, hookOwner(factory), trigger, secret)
      const address = `/api/v1/factories/${encodeURIComponent(factory)}/triggers/${encodeURIComponent(trigger)}/events`
      return { secret, address }
    },
  })

  const { requireSecret, ...hooked } = hookOf(state, hookOwner)
  const hook = {
    url: '/factories/:name/triggers/:trigger/events',
    ...hooked,
    config: { ...hooked.config, keepsText: true },
  }
  const callSchema = {
    tags: ['factories'],
    params: ofTrigger,
    querystring: hookQuery,
    headers: hookHeaders.extend({ 'webhook-request-origin': z.string().max(500).optional() }),
  }

  app.route({
    ...hook,
    method: 'POST',
    schema: {
      ...callSchema,
      summary:
        'Takes events as Azure Event Grid sends them; with the secret as a bearer token, a password, or in the address',
      body: z.unknown(),
      response: {
        200: z.object({ validationResponse: z.string() }).describe('To Event Grid, which asks whether it is meant'),
        202: z.object({ runs: z.array(z.string()) }),
      },
    },
    handler: async (request, reply) => {
      await requireSecret(request)
      const told = gridEventsOf(request.text ?? '')
      if (!told) throw new FerryError('FERRY-6003', 'that are no events of Azure Event Grid')
      if ('validation' in told) return { validationResponse: told.validation }
      const { name: factory, trigger } = request.params
      const asked = { factory, trigger, events: told.events }
      const runs = await scouts.ask('events', asked, { by: `hook ${factory}/${trigger}` }).catch(error => {
        // Who has the secret of a trigger sees no files of the server.
        if (!(error instanceof FerryError) || !error.code.startsWith('FERRY-7')) throw error
        request.log.error({ factory, trigger, code: error.code }, error.message)
        throw new FerryError(
          error.code,
          `trigger ${trigger} of ${factory} cannot fire: the log of the server tells why`,
        )
      })
      if (runs.length > 0) workers.look()
      return reply.code(202).send({ runs })
    },
  })

  // How an event in the form of CloudEvents asks whether an address is meant.
  app.route({
    ...hook,
    method: 'OPTIONS',
    schema: { ...callSchema, hide: true },
    handler: async (request, reply) => {
      await requireSecret(request)
      const origin = request.headers['webhook-request-origin']
      if (origin !== undefined) reply.headers({ 'webhook-allowed-origin': origin, 'webhook-allowed-rate': '*' })
      return reply.code(200).send()
    },
  })
}

/** Under what the secrets of a factory's triggers are kept: no job has such a name. */
const hookOwner = (factory: string) => `factory:${factory}`

function kept({ name, source, added_at }: FactoryRow): KeptFactory {
  return { name, source: sourceSchema.parse(JSON.parse(source)) satisfies FactorySource, addedAt: added_at }
}
