/** Parquet written by DuckDB: from a query, from CSV through pipes, or from rows gathered in a scratch database. */
import type { DuckDBValue } from '@duckdb/node-api'
import type { Batch, Checkpoint } from '../batch/encoding.ts'
import { type Row, utf8 } from '../batch/types.ts'
import type { Offer } from '../contract/encodings.ts'
import type { CommitResult, Refused, SplitWriter } from '../contract/sink.ts'
import { Duckdb, quoteName, quotePath, quoteText, translate } from '../duckdb/engine.ts'
import { PipeIntake, RowIntake } from '../duckdb/intake.ts'
import { toNative } from '../duckdb/logical.ts'
import { FerryError, RowError } from '../errors.ts'
import type { StagedFile } from '../objects/staging.ts'
import type { Policy } from '../policy.ts'
import { makeScratch, removeScratch } from '../scratch.ts'
import { type FolderOf, insidePositions, PATIENCE } from './partitioned.ts'
import type { FilesTarget, Parts } from './target.ts'

/** The column of gathered rows with the folder of each. */
const FOLDER = quoteName('$folder')

export class ParquetWriter implements SplitWriter {
  private readonly table: FilesTarget
  private readonly db: Duckdb
  private readonly staged: Parts
  private readonly scratch: string
  private pipe: PipeIntake | undefined
  private rows: RowIntake | undefined
  private rowsInFile = 0
  private bytesInFile = 0
  /** Since the last commit: rows that came by a pipe or a query, rows that came as rows and are in files, bytes of files. */
  private copied = 0
  private gathered = 0
  private bytesWritten = 0
  private isQueried = false
  private parts: number
  /** The part that is written, or was written last. */
  private file: StagedFile | undefined
  private isClosed = false
  private readonly folderOf: FolderOf | undefined
  readonly patience?: typeof PATIENCE

  private constructor(table: FilesTarget, db: Duckdb, scratch: string, parts: Parts, folderOf: FolderOf | undefined) {
    this.folderOf = folderOf
    if (folderOf) this.patience = PATIENCE
    this.table = table
    this.db = db
    this.scratch = scratch
    this.staged = parts
    this.parts = parts.staged
  }

  static async open(
    table: FilesTarget,
    offer: Offer,
    policy: Policy,
    parts: Parts,
    folderOf?: FolderOf,
  ): Promise<ParquetWriter> {
    const scratch = makeScratch(policy.scratch, 'parquet')
    // Rows are gathered on disk, so that a table of any size stays within DuckDB's memory.
    const path = offer.encoding === 'rows' ? `${scratch}/rows.duckdb` : ':memory:'
    const db = await Duckdb.openAt(policy, path)
    // Row groups bounded by bytes need this; with one thread rows that were gathered stay in order all the same.
    await db.run('SET preserve_insertion_order = false')
    if (offer.encoding === 'rows') await db.run('SET threads = 1')
    if (offer.encoding === 'rows') {
      const columns = table.request.columns.map(c => `${quoteName(c.name)} ${toNative(c.type)}`)
      if (folderOf) columns.push(`${FOLDER} VARCHAR`)
      await db.run(`CREATE TABLE gathered (${columns.join(', ')})`)
    }
    return new ParquetWriter(table, db, scratch, parts, folderOf)
  }

  private get columns() {
    return this.table.request.columns.map(c => ({ name: c.name, type: c.type }))
  }

  async write(batch: Batch): Promise<Refused[]> {
    const place = this.table.target
    try {
      if (batch.kind === 'query') {
        for (const statement of batch.query.setup) await this.db.run(statement)
        const result = await this.db.run(this.copyTo(this.finiteQuery(batch.query.sql), await this.next()))
        this.copied += result.rowsChanged
        this.isQueried = true
        for (const statement of batch.query.teardown) await this.db.run(statement)
        return []
      }
      if (batch.kind === 'bytes') {
        if (!this.pipe) {
          const to = await this.next()
          this.pipe = new PipeIntake(this.db, this.columns, { finite: true, place }, query => this.copyTo(query, to))
        }
        await this.pipe.write(batch.data, batch.release)
        return []
      }
      return await this.writeRows(batch.rows, batch.bytes)
    } catch (error) {
      throw translate(error, place)
    }
  }

  /** The path of the next part. */
  private async next(folder?: string): Promise<string> {
    this.file = await this.staged.createFile(++this.parts, folder)
    return this.file.path
  }

  /** Infinite dates are refused, since Parquet would hold a number that only DuckDB understands. */
  private finiteQuery(query: string): string {
    const list = this.columns.map(c => {
      const name = quoteName(c.name)
      if (c.type.kind !== 'date' && c.type.kind !== 'timestamp') return name
      const message = quoteText(`Conversion Error: column ${c.name}: Parquet has no infinite dates and timestamps`)
      return `CASE WHEN NOT isfinite(${name}) THEN error(${message}) ELSE ${name} END AS ${name}`
    })
    return list.every((l, i) => l === quoteName(this.columns[i]!.name))
      ? query
      : `SELECT ${list.join(', ')} FROM (${query})`
  }

  private copyTo(query: string, path: string): string {
    const { compression } = this.table.output
    const codec = compression === 'none' ? 'uncompressed' : compression
    // A row group is held in memory until it is written: wide rows make it end early.
    const options = `FORMAT parquet, COMPRESSION ${codec}, ROW_GROUP_SIZE_BYTES '12MB'`
    return `COPY (${query}) TO ${quoteText(path)} (${options})`
  }

  private async writeRows(rows: Row[], bytes: number): Promise<Refused[]> {
    const { rowsPerFile, bytesPerFile } = this.table.output
    const refused: Refused[] = []
    let good: DuckDBValue[][] = []
    const append = () => {
      this.rows!.append(good)
      good = []
    }
    for (let i = 0; i < rows.length; i++) {
      const { folderOf } = this
      const columns = folderOf ? [...this.columns, { name: '$folder', type: utf8 }] : this.columns
      this.rows ??= await RowIntake.open(this.db, { schema: 'main', table: 'gathered' }, columns, true)
      try {
        const row = rows[i]!
        good.push(this.rows.convert(folderOf ? [...row, folderOf(row)] : row, i))
      } catch (error) {
        if (error instanceof RowError) error.index = i
        if (!this.table.request.skipBadRows || !(error instanceof RowError)) throw error
        refused.push({ index: i, error })
        continue
      }
      this.rowsInFile++
      this.bytesInFile += bytes / rows.length
      const full =
        (rowsPerFile !== undefined && this.rowsInFile >= rowsPerFile) ||
        (bytesPerFile !== undefined && this.bytesInFile >= bytesPerFile)
      if (full) {
        append()
        await this.finishFile()
      }
    }
    if (good.length > 0) append()
    return refused
  }

  private async finishFile(): Promise<void> {
    this.rows?.close()
    this.rows = undefined
    if (this.folderOf) await this.finishFolders()
    else {
      const { rowsChanged } = await this.db.run(this.copyTo('SELECT * FROM gathered', await this.next()))
      this.gathered += rowsChanged
      await this.finishPart()
    }
    await this.db.run('DELETE FROM gathered')
    this.rowsInFile = 0
    this.bytesInFile = 0
  }

  /** A file for each folder that rows were gathered for. */
  private async finishFolders(): Promise<void> {
    const inside = insidePositions(this.table).map(i => quoteName(this.columns[i]!.name))
    const folders = await this.db.all(`SELECT DISTINCT ${FOLDER} AS folder FROM gathered ORDER BY 1`)
    for (const { folder } of folders) {
      const query = `SELECT ${inside.join(', ')} FROM gathered WHERE ${FOLDER} = ${quoteText(String(folder))}`
      const { rowsChanged } = await this.db.run(this.copyTo(query, await this.next(String(folder))))
      this.gathered += rowsChanged
      await this.finishPart()
    }
  }

  private async finishPart(): Promise<void> {
    this.bytesWritten += await this.file!.finish()
  }

  async commit(checkpoint: Checkpoint | undefined, counts: { rows: number }): Promise<CommitResult> {
    const place = this.table.target
    try {
      const result = await this.finish(counts)
      await this.staged.reached(checkpoint, this.parts)
      if (checkpoint === undefined) await this.close()
      return result
    } catch (error) {
      await this.close()
      throw translate(error, place)
    }
  }

  /** Finishes the files of what was written since the last commit. */
  private async finish(counts: { rows: number }): Promise<CommitResult> {
    if (this.pipe) {
      await this.pipe.finish()
      this.pipe = undefined
      // A file that was sent to a remote store is no longer here.
      const [count] = await this.db.all(
        `SELECT sum(num_rows)::DOUBLE AS n FROM parquet_file_metadata(${quotePath(this.file!.path)})`,
      )
      this.copied = count!.n as number
      await this.finishPart()
    } else if (this.isQueried) await this.finishPart()
    else if (this.rowsInFile > 0 || this.parts === 0) await this.writeLast()
    const { copied, gathered, bytesWritten } = this
    if (counts.rows > 0 && copied === 0 && gathered !== counts.rows) {
      throw new FerryError('FERRY-9000', `${this.table.target}: ${gathered} of ${counts.rows} rows are in the files`)
    }
    this.copied = 0
    this.gathered = 0
    this.bytesWritten = 0
    this.isQueried = false
    return { bytesWritten, ...(copied > 0 ? { rows: copied } : {}) }
  }

  /** What was gathered; an empty table is a file with its columns. */
  private async writeLast(): Promise<void> {
    if (this.parts === 0 && this.rowsInFile === 0) {
      // A file in no folder would lack their columns.
      if (this.folderOf) return
      const columns = this.table.request.columns.map(c => `NULL::${toNative(c.type)} AS ${quoteName(c.name)}`)
      await this.db.run(this.copyTo(`SELECT ${columns.join(', ')} LIMIT 0`, await this.next()))
      await this.finishPart()
    } else await this.finishFile()
  }

  async abort(): Promise<void> {
    await this.pipe?.abort()
    await this.close()
  }

  private async close(): Promise<void> {
    if (this.isClosed) return
    this.isClosed = true
    await this.db.close()
    removeScratch(this.scratch)
  }
}
