/** The account: its databases and containers, their throughput, and the rules that hold for all of them. */
import { randomBytes } from 'node:crypto'
import { Container, type ContainerRow } from './container.ts'
import { checkDefinition } from './definition.ts'
import { badRequest, conflict, noOwner, notFound } from './errors.ts'
import { Faults } from './faults.ts'
import type { JsonObject } from './json.ts'
import { Partitions } from './partitions.ts'
import { containerRid, databaseRid } from './rids.ts'
import { Store } from './store.ts'
import { Throttle } from './throttle.ts'

export interface AccountOptions {
  /** The file of the account; in memory if omitted. */
  path?: string
  name?: string
  /** Keys in base64; made up where omitted. */
  key?: string
  readOnlyKey?: string
  /** Regions, the one that is written to first. */
  regions?: string[]
  /** No throughput settings, a limit for each partition. */
  serverless?: boolean
  /** Keeps every version, for the all-versions feed. */
  continuousBackup?: boolean
  /** Whether the all-versions feed tells what a replaced item was before: by default it does so for deletes only. */
  previousImages?: boolean
  /** How long versions are kept. */
  retentionHours?: number
  localAuthDisabled?: boolean
  /** Whether `Merge partition` is enabled: copy jobs refuse such accounts. */
  mergeEnabled?: boolean
  /** Decides over Entra tokens. */
  acceptToken?: (token: string) => boolean
  /** Whether request units are enforced. */
  enforceThroughput?: boolean
  /** How many partitions a new container has, whatever its throughput. */
  partitions?: number
  /** Milliseconds since 1970; for tests of what takes time. */
  clock?: () => number
}

export interface Database {
  num: number
  id: string
  rid: string
  ts: number
}

export interface AutoscaleSettings {
  maxThroughput: number
  /** By how much the limit grows by itself. */
  autoUpgradePolicy?: { throughputPolicy: { incrementPercent: number } }
}

export interface Offer {
  num: number
  /** The self link of what it is for. */
  resource: string
  content: { offerThroughput: number; offerAutopilotSettings?: AutoscaleSettings }
  ts: number
}

/** What a partition of a serverless account gives. */
const SERVERLESS_PER_PARTITION = 5000
const MOST_PER_PARTITION = 10_000
const DEFAULT_THROUGHPUT = 400

export class Account {
  readonly options: AccountOptions
  readonly name: string
  readonly keys: { primary: string; readOnly: string }
  readonly regions: string[]
  readonly store: Store
  readonly faults = new Faults()
  readonly throttle: Throttle
  private readonly containers = new Map<string, Container>()
  private readonly offers = new Map<string, Offer>()

  constructor(options: AccountOptions = {}) {
    this.options = options
    this.name = options.name ?? 'local'
    const makeKey = () => randomBytes(64).toString('base64')
    this.keys = { primary: options.key ?? makeKey(), readOnly: options.readOnlyKey ?? makeKey() }
    this.regions = options.regions ?? ['Local']
    this.store = new Store(options.path ?? ':memory:')
    this.throttle = new Throttle(options.clock)
    for (const row of this.store.all<{ num: number; resource: string; content: string; ts: number }>(
      'SELECT * FROM offers',
    )) {
      this.offers.set(row.resource, { ...row, content: JSON.parse(row.content) })
    }
  }

  /** Seconds since 1970. */
  now(): number {
    return Math.floor((this.options.clock?.() ?? Date.now()) / 1000)
  }

  get retentionSeconds(): number {
    return (this.options.retentionHours ?? 168) * 3600
  }

  // Databases

  databases(): Database[] {
    const rows = this.store.all<{ num: number; id: string; ts: number }>('SELECT * FROM databases ORDER BY num')
    return rows.map(row => ({ ...row, rid: databaseRid(row.num) }))
  }

  database(id: string): Database {
    const row = this.store.get<{ num: number; id: string; ts: number }>('SELECT * FROM databases WHERE id = ?', id)
    if (!row) throw notFound()
    return { ...row, rid: databaseRid(row.num) }
  }

  createDatabase(id: unknown, throughput: Throughput): Database {
    checkName(id)
    if (this.store.get('SELECT 1 FROM databases WHERE id = ?', id)) {
      throw conflict('Resource with specified id or name already exists.')
    }
    this.checkThroughput(throughput)
    const num = this.store.nextNumber('databases')
    this.store.run('INSERT INTO databases (num, id, ts) VALUES (?, ?, ?)', num, id, this.now())
    const made = this.database(id)
    this.setOffer(databaseLink(made), throughput)
    return made
  }

  deleteDatabase(id: string): void {
    const database = this.database(id)
    for (const container of this.containersOf(id)) this.deleteContainer(id, container.definition.id)
    this.store.run('DELETE FROM databases WHERE num = ?', database.num)
    this.dropOffer(databaseLink(database))
  }

  // Containers

  containersOf(database: string): Container[] {
    const { num } = this.owner(database)
    const rows = this.store.all<{ id: string }>('SELECT id FROM containers WHERE db = ? ORDER BY num', num)
    return rows.map(row => this.container(database, row.id))
  }

  /** Throws 404 where there is no such container, with 1003 where its database is missing. */
  container(database: string, id: string): Container {
    const path = `${database}/${id}`
    const known = this.containers.get(path)
    if (known) return known
    const { num } = this.owner(database)
    const row = this.store.get<ContainerRow>('SELECT * FROM containers WHERE db = ? AND id = ?', num, id)
    if (!row) throw notFound()
    const container = new Container(this.store, row, {
      now: () => this.now(),
      keepsVersions: this.options.continuousBackup === true,
      keepsReplaced: this.options.previousImages === true,
    })
    this.containers.set(path, container)
    return container
  }

  private owner(database: string): Database {
    try {
      return this.database(database)
    } catch {
      throw noOwner()
    }
  }

  createContainer(database: string, body: JsonObject, throughput: Throughput): Container {
    const { num: db } = this.owner(database)
    const { id } = body
    checkName(id)
    const definition = checkDefinition(body)
    if (this.store.get('SELECT 1 FROM containers WHERE db = ? AND id = ?', db, id)) {
      throw conflict('Resource with specified id or name already exists.')
    }
    this.checkThroughput(throughput)
    this.store.transaction(() => {
      const num = this.store.nextNumber('containers')
      this.store.run(
        'INSERT INTO containers (num, db, id, definition, lsn, ts) VALUES (?, ?, ?, ?, 0, ?)',
        num,
        db,
        id,
        JSON.stringify(definition),
        this.now(),
      )
      const count = this.options.partitions ?? Math.max(1, Math.ceil((budgetOf(throughput) ?? 0) / MOST_PER_PARTITION))
      Partitions.lay(this.store, num, count, definition.partitionKey)
    })
    const container = this.container(database, id)
    const shared = this.offers.has(databaseLink(this.database(database)))
    // A container has throughput of its own unless its database shares some.
    const own = budgetOf(throughput) !== undefined || shared ? throughput : { manual: DEFAULT_THROUGHPUT }
    if (!this.options.serverless) this.setOffer(containerLink(container), own)
    return container
  }

  /** Changes what may change: indexing policy, TTL and the like. */
  replaceContainer(database: string, id: string, body: JsonObject): Container {
    const container = this.container(database, id)
    const definition = checkDefinition(body)
    const before = container.definition
    if (definition.id !== id) throw badRequest('The id of a container cannot be changed')
    if (JSON.stringify(definition.partitionKey.paths) !== JSON.stringify(before.partitionKey.paths)) {
      throw badRequest('Document collection partition key cannot be changed.')
    }
    if (JSON.stringify(definition.uniqueKeyPolicy ?? {}) !== JSON.stringify(before.uniqueKeyPolicy ?? {})) {
      throw badRequest('The unique index cannot be modified.')
    }
    container.definition = { ...definition, partitionKey: before.partitionKey }
    container.ts = this.now()
    this.store.run(
      'UPDATE containers SET definition = ?, ts = ? WHERE num = ?',
      JSON.stringify(container.definition),
      container.ts,
      container.num,
    )
    return container
  }

  deleteContainer(database: string, id: string): void {
    const container = this.container(database, id)
    this.store.transaction(() => {
      for (const table of ['items', 'changes', 'partitions', 'uniques']) {
        this.store.run(`DELETE FROM ${table} WHERE container = ?`, container.num)
      }
      this.store.run('DELETE FROM containers WHERE num = ?', container.num)
    })
    this.containers.delete(`${database}/${id}`)
    this.dropOffer(containerLink(container))
  }

  // Throughput

  allOffers(): Offer[] {
    return [...this.offers.values()]
  }

  /** Changes throughput; partitions split where one would have to give more than it can. */
  replaceOffer(num: number, content: Offer['content']): Offer {
    const offer = this.allOffers().find(o => o.num === num)
    if (!offer) throw notFound()
    const { offerThroughput, offerAutopilotSettings } = content
    this.checkThroughput({ manual: offerThroughput, autoscale: offerAutopilotSettings })
    offer.content = offerAutopilotSettings
      ? { offerThroughput: offerAutopilotSettings.maxThroughput / 10, offerAutopilotSettings }
      : { offerThroughput }
    offer.ts = this.now()
    this.store.run('UPDATE offers SET content = ?, ts = ? WHERE num = ?', JSON.stringify(offer.content), offer.ts, num)
    const container = [...this.containers.values()].find(c => containerLink(c) === offer.resource)
    if (container) {
      const needed = Math.ceil(perSecond(offer) / MOST_PER_PARTITION)
      while (container.partitions.all.length < needed) {
        const widest = [...container.partitions.all].sort((a, b) => a.parents.length - b.parents.length)[0]!
        container.partitions.split(widest.id)
      }
    }
    return offer
  }

  /** Units a second that a partition of the container gives; undefined where they are not enforced. */
  budget(container: Container): number | undefined {
    if (!this.options.enforceThroughput) return undefined
    if (this.options.serverless) return SERVERLESS_PER_PARTITION
    const offer = this.offers.get(containerLink(container)) ?? this.offers.get(databaseSelf(container.db))
    return (offer ? perSecond(offer) : DEFAULT_THROUGHPUT) / container.partitions.all.length
  }

  private checkThroughput(throughput: Throughput): void {
    const budget = budgetOf(throughput)
    if (budget === undefined) return
    if (this.options.serverless) {
      throw badRequest('Setting offer throughput or autopilot on container is not supported for serverless accounts.')
    }
    const [least, step] = throughput.autoscale === undefined ? [400, 100] : [1000, 1000]
    if (!(budget >= least)) {
      throw badRequest(`Requested throughput ${budget} is less than required minimum throughput ${least}.`)
    }
    if (budget % step !== 0) throw badRequest(`The offer throughput ${budget} is invalid: in steps of ${step}`)
  }

  private setOffer(resource: string, throughput: Throughput): void {
    if (budgetOf(throughput) === undefined) return
    const { manual, autoscale } = throughput
    const content =
      autoscale === undefined
        ? { offerThroughput: manual! }
        : { offerThroughput: autoscale.maxThroughput / 10, offerAutopilotSettings: autoscale }
    const ts = this.now()
    const num = this.store.nextNumber('offers')
    this.store.run(
      'INSERT INTO offers (num, resource, content, ts) VALUES (?, ?, ?, ?)',
      num,
      resource,
      JSON.stringify(content),
      ts,
    )
    this.offers.set(resource, { num, resource, content, ts })
  }

  private dropOffer(resource: string): void {
    this.store.run('DELETE FROM offers WHERE resource = ?', resource)
    this.offers.delete(resource)
  }

  /** Deletes expired items and versions beyond the retention; called now and then. */
  sweep(): void {
    for (const database of this.databases()) {
      for (const container of this.containersOf(database.id)) {
        if (!container.hasExpired()) continue
        this.store.transaction(() => {
          while (container.expire() > 0) {
            // A thousand at a time.
          }
          container.saveLsn()
        })
      }
    }
    this.store.run('DELETE FROM changes WHERE ts < ?', this.now() - this.retentionSeconds)
  }

  close(): void {
    this.store.close()
  }
}

export interface Throughput {
  manual?: number | undefined
  /** An autoscale range. */
  autoscale?: AutoscaleSettings | undefined
}

function budgetOf(throughput: Throughput): number | undefined {
  return throughput.autoscale?.maxThroughput ?? throughput.manual
}

function perSecond({ content }: Offer): number {
  return content.offerAutopilotSettings?.maxThroughput ?? content.offerThroughput
}

function databaseSelf(num: number): string {
  return `dbs/${databaseRid(num)}/`
}

export function databaseLink(database: { num: number }): string {
  return databaseSelf(database.num)
}

export function containerLink(container: { db: number; num: number }): string {
  return `${databaseSelf(container.db)}colls/${containerRid(container.db, container.num)}/`
}

function checkName(id: unknown): asserts id is string {
  if (typeof id !== 'string' || id === '' || id.length > 255) {
    const shown = JSON.stringify(id ?? '')
    throw badRequest(
      `The input name ${shown} is invalid. Ensure to provide a unique non-empty string less than '255' characters.`,
    )
  }
  if (/[/\\?#\t\r\n]/.test(id) || id.endsWith(' ')) {
    throw badRequest(`The input name '${id}' is invalid. Ensure that it does not contain illegal characters.`)
  }
}
