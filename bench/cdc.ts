/**
 * `npm run bench:cdc`: changes of a PostgreSQL applied to another by Ferry, beside the server's own logical replication
 * (`CREATE SUBSCRIPTION`): how many a second when many wait, and how late they come when few do.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { startPostgres } from '../test/servers/postgres.ts'
import { installed, keep, median, time } from './timing.ts'

const CHANGES = Number(process.env.FERRY_BENCH_CHANGES ?? 400_000)
const RUNS = Number(process.env.FERRY_BENCH_RUNS ?? 3)
const LAG_SECONDS = 15

const folder = mkdtempSync(join(tmpdir(), 'ferry-bench-'))
const ferry = await installed(folder)
const settings = { max_wal_size: '8GB', shared_buffers: '256MB', fsync: 'off' }
const source = await startPostgres(settings)
const native = await startPostgres(settings)
const copy = await startPostgres(settings)

async function clientOf(server: { url: () => string }): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: server.url() })
  await client.connect()
  return client
}

const TABLE =
  'CREATE TABLE orders (id int8 PRIMARY KEY, customer int4, price numeric(10,2), name text, placed timestamptz)'
const PING = 'CREATE TABLE ping (id int PRIMARY KEY, n int)'
const from = await clientOf(source)
const subscriber = await clientOf(native)
const destination = await clientOf(copy)
for (const client of [from, subscriber, destination]) {
  await client.query(TABLE)
  await client.query(PING)
}
await from.query(
  `INSERT INTO orders SELECT i, i % 1000, i * 1.1, 'customer ' || i, now() FROM generate_series(1, 200000) i`,
)
await from.query('INSERT INTO ping VALUES (1, 0)')
await from.query('CREATE PUBLICATION bench FOR TABLE orders, ping')
await subscriber.query(`CREATE SUBSCRIPTION bench CONNECTION '${source.url()}' PUBLICATION bench`)

/** A job file: a run that ends, or one that follows. */
function job(mode: Record<string, unknown>): string {
  const path = join(folder, `${mode.mode}.json`)
  const tables = ['orders', 'ping'].map(t => ({ from: `public.${t}`, to: `public.${t}` }))
  const endpoints = { source: source.url(), destination: copy.url() }
  writeFileSync(path, JSON.stringify({ name: `bench-${mode.mode}`, ...endpoints, update: 'merge', tables, ...mode }))
  return path
}

/** Changes in transactions of ten: half of them inserts, the others updates and deletes. */
async function change(count: number, seed: number): Promise<void> {
  await from.query(`DO $$ DECLARE base int8 := (SELECT max(id) FROM orders); BEGIN
    FOR i IN 1..${count / 10} LOOP
      INSERT INTO orders SELECT base + i * 5 + k, k, i, 'new ' || i, clock_timestamp() FROM generate_series(1, 5) k;
      UPDATE orders SET price = price + 1, name = 'changed ' || i WHERE id BETWEEN (i * 7919 + ${seed}) % 60000 * 3 + 1 AND (i * 7919 + ${seed}) % 60000 * 3 + 3;
      DELETE FROM orders WHERE id IN (base + i * 5 - 4, base + i * 5 - 3);
      COMMIT;
    END LOOP; END $$`)
}

async function reached(client: pg.Client, n: number): Promise<void> {
  while ((await client.query('SELECT n FROM ping')).rows[0]?.n !== n) await sleep(5)
}

const SUM = `SELECT count(*)::int AS n, sum(hashtextextended(orders::text, 0))::text AS sum FROM orders`
async function requireEqual(): Promise<void> {
  const [a, b, c] = await Promise.all([from, subscriber, destination].map(async x => (await x.query(SUM)).rows[0]))
  if (JSON.stringify(a) !== JSON.stringify(b) || JSON.stringify(a) !== JSON.stringify(c))
    throw new Error('the copies differ')
}

async function rates() {
  const path = job({ mode: 'incremental', tracking: 'cdc' })
  time(`${ferry} run --quiet ${path}`, folder)
  await reached(subscriber, 0)
  const mine: { rate: number; cpu: number }[] = []
  const others: number[] = []
  for (let run = 1; run <= RUNS; run++) {
    await subscriber.query('ALTER SUBSCRIPTION bench DISABLE')
    await change(CHANGES, run)
    await from.query(`UPDATE ping SET n = ${run}`)
    const began = performance.now()
    await subscriber.query('ALTER SUBSCRIPTION bench ENABLE')
    await reached(subscriber, run)
    others.push(CHANGES / ((performance.now() - began) / 1000))
    const t = time(`${ferry} run --quiet ${path}`, folder)
    mine.push({ rate: CHANGES / t.wall, cpu: t.cpu })
    await requireEqual()
  }
  time(`${ferry} reset bench-incremental`, folder)
  return {
    mine: median(mine.map(m => m.rate)),
    cpu: median(mine.map(m => m.cpu)),
    other: median(others),
    ratio: median(mine.map((m, i) => m.rate / others[i]!)),
  }
}

/** How late a change arrives on both sides while so many a second are made, in milliseconds. */
async function lags(perSecond: number) {
  const path = job({ mode: 'online' })
  const child = spawn('bash', ['-c', `${ferry} run --quiet ${path}`], { stdio: 'ignore' })
  const done = new Promise(resolve => child.once('exit', resolve))
  let n = Number((await from.query('SELECT n FROM ping')).rows[0].n)
  await from.query(`UPDATE ping SET n = ${++n}`)
  await reached(destination, n)
  const writer = await clientOf(source)
  let writing = true
  const writes = (async () => {
    const began = performance.now()
    for (let made = 0; writing; ) {
      const due = Math.floor(((performance.now() - began) / 1000) * perSecond)
      for (; made < due && writing; made += 10) {
        await writer.query(
          `UPDATE orders SET price = price + 1, placed = now() WHERE id BETWEEN ${1 + (made % 50_000)} AND ${10 + (made % 50_000)}`,
        )
      }
      await sleep(2)
    }
  })()
  await sleep(2000)
  const mine: number[] = []
  const others: number[] = []
  const end = Date.now() + LAG_SECONDS * 1000
  while (Date.now() < end) {
    const began = performance.now()
    await from.query(`UPDATE ping SET n = ${++n}`)
    const arrives = async (client: pg.Client, into: number[]) => {
      while ((await client.query('SELECT n FROM ping')).rows[0].n !== n) await sleep(1)
      into.push(performance.now() - began)
    }
    await Promise.all([arrives(destination, mine), arrives(subscriber, others)])
    await sleep(50)
  }
  writing = false
  await writes
  await writer.end()
  time(`${ferry} complete bench-online`, folder)
  await done
  const share = (values: number[], p: number) =>
    [...values].sort((a, b) => a - b)[Math.floor(values.length * p)]!.toFixed(0)
  const both = (values: number[]) => `${share(values, 0.5)} / ${share(values, 0.95)} ms`
  return { mine: both(mine), other: both(others) }
}

try {
  const rate = await rates()
  const number = (n: number) => Math.round(n).toLocaleString('en-US')
  const lines = [
    '| | Ferry | native replication | |',
    '|---|---|---|---|',
    `| ${number(CHANGES)} changes that wait, a second | ${number(rate.mine)} (${rate.cpu.toFixed(1)} s of its own processor time) | ${number(rate.other)} | ${rate.ratio.toFixed(2)}x |`,
  ]
  for (const perSecond of [1000, 10_000]) {
    const { mine, other } = await lags(perSecond)
    lines.push(`| lag at ${number(perSecond)} changes a second, median / 95 % | ${mine} | ${other} | |`)
    console.log(lines.at(-1))
  }
  const head = `Medians of ${RUNS} runs, Ferry as whole processes; three PostgreSQL 18 on ${cpus().length} processors, Node ${process.versions.node}.`
  console.log(`\n${head}\n\n${lines.join('\n')}`)
  keep('cdc', `${head}\n\n${lines.join('\n')}`)
} finally {
  await subscriber.query('ALTER SUBSCRIPTION bench DISABLE').catch(() => undefined)
  await Promise.all([from, subscriber, destination].map(c => c.end()))
  await Promise.all([source, native, copy].map(s => s.stop()))
  rmSync(folder, { recursive: true, force: true })
}
