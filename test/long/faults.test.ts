/** When the world fails in the middle of a copy: the run ends clearly, and a later one completes it. */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { TableProgress } from '../../ferry/src/engine/progress.ts'
import { type CopyJob, jobSchema } from '../../ferry/src/job/schema.ts'
import { runJob } from '../../ferry/src/runtime/run.ts'
import { openState, type State } from '../../ferry/src/state/database.ts'
import { type Server, startPostgres } from '../servers/postgres.ts'
import { copy, ferry, makeDatabase, policy, program, temporaryFolder, until } from '../support.ts'

const ROWS = 60_000
const fill = `CREATE TABLE s (id int PRIMARY KEY, v text); INSERT INTO s SELECT i, repeat('v', 50) FROM generate_series(1, ${ROWS}) i`

async function clientOf(server: Server): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: server.url() })
  client.on('error', () => {})
  await client.connect()
  onTestFinished(() => client.end().catch(() => undefined))
  return client
}

async function ownServer(): Promise<Server> {
  const server = await startPostgres()
  onTestFinished(() => server.stop())
  return server
}

/** A copy slow enough to be hit in its middle, in splits small enough that some are done by then. */
function slowJob(source: Record<string, unknown>, destination: Record<string, unknown>, rest = {}): CopyJob {
  return jobSchema.parse({
    name: 'slow',
    source: { kind: 'postgres', ...source },
    destination: { kind: 'postgres', ...destination },
    splitSize: '200kB',
    limits: { rowsPerSecond: 20_000, parallel: 2 },
    tables: [{ from: 'public.s', to: 'public.d', ...rest }],
  })
}

/** Runs a job and does something once two splits are done. */
async function interrupted(state: State, job: CopyJob, strike: () => Promise<unknown>) {
  let struck: Promise<unknown> | undefined
  const report = await runJob({
    policy,
    state,
    job,
    onStart: ({ tables }) => {
      struck = inTheMiddle(tables).then(strike)
    },
  })
  await struck
  return report
}

function inTheMiddle(tables: TableProgress[]): Promise<void> {
  return until(() => tables[0]!.splitsDone >= 2, 'two splits are done')
}

async function completes(state: State, job: CopyJob, client: pg.Client): Promise<void> {
  const report = await runJob({ policy, state, job: { ...job, limits: { parallel: 2 } } as CopyJob })
  expect(report.errors).toEqual([])
  expect(report).toMatchObject({ status: 'completed', resumed: true })
  const { rows } = await client.query('SELECT count(*)::int AS n, count(DISTINCT id)::int AS k FROM d')
  expect(rows).toEqual([{ n: ROWS, k: ROWS }])
}

describe('when the world fails', () => {
  it('a server that crashes in the middle', { timeout: 180_000 }, async () => {
    const server = await ownServer()
    await (await clientOf(server)).query(fill)
    const place = { host: '127.0.0.1', port: server.port, user: 'postgres', database: 'postgres' }
    const state = await openState({ FERRY_HOME: temporaryFolder() })
    const job = slowJob(place, place)
    const broken = await interrupted(state, job, () => server.restart('immediate'))
    expect(broken.status).toBe('failed')
    expect(broken.errors[0]!.code).toBe('FERRY-2005')
    await completes(state, job, await clientOf(server))
  })

  it.each(['source', 'destination'] as const)('a connection to the %s that is cut', async side => {
    const from = await makeDatabase()
    const to = await makeDatabase()
    await from.client.query(fill)
    const state = await openState({ FERRY_HOME: temporaryFolder() })
    const job = slowJob(from.settings, to.settings)
    const cut = side === 'source' ? from : to
    const broken = await interrupted(state, job, () =>
      cut.client.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND application_name LIKE 'ferry%'`,
      ),
    )
    expect(broken.status).toBe('failed')
    expect(broken.errors[0]).toMatchObject({ code: 'FERRY-2005', message: expect.stringMatching(/terminat|lost/) })
    await completes(state, job, to.client)
  })

  it('a constraint that rows violate in the middle', async () => {
    const from = await makeDatabase()
    const to = await makeDatabase()
    await from.client.query(fill)
    await to.client.query(`CREATE TABLE d (id int PRIMARY KEY CHECK (id <> 31415), v text)`)
    const state = await openState({ FERRY_HOME: temporaryFolder() })
    const job = slowJob(from.settings, to.settings)
    const broken = await runJob({ policy, state, job })
    expect(broken.status).toBe('failed')
    expect(broken.errors[0]).toMatchObject({ code: 'FERRY-4005', message: expect.stringMatching(/31415/) })
    await to.client.query('ALTER TABLE d DROP CONSTRAINT d_id_check')
    await completes(state, job, to.client)
  })

  it("a server's disk that is full", { timeout: 180_000 }, async () => {
    const server = await ownServer()
    const from = await makeDatabase()
    await from.client.query(fill)
    // Its log's segments need 16 MB: with wide rows the table's file is the one that grows beyond the limit.
    await from.client.query(`ALTER TABLE s ALTER v SET STORAGE PLAIN; UPDATE s SET v = repeat(md5(id::text), 30)`)
    await server.restart('fast', { fileLimit: 20_000 })
    const state = await openState({ FERRY_HOME: temporaryFolder() })
    const place = { host: '127.0.0.1', port: server.port, user: 'postgres', database: 'postgres' }
    const job = slowJob(from.settings, place)
    const broken = await runJob({ policy, state, job: { ...job, limits: { parallel: 2 } } as CopyJob })
    expect(broken.status).toBe('failed')
    expect(broken.errors[0]).toMatchObject({ code: 'FERRY-4006', message: expect.stringMatching(/File too large/) })
    await server.restart('fast')
    await completes(state, job, await clientOf(server))
  })

  // A connection that stays open would keep the process for ever.
  it('a source that is away while the destination answers', async () => {
    const home = temporaryFolder()
    const { client, settings } = await makeDatabase()
    await client.query('CREATE TABLE t (v text)')
    const path = join(home, 'job.json')
    const away = { kind: 'postgres', ...settings, host: '127.0.0.1', port: 1 }
    const here = { kind: 'postgres', ...settings }
    for (const [source, destination] of [
      [away, here],
      [here, away],
    ]) {
      writeFileSync(
        path,
        JSON.stringify({ name: 'away', source, destination, tables: [{ from: 'public.t', to: 'd' }] }),
      )
      for (const verb of ['run', 'plan', 'verify']) {
        const { code, stderr } = await ferry([verb, path], { home })
        expect(code, verb).toBe(1)
        expect(stderr, verb).toContain('FERRY-2001')
      }
    }
  })

  it('a full disk under a file', async () => {
    const folder = temporaryFolder()
    const { client, settings } = await makeDatabase()
    await client.query(`CREATE TABLE t (v text); INSERT INTO t SELECT repeat('v', 1000) FROM generate_series(1, 20000)`)
    const path = join(folder, 'job.json')
    writeFileSync(
      path,
      JSON.stringify({
        name: 'full',
        source: { kind: 'postgres', ...settings },
        destination: join(folder, 'out'),
        tables: [{ from: 'public.t', to: 't.csv' }],
      }),
    )
    const run = (limit: string) =>
      spawnSync('bash', ['-c', `${limit}; exec "$0" "$@"`, process.execPath, program, 'run', path], {
        encoding: 'utf8',
        env: { ...process.env, FERRY_HOME: join(folder, 'home') },
      })
    const broken = run('ulimit -f 8000')
    expect(broken.stderr).toContain('FERRY-4006')
    expect(broken.status).toBe(1)
    expect(existsSync(join(folder, 'out', 't.csv'))).toBe(false)
    const complete = run('true')
    expect(complete.status, complete.stderr).toBe(0)
    expect(complete.stderr).toContain('goes on where it stopped')
    expect(readdirSync(join(folder, 'out'))).toEqual(['t.csv'])
  })

  const killed: [string, string, string][] = [
    ['SQLite with a rollback journal', 'sqlite', `db.exec('PRAGMA journal_mode = DELETE')`],
    ['SQLite with a write-ahead log', 'sqlite', `db.exec('PRAGMA journal_mode = WAL')`],
  ]
  it.each(killed)('a database file whose writer was killed in its transaction: %s', async (_, kind, mode) => {
    const path = join(temporaryFolder(), 's.db')
    // A cache of one page: the transaction is written into the file before it is committed.
    const writer = `const db = new (require('node:sqlite').DatabaseSync)(${JSON.stringify(path)})
      ${mode}
      db.exec('CREATE TABLE s (id INTEGER PRIMARY KEY, v TEXT)')
      const fill = (from, to) => { for (let i = from; i < to; i++) db.prepare('INSERT INTO s VALUES (?, ?)').run(i, 'v'.repeat(100)) }
      fill(0, 10)
      db.exec('PRAGMA cache_size = 1; BEGIN')
      fill(10, 5000)
      process.kill(process.pid, 'SIGKILL')`
    expect(spawnSync(process.execPath, ['-e', writer]).signal).toBe('SIGKILL')
    const to = await makeDatabase()
    const report = await copy({
      source: { kind, path },
      destination: { kind: 'postgres', ...to.settings },
      tables: ['s'],
    })
    expect(report.rowsCopied, JSON.stringify(report.errors)).toBe(10)
  })
})
