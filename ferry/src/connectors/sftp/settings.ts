import { z } from 'zod'
import { notLocator, urlOf, withObject } from '../../contract/locator.ts'
import { checkSettings, wrongSettings } from '../../contract/settings.ts'
import type { Kind, Settings } from '../../contract/store.ts'
import { OF_FILES } from '../../formats/kind.ts'
import type { Policy } from '../../policy.ts'

/** Settings of an SFTP connection. The README's table is checked against this schema. */
export const settingsSchema = z.strictObject({
  host: z.string().min(1).max(255).describe('The server'),
  port: z.coerce.number().int().min(1).max(65_535).default(22).describe('Its port'),
  user: z.string().max(255).optional().describe('The user; the one of this machine where omitted, except in a server'),
  password: z.string().optional().describe('Secret, by reference').meta({ secret: true }),
  privateKey: z
    .string()
    .optional()
    .describe('A private key (OpenSSH or PEM), or the path of its file; secret, by reference')
    .meta({ secret: true }),
  passphrase: z.string().optional().describe('Of the private key; secret, by reference').meta({ secret: true }),
  hostKey: z
    .string()
    .max(20_000)
    .optional()
    .describe(
      'The key of the server: `SHA256:...` as `ssh-keygen -l` shows it, or lines of a known_hosts file; where omitted `~/.ssh/known_hosts`',
    ),
  folder: z.string().max(900).default('').describe('The folder that names are relative to, from the root'),
})

export type SftpSettings = z.output<typeof settingsSchema> & { user: string; policy: Policy }

/** Checks the settings. Throws FERRY-2003. */
export function readSettings(settings: Settings, policy: Policy): SftpSettings {
  const checked = checkSettings('sftp', settingsSchema, settings)
  const user = checked.user ?? (policy.isLimited ? undefined : policy.valueOf('USER'))
  if (user === undefined) throw wrongSettings('sftp', ['user', 'is missing'])
  if (policy.isLimited) {
    // The keys of the server's own user are for no one else.
    if (checked.password === undefined && checked.privateKey === undefined) {
      throw wrongSettings('sftp', ['privateKey', 'is missing, and there is no password'])
    }
    if (checked.hostKey === undefined) {
      throw wrongSettings('sftp', ['hostKey', 'is missing: `ssh-keyscan HOST | ssh-keygen -lf -` shows it'])
    }
  }
  return { ...checked, user, policy }
}

export const sftpKind = {
  kind: 'sftp',
  label: 'SFTP',
  settings: settingsSchema,
  ...OF_FILES,
  locators: {
    schemes: ['sftp'],
    /** `sftp://USER@HOST:PORT/PATH`: the path is from the root, and may be a pattern. */
    read: text => {
      const [, authority = '', object = ''] = /^sftp:\/\/([^/]*)\/?(.*)$/is.exec(text) ?? []
      const { hostname, port, username, password } = urlOf(`sftp://${authority}`)
      if (hostname === '') throw notLocator(text, 'sftp://USER@HOST/PATH')
      return withObject(
        {
          host: hostname,
          ...(port === '' ? {} : { port: Number(port) }),
          ...(username === '' ? {} : { user: decodeURIComponent(username) }),
          ...(password === '' ? {} : { password: decodeURIComponent(password) }),
        },
        object,
      )
    },
  },
  check: readSettings,
} satisfies Kind
