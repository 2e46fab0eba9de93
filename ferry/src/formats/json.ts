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
import { bytesOf, type FileSet, filled, fingerprintOf, readBytes, type TextFile } from './bytes.ts'
import { DocumentReader, nestedMembers, unwound } from './documents.ts'
import { FileColumns, partitionColumns } from './filecolumns.ts'
import { objectTexts } from './jsontexts.ts'
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
  const types: Learned = {
    own: new MemberTypes({ instants: options.detectDatetime }),
    nested: new MemberTypes({ instants: options.detectDatetime }),
    unwind: options.unwind,
  }
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
