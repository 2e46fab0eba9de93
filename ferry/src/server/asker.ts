/** For whom the server has its scouts look. */
import type { FastifyReply } from 'fastify'
import type { Asker } from '../runtime/scouts.ts'

/** Who has sent a request. */
export function callerOf({ request }: FastifyReply): Asker {
  const { caller, turn } = request
  return { by: caller?.name ?? '', ...(turn ? { aside: work => turn.aside(work) } : {}) }
}

/** The same, for work that ends when the caller closes the connection. */
export function askerOf(reply: FastifyReply): Asker {
  const { raw } = reply
  const gone = new AbortController()
  raw.once('close', () => {
    if (!raw.writableFinished) gone.abort()
  })
  return { ...callerOf(reply), signal: gone.signal }
}
