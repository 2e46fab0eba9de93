/** Connections to PostgreSQL: one session setup, one translation of its errors. */
import pg from 'pg'
import { type ErrorCode, FerryError, placed, RowError, TAKEN_HINT } from '../../errors.ts'
import type { LedgerClient } from '../ledger.ts'
import type { PostgresSettings } from './settings.ts'
import { ReadSocket } from './socket.ts'

/** Text forms are fixed for every session, so that a value has one text whatever the server's configuration. */
const SESSION = [
  `SET TimeZone = 'UTC'`,
  `SET DateStyle = 'ISO, YMD'`,
  `SET IntervalStyle = 'iso_8601'`,
  `SET bytea_output = 'hex'`,
  'SET extra_float_digits = 1',
  'SET standard_conforming_strings = on',
  'SET statement_timeout = 0',
  'SET idle_in_transaction_session_timeout = 0',
].join('; ')

/** A connected client in Ferry's session settings, under a name of at most 63 bytes. Throws FERRY-2001 or FERRY-2002. */
export async function connect(
  settings: PostgresSettings,
  { replication, name = 'ferry', reads = false }: { replication?: 'database'; name?: string; reads?: boolean } = {},
): Promise<pg.Client> {
  const client = new pg.Client({
    ...(replication ? { replication } : {}),
    host: settings.host,
    port: settings.port,
    database: settings.database,
    user: settings.user,
    // A function: the driver looks for no password elsewhere, and for no options if there are some.
    ...(settings.isLimited
      ? { password: () => settings.password ?? '', options: ' ' }
      : { password: settings.password }),
    ssl: settings.ssl === 'disable' ? false : { rejectUnauthorized: settings.ssl === 'verify-full' },
    application_name: name,
    connectionTimeoutMillis: settings.connectTimeout * 1000,
    keepAlive: true,
    ...(settings.ssl === 'disable' ? { stream: () => new ReadSocket() } : {}),
  })
  // A connection lost while idle is reported by the next query; without a listener it would end the process.
  client.on('error', () => {})
  try {
    await client.connect()
    await client.query(SESSION)
    // Else the server would leave rows out without a word.
    if (reads && settings.rowSecurity === 'refuse') await client.query('SET row_security = off')
  } catch (error) {
    await client.end().catch(() => undefined)
    throw translate(error, labelOf(settings))
  }
  return client
}

export function labelOf(settings: PostgresSettings): string {
  return `postgres://${settings.host}:${settings.port}/${settings.database}`
}

/** Runs statements in a transaction, rolled back when the work throws. */
export async function inTransaction<T>(client: pg.Client, work: () => Promise<T>): Promise<T> {
  await client.query('BEGIN')
  try {
    const result = await work()
    await client.query('COMMIT')
    return result
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined)
    throw error
  }
}

/** Statements in SQL text over one connection. */
export function ledgerClient(client: pg.Client): LedgerClient {
  return {
    query: async sql => (await client.query(sql)).rows,
    transaction: work => inTransaction(client, work),
  }
}

interface ServerError extends Error {
  code?: string
  severity?: string
  detail?: string
  where?: string
  column?: string
  table?: string
  constraint?: string
}

/** What PostgreSQL or the network said, as one of Ferry's errors. `place` names the table or the store. */
export function translate(error: unknown, place: string): FerryError {
  if (error instanceof FerryError) return error
  const e = (error instanceof AggregateError ? error.errors[0] : error) as ServerError
  const code = classify(e)
  const lost = /not queryable|Connection terminated unexpectedly|EPIPE|ECONNRESET/.test(e.message)
  if (/password must be a string/.test(e.message)) {
    return new FerryError('FERRY-2002', `${place}: the server wants a password, and none is given`, {
      hint: 'Put it into the connection, its address or PGPASSWORD.',
    })
  }
  const parts = [`${place}: ${lost ? 'the connection to the server was lost' : e.message || e.code}`]
  if (e.detail) parts.push(e.detail)
  // Of the context only COPY's own line helps; it names line and column.
  const copy = /COPY .*/.exec(e.where ?? '')?.[0]
  if (copy) parts.push(copy.slice(0, 300))
  const message = parts.join('. ')
  if (code === 'FERRY-4001' || code === 'FERRY-4005') {
    const column = e.column ?? /, column ([^:]+):?/.exec(e.where ?? '')?.[1]
    return placed(
      new RowError(code, message, column, { cause: error, ...(e.code === '23505' ? { hint: TAKEN_HINT } : {}) }),
    )
  }
  return new FerryError(code, message, { cause: error })
}

function classify(e: ServerError): ErrorCode {
  const code = e.code ?? ''
  if (/^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH)$/.test(code)) return 'FERRY-2001'
  if (/does not support SSL connections/.test(e.message)) return 'FERRY-2001'
  if (/timeout expired|timeout exceeded/.test(e.message)) return 'FERRY-2001'
  if (/^28/.test(code) || /SASL|password must be a string/.test(e.message)) return 'FERRY-2002'
  if (code === '3D000') return 'FERRY-2003'
  if (code === '42501') return 'FERRY-2004'
  if (
    /^(53100|53200|53400)$/.test(code) ||
    (code === '54000' && /cannot extend/.test(e.message)) ||
    /No space left|File too large/.test(e.message)
  )
    return 'FERRY-4006'
  if (code === '58030' && /write|extend/.test(e.message)) return 'FERRY-4006'
  if (/^(57P0[1-5]|08|EPIPE|ECONNRESET)/.test(code)) return 'FERRY-2005'
  if (/Connection terminated|not queryable|connection.*(closed|lost|ended)|stream.*premature/i.test(e.message)) {
    return 'FERRY-2005'
  }
  if (/invalid byte sequence for encoding/.test(e.message) && !/0x00/.test(e.message)) return 'FERRY-4003'
  if (/^22P04|missing data for column|extra data after last expected column/.test(`${code} ${e.message}`)) {
    return 'FERRY-4002'
  }
  if (code.startsWith('22')) return 'FERRY-4001'
  if (code.startsWith('23')) return 'FERRY-4005'
  if (code === '42P01' || code === '3F000') return 'FERRY-3001'
  if (code === '42703') return 'FERRY-3002'
  if (code === '54011') return 'FERRY-3003'
  // A row or a key of an index that is too wide.
  if (code === '54000') return 'FERRY-4001'
  if (/^(40|55P03|57014)/.test(code)) return 'FERRY-2005'
  if (/^(0A|26|3[0-9B-F]|42|44|54|55|P0)/.test(code)) return 'FERRY-3016'
  return e.severity === undefined ? 'FERRY-9000' : 'FERRY-2007'
}

/** Executes one statement: in this mode the server refuses a text that has another one behind it. */
export function queryOne(client: pg.Client, text: string): Promise<pg.QueryResult> {
  return client.query({ text, queryMode: 'extended' } as pg.QueryConfig)
}

/** An identifier as PostgreSQL quotes it. */
export function quoteName(name: string): string {
  if (name.includes('\0')) throw new FerryError('FERRY-3002', 'a name cannot hold a NUL character')
  return `"${name.replaceAll('"', '""')}"`
}

/** A text literal as PostgreSQL reads it with standard_conforming_strings on. */
export function quoteText(text: string): string {
  if (text.includes('\0')) throw new FerryError('FERRY-4001', 'PostgreSQL text cannot hold a NUL character')
  return `'${text.replaceAll("'", "''")}'`
}

/** Schema and table of an object's name: `orders`, `sales.orders`, `"My Schema"."Odd.Name"`. */
export function splitName(object: string, defaultSchema: string): { schema: string; table: string } {
  const parts: string[] = []
  const part = /\s*(?:"((?:[^"]|"")+)"|([^".]+))\s*(\.|$)/y
  while (part.lastIndex < object.length) {
    const match = part.exec(object)
    if (!match)
      throw new FerryError('FERRY-3001', `${object} is not a table name: write schema.table or "Schema"."Table"`)
    parts.push(match[1]?.replaceAll('""', '"') ?? match[2]!.trim())
  }
  if (parts.length === 1) return { schema: defaultSchema, table: parts[0]! }
  if (parts.length === 2) return { schema: parts[0]!, table: parts[1]! }
  throw new FerryError('FERRY-3001', `${object} is not a table name: write schema.table or "Schema"."Table"`)
}

/** The name of an object as job files write it: quoted only where it must be. */
export function joinName(schema: string, table: string): string {
  return `${namePart(schema)}.${namePart(table)}`
}

/** A schema or a table in the name of an object. */
export function namePart(name: string): string {
  return /^[^".\s]+$/.test(name) ? name : quoteName(name)
}
