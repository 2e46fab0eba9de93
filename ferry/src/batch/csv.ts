/**
 * CSV as bytes: where records end, whether another reader takes the same from them, records as texts, rows as CSV.
 *
 * Ferry reads CSV by RFC 4180: a quote opens a field only where the field begins, and is a character anywhere else;
 * records end with LF or CR LF. Readers differ in what lies beyond that.
 */
import { type FerryError, LineError, RowError } from '../errors.ts'
import type { CsvDialect } from './encoding.ts'
import { formatText } from './text.ts'
import type { LogicalType, Row, Value } from './types.ts'

export const LF = 10
export const CR = 13

/** The state of a CSV reader between two bytes. */
type Place = 'start' | 'plain' | 'quoted' | 'closing'

/** Finds record ends in a CSV that arrives in chunks. */
export class RecordEnds {
  private place: Place = 'start'
  private escaped = false
  private readonly delimiter: Buffer
  private readonly quote: number
  private readonly escape: number
  /** The last bytes of the former chunk, where a delimiter of several bytes may lie across both. */
  private before = Buffer.alloc(0)

  constructor(dialect: Pick<CsvDialect, 'delimiter' | 'quote' | 'escape'>) {
    this.delimiter = Buffer.from(dialect.delimiter)
    this.quote = dialect.quote === '' ? -1 : dialect.quote.charCodeAt(0)
    this.escape = dialect.escape === dialect.quote || dialect.escape === '' ? -1 : dialect.escape.charCodeAt(0)
  }

  /** Offset right behind the last complete record in the chunk, or 0 where none ends in it. */
  last(chunk: Buffer): number {
    if (chunk.length === 0) return 0
    if (this.place !== 'quoted' && (this.quote < 0 || chunk.indexOf(this.quote) < 0)) {
      const end = chunk.lastIndexOf(LF) + 1
      this.place = end === chunk.length || this.endsWithDelimiter(chunk) ? 'start' : 'plain'
      this.remember(chunk)
      return end
    }
    return this.walk(chunk, Infinity)
  }

  /** Offset right behind the first record that ends in the chunk, or 0; the state is then right behind that record. */
  first(chunk: Buffer): number {
    return this.walk(chunk, 1)
  }

  private remember(chunk: Buffer): void {
    if (this.delimiter.length > 1) this.before = Buffer.from(chunk.subarray(-(this.delimiter.length - 1)))
  }

  private endsWithDelimiter(chunk: Buffer): boolean {
    return this.isDelimiter(chunk, chunk.length - 1)
  }

  /** Whether a delimiter ends with the byte at a place. */
  private isDelimiter(chunk: Buffer, at: number): boolean {
    const { delimiter, before } = this
    for (let i = delimiter.length - 1, j = at; i >= 0; i--, j--) {
      const byte = j >= 0 ? chunk[j] : before[before.length + j]
      if (byte !== delimiter[i]) return false
    }
    return true
  }

  private walk(chunk: Buffer, atMost: number): number {
    const { quote, escape, delimiter } = this
    const last = delimiter[delimiter.length - 1]
    let { place, escaped } = this
    let end = 0
    let found = 0
    for (let i = 0; i < chunk.length; i++) {
      const byte = chunk[i]
      if (place === 'quoted') {
        if (escaped) escaped = false
        else if (byte === quote) place = 'closing'
        else escaped = byte === escape
      } else if (byte === quote && (place === 'start' || (place === 'closing' && escape < 0))) place = 'quoted'
      else if (byte === LF) {
        place = 'start'
        end = i + 1
        if (++found >= atMost) break
      } else place = byte === last && this.isDelimiter(chunk, i) ? 'start' : 'plain'
    }
    this.place = place
    this.escaped = escaped
    this.remember(chunk)
    return end
  }
}

/** One record: its fields (null for the unquoted null text), the line it starts on and its own text. */
export interface CsvRecord {
  fields: (string | null)[]
  line: number
  raw: string
}

/** Parses a text of whole records. `line` is the number of its first line. */
export function* parseRecords(text: string, dialect: CsvDialect, line: number): Generator<CsvRecord> {
  const { delimiter, quote, nullText } = dialect
  const escape = dialect.escape || quote
  let at = 0
  while (at < text.length) {
    const start = at
    const startLine = line
    const fields: (string | null)[] = []
    for (;;) {
      if (quote !== '' && text[at] === quote) {
        let value = ''
        let from = at + 1
        for (;;) {
          const next = text.indexOf(quote, from)
          if (next < 0) {
            throw new LineError('FERRY-4002', startLine, 'a quoted field is not closed')
          }
          if (escape !== quote && isEscaped(text, from, next, escape)) {
            value += text.slice(from, next - 1) + quote
            from = next + 1
          } else if (escape === quote && text[next + 1] === quote) {
            value += text.slice(from, next + 1)
            from = next + 2
          } else {
            value += text.slice(from, next)
            at = next + 1
            break
          }
        }
        if (escape !== quote) value = value.replaceAll(escape + escape, escape)
        for (let i = value.indexOf('\n'); i >= 0; i = value.indexOf('\n', i + 1)) line++
        fields.push(value)
        if (text[at] === '\r' && (text[at + 1] === '\n' || at + 1 === text.length)) at++
      } else {
        let end = at
        for (; end < text.length; end++) {
          const c = text.charCodeAt(end)
          if (c === LF || c === CR || c === delimiter.charCodeAt(0)) break
        }
        const value = text.slice(at, end)
        fields.push(value === nullText ? null : value)
        at = end
        if (text.charCodeAt(at) === CR) {
          if (at + 1 < text.length && text.charCodeAt(at + 1) !== LF) throw loneReturn(startLine)
          at++
        }
      }
      if (at < text.length && text[at] === delimiter) {
        at++
        continue
      }
      if (at < text.length && text[at] !== '\n') {
        throw new LineError('FERRY-4002', startLine, `text behind the closing quote of field ${fields.length}`)
      }
      break
    }
    const raw = text.slice(start, at)
    at++
    line++
    yield { fields, line: startLine, raw }
  }
}

/** Some readers end a record there, others do not. */
function loneReturn(line: number): FerryError {
  return new LineError('FERRY-4002', line, 'a carriage return stands without a line feed behind it', undefined, {
    hint: 'Lines end with LF or CR LF. Convert the file (`tr "\\r" "\\n"`), or put quotes around the field.',
  })
}

function isEscaped(text: string, from: number, at: number, escape: string): boolean {
  let count = 0
  while (at - 1 - count >= from && text[at - 1 - count] === escape) count++
  return count % 2 === 1
}

/** How records are written, beyond what a reader has to know. */
export interface WrittenAs {
  /** What closes a record. */
  rowEnd?: '\n' | '\r\n'
  /** True if every text is in quotes. */
  quoteAll?: boolean
}

/**
 * Rows as CSV text in a dialect, each record closed by `rowEnd`. Where no quotes are used, a text that would need them throws. Throws a
 * RowError that has the row's index.
 */
export function csvEncoder(
  types: LogicalType[],
  dialect: CsvDialect,
  names: string[] = [],
  { rowEnd = '\n', quoteAll = false }: WrittenAs = {},
): (rows: Row[]) => string {
  const { delimiter, quote, nullText } = dialect
  const escape = dialect.escape === '' ? quote : dialect.escape
  const special = new RegExp(`[${escapeClass(delimiter + quote)}\\r\\n]|^\\\\\\.$|^$`)
  const quoted = (text: string): string => {
    if (quote === '') throw new RowError('FERRY-4001', 'the text needs quotes, and the file is written without any')
    const escaped = escape === quote ? text : text.replaceAll(escape, escape + escape)
    return quote + escaped.replaceAll(quote, escape + quote) + quote
  }
  const field = (text: string): string => (quoteAll || special.test(text) || text === nullText ? quoted(text) : text)
  const textOf = (value: Exclude<Value, null>, i: number): string => {
    try {
      return formatText(value, types[i]!)
    } catch (error) {
      if (!(error instanceof RowError)) throw error
      throw new RowError(error.code, `column ${names[i]}: ${error.message}`, names[i], { hint: error.hint })
    }
  }
  // Numbers and booleans never need quotes, so they skip the test.
  const plain = types.map(t => ['int', 'bool', 'float', 'date', 'time', 'uuid', 'decimal', 'numeric'].includes(t.kind))
  return rows => {
    let out = ''
    for (const row of rows) {
      for (let i = 0; i < types.length; i++) {
        const value = row[i]!
        if (i > 0) out += delimiter
        if (value === null) out += nullText
        else {
          const text = textOf(value, i)
          out += plain[i] && delimiter === ',' ? text : field(text)
        }
      }
      out += rowEnd
    }
    return out
  }
}

/** The header record that names the columns. */
export function csvHeader(names: string[], dialect: CsvDialect, written: WrittenAs = {}): string {
  return csvEncoder(
    names.map(() => ({ kind: 'utf8' })),
    { ...dialect, nullText: '\0' },
    names,
    written,
  )([names])
}

function escapeClass(text: string): string {
  return text.replace(/[\\\]^-]/g, '\\$&')
}
