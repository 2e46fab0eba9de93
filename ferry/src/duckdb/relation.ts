/** A DuckDB relation (a table, a set of Parquet files) as a source: as a query, as CSV through a pipe, or as rows. */
import type { DuckDBType } from '@duckdb/node-api'
import { fit } from '../batch/convert.ts'
import { type Batch, type CsvDialect, FERRY_CSV } from '../batch/encoding.ts'
import type { Column, LogicalType } from '../batch/types.ts'
import { ofProbe, probes, whereAll } from '../batch/usersql.ts'
import type { Offer } from '../contract/encodings.ts'
import type { ReadRequest } from '../contract/read.ts'
import type { MappedColumn } from '../contract/schema.ts'
import type { ChecksumTarget, StoreChecksums } from '../contract/source.ts'
import type { Split } from '../contract/split.ts'
import { type Duckdb, quoteName, quoteText, translate } from './engine.ts'
import { toNative } from './logical.ts'
import { hasPipes, NamedPipe } from './pipe.ts'
import { isKnown } from './types.ts'
import { rowsOf } from './vectors.ts'

/** A relation: the SQL that names it, and what must run first in the DuckDB that reads it. */
export interface Relation {
  sql: string
  setup: string[]
  teardown: string[]
  columns: { name: string; type: LogicalType; native: DuckDBType; nullable: boolean }[]
}

/** Why a relation cannot serve an offer, or undefined where it can. */
export function refuses(relation: Relation, columns: MappedColumn[], offer: Offer): string | undefined {
  if (offer.encoding === 'rows') return undefined
  if (offer.encoding !== 'csv' && offer.encoding !== 'duckdb-sql') return 'DuckDB does not give it'
  if (offer.encoding === 'csv' && !hasPipes) return 'this system has no named pipes'
  for (const column of columns) {
    if (column.checked) return `${column.name}: each value must be checked`
    const source = relation.columns.find(c => c.name === column.from)
    if (source && !isExact(source.type, column.type)) return `${column.name}: the conversion needs Ferry's own`
    if (source && !isKnown(source.native) && offer.encoding === 'duckdb-sql')
      return `${column.name} is not a common type`
    if (offer.encoding === 'csv' && !CSV_KINDS.has(column.type.kind))
      return `${column.name} (${column.type.kind}) has no common text`
  }
  return undefined
}

/** Types whose CSV text DuckDB writes as every reader of canonical text takes it. */
const CSV_KINDS = new Set([
  'bool',
  'int',
  'float',
  'decimal',
  'numeric',
  'utf8',
  'json',
  'uuid',
  'binary',
  'date',
  'time',
  'timestamp',
])

function isExact(from: LogicalType, to: LogicalType): boolean {
  const relation = fit(from, to)
  if (relation === 'same') return true
  if (relation !== 'wider') return false
  if (to.kind === 'utf8') return ['int', 'decimal', 'numeric', 'bool', 'uuid', 'json', 'utf8'].includes(from.kind)
  return ['int', 'decimal', 'numeric', 'float', 'timestamp'].includes(to.kind) || from.kind === 'json'
}

/** Throws where filter or query of a request are none, are more than one statement, or have a parameter, which nothing fills. */
export async function refuseWords(db: Duckdb, { sql }: Relation, request: ReadRequest, place: string): Promise<void> {
  for (const probe of probes(sql, request)) {
    await db.refuseStatement(probe.sql, place).catch(error => {
      throw ofProbe(error, probe)
    })
  }
}

/** The query that gives the mapped columns, typed as the destination holds them. */
export function mappedQuery(relation: Relation, request: ReadRequest, offer: Offer, condition?: string): string {
  const list = request.columns.map(column => {
    const source = relation.columns.find(c => c.name === column.from)
    const typed = typedExpression(column, source)
    return `${offer.encoding === 'csv' ? csvText(typed, column.type) : typed} AS ${quoteName(column.name)}`
  })
  return select(list, relation, request, condition)
}

function select(list: string[], relation: Relation, request: ReadRequest, condition: string | undefined): string {
  const where = whereAll(condition, request.where)
  const limit = request.limit === undefined ? '' : ` LIMIT ${request.limit}`
  return `SELECT ${list.length > 0 ? list.join(', ') : 'NULL'} FROM ${relation.sql}${where}${limit}`
}

function typedExpression(column: MappedColumn, source: Relation['columns'][number] | undefined): string {
  const native = toNative(column.type)
  if (!source)
    return column.constant === undefined ? `NULL::${native}` : `CAST(${quoteText(column.constant)} AS ${native})`
  const name = quoteName(source.name)
  const same = fit(source.type, column.type) === 'same' && isKnown(source.native)
  const cast = `CAST(${column.type.kind === 'utf8' ? textOfDecimal(name, source.type) : name} AS ${native})`
  const expression = same ? name : cast
  return column.default === undefined
    ? expression
    : `coalesce(${expression}, CAST(${quoteText(column.default)} AS ${native}))`
}

function csvText(expression: string, type: LogicalType): string {
  switch (type.kind) {
    case 'binary':
      return `'\\x' || lower(hex(${expression}))`
    case 'date':
    case 'timestamp':
      // DuckDB writes years before 1 as `(BC)`, and behind the zone.
      return `CASE WHEN ${expression} < '0001-01-01' THEN replace(CAST(${expression} AS VARCHAR), ' (BC)', ' BC') ELSE CAST(${expression} AS VARCHAR) END`
    case 'decimal':
      return textOfDecimal(expression, type)
    default:
      return expression
  }
}

/** DuckDB leaves the zero out before the point of a decimal that has no other digits there. */
function textOfDecimal(expression: string, type: LogicalType): string {
  const isFraction = type.kind === 'decimal' && type.precision === type.scale
  return isFraction ? `regexp_replace(CAST(${expression} AS VARCHAR), '^(-?)[.]', '\\10.')` : expression
}

/** Checksums that DuckDB computes over the mapped columns; undefined where it cannot map them. */
export function checksums(
  open: () => Promise<Duckdb>,
  relation: Relation,
  request: ReadRequest,
  { columns, keys, buckets }: ChecksumTarget,
): StoreChecksums | undefined {
  // A column of the copy is as wide as it is there, whatever the mapping that made it.
  const offer: Offer = { encoding: 'duckdb-sql', types: columns.map(c => c.type) }
  if (refuses(relation, request.columns, offer)) return undefined
  const name = (i: number) => quoteName(request.columns[i]!.name)
  // As numbers 0 and -0 are equal; as texts they are not.
  const list = request.columns.map((c, i) => (c.type.kind === 'float' ? `CAST(${name(i)} AS VARCHAR)` : name(i)))
  const by = keys.length > 0 ? keys.map(i => list[i]!) : list
  const key = `concat_ws(', ', ${by.map(k => `coalesce(CAST(${k} AS VARCHAR), 'null')`).join(', ')})`
  const rows = `(SELECT CAST(hash(${by.join(', ')}) % ${buckets} AS INTEGER) AS bucket, ${key} AS key, hash(${list.join(', ')}) AS sum
    FROM (${mappedQuery(relation, request, offer)}))`
  const ask = async (sql: string) => {
    const db = await open()
    try {
      for (const statement of relation.setup) await db.run(statement)
      return await db.all(sql)
    } finally {
      await db.close()
    }
  }
  return {
    by: 'duckdb',
    async buckets() {
      const found = await ask(
        `SELECT bucket, count(*)::DOUBLE AS n, sum(sum::HUGEINT)::VARCHAR AS sum FROM ${rows} GROUP BY bucket`,
      )
      return new Map(found.map(r => [r.bucket as number, { rows: r.n as number, sum: r.sum as string }]))
    },
    async *rowsIn(some, most) {
      yield* (await ask(
        `SELECT key, sum::VARCHAR AS sum FROM ${rows} WHERE bucket IN (${some.join(', ')}) LIMIT ${most}`,
      )) as { key: string; sum: string }[]
    },
  }
}

/** The rows encoding's columns: all that the mapping needs. */
export function rowColumns(relation: Relation, columns: MappedColumn[]): Column[] {
  const wanted = new Set(columns.map(c => c.from))
  return relation.columns
    .filter(c => wanted.has(c.name))
    .map(c => ({ name: c.name, type: c.type, nullable: c.nullable }))
}

/** Reads a relation in the form of the offer. `condition` bounds the split. */
export async function* readRelation(
  open: () => Promise<Duckdb>,
  relation: Relation,
  request: ReadRequest,
  options: { offer: Offer; signal: AbortSignal; condition?: string; place: string },
): AsyncGenerator<Batch> {
  const { offer, condition } = options
  if (offer.encoding === 'duckdb-sql') {
    const { setup, teardown } = relation
    yield { kind: 'query', query: { setup, sql: mappedQuery(relation, request, offer, condition), teardown }, bytes: 0 }
    return
  }
  const db = await open()
  const stop = () => db.interrupt()
  options.signal.addEventListener('abort', stop, { once: true })
  try {
    for (const statement of relation.setup) await db.run(statement)
    if (offer.encoding === 'csv') await db.run('SET preserve_insertion_order = false')
    if (offer.encoding === 'csv') yield* csvThroughPipe(db, mappedQuery(relation, request, offer, condition))
    else yield* readRows(db, relation, request, condition)
  } catch (error) {
    throw translate(error, options.place)
  } finally {
    options.signal.removeEventListener('abort', stop)
    await db.close()
  }
}

async function* readRows(db: Duckdb, relation: Relation, request: ReadRequest, condition: string | undefined) {
  const wanted = rowColumns(relation, request.columns)
  const columns = wanted.map(w => relation.columns.find(c => c.name === w.name)!)
  const list = columns.map(c => (isKnown(c.native) ? quoteName(c.name) : `CAST(${quoteName(c.name)} AS VARCHAR)`))
  const result = await db.stream(select(list, relation, request, condition))
  const types = result.columnTypes()
  for (;;) {
    const chunk = await result.fetchChunk()
    if (!chunk || chunk.rowCount === 0) return
    const rows = rowsOf(chunk, types)
    const batch: Batch = { kind: 'rows', rows, bytes: estimate(rows[0]!) * rows.length }
    yield batch
  }
}

function estimate(row: unknown[]): number {
  let bytes = 0
  for (const value of row) {
    bytes += typeof value === 'string' || value instanceof Uint8Array ? value.length : 8
  }
  return bytes
}

async function* csvThroughPipe(db: Duckdb, query: string): AsyncGenerator<Batch> {
  const pipe = new NamedPipe(db.scratchParent)
  try {
    const socket = pipe.reader()
    const options = `FORMAT csv, HEADER false, DELIMITER ',', QUOTE '"', ESCAPE '"', NULLSTR ''`
    let failure: unknown
    let rows = 0
    const done = db
      .run(`COPY (${query}) TO ${quoteText(pipe.path)} (${options})`)
      .then(result => {
        rows = result.rowsChanged
      })
      .catch(error => {
        failure = error
      })
      .finally(() => pipe.finish())
    for await (const chunk of socket) {
      const data = chunk as Buffer
      yield { kind: 'bytes', data, bytes: data.length }
    }
    await done
    if (failure) throw failure
    yield { kind: 'bytes', data: Buffer.alloc(0), rows, bytes: 0 }
  } finally {
    pipe.close()
  }
}

export function csvDialect(): CsvDialect {
  return FERRY_CSV
}

/** A single split for the whole relation. */
export function wholeSplit(rows: number | undefined, bytes: number | undefined): Split[] {
  return [
    {
      id: 0,
      label: 'all',
      spec: '',
      rows,
      bytes,
    },
  ]
}
