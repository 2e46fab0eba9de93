/**
 * Rows of a query's result as the server sends them: packets of length-prefixed texts. They are read where they lie,
 * either into values or into CSV, without a JavaScript object for each row.
 *
 * Source: https://mariadb.com/kb/en/resultset-row/
 */
import type { Readable } from 'node:stream'
import { type Connection, cut } from './client.ts'

/** One row: where its packet lies. Valid until the callback returns. */
export interface RowPacket {
  buffer: Buffer
  offset: number
  end: number
  isEOF(): boolean
  eofStatusFlags(): number
}

interface QueryCommand {
  done(): null
  row(packet: RowPacket): unknown
}

/**
 * Runs a query and hands over what `take` makes of its rows, whenever that is ready. Reading pauses while nobody
 * fetches. Ending the iteration early breaks the connection off: the server would keep sending.
 */
export async function* readPackets<T>(
  connection: Connection,
  sql: string,
  reader: { take: (packet: RowPacket) => T | undefined; rest: () => T | undefined },
): AsyncGenerator<T> {
  const { stream } = connection as unknown as { stream: Readable }
  const ready: T[] = []
  let failure: { error: unknown } | undefined
  let ended = false
  let wake: (() => void) | undefined
  const tell = () => {
    wake?.()
    wake = undefined
  }
  const fail = (error: unknown) => {
    failure ??= { error }
    tell()
  }
  const command = connection.query(sql, error => {
    if (error) return fail(error)
    ended = true
    tell()
  }) as unknown as QueryCommand
  // The command looks its next step up in itself: each row comes here instead of being parsed into an object.
  command.row = packet => {
    if (packet.isEOF()) return command.done()
    try {
      const made = failure ? undefined : reader.take(packet)
      if (made !== undefined) {
        ready.push(made)
        if (ready.length > MOST_READY) stream.pause()
        tell()
      }
    } catch (error) {
      // The rest of the result still arrives, and is ignored.
      fail(error)
    }
    return command.row
  }
  let finished = false
  try {
    for (;;) {
      const made = ready.shift()
      if (made !== undefined) {
        yield made
        if (ready.length === 0) stream.resume()
        continue
      }
      if (failure) throw failure.error
      if (ended) break
      await new Promise<void>(resolve => {
        wake = resolve
      })
    }
    finished = true
    const rest = reader.rest()
    if (rest !== undefined) yield rest
  } finally {
    stream.resume()
    if (!finished) cut(connection)
  }
}

const MOST_READY = 8

/** The length of the value at a place; -1 means null. Sets `Cursor.at` to its first byte. */
export function valueLength(buffer: Buffer, cursor: { at: number }): number {
  const first = buffer[cursor.at]!
  if (first < 0xfb) {
    cursor.at++
    return first
  }
  if (first === 0xfb) {
    cursor.at++
    return -1
  }
  if (first === 0xfc) {
    cursor.at += 3
    return buffer.readUInt16LE(cursor.at - 2)
  }
  if (first === 0xfd) {
    cursor.at += 4
    return buffer.readUIntLE(cursor.at - 3, 3)
  }
  cursor.at += 9
  return Number(buffer.readBigUInt64LE(cursor.at - 8))
}
