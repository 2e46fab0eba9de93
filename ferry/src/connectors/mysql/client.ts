/** Connections to MySQL and MariaDB: one session setup, one translation of their errors. */
import mysql from 'mysql2'
import { type ErrorCode, FerryError, placed, RowError, TAKEN_HINT } from '../../errors.ts'
import type { LedgerClient } from '../ledger.ts'
import type { MysqlSettings } from './settings.ts'

export type Connection = mysql.Connection

/** Texts of values are fixed for every session, whatever the server's configuration. */
const SESSION = [
  `time_zone = '+00:00'`,
  `sql_mode = 'STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO'`,
  // A copy may wait for its other side.
  'net_read_timeout = 31536000',
  'net_write_timeout = 31536000',
  'wait_timeout = 2147483',
  'innodb_lock_wait_timeout = 3600',
]

/** A connected client in Ferry's session settings. Throws FERRY-2001 or FERRY-2002. */
export async function connect(settings: MysqlSettings): Promise<Connection> {
  const { host, ssl } = settings
  const connection = mysql.createConnection({
    ...(host.startsWith('/') ? { socketPath: host } : { host, port: settings.port }),
    user: settings.user,
    password: settings.password,
    database: settings.database,
    charset: 'utf8mb4',
    connectTimeout: settings.connectTimeout * 1000,
    supportBigNumbers: true,
    bigNumberStrings: true,
    dateStrings: true,
    flags: ['+LOCAL_FILES'],
    ...(ssl === 'disable' ? {} : { ssl: { rejectUnauthorized: ssl === 'verify-full' } }),
  })
  // A connection lost while idle is reported by the next query; without a listener it would end the process.
  connection.on('error', () => {})
  try {
    await new Promise<void>((resolve, reject) => connection.connect(error => (error ? reject(error) : resolve())))
    await query(connection, `SET SESSION ${SESSION.join(', SESSION ')}`)
  } catch (error) {
    cut(connection)
    throw translate(error, labelOf(settings))
  }
  return connection
}

/** Closes a connection at once, also in the middle of a query; who waits for the query gets an error. */
export function cut(connection: Connection): void {
  const { stream } = connection as unknown as { stream: { destroy(): void } }
  stream.destroy()
}

export function labelOf({ host, port, database }: MysqlSettings): string {
  return `mysql://${host}${host.startsWith('/') ? '' : `:${port}`}/${database ?? ''}`
}

export type Answer = Record<string, unknown>

/** The rows of a statement; none of one that gives no rows. Values are texts, numbers or null. */
export function query(connection: Connection, sql: string): Promise<Answer[]> {
  return new Promise((resolve, reject) => {
    connection.query(sql, (error, rows) => {
      if (error) reject(error)
      else resolve(Array.isArray(rows) ? (rows as Answer[]) : [])
    })
  })
}

export async function inTransaction<T>(connection: Connection, work: () => Promise<T>): Promise<T> {
  await query(connection, 'START TRANSACTION')
  try {
    const result = await work()
    await query(connection, 'COMMIT')
    return result
  } catch (error) {
    await query(connection, 'ROLLBACK').catch(() => undefined)
    throw error
  }
}

/** Statements in SQL text over one connection. */
export function ledgerClient(connection: Connection): LedgerClient {
  return {
    query: sql => query(connection, sql),
    transaction: work => inTransaction(connection, work),
  }
}

export interface ServerError extends Error {
  code?: string
  errno?: number
  sqlState?: string
}

/** What the server or the network said, as one of Ferry's errors. `place` names the table or the store. */
export function translate(error: unknown, place: string): FerryError {
  if (error instanceof FerryError) return error
  const e = error as ServerError
  const code = classify(e)
  const text = e.message || e.code || String(error)
  const message = `${place}: ${code === 'FERRY-2005' ? 'the connection to the server was lost' : text}`
  if (code !== 'FERRY-4001' && code !== 'FERRY-4005') return new FerryError(code, message, { cause: error })
  const hint = e.errno === 1062 ? { hint: TAKEN_HINT } : {}
  return placed(new RowError(code, message, /column '([^']+)'/i.exec(text)?.[1], { cause: error, ...hint }))
}

/** Codes of the server: https://mariadb.com/kb/en/mariadb-error-code-reference/ */
const CODES: Record<number, ErrorCode> = {
  1045: 'FERRY-2002',
  1698: 'FERRY-2002',
  1049: 'FERRY-2003',
  1044: 'FERRY-2004',
  1142: 'FERRY-2004',
  1143: 'FERRY-2004',
  1227: 'FERRY-2004',
  1370: 'FERRY-2004',
  1146: 'FERRY-3001',
  1051: 'FERRY-3001',
  1054: 'FERRY-3002',
  1021: 'FERRY-4006',
  1114: 'FERRY-4006',
  1030: 'FERRY-4006',
  1048: 'FERRY-4005',
  1062: 'FERRY-4005',
  1169: 'FERRY-4005',
  1216: 'FERRY-4005',
  1217: 'FERRY-4005',
  1364: 'FERRY-4005',
  1451: 'FERRY-4005',
  1452: 'FERRY-4005',
  1557: 'FERRY-4005',
  1586: 'FERRY-4005',
  3819: 'FERRY-4005',
  4025: 'FERRY-4005',
  1059: 'FERRY-3015',
  1060: 'FERRY-3015',
  1166: 'FERRY-3015',
  1063: 'FERRY-3003',
  1071: 'FERRY-3003',
  1074: 'FERRY-3003',
  1101: 'FERRY-3003',
  1117: 'FERRY-3003',
  1118: 'FERRY-3003',
  1170: 'FERRY-3003',
  1139: 'FERRY-3016',
  1153: 'FERRY-4008',
  1301: 'FERRY-4008',
  1264: 'FERRY-4001',
  1265: 'FERRY-4001',
  1292: 'FERRY-4001',
  1366: 'FERRY-4001',
  1367: 'FERRY-4001',
  1406: 'FERRY-4001',
  1411: 'FERRY-4001',
  1053: 'FERRY-2005',
  1077: 'FERRY-2005',
  1079: 'FERRY-2005',
  1152: 'FERRY-2005',
  1158: 'FERRY-2005',
  1159: 'FERRY-2005',
  1160: 'FERRY-2005',
  1161: 'FERRY-2005',
  1184: 'FERRY-2005',
  1205: 'FERRY-2005',
  1213: 'FERRY-2005',
  1927: 'FERRY-2005',
}

export function classify(e: ServerError): ErrorCode {
  const known = e.errno === undefined ? undefined : CODES[e.errno]
  if (known) return known
  if (/^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENOENT)$/.test(e.code ?? '')) {
    return 'FERRY-2001'
  }
  const lost = /^(PROTOCOL_CONNECTION_LOST|ECONNRESET|EPIPE|PROTOCOL_PACKETS_OUT_OF_ORDER)$/.test(e.code ?? '')
  if (lost || /closed state|Connection lost|closed the connection/i.test(e.message ?? '')) return 'FERRY-2005'
  const state = e.sqlState ?? ''
  if (state.startsWith('08') || state.startsWith('40')) return 'FERRY-2005'
  if (state.startsWith('22')) return 'FERRY-4001'
  if (state.startsWith('23')) return 'FERRY-4005'
  if (state.startsWith('42') || state.startsWith('0A')) return 'FERRY-3016'
  return e.errno === undefined && e.code === undefined ? 'FERRY-9000' : 'FERRY-2007'
}

/** An identifier as MySQL quotes it. */
export function quoteName(name: string): string {
  if (name.includes('\0')) throw new FerryError('FERRY-3002', 'a name cannot hold a NUL character')
  return `\`${name.replaceAll('`', '``')}\``
}

/** A text literal, in the default mode where a backslash escapes. */
export function quoteText(text: string): string {
  return `'${text.replace(/[\\']/g, c => (c === "'" ? "''" : '\\\\')).replaceAll('\0', '\\0')}'`
}

export interface Name {
  database: string
  table: string
}

/** Database and table of an object's name: `orders`, `shop.orders`, `` `odd.name`.`t` ``. */
export function splitName(object: string, settings: Pick<MysqlSettings, 'database'>): Name {
  const match = /^(?:(?:`((?:[^`]|``)+)`|([^`.]+))\.)?(?:`((?:[^`]|``)+)`|([^`]+))$/.exec(object)
  const table = match?.[3]?.replaceAll('``', '`') ?? match?.[4]
  const database = match?.[1]?.replaceAll('``', '`') ?? match?.[2] ?? settings.database
  if (table !== undefined && database !== undefined) return { database, table }
  throw new FerryError('FERRY-3001', `${object}: name the database too, as DATABASE.TABLE, or in the connection`)
}

/** The name of an object as job files write it: quoted only where it must be. */
export function joinName({ database, table }: Name, settings: Pick<MysqlSettings, 'database'>): string {
  return database === settings.database ? namePart(table) : `${namePart(database)}.${namePart(table)}`
}

/** A database or a table in the name of an object. */
export function namePart(name: string): string {
  return /^[^`.\s]+$/.test(name) ? name : quoteName(name)
}

export function qualified({ database, table }: Name): string {
  return `${quoteName(database)}.${quoteName(table)}`
}
