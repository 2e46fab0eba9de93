/** The API's answers as zod schemas: its description is generated from them, and the web UI uses their types. */
import { z } from 'zod'

export const runStateSchema = z.enum([
  'pending',
  'planning',
  'running',
  'paused',
  'completing',
  'completed',
  'failed',
  'cancelled',
])

export const faultSchema = z.object({
  path: z.string().describe('Such as `tables.3.where`, or a setting of a connection; empty for the whole'),
  message: z.string(),
})

export const errorSchema = z.object({
  code: z.string(),
  message: z.string(),
  hint: z.string(),
  table: z.string().optional(),
})

const count = z.number().describe('Whole number')

const counts = {
  rowsRead: count,
  rowsCopied: count.describe('Rows written at the destination'),
  rowsSkipped: count,
  dataRead: count.describe('Bytes'),
  dataWritten: count.describe('Bytes'),
}

export const runSchema = z
  .object({
    id: z.string(),
    job: z.string(),
    mode: z.enum(['full', 'incremental', 'online']),
    state: runStateSchema,
    executing: z.boolean().describe('Whether a process is at it now'),
    resumable: z.boolean().describe('Whether it stands, and `resume` lets it go on'),
    wish: z.enum(['pause', 'cancel', 'complete']).nullable().describe('What was asked of it and is not done yet'),
    waiting: z.string().nullable().describe('Why nothing moves'),
    invokedBy: z.string().describe('`manual`, `schedule:NAME`, `trigger:NAME`'),
    createdAt: z.string(),
    startedAt: z.string().nullable(),
    endedAt: z.string().nullable(),
    duration: z.number().nullable().describe('Seconds at work: without pauses'),
    ...counts,
    throughput: z.number().nullable().describe('Bytes read a second'),
    tables: count,
    tablesDone: count,
    error: errorSchema.nullable(),
  })
  .meta({ id: 'Run' })

export const attemptSchema = z
  .object({
    host: z.string(),
    startedAt: z.string(),
    endedAt: z.string().nullable().describe('Null while it is at work'),
    duration: z.number().nullable().describe('Seconds'),
    outcome: z
      .enum([...runStateSchema.options, 'died'])
      .nullable()
      .describe('`died`: its process was gone; null while it is at work'),
    error: errorSchema.nullable(),
  })
  .meta({ id: 'Attempt' })

export const runDetailSchema = runSchema
  .extend({
    edited: z
      .boolean()
      .describe('Whether its job was edited since: it goes on as it began, the next run is another one'),
    attempts: z.array(attemptSchema).describe('Each time that a process worked at it; none of runs of older versions'),
    source: z.string(),
    destination: z.string(),
    owner: z.object({ host: z.string(), process: z.number() }).nullable().describe('Who executes it, or did last'),
    samples: z.array(z.tuple([z.number(), z.number(), z.number()])).describe('[seconds, rows, bytes] at some moments'),
  })
  .meta({ id: 'RunDetail' })

export const tableSchema = z
  .object({
    ordinal: z.number().int(),
    source: z.string(),
    destination: z.string(),
    state: runStateSchema,
    encoding: z.string().nullable(),
    ...counts,
    totalRows: z.number().nullable().describe('An estimate of what the source holds'),
    startedAt: z.string().nullable(),
    endedAt: z.string().nullable(),
    duration: z.number().nullable().describe('Seconds'),
    throughput: z.number().nullable().describe('Bytes read a second'),
    splits: count,
    splitsDone: count,
    lag: z
      .object({ left: z.number(), unit: z.enum(['changes', 'bytes']), seconds: z.number() })
      .nullable()
      .describe('How far behind its source a table is that follows it'),
    error: errorSchema.nullable(),
  })
  .meta({ id: 'RunTable' })

export const jobView = z
  .object({
    name: z.string(),
    definition: z.record(z.string(), z.unknown()).describe('The job as its file would say it: docs/job-file.md'),
    createdAt: z.string(),
    updatedAt: z.string(),
  })
  .meta({ id: 'Job' })
export const listedJob = z
  .object({
    name: z.string(),
    description: z.string().nullable(),
    mode: z.enum(['full', 'incremental', 'online']),
    source: z.string(),
    destination: z.string(),
    updatedAt: z.string(),
    nextTime: z.string().nullable().describe('When a schedule runs it next'),
    lastRun: runSchema.nullable(),
  })
  .meta({ id: 'ListedJob' })
export const planSchema = z
  .object({
    tables: z.array(
      z.object({
        from: z.string(),
        to: z.string(),
        update: z.string(),
        load: z.string().nullable().describe('Of an incremental copy: what is read'),
        encoding: z.string(),
        passedOver: z.array(z.string()),
        splits: z.number(),
        rows: z.number().nullable(),
        guarantee: z.string(),
        create: z.boolean(),
        replaces: z.string().nullable().describe('What is at the destination and will be gone'),
        columns: z.array(
          z.object({ from: z.string().nullable(), to: z.string(), fromType: z.string(), toType: z.string() }),
        ),
        statements: z.array(z.string()),
        guesses: z.array(z.string()).describe('What of the source was found out and not said'),
        notes: z.array(z.string()),
      }),
    ),
    problems: z.array(errorSchema.extend({ faults: z.array(faultSchema) })),
    clashes: z.array(z.object({ table: z.string(), message: z.string() })).describe('Tables that other jobs write too'),
  })
  .meta({ id: 'Plan' })
export const timesSchema = z.object({ next: z.array(z.string()).describe('The next five times') })
export const scheduleView = z
  .object({
    schedule: z.record(z.string(), z.unknown()),
    next: z.array(z.string()),
    outcome: z.string().nullable().describe('What came of it last'),
    outcomeAt: z.string().nullable(),
  })
  .meta({ id: 'Schedule' })
export const triggerView = z
  .object({
    trigger: z.record(z.string(), z.unknown()),
    hasSecret: z.boolean(),
    outcome: z.string().nullable(),
    outcomeAt: z.string().nullable(),
  })
  .meta({ id: 'Trigger' })
export const totalSchema = z
  .object({
    source: z.string(),
    destination: z.string(),
    runs: z.number(),
    failures: z.number(),
    rowsRead: z.number(),
    rowsCopied: z.number(),
    rowsSkipped: z.number(),
    dataRead: z.number(),
    dataWritten: z.number(),
    lastRun: z.string(),
    lastAt: z.string(),
    position: z.string().nullable().describe('When the incremental copy last moved on'),
  })
  .meta({ id: 'TableTotal' })

export const settingsSchema = z.record(z.string().max(100), z.union([z.string().max(20_000), z.number(), z.boolean()]))
export const connectionSchema = z
  .object({
    name: z.string(),
    kind: z.string(),
    settings: settingsSchema,
    label: z.string(),
    version: z.string().describe('What If-Match takes, in quotes'),
  })
  .meta({ id: 'Connection' })

export const roleSchema = z.enum(['viewer', 'operator', 'admin'])
export const sessionSchema = z
  .object({
    name: z.string(),
    role: roleSchema,
    csrf: z.string().nullable().describe('What a browser sends in `x-ferry-csrf` with requests that change something'),
    version: z.string(),
  })
  .meta({ id: 'Session' })

export const tokenSchema = z
  .object({
    id: z.string(),
    name: z.string(),
    role: roleSchema,
    createdAt: z.string(),
    lastUsedAt: z.string().nullable(),
  })
  .meta({ id: 'Token' })

const fieldSchema = z.object({
  name: z.string(),
  description: z.string(),
  secret: z.boolean(),
  listed: z.boolean().describe('Whether its values can be listed, once the others are given'),
  type: z.enum(['text', 'number', 'boolean', 'choice']),
  choices: z.array(z.string()),
  default: z.string().nullable(),
  required: z.boolean(),
})

export const connectorSchema = z
  .object({
    kind: z.string(),
    label: z.string().describe('As people say it'),
    update: z.array(z.enum(['append', 'overwrite', 'merge'])),
    tellsChanges: z.boolean().describe('Whether it can be followed: online copies, incremental ones by its log'),
    queries: z.boolean().describe('Whether it answers queries with rows'),
    knowsNew: z.boolean().describe('Whether it knows by itself what is new since the last copy'),
    arrivals: z.boolean().describe('Whether objects arrive in it: triggers may wait for them'),
    settings: z.array(fieldSchema),
    read: z.array(fieldSchema).describe('What a job may say of its objects as a source, under `read`'),
    write: z.array(fieldSchema).describe('What a job may say of its objects as a destination, under `write`'),
  })
  .meta({ id: 'Connector' })
export type FieldView = z.output<typeof fieldSchema>
export type ConnectorView = z.output<typeof connectorSchema>
export const objectSchema = z
  .object({
    object: z.string(),
    columns: z.array(
      z.object({
        name: z.string(),
        type: z.string(),
        nullable: z.boolean(),
        key: z.boolean(),
        indexed: z.boolean().nullable().describe('Whether an index begins with it; null where the store does not tell'),
      }),
    ),
    rows: z.number().nullable(),
    bytes: z.number().nullable(),
  })
  .meta({ id: 'Object' })

export const growthSchema = z
  .object({
    range: z.string().describe('What the first copy reads, with the highest value that is there'),
    notes: z.array(z.string()),
  })
  .meta({ id: 'Growth' })

export const previewSchema = z
  .object({
    columns: z.array(z.object({ name: z.string(), type: z.string() })),
    rows: z.array(z.array(z.string().nullable())).describe('Values as texts, long ones cut; of very wide rows fewer'),
  })
  .meta({ id: 'Preview' })

export const skippedSchema = z
  .object({
    total: z.number(),
    rows: z.array(
      z.object({
        table: z.string(),
        reason: z.string(),
        row: z.record(z.string(), z.unknown()).describe('What is known of the row: key, place, values'),
      }),
    ),
  })
  .meta({ id: 'SkippedRows' })

export const auditSchema = z
  .object({
    id: z.number(),
    at: z.string(),
    who: z.string(),
    role: z.string(),
    address: z.string(),
    action: z.string(),
    object: z.string(),
    outcome: z.string(),
  })
  .meta({ id: 'AuditEvent' })

export type ObjectView = z.output<typeof objectSchema>
export type GrowthView = z.output<typeof growthSchema>
export type PreviewView = z.output<typeof previewSchema>
export type SkippedView = z.output<typeof skippedSchema>
export type AuditView = z.output<typeof auditSchema>
export type RunView = z.output<typeof runSchema>
export type AttemptView = z.output<typeof attemptSchema>
export type RunDetail = z.output<typeof runDetailSchema>
export type TableView = z.output<typeof tableSchema>
export type JobView = z.output<typeof jobView>
export type ListedJob = z.output<typeof listedJob>
export type Fault = z.output<typeof faultSchema>
export type PlanView = z.output<typeof planSchema>
export type ScheduleView = z.output<typeof scheduleView>
export type TriggerView = z.output<typeof triggerView>
export type TotalView = z.output<typeof totalSchema>
export type ConnectionView = z.output<typeof connectionSchema>
export type SessionView = z.output<typeof sessionSchema>
export type TokenView = z.output<typeof tokenSchema>
export type Role = z.output<typeof roleSchema>
