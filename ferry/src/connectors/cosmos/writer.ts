/** Writing rows and changes as documents; all of a batch is written when `write` returns, so that a checkpoint is true. */
import type { KeyValue } from 'cosmos-local/hash'
import type { Batch, Change } from '../../batch/encoding.ts'
import { toJson } from '../../batch/json.ts'
import type { Row } from '../../batch/types.ts'
import { FerryError, RowError } from '../../errors.ts'
import {
  type CommitResult,
  DOCUMENT,
  type MappedColumn,
  type Refused,
  type SplitWriter,
  type WriteRequest,
} from '../connector.ts'
import type { Bulk, Operation, Refusal } from './bulk.ts'
import type { CosmosContainer } from './container.ts'
import { Copies } from './copies.ts'

const LARGEST = 2 * 1024 * 1024

/** A document to be written, or deleted. */
interface Item {
  index: number
  change: Change
  text: string
  id: string
  key: KeyValue[]
  /** What tells it from all others at the source. */
  identity: string
}

export class CosmosSplitWriter implements SplitWriter {
  private readonly request: WriteRequest
  private readonly type: 'Create' | 'Upsert'
  private readonly container: CosmosContainer
  private readonly bulk: Bulk
  private readonly text: (row: Row) => string
  private readonly copies: Copies | undefined

  constructor(request: WriteRequest, type: 'Create' | 'Upsert', container: CosmosContainer, bulk: Bulk) {
    this.request = request
    this.type = type
    this.container = container
    this.bulk = bulk
    this.text = documentText(request.columns)
    if (type === 'Upsert' && request.identity) this.copies = new Copies(container, bulk, request.identity)
  }

  async write(batch: Batch): Promise<Refused[]> {
    if (batch.kind !== 'rows') throw new FerryError('FERRY-9000', 'Cosmos DB takes rows')
    const refused: Refused[] = []
    const items: Item[] = []
    for (const [index, row] of batch.rows.entries()) {
      try {
        items.push(this.item(row, index, batch.changes?.[index] ?? 'create'))
      } catch (error) {
        if (!(error instanceof RowError)) throw error
        this.refuse(refused, index, error)
      }
    }
    const refusals = batch.changes ? await this.apply(items) : await this.load(items)
    for (const { operation, error } of refusals) this.refuse(refused, operation.index, error)
    return refused.sort((a, b) => a.index - b.index)
  }

  private refuse(refused: Refused[], index: number, error: RowError): void {
    if (!this.request.skipBadRows) {
      error.index = index
      throw error
    }
    refused.push({ index, error })
  }

  private item(row: Row, index: number, change: Change): Item {
    const text = this.text(row)
    const document = JSON.parse(text) as Record<string, unknown>
    const { id } = document
    if (typeof id !== 'string' || id === '') throw new RowError('FERRY-4001', 'a document needs an id', 'id')
    if (text.length > LARGEST / 4 && Buffer.byteLength(text) > LARGEST) {
      throw new RowError('FERRY-4001', `document ${id} is larger than 2 MB`)
    }
    const identity = this.copies?.identityOf(document) ?? ''
    return { index, change, text, id, key: this.container.keyOf(document), identity }
  }

  /** Documents of a snapshot, each there once. */
  private async load(items: Item[]): Promise<Refusal[]> {
    const mayMeet = this.copies?.mayMeet === true
    const type = mayMeet ? 'Create' : this.type
    const refusals = await this.bulk.run(items.map(i => this.bulk.operation(type, i.index, i.id, i.key, i.text)))
    if (!mayMeet) return refusals
    const conflicts = new Set(refusals.filter(r => r.status === 409).map(r => r.operation.index))
    const met = items.filter(i => conflicts.has(i.index))
    if (met.length === 0) return refusals
    // What is there already is this document from an earlier try, or another one that must not be lost.
    const others = refusals.filter(r => r.status !== 409)
    return [...others, ...(await this.replace(met))]
  }

  /** Writes documents over their own copies, wherever these are; refuses those whose place another document has. */
  private async replace(items: Item[]): Promise<Refusal[]> {
    const copies = this.copies!
    const found = await copies.find(items.map(i => i.id))
    const refused: Refusal[] = []
    const operations: Operation[] = []
    for (const item of items) {
      const same = found.filter(c => c.id === item.id)
      const place = JSON.stringify(item.key)
      const taken = same.find(c => JSON.stringify(c.key) === place && c.identity !== item.identity)
      if (item.change !== 'delete' && taken) {
        const error = new RowError(
          'FERRY-4005',
          `another document, ${copies.describe(taken.identity)}, has this id and partition key at the destination`,
        )
        refused.push({ operation: { index: item.index, epk: '', text: '' }, status: 409, error })
        continue
      }
      for (const copy of same) {
        if (copy.identity !== item.identity) continue
        if (item.change === 'delete' || JSON.stringify(copy.key) !== place) {
          operations.push(this.bulk.operation('Delete', item.index, copy.id, copy.key))
        }
      }
      if (item.change !== 'delete') {
        operations.push(this.bulk.operation('Upsert', item.index, item.id, item.key, item.text))
      }
    }
    return [...refused, ...(await this.run(operations))]
  }

  /** Changes in order. */
  private async apply(items: Item[]): Promise<Refusal[]> {
    const refused: Refusal[] = []
    for (const wave of this.waves(items)) {
      const direct: Operation[] = []
      const sought: Item[] = []
      const made: Item[] = []
      for (const item of wave) {
        if (item.change === 'create') made.push(item)
        else if (this.copies!.mayBeElsewhere(item.change, item.key)) sought.push(item)
        else if (item.change === 'delete') direct.push(this.bulk.operation('Delete', item.index, item.id, item.key))
        else direct.push(this.bulk.operation('Upsert', item.index, item.id, item.key, item.text))
      }
      refused.push(...(await this.run(direct)))
      if (made.length > 0) refused.push(...(await this.load(made)))
      if (sought.length > 0) refused.push(...(await this.replace(sought)))
    }
    return refused
  }

  /** What is to be deleted and is not there is as it should be. */
  private async run(operations: Operation[]): Promise<Refusal[]> {
    const refused = await this.bulk.run(operations)
    return refused.filter(r => r.status !== 404 || !r.operation.text.startsWith('{"operationType":"Delete"'))
  }

  /**
   * Changes that may be written at one time: of each document its last one. Where keys are unique an earlier change can
   * be what makes room for a later one, so that those of one partition key stay in line.
   */
  private waves(items: Item[]): Item[][] {
    if (!this.container.hasUniqueKeys) {
      const last = new Map<string, Item>()
      for (const item of items) {
        const isOnly = !last.has(item.identity)
        last.set(item.identity, isOnly || item.change === 'delete' ? item : { ...item, change: 'replace' })
      }
      return [[...last.values()]]
    }
    if (!this.copies!.areInPlace) return items.map(item => [item])
    const lines = new Map<string, number>()
    const waves: Item[][] = []
    for (const item of items) {
      const line = JSON.stringify(item.key)
      const at = lines.get(line) ?? 0
      lines.set(line, at + 1)
      waves[at] ??= []
      waves[at].push(item)
    }
    return waves
  }

  async commit(): Promise<CommitResult> {
    return {}
  }

  async abort(): Promise<void> {}
}

/** How a row becomes a document: as it is, or made of its columns; `address.city` goes into an object `address`. */
function documentText(columns: MappedColumn[]): (row: Row) => string {
  const whole = columns.findIndex(c => c.name === DOCUMENT)
  if (whole >= 0) return row => row[whole] as string
  interface Node {
    at?: number
    members: Map<string, Node>
  }
  const root: Node = { members: new Map() }
  for (const [at, column] of columns.entries()) {
    let node = root
    for (const step of column.name.split('.')) {
      const next: Node = node.members.get(step) ?? { members: new Map() }
      node.members.set(step, next)
      node = next
    }
    node.at = at
  }
  const write = (node: Node, row: Row): string => {
    if (node.at !== undefined) {
      const { name, type } = columns[node.at]!
      const value = row[node.at]!
      // The id of a document is a text, whatever the key was.
      if (name === 'id' && value !== null && typeof value !== 'string') return JSON.stringify(String(value))
      return value === null ? 'null' : toJson(value, type)
    }
    return `{${[...node.members].map(([name, inner]) => `${JSON.stringify(name)}:${write(inner, row)}`).join(',')}}`
  }
  return row => write(root, row)
}
