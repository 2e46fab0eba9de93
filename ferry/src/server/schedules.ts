/** What makes jobs run by themselves: schedules and triggers, and the calls that triggers wait for. */

import { randomBytes } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { FerryError } from '../errors.ts'
import { readJob } from '../job/kept.ts'
import { checkJob } from '../job/read.ts'
import { type Schedule, scheduleSchema, triggerSchema } from '../job/schedules.ts'
import type { CopyJob } from '../job/schema.ts'
import { nextTimes } from '../job/times.ts'
import { calledTrigger, fireCalled, isCalled, tellOfTrigger } from '../runtime/clock.ts'
import type { Dispatcher } from '../runtime/dispatcher.ts'
import { describeJob } from '../runtime/overview.ts'
import { jobView, scheduleView, timesSchema, triggerView } from '../runtime/schemas.ts'
import type { State } from '../state/database.ts'
import { findJob, updateJob } from '../state/jobs.ts'
import { hasHookSecret, keepHookSecret } from '../state/secrets.ts'
import { hookHeaders, hookOf, hookQuery } from './hooks.ts'
import { namesMatching, parsed, readNotification } from './notifications.ts'
import { tellVersion, wantedVersion } from './versions.ts'

const nameParams = z.object({ name: z.string().max(200) })

export const scheduleRoutes: FastifyPluginAsyncZod<{ state: State; dispatcher: Dispatcher }> = async (
  app,
  { state, dispatcher },
) => {
  const { db } = state

  /** Answers with the saved job, and with its version as an ETag. */
  const jobFor = async (name: string, reply: FastifyReply) => {
    const row = await findJob(db, name)
    tellVersion(reply, row.updated_at)
    return readJob(row.definition)
  }

  const firingsOf = async (name: string) => {
    const rows = await db.selectFrom('firing').selectAll().where('job', '=', name).execute()
    return new Map(rows.map(r => [r.name, r]))
  }

  const isoTimes = async (schedule: Schedule) => {
    const times = await nextTimes(schedule, Date.now(), 5)
    return times.map(t => new Date(t).toISOString())
  }

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
    handler: async (request, reply) => {
      const job = await jobFor(request.params.name, reply)
      const firings = await firingsOf(job.name)
      const views = []
      for (const schedule of job.schedules) {
        const firing = firings.get(`schedule:${schedule.name}`)
        views.push({
          schedule,
          next: schedule.enabled ? await isoTimes(schedule) : [],
          outcome: firing?.outcome || null,
          outcomeAt: firing?.outcome_at ?? null,
        })
      }
      return views
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
    handler: async (request, reply) => edit(request, reply, job => ({ ...job, schedules: request.body })),
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
    handler: async request => ({ next: await isoTimes(request.body) }),
  })

  const edit = async (request: FastifyRequest, reply: FastifyReply, change: (job: CopyJob) => CopyJob) => {
    const { name } = request.params as { name: string }
    const wanted = wantedVersion(request)
    for (;;) {
      // What others change meanwhile, another part of the job too, is not written over.
      const row = await findJob(db, name)
      const job = checkJob(change(readJob(row.definition)))
      const edited = await updateJob(db, name, JSON.stringify(job), wanted ?? row.updated_at).catch(error => {
        if (wanted === undefined && error instanceof FerryError && error.code === 'FERRY-6008') return 'again'
        throw error
      })
      if (edited !== 'again') break
    }
    const job = await describeJob(db, name)
    tellVersion(reply, job.updatedAt)
    return job
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
    handler: async (request, reply) => {
      const job = await jobFor(request.params.name, reply)
      const firings = await firingsOf(job.name)
      return Promise.all(
        job.triggers.map(async trigger => ({
          trigger,
          hasSecret: isCalled(trigger) && (await hasHookSecret(db, job.name, trigger.name)),
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
    handler: async (request, reply) => edit(request, reply, job => ({ ...job, triggers: request.body })),
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
      const job = readJob((await findJob(db, name)).definition)
      if (!job.triggers.some(t => t.name === trigger && isCalled(t))) {
        throw new FerryError('FERRY-1007', `job ${name} has no trigger "${trigger}" that is called`)
      }
      const secret = randomBytes(24).toString('base64url')
      await keepHookSecret(state, name, trigger, secret)
      return { secret, address: `/api/v1/hooks/${encodeURIComponent(name)}/${encodeURIComponent(trigger)}` }
    },
  })

  const { requireSecret, ...hooked } = hookOf(state, job => job)
  const hook = { url: '/hooks/:name/:trigger', ...hooked }
  const callSchema = { tags: ['triggers'], params: triggerParams, querystring: hookQuery, headers: hookHeaders }

  app.route({
    ...hook,
    method: 'POST',
    schema: {
      ...callSchema,
      summary: 'Runs the job of a trigger; with the secret as a bearer token, a password, or in the address',
      body: z.unknown().optional().describe('What a store tells; of a trigger with `webhook` anything'),
      description: 'A trigger with `events` takes what Azure Event Grid, Amazon S3 and Google Cloud Storage send.',
      response: {
        200: z.object({ validationResponse: z.string() }).describe('To Event Grid, which asks whether it is meant'),
        202: z.object({
          run: z.string().nullable(),
          outcome: z.enum(['queued', 'resumed', 'running', 'paused', 'nothing']),
        }),
      },
    },
    handler: async (request, reply) => {
      await requireSecret(request)
      const { name } = request.params
      const trigger = await calledTrigger(state, name, request.params.trigger)
      let came: string | undefined
      if (trigger.events !== undefined) {
        const told = readNotification(typeof request.body === 'string' ? parsed(request.body) : request.body)
        if (!told) {
          throw new FerryError('FERRY-6003', 'that is no notification of a store of objects', {
            hint: 'Event Grid, S3 (by SNS or EventBridge) and Pub/Sub send them; a trigger with `webhook` takes any call.',
          })
        }
        if (told.kind === 'validation') return told.answer
        if (told.kind === 'confirmation') {
          await tellOfTrigger(state, name, trigger, `open this address to confirm the subscription: ${told.address}`)
          return reply.code(202).send({ run: null, outcome: 'nothing' as const })
        }
        const names = namesMatching(told.names, trigger.events)
        if (names.length === 0) return reply.code(202).send({ run: null, outcome: 'nothing' as const })
        came = names.length === 1 ? names[0]!.slice(0, 500) : `${names.length} objects`
      }
      const { row, outcome } = await fireCalled(state, name, trigger, came)
      dispatcher.look()
      return reply.code(202).send({ run: row.id, outcome })
    },
  })

  // How an event in the form of CloudEvents asks whether an address is meant.
  app.route({
    ...hook,
    method: 'OPTIONS',
    schema: {
      ...callSchema,
      hide: true,
      headers: callSchema.headers.extend({ 'webhook-request-origin': z.string().max(500).optional() }),
    },
    handler: async (request, reply) => {
      await requireSecret(request)
      await calledTrigger(state, request.params.name, request.params.trigger)
      const origin = request.headers['webhook-request-origin']
      if (origin !== undefined) reply.headers({ 'webhook-allowed-origin': origin, 'webhook-allowed-rate': '*' })
      return reply.code(200).send()
    },
  })
}
