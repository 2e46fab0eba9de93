/** The schema of logical types in JSON. */
import { z } from 'zod'
import type { LogicalType } from './types.ts'

const digits = z.number().exactOptional()
export const logicalType: z.ZodType<LogicalType> = z.lazy(() =>
  z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('bool') }),
    z.object({ kind: z.literal('int'), bits: z.literal([8, 16, 32, 64]), signed: z.boolean() }),
    z.object({ kind: z.literal('float'), bits: z.literal([32, 64]) }),
    z.object({ kind: z.literal('decimal'), precision: z.number(), scale: z.number() }),
    z.object({ kind: z.literal('numeric') }),
    z.object({ kind: z.literal('utf8'), length: z.number().exactOptional() }),
    z.object({ kind: z.literal('json'), once: z.boolean().exactOptional() }),
    z.object({ kind: z.literal('uuid') }),
    z.object({ kind: z.literal('binary') }),
    z.object({ kind: z.literal('date') }),
    z.object({ kind: z.literal('time'), digits }),
    z.object({ kind: z.literal('timestamp'), zone: z.boolean(), unit: z.enum(['ms', 'us', 'ns']), digits }),
    z.object({ kind: z.literal('interval'), digits }),
    z.object({ kind: z.literal('list'), item: logicalType }),
    z.object({ kind: z.literal('struct'), fields: z.array(z.object({ name: z.string(), type: logicalType })) }),
    z.object({ kind: z.literal('map'), key: logicalType, value: logicalType }),
  ]),
)
