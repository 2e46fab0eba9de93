/** Triggers of a factory: what they say, and when they are due. */
import { createHash } from 'node:crypto'
import { z } from 'zod'
import { civilOf, monthsLater } from '../../batch/dates/instant.ts'
import { parseInstant } from '../../batch/dates/parse.ts'
import { FerryError } from '../../errors.ts'
import { requireSpan } from '../../pipelines/resolve.ts'
import { type Artifact, exactly } from './artifacts.ts'
import { recurrenceSchema } from './recurrence.ts'

const pipelineSchema = z.looseObject({
  pipelineReference: z.looseObject({ referenceName: z.string() }),
  parameters: z.record(z.string(), z.unknown()).default({}),
})

const scheduleSchema = z.looseObject({
  type: z.literal('ScheduleTrigger'),
  pipelines: z.array(pipelineSchema).default([]),
  typeProperties: z.looseObject({ recurrence: recurrenceSchema }),
})

const dependencySchema = z.looseObject({
  type: z.enum(['TumblingWindowTriggerDependencyReference', 'SelfDependencyTumblingWindowTriggerReference']),
  referenceTrigger: z.looseObject({ referenceName: z.string() }).optional(),
  offset: z.string().optional(),
  size: z.string().optional(),
})

const tumblingSchema = z.looseObject({
  type: z.literal('TumblingWindowTrigger'),
  pipeline: pipelineSchema,
  typeProperties: z.looseObject({
    frequency: z.enum(['Minute', 'Hour', 'Month']),
    interval: z.number().int().min(1).max(100_000),
    startTime: z.string(),
    endTime: z.string().optional(),
    delay: z.string().optional(),
    maxConcurrency: z.number().int().min(1).max(50),
    retryPolicy: z
      .looseObject({ count: z.number().int().min(0).optional(), intervalInSeconds: z.number().min(0).optional() })
      .optional(),
    dependsOn: z.array(dependencySchema).max(5).default([]),
  }),
})

const blobsSchema = z.looseObject({
  type: z.literal('BlobEventsTrigger'),
  pipelines: z.array(pipelineSchema).default([]),
  typeProperties: z.looseObject({
    blobPathBeginsWith: z.string().max(2000).optional(),
    blobPathEndsWith: z.string().max(2000).optional(),
    ignoreEmptyBlobs: z.boolean().default(false),
    events: z.array(z.enum(['Microsoft.Storage.BlobCreated', 'Microsoft.Storage.BlobDeleted'])).min(1),
    scope: z.string().max(2000),
  }),
})

const eventsSchema = z.looseObject({
  type: z.literal('CustomEventsTrigger'),
  pipelines: z.array(pipelineSchema).default([]),
  typeProperties: z.looseObject({
    subjectBeginsWith: z.string().max(2000).default(''),
    subjectEndsWith: z.string().max(2000).default(''),
    events: z.array(z.string().min(1).max(500)).min(1),
    scope: z.string().max(2000),
  }),
})

export interface TriggeredPipeline {
  name: string
  parameters: Record<string, unknown>
}

export interface Dependency {
  /** Undefined for the trigger itself. */
  trigger: string | undefined
  /** Milliseconds from the beginning of the window. */
  offset: number
  /** Milliseconds; undefined for the size of the window. */
  size: number | undefined
}

export type TriggerOf =
  | { kind: 'schedule'; pipelines: TriggeredPipeline[]; recurrence: z.output<typeof recurrenceSchema> }
  | {
      kind: 'tumbling'
      pipelines: [TriggeredPipeline]
      /** Milliseconds. */
      size: WindowSize
      start: number
      end: number
      delay: number
      most: number
      retries: number
      retryMs: number
      dependsOn: Dependency[]
    }
  | {
      kind: 'blobs'
      pipelines: TriggeredPipeline[]
      /** The name of the storage account. */
      account: string
      container: string
      /** Beginnings and ends of the names of blobs in it. */
      begins: string
      ends: string
      ignoresEmpty: boolean
    }
  | {
      kind: 'events'
      pipelines: TriggeredPipeline[]
      types: string[]
      subjectBeginsWith: string
      subjectEndsWith: string
    }

/** Months are those of the calendar, in UTC. */
export type WindowSize = { ms: number } | { months: number }

const UNIT = { Minute: 60_000, Hour: 3_600_000 }

/** Where the window ends that begins at `at`, in milliseconds since 1970: windows of months begin on the day of the first one, or on the last of a shorter month. */
export function windowEnd({ start, size }: { start: number; size: WindowSize }, at: number): number {
  if ('ms' in size) return at + size.ms
  const first = civilOf({ ms: start, ticks: 0, isUtc: true })
  const { year, month } = civilOf({ ms: at, ticks: 0, isUtc: true })
  const months = (year - first.year) * 12 + month - first.month + size.months
  return monthsLater({ ms: start, ticks: 0, isUtc: true }, months).ms
}

/** Reads a trigger. Throws FERRY-7001, and FERRY-7006 for a type that does not fire here. */
export function readTrigger({
  name,
  properties,
  file,
  path,
}: Pick<Artifact, 'name' | 'properties' | 'file' | 'path'>): TriggerOf {
  const type = String(properties.type ?? '')
  const read = <T>(schema: z.ZodType<T>): T => {
    const result = schema.safeParse(properties)
    if (result.success) return result.data
    const [issue] = result.error.issues
    throw new FerryError('FERRY-7001', `trigger ${name}: ${file} ${path}.${issue!.path.join('.')}: ${issue!.message}`)
  }
  if (type === 'ScheduleTrigger') {
    const { pipelines, typeProperties } = read(scheduleSchema)
    return { kind: 'schedule', pipelines: pipelines.map(pipelineOf), recurrence: typeProperties.recurrence }
  }
  if (type === 'TumblingWindowTrigger') {
    const { pipeline, typeProperties: p } = read(tumblingSchema)
    return {
      kind: 'tumbling',
      pipelines: [pipelineOf(pipeline)],
      size: p.frequency === 'Month' ? { months: p.interval } : { ms: UNIT[p.frequency] * p.interval },
      start: momentOf(p.startTime),
      end: p.endTime === undefined ? Number.POSITIVE_INFINITY : momentOf(p.endTime),
      delay: p.delay === undefined ? 0 : requireSpan(p.delay, 'delay'),
      most: p.maxConcurrency,
      retries: p.retryPolicy?.count ?? 0,
      retryMs: (p.retryPolicy?.intervalInSeconds ?? 30) * 1000,
      dependsOn: p.dependsOn.map(d => ({
        trigger:
          d.type === 'SelfDependencyTumblingWindowTriggerReference' ? undefined : d.referenceTrigger?.referenceName,
        offset: d.offset === undefined ? 0 : signedSpan(d.offset),
        size: d.size === undefined ? undefined : requireSpan(d.size, 'size'),
      })),
    }
  }
  if (type === 'BlobEventsTrigger') return blobsOf(name, read(blobsSchema))
  if (type === 'CustomEventsTrigger') {
    const { pipelines, typeProperties: p } = read(eventsSchema)
    const { subjectBeginsWith, subjectEndsWith, events } = p
    return { kind: 'events', pipelines: pipelines.map(pipelineOf), types: events, subjectBeginsWith, subjectEndsWith }
  }
  throw new FerryError('FERRY-7006', `trigger ${name}: triggers of the type ${type} are not known`)
}

function blobsOf(name: string, { pipelines, typeProperties: p }: z.output<typeof blobsSchema>): TriggerOf {
  const refuse = (why: string) => new FerryError('FERRY-7006', `trigger ${name}: ${why}`)
  if (p.events.includes('Microsoft.Storage.BlobDeleted')) {
    throw refuse('blobs that are deleted are not seen here: files are found by listing them')
  }
  const [, container, begins] = /^\/([^/]+)\/(?:blobs\/(.*))?$/s.exec(p.blobPathBeginsWith ?? '') ?? []
  if (container === undefined) {
    throw refuse('blobPathBeginsWith has to name a container here: /CONTAINER/blobs/FOLDER/')
  }
  const account = /\/storageAccounts\/([^/]+)$/i.exec(p.scope)?.[1]
  if (account === undefined) throw refuse(`scope names no storage account: ${p.scope.slice(0, 200)}`)
  // A container may be named once more before an end: it is the same one.
  const ends = (p.blobPathEndsWith ?? '').replace(`/${container}/blobs/`, '')
  return {
    kind: 'blobs',
    pipelines: pipelines.map(pipelineOf),
    account,
    container,
    begins: begins ?? '',
    ends,
    ignoresEmpty: p.ignoreEmptyBlobs,
  }
}

function pipelineOf({ pipelineReference, parameters }: z.output<typeof pipelineSchema>): TriggeredPipeline {
  return { name: pipelineReference.referenceName, parameters }
}

/** Without an offset it is UTC. */
const momentOf = (text: string) => parseInstant(text).ms

function signedSpan(text: string): number {
  return text.startsWith('-') ? -requireSpan(text.slice(1), 'offset') : requireSpan(text, 'offset')
}

/** Names what a trigger says: an edited one begins anew. */
export function triggerFingerprint({ properties }: Pick<Artifact, 'properties'>): string {
  return createHash('sha256').update(JSON.stringify(properties, exactly)).digest('hex')
}
