/** Whether CSV may pass unread: whether its reader takes the same values from the bytes as Ferry would. */
import { CR, LF } from './csv.ts'
import type { CsvDialect } from './encoding.ts'
import { codePoints, isExactFloat } from './text.ts'

/** How the values of a column must be written so that every reader takes the same from them. */
export type FieldForm =
  /** Digits with a sign. `exact`, here and below: only as they are guessed from, so `007` is no number. */
  | { kind: 'int'; exact: boolean }
  /** Digits with a point; at most so many behind it. */
  | { kind: 'decimal'; scale: number; exact: boolean }
  | { kind: 'float'; bits: 32 | 64; exact: boolean }
  | { kind: 'bool'; exact: boolean }
  | { kind: 'uuid'; exact: boolean }
  | { kind: 'date' }
  /** `10:20:30`, with at most so many digits of a fraction. */
  | { kind: 'time'; digits: number }
  | { kind: 'timestamp'; digits: number; zone: boolean; exact: boolean }
  | { kind: 'text'; characters: number }

/**
 * Tells whether bytes may pass unread: whether PostgreSQL takes the same records, fields and values from them as Ferry
 * does. PostgreSQL lets a quote open and close anywhere in a field, ends the data at a line `\.`, wants one kind of line
 * end, and reads values that Ferry refuses or takes otherwise (`01/02/03`, `today`, `0x1f`, `1_000`, a zone behind a
 * timestamp without one). What is not plain in all of this is for Ferry's own reader.
 */
export class CsvAgreement {
  private readonly forms: (FieldForm | undefined)[]
  private readonly delimiter: number
  private readonly quote: number
  private readonly escape: number
  private readonly isTyped: boolean
  private readonly lineFeedsOnly: boolean
  private readonly fields: number
  private readonly toFile: boolean
  private count = 0
  private endsWithCr: boolean | undefined

  /**
   * `forms` has one for each field. `toFile` is true if the bytes become a file: its lines end with LF, and nobody counts the
   * fields behind us.
   */
  constructor(dialect: CsvDialect, forms: (FieldForm | undefined)[], { toFile }: { toFile: boolean }) {
    this.forms = forms
    this.fields = forms.length
    this.toFile = toFile
    this.isTyped = toFile || forms.some(f => f !== undefined)
    this.delimiter = dialect.delimiter.charCodeAt(0)
    this.quote = dialect.quote === '' ? -1 : dialect.quote.charCodeAt(0)
    this.escape = dialect.escape === dialect.quote || dialect.escape === '' ? -1 : dialect.escape.charCodeAt(0)
    this.lineFeedsOnly = toFile
  }

  /** What ends the lines that were looked at. */
  get lineEnd(): string {
    return this.endsWithCr === true ? '\r\n' : '\n'
  }

  /** Whether all readers agree about a chunk of whole records. */
  holds(chunk: Buffer): boolean {
    // PostgreSQL's texts have none.
    if (!this.toFile && chunk.indexOf(0) >= 0) return false
    const isPlain = (this.quote < 0 || chunk.indexOf(this.quote) < 0) && chunk.indexOf(CR) < 0
    if (isPlain && !this.isTyped) {
      if (this.endsWithCr === true) return false
      this.endsWithCr = false
      return !hasEndOfData(chunk)
    }
    return this.walk(chunk)
  }

  private walk(chunk: Buffer): boolean {
    const { forms, delimiter, quote } = this
    const { length } = chunk
    let column = 0
    let at = 0
    while (at < length) {
      let start = at
      let end: number
      if (chunk[at] === quote) {
        start = at + 1
        end = this.closing(chunk, start)
        if (end < 0) return false
        at = end + 1
      } else {
        if (column === 0 && chunk[at] === 92 && chunk[at + 1] === 46) return false
        for (; at < length; at++) {
          const byte = chunk[at]!
          if (byte === delimiter || byte === LF || byte === CR) break
          if (byte === quote) return false
        }
        end = at
      }
      const form = forms[column]
      if (form !== undefined && end > start && !hasForm(chunk, start, end, form)) return false
      if (at < length && chunk[at] === delimiter) {
        column++
        at++
        continue
      }
      if (column + 1 !== this.fields) return false
      const isCr = chunk[at] === CR
      if (isCr) at++
      if (at < length && chunk[at] !== LF) return false
      if (at < length || isCr) {
        if (isCr && this.lineFeedsOnly) return false
        this.endsWithCr ??= isCr
        if (this.endsWithCr !== isCr) return false
      }
      at++
      column = 0
      this.count++
    }
    if (column > 0) this.count++
    // A field behind the last delimiter of the data is empty.
    return column === 0 || column + 1 === this.fields
  }

  /** The number of records since the last call; undefined where chunks pass without a look at each record. */
  records(): number | undefined {
    if (!this.toFile) return undefined
    const { count } = this
    this.count = 0
    return count
  }

  /** The place of the quote that closes the field that begins here; -1 where there is none. */
  private closing(chunk: Buffer, from: number): number {
    const { quote, escape } = this
    for (let at = from; ; ) {
      const next = chunk.indexOf(quote, at)
      if (next < 0) return -1
      if (escape >= 0) {
        let count = 0
        while (next - 1 - count >= from && chunk[next - 1 - count] === escape) count++
        if (count % 2 === 0) return next
        at = next + 1
      } else if (chunk[next + 1] === quote) at = next + 2
      else return next
    }
  }
}

/** Whether a line begins with `\.`, which ends the data for older servers. */
function hasEndOfData(chunk: Buffer): boolean {
  for (let at = chunk.indexOf('\\.'); at >= 0; at = chunk.indexOf('\\.', at + 2)) {
    if (at === 0 || chunk[at - 1] === LF) return true
  }
  return false
}

function hasForm(chunk: Buffer, start: number, end: number, form: FieldForm): boolean {
  switch (form.kind) {
    case 'int': {
      const first = chunk[start] === 45 ? start + 1 : start
      if (form.exact && chunk[first] === 48 && end - start > 1) return false
      return end > first && end - first <= 18 && areDigits(chunk, first, end)
    }
    case 'decimal': {
      const first = chunk[start] === 45 ? start + 1 : start
      let point = -1
      for (let i = first; i < end; i++) {
        const byte = chunk[i]!
        if (byte === 46 && point < 0) point = i
        else if (byte < 48 || byte > 57) return false
      }
      if (form.exact && hasLeadingZero(chunk, first, end)) return false
      return end > first && (point < 0 || (point > first && point < end - 1 && end - 1 - point <= form.scale))
    }
    case 'float': {
      let digits = 0
      let isPlain = true
      for (let i = start; i < end; i++) {
        const byte = chunk[i]!
        if (byte >= 48 && byte <= 57) digits++
        else if (byte !== 46 && !(byte === 45 && i === start)) isPlain = false
      }
      const first = chunk[start] === 45 ? start + 1 : start
      if (form.exact && hasLeadingZero(chunk, first, end)) return false
      if (!(chunk[first]! >= 48 && chunk[first]! <= 57) || !(chunk[end - 1]! >= 48 && chunk[end - 1]! <= 57))
        return false
      if (isPlain && digits <= (form.bits === 64 ? 15 : 6)) return true
      return end - start <= 40 && isExactFloat(chunk.toString('latin1', start, end), form.bits)
    }
    case 'bool':
      return (form.exact ? WORDS : BOOLEANS).has(chunk.toString('latin1', start, Math.min(end, start + 6)))
    case 'uuid':
      return end - start === 36 && (form.exact ? LOWER_UUID : UUID).test(chunk.toString('latin1', start, end))
    case 'date':
      return end - start === 10 && isDate(chunk, start)
    case 'time':
      return isTime(chunk, start, end, form.digits)
    case 'timestamp': {
      const separator = chunk[start + 10]
      if (end - start < 19 || !isDate(chunk, start) || (separator !== 32 && separator !== 84)) return false
      const zone = form.zone ? zoneBehind(chunk, start + 19, end) : end
      if (form.exact && form.zone && zone === end) return false
      return zone > 0 && isTime(chunk, start + 11, zone, form.digits)
    }
    case 'text':
      if (end - start <= form.characters) return true
      return codePoints(chunk.toString('utf8', start, end)) <= form.characters
  }
}

const WORDS = new Set(['true', 'false'])
const BOOLEANS = new Set([...WORDS, 't', 'f'])
const LOWER_UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
const UUID = /^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$/

/** `007` and `-01.5`, not `0` and `0.5`. */
function hasLeadingZero(chunk: Buffer, first: number, end: number): boolean {
  return chunk[first] === 48 && first + 1 < end && chunk[first + 1]! >= 48 && chunk[first + 1]! <= 57
}

function areDigits(chunk: Buffer, start: number, end: number): boolean {
  for (let i = start; i < end; i++) if (chunk[i]! < 48 || chunk[i]! > 57) return false
  return true
}

/** `2024-02-29`, in ten bytes. */
function isDate(chunk: Buffer, at: number): boolean {
  return (
    chunk[at + 4] === 45 &&
    chunk[at + 7] === 45 &&
    areDigits(chunk, at, at + 4) &&
    areDigits(chunk, at + 5, at + 7) &&
    areDigits(chunk, at + 8, at + 10)
  )
}

/** `10:20:30.5`; a second 60 would be the next minute's for some. */
function isTime(chunk: Buffer, at: number, end: number, digits: number): boolean {
  if (end - at < 8 || chunk[at + 2] !== 58 || chunk[at + 5] !== 58) return false
  if (!areDigits(chunk, at, at + 2) || !areDigits(chunk, at + 3, at + 5) || !areDigits(chunk, at + 6, at + 8)) {
    return false
  }
  if (chunk[at + 6]! > 53) return false
  if (end - at === 8) return true
  return chunk[at + 8] === 46 && end - at > 9 && end - at - 9 <= digits && areDigits(chunk, at + 9, end)
}

/** Where the zone of a timestamp begins, `Z`, `+01` or `+01:30`; its end where there is none; 0 where it is otherwise. */
function zoneBehind(chunk: Buffer, from: number, end: number): number {
  if (chunk[end - 1] === 90) return end - 1
  for (let at = from; at < end; at++) {
    if (chunk[at] !== 43 && chunk[at] !== 45) continue
    const length = end - at
    const isHour = length === 3 && areDigits(chunk, at + 1, end)
    const hasMinutes =
      length === 6 && chunk[at + 3] === 58 && areDigits(chunk, at + 1, at + 3) && areDigits(chunk, at + 4, end)
    return isHour || hasMinutes ? at : 0
  }
  return end
}
