/**
 * Compressed parts of a binary log.
 *
 * Source: https://mariadb.com/kb/en/compressing-events-to-reduce-size-of-the-binary-log/ and
 * https://dev.mysql.com/doc/refman/8.4/en/binary-log-transaction-compression.html
 */
import { inflateSync, zstdDecompressSync } from 'node:zlib'
import { FerryError } from '../../errors.ts'
import { packed } from './rowimage.ts'

/** MariaDB: the rest of an event, after a byte with the number of bytes of its size. */
export function inflated(buffer: Buffer, at: number, end: number): Buffer {
  const sizeBytes = buffer[at]! & 0x07
  return inflateSync(buffer.subarray(at + 1 + sizeBytes, end))
}

/** MySQL: the fields in front of a transaction. */
const FIELD = { end: 0, compression: 2 } as const
const COMPRESSION = { zstd: 0, none: 255 } as const

/** MySQL: the events of a transaction that the log keeps as one. */
export function transactionPayload(buffer: Buffer, body: number, end: number): Buffer {
  const cursor = { at: body }
  let compression: number = COMPRESSION.zstd
  for (;;) {
    const field = packed(buffer, cursor)
    if (field === FIELD.end) break
    const next = packed(buffer, cursor)
    const stop = cursor.at + next
    if (field === FIELD.compression) compression = packed(buffer, cursor)
    cursor.at = stop
  }
  const bytes = buffer.subarray(cursor.at, end)
  if (compression === COMPRESSION.none) return Buffer.from(bytes)
  if (compression === COMPRESSION.zstd) return zstdDecompressSync(bytes)
  throw new FerryError('FERRY-3011', `the log is compressed in a way that is not known (${compression})`)
}
