/** Records of a CSV file as rows. */
import { parseRecords, RecordEnds } from '../batch/csv.ts'
import type { CsvDialect, Rejected } from '../batch/encoding.ts'
import { isOfGuess, notAsGuessed } from '../batch/guess.ts'
import { parseText } from '../batch/text.ts'
import type { LogicalType, Row } from '../batch/types.ts'
import { FerryError, LineError, RowError } from '../errors.ts'
import type { CsvShape } from './infer.ts'
import { countLines } from './textfile.ts'

/** What comes before the first row of a file: a byte order mark, `sep=;`, empty lines, the header. */
export class Beginning {
  private readonly ends: RecordEnds
  private place: 'first' | 'header' | 'rows' = 'first'
  private readonly hasHeader: boolean

  constructor({ dialect, header }: CsvShape) {
    this.ends = new RecordEnds(dialect)
    this.hasHeader = header
  }

  /** What of a chunk of whole records are rows. */
  pass(data: Buffer, checkHeader: (record: Buffer) => void): Buffer {
    let rest = data
    if (this.place === 'first') {
      rest = withoutMark(rest)
      const separator = /^sep=.\r?\n?/i.exec(rest.toString('utf8', 0, 12))
      if (separator) rest = rest.subarray(Buffer.byteLength(separator[0]))
      this.place = this.hasHeader ? 'header' : 'rows'
    }
    while (this.place === 'header' && rest.length > 0) {
      const end = this.ends.first(rest) || rest.length
      const record = rest.subarray(0, end)
      rest = rest.subarray(end)
      if (/^[\r\n]*$/.test(record.toString('latin1', 0, 3)) && record.length < 3) continue
      checkHeader(record)
      this.place = 'rows'
    }
    return rest
  }
}

/** Drops the lines at the beginning of a file that are no records; empty lines go with them and are not counted. */
export class Preamble {
  private left: number
  /** What was dropped. */
  bytes = 0
  lines = 0

  constructor(lines: number) {
    this.left = lines
  }

  /** What of a chunk comes behind them: of the whole lines in it, and of the last line if it is the end of the file. */
  pass(chunk: Buffer): Buffer {
    let at = 0
    while (this.left > 0 && at < chunk.length) {
      const end = chunk.indexOf(10, at)
      const line = chunk.subarray(at, end < 0 ? undefined : end)
      if (line.some(byte => byte !== 13)) this.seen = true
      at = end < 0 ? chunk.length : end + 1
      if (end < 0) break
      this.lines++
      if (this.seen) this.left--
      this.seen = false
    }
    this.bytes += at
    return at === 0 ? chunk : chunk.subarray(at)
  }

  /** Whether the line that is passed has something in it. */
  private seen = false

  async *of(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of source) {
      const rest = this.left === 0 ? chunk : this.pass(chunk)
      if (rest.length > 0) yield rest
    }
  }
}

/** Bytes without the byte order mark of UTF-8. */
export function withoutMark(bytes: Buffer): Buffer {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes
}

/** A rejected record, by its line within what was read. */
export type LineRejected = Omit<Rejected, 'place'> & { line: number }

/** How the records of a table are parsed: one entry for each field. */
export interface RecordForm {
  dialect: CsvDialect
  names: string[]
  /** Undefined for a field that is not read. */
  readAs: (LogicalType | undefined)[]
  /** True if the type is a guess, which each value must confirm. */
  guessed: boolean[]
  /** True if records that do not fit are rejected instead of ending the run. */
  skip: boolean
}

/** Whole records as rows; a record that is not as the others is refused by its line. */
export class RecordParser {
  private readonly table: RecordForm
  private readonly tail: Row
  private line = 1

  /** `tail` are the values that each row has behind its fields. */
  constructor(table: RecordForm, tail: Row) {
    this.table = table
    this.tail = tail
  }

  skip(lines: number): void {
    this.line += lines
  }

  parse(data: Buffer, most: number): { rows: Row[]; rejected: LineRejected[] } {
    const { dialect, skip } = this.table
    const rows: Row[] = []
    const rejected: LineRejected[] = []
    const text = data.toString('utf8')
    for (const record of parseRecords(text, dialect, this.line)) {
      if (rows.length >= most) break
      try {
        rows.push(this.row(record.fields, record.line))
      } catch (error) {
        if (!skip || !(error instanceof FerryError)) throw error
        rejected.push({ line: record.line, reason: error.message, raw: record.raw })
      }
    }
    this.line += countLines(data)
    return { rows, rejected }
  }

  private row(fields: (string | null)[], line: number): Row {
    const { names, readAs, guessed } = this.table
    if (fields.length !== names.length) {
      throw new LineError('FERRY-4002', line, `${fields.length} fields where the file has ${names.length} columns`)
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
        throw new LineError(error.code, line, error.message, names[i], { hint: error.hint })
      }
    }
    row.push(...this.tail)
    return row
  }
}

/** Throws a RowError. */
function parseField(field: string, type: LogicalType, guessed: boolean) {
  if (guessed && !isOfGuess(field, type)) throw notAsGuessed(field, type)
  return parseText(field, type)
}
