import { MemberTypes } from '../../batch/infer.ts'
import { members } from '../../batch/json.ts'
import { type Column, jsonb, type LogicalType } from '../../batch/types.ts'
import type { Containers } from '../../contract/capabilities.ts'
import type { Names } from '../../contract/names.ts'
import type { ObjectSpec, TableInfo } from '../../contract/schema.ts'
import type { SinkSession } from '../../contract/sink.ts'
import type { SourceSession } from '../../contract/source.ts'
import type { Connector, Store } from '../../contract/store.ts'
import type { RunIdentity } from '../../contract/write.ts'
import { FerryError } from '../../errors.ts'
import { nestedMembers, unwound } from '../../formats/documents.ts'
import { placeOfServer } from '../names.ts'
import type { CosmosAccount } from './account.ts'
import { CosmosContainer } from './container.ts'
import { CosmosContainers } from './containers.ts'
import { documentsIn, ownText } from './documents.ts'
import { readOptions } from './options.ts'
import { sampleQuery } from './queries.ts'
import { type CosmosSettings, cosmosKind, readSettings } from './settings.ts'
import { CosmosSink } from './sink.ts'
import { CosmosSource } from './source.ts'
import { Throughput } from './throughput.ts'
import { CosmosWire, explain, type WireResponse } from './wire.ts'

const SAMPLE = 200

/** Azure Cosmos DB for NoSQL. */
export const cosmos: Connector = {
  ...cosmosKind,
  open: (settings, policy) => new CosmosStore(readSettings(settings, policy)),
}

/** The first documents of a container, for their columns. */
function firstOf(container: CosmosContainer): Promise<string[]> {
  return container.withRanges(async ranges => {
    for (const range of ranges) {
      const headers = {
        'a-im': 'Incremental Feed',
        'x-ms-documentdb-partitionkeyrangeid': range.id,
        'x-ms-max-item-count': String(SAMPLE),
      }
      const response = await container.send({ method: 'GET', type: 'docs', read: true, headers })
      if (response.status === 410) return 'gone'
      if (response.status !== 200 && response.status !== 304) throw explain(response, container.name)
      const documents = documentsIn(response.body)
      if (documents.length > 0) return documents
    }
    return []
  })
}

/** Hands over all documents of a container, page by page. One that is split meanwhile is read again. */
async function everyDocument(container: CosmosContainer, take: (documents: string[]) => void): Promise<void> {
  await container.withRanges(async ranges => {
    for (const range of ranges) {
      let place: string | undefined
      for (;;) {
        const headers = {
          'a-im': 'Incremental Feed',
          'x-ms-documentdb-partitionkeyrangeid': range.id,
          'x-ms-max-item-count': '1000',
          ...(place === undefined ? {} : { 'if-none-match': place }),
        }
        const response = await container.send({ method: 'GET', type: 'docs', read: true, headers })
        if (response.status === 410) return 'gone'
        if (response.status === 304) break
        if (response.status !== 200) throw explain(response, container.name)
        take(documentsIn(response.body))
        place = String(response.headers.etag)
      }
    }
    return []
  })
}

interface Offer {
  resource: string
  content: { offerThroughput?: number; offerAutopilotSettings?: { maxThroughput: number } }
}

export class CosmosStore implements Store, CosmosAccount {
  readonly kind = 'cosmos'
  readonly abilities = cosmosKind.abilities
  readonly documents = { keys: ['id'], takes: () => true }
  readonly throttle = { parallel: 16, waitingFor: () => this.waitingFor() }
  readonly wire: CosmosWire
  private readonly settings: CosmosSettings
  private readonly known = new Map<string, CosmosContainer>()
  private readonly paces: Throughput[] = []
  /** What everything in the account is given, asked for once. */
  private offers: Promise<Offer[] | WireResponse> | undefined
  readonly containers: Containers

  constructor(settings: CosmosSettings) {
    this.settings = settings
    this.wire = new CosmosWire(settings)
    this.containers = new CosmosContainers(this, settings.copiesAtOnce)
  }

  readonly takesOptions = true

  get label(): string {
    return this.wire.label
  }

  private waitingFor(): string | undefined {
    const held = Math.max(0, ...this.paces.map(pace => pace.heldMs()))
    if (held > 1000) return `${this.label} has no request units left for ${Math.ceil(held / 1000)} s`
    return this.wire.waitingFor()
  }

  get place(): string {
    return placeOfServer(this.label)
  }

  async test(): Promise<string> {
    const databases = await this.list('dbs', '', 'Databases')
    return `Azure Cosmos DB for NoSQL, ${databases.length} databases`
  }

  async objects(): Promise<string[]> {
    const own = this.settings.database
    const found = await this.everyContainer(own)
    const nameOf = ({ database, container }: { database: string; container: string }) =>
      own === undefined ? `${database}${database.includes('.') ? '/' : '.'}${container}` : container
    return found.map(nameOf).sort()
  }

  /** The containers of one database, or of all. */
  async everyContainer(only?: string): Promise<{ database: string; container: string }[]> {
    const databases = only === undefined ? await this.list('dbs', '', 'Databases') : [only]
    const found: { database: string; container: string }[] = []
    for (const database of databases) {
      const containers = await this.list('colls', `dbs/${database}`, 'DocumentCollections')
      found.push(...containers.map(container => ({ database, container })))
    }
    return found
  }

  private async list(type: string, link: string, name: string): Promise<string[]> {
    const found = await this.wire.list<{ id: string }>(type, link, name)
    if (!Array.isArray(found)) throw explain(found, this.label)
    return found.map(r => r.id)
  }

  /**
   * Database and container of an object: `shop.orders`, `shop/orders` where a name has a dot, or `orders` in the
   * connection's database.
   */
  containerOf(object: string): { database: string; container: string } {
    const { database } = this.settings
    const slash = object.indexOf('/')
    if (slash > 0) return { database: object.slice(0, slash), container: object.slice(slash + 1) }
    if (database !== undefined && !object.startsWith(`${database}.`)) return { database, container: object }
    const at = object.indexOf('.')
    if (at > 0) return { database: object.slice(0, at), container: object.slice(at + 1) }
    throw new FerryError('FERRY-3001', `${object}: name the database too, as DATABASE.CONTAINER, or in the connection`)
  }

  /** A container that was found is known from then on. */
  async find(object: string): Promise<CosmosContainer | undefined> {
    const { database, container } = this.containerOf(object)
    const link = `dbs/${database}/colls/${container}`
    const found = this.known.get(link) ?? (await CosmosContainer.open(this.wire, object, link))
    if (found) this.known.set(link, found)
    return found
  }

  async container(object: string): Promise<CosmosContainer> {
    const found = await this.find(object)
    if (!found) throw new FerryError('FERRY-3001', `${this.label} has no container ${object}`)
    return found
  }

  /** Makes a container, and its database where that is missing; one that is there already stays as it is. */
  async createContainer(
    object: string,
    definition: object,
    throughput: { manual?: number | undefined; autoscale?: number | undefined },
  ): Promise<void> {
    const { database } = this.containerOf(object)
    const { manual, autoscale } = throughput
    const headers: Record<string, string> = {
      ...(manual === undefined ? {} : { 'x-ms-offer-throughput': String(manual) }),
      ...(autoscale === undefined
        ? {}
        : { 'x-ms-cosmos-offer-autopilot-settings': JSON.stringify({ maxThroughput: autoscale }) }),
    }
    const made = await this.wire.send({ method: 'POST', type: 'dbs', link: '', body: JSON.stringify({ id: database }) })
    if (made.status !== 201 && made.status !== 409) throw explain(made, database)
    const body = JSON.stringify(definition)
    const response = await this.wire.send({ method: 'POST', type: 'colls', link: `dbs/${database}`, headers, body })
    if (response.status !== 201 && response.status !== 409) throw explain(response, object)
  }

  async deleteContainer(object: string): Promise<void> {
    const { database, container } = this.containerOf(object)
    const link = `dbs/${database}/colls/${container}`
    const response = await this.wire.send({ method: 'DELETE', type: 'colls', link, path: link })
    if (response.status !== 204 && response.status !== 404) throw explain(response, object)
    this.known.delete(link)
  }

  /** Columns are those of a sample: a container has no schema. */
  async describe(spec: ObjectSpec): Promise<TableInfo | undefined> {
    const container = await this.find(spec.object)
    if (!container) return undefined
    const options = readOptions(spec.options)
    const { query, unwind, systemProperties, detectDatetime } = options
    const instants = { instants: detectDatetime }
    const columns = new MemberTypes(instants)
    const nested = new MemberTypes(instants)
    const learn = (documents: string[]) => {
      const own = systemProperties ? documents : documents.map(ownText)
      for (const text of unwind === undefined ? own : own.flatMap(one => unwound(one, unwind))) {
        columns.add(members(text))
        nested.add(nestedMembers(members(text)))
      }
    }
    if (query === undefined && spec.drift === 'evolve') await everyDocument(container, learn)
    else if (query === undefined) learn(await firstOf(container))
    else learn(await sampleQuery(container, { ...options, query }, this.settings))
    const isWhole = query === undefined || /^\s*SELECT\s+(\*|VALUE\s+(\w+)\s+FROM\s+\2\b)/i.test(query)
    const identity = [['id'], ...container.keyPaths.filter(p => p.join() !== 'id')]
    const { count: rows } = container
    const shape = { nullable: true, inferred: true }
    return {
      object: spec.object,
      columns: [
        ...columns.columns.map(column => ({ ...column, ...shape })),
        ...nested.columns.map(column => ({ ...column, ...shape, onRequest: true })),
      ],
      primaryKey: [],
      // An unwound document is no document any more.
      ...(unwind === undefined ? { documents: isWhole ? { identity } : {} } : {}),
      ...(rows === undefined || query !== undefined ? {} : { rows }),
    }
  }

  /** The pace of a table that is read or written. */
  async pace(container: CosmosContainer, budget: number | undefined): Promise<Throughput> {
    const pace = new Throughput({ budget, provisioned: await this.provisioned(container) })
    this.paces.push(pace)
    return pace
  }

  /** RU/s that a container is given: its own, or its database's; undefined if the service does not say. */
  private async provisioned(container: CosmosContainer): Promise<number | undefined> {
    this.offers ??= this.wire.list<Offer>('offers', '', 'Offers')
    const offers = await this.offers
    // Not every identity may see them.
    if (!Array.isArray(offers)) return undefined
    const { _self: self } = container.definition
    const own = offers.find(o => o.resource === self) ?? offers.find(o => self.startsWith(o.resource))
    return own?.content.offerAutopilotSettings?.maxThroughput ?? own?.content.offerThroughput
  }

  async existing(target: ObjectSpec): Promise<TableInfo | undefined> {
    const container = await this.find(target.object)
    if (!container) return undefined
    return { object: target.object, columns: [], primaryKey: [], documents: {} }
  }

  created(column: Column): { type: LogicalType; native: string } {
    return { type: column.type.kind === 'json' ? jsonb : column.type, native: 'json' }
  }

  readonly names: Names = {
    defaultObject: ({ table }) => table,
    parts: object => {
      const { database, container } = this.containerOf(object)
      return { schema: database, table: container }
    },
    part: text => text,
    key: object => {
      const { database, container } = this.containerOf(object)
      return `${database}/${container}`
    },
    columns: () => ({ foldsCase: false, mayBeEmpty: true }),
  }

  async source(): Promise<SourceSession> {
    return new CosmosSource(async (object, { throughputBudget: budget }) => {
      const container = await this.container(object)
      return { container, pace: await this.pace(container, budget) }
    }, this.settings)
  }

  async sink(run: RunIdentity): Promise<SinkSession> {
    return new CosmosSink(this, run)
  }

  async close(): Promise<void> {
    this.wire.close()
  }
}
