import { resolve } from 'node:path'
import type { z } from 'zod'
import { checkSettings } from '../contract/settings.ts'
import type { Settings } from '../contract/store.ts'
import type { Policy } from '../policy.ts'

/** A database that is one file, and what its statements may reach. */
export interface DatabaseFile {
  path: string
  policy: Policy
}

/** The file that the settings of a connection name. Throws FERRY-2003, FERRY-2006. */
export function checkDatabaseFile(kind: string, schema: z.ZodObject, settings: Settings, policy: Policy): DatabaseFile {
  const { path } = checkSettings(kind, schema, settings)
  return { path: policy.pathOf(resolve(path as string)), policy }
}
