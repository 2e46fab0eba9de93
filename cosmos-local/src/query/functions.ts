/** The functions of the query language. A function of values it is not made for gives undefined. */
import { equal, order, type Value } from './values.ts'

type Fn = (...values: Value[]) => Value

const isNumber = (v: Value): v is number => typeof v === 'number'
const isText = (v: Value): v is string => typeof v === 'string'

/** A function of numbers only. */
const math =
  (f: (...n: number[]) => number): Fn =>
  (...values) => {
    if (!values.every(isNumber)) return undefined
    const result = f(...values)
    return Number.isFinite(result) ? result : undefined
  }

/** A function of texts, the other arguments as they are. */
const text =
  (count: number, f: (texts: string[], rest: Value[]) => Value): Fn =>
  (...values) => {
    const texts = values.slice(0, count)
    return texts.length === count && texts.every(isText) ? f(texts, values.slice(count)) : undefined
  }

const insensitive = (s: string, flag: Value) => (flag === true ? s.toLowerCase() : s)
const round = (n: number) => (n < 0 ? -Math.round(-n) : Math.round(n))

const dateParts: Record<string, (d: Date) => number> = {
  yyyy: d => d.getUTCFullYear(),
  mm: d => d.getUTCMonth() + 1,
  dd: d => d.getUTCDate(),
  hh: d => d.getUTCHours(),
  mi: d => d.getUTCMinutes(),
  ss: d => d.getUTCSeconds(),
  ms: d => d.getUTCMilliseconds(),
}
const PART_NAMES: Record<string, string> = {
  year: 'yyyy',
  yyyy: 'yyyy',
  yy: 'yyyy',
  month: 'mm',
  mm: 'mm',
  m: 'mm',
  day: 'dd',
  dd: 'dd',
  d: 'dd',
  hour: 'hh',
  hh: 'hh',
  minute: 'mi',
  mi: 'mi',
  n: 'mi',
  second: 'ss',
  ss: 'ss',
  s: 'ss',
  millisecond: 'ms',
  ms: 'ms',
}
const PART_MS: Record<string, number> = { dd: 86_400_000, hh: 3_600_000, mi: 60_000, ss: 1000, ms: 1 }

/** Date and time as the service writes them, with seven digits behind the point. */
const stamp = (d: Date) => (Number.isNaN(d.getTime()) ? undefined : d.toISOString().replace('Z', '0000Z'))

function addToDate(part: Value, amount: Value, at: Value): Value {
  if (!isText(part) || !isNumber(amount) || !isText(at)) return undefined
  const name = PART_NAMES[part.toLowerCase()]
  const date = new Date(at)
  if (name === 'yyyy') date.setUTCFullYear(date.getUTCFullYear() + amount)
  else if (name === 'mm') date.setUTCMonth(date.getUTCMonth() + amount)
  else if (name !== undefined) date.setTime(date.getTime() + amount * PART_MS[name]!)
  else return undefined
  return stamp(date)
}

function dateDifference(part: Value, from: Value, to: Value): Value {
  if (!isText(part) || !isText(from) || !isText(to)) return undefined
  const name = PART_NAMES[part.toLowerCase()]
  const [a, b] = [new Date(from), new Date(to)]
  if (name === undefined || Number.isNaN(a.getTime()) || Number.isNaN(b.getTime())) return undefined
  const years = b.getUTCFullYear() - a.getUTCFullYear()
  if (name === 'yyyy') return years
  if (name === 'mm') return years * 12 + b.getUTCMonth() - a.getUTCMonth()
  const unit = PART_MS[name]!
  return Math.floor(b.getTime() / unit) - Math.floor(a.getTime() / unit)
}

const list =
  (f: (items: Value[], ...rest: Value[]) => Value): Fn =>
  (items, ...rest) =>
    Array.isArray(items) ? f(items, ...rest) : undefined
const has = (items: Value[], wanted: Value) => items.some(item => equal(item, wanted) === true)

function contains(items: Value[], wanted: Value, partial: Value): Value {
  if (wanted === undefined) return undefined
  if (partial !== true || wanted === null || typeof wanted !== 'object' || Array.isArray(wanted))
    return has(items, wanted)
  return items.some(
    item =>
      item !== null &&
      typeof item === 'object' &&
      !Array.isArray(item) &&
      Object.entries(wanted).every(([k, v]) => equal((item as Record<string, Value>)[k], v) === true),
  )
}

function pattern(expression: string, flags: Value): RegExp | undefined {
  try {
    return new RegExp(expression, isText(flags) ? flags.replaceAll(/[^ims]/g, '') : '')
  } catch {
    return undefined
  }
}

const parsed = (f: (s: string) => Value): Fn => text(1, ([s]) => f(s!))

export const FUNCTIONS: Record<string, Fn> = {
  ABS: math(Math.abs),
  ACOS: math(Math.acos),
  ASIN: math(Math.asin),
  ATAN: math(Math.atan),
  ATN2: math(Math.atan2),
  CEILING: math(Math.ceil),
  COS: math(Math.cos),
  COT: math(n => 1 / Math.tan(n)),
  DEGREES: math(n => (n * 180) / Math.PI),
  EXP: math(Math.exp),
  FLOOR: math(Math.floor),
  LOG: math((n, base) => (base === undefined ? Math.log(n) : Math.log(n) / Math.log(base))),
  LOG10: math(Math.log10),
  PI: () => Math.PI,
  POWER: math((a, b) => a ** b),
  RADIANS: math(n => (n * Math.PI) / 180),
  RAND: () => Math.random(),
  ROUND: math((n, digits) => (digits === undefined ? round(n) : round(n * 10 ** digits) / 10 ** digits)),
  SIGN: math(Math.sign),
  SIN: math(Math.sin),
  SQRT: math(Math.sqrt),
  SQUARE: math(n => n * n),
  TAN: math(Math.tan),
  TRUNC: math(Math.trunc),
  INTADD: math((a, b) => a + b),
  INTSUB: math((a, b) => a - b),
  INTMUL: math((a, b) => a * b),
  INTDIV: math((a, b) => Math.trunc(a / b)),
  INTMOD: math((a, b) => a % b),
  NUMBERBIN: math((n, size) => Math.floor(n / (size ?? 1)) * (size ?? 1)),

  IS_ARRAY: v => Array.isArray(v),
  IS_BOOL: v => typeof v === 'boolean',
  IS_DEFINED: v => v !== undefined,
  IS_NULL: v => v === null,
  IS_NUMBER: v => isNumber(v),
  IS_FINITE_NUMBER: v => Number.isFinite(v),
  IS_INTEGER: v => Number.isInteger(v),
  IS_OBJECT: v => v !== null && typeof v === 'object' && !Array.isArray(v),
  IS_PRIMITIVE: v => v !== undefined && (v === null || typeof v !== 'object'),
  IS_STRING: v => isText(v),

  CONCAT: (...values) => (values.every(isText) ? values.join('') : undefined),
  CONTAINS: text(2, ([s, part], [flag]) => insensitive(s!, flag).includes(insensitive(part!, flag))),
  STARTSWITH: text(2, ([s, part], [flag]) => insensitive(s!, flag).startsWith(insensitive(part!, flag))),
  ENDSWITH: text(2, ([s, part], [flag]) => insensitive(s!, flag).endsWith(insensitive(part!, flag))),
  STRINGEQUALS: text(2, ([a, b], [flag]) => insensitive(a!, flag) === insensitive(b!, flag)),
  INDEX_OF: text(2, ([s, part], [from]) => s!.indexOf(part!, isNumber(from) ? from : 0)),
  LENGTH: text(1, ([s]) => [...s!].length),
  LOWER: text(1, ([s]) => s!.toLowerCase()),
  UPPER: text(1, ([s]) => s!.toUpperCase()),
  LTRIM: text(1, ([s]) => s!.trimStart()),
  RTRIM: text(1, ([s]) => s!.trimEnd()),
  TRIM: text(1, ([s]) => s!.trim()),
  REVERSE: text(1, ([s]) => [...s!].reverse().join('')),
  LEFT: text(1, ([s], [n]) => (isNumber(n) ? s!.slice(0, Math.max(0, n)) : undefined)),
  RIGHT: text(1, ([s], [n]) => (isNumber(n) ? (n <= 0 ? '' : s!.slice(-n)) : undefined)),
  REPLACE: text(3, ([s, from, to]) => s!.replaceAll(from!, to!)),
  REPLICATE: text(1, ([s], [n]) => (isNumber(n) && n >= 0 ? s!.repeat(n) : undefined)),
  SUBSTRING: text(1, ([s], [from, n]) =>
    isNumber(from) && isNumber(n) ? s!.slice(Math.max(0, from), Math.max(0, from) + Math.max(0, n)) : undefined,
  ),
  REGEXMATCH: text(2, ([s, expression], [flags]) => pattern(expression!, flags)?.test(s!)),
  STRINGJOIN: (items, by) => (Array.isArray(items) && items.every(isText) && isText(by) ? items.join(by) : undefined),
  STRINGSPLIT: text(2, ([s, by]) => s!.split(by!)),
  TOSTRING: v => (v === undefined ? undefined : isText(v) ? v : JSON.stringify(v)),
  STRINGTONUMBER: parsed(s => (s.trim() !== '' && Number.isFinite(Number(s)) ? Number(s) : undefined)),
  STRINGTOBOOLEAN: parsed(s => ({ true: true, false: false })[s.trim()]),
  STRINGTONULL: parsed(s => (s.trim() === 'null' ? null : undefined)),
  STRINGTOARRAY: parsed(s => json(s, Array.isArray)),
  STRINGTOOBJECT: parsed(s => json(s, v => v !== null && typeof v === 'object' && !Array.isArray(v))),

  ARRAY_CONCAT: (...lists) => (lists.every(l => Array.isArray(l)) ? lists.flat(1) : undefined),
  ARRAY_CONTAINS: list(contains),
  ARRAY_CONTAINS_ANY: (items, ...wanted) => (Array.isArray(items) ? wanted.some(w => has(items, w)) : undefined),
  ARRAY_CONTAINS_ALL: (items, ...wanted) => (Array.isArray(items) ? wanted.every(w => has(items, w)) : undefined),
  ARRAY_LENGTH: list(items => items.length),
  ARRAY_SLICE: list((items, from, n) => {
    if (!isNumber(from)) return undefined
    const start = from < 0 ? Math.max(0, items.length + from) : from
    return items.slice(start, isNumber(n) ? start + Math.max(0, n) : undefined) as Value
  }),
  SETINTERSECT: (a, b) =>
    (Array.isArray(a) && Array.isArray(b) ? unique(a).filter(v => has(b, v)) : undefined) as Value,
  SETUNION: (a, b) => (Array.isArray(a) && Array.isArray(b) ? unique([...a, ...b]) : undefined) as Value,
  CHOOSE: (n, ...values) => (isNumber(n) ? values[n - 1] : undefined),
  IIF: (condition, yes, no) => (condition === true ? yes : no),
  OBJECTTOARRAY: v =>
    v !== null && typeof v === 'object' && !Array.isArray(v)
      ? Object.entries(v).map(([k, value]) => ({ k, v: value }))
      : undefined,

  GETCURRENTDATETIME: () => stamp(new Date()),
  GETCURRENTTIMESTAMP: () => Date.now(),
  GETCURRENTTICKS: () => Date.now() * 10_000,
  DATETIMEADD: addToDate,
  DATETIMEDIFF: dateDifference,
  DATETIMEPART: (part, at) =>
    isText(part) && isText(at) ? dateParts[PART_NAMES[part.toLowerCase()] ?? '']?.(new Date(at)) : undefined,
  DATETIMETOTIMESTAMP: text(1, ([at]) => finite(new Date(at!).getTime())),
  DATETIMETOTICKS: text(1, ([at]) => finite(new Date(at!).getTime() * 10_000)),
  TIMESTAMPTODATETIME: ms => (isNumber(ms) ? stamp(new Date(ms)) : undefined),
  TICKSTODATETIME: ticks => (isNumber(ticks) ? stamp(new Date(ticks / 10_000)) : undefined),
  DATETIMEFROMPARTS: (...parts) => {
    if (parts.length < 3 || !parts.every(isNumber)) return undefined
    const [year, month, day, hour = 0, minute = 0, second = 0, ticks = 0] = parts
    return stamp(new Date(Date.UTC(year!, month! - 1, day, hour, minute, second, ticks / 10_000)))
  },
}

function finite(n: number): Value {
  return Number.isFinite(n) ? n : undefined
}

function json(s: string, fits: (value: unknown) => boolean): Value {
  try {
    const value = JSON.parse(s) as Value
    return fits(value) ? value : undefined
  } catch {
    return undefined
  }
}

function unique(items: Value[]): Value[] {
  return items.filter((item, i) => items.findIndex(other => equal(other, item) === true) === i)
}

/** Aggregates over the values of a group; undefined where the group has none that count. */
export const AGGREGATIONS: Record<string, (values: Value[]) => Value> = {
  COUNT: values => values.filter(v => v !== undefined).length,
  SUM: values => {
    const defined = values.filter(v => v !== undefined)
    return defined.every(isNumber) ? defined.reduce((a, b) => a + b, 0) : undefined
  },
  AVG: values => {
    const defined = values.filter(v => v !== undefined)
    return defined.length > 0 && defined.every(isNumber)
      ? defined.reduce((a, b) => a + b, 0) / defined.length
      : undefined
  },
  MIN: values => extreme(values, -1),
  MAX: values => extreme(values, 1),
}

function extreme(values: Value[], sign: number): Value {
  let best: Value
  for (const value of values) {
    if (value !== undefined && (best === undefined || order(value, best) * sign > 0)) best = value
  }
  return best
}
