import { z } from 'zod'
import { notLocator, withObject } from '../../contract/locator.ts'
import { checkSettings, wrongSettings } from '../../contract/settings.ts'
import type { Kind, Settings } from '../../contract/store.ts'
import { FerryError } from '../../errors.ts'
import { OF_FILES } from '../../formats/kind.ts'
import type { Policy } from '../../policy.ts'

/** Settings of a Google Cloud Storage connection. The README's table is checked against this schema. */
export const settingsSchema = z.strictObject({
  bucket: z.string().min(1).max(222).describe('The bucket'),
  folder: z.string().max(900).default('').describe('What the names of objects begin with that names are relative to'),
  serviceAccountKey: z
    .string()
    .optional()
    .describe('The key of a service account, as JSON; secret, by reference')
    .meta({ secret: true }),
  credentials: z
    .enum(['key', 'machine', 'anonymous'])
    .optional()
    .describe('The `key` of this connection, the identity of the `machine` (Application Default Credentials), or none'),
  userProject: z
    .string()
    .max(100)
    .optional()
    .describe('The project that pays for requests to buckets where the requester pays'),
  storageClass: z.string().max(100).optional().describe("Of objects that are written; the bucket's where omitted"),
  endpoint: z.url().default('https://storage.googleapis.com').describe('Of an emulator'),
})

export type GcsSettings = Omit<z.output<typeof settingsSchema>, 'credentials'> & {
  credentials: 'key' | 'machine' | 'anonymous'
}

/** Checks the settings. Throws FERRY-2003, FERRY-2006. */
export function readSettings(settings: Settings, policy: Policy): GcsSettings {
  const checked = checkSettings('gcs', settingsSchema, settings)
  const { serviceAccountKey, credentials = serviceAccountKey === undefined ? undefined : 'key', endpoint } = checked
  if (credentials === 'key' && serviceAccountKey === undefined) {
    throw wrongSettings('gcs', ['serviceAccountKey', 'is missing'])
  }
  if (serviceAccountKey !== undefined && !isKey(serviceAccountKey)) {
    throw wrongSettings('gcs', ['serviceAccountKey', 'is not the JSON of a key'])
  }
  if (policy.isLimited) {
    // Who may name a connection must not use the server's own identity without a word of it.
    if (credentials === undefined) {
      throw wrongSettings('gcs', [
        'credentials',
        'is missing: `key`, `machine` for the identity of the server, `anonymous`',
      ])
    }
    if (credentials === 'machine' && !/\.googleapis\.com$/.test(new URL(endpoint).hostname)) {
      throw new FerryError(
        'FERRY-2006',
        `${endpoint} is no service of Google: the identity of a server is not shown to it`,
      )
    }
  }
  return { ...checked, credentials: credentials ?? 'machine' }
}

function isKey(text: string): boolean {
  try {
    const key = JSON.parse(text)
    return typeof key?.private_key === 'string' || typeof key?.type === 'string'
  } catch {
    return false
  }
}

export const gcsKind = {
  kind: 'gcs',
  label: 'Google Cloud Storage',
  settings: settingsSchema,
  listed: 'bucket',
  ...OF_FILES,
  locators: {
    schemes: ['gs', 'gcs'],
    read: text => {
      const [, bucket = '', object = ''] = /^[a-z]+:\/\/([^/]*)\/?(.*)$/is.exec(text) ?? []
      if (bucket === '' || bucket.includes('@')) throw notLocator(text, 'gs://BUCKET/NAME')
      return withObject({ bucket }, object)
    },
  },
  check: readSettings,
} satisfies Kind
