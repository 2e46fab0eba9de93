import { z } from 'zod'

/** Settings of a SQLite connection. The README's table is checked against this schema. */
export const settingsSchema = z.strictObject({
  path: z.string().max(4000).describe('The database file; created when it is written to and missing'),
})
