import { z } from 'zod'
import { readServer } from '../../contract/locator.ts'
import { checkSettings } from '../../contract/settings.ts'
import { DATABASE, type Kind, type Settings } from '../../contract/store.ts'
import type { Policy } from '../../policy.ts'
import { POSTGRES_ENCODINGS } from './encodings.ts'

/** Settings of a PostgreSQL connection. The README's table is checked against this schema. */
export const settingsSchema = z.strictObject({
  host: z.string().default('localhost').describe('Host name, address, or folder of a Unix socket'),
  port: z.coerce.number().int().min(1).max(65535).default(5432).describe('Port'),
  database: z.string().default('postgres').describe('Database'),
  user: z.string().default('postgres').describe('User (role)'),
  password: z
    .string()
    .optional()
    .describe('Password; write `${NAME}` to take it from the environment')
    .meta({ secret: true }),
  ssl: z
    .enum(['disable', 'require', 'verify-full'])
    .default('disable')
    .describe('`require` encrypts, `verify-full` also checks the certificate and the host name'),
  rowSecurity: z
    .enum(['refuse', 'apply'])
    .default('refuse')
    .describe('Tables whose row security hides rows from the user: `apply` copies what it shows'),
  schema: z.string().default('public').describe('Schema of object names that name none'),
  connectTimeout: z.coerce.number().positive().default(15).describe('Seconds to wait for a connection'),
  ledger: z
    .enum(['auto', 'off'])
    .default('auto')
    .describe('`off` keeps no ledger table at the destination; `ferry plan` then says which guarantee is left'),
})

export type PostgresSettings = z.infer<typeof settingsSchema> & {
  /** True in a server: the driver takes nothing from the environment of the process, and no password from its files. */
  isLimited?: boolean
}

/** Checked settings. Throws FERRY-2003 naming the setting. */
export function readSettings(settings: Settings, { isLimited }: Policy): PostgresSettings {
  return { ...checkSettings('postgres', settingsSchema, settings), isLimited }
}

export const postgresKind = {
  kind: 'postgres',
  label: 'PostgreSQL',
  settings: settingsSchema,
  locators: { schemes: ['postgres', 'postgresql'], read: readServer },
  encodings: POSTGRES_ENCODINGS,
  tellsChanges: true,
  abilities: DATABASE,
  check: readSettings,
} satisfies Kind
