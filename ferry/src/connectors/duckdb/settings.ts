import { z } from 'zod'
import type { Kind, Settings } from '../connector.ts'
import { checkDatabaseFile } from '../options.ts'

/** Settings of a DuckDB connection. The README's table is checked against this schema. */
export const settingsSchema = z.strictObject({
  path: z.string().max(4000).describe('The database file; created when it is written to and missing'),
})

export const duckdbKind = {
  kind: 'duckdb',
  settings: settingsSchema,
  tellsChanges: false,
  abilities: { update: ['append', 'overwrite', 'merge'], transactional: true },
  check: (settings: Settings) => checkDatabaseFile('duckdb', settingsSchema, settings),
} satisfies Kind
