/** Writing rows and changes as documents; all of a batch is written when `write` returns, so that a checkpoint is true. */

import { isDeepStrictEqual } from 'node:util'
import type { KeyValue } from 'cosmos-local/hash'
import type { Batch, Change, Checkpoint, RowBatch } from '../../batch/encoding.ts'
import { memberTexts } from '../../batch/json.ts'
import type { Row } from '../../batch/types.ts'
import type { CommitResult, Refused, SplitWriter, WriterWork } from '../../contract/sink.ts'
import type { WriteRequest } from '../../contract/write.ts'
import { FerryError, RowError } from '../../errors.ts'
import { ChangeFold, type PartialRow } from '../changes/fold.ts'
import type { Bulk, Operation, Refusal } from './bulk.ts'
import { type CosmosContainer, keyText } from './container.ts'
import { Copies, documentsOf } from './copies.ts'
import { isSystem } from './documents.ts'
import type { Ids } from './ids.ts'
import { documentMaker, type MadeDocument } from './make.ts'
import type { CosmosOperation } from './options.ts'

const LARGEST = 2 * 1024 * 1024
/** The service takes so many operations in one patch. */
const MOST_PATCHED = 10

/** A document to be written, or deleted. */
interface Item {
  /** Position of its row in the batch; undefined of one that waited. */
  index: number | undefined
  row: Row
  change: Change
  /** Whether it is what came of several changes. */
  several: boolean
  text: string
  id: string
  key: KeyValue[]
  /** Its identity at the source. */
  identity: string
}

/** An item with its position among those that are written together. */
interface PlacedItem extends Item {
  at: number
}

/** What is to be done for some items: what is deleted first, then what is written. */
interface Steps {
  deletes: Operation[]
  writes: Operation[]
  refused: Refusal[]
}

export class CosmosSplitWriter implements SplitWriter {
  private readonly request: WriteRequest
  private readonly type: Operation['type']
  private readonly ids: Ids | undefined
  private readonly container: CosmosContainer
  private readonly bulk: Bulk
  private readonly make: (row: Row) => MadeDocument
  private readonly copies: Copies | undefined
  private readonly replays: boolean
  /** Changes that were refused for another document's sake, and may not be later. */
  private late: Item[] = []

  constructor(
    request: WriteRequest,
    operation: CosmosOperation,
    container: CosmosContainer,
    bulk: Bulk,
    ids: Ids | undefined,
    { replays = true, resumed = false }: WriterWork,
  ) {
    this.replays = replays || resumed
    this.request = request
    this.type = TYPES[operation]
    this.container = container
    this.bulk = bulk
    this.ids = ids
    const keys = (request.rowKeys ?? []).map(key => key.split('.'))
    const paths = [...container.keyPaths, ...(request.identity ?? []), ...keys]
    this.make = documentMaker(request.columns, [...new Set(['id', ...paths.map(path => path[0]!)])])
    if (this.type === 'Upsert' && request.identity) this.copies = new Copies(container, bulk, request.identity)
  }

  async write(batch: Batch): Promise<Refused[]> {
    if (batch.kind !== 'rows') throw new FerryError('FERRY-9000', 'Cosmos DB takes rows')
    if (this.request.follows?.log && batch.changes) return this.writeLog(batch)
    const refused: Refused[] = []
    const items: Item[] = []
    for (const [index, row] of batch.rows.entries()) {
      try {
        const change = batch.changes?.[index] ?? (this.type === 'Delete' ? 'delete' : 'create')
        items.push(this.item(row, index, change, batch.changes !== undefined))
      } catch (error) {
        if (!(error instanceof RowError)) throw error
        this.refuse(refused, index, error)
      }
    }
    const all = batch.changes ? lastOf([...this.late, ...items]) : this.request.inOrder ? lastOfPlace(items) : items
    this.late = []
    for (const { at, status, error } of await this.apply(all)) {
      const item = all[at]!
      // Another document may still be where this one goes: a change to come makes room, after a crash the same again.
      if (item.index === undefined || (batch.changes && this.copies && status === 409)) this.late.push(waiting(item))
      else this.refuse(refused, item.index, error)
    }
    return refused.sort((a, b) => a.index - b.index)
  }

  /** Changes of a database's log, whose rows may have only what changed. Rejected ones wait for later changes. */
  private async writeLog(batch: RowBatch): Promise<Refused[]> {
    const { columns, identity = [] } = this.request
    const keys = identity.map(path => columns.findIndex(c => c.name === path.join('.')))
    const fold = new ChangeFold(keys)
    fold.addBatch(batch)
    const { cleared, deletes, partial, writes } = fold.take()
    if (cleared) {
      throw new FerryError('FERRY-3006', `${this.request.object}: the source table was truncated`, {
        hint: 'A container cannot be emptied at once: delete it or its documents, then ferry reset JOB.',
      })
    }
    const several = (item: Item): Item => ({ ...item, index: undefined, several: true })
    const keeps = this.request.follows?.deletes !== 'apply'
    const gone = keeps ? [] : deletes.map(row => several(this.item(row, 0, 'delete', true)))
    const whole = writes.map(row => several(this.item(row, 0, 'replace', true)))
    const filled = (await this.filled(partial)).map(several)
    const all = lastOf([...this.late, ...gone, ...filled, ...whole])
    this.late = []
    for (const { at } of await this.apply(all)) this.late.push(waiting(all[at]!))
    return []
  }

  /** Documents of rows with a part of their values: the others are taken from the existing copies. */
  private async filled(rows: PartialRow[]): Promise<Item[]> {
    if (rows.length === 0) return []
    const { columns, object } = this.request
    const former = rows.map(({ row, before }) => this.item(before ?? row, 0, 'replace', true))
    const there = new Map<string, string>()
    for (const text of await documentsOf(
      this.bulk,
      former.map(f => f.id),
    )) {
      there.set(this.copies!.identityOf(JSON.parse(text) as Record<string, unknown>), text)
    }
    return rows.flatMap(({ row, unchanged }, i) => {
      const copy = there.get(former[i]!.identity)
      if (copy === undefined) {
        // What the snapshot has not seen any more is about to be deleted by a later change.
        if (this.replays) return []
        throw new FerryError(
          'FERRY-5007',
          `${object}: document ${former[i]!.id} is not there, whose values are told in part`,
        )
      }
      const item = this.item(row, 0, 'replace', true)
      const kept = unchanged.map(at => columns[at]!.name)
      return [{ ...item, text: withKept(item.text, copy, kept) }]
    })
  }

  get held(): number {
    return this.late.length
  }

  async settle(): Promise<{ row: Row; error: FerryError }[]> {
    const items = this.late.splice(0)
    // Documents that wait for each other leave their places first: their own, never another's.
    const leaving = items.map((item, at) => ({ ...item, at, change: 'delete' as const }))
    const inPlace = this.copies?.areInPlace && !this.copies.mayMeet
    const { deletes } = inPlace ? this.inPlace(leaving) : await this.whereFound(leaving)
    await this.run(deletes)
    return (await this.apply(items)).map(({ at, error }) => ({ row: items[at]!.row, error }))
  }

  private refuse(refused: Refused[], index: number, error: RowError): void {
    if (!this.request.skipBadRows) {
      error.index = index
      throw error
    }
    refused.push({ index, error })
  }

  private item(row: Row, index: number, change: Change, isChange: boolean): Item {
    const made = this.make(row)
    const document = made.members
    let { text } = made
    if (document.id === undefined || document.id === null) {
      const own = this.ids?.next(document)
      if (own !== undefined) text = withId(text, own)
      document.id = own
    }
    const { id } = document
    if (typeof id !== 'string' || id === '') throw new RowError('FERRY-4001', 'a document needs an id', 'id')
    if (text.length > LARGEST / 4 && Buffer.byteLength(text) > LARGEST) {
      throw new RowError('FERRY-4001', `document ${id} is larger than 2 MB`)
    }
    const key = this.container.keyOf(document)
    // If documents keep their partitions, the partition need not be known.
    const identity = !isChange && !this.copies?.mayMeet ? '' : this.identityOf(document, id, key)
    if (this.type === 'Patch') text = this.patchOf(text)
    return { index, row, change, several: false, text, id, key, identity }
  }

  private identityOf(document: Record<string, unknown>, id: string, key: KeyValue[]): string {
    return this.copies?.identityOf(document) ?? JSON.stringify([id, key])
  }

  /** What sets the values of a row in a document that is there: all but its id and its keys. */
  private patchOf(text: string): string {
    const keys = new Set(['"id"', ...this.container.keyPaths.map(path => JSON.stringify(path[0]))])
    const set = memberTexts(text).filter(({ key }) => !keys.has(key))
    if (set.length > MOST_PATCHED) {
      throw new RowError('FERRY-4001', `a patch sets ${MOST_PATCHED} values at most, not ${set.length}`)
    }
    const pathOf = (key: string) => `/${(JSON.parse(key) as string).replaceAll('~', '~0').replaceAll('/', '~1')}`
    const operations = set.map(
      ({ key, value }) => `{"op":"set","path":${JSON.stringify(pathOf(key))},"value":${value}}`,
    )
    return `{"operations":[${operations.join(',')}]}`
  }

  /** Writes and deletes, each document once. Gives back what was refused. */
  private async apply(items: Item[]): Promise<Refusal[]> {
    const isSought = (i: Item) => this.copies?.mayBeElsewhere(i.change, i.key, i.several) === true
    const placed = items.map((item, at) => ({ ...item, at }))
    const direct = this.inPlace(placed.filter(i => !isSought(i)))
    const sought = await this.whereFound(placed.filter(isSought))
    const refused = [...sought.refused, ...(await this.run([...direct.deletes, ...sought.deletes]))]
    let left = await this.bulk.run([...direct.writes, ...sought.writes])
    if (this.copies?.mayMeet) left = await this.tellApart(left, placed)
    if (this.type === 'Create') left = await this.withoutOwn(left, placed)
    if (this.container.hasUniqueKeys) left = await this.whileItHelps(left)
    return [...refused, ...left]
  }

  /** Documents whose copies can only be where their own keys say. */
  private inPlace(items: PlacedItem[]): Steps {
    const deletes = items.filter(i => i.change === 'delete')
    const writes = items.filter(i => i.change !== 'delete')
    const isNew = (i: Item) => i.change === 'create' && this.copies?.mayMeet === true
    return {
      deletes: deletes.map(i => this.bulk.operation('Delete', i.at, i.id, i.key)),
      writes: writes.map(i => this.bulk.operation(isNew(i) ? 'Create' : this.type, i.at, i.id, i.key, i.text)),
      refused: [],
    }
  }

  /** Documents written over their own copies, wherever these are; refused where another document has their place. */
  private async whereFound(items: PlacedItem[]): Promise<Steps> {
    const steps: Steps = { deletes: [], writes: [], refused: [] }
    if (items.length === 0) return steps
    const copies = this.copies!
    const placeOf = (id: string, key: KeyValue[]) => JSON.stringify([id, keyText(key)])
    const found = Map.groupBy(await copies.find(items.map(i => i.id)), c => c.id)
    const going = new Set<string>()
    for (const item of items) {
      for (const copy of found.get(item.id) ?? []) {
        const place = placeOf(copy.id, copy.key)
        const stays = item.change !== 'delete' && place === placeOf(item.id, item.key)
        if (copy.identity !== item.identity || stays) continue
        steps.deletes.push(this.bulk.operation('Delete', item.at, copy.id, copy.key))
        going.add(place)
      }
    }
    for (const item of items) {
      if (item.change === 'delete') continue
      const place = placeOf(item.id, item.key)
      const taken = found
        .get(item.id)
        ?.find(c => c.identity !== item.identity && placeOf(c.id, c.key) === place && !going.has(place))
      const operation = this.bulk.operation('Upsert', item.at, item.id, item.key, item.text)
      if (!taken) steps.writes.push(operation)
      else {
        const other = `another document, of ${copies.describe(taken.identity)}`
        const error = new RowError('FERRY-4005', `${other}, has this id and partition key at the destination`)
        steps.refused.push({ at: item.at, operation, status: 409, error })
      }
    }
    return steps
  }

  /** Of new documents whose place is taken: by their own copies from an earlier try, or by other documents. */
  private async tellApart(refusals: Refusal[], items: PlacedItem[]): Promise<Refusal[]> {
    const isMet = (r: Refusal) => r.status === 409 && r.operation.type === 'Create'
    const met = new Set(refusals.filter(isMet).map(r => r.at))
    if (met.size === 0) return refusals
    const { deletes, writes, refused } = await this.whereFound(items.filter(i => met.has(i.at)))
    const left = [...(await this.run(deletes)), ...(await this.bulk.run(writes))]
    return [...refusals.filter(r => !isMet(r)), ...refused, ...left]
  }

  /** Conflicts without documents that are there already as they should be: an earlier try wrote them. */
  private async withoutOwn(refusals: Refusal[], items: PlacedItem[]): Promise<Refusal[]> {
    const conflicts = refusals.filter(isConflict)
    if (conflicts.length === 0) return refusals
    const there = new Map<string, Record<string, unknown>[]>()
    const ids = conflicts.map(r => items[r.at]!.id)
    for (const text of await documentsOf(this.bulk, ids)) {
      const document = JSON.parse(text) as Record<string, unknown> & { id: string }
      there.set(document.id, [...(there.get(document.id) ?? []), document])
    }
    return refusals.filter(refusal => {
      const item = items[refusal.at]!
      const wanted = JSON.parse(item.text) as Record<string, unknown>
      const isThere = there.get(item.id)?.some(d => isDeepStrictEqual(withoutSystem(d), withoutSystem(wanted)))
      return !(isConflict(refusal) && isThere)
    })
  }

  /** Tries conflicts again while that helps: what they conflict with is written together with them. */
  private async whileItHelps(refusals: Refusal[]): Promise<Refusal[]> {
    let conflicts = refusals.filter(isConflict)
    const others = refusals.filter(r => !isConflict(r))
    for (let before = Infinity; conflicts.length > 0 && conflicts.length < before; ) {
      before = conflicts.length
      const left = await this.bulk.run(conflicts.map(r => r.operation))
      conflicts = left.filter(isConflict)
      others.push(...left.filter(r => !isConflict(r)))
    }
    return [...others, ...conflicts]
  }

  /** What is to be deleted and is not there is as it should be. */
  private async run(deletes: Operation[]): Promise<Refusal[]> {
    return (await this.bulk.run(deletes)).filter(r => r.status !== 404)
  }

  async commit(checkpoint: Checkpoint | undefined): Promise<CommitResult> {
    this.ids?.committed(checkpoint)
    return {}
  }

  async abort(): Promise<void> {}
}

const TYPES: Record<CosmosOperation, Operation['type']> = {
  insert: 'Create',
  upsert: 'Upsert',
  replace: 'Replace',
  patch: 'Patch',
  delete: 'Delete',
}

/** The text with some members as another text has them. */
function withKept(text: string, copy: string, names: string[]): string {
  const kept = new Map(memberTexts(copy).map(({ key, value }) => [key, value]))
  const top = new Set(names.map(name => JSON.stringify(name.split('.')[0])))
  const members = memberTexts(text).map(
    ({ key, value }) => `${key}:${top.has(key) ? (kept.get(key) ?? 'null') : value}`,
  )
  return `{${members.join(',')}}`
}

/** The text with an id, in the place of a null one. */
function withId(text: string, id: string): string {
  const others = memberTexts(text).filter(({ key }) => key !== '"id"')
  return `{${[`"id":${JSON.stringify(id)}`, ...others.map(({ key, value }) => `${key}:${value}`)].join(',')}}`
}

function withoutSystem(document: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(document).filter(([name]) => !isSystem(name)))
}

/** The item as it waits for later changes. */
const waiting = (item: Item): Item => ({
  ...item,
  index: undefined,
  several: true,
  change: item.change === 'delete' ? 'delete' : 'replace',
})

const isConflict = (refusal: Refusal) => refusal.status === 409

/** The last item of each id and partition key: a bulk request does not promise an order. */
function lastOfPlace(items: Item[]): Item[] {
  return [...new Map(items.map(item => [JSON.stringify([item.id, keyText(item.key)]), item])).values()]
}

/** Of each document the last change; what is known of where it was before holds for a single change only. */
function lastOf(items: Item[]): Item[] {
  const last = new Map<string, Item>()
  for (const item of items) {
    const { change } = item
    const isAgain = last.has(item.identity)
    last.set(
      item.identity,
      isAgain ? { ...item, several: true, change: change === 'create' ? 'replace' : change } : item,
    )
  }
  return [...last.values()]
}
