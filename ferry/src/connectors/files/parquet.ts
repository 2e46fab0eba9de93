/** Parquet files as a source, through DuckDB. */

import { VARCHAR } from '@duckdb/node-api'
import type { Batch, CsvDialect } from '../../batch/encoding.ts'
import { type Column, utf8 } from '../../batch/types.ts'
import { type Duckdb, quoteText, translate } from '../../duckdb/engine.ts'
import { toLogical } from '../../duckdb/types.ts'
import {
  type ChecksumTarget,
  FILE_PATH,
  type Offer,
  type ReadOptions,
  type ReadRequest,
  type SourceTable,
  type Split,
  type StoreChecksums,
  type TableInfo,
} from '../connector.ts'
import { checksums, csvDialect, type Relation, readRelation, refuses, rowColumns } from '../relation.ts'
import type { FileSet } from './bytes.ts'

export interface ParquetFiles {
  info: TableInfo
  set: FileSet
  columns: Relation['columns']
}

export async function describeParquet(set: FileSet, db: Duckdb): Promise<ParquetFiles> {
  try {
    const sql = parquet(set.paths)
    const result = await db.connection.run(`SELECT * FROM ${sql} LIMIT 0`)
    const types = result.columnTypes()
    const columns = result.columnNames().map((name, i) => ({
      name,
      type: toLogical(types[i]!),
      native: types[i]!,
      nullable: true,
    }))
    const list = `[${set.paths.map(quoteText).join(', ')}]`
    const [count] = await db.all(`SELECT sum(num_rows)::DOUBLE AS rows FROM parquet_file_metadata(${list})`)
    const info: TableInfo = {
      object: set.object,
      columns: columns.map(c => ({ name: c.name, type: c.type, nullable: true })),
      primaryKey: [],
      bytes: set.bytes,
      rows: Number(count?.rows ?? 0),
    }
    return { info, set, columns }
  } catch (error) {
    throw translate(error, set.object)
  }
}

function parquet(paths: string[], option = ''): string {
  return `read_parquet([${paths.map(quoteText).join(', ')}]${option === '' ? '' : `, ${option}`})`
}

/** Rows of a row group as DuckDB and most writers make them: splits are cut at their multiples. */
const GROUP_ROWS = 122_880
/** How much larger rows are than their Parquet bytes, about. */
const EXPANSION = 3

interface Piece {
  paths: string[]
  /** Row numbers within the file, the last one excluded. */
  from?: number
  to?: number
}

export class ParquetSourceTable implements SourceTable {
  readonly rowColumns: Column[]
  private readonly files: ParquetFiles
  private readonly request: ReadRequest
  private readonly db: () => Promise<Duckdb>

  constructor(files: ParquetFiles, request: ReadRequest, db: () => Promise<Duckdb>) {
    this.files = files
    this.request = request
    this.db = db
    this.rowColumns = rowColumns(this.relation(files.set.paths), request.columns)
  }

  private relation(paths: string[]): Relation {
    const named = this.request.columns.some(c => c.from === FILE_PATH)
    const columns = named
      ? [...this.files.columns, { name: FILE_PATH, type: utf8, native: VARCHAR, nullable: false }]
      : this.files.columns
    return { sql: parquet(paths, named ? `filename = '${FILE_PATH}'` : ''), setup: [], teardown: [], columns }
  }

  refuses(offer: Offer): string | undefined {
    return refuses(this.relation(this.files.set.paths), this.request.columns, offer)
  }

  csvDialect(): CsvDialect {
    return csvDialect()
  }

  async fingerprint(): Promise<string | undefined> {
    return undefined
  }

  /** Ranges of rows within each file: DuckDB reads only the row groups that they touch. A query takes all at once. */
  async splits(offer: Offer): Promise<Split[]> {
    const { paths } = this.files.set
    if (offer.encoding === 'duckdb-sql' || this.request.limit !== undefined) {
      return [this.split(0, { paths }, this.files.info.rows ?? 0)]
    }
    const db = await this.db()
    const splits: Split[] = []
    for (const path of paths) {
      const [count] = await db.all(
        `SELECT num_rows::DOUBLE AS rows, file_size_bytes::DOUBLE AS bytes FROM parquet_file_metadata(${quoteText(path)})`,
      )
      const { rows, bytes } = count as { rows: number; bytes: number }
      const each =
        Math.max(1, Math.round((this.request.splitBytes * rows) / (bytes * EXPANSION * GROUP_ROWS))) * GROUP_ROWS
      if (rows <= each * 1.5) splits.push(this.split(splits.length, { paths: [path] }, rows))
      else {
        for (let from = 0; from < rows; from += each) {
          splits.push(this.split(splits.length, { paths: [path], from, to: from + each }, Math.min(each, rows - from)))
        }
      }
    }
    return splits
  }

  checksums(target: ChecksumTarget): StoreChecksums | undefined {
    const open = async () => (await this.db()).sibling()
    return checksums(open, this.relation(this.files.set.paths), this.request, target)
  }

  private split(id: number, piece: Piece, rows: number): Split {
    const { info } = this.files
    const range = piece.from === undefined ? '' : ` rows ${piece.from} to ${piece.to! - 1}`
    const label = piece.paths.length === 1 ? `${piece.paths[0]}${range}` : `${piece.paths.length} files`
    const bytes = Math.round(((info.bytes ?? 0) * rows) / Math.max(1, info.rows ?? 1))
    return { id, label, spec: JSON.stringify(piece), rows, bytes }
  }

  async *read(split: Split, { offer, signal }: ReadOptions): AsyncGenerator<Batch> {
    const piece = JSON.parse(split.spec) as Piece
    const whole = piece.from === undefined
    const relation = this.relation(piece.paths)
    const options = { offer, signal, place: split.label }
    const open = async () => (await this.db()).sibling()
    if (whole) yield* readRelation(open, relation, this.request, options)
    else {
      const numbered = { ...relation, sql: relation.sql.replace(/\)$/, ', file_row_number = true)') }
      const condition = `file_row_number >= ${piece.from} AND file_row_number < ${piece.to}`
      yield* readRelation(open, numbered, this.request, { ...options, condition })
    }
  }
}
