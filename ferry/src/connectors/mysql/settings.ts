import { z } from 'zod'
import { readServer } from '../../contract/locator.ts'
import { checkSettings } from '../../contract/settings.ts'
import { DATABASE, type Kind, type Settings } from '../../contract/store.ts'

/** Settings of a MySQL or MariaDB connection. The README's table is checked against this schema. */
export const settingsSchema = z.strictObject({
  host: z.string().default('localhost').describe('Host name or address, or the path of a Unix socket'),
  port: z.coerce.number().int().min(1).max(65535).default(3306).describe('Port'),
  database: z.string().optional().describe('Database of object names that name none'),
  user: z.string().default('root').describe('User'),
  password: z
    .string()
    .optional()
    .describe('Password; write `${NAME}` to take it from the environment')
    .meta({ secret: true }),
  ssl: z
    .enum(['disable', 'require', 'verify-full'])
    .default('disable')
    .describe('`require` encrypts, `verify-full` also checks the certificate and the host name'),
  connectTimeout: z.coerce.number().positive().default(15).describe('Seconds to wait for a connection'),
  tinyInt1: z
    .enum(['bool', 'int'])
    .default('bool')
    .describe('What `tinyint(1)` is: as `bool` a value other than 0 and 1 is refused'),
  zeroDates: z
    .enum(['refuse', 'null'])
    .default('refuse')
    .describe('What becomes of `0000-00-00` and dates without month or day'),
  ledger: z
    .enum(['auto', 'off'])
    .default('auto')
    .describe('`off` keeps no ledger table at the destination; `ferry plan` then says which guarantee is left'),
})

export type MysqlSettings = z.infer<typeof settingsSchema>

/** Checked settings. Throws FERRY-2003 naming the setting. */
export function readSettings(settings: Settings): MysqlSettings {
  return checkSettings('mysql', settingsSchema, settings)
}

export const mysqlKind = {
  kind: 'mysql',
  label: 'MySQL, MariaDB',
  settings: settingsSchema,
  locators: { schemes: ['mysql', 'mariadb'], read: readServer },
  tellsChanges: true,
  abilities: DATABASE,
  check: readSettings,
} satisfies Kind
