/** What is known of a container: its keys, and the partitions that hold them. */
import { effectiveKey, type KeyDefinition, type KeyValue } from 'cosmos-local/hash'
import { FerryError, RowError } from '../../errors.ts'
import { valueAt } from './documents.ts'
import type { Patience } from './patience.ts'
import { type CosmosWire, explain, jsonOf, type WireRequest, type WireResponse } from './wire.ts'

export interface PartitionRange {
  id: string
  low: string
  high: string
}

export interface ContainerDefinition {
  _self: string
  partitionKey: KeyDefinition
  uniqueKeyPolicy?: { uniqueKeys: { paths: string[] }[] }
  indexingPolicy?: object
  defaultTtl?: number
}

/** A partition key as the service writes it: a component that a document does not have is `{}`. */
export function keyText(key: KeyValue[]): string {
  return JSON.stringify(key.map(v => (v === undefined ? {} : v)))
}

/** The definition of a partition key of up to three paths. */
export function keyDefinition(paths: string[]): KeyDefinition {
  return { paths, kind: paths.length > 1 ? 'MultiHash' : 'Hash', version: 2 }
}

/** How often partitions may split while one question is asked. */
const MOST_SPLITS = 20

export class CosmosContainer {
  readonly link: string
  readonly name: string
  readonly definition: ContainerDefinition
  /** How many documents it holds, about; undefined where the service does not say. */
  readonly count: number | undefined
  private readonly wire: CosmosWire
  /** The steps of each path of the partition key. */
  readonly keyPaths: string[][]
  private known: Promise<PartitionRange[]> | undefined

  private constructor(wire: CosmosWire, name: string, link: string, response: WireResponse) {
    this.wire = wire
    this.name = name
    this.link = link
    this.definition = jsonOf<ContainerDefinition>(response, name)
    const count = /documentsCount=(\d+)/.exec(String(response.headers['x-ms-resource-usage'] ?? ''))?.[1]
    this.count = count === undefined ? undefined : Number(count)
    this.keyPaths = this.definition.partitionKey.paths.map(pathSteps)
  }

  /** The container, or undefined where there is none. */
  static async open(wire: CosmosWire, name: string, link: string): Promise<CosmosContainer | undefined> {
    const headers = { 'x-ms-documentdb-populatequotainfo': 'true' }
    const response = await wire.send({ method: 'GET', type: 'colls', link, path: link, headers, read: true })
    if (response.status === 404) return undefined
    if (response.status !== 200) throw explain(response, name)
    return new CosmosContainer(wire, name, link, response)
  }

  send(request: Omit<WireRequest, 'link'>, signal?: AbortSignal): Promise<WireResponse> {
    return this.wire.send({ ...request, link: this.link }, signal)
  }

  /** For what is tried again beyond single requests. */
  patience(): Patience {
    return this.wire.patience()
  }

  /** The partitions in the order of their keys; asked for once, and again when one was split. */
  ranges(again = false): Promise<PartitionRange[]> {
    if (again) this.known = undefined
    this.known ??= this.askRanges()
    return this.known
  }

  private async askRanges(): Promise<PartitionRange[]> {
    type Shown = { id: string; minInclusive: string; maxExclusive: string; parents?: string[] }
    const shown = await this.wire.list<Shown>('pkranges', this.link, 'PartitionKeyRanges')
    if (!Array.isArray(shown)) throw explain(shown, this.name)
    const parents = new Set(shown.flatMap(r => r.parents ?? []))
    return shown
      .filter(r => !parents.has(r.id))
      .map(r => ({ id: r.id, low: r.minInclusive, high: r.maxExclusive }))
      .sort((a, b) => (a.low < b.low ? -1 : 1))
  }

  /** Works with the partitions as they are; where one was split meanwhile (410), again with its children. */
  async withRanges<T>(work: (ranges: PartitionRange[]) => Promise<T | 'gone'>): Promise<T> {
    for (let attempt = 0; attempt < MOST_SPLITS; attempt++) {
      const result = await work(await this.ranges(attempt > 0))
      if (result !== 'gone') return result
    }
    throw new FerryError('FERRY-2005', `${this.name}: its partitions do not come to rest`)
  }

  /** Whether some key must be the only one of its kind in a partition key's items. */
  get hasUniqueKeys(): boolean {
    return (this.definition.uniqueKeyPolicy?.uniqueKeys.length ?? 0) > 0
  }

  /** The partition key of a document, component by component. Throws a RowError for what no key can be. */
  keyOf(document: Record<string, unknown>): KeyValue[] {
    return this.keyPaths.map((path, i) => {
      const value = valueAt(document, path)
      if (value !== null && typeof value === 'object') {
        const name = this.definition.partitionKey.paths[i]!
        throw new RowError('FERRY-4001', `the partition key ${name} is no text, number, boolean or null`, name)
      }
      return value as KeyValue
    })
  }

  epkOf(key: KeyValue[]): string {
    return effectiveKey(key, this.definition.partitionKey)
  }
}

function pathSteps(path: string): string[] {
  const steps = [...path.matchAll(/\/(?:"([^"]*)"|([^/]*))/g)].map(m => m[1] ?? m[2]!)
  if (steps.length === 0) throw new FerryError('FERRY-9000', `the partition key path ${path} is none`)
  return steps
}
