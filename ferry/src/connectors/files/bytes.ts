/** A file's bytes as a stream: from an offset, decompressed, and in UTF-8. */
import { constants, isUtf8 } from 'node:buffer'
import { hash } from 'node:crypto'
import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import { pipeline, Readable, Transform } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { allowedPath } from '../../confinement.ts'
import { FerryError } from '../../errors.ts'
import { translate } from './errors.ts'
import type { Compression } from './options.ts'
import { unzstd } from './zstd.ts'

export const STDIN = '-'
const CHUNK = 1 << 18

/** The files of one object, found and sorted. */
export interface FileSet {
  object: string
  paths: string[]
  /** Bytes of each file as it lies there, and of all; standard input has none. */
  sizes: Map<string, number>
  bytes: number
  /** What changes when one of them does. */
  prints: string[]
}

/** What must be the same for places in the files to hold; undefined of standard input. */
export function fingerprintOf({ prints }: FileSet): string | undefined {
  return prints.length === 0 ? undefined : hash('sha256', prints.join('\n'), 'hex').slice(0, 32)
}

export interface FileBytes {
  path: string
  compression: Compression
  encoding: string
}

/** Reads a file's bytes as UTF-8. Throws FERRY-4003 for what is not in the encoding, FERRY-4004 for a damaged file. */
export async function* readBytes(
  file: FileBytes,
  range: { start: number; end?: number },
  signal?: AbortSignal,
): AsyncGenerator<Buffer> {
  if (range.end !== undefined && range.end <= range.start) return
  const raw =
    file.path === STDIN
      ? process.stdin
      : createReadStream(allowedPath(file.path), {
          start: range.start,
          highWaterMark: CHUNK,
          ...(range.end === undefined ? {} : { end: range.end - 1 }),
          ...(signal ? { signal } : {}),
        })
  const stages: Transform[] = []
  const compression = raw === process.stdin && file.compression === 'none' ? await toldByStdin() : file.compression
  if (compression === 'gzip') stages.push(createGunzip({ chunkSize: CHUNK }))
  if (!isUtf8Name(file.encoding)) stages.push(transcode(file.encoding))
  const first = compression === 'zstd' ? Readable.from(unzstd(raw, CHUNK), { objectMode: false }) : raw
  const out = stages.length === 0 ? first : (pipeline([first, ...stages] as never, () => {}) as unknown as Transform)
  try {
    for await (const chunk of out) yield chunk as Buffer
  } catch (error) {
    throw explain(error, file)
  } finally {
    // A reader that stops early must not leave the file open.
    if (raw !== process.stdin) (raw as { destroy?: () => void }).destroy?.()
  }
}

/** The compression that the first bytes of standard input tell: it has no name that would. */
async function toldByStdin(): Promise<Compression> {
  const { stdin } = process
  if (!stdin.readableEnded && stdin.readableLength === 0) await once(stdin, 'readable')
  const first = stdin.read() as Buffer | null
  if (first) stdin.unshift(first)
  return first ? compressionOf(first) : 'none'
}

/** The compression that bytes begin with. Neither mark is the beginning of a text in UTF-8. */
function compressionOf(bytes: Buffer): Compression {
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) return 'gzip'
  return bytes.length >= 4 && bytes.readUInt32LE(0) === 0xfd2fb528 ? 'zstd' : 'none'
}

/** The encoding that a file's first bytes tell: UTF-16 by its byte order mark, else UTF-8. */
export async function encodingOf(file: FileBytes): Promise<string> {
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

function explain(error: unknown, file: FileBytes): unknown {
  const e = error as NodeJS.ErrnoException
  if (e.code === 'ENOENT') return new FerryError('FERRY-3001', `${file.path} does not exist`, { cause: error })
  if (e.code === 'EACCES' || e.code === 'EPERM') return translate(error, file.path)
  if (e.code === 'ERR_ENCODING_INVALID_ENCODED_DATA') return notInEncoding(file)
  if (
    /^Z_|^ZSTD|^ERR_ZSTD/.test(e.code ?? '') ||
    /unexpected end of file|incorrect header|Frame|zstd/i.test(e.message)
  ) {
    return new FerryError('FERRY-4004', `${file.path}: ${e.message} (${file.compression})`, { cause: error })
  }
  return error
}

export function notInEncoding(file: FileBytes, bytes?: Buffer): FerryError {
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
export function requireUtf8(chunk: Buffer, file: FileBytes): void {
  if (isUtf8Name(file.encoding) && !isUtf8(chunk)) throw notInEncoding(file, chunk)
}

/** Throws FERRY-4008 where a record is longer than a text can be here: 512 MB. */
export function requireNotTooLong(place: string, bytes: number): void {
  if (bytes <= constants.MAX_STRING_LENGTH) return
  throw new FerryError('FERRY-4008', `${place}: the record is longer than 512 MB`)
}
