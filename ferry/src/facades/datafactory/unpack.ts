/** Files that are packed, one by one or many in an archive, unpacked into a folder of this machine. */
import { createReadStream, createWriteStream, mkdirSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { crc32, createGunzip, createInflateRaw, type InflateRaw } from 'node:zlib'
import { extract } from 'tar-stream'
import unbzip2 from 'unbzip2-stream'
import yauzl from 'yauzl'
import { FerryError } from '../../errors.ts'

export type Packing = 'bzip2' | 'gzip' | 'deflate' | 'zip' | 'tar' | 'targz'

/** By the names that datasets have for them, in lower case. */
export const PACKINGS: Record<string, Packing> = {
  bzip2: 'bzip2',
  gzip: 'gzip',
  deflate: 'deflate',
  zipdeflate: 'zip',
  tar: 'tar',
  targzip: 'targz',
}

export const isArchive = (packing: Packing) => packing === 'zip' || packing === 'tar' || packing === 'targz'

/** Of a tar archive, in bytes. */
const BLOCK = 512

/** Files that one archive may hold here. */
const MOST_ENTRIES = 1_000_000

/** The name of a single packed file without the ending of its packing. */
export function unpackedName(name: string): string {
  return name.replace(/\.(bz2|gz|gzip|deflate|zz)$/i, '') || name
}

/** Unpacks a file: into `target` itself, or all files of an archive into the folder `target`. Throws FERRY-4004, FERRY-4006, FERRY-7006. */
export async function unpack(path: string, packing: Packing, target: string, signal: AbortSignal): Promise<void> {
  try {
    if (packing === 'zip') await unzip(path, target, signal)
    else if (packing === 'tar' || packing === 'targz') await untar(path, packing === 'targz', target, signal)
    else {
      const decode = decoder(packing)
      await pipeline(createReadStream(path), decode, ...file(target), { signal })
      const { size } = statSync(path)
      // Bytes after the end of the stream would be lost.
      const taken = packing === 'deflate' ? (decode as InflateRaw).bytesWritten : size
      if (size === 0 || taken < size) {
        throw new FerryError(
          'FERRY-4004',
          `${basename(path)} ${size === 0 ? 'is empty' : `goes on behind its end, at byte ${taken}`}`,
        )
      }
    }
  } catch (error) {
    if (error instanceof FerryError || signal.aborted) throw error
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'ENOSPC')
      throw new FerryError(
        'FERRY-4006',
        `what is in ${basename(path)} does not fit on the disk here: ${dirname(target)}`,
      )
    if (code === 'EEXIST' || code === 'EISDIR' || code === 'ENOTDIR') {
      throw new FerryError('FERRY-7006', `${basename(path)} gives a file whose name another one has already`, {
        hint: 'With preserveZipFileNameAsFolder, or preserveCompressionFileNameAsFolder, each archive has a folder of its own.',
      })
    }
    if (error instanceof TypeError)
      throw new FerryError('FERRY-4004', `${basename(path)} is damaged or cut`, { cause: error })
    throw new FerryError('FERRY-4004', `${basename(path)} cannot be unpacked: ${message.replace(/\.$/, '')}`, {
      cause: error,
    })
  }
}

const decoder = (packing: 'bzip2' | 'gzip' | 'deflate'): NodeJS.ReadWriteStream =>
  packing === 'bzip2' ? unbzip2() : packing === 'gzip' ? createGunzip() : createInflateRaw()

function file(path: string): [NodeJS.WritableStream] {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  // Two files of one name would become one.
  return [createWriteStream(path, { flags: 'wx', mode: 0o600 })]
}

/** Where a file of an archive goes. Throws FERRY-7006 for a name that leads out of the folder. */
function placeOf(target: string, name: string, archive: string): string {
  const steps = name.replace(/^(\.\/+)+/, '').split('/')
  const isOdd = steps.some(s => s === '' || s === '.' || s === '..') || /[\\\0]/.test(name)
  if (isOdd) {
    throw new FerryError('FERRY-7006', `${archive} holds a file called ${JSON.stringify(name.slice(0, 200))}`, {
      hint: 'Names of files in archives are paths without backslashes and `..`.',
    })
  }
  return join(target, ...steps)
}

function requireCount(count: number, archive: string): void {
  if (count > MOST_ENTRIES) throw new FerryError('FERRY-7006', `${archive} holds more than ${MOST_ENTRIES} files`)
}

async function unzip(path: string, target: string, signal: AbortSignal): Promise<void> {
  // A name with a backslash or a way out is an error there, and what is inflated has to have the size that is written.
  const zip = await yauzl.openPromise(path)
  try {
    let count = 0
    for await (const entry of zip.eachEntry()) {
      requireCount(++count, basename(path))
      if (entry.fileName.endsWith('/')) continue
      // Of Unix: 0o120000 is a symbolic link.
      if (((entry.externalFileAttributes >>> 16) & 0o170000) === 0o120000)
        throw new FerryError(
          'FERRY-7006',
          `${basename(path)}: ${entry.fileName} is a symlink: only files and folders are unpacked here`,
        )
      if (entry.isEncrypted())
        throw new FerryError('FERRY-7006', `${basename(path)}: ${entry.fileName} is encrypted, which is not known here`)
      let sum = 0
      const checked = async function* (data: AsyncIterable<Buffer>) {
        for await (const chunk of data) {
          sum = crc32(chunk, sum)
          yield chunk
        }
      }
      const data = await zip.openReadStreamPromise(entry)
      await pipeline(data, checked, ...file(placeOf(target, entry.fileName, basename(path))), { signal })
      if (sum !== entry.crc32) {
        throw new FerryError(
          'FERRY-4004',
          `${basename(path)}: ${entry.fileName} is damaged: its checksum is another one`,
        )
      }
    }
  } finally {
    zip.close()
  }
}

async function untar(path: string, isZipped: boolean, target: string, signal: AbortSignal): Promise<void> {
  const entries = extract()
  let end = Buffer.alloc(0)
  /** An archive ends with blocks of zeros: one that was cut between two files does not. */
  const watched = async function* (data: AsyncIterable<Buffer>) {
    for await (const chunk of data) {
      end = Buffer.concat([end, chunk.subarray(-BLOCK)]).subarray(-BLOCK)
      yield chunk
    }
  }
  const fed = isZipped
    ? pipeline(createReadStream(path), createGunzip(), watched, entries, { signal })
    : pipeline(createReadStream(path), watched, entries, { signal })
  const taken = async () => {
    let count = 0
    for await (const entry of entries) {
      requireCount(++count, basename(path))
      const { name, type } = entry.header
      if (type === 'directory') entry.resume()
      else if (type === 'file' || type === 'contiguous-file')
        await pipeline(entry, ...file(placeOf(target, name, basename(path))), { signal })
      else
        throw new FerryError(
          'FERRY-7006',
          `${basename(path)}: ${name} is a ${type}: only files and folders are unpacked here`,
        )
    }
  }
  const [first, second] = await Promise.allSettled([taken(), fed])
  for (const work of [first, second]) if (work.status === 'rejected') throw work.reason
  if (end.length < BLOCK || end.some(byte => byte !== 0)) {
    throw new FerryError('FERRY-4004', `${basename(path)} is cut: its end is missing`)
  }
}
