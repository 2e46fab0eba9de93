/**
 * A container: its definition and its items.
 *
 * One file: every operation on an item changes the same maps (by partition, id and unique key) together.
 */
import { type ContainerDefinition, invalidTtl, isTtl } from './definition.ts'
import { badRequest, CosmosError, conflict, notFound, preconditionFailed } from './errors.ts'
import { effectiveKey, type KeyDefinition, type KeyValue } from './hash.ts'
import {
  type Json,
  type JsonObject,
  parseExact,
  parseObject,
  parsePath,
  valueAt,
  withoutSystem,
  writeExact,
} from './json.ts'
import { Partitions } from './partitions.ts'
import { applyPatch, type PatchOperation } from './patch.ts'
import { containerRid, databaseRid, etagOf, itemNum, itemRid } from './rids.ts'
import { type ChangeRow, ITEM_COLUMNS, type ItemRow, type Store } from './store.ts'

export interface ContainerRow {
  num: number
  db: number
  id: string
  definition: string
  lsn: number
  ts: number
}

/** What the account decides for all containers. */
export interface ContainerRules {
  /** Seconds since 1970. */
  now(): number
  /** True if every version is stored, for the all-versions feed. */
  keepsVersions: boolean
  /** Whether replaces tell what was there before, as deletes do. */
  keepsReplaced: boolean
}

/** What came of an operation. */
export interface Written {
  status: 200 | 201 | 204
  row: ItemRow
}

export interface Conditions {
  ifMatch?: string | undefined
  ifNoneMatch?: string | undefined
}

const LARGEST_ITEM = 2 * 1024 * 1024
const LONGEST_ID = 1023

export class Container {
  readonly num: number
  readonly db: number
  readonly rid: string
  readonly partitions: Partitions
  definition: ContainerDefinition
  ts: number
  /** The last change's number; every change gets the next one. */
  lsn: number
  private readonly store: Store
  private readonly rules: ContainerRules
  /** The steps of each path of the partition key. */
  readonly keyPaths: string[][]
  private readonly uniquePaths: string[][][]

  constructor(store: Store, row: ContainerRow, rules: ContainerRules) {
    this.store = store
    this.rules = rules
    this.num = row.num
    this.db = row.db
    this.rid = containerRid(row.db, row.num)
    this.definition = JSON.parse(row.definition) as ContainerDefinition
    this.lsn = row.lsn
    this.ts = row.ts
    this.partitions = new Partitions(store, row.num)
    this.keyPaths = this.definition.partitionKey.paths.map(parsePath)
    this.uniquePaths = (this.definition.uniqueKeyPolicy?.uniqueKeys ?? []).map(k => k.paths.map(parsePath))
  }

  get keyDefinition(): KeyDefinition {
    return this.definition.partitionKey
  }

  /** The components of a document's partition key. An object or an array there counts as no value. */
  keyOf(document: JsonObject): KeyValue[] {
    return this.keyPaths.map(path => {
      const value = valueAt(document, path)
      return value !== null && typeof value === 'object' ? undefined : value
    })
  }

  /** The key that a request's header or operation names, as JSON; undefined components are `{}`. */
  parseKey(text: string): KeyValue[] {
    let values: unknown
    try {
      values = JSON.parse(text)
    } catch {
      throw badRequest(`The partition key ${text} is no JSON`)
    }
    if (!Array.isArray(values)) throw badRequest('The partition key is no array')
    if (values.length > this.keyPaths.length || (values.length === 0 && this.keyPaths.length > 1)) {
      throw badRequest(
        "Partition key provided either doesn't correspond to definition in the collection or doesn't match partition key field values specified in the document.",
        1001,
      )
    }
    // `[]` is the key of items in a container without one.
    if (values.length === 0) return [undefined]
    return values.map(v =>
      v !== null && typeof v === 'object' && Object.keys(v).length === 0 ? undefined : keyValue(v),
    )
  }

  /** The text that a key is stored under. */
  keyText(values: KeyValue[]): string {
    return JSON.stringify(values.map(v => (v === undefined ? {} : v)))
  }

  /** The position of a key in the key space. */
  epkOf(values: KeyValue[]): string {
    return effectiveKey(values, this.keyDefinition)
  }

  find(pk: string, id: string): ItemRow | undefined {
    const row = this.kept(pk, id)
    return row && this.isExpired(row) ? undefined : row
  }

  /** The stored item, expired or not. */
  private kept(pk: string, id: string): ItemRow | undefined {
    const sql = `SELECT ${ITEM_COLUMNS} FROM items WHERE container = ? AND pk = ? AND id = ?`
    return this.store.get<ItemRow>(sql, this.num, pk, id)
  }

  private isExpired(row: ItemRow): boolean {
    return row.expires !== null && row.expires <= this.rules.now()
  }

  read(pk: string, id: string, conditions: Conditions = {}): ItemRow | 'not modified' {
    const row = this.find(pk, id)
    if (!row) throw notFound('Entity with the specified id does not exist in the system.')
    return conditions.ifNoneMatch === etagOf(row) ? 'not modified' : row
  }

  create(text: string, key?: KeyValue[]): Written {
    return this.write(text, key, 'create', {})
  }

  upsert(text: string, key: KeyValue[] | undefined, conditions: Conditions = {}): Written {
    return this.write(text, key, 'upsert', conditions)
  }

  replace(id: string, text: string, key: KeyValue[] | undefined, conditions: Conditions = {}): Written {
    return this.write(text, key, 'replace', conditions, id)
  }

  private write(
    text: string,
    key: KeyValue[] | undefined,
    how: 'create' | 'upsert' | 'replace',
    conditions: Conditions,
    named?: string,
  ): Written {
    const document = parseObject(text)
    const { id } = document
    checkId(id)
    if (text.length > LARGEST_ITEM && Buffer.byteLength(text) > LARGEST_ITEM) {
      throw new CosmosError(413, 'Request size is too large')
    }
    const own = this.keyOf(document)
    const pk = this.keyText(own)
    // A replace may name the item by the key it has; the document's key must then be the same.
    if (key !== undefined && this.keyText(key) !== pk) {
      throw badRequest('PartitionKey extracted from document does not match the one specified in the header', 1001)
    }
    const kept = this.kept(pk, named ?? id)
    const expired = kept !== undefined && this.isExpired(kept)
    const before = expired ? undefined : kept
    if (how === 'replace' && !before) throw notFound('Entity with the specified id does not exist in the system.')
    // A replace may give the item another id within its partition key.
    const other = named !== undefined && id !== named ? this.kept(pk, id) : undefined
    if (other && !this.isExpired(other)) throw conflict('Entity with the specified id already exists in the system.')
    if (other) this.remove(other, true)
    if (how === 'create' && before) throw conflict('Entity with the specified id already exists in the system.')
    // An upsert of what is not there creates it, whatever the condition is.
    if (before) checkEtag(before, conditions)
    // An expired item that is not removed yet is deleted, and the feed has the delete.
    if (expired) this.remove(kept, true)
    return this.put(document, withoutSystem(text, document), own, before)
  }

  patch(
    id: string,
    key: KeyValue[],
    operations: PatchOperation[],
    condition: ((document: JsonObject) => boolean) | undefined,
    conditions: Conditions,
  ): Written {
    const before = this.find(this.keyText(key), id)
    if (!before) throw notFound('Entity with the specified id does not exist in the system.')
    checkEtag(before, conditions)
    if (condition && !condition(parseObject(before.body))) throw preconditionFailed()
    const document = parseExact(before.body)
    applyPatch(document, operations)
    const text = writeExact(document)
    const after = parseObject(text)
    if (after.id !== id || this.keyText(this.keyOf(after)) !== before.pk) {
      throw badRequest('A patch cannot change the id or the partition key')
    }
    return this.put(after, text, key, before)
  }

  delete(id: string, key: KeyValue[], conditions: Conditions = {}): ItemRow {
    const row = this.find(this.keyText(key), id)
    if (!row) throw notFound('Entity with the specified id does not exist in the system.')
    checkEtag(row, conditions)
    this.remove(row, false)
    return row
  }

  /** Deletes every item of a partition key, as `operations/partitionkeydelete` asks; returns how many. */
  deleteKey(key: KeyValue[]): number {
    const sql = `SELECT ${ITEM_COLUMNS} FROM items WHERE container = ? AND pk = ?`
    const rows = this.store.all<ItemRow>(sql, this.num, this.keyText(key))
    for (const row of rows) this.remove(row, this.isExpired(row))
    return rows.length
  }

  /** Whether the indexing policy indexes items at all. */
  get isIndexed(): boolean {
    return (this.definition.indexingPolicy as { indexingMode?: string } | undefined)?.indexingMode !== 'none'
  }

  now(): number {
    return this.rules.now()
  }

  /** The id of the item with a resource id; undefined where there is none. */
  idOf(rid: string): string | undefined {
    const num = itemNum(rid)
    const sql = 'SELECT id FROM items WHERE num = ? AND container = ?'
    const row = num === undefined ? undefined : this.store.get<{ id: string }>(sql, num, this.num)
    return row && itemRid(this.db, this.num, num!) === rid ? row.id : undefined
  }

  /** What is in each partition: how many items, and the bytes of their texts. */
  statistics(): { part: number; items: number; bytes: number }[] {
    const sql =
      'SELECT part, count(*) AS items, sum(octet_length(body)) AS bytes FROM items WHERE container = ? GROUP BY part'
    const found = this.store.all<{ part: number; items: number; bytes: number }>(sql, this.num)
    return this.partitions.all.map(({ id }) => found.find(f => f.part === id) ?? { part: id, items: 0, bytes: 0 })
  }

  rows<T = ItemRow>(sql: string, values: (string | number | null)[]): T[] {
    return this.store.all<T>(sql, ...values)
  }

  /** How many items there are. */
  count(): number {
    return this.store.get<{ n: number }>('SELECT count(*) AS n FROM items WHERE container = ?', this.num)!.n
  }

  /** Rows of a range behind a change, at most a page of them. */
  feed<T>(
    sql: string,
    request: { part: number; low: string; high: string; mostItems: number },
    after: number,
    since: number,
  ): T[] {
    return this.store.all<T>(sql, this.num, request.part, after, request.low, request.high, since, request.mostItems)
  }

  /** Whether anything has expired and is still there. */
  hasExpired(): boolean {
    const sql = 'SELECT 1 FROM items WHERE container = ? AND expires <= ? LIMIT 1'
    return this.store.get(sql, this.num, this.rules.now()) !== undefined
  }

  /** Deletes what has expired; gives back how many items. */
  expire(): number {
    const rows = this.store.all<ItemRow>(
      `SELECT ${ITEM_COLUMNS} FROM items WHERE container = ? AND expires <= ? LIMIT 1000`,
      this.num,
      this.rules.now(),
    )
    for (const row of rows) this.remove(row, true)
    return rows.length
  }

  private remove(row: ItemRow, expired: boolean): void {
    this.lsn++
    this.store.run('DELETE FROM items WHERE num = ?', row.num)
    if (this.uniquePaths.length > 0) this.store.run('DELETE FROM uniques WHERE item = ?', row.num)
    this.log({ ...row, lsn: this.lsn }, 'delete', null, row, expired)
  }

  private put(document: JsonObject, body: string, key: KeyValue[], before: ItemRow | undefined): Written {
    const { store } = this
    const now = this.rules.now()
    const expires = this.expiryOf(document, now)
    const id = document.id as string
    const pk = before?.pk ?? this.keyText(key)
    const epk = before?.epk ?? this.epkOf(key)
    const part = before?.part ?? this.partitions.of(epk).id
    this.checkUnique(document, pk, before?.num)
    const lsn = ++this.lsn
    let num = before?.num
    if (num !== undefined) {
      const sql = 'UPDATE items SET id = ?, lsn = ?, ts = ?, expires = ?, body = ? WHERE num = ?'
      store.run(sql, id, lsn, now, expires, body, num)
    } else {
      num = Number(
        store.run(
          'INSERT INTO items (container, part, epk, pk, id, lsn, ts, expires, crts, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
          this.num,
          part,
          epk,
          pk,
          id,
          lsn,
          now,
          expires,
          now,
          body,
        ).lastInsertRowid,
      )
    }
    if (this.uniquePaths.length > 0) this.keepUnique(document, pk, num)
    const row: ItemRow = { num, part, epk, pk, id, lsn, ts: now, expires, crts: before?.crts ?? now, body }
    this.log(row, before ? 'replace' : 'create', body, before, false)
    return { status: before ? 200 : 201, row }
  }

  private expiryOf(document: JsonObject, now: number): number | null {
    const { defaultTtl } = this.definition
    // Where the container has no TTL, `ttl` is a property like any other.
    if (defaultTtl === undefined || defaultTtl === null) return null
    const own = document.ttl
    if (own !== undefined && !isTtl(own)) throw invalidTtl(own)
    const ttl = typeof own === 'number' ? own : defaultTtl
    return ttl === -1 ? null : now + ttl
  }

  private uniqueValues(document: JsonObject): string[] {
    return this.uniquePaths.map(paths => JSON.stringify(paths.map(path => valueAt(document, path) ?? null)))
  }

  private checkUnique(document: JsonObject, pk: string, num: number | undefined): void {
    if (this.uniquePaths.length === 0) return
    for (const [n, value] of this.uniqueValues(document).entries()) {
      const found = this.store.get<{ item: number }>(
        'SELECT item FROM uniques WHERE container = ? AND pk = ? AND n = ? AND value = ?',
        this.num,
        pk,
        n,
        value,
      )
      if (found && found.item !== num) throw conflict('Unique index constraint violation.')
    }
  }

  private keepUnique(document: JsonObject, pk: string, num: number): void {
    this.store.run('DELETE FROM uniques WHERE item = ?', num)
    for (const [n, value] of this.uniqueValues(document).entries()) {
      this.store.run('INSERT OR REPLACE INTO uniques VALUES (?, ?, ?, ?, ?)', this.num, pk, n, value, num)
    }
  }

  private log(
    row: ItemRow,
    operation: ChangeRow['operation'],
    current: string | null,
    before: ItemRow | undefined,
    expired: boolean,
  ): void {
    if (!this.rules.keepsVersions) return
    this.store.run(
      'INSERT INTO changes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
      this.num,
      row.part,
      row.lsn,
      row.epk,
      operation,
      row.id,
      row.pk,
      row.num,
      current,
      operation === 'replace' && !this.rules.keepsReplaced ? null : (before?.body ?? null),
      before?.lsn ?? null,
      before?.ts ?? null,
      this.rules.now(),
      expired ? 1 : 0,
    )
  }

  /** Keeps the number of the last change; called at the end of a transaction that wrote. */
  saveLsn(): void {
    this.store.run('UPDATE containers SET lsn = ? WHERE num = ?', this.lsn, this.num)
  }

  /** The item as a client sees it: its own text and the system properties. */
  shown(row: Pick<ItemRow, 'num' | 'lsn' | 'ts' | 'body'>): string {
    const rid = itemRid(this.db, this.num, row.num)
    const self = `dbs/${databaseRid(this.db)}/colls/${this.rid}/docs/${rid}/`
    const system = `"_rid":"${rid}","_self":"${self}","_etag":${JSON.stringify(etagOf(row))},"_attachments":"attachments/","_ts":${row.ts}}`
    const open = row.body.slice(0, row.body.lastIndexOf('}')).trimEnd()
    return open.endsWith('{') ? `${open}${system}` : `${open},${system}`
  }
}

function keyValue(value: Json | undefined): KeyValue {
  if (value !== null && typeof value === 'object') {
    throw badRequest('A partition key is a string, a number, a boolean or null')
  }
  return value
}

function checkId(id: Json | undefined): asserts id is string {
  if (typeof id !== 'string' || id === '') {
    throw badRequest("The input content is invalid because the required properties - 'id; ' - are missing")
  }
  if (id.length > LONGEST_ID) {
    throw badRequest(
      `The input name '${id}' is invalid. Ensure to provide a unique non-empty string less than '${LONGEST_ID + 1}' characters.`,
    )
  }
  if (/[/\\?#]/.test(id)) throw badRequest(`The id ${id} contains a character that it must not: / \\ ? #`)
}

function checkEtag(row: ItemRow, { ifMatch }: Conditions): void {
  if (ifMatch !== undefined && ifMatch !== '*' && ifMatch !== etagOf(row)) throw preconditionFailed()
}
