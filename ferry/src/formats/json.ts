/** JSON Lines and JSON arrays as a source: one row an object, values taken from their own digits. */
import type { Batch, Rejected } from '../batch/encoding.ts'
import { MemberTypes } from '../batch/infer.ts'
import { members } from '../batch/json.ts'
import { type Column, json, type Row, typeName } from '../batch/types.ts'
import type { Offer } from '../contract/encodings.ts'
import type { ReadRequest, ReadOptions as SplitRead } from '../contract/read.ts'
import { DOCUMENT, type TableInfo } from '../contract/schema.ts'
import type { SourceTable } from '../contract/source.ts'
import type { Split } from '../contract/split.ts'
import { FerryError, RowError } from '../errors.ts'
import { KeptForm } from '../kept.ts'
import type { ObjectHead, ObjectStore } from '../objects/store.ts'
import {
  bytesOf,
  type FileSet,
  filled,
  fingerprintOf,
  notInEncoding,
  readBytes,
  requireNotTooLong,
  requireUtf8,
  type TextFile,
} from './bytes.ts'
import { DocumentReader, nestedMembers, unwound } from './documents.ts'
import { FileColumns, partitionColumns } from './filecolumns.ts'
import type { ReadOptions } from './options.ts'
import { Peeked } from './peek.ts'
import {
  declaredType,
  fileAsItIs,
  fileOf,
  LineNumbers,
  piece,
  readColumns,
  SAMPLE_BYTES,
  splitsOf,
} from './textfile.ts'

/** Of so many files of a set the beginning is looked at. */
const MOST_FILES = 100

export interface JsonFiles {
  info: TableInfo
  set: FileSet
  partitions: Column[]
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
  const [path, ...others] = filled(set)
  const { file, guessed } = await fileAsItIs(set, path!, options)
  const own = { ...options, encoding: file.encoding }
  const peeked = Peeked.at(file)
  const types: Learned = { own: new MemberTypes(), nested: new MemberTypes(), unwind: options.unwind }
  const first = await learn(types, peeked ? once(await peeked.sample(SAMPLE_BYTES)) : file, format, {
    file,
    records: whole ? Infinity : options.sample,
    bytes: whole ? Infinity : SAMPLE_BYTES,
  })
  // Other files may have members of their own: of each the beginning is looked at.
  for (const other of whole ? others : others.slice(0, MOST_FILES)) {
    const most = whole ? { records: Infinity, bytes: Infinity } : { records: 1000, bytes: 1 << 16 }
    const file = fileOf(set, other, own)
    await learn(types, file, format, { file, ...most })
  }
  const inside = types.own.columns.map(c => ({ ...c, nullable: true }))
  const partitions = partitionColumns(set, options, inside)
  const known = new Map(inside.map(c => [c.name, c.type]))
  const outside = new Set(partitions.map(p => p.name))
  for (const name of Object.keys(options.types ?? {}))
    if (!outside.has(name)) known.set(name, declaredType(options, name)!)
  const columns = [...known].map(([name, type]) => ({
    name,
    type,
    nullable: true,
    inferred: !Object.hasOwn(options.types ?? {}, name),
  }))
  // Members of objects are copied where a job names them; a member that has their name itself comes first.
  const nested = types.nested.columns
    .filter(c => !known.has(c.name) && !outside.has(c.name))
    .map(c => ({ ...c, nullable: true, inferred: true, onRequest: true }))
  const bytes = bytesOf(set)
  const rows =
    first.bytes > 0 && file.compression === 'none' && bytes !== undefined
      ? Math.round((bytes * first.records) / first.bytes)
      : undefined
  const found = columns.flatMap(c => (c.inferred ? [`${c.name} ${typeName(c.type)}`] : []))
  const looked = whole ? 'all records' : `${first.records} records`
  const guesses = [...guessed, ...(found.length > 0 ? [`members and types of ${looked}: ${found.join(', ')}`] : [])]
  const info: TableInfo = {
    object: set.name,
    columns: [...columns, ...nested, ...partitions],
    primaryKey: [],
    // A document has no place for what its folders say, and an unwound one is no document any more.
    ...(partitions.length === 0 && options.unwind === undefined ? { documents: {} } : {}),
    guesses,
    bytes,
    rows,
  }
  return { info, set, partitions, options: own, format, peeked }
}

interface Learned {
  own: MemberTypes
  nested: MemberTypes
  unwind: string | undefined
}

/** Learns the members of a file's first records. Gives back how many they were. */
async function learn(
  types: Learned,
  from: TextFile | AsyncIterable<Buffer>,
  format: 'jsonl' | 'json',
  { file, records, bytes }: { file: TextFile; records: number; bytes: number },
): Promise<{ records: number; bytes: number }> {
  const seen = { records: 0, bytes: 0 }
  const source = 'path' in from ? readBytes(from, { start: 0 }) : from
  for await (const step of objectTexts(source, file, format, 0, true)) {
    for (const object of step.objects) {
      if (seen.records >= records) break
      seen.records++
      const place = `${file.path}, ${format === 'json' ? 'element' : 'line'} ${object.at}`
      const found = membersOf(object.text, place)
      const { unwind } = types
      for (const one of unwind === undefined ? [found] : unwound(object.text.trim(), unwind).map(members)) {
        types.own.add(one)
        types.nested.add(nestedMembers(one))
      }
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
  file: TextFile,
  format: 'jsonl' | 'json',
  start: number,
  partial: boolean,
): AsyncGenerator<{ objects: ObjectText[]; bytes: number }> {
  if (format === 'jsonl') yield* lines(source, file, start, partial)
  else yield* arrayElements(source, file, partial)
}

async function* lines(source: AsyncIterable<Buffer>, file: TextFile, start: number, partial: boolean) {
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

async function* arrayElements(source: AsyncIterable<Buffer>, file: TextFile, partial: boolean) {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  let text = ''
  let scan = 0
  let start = -1
  let depth = 0
  let inString = false
  let escaped = false
  let position = 0
  /** Objects one after the other, without an array around them. */
  let isSequence = false
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
          if (c === 123) {
            start = scan
            depth = 2
            isSequence = true
          } else if (c === 91) {
            depth = 1
            next = 'first'
          } else throw refuse('it is neither a JSON array nor JSON objects')
        } else if (isSequence) {
          if (c !== 123) throw refuse(`what follows object ${position} is no object`)
          start = scan
          depth = 2
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
  const isClosed = isSequence ? start < 0 : next === 'nothing' || (next === 'array' && text === '')
  if (partial || isClosed) return
  throw new FerryError(
    'FERRY-4004',
    `${file.path}: the ${isSequence ? 'last object' : 'array'} is not closed: the file is cut off`,
  )
}

const pieces = new KeptForm('split of a JSON file', piece)

export class JsonSourceTable implements SourceTable {
  readonly rowColumns: Column[]
  /** Those of them that come from the objects. */
  private readonly inside: Column[]
  /** What rows end with. */
  private readonly tail: FileColumns
  private readonly reader: DocumentReader
  private readonly files: JsonFiles
  private readonly request: ReadRequest
  private readonly lines = new LineNumbers()

  constructor(files: JsonFiles, request: ReadRequest) {
    this.files = files
    this.request = request
    if (request.where !== undefined) {
      throw new FerryError('FERRY-3006', 'files have no filter: `where` needs a store with a query language')
    }
    const whole = request.columns.some(c => c.from === DOCUMENT)
    const columns = whole ? [{ name: DOCUMENT, type: json, nullable: false }] : files.info.columns
    this.inside = readColumns(
      columns.filter(c => !files.partitions.some(p => p.name === c.name)).map(c => c.name),
      request,
    )
    this.tail = new FileColumns(files.set, files.partitions, request)
    this.reader = new DocumentReader(this.inside, request)
    this.rowColumns = [...this.inside, ...this.tail.columns]
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
    const { set, options, format } = this.files
    const cut = (file: TextFile, size: number) => this.cut(file, size)
    return splitsOf(set, options, this.request, pieces, format === 'jsonl' ? cut : undefined)
  }

  /** The ends of the pieces of a file. A line feed always ends a record: each end is behind the first one after a piece's bytes. */
  private async cut({ store, head }: TextFile, size: number): Promise<number[]> {
    const ends: number[] = []
    for (let start = 0; start < size; start = ends.at(-1)!) {
      ends.push(await lineEnd(store, head, Math.min(start + this.request.splitBytes, size), size))
    }
    return ends
  }

  async *read(split: Split, { from, signal }: SplitRead): AsyncGenerator<Batch> {
    const piece = pieces.read(split.spec)
    const file = fileOf(this.files.set, piece.path, this.files.options)
    const start = from === undefined ? piece.start : Number(from)
    const range = piece.end === undefined ? { start } : { start, end: piece.end }
    const source = this.files.peeked?.rest() ?? readBytes(file, range, signal)
    let at = start
    let left = this.request.limit ?? Infinity
    const tail = this.tail.of(piece.path)
    for await (const { objects, bytes } of objectTexts(source, file, this.files.format, start, false)) {
      const rows: Row[] = []
      const rejected: Rejected[] = []
      for (const object of objects) {
        if (rows.length >= left) break
        try {
          for (const row of this.rows(object.text)) {
            row.push(...tail)
            rows.push(row)
          }
        } catch (error) {
          if (!(error instanceof FerryError)) throw error
          const where = await this.where(file, start, object.at)
          const message = `${where}${error instanceof RowError && error.column ? `, column ${error.column}` : ''}: ${error.message}`
          if (!this.request.skipBadRows)
            throw new RowError(error.code, message, error instanceof RowError ? error.column : undefined, {
              hint: error.hint,
            })
          rejected.push({ place: where, reason: message, raw: object.text })
        }
      }
      if (rows.length > left) rows.length = left
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

  private async where(file: TextFile, start: number, at: number): Promise<string> {
    if (this.files.format === 'json') return `${file.path}, element ${at}`
    return `${file.path}, line ${(await this.lines.before(file, start)) + at}`
  }

  /** The rows of a record: one, or one for each element of the list that is unwound. */
  private rows(text: string): Row[] {
    requireObject(text)
    const { unwind } = this.files.options
    if (unwind === undefined) return [this.reader.row(text.trim())]
    return unwound(text.trim(), unwind).map(one => this.reader.row(one))
  }
}

/** The place behind the first line feed at or after `from`, in bytes; `size` if there is none. */
async function lineEnd(store: ObjectStore, head: ObjectHead, from: number, size: number): Promise<number> {
  // Most lines end soon: little is asked for at first.
  for (let at = from, window = 1 << 16; at < size; window *= 4) {
    for await (const chunk of store.readRange(head, { start: at, end: Math.min(at + window, size) })) {
      const found = (chunk as Buffer).indexOf(10)
      if (found >= 0) return at + found + 1
      at += (chunk as Buffer).length
    }
  }
  return size
}
