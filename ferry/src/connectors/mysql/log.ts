/** Following tables through the binary log: its requirements, and what is saved between copies. */

import { z } from 'zod'
import type { ReadRequest } from '../../contract/read.ts'
import { FerryError } from '../../errors.ts'
import { KeptForm } from '../../kept.ts'
import { TableLog } from '../changes/log.ts'
import type { LogPosition } from '../changes/logtable.ts'
import { BinlogStream, byteIn, type Followed, fileNumber, placeOf } from './binlog.ts'
import type { MysqlTable } from './catalog.ts'
import { type Connection, connect, query } from './client.ts'
import type { MysqlSettings } from './settings.ts'

/** What a request knows of the log, as JSON in its `log`. */
const logPlan = z.object({
  keys: z.array(z.string()),
  /** The server whose log it is, and the name of its files without their numbers. */
  server: z.string(),
  base: z.string(),
  from: z.string().exactOptional(),
  load: z.boolean(),
  until: z.string().exactOptional(),
})
export type LogPlan = z.output<typeof logPlan>
export const logPlans = new KeptForm('plan of a MySQL log', logPlan)

/** What is saved between copies. */
const logMark = z.object({
  server: z.string(),
  base: z.string(),
  place: z.string(),
  /** The columns of the table that was read, each with its type and character set. Undefined of former versions. */
  columns: z
    .array(z.tuple([z.string().describe('name'), z.string().describe('native'), z.string().describe('charset')]))
    .exactOptional(),
})
export type LogMark = z.output<typeof logMark>
export const logMarks = new KeptForm('place in a MySQL log', logMark)

export function columnsMark({ columns }: MysqlTable): NonNullable<LogMark['columns']> {
  return columns.map(c => [c.name, c.native, c.charset ?? ''])
}

/** Whether a type's values are in the log by their number, or by bytes that a type alone explains. */
const BY_LABEL = /^(enum|set)\(/i

/**
 * What makes events that are older than the table's columns unreadable by them; undefined if nothing does. The log has
 * types, and names only with `binlog_row_metadata = FULL`; it does not have the labels of ENUM and SET.
 */
export async function columnsFault(
  connection: Connection,
  mark: LogMark,
  now: MysqlTable,
): Promise<FerryError | undefined> {
  const { columns: was } = mark
  if (!was) return undefined
  const [row] = await query(connection, 'SELECT @@binlog_row_metadata AS metadata').catch(() => [])
  const tellsNames = row?.metadata === 'FULL'
  const changed = was.find(([name, native, charset], i) => {
    const column = tellsNames ? now.columns.find(c => c.name === name) : now.columns[i]
    if (!column) return !tellsNames
    const isUnsigned = (type: string) => /unsigned/i.test(type)
    if (column.name !== name || (column.charset ?? '') !== charset) return true
    if (isUnsigned(column.native) !== isUnsigned(native)) return true
    return (BY_LABEL.test(native) || BY_LABEL.test(column.native)) && native !== column.native
  })
  if (!changed) return undefined
  return new FerryError(
    'FERRY-5010',
    `${now.object}: its column ${changed[0]} is another one than when it was copied last: the log before that cannot be read by it`,
    {
      hint: 'Copy everything again: ferry reset JOB. With binlog_row_metadata = FULL columns may come, go and change places.',
    },
  )
}

/** `12:345+6`: file, byte, and changes behind it. */
export const formatPosition = ({ at, seq }: LogPosition<number>) =>
  `${fileNumber(at)}:${byteIn(at)}${seq === 0 ? '' : `+${seq}`}`

export function parsePosition(text: string): LogPosition<number> {
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

/** Why the log cannot be resumed from a position; undefined if it can. */
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
): TableLog<number> {
  return new TableLog(
    {
      compare: (a, b) => a - b,
      distance: (from, to) => to - from,
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
    [],
  )
}
