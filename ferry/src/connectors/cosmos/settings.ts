import { z } from 'zod'
import { type Located, urlOf, withObject } from '../../contract/locator.ts'
import { checkSettings, wrongSettings } from '../../contract/settings.ts'
import { DATABASE, type Kind, type Settings } from '../../contract/store.ts'
import type { Policy } from '../../policy.ts'
import { connectionStringParts } from '../connectionstring.ts'
import { ENTRA_FIELDS } from '../entra.ts'
import { readSchema, writeSchema } from './options.ts'

/** Settings of an Azure Cosmos DB for NoSQL connection. The README's table is checked against this schema. */
export const settingsSchema = z.strictObject({
  endpoint: z.url().optional().describe('The account: `https://NAME.documents.azure.com:443/`'),
  key: z.string().optional().describe('The account key; secret, by reference').meta({ secret: true }),
  connectionString: z
    .string()
    .optional()
    .describe('`AccountEndpoint=...;AccountKey=...;Database=...`; secret, by reference')
    .meta({ secret: true }),
  ...ENTRA_FIELDS,
  database: z.string().optional().describe('The database of containers that are named without one'),
  preferredRegions: z.array(z.string()).default([]).describe('Regions to read from, the nearest first'),
  unknownRegions: z
    .enum(['refuse', 'ignore'])
    .default('refuse')
    .describe('Where the account has none of `preferredRegions`: stop, or read from its own'),
  endpointDiscovery: z
    .union([z.boolean(), z.enum(['true', 'false'])])
    .default(true)
    .describe(
      'Whether regions are asked for at their own addresses; `false` behind a tunnel or for an emulator in a container',
    ),
  maxConnections: z.coerce.number().int().min(1).max(1000).default(50).describe('Connections at one time'),
  copiesAtOnce: z.coerce
    .number()
    .int()
    .min(1)
    .max(100)
    .default(1)
    .describe('Copy jobs of the account at work together'),
  requestTimeout: z.coerce.number().positive().default(65).describe('Seconds to wait for an answer'),
})

export type CosmosSettings = Omit<
  z.output<typeof settingsSchema>,
  'connectionString' | 'endpoint' | 'endpointDiscovery'
> & {
  endpoint: string
  endpointDiscovery: boolean
  policy: Policy
}

/** Checks the settings and parses the connection string. Throws FERRY-2003. */
export function readSettings(settings: Settings, policy: Policy): CosmosSettings {
  const { connectionString, ...rest } = checkSettings('cosmos', settingsSchema, settings)
  const named = connectionString === undefined ? {} : parseConnectionString(connectionString)
  const endpoint = rest.endpoint ?? named.endpoint
  if (endpoint === undefined)
    throw wrongSettings('cosmos', ['endpoint', 'is missing, and no connectionString names it'])
  const forms = [named.key ?? rest.key, rest.servicePrincipalId, rest.managedIdentity].filter(f => f !== undefined)
  if (forms.length > 1) {
    const name = (['managedIdentity', 'servicePrincipalId', 'key'] as const).find(s => rest[s] !== undefined) ?? 'key'
    throw wrongSettings('cosmos', [name, 'excludes the others: a key, a service principal, or a managed identity'])
  }
  return { ...named, ...rest, policy, endpoint, endpointDiscovery: String(rest.endpointDiscovery) === 'true' }
}

/** `AccountEndpoint=...;AccountKey=...;Database=...`, in any order and case. */
export function parseConnectionString(text: string): { endpoint?: string; key?: string; database?: string } {
  const parts = connectionStringParts(text)
  const endpoint = parts.get('accountendpoint')
  const key = parts.get('accountkey')
  const database = parts.get('database')
  return {
    endpoint,
    key,
    database,
  }
}

/** `cosmos://NAME.documents.azure.com/DATABASE#CONTAINER`; the key is a setting. Loopback is plain HTTP. */
function readLocator(text: string): Located {
  const url = urlOf(text)
  const local = /^(localhost|127\.|\[::1\])/.test(url.hostname)
  const settings: Record<string, unknown> = { endpoint: `${local ? 'http' : 'https'}://${url.host}/` }
  const database = decodeURIComponent(url.pathname.replace(/^\//, ''))
  if (database !== '') settings.database = database
  if (url.password !== '') settings.key = decodeURIComponent(url.password)
  for (const [name, value] of url.searchParams) settings[name] = value
  return withObject(settings, decodeURIComponent(url.hash.slice(1)))
}

export const cosmosKind = {
  kind: 'cosmos',
  label: 'Azure Cosmos DB for NoSQL',
  settings: settingsSchema,
  options: { read: readSchema, write: writeSchema },
  locators: { schemes: ['cosmos'], read: readLocator },
  tellsChanges: true,
  abilities: {
    ...DATABASE,
    update: ['append', 'merge'],
    transactional: false,
    queries: false,
    knowsNew: true,
  },
  check: readSettings,
} satisfies Kind
