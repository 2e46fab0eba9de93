/** The destinations of a case, each read back without Ferry. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { DuckDBInstance } from '@duckdb/node-api'
import pg from 'pg'
import type { Arrived } from './reader.ts'

export interface Destination {
  name: string
  /** What a job says of it. */
  job: { destination: unknown; to: string; update: string }
  /** What is there now. */
  arrived: () => Promise<Arrived>
  /** Removes it, where it is not a file of the case's folder. */
  remove?: () => Promise<void>
}

export const NAMES = ['postgres', 'sqlite', 'duckdb', 'csv', 'jsonl', 'parquet'] as const

/** Opens the destinations of one case in a folder of its own. */
export function destinations(folder: string, names: readonly string[], postgres: Postgres): Destination[] {
  mkdirSync(folder, { recursive: true })
  return names.map(name => {
    if (name === 'postgres') return postgres.destination()
    if (name === 'sqlite') return sqlite(join(folder, 'out.db'))
    if (name === 'duckdb') return duckdb(join(folder, 'out.duckdb'))
    return file(name as 'csv' | 'jsonl' | 'parquet', folder)
  })
}

function file(form: 'csv' | 'jsonl' | 'parquet', folder: string): Destination {
  const path = join(folder, `out.${form}`)
  return {
    name: form,
    job: { destination: { kind: 'files', folder }, to: `out.${form}`, update: 'overwrite' },
    arrived: async () => ({ form, path }),
  }
}

/** One database; each case has a table of its own. */
export class Postgres {
  private readonly settings: { host: string; port: number; user: string; database: string }
  private readonly client: pg.Client
  private tables = 0

  private constructor(port: number, client: pg.Client) {
    this.settings = { host: '127.0.0.1', port, user: 'postgres', database: 'postgres' }
    this.client = client
  }

  static async connect(port: number): Promise<Postgres> {
    // Every value as the server's own text.
    const client = new pg.Client({
      host: '127.0.0.1',
      port,
      user: 'postgres',
      database: 'postgres',
      types: { getTypeParser: () => (text: string) => text } as unknown as pg.CustomTypesConfig,
    })
    await client.connect()
    await client.query(`SET TimeZone = 'UTC'`)
    return new Postgres(port, client)
  }

  destination(): Destination {
    const table = `t${this.tables++}`
    return {
      name: 'postgres',
      job: { destination: { kind: 'postgres', ...this.settings }, to: `public.${table}`, update: 'append' },
      arrived: () => this.read(table),
      remove: () => this.drop(table),
    }
  }

  private async read(table: string): Promise<Arrived> {
    const { rows: columns } = await this.client.query({
      text: `SELECT attname, format_type(atttypid, NULL) FROM pg_attribute
             WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum`,
      values: [`public.${table}`],
      rowMode: 'array',
    })
    const kinds = columns.map(([, type]) => kindOf(type))
    const list = columns.map(([name], i) => {
      const quoted = `"${String(name).replaceAll('"', '""')}"`
      if (kinds[i] === 'array') return `to_json(${quoted})::text`
      return kinds[i] === 'binary' ? `encode(${quoted}, 'hex')` : `${quoted}::text`
    })
    const { rows } = await this.client.query({
      text: `SELECT ${list.join(', ')} FROM public.${table} ORDER BY ctid`,
      rowMode: 'array',
    })
    return { form: 'rows', names: columns.map(c => c[0]), kinds: kinds.map(k => (k === 'array' ? 'json' : k)), rows }
  }

  /** Throws where a connection that should be closed still reads the table. */
  private async drop(table: string): Promise<void> {
    await this.client.query(`SET lock_timeout = '2s'`)
    await this.client.query(`DROP TABLE IF EXISTS public.${table}`).catch(() => {
      throw new Error('a connection to PostgreSQL was left open in the middle of its work')
    })
  }

  async close(): Promise<void> {
    await this.client.end()
  }
}

function sqlite(path: string): Destination {
  return {
    name: 'sqlite',
    job: { destination: { kind: 'sqlite', path }, to: 't', update: 'append' },
    arrived: async () => {
      const db = new DatabaseSync(path, { readOnly: true })
      try {
        const columns = db.prepare('PRAGMA table_info(t)').all() as { name: string; type: string }[]
        const quoted = columns.map(c => `"${c.name.replaceAll('"', '""')}"`)
        const list = quoted.map((q, i) => `typeof(${q}) AS k${i}, ${q} AS v${i}, hex(${q}) AS h${i}`)
        const statement = db.prepare(`SELECT ${list.join(', ')} FROM t ORDER BY rowid`)
        statement.setReadBigInts(true)
        const kinds = columns.map(c => kindOf(c.type))
        const rows = (statement.all() as Record<string, unknown>[]).map(row =>
          columns.map((_, i) => sqliteText(kinds[i]!, row[`k${i}`], row[`v${i}`], row[`h${i}`] as string)),
        )
        return { form: 'rows', names: columns.map(c => c.name), kinds, rows }
      } finally {
        db.close()
      }
    },
  }
}

function sqliteText(kind: string, storage: unknown, value: unknown, hex: string): string | null {
  if (storage === 'null') return null
  if (storage === 'blob') return kind === 'binary' ? hex : `a blob of ${hex}`
  // SQLite keeps the bytes of a text as they were given: what is not UTF-8 must show.
  if (storage === 'text') {
    const bytes = Buffer.from(hex, 'hex')
    const text = bytes.toString('utf8')
    return Buffer.from(text).equals(bytes) ? text : `bytes that are not UTF-8: ${hex}`
  }
  if (kind === 'bool') return value === 1n ? 'true' : value === 0n ? 'false' : String(value)
  return Object.is(value, -0) ? '-0' : String(value)
}

function duckdb(path: string): Destination {
  return {
    name: 'duckdb',
    job: { destination: { kind: 'duckdb', path }, to: 't', update: 'append' },
    arrived: async () => {
      const instance = await DuckDBInstance.create(path, { access_mode: 'READ_ONLY', threads: '1' })
      const connection = await instance.connect()
      try {
        await connection.run(`SET TimeZone = 'UTC'`)
        const described = await connection.runAndReadAll('DESCRIBE t')
        const columns = described.getRows().map(([name, type]) => ({ name: String(name), type: String(type) }))
        const kinds = columns.map(c => kindOf(c.type))
        const list = columns.map((c, i) => {
          const quoted = `"${c.name.replaceAll('"', '""')}"`
          if (kinds[i] === 'nested') return `to_json(${quoted})::VARCHAR`
          return kinds[i] === 'binary' ? `hex(${quoted})` : `${quoted}::VARCHAR`
        })
        const result = await connection.runAndReadAll(`SELECT ${list.join(', ')} FROM t ORDER BY rowid`)
        // DuckDB leaves the zero out before the point of a decimal(5,5).
        const rows = (result.getRows() as (string | null)[][]).map(row =>
          row.map((text, i) => {
            if (kinds[i] === 'decimal') return text?.replace(/^(-?)\./, '$10.') ?? null
            return kinds[i] === 'date' ? (text?.replace(' (BC)', ' BC') ?? null) : text
          }),
        )
        return {
          form: 'rows',
          names: columns.map(c => c.name),
          kinds: kinds.map(k => (k === 'nested' ? 'json' : k)),
          rows,
        }
      } finally {
        connection.closeSync()
        instance.closeSync()
      }
    },
  }
}

/** The kind of a declared type, for the comparison. */
function kindOf(type: string): string {
  const t = type.toLowerCase()
  if (/\[\d*\]$/.test(t))
    return /^[a-z]+(\(.*\))?( [a-z ]+)?\[\]$/.test(t) && !/^(struct|map)/.test(t) ? arrayOf(type) : 'nested'
  if (/^(struct|map|list)/.test(t)) return 'nested'
  if (/^json/.test(t)) return 'json'
  if (/^timestamp.*(with time zone|tz)/.test(t)) return 'timestamptz'
  if (/^(timestamp|datetime)/.test(t)) return 'timestamp'
  if (/^date/.test(t)) return 'date'
  if (/^time/.test(t)) return 'time'
  if (/^bool/.test(t)) return 'bool'
  if (/^(real|float|double)/.test(t)) return 'float'
  if (/^(decimal|numeric)/.test(t)) return 'decimal'
  if (/^(bytea|blob)/.test(t)) return 'binary'
  if (/^(u?(tiny|small|big|huge)?int|integer|int\d|uint|unsigned)/.test(t)) return 'int'
  return 'text'
}

/** PostgreSQL writes its type names in lower case and DuckDB in upper case. */
function arrayOf(type: string): 'array' | 'nested' {
  return type === type.toLowerCase() ? 'array' : 'nested'
}
