/** For whom the server has its scouts look. */
import type { FastifyReply } from 'fastify'
import type { Asker } from '../runtime/scouts.ts'

/** Who has sent a request. */
export function callerOf({ request }: FastifyReply): Asker {
  const { caller, turn } = request
  return { by: caller?.name ?? '', ...(turn ? { aside: work => turn.aside(work) } : {}) }
}

/** The same, for what nobody needs any more who has gone away without an answer. */
export function askerOf(reply: FastifyReply): Asker {
  const { raw } = reply
  const gone = new AbortController()
  raw.once('close', () => {
    if (!raw.writableFinished) gone.abort()
  })
  return { ...callerOf(reply), signal: gone.signal }
}
