/** JSON Lines and JSON arrays as a source: one row an object, values taken from their own digits. */

import { open } from 'node:fs/promises'
import type { Batch, Rejected } from '../../batch/encoding.ts'
import { MemberTypes } from '../../batch/infer.ts'
import { members } from '../../batch/json.ts'
import { type Column, json, parseType, type Row, typeName, utf8 } from '../../batch/types.ts'
import type { Offer } from '../../contract/encodings.ts'
import type { ReadRequest, ReadOptions as SplitRead } from '../../contract/read.ts'
import { DOCUMENT, FILE_PATH, type TableInfo } from '../../contract/schema.ts'
import type { SourceTable } from '../../contract/source.ts'
import type { Split } from '../../contract/split.ts'
import { FerryError, RowError } from '../../errors.ts'
import { DocumentReader } from '../documents.ts'
import {
  type FileBytes,
  type FileSet,
  fingerprintOf,
  isUtf8Name,
  notInEncoding,
  readBytes,
  requireNotTooLong,
  requireUtf8,
  STDIN,
} from './bytes.ts'
import { countLines, fileAsItIs, fileOf } from './csv.ts'
import type { ReadOptions } from './options.ts'
import { Peeked } from './peek.ts'

const SAMPLE_BYTES = 1 << 20
/** Of so many files of a set the beginning is looked at. */
const MOST_FILES = 100

export interface JsonFiles {
  info: TableInfo
  set: FileSet
  options: ReadOptions
  format: 'jsonl' | 'json'
  peeked?: Peeked
}

export async function describeJson(
  set: FileSet,
  options: ReadOptions,
  format: 'jsonl' | 'json',
  whole: boolean,
): Promise<JsonFiles> {
  const path = set.paths.find(p => set.sizes.get(p) !== 0) ?? set.paths[0]!
  const { file, guessed } = await fileAsItIs(path, options)
  const own = { ...options, encoding: file.encoding }
  const peeked = Peeked.at(file)
  const types = new MemberTypes()
  const first = await learn(types, peeked ? once(await peeked.sample(SAMPLE_BYTES)) : file, format, {
    file,
    records: whole ? Infinity : options.sample,
    bytes: whole ? Infinity : SAMPLE_BYTES,
  })
  // Other files may have members of their own: of each the beginning is looked at.
  const others = set.paths.filter(p => p !== path && set.sizes.get(p) !== 0)
  for (const other of whole ? others : others.slice(0, MOST_FILES)) {
    const most = whole ? { records: Infinity, bytes: Infinity } : { records: 1000, bytes: 1 << 16 }
    await learn(types, fileOf(other, own), format, { file: fileOf(other, own), ...most })
  }
  const known = new Map(types.columns.map(c => [c.name, c.type]))
  for (const [name, text] of Object.entries(options.types ?? {})) {
    const type = parseType(text)
    if (!type) throw new FerryError('FERRY-1003', `read.types.${name}: there is no type "${text}"`)
    known.set(name, type)
  }
  const columns = [...known].map(([name, type]) => ({
    name,
    type,
    nullable: true,
    inferred: !Object.hasOwn(options.types ?? {}, name),
  }))
  const rows =
    first.bytes > 0 && file.compression === 'none' && path !== STDIN
      ? Math.round((set.bytes * first.records) / first.bytes)
      : undefined
  const found = columns.flatMap(c => (c.inferred ? [`${c.name} ${typeName(c.type)}`] : []))
  const looked = whole ? 'all records' : `${first.records} records`
  const guesses = [...guessed, ...(found.length > 0 ? [`members and types of ${looked}: ${found.join(', ')}`] : [])]
  const info: TableInfo = {
    object: set.object,
    columns,
    primaryKey: [],
    documents: {},
    guesses,
    ...(path === STDIN ? {} : { bytes: set.bytes }),
    ...(rows === undefined ? {} : { rows }),
  }
  return { info, set, options: own, format, ...(peeked ? { peeked } : {}) }
}

/** Learns the members of a file's first records. Gives back how many they were. */
async function learn(
  types: MemberTypes,
  from: FileBytes | AsyncIterable<Buffer>,
  format: 'jsonl' | 'json',
  { file, records, bytes }: { file: FileBytes; records: number; bytes: number },
): Promise<{ records: number; bytes: number }> {
  const seen = { records: 0, bytes: 0 }
  const source = 'path' in from ? readBytes(from, { start: 0 }) : from
  for await (const step of objectTexts(source, file, format, 0, true)) {
    for (const object of step.objects) {
      if (seen.records >= records) break
      seen.records++
      types.add(membersOf(object.text, `${file.path}, ${format === 'json' ? 'element' : 'line'} ${object.at}`))
    }
    seen.bytes += step.bytes
    if (seen.bytes >= bytes || seen.records >= records) break
  }
  return seen
}

async function* once(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes
}

/** The members of a record's text. Throws FERRY-4002 for what is no object. */
function membersOf(text: string, place: string): [string, string][] {
  try {
    requireObject(text)
    return members(text.trim())
  } catch (error) {
    if (error instanceof RowError) throw new FerryError(error.code, `${place}: ${error.message}`)
    throw error
  }
}

function requireObject(text: string): void {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    const isDeep = error instanceof RangeError
    throw new RowError('FERRY-4002', isDeep ? 'it is nested too deeply' : (error as Error).message)
  }
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    throw new RowError('FERRY-4002', `a record is a JSON object, not ${text.trim().slice(0, 40)}`)
  }
}

interface ObjectText {
  text: string
  /** Line (JSON Lines) or position (array) of the object, from 1. */
  at: number
}

/** The texts of the objects in a stream, with how many bytes each step covers. */
async function* objectTexts(
  source: AsyncIterable<Buffer>,
  file: FileBytes,
  format: 'jsonl' | 'json',
  start: number,
  partial: boolean,
): AsyncGenerator<{ objects: ObjectText[]; bytes: number }> {
  if (format === 'jsonl') yield* lines(source, file, start, partial)
  else yield* arrayElements(source, file, partial)
}

async function* lines(source: AsyncIterable<Buffer>, file: FileBytes, start: number, partial: boolean) {
  let pending: Buffer[] = []
  let pendingBytes = 0
  let at = start
  let line = 1
  const emit = (data: Buffer) => {
    requireUtf8(data, file)
    const objects: ObjectText[] = []
    for (const text of data.toString('utf8').split('\n')) {
      if (text.trim() !== '') objects.push({ text: line === 1 ? text.replace(/^\uFEFF/, '') : text, at: line })
      line++
    }
    // The text behind the last line feed is empty: it is no line yet.
    line--
    at += data.length
    return { objects, bytes: data.length }
  }
  for await (const chunk of source) {
    const end = chunk.lastIndexOf(10) + 1
    if (end === 0) {
      pending.push(chunk)
      pendingBytes += chunk.length
      requireNotTooLong(`${file.path}, byte ${at}`, pendingBytes)
      continue
    }
    yield emit(Buffer.concat([...pending, chunk.subarray(0, end)]))
    pending = end < chunk.length ? [chunk.subarray(end)] : []
    pendingBytes = chunk.length - end
  }
  const rest = Buffer.concat(pending)
  // A sample ends anywhere: what is cut off is not looked at, unless it is all there is.
  if (rest.length > 0 && (!partial || line === 1)) yield emit(rest)
}

async function* arrayElements(source: AsyncIterable<Buffer>, file: FileBytes, partial: boolean) {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  let text = ''
  let scan = 0
  let start = -1
  let depth = 0
  let inString = false
  let escaped = false
  let position = 0
  /** What may come between elements. */
  let next: 'array' | 'first' | 'comma' | 'element' | 'nothing' = 'array'
  const refuse = (what: string) => new FerryError('FERRY-4002', `${file.path}: ${what}`)
  for await (const chunk of source) {
    requireNotTooLong(`${file.path}, element ${position + 1}`, text.length + chunk.length)
    try {
      text += decoder.decode(chunk, { stream: true })
    } catch {
      throw notInEncoding(file, chunk)
    }
    const objects: ObjectText[] = []
    for (; scan < text.length; scan++) {
      const c = text.charCodeAt(scan)
      if (inString) {
        if (escaped) escaped = false
        else if (c === 92) escaped = true
        else if (c === 34) inString = false
      } else if (depth > 1) {
        if (c === 34) inString = true
        else if (c === 91 || c === 123) depth++
        else if ((c === 93 || c === 125) && --depth === 1) {
          objects.push({ text: text.slice(start, scan + 1), at: ++position })
          start = -1
          next = 'comma'
        }
      } else if (c !== 32 && c !== 9 && c !== 10 && c !== 13) {
        if (next === 'array') {
          // The byte order mark.
          if (c === 0xfeff && scan === 0) continue
          if (c === 123) throw refuse('it is not a JSON array; of objects line by line it is jsonl')
          if (c !== 91) throw refuse('it is not a JSON array')
          depth = 1
          next = 'first'
        } else if (c === 93 && (next === 'first' || next === 'comma')) {
          depth = 0
          next = 'nothing'
        } else if (c === 44 && next === 'comma') next = 'element'
        else if (c === 123 && (next === 'first' || next === 'element')) {
          start = scan
          depth = 2
        } else if (next === 'nothing') throw refuse('there is text behind the array')
        else if (next === 'comma') throw refuse(`there is no comma behind element ${position} of the array`)
        else throw refuse(`element ${position + 1} of the array is no object`)
      }
    }
    const keep = start >= 0 ? start : text.length
    text = text.slice(keep)
    scan -= keep
    if (start >= 0) start = 0
    yield { objects, bytes: chunk.length }
  }
  // An empty file has no elements either.
  if (partial || next === 'nothing' || (next === 'array' && text === '')) return
  throw new FerryError('FERRY-4004', `${file.path}: the array is not closed: the file is cut off`)
}

interface Piece {
  path: string
  start: number
  end?: number
}

export class JsonSourceTable implements SourceTable {
  readonly rowColumns: Column[]
  /** Those of them that come from the objects. */
  private readonly inside: Column[]
  private readonly reader: DocumentReader
  private readonly files: JsonFiles
  private readonly request: ReadRequest

  constructor(files: JsonFiles, request: ReadRequest) {
    this.files = files
    this.request = request
    if (request.where !== undefined) {
      throw new FerryError('FERRY-3006', 'files have no filter: `where` needs a store with a query language')
    }
    const whole = request.columns.some(c => c.from === DOCUMENT)
    const columns = whole ? [{ name: DOCUMENT, type: json, nullable: false }] : files.info.columns
    this.inside = columns.flatMap(c => {
      const mapped = request.columns.find(m => m.from === c.name)
      return mapped ? [{ name: c.name, type: mapped.sourceType, nullable: true }] : []
    })
    const named = request.columns.some(c => c.from === FILE_PATH)
    this.reader = new DocumentReader(this.inside, request)
    this.rowColumns = named ? [...this.inside, { name: FILE_PATH, type: utf8, nullable: false }] : this.inside
  }

  refuses(offer: Offer): string | undefined {
    return offer.encoding === 'rows' ? undefined : 'JSON files give rows only'
  }

  passedOver(): string[] {
    return [...this.reader.passedOver]
  }

  /** Places are bytes of a file: they hold as long as it is the same. */
  async fingerprint(): Promise<string | undefined> {
    return fingerprintOf(this.files.set)
  }

  async splits(): Promise<Split[]> {
    const splits: Split[] = []
    for (const path of this.files.set.paths) {
      if (this.files.set.sizes.get(path) === 0) continue
      const file = fileOf(path, this.files.options)
      const plain = path !== STDIN && file.compression === 'none' && isUtf8Name(file.encoding)
      const divisible = plain && this.files.format === 'jsonl' && this.request.limit === undefined
      const pieces = divisible ? await this.cut(path) : [{ path, start: 0 }]
      for (const piece of pieces) {
        const bytes = piece.end === undefined ? {} : { bytes: piece.end - piece.start }
        splits.push({
          id: splits.length,
          label: `${path} from byte ${piece.start}`,
          spec: JSON.stringify(piece),
          ...bytes,
        })
      }
    }
    return splits
  }

  /** A line feed always ends a record, so each cut is the first one behind the place where it should be. */
  private async cut(path: string): Promise<Piece[]> {
    const handle = await open(path)
    try {
      const { size } = await handle.stat()
      const pieces: Piece[] = []
      const buffer = Buffer.alloc(1 << 16)
      let start = 0
      while (start < size) {
        let at = start + this.request.splitBytes
        let end = size
        while (at < size) {
          const { bytesRead } = await handle.read(buffer, 0, buffer.length, at)
          const found = buffer.subarray(0, bytesRead).indexOf(10)
          if (found >= 0) {
            end = at + found + 1
            break
          }
          at += bytesRead
          if (bytesRead === 0) break
        }
        pieces.push({ path, start, end })
        start = end
      }
      return pieces.length > 0 ? pieces : [{ path, start: 0, end: size }]
    } finally {
      await handle.close()
    }
  }

  async *read(split: Split, { from, signal }: SplitRead): AsyncGenerator<Batch> {
    const piece = JSON.parse(split.spec) as Piece
    const file = fileOf(piece.path, this.files.options)
    const start = from === undefined ? piece.start : Number(from)
    const range = piece.end === undefined ? { start } : { start, end: piece.end }
    const source = this.files.peeked?.rest() ?? readBytes(file, range, signal)
    let at = start
    let left = this.request.limit ?? Infinity
    const tail = this.rowColumns === this.inside ? [] : [piece.path]
    for await (const { objects, bytes } of objectTexts(source, file, this.files.format, start, false)) {
      const rows: Row[] = []
      const rejected: Rejected[] = []
      for (const object of objects) {
        if (rows.length >= left) break
        try {
          const row = this.row(object.text)
          row.push(...tail)
          rows.push(row)
        } catch (error) {
          if (!(error instanceof FerryError)) throw error
          const where = await this.where(piece.path, start, object.at)
          const message = `${where}${error instanceof RowError && error.column ? `, column ${error.column}` : ''}: ${error.message}`
          if (!this.request.skipBadRows)
            throw new RowError(error.code, message, error instanceof RowError ? error.column : undefined, {
              hint: error.hint,
            })
          rejected.push({ place: where, reason: message, raw: object.text })
        }
      }
      at += bytes
      left -= rows.length
      const resumable = piece.end !== undefined && at < piece.end
      yield {
        kind: 'rows',
        rows,
        bytes,
        ...(rejected.length > 0 ? { rejected } : {}),
        ...(resumable ? { checkpoint: String(at) } : {}),
      }
      if (left <= 0) return
    }
  }

  private async where(path: string, start: number, at: number): Promise<string> {
    if (this.files.format === 'json') return `${path}, element ${at}`
    if (start === 0) return `${path}, line ${at}`
    let before = 0
    const file = { path, compression: 'none', encoding: 'utf-8' } as const
    for await (const chunk of readBytes(file, { start: 0, end: start })) before += countLines(chunk)
    return `${path}, line ${before + at}`
  }

  private row(text: string): Row {
    requireObject(text)
    return this.reader.row(text.trim())
  }
}
