/** Triggers of a factory: what they say, and when they are due. */
import { createHash } from 'node:crypto'
import { z } from 'zod'
import { FerryError } from '../../errors.ts'
import { parseInstant } from '../../pipelines/expressions/dates/parse.ts'
import { requireSpan } from '../../pipelines/resolve.ts'
import type { Artifact } from './artifacts.ts'
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
      size: number
      start: number
      end: number
      delay: number
      most: number
      retries: number
      retryMs: number
      dependsOn: Dependency[]
    }

const NOT_YET = new Set(['BlobEventsTrigger', 'CustomEventsTrigger'])
const UNIT = { Minute: 60_000, Hour: 3_600_000 }

/** Reads a trigger. Throws FERRY-7001, and FERRY-7006 for a type that does not fire here. */
export function readTrigger({
  name,
  properties,
  file,
  path,
}: Pick<Artifact, 'name' | 'properties' | 'file' | 'path'>): TriggerOf {
  const type = String(properties.type ?? '')
  const wrong = (issue: z.core.$ZodIssue) =>
    new FerryError('FERRY-7001', `trigger ${name}: ${file} ${path}.${issue.path.join('.')}: ${issue.message}`)
  if (type === 'ScheduleTrigger') {
    const result = scheduleSchema.safeParse(properties)
    if (!result.success) throw wrong(result.error.issues[0]!)
    const { pipelines, typeProperties } = result.data
    return { kind: 'schedule', pipelines: pipelines.map(pipelineOf), recurrence: typeProperties.recurrence }
  }
  if (type === 'TumblingWindowTrigger') {
    const result = tumblingSchema.safeParse(properties)
    if (!result.success) throw wrong(result.error.issues[0]!)
    const { pipeline, typeProperties: p } = result.data
    if (p.frequency === 'Month')
      throw new FerryError('FERRY-7006', `trigger ${name}: windows of months are not known here`)
    return {
      kind: 'tumbling',
      pipelines: [pipelineOf(pipeline)],
      size: UNIT[p.frequency] * p.interval,
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
  const why = NOT_YET.has(type) ? 'triggers by events are to come' : `triggers of the type ${type} are not known`
  throw new FerryError('FERRY-7006', `trigger ${name}: ${why}`)
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
export function fingerprintOf({ properties }: Pick<Artifact, 'properties'>): string {
  return createHash('sha256').update(JSON.stringify(properties)).digest('hex')
}
