/** Reading one table: its splits, and its values as the types that they are read as. */
import { isUtf8 } from 'node:buffer'
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { z } from 'zod'
import type { Batch, Rejected } from '../../batch/encoding.ts'
import { quoteShort } from '../../batch/quote.ts'
import { fitDecimal, formatFloat, formatText, intInRange, parseText } from '../../batch/text.ts'
import { compact } from '../../batch/time.ts'
import { type Column, type LogicalType, type Row, typeName, type Value } from '../../batch/types.ts'
import { subquery, whereAll } from '../../batch/usersql.ts'
import type { Offer } from '../../contract/encodings.ts'
import type { ReadOptions, ReadRequest } from '../../contract/read.ts'
import type { SourceTable } from '../../contract/source.ts'
import type { Split } from '../../contract/split.ts'
import { RowError } from '../../errors.ts'
import { KeptForm } from '../../kept.ts'
import { cutByGaps } from '../ranges.ts'
import type { SqliteTable } from './catalog.ts'
import { quoteName, translate } from './database.ts'

/** Rows a statement gives back at a time: enough to pay for the call, few enough to keep memory flat. */
const CHUNK_ROWS = 2000
const CHUNK_BYTES = 4 << 20

export function relationOf({ query }: ReadRequest, { table }: SqliteTable): string {
  return query === undefined ? quoteName(table) : subquery(query)
}

/** A range of rowids, both ends included; none for what has no rowid. */
const ranges = new KeptForm('split of a SQLite table', z.object({ from: z.string(), to: z.string() }))

export class SqliteSourceTable implements SourceTable {
  readonly rowColumns: Column[]
  private readonly db: DatabaseSync
  private readonly request: ReadRequest
  private readonly table: SqliteTable

  constructor(db: DatabaseSync, request: ReadRequest, table: SqliteTable) {
    this.db = db
    this.request = request
    this.table = table
    const wanted = new Set(request.columns.flatMap(c => (c.from === undefined ? [] : [c.from])))
    this.rowColumns = table.columns.filter(c => wanted.has(c.name))
  }

  refuses(offer: Offer): string | undefined {
    return offer.encoding === 'rows' ? undefined : 'SQLite gives rows only'
  }

  /** Rowids without a name may change when the file is vacuumed, which raises its schema's version. */
  async fingerprint(): Promise<string | undefined> {
    if (!this.table.rowid || this.table.rowidAlias !== undefined) return undefined
    return `schema ${this.db.prepare('PRAGMA schema_version').get()!.schema_version}`
  }

  async splits(): Promise<Split[]> {
    const { table, request } = this
    if (!table.rowid || request.query !== undefined || request.limit !== undefined) {
      return [{ id: 0, label: 'all', spec: '', rows: table.rows }]
    }
    // Each alone is a look at one end of the tree; both in one query would be a scan.
    const name = quoteName(table.table)
    const statement = this.db.prepare(
      `SELECT (SELECT min(rowid) FROM ${name}) AS low, (SELECT max(rowid) FROM ${name}) AS high`,
    )
    statement.setReadBigInts(true)
    const { low, high } = statement.get() as { low: bigint | null; high: bigint | null }
    if (low === null || high === null) return []
    const rowBytes = this.rowBytes()
    const least = BigInt(Math.max(1000, Math.floor(request.splitBytes / rowBytes)))
    // No table has more rows than its file has room for.
    const size = this.db.prepare('SELECT page_count * page_size AS n FROM pragma_page_count, pragma_page_size').get()!
    const most = Math.min(4096, Math.ceil(Number(size.n) / Math.min(rowBytes, request.splitBytes) / Number(least)) + 1)
    const seek = this.db.prepare(
      `SELECT (SELECT max(rowid) FROM ${name} WHERE rowid < $at) AS below, (SELECT min(rowid) FROM ${name} WHERE rowid >= $at) AS above`,
    )
    seek.setReadBigInts(true)
    const cuts = await cutByGaps({ low, high }, { most, least }, at => seek.get({ $at: at }) as never)
    return cuts.map((range, id) => ({
      id,
      label: `rowid ${range.low} to ${range.high}`,
      spec: ranges.write({ from: String(range.low), to: String(range.high) }),
      ...(range.high - range.low < BigInt(least) * 2n ? { rows: Number(range.high - range.low) + 1 } : {}),
    }))
  }

  /** Bytes of a row, from the first few hundred. */
  private rowBytes(): number {
    const sizes = this.rowColumns.map(c => `coalesce(length(CAST(${quoteName(c.name)} AS BLOB)), 0)`)
    if (sizes.length === 0) return 16
    // Outside of a query's own FROM SQLite takes the name "true" for the value.
    const some = `SELECT ${sizes.join(' + ')} AS size FROM ${quoteName(this.table.table)} LIMIT 500`
    const row = this.db.prepare(`SELECT avg(size) AS size FROM (${some})`).get()!
    return Math.max(16, Number(row.size ?? 16))
  }

  async *read(split: Split, { from, signal }: ReadOptions): AsyncIterable<Batch> {
    try {
      const range = split.spec === '' ? undefined : ranges.read(split.spec)
      if (range) yield* this.readRange(range, from, signal)
      else yield* this.readAll(signal)
    } catch (error) {
      throw translate(error, this.table.object)
    }
  }

  private async *readRange(range: { from: string; to: string }, from: string | undefined, signal: AbortSignal) {
    const aliasAt = this.rowColumns.findIndex(c => c.name === this.table.rowidAlias)
    const names = this.rowColumns.map(c => quoteName(c.name))
    const list = (aliasAt < 0 ? [...names, 'rowid'] : names).join(', ')
    const where = whereAll('rowid >= ? AND rowid <= ?', this.request.where)
    const text = `SELECT ${list} FROM ${quoteName(this.table.table)}${where} ORDER BY rowid LIMIT ?`
    const statement = this.db.prepare(text)
    statement.setReturnArrays(true)
    const wide = this.db.prepare(text)
    wide.setReturnArrays(true)
    wide.setReadBigInts(true)
    const to = BigInt(range.to)
    let at = from === undefined ? BigInt(range.from) : BigInt(from) + 1n
    let limit = Math.max(1, Math.min(CHUNK_ROWS, Math.floor(CHUNK_BYTES / this.rowBytes())))
    const checks = this.rowColumns.map(c => reader(c.type))
    while (at <= to && !signal.aborted) {
      const raw = chunk(statement, wide, at, to, limit)
      if (raw.length === 0) break
      const final = raw[raw.length - 1]!
      const last = final[aliasAt < 0 ? final.length - 1 : aliasAt] as number | bigint
      if (aliasAt < 0) for (const row of raw) row.pop()
      const lost = this.lostText(raw)
      const places = () => `rowid`
      const batch = this.batch(raw, checks, places, lost === undefined ? undefined : this.verifyText(at, to))
      yield { ...batch, checkpoint: String(last) }
      // Wide rows: fewer at a time, so that memory stays flat.
      const size = batch.bytes / raw.length
      limit = Math.max(1, Math.min(CHUNK_ROWS, Math.floor(CHUNK_BYTES / Math.max(16, size))))
      at = BigInt(last) + 1n
    }
  }

  private *readAll(signal: AbortSignal): Generator<Batch> {
    const { request } = this
    const list = this.rowColumns.map(c => quoteName(c.name)).join(', ') || 'NULL'
    const limit = request.limit === undefined ? '' : ` LIMIT ${request.limit}`
    const text = `SELECT ${list} FROM ${relationOf(request, this.table)}${whereAll(request.where)}${limit}`
    const statement = this.db.prepare(text)
    statement.setReturnArrays(true)
    statement.setReadBigInts(true)
    const checks = this.rowColumns.map(c => reader(c.type))
    let rows: Row[] = []
    let bytes = 0
    let seen = 0
    const flush = (): Batch => {
      const lost = this.lostText(rows)
      if (lost !== undefined) this.verifyAt(text, seen - rows.length + lost.row, lost.column)
      const first = seen - rows.length
      const batch = this.batch(rows, checks, i => `row ${first + i + 1}`)
      rows = []
      bytes = 0
      return batch
    }
    for (const row of statement.iterate() as Iterable<unknown>) {
      rows.push(row as Row)
      bytes += sizeOf(row as Row)
      seen++
      if (rows.length >= CHUNK_ROWS || bytes > CHUNK_BYTES) {
        yield flush()
        if (signal.aborted) return
      }
    }
    if (rows.length > 0) yield flush()
  }

  /** Values under their logical types; rows whose values are not of the declared type are refused by name. */
  private batch(
    raw: Row[],
    checks: (Check | undefined)[],
    place: (index: number) => string,
    bad?: (index: number) => string | undefined,
  ): Batch & { kind: 'rows' } {
    let bytes = 0
    let rejected: Rejected[] | undefined
    const rows: Row[] = []
    for (const [index, row] of raw.entries()) {
      try {
        const column = bad?.(index)
        if (column !== undefined) throw new RowError('FERRY-4001', 'the text is not valid UTF-8', column)
        for (let i = 0; i < checks.length; i++) {
          const value = row[i]!
          const check = checks[i]
          if (value !== null && check !== undefined) {
            try {
              row[i] = check(value)
            } catch (error) {
              throw named(error, this.rowColumns[i]!.name)
            }
          }
        }
        bytes += sizeOf(row)
        rows.push(row)
      } catch (error) {
        const reason = this.refusal(error, row, place(index))
        if (!this.request.skipBadRows) throw reason
        rejected ??= []
        rejected.push({ place: this.keyOf(row) ?? place(index), reason: reason.message, values: this.plainValues(row) })
      }
    }
    return { kind: 'rows', rows, bytes, ...(rejected ? { rejected } : {}) }
  }

  private refusal(error: unknown, row: Row, place: string): RowError {
    if (!(error instanceof RowError)) throw error
    const key = this.keyOf(row) ?? place
    const column = error.column === undefined ? '' : `, column ${error.column}`
    return new RowError(error.code, `${this.table.object}${column}, ${key}: ${error.message}`, error.column)
  }

  private plainValues(row: Row): Record<string, string | null> {
    const text = (value: Value) => (value === null ? null : String(plain(value)))
    return Object.fromEntries(this.rowColumns.map((c, i) => [c.name, text(row[i]!)] as const))
  }

  private keyOf(row: Row): string | undefined {
    const parts = this.table.primaryKey.map(key => {
      const at = this.rowColumns.findIndex(c => c.name === key)
      return at < 0 ? undefined : `${key} ${plain(row[at]!)}`
    })
    return parts.length === 0 || parts.includes(undefined) ? undefined : parts.join(', ')
  }

  /** Node decodes text and puts U+FFFD for bytes that are no UTF-8: only by the bytes can it be distinguished from a real U+FFFD. */
  private lostText(rows: Row[]): { row: number; column: number } | undefined {
    for (let i = 0; i < rows.length; i++) {
      const row = rows[i]!
      for (let j = 0; j < row.length; j++) {
        const value = row[j]
        if (typeof value === 'string' && value.includes('\uFFFD')) return { row: i, column: j }
      }
    }
    return undefined
  }

  private verifyText(at: bigint, to: bigint) {
    const list = this.rowColumns.map(
      c => `CASE typeof(${quoteName(c.name)}) WHEN 'text' THEN CAST(${quoteName(c.name)} AS BLOB) END`,
    )
    const where = whereAll('rowid >= ? AND rowid <= ?', this.request.where)
    const statement = this.db.prepare(
      `SELECT ${list.join(', ')} FROM ${quoteName(this.table.table)}${where} ORDER BY rowid LIMIT ${CHUNK_ROWS}`,
    )
    statement.setReturnArrays(true)
    const rows = statement.all(at, to) as unknown as (Uint8Array | null)[][]
    return (index: number): string | undefined => {
      const column = rows[index]?.findIndex(bytes => bytes !== null && !isUtf8(bytes)) ?? -1
      return column < 0 ? undefined : this.rowColumns[column]!.name
    }
  }

  private verifyAt(query: string, offset: number, column: number): void {
    const name = quoteName(this.rowColumns[column]!.name)
    const row = this.db.prepare(`SELECT CAST(${name} AS BLOB) AS bytes FROM (${query}) LIMIT 1 OFFSET ${offset}`).get()
    if (row && !isUtf8(row.bytes as Uint8Array)) {
      throw new RowError(
        'FERRY-4001',
        `${this.table.object}, column ${this.rowColumns[column]!.name}, row ${offset + 1}: the text is not valid UTF-8`,
      )
    }
  }
}

/** Integers arrive as numbers, which is cheaper; a chunk with one beyond 2^53 is read again as bigints. */
function chunk(statement: StatementSync, wide: StatementSync, at: bigint, to: bigint, limit: number): Row[] {
  try {
    return statement.all(at, to, limit) as unknown as Row[]
  } catch (error) {
    if ((error as { code?: string }).code !== 'ERR_OUT_OF_RANGE') throw error
    return wide.all(at, to, limit) as unknown as Row[]
  }
}

function named(error: unknown, column: string): unknown {
  return error instanceof RowError ? new RowError(error.code, error.message, column) : error
}

function plain(value: Value): unknown {
  if (typeof value === 'bigint') return String(value)
  return value instanceof Uint8Array ? formatText(value, { kind: 'binary' }) : value
}

function sizeOf(row: Row): number {
  let bytes = 0
  for (const value of row) {
    if (typeof value === 'string') bytes += value.length
    else if (value instanceof Uint8Array) bytes += value.length
    else bytes += 8
  }
  return bytes
}

type Check = (value: Exclude<Value, null>) => Value

/** Mutex what SQLite stored into a value of the logical type; throws a RowError where it is something else. */
function reader(type: LogicalType): Check | undefined {
  const refuse = (value: Value): never => {
    const shown = value instanceof Uint8Array ? 'a blob' : typeof value === 'string' ? quoteShort(value) : String(value)
    throw new RowError('FERRY-4001', `${shown} is not of type ${typeName(type)}`)
  }
  switch (type.kind) {
    case 'int':
      return value => {
        if (typeof value === 'number' && Number.isSafeInteger(value) && type.bits === 64 && type.signed) return value
        if (typeof value !== 'bigint' && !Number.isInteger(value)) {
          return typeof value === 'string' && !type.signed ? parseText(value, type) : refuse(value)
        }
        return intInRange(exactInteger(value as number | bigint), type) ?? refuse(value)
      }
    case 'float':
      return value => {
        if (typeof value === 'number') {
          return type.bits === 64 || Object.is(Math.fround(value), value) ? value : refuse(value)
        }
        return typeof value === 'bigint' && BigInt(Number(value)) === value ? Number(value) : refuse(value)
      }
    case 'bool':
      return value => (value === 0 || value === 0n ? false : value === 1 || value === 1n ? true : refuse(value))
    case 'utf8':
      return value => {
        if (typeof value === 'string') return value
        if (typeof value === 'bigint') return String(value)
        return typeof value === 'number' ? numberText(value) : refuse(value)
      }
    case 'decimal':
      return value => {
        const text = decimalText(value)
        return (text === undefined ? undefined : fitDecimal(text, type.precision, type.scale)) ?? refuse(value)
      }
    case 'numeric':
      return value => parseText(decimalText(value) ?? refuse(value), type)
    case 'binary':
      return value => (value instanceof Uint8Array ? value : refuse(value))
    case 'json':
      return value =>
        typeof value === 'string'
          ? value
          : typeof value === 'object'
            ? refuse(value)
            : String(exactInteger(value as number | bigint))
    default:
      return value => (typeof value === 'string' ? parseText(value, type) : refuse(value))
  }
}

function decimalText(value: Exclude<Value, null>): string | undefined {
  if (typeof value === 'string') return value
  if (typeof value === 'bigint') return String(compact(value))
  return typeof value === 'number' ? numberText(value) : undefined
}

/**
 * Node's driver gives the smallest integer as a number, although it rejects all others that a double does not distinguish from their
 * neighbours (Node 24). A double holds this one, a power of two, exactly.
 */
const SMALLEST = -(2 ** 63)

const exactInteger = (value: number | bigint) => (value === SMALLEST ? BigInt(value) : value)
const numberText = (value: number) => (value === SMALLEST ? String(BigInt(value)) : formatFloat(value, 64))
