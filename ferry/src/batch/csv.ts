/**
 * CSV as bytes: where records end, whether fields can pass unread into a typed column, records as texts, rows as CSV.
 */
import { FerryError } from '../errors.ts'
import type { CsvDialect } from './encoding.ts'
import { formatText } from './text.ts'
import type { LogicalType, Row } from './types.ts'

const LF = 10
const CR = 13

/** Finds record ends in a CSV that arrives in chunks. A quote toggles "inside quotes" wherever it stands. */
export class RecordEnds {
  private inQuotes = false
  private escaped = false
  private readonly quote: number
  private readonly escape: number

  constructor(dialect: Pick<CsvDialect, 'quote' | 'escape'>) {
    this.quote = dialect.quote === '' ? -1 : dialect.quote.charCodeAt(0)
    this.escape = dialect.escape === dialect.quote || dialect.escape === '' ? -1 : dialect.escape.charCodeAt(0)
  }

  /** Offset right behind the last complete record in the chunk, or 0 where none ends in it. */
  last(chunk: Buffer): number {
    if (!this.inQuotes && (this.quote < 0 || chunk.indexOf(this.quote) < 0)) return chunk.lastIndexOf(LF) + 1
    return this.walk(chunk, Infinity)
  }

  /** Offset right behind the first record that ends in the chunk, or 0; the state is then right behind that record. */
  first(chunk: Buffer): number {
    return this.walk(chunk, 1)
  }

  private walk(chunk: Buffer, atMost: number): number {
    const { quote, escape } = this
    let { inQuotes, escaped } = this
    let end = 0
    let found = 0
    for (let i = 0; i < chunk.length; i++) {
      const byte = chunk[i]
      if (escaped) escaped = false
      else if (byte === quote) inQuotes = !inQuotes
      else if (inQuotes) escaped = byte === escape
      else if (byte === LF) {
        end = i + 1
        if (++found >= atMost) break
      }
    }
    this.inQuotes = inQuotes
    this.escaped = escaped
    return end
  }
}

/** What a field must satisfy so that a database reading it as text alters nothing. */
export type FieldGuard =
  | { kind: 'scale'; digits: number; type: string }
  | { kind: 'date'; type: string }
  | { kind: 'length'; characters: number; type: string }
  | { kind: 'integer'; type: string }

/**
 * Walks records that pass unread and refuses fields which the reading database would round or cut in silence:
 * more digits behind the point than a numeric or a time keeps, a time behind a date, more text than a varchar holds.
 */
export class CsvGuard {
  private readonly guards: (FieldGuard | undefined)[]
  private readonly names: string[]
  private readonly delimiter: number
  private readonly quote: number
  private line: number

  constructor(dialect: CsvDialect, names: string[], guards: (FieldGuard | undefined)[], firstLine: number) {
    this.guards = guards
    this.names = names
    this.delimiter = dialect.delimiter.charCodeAt(0)
    this.quote = dialect.quote === '' ? -1 : dialect.quote.charCodeAt(0)
    this.line = firstLine
  }

  /** Checks a chunk of whole records; throws FERRY-4001 naming line and column. */
  check(chunk: Buffer): void {
    const { guards, delimiter, quote } = this
    let column = 0
    let start = 0
    let inQuotes = false
    let guard = guards[0]
    for (let i = 0; i < chunk.length; i++) {
      const byte = chunk[i]
      if (byte === quote) inQuotes = !inQuotes
      else if (inQuotes) {
        if (byte === LF) this.line++
      } else if (byte === delimiter || byte === LF) {
        if (guard !== undefined && i > start) this.field(chunk, start, i, guard, column)
        start = i + 1
        if (byte === LF) {
          this.line++
          column = 0
        } else column++
        guard = guards[column]
      }
    }
    if (start < chunk.length && guard !== undefined) this.field(chunk, start, chunk.length, guard, column)
  }

  private field(chunk: Buffer, start: number, end: number, guard: FieldGuard, column: number): void {
    if (guard.kind === 'scale') {
      let digits = -1
      for (let i = start; i < end; i++) {
        const byte = chunk[i]!
        if (byte === 46) digits = 0
        else if (byte >= 48 && byte <= 57) {
          if (digits >= 0) digits++
        } else if (byte === 101 || byte === 69) digits = 1e9
        else if (digits >= 0) break
      }
      if (digits <= guard.digits) return
      if (decimalPlaces(chunk.toString('latin1', start, end)) <= guard.digits) return
    } else if (guard.kind === 'length') {
      if (end - start <= guard.characters) return
      const text = chunk.toString('utf8', start, end).replace(/^"|"$/g, '').replaceAll('""', '"').replace(/\r$/, '')
      if ([...text].length <= guard.characters) return
    } else if (guard.kind === 'integer') {
      // A text with leading zeros or a plus is more than its number.
      const first = chunk[start] === 45 || chunk[start] === 34 ? start + 1 : start
      if (chunk[first] !== 43 && (chunk[first] !== 48 || first + 1 >= end || chunk[first + 1]! < 48)) return
    } else if (!chunk.subarray(start, end).includes(58)) return
    const text = chunk.toString('utf8', start, Math.min(end, start + 60)).trim()
    throw new FerryError(
      'FERRY-4001',
      `line ${this.line}, column ${this.names[column]}: ${text} does not fit ${guard.type} without being altered`,
    )
  }
}

/** How many digits behind the point the first number in a text needs. */
function decimalPlaces(text: string): number {
  const match = /(\d*)\.(\d*)(?:[eE]([+-]?\d+))?|(\d+)[eE]([+-]?\d+)/.exec(text)
  if (!match) return 0
  const digits = `${match[1] ?? match[4]}${match[2] ?? ''}`
  const zeros = digits.length - digits.replace(/0+$/, '').length
  return (match[2] ?? '').length - zeros - Number(match[3] ?? match[5] ?? 0)
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
            throw new FerryError('FERRY-4002', `line ${startLine}: a quoted field is not closed`)
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
          if (c === LF || c === delimiter.charCodeAt(0)) break
        }
        let stop = end
        if (end === text.length || text.charCodeAt(end) === LF) {
          if (text.charCodeAt(stop - 1) === CR && stop > at) stop--
        }
        const value = text.slice(at, stop)
        fields.push(value === nullText ? null : value)
        at = end
      }
      if (at < text.length && text[at] === delimiter) {
        at++
        continue
      }
      if (at < text.length && text[at] !== '\n') {
        throw new FerryError('FERRY-4002', `line ${startLine}: text behind the closing quote of field ${fields.length}`)
      }
      break
    }
    const raw = text.slice(start, at)
    at++
    line++
    yield { fields, line: startLine, raw }
  }
}

function isEscaped(text: string, from: number, at: number, escape: string): boolean {
  let count = 0
  while (at - 1 - count >= from && text[at - 1 - count] === escape) count++
  return count % 2 === 1
}

/** Rows as CSV text in a dialect, each record closed by a line feed. */
export function csvEncoder(types: LogicalType[], dialect: CsvDialect): (rows: Row[]) => string {
  const { delimiter, quote, nullText } = dialect
  const special = new RegExp(`[${escapeClass(delimiter + quote)}\\r\\n]|^\\\\\\.$|^$`)
  const field = (text: string): string =>
    special.test(text) || text === nullText ? quote + text.replaceAll(quote, quote + quote) + quote : text
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
          const text = formatText(value, types[i]!)
          out += plain[i] && delimiter === ',' ? text : field(text)
        }
      }
      out += '\n'
    }
    return out
  }
}

/** The header record that names the columns. */
export function csvHeader(names: string[], dialect: CsvDialect): string {
  return csvEncoder(
    names.map(() => ({ kind: 'utf8' })),
    { ...dialect, nullText: '\0' },
  )([names])
}

function escapeClass(text: string): string {
  return text.replace(/[\\\]^-]/g, '\\$&')
}
