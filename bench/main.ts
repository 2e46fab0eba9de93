/**
 * `npm run bench`: Ferry beside the tools that set the limit, in turn, in one run on one machine. Only the ratios mean
 * something. Needs `psql` on the PATH; everything else comes from npm.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import pg from 'pg'
import { startPostgres } from '../test/servers/postgres.ts'
import { type Case, ratio, runCases } from './cases.ts'
import { installed, keep, median, time } from './timing.ts'

const ROWS = Number(process.env.FERRY_BENCH_ROWS ?? 2_000_000)
const RUNS = Number(process.env.FERRY_BENCH_RUNS ?? 5)
const only = process.argv[2]

const folder = mkdtempSync(join(tmpdir(), 'ferry-bench-'))
const ferry = await installed(folder)
const duck = `node ${join(import.meta.dirname, 'duckdb.ts')}`
const COLUMNS = 'id int8, customer int4, quantity int4, price numeric(10,2), name text, placed timestamptz'

const server = await startPostgres({ max_wal_size: '8GB', shared_buffers: '512MB' })
const source = server.url('shop')
const destination = server.url('warehouse')
const admin = new pg.Client({ connectionString: server.url() })
await admin.connect()
await admin.query('CREATE DATABASE shop')
await admin.query('CREATE DATABASE warehouse')
const shop = new pg.Client({ connectionString: source })
const warehouse = new pg.Client({ connectionString: destination })
await shop.connect()
await warehouse.connect()

console.log(`Preparing ${ROWS.toLocaleString('en-US')} rows of 6 columns ...`)
await shop.query(`CREATE TABLE orders (${COLUMNS}, PRIMARY KEY (id))`)
await shop.query(`INSERT INTO orders SELECT i, i % 1000, i % 7, (i * 1.1)::numeric(10,2), 'customer name ' || i,
  timestamptz '2024-01-01 00:00:00+00' + i * interval '1 second' FROM generate_series(1, ${ROWS}) i`)
await shop.query('VACUUM ANALYZE orders')
const csv = join(folder, 'orders.csv')
const parquet = join(folder, 'orders.parquet')
const sqlite = join(folder, 'orders.db')
time(`psql ${source} -c "\\copy orders to '${csv}' (format csv, header)"`, folder)
time(
  `${duck} "COPY (SELECT * FROM read_csv('${csv}', columns = {id: 'BIGINT', customer: 'INTEGER', quantity: 'INTEGER', price: 'DECIMAL(10,2)', name: 'VARCHAR', placed: 'TIMESTAMPTZ'})) TO '${parquet}' (FORMAT parquet)"`,
  folder,
)
makeSqlite()

function makeSqlite(): void {
  const db = new DatabaseSync(sqlite)
  db.exec(
    'CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER, quantity INTEGER, price DECIMAL TEXT(10,2), name TEXT, placed TIMESTAMPTZ TEXT); BEGIN',
  )
  const insert = db.prepare('INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?)')
  for (let i = 1; i <= ROWS; i++) {
    const at = new Date(1_704_067_200_000 + i * 1000).toISOString().slice(0, 19).replace('T', ' ')
    insert.run(i, i % 1000, i % 7, (i * 1.1).toFixed(2), `customer name ${i}`, `${at}+00`)
  }
  db.exec('COMMIT')
  db.close()
}

const emptied = async () => {
  await warehouse.query(`DROP TABLE IF EXISTS orders; CREATE TABLE orders (${COLUMNS})`)
  await warehouse.query('CHECKPOINT')
}
const nothing = async () => {}
const out = (name: string) => join(folder, name)
const readCsv = `read_csv('${out('b.csv')}', header = true, columns = {id: 'BIGINT', customer: 'INTEGER', quantity: 'INTEGER', price: 'DECIMAL(10,2)', name: 'VARCHAR', placed: 'TIMESTAMPTZ'})`

const cases: Case[] = [
  {
    name: 'PostgreSQL -> PostgreSQL',
    limit: 'psql copy binary | psql copy',
    reach: '<= 1.10x',
    before: emptied,
    ferry: `${ferry} copy --quiet "${source}#orders" "${destination}#orders"`,
    other: `psql ${source} -c 'copy orders to stdout (format binary)' | psql ${destination} -c 'copy orders from stdin (format binary)'`,
    show: (f, o) => `${ratio(f, o)}x`,
  },
  {
    name: 'CSV -> PostgreSQL',
    limit: 'psql \\copy of the same file',
    reach: '<= 1.15x',
    before: emptied,
    ferry: `${ferry} copy --quiet ${csv} "${destination}#orders"`,
    other: `psql ${destination} -c "\\copy orders from '${csv}' (format csv, header)"`,
    show: (f, o) => `${ratio(f, o)}x`,
  },
  {
    name: 'PostgreSQL -> CSV',
    limit: 'psql \\copy to',
    reach: '<= 1.15x',
    before: nothing,
    ferry: `${ferry} copy --quiet "${source}#orders" ${out('a.csv')}`,
    other: `psql ${source} -c "\\copy orders to '${out('b.csv')}' (format csv, header)"`,
    show: (f, o) => `${ratio(f, o)}x`,
  },
  {
    name: 'Parquet -> PostgreSQL',
    limit: 'DuckDB to CSV, then psql \\copy',
    reach: '<= 0.90x',
    before: emptied,
    ferry: `${ferry} copy --quiet ${parquet} "${destination}#orders"`,
    other: `${duck} "COPY (SELECT * FROM '${parquet}') TO '${out('b.csv')}' (FORMAT csv)" && psql ${destination} -c "\\copy orders from '${out('b.csv')}' (format csv, header)"`,
    show: (f, o) => `${ratio(f, o)}x`,
  },
  {
    name: 'PostgreSQL -> Parquet',
    limit: 'psql \\copy to CSV, then DuckDB',
    reach: '<= 0.90x',
    before: nothing,
    ferry: `${ferry} copy --quiet "${source}#orders" ${out('a.parquet')}`,
    other: `psql ${source} -c "\\copy orders to '${out('b.csv')}' (format csv, header)" && ${duck} "COPY (SELECT * FROM ${readCsv}) TO '${out('b.parquet')}' (FORMAT parquet)"`,
    show: (f, o) => `${ratio(f, o)}x`,
  },
  {
    name: 'SQLite -> PostgreSQL, rows',
    limit: "Ferry's own processor time",
    reach: '>= 400,000 rows/s a core',
    before: emptied,
    ferry: `${ferry} copy --quiet --narrowing check ${sqlite}#orders "${destination}#orders"`,
    show: f => `${Math.round(ROWS / median(f.map(t => t.cpu))).toLocaleString('en-US')} rows/s a core`,
  },
]

try {
  const result = await runCases(cases, { runs: RUNS, folder, only })
  const head = `${ROWS.toLocaleString('en-US')} rows of 6 columns, medians of ${RUNS} runs in turn, whole processes; ${cpus().length} processors, Node ${process.versions.node}, PostgreSQL 18.`
  console.log(`\n${head}\n\n${result}`)
  if (!only) keep('last', `${head}\n\n${result}`)
} finally {
  await Promise.all([admin.end(), shop.end(), warehouse.end()])
  await server.stop()
  rmSync(folder, { recursive: true, force: true })
}
