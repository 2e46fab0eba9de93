import { resolve } from 'node:path'
import { z } from 'zod'
import { allowedPath } from '../../confinement.ts'
import { FerryError } from '../../errors.ts'
import type { Kind, Settings } from '../connector.ts'

/** Settings of a SQLite connection. The README's table is checked against this schema. */
export const settingsSchema = z.strictObject({
  path: z.string().max(4000).describe('The database file; created when it is written to and missing'),
})

export const sqliteKind = {
  kind: 'sqlite',
  settings: settingsSchema,
  tellsChanges: false,
  abilities: { update: ['append', 'overwrite', 'merge'], transactional: true },
  /** Gives back the path of the file. */
  check(settings: Settings): string {
    const result = settingsSchema.safeParse(settings)
    if (!result.success) throw new FerryError('FERRY-2003', 'sqlite connection: `path` names the database file')
    return allowedPath(resolve(result.data.path))
  },
} satisfies Kind
