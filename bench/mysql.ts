/**
 * `npm run bench:mysql`: MariaDB to PostgreSQL, beside the two command lines in a pipe and beside pgloader. Needs
 * `mariadb`, `mariadbd`, `psql` and `pgloader` on the PATH: Debian's mariadb-server, postgresql-client and pgloader.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { connect, query } from '../ferry/src/connectors/mysql/client.ts'
import { readSettings } from '../ferry/src/connectors/mysql/settings.ts'
import { startMariadb } from '../test/servers/mariadb.ts'
import { startPostgres } from '../test/servers/postgres.ts'
import { type Case, ratio, runCases } from './cases.ts'
import { installed, keep } from './timing.ts'

const ROWS = Number(process.env.FERRY_BENCH_ROWS ?? 2_000_000)
const RUNS = Number(process.env.FERRY_BENCH_RUNS ?? 5)

const folder = mkdtempSync(join(tmpdir(), 'ferry-bench-'))
const ferry = await installed(folder)
const mariadb = await startMariadb({ 'innodb-buffer-pool-size': '1G', 'log-bin': 'binlog' })
const postgres = await startPostgres({ max_wal_size: '8GB', shared_buffers: '512MB' })

const admin = new pg.Client({ connectionString: postgres.url() })
await admin.connect()
await admin.query('CREATE DATABASE warehouse')
const warehouse = new pg.Client({ connectionString: postgres.url('warehouse') })
await warehouse.connect()

console.log(`Preparing ${ROWS.toLocaleString('en-US')} rows of 6 columns ...`)
const shop = await connect(readSettings({ host: '127.0.0.1', port: mariadb.port }))
await query(shop, 'CREATE DATABASE shop')
await query(shop, 'USE shop')
await query(
  shop,
  'CREATE TABLE orders (id bigint PRIMARY KEY, customer int, quantity int, price decimal(10,2), name varchar(200), placed datetime)',
)
await query(
  shop,
  `INSERT INTO orders SELECT seq, seq % 1000, seq % 7, seq * 1.1, concat('customer name ', seq),
   timestamp('2024-01-01') + INTERVAL seq SECOND FROM seq_1_to_${ROWS}`,
)
await query(shop, 'ANALYZE TABLE orders')

const COLUMNS = 'id int8, customer int4, quantity int4, price numeric(10,2), name text, placed timestamp'
const emptied = async () => {
  await warehouse.query(`DROP SCHEMA IF EXISTS shop CASCADE; DROP TABLE IF EXISTS orders`)
  await warehouse.query(`CREATE TABLE orders (${COLUMNS})`)
  await warehouse.query('CHECKPOINT')
}
const dump = `mariadb -h 127.0.0.1 -P ${mariadb.port} -u root --batch --quick --skip-column-names shop -e 'select * from orders'`
const mine = `${ferry} copy --quiet "mysql://root@127.0.0.1:${mariadb.port}/shop#orders" "${postgres.url('warehouse')}#orders"`

const cases: Case[] = [
  {
    name: 'MariaDB -> PostgreSQL',
    limit: 'mariadb --batch | psql copy',
    reach: '<= 1.20x',
    before: emptied,
    ferry: mine,
    other: `${dump} | psql ${postgres.url('warehouse')} -c "copy orders from stdin (format text, null 'NULL')"`,
    show: (f, o) => `${ratio(f, o)}x`,
  },
  {
    name: 'MariaDB -> PostgreSQL',
    limit: 'pgloader',
    reach: '< 1x',
    before: emptied,
    ferry: mine,
    other: `pgloader --quiet mysql://root@127.0.0.1:${mariadb.port}/shop pgsql://postgres@127.0.0.1:${postgres.port}/warehouse`,
    show: (f, o) => `${ratio(f, o)}x`,
  },
]

try {
  const result = await runCases(cases, { runs: RUNS, folder, only: undefined })
  const head = `${ROWS.toLocaleString('en-US')} rows of 6 columns, medians of ${RUNS} runs in turn, whole processes; ${cpus().length} processors, Node ${process.versions.node}, MariaDB 10.11, PostgreSQL 18.`
  console.log(`\n${head}\n\n${result}`)
  keep('mysql', `${head}\n\n${result}`)
} finally {
  shop.destroy()
  await Promise.all([admin.end(), warehouse.end()])
  await postgres.stop()
  await mariadb.stop()
  rmSync(folder, { recursive: true, force: true })
}
