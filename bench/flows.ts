/**
 * `npm run bench:flows`: mapping data flows beside the same SQL given to the engine by hand, and beside a plain copy. Whole processes;
 * the memory is the most that one of them had.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { startPostgres } from '../test/servers/postgres.ts'
import { installed, keep, median } from './timing.ts'

const ROWS = Number(process.env.FERRY_BENCH_ROWS ?? 2_000_000)
const RUNS = Number(process.env.FERRY_BENCH_RUNS ?? 3)
const FILE_ROWS = ROWS * 5

const folder = mkdtempSync(join(tmpdir(), 'ferry-bench-'))
const ferry = await installed(folder)
const postgres = await startPostgres({ max_wal_size: '8GB', shared_buffers: '512MB' })
const client = new pg.Client({ connectionString: postgres.url() })
await client.connect()
const { hostname, port, username, pathname } = new URL(postgres.url())

/** Seconds and megabytes of a command. */
function measured(command: string): { seconds: number; megabytes: number } {
  const script = `import resource, subprocess, time; t = time.time(); c = subprocess.run(${JSON.stringify(command)}, shell=True, stdout=subprocess.DEVNULL).returncode
print(time.time() - t, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024, c)`
  const { stdout } = spawnSync('python3', ['-c', script], { encoding: 'utf8', env: process.env })
  const [seconds, megabytes, code] = stdout.trim().split(' ').map(Number)
  if (code !== 0) throw new Error(`${command} ended with ${code}`)
  return { seconds: seconds!, megabytes: megabytes! }
}

/** A script of the engine by hand, with as many threads. */
function byHand(name: string, sql: string): string {
  const path = join(import.meta.dirname, '..', 'node_modules', `.bench-${name}.mjs`)
  writeFileSync(
    path,
    `import { DuckDBInstance } from '@duckdb/node-api'
const instance = await DuckDBInstance.create(':memory:', { threads: '${cpus().length}' })
const connection = await instance.connect()
await connection.run(${JSON.stringify(sql)})\n`,
  )
  return `node ${path}`
}

const files = join(folder, 'files')
mkdirSync(files)
const factory = join(folder, 'factory')
const artifact = (category: string, name: string, properties: object) => {
  mkdirSync(join(factory, category), { recursive: true })
  writeFileSync(join(factory, category, `${name}.json`), JSON.stringify({ name, properties }))
}
const linked = (referenceName: string) => ({ referenceName, type: 'LinkedServiceReference' })
artifact('linkedService', 'files', { type: 'FileServer', typeProperties: { host: files } })
artifact('linkedService', 'pg', {
  type: 'AzurePostgreSql',
  typeProperties: {
    connectionString: `host=${hostname};port=${port};database=${pathname.slice(1)};uid=${username};sslmode=0`,
  },
})
const expression = (value: string) => ({ value, type: 'Expression' })
artifact('dataset', 'parquet', {
  type: 'Parquet',
  linkedServiceName: linked('files'),
  parameters: { file: { type: 'string' } },
  typeProperties: { location: { type: 'FileServerLocation', fileName: expression('@dataset().file') } },
})
artifact('dataset', 'table', {
  type: 'AzurePostgreSqlTable',
  linkedServiceName: linked('pg'),
  parameters: { table: { type: 'string' } },
  typeProperties: { schema: 'public', table: expression('@dataset().table') },
})

/** The command that runs a flow, in a run of its own. */
function flow(name: string, sources: Record<string, [string, string]>, sink: [string, string], script: string): string {
  const side = ([stream, [dataset, object]]: [string, [string, string]]) => ({
    name: stream,
    dataset: {
      referenceName: dataset,
      type: 'DatasetReference',
      parameters: { [dataset === 'table' ? 'table' : 'file']: object },
    },
  })
  artifact('dataflow', name, {
    type: 'MappingDataFlow',
    typeProperties: { sources: Object.entries(sources).map(side), sinks: [side(['out', sink])], scriptLines: [script] },
  })
  const dataflow = { referenceName: name, type: 'DataFlowReference' }
  artifact('pipeline', name, { activities: [{ name, type: 'ExecuteDataFlow', typeProperties: { dataflow } }] })
  return `${ferry} adf run --new --quiet --factory ${factory} --pipeline ${name}`
}

const runs = (command: string) => {
  const all = Array.from({ length: RUNS }, () => measured(command))
  return { seconds: median(all.map(a => a.seconds)), megabytes: Math.max(...all.map(a => a.megabytes)) }
}

try {
  console.log(
    `Preparing ${FILE_ROWS.toLocaleString('en-US')} rows in Parquet and ${ROWS.toLocaleString('en-US')} in PostgreSQL ...`,
  )
  const orders = (
    rows: number,
    file: string,
  ) => `COPY (SELECT i AS id, (i % 1000)::INT AS customer, (i % 7)::INT AS quantity,
    (i * 1.1)::DECIMAL(12,2) AS price, 'name ' || (i % 100000) AS name FROM range(${rows}) t(i)) TO '${join(files, file)}' (FORMAT parquet)`
  for (const [rows, file] of [
    [FILE_ROWS, 'orders.parquet'],
    [FILE_ROWS / 10, 'tenth.parquet'],
  ] as const) {
    measured(byHand('make', orders(rows, file)))
  }
  measured(
    byHand(
      'make',
      `COPY (SELECT i::INT AS customer, 'zone ' || i % 9 AS zone FROM range(1000) t(i)) TO '${join(files, 'customers.parquet')}' (FORMAT parquet)`,
    ),
  )
  await client.query(`CREATE TABLE orders AS SELECT i AS id, (i % 1000)::int AS customer, (i % 7)::int AS quantity,
    (i * 1.1)::numeric(12,2) AS price, 'customer name ' || i AS name, timestamp '2024-01-01' + i * interval '1 second' AS placed
    FROM generate_series(1::bigint, ${ROWS}) i`)
  await client.query('CREATE TABLE sold AS SELECT id, name, price * quantity AS amount FROM orders LIMIT 0')
  await client.query('CREATE TABLE copied AS SELECT * FROM orders LIMIT 0')

  const sums = `source(output(id as long, customer as integer, quantity as integer, price as decimal(12,2), name as string)) ~> orders
source(output(customer as integer, zone as string)) ~> customers
orders derive(amount = price * quantity, letter = upper(left(name, 6))) ~> derived
derived, customers join(orders@customer == customers@customer, joinType: 'inner') ~> joined
joined aggregate(groupBy(zone, letter), total = sum(amount), n = count(), most = max(price)) ~> sums
sums sink(partitionFileNames: ['sums.parquet']) ~> out`
  const sumsOf = (file: string) =>
    flow(
      `sums-${file.replace('.parquet', '')}`,
      { orders: ['parquet', file], customers: ['parquet', 'customers.parquet'] },
      ['parquet', 'sums.parquet'],
      sums,
    )
  const sql = `COPY (SELECT zone, upper(left(name, 6)) AS letter, sum(price * quantity) AS total, count(*) AS n, max(price) AS most
    FROM '${join(files, 'orders.parquet')}' o JOIN '${join(files, 'customers.parquet')}' c ON o.customer = c.customer GROUP BY ALL)
    TO '${join(files, 'hand.parquet')}' (FORMAT parquet)`
  const parquet = runs(sumsOf('orders.parquet'))
  const tenth = runs(sumsOf('tenth.parquet'))
  const hand = runs(byHand('sums', sql))

  const sold = flow(
    'sold',
    { orders: ['table', 'orders'] },
    ['table', 'sold'],
    `source(output(id as long, customer as integer, quantity as integer, price as decimal(12,2), name as string, placed as timestamp), format: 'table') ~> orders
orders filter(quantity > 0) ~> some
some derive(amount = price * quantity, name = upper(name)) ~> derived
derived select(mapColumn(id, name, amount)) ~> slim
slim sink(truncate: true, format: 'table') ~> out`,
  )
  const job = join(folder, 'plain.json')
  const database = { kind: 'postgres', host: hostname, port: Number(port), user: username, database: pathname.slice(1) }
  const tables = [{ from: 'orders', to: 'copied', update: 'overwrite' }]
  writeFileSync(job, JSON.stringify({ name: 'plain', source: database, destination: database, tables }))
  const flowed = runs(sold)
  const plain = runs(`${ferry} run --quiet ${job}`)
  const ratio = (a: number, b: number) => `${(a / b).toFixed(2)}x`
  const text = [
    `${cpus().length} processors, Node ${process.versions.node}; medians of ${RUNS} runs.`,
    '',
    '| what | reach | measured |',
    '|---|---|---|',
    `| ${FILE_ROWS.toLocaleString('en-US')} rows of Parquet: derive, join, aggregate, write Parquet | <= 1.2x of the SQL by hand | ${ratio(parquet.seconds, hand.seconds)} (${parquet.seconds.toFixed(1)} s, ${hand.seconds.toFixed(1)} s) |`,
    `| ${ROWS.toLocaleString('en-US')} rows PostgreSQL -> filter, derive, select -> PostgreSQL | <= 1.3x of a plain copy and the SQL | ${ratio(flowed.seconds, plain.seconds)} of the plain copy alone (${flowed.seconds.toFixed(1)} s, ${plain.seconds.toFixed(1)} s) |`,
    `| memory of a process: ${(FILE_ROWS / 10).toLocaleString('en-US')} rows, ten times as many | <= 512 MB | ${tenth.megabytes.toFixed(0)} MB, ${parquet.megabytes.toFixed(0)} MB |`,
  ].join('\n')
  console.log(`\n${text}`)
  keep('flows', text)
} finally {
  await client.end()
  await postgres.stop()
  rmSync(folder, { recursive: true, force: true })
}
