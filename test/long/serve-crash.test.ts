/** A server that dies in the middle of its work: everything is there when it has started again, once. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { randomOf, seedOf } from '../seed.ts'
import { startServer, type TestServer } from '../server.ts'
import { makeDatabase, temporaryFolder, until } from '../support.ts'

const random = randomOf(seedOf('server crashes'))

/** The processes that a process has started. */
function childrenOf(pid: number): number[] {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .filter(name => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'utf8')
        return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === pid
      } catch {
        // It has ended meanwhile.
        return false
      }
    })
    .map(Number)
}

const ROWS = 6000

describe('kill -9', () => {
  it.each([
    ['of the server alone', false],
    ['of the server and its workers', true],
  ])('%s in the middle of three runs: all three finish exactly', async (_, all) => {
    const folder = temporaryFolder()
    const { client, settings } = await makeDatabase()
    await client.query(
      `CREATE TABLE source AS SELECT i AS id, 'row ' || i AS name, md5(i::text) AS print FROM generate_series(1, ${ROWS}) i`,
    )
    await client.query('ALTER TABLE source ADD PRIMARY KEY (id)')
    let server = await startServer({ folder })
    const { home } = server
    await server.call('PUT', '/connections/pg', { kind: 'postgres', settings })
    await server.call('PUT', '/connections/duck', { kind: 'duckdb', settings: { path: join(folder, 'd.duckdb') } })
    await server.call('PUT', '/connections/lite', { kind: 'sqlite', settings: { path: join(folder, 'l.db') } })
    const jobs = [
      { name: 'append', destination: { connection: 'pg' }, update: 'append' },
      { name: 'overwrite', destination: { connection: 'duck' }, update: 'overwrite' },
      { name: 'merge', destination: { connection: 'lite' }, update: 'merge' },
    ]
    for (const { name, ...job } of jobs) {
      const table = { from: 'public.source', to: job.destination.connection === 'pg' ? 'public.target' : 'target' }
      const limits = { rowsPerSecond: 2000 }
      const whole = { ...job, source: { connection: 'pg' }, name, tables: [table], limits, splitSize: '40kB' }
      expect((await server.call('POST', '/jobs', whole)).status).toBe(201)
      expect((await server.call('POST', `/jobs/${name}/runs`)).status).toBe(202)
    }
    let hits = 0
    for (let kill = 0; kill < 2; kill++) {
      for (const { name } of jobs) await server.waitFor(name, 'running', 'completed')
      await setTimeout(random() * 1000)
      const workers = childrenOf(server.pid)
      hits += workers.length
      server.kill('SIGKILL')
      for (const pid of all ? workers : []) process.kill(pid, 'SIGKILL')
      await server.gone
      server = await startServer({ home, folder })
    }
    expect(hits, 'the kills hit runs at work').toBeGreaterThan(0)
    for (const { name } of jobs) {
      const run = await server.waitFor(name, 'completed', 'failed')
      expect(run, JSON.stringify(run)).toMatchObject({ state: 'completed', rowsCopied: ROWS })
      const { body } = await server.call<{ runs: object[] }>('GET', `/runs?job=${name}`)
      expect(body.runs, 'it is one run').toHaveLength(1)
    }
    const different = await client.query(
      'SELECT count(*)::int AS n FROM source FULL JOIN target USING (id, name, print) WHERE source.id IS NULL OR target.id IS NULL',
    )
    expect(different.rows[0].n).toBe(0)
    expect((await client.query('SELECT count(*)::int AS n FROM target')).rows[0].n).toBe(ROWS)
    const sum = 'SELECT count(*) AS n, sum(id) AS ids FROM target'
    const lite = new DatabaseSync(join(folder, 'l.db'), { readOnly: true })
    expect({ ...lite.prepare(sum).get() }).toEqual({ n: ROWS, ids: (ROWS * (ROWS + 1)) / 2 })
    lite.close()
    const preview = await server.call<{ rows: string[][] }>(
      'GET',
      `/connections/duck/preview?query=${encodeURIComponent(sum)}`,
    )
    expect(preview.body.rows).toEqual([[String(ROWS), String((ROWS * (ROWS + 1)) / 2)]])
  })

  it('loses no time of a schedule and doubles none', async () => {
    const folder = temporaryFolder()
    let server = await startServer({ folder })
    const { home } = server
    const db = new DatabaseSync(join(folder, 's.db'))
    db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)')
    db.close()
    const every = 2
    const job = {
      name: 'ticks',
      source: `sqlite:${join(folder, 's.db')}`,
      destination: `sqlite:${join(folder, 'd.db')}`,
      update: 'overwrite',
      tables: ['t'],
      schedules: [{ name: 's', every: `${every} s`, overlap: 'queue' }],
    }
    expect((await server.call('POST', '/jobs', job)).status).toBe(201)
    // How many times can have come while nobody was there: a busy machine takes several of them to start a server.
    let alone = 0
    for (let kill = 0; kill < 3; kill++) {
      await setTimeout(1500 + random() * 2000)
      const from = Date.now()
      server.kill('SIGKILL')
      await server.gone
      server = await startServer({ home, folder })
      alone += Math.floor((Date.now() - from) / 1000 / every) + 1
    }
    await setTimeout(every * 1000)
    await until(
      async () =>
        (await server.call<{ states: { pending?: number } }>('GET', '/summary')).body.states.pending === undefined,
    )
    const runs = await runsOf(server)
    const created = runs.map(r => Date.parse(r.createdAt) / 1000)
    const first = Math.floor(Math.min(...created) / every)
    const last = Math.floor(Math.max(...created) / every)
    const times = last - first + 1
    // A time that came while nobody was there is caught up with, together with those behind it.
    expect(runs.length).toBeLessThanOrEqual(times)
    expect(runs.length).toBeGreaterThanOrEqual(times - alone)
    expect(new Set(runs.map(r => r.invokedBy))).toEqual(new Set(['schedule:s']))
  })

  it('a server that is told to end puts its runs down; they go on when it starts again', async () => {
    const { client, settings } = await makeDatabase()
    await client.query(`CREATE TABLE source AS SELECT i AS id FROM generate_series(1, 8000) i`)
    const folder = temporaryFolder()
    const server = await startServer({ folder })
    await server.call('PUT', '/connections/pg', { kind: 'postgres', settings })
    const tables = [{ from: 'public.source', to: 'public.target' }]
    const ends = { source: { connection: 'pg' }, destination: { connection: 'pg' } }
    await server.call('POST', '/jobs', {
      name: 'j',
      ...ends,
      update: 'append',
      tables,
      limits: { rowsPerSecond: 2000 },
    })
    await server.call('POST', '/jobs/j/runs')
    await server.waitFor('j', 'running')
    server.kill('SIGTERM')
    expect(await server.gone).toBe(0)
    expect(server.log()).toContain('"msg":"stopped"')
    const again = await startServer({ home: server.home, folder })
    expect(await again.waitFor('j', 'completed', 'failed')).toMatchObject({ state: 'completed' })
    expect((await client.query('SELECT count(*)::int AS n FROM target')).rows[0].n).toBe(8000)
    expect((await runsOf(again)).length).toBe(1)
  })

  it('of one of two servers with one state in PostgreSQL: the other one does its work', async () => {
    const { url } = await makeDatabase()
    const { client, settings } = await makeDatabase()
    await client.query(`CREATE TABLE source AS SELECT i AS id FROM generate_series(1, 4000) i`)
    const env = { FERRY_DATABASE_URL: url, FERRY_KEY: Buffer.alloc(32, 1).toString('base64') }
    const first = await startServer({ env })
    const second = await startServer({ env })
    await first.call('PUT', '/connections/pg', { kind: 'postgres', settings: { ...settings, password: 'kept sealed' } })
    const ends = { source: { connection: 'pg' }, destination: { connection: 'pg' }, update: 'append' }
    const jobs = ['a', 'b', 'c', 'd']
    for (const name of jobs) {
      const tables = [{ from: 'public.source', to: `public.target_${name}` }]
      const schedules = name === 'd' ? [{ name: 's', every: '2 s', overlap: 'queue' }] : []
      const limits = name === 'd' ? {} : { rowsPerSecond: 2000 }
      const job = { name, ...ends, tables, schedules, limits, ...(name === 'd' ? { update: 'overwrite' } : {}) }
      expect((await first.call('POST', '/jobs', job)).status).toBe(201)
      if (name !== 'd') await first.call('POST', `/jobs/${name}/runs`)
    }
    for (const name of ['a', 'b', 'c']) await second.waitFor(name, 'running', 'completed')
    for (const pid of [...childrenOf(first.pid), first.pid]) process.kill(pid, 'SIGKILL')
    await first.gone
    for (const name of ['a', 'b', 'c']) {
      expect(await second.waitFor(name, 'completed', 'failed')).toMatchObject({ state: 'completed' })
      const { rows } = await client.query(`SELECT count(*)::int AS n, count(DISTINCT id)::int AS d FROM target_${name}`)
      expect(rows[0]).toEqual({ n: 4000, d: 4000 })
    }
    await until(async () => (await runsOf(second)).filter(r => r.invokedBy === 'schedule:s').length > 1)
    const times = (await runsOf(second)).filter(r => r.invokedBy === 'schedule:s').map(r => Date.parse(r.createdAt))
    expect(new Set(times.map(t => Math.floor(t / 2000))).size, 'each time once').toBe(times.length)
  })

  it('a run whose process dies again and again is given up, and says so', async () => {
    const { client, settings } = await makeDatabase()
    await client.query(`CREATE TABLE source AS SELECT i AS id FROM generate_series(1, 60000) i`)
    const server = await startServer()
    await server.call('PUT', '/connections/pg', { kind: 'postgres', settings })
    const tables = [{ from: 'public.source', to: 'public.target' }]
    const ends = { source: { connection: 'pg' }, destination: { connection: 'pg' } }
    await server.call('POST', '/jobs', { name: 'j', ...ends, update: 'append', tables, limits: { rowsPerSecond: 500 } })
    await server.call('POST', '/jobs/j/runs')
    // Each worker says when it begins.
    const begun = () => [...server.log().matchAll(/"pid":(\d+),.*"msg":"begins"/g)].map(m => Number(m[1]))
    for (let death = 0; death < 3; death++) {
      await until(() => begun().length > death)
      process.kill(begun()[death]!, 'SIGKILL')
    }
    expect(await server.waitFor('j', 'failed')).toMatchObject({ error: { code: 'FERRY-5012' } })
    expect((await server.call('POST', '/runs/j/resume')).status).toBe(202)
  })
})

async function runsOf(server: TestServer) {
  const { body } = await server.call<{ runs: { createdAt: string; invokedBy: string }[] }>('GET', '/runs?limit=500')
  return body.runs
}
