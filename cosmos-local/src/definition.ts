/** What a container is made of, as clients may ask for it: checked, and completed by the defaults of the service. */
import { badRequest } from './errors.ts'
import type { KeyDefinition } from './hash.ts'
import type { Json, JsonObject } from './json.ts'
import { type ComputedProperty, parseComputed } from './query/computed.ts'

export interface ContainerDefinition {
  id: string
  partitionKey: KeyDefinition
  uniqueKeyPolicy?: { uniqueKeys: { paths: string[] }[] }
  defaultTtl?: number
  indexingPolicy?: unknown
  computedProperties?: ComputedProperty[]
  [name: string]: unknown
}

/** Seconds; the largest that a TTL can be. */
export const LONGEST_TTL = 2_147_483_647

const SYSTEM = new Set(['_rid', '_self', '_etag', '_ts', '_docs', '_sprocs', '_triggers', '_udfs', '_conflicts'])

/** The definition that a client's body asks for, without the properties that the service gives. Throws 400. */
export function checkDefinition(body: JsonObject): ContainerDefinition {
  const partitionKey = checkKey(body.partitionKey as KeyDefinition | undefined)
  const { defaultTtl } = body
  if (defaultTtl !== undefined && defaultTtl !== null && !isTtl(defaultTtl)) throw invalidTtl(defaultTtl)
  const computedProperties = parseComputed(body.computedProperties)
  const kept = Object.fromEntries(Object.entries(body).filter(([name]) => !SYSTEM.has(name)))
  return {
    conflictResolutionPolicy: {
      mode: 'LastWriterWins',
      conflictResolutionPath: '/_ts',
      conflictResolutionProcedure: '',
    },
    geospatialConfig: { type: 'Geography' },
    ...kept,
    indexingPolicy: indexingPolicy(body.indexingPolicy),
    partitionKey,
    ...(computedProperties.length > 0 ? { computedProperties } : {}),
  } as unknown as ContainerDefinition
}

/** True if a value is a time to live: a number of seconds, or -1 for never. */
export function isTtl(value: Json): boolean {
  return Number.isInteger(value) && value !== 0 && Number(value) >= -1 && Number(value) <= LONGEST_TTL
}

export function invalidTtl(value: Json) {
  return badRequest(
    `The input ttl '${JSON.stringify(value)}' is invalid. Ensure to provide a nonzero positive integer less than or equal to '${LONGEST_TTL}', or '-1' which means never expire.`,
  )
}

function checkKey(key: KeyDefinition | undefined): KeyDefinition {
  if (!key || !Array.isArray(key.paths) || key.paths.length === 0) {
    throw badRequest('A container needs a partition key')
  }
  if (key.paths.some(path => typeof path !== 'string' || !path.startsWith('/'))) {
    throw badRequest('The partition key component definition path is invalid: it begins with /')
  }
  if (key.paths.length > 3) throw badRequest(`Too many partition key paths: ${key.paths.length}, and 3 at most`)
  return { ...key, ...kindAndVersion(key) }
}

const KINDS = { hash: 'Hash', multihash: 'MultiHash', range: 'Range' } as const
/** Versions by their numbers, and by the names that Java sends. */
const VERSIONS: Record<string, 1 | 2> = { 1: 1, 2: 2, v1: 1, v2: 2 }

/** Kind and version as the service gives them back, whatever the spelling that they came in. */
function kindAndVersion(key: KeyDefinition): { kind: KeyDefinition['kind']; version?: 1 | 2 } {
  const kind = KINDS[String(key.kind ?? 'Hash').toLowerCase() as keyof typeof KINDS]
  if (!kind) throw badRequest(`The partition key kind ${key.kind} is invalid: Hash or MultiHash`)
  if (key.paths.length > 1 && kind !== 'MultiHash') throw badRequest('Several partition key paths need kind MultiHash')
  const given = (key.version as unknown) ?? undefined
  const version = given === undefined ? undefined : VERSIONS[String(given).toLowerCase()]
  if (given !== undefined && version === undefined) {
    throw badRequest(`The partition key version ${given} is invalid: 1 or 2`)
  }
  if (kind !== 'MultiHash') return version === undefined ? { kind } : { kind, version }
  if (version === 1) throw badRequest('A partition key of kind MultiHash needs version 2')
  // The only version that there is of this kind: clients may leave it out.
  return { kind, version: 2 }
}

const ETAG_PATH = '/"_etag"/?'

/**
 * The indexing policy with what it leaves out. Kinds and precisions of the index layout of 2019 and before are taken
 * and not given back, as the service does.
 */
function indexingPolicy(given: Json | undefined): JsonObject {
  if (given !== undefined && given !== null && (typeof given !== 'object' || Array.isArray(given))) {
    throw badRequest('The indexing policy is no object')
  }
  const { indexingMode = 'consistent', automatic = true, includedPaths, excludedPaths, ...rest } = given ?? {}
  const mode = String(indexingMode).toLowerCase()
  if (!['consistent', 'lazy', 'none'].includes(mode)) {
    throw badRequest(`The indexing mode ${JSON.stringify(indexingMode)} is invalid: consistent or none`)
  }
  const excluded = paths(excludedPaths, 'excludedPaths')
  if (mode === 'none') {
    return {
      indexingMode: mode,
      automatic,
      includedPaths: paths(includedPaths, 'includedPaths'),
      excludedPaths: excluded,
    }
  }
  const everything = excluded.some(({ path }) => path === '/*') ? [] : [{ path: '/*' }]
  const included = paths(includedPaths, 'includedPaths')
  const hasEtag = excluded.some(({ path }) => path === ETAG_PATH || path === '/_etag/?' || path === '/*')
  return {
    indexingMode: mode,
    automatic,
    includedPaths: included.length > 0 ? included : everything,
    excludedPaths: hasEtag ? excluded : [...excluded, { path: ETAG_PATH }],
    ...rest,
  }
}

function paths(given: Json | undefined, name: string): { path: string }[] {
  const list = given ?? []
  if (!Array.isArray(list)) throw badRequest(`The ${name} of an indexing policy are a list`)
  return list.map(entry => {
    const path = entry !== null && typeof entry === 'object' && !Array.isArray(entry) ? entry.path : undefined
    if (typeof path !== 'string' || !path.startsWith('/')) {
      throw badRequest(`The indexing path ${JSON.stringify(path)} could not be accepted: it begins with /`)
    }
    const { indexes: _, ...rest } = entry as JsonObject
    return { ...rest, path }
  })
}
