/** Writing to a container: documents in bulk requests, each to the partition that holds its key. */
import { jsonNullNotes } from '../../batch/json.ts'
import { type Offer, ROWS } from '../../contract/encodings.ts'
import type { ChangeSink, SinkSession, SinkTable, SplitWriter, WriterWork } from '../../contract/sink.ts'
import type { Committed, Split } from '../../contract/split.ts'
import type { RunIdentity, WriteRequest } from '../../contract/write.ts'
import { FerryError } from '../../errors.ts'
import type { CosmosAccount } from './account.ts'
import { Bulk } from './bulk.ts'
import { type CosmosContainer, keyDefinition } from './container.ts'
import { type Ids, KeyIds, PlaceIds } from './ids.ts'
import { type CosmosOperation, type CosmosWriteOptions, writeOptions } from './options.ts'
import type { Throughput } from './throughput.ts'
import { CosmosSplitWriter } from './writer.ts'

export class CosmosSink implements SinkSession {
  private readonly store: CosmosAccount
  private readonly run: RunIdentity

  constructor(store: CosmosAccount, run: RunIdentity) {
    this.store = store
    this.run = run
  }

  async table(request: WriteRequest): Promise<SinkTable> {
    if (request.follows?.deletes === 'mark') {
      throw new FerryError(
        'FERRY-3006',
        `${request.object}: deleted rows are not marked in a container: apply or ignore`,
      )
    }
    if (request.before.length + request.after.length > 0) {
      throw new FerryError('FERRY-3006', 'containers run no SQL: `before` and `after` need a database')
    }
    if (request.truncate) {
      throw new FerryError('FERRY-3006', `${request.object}: a container is not emptied before a copy`, {
        hint: 'Leave truncate out: merge overwrites documents by their ids; or copy into a new container.',
      })
    }
    return new CosmosSinkTable(this.store, this.run, request)
  }

  async close(): Promise<void> {}
}

const GUARANTEES: Record<CosmosOperation, string> = {
  upsert: 'exactly once by id and partition key: a document that is written again is the same',
  insert:
    'a document that is there already is refused and told; one that this run has written before a crash is known by its content',
  replace: 'exactly once by id and partition key; a document that is not there is refused and told',
  patch: 'exactly once by id and partition key: values are set; a document that is not there is refused and told',
  delete: 'exactly once by id and partition key; a document that is not there is as it should be',
}

export class CosmosSinkTable implements SinkTable {
  readonly plan
  readonly unit = 'split'
  readonly lanes = 16
  readonly inFlight = 4
  readonly takesChanges: boolean
  readonly operation: CosmosOperation
  readonly request: WriteRequest
  readonly options: CosmosWriteOptions
  private readonly store: CosmosAccount
  private opened: Promise<CosmosContainer> | undefined
  private pace: Promise<Throughput> | undefined

  private readonly run: RunIdentity

  constructor(store: CosmosAccount, run: RunIdentity, request: WriteRequest) {
    this.store = store
    this.run = run
    this.request = request
    this.options = writeOptions(request.options)
    this.operation = this.options.operation ?? (request.update === 'merge' ? 'upsert' : 'insert')
    this.takesChanges = this.operation === 'upsert' && request.identity !== undefined
    const isMade = !request.existing || this.options.recreate
    const make = isMade ? [`CREATE CONTAINER ${request.object} ${JSON.stringify(this.definition())}`] : []
    const drop = request.existing && this.options.recreate ? [`DELETE CONTAINER ${request.object}`] : []
    this.plan = {
      statements: [...drop, ...make, `BULK ${this.operation.toUpperCase()} INTO ${request.object}`],
      guarantee: GUARANTEES[this.operation],
      notes: jsonNullNotes(request.columns),
    }
  }

  readonly offers: Offer[] = [ROWS]

  private definition() {
    const { partitionKey = '/id', uniqueKeys, defaultTtl } = this.options
    return {
      id: this.store.containerOf(this.request.object).container,
      partitionKey: keyDefinition([partitionKey].flat()),
      ...(uniqueKeys ? { uniqueKeyPolicy: { uniqueKeys: uniqueKeys.map(k => ({ paths: [k].flat() })) } } : {}),
      defaultTtl,
    }
  }

  async prepare(known: Committed): Promise<Committed> {
    const { object, existing } = this.request
    const { recreate, throughput, autoscale } = this.options
    await this.run.confirm()
    // Once a split has committed, what is there are this run's own rows.
    if (existing && recreate && known.splits.size === 0) await this.store.deleteContainer(object)
    if (!existing || recreate) {
      await this.store.createContainer(object, this.definition(), { manual: throughput, autoscale })
    }
    return known
  }

  async committed(known: Committed): Promise<Committed> {
    await this.run.confirm()
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

  async open(split: Split, _offer: Offer, work: WriterWork = {}): Promise<SplitWriter> {
    const container = await this.container()
    const bulk = new Bulk(container, await this.throughput(), this.options, {
      signal: work.signal,
      holds: () => this.run.holds(),
    })
    return new CosmosSplitWriter(this.request, this.operation, container, bulk, this.ids(split, work.from), work)
  }

  private ids(split: Split, from: string | undefined): Ids | undefined {
    if (!this.options.generateIds) return undefined
    const { rowKeys } = this.request
    // Rows may be inserted twice: a merge is needed to have each once.
    return rowKeys && this.operation !== 'insert'
      ? new KeyIds(rowKeys)
      : new PlaceIds(this.run.run, this.request, split, from)
  }

  /** Changes of a database's log: the state stores how far they are applied, and applying them again has no effect. */
  get changes(): ChangeSink | undefined {
    if (!this.takesChanges) return undefined
    return {
      committed: async known => known,
      open: work => this.open({ id: 0, label: 'the log', spec: '' }, { encoding: 'rows' }, work),
    }
  }

  async publish(): Promise<void> {}
  async forget(): Promise<void> {}
  async discard(): Promise<boolean> {
    return true
  }
}
