/**
 * `npm run bench:objects`: stores of objects, beside the same copies from and to a folder, and beside rclone. Needs `versitygw`
 * (`npm run test:servers` installs it) and `rclone` (Debian's) on the PATH.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { startPostgres } from '../test/servers/postgres.ts'
import { startS3 } from '../test/servers/s3.ts'
import { type Case, ratio, runCases } from './cases.ts'
import { installed, keep } from './timing.ts'

const ROWS = Number(process.env.FERRY_BENCH_ROWS ?? 2_000_000)
const RUNS = Number(process.env.FERRY_BENCH_RUNS ?? 5)
const OBJECTS = Number(process.env.FERRY_BENCH_OBJECTS ?? 1_000_000)
const LARGE = Number(process.env.FERRY_BENCH_LARGE ?? 4 * 2 ** 30)
const only = process.argv[2]

const folder = mkdtempSync(join(tmpdir(), 'ferry-bench-'))
const ferry = await installed(folder)
const server = await startS3()
const postgres = await startPostgres({ max_wal_size: '8GB', shared_buffers: '512MB' })
const client = new pg.Client({ connectionString: postgres.url() })
await client.connect()

/** The command that runs a job. */
function job(name: string, source: object, destination: object, tables: object[], more: object = {}): string {
  const path = join(folder, `${name}.json`)
  writeFileSync(path, JSON.stringify({ name, source, destination, update: 'overwrite', tables, ...more }))
  return `${ferry} run --quiet ${path}`
}

const bucket = server.bucket()
const out = server.bucket()
const s3 = (b: { bucket: string }) => join(server.folder, b.bucket)
const local = (name: string) => ({ kind: 'files', folder: join(folder, name) })
const { hostname, port, username, pathname } = new URL(postgres.url())
const database = { kind: 'postgres', host: hostname, port: Number(port), user: username, database: pathname.slice(1) }

console.log(`Preparing ${ROWS.toLocaleString('en-US')} rows of 6 columns ...`)
await client.query(`CREATE TABLE orders AS SELECT i AS id, (i % 1000)::int AS customer, (i % 7)::int AS quantity,
  (i * 1.1)::numeric(12,2) AS price, 'customer name ' || i AS name, timestamp '2024-01-01' + i * interval '1 second' AS placed
  FROM generate_series(1::bigint, ${ROWS}) i`)
await client.query('ANALYZE orders')
for (const name of ['in', 'out', 'many', 'copied', 'large']) mkdirSync(join(folder, name))
const run = (command: string) => {
  const { status, stderr } = spawnSync('bash', ['-c', command], { encoding: 'utf8', env: process.env })
  if (status !== 0) throw new Error(`${command}\n${stderr}`)
}
for (const ending of ['csv', 'parquet']) {
  run(job(`make-${ending}`, database, local('in'), [{ from: 'orders', to: `orders.${ending}` }]))
}
for (let i = 0; i < 1000; i++) {
  mkdirSync(join(folder, 'many', String(i % 20)), { recursive: true })
  writeFileSync(join(folder, 'many', String(i % 20), `${i}.bin`), Buffer.alloc(1000 + ((i * 7919) % 200_000), i))
}
run(`head -c 67108864 /dev/urandom > ${folder}/large/one.bin`)
truncateSync(join(folder, 'large/one.bin'), LARGE)
const asTheyAre = { read: { format: 'binary' }, write: { format: 'binary' } }
const load = (name: string) =>
  run(job(`load-${name}`, local(name), bucket, [{ from: './', to: `${name}/` }], asTheyAre))
for (const name of ['in', 'many', 'large']) load(name)

const remote = `:s3,provider=Other,endpoint='${server.endpoint}',access_key_id=ferry,secret_access_key=ferrysecret,force_path_style=true:`
const rclone = (from: string, to: string) =>
  `env -u AWS_CA_BUNDLE rclone copy --config /dev/null --ignore-times --transfers 16 --checkers 16 --s3-upload-concurrency 8 --s3-chunk-size 16M --s3-no-check-bucket "${from}" "${to}"`

const emptied = async () => {
  await client.query('DROP TABLE IF EXISTS copied')
  for (const place of [join(folder, 'out'), join(folder, 'copied'), s3(out)]) {
    rmSync(place, { recursive: true, force: true })
    mkdirSync(place)
  }
  await client.query('CHECKPOINT')
}
const show: Case['show'] = (f, o) => `${ratio(f, o)}x`
const fromObject = (ending: string): Case => ({
  name: `S3 ${ending} -> PostgreSQL`,
  limit: 'the same from a folder',
  reach: '<= 1.15x',
  before: emptied,
  ferry: job(`s3-${ending}`, bucket, database, [{ from: `in/orders.${ending}`, to: 'copied' }]),
  other: job(`folder-${ending}`, local('in'), database, [{ from: `orders.${ending}`, to: 'copied' }]),
  show,
})

const cases: Case[] = [
  fromObject('csv'),
  fromObject('parquet'),
  {
    name: 'PostgreSQL -> S3 Parquet',
    limit: 'the same into a folder',
    reach: '<= 1.15x',
    before: emptied,
    ferry: job('s3-out', database, out, [{ from: 'orders', to: 'orders.parquet' }]),
    other: job('folder-out', database, local('out'), [{ from: 'orders', to: 'orders.parquet' }]),
    show,
  },
  {
    name: '1,000 files: folder -> S3',
    limit: 'rclone',
    reach: '<= 1.0x',
    before: emptied,
    ferry: job('many-up', local('many'), out, [{ from: './', to: 'many/' }], asTheyAre),
    other: rclone(join(folder, 'many'), `${remote}${out.bucket}/many`),
    show,
  },
  {
    name: '1,000 files: S3 -> folder',
    limit: 'rclone, then sync',
    reach: '<= 1.0x',
    before: emptied,
    ferry: job('many-down', bucket, local('copied'), [{ from: 'many/', to: './' }], asTheyAre),
    // Ferry's files are on the disk when they are told to be.
    other: `${rclone(`${remote}${bucket.bucket}/many`, join(folder, 'copied'))} && sync -f ${folder}`,
    show,
  },
  {
    name: '1,000 files: S3 -> S3',
    limit: 'rclone',
    reach: '<= 1.0x',
    before: emptied,
    ferry: job('many-across', bucket, out, [{ from: 'many/', to: 'many/' }], asTheyAre),
    other: rclone(`${remote}${bucket.bucket}/many`, `${remote}${out.bucket}/many`),
    show,
  },
  {
    name: `one file of ${(LARGE / 2 ** 30).toFixed(1)} GiB: folder -> S3`,
    limit: 'rclone',
    reach: '<= 1.0x',
    before: emptied,
    ferry: job('large-up', local('large'), out, [{ from: './', to: 'large/' }], asTheyAre),
    other: rclone(join(folder, 'large'), `${remote}${out.bucket}/large`),
    show,
  },
  {
    name: `one file of ${(LARGE / 2 ** 30).toFixed(1)} GiB: S3 -> folder`,
    limit: 'rclone, then sync',
    reach: '<= 1.0x',
    before: emptied,
    ferry: job('large-down', bucket, local('copied'), [{ from: 'large/', to: './' }], asTheyAre),
    other: `${rclone(`${remote}${bucket.bucket}/large`, join(folder, 'copied'))} && sync -f ${folder}`,
    show,
  },
]

/** Seconds and the most memory of a command: `/usr/bin/time` is not everywhere. */
function measured(command: string): { seconds: number; megabytes: number } {
  const script = `import resource, subprocess, sys, time; t = time.time(); c = subprocess.run(${JSON.stringify(command)}, shell=True, stdout=subprocess.DEVNULL).returncode
print(time.time() - t, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024, c)`
  const { stdout, stderr } = spawnSync('python3', ['-c', script], { encoding: 'utf8', env: process.env })
  const [seconds, megabytes, code] = stdout.trim().split(' ').map(Number)
  if (code !== 0) throw new Error(`${command}\n${stderr}`)
  return { seconds: seconds!, megabytes: megabytes! }
}

/** Copies a few files of a million, again: nothing is new, so that all the time is comparing. */
async function comparing(): Promise<string> {
  const many = server.bucket()
  console.log(`Preparing ${OBJECTS.toLocaleString('en-US')} objects ...`)
  for (let i = 0; i < OBJECTS; i += 1000) {
    const place = join(s3(many), 'in', String(i / 1000))
    mkdirSync(place, { recursive: true })
    for (let j = 0; j < 1000; j++) writeFileSync(join(place, `${j}.json`), '')
  }
  const path = { source: many, destination: { kind: 'sqlite', path: join(folder, 'names.db') } }
  const tables = [{ from: 'in/', to: 'names', columns: { path: 'path', size: 'size' } }]
  const more = { mode: 'incremental', read: { format: 'binary' }, update: 'append' }
  const command = job('names', path.source, path.destination, tables, more)
  const first = measured(command)
  const again = measured(command)
  const told = (t: { seconds: number; megabytes: number }) => `${t.seconds.toFixed(1)} s, ${t.megabytes.toFixed(0)} MB`
  return `${OBJECTS.toLocaleString('en-US')} objects, none of them new: compared in ${told(again)} (reach: < 60 s, 300 MB). The first copy, of their names into SQLite: ${told(first)}.`
}

try {
  const result = await runCases(cases, { runs: RUNS, folder, only: only === 'compare' ? 'none' : only })
  const compared = only === undefined || only === 'compare' ? await comparing() : ''
  const memory: string[] = []
  for (const name of ['many-up', 'many-down', 'large-up', 'large-down', 's3-csv', 's3-parquet', 's3-out']) {
    if (only !== undefined) break
    // A CSV file and a Parquet file make tables of different types.
    await client.query('DROP TABLE IF EXISTS copied')
    memory.push(`${name} ${measured(`${ferry} run --quiet ${join(folder, `${name}.json`)}`).megabytes.toFixed(0)} MB`)
  }
  const head = `${ROWS.toLocaleString('en-US')} rows of 6 columns, medians of ${RUNS} runs in turn, whole processes; ${cpus().length} processors, Node ${process.versions.node}, versitygw 1.8, PostgreSQL 18.`
  const text = `${head}\n\n${result}\n\n${compared}\n\nThe most memory of one process: ${memory.join(', ')}.`
  console.log(`\n${text}`)
  if (only === undefined) keep('objects', text)
} finally {
  await client.end()
  await postgres.stop()
  await server.stop()
  rmSync(folder, { recursive: true, force: true })
}
