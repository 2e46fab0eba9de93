/** Linked services as settings of connectors, by their types. */
import { FerryError } from '../../errors.ts'
import type { Settings } from './settings.ts'

type Maker = (settings: Settings, service: { type: string }) => Record<string, unknown>

const parts = (text: string) =>
  new Map(
    text
      .split(';')
      .map(part => part.trim())
      .filter(part => part !== '')
      .map(part => {
        const at = part.indexOf('=')
        return [part.slice(0, at).trim().toLowerCase().replaceAll(/[\s_]/g, ''), part.slice(at + 1).trim()] as const
      }),
  )

/** Settings of a database, by properties or by a connection string with names of its own. */
function database(settings: Settings, names: Record<string, readonly string[]>): Record<string, string | undefined> {
  const given = settings.text('connectionString')
  if (given?.startsWith('keyvault:')) {
    throw new FerryError('FERRY-7006', `linked service ${settings.service} keeps its connection string in a vault`, {
      hint: 'Redirect it to a connection whose password is in the vault: --redirect FILE.',
    })
  }
  const written = parts(given ?? '')
  return Object.fromEntries(
    Object.entries(names).map(([name, all]) => {
      const key = all.find(n => written.has(n.toLowerCase()))
      return [name, settings.text(all[0]!) ?? (key === undefined ? undefined : written.get(key.toLowerCase()))]
    }),
  )
}

const withoutEmpty = (all: Record<string, unknown>) =>
  Object.fromEntries(Object.entries(all).filter(([, v]) => v !== undefined && v !== ''))

/** Encryption as Npgsql and MySqlConnector name it; where nothing is said they prefer it, which checks nothing. */
function ssl(mode: string | undefined): string {
  const known: Record<string, string> = {
    '0': 'disable',
    disable: 'disable',
    disabled: 'disable',
    none: 'disable',
    '1': 'disable',
    allow: 'disable',
    '2': 'disable',
    prefer: 'disable',
    preferred: 'disable',
    '3': 'require',
    require: 'require',
    required: 'require',
    '4': 'verify-full',
    verifyca: 'verify-full',
    'verify-ca': 'verify-full',
    '5': 'verify-full',
    verifyfull: 'verify-full',
    'verify-full': 'verify-full',
  }
  return known[(mode ?? 'require').toLowerCase()] ?? 'require'
}

/** The makers of database servers; `encryption` names it as the drivers of their linked services do. */
const server =
  (kind: string, encryption: readonly string[]): Maker =>
  settings => {
    const found = database(settings, {
      host: ['server', 'host'],
      port: ['port'],
      database: ['database'],
      user: ['username', 'uid', 'userid', 'user'],
      password: ['password', 'pwd'],
      ssl: encryption,
    })
    return withoutEmpty({ kind, ...found, ssl: ssl(found.ssl) })
  }

const postgres = server('postgres', ['sslMode', 'sslmode', 'encryptionmethod'])
const mysql = server('mysql', ['sslMode', 'sslmode'])

const cosmos: Maker = settings => {
  const connectionString = settings.text('connectionString')
  const key = settings.text('accountKey')
  const identity = settings.identity()
  const isAlone = connectionString !== undefined && /AccountKey\s*=/i.test(connectionString)
  // Without a key and a principal it is the identity of the factory itself.
  const who = isAlone || key !== undefined ? {} : (identity ?? { managedIdentity: 'system' })
  return withoutEmpty({
    kind: 'cosmos',
    connectionString,
    endpoint: settings.text('accountEndpoint'),
    database: settings.text('database'),
    key,
    ...who,
  })
}

const blob: Maker = settings => {
  const connectionString = settings.text('connectionString')
  const sasUri = settings.text('sasUri')
  if (connectionString !== undefined && !connectionString.startsWith('keyvault:')) {
    const key = settings.text('accountKey')
    return withoutEmpty({
      kind: 'azureblob',
      connectionString: key === undefined ? connectionString : `${connectionString};AccountKey=${key}`,
    })
  }
  if (sasUri?.startsWith('http')) {
    const url = new URL(sasUri)
    const token = settings.text('sasToken') ?? url.search.slice(1)
    return withoutEmpty({
      kind: 'azureblob',
      endpoint: `${url.origin}${url.pathname.replace(/\/$/, '')}`,
      sasToken: token,
    })
  }
  const endpoint = settings.text('serviceEndpoint') ?? settings.text('containerUri')
  if (endpoint === undefined) return { kind: 'azureblob', connectionString: settings.require('connectionString') }
  if (settings.text('authenticationType') === 'Anonymous') return { kind: 'azureblob', endpoint, anonymous: true }
  return withoutEmpty({ kind: 'azureblob', endpoint, ...(settings.identity() ?? { managedIdentity: 'system' }) })
}

const lake: Maker = settings => {
  // The same account answers at its Blob endpoint.
  const endpoint = settings.require('url').replace('.dfs.', '.blob.').replace(/\/$/, '')
  const accountKey = settings.text('accountKey')
  const sas = settings.text('sasToken') ?? settings.text('sasUri')
  if (accountKey !== undefined)
    return { kind: 'azureblob', endpoint, account: new URL(endpoint).hostname.split('.')[0], accountKey }
  if (sas !== undefined) return { kind: 'azureblob', endpoint, sasToken: sas.replace(/^.*\?/, '') }
  return withoutEmpty({ kind: 'azureblob', endpoint, ...(settings.identity() ?? { managedIdentity: 'system' }) })
}

const s3: Maker = (settings, { type }) =>
  withoutEmpty({
    kind: 's3',
    endpoint:
      settings.text('serviceUrl') ?? (type === 'GoogleCloudStorage' ? 'https://storage.googleapis.com' : undefined),
    pathStyle: settings.text('forcePathStyle'),
    credentials: 'keys',
    accessKeyId: settings.require('accessKeyId'),
    secretAccessKey: settings.require('secretAccessKey'),
    sessionToken: settings.text('sessionToken'),
  })

const sftp: Maker = settings => {
  const key = settings.text('privateKeyContent')
  if (settings.has('privateKeyPath')) {
    throw new FerryError(
      'FERRY-7006',
      `linked service ${settings.service} reads its private key from a file of its runtime`,
      {
        hint: 'Put the key into privateKeyContent, or redirect the linked service: --redirect FILE.',
      },
    )
  }
  return withoutEmpty({
    kind: 'sftp',
    host: settings.require('host'),
    port: settings.text('port'),
    user: settings.text('userName'),
    password: settings.text('password'),
    privateKey: key === undefined || key.startsWith('keyvault:') ? key : Buffer.from(key, 'base64').toString('utf8'),
    passphrase: settings.text('passPhrase'),
    hostKey: settings.text('hostKeyFingerprint'),
    folder: '/',
  })
}

const http: Maker = settings => {
  const url = settings.require('url')
  const type = settings.text('authenticationType') ?? 'Anonymous'
  if (type === 'Anonymous') return { kind: 'http', url }
  if (type === 'Basic')
    return { kind: 'http', url, user: settings.require('userName'), password: settings.require('password') }
  throw new FerryError(
    'FERRY-7006',
    `linked service ${settings.service} signs in by ${type}: Anonymous and Basic are known here`,
  )
}

/** Types of linked services that are stores here. */
export const MAKERS: Record<string, Maker> = {
  CosmosDb: cosmos,
  AzurePostgreSql: postgres,
  PostgreSql: postgres,
  PostgreSqlV2: postgres,
  AzureMySql: mysql,
  MySql: mysql,
  MariaDB: mysql,
  AzureMariaDB: mysql,
  AzureBlobStorage: blob,
  AzureStorage: blob,
  AzureBlobFS: lake,
  AmazonS3: s3,
  AmazonS3Compatible: s3,
  GoogleCloudStorage: s3,
  Sftp: sftp,
  FileServer: settings => ({ kind: 'files', folder: settings.require('host') }),
  HttpServer: http,
}
