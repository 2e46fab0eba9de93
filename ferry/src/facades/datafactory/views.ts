/** The API's answers about factories, as zod schemas: its description is generated from them, and the web UI uses their types. */
import { z } from 'zod'
import { CATEGORIES } from './artifacts.ts'
import { sourceSchema } from './source.ts'

const text = z.string()
const when = text.nullable()
const any = z.unknown()

export const keptFactorySchema = z
  .object({ name: text, source: sourceSchema, addedAt: text })
  .meta({ id: 'KeptFactory' })

export const checkedSchema = z
  .object({
    category: z.enum(CATEGORIES),
    name: text,
    verdict: z.enum(['runs', 'runs with a redirect', 'cannot run']),
    file: text,
    findings: z.array(z.object({ path: text.describe('In its file, as a JSON path'), message: text })),
  })
  .meta({ id: 'CheckedArtifact' })

export const factorySchema = keptFactorySchema
  .extend({
    artifacts: z.array(checkedSchema),
    pipelines: z.array(
      z.object({
        name: text,
        folder: text.nullable(),
        description: text,
        activities: z.number(),
        verdict: checkedSchema.shape.verdict,
      }),
    ),
    dataflows: z.array(
      z.object({ name: text, folder: text.nullable(), description: text, verdict: checkedSchema.shape.verdict }),
    ),
    triggers: z.array(
      z.object({
        name: text,
        type: text,
        pipelines: z.array(text),
        started: z.boolean(),
        outcome: text,
        outcomeAt: when,
        hook: z.boolean().describe('Whether it is called: it has an address and a secret'),
      }),
    ),
  })
  .meta({ id: 'Factory' })

export const flowRowsSchema = z
  .object({ columns: z.array(text), rows: z.array(z.array(text.nullable())) })
  .meta({ id: 'FlowRows' })

export type FlowRows = z.infer<typeof flowRowsSchema>

export type DataFlowView = z.infer<typeof dataFlowViewSchema>

export interface ActivityNode {
  name: string
  type: string
  isActive: boolean
  dependsOn: { activity: string; conditions: string[] }[]
  /** Activities within it, by what they are there for. */
  branches: { name: string; activities: ActivityNode[] }[]
  /** The pipeline that it executes. */
  calls: string | null
  /** The data flow that it executes. */
  flow: string | null
}

const nodeSchema: z.ZodType<ActivityNode> = z
  .object({
    name: text,
    type: text,
    isActive: z.boolean(),
    dependsOn: z.array(z.object({ activity: text, conditions: z.array(text) })),
    get branches() {
      return z.array(z.object({ name: text, activities: z.array(nodeSchema) }))
    },
    calls: text.nullable(),
    flow: text.nullable(),
  })
  .meta({ id: 'Activity' })

export const pipelineViewSchema = z
  .object({
    name: text,
    description: text,
    parameters: z.array(
      z.object({ name: text, type: text, defaultValue: any.describe('Absent where it has none').optional() }),
    ),
    activities: z.array(nodeSchema),
    findings: checkedSchema.shape.findings.describe('What keeps it from running'),
  })
  .meta({ id: 'Pipeline' })

export const dataFlowViewSchema = z
  .object({
    name: text,
    description: text,
    streams: z.array(
      z.object({
        name: text,
        kind: text.describe('`source`, `filter`, `sink` and others'),
        inputs: z.array(text).describe('The streams that it reads'),
        columns: z
          .array(z.object({ name: text, type: text, isDrifted: z.boolean() }))
          .nullable()
          .describe('null where they are known only when the sources are read'),
        sql: z.array(text),
      }),
    ),
    findings: checkedSchema.shape.findings.describe('What keeps it from running'),
  })
  .meta({ id: 'DataFlow' })

export const pipelineStates = z.enum(['Queued', 'InProgress', 'Succeeded', 'Failed', 'Cancelled'])

export const pipelineRunSchema = z
  .object({
    runId: text,
    runGroupId: text,
    factory: text,
    pipelineName: text,
    status: pipelineStates,
    cancelling: z.boolean(),
    runStart: text,
    runEnd: when,
    invokedBy: z.object({ name: text, invokedByType: text }),
    rerunOf: when,
    parentRun: when,
    message: text,
    returnValue: any,
  })
  .meta({ id: 'PipelineRun' })

export const activitySummarySchema = z
  .object({
    activityName: text,
    activityType: text,
    key: text.describe('Its path in the run: `Each/3/Copy`'),
    status: z.enum(['InProgress', 'Succeeded', 'Failed', 'Skipped', 'Cancelled']),
    activityRunStart: text,
    activityRunEnd: when,
    durationInMs: z.number().nullable(),
    retryAttempt: z.number(),
    copyRun: when.describe('The run of the copy'),
  })
  .meta({ id: 'ActivityRunSummary' })

export const activityRunSchema = activitySummarySchema
  .extend({ input: any, output: any, error: any, userProperties: any })
  .meta({ id: 'ActivityRun' })

export type KeptFactory = z.output<typeof keptFactorySchema>
export type FactoryView = z.output<typeof factorySchema>
export type PipelineView = z.output<typeof pipelineViewSchema>
export type PipelineRunView = z.output<typeof pipelineRunSchema>
export type ActivitySummary = z.output<typeof activitySummarySchema>
export type ActivityRunView = z.output<typeof activityRunSchema>
