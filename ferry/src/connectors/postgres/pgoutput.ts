/**
 * The messages of PostgreSQL's logical replication: transactions in the order of their commits, row by row.
 *
 * Source: https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html (protocol version 1)
 */

/** A place in the write-ahead log: the server's 64 bits, exact in a number up to 8 petabytes of log. */
export type Lsn = number

/** `16/B374D848` as a number. */
export function parseLsn(text: string): Lsn {
  const [high, low] = text.split('/')
  return Number.parseInt(high!, 16) * 2 ** 32 + Number.parseInt(low!, 16)
}

export function formatLsn(lsn: Lsn): string {
  return `${Math.floor(lsn / 2 ** 32).toString(16)}/${(lsn % 2 ** 32).toString(16)}`.toUpperCase()
}

/** A table as the server describes it before its first row, and again when it was altered. */
export interface LogRelation {
  id: number
  schema: string
  table: string
  /** `d` default, `n` nothing, `f` full, `i` index. */
  identity: string
  columns: { name: string; isKey: boolean; type: number }[]
}

/** The values of a row: where each lies in the message. */
export class Tuple {
  buffer: Buffer = Buffer.alloc(0)
  count = 0
  /** `n` null, `u` unchanged, `t` text, by column. */
  kinds: number[] = []
  starts: number[] = []
  ends: number[] = []

  read(buffer: Buffer, at: number): number {
    this.buffer = buffer
    this.count = buffer.readInt16BE(at)
    let place = at + 2
    for (let i = 0; i < this.count; i++) {
      const kind = buffer[place]!
      this.kinds[i] = kind
      place++
      if (kind !== TEXT) continue
      const length = buffer.readInt32BE(place)
      this.starts[i] = place + 4
      place += 4 + length
      this.ends[i] = place
    }
    return place
  }
}

export const NULL = 0x6e
export const UNCHANGED = 0x75
export const TEXT = 0x74

export interface LogHandler {
  /** `lsn` is the position of the transaction's commit, `at` its time in microseconds since 1970. */
  begin(lsn: Lsn, at: number): void
  /** `end` is the place behind the commit. */
  commit(end: Lsn): void
  relation(relation: LogRelation): void
  insert(relation: number, row: Tuple): void
  /** `old` is the row before: as a whole, or its key where that changed. */
  update(relation: number, old: Tuple | undefined, whole: boolean, row: Tuple): void
  delete(relation: number, old: Tuple): void
  truncate(relations: number[]): void
}

/** Microseconds between 1970 and 2000, where the server's clock begins. */
const EPOCH = 946_684_800_000_000

export class PgOutput {
  private readonly handler: LogHandler
  private readonly old = new Tuple()
  private readonly row = new Tuple()

  constructor(handler: LogHandler) {
    this.handler = handler
  }

  /** Takes one message: the payload of an XLogData. */
  take(buffer: Buffer, at: number): void {
    const { handler, old, row } = this
    switch (String.fromCharCode(buffer[at]!)) {
      case 'B':
        handler.begin(lsnAt(buffer, at + 1), Number(buffer.readBigInt64BE(at + 9)) + EPOCH)
        return
      case 'C':
        handler.commit(lsnAt(buffer, at + 10))
        return
      case 'R':
        handler.relation(relationAt(buffer, at + 1))
        return
      case 'I':
        row.read(buffer, at + 6)
        handler.insert(buffer.readInt32BE(at + 1), row)
        return
      case 'U': {
        const id = buffer.readInt32BE(at + 1)
        const kind = buffer[at + 5]
        if (kind === 0x4e) {
          row.read(buffer, at + 6)
          handler.update(id, undefined, false, row)
          return
        }
        const next = old.read(buffer, at + 6)
        row.read(buffer, next + 1)
        handler.update(id, old, kind === 0x4f, row)
        return
      }
      case 'D':
        old.read(buffer, at + 6)
        handler.delete(buffer.readInt32BE(at + 1), old)
        return
      case 'T': {
        const count = buffer.readInt32BE(at + 1)
        handler.truncate(Array.from({ length: count }, (_, i) => buffer.readInt32BE(at + 6 + 4 * i)))
        return
      }
      // Types, origins and messages say nothing of rows.
      default:
    }
  }
}

export function lsnAt(buffer: Buffer, at: number): Lsn {
  return buffer.readUInt32BE(at) * 2 ** 32 + buffer.readUInt32BE(at + 4)
}

function relationAt(buffer: Buffer, begin: number): LogRelation {
  let at = begin + 4
  const text = () => {
    const end = buffer.indexOf(0, at)
    const found = buffer.toString('utf8', at, end)
    at = end + 1
    return found
  }
  const schema = text()
  const table = text()
  const identity = String.fromCharCode(buffer[at]!)
  const count = buffer.readInt16BE(at + 1)
  at += 3
  const columns = Array.from({ length: count }, () => {
    const isKey = buffer[at] === 1
    at++
    const name = text()
    const type = buffer.readInt32BE(at)
    at += 8
    return { name, isKey, type }
  })
  return { id: buffer.readInt32BE(begin), schema, table, identity, columns }
}
