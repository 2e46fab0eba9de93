import { setTimeout as sleep } from 'node:timers/promises'
import type { Batch } from '../../batch/encoding.ts'
import { toJson } from '../../batch/json.ts'
import type { Row } from '../../batch/types.ts'
import { FerryError, RowError } from '../../errors.ts'
import { type CommitResult, DOCUMENT, type Refused, type SplitWriter } from '../connector.ts'
import type { CosmosContainer, PartitionRange } from './container.ts'
import type { CosmosSinkTable } from './sink.ts'
import type { Throughput } from './throughput.ts'
import { explain, messageOf } from './wire.ts'

/** The service takes requests up to 2 MB; operations carry some words around the document. */
const MOST_BYTES = 1_900_000
const LARGEST = 2 * 1024 * 1024

interface Pending {
  index: number
  epk: string
  /** The operation as JSON. */
  text: string
}

interface Result {
  statusCode: number
  subStatusCode?: number
  retryAfterMilliseconds?: number
  message?: string
}

/** Writes documents; a batch is written when `write` returns, so that a checkpoint behind it is true. */
export class CosmosSplitWriter implements SplitWriter {
  private readonly table: CosmosSinkTable
  private readonly container: CosmosContainer
  private readonly text: (row: Row) => string
  private readonly headers: Record<string, string>
  private readonly throughput: Throughput
  /** What a byte has cost lately, in request units. */
  private perByte = 6 / 1024

  constructor(table: CosmosSinkTable, container: CosmosContainer, throughput: Throughput) {
    this.table = table
    this.container = container
    this.throughput = throughput
    this.text = documentText(table)
    const { priority, throughputBucket } = table.options
    this.headers = {
      'content-type': 'application/json',
      'x-ms-cosmos-is-batch-request': 'true',
      'x-ms-cosmos-batch-atomic': 'false',
      'x-ms-cosmos-batch-continue-on-error': 'true',
      prefer: 'return=minimal',
      ...(priority === undefined ? {} : { 'x-ms-cosmos-priority-level': priority }),
      ...(throughputBucket === undefined ? {} : { 'x-ms-cosmos-throughput-bucket': String(throughputBucket) }),
    }
  }

  async write(batch: Batch): Promise<Refused[]> {
    if (batch.kind !== 'rows') throw new FerryError('FERRY-9000', 'Cosmos DB takes rows')
    const refused: Refused[] = []
    let pending: Pending[] = []
    for (const [index, row] of batch.rows.entries()) {
      try {
        pending.push(this.operation(row, index))
      } catch (error) {
        if (!(error instanceof RowError)) throw error
        this.refuse(refused, index, error)
      }
    }
    while (pending.length > 0) pending = await this.send(pending, refused)
    return refused.sort((a, b) => a.index - b.index)
  }

  private refuse(refused: Refused[], index: number, error: RowError): void {
    if (!this.table.request.skipBadRows) {
      error.index = index
      throw error
    }
    refused.push({ index, error })
  }

  private operation(row: Row, index: number): Pending {
    const document = this.text(row)
    const parsed = JSON.parse(document) as Record<string, unknown>
    if (typeof parsed.id !== 'string' || parsed.id === '')
      throw new RowError('FERRY-4001', 'a document needs an id', 'id')
    if (document.length > LARGEST / 4 && Buffer.byteLength(document) > LARGEST) {
      throw new RowError('FERRY-4001', `document ${parsed.id} is larger than 2 MB`)
    }
    const key = this.container.keyOf(parsed)
    const named = JSON.stringify(JSON.stringify(key.map(v => (v === undefined ? {} : v))))
    const text = `{"operationType":"${this.table.operation}","partitionKey":${named},"resourceBody":${document}}`
    return { index, epk: this.container.epkOf(key), text }
  }

  /** Sends operations, each to its partition; gives back those to be sent again. */
  private async send(pending: Pending[], refused: Refused[]): Promise<Pending[]> {
    const ranges = await this.container.ranges()
    const again: Pending[] = []
    let wait = 0
    let stale = false
    await Promise.all(
      this.requests(pending, ranges).map(async ({ range, operations }) => {
        const body = `[${operations.map(o => o.text).join(',')}]`
        const headers = { ...this.headers, 'x-ms-documentdb-partitionkeyrangeid': range.id }
        const settle = await this.throughput.spend(range.id, ranges.length, body.length * this.perByte)
        const response = await this.container.send({ method: 'POST', type: 'docs', headers, body })
        const charge = Number(response.headers['x-ms-request-charge'] ?? 0)
        if (response.status === 200 && charge > 0) this.perByte += (charge / body.length - this.perByte) * 0.2
        if (response.status === 410) {
          settle(charge, undefined)
          stale = true
          again.push(...operations)
          return
        }
        if (response.status !== 200 && response.status !== 207) throw explain(response, this.container.name)
        const results = JSON.parse(response.body) as Result[]
        const refusals = results.filter(r => r.statusCode === 429).map(r => r.retryAfterMilliseconds ?? 20)
        settle(charge, refusals.length > 0 ? Math.max(...refusals) : undefined)
        for (const [i, result] of results.entries()) {
          const operation = operations[i]!
          if (result.statusCode < 300) continue
          if ([408, 424, 429, 449, 503].includes(result.statusCode)) {
            // The pace of the partition waits for units; the others say no time.
            if (result.statusCode !== 429) wait = 20
            again.push(operation)
          } else if (result.statusCode === 410) {
            stale = true
            again.push(operation)
          } else this.refuse(refused, operation.index, this.rowError(result))
        }
      }),
    )
    if (stale) await this.container.ranges(true)
    if (wait > 0) await sleep(wait)
    return again
  }

  private rowError({ statusCode, subStatusCode, message }: Result): RowError {
    const said = message
      ? messageOf(message)
      : statusCode === 409
        ? 'the id or a unique key is there already'
        : 'refused'
    const code = statusCode === 409 ? 'FERRY-4005' : 'FERRY-4001'
    return new RowError(code, `${said} (status ${statusCode}${subStatusCode ? `, substatus ${subStatusCode}` : ''})`)
  }

  /** The operations by partition, in requests of at most so many and so many bytes. */
  private requests(pending: Pending[], ranges: PartitionRange[]) {
    const byRange = new Map<PartitionRange, Pending[]>()
    for (const operation of pending) {
      const range = rangeOf(ranges, operation.epk)
      const list = byRange.get(range)
      if (list) list.push(operation)
      else byRange.set(range, [operation])
    }
    const requests: { range: PartitionRange; operations: Pending[] }[] = []
    for (const [range, operations] of byRange) {
      const mostBytes = Math.min(MOST_BYTES, this.throughput.of(range.id, ranges.length).perRequest / this.perByte)
      let some: Pending[] = []
      let bytes = 0
      for (const operation of operations) {
        if (
          some.length > 0 &&
          (some.length >= this.table.options.batchSize || bytes + operation.text.length > mostBytes)
        ) {
          requests.push({ range, operations: some })
          some = []
          bytes = 0
        }
        some.push(operation)
        bytes += operation.text.length
      }
      requests.push({ range, operations: some })
    }
    return requests
  }

  async commit(): Promise<CommitResult> {
    return {}
  }

  async abort(): Promise<void> {}
}

function rangeOf(ranges: PartitionRange[], epk: string): PartitionRange {
  let from = 0
  let to = ranges.length - 1
  while (from < to) {
    const middle = (from + to + 1) >> 1
    if (ranges[middle]!.low <= epk) from = middle
    else to = middle - 1
  }
  return ranges[from]!
}

/** How a row becomes a document: as it is, or made of its columns; `address.city` goes into an object `address`. */
function documentText(table: CosmosSinkTable): (row: Row) => string {
  const { columns } = table.request
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
