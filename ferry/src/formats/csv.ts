/** CSV files as a source: bytes that pass unread where the reader takes them, else records. */
import { parseRecords, RecordEnds } from '../batch/csv.ts'
import { CsvAgreement, type FieldForm } from '../batch/csvagreement.ts'
import { type Batch, type CsvDialect, NotAsBytes, type Rejected } from '../batch/encoding.ts'
import { type Column, type LogicalType, typeName, utf8 } from '../batch/types.ts'
import type { Offer } from '../contract/encodings.ts'
import type { ReadRequest, ReadOptions as SplitRead } from '../contract/read.ts'
import type { TableInfo } from '../contract/schema.ts'
import type { SourceTable } from '../contract/source.ts'
import type { Split } from '../contract/split.ts'
import { FerryError, LineError } from '../errors.ts'
import { KeptForm } from '../kept.ts'
import {
  bytesOf,
  type FileSet,
  filled,
  fingerprintOf,
  readBytes,
  requireNotTooLong,
  requireUtf8,
  type TextFile,
} from './bytes.ts'
import { Beginning, type LineRejected, Preamble, type RecordForm, RecordParser, withoutMark } from './csvrecords.ts'
import { FileColumns, partitionColumns } from './filecolumns.ts'
import { type CsvShape, inferCsv, uniqueNames } from './infer.ts'
import { fromName, type ReadOptions } from './options.ts'
import { Peeked } from './peek.ts'
import {
  countLines,
  declaredType,
  fileAsItIs,
  fileOf,
  LineNumbers,
  piece,
  readColumns,
  readSample,
  SAMPLE_BYTES,
  splitsOf,
} from './textfile.ts'

export interface CsvFiles {
  info: TableInfo
  shape: CsvShape
  set: FileSet
  partitions: Column[]
  options: ReadOptions
  /** Standard input: the bytes that were looked at come again when it is read. */
  peeked?: Peeked
}

export async function describeCsv(set: FileSet, options: ReadOptions): Promise<CsvFiles> {
  const { file, guessed } = await fileAsItIs(set, filled(set)[0]!, options)
  const { path } = file
  const peeked = Peeked.at(file)
  const sample = peeked ? await peeked.sample(SAMPLE_BYTES) : await readSample(file)
  // A sample ends anywhere, in the middle of a character too.
  requireUtf8(sample.length < SAMPLE_BYTES ? sample : sample.subarray(0, sample.lastIndexOf(10) + 1), file)
  const found = { ...fromName(path), path, isWhole: sample.length < SAMPLE_BYTES }
  const preamble = new Preamble(options.skipLines)
  const records = preamble.pass(withoutMark(sample))
  const shape = named(path, preamble.lines, () => inferCsv(records.toString('utf8'), options, found))
  const types = shape.types.map((type, i) => declaredType(options, shape.names[i]!) ?? (options.infer ? type : utf8))
  const columns = shape.names.map((name, i) => ({
    name,
    type: types[i]!,
    nullable: true,
    inferred: declaredType(options, name) === undefined,
    written: true,
  }))
  const partitions = partitionColumns(set, options, columns)
  const names = [...shape.names, ...partitions.map(p => p.name)]
  const unknown = Object.keys(options.types ?? {}).find(name => !names.includes(name))
  if (unknown !== undefined && shape.names.length > 0) {
    throw new FerryError('FERRY-3002', `read.types: ${path} has no column ${unknown}`, {
      hint: `Its columns: ${names.join(', ')}.`,
    })
  }
  const bytes = bytesOf(set)
  const rows = sample.length > 0 && bytes !== undefined ? Math.round((bytes * countLines(sample)) / sample.length) : 0
  const guesses = [...guessed, ...(options.infer ? shape.guesses : [])]
  const info: TableInfo = {
    object: set.name,
    columns: [...columns, ...partitions],
    primaryKey: [],
    ...(guesses.length > 0 ? { guesses } : {}),
    bytes,
    ...(bytes === undefined || file.compression !== 'none' ? {} : { rows }),
  }
  const known = { ...options, encoding: file.encoding }
  return { info, shape: { ...shape, types }, set, partitions, options: known, peeked }
}

/** Runs `work`; adds the file's path, and the lines that come before, to an error that names a line. */
function named<T>(path: string, before: number, work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw error instanceof LineError ? error.in(path, before) : error
  }
}

const pieces = new KeptForm('split of a CSV file', piece)

export class CsvSourceTable implements SourceTable {
  readonly rowColumns: Column[]
  private readonly files: CsvFiles
  private readonly request: ReadRequest
  private readonly lines = new LineNumbers()
  /** What rows end with. */
  private readonly tail: FileColumns
  /** Types of the fields in the rows encoding: those that the mapping reads columns as. */
  private readonly readAs: (LogicalType | undefined)[]

  constructor(files: CsvFiles, request: ReadRequest) {
    this.files = files
    this.request = request
    const { names } = files.shape
    this.readAs = names.map(name => request.columns.find(c => c.from === name)?.sourceType)
    this.tail = new FileColumns(files.set, files.partitions, request)
    this.rowColumns = [...readColumns(names, request), ...this.tail.columns]
    if (request.where !== undefined) {
      throw new FerryError('FERRY-3006', 'files have no filter: `where` needs a store with a query language')
    }
  }

  refuses(offer: Offer): string | undefined {
    if (offer.encoding === 'rows') return undefined
    if (offer.encoding !== 'csv') return 'CSV files do not give it'
    if (offer.misfits === 'rounded') return 'the destination would round what does not fit'
    if (this.request.limit !== undefined) return 'the number of rows is limited'
    const { names, dialect } = this.files.shape
    const { columns } = this.request
    if (columns.length !== names.length || columns.some((c, i) => c.from !== names[i])) {
      return 'the columns are not those of the file, in its order'
    }
    const odd = columns.find(c => c.checked || c.default !== undefined || (c.type.kind === 'json' && c.type.once))
    if (odd) return `${odd.name}: each value must be looked at`
    if (offer.misfits === 'refused') {
      const isRead = dialect.quote !== '' && dialect.delimiter.charCodeAt(0) < 128
      if (!isRead) return 'the dialect is not one that the destination reads'
    } else if (!sameDialect(dialect, offer.dialect)) return 'the file is of another dialect'
    const nested = columns.find(
      (c, i) =>
        ['binary', 'interval'].includes(c.sourceType.kind) || ['list', 'struct', 'map'].includes(offer.types[i]!.kind),
    )
    if (nested) return `${nested.name} has a form of its own`
    const converted = columns.find(c => typeName(c.sourceType) !== typeName(c.type))
    return converted ? `${converted.name} is converted` : undefined
  }

  csvDialect(): CsvDialect {
    return this.files.shape.dialect
  }

  /** Places are bytes of a file: they hold as long as it is the same. */
  async fingerprint(): Promise<string | undefined> {
    return fingerprintOf(this.files.set)
  }

  async splits(): Promise<Split[]> {
    const { set, options } = this.files
    return splitsOf(set, options, this.request, pieces, (file, size) => this.cut(file, size))
  }

  /** The ends of the pieces of a file: ends of records. */
  private async cut({ store, head }: TextFile, size: number): Promise<number[]> {
    const { splitBytes } = this.request
    if (size < splitBytes * 1.5) return [size]
    // Only what is before a line feed shows whether it is inside quotes: the file is read through once.
    const ends = new RecordEnds(this.files.shape.dialect)
    const found: number[] = []
    let start = 0
    let at = 0
    const preamble = new Preamble(this.files.options.skipLines)
    const all = store.readRange(head, { start: 0 }, { chunk: Math.min(1 << 20, splitBytes) })
    for await (const chunk of preamble.of(all as AsyncIterable<Buffer>)) {
      // The first piece begins with what is left out.
      at = Math.max(at, preamble.bytes)
      const last = ends.last(chunk)
      if (last > 0 && at + last - start >= splitBytes) {
        start = at + last
        found.push(start)
      }
      at += chunk.length
    }
    return start < at ? [...found, at] : found
  }

  async *read(split: Split, { offer, from, signal }: SplitRead): AsyncGenerator<Batch> {
    const piece = pieces.read(split.spec)
    const file = fileOf(this.files.set, piece.path, this.files.options)
    const start = from === undefined ? piece.start : Number(from)
    const agreement = offer.encoding === 'csv' ? this.agreement(offer) : undefined
    const parser = offer.encoding === 'csv' ? undefined : new RecordParser(this.recordForm, this.tail.of(piece.path))
    const beginning = start === 0 ? new Beginning(this.files.shape) : undefined
    const ends = new RecordEnds(this.files.shape.dialect)
    const preamble = new Preamble(start === 0 ? this.files.options.skipLines : 0)
    const source = preamble.of(
      this.files.peeked?.rest() ??
        readBytes(file, piece.end === undefined ? { start } : { start, end: piece.end }, signal),
    )
    const resumable = piece.end !== undefined
    let pending: Buffer[] = []
    let pendingBytes = 0
    let at = start
    let left = this.request.limit ?? Infinity
    const emit = async (data: Buffer, last: boolean): Promise<Batch | undefined> => {
      requireUtf8(data, file)
      if (at === 0) {
        at = preamble.bytes
        parser?.skip(preamble.lines)
      }
      at += data.length
      const body = beginning ? beginning.pass(data, header => this.checkHeader(header, piece.path)) : data
      parser?.skip(countLines(data) - countLines(body))
      if (body.length === 0) return undefined
      const checkpoint = resumable && !last ? { checkpoint: String(at) } : {}
      if (parser) {
        const { rows, rejected } = parser.parse(body, left)
        left -= rows.length
        const placed = rejected.length > 0 ? { rejected: await this.placed(rejected, file, start) } : {}
        return { kind: 'rows', rows, bytes: data.length, ...placed, ...checkpoint }
      }
      if (!agreement!.holds(body)) throw new NotAsBytes(split.label)
      // What comes behind it must not become a part of its last record.
      const whole = body.at(-1) === 10 ? body : Buffer.concat([body, Buffer.from(agreement!.lineEnd)])
      const rows = agreement!.records()
      return { kind: 'bytes', data: whole, bytes: data.length, rows, ...checkpoint }
    }
    try {
      for await (const chunk of source) {
        const end = ends.last(chunk)
        pending.push(chunk)
        pendingBytes += chunk.length
        if (end === 0) {
          requireNotTooLong(`${piece.path}, byte ${at}`, pendingBytes)
          continue
        }
        const all = pending.length === 1 ? chunk : Buffer.concat(pending)
        const cut = pendingBytes - chunk.length + end
        const batch = await emit(all.subarray(0, cut), false)
        pending = cut < all.length ? [all.subarray(cut)] : []
        pendingBytes = all.length - cut
        if (batch) yield batch
        if (left <= 0) return
      }
      if (pendingBytes > 0) {
        const batch = await emit(Buffer.concat(pending), true)
        if (batch) yield batch
      }
    } catch (error) {
      if (!(error instanceof LineError)) throw error
      throw error.in(piece.path, await this.lines.before(file, start))
    }
  }

  /** Rejected records by their lines in the file. */
  private async placed(rejected: LineRejected[], file: TextFile, start: number): Promise<Rejected[]> {
    const before = await this.lines.before(file, start)
    return rejected.map(({ line, ...rest }) => ({ ...rest, place: `${file.path}, line ${line + before}` }))
  }

  /** How fields must be written so that the destination reads the same values from the bytes as Ferry. */
  private agreement(offer: Offer & { encoding: 'csv' }): CsvAgreement {
    const { dialect } = this.files.shape
    const forms = this.request.columns.map((column, i) =>
      formOf(offer.types[i]!, offer.wire?.[i] ?? '', column.guessed === true),
    )
    return new CsvAgreement(dialect, forms, { toFile: offer.misfits === 'kept' })
  }

  /** All files of one object have the same columns in the same order. */
  private checkHeader(record: Buffer, path: string): void {
    const { names, dialect } = this.files.shape
    const [found] = parseRecords(record.toString('utf8'), dialect, 1)
    const fields = found?.fields ?? []
    const own = this.files.options.names && fields.length === names.length ? names : uniqueNames(fields)
    if (own.length === names.length && own.every((n, i) => n === names[i])) return
    throw new FerryError(
      'FERRY-4002',
      `${path}: its header (${own.join(', ')}) is not that of ${this.files.set.files[0]!.key} (${names.join(', ')})`,
    )
  }

  async explain(split: Split, from: string | undefined): Promise<FerryError | undefined> {
    if (this.files.peeked) return undefined
    const { signal } = new AbortController()
    try {
      for await (const _ of this.read(split, {
        offer: { encoding: 'rows' },
        signal,
        from,
      }));
      return undefined
    } catch (error) {
      if (error instanceof FerryError) return error
      throw error
    }
  }

  private get recordForm(): RecordForm {
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

function sameDialect(own: CsvDialect, other: CsvDialect | 'any'): boolean {
  if (other === 'any') return true
  return (['delimiter', 'quote', 'escape', 'nullText'] as const).every(key => own[key] === other[key])
}

/** `native` is the column's type as its server names it. */
function formOf(type: LogicalType, native: string, guessed: boolean): FieldForm | undefined {
  const digits = Number(/\((\d)\)/.exec(native)?.[1] ?? 6)
  switch (type.kind) {
    case 'int':
      return { kind: 'int', exact: guessed }
    case 'float':
      return { kind: 'float', bits: type.bits, exact: guessed }
    case 'decimal':
      return { kind: 'decimal', scale: type.scale, exact: guessed }
    case 'numeric':
      return { kind: 'decimal', scale: Infinity, exact: guessed }
    case 'time':
      return { kind: 'time', digits }
    case 'timestamp':
      return { kind: 'timestamp', digits, zone: type.zone, exact: guessed }
    case 'bool':
    case 'uuid':
      return { kind: type.kind, exact: guessed }
    case 'date':
      return { kind: type.kind }
    case 'utf8':
      return type.length === undefined ? undefined : { kind: 'text', characters: type.length }
    default:
      return undefined
  }
}
