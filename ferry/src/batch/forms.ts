/** Texts of dates, times and numbers in the forms of .NET: a format, and a culture such as `de-DE`. */
import { FerryError, RowError } from '../errors.ts'
import { type Converter, converter } from './convert.ts'
import { culture, localeOf } from './dates/culture.ts'
import { exactParser } from './dates/exact.ts'
import { formatInstant } from './dates/format.ts'
import { type Instant, isInRange } from './dates/instant.ts'
import { parseInstant } from './dates/parse.ts'
import { formatSpan, parseSpan, requireSpanFormat } from './dates/spans.ts'
import { escaped } from './escaped.ts'
import { quoteShort } from './quote.ts'
import { formatText, parseText } from './text.ts'
import { rescale } from './time.ts'
import { type Interval, type LogicalType, typeName, utf8, type Value } from './types.ts'

export interface TextForm {
  /** Of dates and times: .NET's. Undefined for what the culture writes. */
  format?: string
  /** `en-US` where it is undefined. */
  culture?: string
}

/** How a column goes through texts: what a text is read as, and how the value is written as a text. */
export interface TextForms {
  /** The type between the two. */
  as: LogicalType
  /** Undefined if the source is of the type itself. */
  parse?: TextForm
  /** Undefined if the destination is of a type. */
  print?: TextForm
}

const NUMBERS = ['int', 'float', 'decimal', 'numeric']
const DATES = ['date', 'time', 'timestamp', 'interval']

export const isDate = (type: LogicalType): boolean => DATES.includes(type.kind)

/** Whether values of a type have texts of several forms. */
export const hasForms = (type: LogicalType): boolean => NUMBERS.includes(type.kind) || isDate(type)

/** The format of a type, where formats are given by `date`, `time`, `timestamp`, `timestamptz` and `interval`. */
export function formatOf(type: LogicalType, formats: { [kind: string]: unknown }): string | undefined {
  const format = formats[type.kind === 'timestamp' && type.zone ? 'timestamptz' : type.kind]
  return typeof format === 'string' ? format : undefined
}

/** Throws FERRY-1003 for a format that cannot be read, and a culture that nobody knows. */
export function requireForm({ format, culture: name }: TextForm, type: LogicalType): void {
  try {
    if (name !== undefined && isDate(type) && !isSpan(type)) culture(name)
    else if (name !== undefined && !isSpan(type)) marksOf(name)
    if (format === undefined) return
    if (isSpan(type)) requireSpanFormat(format)
    else if (isDate(type)) exactParser(format, name)
    else throw new FerryError('FERRY-1003', `${typeName(type)} has no formats`)
  } catch (error) {
    if (!(error instanceof FerryError)) throw error
    throw new FerryError('FERRY-1003', error.message, { hint: error.hint, cause: error })
  }
}

const isSpan = (type: LogicalType) => type.kind === 'time' || type.kind === 'interval'

/** Values of the source's type as those of the destination's. */
export function formConverter(from: LogicalType, { as, parse, print }: TextForms, to: LogicalType): Converter {
  const read = parse ? reader(as, parse) : converter(from, as)
  const write = print ? printer(as, print) : undefined
  const fitted = print ? converter(utf8, to) : converter(as, to)
  return value => {
    if (value === null) return null
    const between = read ? read(value) : value
    const written = write && between !== null ? write(between) : between
    return fitted ? fitted(written) : written
  }
}

type NotNull = Exclude<Value, null>

function reader(as: LogicalType, form: TextForm): (value: NotNull) => Value {
  const parser = parserOf(as, form)
  return value => {
    // A format is of the whole text.
    const found = parser(form.format === undefined ? (value as string).trim() : (value as string))
    if (found !== undefined) return found
    const { format, culture: name } = form
    const said = [format && `format ${format}`, name && `culture ${name}`].filter(Boolean).join(', ')
    throw new RowError('FERRY-4001', `${quoteShort(value as string)} is no ${typeName(as)} (${said})`)
  }
}

function parserOf(as: LogicalType, { format, culture: name }: TextForm): (text: string) => Value | undefined {
  if (NUMBERS.includes(as.kind)) return text => numberOf(text, as, name)
  if (isSpan(as)) {
    return text => {
      const micros = parseSpan(text, format)
      if (micros === undefined) return undefined
      if (as.kind === 'interval') return { months: 0, days: 0, micros: smallest(micros) }
      return micros >= 0n && micros <= 86_400_000_000n ? Number(micros) : undefined
    }
  }
  const exact = format === undefined ? (text: string) => loose(text, name) : exactParser(format, name)
  return text => {
    const found = exact(text)
    return found && valueOf(found, as)
  }
}

function loose(text: string, name: string | undefined): Instant | undefined {
  // .NET keeps seven digits of a second: what is beyond them would be lost.
  if (/[.,]\d{7}\d*[1-9]/.test(text)) return undefined
  try {
    return parseInstant(text, name)
  } catch (error) {
    if (error instanceof FerryError) return undefined
    throw error
  }
}

const smallest = (n: bigint): number | bigint => (Number.isSafeInteger(Number(n)) ? Number(n) : n)

/** The moment as a value; what the type has no digits for is undefined. */
function valueOf({ ms, ticks }: Instant, as: LogicalType): Value | undefined {
  if (as.kind === 'date') return ticks === 0 && ms % 86_400_000 === 0 ? ms / 86_400_000 : undefined
  if (as.kind !== 'timestamp') return undefined
  const nanos = BigInt(ms) * 1_000_000n + BigInt(ticks) * 100n
  return rescale(nanos, 'ns', as.unit)
}

/** Undefined outside the years 1 to 9999, and for what has no form. */
function instantOfValue(value: NotNull, as: LogicalType): Instant | undefined {
  const found = momentOfValue(value, as)
  return found && isInRange(found) ? found : undefined
}

function momentOfValue(value: NotNull, as: LogicalType): Instant | undefined {
  if (value === Infinity || value === -Infinity) return undefined
  if (as.kind === 'date') return { ms: (value as number) * 86_400_000, ticks: 0, isUtc: false }
  if (as.kind !== 'timestamp') return undefined
  const perMs = { ms: 1n, us: 1000n, ns: 1_000_000n }[as.unit]
  const units = BigInt(value as number | bigint)
  const rest = ((units % perMs) + perMs) % perMs
  const ticks = (rest * 10_000n) / perMs
  if ((ticks * perMs) / 10_000n !== rest) return undefined
  return { ms: Number((units - rest) / perMs), ticks: Number(ticks), isUtc: as.zone }
}

function printer(as: LogicalType, form: TextForm): (value: NotNull) => string {
  const { format, culture: name } = form
  return value => {
    if (NUMBERS.includes(as.kind)) {
      const { decimal } = marksOf(name)
      return formatText(value, as).replace('.', decimal)
    }
    let text: string | undefined
    if (as.kind === 'time') text = value === 86_400_000_000 ? undefined : formatSpan(BigInt(value as number), format)
    else if (as.kind === 'interval') {
      const { months, days, micros } = value as Interval
      text = months === 0 ? formatSpan(BigInt(days) * 86_400_000_000n + BigInt(micros), format) : undefined
    } else {
      const instant = instantOfValue(value, as)
      if (instant) {
        try {
          const isWhole = instant.ms % 1000 === 0 && instant.ticks === 0
          // The format of the culture has no fractions of a second: they would be lost.
          if (format !== undefined || isWhole) text = formatInstant(instant, format ?? 'G', name)
        } catch (error) {
          if (!(error instanceof FerryError)) throw error
        }
      }
    }
    if (text !== undefined) return text
    throw new RowError(
      'FERRY-4001',
      `${formatText(value, as)} cannot be written as ${format ?? 'a text of the culture'}`,
    )
  }
}

interface Marks {
  decimal: string
  /** A number whose groups have three digits: its sign, its whole part, its decimals and its exponent. */
  number: RegExp
}

const marks = new Map<string, Marks>()

/** How a culture writes numbers. Throws FERRY-7003 for one that nobody knows, and for one of other digits. */
function marksOf(name = 'en-US'): Marks {
  const known = marks.get(name)
  if (known) return known
  const format = new Intl.NumberFormat(localeOf(name))
  if (format.resolvedOptions().numberingSystem !== 'latn') {
    throw new FerryError(
      'FERRY-7003',
      `numbers of the culture "${name}" have digits or marks that versions of .NET write in several ways`,
      {
        hint: 'Write them in another culture, such as en-US.',
      },
    )
  }
  const parts = format.formatToParts(1_234_567.5)
  const of = (type: string, other: string) => parts.find(p => p.type === type)?.value ?? other
  const decimal = of('decimal', '.')
  const group = of('group', ',')
  // Spaces of several widths stand between thousands.
  const between = /\s/.test(group) ? '[ \u00a0\u202f]' : escaped(group)
  const number = new RegExp(
    `^([+-]?)(\\d+|\\d{1,3}(?:${between}\\d{3})+)(?:${escaped(decimal)}(\\d+))?([eE][+-]?\\d+)?$`,
  )
  const found = { decimal, number }
  if (marks.size < 1000) marks.set(name, found)
  return found
}

/** A number with the marks of a culture; groups have to have three digits. */
function numberOf(text: string, as: LogicalType, name: string | undefined): Value | undefined {
  const { number } = marksOf(name)
  if (/^(NaN|-?Infinity)$/.test(text))
    return as.kind === 'float' || as.kind === 'numeric' ? parseText(text, as) : undefined
  const [whole, sign, digits, decimals, exponent = ''] = number.exec(text) ?? []
  if (whole === undefined) return undefined
  const plain = `${sign === '-' ? '-' : ''}${digits!.replaceAll(/\D/g, '')}${decimals === undefined ? '' : `.${decimals}`}${exponent}`
  return parseText(plain, as)
}
