/**
 * Reading the binary log as a replica does: events in their order, rows with their values.
 *
 * One file: the state of one protocol (positions, table maps, transactions) that each kind of event changes.
 *
 * Source: https://mariadb.com/kb/en/replication-protocol/
 */
import type { Duplex } from 'node:stream'
import type { Row } from '../../batch/types.ts'
import type { ReadRequest } from '../../contract/read.ts'
import { FerryError, RowError } from '../../errors.ts'
import { requireKnown } from '../changes/drift.ts'
import type { LogStream, TableLog } from '../changes/log.ts'
import type { LogTable } from '../changes/logtable.ts'
import type { MysqlColumn } from './catalog.ts'
import { type Connection, cut, query, type ServerError, translate } from './client.ts'
import { inflated, transactionPayload } from './compressed.ts'
import { bitmap, type LoggedTable, packed, RowImages, tableMap } from './rowimage.ts'
import type { MysqlSettings } from './settings.ts'

/** A place: the number of the file, and the byte in it. */
export const placeOf = (file: string, byte: number): number => Number(/\d+$/.exec(file)?.[0] ?? 0) * 2 ** 32 + byte
export const fileNumber = (place: number): number => Math.floor(place / 2 ** 32)
export const byteIn = (place: number): number => place % 2 ** 32

const EVENT = {
  query: 2,
  rotate: 4,
  xid: 16,
  tableMap: 19,
  writeV1: 23,
  updateV1: 24,
  deleteV1: 25,
  heartbeat: 27,
  writeV2: 30,
  updateV2: 31,
  deleteV2: 32,
  gtid: 33,
  anonymous: 34,
  payload: 40,
  mariadbGtid: 162,
  partialUpdate: 39,
  taggedGtid: 42,
  compressedQuery: 165,
  compressedV1: 166,
  compressedV2: 169,
  compressedEnd: 171,
} as const

/** What happened to the rows of an event, in the order of the servers' types. */
const CHANGED = ['write', 'update', 'delete'] as const

const HEADER = 19
/** Heartbeat period of the server, in nanoseconds. */
const HEARTBEAT_NS = 20_000_000

interface Packet {
  buffer: Buffer
  offset: number
  end: number
  isError(): boolean
  isEOF(): boolean
  asError(encoding: string): Error
}

interface PacketConnection {
  handlePacket: (packet: Packet) => void
}

/** COM_BINLOG_DUMP with its packet's header. */
function dumpCommand(file: string, byte: number, serverId: number): Buffer {
  const name = Buffer.from(file)
  const message = Buffer.alloc(15 + name.length)
  message.writeUIntLE(11 + name.length, 0, 3)
  message[4] = 0x12
  message.writeUInt32LE(byte, 5)
  message.writeUInt32LE(serverId, 11)
  name.copy(message, 15)
  return message
}

/** A table that is followed: what its rows are read by. */
export interface Followed {
  table: LogTable<number>
  columns: MysqlColumn[]
  drift: ReadRequest['drift']
}

export class BinlogStream implements LogStream<number> {
  private readonly connection: Connection
  private readonly stream: Duplex
  private readonly log: TableLog<number>
  private readonly settings: MysqlSettings
  private readonly followed: Map<string, Followed>
  private file: string
  /** Tables by their number in the log. */
  private readonly tables = new Map<number, { name: string; images: RowImages | undefined; count: number }>()
  private inTransaction = false
  private checksumBytes = 0
  private closed = false

  constructor(
    connection: Connection,
    log: TableLog<number>,
    options: { settings: MysqlSettings; followed: Map<string, Followed>; file: string },
  ) {
    this.connection = connection
    this.stream = (connection as unknown as { stream: Duplex }).stream
    this.log = log
    this.settings = options.settings
    this.followed = options.followed
    this.file = options.file
  }

  /** Starts the dump at a byte of the file. */
  async start(byte: number): Promise<void> {
    const { connection } = this
    // Events with their checksums, GTIDs, and heartbeats when there are no more events.
    await query(
      connection,
      'SET @master_binlog_checksum = @@global.binlog_checksum, @source_binlog_checksum = @@global.binlog_checksum',
    )
    const [checksum] = await query(connection, 'SELECT @@global.binlog_checksum AS kind')
    // The connection itself is what makes them superfluous.
    this.checksumBytes = checksum!.kind === 'NONE' ? 0 : 4
    await query(connection, `SET @mariadb_slave_capability = 4`)
    await query(
      connection,
      `SET @master_heartbeat_period = ${HEARTBEAT_NS}, @source_heartbeat_period = ${HEARTBEAT_NS}`,
    )
    const serverId = 1_000_000 + Math.floor(Math.random() * 1_000_000_000)
    connection.on('error', error => this.fail(error))
    this.stream.on('close', () => this.fail(new Error('Connection lost: the server closed the connection')))
    // From here on every packet is an event: mysql2 itself knows few of them.
    ;(connection as unknown as PacketConnection).handlePacket = packet => this.take(packet)
    this.stream.write(dumpCommand(this.file, byte, serverId))
  }

  private take(packet: Packet): void {
    if (this.closed) return
    try {
      if (packet.isError()) throw packet.asError('utf8')
      if (packet.isEOF()) throw new FerryError('FERRY-2005', 'the server ended its log')
      this.event(packet.buffer, packet.offset + 1, packet.end - this.checksumBytes)
    } catch (error) {
      this.fail(error)
    }
    if (!this.log.mayGoOn) this.stream.pause()
  }

  resume(): void {
    this.stream.resume()
  }

  /** The server sends a heartbeat when there are no more events. */
  ask(): void {}

  /** The server keeps its log for a time of its own. */
  confirm(): void {}

  close(): void {
    this.closed = true
    cut(this.connection)
  }

  private fail(error: unknown): void {
    if (this.closed) return
    this.closed = true
    cut(this.connection)
    this.log.failed(explained(error))
  }

  private event(buffer: Buffer, begin: number, end: number): void {
    const type = buffer[begin + 4]!
    const size = buffer.readUInt32LE(begin + 9)
    const next = buffer.readUInt32LE(begin + 13)
    const body = begin + HEADER
    const from = placeOf(this.file, next - size)
    const to = placeOf(this.file, next)
    const time = buffer.readUInt32LE(begin) * 1_000_000
    switch (type) {
      case EVENT.rotate:
        this.file = buffer.toString('utf8', body + 8, end)
        this.tables.clear()
        // The place before any event of the new file, which the fake event of a beginning names too.
        if (!this.inTransaction) this.log.caughtUp(placeOf(this.file, Number(buffer.readBigUInt64LE(body))))
        return
      case EVENT.heartbeat:
        if (!this.inTransaction) this.log.caughtUp(to)
        return
      case EVENT.gtid:
      case EVENT.anonymous:
      case EVENT.taggedGtid:
      case EVENT.mariadbGtid:
        this.begin(from, time)
        return
      case EVENT.query:
      case EVENT.compressedQuery:
        this.query(buffer, body, end, { from, to, time, isCompressed: type === EVENT.compressedQuery })
        return
      case EVENT.xid:
        this.commit(to)
        return
      case EVENT.tableMap:
        this.mapTable(buffer, body, end)
        return
      case EVENT.writeV1:
      case EVENT.writeV2:
      case EVENT.updateV1:
      case EVENT.updateV2:
      case EVENT.deleteV1:
      case EVENT.deleteV2:
        this.rows(CHANGED[(type - EVENT.writeV1) % 7]!, type >= EVENT.writeV2, buffer, body, end)
        return
      case EVENT.payload:
        this.payload(buffer, body, end, to)
        return
      case EVENT.partialUpdate:
        throw unreadable('documents in part', "binlog_row_value_options = ''")
      default:
        if (type < EVENT.compressedV1 || type > EVENT.compressedEnd) return
        this.rows(CHANGED[(type - EVENT.compressedV1) % 3]!, type >= EVENT.compressedV2, buffer, body, end, true)
    }
  }

  /** A whole transaction of MySQL in one event: what ends it ends at the event's own place. */
  private payload(buffer: Buffer, body: number, end: number, to: number): void {
    const events = transactionPayload(buffer, body, end)
    for (let at = 0; at < events.length; ) {
      const size = events.readUInt32LE(at + 9)
      // The events inside it have no position of their own.
      events.writeUInt32LE(byteIn(to), at + 13)
      this.event(events, at, at + size)
      at += size
    }
  }

  private begin(from: number, time: number): void {
    this.inTransaction = true
    this.log.begin(from, time)
  }

  private commit(to: number): void {
    if (!this.inTransaction) return
    this.inTransaction = false
    this.log.commit(to)
  }

  /** Statements: what begins and ends transactions, and what changes tables as a whole. */
  private query(
    buffer: Buffer,
    body: number,
    end: number,
    { from, to, time, isCompressed }: { from: number; to: number; time: number; isCompressed: boolean },
  ): void {
    const nameLength = buffer[body + 8]!
    const statusLength = buffer.readUInt16LE(body + 11)
    const nameAt = body + 13 + statusLength
    const database = buffer.toString('utf8', nameAt, nameAt + nameLength)
    const textAt = nameAt + nameLength + 1
    const text = (isCompressed ? inflated(buffer, textAt, end) : buffer.subarray(textAt, end)).toString()
    if (/^BEGIN$/i.test(text)) {
      if (!this.inTransaction) this.begin(from, time)
      return
    }
    if (/^(COMMIT|ROLLBACK)$/i.test(text)) {
      this.commit(to)
      return
    }
    if (/^SAVEPOINT/i.test(text)) return
    for (const { name, why, column } of remakes(text, database)) {
      const followed = this.followed.get(name)
      if (!followed || (column !== undefined && !followed.columns.some(c => c.name === column))) continue
      if (from < followed.table.from.at || !followed.table.attached || followed.table.ended) continue
      throw new FerryError(
        'FERRY-5010',
        `${name} ${why}, which the log tells without its rows: ${text.slice(0, 120)}`,
        {
          hint: 'Copy everything again: ferry reset JOB.',
        },
      )
    }
    const truncated = TRUNCATE.exec(text)
    const changed = truncated ?? STATEMENT.exec(text)
    if (changed) {
      const followed = this.followed.get(nameIn(changed[1]!, database))
      if (followed && !truncated) {
        throw new FerryError(
          'FERRY-5010',
          `the log holds a statement instead of rows for ${followed.table.name}: ${text.slice(0, 80)}`,
          { hint: 'Set binlog_format = ROW, then copy everything again: ferry reset JOB.' },
        )
      }
      if (followed) {
        if (!this.inTransaction) this.begin(from, time)
        if (this.log.wants(followed.table)) followed.table.add([], 'clear', 1)
      }
    }
    // Statements about tables are transactions of their own.
    this.tables.clear()
    this.commit(to)
  }

  private mapTable(buffer: Buffer, body: number, end: number): void {
    const id = buffer.readUIntLE(body, 6)
    const map = tableMap(buffer, body + 8, end)
    const name = `${map.database}.${map.table}`
    const followed = this.followed.get(name)
    this.tables.set(id, { name, images: followed && this.imagesOf(followed, map), count: map.types.length })
  }

  private imagesOf({ table, columns, drift }: Followed, map: LoggedTable): RowImages | undefined {
    try {
      const images = new RowImages(map, columns, table.columns, this.settings)
      // Changes before the position that the table is resumed from are known.
      if (this.log.at !== undefined && this.log.at >= table.from.at)
        requireKnown(table.name, images.names, columns, drift)
      return images
    } catch (error) {
      table.stop(explained(error))
      return undefined
    }
  }

  private rows(
    changed: (typeof CHANGED)[number],
    isV2: boolean,
    event: Buffer,
    body: number,
    eventEnd: number,
    isCompressed = false,
  ): void {
    let [buffer, end] = [event, eventEnd]
    const mapped = this.tables.get(buffer.readUIntLE(body, 6))
    if (!mapped?.images) return
    const { images } = mapped
    const { table } = this.followed.get(mapped.name)!
    const cursor = { at: body + 8 }
    if (isV2) cursor.at += buffer.readUInt16LE(cursor.at)
    const count = packed(buffer, cursor)
    const present = bitmap(buffer, cursor, count)
    const isUpdate = changed === 'update'
    const after = isUpdate ? bitmap(buffer, cursor, count) : present
    if (isCompressed) {
      buffer = inflated(buffer, cursor.at, end)
      end = buffer.length
      cursor.at = 0
    }
    while (cursor.at < end) {
      const begin = cursor.at
      try {
        if (isUpdate) this.update(table, images, { buffer, cursor, present, after })
        else {
          const { row } = images.read(buffer, cursor, present)
          if (this.log.wants(table)) table.add(row, changed === 'write' ? 'create' : 'delete', cursor.at - begin)
        }
      } catch (error) {
        if (error instanceof RowError) error.message = `${table.name}: ${error.message}`
        throw error
      }
    }
  }

  private update(
    table: LogTable<number>,
    images: RowImages,
    event: { buffer: Buffer; cursor: { at: number }; present: boolean[]; after: boolean[] },
  ): void {
    const { buffer, cursor, present, after } = event
    const begin = cursor.at
    const former: Row = images.read(buffer, cursor, present).row
    const { row, missing } = images.read(buffer, cursor, after)
    if (!this.log.wants(table)) return
    // A row image may be partial: missing values are taken from the image before the change.
    const told = new Set(images.places.filter((place, i) => place >= 0 && present[i]))
    const unchanged = missing?.filter(place => !told.has(place))
    for (const place of missing ?? []) if (told.has(place)) row[place] = former[place]!
    const more = { before: former, ...(unchanged && unchanged.length > 0 ? { unchanged } : {}) }
    table.add(row, 'replace', cursor.at - begin, more)
  }
}

const NAME = '((?:`(?:[^`]|``)+`|[\\w$]+)(?:\\s*\\.\\s*(?:`(?:[^`]|``)+`|[\\w$]+))?)'
const COMMENTS = '(?:\\s|/\\*[\\s\\S]*?\\*/)*'
const TRUNCATE = new RegExp(`^${COMMENTS}TRUNCATE\\s+(?:TABLE\\s+)?${NAME}`, 'i')
const STATEMENT = new RegExp(
  `^${COMMENTS}(?:INSERT\\s+(?:IGNORE\\s+)?INTO|REPLACE\\s+INTO|UPDATE|DELETE\\s+FROM)\\s+${NAME}`,
  'i',
)

const DROP = new RegExp(`^${COMMENTS}DROP\\s+(?:TEMPORARY\\s+)?TABLE\\s+(?:IF\\s+EXISTS\\s+)?([\\s\\S]*)`, 'i')
const RENAME = new RegExp(`^${COMMENTS}RENAME\\s+TABLES?\\s+(?:IF\\s+EXISTS\\s+)?([\\s\\S]*)`, 'i')
const ALTER = new RegExp(
  `^${COMMENTS}ALTER\\s+(?:ONLINE\\s+|IGNORE\\s+)*TABLE\\s+(?:IF\\s+EXISTS\\s+)?${NAME}([\\s\\S]*)`,
  'i',
)
const REPLACE = new RegExp(`^${COMMENTS}CREATE\\s+OR\\s+REPLACE\\s+TABLE\\s+${NAME}`, 'i')

/** Statements that give a table other rows, or columns of one name, than it had; `column` where that one is there again. */
function remakes(text: string, database: string): { name: string; why: string; column?: string }[] {
  const replaced = REPLACE.exec(text)
  if (replaced) return [{ name: nameIn(replaced[1]!, database), why: 'was made anew' }]
  const names = new RegExp(NAME, 'g')
  const list = (part: string) =>
    [...part.replace(/\/\*[\s\S]*?\*\//g, ' ').matchAll(names)].map(m => nameIn(m[1]!, database))
  const dropped = DROP.exec(text)
  if (dropped && !/^\s*(?:\/\*.*?\*\/\s*)*DROP\s+TEMPORARY/i.test(text))
    return list(dropped[1]!).map(name => ({ name, why: 'was dropped' }))
  const renamed = RENAME.exec(text)
  if (renamed) return list(renamed[1]!).map(name => ({ name, why: 'was renamed' }))
  const altered = ALTER.exec(text)
  if (!altered) return []
  const name = nameIn(altered[1]!, database)
  const rest = altered[2]!
  if (/\bRENAME\s+(?:TO|AS|=)?\s*[`\w]/i.test(rest) && !/\bRENAME\s+(?:COLUMN|INDEX|KEY)\b/i.test(rest)) {
    return [{ name, why: 'was renamed' }]
  }
  if (/\b(?:TRUNCATE|DROP|EXCHANGE|DISCARD|IMPORT)\s+(?:PARTITION|TABLESPACE)\b/i.test(rest)) {
    return [{ name, why: 'lost or got rows with a partition' }]
  }
  return [...rest.matchAll(/\bDROP\s+(?:COLUMN\s+)?(?:IF\s+EXISTS\s+)?(?:`((?:[^`]|``)+)`|([\w$]+))/gi)].map(m => {
    const column = m[1]?.replaceAll('``', '`') ?? m[2]!
    return { name, why: `had its column ${column} made anew`, column }
  })
}

/** `database.table` of a name in a statement. */
function nameIn(text: string, database: string): string {
  const parts = [...text.matchAll(/`((?:[^`]|``)+)`|([\w$]+)/g)].map(m => m[1]?.replaceAll('``', '`') ?? m[2]!)
  return parts.length === 2 ? parts.join('.') : `${database}.${parts[0]}`
}

function unreadable(what: string, setting: string): FerryError {
  return new FerryError('FERRY-3011', `the log holds ${what}`, {
    hint: `SET GLOBAL ${setting}, then copy everything again: ferry reset JOB.`,
  })
}

/** The server's word that the log is gone has a next step of its own. */
function explained(error: unknown): FerryError {
  if ((error as ServerError).errno === 1236) {
    return new FerryError('FERRY-5010', (error as Error).message, { cause: error })
  }
  return translate(error, 'the log')
}
