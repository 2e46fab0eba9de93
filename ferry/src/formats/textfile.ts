/** What CSV and JSON have in common: text files, cut into pieces that are read independently. */
import { z } from 'zod'
import { type Column, type LogicalType, parseType } from '../batch/types.ts'
import type { ReadRequest } from '../contract/read.ts'
import type { Split } from '../contract/split.ts'
import { FerryError } from '../errors.ts'
import type { KeptForm } from '../kept.ts'
import { encodingOf, type FileSet, headIn, isStream, isUtf8Name, readBytes, type TextFile } from './bytes.ts'
import { fromName, type ReadOptions } from './options.ts'

/** How much of a file is looked at to infer what it is. */
export const SAMPLE_BYTES = 1 << 20

/** A file of a set, as the options and its name say it is. */
export function fileOf(set: FileSet, path: string, options: ReadOptions): TextFile {
  const compression = options.compression ?? fromName(path).compression
  const head = headIn(set, path)
  return { store: set.store, head, path, isStream: isStream(set), compression, encoding: options.encoding ?? 'utf-8' }
}

/** The same, in the encoding that the first bytes show if the options name none; with what was inferred. */
export async function fileAsItIs(
  set: FileSet,
  path: string,
  options: ReadOptions,
): Promise<{ file: TextFile; guessed: string[] }> {
  const file = fileOf(set, path, options)
  if (options.encoding !== undefined || file.isStream) return { file, guessed: [] }
  const encoding = await encodingOf(file)
  return { file: { ...file, encoding }, guessed: [`encoding ${encoding}`] }
}

/** The beginning of a file: about `SAMPLE_BYTES`, or all of it. */
export async function readSample(file: TextFile): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of readBytes(file, { start: 0 })) {
    chunks.push(chunk)
    size += chunk.length
    if (size >= SAMPLE_BYTES) break
  }
  return Buffer.concat(chunks)
}

/** The type that the options give a column; undefined if none. Throws FERRY-1003. */
export function declaredType({ types = {} }: ReadOptions, name: string): LogicalType | undefined {
  if (!Object.hasOwn(types, name)) return undefined
  const type = parseType(types[name]!)
  if (!type) throw new FerryError('FERRY-1003', `read.types.${name}: there is no type "${types[name]}"`)
  return type
}

export function countLines(bytes: Buffer): number {
  let lines = 0
  for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at + 1)) lines++
  return lines
}

/** How many lines are before a place of a file: counted once for each place. */
export class LineNumbers {
  private readonly known = new Map<string, Promise<number>>()

  before(file: TextFile, start: number): Promise<number> {
    if (start === 0 || file.isStream) return Promise.resolve(0)
    const key = `${start} ${file.path}`
    const lines = this.known.get(key) ?? count(file, start)
    this.known.set(key, lines)
    return lines
  }
}

async function count({ store, head }: TextFile, end: number): Promise<number> {
  let lines = 0
  for await (const chunk of store.readRange(head, { start: 0, end })) lines += countLines(chunk as Buffer)
  return lines
}

/** A part of a file, in bytes. */
export const piece = z.object({ path: z.string(), start: z.number(), end: z.number().exactOptional() })
export type Piece = z.output<typeof piece>

/**
 * A split for each file that may have rows. One that can be read from anywhere is cut into several by `cut`, which gives
 * the ends of its pieces, the last one being the end of the file.
 */
export async function splitsOf(
  set: FileSet,
  options: ReadOptions,
  request: ReadRequest,
  form: KeptForm<Piece>,
  cut?: (file: TextFile, size: number) => Promise<number[]>,
): Promise<Split[]> {
  const splits: Split[] = []
  const add = (piece: Piece, bytes?: number) => {
    const range = piece.start === 0 ? '' : ` from byte ${piece.start}`
    const label = `${piece.path}${range}`
    splits.push({ id: splits.length, label, spec: form.write(piece), bytes })
  }
  for (const { key: path, size } of set.files) {
    // An empty file has no rows, whatever its columns.
    if (size === 0) continue
    const file = fileOf(set, path, options)
    const isPlain = !file.isStream && file.compression === 'none' && isUtf8Name(file.encoding)
    if (!cut || !isPlain || request.limit !== undefined) {
      add({ path, start: 0 })
      continue
    }
    let start = 0
    for (const end of await cut(file, await sizeNow(file))) {
      add({ path, start, end }, end - start)
      start = end
    }
  }
  return splits
}

/** Throws FERRY-3001 if the file is gone. */
async function sizeNow({ store, path }: TextFile): Promise<number> {
  const head = await store.head(path)
  if (!head) throw new FerryError('FERRY-3001', `${path} does not exist`)
  return head.size!
}

/** The columns of rows that a mapping reads, as the types that it reads them as. */
export function readColumns(names: string[], { columns }: ReadRequest): Column[] {
  return names.flatMap(name => {
    const mapped = columns.find(c => c.from === name)
    return mapped ? [{ name, type: mapped.sourceType, nullable: true }] : []
  })
}
