/** CSV files as a source: bytes that pass unread where the reader takes them, else records. */
import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { CsvGuard, type FieldGuard, parseRecords, RecordEnds } from '../../batch/csv.ts'
import type { Batch, CsvDialect, Rejected } from '../../batch/encoding.ts'
import { parseText } from '../../batch/text.ts'
import type { Column, LogicalType, Row } from '../../batch/types.ts'
import { parseType, typeName, utf8 } from '../../batch/types.ts'
import { FerryError, RowError } from '../../errors.ts'
import {
  FILE_PATH,
  type Offer,
  type ReadRequest,
  type SourceTable,
  type Split,
  type ReadOptions as SplitRead,
  type TableInfo,
} from '../connector.ts'
import { type FileBytes, type FileSet, isUtf8Name, readBytes, requireUtf8, STDIN } from './bytes.ts'
import { type CsvShape, inferCsv } from './infer.ts'
import { fromName, type ReadOptions } from './options.ts'
import { Peeked } from './peek.ts'

/** How much of a file is looked at to find out what it is. */
const SAMPLE_BYTES = 1 << 20

export interface CsvFiles {
  info: TableInfo
  shape: CsvShape
  set: FileSet
  options: ReadOptions
  /** Standard input: the bytes that were looked at come again when it is read. */
  peeked?: Peeked
}

export async function describeCsv(set: FileSet, options: ReadOptions): Promise<CsvFiles> {
  const path = set.paths[0]!
  const file = fileOf(path, options)
  const peeked = Peeked.at(file)
  const sample = peeked ? await peeked.sample(SAMPLE_BYTES) : await readSample(file)
  const shape = inferCsv(wholeRecords(sample, options), options, fromName(path))
  const types = shape.types.map((type, i) => declared(options, shape.names[i]!) ?? type)
  const columns = shape.names.map((name, i) => ({
    name,
    type: types[i]!,
    nullable: true,
    inferred: declared(options, name) === undefined,
  }))
  const rows = sample.length > 0 ? Math.round((set.bytes * countLines(sample)) / sample.length) : 0
  const info: TableInfo = {
    object: set.object,
    columns,
    primaryKey: [],
    ...(path === STDIN ? {} : { bytes: set.bytes }),
    ...(path === STDIN || file.compression !== 'none' ? {} : { rows }),
  }
  return { info, shape: { ...shape, types }, set, options, ...(peeked ? { peeked } : {}) }
}

function declared(options: ReadOptions, name: string): LogicalType | undefined {
  const text = options.types?.[name]
  if (text === undefined) return undefined
  const type = parseType(text)
  if (!type) throw new FerryError('FERRY-1003', `read.types.${name}: there is no type "${text}"`)
  return type
}

export function fileOf(path: string, options: ReadOptions): FileBytes {
  return { path, compression: options.compression ?? fromName(path).compression, encoding: options.encoding }
}

async function readSample(file: FileBytes): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of readBytes(file, { start: 0 })) {
    chunks.push(chunk)
    size += chunk.length
    if (size >= SAMPLE_BYTES) break
  }
  return Buffer.concat(chunks)
}

function wholeRecords(sample: Buffer, options: ReadOptions): string {
  if (sample.length < SAMPLE_BYTES) return sample.toString('utf8')
  const ends = new RecordEnds({ quote: options.quote, escape: options.escape ?? options.quote })
  return sample.toString('utf8', 0, ends.last(sample) || sample.length)
}

export function countLines(bytes: Buffer): number {
  let lines = 0
  for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at + 1)) lines++
  return lines
}

interface Piece {
  path: string
  start: number
  end?: number
}

export class CsvSourceTable implements SourceTable {
  readonly rowColumns: Column[]
  private readonly files: CsvFiles
  private readonly request: ReadRequest
  /** Types that the rows encoding reads fields as: what the mapping says a column is read as. */
  private readonly readAs: (LogicalType | undefined)[]

  constructor(files: CsvFiles, request: ReadRequest) {
    this.files = files
    this.request = request
    const { names } = files.shape
    this.readAs = names.map(name => request.columns.find(c => c.from === name)?.sourceType)
    this.rowColumns = names.flatMap((name, i) =>
      this.readAs[i] ? [{ name, type: this.readAs[i]!, nullable: true }] : [],
    )
    if (request.columns.some(c => c.from === FILE_PATH)) {
      this.rowColumns.push({ name: FILE_PATH, type: utf8, nullable: false })
    }
    if (request.where !== undefined) {
      throw new FerryError('FERRY-3006', 'files have no filter: `where` needs a store with a query language')
    }
  }

  refuses(offer: Offer): string | undefined {
    if (offer.encoding === 'rows') return undefined
    if (offer.encoding !== 'csv') return 'CSV files do not give it'
    if (offer.parser === 'duckdb') return 'DuckDB would round what does not fit'
    if (this.request.limit !== undefined) return 'the number of rows is limited'
    const { names, dialect } = this.files.shape
    const { columns } = this.request
    if (columns.length !== names.length || columns.some((c, i) => c.from !== names[i])) {
      return 'the columns are not those of the file, in its order'
    }
    const odd = columns.find(c => c.checked || c.default !== undefined)
    if (odd) return `${odd.name}: each value must be looked at`
    if (dialect.quote === '' || dialect.delimiter.charCodeAt(0) > 127)
      return 'the dialect is not one that PostgreSQL reads'
    const nested = columns.find(
      (c, i) => c.sourceType.kind === 'binary' || ['list', 'struct', 'map'].includes(offer.types[i]!.kind),
    )
    if (nested) return `${nested.name} has a form of its own`
    const converted = columns.find(c => typeName(c.sourceType) !== typeName(c.type))
    return converted ? `${converted.name} is converted` : undefined
  }

  csvDialect(): CsvDialect {
    return this.files.shape.dialect
  }

  async fingerprint(): Promise<string | undefined> {
    return undefined
  }

  /** One split a file; a large plain file is cut at ends of records. */
  async splits(): Promise<Split[]> {
    const splits: Split[] = []
    const add = (piece: Piece, bytes: number | undefined) => {
      const range = piece.end === undefined && piece.start === 0 ? '' : ` from byte ${piece.start}`
      splits.push({
        id: splits.length,
        label: `${piece.path}${range}`,
        spec: JSON.stringify(piece),
        ...(bytes === undefined ? {} : { bytes }),
      })
    }
    for (const path of this.files.set.paths) {
      const file = fileOf(path, this.files.options)
      const plain = path !== STDIN && file.compression === 'none' && isUtf8Name(file.encoding)
      if (!plain || this.request.limit !== undefined) {
        add({ path, start: 0 }, undefined)
        continue
      }
      for (const piece of await this.cut(path)) add(piece, piece.end - piece.start)
    }
    return splits
  }

  private async cut(path: string): Promise<(Piece & { end: number })[]> {
    const handle = await open(path)
    const { size } = await handle.stat()
    await handle.close()
    const { splitBytes } = this.request
    if (size < splitBytes * 1.5) return [{ path, start: 0, end: size }]
    // A line feed inside quotes ends no record, and only what stands before tells: the file is read through once.
    const ends = new RecordEnds(this.files.shape.dialect)
    const pieces: (Piece & { end: number })[] = []
    let start = 0
    let at = 0
    for await (const data of createReadStream(path, { highWaterMark: Math.min(1 << 20, splitBytes) })) {
      const chunk = data as Buffer
      const last = ends.last(chunk)
      if (last > 0 && at + last - start >= splitBytes) {
        pieces.push({ path, start, end: at + last })
        start = at + last
      }
      at += chunk.length
    }
    if (start < at) pieces.push({ path, start, end: at })
    return pieces
  }

  async *read(split: Split, { offer, from, signal }: SplitRead): AsyncGenerator<Batch> {
    const piece = JSON.parse(split.spec) as Piece
    const file = fileOf(piece.path, this.files.options)
    const start = from === undefined ? piece.start : Number(from)
    const guard =
      offer.encoding === 'csv' ? this.guard(offer, start === 0 && this.files.shape.header ? 2 : 1) : undefined
    const parser = offer.encoding === 'csv' ? undefined : new RecordParser(this, piece.path)
    const ends = new RecordEnds(this.files.shape.dialect)
    const source =
      this.files.peeked?.rest() ??
      readBytes(file, piece.end === undefined ? { start } : { start, end: piece.end }, signal)
    const resumable = piece.end !== undefined
    let pending: Buffer[] = []
    let pendingBytes = 0
    let at = start
    let skipHeader = this.files.shape.header && start === 0
    let left = this.request.limit ?? Infinity
    const emit = (data: Buffer, last: boolean): Batch | undefined => {
      requireUtf8(data, file)
      at += data.length
      let body = data
      if (skipHeader) {
        const end = new RecordEnds(this.files.shape.dialect).first(data)
        this.checkHeader(data.subarray(0, end || data.length), piece.path)
        body = end === 0 ? data.subarray(data.length) : data.subarray(end)
        skipHeader = false
        parser?.skip(1)
      }
      if (body.length === 0) return undefined
      const checkpoint = resumable && !last ? { checkpoint: String(at) } : {}
      if (parser) {
        const { rows, rejected } = parser.parse(body, left)
        left -= rows.length
        return { kind: 'rows', rows, bytes: data.length, ...(rejected.length > 0 ? { rejected } : {}), ...checkpoint }
      }
      guard?.check(body)
      return { kind: 'bytes', data: body, bytes: data.length, ...checkpoint }
    }
    try {
      for await (const chunk of source) {
        const end = ends.last(chunk)
        pending.push(chunk)
        pendingBytes += chunk.length
        if (end === 0) continue
        const all = pending.length === 1 ? chunk : Buffer.concat(pending)
        const cut = pendingBytes - chunk.length + end
        const batch = emit(all.subarray(0, cut), false)
        pending = cut < all.length ? [all.subarray(cut)] : []
        pendingBytes = all.length - cut
        if (batch) yield batch
        if (left <= 0) return
      }
      if (pendingBytes > 0) {
        const batch = emit(Buffer.concat(pending), true)
        if (batch) yield batch
      }
    } catch (error) {
      throw await this.place(error, piece.path, start)
    }
  }

  /** Fields that a database reading them as text would round or cut without a word. */
  private guard(offer: Offer & { encoding: 'csv' }, firstLine: number): CsvGuard | undefined {
    if (offer.parser !== 'postgres') return undefined
    const guards = this.request.columns.map((column, i): FieldGuard | undefined => {
      const type = offer.types[i]!
      const native = offer.wire?.[i] ?? typeName(type)
      if (type.kind === 'decimal') return { kind: 'scale', digits: type.scale, type: native }
      if (type.kind === 'timestamp' || type.kind === 'time') {
        const digits = /\((\d)\)/.exec(native)?.[1]
        return { kind: 'scale', digits: digits === undefined ? 6 : Number(digits), type: native }
      }
      if (type.kind === 'date') return { kind: 'date', type: native }
      if (type.kind === 'int' && column.guessed) return { kind: 'integer', type: native }
      return type.kind === 'utf8' && type.length !== undefined
        ? { kind: 'length', characters: type.length, type: native }
        : undefined
    })
    if (guards.every(g => g === undefined)) return undefined
    return new CsvGuard(this.files.shape.dialect, this.files.shape.names, guards, firstLine)
  }

  /** All files of one object have the same columns in the same order. */
  private checkHeader(record: Buffer, path: string): void {
    const { names, dialect } = this.files.shape
    const [found] = parseRecords(record.toString('utf8'), dialect, 1)
    const own = found?.fields.map((f, i) => ((i === 0 ? f?.replace(/^\uFEFF/, '') : f) ?? '').trim()) ?? []
    if (own.length === names.length && own.every((n, i) => n === names[i] || n === '' || names[i]!.startsWith(`${n}_`)))
      return
    throw new FerryError(
      'FERRY-4002',
      `${path}: its header (${own.join(', ')}) is not that of ${this.files.set.paths[0]} (${names.join(', ')})`,
    )
  }

  private async place(error: unknown, path: string, start: number): Promise<unknown> {
    if (!(error instanceof FerryError) || !error.message.startsWith('line ')) return error
    const line = Number(/^line (\d+)/.exec(error.message)![1])
    const before = await linesBefore(path, start)
    const message = error.message.replace(/^line \d+/, `${path}, line ${line + before}`)
    return error instanceof RowError
      ? new RowError(error.code, message, error.column, { hint: error.hint })
      : new FerryError(error.code, message, { hint: error.hint })
  }

  async explain(split: Split, from: string | undefined): Promise<FerryError | undefined> {
    if (this.files.peeked) return undefined
    const { signal } = new AbortController()
    try {
      for await (const _ of this.read(split, {
        offer: { encoding: 'rows' },
        signal,
        ...(from === undefined ? {} : { from }),
      }));
      return undefined
    } catch (error) {
      if (error instanceof FerryError) return error
      throw error
    }
  }

  /** What a record parser needs to know of this table. */
  get parsing() {
    const { shape } = this.files
    return {
      dialect: shape.dialect,
      names: shape.names,
      readAs: this.readAs,
      guessed: shape.names.map(name => this.request.columns.find(c => c.from === name)?.guessed === true),
      skip: this.request.skipBadRows,
    }
  }
}

async function linesBefore(path: string, start: number): Promise<number> {
  if (start === 0 || path === STDIN) return 0
  let lines = 0
  for await (const chunk of createReadStream(path, { end: start - 1 })) lines += countLines(chunk as Buffer)
  return lines
}

/** Whole records as rows; a record that is not as the others is refused by its line. */
class RecordParser {
  private readonly table: CsvSourceTable['parsing']
  /** What each row has behind its fields. */
  private readonly tail: Row
  private line = 1

  constructor(table: CsvSourceTable, path: string) {
    this.table = table.parsing
    this.tail = table.rowColumns.at(-1)?.name === FILE_PATH ? [path] : []
  }

  skip(lines: number): void {
    this.line += lines
  }

  parse(data: Buffer, most: number): { rows: Row[]; rejected: Rejected[] } {
    const { dialect, skip } = this.table
    const rows: Row[] = []
    const rejected: Rejected[] = []
    const text = data.toString('utf8')
    for (const record of parseRecords(text, dialect, this.line)) {
      if (rows.length >= most) break
      try {
        rows.push(this.row(record.fields, record.line))
      } catch (error) {
        if (!skip || !(error instanceof FerryError)) throw error
        rejected.push({ place: `line ${record.line}`, reason: error.message, raw: record.raw })
      }
    }
    this.line += countLines(data)
    return { rows, rejected }
  }

  private row(fields: (string | null)[], line: number): Row {
    const { names, readAs, guessed } = this.table
    if (fields.length !== names.length) {
      throw new FerryError(
        'FERRY-4002',
        `line ${line}: ${fields.length} fields where the file has ${names.length} columns`,
      )
    }
    const row: Row = []
    for (let i = 0; i < fields.length; i++) {
      const type = readAs[i]
      if (!type) continue
      const field = fields[i]!
      try {
        row.push(field === null ? null : parseField(field, type, guessed[i]!))
      } catch (error) {
        if (!(error instanceof RowError)) throw error
        throw new RowError(error.code, `line ${line}, column ${names[i]}: ${error.message}`, names[i])
      }
    }
    row.push(...this.tail)
    return row
  }
}

function parseField(field: string, type: LogicalType, guessed: boolean) {
  if (guessed && type.kind === 'int' && /^(\+|-?0\d)/.test(field)) {
    throw new RowError('FERRY-4001', `${field} would lose its leading zeros or sign as ${typeName(type)}`, undefined, {
      hint: 'Say what the column is: read: { types: { COLUMN: utf8 } } (or int64, to take it as a number).',
    })
  }
  return parseText(field, type)
}
