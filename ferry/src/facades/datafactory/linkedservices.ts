/** Linked services as connections of Ferry. */
import { FerryError } from '../../errors.ts'
import type { EndpointSpec } from '../../job/schema.ts'
import type { Scope } from '../../pipelines/expressions/evaluate.ts'
import { isObject, type Value, type ValueObject, valueOf } from '../../pipelines/expressions/values.ts'
import type { Parameter, Reference } from '../../pipelines/model.ts'
import { bindParameters } from '../../pipelines/parameters.ts'
import { resolve } from '../../pipelines/resolve.ts'
import type { Artifact, Factory } from './artifacts.ts'
import type { Redirect, Redirects } from './redirects.ts'

/** Where a linked service leads. */
export interface Service {
  name: string
  type: string
  /** Its properties, evaluated, with secrets in them. */
  properties: Settings
  redirect: Redirect | undefined
}

/** Linked services whose stores Ferry has no connector for: they can be redirected. */
export const REDIRECTED = new Set([
  'AzureSqlDatabase',
  'AzureSqlMI',
  'AzureSqlDW',
  'SqlServer',
  'Oracle',
  'Snowflake',
  'AmazonRdsForSqlServer',
  'AmazonRedshift',
  'Db2',
  'Teradata',
  'Odbc',
])

/** A linked service with its parameters put in. Throws FERRY-7003, FERRY-7004, FERRY-7006, FERRY-7007. */
export function serviceOf(factory: Factory, redirects: Redirects, reference: Reference, scope: Scope): Service {
  const name = String(resolve(reference.referenceName, scope))
  const redirect = redirects.linkedServices.get(name.toLowerCase())
  // Templates leave linked services out that whoever imports them has to choose.
  if (redirect && !factory.get('linkedService', name)) {
    return { name, type: '', properties: new Settings(name, {}, factory), redirect }
  }
  const artifact = factory.require('linkedService', name)
  const { properties } = artifact
  const type = String(properties.type ?? '')
  if (!redirect) {
    requireValues(artifact)
    requireHere(factory, artifact, redirects)
  }
  const declared = (properties.parameters ?? {}) as Record<string, Parameter>
  const given = resolve(reference.parameters ?? {}, scope, 'parameters') as ValueObject
  const parameters = redirect ? {} : bindParameters(`linked service ${artifact.name}`, declared, given)
  const own: Scope = { clock: scope.clock, functions: new Map([['linkedservice', () => parameters]]) }
  // What leads elsewhere is not looked into.
  const typeProperties = redirect ? {} : withParameters(properties.typeProperties ?? {}, own)
  return {
    name: artifact.name,
    type,
    properties: new Settings(artifact.name, typeProperties as ValueObject, factory),
    redirect,
  }
}

/** Only texts that name a parameter are expressions here: a password may begin with `@`. */
function withParameters(value: unknown, scope: Scope): Value {
  if (typeof value === 'string') return /linkedService\s*\(/i.test(value) ? resolve(value, scope) : value
  if (Array.isArray(value)) return value.map(v => withParameters(v, scope))
  if (typeof value !== 'object' || value === null) return valueOf(value)
  const of = value as Record<string, unknown>
  if (of.type === 'Expression' && typeof of.value === 'string') return resolve(of.value, scope)
  return Object.fromEntries(Object.entries(of).map(([name, v]) => [name, withParameters(v, scope)]))
}

function requireValues({ name, missing }: Artifact): void {
  if (missing.length === 0) return
  throw new FerryError(
    'FERRY-7006',
    `linked service ${name} needs values that the template leaves open: ${missing.join(', ')}`,
    {
      hint: 'Give them in a file: --parameters FILE; or send the linked service elsewhere: --redirect FILE.',
    },
  )
}

/** The self-hosted runtime that a linked service is reached through; undefined if this machine does its work, or Azure. */
export function runtimeOf(
  factory: Factory,
  properties: Record<string, unknown>,
  redirects: Redirects,
): string | undefined {
  const runtime = (properties.connectVia as { referenceName?: unknown } | undefined)?.referenceName
  if (typeof runtime !== 'string' || /^AutoResolve/i.test(runtime) || redirects.runtimes.has(runtime.toLowerCase()))
    return undefined
  // Azure's own reach what can be reached from anywhere.
  return factory.get('integrationRuntime', runtime)?.properties.type === 'Managed' ? undefined : runtime
}

/** A self-hosted runtime stands where this machine may not reach. */
function requireHere(factory: Factory, { name, properties }: Artifact, redirects: Redirects): void {
  const runtime = runtimeOf(factory, properties, redirects)
  if (runtime === undefined) return
  throw new FerryError('FERRY-7006', `linked service ${name} is reached through the runtime ${runtime}`, {
    hint: `If this machine reaches it too: --runtime ${runtime}=local; else send it elsewhere: --redirect FILE.`,
  })
}

/** Properties of a linked service: texts, and secrets in their forms. */
export class Settings {
  readonly service: string
  private readonly all: ValueObject
  private readonly factory: Factory

  constructor(service: string, all: ValueObject, factory: Factory) {
    this.service = service
    this.all = all
    this.factory = factory
  }

  has(name: string): boolean {
    const value = this.all[name]
    return value !== undefined && value !== null && value !== ''
  }

  /** A text, a secret as `SecureString`, or a reference to a secret in Azure Key Vault. */
  text(name: string): string | undefined {
    const value = this.all[name]
    if (value === undefined || value === null || value === '') return undefined
    if (typeof value === 'string') return value
    if (typeof value === 'bigint' || typeof value === 'number' || typeof value === 'boolean') return String(value)
    if (isObject(value) && value.type === 'SecureString') return String(value.value ?? '')
    if (isObject(value) && value.type === 'AzureKeyVaultSecret') return this.inVault(value)
    throw new FerryError('FERRY-7001', `linked service ${this.service}: ${name} is neither a text nor a secret`)
  }

  require(name: string): string {
    const value = this.text(name)
    if (value !== undefined) return value
    throw new FerryError('FERRY-7006', `linked service ${this.service} has no ${name}`, {
      hint: 'Secrets are not exported with a factory: send the linked service elsewhere (--redirect FILE), or give --parameters FILE.',
    })
  }

  /** `keyvault:https://NAME.vault.azure.net/secrets/SECRET`, which is read when the store is opened. */
  private inVault(secret: ValueObject): string {
    const store = String((secret.store as ValueObject | undefined)?.referenceName ?? '')
    const vault = this.factory.require('linkedService', store)
    const { baseUrl } = (vault.properties.typeProperties ?? {}) as { baseUrl?: unknown }
    if (typeof baseUrl !== 'string') throw new FerryError('FERRY-7001', `linked service ${store} has no baseUrl`)
    const version = secret.secretVersion ? `/${String(secret.secretVersion)}` : ''
    return `keyvault:${baseUrl.replace(/\/$/, '')}/secrets/${String(secret.secretName ?? '')}${version}`
  }

  /** Who asks: a service principal, a managed identity, or undefined where the settings name none. */
  identity(): Record<string, string> | undefined {
    const principal = this.text('servicePrincipalId')
    if (principal !== undefined) {
      const cloud = this.text('azureCloudType')
      return {
        servicePrincipalId: principal,
        servicePrincipalCredentialType: this.text('servicePrincipalCredentialType') ?? 'ServicePrincipalKey',
        servicePrincipalCredential: this.text('servicePrincipalCredential') ?? this.require('servicePrincipalKey'),
        tenant: this.require('tenant'),
        ...(cloud === undefined ? {} : { azureCloudType: cloud }),
      }
    }
    const credential = this.all.credential
    if (!isObject(credential)) return undefined
    const name = String(credential.referenceName ?? '')
    const found = this.factory.require('credential', name)
    const { type, typeProperties = {} } = found.properties as {
      type?: string
      typeProperties?: Record<string, unknown>
    }
    if (type === 'ServicePrincipal') {
      const own = new Settings(name, valueOf(typeProperties) as ValueObject, this.factory)
      return own.identity()
    }
    const { clientId, resourceId } = typeProperties
    if (typeof clientId === 'string') return { managedIdentity: clientId }
    throw new FerryError(
      'FERRY-7006',
      `credential ${name} names an identity by ${resourceId === undefined ? 'nothing' : 'its resource'} alone`,
      {
        hint: 'Add its client id (`clientId`) to the typeProperties of the credential, or redirect the linked service.',
      },
    )
  }
}

type Maker = (settings: Settings, service: Service) => Record<string, unknown>

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

const postgres: Maker = settings => {
  const found = database(settings, {
    host: ['server', 'host'],
    port: ['port'],
    database: ['database'],
    user: ['username', 'uid', 'userid', 'user'],
    password: ['password', 'pwd'],
    ssl: ['sslMode', 'sslmode', 'encryptionmethod'],
  })
  return withoutEmpty({ kind: 'postgres', ...found, ssl: ssl(found.ssl) })
}

const mysql: Maker = settings => {
  const found = database(settings, {
    host: ['server', 'host'],
    port: ['port'],
    database: ['database'],
    user: ['username', 'uid', 'userid', 'user'],
    password: ['password', 'pwd'],
    ssl: ['sslMode', 'sslmode'],
  })
  return withoutEmpty({ kind: 'mysql', ...found, ssl: ssl(found.ssl) })
}

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

const MAKERS: Record<string, Maker> = {
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

/** Types of linked services that are stores here. */
export const STORES = Object.keys(MAKERS)

/** Why a linked service of a type leads to no store; undefined if it does. */
export function whyNoStore(type: string): string | undefined {
  if (Object.hasOwn(MAKERS, type)) return undefined
  if (REDIRECTED.has(type)) return `there is no connector for ${type}: redirect it to a database that is at hand`
  return `there is no connector for ${type}`
}

/** The store that a linked service leads to. Throws FERRY-7006 for a type without a connector. */
export function endpointOf(service: Service): EndpointSpec {
  const { redirect, type, name, properties } = service
  if (redirect) return redirect.endpoint
  const why = whyNoStore(type)
  if (why === undefined) return MAKERS[type]!(properties, service) as EndpointSpec
  throw new FerryError('FERRY-7006', `linked service ${name}: ${why}`, {
    hint: `--redirect FILE with linkedServices: { ${name}: ... }`,
  })
}
