import { z } from 'zod'
import { notLocator, withObject } from '../../contract/locator.ts'
import { checkSettings, wrongSettings } from '../../contract/settings.ts'
import type { Kind, Settings } from '../../contract/store.ts'
import { OF_FILES } from '../../formats/kind.ts'
import type { Policy } from '../../policy.ts'
import { parseSize, sizeOf } from '../../size.ts'

/** Settings of an S3 connection. The README's table is checked against this schema. */
export const settingsSchema = z.strictObject({
  bucket: z.string().min(1).max(255).describe('The bucket, or the ARN of an access point'),
  folder: z.string().max(900).default('').describe('What the keys begin with that names are relative to'),
  region: z
    .string()
    .max(100)
    .optional()
    .describe("Of the bucket; where omitted AWS's own configuration, else `us-east-1`"),
  endpoint: z.url().optional().describe('Of another service that speaks S3: `https://minio.example:9000`'),
  pathStyle: z
    .union([z.boolean(), z.enum(['true', 'false'])])
    .optional()
    .describe('Whether the bucket is in the path of URLs; true where `endpoint` is given'),
  credentials: z
    .enum(['keys', 'machine', 'anonymous'])
    .optional()
    .describe('`keys` of this connection, the identity of the `machine` (AWS’s own chain), or none'),
  accessKeyId: z.string().max(200).optional().describe('Of `keys`'),
  secretAccessKey: z.string().optional().describe('Of `keys`; secret, by reference').meta({ secret: true }),
  sessionToken: z.string().optional().describe('Of temporary `keys`; secret, by reference').meta({ secret: true }),
  serverSideEncryption: z
    .enum(['AES256', 'aws:kms', 'aws:kms:dsse'])
    .optional()
    .describe('Of objects that are written'),
  kmsKeyId: z.string().max(2000).optional().describe('The key of `aws:kms`'),
  storageClass: z.string().max(100).optional().describe('Of objects that are written'),
  requesterPays: z
    .union([z.boolean(), z.enum(['true', 'false'])])
    .default(false)
    .describe('Whether requests are paid by who sends them'),
  partSize: z
    .union([z.number(), z.string()])
    .refine(size => parseSize(size), 'is not a size such as 16MB')
    .optional()
    .describe('Of uploads; where omitted 8 MiB, more for objects of more than 8 GB'),
  checksum: z
    .enum(['crc32', 'none'])
    .default('crc32')
    .describe('Sent with each part and checked by the service; `none` for services that do not know it'),
})

const SMALLEST_PART = 5 << 20
const LARGEST_PART = 512 << 20

export type S3Settings = Omit<
  z.output<typeof settingsSchema>,
  'credentials' | 'pathStyle' | 'requesterPays' | 'partSize'
> & {
  credentials: 'keys' | 'machine' | 'anonymous'
  pathStyle: boolean
  requesterPays: boolean
  partSize: number | undefined
}

/** Checks the settings. Throws FERRY-2003. */
export function readSettings(settings: Settings, policy: Policy): S3Settings {
  const checked = checkSettings('s3', settingsSchema, settings)
  const { accessKeyId, secretAccessKey, credentials = accessKeyId === undefined ? undefined : 'keys' } = checked
  if (credentials === 'keys' && (accessKeyId === undefined || secretAccessKey === undefined)) {
    throw wrongSettings('s3', [accessKeyId === undefined ? 'accessKeyId' : 'secretAccessKey', 'is missing'])
  }
  // Who may name a connection must not use the server's own identity without a word of it.
  if (credentials === undefined && policy.isLimited) {
    throw wrongSettings('s3', [
      'credentials',
      'is missing: `keys`, `machine` for the identity of the server, `anonymous`',
    ])
  }
  const partSize = checked.partSize === undefined ? undefined : sizeOf(checked.partSize, 'partSize')
  if (partSize !== undefined && (partSize < SMALLEST_PART || partSize > LARGEST_PART)) {
    throw wrongSettings('s3', ['partSize', 'must be between 5 MiB and 512 MiB'])
  }
  return {
    ...checked,
    credentials: credentials ?? 'machine',
    pathStyle: checked.pathStyle === undefined ? checked.endpoint !== undefined : String(checked.pathStyle) === 'true',
    requesterPays: String(checked.requesterPays) === 'true',
    partSize,
  }
}

export const s3Kind = {
  kind: 's3',
  label: 'Amazon S3',
  settings: settingsSchema,
  listed: 'bucket',
  ...OF_FILES,
  locators: {
    schemes: ['s3', 's3a', 's3n'],
    /** `s3://BUCKET/KEY`: what is behind the bucket is a name, a folder or a pattern, as it is. */
    read: text => {
      const [, bucket = '', object = ''] = /^[a-z0-9]+:\/\/([^/]*)\/?(.*)$/is.exec(text) ?? []
      if (bucket === '' || bucket.includes('@')) throw notLocator(text, 's3://BUCKET/KEY')
      return withObject({ bucket }, object)
    },
  },
  check: readSettings,
} satisfies Kind
