import { z } from 'zod'
import { readDatabaseFile } from '../../contract/locator.ts'
import { DATABASE, type Kind, type Settings } from '../../contract/store.ts'
import type { Policy } from '../../policy.ts'
import { checkDatabaseFile } from '../databasefile.ts'

/** Settings of a SQLite connection. The README's table is checked against this schema. */
export const settingsSchema = z.strictObject({
  path: z.string().max(4000).describe('The database file; created when it is written to and missing'),
})

export const sqliteKind = {
  kind: 'sqlite',
  label: 'SQLite',
  settings: settingsSchema,
  locators: { schemes: ['sqlite'], endings: /\.(db|sqlite|sqlite3)$/i, read: readDatabaseFile('sqlite') },
  tellsChanges: false,
  abilities: DATABASE,
  check: (settings: Settings, policy: Policy) => checkDatabaseFile('sqlite', settingsSchema, settings, policy),
} satisfies Kind
