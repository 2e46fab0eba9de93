/** Reading one table: its splits, its forms of rows, its statements. */
import type pg from 'pg'
import { z } from 'zod'
import { type Batch, type CsvDialect, FERRY_CSV } from '../../batch/encoding.ts'
import { formatText } from '../../batch/text.ts'
import type { Column, Row } from '../../batch/types.ts'
import { subquery, whereAll } from '../../batch/usersql.ts'
import type { Offer } from '../../contract/encodings.ts'
import type { ReadOptions, ReadRequest } from '../../contract/read.ts'
import type { MappedColumn } from '../../contract/schema.ts'
import type { ChecksumTarget, SourceTable, StoreChecksums } from '../../contract/source.ts'
import type { Split } from '../../contract/split.ts'
import { KeptForm } from '../../kept.ts'
import { BinaryReader } from './binaryread.ts'
import { type PostgresColumn, type PostgresTable, qualified } from './catalog.ts'
import { PostgresChecksums } from './checksums.ts'
import { quoteName, quoteText, translate } from './client.ts'
import { copyOut } from './copyout.ts'
import type { ConnectionPool } from './pool.ts'
import { isKnown } from './types.ts'
import { isFramed, refusesWire, wireExpression } from './wire.ts'

const piece = z.object({
  /** The relation to read when it is not the table itself: a partition. */
  relation: z.object({ schema: z.string(), table: z.string() }).exactOptional(),
  /** A condition that bounds the split. */
  condition: z.string().exactOptional(),
})
type Piece = z.output<typeof piece>
const keptPieces = new KeptForm('split of a PostgreSQL table', piece)

export class PostgresSourceTable implements SourceTable {
  readonly rowColumns: Column[]
  private readonly pool: ConnectionPool
  private readonly request: ReadRequest
  private readonly table: PostgresTable
  private readonly columns: Map<string, PostgresColumn>
  /** How the splits were cut: `page` splits hold only while no row moves. */
  private cutByPage = false

  constructor(pool: ConnectionPool, request: ReadRequest, table: PostgresTable) {
    this.pool = pool
    this.request = request
    this.table = table
    this.columns = new Map(table.columns.map(c => [c.name, c]))
    this.rowColumns = columnsRead(request, table)
  }

  get follows(): boolean {
    return this.request.log !== undefined
  }

  refuses(offer: Offer): string | undefined {
    const { columns } = this.request
    switch (offer.encoding) {
      case 'rows':
        return undefined
      case 'pg-copy-binary':
      case 'pg-copy-text':
        for (const [i, column] of columns.entries()) {
          const reason = refusesWire(column, this.source(column), offer.wire[i]!, offer.encoding)
          if (reason) return reason
        }
        return undefined
      case 'csv':
        for (const [i, column] of columns.entries()) {
          if (column.checked) return `${column.name}: each value must be checked`
          const type = offer.types[i]!
          if (['list', 'struct', 'map'].includes(type.kind)) return `${column.name} is nested`
          const reason = refusesWire(column, this.source(column), offer.wire?.[i] ?? 'as is', 'pg-copy-text')
          if (reason) return reason
        }
        return undefined
      default:
        return 'PostgreSQL does not give it'
    }
  }

  csvDialect(): CsvDialect {
    return FERRY_CSV
  }

  private source(column: MappedColumn): PostgresColumn | undefined {
    return column.from === undefined ? undefined : this.columns.get(column.from)
  }

  async fingerprint(): Promise<string | undefined> {
    if (!this.cutByPage) return undefined
    const client = await this.pool.take()
    try {
      const { rows } = await client.query(
        `SELECT pg_relation_filenode(oid) || ':' || pg_relation_size(oid) || ':' || pg_stat_get_tuples_updated(oid)
           || ':' || pg_stat_get_tuples_deleted(oid) || ':' || pg_stat_get_tuples_inserted(oid) AS print
         FROM pg_class WHERE oid = $1`,
        [this.table.oid],
      )
      return rows[0]?.print
    } finally {
      this.pool.release(client)
    }
  }

  async splits(offer: Offer): Promise<Split[]> {
    const { request, table } = this
    const whole: Piece[] = [{}]
    const divisible = request.limit === undefined && request.query === undefined
    const pieces =
      !divisible || offer.encoding === 'duckdb-sql'
        ? whole
        : table.kind === 'p'
          ? await this.partitions()
          : table.kind === 'r' || table.kind === 'm'
            ? await this.ranges(table, table.bytes ?? 0)
            : whole
    return pieces.map((piece, id) => ({
      id,
      label: piece.condition ?? (piece.relation ? piece.relation.table : 'all'),
      spec: keptPieces.write(piece),
      ...(table.rows === undefined ? {} : { rows: Math.round(table.rows / pieces.length) }),
      ...(table.bytes === undefined ? {} : { bytes: Math.round(table.bytes / pieces.length) }),
    }))
  }

  private async partitions(): Promise<Piece[]> {
    return this.withClient(async client => {
      const { rows } = await client.query(
        `SELECT n.nspname AS schema, c.relname AS table FROM pg_partition_tree($1) p
         JOIN pg_class c ON c.oid = p.relid JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE p.isleaf AND c.relkind IN ('r', 'f') ORDER BY 1, 2`,
        [this.table.oid],
      )
      return rows.length === 0 ? [{}] : rows.map(relation => ({ relation }))
    })
  }

  /**
   * Key ranges where the primary key's order is about the order of the pages: they hold in a later snapshot, too, as
   * rows do not change their key. Else page ranges, which read in physical order but hold in one snapshot only.
   */
  private async ranges(table: PostgresTable, bytes: number): Promise<Piece[]> {
    const count = Math.min(4096, Math.round(bytes / this.request.splitBytes))
    if (count < 2) return [{}]
    const key = table.primaryKey[0]
    return this.withClient(async client => {
      // The log has rows that move between pages; those that are read from a later snapshot must not be missed.
      if (key !== undefined && (this.follows || (await this.followsPages(client, key)))) {
        const bounds = await this.keyBounds(client, key, count)
        if (bounds.length > 0) return between(quoteName(key), bounds)
      }
      this.cutByPage = true
      const pages = bytes / 8192
      const cuts = Array.from({ length: count - 1 }, (_, i) => Math.round((pages * (i + 1)) / count))
      return between(
        'ctid',
        cuts.map(page => `'(${page},0)'::tid`),
      )
    })
  }

  private async followsPages(client: pg.Client, key: string): Promise<boolean> {
    const { rows } = await client.query(
      'SELECT correlation FROM pg_stats WHERE schemaname = $1 AND tablename = $2 AND attname = $3',
      [this.table.schema, this.table.table, key],
    )
    // Without statistics a key is taken to follow the pages, as those from sequences do.
    return rows.length === 0 || rows[0].correlation === null || Math.abs(rows[0].correlation) > 0.8
  }

  private async keyBounds(client: pg.Client, key: string, count: number): Promise<string[]> {
    const estimate = this.table.rows ?? (this.table.bytes ?? 0) / 100
    const percent = Math.min(100, (100 * count * 300) / Math.max(1, estimate))
    const fractions = Array.from({ length: count - 1 }, (_, i) => (i + 1) / count)
    const { rows } = await client.query(
      `SELECT percentile_disc($1::float8[]) WITHIN GROUP (ORDER BY ${quoteName(key)})::text[] AS bounds
       FROM ${qualified(this.table)} TABLESAMPLE SYSTEM (${percent.toFixed(4)}) REPEATABLE (1)`,
      [fractions],
    )
    const native = this.columns.get(key)!.native
    const bounds: (string | null)[] = rows[0].bounds ?? []
    const distinct = [...new Set(bounds.filter(b => b !== null))]
    return distinct.map(bound => `${quoteText(bound)}::${native}`)
  }

  private async withClient<T>(work: (client: pg.Client) => Promise<T>): Promise<T> {
    const client = await this.pool.take()
    try {
      return await work(client)
    } catch (error) {
      throw translate(error, this.table.object)
    } finally {
      this.pool.release(client)
    }
  }

  /** The table and the keys of a row that is read in part. */
  private placeOf(row: Row): string {
    const keys = this.rowColumns.flatMap(({ name, type }, i) => {
      const value = row[i]
      return this.table.primaryKey.includes(name) && value != null ? [`, ${name} ${formatText(value, type)}`] : []
    })
    return `${this.table.object}${keys.join('')}`
  }

  async *read(split: Split, { offer, signal }: ReadOptions): AsyncIterable<Batch> {
    const client = await this.pool.take()
    const stop = () => this.pool.drop(client)
    signal.addEventListener('abort', stop, { once: true })
    let finished = false
    try {
      const stream = copyOut(client, this.statement(keptPieces.read(split.spec), offer), isFramed(offer))
      if (offer.encoding === 'rows') {
        const reader = new BinaryReader(
          this.rowColumns.map(c => wireNative(c as PostgresColumn)),
          this.rowColumns.map(c => c.name),
          row => this.placeOf(row),
        )
        for await (const chunk of stream) {
          const rows = reader.push(chunk as Buffer)
          const bytes = (chunk as Buffer).length
          // The values are copies: memory stays flat by reading into the same few buffers.
          stream.recycle(chunk as Buffer)
          yield { kind: 'rows', rows, bytes }
        }
      } else {
        for await (const chunk of stream) {
          const data = chunk as Buffer
          yield { kind: 'bytes', data, bytes: data.length, release: () => stream.recycle(data) }
        }
        // How many rows passed is known at the end only.
        yield { kind: 'bytes', data: Buffer.alloc(0), rows: stream.rowCount, bytes: 0 }
      }
      finished = true
    } catch (error) {
      throw translate(error, this.table.object)
    } finally {
      signal.removeEventListener('abort', stop)
      if (finished) this.pool.release(client)
      else this.pool.drop(client)
    }
  }

  checksums({ columns, keys, buckets }: ChecksumTarget): StoreChecksums | undefined {
    const { request } = this
    const wires = columns.map(c => (c.native ?? '').replace(/\(.*\)/, ''))
    if (wires.includes('')) return undefined
    if (request.columns.some((c, i) => refusesWire(c, this.source(c), wires[i]!, 'pg-copy-text'))) return undefined
    const list = request.columns.map((c, i) => wireExpression(c, this.source(c), wires[i]!, 'pg-copy-text'))
    const limit = request.limit === undefined ? '' : ` LIMIT ${request.limit}`
    return new PostgresChecksums({
      withClient: work => this.withClient(work),
      list,
      keys: keys.length > 0 ? keys.map(i => list[i]!) : list,
      from: `${relationOf(request, this.table)}${whereAll(request.where)}${limit}`,
      buckets,
    })
  }

  private statement(piece: Piece, offer: Offer): string {
    const { request } = this
    const expressions =
      offer.encoding === 'rows'
        ? this.rowColumns.map(c => rowExpression(c as PostgresColumn))
        : request.columns.map((column, i) => {
            const wire = 'wire' in offer ? (offer.wire?.[i] ?? 'as is') : 'as is'
            return wireExpression(column, this.source(column), wire, offer.encoding)
          })
    const from = relationOf(request, piece.relation ?? this.table)
    const where = whereAll(piece.condition, request.where)
    const limit = request.limit === undefined ? '' : ` LIMIT ${request.limit}`
    // A table without columns to read still has rows: COPY needs one expression.
    const list = expressions.length > 0 ? expressions.join(', ') : 'NULL::int4'
    return `COPY (SELECT ${list} FROM ${from}${where}${limit}) TO STDOUT ${copyOptions(offer)}`
  }
}

/** The columns of the table that a request reads, in the order that it names them first. */
export function columnsRead({ columns }: ReadRequest, table: PostgresTable): PostgresColumn[] {
  const names = [...new Set(columns.flatMap(c => (c.from === undefined ? [] : [c.from])))]
  return names.map(name => table.columns.find(c => c.name === name)!)
}

/** What is read, as a relation of a statement. */
export function relationOf({ query }: ReadRequest, table: { schema: string; table: string }): string {
  return query === undefined ? qualified(table) : `${subquery(query)} AS q`
}

function copyOptions(offer: Offer): string {
  if (offer.encoding === 'csv') return `(FORMAT csv)`
  return offer.encoding === 'pg-copy-text' ? '(FORMAT text)' : '(FORMAT binary)'
}

function between(expression: string, bounds: string[]): Piece[] {
  const pieces: Piece[] = []
  for (let i = 0; i <= bounds.length; i++) {
    const parts: string[] = []
    if (i > 0) parts.push(`${expression} >= ${bounds[i - 1]}`)
    if (i < bounds.length) parts.push(`${expression} < ${bounds[i]}`)
    pieces.push({ condition: parts.join(' AND ') })
  }
  return pieces
}

/** In the rows encoding a type that has no binary decoder here travels as the text its output function gives. */
function rowExpression(column: PostgresColumn): string {
  return isKnown(column.base) ? quoteName(column.name) : `format('%s', ${quoteName(column.name)})`
}

function wireNative(column: PostgresColumn): string {
  return isKnown(column.base) ? column.base : 'text'
}
