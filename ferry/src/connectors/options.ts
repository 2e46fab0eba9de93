import type { z } from 'zod'
import '../faults.ts'
import { FerryError, nearest } from '../errors.ts'

/** A connector's own options, checked by its schema. Throws FERRY-1003 naming the option, and the nearest known one. */
export function checkOptions<T extends z.ZodObject>(
  schema: T,
  options: Record<string, unknown>,
  side: 'read' | 'write',
): z.output<T> {
  const result = schema.safeParse(options)
  if (result.success) return result.data
  const issue = result.error.issues[0]!
  if (issue.code !== 'unrecognized_keys') {
    throw new FerryError('FERRY-1003', `${side}.${issue.path.join('.')}: ${issue.message}`)
  }
  const known = Object.keys(schema.shape)
  const near = nearest(issue.keys[0]!, known)
  const advice = near ? `: did you mean "${near}"?` : ''
  throw new FerryError('FERRY-1003', `${side}: unknown option "${issue.keys[0]}"${advice}`, {
    hint: `Options: ${known.join(', ')}.`,
  })
}
