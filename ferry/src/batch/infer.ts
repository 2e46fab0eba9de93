/** Types found out from texts: strict, so that nothing is altered by a guess. */
import { elements } from './json.ts'
import { significantDigits } from './text.ts'
import { parseDate, parseTimestamp } from './time.ts'
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
} from './types.ts'

const INT = /^(0|-?[1-9]\d{0,18})$/
const FLOAT = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** The narrowest type whose text form is exactly the text: `007` and `+1` are texts, not numbers. */
export function typeOfText(text: string): LogicalType {
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
export function merge(a: LogicalType | undefined, b: LogicalType): LogicalType {
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

/** Columns of JSON objects, from their members' texts: nested objects stay JSON, arrays of plain values become lists. */
export function inferJson(
  objects: [string, string][][],
  options: { instants: boolean } = { instants: true },
): { name: string; type: LogicalType }[] {
  const types = new Map<string, LogicalType | undefined>()
  for (const members of objects) {
    for (const [name, text] of members) {
      if (text === 'null') {
        if (!types.has(name)) types.set(name, undefined)
      } else types.set(name, merge(types.get(name), typeOfJson(text, options.instants)))
    }
  }
  return [...types].map(([name, type]) => ({ name, type: type ?? utf8 }))
}

function typeOfJson(text: string, instants: boolean): LogicalType {
  const first = text[0]
  if (first === '{') return json
  if (first === '[') {
    let item: LogicalType | undefined
    for (const element of elements(text)) {
      if (element !== 'null') item = merge(item, typeOfJson(element, instants))
    }
    if (item === undefined) return { kind: 'list', item: EMPTY }
    return item.kind === 'json' || item.kind === 'list' ? json : { kind: 'list', item }
  }
  if (first === '"') {
    if (!instants) return utf8
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
