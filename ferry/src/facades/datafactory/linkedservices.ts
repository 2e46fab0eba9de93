/** Linked services as connections of Ferry. */
import { FerryError } from '../../errors.ts'
import type { EndpointSpec } from '../../job/schema.ts'
import type { Scope } from '../../pipelines/expressions/evaluate.ts'
import { type Value, type ValueObject, valueOf } from '../../pipelines/expressions/values.ts'
import type { Parameter, Reference } from '../../pipelines/model.ts'
import { bindParameters } from '../../pipelines/parameters.ts'
import { resolve } from '../../pipelines/resolve.ts'
import type { Artifact, Factory } from './artifacts.ts'
import { MAKERS } from './makers.ts'
import type { Redirect, Redirects } from './redirects.ts'
import { Settings } from './settings.ts'

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
  // Of Fabric.
  'Lakehouse',
  'DataWarehouse',
])

/** A linked service with its parameters put in. Throws FERRY-7003, FERRY-7004, FERRY-7006, FERRY-7007. */
export function serviceOf(factory: Factory, redirects: Redirects, reference: Reference, scope: Scope): Service {
  const name = String(resolve(reference.referenceName, scope))
  const redirect = redirects.linkedServices.get(name.toLowerCase())
  // A template leaves out the linked services that are chosen when it is imported.
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

/** A self-hosted runtime may be in a network that this machine does not reach. */
function requireHere(factory: Factory, { name, properties }: Artifact, redirects: Redirects): void {
  const runtime = runtimeOf(factory, properties, redirects)
  if (runtime === undefined) return
  throw new FerryError('FERRY-7006', `linked service ${name} is reached through the runtime ${runtime}`, {
    hint: `If this machine reaches it too: --runtime ${runtime}=local; else send it elsewhere: --redirect FILE.`,
  })
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
