import { z } from 'zod'
import { type Located, notLocator, withObject } from '../../contract/locator.ts'
import { checkSettings, wrongSettings } from '../../contract/settings.ts'
import type { Kind, Settings } from '../../contract/store.ts'
import { FerryError } from '../../errors.ts'
import { OF_FILES } from '../../formats/kind.ts'
import type { Policy } from '../../policy.ts'
import { connectionStringParts } from '../connectionstring.ts'
import { ENTRA_FIELDS } from '../entra.ts'

/** Settings of an Azure Blob Storage connection. The README's table is checked against this schema. */
export const settingsSchema = z.strictObject({
  account: z.string().max(100).optional().describe('The storage account'),
  container: z.string().min(1).max(63).describe('The container (ADLS: the file system)'),
  folder: z.string().max(900).default('').describe('What the names of blobs begin with that names are relative to'),
  endpoint: z
    .url()
    .optional()
    .describe(
      'Of the Blob service; `https://ACCOUNT.blob.core.windows.net` where omitted, else of another cloud or an emulator',
    ),
  accountKey: z.string().optional().describe('The key of the account; secret, by reference').meta({ secret: true }),
  sasToken: z.string().optional().describe('A shared access signature; secret, by reference').meta({ secret: true }),
  connectionString: z
    .string()
    .optional()
    .describe('`AccountName=...;AccountKey=...`, as the portal shows it; secret, by reference')
    .meta({ secret: true }),
  ...ENTRA_FIELDS,
  anonymous: z
    .union([z.boolean(), z.enum(['true', 'false'])])
    .default(false)
    .describe('Whether the container is public and requests have no identity'),
  accessTier: z
    .enum(['Hot', 'Cool', 'Cold'])
    .optional()
    .describe("Of blobs that are written; the account's where omitted"),
})

export type BlobSettings = Omit<z.output<typeof settingsSchema>, 'connectionString' | 'endpoint' | 'anonymous'> & {
  endpoint: string
  isAnonymous: boolean
  policy: Policy
}

/** The hosts of Azure's own Blob services: identities of machines are shown to no others. */
const AZURE =
  /\.blob\.(core\.windows\.net|core\.chinacloudapi\.cn|core\.usgovcloudapi\.net|core\.cloudapi\.de|storage\.azure\.net)$/

/** Checks the settings and parses the connection string. Throws FERRY-2003. */
export function readSettings(settings: Settings, policy: Policy): BlobSettings {
  const { connectionString, anonymous, ...rest } = checkSettings('azureblob', settingsSchema, settings)
  const named: Named = connectionString === undefined ? {} : parseConnectionString(connectionString)
  if (connectionString !== undefined && named.accountKey === undefined && named.sasToken === undefined) {
    throw wrongSettings('azureblob', ['connectionString', 'has neither AccountKey nor SharedAccessSignature'])
  }
  const account = rest.account ?? named.account
  const endpoint = rest.endpoint ?? named.endpoint ?? (account && `https://${account}.blob.core.windows.net`)
  if (endpoint === undefined) throw wrongSettings('azureblob', ['account', 'is missing'])
  const isAnonymous = String(anonymous) === 'true'
  const { accountKey = named.accountKey, sasToken = named.sasToken, servicePrincipalId, managedIdentity } = rest
  const forms = { accountKey, sasToken, servicePrincipalId, managedIdentity, anonymous: isAnonymous || undefined }
  const given = Object.entries(forms).filter(([, value]) => value !== undefined)
  if (given.length > 1) throw wrongSettings('azureblob', [given[1]![0], `excludes ${given[0]![0]}`])
  if (accountKey !== undefined && account === undefined) throw wrongSettings('azureblob', ['account', 'is missing'])
  const isToken = given.length === 0 || servicePrincipalId !== undefined || managedIdentity !== undefined
  if (isToken && policy.isLimited && !AZURE.test(new URL(endpoint).hostname)) {
    throw new FerryError(
      'FERRY-2006',
      `${endpoint} is no Blob service of Azure: the identity of a server is not shown to it`,
    )
  }
  return { ...rest, account, endpoint, accountKey, sasToken, isAnonymous, policy }
}

interface Named {
  account?: string | undefined
  accountKey?: string | undefined
  sasToken?: string | undefined
  endpoint?: string | undefined
}

function parseConnectionString(text: string): Named {
  const parts = connectionStringParts(text)
  if (parts.get('usedevelopmentstorage') === 'true') {
    throw wrongSettings('azureblob', [
      'connectionString',
      'of an emulator: give account, accountKey and endpoint instead',
    ])
  }
  const account = parts.get('accountname')
  const protocol = parts.get('defaultendpointsprotocol') ?? 'https'
  const suffix = parts.get('endpointsuffix') ?? 'core.windows.net'
  return {
    account,
    accountKey: parts.get('accountkey'),
    sasToken: parts.get('sharedaccesssignature'),
    endpoint: parts.get('blobendpoint') ?? (account && `${protocol}://${account}.blob.${suffix}`),
  }
}

/**
 * `az://ACCOUNT/CONTAINER/NAME`, and as Azure's own tools write it: `abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/NAME`,
 * `wasbs://CONTAINER@ACCOUNT.blob.core.windows.net/NAME`.
 */
function readLocator(text: string): Located {
  const [, scheme, authority = '', rest = ''] = /^([a-z]+):\/\/([^/]*)\/?(.*)$/is.exec(text) ?? []
  if (scheme?.toLowerCase() === 'az') {
    const [, container = '', object = ''] = /^([^/]*)\/?(.*)$/s.exec(rest)!
    if (authority === '' || container === '') throw notLocator(text, 'az://ACCOUNT/CONTAINER/NAME')
    return withObject({ account: authority, container }, object)
  }
  const [, container, account, suffix] = /^([^@]+)@([^.]+)\.(?:dfs|blob)\.(.+)$/.exec(authority) ?? []
  if (container === undefined) {
    throw notLocator(text, `${scheme}://CONTAINER@ACCOUNT.dfs.core.windows.net/NAME`)
  }
  const endpoint = suffix === 'core.windows.net' ? {} : { endpoint: `https://${account}.blob.${suffix}` }
  return withObject({ account, container, ...endpoint }, rest)
}

export const azureblobKind = {
  kind: 'azureblob',
  label: 'Azure Blob Storage and ADLS Gen2',
  settings: settingsSchema,
  listed: 'container',
  ...OF_FILES,
  locators: { schemes: ['az', 'abfss', 'abfs', 'wasbs', 'wasb'], read: readLocator },
  check: readSettings,
} satisfies Kind
