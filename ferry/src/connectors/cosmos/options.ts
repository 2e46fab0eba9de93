/** The connector's own options, under `read` and `write` of a table. */
import { z } from 'zod'
import { checkOptions } from '../options.ts'

export const readSchema = z.strictObject({
  pageSize: z.number().int().min(1).max(10_000).default(1000).describe('Documents in one answer of the service'),
  throughputBudget: z.number().positive().optional().describe('RU/s that reading may take; found out where omitted'),
  systemProperties: z
    .boolean()
    .default(false)
    .describe('Whether `_rid`, `_self`, `_etag`, `_attachments` and `_ts` come along'),
})

export const writeSchema = z.strictObject({
  partitionKey: z
    .union([z.string(), z.array(z.string()).min(1).max(3)])
    .optional()
    .describe('Of a container that is created: `/customer`, or up to three paths'),
  throughput: z.number().int().positive().optional().describe('RU/s of a container that is created'),
  throughputBudget: z.number().positive().optional().describe('RU/s that writing may take; found out where omitted'),
  batchSize: z.number().int().min(1).max(100).default(100).describe('Documents in one request'),
  priority: z.enum(['High', 'Low']).optional().describe('`Low`: the copy yields to the application'),
  throughputBucket: z
    .number()
    .int()
    .min(1)
    .max(5)
    .optional()
    .describe('The bucket of the throughput that the copy takes from'),
})

export type CosmosReadOptions = z.output<typeof readSchema>
export type CosmosWriteOptions = z.output<typeof writeSchema>

export const readOptions = (options: Record<string, unknown>) => checkOptions(readSchema, options, 'read')
export const writeOptions = (options: Record<string, unknown>) => checkOptions(writeSchema, options, 'write')
