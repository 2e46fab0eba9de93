/** What is wrong with the data names values of it: viewers, who may not look into stores, are told the case alone. */
import type { FastifyInstance } from 'fastify'
import { ERRORS, type ErrorCode } from '../errors.ts'

/** Answers of any route, for viewers. */
export function addDiscretion(app: FastifyInstance): void {
  app.addHook('preSerialization', async (request, _, payload) =>
    request.caller?.role === 'viewer' ? withoutValues(payload) : payload,
  )
}

/** The same with every error of the data, wherever it stands, as its case alone. */
export function withoutValues<T>(told: T): T {
  if (told === null || typeof told !== 'object') return told
  if (Array.isArray(told)) return told.map(withoutValues) as T
  const entries = Object.entries(told).map(([key, value]) => [key, withoutValues(value)])
  const copy = Object.fromEntries(entries) as { code?: unknown; message?: unknown }
  if (typeof copy.message === 'string' && String(copy.code).startsWith('FERRY-4')) {
    copy.message = `${ERRORS[copy.code as ErrorCode]?.[0] ?? 'An error of the data'}: operators see which value`
  }
  return copy as T
}
