/** Live events (SSE): the state is asked once for all who listen. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { Shares } from '../engine/limits.ts'
import { FerryError } from '../errors.ts'
import type { RunView } from '../runtime/schemas.ts'
import { RUN_COLUMNS, runView } from '../runtime/views.ts'
import type { State } from '../state/database.ts'
import { databaseNow } from '../state/time.ts'
import type { Log } from '../telemetry/log.ts'
import { callerIn } from './auth.ts'
import { withoutValues } from './discreet.ts'

const LOOK_MS = 500
/** How often it is asked whether who listens still may. */
const CHECK_MS = 2000
/** Proxies close what is silent. */
const SIGN_MS = 15_000
/** What changes in a transaction that takes long is seen late: so much is read again each time. */
const OVERLAP_MS = 10_000
/** Streams that are open at one time: of one caller, and of all. A page opens two. */
const MOST_OF_ONE = 100
const MOST_STREAMS = 1000
/** Who does not read what comes is let go; a browser comes back by itself. */
const MOST_UNREAD = 1_000_000

interface Listener {
  wants: (run: RunView) => boolean
  /** Whether values of the data are not for it. */
  isViewer: boolean
  send: (text: string) => void
}

export class Events {
  private readonly state: State
  private readonly log: Log
  private readonly listeners = new Set<Listener>()
  /** What was sent last about each run within the overlap. */
  private sent = new Map<string, string>()
  private timer: NodeJS.Timeout | undefined
  private busy = false
  private signedAt = Number.NEGATIVE_INFINITY
  /** When the state was asked last, by this process's monotonic clock. */
  private lookedAt = 0

  constructor(state: State, log: Log) {
    this.state = state
    this.log = log
  }

  get count(): number {
    return this.listeners.size
  }

  listen(listener: Listener): () => void {
    this.listeners.add(listener)
    if (!this.timer) {
      this.lookedAt = performance.now()
      this.timer = setInterval(() => this.look(), LOOK_MS)
    }
    return () => {
      this.listeners.delete(listener)
      if (this.listeners.size > 0) return
      clearInterval(this.timer)
      this.timer = undefined
    }
  }

  private look(): void {
    if (this.busy) return
    this.busy = true
    this.tell()
      .catch(error => this.log.error({ err: error }, 'changes cannot be read'))
      .finally(() => {
        this.busy = false
      })
  }

  private async tell(): Promise<void> {
    const { db } = this.state
    const lookedAt = performance.now()
    const now = await databaseNow(db)
    // Nothing is remembered: changes with a later time than now are sent, too, since the database's clock may have gone back.
    const since = now - OVERLAP_MS - (lookedAt - this.lookedAt)
    const rows = await db.selectFrom('run').select(RUN_COLUMNS).where('changed_at', '>', since).execute()
    this.lookedAt = lookedAt
    const sent = new Map<string, string>()
    for (const row of rows) {
      const run = runView(row, now)
      const { duration: _, throughput: __, ...lasting } = run
      const print = JSON.stringify(lasting)
      sent.set(run.id, print)
      if (this.sent.get(run.id) === print) continue
      // Made once, however many listen.
      const text = eventOf(run)
      const discreet = run.error === null ? text : eventOf(withoutValues(run))
      for (const listener of this.listeners) {
        if (listener.wants(run)) listener.send(listener.isViewer ? discreet : text)
      }
    }
    this.sent = sent
    if (lookedAt - this.signedAt < SIGN_MS) return
    this.signedAt = lookedAt
    for (const listener of this.listeners) listener.send(': still here\n\n')
  }
}

function eventOf(run: RunView): string {
  return `event: run\ndata: ${JSON.stringify(run)}\n\n`
}

export const eventRoutes: FastifyPluginAsyncZod<{ state: State; events: Events }> = async (app, { state, events }) => {
  const shares = new Shares(MOST_OF_ONE, MOST_STREAMS)

  app.route({
    method: 'GET',
    url: '/events',
    // Nothing would end it.
    exposeHeadRoute: false,
    config: { role: 'viewer' },
    schema: {
      tags: ['runs'],
      summary: 'Server-sent events: `run` whenever a run changes, with the run as GET /runs/:id tells it',
      querystring: z.strictObject({ job: z.string().max(200).optional(), run: z.string().max(100).optional() }),
      response: { 200: z.string().describe('text/event-stream') },
    },
    handler: (request, reply) => {
      const { job, run } = request.query
      const taken = shares.take(request.caller!.name)
      if (typeof taken === 'number') throw new FerryError('FERRY-6005', `${taken} event streams are open already`)
      reply.hijack()
      const { raw } = reply
      for (const [name, value] of Object.entries(reply.getHeaders())) raw.setHeader(name, value as string)
      raw.writeHead(200, {
        'content-type': 'text/event-stream; charset=utf-8',
        'cache-control': 'no-store',
        'x-accel-buffering': 'no',
      })
      raw.write('retry: 1000\n: here\n\n')
      const stop = events.listen({
        wants: view => (job === undefined || view.job === job) && (run === undefined || view.id === run),
        isViewer: request.caller!.role === 'viewer',
        send: text => {
          if (raw.writableLength > MOST_UNREAD) raw.destroy()
          else raw.write(text)
        },
      })
      const check = setInterval(() => {
        callerIn(request, state, { looks: true })
          .then(caller => caller ?? raw.destroy())
          .catch(() => raw.destroy())
      }, CHECK_MS)
      raw.once('close', () => {
        clearInterval(check)
        stop()
        taken()
      })
    },
  })
}
