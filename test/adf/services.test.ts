/** Linked services as connections: each form of authentication, and where they may lead instead. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { findKind } from '../../ferry/src/connectors/registry.ts'
import { endpointOf, STORES, serviceOf } from '../../ferry/src/facades/datafactory/linkedservices.ts'
import { readFactory } from '../../ferry/src/facades/datafactory/read.ts'
import {
  NO_REDIRECTS,
  type Redirects,
  readRedirects,
  redirectedTable,
} from '../../ferry/src/facades/datafactory/redirects.ts'
import { policy, temporaryFolder } from '../support.ts'
import { type Artifacts, service, writeFactory } from './factory.ts'

const SCOPE = { functions: new Map() }

const VAULT: Artifacts = {
  'linkedService/vault': { type: 'AzureKeyVault', typeProperties: { baseUrl: 'https://v.vault.azure.net/' } },
  'credential/credential1': {
    type: 'ManagedIdentity',
    typeProperties: { resourceId: '/subscriptions/x', clientId: 'client-1' },
  },
}
const inVault = (secretName: string) => ({ type: 'AzureKeyVaultSecret', store: service('vault'), secretName })
const secure = (value: string) => ({ type: 'SecureString', value })

function opened(
  type: string,
  typeProperties: object,
  {
    redirects = NO_REDIRECTS,
    more = {},
    parameters = {},
  }: { redirects?: Redirects; more?: object; parameters?: Record<string, unknown> } = {},
) {
  const factory = readFactory(
    writeFactory({ ...VAULT, 'linkedService/s': { type, typeProperties, ...more } }),
    [],
    policy,
  )
  return endpointOf(serviceOf(factory, redirects, { referenceName: 's', parameters }, SCOPE))
}

const forms: [string, string, object, object][] = [
  [
    'key',
    'CosmosDb',
    { connectionString: 'AccountEndpoint=https://a/;AccountKey=k==;Database=d' },
    { kind: 'cosmos', connectionString: 'AccountEndpoint=https://a/;AccountKey=k==;Database=d' },
  ],
  [
    'key in Key Vault',
    'CosmosDb',
    { connectionString: 'AccountEndpoint=https://a/;Database=d', accountKey: inVault('key') },
    {
      kind: 'cosmos',
      connectionString: 'AccountEndpoint=https://a/;Database=d',
      key: 'keyvault:https://v.vault.azure.net/secrets/key',
    },
  ],
  [
    'service principal, key',
    'CosmosDb',
    {
      accountEndpoint: 'https://a/',
      database: 'd',
      servicePrincipalId: 'p',
      servicePrincipalCredentialType: 'ServicePrincipalKey',
      servicePrincipalCredential: secure('k'),
      tenant: 't',
      azureCloudType: 'AzureChina',
    },
    {
      kind: 'cosmos',
      endpoint: 'https://a/',
      database: 'd',
      servicePrincipalId: 'p',
      servicePrincipalCredentialType: 'ServicePrincipalKey',
      servicePrincipalCredential: 'k',
      tenant: 't',
      azureCloudType: 'AzureChina',
    },
  ],
  [
    'service principal, certificate',
    'CosmosDb',
    {
      accountEndpoint: 'https://a/',
      database: 'd',
      servicePrincipalId: 'p',
      servicePrincipalCredentialType: 'ServicePrincipalCert',
      servicePrincipalCredential: inVault('cert'),
      tenant: 't',
    },
    {
      kind: 'cosmos',
      endpoint: 'https://a/',
      database: 'd',
      servicePrincipalId: 'p',
      servicePrincipalCredentialType: 'ServicePrincipalCert',
      servicePrincipalCredential: 'keyvault:https://v.vault.azure.net/secrets/cert',
      tenant: 't',
    },
  ],
  [
    'system-assigned identity',
    'CosmosDb',
    { accountEndpoint: 'https://a/', database: 'd' },
    { kind: 'cosmos', endpoint: 'https://a/', database: 'd', managedIdentity: 'system' },
  ],
  [
    'user-assigned identity',
    'CosmosDb',
    {
      accountEndpoint: 'https://a/',
      database: 'd',
      credential: { referenceName: 'credential1', type: 'CredentialReference' },
    },
    { kind: 'cosmos', endpoint: 'https://a/', database: 'd', managedIdentity: 'client-1' },
  ],
  [
    'PostgreSQL, connection string with the password in Key Vault',
    'AzurePostgreSql',
    {
      connectionString: 'host=h;port=5433;database=d;uid=u;encryptionmethod=1;validateservercertificate=0',
      password: inVault('pw'),
    },
    {
      kind: 'postgres',
      host: 'h',
      port: '5433',
      database: 'd',
      user: 'u',
      password: 'keyvault:https://v.vault.azure.net/secrets/pw',
      ssl: 'disable',
    },
  ],
  [
    'PostgreSQL, properties',
    'PostgreSqlV2',
    {
      server: 'h',
      port: 5432,
      database: 'd',
      username: 'u',
      password: secure('p'),
      sslMode: 5,
      authenticationType: 'Basic',
    },
    { kind: 'postgres', host: 'h', port: '5432', database: 'd', user: 'u', password: 'p', ssl: 'verify-full' },
  ],
  [
    'MySQL',
    'AzureMySql',
    { connectionString: 'Server=h;Port=3306;Database=d;UID=u;PWD=p' },
    { kind: 'mysql', host: 'h', port: '3306', database: 'd', user: 'u', password: 'p', ssl: 'require' },
  ],
  [
    'MariaDB',
    'MariaDB',
    { server: 'h', port: 3306, database: 'd', username: 'u', password: secure('p'), sslMode: 0 },
    { kind: 'mysql', host: 'h', port: '3306', database: 'd', user: 'u', password: 'p', ssl: 'disable' },
  ],
  [
    'file server',
    'FileServer',
    { host: '/data', userId: 'x', password: secure('p') },
    { kind: 'files', folder: '/data' },
  ],
  [
    'Blob, connection string',
    'AzureBlobStorage',
    { connectionString: secure('AccountName=a;AccountKey=k') },
    { kind: 'azureblob', connectionString: 'AccountName=a;AccountKey=k' },
  ],
  [
    'Blob, SAS',
    'AzureBlobStorage',
    { sasUri: secure('https://a.blob.core.windows.net/?sv=1&sig=x') },
    { kind: 'azureblob', endpoint: 'https://a.blob.core.windows.net', sasToken: 'sv=1&sig=x' },
  ],
  [
    'Blob, identity',
    'AzureBlobStorage',
    { serviceEndpoint: 'https://a.blob.core.windows.net/' },
    { kind: 'azureblob', endpoint: 'https://a.blob.core.windows.net/', managedIdentity: 'system' },
  ],
  [
    'Data Lake, key',
    'AzureBlobFS',
    { url: 'https://a.dfs.core.windows.net', accountKey: secure('k') },
    { kind: 'azureblob', endpoint: 'https://a.blob.core.windows.net', account: 'a', accountKey: 'k' },
  ],
  [
    'S3',
    'AmazonS3',
    { accessKeyId: 'a', secretAccessKey: secure('s') },
    { kind: 's3', credentials: 'keys', accessKeyId: 'a', secretAccessKey: 's' },
  ],
  [
    'S3 compatible',
    'AmazonS3Compatible',
    { serviceUrl: 'https://m:9000', forcePathStyle: true, accessKeyId: 'a', secretAccessKey: secure('s') },
    {
      kind: 's3',
      endpoint: 'https://m:9000',
      pathStyle: 'true',
      credentials: 'keys',
      accessKeyId: 'a',
      secretAccessKey: 's',
    },
  ],
  [
    'SFTP',
    'Sftp',
    {
      host: 'h',
      port: 22,
      authenticationType: 'Basic',
      userName: 'u',
      password: secure('p'),
      hostKeyFingerprint: 'SHA256:x',
    },
    { kind: 'sftp', host: 'h', port: '22', user: 'u', password: 'p', hostKey: 'SHA256:x', folder: '/' },
  ],
  [
    'HTTP',
    'HttpServer',
    { url: 'https://h/', authenticationType: 'Basic', userName: 'u', password: secure('p') },
    { kind: 'http', url: 'https://h/', user: 'u', password: 'p' },
  ],
]

describe('a linked service', () => {
  it.each(forms)('is a connection: %s', (_, type, typeProperties, expected) => {
    expect(opened(type, typeProperties)).toEqual(expected)
  })

  it.each(forms)('has settings that its connector takes: %s', (_, type, typeProperties) => {
    const { kind, ...settings } = opened(type, typeProperties) as { kind: string }
    const { shape } = findKind(kind)!.settings
    for (const name of Object.keys(settings)) expect(Object.keys(shape)).toContain(name)
  })

  it('takes parameters; a password that begins with @ stays what it is', () => {
    const more = { parameters: { host: { type: 'String' }, port: { type: 'String', defaultValue: '5432' } } }
    const typeProperties = {
      server: '@{linkedService().host}',
      port: '@linkedService().port',
      database: 'd',
      username: 'u',
      password: secure('@Pa{55'),
      sslMode: 0,
    }
    expect(opened('PostgreSqlV2', typeProperties, { more, parameters: { host: 'h' } })).toMatchObject({
      host: 'h',
      port: '5432',
      password: '@Pa{55',
    })
    expect(() => opened('PostgreSqlV2', typeProperties, { more })).toThrow(/needs a value for its parameter host/)
  })

  it('behind a runtime of its own is not reached unless that is said', () => {
    const more = { connectVia: { referenceName: 'OnPrem', type: 'IntegrationRuntimeReference' } }
    expect(() => opened('FileServer', { host: '/data' }, { more })).toThrow(/through the runtime OnPrem/)
    const redirects = readRedirects(undefined, ['onprem=local'], policy)
    expect(opened('FileServer', { host: '/data' }, { more, redirects })).toEqual({ kind: 'files', folder: '/data' })
  })

  it('leads elsewhere by a file, with other names of tables', () => {
    const file = join(temporaryFolder(), 'here.yaml')
    writeFileSync(
      file,
      'linkedServices:\n  S:\n    connection: warehouse\n    tables: { "dbo.tmp*": "scratch.{table}", "*": "public.{table}" }\nruntimes: { OnPrem: local }\n',
    )
    const redirects = readRedirects(file, [], policy)
    expect(opened('AzureSqlDatabase', {}, { redirects })).toEqual({ connection: 'warehouse' })
    const redirect = redirects.linkedServices.get('s')!
    expect(redirectedTable(redirect, 'dbo', 'Orders')).toBe('public.Orders')
    expect(redirectedTable(redirect, 'dbo', 'tmp1')).toBe('scratch.tmp1')
    expect(() => opened('AzureSqlDatabase', {})).toThrow(/no connector for AzureSqlDatabase: redirect it/)
  })

  it('is one of these types', () => {
    const tried = new Set(forms.map(([, type]) => type))
    const untried = STORES.filter(type => !tried.has(type))
    // Older names of the same.
    expect(untried.sort()).toEqual(['AzureMariaDB', 'AzureStorage', 'GoogleCloudStorage', 'MySql', 'PostgreSql'])
  })
})
