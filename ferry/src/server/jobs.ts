/** Jobs: kept, edited, planned, run, reset; with their schedules, triggers and what their tables have come to. */
import { randomBytes } from 'node:crypto'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { stringify } from 'yaml'
import { z } from 'zod'
import { FerryError } from '../errors.ts'
import { isReference, isSecret, withoutPassword } from '../job/locator.ts'
import { parseJob } from '../job/read.ts'
import { type Schedule, scheduleSchema, triggerSchema } from '../job/schedules.ts'
import { type CopyJob, type EndpointSpec, jobSchema } from '../job/schema.ts'
import { nextTimes } from '../job/times.ts'
import { fireWebhook } from '../runtime/clock.ts'
import type { Dispatcher } from '../runtime/dispatcher.ts'
import { resetJob } from '../runtime/giveup.ts'
import { listJobs } from '../runtime/overview.ts'
import { planJob } from '../runtime/plan.ts'
import {
  jobView,
  listedJob,
  planSchema,
  scheduleView,
  timesSchema,
  totalSchema,
  triggerView,
} from '../runtime/schemas.ts'
import { compactJob } from '../runtime/views.ts'
import type { State } from '../state/database.ts'
import { createJob, deleteJob, findJob, updateJob } from '../state/jobs.ts'
import { positionsOf } from '../state/positions.ts'
import { askForRun } from '../state/queue.ts'
import { forgetSecrets, keepHookSecret, takesHookSecret } from '../state/secrets.ts'
import { totalsOf } from '../state/totals.ts'

const nameParams = z.object({ name: z.string().max(200) })
/** A job as JSON, or its text as YAML: which of them, the content type says. */
const JOB_TYPES = ['application/json', 'application/yaml']
const jobBody = z.union([z.string().min(1), z.record(z.string(), z.unknown())])
export const jobRoutes: FastifyPluginAsyncZod<{ state: State; dispatcher: Dispatcher }> = async (
  app,
  { state, dispatcher },
) => {
  const { db } = state

  app.route({
    method: 'GET',
    url: '/jobs',
    config: { role: 'viewer' },
    schema: {
      tags: ['jobs'],
      summary: 'Jobs by name, each with its newest run',
      querystring: z.object({
        search: z.string().max(200).optional(),
        after: z.string().max(200).optional().describe('Jobs behind this name'),
        limit: z.coerce.number().int().min(1).max(500).default(100),
      }),
      response: { 200: z.object({ jobs: z.array(listedJob), total: z.number() }) },
    },
    handler: async request => listJobs(db, request.query),
  })

  app.route({
    method: 'POST',
    url: '/jobs',
    config: { role: 'admin' },
    schema: {
      tags: ['jobs'],
      summary: 'Keeps a new job',
      consumes: JOB_TYPES,
      body: jobBody,
      response: { 201: jobView },
    },
    handler: async (request, reply) => {
      const job = jobOf(request.body)
      await createJob(db, job.name, JSON.stringify(job))
      return reply.code(201).send(await viewOf(job.name))
    },
  })

  const viewOf = async (name: string) => {
    const row = await findJob(db, name)
    const definition = compactJob(jobSchema.parse(JSON.parse(row.definition)))
    return { name, definition, createdAt: row.created_at, updatedAt: row.updated_at }
  }

  app.route({
    method: 'GET',
    url: '/jobs/:name',
    config: { role: 'viewer' },
    schema: { tags: ['jobs'], summary: 'One job', params: nameParams, response: { 200: jobView } },
    handler: async request => viewOf(request.params.name),
  })

  app.route({
    method: 'GET',
    url: '/jobs/:name/yaml',
    config: { role: 'viewer' },
    schema: {
      tags: ['jobs'],
      summary: 'One job as a job file',
      params: nameParams,
      response: { 200: z.string() },
    },
    handler: async (request, reply) => {
      const { definition } = await viewOf(request.params.name)
      return reply.type('application/yaml').serializer(String).send(stringify(definition))
    },
  })

  app.route({
    method: 'PUT',
    url: '/jobs/:name',
    config: { role: 'admin' },
    schema: {
      tags: ['jobs'],
      summary: 'Keeps an edited job',
      params: nameParams,
      consumes: JOB_TYPES,
      body: jobBody,
      response: { 200: jobView },
    },
    handler: async request => {
      const { name } = request.params
      const job = jobOf(request.body)
      if (job.name !== name) {
        throw new FerryError('FERRY-6003', `the job says that its name is ${job.name}: a job keeps its name`)
      }
      await updateJob(db, name, JSON.stringify(job))
      return viewOf(name)
    },
  })

  app.route({
    method: 'DELETE',
    url: '/jobs/:name',
    config: { role: 'admin' },
    schema: {
      tags: ['jobs'],
      summary: 'Removes a job with its history',
      params: nameParams,
      querystring: z.object({
        force: z
          .stringbool()
          .default(false)
          .describe('Also where the source cannot be told to forget what it keeps for the job'),
      }),
      response: { 204: z.null() },
    },
    handler: async (request, reply) => {
      const { name } = request.params
      const kept = await positionsOf(db, name)
      // A source may keep its log for the job: it is told first.
      if (kept.length > 0 && !request.query.force) await resetJob(state, name, {})
      await deleteJob(db, name)
      await forgetSecrets(db, `hook:${name}`)
      return reply.code(204).send(null)
    },
  })

  const planOf = async (job: CopyJob) => {
    const { tables, problems } = await planJob(job, state, {})
    return {
      tables: tables.map(t => ({
        from: t.from,
        to: t.to,
        update: t.write.update,
        load: t.increment?.range ?? null,
        encoding: t.increment?.isEmpty ? 'none' : t.offer.encoding,
        passedOver: t.passedOver,
        splits: t.splits,
        rows: t.rows ?? null,
        guarantee: t.guarantee,
        create: t.write.existing === undefined,
        columns: t.read.columns.map(c => ({
          from: c.from ?? null,
          to: c.name,
          fromType: c.sourceNative ?? c.sourceType.kind,
          toType: c.native || c.type.kind,
        })),
        statements: t.statements,
        notes: t.notes,
      })),
      problems: problems.map(p => ({
        code: p.error.code,
        message: p.error.message,
        hint: p.error.hint,
        table: p.table,
      })),
    }
  }

  app.route({
    method: 'POST',
    url: '/plan',
    config: { role: 'admin' },
    schema: {
      tags: ['jobs'],
      summary: 'What a job would do that is not kept',
      consumes: JOB_TYPES,
      body: jobBody,
      response: { 200: z.object({ plan: planSchema, yaml: z.string() }) },
    },
    handler: async request => {
      const job = jobOf(request.body)
      return { plan: await planOf(job), yaml: stringify(compactJob(job)) }
    },
  })

  app.route({
    method: 'POST',
    url: '/jobs/:name/plan',
    config: { role: 'operator' },
    schema: {
      tags: ['jobs'],
      summary: 'What the next run would do; nothing is changed',
      params: nameParams,
      response: { 200: planSchema },
    },
    handler: async request => planOf(jobSchema.parse(JSON.parse((await findJob(db, request.params.name)).definition))),
  })

  app.route({
    method: 'POST',
    url: '/jobs/:name/runs',
    config: { role: 'operator' },
    schema: {
      tags: ['jobs', 'runs'],
      summary: 'Runs the job now; an unfinished run goes on',
      params: nameParams,
      body: z
        .object({
          fullRefresh: z.boolean().default(false).describe('Everything is copied again'),
          tables: z.array(z.string().max(1000)).max(10_000).default([]).describe('Only these source objects'),
        })
        .nullish(),
      response: { 202: z.object({ run: z.string(), outcome: z.enum(['queued', 'resumed']) }) },
    },
    handler: async (request, reply) => {
      const { fullRefresh = false, tables = [] } = request.body ?? {}
      const asking = { by: 'manual', overlap: 'skip', fresh: fullRefresh, only: tables } as const
      const { row, outcome } = await askForRun(db, request.params.name, { ...asking, only: [...tables] })
      if (outcome === 'running' || outcome === 'paused') {
        throw new FerryError('FERRY-5001', `job ${row.job} is running already: run ${row.id}`, {
          hint: 'Wait for it, or cancel it.',
        })
      }
      dispatcher.look()
      return reply.code(202).header('location', `/api/v1/runs/${row.id}`).send({ run: row.id, outcome })
    },
  })

  app.route({
    method: 'POST',
    url: '/jobs/:name/reset',
    config: { role: 'operator' },
    schema: {
      tags: ['jobs'],
      summary: 'The next run copies everything again; an unfinished one is given up',
      params: nameParams,
      body: z
        .object({ tables: z.array(z.string().max(1000)).max(10_000).default([]).describe('Only these') })
        .nullish(),
      response: { 200: z.object({ discarded: z.string().nullable(), reset: z.array(z.string()) }) },
    },
    handler: async request => {
      const only = request.body?.tables ?? []
      const { run, tables } = await resetJob(state, request.params.name, {}, only.length > 0 ? only : undefined)
      return { discarded: run ?? null, reset: tables }
    },
  })

  app.route({
    method: 'GET',
    url: '/jobs/:name/totals',
    config: { role: 'viewer' },
    schema: {
      tags: ['jobs'],
      summary: "What the job's tables have come to in all of its runs",
      params: nameParams,
      response: { 200: z.array(totalSchema) },
    },
    handler: async request => {
      const { name } = request.params
      await findJob(db, name)
      const kept = await positionsOf(db, name)
      const at = new Map(kept.map(p => [`${p.source}\n${p.destination}`, p.updated_at]))
      const totals = await totalsOf(db, name)
      return totals.map(t => ({
        source: t.source,
        destination: t.destination,
        runs: t.runs,
        failures: t.failures,
        rowsRead: t.rows_read,
        rowsCopied: t.rows_copied,
        rowsSkipped: t.rows_skipped,
        dataRead: t.bytes_read,
        dataWritten: t.bytes_written,
        lastRun: t.last_run,
        lastAt: t.last_at,
        position: at.get(`${t.source}\n${t.destination}`) ?? null,
      }))
    },
  })

  const firingsOf = async (name: string) => {
    const rows = await db.selectFrom('firing').selectAll().where('job', '=', name).execute()
    return new Map(rows.map(r => [r.name, r]))
  }

  const isoTimes = (schedule: Schedule) => nextTimes(schedule, Date.now(), 5).map(t => new Date(t).toISOString())

  app.route({
    method: 'GET',
    url: '/jobs/:name/schedules',
    config: { role: 'viewer' },
    schema: {
      tags: ['schedules'],
      summary: 'Schedules of a job: the next times, what came of the last one',
      params: nameParams,
      response: { 200: z.array(scheduleView) },
    },
    handler: async request => {
      const job = jobSchema.parse(JSON.parse((await findJob(db, request.params.name)).definition))
      const firings = await firingsOf(job.name)
      return job.schedules.map(schedule => {
        const firing = firings.get(`schedule:${schedule.name}`)
        return {
          schedule,
          next: schedule.enabled ? isoTimes(schedule) : [],
          outcome: firing?.outcome || null,
          outcomeAt: firing?.outcome_at ?? null,
        }
      })
    },
  })

  app.route({
    method: 'PUT',
    url: '/jobs/:name/schedules',
    config: { role: 'operator' },
    schema: {
      tags: ['schedules'],
      summary: 'Replaces the schedules of a job',
      params: nameParams,
      body: z.array(scheduleSchema).max(100),
      response: { 200: jobView },
    },
    handler: async request => edit(request.params.name, job => ({ ...job, schedules: request.body })),
  })

  app.route({
    method: 'POST',
    url: '/schedules/times',
    config: { role: 'viewer' },
    schema: {
      tags: ['schedules'],
      summary: 'The next five times of a schedule that is not kept',
      body: scheduleSchema,
      response: { 200: timesSchema },
    },
    handler: async request => ({ next: isoTimes(request.body) }),
  })

  const edit = async (name: string, change: (job: CopyJob) => CopyJob) => {
    const row = await findJob(db, name)
    const job = jobSchema.safeParse(change(jobSchema.parse(JSON.parse(row.definition))))
    if (!job.success) throw new FerryError('FERRY-1003', job.error.issues.map(i => i.message).join('; '))
    await updateJob(db, name, JSON.stringify(job.data))
    return viewOf(name)
  }

  app.route({
    method: 'GET',
    url: '/jobs/:name/triggers',
    config: { role: 'viewer' },
    schema: {
      tags: ['triggers'],
      summary: 'Triggers of a job',
      params: nameParams,
      response: { 200: z.array(triggerView) },
    },
    handler: async request => {
      const job = jobSchema.parse(JSON.parse((await findJob(db, request.params.name)).definition))
      const firings = await firingsOf(job.name)
      return Promise.all(
        job.triggers.map(async trigger => ({
          trigger,
          hasSecret: trigger.webhook === true && (await takesHookSecret(state, job.name, trigger.name)) !== undefined,
          outcome: firings.get(`trigger:${trigger.name}`)?.outcome || null,
          outcomeAt: firings.get(`trigger:${trigger.name}`)?.outcome_at ?? null,
        })),
      )
    },
  })

  app.route({
    method: 'PUT',
    url: '/jobs/:name/triggers',
    config: { role: 'admin' },
    schema: {
      tags: ['triggers'],
      summary: 'Replaces the triggers of a job',
      params: nameParams,
      body: z.array(triggerSchema).max(100),
      response: { 200: jobView },
    },
    handler: async request => edit(request.params.name, job => ({ ...job, triggers: request.body })),
  })

  const triggerParams = z.object({ name: z.string().max(200), trigger: z.string().max(100) })

  app.route({
    method: 'POST',
    url: '/jobs/:name/triggers/:trigger/secret',
    config: { role: 'admin' },
    schema: {
      tags: ['triggers'],
      summary: 'Makes the secret with which a trigger is called; told once, a former one is void',
      params: triggerParams,
      response: { 200: z.object({ secret: z.string(), address: z.string() }) },
    },
    handler: async request => {
      const { name, trigger } = request.params
      const job = jobSchema.parse(JSON.parse((await findJob(db, name)).definition))
      if (!job.triggers.some(t => t.name === trigger && t.webhook)) {
        throw new FerryError('FERRY-1007', `job ${name} has no trigger "${trigger}" that is called`)
      }
      const secret = randomBytes(24).toString('base64url')
      await keepHookSecret(state, name, trigger, secret)
      return { secret, address: `/api/v1/hooks/${encodeURIComponent(name)}/${encodeURIComponent(trigger)}` }
    },
  })

  app.route({
    method: 'POST',
    url: '/hooks/:name/:trigger',
    // The secret in the header is what admits a caller.
    config: { role: 'public', rateLimit: { max: 60, timeWindow: '1 minute' } },
    schema: {
      tags: ['triggers'],
      summary: 'Runs the job of a trigger; the secret is sent as a bearer token',
      params: triggerParams,
      headers: z.object({ authorization: z.string().max(600).optional() }),
      response: { 202: z.object({ run: z.string(), outcome: z.enum(['queued', 'resumed', 'running', 'paused']) }) },
    },
    handler: async (request, reply) => {
      const { name, trigger } = request.params
      const given = /^Bearer +(.+)$/i.exec(request.headers.authorization ?? '')?.[1]
      const isRight = given && (await takesHookSecret(state, name, trigger))?.(given)
      if (!isRight) throw new FerryError('FERRY-6001', 'the secret of the trigger is missing or wrong')
      const { row, outcome } = await fireWebhook(state, name, trigger)
      dispatcher.look()
      return reply.code(202).send({ run: row.id, outcome })
    },
  })
}

/** A job from a body. A server keeps no secret in a job. Throws FERRY-1002, FERRY-1003 or FERRY-6003. */
function jobOf(body: z.output<typeof jobBody>): CopyJob {
  const job = parseJob(typeof body === 'string' ? body : JSON.stringify(body), 'job', {})
  for (const endpoint of [job.source, job.destination]) requireNoSecret(endpoint)
  return job
}

function requireNoSecret(endpoint: EndpointSpec): void {
  const secret =
    typeof endpoint === 'string'
      ? withoutPassword(endpoint) !== endpoint && !/:\$\{\w+\}@/.test(endpoint)
      : Object.entries(endpoint).some(([k, v]) => isSecret(k) && (typeof v !== 'string' || !isReference(v)))
  const sealed = typeof endpoint !== 'string' && Object.values(endpoint).some(v => /^sealed:/.test(String(v)))
  if (!secret && !sealed) return
  throw new FerryError('FERRY-6003', 'a secret stands in the job: keep it in a connection, and name that', {
    hint: 'Make a connection, then: source: { connection: NAME }',
  })
}
