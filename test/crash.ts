/** Crash scenarios: a copy job in a process of its own is killed again and again, resumed, and its result compared. */
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type pg from 'pg'
import { expect } from 'vitest'
import { randomOf } from './seed.ts'
import { copy, makeDatabase, makeMariadb, startFerry, temporaryFolder, until } from './support.ts'

interface Scenario {
  /** Makes source and destination; gives the job, how to compare, and how to make the destination ready once more. */
  make: (folder: string) => Promise<{
    job: Record<string, unknown>
    check: () => Promise<void>
    again: () => Promise<void>
  }>
}

const ROWS = 120_000
const COLUMNS = `id bigint, code text, amount numeric(12,2), at timestamptz, note text`
const FILL = `SELECT i, md5(i::text), (i * 7 % 100000) / 100.0, timestamptz '2024-01-01 00:00:00+00' + i * interval '1 second',
  CASE WHEN i % 10 = 0 THEN NULL ELSE repeat('n', i % 40) END FROM generate_series(1, ${ROWS}) i`
const SUM = (table: string) =>
  `SELECT count(*)::int AS rows, count(DISTINCT id)::int AS keys, sum(hashtextextended(ROW(id, code, amount, at, note)::text, 0))::text AS sum FROM ${table}`

async function checksum(client: pg.Client, table: string) {
  const { rows } = await client.query(SUM(table))
  return rows[0]
}

async function source(): Promise<{ url: string; client: pg.Client; settings: Record<string, unknown> }> {
  const database = await makeDatabase()
  await database.client.query(`CREATE TABLE orders (${COLUMNS}, PRIMARY KEY (id))`)
  await database.client.query(`INSERT INTO orders ${FILL}`)
  await database.client.query('VACUUM ANALYZE orders')
  return database
}

async function nothingLeft(client: pg.Client) {
  const { rows } = await client.query(
    `SELECT relname FROM pg_class WHERE relname LIKE 'ferry\\_%' AND relkind = 'r' AND relname <> 'ferry_ledger'`,
  )
  expect(rows, 'staging tables left behind').toEqual([])
  const ledger = await client.query('SELECT count(*)::int AS lines FROM ferry_ledger')
  expect(ledger.rows[0].lines, 'ledger lines left behind').toBe(0)
}

async function intoPostgres(
  update: string,
  prepare: string[],
  from: Record<string, unknown>,
  table: string,
  expected: () => Promise<unknown>,
) {
  const to = await makeDatabase()
  const again = async () => {
    await to.client.query('DROP TABLE IF EXISTS orders CASCADE')
    for (const statement of prepare) await to.client.query(statement)
  }
  await again()
  return {
    again,
    job: {
      source: from,
      destination: { kind: 'postgres', ...to.settings },
      update,
      splitSize: '500kB',
      tables: [{ from: table, to: 'public.orders' }],
    },
    check: async () => {
      expect(await checksum(to.client, 'orders')).toEqual(await expected())
      await nothingLeft(to.client)
    },
  }
}

const MARIADB_ORDERS = `CREATE TABLE orders (id bigint PRIMARY KEY, code longtext, amount decimal(12,2),
  at datetime(6) COMMENT 'UTC', note longtext)`

async function mariadbOrders(client: pg.Client) {
  const mariadb = await makeMariadb()
  await mariadb.exec(MARIADB_ORDERS)
  const endpoint = { kind: 'mysql', ...mariadb.settings }
  const { database } = client
  const settings = { host: client.host, port: client.port, user: 'postgres', database }
  const source = { kind: 'postgres', ...settings }
  const { errors } = await copy({ source, destination: endpoint, tables: [{ from: 'public.orders', to: 'orders' }] })
  expect(errors).toEqual([])
  await mariadb.exec('ANALYZE TABLE orders')
  return { ...mariadb, endpoint }
}

async function intoMariadb(update: string, prepare: string[]) {
  const from = await source()
  const expected = await mariadbOrders(from.client)
  const to = await makeMariadb()
  const again = async () => {
    await to.exec('DROP TABLE IF EXISTS orders')
    for (const statement of prepare) await to.exec(statement)
  }
  await again()
  const sum = `SELECT count(*) AS n, count(DISTINCT id) AS ids, sum(crc32(concat_ws('|', id, code, amount, at, coalesce(note, '-')))) AS sum FROM orders`
  return {
    again,
    job: {
      source: { kind: 'postgres', ...from.settings },
      destination: { kind: 'mysql', ...to.settings },
      update,
      splitSize: '500kB',
      tables: [{ from: 'public.orders', to: 'orders' }],
    },
    check: async () => {
      expect(await to.exec(sum)).toEqual(await expected.exec(sum))
      expect(await to.exec('SELECT * FROM ferry_ledger'), 'ledger lines left behind').toEqual([])
      const left = await to.exec(`SHOW TABLES LIKE 'ferry\\_%'`)
      expect(
        left.map(r => Object.values(r)[0]),
        'staging tables left behind',
      ).toEqual(['ferry_ledger'])
    },
  }
}

/** All rows as texts of their values, one after the other by id: what every store is asked for in its own words. */
function digestOf(rows: Iterable<Record<string, unknown>>): { rows: number; print: string } {
  const hash = createHash('md5')
  let count = 0
  for (const { id, code, amount, at, note } of rows) {
    hash.update(JSON.stringify([String(id), code, String(amount), at, note]))
    count++
  }
  return { rows: count, print: hash.digest('hex') }
}

const AT = 'YYYY-MM-DD"T"HH24:MI:SS'

async function digestOfSource(client: pg.Client) {
  const text = `to_char(at AT TIME ZONE 'UTC', '${AT}') AS at`
  return digestOf((await client.query(`SELECT id, code, amount, ${text}, note FROM orders ORDER BY id`)).rows)
}

const LITE_ORDERS = `CREATE TABLE orders (id INTEGER PRIMARY KEY, code TEXT, amount DECIMAL TEXT(12,2), at TIMESTAMPTZ TEXT, note TEXT)`
const DUCK_ORDERS = `CREATE TABLE orders (id BIGINT PRIMARY KEY, code VARCHAR, amount DECIMAL(12,2), "at" TIMESTAMPTZ, note VARCHAR)`

/** Into a database file, of SQLite or of DuckDB. */
async function intoFile(kind: 'sqlite' | 'duckdb', update: string, folder: string) {
  const from = await source()
  const path = join(folder, `shop.${kind}`)
  const work = async (statements: string[]): Promise<Record<string, unknown>[]> => {
    if (kind === 'sqlite') {
      const { DatabaseSync } = await import('node:sqlite')
      const db = new DatabaseSync(path, { timeout: 30_000 })
      const last = statements.map(sql => db.prepare(sql).all()).at(-1)!
      db.close()
      return last
    }
    const { Duckdb } = await import('../ferry/src/duckdb/engine.ts')
    const db = await Duckdb.open(path, 'write')
    let last: Record<string, unknown>[] = []
    for (const sql of statements) last = await db.all(sql)
    db.close()
    return last
  }
  const again = async () => {
    const create = kind === 'sqlite' ? LITE_ORDERS : DUCK_ORDERS
    const rows = update === 'append' ? [] : [`INSERT INTO orders (id, code) VALUES (1, 'old'), (2, 'old')`]
    await work(['DROP TABLE IF EXISTS orders', create, ...rows])
  }
  await again()
  const at =
    kind === 'sqlite'
      ? `substr(replace(at, ' ', 'T'), 1, 19)`
      : `strftime("at" AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S')`
  const select = `SELECT CAST(id AS VARCHAR) AS id, code, CAST(amount AS VARCHAR) AS amount, ${at} AS "at", note FROM orders ORDER BY orders.id`
  return {
    again,
    job: {
      source: { kind: 'postgres', ...from.settings },
      destination: { kind, path },
      update,
      splitSize: '500kB',
      tables: [{ from: 'public.orders', to: 'orders' }],
    },
    check: async () => {
      expect(digestOf(await work([select]))).toEqual(await digestOfSource(from.client))
      expect(await work(['SELECT * FROM ferry_ledger']), 'ledger lines left behind').toEqual([])
    },
  }
}

export const crashScenarios: Record<string, Scenario> = {
  ...Object.fromEntries(
    ['append', 'overwrite'].map(update => [
      `PostgreSQL without a key -> PostgreSQL, ${update}`,
      {
        make: async () => {
          const from = await source()
          await from.client.query('ALTER TABLE orders DROP CONSTRAINT orders_pkey')
          // Pages hold only while nothing changes: what was inserted is counted before the copy begins, not later.
          await from.client.query('SELECT pg_stat_force_next_flush()')
          await from.client.query('SELECT 1')
          const live = [`CREATE TABLE orders (${COLUMNS})`]
          return intoPostgres(update, live, { kind: 'postgres', ...from.settings }, 'public.orders', () =>
            checksum(from.client, 'orders'),
          )
        },
      },
    ]),
  ),
  ...Object.fromEntries(
    (['sqlite', 'duckdb'] as const).flatMap(kind =>
      ['append', 'merge', 'overwrite'].map(update => [
        `PostgreSQL -> ${kind === 'sqlite' ? 'SQLite' : 'DuckDB'}, ${update}`,
        { make: (folder: string) => intoFile(kind, update, folder) },
      ]),
    ),
  ),
  'PostgreSQL -> PostgreSQL, append': {
    make: async () => {
      const from = await source()
      return intoPostgres('append', [], { kind: 'postgres', ...from.settings }, 'public.orders', () =>
        checksum(from.client, 'orders'),
      )
    },
  },
  'PostgreSQL -> PostgreSQL, merge': {
    make: async () => {
      const from = await source()
      const stale = [
        `CREATE TABLE orders (${COLUMNS}, PRIMARY KEY (id))`,
        `INSERT INTO orders ${FILL.replace('md5(i::text)', "'old'")} WHERE i % 3 = 0`,
      ]
      return intoPostgres('merge', stale, { kind: 'postgres', ...from.settings }, 'public.orders', () =>
        checksum(from.client, 'orders'),
      )
    },
  },
  'PostgreSQL -> PostgreSQL, overwrite': {
    make: async () => {
      const from = await source()
      const live = [
        `CREATE TABLE orders (${COLUMNS}, PRIMARY KEY (id))`,
        `INSERT INTO orders VALUES (-1, 'old')`,
        'CREATE VIEW seen AS SELECT * FROM orders',
      ]
      return intoPostgres('overwrite', live, { kind: 'postgres', ...from.settings }, 'public.orders', () =>
        checksum(from.client, 'orders'),
      )
    },
  },
  'SQLite -> PostgreSQL, append': {
    make: async folder => {
      const { DatabaseSync } = await import('node:sqlite')
      const from = await source()
      const path = join(folder, 'shop.db')
      const db = new DatabaseSync(path)
      db.exec(
        'CREATE TABLE orders (id INTEGER PRIMARY KEY, code TEXT, amount DECIMAL TEXT(12,2), at TIMESTAMPTZ TEXT, note TEXT); BEGIN',
      )
      const insert = db.prepare('INSERT INTO orders VALUES (?, ?, ?, ?, ?)')
      const { rows } = await from.client.query(
        'SELECT id::int, code, amount::text, at::text, note FROM orders ORDER BY id',
      )
      for (const r of rows) insert.run(r.id, r.code, r.amount, r.at, r.note)
      db.exec('COMMIT')
      db.close()
      return intoPostgres('append', [], { kind: 'sqlite', path }, 'orders', () => checksum(from.client, 'orders'))
    },
  },
  'CSV -> PostgreSQL, append': {
    make: async folder => {
      const from = await source()
      const { rows } = await from.client.query(
        `SELECT string_agg(id || ',' || code || ',' || amount || ',"' || at || '",' || coalesce('"' || note || E'\\n"', ''), E'\\n' ORDER BY id) AS text FROM orders`,
      )
      writeFileSync(join(folder, 'orders.csv'), `id,code,amount,at,note\n${rows[0].text}\n`)
      const table = [`CREATE TABLE orders (${COLUMNS})`]
      return intoPostgres('append', table, { kind: 'files', folder }, 'orders.csv', async () => {
        await from.client.query(
          `UPDATE orders SET note = note || E'\\n' WHERE note IS NOT NULL AND note NOT LIKE E'%\\n'`,
        )
        return checksum(from.client, 'orders')
      })
    },
  },
  'MariaDB -> PostgreSQL, append': {
    make: async () => {
      const from = await source()
      const mariadb = await mariadbOrders(from.client)
      return intoPostgres('append', [], mariadb.endpoint, 'orders', () => checksum(from.client, 'orders'))
    },
  },
  'PostgreSQL -> MariaDB, append': { make: async () => intoMariadb('append', []) },
  'PostgreSQL -> MariaDB, merge': {
    make: async () =>
      intoMariadb('merge', [MARIADB_ORDERS, `INSERT INTO orders (id, code) VALUES (1, 'old'), (2, 'old')`]),
  },
  'PostgreSQL -> MariaDB, overwrite': {
    make: async () => intoMariadb('overwrite', [MARIADB_ORDERS, `INSERT INTO orders (id, code) VALUES (-1, 'old')`]),
  },
  'PostgreSQL -> Parquet': {
    make: async folder => {
      const from = await source()
      const out = join(folder, 'out')
      return {
        again: async () => {},
        job: {
          source: { kind: 'postgres', ...from.settings },
          destination: { kind: 'files', folder: out },
          update: 'overwrite',
          splitSize: '500kB',
          tables: [
            { from: 'public.orders', to: 'orders.parquet' },
            { query: 'SELECT * FROM orders', to: 'parts/', write: { format: 'parquet', rowsPerFile: 20_000 } },
          ],
        },
        check: async () => {
          const { Duckdb } = await import('../ferry/src/duckdb/engine.ts')
          const db = await Duckdb.open()
          for (const place of ['orders.parquet', 'parts/*.parquet']) {
            const [row] = await db.all(
              `SELECT count(*)::INT AS rows, count(DISTINCT id)::INT AS keys, sum(id)::VARCHAR AS ids, sum(amount)::VARCHAR AS amount,
               count(note)::INT AS notes FROM read_parquet('${join(out, place)}')`,
            )
            const { rows } = await from.client.query(
              'SELECT count(*)::int AS rows, count(DISTINCT id)::int AS keys, sum(id)::text AS ids, sum(amount)::text AS amount, count(note)::int AS notes FROM orders',
            )
            expect(row).toEqual(rows[0])
          }
          db.close()
          const left = readdirSync(out).filter(name => name.startsWith('.'))
          expect(left, 'temporary files left behind').toEqual([])
        },
      }
    },
  },
}

/**
 * Kills the scenario's run so many times while it is at work; the moments come from the seed. A run that ends before it
 * is hit is compared, and begun anew.
 */
export async function runCrashScenario(name: string, kills: number, seed: number): Promise<void> {
  const folder = temporaryFolder()
  const home = join(folder, 'home')
  const { job, check, again } = await crashScenarios[name]!.make(folder)
  const path = join(folder, 'job.json')
  writeFileSync(path, JSON.stringify({ name: 'crash', limits: { parallel: 2 }, ...job }))
  const random = randomOf(seed)
  /** The last run that was compared: what is newer belongs to the next round. */
  let compared: string | undefined
  const isCompleted = async () => {
    const run = await newestRun(home)
    return run?.state === 'completed' && run.id !== compared
  }
  for (let hits = 0; hits < kills; ) {
    const running = startFerry(['run', path, '--quiet'], { home })
    const ended = { done: false }
    running.done.then(() => {
      ended.done = true
    })
    await until(async () => ended.done || ((await newestRun(home))?.id ?? compared) !== compared)
    await setTimeout(random() * 900)
    if (!ended.done) hits++
    running.kill('SIGKILL')
    await running.done
    if (!(await isCompleted())) continue
    await check()
    await again()
    compared = (await newestRun(home))!.id
  }
  while (!(await isCompleted())) {
    const { code, stderr } = await startFerry(['run', path, '--quiet'], { home }).done
    expect(code, stderr).toBe(0)
  }
  await check()
}

/** A process that goes on long after another one has taken its run from it. */
const HOSTS = ['one', 'two', 'three']

/**
 * Stops the scenario's process at a random moment, lets its lease run out, and has another host take the run over; the
 * stopped process goes on while the other one is at work. So many times; what is completed is compared, and begun anew.
 * Gives back how many runs were taken over.
 */
export async function runTakeoverScenario(name: string, takeovers: number, seed: number): Promise<number> {
  const folder = temporaryFolder()
  const { job, check, again } = await crashScenarios[name]!.make(folder)
  const path = join(folder, 'job.json')
  writeFileSync(path, JSON.stringify({ name: 'takeover', limits: { parallel: 2 }, ...job }))
  const { url, client } = await makeDatabase()
  const random = randomOf(seed)
  const start = (host: string) =>
    startFerry(['run', path, '--quiet'], {
      home: join(folder, host),
      env: { FERRY_DATABASE_URL: url, FERRY_HOST: host },
    })
  const newest = async (): Promise<{ id: string; state: string } | undefined> => {
    const { rows } = await client
      .query('SELECT id, state FROM ferry.run ORDER BY id DESC LIMIT 1')
      .catch(() => ({ rows: [] }))
    return rows[0]
  }
  let compared: string | undefined
  const compare = async () => {
    const run = await newest()
    if (run?.state !== 'completed' || run.id === compared) return
    await check()
    await again()
    compared = run.id
  }
  let taken = 0
  for (let hits = 0; hits < takeovers; ) {
    const first = start(HOSTS[hits % HOSTS.length]!)
    const ended = { done: false }
    first.done.then(() => {
      ended.done = true
    })
    await until(async () => ended.done || ((await newest())?.id ?? compared) !== compared)
    await setTimeout(random() * 900)
    first.kill('SIGSTOP')
    const hit = !ended.done && (await newest())?.state !== 'completed' && (await newest())?.id !== compared
    if (!hit) {
      first.kill('SIGCONT')
      await first.done
      await compare()
      continue
    }
    hits++
    // Its lease has run out.
    await client.query('UPDATE ferry.run SET heartbeat_at = 0')
    const second = start(HOSTS[(hits + 1) % HOSTS.length]!)
    await Promise.race([second.done, setTimeout(random() * 2000)])
    first.kill('SIGCONT')
    const [former, latter] = await Promise.all([first.done, second.done])
    if (latter.code === 0 && former.code !== 0) taken++
    await compare()
  }
  while ((await newest())?.state !== 'completed') {
    const { code, stderr } = await start(HOSTS[0]!).done
    expect(code, stderr).toBe(0)
  }
  await compare()
  return taken
}

async function newestRun(home: string): Promise<{ id: string; state: string } | undefined> {
  if (!existsSync(join(home, 'state.db'))) return undefined
  const { openState } = await import('../ferry/src/state/database.ts')
  const state = await openState({ FERRY_HOME: home })
  try {
    return await state.db.selectFrom('run').select(['id', 'state']).orderBy('id', 'desc').executeTakeFirst()
  } finally {
    await state.close()
  }
}
