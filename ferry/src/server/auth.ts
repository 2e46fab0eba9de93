/**
 * Who calls, and what they may: a bearer token, or a cookie with a second secret in a header for what changes something,
 * so that no other site can act for a browser that is signed in. A route names the least role that may call it; one that
 * names none is for admins.
 */
import '@fastify/cookie'
import { createHash } from 'node:crypto'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { withoutPassword } from '../connectors/settings.ts'
import { FerryError } from '../errors.ts'
import { sameSecret } from '../secrets/seal.ts'
import type { State } from '../state/database.ts'
import { writeAudit } from '../state/history.ts'
import type { Role } from '../state/schema.ts'
import { type Caller, callerOf, environmentToken, sessionOf } from '../state/tokens.ts'

export const COOKIE = 'ferry_session'
export const CSRF_HEADER = 'x-ferry-csrf'

const RANK: Record<Role, number> = { viewer: 0, operator: 1, admin: 2 }
const SAFE = new Set(['GET', 'HEAD', 'OPTIONS'])

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The least role that may call the route; `public` needs none. */
    role?: Role | 'public'
    /** Whether a body is wanted as it was written too: JSON of JavaScript does not hold every number. */
    keepsText?: boolean
    /** The name of a caller of a public route who may send a large body; undefined for others. */
    admits?(request: FastifyRequest): Promise<string | undefined>
  }
  interface FastifyRequest {
    caller: (Caller & { csrf?: string }) | undefined
    /** The body as it was written, of a route that wants it. */
    text: string | undefined
    /** What it is about, where its address does not say it: for the audit. */
    object: string | undefined
  }
}

/** The second secret of a session: known to pages of this server only. */
export function csrfOf(session: string): string {
  return createHash('sha256').update(`csrf:${session}`).digest('base64url')
}

/** Whose token it is: the environment's, or one of the state. */
export async function callerOfToken(state: State, token: string): Promise<(Caller & { id: string }) | undefined> {
  const own = process.env.FERRY_TOKEN
  if (own && sameSecret(own, token)) return { id: environmentToken()!, name: 'FERRY_TOKEN', role: 'admin' }
  return callerOf(state.db, token)
}

export function addAuth(app: FastifyInstance, state: State, hosts: Set<string>): void {
  app.decorateRequest('caller', undefined)
  app.decorateRequest('object', undefined)
  app.decorateRequest('text', undefined)
  const strangers = new Strangers()
  // Before anything else is read: a name that is not this server's may be another site's, led here by its DNS.
  app.addHook('onRequest', async request => {
    // A proxy's form of a request names another host than the header does.
    if (!request.raw.url?.startsWith('/')) throw new FerryError('FERRY-6003', 'the address of a request begins with /')
    if (!hosts.has(hostOf(request))) {
      throw new FerryError('FERRY-6003', `this server does not answer to the name ${request.headers.host}`, {
        hint: 'Call it by its address, or start it with --allowed-host NAME.',
      })
    }
  })
  app.addHook('onRequest', async request => {
    // What is not there needs no role.
    const needed = request.is404 ? 'public' : (request.routeOptions.config.role ?? 'admin')
    request.caller = await callerIn(request, state)
    if (needed === 'public') return
    if (!request.caller) throw new FerryError('FERRY-6001', 'nobody is signed in')
    if (RANK[request.caller.role] < RANK[needed]) {
      throw new FerryError(
        'FERRY-6002',
        `this needs the role ${needed}: ${request.caller.name} is ${request.caller.role}`,
      )
    }
    if (request.caller.csrf === undefined) return
    // Looking runs queries in stores: pages of others may not even look, also those of another port of this machine.
    const site = request.headers['sec-fetch-site']
    if (!SAFE.has(request.method)) requireOwnPage(request, request.caller.csrf)
    else if (site !== undefined && site !== 'same-origin' && site !== 'none') throw foreign()
  })
  app.addHook('onResponse', async (request, reply) => {
    const { method, caller } = request
    const route = request.routeOptions.url
    const { statusCode } = reply
    const isRefused = statusCode === 401 || statusCode === 403
    if (route === undefined || (SAFE.has(method) && !isRefused && !SHOWN.test(route))) return
    // One line a minute is enough for callers without a token.
    const others = caller ? 0 : strangers.count(`${request.ip} ${method} ${route}`)
    if (others === undefined) return
    await writeAudit(state.db, {
      who: caller?.name ?? '(nobody)',
      role: caller?.role ?? '',
      address: request.ip,
      action: `${method} ${route}`,
      object: objectOf(request).slice(0, 1000),
      outcome: others > 0 ? `${statusCode}, and ${others} before` : String(statusCode),
    }).catch(error => request.log.error({ err: error }, 'the audit log cannot be written'))
  })
}

/** Reading that shows what a store holds. */
const SHOWN = /\/(preview|columns|objects)$/

/** What a request is about: what its address names, or what it keeps or asks for. */
function objectOf(request: FastifyRequest): string {
  // The id of a callback is a secret.
  const isSecret = request.routeOptions.url?.includes('/callbacks/') === true
  const named = isSecret ? [] : Object.values((request.params ?? {}) as Record<string, string>)
  const { object } = request.query as { object?: string }
  const { name, kind, locator } = (request.body ?? {}) as Record<string, unknown>
  const given = [name, typeof locator === 'string' ? withoutPassword(locator) : undefined, kind]
  const first = request.object ?? given.find(word => typeof word === 'string')
  return [...named, object, first].filter(word => typeof word === 'string').join('/')
}

/** Logs calls without a token: one line a minute for each address and route, with the number of calls in between. */
class Strangers {
  private readonly seen = new Map<string, { at: number; others: number }>()

  /** How many calls came since the last line; undefined where it is too early for the next one. */
  count(key: string): number | undefined {
    const now = performance.now()
    const before = this.seen.get(key)
    if (before && now - before.at < MINUTE_MS) {
      before.others++
      return undefined
    }
    if (this.seen.size >= MOST_STRANGERS) this.seen.clear()
    this.seen.set(key, { at: now, others: 0 })
    return before?.others ?? 0
  }
}

const MINUTE_MS = 60_000
const MOST_STRANGERS = 1000

/** The host of a request without its port. */
function hostOf(request: FastifyRequest): string {
  return (request.headers.host ?? '').toLowerCase().replace(/:\d+$/, '')
}

/** Who calls; `looks` where nothing is asked for, but whether they still may. */
export async function callerIn(
  request: FastifyRequest,
  state: State,
  { looks = false } = {},
): Promise<FastifyRequest['caller']> {
  const { authorization } = request.headers
  const token = authorization && /^Bearer +([\x21-\x7e]{1,512})$/i.exec(authorization)?.[1]
  if (token) return callerOfToken(state, token)
  const session = request.cookies[COOKIE]
  if (!session) return undefined
  const found = await sessionOf(state.db, session, { looks })
  return found && { ...found, csrf: csrfOf(session) }
}

function requireOwnPage(request: FastifyRequest, csrf: string): void {
  const given = request.headers[CSRF_HEADER]
  const site = request.headers['sec-fetch-site']
  const isOwn = site === undefined || site === 'same-origin'
  if (typeof given === 'string' && sameSecret(given, csrf) && isOwn) return
  throw foreign()
}

function foreign(): FerryError {
  return new FerryError('FERRY-6002', 'the request does not come from a page of this server', {
    hint: `Send the header ${CSRF_HEADER} that GET /api/v1/session tells, or use a token.`,
  })
}
