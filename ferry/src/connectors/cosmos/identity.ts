/**
 * The identity of requests: the account's key, or an Entra identity whose token each request carries.
 *
 * Sources: https://learn.microsoft.com/rest/api/cosmos-db/access-control-on-cosmosdb-resources,
 * https://learn.microsoft.com/azure/data-factory/connector-azure-cosmos-db
 */
import { createHmac } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import type { TokenCredential } from '@azure/identity'
import { wrongSettings } from '../../contract/settings.ts'
import { FerryError } from '../../errors.ts'
import { asOurselves } from '../../network.ts'
import type { Policy } from '../../policy.ts'
import type { CosmosSettings } from './settings.ts'

/** The identity of the sender of a request: the `authorization` header, and the date that it was made for. */
export interface Identity {
  headers(method: string, type: string, link: string): Promise<Record<string, string>>
}

/** A token is fetched anew so long before it ends. */
const EARLY_MS = 5 * 60_000

/** Where each cloud's identities sign in. */
export const AUTHORITIES = {
  AzurePublic: 'https://login.microsoftonline.com',
  AzureChina: 'https://login.chinacloudapi.cn',
  AzureUsGovernment: 'https://login.microsoftonline.us',
  AzureGermany: 'https://login.microsoftonline.de',
} as const

/** The cloud that an account is in, by its name. */
function cloudOf(endpoint: string): keyof typeof AUTHORITIES {
  if (/\.azure\.cn\b/.test(endpoint)) return 'AzureChina'
  if (/\.azure\.us\b/.test(endpoint)) return 'AzureUsGovernment'
  return /\.azure\.de\b|\.cloudapi\.de\b/.test(endpoint) ? 'AzureGermany' : 'AzurePublic'
}

/** The identity that the settings name: a key where there is one. */
export function identityOf(settings: CosmosSettings): Identity {
  return settings.key === undefined ? new TokenIdentity(settings) : new KeyIdentity(settings.key)
}

/** The account's key signs each request. */
class KeyIdentity implements Identity {
  private readonly key: Buffer
  /** The same signature serves for a second, since its date does. */
  private readonly signatures = new Map<string, { date: string; authorization: string }>()

  constructor(key: string) {
    this.key = Buffer.from(key, 'base64')
  }

  async headers(method: string, type: string, link: string): Promise<Record<string, string>> {
    const date = new Date().toUTCString()
    const name = `${method} ${type} ${link}`
    let signed = this.signatures.get(name)
    if (signed?.date !== date) {
      const text = `${method.toLowerCase()}\n${type}\n${link}\n${date.toLowerCase()}\n\n`
      const signature = createHmac('sha256', this.key).update(text).digest('base64')
      signed = { date, authorization: encodeURIComponent(`type=master&ver=1.0&sig=${signature}`) }
      this.signatures.set(name, signed)
    }
    return { authorization: signed.authorization, 'x-ms-date': date }
  }
}

/** A service principal or a managed identity of Entra. */
class TokenIdentity implements Identity {
  private readonly settings: CosmosSettings
  private credential: Promise<TokenCredential> | undefined
  private token: { authorization: string; until: number } | undefined
  private fetching: Promise<void> | undefined

  constructor(settings: CosmosSettings) {
    this.settings = settings
  }

  async headers(): Promise<Record<string, string>> {
    if (!this.token || Date.now() > this.token.until) {
      this.fetching ??= this.fetch().finally(() => {
        this.fetching = undefined
      })
      await this.fetching
    }
    return { authorization: this.token!.authorization, 'x-ms-date': new Date().toUTCString() }
  }

  private async fetch(): Promise<void> {
    this.credential ??= credentialOf(this.settings)
    const { origin } = new URL(this.settings.endpoint)
    try {
      const credential = await this.credential
      const found = await asOurselves(() => credential.getToken(`${origin}/.default`))
      if (!found) throw new Error('no token was given')
      const authorization = encodeURIComponent(`type=aad&ver=1.0&sig=${found.token}`)
      const life = found.expiresOnTimestamp - Date.now()
      this.token = { authorization, until: Date.now() + Math.max(life - EARLY_MS, life / 2) }
    } catch (error) {
      if (error instanceof FerryError) throw error
      throw new FerryError('FERRY-2002', `${this.settings.endpoint}: ${firstLine(error)}`, {
        hint: this.settings.servicePrincipalId
          ? 'Check servicePrincipalId, servicePrincipalCredential, tenant and azureCloudType.'
          : 'Check that this machine has the managed identity, or give the connection a key or a service principal.',
        cause: error,
      })
    }
  }
}

function firstLine(error: unknown): string {
  return (error as Error).message.split('\n')[0]!
}

/** The Entra identity that the settings name, for this connector's own requests and for the SDK. */
export async function credentialOf(settings: CosmosSettings): Promise<TokenCredential> {
  const { ClientCertificateCredential, ClientSecretCredential, ManagedIdentityCredential } = await import(
    '@azure/identity'
  )
  const { servicePrincipalId: client, servicePrincipalCredential: secret, tenant, azureCloudType } = settings
  if (client === undefined) {
    const { managedIdentity = 'system' } = settings
    return managedIdentity === 'system'
      ? new ManagedIdentityCredential()
      : new ManagedIdentityCredential({ clientId: managedIdentity })
  }
  if (tenant === undefined || secret === undefined) {
    const missing = tenant === undefined ? 'tenant' : 'servicePrincipalCredential'
    throw wrongSettings('cosmos', [missing, 'is missing: a service principal needs it'])
  }
  const authorityHost = process.env.AZURE_AUTHORITY_HOST ?? AUTHORITIES[azureCloudType ?? cloudOf(settings.endpoint)]
  // Another authority than Microsoft's own is not known to the directory of authorities.
  const options = { authorityHost, disableInstanceDiscovery: process.env.AZURE_AUTHORITY_HOST !== undefined }
  if (settings.servicePrincipalCredentialType !== 'ServicePrincipalCert') {
    return new ClientSecretCredential(tenant, client, secret, options)
  }
  const certificate = await pemOf(secret, settings.policy)
  return new ClientCertificateCredential(tenant, client, { certificate }, options)
}

/** A certificate with its key as PEM: from PEM, a path to a file, or PKCS #12 in base64 as Key Vault gives it. */
async function pemOf(text: string, policy: Policy): Promise<string> {
  if (text.includes('-----BEGIN')) return text
  const isFile = text.length < 4096 && existsSync(text) && policy.isAllowed(text)
  const bytes = isFile ? readFileSync(policy.pathOf(text)) : Buffer.from(text, 'base64')
  if (bytes.includes('-----BEGIN')) return bytes.toString('utf8')
  const { default: forge } = await import('node-forge')
  try {
    const archive = forge.pkcs12.pkcs12FromAsn1(forge.asn1.fromDer(bytes.toString('binary')), '')
    const bags = (type: string) => archive.getBags({ bagType: type })[type] ?? []
    const { pkcs8ShroudedKeyBag, keyBag, certBag } = forge.pki.oids
    const key = [...bags(pkcs8ShroudedKeyBag!), ...bags(keyBag!)][0]?.key
    const certificates = bags(certBag!).flatMap(b => (b.cert ? [forge.pki.certificateToPem(b.cert)] : []))
    if (!key || certificates.length === 0) throw new Error('it holds no key with a certificate')
    return [forge.pki.privateKeyToPem(key), ...certificates].join('\n')
  } catch (error) {
    throw new FerryError('FERRY-2003', `cosmos connection: servicePrincipalCredential: ${firstLine(error)}`, {
      hint: 'Give a certificate with its private key: PEM, the path of such a file, or PKCS #12 in base64 without password.',
      cause: error,
    })
  }
}
