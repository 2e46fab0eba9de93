/** Infers from the first records of a CSV file: dialect, header, names and types, each reported as a guess. */
import { type CsvRecord, parseRecords } from '../batch/csv.ts'
import type { CsvDialect } from '../batch/encoding.ts'
import { isNumber, mergeGuess, typeOfText } from '../batch/infer.ts'
import { type LogicalType, typeName, utf8 } from '../batch/types.ts'
import { FerryError } from '../errors.ts'
import type { ReadOptions } from './options.ts'

export interface CsvShape {
  dialect: CsvDialect
  header: boolean
  names: string[]
  types: LogicalType[]
  /** What was inferred, for people. */
  guesses: string[]
}

/** The first line that states the delimiter for Excel: https://support.microsoft.com (text files with `sep=`). */
const SEPARATOR_LINE = /^sep=(.)\r?(?:\n|$)/i

export interface Sampled {
  /** The file's name, for messages. */
  path: string
  /** The delimiter by the file's name. */
  delimiter?: string
  /** Whether the text is all that there is; else its last record may be cut off. */
  isWhole: boolean
}

/** Dialect, header and columns of a CSV, from its beginning. Throws FERRY-4007 if it cannot be inferred whether there is a header. */
export function inferCsv(text: string, options: ReadOptions, sampled: Sampled): CsvShape {
  const guesses: string[] = []
  const base = {
    quote: options.quote,
    escape: options.escape ?? options.quote,
    nullText: options.nullText,
    encoding: 'utf-8',
  }
  const separator = SEPARATOR_LINE.exec(text)
  let rest = separator ? text.slice(separator[0].length) : text
  if (options.header !== false) {
    const empty = /^(\r?\n)+/.exec(rest)?.[0] ?? ''
    rest = rest.slice(empty.length)
    if (empty !== '') guesses.push('the empty lines before the header are no records')
  }
  const named = separator?.[1] ?? sampled.delimiter ?? (options.format === 'tsv' ? '\t' : undefined)
  const delimiter = options.delimiter ?? named ?? findDelimiter(rest, base, sampled.isWhole)
  if (options.delimiter === undefined) guesses.push(`delimiter ${JSON.stringify(delimiter)}`)
  const dialect: CsvDialect = { ...base, delimiter }
  const records = sample(rest, dialect, options.sample + 1, sampled.isWhole)
  const header = options.header ?? findHeader(records, sampled.path)
  if (options.header === undefined && records.length > 0) {
    guesses.push(header ? 'the first record names the columns' : 'no header: the first record is a row')
  }
  const first = records[0]?.fields ?? []
  const rows = header ? records.slice(1) : records
  const names = namesOf(first, header, options, guesses, sampled.path)
  const types = names.map((_, i) => typeOfColumn(rows, i) ?? utf8)
  const found = names.flatMap((name, i) => (options.types?.[name] ? [] : [`${name} ${typeName(types[i]!)}`]))
  if (found.length > 0) guesses.push(`types of ${rows.length} records: ${found.join(', ')}`)
  return { dialect, header, names, types, guesses }
}

/** The first records; one that the sample cuts off is left out. */
function sample(text: string, dialect: CsvDialect, most: number, isWhole: boolean): CsvRecord[] {
  const taken: CsvRecord[] = []
  try {
    for (const record of parseRecords(text, dialect, 1)) {
      taken.push(record)
      if (taken.length >= most) return taken
    }
  } catch (error) {
    // A quoted field that is not closed may continue after the sample.
    if (isWhole) throw error
    return taken
  }
  return isWhole ? taken : taken.slice(0, -1)
}

function typeOfColumn(rows: CsvRecord[], at: number): LogicalType | undefined {
  let type: LogicalType | undefined
  for (const { fields } of rows) {
    const value = fields[at]
    if (value === null || value === undefined) continue
    type = mergeGuess(type, typeOfText(value))
    if (type.kind === 'utf8') break
  }
  return type
}

/** The delimiter under which most records have the same number of fields, more than one. */
function findDelimiter(text: string, base: Omit<CsvDialect, 'delimiter'>, isWhole: boolean): string {
  let best = ','
  let bestScore = 0
  for (const delimiter of [',', ';', '\t', '|']) {
    let records: CsvRecord[]
    try {
      records = sample(text, { ...base, delimiter }, 100, isWhole)
    } catch {
      // Under this delimiter the quotes do not fit together.
      continue
    }
    const width = records[0]?.fields.length ?? 0
    const agreeing = records.filter(r => r.fields.length === width).length / Math.max(1, records.length)
    const score = width > 1 ? agreeing * 100 + Math.min(width, 50) : 0
    if (score > bestScore) {
      best = delimiter
      bestScore = score
    }
  }
  return best
}

/**
 * Whether the first record names the columns. Names are texts or whole numbers (`country,2023,2024`). A field that is of
 * another type than all below it is a name; a time, a fraction or a truth among others of its kind is a value. Where whole
 * there are numbers beside texts, and the rows below are like them, both can be true: Throws FERRY-4007.
 */
function findHeader(records: CsvRecord[], path: string): boolean {
  const [first, ...rest] = records
  if (!first) return false
  const found = first.fields.map((field, at) => ({
    field,
    type: field === null || field === '' ? undefined : typeOfText(field),
    below: typeOfColumn(rest, at),
  }))
  const texts = found.filter(f => f.type?.kind === 'utf8')
  const values = found.filter(f => f.type !== undefined && f.type.kind !== 'utf8')
  if (values.length === 0) return texts.length > 0
  const isOther = ({ type, below }: (typeof found)[number]) =>
    type !== undefined &&
    below !== undefined &&
    below.kind !== 'utf8' &&
    type.kind !== below.kind &&
    !(isNumber(type) && isNumber(below))
  if (found.some(isOther)) return true
  const isValue = ({ field, type }: (typeof found)[number]) => type!.kind !== 'int' || field!.startsWith('-')
  if (values.some(isValue) || (texts.length === 0 && values.every(v => v.below?.kind !== 'utf8'))) return false
  if (rest.length > 0 && isLikeRows(first, rest)) return false
  const shown = first.fields.map(f => f ?? '').join(', ')
  throw new FerryError(
    'FERRY-4007',
    `${path}: the first record (${shown.slice(0, 100)}) may name the columns, or be a row like the others`,
  )
}

/** A number that the next row continues to count from, or a text that occurs again in its column, belongs to a row. */
function isLikeRows(first: CsvRecord, rest: CsvRecord[]): boolean {
  return first.fields.some((field, at) => {
    if (field === null || field === '') return false
    const next = rest[0]!.fields[at]
    if (/^\d{1,15}$/.test(field) && next && Number(next) === Number(field) + 1) return true
    return typeOfText(field).kind === 'utf8' && rest.some(r => r.fields[at] === field)
  })
}

/** The columns' names: those that the options give, else the header's, made unique if they are empty or occur twice. */
function namesOf(
  first: (string | null)[],
  header: boolean,
  options: ReadOptions,
  guesses: string[],
  path: string,
): string[] {
  if (options.names) {
    if (first.length === 0 || options.names.length === first.length) return options.names
    const message = `${path}: ${options.names.length} names are given, and its records have ${first.length} fields`
    throw new FerryError('FERRY-4002', message, { hint: 'Give read.names one name for each field.' })
  }
  if (!header) return first.map((_, i) => `column${i + 1}`)
  const names = uniqueNames(first)
  const made = names.filter((name, i) => name !== (first[i] ?? ''))
  if (made.length > 0) guesses.push(`names made for columns without one of their own: ${made.join(', ')}`)
  return names
}

/** Names of a header; `column3` where one is empty, `total_2` where one comes again. */
export function uniqueNames(fields: (string | null)[]): string[] {
  const taken = new Set(fields)
  const seen = new Set<string>()
  return fields.map((field, i) => {
    // A name is what it is, blanks too; one of blanks alone is none.
    const own = field?.trim() ? field : `column${i + 1}`
    let name = own
    for (let count = 2; seen.has(name) || (name !== own && taken.has(name)); count++) name = `${own}_${count}`
    seen.add(name)
    return name
  })
}
