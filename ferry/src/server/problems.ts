/** Errors as problem details (RFC 9457): Ferry's code, what is wrong, and what to do. */
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { asFerryError, ERRORS, type ErrorCode, FerryError } from '../errors.ts'
import { toldFaults } from '../faults.ts'
import { faultSchema } from '../runtime/schemas.ts'

export const problemSchema = z
  .object({
    type: z.string().describe('`urn:ferry:error:CODE`'),
    title: z.string(),
    status: z.number().int(),
    detail: z.string(),
    instance: z.string().describe('The path that was asked for'),
    code: z.string().describe("Ferry's code: docs/errors.md"),
    hint: z.string().describe('What to do'),
    faults: z
      .array(faultSchema)
      .optional()
      .describe('Where it is settings that are wrong: each with its place, and what is wrong with it'),
  })
  .meta({ id: 'Problem' })

const STATUS: Partial<Record<ErrorCode, number>> = {
  'FERRY-1007': 404,
  'FERRY-1008': 409,
  'FERRY-1009': 409,
  'FERRY-2006': 403,
  'FERRY-3001': 404,
  'FERRY-5001': 409,
  'FERRY-5006': 409,
  'FERRY-5009': 409,
  'FERRY-5013': 507,
  'FERRY-6001': 401,
  'FERRY-6002': 403,
  'FERRY-6003': 400,
  'FERRY-6004': 404,
  'FERRY-6005': 429,
  'FERRY-6008': 412,
  'FERRY-9000': 500,
}

/** The caller's words are 400, what the stores say is 422. */
export function statusOf(code: ErrorCode): number {
  return STATUS[code] ?? (code.startsWith('FERRY-1') ? 400 : code.startsWith('FERRY-5') ? 409 : 422)
}

export function sendProblem(
  request: FastifyRequest,
  reply: FastifyReply,
  error: FerryError,
  status = statusOf(error.code),
): FastifyReply {
  return reply
    .code(status)
    .header('content-type', 'application/problem+json')
    .serializer(JSON.stringify)
    .send({
      type: `urn:ferry:error:${error.code}`,
      title: ERRORS[error.code][0],
      status,
      detail: error.message,
      instance: request.url.split('?')[0],
      code: error.code,
      hint: error.hint,
      ...(error.faults.length > 0 ? { faults: error.faults } : {}),
    })
}

export function onError(error: FastifyError | Error, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  if (error instanceof FerryError) return sendProblem(request, reply, error)
  if (hasZodFastifySchemaValidationErrors(error)) {
    const faults = error.validation.map(v => ({
      path: v.instancePath.slice(1).replaceAll('/', '.'),
      message: v.message ?? 'is wrong',
    }))
    return sendProblem(request, reply, new FerryError('FERRY-6003', toldFaults(faults), { faults }))
  }
  const status = (error as FastifyError).statusCode ?? 500
  if (status === 429) return sendProblem(request, reply, new FerryError('FERRY-6005', error.message))
  // Fastify's own: bodies that are too large or no JSON, unknown content types, paths that are too long.
  if (status < 500) {
    return sendProblem(request, reply, new FerryError('FERRY-6003', error.message), status)
  }
  request.log.error({ err: error }, 'unexpected error')
  const { message } = asFerryError(error)
  return sendProblem(request, reply, new FerryError('FERRY-9000', message, { hint: 'See the log of the server.' }))
}
