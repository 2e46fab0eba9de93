/** What the footers of Parquet files say, read by DuckDB. */
import type { LogicalType } from '../batch/types.ts'
import type { TableColumn } from '../contract/schema.ts'
import { type Duckdb, quotePath } from '../duckdb/engine.ts'
import { toNative } from '../duckdb/logical.ts'
import type { Relation } from '../duckdb/relation.ts'
import { toLogical } from '../duckdb/types.ts'
import type { ByteRange, ObjectHead, ObjectStore } from '../objects/store.ts'
import { gathered } from '../streams.ts'

/** Footers are rarely longer. */
const FOOTER_BYTES = 64 << 10

/** The columns of a file that DuckDB would alter or cut on reading, by the footer; parts of nested columns, too. */
export async function faultsOf(db: Duckdb, path: string, cutsNanoseconds: boolean) {
  const rows = await db.all(
    `SELECT name, type, precision, logical_type AS logical, num_children AS children FROM parquet_schema(${quotePath(path)})`,
  )
  const unreadable = new Map<string, NonNullable<TableColumn['unreadable']>>()
  const cut: string[] = []
  // The parts of a column follow it; their numbers of children give the depth.
  let at = 1
  const walk = (column: string) => {
    const { type, precision, logical, children } = rows[at++]!
    const isNano = /NANOS=NanoSeconds/.test(String(logical)) && /isAdjustedToUTC=1/.test(String(logical))
    if (Number(precision ?? 0) > 38) {
      const hint = 'Leave it out (`columns`), or write it as text or with at most 38 digits.'
      unreadable.set(column, { why: `has a decimal of ${precision} digits`, hint })
    } else if (isNano && /^TimestampType/.test(String(logical)) && !cutsNanoseconds) {
      const hint = 'Write it in microseconds, or set read: { nanoseconds: cut } (ferry copy: --nanoseconds cut).'
      unreadable.set(column, { why: 'holds instants in nanoseconds, which are read to microseconds only', hint })
    } else if (type === 'INT96' || isNano) cut.push(column)
    for (let i = 0; i < Number(children ?? 0); i++) walk(column)
  }
  while (at < rows.length) walk(String(rows[at]!.name))
  return { unreadable, cut }
}

/** The types of DuckDB's own for columns. */
export async function nativesOf(db: Duckdb, columns: { type: LogicalType }[]) {
  if (columns.length === 0) return []
  const result = await db.run(`SELECT ${columns.map(c => `NULL::${toNative(c.type)}`).join(', ')}`)
  return result.columnTypes()
}

/** What reads the footer of a file alone needs: its end, and the mark at its beginning. */
export async function footerOf(store: ObjectStore, head: ObjectHead): Promise<ByteRange[]> {
  const size = head.size!
  const start = Math.max(0, size - FOOTER_BYTES)
  const end = await gathered(store.readRange(head, { start }))
  // What is no Parquet file is refused by who reads it.
  const isWhole = end.length >= 8 && end.toString('latin1', end.length - 4) === 'PAR1'
  const footer = isWhole ? size - 8 - end.readUInt32LE(end.length - 8) : start
  return [{ start: 0, end: 4 }, { start: Math.min(start, Math.max(0, footer)) }]
}

interface RowGroup {
  /** Row numbers within the file, the last one excluded. */
  from: number
  to: number
  /** The bytes of each column in it. */
  columns: { name: string; start: number; end: number }[]
}

/** The row groups of a file, by its footer. */
export async function rowGroupsOf(db: Duckdb, path: string): Promise<RowGroup[]> {
  const rows = await db.all(`
    SELECT row_group_id::INTEGER AS id, row_group_num_rows::DOUBLE AS rows, path_in_schema AS name,
      total_compressed_size::DOUBLE AS bytes, data_page_offset::DOUBLE AS data, dictionary_page_offset::DOUBLE AS dictionary
    FROM parquet_metadata(${quotePath(path)}) ORDER BY row_group_id`)
  const groups: RowGroup[] = []
  let last: unknown
  for (const { id, rows: count, name, bytes, data, dictionary } of rows) {
    if (id !== last) {
      const from = groups.at(-1)?.to ?? 0
      groups.push({ from, to: from + Number(count), columns: [] })
      last = id
    }
    const start = Number(dictionary) > 0 ? Math.min(Number(dictionary), Number(data)) : Number(data)
    groups.at(-1)!.columns.push({ name: String(name).split(', ')[0]!, start, end: start + Number(bytes) })
  }
  return groups
}

export async function columnsOf(db: Duckdb, path: string, key: string): Promise<Relation['columns']> {
  const result = await db.run(`SELECT * FROM ${parquet([path])} LIMIT 0`).catch(error => {
    // Messages name the object, and not the temporary file with its footer.
    throw new Error(String(error.message).replaceAll(path, key), { cause: error })
  })
  const types = result.columnTypes()
  return result
    .columnNames()
    .map((name, i) => ({ name, type: toLogical(types[i]!), native: types[i]!, nullable: true }))
}

/** Folders named `key=value` are not columns: the columns of a file are those of its footer. */
export function parquet(paths: string[], option = ''): string {
  const options = ['hive_partitioning = false', ...(option === '' ? [] : [option])].join(', ')
  return `read_parquet([${paths.map(quotePath).join(', ')}], ${options})`
}
