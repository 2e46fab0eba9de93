/** Who may call: a key's signature over the request, or an Entra token where the account takes them. */
import { createHmac, timingSafeEqual } from 'node:crypto'
import { CosmosError } from './errors.ts'
import { decoded } from './protocol.ts'

export interface Keys {
  primary: string
  readOnly: string
}

export interface AuthRules {
  keys: Keys
  /** Whether keys are refused, as with `disableLocalAuth`. */
  localAuthDisabled: boolean
  /** Decides over an Entra token; undefined where the account takes none. */
  acceptToken: ((token: string) => boolean) | undefined
}

export interface SignedRequest {
  method: string
  /** `dbs`, `colls`, `docs`, ...; empty for the account. */
  resourceType: string
  /** The texts of which the client signed one: usually the path alone. */
  resources: string[]
  date: string | undefined
  authorization: string | undefined
}

const MOST_SKEW_MS = 15 * 60 * 1000

/** Throws 401 for a request that is not signed right, 403 for a write with the read-only key. */
export function authorize(request: SignedRequest, rules: AuthRules): void {
  const { authorization } = request
  if (!authorization) throw unauthorized('Required Header authorization is missing.')
  const match = /^type=(\w+)&ver=1\.0&sig=([\s\S]+)$/.exec(decoded(authorization) ?? '')
  if (!match) throw unauthorized('The authorization token is not well formed.')
  const [, type, signature] = match
  if (type === 'aad') {
    if (rules.acceptToken?.(signature!)) return
    throw unauthorized('The Entra token was not accepted.')
  }
  if (type !== 'master') throw unauthorized(`Authorization of type ${type} is not supported.`)
  if (rules.localAuthDisabled) {
    throw new CosmosError(401, 'Local Authorization is disabled. Use an AAD token to authorize all requests.', {
      substatus: 5202,
    })
  }
  const sent = Date.parse(request.date ?? '')
  if (Number.isNaN(sent)) throw unauthorized('The x-ms-date header is missing or no date.')
  if (Math.abs(Date.now() - sent) > MOST_SKEW_MS) {
    throw new CosmosError(403, 'The authorization token is not valid at the current time.')
  }
  if (isSignedWith(rules.keys.primary, request, signature!)) return
  if (!isSignedWith(rules.keys.readOnly, request, signature!)) {
    throw unauthorized('The MAC signature found in the HTTP request is not the same as the computed signature.')
  }
  if (!['GET', 'HEAD'].includes(request.method)) {
    throw new CosmosError(403, 'The input authorization token can only read.')
  }
}

function isSignedWith(key: string, request: SignedRequest, signature: string): boolean {
  const secret = Buffer.from(key, 'base64')
  const given = Buffer.from(signature, 'base64')
  return request.resources.some(resource => {
    const text = `${request.method.toLowerCase()}\n${request.resourceType}\n${resource}\n${request.date!.toLowerCase()}\n\n`
    const wanted = createHmac('sha256', secret).update(text).digest()
    return given.length === wanted.length && timingSafeEqual(given, wanted)
  })
}

function unauthorized(message: string): CosmosError {
  return new CosmosError(401, message)
}
