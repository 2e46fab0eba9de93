import { z } from 'zod'
import { FerryError } from '../../errors.ts'
import type { Kind, Settings } from '../connector.ts'
import { readSchema, writeSchema } from './options.ts'

/** Settings of a files connection. The README's table is checked against this schema. */
export const settingsSchema = z.strictObject({
  folder: z.string().max(4000).default('.').describe('Folder that relative names start from'),
})

export const filesKind = {
  kind: 'files',
  settings: settingsSchema,
  options: { read: readSchema, write: writeSchema },
  tellsChanges: false,
  abilities: { update: ['append', 'overwrite'], transactional: false },
  /** Gives back the folder. */
  check(settings: Settings): string {
    const result = settingsSchema.safeParse(settings)
    if (!result.success) throw new FerryError('FERRY-2003', 'files connection: only `folder` is a setting')
    return result.data.folder
  },
} satisfies Kind
