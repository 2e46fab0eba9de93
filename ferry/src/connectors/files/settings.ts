import { z } from 'zod'

/** Settings of a files connection. The README's table is checked against this schema. */
export const settingsSchema = z.strictObject({
  folder: z.string().max(4000).default('.').describe('Folder that relative names start from'),
})
