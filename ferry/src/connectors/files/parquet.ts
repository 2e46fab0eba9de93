/** Parquet files as a source, through DuckDB. */
import type { Batch, CsvDialect } from '../../batch/encoding.ts'
import type { Column } from '../../batch/types.ts'
import { Duckdb, quoteText, translate } from '../../duckdb/engine.ts'
import { csvDialect, type Relation, readRelation, refuses, rowColumns } from '../../duckdb/relation.ts'
import { toLogical } from '../../duckdb/types.ts'
import type { Offer, ReadOptions, ReadRequest, SourceTable, Split, TableInfo } from '../connector.ts'
import type { FileSet } from './connector.ts'

export interface ParquetFiles {
  info: TableInfo
  set: FileSet
  columns: Relation['columns']
}

export async function describeParquet(set: FileSet): Promise<ParquetFiles> {
  const db = await Duckdb.open()
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
  } finally {
    db.close()
  }
}

function parquet(paths: string[]): string {
  return `read_parquet([${paths.map(quoteText).join(', ')}])`
}

export class ParquetSourceTable implements SourceTable {
  readonly rowColumns: Column[]
  private readonly files: ParquetFiles
  private readonly request: ReadRequest

  constructor(files: ParquetFiles, request: ReadRequest) {
    this.files = files
    this.request = request
    this.rowColumns = rowColumns(this.relation(files.set.paths), request.columns)
  }

  private relation(paths: string[]): Relation {
    return { sql: parquet(paths), setup: [], teardown: [], columns: this.files.columns }
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

  /** One split a file; DuckDB itself reads a file's row groups in parallel. A query takes all files at once. */
  async splits(offer: Offer): Promise<Split[]> {
    const { paths } = this.files.set
    const { rows = 0, bytes = 0 } = this.files.info
    const together = offer.encoding === 'duckdb-sql' || this.request.limit !== undefined
    const groups = together ? [paths] : paths.map(path => [path])
    return groups.map((group, id) => ({
      id,
      label: group.length === 1 ? group[0]! : `${group.length} files`,
      spec: JSON.stringify(group),
      rows: Math.round(rows / groups.length),
      bytes: Math.round(bytes / groups.length),
    }))
  }

  read(split: Split, { offer, signal }: ReadOptions): AsyncIterable<Batch> {
    const paths = JSON.parse(split.spec) as string[]
    return readRelation(() => Duckdb.open(), this.relation(paths), this.request, { offer, signal, place: split.label })
  }
}
