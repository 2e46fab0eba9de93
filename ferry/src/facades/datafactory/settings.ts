/** What linked services say: texts, secrets in their forms, identities. */
import { FerryError } from '../../errors.ts'
import { isObject, type ValueObject, valueOf } from '../../pipelines/expressions/values.ts'
import type { Factory } from './artifacts.ts'

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
