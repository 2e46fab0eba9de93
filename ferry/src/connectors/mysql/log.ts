/** Following tables through the binary log: what it must be like, and what is kept between copies. */
import { FerryError } from '../../errors.ts'
import { type LogPosition, TableLog } from '../changes/log.ts'
import type { ReadRequest } from '../connector.ts'
import { BinlogStream, byteIn, type Followed, fileNumber, placeOf } from './binlog.ts'
import type { MysqlTable } from './catalog.ts'
import { type Connection, connect, query } from './client.ts'
import type { MysqlSettings } from './settings.ts'

/** What a request knows of the log, as JSON in its `log`. */
export interface LogPlan {
  keys: string[]
  /** The server whose log it is, and the name of its files without their numbers. */
  server: string
  base: string
  from?: string
  load: boolean
  until?: string
}

/** What is kept between copies. */
export interface LogMark {
  server: string
  base: string
  place: string
}

export function markOf(position: string): LogMark | undefined {
  const mark = JSON.parse(position) as Partial<LogMark>
  return typeof mark === 'object' && mark !== null && mark.place !== undefined ? (mark as LogMark) : undefined
}

/** `12:345+6`: file, byte, and changes behind it. */
export const formatPosition = ({ at, seq }: LogPosition) =>
  `${fileNumber(at)}:${byteIn(at)}${seq === 0 ? '' : `+${seq}`}`

export function parsePosition(text: string): LogPosition {
  const [place, seq = '0'] = text.split('+')
  const [file, byte] = place!.split(':')
  return { at: Number(file) * 2 ** 32 + Number(byte), seq: Number(seq) }
}

/** The server's own name, and where its log ends. */
export async function logEnd(connection: Connection): Promise<{ server: string; base: string; at: number }> {
  const [id] = await query(connection, 'SELECT @@server_id AS id')
  const [status] = await query(connection, 'SHOW MASTER STATUS').catch(() =>
    query(connection, 'SHOW BINARY LOG STATUS'),
  )
  if (!status) {
    throw new FerryError('FERRY-3011', 'the server keeps no binary log', {
      hint: 'Start it with log_bin and binlog_format = ROW.',
    })
  }
  const file = String(status.File)
  return { server: String(id!.id), base: file.replace(/\d+$/, ''), at: placeOf(file, Number(status.Position)) }
}

/** Throws FERRY-3011 or FERRY-3012 with what mends it. */
export async function requireLog(
  connection: Connection,
  request: ReadRequest,
  table: MysqlTable,
  keys: string[],
): Promise<void> {
  if (request.query !== undefined || request.where !== undefined) {
    throw new FerryError('FERRY-3012', `${table.object}: the log tells of whole tables: neither query nor where`, {
      hint: 'Leave them out, or find changes by a column: incrementalColumn.',
    })
  }
  if (table.isView) throw new FerryError('FERRY-3012', `${table.object} is no table: the log does not tell of it`)
  const [row] = await query(
    connection,
    'SELECT @@log_bin AS on_, @@binlog_format AS format, @@binlog_row_image AS image',
  )
  if (Number(row!.on_) !== 1) {
    throw new FerryError('FERRY-3011', 'the server keeps no binary log', {
      hint: 'Start it with log_bin and binlog_format = ROW.',
    })
  }
  if (row!.format !== 'ROW') {
    throw new FerryError('FERRY-3011', `the server's binlog_format is ${row!.format}, and must be ROW`, {
      hint: 'SET GLOBAL binlog_format = ROW; sessions that are open keep theirs.',
    })
  }
  const isKey = keys.every(key => table.primaryKey.includes(key))
  if (row!.image !== 'FULL' && !isKey) {
    throw new FerryError('FERRY-3011', `binlog_row_image is ${row!.image}: changes do not tell ${keys.join(', ')}`, {
      hint: 'SET GLOBAL binlog_row_image = FULL, or copy by the primary key.',
    })
  }
}

/** What is wrong with the log for who goes on from a mark; undefined where nothing is. */
export async function logFault(connection: Connection, mark: LogMark): Promise<FerryError | undefined> {
  const gone = (why: string) => new FerryError('FERRY-5010', why)
  const { server, base, at } = await logEnd(connection)
  const { at: from } = parsePosition(mark.place)
  if (server !== mark.server || base !== mark.base) return gone('another server answers: its log has other places')
  if (from > at) return gone('the log of the server ends before the place of the last copy: it was reset')
  const files = await query(connection, 'SHOW BINARY LOGS')
  const isThere = files.some(f => fileNumber(placeOf(String(f.Log_name), 0)) === fileNumber(from))
  return isThere ? undefined : gone(`the file of the log that the last copy ended in was purged`)
}

/** The log of a server, for the tables of a run. */
export function binaryLog(
  settings: MysqlSettings,
  followed: Map<string, Followed>,
  end: () => Promise<{ base: string; at: number }>,
  loaded: () => Promise<void>,
): TableLog {
  return new TableLog(
    {
      format: formatPosition,
      parse: parsePosition,
      end: async () => (await end()).at,
      loaded,
      open: async (from, log) => {
        const connection = await connect(settings)
        const { base } = await end()
        const files = await query(connection, 'SHOW BINARY LOGS')
        const file = files.map(f => String(f.Log_name)).find(name => fileNumber(placeOf(name, 0)) === fileNumber(from))
        if (file === undefined) {
          throw new FerryError('FERRY-5010', `the file ${base}${fileNumber(from)} of the log was purged`)
        }
        const stream = new BinlogStream(connection, log, { settings, followed, file })
        await stream.start(byteIn(from))
        return stream
      },
    },
    Infinity,
  )
}
