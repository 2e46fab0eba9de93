/** Jobs: created, edited, planned, run, reset; and the totals of their tables. */
import type { FastifyReply } from 'fastify'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import type { Kysely } from 'kysely'
import { stringify } from 'yaml'
import { z } from 'zod'
import { isReference, isSecret } from '../connectors/settings.ts'
import { FerryError } from '../errors.ts'
import type { ServerScouts } from '../facades/looks.ts'
import { readJob } from '../job/kept.ts'
import { parseLocator } from '../job/locator.ts'
import { parseJob } from '../job/read.ts'
import type { CopyJob, EndpointSpec } from '../job/schema.ts'
import type { Policy } from '../policy.ts'
import { startRun } from '../runtime/control.ts'
import type { Dispatcher } from '../runtime/dispatcher.ts'
import { describeJob, listJobs } from '../runtime/overview.ts'
import { jobView, listedJob, planSchema, totalSchema } from '../runtime/schemas.ts'
import type { Asker } from '../runtime/scouts.ts'
import { kindsAt } from '../runtime/stores.ts'
import { compactJob } from '../runtime/views.ts'
import { requireNobodyBehind } from '../state/behind.ts'
import type { State } from '../state/database.ts'
import { createJob, deleteJob, findJob, requireSeen, updateJob } from '../state/jobs.ts'
import { positionsOf } from '../state/positions.ts'
import type { Schema } from '../state/schema.ts'
import { isSealed } from '../state/secrets.ts'
import { totalsOf } from '../state/totals.ts'
import { askerOf, callerOf } from './asker.ts'
import { MOST_LONG_BODY } from './bounds.ts'
import { requireNew, tellVersion, wantedVersion } from './versions.ts'

const nameParams = z.object({ name: z.string().max(200) })
/** Characters of a job's text. */
const MOST_JOB = 500_000
const LONG_JOB = 20_000
const JOB_TYPES = ['application/json', 'application/yaml']
/** A job as JSON, or its text as YAML, by the content type. */
const jobBody = z.union([z.string().min(1), z.record(z.string(), z.unknown())])

export const jobRoutes: FastifyPluginAsyncZod<{
  state: State
  policy: Policy
  dispatcher: Dispatcher
  scouts: ServerScouts
}> = async (app, { state, policy, dispatcher, scouts }) => {
  const { db } = state

  /** Answers with a job, and with its version as an ETag. */
  const answer = async (reply: FastifyReply, name: string) => {
    const job = await describeJob(db, name)
    tellVersion(reply, job.updatedAt)
    return job
  }

  app.route({
    method: 'GET',
    url: '/jobs',
    config: { role: 'viewer' },
    schema: {
      tags: ['jobs'],
      summary: 'Jobs by name, each with its newest run',
      querystring: z.strictObject({
        search: z.string().max(200).optional(),
        after: z.string().max(200).optional().describe('Jobs behind this name'),
        limit: z.coerce.number().int().min(1).max(500).default(100),
        oneOff: z.stringbool().optional().describe('Copies of the command line too'),
      }),
      response: { 200: z.object({ jobs: z.array(listedJob), total: z.number() }) },
    },
    handler: async request => listJobs(db, request.query),
  })

  app.route({
    method: 'POST',
    url: '/jobs',
    bodyLimit: MOST_LONG_BODY,
    config: { role: 'admin' },
    schema: {
      tags: ['jobs'],
      summary: 'Keeps a new job',
      consumes: JOB_TYPES,
      body: jobBody,
      response: { 201: jobView },
    },
    handler: async (request, reply) => {
      const job = await jobOf(request.body, { db, scouts, policy }, askerOf(reply))
      request.object = job.name
      await createJob(db, job.name, JSON.stringify(job))
      return reply.code(201).send(await answer(reply, job.name))
    },
  })

  app.route({
    method: 'GET',
    url: '/jobs/:name',
    config: { role: 'viewer' },
    schema: { tags: ['jobs'], summary: 'One job', params: nameParams, response: { 200: jobView } },
    handler: async (request, reply) => answer(reply, request.params.name),
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
      const { definition, updatedAt } = await describeJob(db, request.params.name)
      tellVersion(reply, updatedAt)
      return reply
        .type('application/yaml')
        .serializer(String)
        .send(await yamlOf(definition, scouts, askerOf(reply)))
    },
  })

  app.route({
    method: 'PUT',
    url: '/jobs/:name',
    bodyLimit: MOST_LONG_BODY,
    config: { role: 'admin' },
    schema: {
      tags: ['jobs'],
      summary: 'Keeps an edited job',
      params: nameParams,
      consumes: JOB_TYPES,
      body: jobBody,
      response: { 200: jobView },
    },
    handler: async (request, reply) => {
      const { name } = request.params
      const job = await jobOf(request.body, { db, scouts, policy }, askerOf(reply))
      if (job.name !== name) {
        throw new FerryError('FERRY-6003', `the job says that its name is ${job.name}: a job keeps its name`)
      }
      requireNew(request, true, `a job "${name}"`)
      await updateJob(db, name, JSON.stringify(job), wantedVersion(request))
      return answer(reply, name)
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
      querystring: z.strictObject({
        force: z
          .stringbool()
          .default(false)
          .describe(
            'Also where the source cannot be told to forget what it keeps for the job, or an unfinished run is left',
          ),
      }),
      response: { 204: z.null() },
    },
    handler: async (request, reply) => {
      const { name } = request.params
      const seen = wantedVersion(request)
      requireSeen(await findJob(db, name), seen)
      await requireNobodyBehind(db, name)
      const kept = await positionsOf(db, name)
      // A source may keep its log for the job: it is asked to release it first.
      if (kept.length > 0 && !request.query.force) await scouts.ask('reset', { job: name, only: [] }, callerOf(reply))
      await deleteJob(db, name, { force: request.query.force, seen })
      return reply.code(204).send(null)
    },
  })

  app.route({
    method: 'POST',
    url: '/check',
    bodyLimit: MOST_LONG_BODY,
    config: { role: 'admin' },
    schema: {
      tags: ['jobs'],
      summary: 'Whether the settings of a job that is not kept are right; no store is opened',
      consumes: JOB_TYPES,
      body: jobBody,
      response: { 204: z.null() },
    },
    handler: async (request, reply) => {
      await jobOf(request.body, { db, scouts, policy }, askerOf(reply))
      return reply.code(204).send(null)
    },
  })

  app.route({
    method: 'POST',
    url: '/plan',
    bodyLimit: MOST_LONG_BODY,
    config: { role: 'admin' },
    schema: {
      tags: ['jobs'],
      summary: 'What a job would do that is not kept',
      consumes: JOB_TYPES,
      body: jobBody,
      response: { 200: z.object({ plan: planSchema, yaml: z.string() }) },
    },
    handler: async (request, reply) => {
      const job = await jobOf(request.body, { db, scouts, policy }, askerOf(reply))
      request.object = job.name
      return {
        plan: await scouts.ask('plan', { job }, askerOf(reply)),
        yaml: await yamlOf(compactJob(job), scouts, askerOf(reply)),
      }
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
    handler: async (request, reply) => {
      const { definition } = await findJob(db, request.params.name)
      return scouts.ask('plan', { job: readJob(definition) }, askerOf(reply))
    },
  })

  app.route({
    method: 'POST',
    url: '/jobs/:name/runs',
    bodyLimit: MOST_LONG_BODY,
    config: { role: 'operator' },
    schema: {
      tags: ['jobs', 'runs'],
      summary: 'Runs the job now; an unfinished run goes on',
      params: nameParams,
      body: z
        .strictObject({
          fullRefresh: z.boolean().default(false).describe('Everything is copied again'),
          tables: z.array(z.string().max(1000)).min(1).max(10_000).optional().describe('Only these source objects'),
        })
        .nullish(),
      response: { 202: z.object({ run: z.string(), outcome: z.enum(['queued', 'resumed']) }) },
    },
    handler: async (request, reply) => {
      const { fullRefresh = false, tables = [] } = request.body ?? {}
      const started = await startRun(state, request.params.name, { fullRefresh, tables })
      dispatcher.look()
      return reply.code(202).header('location', `/api/v1/runs/${started.run}`).send(started)
    },
  })

  app.route({
    method: 'POST',
    url: '/jobs/:name/reset',
    bodyLimit: MOST_LONG_BODY,
    config: { role: 'operator' },
    schema: {
      tags: ['jobs'],
      summary: 'The next run copies everything again; an unfinished one is given up',
      params: nameParams,
      body: z
        .strictObject({ tables: z.array(z.string().max(1000)).min(1).max(10_000).optional().describe('Only these') })
        .nullish(),
      response: { 200: z.object({ discarded: z.string().nullable(), reset: z.array(z.string()) }) },
    },
    handler: async (request, reply) => {
      const only = request.body?.tables ?? []
      const { run, tables } = await scouts.ask('reset', { job: request.params.name, only }, callerOf(reply))
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
}

/** A job as a text; a long one takes time that the server has not. */
export function yamlOf(definition: object, scouts: ServerScouts, asker: Asker): Promise<string> | string {
  const isLong = JSON.stringify(definition).length > LONG_JOB
  return isLong ? scouts.ask('yaml', { definition }, asker) : stringify(definition)
}

/** A job from a body. A server keeps no secret in a job. Throws FERRY-1002, FERRY-1003 or FERRY-6003. */
async function jobOf(
  body: z.output<typeof jobBody>,
  { db, scouts, policy }: { db: Kysely<Schema>; scouts: ServerScouts; policy: Policy },
  asker: Asker,
): Promise<CopyJob> {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  if (text.length > MOST_JOB) {
    throw new FerryError('FERRY-6003', `a job has ${MOST_JOB} characters at most, and this one ${text.length}`, {
      hint: 'Name many tables by a pattern.',
    })
  }
  // A long text takes memory and time that the server has not.
  const isLong = text.length > LONG_JOB
  const job = isLong ? await scouts.ask('parse', { text }, asker) : parseJob(text, 'job', policy, await kindsAt(db))
  for (const endpoint of [job.source, job.destination]) requireNoSecret(endpoint)
  return job
}

function requireNoSecret(endpoint: EndpointSpec): void {
  const { kind, ...settings } = (
    typeof endpoint === 'string' ? { kind: parseLocator(endpoint).kind, ...parseLocator(endpoint).settings } : endpoint
  ) as Record<string, unknown>
  const isFound = Object.entries(settings).some(
    ([name, value]) => isSealed(value) || (kind !== undefined && isSecret(String(kind), name) && !isReference(value)),
  )
  if (!isFound) return
  throw new FerryError('FERRY-6003', 'a secret stands in the job: keep it in a connection, and name that', {
    hint: 'Make a connection, then: source: { connection: NAME }',
  })
}
