/** What one caller may send: how deep, how much of it at one time. */
import type { FastifyInstance } from 'fastify'
import { FerryError } from '../errors.ts'

/** A job of some thousand tables is about 1 MB. */
export const MOST_BODY = 1_000_000
/** So many bodies that are longer than `SMALL_BODY` bytes, or do not say how long they are, are held at one time. */
const MOST_AT_ONCE = 20
const SMALL_BODY = 16_000
/** How deep objects and arrays may be within one another. */
const MOST_DEPTH = 100

/** Bodies that come slowly, from many callers or from one, do not fill the memory. */
export function addBounds(app: FastifyInstance): void {
  let held = 0
  app.addHook('onRequest', async (request, reply) => {
    const { 'content-length': length, 'transfer-encoding': encoding } = request.headers
    if (encoding === undefined && Number(length ?? 0) <= SMALL_BODY) return
    if (held >= MOST_AT_ONCE) {
      // What follows is not read.
      reply.header('connection', 'close').header('retry-after', '1')
      throw new FerryError('FERRY-6005', `${MOST_AT_ONCE} large bodies are on their way already`)
    }
    held++
    reply.raw.once('close', () => {
      held--
    })
  })
}

/** Throws FERRY-6003 for a text of JSON whose values lie too deep within one another. */
export function refuseDeep(text: string): void {
  let depth = 0
  let quoted = false
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i)
    if (quoted) {
      if (c === 0x5c) i++
      else if (c === 0x22) quoted = false
    } else if (c === 0x22) quoted = true
    else if (c === 0x5b || c === 0x7b) {
      if (++depth > MOST_DEPTH) {
        throw new FerryError('FERRY-6003', `values lie more than ${MOST_DEPTH} deep within one another`)
      }
    } else if (c === 0x5d || c === 0x7d) depth--
  }
}
