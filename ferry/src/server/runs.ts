/** Runs: lists with filters, one run with its tables and skipped rows, control. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import type { ServerScouts } from '../facades/looks.ts'
import { readJob } from '../job/kept.ts'
import { resumeRun, wishForRun } from '../runtime/control.ts'
import type { Dispatcher } from '../runtime/dispatcher.ts'
import { describeRun, listRuns } from '../runtime/overview.ts'
import { runDetailSchema, runSchema, runStateSchema, skippedSchema, tableSchema } from '../runtime/schemas.ts'
import { compactJob, describeTables, runView } from '../runtime/views.ts'
import type { State } from '../state/database.ts'
import { countStates, findRun } from '../state/runs.ts'
import { countSkipped, firstSkipped } from '../state/skipped.ts'
import { databaseNow } from '../state/time.ts'
import { askerOf, callerOf } from './asker.ts'
import { yamlOf } from './jobs.ts'

const idParams = z.object({ id: z.string().max(100).describe("A run's id, or a job's name: its newest run") })

export const runRoutes: FastifyPluginAsyncZod<{ state: State; dispatcher: Dispatcher; scouts: ServerScouts }> = async (
  app,
  { state, dispatcher, scouts },
) => {
  const { db } = state

  app.route({
    method: 'GET',
    url: '/runs',
    config: { role: 'viewer' },
    schema: {
      tags: ['runs'],
      summary: 'Runs, newest first',
      querystring: z.strictObject({
        job: z.string().max(200).optional(),
        search: z.string().max(200).optional().describe("A part of the job's name"),
        state: z
          .string()
          .max(200)
          .transform(text => text.split(','))
          .pipe(z.array(runStateSchema))
          .optional()
          .describe('One or several, separated by commas'),
        invokedBy: z.string().max(200).optional().describe('`manual`, `schedule`, `trigger`, or one by its name'),
        from: z.iso.datetime({ offset: true }).optional().describe('Created at this time or later'),
        until: z.iso.datetime({ offset: true }).optional(),
        before: z.string().max(100).optional().describe('Runs older than this one: the next page'),
        limit: z.coerce.number().int().min(1).max(500).default(50),
      }),
      response: { 200: z.object({ runs: z.array(runSchema) }) },
    },
    handler: async request => ({ runs: await listRuns(db, request.query) }),
  })

  app.route({
    method: 'GET',
    url: '/summary',
    config: { role: 'viewer' },
    schema: {
      tags: ['runs'],
      summary: 'How many runs are in which state',
      response: { 200: z.object({ states: z.record(z.string(), z.number()), jobs: z.number() }) },
    },
    handler: async () => {
      const { jobs } = await db
        .selectFrom('job')
        .select(eb => eb.fn.countAll<number>().as('jobs'))
        .executeTakeFirstOrThrow()
      return { states: await countStates(db), jobs: Number(jobs) }
    },
  })

  app.route({
    method: 'GET',
    url: '/runs/:id',
    config: { role: 'viewer' },
    schema: { tags: ['runs'], summary: 'One run', params: idParams, response: { 200: runDetailSchema } },
    handler: async request => describeRun(db, request.params.id),
  })

  app.route({
    method: 'GET',
    url: '/runs/:id/yaml',
    config: { role: 'viewer' },
    schema: {
      tags: ['runs'],
      summary: 'The job of a run as it was when the run began, as a job file',
      params: idParams,
      response: { 200: z.string() },
    },
    handler: async (request, reply) => {
      const { definition } = await findRun(db, request.params.id)
      const yaml = await yamlOf(compactJob(readJob(definition)), scouts, askerOf(reply))
      return reply.type('application/yaml').serializer(String).send(yaml)
    },
  })

  app.route({
    method: 'GET',
    url: '/runs/:id/tables',
    config: { role: 'viewer' },
    schema: {
      tags: ['runs'],
      summary: 'The tables of a run',
      params: idParams,
      response: { 200: z.object({ run: runSchema, tables: z.array(tableSchema) }) },
    },
    handler: async request => {
      const run = await findRun(db, request.params.id)
      const now = await databaseNow(db)
      const view = runView(run, now)
      return { run: view, tables: await describeTables(db, run.id, view.executing, now) }
    },
  })

  app.route({
    method: 'GET',
    url: '/runs/:id/errors',
    config: { role: 'operator' },
    schema: {
      tags: ['runs'],
      summary: 'Rows that were skipped',
      params: idParams,
      querystring: z.strictObject({
        table: z
          .string()
          .regex(/^\d{1,9}$/, 'a whole number')
          .transform(Number)
          .optional()
          .describe('The ordinal of a table'),
        limit: z.coerce.number().int().min(1).max(1000).default(100),
      }),
      response: {
        200: skippedSchema,
      },
    },
    handler: async request => {
      const run = await findRun(db, request.params.id)
      const tables = await db
        .selectFrom('run_table')
        .select('ordinal')
        .where('run', '=', run.id)
        .where('rows_skipped', '>', 0)
        .orderBy('ordinal')
        .execute()
      const { table: only, limit } = request.query
      const ordinals = tables.map(t => t.ordinal).filter(o => only === undefined || o === only)
      const rows = await firstSkipped(db, run.id, { ordinals, limit })
      return {
        total: await countSkipped(db, run.id, ordinals),
        rows: rows.map(({ table, reason, ...row }) => ({ table, reason, row })),
      }
    },
  })

  for (const wish of ['pause', 'cancel', 'complete'] as const) {
    app.route({
      method: 'POST',
      url: `/runs/:id/${wish}`,
      config: { role: 'operator' },
      schema: {
        tags: ['runs'],
        summary: {
          pause: 'Stops a run so that it can go on later',
          cancel: 'Stops a run for good and removes what it has not published',
          complete: 'Ends an online copy with what its source holds now',
        }[wish],
        params: idParams,
        response: { 202: runSchema },
      },
      handler: async (request, reply) => {
        const row = await wishForRun(state, request.params.id, wish, ({ id }) =>
          scouts.ask('discard', { run: id }, callerOf(reply)),
        )
        dispatcher.look()
        return reply.code(202).send(runView(row, await databaseNow(db)))
      },
    })
  }

  app.route({
    method: 'POST',
    url: '/runs/:id/resume',
    config: { role: 'operator' },
    schema: {
      tags: ['runs'],
      summary: 'Lets a paused or failed run go on',
      params: idParams,
      response: { 202: runSchema },
    },
    handler: async (request, reply) => {
      const row = await resumeRun(state, request.params.id)
      dispatcher.look()
      return reply.code(202).send(runView(row, await databaseNow(db)))
    },
  })

  app.route({
    method: 'POST',
    url: '/runs/:id/retry',
    config: { role: 'operator' },
    schema: {
      tags: ['runs'],
      summary: 'Copies the skipped rows of a run again',
      params: idParams,
      response: {
        200: z.object({
          run: z.string(),
          tables: z.array(z.object({ table: z.string(), tried: z.number(), copied: z.number(), left: z.number() })),
        }),
      },
    },
    handler: async (request, reply) => scouts.ask('retry', { run: request.params.id }, callerOf(reply)),
  })
}
