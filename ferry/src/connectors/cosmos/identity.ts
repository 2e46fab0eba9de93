/**
 * The identity of requests: the account's key, or an Entra identity whose token each request carries.
 *
 * Sources: https://learn.microsoft.com/rest/api/cosmos-db/access-control-on-cosmosdb-resources,
 * https://learn.microsoft.com/azure/data-factory/connector-azure-cosmos-db
 */
import { createHmac } from 'node:crypto'
import type { TokenCredential } from '@azure/identity'
import { FerryError } from '../../errors.ts'
import { asOurselves } from '../../network.ts'
import { credentialOf, firstLine } from '../entra.ts'
import type { CosmosSettings } from './settings.ts'

/** The identity of the sender of a request: the `authorization` header, and the date that it was made for. */
export interface Identity {
  headers(method: string, type: string, link: string): Promise<Record<string, string>>
}

/** A token is fetched anew so long before it ends. */
const EARLY_MS = 5 * 60_000

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
    this.credential ??= credentialOf('cosmos', this.settings)
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
