/** What a run's history tells: each attempt, how it ended, and what remains of a run that does not go on. */
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, it } from 'vitest'
import type { RunDetail, TableView } from '../ferry/src/runtime/schemas.ts'
import { ferry, makeDatabase, startFerry, temporaryFolder, until } from './support.ts'

/** A job of a source whose last row no destination takes, with what a person does to it. */
async function failingJob(edit: (to: Awaited<ReturnType<typeof makeDatabase>>, folder: string) => object) {
  const [from, to] = [await makeDatabase(), await makeDatabase()]
  await from.client.query(`CREATE TABLE s (id int PRIMARY KEY, v text, d text);
    INSERT INTO s SELECT i, 'v', repeat('x', 100) FROM generate_series(1, 20000) i; UPDATE s SET v = 'bad' WHERE id = 20000; ANALYZE s`)
  const folder = temporaryFolder()
  const path = join(folder, 'job.json')
  const home = join(folder, 'home')
  const define = (more: object) =>
    writeFileSync(
      path,
      JSON.stringify({
        name: 'j',
        source: { kind: 'postgres', ...from.settings },
        splitSize: '100kB',
        limits: { parallel: 1 },
        tables: ['public.s'],
        ...edit(to, folder),
        ...more,
      }),
    )
  define({})
  const call = (...args: string[]) => ferry(args, { home })
  const show = async () => {
    const { stdout } = await call('show', 'j', '--json')
    return JSON.parse(stdout) as RunDetail & { tables: TableView[] }
  }
  return { from, to, folder, home, path, define, call, show }
}

const intoPostgres = (to: Awaited<ReturnType<typeof makeDatabase>>) => ({
  destination: { kind: 'postgres', ...to.settings },
})
const CHECKED = `CREATE TABLE s (id int PRIMARY KEY, v text CHECK (v <> 'bad'), d text)`

describe('attempts', () => {
  it('are kept with their errors when a run goes on, and end when their process is gone', async () => {
    const { from, to, path, home, call, show } = await failingJob(intoPostgres)
    await to.client.query(CHECKED)
    expect((await call('run', path)).code).toBe(1)
    await from.client.query(`UPDATE s SET v = 'ok' WHERE id = 20000`)
    // It waits for this lock, and is killed there.
    await to.client.query('BEGIN; LOCK TABLE s IN ACCESS EXCLUSIVE MODE')
    const running = startFerry(['resume', 'j', '--json'], { home })
    await until(async () => (await show()).executing, 'the run to be at work')
    running.kill('SIGKILL')
    await running.done
    const dead = await show()
    expect(dead.executing).toBe(false)
    expect(dead.attempts.map(a => a.outcome)).toEqual(['failed', 'died'])
    await to.client.query('ROLLBACK')
    expect((await call('resume', 'j')).code).toBe(0)
    const run = await show()
    expect(run).toMatchObject({ state: 'completed', error: null, rowsCopied: 20_000, resumable: false })
    expect(run.attempts.map(a => [a.outcome, a.error?.code])).toEqual([
      ['failed', 'FERRY-4005'],
      ['died', undefined],
      ['completed', undefined],
    ])
    for (const { startedAt, endedAt } of run.attempts) expect(endedAt! >= startedAt).toBe(true)
    const worked = run.attempts.reduce((sum, a) => sum + a.duration!, 0)
    expect(run.duration).toBeCloseTo(worked, 1)
    expect((await call('show', 'j')).stdout).toMatch(/died/)
    const again = await call('resume', run.id)
    expect(again.code).toBe(1)
    expect(again.stderr).toContain('FERRY-5006')
    expect(JSON.parse((await call('runs', '--json')).stdout)).toHaveLength(1)
  })

  it('a failed run goes on as it began after its job was edited, and stays failed when it is given up', async () => {
    const { from, to, path, define, call, show } = await failingJob(intoPostgres)
    await to.client.query(CHECKED)
    expect((await call('run', path)).code).toBe(1)
    const failed = await show()
    define({ tables: [{ from: 'public.s', columns: { id: 'id' } }] })
    const edited = await call('run', path)
    expect(edited.stderr).toContain('FERRY-5009')
    expect(edited.stderr).toContain(`ferry resume ${failed.id}`)
    expect(await show()).toMatchObject({ id: failed.id, state: 'failed', edited: true, resumable: true })
    expect((await show()).error?.code).toBe('FERRY-4005')
    await from.client.query(`UPDATE s SET v = 'ok' WHERE id = 20000`)
    expect((await call('resume', failed.id)).code).toBe(0)
    const { rows } = await to.client.query('SELECT count(v)::int AS n FROM s')
    expect(rows[0].n).toBe(20_000)
  })
})

describe('what remains of a run that does not go on', () => {
  const places: [string, Parameters<typeof failingJob>[0], boolean][] = [
    ['PostgreSQL, append', intoPostgres, true],
    ['PostgreSQL, merge', to => ({ ...intoPostgres(to), update: 'merge' }), true],
    ['PostgreSQL, overwrite', to => ({ ...intoPostgres(to), update: 'overwrite' }), false],
    ['SQLite, append', (_, folder) => ({ destination: { kind: 'sqlite', path: join(folder, 't.db') } }), true],
    [
      'SQLite, overwrite',
      (_, folder) => ({ destination: { kind: 'sqlite', path: join(folder, 't.db') }, update: 'overwrite' }),
      false,
    ],
  ]
  it.each(places)('%s', async (_, edit, stays) => {
    const { to, folder, path, call, show } = await failingJob(edit)
    await to.client.query(CHECKED)
    const db = new DatabaseSync(join(folder, 't.db'))
    db.exec(`CREATE TABLE "public.s" (id INTEGER PRIMARY KEY, v TEXT CHECK (v <> 'bad'), d TEXT)`)
    db.exec(CHECKED)
    expect((await call('run', path)).code).toBe(1)
    const { state, id } = await show()
    expect(state).toBe('failed')
    expect((await call('cancel', id)).code).toBe(0)
    const run = await show()
    expect(run).toMatchObject({ state: 'failed', resumable: false })
    expect(run.error?.code).toBe('FERRY-4005')
    const inPostgres = (await to.client.query('SELECT count(*)::int AS n FROM s')).rows[0].n as number
    const inSqlite = (name: string) => Number(db.prepare(`SELECT count(*) AS n FROM "${name}"`).get()!.n)
    const there = inPostgres + inSqlite('s') + inSqlite('public.s')
    db.close()
    expect(run.rowsCopied).toBe(there)
    expect(run.tables[0]!.rowsCopied).toBe(there)
    expect(there > 0).toBe(stays)
    expect((await call('resume', id)).stderr).toContain('FERRY-5006')
    expect((await call('cancel', id)).stderr).toContain('FERRY-5006')
  })

  it('nothing of files', async () => {
    const { from, folder, path, call, show } = await failingJob((_, folder) => ({
      destination: join(folder, 'out'),
      tables: [{ from: 'public.s', to: 's.csv' }],
      limits: { parallel: 1, rowsPerSecond: 2000 },
    }))
    await from.client.query('SELECT 1')
    const running = startFerry(['run', path], { home: join(folder, 'home') })
    await until(async () => {
      const { stdout } = await call('show', 'j', '--json')
      return stdout.includes('"rowsRead"') && (JSON.parse(stdout) as RunDetail).rowsRead > 2000
    }, 'rows to be read')
    await call('cancel', 'j')
    expect((await running.done).code).toBe(3)
    const run = await show()
    expect(run).toMatchObject({ state: 'cancelled', rowsCopied: 0, resumable: false })
    expect(run.tables[0]).toMatchObject({ state: 'cancelled', rowsCopied: 0 })
    expect(readdirSync(join(folder, 'out'))).toEqual([])
  })
})
