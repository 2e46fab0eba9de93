/**
 * Identities of Microsoft Entra, for the stores of Azure: a service principal, or a managed identity.
 *
 * Source: https://learn.microsoft.com/azure/data-factory/connector-azure-cosmos-db
 */
import { existsSync, readFileSync } from 'node:fs'
import type { TokenCredential } from '@azure/identity'
import { z } from 'zod'
import { wrongSettings } from '../contract/settings.ts'
import { FerryError } from '../errors.ts'
import type { Policy } from '../policy.ts'

/** Settings of connections that sign in with Entra. */
export const ENTRA_FIELDS = {
  tenant: z.string().optional().describe('Of a service principal: the directory, by id or domain name'),
  servicePrincipalId: z.string().optional().describe('Of a service principal: its client id'),
  servicePrincipalCredentialType: z
    .enum(['ServicePrincipalKey', 'ServicePrincipalCert'])
    .default('ServicePrincipalKey')
    .describe('What the credential is'),
  servicePrincipalCredential: z
    .string()
    .optional()
    .describe('Secret, or certificate with key (PEM, its path, PKCS #12 in base64); secret, by reference')
    .meta({ secret: true }),
  azureCloudType: z
    .enum(['AzurePublic', 'AzureChina', 'AzureUsGovernment', 'AzureGermany'])
    .optional()
    .describe("Where the service principal signs in; the account's cloud where omitted"),
  managedIdentity: z
    .string()
    .optional()
    .describe('`system`, or the client id of a user-assigned identity; `system` where nothing else is given'),
}

export interface EntraSettings {
  endpoint: string
  policy: Policy
  tenant?: string | undefined
  servicePrincipalId?: string | undefined
  servicePrincipalCredentialType: 'ServicePrincipalKey' | 'ServicePrincipalCert'
  servicePrincipalCredential?: string | undefined
  azureCloudType?: keyof typeof AUTHORITIES | undefined
  managedIdentity?: string | undefined
}

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

export function firstLine(error: unknown): string {
  return (error as Error).message.split('\n')[0]!
}

/** The Entra identity that the settings name: a service principal, else a managed identity. Throws FERRY-2003. */
export async function credentialOf(kind: string, settings: EntraSettings): Promise<TokenCredential> {
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
    throw wrongSettings(kind, [missing, 'is missing: a service principal needs it'])
  }
  const authorityHost = process.env.AZURE_AUTHORITY_HOST ?? AUTHORITIES[azureCloudType ?? cloudOf(settings.endpoint)]
  // Another authority than Microsoft's own is not known to the directory of authorities.
  const options = { authorityHost, disableInstanceDiscovery: process.env.AZURE_AUTHORITY_HOST !== undefined }
  if (settings.servicePrincipalCredentialType !== 'ServicePrincipalCert') {
    return new ClientSecretCredential(tenant, client, secret, options)
  }
  const certificate = await pemOf(kind, secret, settings.policy)
  return new ClientCertificateCredential(tenant, client, { certificate }, options)
}

/** A certificate with its key as PEM: from PEM, a path to a file, or PKCS #12 in base64 as Key Vault gives it. */
async function pemOf(kind: string, text: string, policy: Policy): Promise<string> {
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
    throw new FerryError('FERRY-2003', `${kind} connection: servicePrincipalCredential: ${firstLine(error)}`, {
      hint: 'Give a certificate with its private key: PEM, the path of such a file, or PKCS #12 in base64 without password.',
      cause: error,
    })
  }
}
