/** Files of datasets: where they are in a store of Ferry, and the options of their formats. */
import { findKind } from '../../connectors/registry.ts'
import { FerryError } from '../../errors.ts'
import type { EndpointSpec } from '../../job/schema.ts'
import { isObject, type Value, type ValueObject } from '../../pipelines/expressions/values.ts'
import { requireBoolean } from '../../pipelines/resolve.ts'
import type { Dataset, FilesPlace } from './datasets.ts'

/** The kind of a store that an endpoint leads to; undefined if it is not known. */
export type KindOf = (endpoint: EndpointSpec) => string | undefined

/** The endpoint with the container of the dataset in it, and the path that names begin with there. */
export function placedAt(
  endpoint: EndpointSpec,
  { container }: Pick<FilesPlace, 'container'>,
  kindOf: KindOf,
): { endpoint: EndpointSpec; root: string } {
  if (container === undefined) return { endpoint, root: '' }
  const kind = findKind(kindOf(endpoint) ?? '')
  const setting = ['container', 'bucket'].find(s => kind && s in kind.settings.shape)
  // Stores without containers have a folder for each.
  if (setting === undefined) return { endpoint, root: container }
  if (typeof endpoint === 'object' && 'kind' in endpoint && !(setting in endpoint)) {
    return { endpoint: { ...endpoint, [setting]: container } as EndpointSpec, root: '' }
  }
  return { endpoint, root: '' }
}

export const join = (...parts: (string | undefined)[]) => parts.filter(p => p !== undefined && p !== '').join('/')

/** Wildcards of Data Factory: `*`, `?` for one character or none, and `^` to escape them. */
export function wildcard(pattern: string): string {
  const own = (all: string, escaped: string | undefined) =>
    all === '?' ? '{?,}' : escaped === '^' ? '^' : `[${escaped ?? all}]`
  return pattern.replace(/\^([*?^])|[?{[]/g, own)
}

/** A path in which characters of patterns stand for themselves. */
export function literal(path: string): string {
  return path.replace(/[*?{[]/g, '[$&]')
}

/** What a source reads of a dataset: a file, a folder, or a pattern. */
export function sourceObject(
  at: FilesPlace,
  root: string,
  store: ValueObject,
  listed?: readonly string[],
): { object: string; recursive: boolean } {
  if (listed) return { object: join(root, literal(at.folder), anyOf(listed)), recursive: false }
  const recursive = store.recursive === undefined || requireBoolean(store.recursive, 'recursive')
  const wildcardFolder = optional(store.wildcardFolderPath)?.replace(/^\/+|\/+$/g, '')
  const wildcardFile = optional(store.wildcardFileName)
  const prefix = optional(store.prefix)
  if (prefix !== undefined) return { object: join(root, `${literal(prefix)}**`), recursive: true }
  if (wildcardFolder !== undefined || wildcardFile !== undefined) {
    const folder = wildcardFolder === undefined ? literal(at.folder) : wildcard(wildcardFolder)
    const deep = recursive && wildcardFile !== undefined ? '**' : undefined
    return { object: join(root, folder, deep, wildcardFile === undefined ? '*' : wildcard(wildcardFile)), recursive }
  }
  if (at.file !== undefined) return { object: join(root, literal(at.folder), literal(at.file)), recursive: false }
  const folder = join(root, literal(at.folder))
  return { object: folder === '' ? './' : `${folder}/`, recursive }
}

/** Files of a list that an object may name: patterns have no more alternatives. */
const MOST_LISTED = 256

/** One of several paths, as a pattern. */
function anyOf(paths: readonly string[]): string {
  if (paths.length === 0) throw new FerryError('FERRY-3001', 'the list of fileListPath names no file')
  if (paths.length > MOST_LISTED) {
    throw new FerryError('FERRY-7006', `a list of fileListPath names at most ${MOST_LISTED} files here`, {
      hint: 'Read the list by a Lookup, and copy its files in a ForEach.',
    })
  }
  const odd = paths.find(path => /[{},]/.test(path))
  if (odd !== undefined) {
    throw new FerryError('FERRY-7006', `the list of fileListPath names ${odd}: commas and braces are not known there`)
  }
  return paths.length === 1 ? literal(paths[0]!) : `{${paths.map(literal).join(',')}}`
}

export function optional(value: Value | undefined): string | undefined {
  if (value === undefined || value === null || value === '') return undefined
  if (typeof value === 'object') throw new FerryError('FERRY-7001', 'a text is expected')
  return String(value)
}

const CODECS: Record<string, string> = { gzip: 'gzip', none: 'none', snappy: 'snappy', zstd: 'zstd' }

export function codecOf({ compression, compressionCodec }: ValueObject): string | undefined {
  return optional(compressionCodec) ?? (isObject(compression) ? optional(compression.type) : undefined)
}

function compressionOf(properties: ValueObject, dataset: string): string | undefined {
  const codec = codecOf(properties)
  if (codec === undefined) return undefined
  const known = CODECS[codec.toLowerCase()]
  if (known !== undefined) return known
  throw new FerryError('FERRY-7006', `dataset ${dataset}: files that are packed by ${codec} are not read here`, {
    hint: 'A Copy reads gzip, deflate, bzip2, ZipDeflate, Tar and TarGzip; gzip and none are written.',
  })
}

/** Files as they are: those that are packed were unpacked before. */
function asItIs(properties: ValueObject, dataset: string): Record<string, unknown> {
  const codec = codecOf(properties)
  if (codec === undefined || codec.toLowerCase() === 'none') return { format: 'binary' }
  throw new FerryError('FERRY-7006', `dataset ${dataset}: binary files are not packed here (${codec})`)
}

/** Encodings that Ferry reads are those of the WHATWG; Data Factory names some in its own way. */
function encodingOf(properties: ValueObject): string | undefined {
  const name = optional(properties.encodingName)
  if (name === undefined) return undefined
  const own: Record<string, string> = { 'utf-8 without bom': 'utf-8', 'utf-16': 'utf-16le', 'us-ascii': 'latin1' }
  return own[name.toLowerCase()] ?? name.toLowerCase()
}

/** Options to read files of a dataset. */
export function readOptionsOf({ at, properties, name }: Dataset): Record<string, unknown> {
  const files = at as FilesPlace
  if (files.format === 'binary') return asItIs(properties, name)
  const compression = compressionOf(properties, name)
  const packed = files.format === 'parquet' || compression === undefined ? {} : { compression }
  if (files.format === 'parquet') return { format: 'parquet' }
  const encoding = encodingOf(properties)
  const coded = encoding === undefined ? {} : { encoding }
  // A text of JSON stays a text.
  if (files.format === 'json') return { format: 'json', detectDatetime: false, ...packed, ...coded }
  return {
    format: 'csv',
    ...packed,
    ...coded,
    ...csvOf(properties, name),
    nullText: optional(properties.nullValue) ?? '',
  }
}

/** Separators and quotes, as Data Factory means them: a comma, double quotes, and a backslash before a quote. */
function csvOf(properties: ValueObject, dataset: string): Record<string, unknown> {
  const delimiter = properties.columnDelimiter === undefined ? ',' : String(properties.columnDelimiter)
  const quote = properties.quoteChar === undefined ? '"' : String(properties.quoteChar)
  const escape = properties.escapeChar === undefined ? '\\' : String(properties.escapeChar)
  if (delimiter.length !== 1) {
    throw new FerryError(
      'FERRY-7006',
      `dataset ${dataset}: a columnDelimiter has one character here, not ${delimiter.length}`,
    )
  }
  const header =
    properties.firstRowAsHeader !== undefined && requireBoolean(properties.firstRowAsHeader, 'firstRowAsHeader')
  return { delimiter, quote, header, ...(quote === '' || escape === '' || escape === quote ? {} : { escape }) }
}

/** Options to write files of a dataset. */
export function writeOptionsOf({ at, properties, name }: Dataset, format: ValueObject): Record<string, unknown> {
  const files = at as FilesPlace
  if (files.format === 'binary') return asItIs(properties, name)
  const compression = compressionOf(properties, name)
  const packed =
    compression === undefined ? { compression: files.format === 'parquet' ? 'snappy' : 'none' } : { compression }
  const rows = optional(format.maxRowsPerFile)
  const limited = rows === undefined ? {} : { rowsPerFile: Number(rows) }
  if (files.format === 'parquet') return { format: 'parquet', ...packed, ...limited }
  const encoding = encodingOf(properties)
  if (encoding !== undefined && encoding !== 'utf-8') {
    throw new FerryError('FERRY-7006', `dataset ${name}: files are written in UTF-8 here, not in ${encoding}`)
  }
  if (files.format === 'json') {
    const pattern = optional(format.filePattern) ?? 'setOfObjects'
    return { format: pattern === 'arrayOfObjects' ? 'json' : 'jsonl', ...packed, ...limited }
  }
  const { header, delimiter, quote, escape } = csvOf(properties, name)
  const nullText = optional(properties.nullValue) ?? ''
  const quoteAll = format.quoteAllText !== undefined && requireBoolean(format.quoteAllText, 'quoteAllText')
  return {
    format: 'csv',
    ...packed,
    ...limited,
    delimiter,
    header,
    nullText,
    quote,
    ...(escape === undefined ? {} : { escape }),
    ...(quoteAll ? { quoteAll } : {}),
    rowEnd: rowEndOf(properties, name),
  }
}

function rowEndOf(properties: ValueObject, dataset: string): string {
  const given =
    properties.rowDelimiter === undefined || properties.rowDelimiter === null ? '\r\n' : String(properties.rowDelimiter)
  if (given === '\n' || given === '\r\n') return given
  throw new FerryError(
    'FERRY-7006',
    `dataset ${dataset}: rows end with a line feed here, with or without a carriage return`,
  )
}

/** The ending of files that a sink names itself. */
export function endingOf(at: FilesPlace, write: Record<string, unknown>, format: ValueObject): string {
  const given = optional(format.fileExtension)
  if (given !== undefined) return given.replace(/^\./, '')
  const { compression } = write
  const packed = at.format !== 'parquet' && compression === 'gzip' ? '.gz' : ''
  return `${at.format === 'csv' ? 'csv' : at.format === 'json' ? 'json' : 'parquet'}${packed}`
}

/** A moment in UTC, where nothing else is said; undefined if there is none. Throws FERRY-7003. */
export function momentAt(value: Value | undefined, name: string): string | undefined {
  const text = optional(value)
  if (text === undefined) return undefined
  const hasZone = /(?:Z|[+-]\d{2}:?\d{2})$/i.test(text)
  const whole = /[T ]/.test(text) ? text.replace(' ', 'T') : `${text}T00:00:00`
  const ms = Date.parse(hasZone ? text : `${whole}Z`)
  if (Number.isNaN(ms)) throw new FerryError('FERRY-7003', `${name} has to be a date and time, and is ${text}`)
  return new Date(ms).toISOString()
}

/** Tells whether `modifiedDatetimeStart` and `modifiedDatetimeEnd` mean files of a time (milliseconds since 1970). Throws FERRY-7003. */
export function modifiedRange(settings: ValueObject): (modified: number) => boolean {
  const start = momentAt(settings.modifiedDatetimeStart, 'modifiedDatetimeStart')
  const end = momentAt(settings.modifiedDatetimeEnd, 'modifiedDatetimeEnd')
  const from = start === undefined ? -Infinity : Date.parse(start)
  const before = end === undefined ? Infinity : Date.parse(end)
  return modified => modified >= from && modified < before
}
