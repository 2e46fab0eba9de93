/** The connector's own options, under `read` and `write` of a table. */
import { z } from 'zod'
import { checkOptions } from '../../contract/settings.ts'

/** How a copy yields to the application. */
const yielding = {
  priority: z.enum(['High', 'Low']).optional().describe('`Low`: the copy yields to the application'),
  throughputBucket: z
    .number()
    .int()
    .min(1)
    .max(5)
    .optional()
    .describe('The bucket of the throughput that the copy takes from'),
}

export const readSchema = z.strictObject({
  query: z
    .string()
    .min(1)
    .optional()
    .describe('Only what this query finds: `SELECT c.id, c.total FROM c WHERE c.total > 0`'),
  pageSize: z
    .number()
    .int()
    .refine(n => n === -1 || (n >= 1 && n <= 10_000), '1 to 10000, or -1')
    .default(1000)
    .describe('Documents in one answer of the service; -1: as many as it likes'),
  detectDatetime: z
    .boolean()
    .default(true)
    .describe('Whether texts such as `2024-01-31T08:00:00Z` become instants in a table'),
  unwind: z.string().optional().describe('Path of an array: a row for each of its elements, as `lines` of an order'),
  throughputBudget: z.number().positive().optional().describe('RU/s that reading may take; found out where omitted'),
  changes: z
    .string()
    .max(1_000_000)
    .optional()
    .describe('The part of the change feed to read, as an increment of the container has it; all where omitted'),
  systemProperties: z
    .boolean()
    .default(false)
    .describe('Whether `_rid`, `_self`, `_etag`, `_attachments` and `_ts` come along'),
  ...yielding,
})

export const writeSchema = z.strictObject({
  partitionKey: z
    .union([z.string(), z.array(z.string()).min(1).max(3)])
    .optional()
    .describe('Of a container that is created: `/customer`, or up to three paths'),
  uniqueKeys: z
    .array(z.union([z.string(), z.array(z.string()).min(1)]))
    .optional()
    .describe('Of a container that is created: paths, or lists of paths, that are unique in a partition key'),
  defaultTtl: z
    .number()
    .int()
    .optional()
    .describe('Of a container that is created: seconds, or -1 for none of its own'),
  throughput: z.number().int().positive().optional().describe('RU/s of a container that is created'),
  autoscale: z
    .number()
    .int()
    .positive()
    .optional()
    .describe('The most RU/s of a container that is created with autoscale'),
  recreate: z.boolean().default(false).describe('Delete the container before the first row and create it anew'),
  operation: z
    .enum(['insert', 'upsert', 'replace', 'patch', 'delete'])
    .optional()
    .describe('What is done with each row; `insert` for append, `upsert` for merge'),
  generateIds: z
    .boolean()
    .default(true)
    .describe('Whether a row without `id` gets one: made of its key where it is merged, else of its place in the run'),
  throughputBudget: z.number().positive().optional().describe('RU/s that writing may take; found out where omitted'),
  batchSize: z.number().int().min(1).max(100).default(100).describe('Documents in one request'),
  ...yielding,
})

/** The headers for these options. */
export function yieldingHeaders(options: { priority?: string | undefined; throughputBucket?: number | undefined }) {
  const { priority, throughputBucket } = options
  return {
    ...(priority === undefined ? {} : { 'x-ms-cosmos-priority-level': priority }),
    ...(throughputBucket === undefined ? {} : { 'x-ms-cosmos-throughput-bucket': String(throughputBucket) }),
  }
}

export type CosmosReadOptions = z.output<typeof readSchema>
export type CosmosWriteOptions = z.output<typeof writeSchema>
/** What is done with each row. */
export type CosmosOperation = NonNullable<CosmosWriteOptions['operation']>

export const readOptions = (options: Record<string, unknown>) => checkOptions(readSchema, options, 'read')
export const writeOptions = (options: Record<string, unknown>) => checkOptions(writeSchema, options, 'write')
