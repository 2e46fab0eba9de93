/** Types found out from texts: strict, so that nothing is altered by a guess. */
import { DATE, INT, NUMBER, TIMESTAMP, UUID, ZONE } from './guess.ts'
import { elements } from './json.ts'
import { isExactFloat, normalDecimal } from './text.ts'
import { parseDate, parseTimestamp } from './time.ts'
import {
  bool,
  date,
  float64,
  int64,
  json,
  type LogicalType,
  numeric,
  sameType,
  timestamp,
  timestamptz,
  utf8,
  uuid,
} from './types.ts'

/** Whole numbers that a double does not hold: beside fractions they need a type that keeps all digits. */
const WIDE: LogicalType = { ...int64 }

export const isNumber = ({ kind }: LogicalType) => kind === 'int' || kind === 'float' || kind === 'numeric'

/** The narrowest type whose text form is exactly the text: `007` and `+1` are texts, not numbers. */
export function typeOfText(text: string): LogicalType {
  if (INT.test(text)) {
    const value = BigInt(text)
    if (value < -(2n ** 63n) || value >= 2n ** 63n) return numeric
    return value > 2n ** 53n || value < -(2n ** 53n) ? WIDE : int64
  }
  if (NUMBER.test(text)) {
    if (isExactFloat(text, 64)) return float64
    return normalDecimal(text) === undefined ? utf8 : numeric
  }
  if (text === 'true' || text === 'false') return bool
  if (DATE.test(text)) return parseDate(text) === undefined ? utf8 : date
  if (TIMESTAMP.test(text)) {
    const zone = ZONE.test(text.slice(19))
    return parseTimestamp(text, 'us', zone) === undefined ? utf8 : zone ? timestamptz : timestamp
  }
  return UUID.test(text) ? uuid : utf8
}

/** The type that holds values of both, each of them exactly. */
export function mergeGuess(a: LogicalType | undefined, b: LogicalType): LogicalType {
  if (a === undefined) return b
  if (isNumber(a) && isNumber(b)) {
    if (a.kind === 'numeric' || b.kind === 'numeric') return numeric
    if (a.kind === b.kind) return b === WIDE ? b : a
    return a === WIDE || b === WIDE ? numeric : float64
  }
  if (a.kind === 'list' && b.kind === 'list' && (a.item === EMPTY || b.item === EMPTY)) return a.item === EMPTY ? b : a
  if (sameType(a, b)) return a
  if (a.kind === 'list' && b.kind === 'list') {
    const item = mergeItems(a.item, b.item)
    return item === json ? json : { kind: 'list', item }
  }
  const nested = ['json', 'list'].includes(a.kind) || ['json', 'list'].includes(b.kind)
  return nested ? json : utf8
}

/**
 * Columns of JSON objects, from their members' texts: nested objects stay JSON, arrays of plain values become lists. Objects
 * are added one by one, so that it may be all of a file.
 */
export class MemberTypes {
  private readonly types = new Map<string, LogicalType | undefined>()
  private readonly instants: boolean

  /** `instants`: whether texts that are times become times. */
  constructor({ instants }: { instants: boolean } = { instants: true }) {
    this.instants = instants
  }

  add(members: [string, string][]): void {
    const { types } = this
    for (const [name, text] of members) {
      if (text === 'null') {
        if (!types.has(name)) types.set(name, undefined)
      } else types.set(name, mergeGuess(types.get(name), typeOfJson(text, this.instants)))
    }
  }

  get columns(): { name: string; type: LogicalType }[] {
    return [...this.types].map(([name, type]) => ({ name, type: type ?? utf8 }))
  }
}

function typeOfJson(text: string, instants: boolean): LogicalType {
  const first = text[0]
  if (first === '{') return json
  if (first === '[') {
    let item: LogicalType | undefined
    for (const element of elements(text)) {
      // However deep arrays go, nothing calls itself more than once.
      if (element[0] === '[' || element[0] === '{') return json
      if (element !== 'null') item = mergeItems(item, typeOfJson(element, instants))
    }
    if (item === undefined) return { kind: 'list', item: EMPTY }
    return item.kind === 'json' ? json : { kind: 'list', item }
  }
  if (first === '"') {
    if (!instants) return utf8
    // Of strings only instants are recognised: digits in quotes are meant to be text.
    const type = typeOfText(JSON.parse(text) as string)
    return type.kind === 'timestamp' || type.kind === 'date' ? type : utf8
  }
  const type = typeOfText(text)
  // A number with an exponent beyond all types keeps its digits as JSON.
  return type.kind === 'utf8' ? json : type
}

/** The type of an array's items: if only some are texts, only JSON distinguishes them. */
function mergeItems(a: LogicalType | undefined, b: LogicalType): LogicalType {
  const item = mergeGuess(a, b)
  const isText = (type: LogicalType) => type.kind === 'utf8' || type.kind === 'date' || type.kind === 'timestamp'
  return item.kind === 'utf8' && a !== undefined && !(isText(a) && isText(b)) ? json : item
}

/** Stands for the items of an array that was always empty, until one with items is seen. */
const EMPTY: LogicalType = { kind: 'utf8' }
