import { FERRY_CSV } from '../batch/encoding.ts'
import { jsonNullNotes } from '../batch/json.ts'
import { type Offer, ROWS } from '../contract/encodings.ts'
import type { SinkTable, SplitWriter, WriterWork } from '../contract/sink.ts'
import type { Committed, Split } from '../contract/split.ts'
import type { RunIdentity, WriteRequest } from '../contract/write.ts'
import { hasPipes } from '../duckdb/pipe.ts'
import { FerryError } from '../errors.ts'
import type { Staging } from '../objects/staging.ts'
import type { ObjectStore } from '../objects/store.ts'
import type { Policy } from '../policy.ts'
import { endingOf, formatOf, fromName, type WriteOptions } from './options.ts'
import { type FolderOf, folderNames, PartitionedWriter } from './partitioned.ts'
import type { FilesTarget, Output, Parts } from './target.ts'
import { TextWriter } from './textwriter.ts'

/** Files at the destination: their form is decided here, where they are and when they are seen by their staging. */
export class FilesSinkTable implements SinkTable, FilesTarget {
  readonly plan
  readonly unit: 'split' | 'table'
  readonly lanes: number
  readonly request: WriteRequest
  readonly output: Output
  readonly staging: Staging
  /** The folder of a row, of a target in partitions. */
  private readonly folderOf: FolderOf | undefined
  private readonly policy: Policy

  constructor(
    run: RunIdentity,
    request: WriteRequest,
    store: ObjectStore,
    options: WriteOptions & { bytes?: number },
    policy: Policy,
  ) {
    this.policy = policy
    this.request = request
    this.output = outputOf(request.object, options)
    if (request.update === 'merge') {
      throw new FerryError('FERRY-3006', 'files cannot be merged into: use overwrite, or append into a folder')
    }
    if (request.before.length + request.after.length > 0) {
      throw new FerryError('FERRY-3006', 'files run no SQL: `before` and `after` need a database')
    }
    const { format, compression } = this.output
    const partitioned = this.output.partitionBy !== undefined
    const many = this.rotates || partitioned
    this.staging = store.stage(run, request, { ending: endingOf(format, compression), many, partitioned })
    this.folderOf = folderNames(this.output, request)
    const { shape } = this.staging
    if (format === 'parquet' && !this.staging.createFile) {
      throw new FerryError('FERRY-3006', 'Parquet needs a file: it cannot be written to standard output', {
        hint: 'Use csv, jsonl or json.',
      })
    }
    if (request.adds && shape === 'file') {
      throw new FerryError('FERRY-3006', `${request.object}: what is new would replace the file with what is there`, {
        hint: `Copy into a folder, where each run adds files: to: ${request.object.replace(/\.[^/]*$/, '')}/ with write: { format: ${format} }.`,
      })
    }
    this.unit = shape === 'folder' ? 'split' : 'table'
    // Splits are written as they come, whole rows at a time; one lane keeps the order of the splits.
    this.lanes = shape === 'folder' ? 16 : 4
    const form = `${format}${compression === 'none' ? '' : `, ${compression}`}`
    this.plan = {
      statements: [`-- ${this.staging.description} (${form})`],
      guarantee: this.staging.guarantee,
      notes: this.notes(),
    }
  }

  get target(): string {
    return this.staging.target
  }

  private get rotates(): boolean {
    return this.output.rowsPerFile !== undefined || this.output.bytesPerFile !== undefined
  }

  private notes(): string[] {
    const isJson = ['json', 'jsonl'].includes(this.output.format)
    return [
      ...(this.staging.shape === 'file' ? ['the file is replaced as a whole, if it is there'] : []),
      ...(isJson ? jsonNullNotes(this.request.columns) : []),
    ]
  }

  get offers(): Offer[] {
    // Rows that may be skipped are looked at one by one; files that are cut by rows or bytes are written from rows.
    if (this.request.skipBadRows || this.rotates || this.output.partitionBy) return [ROWS]
    const types = this.request.columns.map(c => c.type)
    const { format, delimiter, nullText, quote, escape, quoteAll, rowEnd } = this.output
    const hasText = types.every(t => !['list', 'struct', 'map'].includes(t.kind))
    if (format === 'csv') {
      const isOwn = quote !== '"' || escape !== '"' || quoteAll || rowEnd !== '\n'
      const isCommon = delimiter === ',' && nullText === '' && !isOwn
      return isCommon && hasText ? [{ encoding: 'csv', types, dialect: FERRY_CSV, misfits: 'kept' }, ROWS] : [ROWS]
    }
    if (format !== 'parquet') return [ROWS]
    const query: Offer = { encoding: 'duckdb-sql', types }
    if (!hasPipes || !hasText) return [query, ROWS]
    return [query, { encoding: 'csv', types, dialect: FERRY_CSV, misfits: 'rounded' }, ROWS]
  }

  async open({ id }: Split, offer: Offer, { from }: WriterWork = {}): Promise<SplitWriter> {
    const { staging } = this
    const parts: Parts = {
      staged: await staging.begin(id, from),
      create: (part, folder) => staging.create(id, part, folder),
      createFile: (part, folder) => staging.createFile!(id, part, folder),
      reached: (checkpoint, count) => staging.reached(id, checkpoint, count),
    }
    if (this.output.format !== 'parquet') {
      return this.folderOf ? new PartitionedWriter(this, this.folderOf, parts) : new TextWriter(this, parts)
    }
    const { ParquetWriter } = await import('./parquetwriter.ts')
    return ParquetWriter.open(this, offer, this.policy, parts, this.folderOf)
  }

  // When files are seen, and what becomes of them after a crash, is the staging's.
  requireRoom = (): Promise<string | undefined> => this.staging.requireRoom()
  prepare = (known: Committed): Promise<Committed> => this.staging.prepare(known)
  committed = (known: Committed): Promise<Committed> => this.staging.committed(known)
  publish = (): Promise<void> => this.staging.publish()
  forget = (): Promise<void> => this.staging.forget()
  discard = (): Promise<boolean> => this.staging.discard()
}

/** The form of the files that options and name ask for. Throws FERRY-1003, FERRY-2003. */
function outputOf(name: string, options: WriteOptions & { bytes?: number }): Output {
  const named = fromName(/([^/\\]*)[/\\]*$/.exec(name)![1]!)
  const format = formatOf(name, options)
  const output: Output = {
    format,
    compression: options.compression ?? (format === 'parquet' ? 'snappy' : named.compression),
    delimiter: options.delimiter ?? named.delimiter ?? (options.format === 'tsv' ? '\t' : ','),
    header: options.header,
    nullText: options.nullText,
    quote: options.quote,
    escape: options.escape ?? options.quote,
    quoteAll: options.quoteAll,
    rowEnd: options.rowEnd,
    nan: options.nan,
    rowsPerFile: options.rowsPerFile,
    bytesPerFile: options.bytes,
    partitionBy: options.partitionBy,
  }
  const { nullText, delimiter, compression } = output
  if (/["\r\n]/.test(nullText) || (format === 'csv' && nullText.includes(delimiter))) {
    throw new FerryError('FERRY-1003', 'write.nullText: a quote, a delimiter or the end of a line would be read as one')
  }
  if (format !== 'parquet' && compression === 'snappy') {
    throw new FerryError('FERRY-1003', 'write.compression: snappy is for Parquet')
  }
  return output
}
