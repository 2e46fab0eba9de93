/** Which version of a thing a caller has seen, so that the last of two does not win silently (RFC 9110: ETag, If-Match). */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { FerryError } from '../errors.ts'

/** Tells the version of what is answered: of a job when it was changed last. */
export function tellVersion(reply: FastifyReply, version: string): void {
  reply.header('etag', `"${version}"`)
}

/** The version that a caller wants to change; undefined where any will do. Throws FERRY-6003. */
export function wantedVersion({ headers }: FastifyRequest): string | undefined {
  const given = headers['if-match']
  if (given === undefined || given === '*') return undefined
  const [, version] = /^"([^"]{1,100})"$/.exec(given) ?? []
  if (version === undefined) throw new FerryError('FERRY-6003', 'If-Match is the ETag that was told, in quotes')
  return version
}

/** Throws FERRY-1008 where a caller makes something new, and there is one of the name. */
export function requireNew({ headers }: FastifyRequest, isThere: boolean, what: string): void {
  if (headers['if-none-match'] === '*' && isThere) {
    throw new FerryError('FERRY-1008', `there is ${what} already`, { hint: 'Choose another name, or edit that one.' })
  }
}
