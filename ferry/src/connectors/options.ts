import { resolve } from 'node:path'
import type { z } from 'zod'
import { allowedPath } from '../confinement.ts'
import { checkSettings } from '../contract/settings.ts'
import type { Settings } from '../contract/store.ts'
import { FerryError } from '../errors.ts'
import { faultsIn, toldFaults } from '../faults.ts'

/** The path of a database that is one file, where it may be. Throws FERRY-2003, FERRY-2006. */
export function checkDatabaseFile(kind: string, schema: z.ZodObject, settings: Settings): string {
  const { path } = checkSettings(kind, schema, settings)
  return allowedPath(resolve(path as string))
}

/** A connector's own options, checked by its schema. Throws FERRY-1003 naming each option that is wrong. */
export function checkOptions<T extends z.ZodObject>(
  schema: T,
  options: Record<string, unknown>,
  side: 'read' | 'write',
): z.output<T> {
  const faults = faultsIn(schema, options, side)
  if (faults.length === 0) return schema.parse(options)
  throw new FerryError('FERRY-1003', toldFaults(faults), {
    faults,
    hint: `Options: ${Object.keys(schema.shape).join(', ')}.`,
  })
}
