import { resolve } from 'node:path'
import type { z } from 'zod'
import { allowedPath } from '../confinement.ts'
import { checkSettings } from '../contract/settings.ts'
import type { Settings } from '../contract/store.ts'

/** The path of a database that is one file, where it may be. Throws FERRY-2003, FERRY-2006. */
export function checkDatabaseFile(kind: string, schema: z.ZodObject, settings: Settings): string {
  const { path } = checkSettings(kind, schema, settings)
  return allowedPath(resolve(path as string))
}
