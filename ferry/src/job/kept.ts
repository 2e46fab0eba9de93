/** The definition of a job as the state keeps it: JSON that this version has checked, or an older or a newer one. */
import { FerryError } from '../errors.ts'
import { faultsIn, toldFaults } from '../faults.ts'
import type { Schedule, Trigger } from './schedules.ts'
import { type CopyJob, type EndpointSpec, jobSchema } from './schema.ts'

/** Throws FERRY-5015 for what this version cannot read. */
export function readJob(definition: string): CopyJob {
  const value = parsed(definition)
  if (value === undefined) throw unreadable('it is no job')
  const result = jobSchema.safeParse(value)
  if (result.success) return result.data
  throw unreadable(toldFaults(faultsIn(jobSchema, value).slice(0, 3)))
}

function unreadable(why: string): FerryError {
  return new FerryError('FERRY-5015', `the kept definition of the job cannot be read: ${why}`, {
    hint: 'Where a newer Ferry has kept it, use that one; else keep it anew, or delete the job.',
  })
}

/** What of a job other jobs and lists have to know. */
export interface PeekedJob {
  description?: string
  mode: CopyJob['mode']
  source?: EndpointSpec
  destination?: EndpointSpec
  tables: CopyJob['tables']
  schedules: Schedule[]
  triggers: Trigger[]
}

/**
 * The same without a check, for those who read many: saved jobs were checked, and checking large ones again would take
 * longer than all the rest. What cannot be read has nothing: one job keeps no others from their work.
 */
export function peekJob(definition: string): PeekedJob {
  const { description, mode, source, destination, tables, schedules, triggers } = parsed(definition) ?? {}
  return {
    ...(typeof description === 'string' ? { description } : {}),
    mode: mode === 'incremental' || mode === 'online' ? mode : 'full',
    ...(isEndpoint(source) ? { source } : {}),
    ...(isEndpoint(destination) ? { destination } : {}),
    tables: listOf(tables, t => typeof t === 'string' || isRecord(t)),
    schedules: listOf(schedules, isRecord),
    triggers: listOf(triggers, isRecord),
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  value !== null && typeof value === 'object' && !Array.isArray(value)

const isEndpoint = (value: unknown): value is EndpointSpec => typeof value === 'string' || isRecord(value)

function listOf<T>(value: unknown, isOne: (item: unknown) => boolean): T[] {
  return Array.isArray(value) ? (value.filter(isOne) as T[]) : []
}

function parsed(definition: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(definition)
    return isRecord(value) ? value : undefined
  } catch {
    return undefined
  }
}
