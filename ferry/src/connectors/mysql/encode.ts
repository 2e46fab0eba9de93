/** Values as LOAD DATA reads them: tabs between fields, a backslash before what would mean something, `\N` for null. */
import { quoteShort } from '../../batch/quote.ts'
import { codePoints, formatText, hasMemberTwice, normalDecimal, withoutTrailingZeros } from '../../batch/text.ts'
import { type LogicalType, type Row, typeName, type Value } from '../../batch/types.ts'
import { RowError } from '../../errors.ts'
import { isGeometry } from './types.ts'

export interface WrittenColumn {
  name: string
  type: LogicalType
  native: string
}

function yearText(year: number): string {
  if (year > 0 && year < 1901)
    throw new RowError('FERRY-4001', `${year} is no year that MySQL keeps: 0, and 1901 to 2155`)
  return String(year).padStart(4, '0')
}

type Encoder = (value: Exclude<Value, null>) => string

/** A column's text; throws a RowError for what the server could not hold, or would alter. */
function encoderOf({ type, native }: WrittenColumn): Encoder {
  switch (type.kind) {
    case 'bool':
      return value => (value ? '1' : '0')
    case 'int':
      // The server takes the texts 0 to 99 for years of this century and the last one.
      if (/^year/i.test(native)) return value => yearText(value as number)
      return value => String(value)
    case 'float':
      return value => {
        // A float's shortest text may lie beyond the largest float that the server takes.
        const text = Object.is(value, -0) ? '-0' : String(value)
        if (!Number.isFinite(value) || text === '-0') throw new RowError('FERRY-4001', `MySQL has no ${text}`)
        return text
      }
    case 'decimal':
    case 'numeric':
      return value => {
        if (/[NI]/.test(value as string)) throw new RowError('FERRY-4001', `MySQL has no ${value}`)
        return value as string
      }
    case 'binary': {
      const length = Number(/^binary\((\d+)\)/.exec(native)?.[1] ?? 0)
      return value => {
        const bytes = Buffer.from(value as Uint8Array)
        if (bytes.length < length) {
          throw new RowError('FERRY-4001', `${native} would fill ${bytes.length} bytes up with zeros`)
        }
        return bytes.toString('hex')
      }
    }
    case 'json':
      return value => escaped(type.once ? kept(value as string) : (value as string))
    case 'date':
    case 'timestamp':
      return value => {
        const text = formatText(value, type)
        if (!/^\d{4}-/.test(text) || text.endsWith('BC')) {
          throw new RowError('FERRY-4001', `${text} is beyond the years 1 to 9999 of MySQL`)
        }
        return type.kind === 'timestamp' && type.zone ? text.slice(0, -3) : text
      }
    case 'interval':
      if (!native.startsWith('time')) return value => escaped(formatText(value, type))
      return value => {
        const { months, days, micros } = value as { months: number; days: number; micros: number | bigint }
        const most = 839 * 3_600_000_000
        if (months !== 0 || days !== 0 || micros >= most || micros <= -most) {
          throw new RowError('FERRY-4001', `${formatText(value, type)} is beyond MySQL's 838:59:59`)
        }
        return clock(Number(micros))
      }
    default: {
      const choices = choicesOf(native)
      if (choices) return value => escaped(chosen(formatText(value, type), native, choices))
      const isPadded = native.startsWith('char(')
      const length = Number(/^(?:var)?char\((\d+)\)/.exec(native)?.[1] ?? Infinity)
      return value => {
        const text = formatText(value, type)
        if (!text.isWellFormed()) throw new RowError('FERRY-4001', 'the text has half a surrogate pair')
        if (text.length > length && codePoints(text) > length) {
          throw new RowError('FERRY-4001', `the text is longer than ${length} characters (${typeName(type)})`)
        }
        if (isPadded && text.endsWith(' ')) {
          throw new RowError('FERRY-4001', `${native} would leave out the spaces at the end of ${quoteShort(text)}`)
        }
        return escaped(text)
      }
    }
  }
}

/** JSON that MySQL's own type keeps: it has 64-bit numbers, and one value of a member. */
function kept(text: string): string {
  if (hasMemberTwice(text)) throw new RowError('FERRY-4001', `a member stands twice in ${quoteShort(text)}`)
  for (const [number] of text.replace(/"(?:[^"\\]|\\.)*"/g, '').matchAll(/-?\d[\d.eE+-]*/g)) {
    const whole = /^-?\d+$/.test(number) ? BigInt(number) : undefined
    const fits = whole !== undefined && whole >= -(2n ** 63n) && whole < 2n ** 64n
    if (fits || plain(String(Number(number))) === plain(number)) continue
    throw new RowError('FERRY-4001', `MySQL would round ${number} in JSON`)
  }
  return text
}

function plain(number: string): string {
  return withoutTrailingZeros(normalDecimal(number) ?? number)
}

/** The texts that an ENUM or a SET is declared with. */
function choicesOf(native: string): string[] | undefined {
  if (!/^(enum|set)\(/i.test(native)) return undefined
  return [...native.matchAll(/'((?:[^']|'')*)'/g)].map(m => m[1]!.replaceAll("''", "'"))
}

/** The server would take `A` for `a`, `2` for the second one, and sort a set. */
function chosen(text: string, native: string, choices: string[]): string {
  const isSet = /^set/i.test(native)
  const parts = isSet ? (text === '' ? [] : text.split(',')) : [text]
  const places = parts.map(part => choices.indexOf(part))
  if (places.every((at, i) => at >= 0 && (i === 0 || at > places[i - 1]!))) return text
  throw new RowError('FERRY-4001', `${quoteShort(text)} is not ${isSet ? 'a set' : 'one'} of ${native.slice(0, 200)}`)
}

const SPECIAL = /[\\\t\n\0]/
const ESCAPES: Record<string, string> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\0': '\\0' }

function escaped(text: string): string {
  return SPECIAL.test(text) ? text.replace(/[\\\t\n\0]/g, c => ESCAPES[c]!) : text
}

function clock(micros: number): string {
  const rest = Math.abs(micros)
  const seconds = Math.floor(rest / 1e6)
  const two = (n: number) => String(n).padStart(2, '0')
  const text = `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`
  return `${micros < 0 ? '-' : ''}${text}.${String(rest % 1e6).padStart(6, '0')}`
}

export class LoadEncoder {
  private readonly encoders: Encoder[]
  private readonly columns: WrittenColumn[]
  private readonly required: boolean[]
  private text = ''

  /** Columns of which `required` is true are keys: a row without one is refused. */
  constructor(columns: WrittenColumn[], required: boolean[]) {
    this.columns = columns
    this.encoders = columns.map(encoderOf)
    this.required = required
  }

  get size(): number {
    return this.text.length
  }

  row(row: Row): void {
    let line = ''
    for (let i = 0; i < this.encoders.length; i++) {
      const value = row[i]!
      if (i > 0) line += '\t'
      if (value === null) {
        if (this.required[i]) throw this.named(new RowError('FERRY-4001', 'a merge key has no value'), i)
        line += '\\N'
        continue
      }
      try {
        line += this.encoders[i]!(value)
      } catch (error) {
        throw this.named(error, i)
      }
    }
    this.text += `${line}\n`
  }

  take(): Buffer {
    const bytes = Buffer.from(this.text)
    this.text = ''
    return bytes
  }

  private named(error: unknown, at: number): unknown {
    if (!(error instanceof RowError)) return error
    const { name } = this.columns[at]!
    return new RowError(error.code, `column ${name}: ${error.message}`, name)
  }
}

/** The part of LOAD DATA that assigns the fields to columns. */
export function fieldsInto(columns: WrittenColumn[], quote: (name: string) => string): string {
  const targets = columns.map((c, i) => (setter(c) === undefined ? quote(c.name) : `@ferry${i}`))
  const set = columns.flatMap((c, i) => {
    const made = setter(c)
    return made === undefined ? [] : [`${quote(c.name)} = ${made(`@ferry${i}`)}`]
  })
  return `(${targets.join(', ')})${set.length > 0 ? ` SET ${set.join(', ')}` : ''}`
}

function setter({ type, native }: WrittenColumn): ((field: string) => string) | undefined {
  if (isGeometry(native)) return field => `ST_GeomFromWKB(UNHEX(${field}))`
  if (type.kind === 'binary') return field => `UNHEX(${field})`
  return native.startsWith('bit') ? field => `CAST(${field} AS UNSIGNED)` : undefined
}
