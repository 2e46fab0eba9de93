/** What a CSV file's columns are, found out from its first records. */
import { type CsvRecord, parseRecords } from '../../batch/csv.ts'
import type { CsvDialect } from '../../batch/encoding.ts'
import { merge, typeOfText } from '../../batch/infer.ts'
import { type LogicalType, utf8 } from '../../batch/types.ts'
import type { ReadOptions } from './options.ts'

export interface CsvShape {
  dialect: CsvDialect
  header: boolean
  names: string[]
  types: LogicalType[]
}

/** Dialect, header and column types of a CSV, from its beginning (whole records). */
export function inferCsv(text: string, options: ReadOptions, named: { delimiter?: string }): CsvShape {
  const base = {
    quote: options.quote,
    escape: options.escape ?? options.quote,
    nullText: options.nullText,
    encoding: 'utf-8',
  }
  const delimiter =
    options.delimiter ?? named.delimiter ?? (options.format === 'tsv' ? '\t' : findDelimiter(text, base))
  const dialect: CsvDialect = { ...base, delimiter }
  const records = take(parseRecords(text, dialect, 1), options.sample + 1)
  const first = records[0]?.fields ?? []
  const header = options.header ?? looksLikeHeader(records)
  const rows = header ? records.slice(1) : records
  const names = header ? uniqueNames(first) : first.map((_, i) => `column${i + 1}`)
  const types = names.map((_, i) => {
    let type: LogicalType | undefined
    for (const { fields } of rows) {
      const value = fields[i]
      if (value === null || value === undefined) continue
      type = merge(type, typeOfText(value))
      if (type.kind === 'utf8') break
    }
    return type ?? utf8
  })
  return { dialect, header, names, types }
}

function take<T>(items: Iterable<T>, most: number): T[] {
  const taken: T[] = []
  for (const item of items) {
    taken.push(item)
    if (taken.length >= most) break
  }
  return taken
}

/** The delimiter under which most records have the same number of fields, more than one. */
function findDelimiter(text: string, base: Omit<CsvDialect, 'delimiter'>): string {
  let best = ','
  let bestScore = 0
  for (const delimiter of [',', ';', '\t', '|']) {
    let records: CsvRecord[]
    try {
      records = take(parseRecords(text, { ...base, delimiter }, 1), 100)
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

/** A first record of distinct, non-empty texts that are no values is a header. */
function looksLikeHeader(records: CsvRecord[]): boolean {
  const first = records[0]?.fields ?? []
  if (first.some(f => f === null || f === '' || typeOfText(f).kind !== 'utf8')) return false
  return new Set(first).size === first.length
}

function uniqueNames(fields: (string | null)[]): string[] {
  const seen = new Map<string, number>()
  return fields.map((field, i) => {
    const name = (i === 0 ? field?.replace(/^\uFEFF/, '') : field)?.trim() || `column${i + 1}`
    const count = (seen.get(name) ?? 0) + 1
    seen.set(name, count)
    return count === 1 ? name : `${name}_${count}`
  })
}
