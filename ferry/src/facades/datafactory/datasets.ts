/** Datasets as objects of stores, with the options that their formats have. */
import { FerryError } from '../../errors.ts'
import type { EndpointSpec } from '../../job/schema.ts'
import type { Scope } from '../../pipelines/expressions/evaluate.ts'
import { isObject, type Value, type ValueObject } from '../../pipelines/expressions/values.ts'
import type { Parameter, Reference } from '../../pipelines/model.ts'
import { bindParameters } from '../../pipelines/parameters.ts'
import { resolve } from '../../pipelines/resolve.ts'
import type { Artifact, Factory } from './artifacts.ts'
import { INLINE } from './fabric.ts'
import { endpointOf, type Service, serviceOf } from './linkedservices.ts'
import { DATASET, LOCATION, requireKnownProperties } from './properties.ts'
import { type Redirects, redirectedTable } from './redirects.ts'

export interface Dataset {
  name: string
  type: string
  service: Service
  endpoint: EndpointSpec
  /** What the dataset names in its store. */
  at: TablePlace | FilesPlace | RestPlace
  /** `typeProperties`, evaluated. */
  properties: ValueObject
}

export interface TablePlace {
  kind: 'table' | 'documents'
  /** Undefined where the dataset names none: a query does. */
  object: string | undefined
}

export interface FilesPlace {
  kind: 'files'
  format: 'csv' | 'json' | 'parquet' | 'binary'
  /** Bucket, container or file system. */
  container: string | undefined
  /** Without slashes at its ends. */
  folder: string
  file: string | undefined
}

export interface RestPlace {
  kind: 'rest'
  relativeUrl: string
}

const FORMATS: Record<string, FilesPlace['format']> = {
  DelimitedText: 'csv',
  Json: 'json',
  Parquet: 'parquet',
  Binary: 'binary',
}

const TABLES = new Set([
  'AzurePostgreSqlTable',
  'PostgreSqlTable',
  'PostgreSqlV2Table',
  'AzureMySqlTable',
  'MySqlTable',
  'MariaDBTable',
  'AzureMariaDBTable',
  'AzureSqlTable',
  'AzureSqlMITable',
  'AzureSqlDWTable',
  'SqlServerTable',
  'OracleTable',
  'SnowflakeTable',
  'AmazonRdsForSqlServerTable',
  'AmazonRedshiftTable',
  'RelationalTable',
  'OdbcTable',
])

const DOCUMENTS = new Set(['CosmosDbSqlApiCollection', 'DocumentDbCollection'])

/** Types of datasets that are known. */
export const DATASET_TYPES = [...Object.keys(FORMATS), ...TABLES, ...DOCUMENTS, 'RestResource'].sort()

/** Why a dataset of a type is nothing that can be read or written; undefined if it can. */
export function whyNoDataset(type: string, isRedirected = false): string | undefined {
  // A table is one wherever it is.
  if (isRedirected && /Table$/.test(type)) return undefined
  return DATASET_TYPES.includes(type) ? undefined : `datasets of the type ${type} are not known`
}

/** A dataset with its parameters put in. Throws FERRY-7003, FERRY-7004, FERRY-7006, FERRY-7007. */
export function datasetOf(factory: Factory, redirects: Redirects, reference: Reference, scope: Scope): Dataset {
  const name = String(resolve(reference.referenceName, scope))
  return datasetFrom(factory, redirects, factory.require('dataset', name), reference, scope)
}

/** The same of a dataset that is none of the factory's. */
export function datasetFrom(
  factory: Factory,
  redirects: Redirects,
  { name, properties }: Pick<Artifact, 'name' | 'properties'>,
  reference: Pick<Reference, 'parameters'>,
  scope: Scope,
): Dataset {
  const declared = (properties.parameters ?? {}) as Record<string, Parameter>
  const given = resolve(reference.parameters ?? {}, scope, `dataset ${name}`) as ValueObject
  const parameters = bindParameters(`dataset ${name}`, declared, given)
  const around = properties[INLINE] === true ? scope.functions : []
  const own: Scope = { clock: scope.clock, functions: new Map([...around, ['dataset', () => parameters]]) }
  const type = String(properties.type ?? '')
  const service = serviceOf(factory, redirects, properties.linkedServiceName as Reference, own)
  const why = whyNoDataset(type, service.redirect !== undefined)
  if (why !== undefined) throw new FerryError('FERRY-7006', `dataset ${name}: ${why}`)
  const typeProperties = resolve(properties.typeProperties ?? {}, own, `dataset ${name}`) as ValueObject
  requireKnownProperties(typeProperties, DATASET)
  requireKnownProperties(typeProperties.location, LOCATION)

  const common = { name, type, service, properties: typeProperties }
  if (type === 'RestResource') {
    return { ...common, endpoint: '', at: { kind: 'rest', relativeUrl: textAt(typeProperties, 'relativeUrl') ?? '' } }
  }
  const at = placeOf(type, typeProperties, service)
  const endpoint = endpointOf(service)
  if (at.kind === 'files' && at.file === undefined) return { ...common, ...wholeAddress(endpoint, at) }
  return { ...common, endpoint, at }
}

function textAt(of: ValueObject, name: string): string | undefined {
  const value: Value | undefined = of[name]
  if (value === undefined || value === null || value === '') return undefined
  if (typeof value === 'object') throw new FerryError('FERRY-7001', `${name} of a dataset has to be a text`)
  return String(value)
}

function placeOf(type: string, properties: ValueObject, service: Service): TablePlace | FilesPlace {
  if (DOCUMENTS.has(type)) return { kind: 'documents', object: textAt(properties, 'collectionName') }
  if (Object.hasOwn(FORMATS, type)) return filesAt(FORMATS[type]!, properties)
  const table = textAt(properties, 'table')
  const whole = textAt(properties, 'tableName')
  const [schema, name] =
    table !== undefined
      ? [textAt(properties, 'schema'), table]
      : whole === undefined
        ? [undefined, undefined]
        : partsOf(whole)
  if (name === undefined) return { kind: 'table', object: undefined }
  const object = service.redirect
    ? redirectedTable(service.redirect, schema, name)
    : schema === undefined
      ? name
      : `${schema}.${name}`
  return { kind: 'table', object }
}

/** `[dbo].[Orders]`, `"public"."orders"`, `dbo.Orders`. */
function partsOf(whole: string): [string | undefined, string] {
  const found = [...whole.matchAll(/\[((?:[^\]]|\]\])*)\]|"((?:[^"]|"")*)"|`([^`]*)`|([^.]+)/g)].map(m =>
    (m[1]?.replaceAll(']]', ']') ?? m[2]?.replaceAll('""', '"') ?? m[3] ?? m[4]!).trim(),
  )
  const name = found.at(-1) ?? whole
  return [found.length > 1 ? found.at(-2) : undefined, name]
}

/** An address of the web that is the file itself: its last part is the name. */
function wholeAddress(endpoint: EndpointSpec, at: FilesPlace): { endpoint: EndpointSpec; at: FilesPlace } {
  const { kind, url } = (typeof endpoint === 'object' ? endpoint : {}) as { kind?: unknown; url?: unknown }
  const match = kind === 'http' && typeof url === 'string' ? /^(https?:\/\/[^/]+\/(?:.*\/)?)([^/]+)$/i.exec(url) : null
  if (!match) return { endpoint, at }
  return { endpoint: { ...(endpoint as { kind: string }), url: match[1]! }, at: { ...at, file: match[2]! } }
}

function filesAt(format: FilesPlace['format'], properties: ValueObject): FilesPlace {
  const location = isObject(properties.location) ? properties.location : {}
  const container = textAt(location, 'container') ?? textAt(location, 'fileSystem') ?? textAt(location, 'bucketName')
  const folder = (textAt(location, 'folderPath') ?? '').replaceAll('\\', '/').replace(/^\/+|\/+$/g, '')
  const file =
    textAt(location, 'fileName') ?? textAt(location, 'relativeUrl')?.replace(/^\/+/, '') ?? textAt(location, 'key')
  return { kind: 'files', format, container, folder, file }
}
