/** Signing in and out, tokens, and who did what. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import manifest from '../../package.json' with { type: 'json' }
import { FerryError } from '../errors.ts'
import { auditSchema, roleSchema, sessionSchema, tokenSchema } from '../runtime/schemas.ts'
import type { State } from '../state/database.ts'
import { readAudit } from '../state/history.ts'
import { closeSession, listTokens, makeToken, openSession, removeToken } from '../state/tokens.ts'
import { COOKIE, callerOfToken, csrfOf } from './auth.ts'

export const sessionRoutes: FastifyPluginAsyncZod<{ state: State; secure: boolean }> = async (
  app,
  { state, secure },
) => {
  const cookie = { path: '/', httpOnly: true, sameSite: 'strict', secure } as const

  app.route({
    method: 'POST',
    url: '/session',
    config: { role: 'public', rateLimit: { max: 20, timeWindow: '1 minute' } },
    schema: {
      tags: ['session'],
      summary: 'Signs a browser in with a token',
      body: z.strictObject({ token: z.string().min(1).max(512) }),
      response: { 200: sessionSchema },
    },
    handler: async (request, reply) => {
      const caller = await callerOfToken(state, request.body.token)
      if (!caller) throw new FerryError('FERRY-6001', 'the token is not one of this server')
      request.caller = caller
      // Nobody stays signed in behind who signs in anew.
      const former = request.cookies[COOKIE]
      if (former) await closeSession(state.db, former)
      const { secret, expires } = await openSession(state.db, caller.id)
      reply.setCookie(COOKIE, secret, { ...cookie, expires })
      return { name: caller.name, role: caller.role, csrf: csrfOf(secret), version: manifest.version }
    },
  })

  app.route({
    method: 'GET',
    url: '/session',
    config: { role: 'viewer' },
    schema: { tags: ['session'], summary: 'Who is signed in', response: { 200: sessionSchema } },
    handler: async request => {
      const { name, role, csrf } = request.caller!
      return { name, role, csrf: csrf ?? null, version: manifest.version }
    },
  })

  app.route({
    method: 'DELETE',
    url: '/session',
    config: { role: 'viewer' },
    schema: { tags: ['session'], summary: 'Signs out', response: { 204: z.null() } },
    handler: async (request, reply) => {
      const session = request.cookies[COOKIE]
      if (session) await closeSession(state.db, session)
      return reply.clearCookie(COOKIE, cookie).code(204).send(null)
    },
  })

  app.route({
    method: 'GET',
    url: '/tokens',
    config: { role: 'admin' },
    schema: { tags: ['session'], summary: 'Who may call', response: { 200: z.array(tokenSchema) } },
    handler: async () =>
      (await listTokens(state.db)).map(t => ({
        id: t.id,
        name: t.name,
        role: t.role,
        createdAt: t.created_at,
        lastUsedAt: t.last_used_at,
      })),
  })

  app.route({
    method: 'POST',
    url: '/tokens',
    config: { role: 'admin' },
    schema: {
      tags: ['session'],
      summary: 'Makes a token; it is told once',
      body: z.strictObject({ name: z.string().min(1).max(100), role: roleSchema }),
      response: { 201: z.object({ id: z.string(), token: z.string() }) },
    },
    handler: async (request, reply) =>
      reply.code(201).send(await makeToken(state.db, request.body.name, request.body.role)),
  })

  app.route({
    method: 'DELETE',
    url: '/tokens/:id',
    config: { role: 'admin' },
    schema: {
      tags: ['session'],
      summary: 'Voids a token, and signs out who used it',
      params: z.object({ id: z.string().max(100) }),
      response: { 204: z.null() },
    },
    handler: async (request, reply) => {
      await removeToken(state.db, request.params.id)
      return reply.code(204).send(null)
    },
  })

  app.route({
    method: 'GET',
    url: '/audit',
    config: { role: 'admin' },
    schema: {
      tags: ['session'],
      summary: 'Who did what, newest first',
      querystring: z.strictObject({
        limit: z.coerce.number().int().min(1).max(500).default(100),
        before: z.coerce.number().int().optional().describe('Events older than this one: the next page'),
      }),
      response: {
        200: z.array(auditSchema),
      },
    },
    handler: async request => readAudit(state.db, request.query.limit, request.query.before),
  })
}
