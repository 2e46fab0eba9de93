/**
 * Values as JSON and back, exact: numbers are taken from their digits and never through a double that cannot hold
 * them, `json` values keep their text, keys keep their order.
 */
import { RowError } from '../errors.ts'
import { isOfGuess, notAsGuessed } from './guess.ts'
import { quoteShort } from './quote.ts'
import { formatText, hasMemberTwice, normalDecimal, parseText, withoutTrailingZeros } from './text.ts'
import { type LogicalType, typeName, type Value } from './types.ts'

/** What becomes of NaN and the infinities, which JSON has no numbers for. */
export type NanAs = 'refuse' | 'null' | 'string'

/** The JSON text of a value; throws a RowError for what JSON cannot hold. */
export function toJson(value: Value, type: LogicalType, nan: NanAs = 'refuse'): string {
  if (value === null) return 'null'
  switch (type.kind) {
    case 'bool':
    case 'int':
      return String(value)
    case 'float':
    case 'decimal':
    case 'numeric': {
      const text = formatText(value, type)
      return /[NI]/.test(text) ? notANumber(text, nan) : text
    }
    case 'json':
      return value as string
    case 'binary': {
      const bytes = value as Uint8Array
      return `"${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')}"`
    }
    case 'timestamp': {
      const text = formatText(value, type)
      return `"${/^\d/.test(text) ? text.replace(' ', 'T').replace('+00', 'Z') : text}"`
    }
    case 'list':
    case 'struct':
    case 'map':
      return nestedToJson(value, type, nan)
    default:
      return quoted(wellFormed(formatText(value, type)))
  }
}

function notANumber(text: string, nan: NanAs): string {
  if (nan === 'null') return 'null'
  if (nan === 'string') return `"${text}"`
  throw new RowError('FERRY-4001', `JSON has no number for ${text}`, undefined, {
    hint: 'Say what becomes of it: write: { nan: null } or { nan: string }.',
  })
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what JSON escapes
const ESCAPED = /["\\\u0000-\u001f]/

/** A long text without anything to escape is not copied once more. */
function quoted(text: string): string {
  return text.length > 64 && !ESCAPED.test(text) ? `"${text}"` : JSON.stringify(text)
}

/** JSON.stringify would write a lone surrogate as an escape that other readers refuse: refuse it here, by name. */
function wellFormed(text: string): string {
  if (!text.isWellFormed()) throw new RowError('FERRY-4001', 'the text has half a surrogate pair')
  return text
}

/** The JSON text of a list, struct or map: an array, an object, an object (or array of pairs for keys that are no text). */
export function nestedToJson(
  value: Value,
  type: LogicalType & { kind: 'list' | 'struct' | 'map' },
  nan: NanAs = 'refuse',
): string {
  const values = value as Value[]
  if (type.kind === 'list') return `[${values.map(item => toJson(item, type.item, nan)).join(',')}]`
  if (type.kind === 'struct') {
    return `{${type.fields.map((f, i) => `${JSON.stringify(f.name)}:${toJson(values[i] ?? null, f.type, nan)}`).join(',')}}`
  }
  const pairs = values as [Value, Value][]
  if (type.key.kind === 'utf8') {
    return `{${pairs.map(([k, v]) => `${toJson(k, type.key)}:${toJson(v, type.value, nan)}`).join(',')}}`
  }
  return `[${pairs.map(([k, v]) => `[${toJson(k, type.key, nan)},${toJson(v, type.value, nan)}]`).join(',')}]`
}

/** A nested value from its JSON text, or undefined where the text is not JSON of that shape. */
export function parseNested(
  text: string,
  type: LogicalType & { kind: 'list' | 'struct' | 'map' },
): Value[] | undefined {
  try {
    JSON.parse(text)
  } catch {
    return undefined
  }
  return fromJson(text.trim(), type) as Value[]
}

/** What a value under a type begins with in JSON, where it has a form of its own there. */
const FORMS: Partial<Record<LogicalType['kind'], RegExp>> = {
  bool: /^[tf]/,
  int: /^[-\d]/,
  float: /^[-\d]/,
  numeric: /^[-\d]/,
  date: /^"/,
  timestamp: /^"/,
  uuid: /^"/,
}

/**
 * The value of one JSON text that is known to be valid, under a type. Of a type that is a guess (`guessed`) the value must
 * be as those were that it was guessed from: `"5"` is no number then.
 */
export function fromJson(text: string, type: LogicalType, guessed = false): Value {
  if (type.kind === 'json') {
    if (type.once && hasMemberTwice(text)) throw mismatch(text, 'without a member twice, of which one would be lost')
    return text
  }
  if (text === 'null') return null
  const first = text[0]
  switch (type.kind) {
    case 'list':
      if (first !== '[') throw mismatch(text, 'an array')
      return elements(text).map(item => {
        // Under texts a number would lose that it is one.
        if (guessed && type.item.kind === 'utf8' && !/^["n]/.test(item)) throw notAsGuessed(item, type.item)
        return fromJson(item, type.item, guessed)
      })
    case 'struct': {
      if (first !== '{') throw mismatch(text, 'an object')
      const all = members(text)
      const found = new Map(all)
      if (found.size < all.length) throw mismatch(text, `of ${typeName(type)}: a member stands twice`)
      const unknown = [...found.keys()].find(name => !type.fields.some(f => f.name === name))
      if (unknown !== undefined) throw mismatch(text, `of ${typeName(type)}: it has a member ${quoteShort(unknown)}`)
      return type.fields.map(f => {
        const item = found.get(f.name)
        return item === undefined ? null : fromJson(item, f.type)
      })
    }
    case 'map':
      if (first === '{') {
        return members(text).map(([k, v]) => [parseText(k, type.key), fromJson(v, type.value)])
      }
      if (first !== '[') throw mismatch(text, 'an object')
      return elements(text).map(pair => {
        const [k, v, more] = pair[0] === '[' ? elements(pair) : []
        if (k === undefined || v === undefined || more !== undefined) throw mismatch(pair, 'a pair of key and value')
        return [fromJson(k, type.key), fromJson(v, type.value)]
      })
    case 'binary':
      if (first !== '"') throw mismatch(text, 'a base64 string')
      return fromBase64(JSON.parse(text) as string)
    default:
      if (guessed && (FORMS[type.kind]?.test(text) === false || !isOfGuess(plain(text), type))) {
        throw notAsGuessed(text, type)
      }
      // A number or object under a text column keeps its own text.
      return first === '"' ? parseText(JSON.parse(text) as string, type) : parseText(text, type)
  }
}

/** A text without its quotes. */
function plain(text: string): string {
  return text.startsWith('"') ? (JSON.parse(text) as string) : text
}

function mismatch(text: string, wanted: string): RowError {
  return new RowError('FERRY-4001', `${text.length > 60 ? `${text.slice(0, 57)}...` : text} is not ${wanted}`)
}

function fromBase64(text: string): Buffer {
  const bytes = Buffer.from(text, 'base64')
  if (bytes.toString('base64').replace(/=+$/, '') !== text.replace(/=+$/, '')) throw mismatch(text, 'base64')
  return bytes
}

/** The members of a JSON object that is known to be valid: each key with the text of its value, in order. */
export function members(text: string): [string, string][] {
  return memberTexts(text).map(({ key, value }) => [
    key.includes('\\') ? (JSON.parse(key) as string) : key.slice(1, -1),
    value,
  ])
}

/** The same with the keys as they are written, quotes and escapes included. */
export function memberTexts(text: string): { key: string; value: string }[] {
  const found: { key: string; value: string }[] = []
  let at = skipSpace(text, skipSpace(text, 0) + 1)
  while (text[at] === '"') {
    const keyEnd = endOfString(text, at)
    const key = text.slice(at, keyEnd)
    const start = skipSpace(text, skipSpace(text, keyEnd) + 1)
    const end = endOfValue(text, start)
    found.push({ key, value: text.slice(start, end) })
    at = skipSpace(text, end)
    if (text[at] !== ',') break
    at = skipSpace(text, at + 1)
  }
  return found
}

/** What `plan` reports for JSON into JSON: a JSON null and no value are the same there. */
export function jsonNullNotes(columns: { name: string; sourceType: LogicalType; nullable: boolean }[]): string[] {
  const names = columns.flatMap(c => (c.sourceType.kind === 'json' && c.nullable ? [c.name] : []))
  return names.length === 0 ? [] : [`a JSON null in ${names.join(', ')} is written as no value`]
}

/** The texts of the elements of a JSON array that is known to be valid. */
export function elements(text: string): string[] {
  const found: string[] = []
  let at = skipSpace(text, skipSpace(text, 0) + 1)
  while (at < text.length && text[at] !== ']') {
    const end = endOfValue(text, at)
    found.push(text.slice(at, end))
    at = skipSpace(text, end)
    if (text[at] !== ',') break
    at = skipSpace(text, at + 1)
  }
  return found
}

function skipSpace(text: string, at: number): number {
  for (;;) {
    const c = text.charCodeAt(at)
    if (c !== 32 && c !== 9 && c !== 10 && c !== 13) return at
    at++
  }
}

function endOfString(text: string, at: number): number {
  for (;;) {
    const quote = text.indexOf('"', at + 1)
    let backslashes = 0
    while (text.charCodeAt(quote - 1 - backslashes) === 92) backslashes++
    if (backslashes % 2 === 0 || quote < 0) return quote < 0 ? text.length : quote + 1
    at = quote
  }
}

/**
 * Some members of a JSON object that is known to be valid, parsed; of the others nothing is looked at, and nothing behind
 * the last one that is found.
 */
export function someMembers(text: string, wanted: string[]): Record<string, unknown> {
  const found: Record<string, unknown> = {}
  let left = wanted.length
  let at = skipSpace(text, skipSpace(text, 0) + 1)
  while (left > 0 && text.charCodeAt(at) === 34) {
    const keyEnd = endOfString(text, at)
    const written = text.slice(at + 1, keyEnd - 1)
    const key = written.includes('\\') ? (JSON.parse(text.slice(at, keyEnd)) as string) : written
    const start = skipSpace(text, skipSpace(text, keyEnd) + 1)
    const end = endOfValue(text, start)
    if (wanted.includes(key)) {
      found[key] = JSON.parse(text.slice(start, end))
      left--
    }
    at = skipSpace(text, end)
    if (text.charCodeAt(at) !== 44) break
    at = skipSpace(text, at + 1)
  }
  return found
}

/** Right behind the value that begins at a place of a valid JSON text. */
export function endOfValue(text: string, at: number): number {
  const first = text.charCodeAt(at)
  if (first === 34) return endOfString(text, at)
  if (first !== 123 && first !== 91) {
    for (;;) {
      const c = text.charCodeAt(at)
      if (c === 44 || c === 93 || c === 125 || c <= 32 || Number.isNaN(c)) return at
      at++
    }
  }
  let depth = 0
  for (;;) {
    const c = text.charCodeAt(at)
    if (c === 34) at = endOfString(text, at) - 1
    else if (c === 123 || c === 91) depth++
    else if (c === 125 || c === 93) {
      if (--depth === 0) return at + 1
    } else if (Number.isNaN(c)) return at
    at++
  }
}

/** An array or an object that is not closed yet, with what is in it. */
type Frame = { kind: 'array'; items: string[] } | { kind: 'object'; members: Map<string, string>; key: string }

/**
 * JSON that is known to be valid, without white space, keys sorted, numbers in plain digits: as jsonb and json of the same
 * value both become. However deep it is nested, since nothing calls itself.
 */
export function canonicalJson(text: string): string {
  const open: Frame[] = []
  let at = skipSpace(text, 0)
  const readKey = () => {
    const end = endOfString(text, at)
    const key = JSON.parse(text.slice(at, end)) as string
    at = skipSpace(text, skipSpace(text, end) + 1)
    return key
  }
  for (;;) {
    const first = text[at]
    let value: string
    if (first === '[' || first === '{') {
      at = skipSpace(text, at + 1)
      if (text[at] !== ']' && text[at] !== '}') {
        open.push(first === '[' ? { kind: 'array', items: [] } : { kind: 'object', members: new Map(), key: readKey() })
        continue
      }
      value = first === '[' ? '[]' : '{}'
      at++
    } else {
      const end = endOfValue(text, at)
      value = canonicalScalar(text.slice(at, end))
      at = end
    }
    for (;;) {
      const frame = open.at(-1)
      if (!frame) return value
      if (frame.kind === 'array') frame.items.push(value)
      else frame.members.set(frame.key, value)
      at = skipSpace(text, at)
      if (text[at] === ',') {
        at = skipSpace(text, at + 1)
        if (frame.kind === 'object') frame.key = readKey()
        break
      }
      at++
      open.pop()
      value = closed(frame)
    }
  }
}

function canonicalScalar(text: string): string {
  if (text[0] === '"') return JSON.stringify(JSON.parse(text))
  return /^[-\d]/.test(text) ? withoutTrailingZeros(normalDecimal(text) ?? text) : text
}

function closed(frame: Frame): string {
  if (frame.kind === 'array') return `[${frame.items.join(',')}]`
  const sorted = [...frame.members].sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${sorted.map(([k, v]) => `${JSON.stringify(k)}:${v}`).join(',')}}`
}
