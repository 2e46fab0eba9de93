/** Several operations in one request: a transactional batch, or a bulk of operations that stand for themselves. */
import { readCharge, writeCharge } from './charges.ts'
import type { Container, Written } from './container.ts'
import { badRequest, CosmosError } from './errors.ts'
import type { KeyValue } from './hash.ts'
import type { Json } from './json.ts'
import type { PatchOperation } from './patch.ts'
import { conditionOf } from './query/condition.ts'
import { etagOf } from './rids.ts'
import type { ItemRow, Store } from './store.ts'

export interface BatchOperation {
  operationType: string
  partitionKey?: string
  id?: string
  ifMatch?: string
  ifNoneMatch?: string
  /** The document, or the patch, as it came. */
  resourceBody?: string
}

export interface OperationResult {
  statusCode: number
  requestCharge: number
  subStatusCode?: number
  retryAfterMilliseconds?: number
  eTag?: string
  /** JSON text. */
  resourceBody?: string
  message?: string
}

export const MOST_OPERATIONS = 100

/** The operations of a batch's body, each document's text unchanged. */
export function parseBatch(text: string): BatchOperation[] {
  const operations: BatchOperation[] = []
  const scanner = new Scanner(text)
  scanner.expect('[')
  if (scanner.peek() === ']') return operations
  do {
    operations.push(parseOperation(scanner))
  } while (scanner.next() === ',')
  return operations
}

function parseOperation(scanner: Scanner): BatchOperation {
  const operation: Record<string, string> = {}
  scanner.expect('{')
  if (scanner.peek() === '}') scanner.next()
  else {
    do {
      const name = JSON.parse(scanner.value()) as string
      scanner.expect(':')
      const value = scanner.value()
      if (name === 'resourceBody') operation.resourceBody = value
      else if (value[0] === '"') operation[name] = JSON.parse(value) as string
    } while (scanner.next() === ',')
  }
  if (operation.operationType === undefined) throw badRequest('An operation of the batch has no operationType')
  return operation as unknown as BatchOperation
}

/** Walks a JSON text without building values. */
class Scanner {
  private readonly text: string
  private at = 0

  constructor(text: string) {
    this.text = text
  }

  peek(): string | undefined {
    while (this.text.charCodeAt(this.at) <= 32) this.at++
    return this.text[this.at]
  }

  next(): string | undefined {
    const character = this.peek()
    this.at++
    return character
  }

  expect(character: string): void {
    if (this.next() !== character) throw badRequest(`The batch is invalid: no ${character} at ${this.at}`)
  }

  /** The text of the value at this position. */
  value(): string {
    const first = this.peek()
    const start = this.at
    if (first === '"') this.skipString()
    else if (first === '{' || first === '[') this.skipNested()
    else while (this.at < this.text.length && !/[,\]}\s]/.test(this.text[this.at]!)) this.at++
    if (this.at === start) throw badRequest(`The batch is invalid: no value at ${start}`)
    return this.text.slice(start, this.at)
  }

  private skipString(): void {
    for (;;) {
      const end = this.text.indexOf('"', this.at + 1)
      if (end < 0) throw badRequest('The batch is invalid: a text is not closed')
      let slashes = 0
      while (this.text.charCodeAt(end - 1 - slashes) === 92) slashes++
      this.at = end
      if (slashes % 2 === 0) break
    }
    this.at++
  }

  private skipNested(): void {
    let depth = 0
    do {
      const code = this.text.charCodeAt(this.at)
      if (code === 34) {
        this.skipString()
        continue
      }
      if (code === 123 || code === 91) depth++
      else if (code === 125 || code === 93) depth--
      else if (Number.isNaN(code)) throw badRequest('The batch is invalid: it ends too early')
      this.at++
    } while (depth > 0)
  }
}

export interface BatchContext {
  store: Store
  container: Container
  /** Whether the results leave out the documents that were written. */
  minimal: boolean
  /** Throws where the partition of the key is not the one that the request named, or has no units left. */
  admit: (key: KeyValue[]) => void
  charge: (part: number, units: number) => void
}

/** Bulk: each operation succeeds or fails by itself. */
export function runBulk(
  context: BatchContext,
  operations: BatchOperation[],
  continueOnError: boolean,
): OperationResult[] {
  const { store, container } = context
  return store.transaction(() => {
    const results: OperationResult[] = []
    let failed = false
    for (const operation of operations) {
      if (failed && !continueOnError) {
        results.push({ statusCode: 424, requestCharge: 0 })
        continue
      }
      try {
        results.push(perform(context, operation))
      } catch (error) {
        results.push(failure(error))
        failed = true
      }
    }
    container.saveLsn()
    return results
  })
}

/** A transactional batch: all operations of one partition key, or none. */
export function runTransaction(context: BatchContext, operations: BatchOperation[]): OperationResult[] {
  const { store, container } = context
  const before = container.lsn
  const results: OperationResult[] = []
  try {
    store.transaction(() => {
      for (const operation of operations) results.push(perform(context, operation))
      container.saveLsn()
    })
    return results
  } catch (error) {
    container.lsn = before
    const failed = failure(error)
    return operations.map((_, i) => (i === results.length ? failed : { statusCode: 424, requestCharge: 0 }))
  }
}

function failure(error: unknown): OperationResult {
  if (!(error instanceof CosmosError)) throw error
  return {
    statusCode: error.status,
    requestCharge: error.status === 429 ? 0.38 : 1.24,
    message: error.message,
    ...(error.substatus === 0 ? {} : { subStatusCode: error.substatus }),
    ...(error.retryAfterMs === undefined ? {} : { retryAfterMilliseconds: error.retryAfterMs }),
  }
}

function perform(context: BatchContext, operation: BatchOperation): OperationResult {
  const { container } = context
  const key = operation.partitionKey === undefined ? undefined : container.parseKey(operation.partitionKey)
  const type = operation.operationType.toLowerCase()
  const needed = () => {
    if (key === undefined) throw badRequest('The operation needs a partition key')
    return key
  }
  const id = () => {
    if (operation.id === undefined) throw badRequest('The operation needs an id')
    return operation.id
  }
  const body = () => {
    if (operation.resourceBody === undefined) throw badRequest('The operation needs a resourceBody')
    return operation.resourceBody
  }
  if (key !== undefined) context.admit(key)
  const conditions = { ifMatch: operation.ifMatch, ifNoneMatch: operation.ifNoneMatch }
  const indexed = container.isIndexed
  const done = (result: OperationResult, part: number) => {
    context.charge(part, result.requestCharge)
    return result
  }
  const written = ({ status, row }: Written) =>
    done(
      {
        statusCode: status,
        requestCharge: writeCharge(row.body.length, status === 201 ? 'create' : 'replace', indexed),
        eTag: etagOf(row),
        ...(context.minimal ? {} : { resourceBody: container.shown(row) }),
      },
      row.part,
    )
  switch (type) {
    case 'create':
      return written(container.create(body(), key))
    case 'upsert':
      return written(container.upsert(body(), key, conditions))
    case 'replace':
      return written(container.replace(id(), body(), key, conditions))
    case 'patch': {
      const patch = JSON.parse(body()) as { operations?: PatchOperation[]; condition?: string } | PatchOperation[]
      const { operations, condition } = Array.isArray(patch) ? { operations: patch, condition: undefined } : patch
      return written(container.patch(id(), needed(), operations ?? [], conditionOf(condition), conditions))
    }
    case 'delete': {
      const row = container.delete(id(), needed(), conditions)
      return done({ statusCode: 204, requestCharge: writeCharge(row.body.length, 'delete', indexed) }, row.part)
    }
    case 'read': {
      const row = container.read(container.keyText(needed()), id()) as ItemRow
      const charge = readCharge(row.body.length)
      return done(
        { statusCode: 200, requestCharge: charge, eTag: etagOf(row), resourceBody: container.shown(row) },
        row.part,
      )
    }
    default:
      throw badRequest(`There is no operation ${operation.operationType}`)
  }
}

/** The results as the response's body. */
export function resultsText(results: OperationResult[]): string {
  const texts = results.map(({ resourceBody, ...rest }) => {
    const text = JSON.stringify(rest satisfies Record<string, Json | undefined>)
    return resourceBody === undefined ? text : `${text.slice(0, -1)},"resourceBody":${resourceBody}}`
  })
  return `[${texts.join(',')}]`
}
