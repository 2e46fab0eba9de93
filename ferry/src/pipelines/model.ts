/** Pipelines as Data Factory defines them; what a run does not need stays as it is. */
import { z } from 'zod'

const name = z.string().min(1).max(260)

const dependencySchema = z.looseObject({
  activity: name,
  dependencyConditions: z.array(z.enum(['Succeeded', 'Failed', 'Skipped', 'Completed'])).default(['Succeeded']),
})

const policySchema = z.looseObject({
  timeout: z.unknown().optional(),
  retry: z.unknown().optional(),
  retryIntervalInSeconds: z.number().min(0).max(86_400).optional(),
  secureInput: z.boolean().optional(),
  secureOutput: z.boolean().optional(),
})

const referenceSchema = z.looseObject({ referenceName: name, parameters: z.record(z.string(), z.unknown()).optional() })

export const activitySchema = z.looseObject({
  name,
  type: z.string().min(1),
  dependsOn: z.array(dependencySchema).max(1000).optional(),
  policy: policySchema.optional(),
  state: z.enum(['Active', 'Inactive']).optional(),
  onInactiveMarkAs: z.enum(['Succeeded', 'Failed', 'Skipped']).optional(),
  userProperties: z.array(z.looseObject({ name: z.string(), value: z.unknown() })).optional(),
  linkedServiceName: referenceSchema.optional(),
  inputs: z.array(referenceSchema).optional(),
  outputs: z.array(referenceSchema).optional(),
  typeProperties: z.record(z.string(), z.unknown()).default({}),
})

const parameterSchema = z.looseObject({ type: z.string(), defaultValue: z.unknown().optional() })

export const pipelineSchema = z.looseObject({
  description: z.string().optional(),
  activities: z.array(activitySchema).max(10_000).default([]),
  parameters: z.record(z.string(), parameterSchema).default({}),
  variables: z.record(z.string(), parameterSchema).default({}),
  concurrency: z.number().int().min(1).optional(),
})

export type Activity = z.output<typeof activitySchema>
export type Reference = z.output<typeof referenceSchema>
export type Parameter = z.output<typeof parameterSchema>
export interface Pipeline extends z.output<typeof pipelineSchema> {
  name: string
}

export type ActivityState = 'InProgress' | 'Succeeded' | 'Failed' | 'Skipped' | 'Cancelled'

/** Activities within an activity, with the names of the properties that hold them. */
export function childrenOf(activity: Activity): { at: string; activities: unknown }[] {
  const { typeProperties: p } = activity
  const cases = Array.isArray(p.cases) ? (p.cases as { activities?: unknown }[]) : []
  return [
    ...['activities', 'ifTrueActivities', 'ifFalseActivities', 'defaultActivities'].map(at => ({
      at,
      activities: p[at],
    })),
    ...cases.map((one, i) => ({ at: `cases[${i}].activities`, activities: one?.activities })),
  ].filter(c => Array.isArray(c.activities))
}
