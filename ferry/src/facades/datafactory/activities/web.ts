import type { TokenCredential } from '@azure/identity'
import { credentialOf } from '../../../connectors/entra.ts'
import { FerryError } from '../../../errors.ts'
import { asOurselves } from '../../../network.ts'
import type { ActivityContext, ActivityKind } from '../../../pipelines/activity.ts'
import { ActivityFailure } from '../../../pipelines/errors.ts'
import {
  isObject,
  parseValue,
  printValue,
  textOf,
  type Value,
  type ValueObject,
  valueOf,
} from '../../../pipelines/expressions/values.ts'
import { requireBoolean, requireObject, requireSpan, requireText } from '../../../pipelines/resolve.ts'
import type { Policy } from '../../../policy.ts'
import type { Factory } from '../artifacts.ts'
import type { Surroundings } from '../context.ts'
import { type Answer, request, withoutSecrets } from '../web.ts'

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE']
const MOST_BYTES = 4_000_000
const DEFAULT_TIMEOUT_MS = 60_000
const MOST_TIMEOUT_MS = 600_000
/** How long to wait between looks at a request that goes on at the other side, where it does not say. */
const POLL_SECONDS = 10
const MOST_PAUSE_MS = 600_000

/** A call of an address; what it may reach is decided where sockets connect. */
export function webActivity(around: Surroundings): ActivityKind {
  return { type: 'WebActivity', isOutside: true, run: context => call(around, context) }
}

/** Where an activity calls, how, and with which headers: what webs and webhooks have in common. */
export async function targetOf(
  context: ActivityContext,
  methods: readonly string[],
  policy: Policy,
): Promise<{ url: string; method: string; headers: Record<string, string> }> {
  const { typeProperties } = context.activity
  const url = requireText(context.property('url'), 'url')
  const method = requireText(context.property('method'), 'method').toUpperCase()
  if (!methods.includes(method))
    throw new FerryError('FERRY-7001', `method has to be one of ${methods.join(', ')}, and is ${method}`)
  const parsed = URL.parse(url)
  if (!parsed || !/^https?:$/.test(parsed.protocol))
    throw new FerryError('FERRY-7003', `url is no address: ${url.slice(0, 200)}`)
  if (
    typeProperties.disableCertValidation !== undefined &&
    requireBoolean(context.property('disableCertValidation'), 'disableCertValidation')
  ) {
    throw new FerryError(
      'FERRY-7006',
      'certificates are always checked here: add the one of the server to NODE_EXTRA_CA_CERTS',
    )
  }
  const headers = headersOf(context.property('headers'))
  await authorize(headers, context.property('authentication'), policy)
  return { url, method, headers }
}

async function call({ factory, policy }: Surroundings, context: ActivityContext): Promise<ValueObject> {
  const { typeProperties } = context.activity
  const { url, method, headers } = await targetOf(context, METHODS, policy)
  const body = bodyOf(method, withArtifacts(factory, context), headers)
  const limit =
    typeProperties.httpRequestTimeout === undefined
      ? DEFAULT_TIMEOUT_MS
      : Math.min(MOST_TIMEOUT_MS, requireSpan(context.property('httpRequestTimeout'), 'httpRequestTimeout'))
  const waits =
    typeProperties.turnOffAsync === undefined || !requireBoolean(context.property('turnOffAsync'), 'turnOffAsync')
  context.told({ url: shown(url), method, ...(body === undefined ? {} : { body }) })
  await context.flush()
  let answer = await request(url, { method, headers, body }, { limit, signal: context.signal, most: MOST_BYTES })
  while (waits && answer.status === 202 && answer.headers.location !== undefined) {
    await context.sleep(pauseOf(answer.headers['retry-after']))
    const next = new URL(answer.headers.location, url).href
    // Credentials are for the host that they were given for.
    const own = new URL(next).host === new URL(url).host ? headers : {}
    answer = await request(
      next,
      { method: 'GET', headers: own, body: undefined },
      { limit, signal: context.signal, most: MOST_BYTES },
    )
  }
  const output = outputOf(answer)
  if (answer.status >= 400) throw refused(url, answer, output)
  return output
}

/** A call that was answered by an error. */
export function refused(url: string, { status, text }: Answer, output?: ValueObject): ActivityFailure {
  return new ActivityFailure(
    '2108',
    `Error calling the endpoint '${withoutSecrets(url)}'. Response status code: '${status}'. More details: ${text.slice(0, 1000)}`,
    output,
  )
}

/** The body, with the definitions of datasets and linked services that the other side is to get. */
function withArtifacts(factory: Factory, context: ActivityContext): Value | undefined {
  const body = context.property('body')
  const named = (['datasets', 'linkedServices'] as const).map(property => {
    const list = context.property(property)
    const category = property === 'datasets' ? 'dataset' : 'linkedService'
    const found = (Array.isArray(list) ? list : []).map(one => {
      const { name, properties } = factory.require(category, textOf((isObject(one) ? one.referenceName : one) ?? ''))
      return { name, properties: valueOf(properties) }
    })
    return [property, found] as const
  })
  const given = named.filter(([, found]) => found.length > 0)
  if (given.length === 0) return body
  return { ...requireObject(typeof body === 'string' ? parseValue(body) : body, 'body'), ...Object.fromEntries(given) }
}

/** How long to wait, in milliseconds: seconds or a date. */
function pauseOf(header: string | undefined): number {
  if (header === undefined) return POLL_SECONDS * 1000
  const ms = /^\d+$/.test(header.trim()) ? Number(header) * 1000 : Date.parse(header) - Date.now()
  return Number.isNaN(ms) ? POLL_SECONDS * 1000 : Math.min(MOST_PAUSE_MS, Math.max(0, ms))
}

/** An address as it is shown: without a user, and without the values of parameters that grant access. */
export const shown = (url: string) =>
  url
    .replace(/\/\/[^/@]*@/, '//')
    .replace(/([?&](?:sig|code|[^=&]*(?:token|key|secret|password|credential)[^=&]*)=)[^&#]*/gi, '$1***')

function headersOf(given: Value | undefined): Record<string, string> {
  if (given === undefined || given === null || given === '') return {}
  return Object.fromEntries(
    Object.entries(requireObject(given, 'headers')).map(([name, value]) => [
      name.toLowerCase(),
      isObject(value) && value.type === 'SecureString' ? textOf(value.value ?? '') : textOf(value),
    ]),
  )
}

/** Adds who calls: a user, a service principal, or the identity that this process has where the factory would use its own. */
async function authorize(headers: Record<string, string>, given: Value | undefined, policy: Policy): Promise<void> {
  if (given === undefined || given === null) return
  const authentication = requireObject(given, 'authentication')
  const { type = 'None' } = authentication
  if (type === 'None') return
  if (type === 'Basic') {
    const pair = `${textOf(authentication.username ?? '')}:${secretAt(authentication, 'password')}`
    headers.authorization = `Basic ${Buffer.from(pair).toString('base64')}`
    return
  }
  if (type !== 'MSI' && type !== 'ServicePrincipal') {
    throw new FerryError('FERRY-7006', `authentication by ${textOf(type)} is not known here`, {
      hint: 'Basic, MSI and ServicePrincipal are, and a header of your own.',
    })
  }
  const resource = requireText(authentication.resource, 'authentication.resource')
  const token = await tokenFor(resource, authentication, policy)
  headers.authorization = `Bearer ${token}`
}

async function tokenFor(resource: string, authentication: ValueObject, policy: Policy): Promise<string> {
  const scope = `${resource.replace(/\/$/, '')}/.default`
  const isOwn = process.env.AZURE_AUTHORITY_HOST !== undefined
  let credential: TokenCredential
  if (authentication.type === 'ServicePrincipal') {
    credential = await credentialOf('web', {
      endpoint: resource,
      policy,
      tenant: requireText(authentication.userTenant ?? authentication.tenant, 'authentication.userTenant'),
      servicePrincipalId: secretAt(
        authentication,
        authentication.username === undefined ? 'servicePrincipalId' : 'username',
      ),
      servicePrincipalCredentialType: 'ServicePrincipalKey',
      servicePrincipalCredential: secretAt(
        authentication,
        authentication.password === undefined ? 'servicePrincipalKey' : 'password',
      ),
    })
  } else {
    policy.requireNoServer('the identity of this machine')
    const { DefaultAzureCredential } = await import('@azure/identity')
    credential = new DefaultAzureCredential({ disableInstanceDiscovery: isOwn } as object)
  }
  try {
    const token = await asOurselves(() => credential.getToken(scope))
    if (token) return token.token
  } catch (error) {
    throw new ActivityFailure('2403', `no token for ${resource}: ${(error as Error).message.split('\n')[0]}`)
  }
  throw new ActivityFailure('2403', `no token for ${resource}`)
}

/** A text, or a secret in its form. */
function secretAt(of: ValueObject, name: string): string {
  const value = of[name]
  return isObject(value) ? textOf(value.value ?? '') : textOf(value ?? '')
}

function bodyOf(method: string, given: Value | undefined, headers: Record<string, string>): string | undefined {
  if (method === 'GET' || given === undefined || given === null) {
    if (method !== 'GET' && method !== 'DELETE') throw new FerryError('FERRY-7001', `a ${method} needs a body`)
    return undefined
  }
  headers['content-type'] ??= 'application/json'
  return typeof given === 'object' ? printValue(given) : textOf(given)
}

function outputOf({ headers, text }: Answer): ValueObject {
  let found: Value
  try {
    found = text.trim() === '' ? {} : parseValue(text)
  } catch {
    found = text
  }
  const own = isObject(found) ? found : { Response: found }
  return { ...own, ADFWebActivityResponseHeaders: headers, effectiveIntegrationRuntime: 'Ferry' }
}
