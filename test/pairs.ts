/**
 * The same orders in every kind of store, as a source and as a destination: what crash tests copy. Each destination is read
 * by its own means, and what it holds is compared with what was made, not with what the source says.
 */
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect } from 'vitest'
import { parseRecords } from '../ferry/src/batch/csv.ts'
import { FERRY_CSV } from '../ferry/src/batch/encoding.ts'
import { Duckdb } from '../ferry/src/duckdb/engine.ts'
import { account, contents, endpointOf, makeContainer } from './cosmos.ts'
import { makeDatabase, makeMariadb, policy } from './support.ts'

interface Order {
  id: number
  code: string
  amount: string
  at: string
  note: string | null
}

/** The orders 1 to `rows`: every tenth without a note. */
function* orders(rows: number): Generator<Order> {
  for (let id = 1; id <= rows; id++) {
    const at = new Date(Date.UTC(2024, 0, 1) + id * 1000).toISOString().slice(0, 19)
    const amount = (((id * 7) % 100_000) / 100).toFixed(2)
    const code = createHash('md5').update(String(id)).digest('hex')
    yield { id, code, amount, at, note: id % 10 === 0 ? null : 'n'.repeat(id % 40) }
  }
}

/** How many rows, and a print of all of them in the order of their ids, whatever form a store gives their values. */
function digestOf(rows: Iterable<Record<keyof Order, unknown>>): { rows: number; print: string } {
  const texts = [...rows].map(({ id, code, amount, at, note }) => {
    const time = String(at).replace(' ', 'T').slice(0, 19)
    return [Number(id), JSON.stringify([code, Number(amount).toFixed(2), time, note])] as const
  })
  texts.sort(([a], [b]) => a - b)
  const hash = createHash('md5')
  for (const [id, text] of texts) hash.update(`${id}${text}`)
  return { rows: texts.length, print: hash.digest('hex') }
}

const COLUMNS = 'id bigint, code text, amount numeric(12,2), at timestamptz, note text'
const LITE = 'id INTEGER PRIMARY KEY, code TEXT, amount DECIMAL TEXT(12,2), at TIMESTAMPTZ TEXT, note TEXT'
const DUCK = 'id BIGINT PRIMARY KEY, code VARCHAR, amount DECIMAL(12,2), "at" TIMESTAMPTZ, note VARCHAR'
const MARIA = `id bigint PRIMARY KEY, code longtext, amount decimal(12,2), at datetime(6) COMMENT 'UTC', note longtext`

const csvOf = (rows: number) =>
  `id,code,amount,at,note\n${[...orders(rows)].map(o => `${o.id},${o.code},${o.amount},${o.at}Z,${o.note === null ? '' : `"${o.note}"`}`).join('\n')}\n`
const jsonOf = ({ id, code, amount, at, note }: Order, key: string) =>
  `{"id":${key}${id}${key},"code":"${code}","amount":${amount},"at":"${at}Z","note":${JSON.stringify(note)}}`

async function postgresOrders(rows: number, key: string) {
  const { client, settings } = await makeDatabase()
  await client.query(`CREATE TABLE orders (${COLUMNS}${key})`)
  await client.query(`INSERT INTO orders SELECT i, md5(i::text), (i * 7 % 100000) / 100.0,
    timestamptz '2024-01-01 00:00:00+00' + i * interval '1 second', CASE WHEN i % 10 = 0 THEN NULL ELSE repeat('n', i % 40) END
    FROM generate_series(1, ${rows}) i`)
  await client.query('VACUUM ANALYZE orders')
  // Pages hold only while nothing changes: what was inserted is counted before the copy begins, not later.
  await client.query('SELECT pg_stat_force_next_flush()')
  await client.query('SELECT 1')
  return { endpoint: { kind: 'postgres', ...settings }, from: 'public.orders' }
}

function duckdbFrom(folder: string, rows: number, statements: string[]) {
  const csv = join(folder, 'made.csv')
  writeFileSync(csv, csvOf(rows))
  const read = `SELECT id, code, amount, CAST("at" AS TIMESTAMPTZ) AS "at", note FROM read_csv('${csv}', header = true, nullstr = '', allow_quoted_nulls = false,
    columns = {id: 'BIGINT', code: 'VARCHAR', amount: 'DECIMAL(12,2)', "at": 'VARCHAR', note: 'VARCHAR'})`
  return statements.map(s => s.replace('ORDERS', read))
}

async function duckdb(path: string, statements: string[]): Promise<Record<string, unknown>[]> {
  const db = await Duckdb.open(policy, path)
  try {
    let last: Record<string, unknown>[] = []
    for (const sql of statements) last = await db.all(sql)
    return last
  } finally {
    await db.close()
  }
}

function sqlite(path: string, work: (db: DatabaseSync) => void): void {
  const db = new DatabaseSync(path, { timeout: 60_000 })
  try {
    work(db)
  } finally {
    db.close()
  }
}

export interface Source {
  endpoint: Record<string, unknown>
  from: string
}

export const SOURCES: Record<string, (folder: string, rows: number) => Promise<Source>> = {
  PostgreSQL: (_, rows) => postgresOrders(rows, ', PRIMARY KEY (id)'),
  'PostgreSQL without a key': (_, rows) => postgresOrders(rows, ''),
  SQLite: async (folder, rows) => {
    const path = join(folder, 'source.db')
    sqlite(path, db => {
      db.exec(`CREATE TABLE orders (${LITE}); BEGIN`)
      const insert = db.prepare('INSERT INTO orders VALUES (?, ?, ?, ?, ?)')
      for (const o of orders(rows)) insert.run(o.id, o.code, o.amount, `${o.at}Z`, o.note)
      db.exec('COMMIT')
    })
    return { endpoint: { kind: 'sqlite', path }, from: 'orders' }
  },
  DuckDB: async (folder, rows) => {
    const path = join(folder, 'source.duckdb')
    await duckdb(path, duckdbFrom(folder, rows, ['CREATE TABLE orders AS ORDERS']))
    return { endpoint: { kind: 'duckdb', path }, from: 'orders' }
  },
  CSV: async (folder, rows) => {
    writeFileSync(join(folder, 'orders.csv'), csvOf(rows))
    return { endpoint: { kind: 'files', folder }, from: 'orders.csv' }
  },
  'JSON Lines': async (folder, rows) => {
    writeFileSync(join(folder, 'orders.jsonl'), [...orders(rows)].map(o => `${jsonOf(o, '')}\n`).join(''))
    return { endpoint: { kind: 'files', folder }, from: 'orders.jsonl' }
  },
  Parquet: async (folder, rows) => {
    const path = join(folder, 'orders.parquet')
    await duckdb(':memory:', duckdbFrom(folder, rows, [`COPY (ORDERS) TO '${path}' (FORMAT parquet)`]))
    return { endpoint: { kind: 'files', folder }, from: 'orders.parquet' }
  },
  'Cosmos DB': async (_, rows) => {
    const running = await account()
    makeContainer(running, 'orders', '/id')
    const container = running.account.container('shop', 'orders')
    running.account.store.transaction(() => {
      for (const o of orders(rows)) container.create(jsonOf(o, '"'))
      container.saveLsn()
    })
    return { endpoint: endpointOf(running), from: 'orders' }
  },
  MariaDB: async (_, rows) => {
    const { settings, exec } = await makeMariadb()
    await exec(`CREATE TABLE orders (${MARIA})`)
    let values: string[] = []
    const flush = async () => {
      if (values.length > 0) await exec(`INSERT INTO orders VALUES ${values.join(', ')}`)
      values = []
    }
    for (const o of orders(rows)) {
      values.push(`(${o.id}, '${o.code}', ${o.amount}, '${o.at}', ${o.note === null ? 'NULL' : `'${o.note}'`})`)
      if (values.length === 5000) await flush()
    }
    await flush()
    await exec('ANALYZE TABLE orders')
    return { endpoint: { kind: 'mysql', ...settings }, from: 'orders' }
  },
}

export interface Target {
  endpoint: Record<string, unknown>
  to: string
  /** Settings of the job's table. */
  table?: Record<string, unknown>
  /** Makes it ready for the next run, with rows of old where the update method has something to do with them. */
  again(): Promise<void>
  rows(): Promise<Iterable<Record<string, unknown>>>
  /** What a run should have removed. */
  left(): Promise<unknown[]>
}

const OLD = [`(1, 'old')`, `(2, 'old')`]

function filesTarget(
  folder: string,
  format: string,
  read: (path: string) => Promise<Record<string, unknown>[]>,
): Target {
  const out = join(folder, 'out')
  return {
    endpoint: { kind: 'files', folder: out },
    to: 'orders/',
    table: { write: { format } },
    again: async () => rmSync(join(out, 'orders'), { recursive: true, force: true }),
    rows: async () => {
      mkdirSync(join(out, 'orders'), { recursive: true })
      const names = readdirSync(join(out, 'orders')).filter(name => !name.startsWith('.'))
      return (await Promise.all(names.map(name => read(join(out, 'orders', name))))).flat()
    },
    left: async () => readdirSync(out).filter(name => name.startsWith('.')),
  }
}

export const TARGETS: Record<string, { updates: string[]; make: (folder: string, update: string) => Promise<Target> }> =
  {
    PostgreSQL: {
      updates: ['append', 'merge', 'overwrite'],
      make: async (_, update) => {
        const { client, settings } = await makeDatabase()
        return {
          endpoint: { kind: 'postgres', ...settings },
          to: 'public.orders',
          again: async () => {
            await client.query('DROP TABLE IF EXISTS orders CASCADE')
            // What is appended without a key is not kept from being there twice by the table.
            await client.query(`CREATE TABLE orders (${COLUMNS}${update === 'append' ? '' : ', PRIMARY KEY (id)'})`)
            if (update === 'append') return
            await client.query(`INSERT INTO orders (id, code) VALUES ${OLD.join(', ')}`)
            if (update === 'overwrite') await client.query('CREATE VIEW seen AS SELECT * FROM orders')
          },
          rows: async () =>
            (
              await client.query(
                `SELECT id, code, amount, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') AS at, note FROM orders`,
              )
            ).rows,
          left: async () => {
            const { rows } = await client.query(
              `SELECT relname FROM pg_class WHERE relname LIKE 'ferry\\_%' AND relkind = 'r' AND relname <> 'ferry_ledger'`,
            )
            return [...rows, ...(await client.query('SELECT * FROM ferry_ledger')).rows]
          },
        }
      },
    },
    SQLite: {
      updates: ['append', 'merge', 'overwrite'],
      make: async (folder, update) => {
        const path = join(folder, 'target.db')
        const all = (sql: string) => {
          let rows: Record<string, unknown>[] = []
          sqlite(path, db => {
            rows = db.prepare(sql).all()
          })
          return rows
        }
        return {
          endpoint: { kind: 'sqlite', path },
          to: 'orders',
          again: async () =>
            sqlite(path, db => {
              db.exec('DROP TABLE IF EXISTS orders')
              db.exec(`CREATE TABLE orders (${update === 'append' ? LITE.replace(' PRIMARY KEY', '') : LITE})`)
              if (update !== 'append') db.exec(`INSERT INTO orders (id, code) VALUES ${OLD.join(', ')}`)
            }),
          rows: async () => all('SELECT * FROM orders'),
          left: async () => all('SELECT * FROM ferry_ledger'),
        }
      },
    },
    DuckDB: {
      updates: ['append', 'merge', 'overwrite'],
      make: async (folder, update) => {
        const path = join(folder, 'target.duckdb')
        const create = `CREATE TABLE orders (${update === 'append' ? DUCK.replace(' PRIMARY KEY', '') : DUCK})`
        const old = update === 'append' ? [] : [`INSERT INTO orders (id, code) VALUES ${OLD.join(', ')}`]
        const text = `SELECT CAST(id AS VARCHAR) AS id, code, CAST(amount AS VARCHAR) AS amount, strftime("at" AT TIME ZONE 'UTC', '%Y-%m-%d %H:%M:%S') AS "at", note FROM orders`
        return {
          endpoint: { kind: 'duckdb', path },
          to: 'orders',
          again: async () => void (await duckdb(path, ['DROP TABLE IF EXISTS orders', create, ...old])),
          rows: () => duckdb(path, [text]),
          left: () => duckdb(path, ['SELECT run FROM ferry_ledger']),
        }
      },
    },
    CSV: {
      updates: ['append', 'overwrite'],
      make: async folder =>
        filesTarget(folder, 'csv', async path => {
          const [header, ...rest] = [...parseRecords(readFileSync(path, 'utf8'), FERRY_CSV, 1)]
          return rest.map(r => Object.fromEntries(header!.fields.map((name, i) => [name, r.fields[i]])))
        }),
    },
    'JSON Lines': {
      updates: ['append', 'overwrite'],
      make: async folder =>
        filesTarget(folder, 'jsonl', async path => {
          const lines = readFileSync(path, 'utf8').split('\n').filter(Boolean)
          return lines.map(line => JSON.parse(line) as Record<string, unknown>)
        }),
    },
    Parquet: {
      updates: ['append', 'overwrite'],
      make: async folder =>
        filesTarget(folder, 'parquet', path =>
          duckdb(':memory:', [
            `SELECT CAST(COLUMNS(*) AS VARCHAR) FROM (SELECT * REPLACE (substr(CAST("at" AS VARCHAR), 1, 19) AS "at") FROM read_parquet('${path}'))`,
          ]),
        ),
    },
    'Cosmos DB': {
      updates: ['append', 'merge'],
      make: async () => {
        const running = await account()
        const make = () => void makeContainer(running, 'orders', '/id')
        make()
        return {
          endpoint: endpointOf(running),
          to: 'orders',
          table: {
            columns: { id: { to: 'id', type: 'utf8' }, code: 'code', amount: 'amount', at: 'at', note: 'note' },
          },
          again: async () => {
            running.account.deleteContainer('shop', 'orders')
            make()
          },
          rows: async () => [...contents(running, 'orders').values()].map(text => JSON.parse(text)),
          left: async () => [],
        }
      },
    },
    MariaDB: {
      updates: ['append', 'merge', 'overwrite'],
      make: async (_, update) => {
        const { settings, exec } = await makeMariadb()
        return {
          endpoint: { kind: 'mysql', ...settings },
          to: 'orders',
          again: async () => {
            await exec('DROP TABLE IF EXISTS orders')
            await exec(`CREATE TABLE orders (${update === 'append' ? MARIA.replace(' PRIMARY KEY', '') : MARIA})`)
            if (update !== 'append') await exec(`INSERT INTO orders (id, code) VALUES ${OLD.join(', ')}`)
          },
          rows: () => exec('SELECT id, code, amount, at, note FROM orders'),
          left: async () => {
            const tables = (await exec(`SHOW TABLES LIKE 'ferry\\_%'`)).map(r => Object.values(r)[0])
            return [...tables.filter(t => t !== 'ferry_ledger'), ...(await exec('SELECT * FROM ferry_ledger'))]
          },
        }
      },
    },
  }

/** A pair with an update method, ready to be copied again and again. */
export interface Pair {
  job: Record<string, unknown>
  /** Makes the destination ready. */
  again: () => Promise<void>
  /** That the destination holds what was made, once, and nothing of the run beside it. */
  check: () => Promise<void>
}

/** `PostgreSQL -> SQLite, merge`. */
export const PAIRS: string[] = Object.keys(SOURCES).flatMap(from =>
  Object.entries(TARGETS).flatMap(([to, { updates }]) => updates.map(update => `${from} -> ${to}, ${update}`)),
)

export async function makePair(name: string, folder: string): Promise<Pair> {
  const [, from, to, update] = /^(.*) -> (.*), (.*)$/.exec(name)!
  // Documents are written one by one.
  const rows = name.includes('Cosmos') ? 12_000 : 120_000
  const source = await SOURCES[from!]!(folder, rows)
  const target = await TARGETS[to!]!.make(folder, update!)
  await target.again()
  const expected = digestOf(orders(rows))
  return {
    again: target.again,
    job: {
      source: source.endpoint,
      destination: target.endpoint,
      update,
      // A file has no keys.
      ...(update === 'merge' ? { keys: ['id'] } : {}),
      splitSize: '500kB',
      tables: [{ from: source.from, to: target.to, ...target.table }],
    },
    check: async () => {
      expect(digestOf((await target.rows()) as Iterable<Record<keyof Order, unknown>>)).toEqual(expected)
      expect(await target.left(), 'left behind').toEqual([])
    },
  }
}
