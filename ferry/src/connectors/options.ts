import { resolve } from 'node:path'
import type { z } from 'zod'
import { allowedPath } from '../confinement.ts'
import type { Settings } from './connector.ts'
import '../faults.ts'
import { FerryError, nearest } from '../errors.ts'

/** The settings of a connection, checked by its schema. Throws FERRY-2003 naming the setting. */
export function checkSettings<T extends z.ZodObject>(kind: string, schema: T, settings: Settings): z.output<T> {
  const result = schema.safeParse(settings)
  if (result.success) return result.data
  const issue = result.error.issues[0]!
  throw new FerryError('FERRY-2003', `${kind} connection: ${issue.path.join('.')} ${issue.message}`.trim())
}

/** The path of a database that is one file, where it may be. Throws FERRY-2003, FERRY-2006. */
export function checkDatabaseFile(kind: string, schema: z.ZodObject, settings: Settings): string {
  const result = schema.safeParse(settings)
  if (!result.success) throw new FerryError('FERRY-2003', `${kind} connection: \`path\` names the database file`)
  return allowedPath(resolve(result.data.path as string))
}

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
