/** The bytes of an object as a stream: from an offset, decompressed, and in UTF-8. */
import { constants, isUtf8 } from 'node:buffer'
import { hash } from 'node:crypto'
import { once } from 'node:events'
import { pipeline, Readable, Transform } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { FerryError } from '../errors.ts'
import type { ByteRange, ObjectHead, ObjectStore } from '../objects/store.ts'
import type { Compression } from './options.ts'
import { unzstd } from './zstd.ts'

const CHUNK = 1 << 18

/** The objects that a name means, sorted by key: at least one. */
export interface FileSet {
  name: string
  store: ObjectStore
  /** What all keys begin with: the folder that is named, or the part of a pattern before its first `*`. */
  base: string
  files: ObjectHead[]
}

const byKey = new WeakMap<ObjectHead[], Map<string, ObjectHead>>()

/** A file of a set by its key. Throws FERRY-3001 if the set has none. */
export function headIn({ files }: FileSet, key: string): ObjectHead {
  const known = byKey.get(files) ?? new Map(files.map(f => [f.key, f]))
  byKey.set(files, known)
  const found = known.get(key)
  if (found) return found
  throw new FerryError('FERRY-3001', `${key} was there when the run was planned, and is gone`)
}

/** True for standard input, which is the only file of its set. */
export function isStream({ files }: FileSet): boolean {
  return files[0]!.size === undefined
}

/** The length of all files in bytes, as they are stored; undefined for a stream. */
export function bytesOf(set: FileSet): number | undefined {
  return isStream(set) ? undefined : set.files.reduce((sum, f) => sum + f.size!, 0)
}

/** The paths of the files that may have rows, or of the first one if all are empty. */
export function filled({ files }: FileSet): string[] {
  const some = files.filter(f => f.size !== 0)
  return (some.length > 0 ? some : files.slice(0, 1)).map(f => f.key)
}

/** A text that changes if a file does, so that positions in the files no longer hold; undefined for a stream. */
export function fingerprintOf(set: FileSet): string | undefined {
  if (isStream(set)) return undefined
  const all = set.files.map(f => `${f.key} ${f.size} ${f.version ?? f.modified}`).join('\n')
  return hash('sha256', all, 'hex').slice(0, 32)
}

/** A text file, and how its bytes are read. */
export interface TextFile {
  store: ObjectStore
  head: ObjectHead
  /** The key, for messages. */
  path: string
  /** True if it can be read once. */
  isStream: boolean
  compression: Compression
  encoding: string
}

/** Reads a file's bytes as UTF-8. Throws FERRY-4003 for what is not in the encoding, FERRY-4004 for a damaged file. */
export async function* readBytes(file: TextFile, range: ByteRange, signal?: AbortSignal): AsyncGenerator<Buffer> {
  if (range.end !== undefined && range.end <= range.start) return
  const raw = file.store.readRange(file.head, range, { chunk: CHUNK, signal })
  try {
    for await (const chunk of await decoded(raw, file)) yield chunk as Buffer
  } catch (error) {
    throw explain(error, file)
  } finally {
    // A reader that stops early must not leave the file open.
    if (!file.isStream) raw.destroy()
  }
}

async function decoded(raw: Readable, file: TextFile): Promise<Readable> {
  const compression = file.isStream && file.compression === 'none' ? await compressionOfStream(raw) : file.compression
  const stages: Transform[] = []
  if (compression === 'gzip') stages.push(...gunzip())
  if (!isUtf8Name(file.encoding)) stages.push(transcode(file.encoding))
  const first = compression === 'zstd' ? Readable.from(unzstd(raw, CHUNK), { objectMode: false }) : raw
  return stages.length === 0 ? first : (pipeline([first, ...stages] as never, () => {}) as unknown as Transform)
}

/** Decompresses all members of a file. Zeros may pad its end; other bytes behind the last member are refused. */
function gunzip(): Transform[] {
  const engine = createGunzip({ chunkSize: CHUNK })
  let all = 0
  let meant = 0
  const counter = new Transform({
    transform(chunk: Buffer, _, done) {
      let last = chunk.length - 1
      while (last >= 0 && chunk[last] === 0) last--
      if (last >= 0) meant = all + last + 1
      all += chunk.length
      done(null, chunk)
    },
  })
  const end = new Transform({
    transform: (chunk: Buffer, _, done) => done(null, chunk),
    flush(done) {
      const isAll = engine.bytesWritten >= meant
      done(
        isAll
          ? null
          : Object.assign(new Error(`bytes behind the end, at ${engine.bytesWritten}`), { code: 'Z_DATA_ERROR' }),
      )
    },
  })
  return [counter, engine, end]
}

/** The compression that the first bytes of a stream show: it has no name that would. */
async function compressionOfStream(raw: Readable): Promise<Compression> {
  if (!raw.readableEnded && raw.readableLength === 0) await once(raw, 'readable')
  const first = raw.read() as Buffer | null
  if (first) raw.unshift(first)
  return first ? compressionOf(first) : 'none'
}

/** The compression that bytes begin with. Neither mark is the beginning of a text in UTF-8. */
function compressionOf(bytes: Buffer): Compression {
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) return 'gzip'
  return bytes.length >= 4 && bytes.readUInt32LE(0) === 0xfd2fb528 ? 'zstd' : 'none'
}

/** The encoding by a file's first bytes: UTF-16 by its byte order mark, else UTF-8. */
export async function encodingOf(file: TextFile): Promise<string> {
  for await (const chunk of readBytes({ ...file, encoding: 'utf-8' }, { start: 0 })) {
    if (chunk[0] === 0xff && chunk[1] === 0xfe) return 'utf-16le'
    if (chunk[0] === 0xfe && chunk[1] === 0xff) return 'utf-16be'
    break
  }
  return 'utf-8'
}

export function isUtf8Name(encoding: string): boolean {
  return /^utf-?8$/i.test(encoding)
}

function transcode(encoding: string): Transform {
  let decoder: InstanceType<typeof TextDecoder>
  try {
    decoder = new TextDecoder(encoding, { fatal: true })
  } catch {
    throw new FerryError('FERRY-2003', `there is no encoding "${encoding}"`)
  }
  return new Transform({
    transform(chunk: Buffer, _, done) {
      try {
        done(null, Buffer.from(decoder.decode(chunk, { stream: true })))
      } catch (error) {
        done(error as Error)
      }
    },
    flush(done) {
      try {
        done(null, Buffer.from(decoder.decode()))
      } catch (error) {
        done(error as Error)
      }
    },
  })
}

function explain(error: unknown, file: TextFile): unknown {
  const e = error as NodeJS.ErrnoException
  if (e.code === 'ERR_ENCODING_INVALID_ENCODED_DATA') return notInEncoding(file)
  if (
    /^Z_|^ZSTD|^ERR_ZSTD/.test(e.code ?? '') ||
    /unexpected end of file|incorrect header|Frame|zstd/i.test(e.message)
  ) {
    return new FerryError('FERRY-4004', `${file.path}: ${e.message} (${file.compression})`, { cause: error })
  }
  return file.store.explain(error, file.path)
}

export function notInEncoding(file: TextFile, bytes?: Buffer): FerryError {
  const compression = bytes ? compressionOf(bytes) : 'none'
  if (compression !== 'none') {
    return new FerryError('FERRY-4003', `${file.path} is not text: it is compressed with ${compression}`, {
      hint: `Say so: read: { compression: ${compression} }.`,
    })
  }
  return new FerryError('FERRY-4003', `${file.path} is not in ${file.encoding}`, {
    hint: isUtf8Name(file.encoding)
      ? 'Set its encoding, for example: read: { encoding: latin1 }.'
      : 'Check the encoding.',
  })
}

/** Checks that whole records are UTF-8; a record boundary never lies inside a character. */
export function requireUtf8(chunk: Buffer, file: TextFile): void {
  if (isUtf8Name(file.encoding) && !isUtf8(chunk)) throw notInEncoding(file, chunk)
}

/** Throws FERRY-4008 where a record is longer than a text can be here: 512 MB. */
export function requireNotTooLong(place: string, bytes: number): void {
  if (bytes <= constants.MAX_STRING_LENGTH) return
  throw new FerryError('FERRY-4008', `${place}: the record is longer than 512 MB`)
}
