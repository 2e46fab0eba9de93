/** What a text file's columns are, found out from its first records: strict, so that nothing is altered by a guess. */

import { type CsvRecord, parseRecords } from '../../batch/csv.ts'
import type { CsvDialect } from '../../batch/encoding.ts'
import { elements } from '../../batch/json.ts'
import { significantDigits } from '../../batch/text.ts'
import { parseDate, parseTimestamp } from '../../batch/time.ts'
import {
  bool,
  date,
  float64,
  int64,
  json,
  type LogicalType,
  sameType,
  timestamp,
  timestamptz,
  utf8,
  uuid,
} from '../../batch/types.ts'
import type { ReadOptions } from './options.ts'

const INT = /^(0|-?[1-9]\d{0,18})$/
const FLOAT = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** The narrowest type whose text form is exactly the text: `007` and `+1` are texts, not numbers. */
function typeOfText(text: string): LogicalType {
  if (INT.test(text)) {
    const value = BigInt(text)
    return value >= -(2n ** 63n) && value < 2n ** 63n ? int64 : utf8
  }
  if (FLOAT.test(text)) return significantDigits(text) <= 17 && Number.isFinite(Number(text)) ? float64 : utf8
  if (text === 'true' || text === 'false') return bool
  if (/^\d{4}-\d\d-\d\d$/.test(text)) return parseDate(text) === undefined ? utf8 : date
  if (/^\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d(:?\d\d)?)?$/.test(text)) {
    const zone = /(Z|[+-]\d\d(:?\d\d)?)$/.test(text.slice(19))
    return parseTimestamp(text, 'us', zone) === undefined ? utf8 : zone ? timestamptz : timestamp
  }
  return UUID.test(text) ? uuid : utf8
}

/** The type that holds values of both. */
function merge(a: LogicalType | undefined, b: LogicalType): LogicalType {
  if (a === undefined || sameType(a, b)) return b
  if (a.kind === 'int' && b.kind === 'float') return b
  if (a.kind === 'float' && b.kind === 'int') return a
  if (a.kind === 'list' && b.kind === 'list') {
    const item = merge(a.item, b.item)
    return { kind: 'list', item }
  }
  const nested = ['json', 'list'].includes(a.kind) || ['json', 'list'].includes(b.kind)
  return nested ? json : utf8
}

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

/** Columns of JSON objects, from their members' texts: nested objects stay JSON, arrays of plain values become lists. */
export function inferJson(objects: [string, string][][]): { name: string; type: LogicalType }[] {
  const types = new Map<string, LogicalType | undefined>()
  for (const members of objects) {
    for (const [name, text] of members) {
      if (text === 'null') {
        if (!types.has(name)) types.set(name, undefined)
      } else types.set(name, merge(types.get(name), typeOfJson(text)))
    }
  }
  return [...types].map(([name, type]) => ({ name, type: type ?? utf8 }))
}

function typeOfJson(text: string): LogicalType {
  const first = text[0]
  if (first === '{') return json
  if (first === '[') {
    let item: LogicalType | undefined
    for (const element of elements(text)) {
      if (element !== 'null') item = merge(item, typeOfJson(element))
    }
    if (item === undefined) return { kind: 'list', item: EMPTY }
    return item.kind === 'json' || item.kind === 'list' ? json : { kind: 'list', item }
  }
  if (first === '"') {
    // Of strings only instants are told apart: digits in quotes are meant to be text.
    const type = typeOfText(JSON.parse(text) as string)
    return type.kind === 'timestamp' || type.kind === 'date' ? type : utf8
  }
  const type = typeOfText(text)
  // A number too long for either machine type keeps its digits as JSON.
  return type.kind === 'utf8' ? json : type
}

/** Stands for the items of an array that was always empty, until one with items is seen. */
const EMPTY: LogicalType = { kind: 'utf8' }
