/** Requests of the REST protocol answered: the account, databases, containers, offers; items are in items.ts. */
import { randomUUID } from 'node:crypto'
import { type Account, type AutoscaleSettings, containerLink, databaseLink, type Throughput } from './account.ts'
import { namedPath, signedPart } from './addressing.ts'
import { authorize } from './auth.ts'
import type { Container } from './container.ts'
import { badRequest, CosmosError, crossPartitionDisabled, notFound } from './errors.ts'
import type { Fault, Operation } from './faults.ts'
import { answerItems, itemHeaders } from './items.ts'
import { type JsonObject, parseObject } from './json.ts'
import { list, selectFrom } from './lists.ts'
import { offers } from './offers.ts'
import { type Answer, allowsCrossPartition, isPlanRequest, isQuery, type Request, type Response } from './protocol.ts'
import { partitionKeyRanges } from './ranges.ts'

/** Answers a request; `endpoints` are those of the regions, in their order. `faults` are those that it meets: what the connection does with them is the server's. */
export function answer(account: Account, endpoints: string[], request: Request, faults: Fault[]): Response {
  const activityId = request.headers['x-ms-activity-id'] ?? randomUUID()
  try {
    authorize(signedPart(request), {
      keys: account.keys,
      localAuthDisabled: account.options.localAuthDisabled === true,
      acceptToken: account.options.acceptToken,
    })
    const failing = faults.find(f => f.status !== undefined)
    if (failing) {
      throw new CosmosError(failing.status!, 'A fault on purpose', {
        ...(failing.substatus === undefined ? {} : { substatus: failing.substatus }),
        ...(failing.retryAfterMs === undefined ? {} : { retryAfterMs: failing.retryAfterMs }),
      })
    }
    const named = { ...request, path: namedPath(account, request.path) }
    return respond(route(account, endpoints, named, faults), activityId)
  } catch (error) {
    const known = error instanceof CosmosError ? error : new CosmosError(500, String((error as Error).stack))
    return failure(known, activityId)
  }
}

function respond({ status = 200, body = '', charge = 1, etag, headers = {} }: Answer, activityId: string): Response {
  const all: Record<string, string> = {
    'content-type': 'application/json',
    'x-ms-activity-id': activityId,
    'x-ms-request-charge': String(charge),
    'x-ms-gatewayversion': 'version=2.14.0',
  }
  if (etag !== undefined) all.etag = etag
  for (const [name, value] of Object.entries(headers)) if (value !== undefined) all[name] = headerText(value)
  return { status, headers: all, body }
}

/** A header's text: names with characters that no header can hold are percent-encoded. */
function headerText(value: string): string {
  return value.replace(/[^\x20-\x7e]+/g, encodeURIComponent)
}

function failure(error: CosmosError, activityId: string): Response {
  const headers: Record<string, string> = {
    'content-type': 'application/json',
    'x-ms-activity-id': activityId,
    'x-ms-request-charge': error.status === 429 ? '0.38' : '1',
  }
  if (error.substatus !== 0) headers['x-ms-substatus'] = String(error.substatus)
  if (error.retryAfterMs !== undefined) headers['x-ms-retry-after-ms'] = String(error.retryAfterMs)
  return { status: error.status, headers, body: error.body(activityId) }
}

/** What kind of work a request is, for faults. */
export function operationOf(request: Request): Operation {
  const { method, path, headers } = request
  if (path[4] !== 'docs') return 'metadata'
  if (headers['x-ms-cosmos-is-batch-request']) return 'batch'
  if (method === 'GET') return path.length === 6 ? 'read' : 'feed'
  return isQuery(request) || isPlanRequest(request) ? 'query' : 'write'
}

function route(account: Account, endpoints: string[], request: Request, faults: Fault[]): Answer {
  const { method, path } = request
  if (path.length === 0) return describeAccount(account, endpoints)
  if (path[0] === 'offers') return offers(account, request)
  if (path[0] !== 'dbs') throw notFound()
  switch (path.length) {
    case 1:
      return databases(account, request)
    case 2:
      return database(account, method, path[1]!)
    case 3:
      if (path[2] === 'colls') return containers(account, request, path[1]!)
      // Users and permissions are not stored here.
      return emptyList(path[2]!, request)
    case 4:
      if (path[2] !== 'colls') throw notFound()
      return container(account, request, path[1]!, path[3]!)
    default: {
      if (path[2] !== 'colls') throw notFound()
      const found = account.container(path[1]!, path[3]!)
      checkIntended(found, request)
      if (path[4] === 'pkranges') return partitionKeyRanges(found, request)
      if (path[4] === 'docs') return answerItems(account, found, request, faults)
      if (path[4] === 'operations') return operate(account, found, request)
      return emptyList(path[4]!, request)
    }
  }
}

/** A client that knows a container by its id must not reach another one of the same name. */
function checkIntended(container: Container, { headers }: Request): void {
  const intended = headers['x-ms-cosmos-intended-collection-rid']
  if (intended !== undefined && intended !== container.rid) {
    throw badRequest('Collection rid does not match the one in the request', 1024)
  }
}

function describeAccount(account: Account, endpoints: string[]): Answer {
  const locations = account.regions.map((name, i) => ({ name, databaseAccountEndpoint: `${endpoints[i]!}/` }))
  return {
    body: JSON.stringify({
      _self: '',
      id: account.name,
      _rid: `${account.name}.local`,
      media: '//media/',
      addresses: '//addresses/',
      _dbs: '//dbs/',
      writableLocations: locations.slice(0, 1),
      readableLocations: locations,
      enableMultipleWriteLocations: false,
      continuousBackupEnabled: account.options.continuousBackup === true,
      enablePartitionMerge: account.options.mergeEnabled === true,
      userReplicationPolicy: { asyncReplication: false, minReplicaSetSize: 1, maxReplicasetSize: 4 },
      userConsistencyPolicy: { defaultConsistencyLevel: 'Session' },
      systemReplicationPolicy: { minReplicaSetSize: 1, maxReplicasetSize: 4 },
      readPolicy: { primaryReadCoefficient: 1, secondaryReadCoefficient: 1 },
      queryEngineConfiguration: '{"maxSqlQueryInputLength":262144,"maxJoinsPerSqlQuery":10}',
    }),
  }
}

function throughputOf({ headers }: Request): Throughput {
  const manual = headers['x-ms-offer-throughput']
  const autoscale = headers['x-ms-cosmos-offer-autopilot-settings']
  return {
    manual: manual === undefined ? undefined : Number(manual),
    autoscale: autoscale === undefined ? undefined : (parseObject(autoscale) as unknown as AutoscaleSettings),
  }
}

function shownDatabase(d: { id: string; rid: string; num: number; ts: number }): JsonObject {
  return {
    id: d.id,
    _rid: d.rid,
    _self: databaseLink(d),
    _etag: `"${d.ts}"`,
    _colls: 'colls/',
    _users: 'users/',
    _ts: d.ts,
  }
}

function databases(account: Account, request: Request): Answer {
  if (request.method === 'POST' && !isQuery(request)) {
    const made = account.createDatabase(parseObject(request.body).id, throughputOf(request))
    return { status: 201, body: JSON.stringify(shownDatabase(made)), charge: 4.95 }
  }
  return list('Databases', '', selectFrom(account.databases().map(shownDatabase), request), request)
}

function database(account: Account, method: string, id: string): Answer {
  if (method === 'DELETE') {
    account.deleteDatabase(id)
    return { status: 204, charge: 4.95 }
  }
  return { body: JSON.stringify(shownDatabase(account.database(id))) }
}

function shownContainer(c: Container): JsonObject {
  const links = { _docs: 'docs/', _sprocs: 'sprocs/', _triggers: 'triggers/', _udfs: 'udfs/', _conflicts: 'conflicts/' }
  const self = containerLink(c)
  return {
    ...(c.definition as unknown as JsonObject),
    _rid: c.rid,
    _ts: c.ts,
    _self: self,
    _etag: `"${c.num}-${c.ts}"`,
    ...links,
  }
}

function containers(account: Account, request: Request, db: string): Answer {
  if (request.method === 'POST' && !isQuery(request)) {
    const made = account.createContainer(db, parseObject(request.body), throughputOf(request))
    return { ...containerAnswer(made, request), status: 201, charge: 4.95 }
  }
  const { rid } = account.database(db)
  return list('DocumentCollections', rid, selectFrom(account.containersOf(db).map(shownContainer), request), request)
}

function container(account: Account, request: Request, db: string, id: string): Answer {
  switch (request.method) {
    case 'PUT':
      return { ...containerAnswer(account.replaceContainer(db, id, parseObject(request.body)), request), charge: 9.9 }
    case 'DELETE':
      account.deleteContainer(db, id)
      return { status: 204, charge: 4.95 }
    default:
      return containerAnswer(account.container(db, id), request)
  }
}

/** Operations on a container: deleting what has a partition key is the only one. The service does it in the background. */
function operate(account: Account, container: Container, request: Request): Answer {
  if (request.method !== 'POST' || request.path[5] !== 'partitionkeydelete') throw notFound()
  const key = container.parseKey(request.headers['x-ms-documentdb-partitionkey'] ?? '[]')
  if (key.length !== container.keyDefinition.paths.length) throw badRequest('The partition key is incomplete.', 1001)
  account.store.transaction(() => {
    container.deleteKey(key)
    container.saveLsn()
  })
  return {
    status: 200,
    headers: itemHeaders(container, request.path, [container.partitions.of(container.epkOf(key)).id]),
  }
}

function containerAnswer(c: Container, request: Request): Answer {
  const headers = {
    'x-ms-alt-content-path': request.path.slice(0, 2).join('/'),
    'x-ms-content-path': c.rid,
    'x-ms-session-token': `0:0#${c.lsn}`,
    'x-ms-documentdb-collection-index-transformation-progress': '100',
    ...(request.headers['x-ms-documentdb-populatequotainfo']
      ? { 'x-ms-resource-usage': `documentsCount=${c.count()};` }
      : {}),
  }
  const shown = shownContainer(c)
  if (request.headers['x-ms-documentdb-populatepartitionstatistics']?.toLowerCase() === 'true') {
    shown.statistics = c.statistics().map(({ part, items, bytes }) => ({
      id: String(part),
      sizeInKB: Math.ceil(bytes / 1024),
      documentCount: items,
      partitionKeys: [],
    }))
  }
  return { body: JSON.stringify(shown), headers }
}

function emptyList(name: string, request: Request): Answer {
  const names: Record<string, string> = {
    sprocs: 'StoredProcedures',
    triggers: 'Triggers',
    udfs: 'UserDefinedFunctions',
    users: 'Users',
    conflicts: 'Conflicts',
    permissions: 'Permissions',
    clientencryptionkeys: 'ClientEncryptionKeys',
  }
  if (!(name in names)) throw notFound()
  // One of them, by its name.
  if (request.path.length % 2 === 0) throw notFound()
  if (request.method !== 'GET' && !isQuery(request)) throw new CosmosError(405, `This account keeps no ${name}`)
  const hasKey = request.headers['x-ms-documentdb-partitionkey'] !== undefined
  if (name === 'conflicts' && isQuery(request) && !hasKey && !allowsCrossPartition(request)) {
    throw crossPartitionDisabled()
  }
  return list(names[name]!, '', [], request)
}
