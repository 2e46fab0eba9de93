import { z } from 'zod'
import { readDatabaseFile } from '../../contract/locator.ts'
import { DATABASE, type Kind, type Settings } from '../../contract/store.ts'
import { DUCKDB_ENCODINGS } from '../../duckdb/encodings.ts'
import type { Policy } from '../../policy.ts'
import { checkDatabaseFile } from '../databasefile.ts'

/** Settings of a DuckDB connection. The README's table is checked against this schema. */
export const settingsSchema = z.strictObject({
  path: z.string().max(4000).describe('The database file; created when it is written to and missing'),
})

export const duckdbKind = {
  kind: 'duckdb',
  label: 'DuckDB',
  settings: settingsSchema,
  locators: { schemes: ['duckdb'], endings: /\.(duckdb|ddb)$/i, read: readDatabaseFile('duckdb') },
  encodings: DUCKDB_ENCODINGS,
  tellsChanges: false,
  abilities: DATABASE,
  check: (settings: Settings, policy: Policy) => checkDatabaseFile('duckdb', settingsSchema, settings, policy),
} satisfies Kind
