/** Writing to a container: documents in bulk requests, each to the partition that holds its key. */
import type { Encoding } from '../../batch/encoding.ts'
import { FerryError } from '../../errors.ts'
import type { Committed, Offer, SinkSession, SinkTable, Split, SplitWriter, WriteRequest } from '../connector.ts'
import { Bulk } from './bulk.ts'
import type { CosmosStore } from './connector.ts'
import type { CosmosContainer } from './container.ts'
import { type CosmosWriteOptions, writeOptions } from './options.ts'
import type { Throughput } from './throughput.ts'
import { CosmosSplitWriter } from './writer.ts'

export class CosmosSink implements SinkSession {
  private readonly store: CosmosStore

  constructor(store: CosmosStore) {
    this.store = store
  }

  async table(request: WriteRequest): Promise<SinkTable> {
    if (request.update === 'overwrite') {
      throw new FerryError(
        'FERRY-3006',
        `${request.object}: a container cannot be changed over at once: append or merge`,
      )
    }
    return new CosmosSinkTable(this.store, request)
  }

  async close(): Promise<void> {}
}

export class CosmosSinkTable implements SinkTable {
  readonly plan
  readonly unit = 'split'
  readonly lanes = 16
  readonly inFlight = 4
  readonly takesChanges: boolean
  readonly request: WriteRequest
  readonly options: CosmosWriteOptions
  private readonly store: CosmosStore
  private opened: Promise<CosmosContainer> | undefined
  private pace: Promise<Throughput> | undefined

  constructor(store: CosmosStore, request: WriteRequest) {
    this.store = store
    this.request = request
    this.options = writeOptions(request.options)
    this.takesChanges = this.operation === 'Upsert' && request.identity !== undefined
    const create = request.existing ? [] : [`CREATE CONTAINER ${request.object} ${JSON.stringify(this.definition())}`]
    this.plan = {
      statements: [...create, `BULK ${this.operation.toUpperCase()} INTO ${request.object}`],
      guarantee:
        this.operation === 'Upsert'
          ? 'exactly once by id and partition key: a document that is written again is the same'
          : 'a document that is there already is refused and told; after a crash those of the last seconds are told so too',
      notes: [] as string[],
    }
  }

  get operation(): 'Create' | 'Upsert' {
    return this.request.update === 'merge' ? 'Upsert' : 'Create'
  }

  offer(encoding: Encoding): Offer | string {
    return encoding === 'rows' ? { encoding } : 'Cosmos DB takes documents'
  }

  private definition() {
    const { partitionKey = '/id' } = this.options
    const paths = typeof partitionKey === 'string' ? [partitionKey] : partitionKey
    const kind = paths.length > 1 ? 'MultiHash' : 'Hash'
    return { id: this.store.names(this.request.object).container, partitionKey: { paths, kind, version: 2 } }
  }

  async prepare(known: Committed): Promise<Committed> {
    if (!this.request.existing)
      await this.store.createContainer(this.request.object, this.definition(), this.options.throughput)
    return known
  }

  /** The pace of all writers of this table. */
  throughput(): Promise<Throughput> {
    this.pace ??= this.container().then(container => this.store.pace(container, this.options.throughputBudget))
    return this.pace
  }

  container(): Promise<CosmosContainer> {
    this.opened ??= this.store.container(this.request.object)
    return this.opened
  }

  async open(_split: Split, _offer: Offer, signal?: AbortSignal): Promise<SplitWriter> {
    const bulk = new Bulk(await this.container(), await this.throughput(), this.options, signal)
    return new CosmosSplitWriter(this.request, this.operation, await this.container(), bulk)
  }

  async publish(): Promise<void> {}
  async forget(): Promise<void> {}
  async discard(): Promise<void> {}
}
