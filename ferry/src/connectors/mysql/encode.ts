/** Values as LOAD DATA reads them: tabs between fields, a backslash before what would mean something, `\N` for null. */
import { codePoints, formatText } from '../../batch/text.ts'
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
    case 'binary':
      return value => Buffer.from(value as Uint8Array).toString('hex')
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
      const length = Number(/^(?:var)?char\((\d+)\)/.exec(native)?.[1] ?? Infinity)
      return value => {
        const text = formatText(value, type)
        if (!text.isWellFormed()) throw new RowError('FERRY-4001', 'the text has half a surrogate pair')
        if (text.length > length && codePoints(text) > length) {
          throw new RowError('FERRY-4001', `the text is longer than ${length} characters (${typeName(type)})`)
        }
        return escaped(text)
      }
    }
  }
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

/** The part of LOAD DATA that says what becomes of the fields. */
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
