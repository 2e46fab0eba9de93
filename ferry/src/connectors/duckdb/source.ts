import { stat } from 'node:fs/promises'
import type { Batch, CsvDialect } from '../../batch/encoding.ts'
import type { Column } from '../../batch/types.ts'
import { whereAll } from '../../batch/usersql.ts'
import type { Offer } from '../../contract/encodings.ts'
import type { Increment, ReadOptions, ReadRequest, Since } from '../../contract/read.ts'
import type { ChecksumTarget, SourceSession, SourceTable, StoreChecksums } from '../../contract/source.ts'
import type { Split } from '../../contract/split.ts'
import { Duckdb, quoteName, quoteText, translate } from '../../duckdb/engine.ts'
import {
  checksums,
  csvDialect,
  readRelation,
  refuses,
  refuseWords,
  rowColumns,
  wholeSplit,
} from '../../duckdb/relation.ts'
import { FerryError } from '../../errors.ts'
import type { DatabaseFile } from '../databasefile.ts'
import { growingColumn, narrowed, type WatermarkQueries, watermark } from '../watermark.ts'
import { type DuckdbTable, describe, qualified, splitName } from './catalog.ts'

/** Rows of one split of a DuckDB table: a row group of DuckDB's own. */
const SPLIT_ROWS = 122_880 * 8

/** Reading a database file. It is opened read-only for each split, so that the destination's DuckDB may attach it. */
export class DuckdbSource implements SourceSession {
  private readonly file: DatabaseFile

  constructor(file: DatabaseFile) {
    this.file = file
  }

  async table(request: ReadRequest): Promise<SourceTable> {
    return this.reading(async db => {
      const table = await this.describe(db, request)
      return new DuckdbSourceTable(this.file, request, table)
    })
  }

  async increment(request: ReadRequest, since: Since): Promise<Increment> {
    return this.reading(async db => {
      const table = await this.describe(db, request)
      const column = growingColumn(table, since.column!)
      const name = quoteName(column.name)
      const ask = async (expression: string, condition: string) => {
        const [row] = await db
          .all(`SELECT ${expression} AS answer FROM ${table.relation.sql}${whereAll(condition, request.where)}`)
          .catch(error => {
            throw translate(error, table.object)
          })
        return row!.answer
      }
      const queries: WatermarkQueries = {
        name,
        literal: text => `CAST(${quoteText(text)} AS ${column.native})`,
        highest: async condition => (await ask(`CAST(max(${name}) AS VARCHAR)`, condition)) as string | null,
        count: async condition => (await ask('count(*)::DOUBLE', condition)) as number,
      }
      const { condition, ...found } = await watermark(queries, column, since)
      return { ...found, read: narrowed(request, condition) }
    })
  }

  private async describe(db: Duckdb, request: ReadRequest): Promise<DuckdbTable> {
    const table = await describe(db, request)
    if (!table) throw new FerryError('FERRY-3001', `there is no table ${request.object}`)
    await refuseWords(db, table.relation, request, table.object)
    return table
  }

  private async reading<T>(work: (db: Duckdb) => Promise<T>): Promise<T> {
    const db = await openFile(this.file)
    try {
      return await work(db)
    } finally {
      await db.close()
    }
  }

  async close(): Promise<void> {}
}

class DuckdbSourceTable implements SourceTable {
  readonly rowColumns: Column[]
  private readonly file: DatabaseFile
  private readonly request: ReadRequest
  private readonly table: DuckdbTable

  constructor(file: DatabaseFile, request: ReadRequest, table: DuckdbTable) {
    this.file = file
    this.request = request
    this.table = table
    this.rowColumns = rowColumns(table.relation, request.columns)
  }

  refuses(offer: Offer): string | undefined {
    if (offer.encoding === 'duckdb-sql' && this.request.query !== undefined) {
      return 'a query names tables as its own database does'
    }
    return refuses(this.table.relation, this.request.columns, offer)
  }

  csvDialect(): CsvDialect {
    return csvDialect()
  }

  /** Row numbers may change whenever the file is written. */
  async fingerprint(): Promise<string | undefined> {
    const { path } = this.file
    const print = async (path: string) => {
      const found = await stat(path, { bigint: true }).catch(() => undefined)
      return found ? `${found.size} ${found.mtimeNs}` : ''
    }
    return `${await print(path)} ${await print(`${path}.wal`)}`
  }

  async splits(offer: Offer): Promise<Split[]> {
    const { rows } = this.table
    const divisible = this.request.query === undefined && this.request.limit === undefined && rows !== undefined
    if (!divisible || offer.encoding === 'duckdb-sql' || rows <= SPLIT_ROWS) return wholeSplit(rows, undefined)
    const count = Math.ceil(rows / SPLIT_ROWS)
    return Array.from({ length: count }, (_, id) => {
      // The last one is open: the estimate of the rows may be low.
      const until = id < count - 1 ? ` AND rowid < ${(id + 1) * SPLIT_ROWS}` : ''
      const condition = `rowid >= ${id * SPLIT_ROWS}${until}`
      return { id, label: condition, spec: condition, rows: Math.round(rows / count) }
    })
  }

  checksums(target: ChecksumTarget): StoreChecksums | undefined {
    return checksums(() => openFile(this.file), this.table.relation, this.request, target)
  }

  read(split: Split, { offer, signal }: ReadOptions): AsyncIterable<Batch> {
    const { relation } = this.table
    const options = { offer, signal, place: this.table.object, ...(split.spec === '' ? {} : { condition: split.spec }) }
    if (offer.encoding !== 'duckdb-sql') {
      return readRelation(() => openFile(this.file), relation, this.request, options)
    }
    const alias = 'ferry_source'
    const attached = {
      ...relation,
      sql: `${alias}.${qualified(splitName(this.request.object))}`,
      setup: [`ATTACH ${quoteText(this.file.path)} AS ${alias} (READ_ONLY)`],
      teardown: [`DETACH ${alias}`],
    }
    return readRelation(() => Duckdb.open(this.file.policy), attached, this.request, options)
  }
}

const openFile = ({ path, policy }: DatabaseFile) => Duckdb.open(policy, path, 'read')
