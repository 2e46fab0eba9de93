/** Errors of the data name values: viewers, who may not look into stores, get the code and its general text instead. */
import type { FastifyInstance } from 'fastify'
import { ERRORS, type ErrorCode } from '../errors.ts'

/** Answers of any route, for viewers. */
export function addDiscretion(app: FastifyInstance): void {
  app.addHook('preSerialization', async (request, _, payload) =>
    request.caller?.role === 'viewer' ? withoutValues(payload) : payload,
  )
}

/** A copy in which every error of the data, at any depth, has its general text only. */
export function withoutValues<T>(value: T): T {
  if (value === null || typeof value !== 'object') return value
  if (Array.isArray(value)) return value.map(withoutValues) as T
  const entries = Object.entries(value).map(([key, value]) => [key, withoutValues(value)])
  const copy = Object.fromEntries(entries) as { code?: unknown; message?: unknown }
  if (typeof copy.message === 'string' && String(copy.code).startsWith('FERRY-4')) {
    copy.message = `${ERRORS[copy.code as ErrorCode]?.[0] ?? 'An error of the data'}: operators see which value`
  }
  return copy as T
}
