/** What one caller may send and ask for at one time, so that the others are answered. */
import type { Socket } from 'node:net'
import { Transform, type TransformCallback } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import type { FastifyInstance, FastifyReply } from 'fastify'
import { Shares, Slots } from '../engine/limits.ts'
import { FerryError } from '../errors.ts'
import { isRecord } from './records.ts'

/** Bytes of a body; of one with a job, or with the names of many tables. */
export const MOST_BODY = 100_000
export const MOST_LONG_BODY = 1_000_000
/** So many bodies that are longer than `SMALL_BODY` bytes, or do not say how long they are: of one caller, and of all. */
const LARGE_OF_ONE = 5
const MOST_LARGE = 20
const SMALL_BODY = 16_000
/** Requests that are worked at; those of one caller whose answers have not been read yet, and that wait. */
const MOST_AT_WORK = 2
const MOST_OF_ONE = 16
const MOST_WAITING = 200
/** Bytes, and milliseconds, that are read of a body that was refused, so that its sender can read the answer. */
const MOST_DISCARDED = 16_000_000
const DISCARD_MS = 5000
/** Bodies that are read on at one time, of all callers. */
const MOST_DISCARDING = 20
/** Pieces that a body comes in: each takes time, however small it is. */
const MOST_PIECES = 20_000
const MOST_PIECES_DISCARDED = 2000
/** Requests that one connection sends before it has read the answers. */
const MOST_PIPELINED = 8

declare module 'fastify' {
  interface FastifyRequest {
    turn: Turn | undefined
  }
}

/** A request's turn to be worked at. */
export class Turn {
  private readonly all: Slots
  private release: (() => void) | undefined
  private isOver = false

  constructor(all: Slots) {
    this.all = all
  }

  async take(): Promise<void> {
    const release = await this.all.take()
    if (this.isOver) release()
    else this.release = release
    // Each begins in a turn of its own of the event loop: what others ask for comes in between.
    await setImmediate()
  }

  end(): void {
    this.isOver = true
    this.leave()
  }

  private leave(): void {
    this.release?.()
    this.release = undefined
  }

  /** Lets others work while this request waits for what is done elsewhere. */
  async aside<T>(work: () => Promise<T>): Promise<T> {
    this.leave()
    try {
      return await work()
    } finally {
      await this.take()
    }
  }
}

export function addBounds(app: FastifyInstance): void {
  app.decorateRequest('turn', undefined)
  addConnections(app)
  addLargeBodies(app)
  addTurns(app)
  addRefusedBodies(app)
  addPieces(app)
  app.addHook('preValidation', async request => {
    const { schema, url } = request.routeOptions
    if (!url?.startsWith('/api/v1/')) return
    const words = schema?.querystring === undefined ? Object.keys(request.query as object) : []
    if (schema?.body === undefined && isRecord(request.body)) words.push(...Object.keys(request.body))
    if (words.length > 0) throw new FerryError('FERRY-6003', `unknown here: ${words.slice(0, 10).join(', ')}`)
  })
}

/** Who sends request after request and reads no answer is let go. */
function addConnections(app: FastifyInstance): void {
  const open = new WeakMap<Socket, number>()
  app.addHook('onRequest', async ({ raw: { socket } }, reply) => {
    const count = (open.get(socket) ?? 0) + 1
    if (socket.destroyed || count > MOST_PIPELINED) {
      socket.destroy()
      throw new FerryError('FERRY-6005', `${MOST_PIPELINED} requests of the connection have no answer yet`)
    }
    open.set(socket, count)
    reply.raw.once('close', () => open.set(socket, open.get(socket)! - 1))
  })
}

function addTurns(app: FastifyInstance): void {
  const all = new Slots(MOST_AT_WORK)
  const callers = new Map<string, Slots>()
  app.addHook('onRequest', async (request, reply) => {
    const { caller } = request
    // Streams of events are no work, and have a bound of their own.
    if (!caller || request.routeOptions.url === '/api/v1/events') return
    const own = callers.get(caller.name) ?? new Slots(MOST_OF_ONE)
    if (own.queued >= MOST_WAITING) throw tooMany(reply, `${MOST_WAITING} requests of ${caller.name} wait already`)
    callers.set(caller.name, own)
    let isGone = false
    const turn = new Turn(all)
    const read = own.take()
    reply.raw.once('close', () => {
      isGone = true
      turn.end()
      read.then(release => {
        release()
        if (own.isIdle) callers.delete(caller.name)
      })
    })
    await read
    if (isGone) throw new FerryError('FERRY-6005', 'nobody waits for the answer any more')
    request.turn = turn
  })
  // Not before the body is there: who sends it slowly is not worked at.
  app.addHook('preValidation', async request => request.turn?.take())
  app.addHook('onSend', async request => request.turn?.end())
}

/** Bodies that come slowly, from many callers or from one, do not fill the memory. */
function addLargeBodies(app: FastifyInstance): void {
  const shares = new Shares(LARGE_OF_ONE, MOST_LARGE)
  app.addHook('onRequest', async (request, reply) => {
    const { 'content-length': length, 'transfer-encoding': encoding, 'content-encoding': packed } = request.headers
    if (packed !== undefined && packed !== 'identity') {
      throw Object.assign(new Error(`a body is taken as it is, and not as ${packed.slice(0, 40)}`), { statusCode: 415 })
    }
    if (encoding === undefined && Number(length ?? 0) <= SMALL_BODY) return
    const name = request.caller?.name ?? (await request.routeOptions.config?.admits?.(request))
    // Nobody sends much without a token.
    if (name === undefined) {
      reply.header('connection', 'close')
      throw Object.assign(new Error(`without a token a body has ${SMALL_BODY} bytes at most`), { statusCode: 413 })
    }
    const taken = shares.take(name)
    if (typeof taken === 'number') throw tooMany(reply, `${taken} large bodies are on their way already`)
    reply.raw.once('close', taken)
  })
}

/** A body that comes byte by byte takes no more memory than its bytes: they are gathered before anything is made of them. */
function addPieces(app: FastifyInstance): void {
  app.addHook('preParsing', async (request, _reply, payload) => {
    const most = request.routeOptions.bodyLimit ?? MOST_BODY
    const gathered = new Gathered(most)
    payload.on('error', error => gathered.destroy(error))
    // Who has refused the body already does not listen any more; what still comes must not stand in the pipe.
    gathered.on('error', () => undefined)
    gathered.once('close', () => request.raw.resume())
    return payload.pipe(gathered)
  })
}

/** Gives on what has come as one buffer, at its end. Fails with 413 where it is more than `most` bytes, or very many pieces. */
class Gathered extends Transform {
  private readonly most: number
  private bytes: Buffer = Buffer.alloc(0)
  private length = 0
  private pieces = 0

  constructor(most: number) {
    super()
    this.most = most
  }

  override _transform(piece: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    const length = this.length + piece.length
    const bound = length > this.most ? `${this.most} bytes` : ++this.pieces > MOST_PIECES ? `${MOST_PIECES} pieces` : ''
    if (bound !== '') {
      done(Object.assign(new Error(`a body has ${bound} at most here`), { statusCode: 413 }))
      return
    }
    if (length > this.bytes.length) {
      const larger = Buffer.alloc(Math.min(this.most, Math.max(1024, 2 * length)))
      this.bytes.copy(larger, 0, 0, this.length)
      this.bytes = larger
    }
    piece.copy(this.bytes, this.length)
    this.length = length
    done()
  }

  override _flush(done: TransformCallback): void {
    done(null, this.bytes.subarray(0, this.length))
  }
}

/**
 * A caller whose body is refused must be able to read the answer. If the server closed the connection while the body
 * still arrives, the caller would see a broken pipe instead. So the server reads on for a while, and discards what comes.
 */
function addRefusedBodies(app: FastifyInstance): void {
  let discarding = 0
  app.addHook('onSend', async ({ raw }, reply) => {
    const { complete, socket } = raw
    if (complete || socket.destroyed) return
    if (discarding >= MOST_DISCARDING) {
      reply.raw.once('finish', () => socket.destroySoon())
      return
    }
    // Node lets go of a connection with the answer, unless another request may follow.
    reply.removeHeader('connection')
    reply.raw.shouldKeepAlive = true
    discarding++
    const end = performance.now() + DISCARD_MS
    // Node does not always emit `end` or `close` for a body that was not read.
    const watch = setInterval(() => {
      if (performance.now() > end) socket.destroySoon()
      if (!raw.complete && !socket.destroyed) return
      clearInterval(watch)
      discarding--
    }, 50)
    watch.unref()
    let [bytes, pieces, isEnough] = [0, 0, false]
    const push = raw.push.bind(raw)
    // Pieces are counted and forgotten, with as little work as can be: there may be very many of one byte.
    raw.push = (piece: Buffer | null) => {
      if (piece === null) return push(null)
      bytes += piece.length
      pieces++
      if (!isEnough && (bytes > MOST_DISCARDED || pieces > MOST_PIECES_DISCARDED)) {
        isEnough = true
        socket.pause()
        socket.destroySoon()
      }
      return true
    }
    // What read it has let go of it, and left it standing.
    raw.resume()
  })
}

function tooMany(reply: FastifyReply, why: string): FerryError {
  // What follows is not read.
  reply.header('connection', 'close').header('retry-after', '1')
  return new FerryError('FERRY-6005', why)
}
