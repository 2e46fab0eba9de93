/** Runs of pipelines: lists with filters, one run with its activities, control; answers to webhooks. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { FerryError } from '../errors.ts'
import { activitySummary, activityView, isShown, summaryOf } from '../facades/datafactory/runs.ts'
import {
  activityRunSchema,
  activitySummarySchema,
  type PipelineRunView,
  pipelineRunSchema,
  pipelineStates,
} from '../facades/datafactory/views.ts'
import type { ServerScouts } from '../facades/looks.ts'
import { answerCallback, isAwaited } from '../state/callbacks.ts'
import type { State } from '../state/database.ts'
import { activityRun, changedActivities, findPipelineRun, listPipelineRuns } from '../state/pipelines.ts'
import type { Role } from '../state/schema.ts'
import { askerOf } from './asker.ts'
import type { FactoryWorkers } from './factoryworkers.ts'

const ofRun = z.object({ id: z.string().max(100) })
const MOST_ANSWER = 4_000_000

export const pipelineRunRoutes: FastifyPluginAsyncZod<{
  state: State
  scouts: ServerScouts
  workers: FactoryWorkers
}> = async (app, { state, scouts, workers }) => {
  const { db } = state

  app.route({
    method: 'GET',
    url: '/pipelineruns',
    config: { role: 'viewer' },
    schema: {
      tags: ['pipeline runs'],
      summary: 'Runs of pipelines, newest first',
      querystring: z.strictObject({
        factory: z.string().max(260).optional(),
        pipeline: z.string().max(260).optional(),
        status: pipelineStates.optional(),
        inner: z.stringbool().default(false).describe('Also those that other pipelines have started'),
        before: z.string().max(100).optional().describe('Runs older than this one: the next page'),
        limit: z.coerce.number().int().min(1).max(500).default(50),
      }),
      response: { 200: z.object({ runs: z.array(pipelineRunSchema) }) },
    },
    handler: async request => {
      const { status, ...filter } = request.query
      const rows = await listPipelineRuns(db, { ...filter, ...(status ? { state: [status] } : {}) })
      return { runs: rows.map(row => discreetRun(summaryOf(row), request.caller?.role)) }
    },
  })

  app.route({
    method: 'GET',
    url: '/pipelineruns/:id',
    config: { role: 'viewer' },
    schema: {
      tags: ['pipeline runs'],
      summary: 'One run of a pipeline',
      params: ofRun,
      response: { 200: pipelineRunSchema },
    },
    handler: async request =>
      discreetRun(summaryOf(await findPipelineRun(db, request.params.id)), request.caller?.role),
  })

  app.route({
    method: 'GET',
    url: '/pipelineruns/:id/activities',
    config: { role: 'viewer' },
    schema: {
      tags: ['pipeline runs'],
      summary: 'The activities of a run that have changed since a place, in the order of their changes',
      params: ofRun,
      querystring: z.strictObject({
        after: z.coerce.number().int().min(0).default(0).describe('`next` of the answer before'),
        limit: z.coerce.number().int().min(1).max(2000).default(500),
      }),
      response: {
        200: z.object({
          activities: z.array(activitySummarySchema),
          next: z.number().describe('The place behind these'),
          more: z.boolean(),
        }),
      },
    },
    handler: async request => {
      const { after, limit } = request.query
      await findPipelineRun(db, request.params.id)
      const rows = await changedActivities(db, request.params.id, { after, limit })
      return {
        activities: rows.filter(isShown).map(activitySummary),
        next: Number(rows.at(-1)?.seq ?? after),
        more: rows.length === limit,
      }
    },
  })

  app.route({
    method: 'GET',
    url: '/pipelineruns/:id/activity',
    config: { role: 'operator' },
    schema: {
      tags: ['pipeline runs'],
      summary: 'One activity of a run, with what it got and gave',
      params: ofRun,
      querystring: z.strictObject({ key: z.string().min(1).max(4000) }),
      response: { 200: activityRunSchema },
    },
    handler: async request => {
      const { key } = request.query
      const row = await activityRun(db, request.params.id, key)
      if (row && isShown(row)) return activityView(row)
      throw new FerryError('FERRY-1007', `run ${request.params.id} has no activity ${key}`)
    },
  })

  app.route({
    method: 'POST',
    url: '/pipelineruns/:id/cancel',
    config: { role: 'operator' },
    schema: {
      tags: ['pipeline runs'],
      summary: 'Ends a run and its copies for good',
      params: ofRun,
      response: { 200: pipelineRunSchema },
    },
    handler: async (request, reply) => {
      const run = await scouts.ask('cancelPipeline', { run: request.params.id }, askerOf(reply))
      return discreetRun(run, request.caller?.role)
    },
  })

  app.route({
    method: 'POST',
    url: '/pipelineruns/:id/rerun',
    config: { role: 'operator' },
    schema: {
      tags: ['pipeline runs'],
      summary: 'Runs again what failed and what comes behind it, or all from one activity on',
      params: ofRun,
      body: z.strictObject({ from: z.string().min(1).max(260).optional() }).nullish(),
      response: { 202: pipelineRunSchema },
    },
    handler: async (request, reply) => {
      const run = await scouts.ask(
        'rerunPipeline',
        { run: request.params.id, from: request.body?.from },
        askerOf(reply),
      )
      workers.look()
      return reply.code(202).send(discreetRun(run, request.caller?.role))
    },
  })

  app.route({
    method: 'POST',
    url: '/callbacks/:id',
    // Its id is the secret.
    config: {
      role: 'public',
      keepsText: true,
      rateLimit: { max: 600, timeWindow: '1 minute' },
      admits: async ({ params }) => {
        const { id } = params as z.output<typeof ofRun>
        return (await isAwaited(db, id)) ? 'callback' : undefined
      },
    },
    bodyLimit: MOST_ANSWER,
    schema: {
      tags: ['pipeline runs'],
      summary: 'Answers a webhook: the activity that waits for it goes on',
      params: z.object({ id: z.string().min(20).max(100) }),
      body: z.unknown().optional(),
      response: { 200: z.object({ status: z.string() }) },
    },
    handler: async request => {
      const body = request.text ?? (typeof request.body === 'string' ? request.body : '{}')
      if (await answerCallback(db, request.params.id, body)) return { status: 'taken' }
      throw new FerryError('FERRY-1007', 'nobody waits for this answer')
    },
  })
}

/** A run for who may not look into stores: what it says of the data is left out. */
export function discreetRun(run: PipelineRunView, role: Role | undefined): PipelineRunView {
  if (role !== 'viewer') return run
  return { ...run, message: run.message === '' ? '' : 'It failed: operators see why', returnValue: null }
}
