import { FerryError } from '../../../errors.ts'
import { define, defineLazy, optionalText, textAt, wrongArgument } from '../function.ts'
import { isInt64, isObject, parseValue, requireSize, textOf, type Value, type ValueObject } from '../values.ts'
import { evaluateXpath, jsonOfXml, xmlOfValue } from '../xml.ts'

const OCTETS = 'application/octet-stream'

export const CONVERSION = [
  define('array', 1, 1, ([value]) => (Array.isArray(value) ? value : [value!])),
  define('createArray', 0, Infinity, args => args),
  defineLazy('coalesce', 1, Infinity, args => {
    for (const arg of args) {
      const value = arg()
      if (value !== null) return value
    }
    return null
  }),
  define('base64', 1, 1, ([value]) => bytesOf(value!, 0).toString('base64')),
  define('base64ToBinary', 1, 1, args => content(OCTETS, fromBase64(textAt(args, 0)))),
  define('base64ToString', 1, 1, args => decoded(fromBase64(textAt(args, 0)))),
  define('decodeBase64', 1, 1, args => decoded(fromBase64(textAt(args, 0)))),
  define('binary', 1, 1, ([value]) => content(OCTETS, bytesOf(value!, 0))),
  define('bool', 1, 1, ([value]) => {
    if (typeof value === 'boolean') return value
    if (typeof value === 'bigint' || typeof value === 'number') return Number(value) !== 0
    if (typeof value === 'string' && /^\s*true\s*$/i.test(value)) return true
    if (typeof value === 'string' && /^\s*false\s*$/i.test(value)) return false
    throw wrongArgument(0, 'a number, "true" or "false"', value!)
  }),
  define('float', 1, 1, ([value]) => {
    if (typeof value === 'bigint' || typeof value === 'number') return Number(value)
    const text = typeof value === 'string' ? value.trim().replaceAll(/(?<=\d),(?=\d{3}\b)/g, '') : ''
    if (/^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(text)) return Number(text)
    throw wrongArgument(0, 'a number, or a text of one', value!)
  }),
  define('int', 1, 1, ([value]) => {
    if (typeof value === 'bigint') return value
    if (typeof value === 'number' && Number.isSafeInteger(value)) return BigInt(value)
    if (typeof value === 'string' && /^\s*[+-]?\d{1,30}\s*$/.test(value)) {
      const integer = BigInt(value.trim().replace(/^\+/, ''))
      if (isInt64(integer)) return integer
    }
    throw wrongArgument(0, 'an integer of 64 bits, or a text of one', value!)
  }),
  define('json', 1, 1, ([value]) => {
    const xml = xmlContent(value!)
    if (xml !== undefined) return jsonOfXml(xml)
    if (value === null) return {}
    if (typeof value !== 'string') return value!
    try {
      return parseValue(value)
    } catch (error) {
      throw new FerryError('FERRY-7003', `the text is no JSON: ${(error as Error).message}`)
    }
  }),
  define('string', 1, 1, ([value]) => requireSize(textOf(value!))),
  define('xml', 1, 1, ([value]) => content('application/xml;charset=utf-8', Buffer.from(xmlOfValue(value!)))),
  define('xpath', 2, 2, args => {
    const [xml] = args
    return evaluateXpath(xmlContent(xml!) ?? textAt(args, 0), textAt(args, 1))
  }),
  define('dataUri', 1, 1, ([value]) => {
    const type = isObject(value) ? contentType(value) : 'text/plain;charset=utf-8'
    return `data:${type};base64,${bytesOf(value!, 0).toString('base64')}`
  }),
  define('dataUriToBinary', 1, 1, args => {
    const { type, bytes } = fromDataUri(textAt(args, 0))
    return content(type, bytes)
  }),
  define('dataUriToString', 1, 1, args => decoded(fromDataUri(textAt(args, 0)).bytes)),
  define('decodeDataUri', 1, 1, args => {
    const { type, bytes } = fromDataUri(textAt(args, 0))
    return content(type, bytes)
  }),
  define('uriComponent', 1, 1, args => encoded(textAt(args, 0))),
  define('encodeUriComponent', 1, 1, args => encoded(textAt(args, 0))),
  define('uriComponentToBinary', 1, 1, args => content(OCTETS, Buffer.from(decodedUri(textAt(args, 0))))),
  define('uriComponentToString', 1, 1, args => decodedUri(textAt(args, 0))),
  define('decodeUriComponent', 1, 1, args => decodedUri(textAt(args, 0))),
]

/** What Data Factory calls a binary value. */
function content(type: string, bytes: Uint8Array): ValueObject {
  return { '$content-type': type, $content: Buffer.from(bytes).toString('base64') }
}

function contentType(value: ValueObject): string {
  return optionalText([value['$content-type'] ?? null], 0) ?? OCTETS
}

function bytesOf(value: Value, at: number): Buffer {
  if (isObject(value) && typeof value.$content === 'string') return Buffer.from(value.$content, 'base64')
  if (typeof value === 'string') return Buffer.from(value)
  throw wrongArgument(at, 'a text or a binary value', value)
}

function xmlContent(value: Value): string | undefined {
  if (!isObject(value) || typeof value.$content !== 'string') return undefined
  return /\bxml\b/i.test(contentType(value)) ? Buffer.from(value.$content, 'base64').toString('utf8') : undefined
}

function fromBase64(text: string): Buffer {
  const packed = text.replaceAll(/\s/g, '')
  if (/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(packed))
    return Buffer.from(packed, 'base64')
  throw new FerryError('FERRY-7003', 'the text is not in base64')
}

function decoded(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw new FerryError('FERRY-7003', 'the bytes are no text in UTF-8')
  }
}

function fromDataUri(text: string): { type: string; bytes: Buffer } {
  const match = /^data:([^,]*?)(;base64)?,(.*)$/is.exec(text)
  if (!match) throw new FerryError('FERRY-7003', 'the text is no data URI')
  const [, type, base64, data = ''] = match
  const bytes = base64 === undefined ? Buffer.from(decodedUri(data)) : fromBase64(decodedUri(data))
  return { type: type || 'text/plain', bytes }
}

/** All but letters, digits, `-`, `_`, `.` and `~` is encoded, as .NET does. */
function encoded(text: string): string {
  return encodeURIComponent(text.toWellFormed()).replace(
    /[!'()*]/g,
    c => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}

function decodedUri(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new FerryError('FERRY-7003', 'the text has a % that encodes no character of UTF-8')
  }
}
