/** Copies into a store, as jobs make them. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { policy, temporaryFolder, until } from '../../../../test/support.ts'
import type { Column } from '../../batch/types.ts'
import { runJob } from '../../runtime/run.ts'
import type { UpdateMethod } from '../write.ts'
import { readRows } from './rows.ts'
import {
  COLUMNS,
  completed,
  database,
  found,
  ID,
  into,
  newState,
  numbered,
  open,
  type Subject,
  source,
} from './subject.ts'

export function writing({ kind, make, evolves, isWhole }: Subject, update: UpdateMethod): void {
  it('takes rows, and those of a second run as its method says', async () => {
    const place = await make()
    const state = await newState()
    const { db, endpoint, add } = source(50)
    const job = into(place, endpoint, update)
    expect(await completed(state, job)).toMatchObject({ rowsCopied: 50 })
    expect(await found(place)).toEqual(numbered(0, 50))
    // Columns are matched by their names: the source has them in another order now. New objects have columns of their own.
    if (kind.abilities.writesApart) db.exec('DELETE FROM t')
    else db.exec('DROP TABLE t; CREATE TABLE t (n INTEGER, id TEXT PRIMARY KEY)')
    const put = db.prepare('INSERT INTO t (id, n) VALUES (?, ?)')
    for (let i = update === 'append' ? 50 : 30; i < 80; i++) put.run(`r${i}`, update === 'append' ? i : i + 1000)
    if (update === 'append' && isWhole) {
      expect(await runJob({ policy, state, job })).toMatchObject({ status: 'failed', errors: [{ code: 'FERRY-3006' }] })
      expect(await found(place)).toEqual(numbered(0, 50))
      return
    }
    await completed(state, job)
    const kept = update === 'append' ? numbered(0, 80) : numbered(30, 80, 1000)
    expect(await found(place)).toEqual([...(update === 'merge' ? numbered(0, 30) : []), ...kept].sort())
    if (update !== 'overwrite') return
    db.exec('DELETE FROM t')
    add(0, 0)
    await completed(state, job)
    expect(await found(place)).toEqual([])
  })

  it('takes rows in each form in which a source gives them', async () => {
    const place = await make()
    const folder = temporaryFolder()
    writeFileSync(join(folder, 't.csv'), `id,n\n${Array.from({ length: 300 }, (_, i) => `r${i},${i}\n`).join('')}`)
    const files = { kind: 'files', folder }
    const state = await newState()
    await completed(
      state,
      into({ ...place, endpoint: files, object: () => 't.parquet', write: {} }, files, 'overwrite', {
        table: { from: 't.csv' },
      }),
    )
    for (const [i, from] of ['t.csv', 't.parquet'].entries()) {
      const name = `form${i}`
      expect(await completed(state, into(place, files, update, { name, table: { from } })), from).toMatchObject({
        rowsCopied: 300,
      })
      expect(await found(place, name), from).toEqual(numbered(0, 300))
    }
  })

  it('takes an empty table', async () => {
    const place = await make()
    const state = await newState()
    expect(await completed(state, into(place, source(0).endpoint, update))).toMatchObject({ rowsCopied: 0 })
    expect(await found(place)).toEqual([])
  })

  it('takes wide and long rows', async () => {
    const place = await make()
    const { db, endpoint } = database()
    const names = Array.from({ length: 200 }, (_, i) => `c${i}`)
    db.exec(`CREATE TABLE t (id TEXT PRIMARY KEY, long TEXT, ${names.map(n => `${n} INTEGER`).join(', ')})`)
    const long = 'é"\\,\n'.repeat(100_000)
    db.prepare(`INSERT INTO t VALUES ('a', ?, ${names.map((_, i) => i).join(', ')})`).run(long)
    await completed(await newState(), into(place, endpoint, update))
    const columns = [ID, { ...ID, name: 'long' }, ...names.map(name => ({ ...COLUMNS[1]!, name }))]
    const [row] = await readRows(await open(place), place.object('copy'), place.read ?? {}, columns)
    expect(row).toEqual(['a', long, ...names.map((_, i) => i)])
  })

  it('takes columns whatever their names, or refuses them', async () => {
    const place = await make()
    const { db, endpoint } = database()
    const names = [' v', 'v', 'v ', 'a.b', '"q"', "it's", 'ü', 'select', '%', 'x,y']
    const quoted = names.map(name => `"${name.replaceAll('"', '""')}"`)
    db.exec(`CREATE TABLE t (id TEXT PRIMARY KEY, ${quoted.map(name => `${name} TEXT`).join(', ')})`)
    db.prepare(`INSERT INTO t VALUES ('a', ${names.map(() => '?').join(', ')})`).run(...names)
    const report = await runJob({ policy, state: await newState(), job: into(place, endpoint, update) })
    if (report.status !== 'completed') {
      expect(report.errors, JSON.stringify(report.errors)).toMatchObject([{ code: 'FERRY-3015' }])
      return
    }
    const columns: Column[] = [ID, ...names.map(name => ({ ...ID, name }))]
    const [row] = await readRows(await open(place), place.object('copy'), place.read ?? {}, columns)
    expect(row).toEqual(['a', ...names])
  })

  it('takes two tables in one run', async () => {
    const place = await make()
    const { db, endpoint } = source(20)
    db.exec('CREATE TABLE u (id TEXT PRIMARY KEY, n INTEGER); INSERT INTO u SELECT id, n + 500 FROM t')
    const tables = ['t', 'u'].map(name => ({ from: name, to: place.object(name), keys: ['id'] }))
    await completed(await newState(), into(place, endpoint, update, { job: { tables } }))
    expect(await found(place, 't')).toEqual(numbered(0, 20))
    expect(await found(place, 'u')).toEqual(numbered(0, 20, 500))
    const store = await open(place)
    const objects = (await store.objects()).map(object => store.names.key(object))
    for (const name of ['t', 'u']) {
      const key = store.names.key(place.object(name))
      expect(objects.some(object => object === key || object.startsWith(`${key}/`))).toBe(true)
    }
  })

  it('goes on where it was stopped: each row is there once', async () => {
    const place = await make()
    const state = await newState()
    const { endpoint } = source(6000)
    const job = into(place, endpoint, update, {
      job: { splitSize: '20kB', limits: { rowsPerSecond: 3000, parallel: 1 } },
    })
    const stop = new AbortController()
    const running = runJob({ policy, state, job, signal: stop.signal })
    await until(
      async () => (await state.db.selectFrom('split').select('id').where('rows', '>', 0).execute()).length > 0,
    )
    stop.abort()
    expect((await running).status).toBe('paused')
    const after = await runJob({
      policy,
      state,
      job: into(place, endpoint, update, { job: { splitSize: '20kB' } }),
    })
    expect(after, JSON.stringify(after.errors)).toMatchObject({ status: 'completed', resumed: true })
    expect(await found(place)).toEqual(numbered(0, 6000))
  })

  it('leaves out rows that do not fit, where it may', async () => {
    const place = await make()
    const { db, endpoint } = source(20)
    db.exec(`UPDATE t SET n = 'none' WHERE id = 'r7'`)
    const table = { columns: { id: { to: 'id', type: 'utf8' }, n: { to: 'n', type: 'int64' } }, narrowing: 'check' }
    const job = into(place, endpoint, update, { table, job: { onRowError: 'skip' } })
    expect(await completed(await newState(), job)).toMatchObject({ rowsCopied: 19, rowsSkipped: 1 })
    expect(await found(place)).toEqual(numbered(0, 20).filter(row => !row.startsWith('r7 ')))
  })

  it.runIf(update === 'append' && !isWhole)('appends nothing over a row that is there', async () => {
    const place = await make()
    const state = await newState()
    const { add, endpoint } = source(10)
    await completed(state, into(place, endpoint, update))
    const store = await open(place)
    const info = await store.existing({ object: place.object('copy'), options: place.write ?? {} })
    if (!info || info.primaryKey.length === 0) return
    add(5, 15, 1000)
    const refused = await runJob({ policy, state, job: into(place, endpoint, update) })
    expect(refused, JSON.stringify(refused)).toMatchObject({ status: 'failed', errors: [{ code: 'FERRY-4005' }] })
    const skipping = into(place, endpoint, update, { job: { name: 'skipping', onRowError: 'skip' } })
    const report = await completed(await newState(), skipping)
    expect(report).toMatchObject({ rowsCopied: 5, rowsSkipped: 10 })
    expect(await found(place)).toEqual([...numbered(0, 10), ...numbered(10, 15, 1000)].sort())
  })

  it.runIf(update === 'merge')('keeps the last one of rows with one key', async () => {
    const place = await make()
    const { db, endpoint } = database()
    db.exec(`CREATE TABLE t (id TEXT, n INTEGER);
      WITH RECURSIVE i(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM i WHERE n < 99)
      INSERT INTO t SELECT 'r' || (n % 10), n FROM i`)
    await completed(await newState(), into(place, endpoint, update))
    expect(await found(place)).toEqual(Array.from({ length: 10 }, (_, i) => `r${i} ${i + 90}`))
  })

  it('runs the statements of a job, or refuses them', async () => {
    const place = await make()
    for (const when of ['before', 'after']) {
      const job = into(place, source(5).endpoint, update, { job: { name: when, [when]: 'this is no statement' } })
      const report = await runJob({ policy, state: await newState(), job })
      expect(report.status, when).toBe('failed')
    }
  })

  it.runIf(update !== 'overwrite')('empties what is there before a copy, or refuses to', async () => {
    const place = await make()
    const state = await newState()
    await completed(state, into(place, source(10).endpoint, update))
    const { endpoint, add, db } = source(0)
    db.exec('DELETE FROM t')
    add(20, 25)
    const job = into(place, endpoint, update, { job: { name: 'anew', truncate: true } })
    const report = await runJob({ policy, state, job })
    if (report.status === 'completed') expect(await found(place)).toEqual(numbered(20, 25))
    else {
      expect(report.errors[0]!.code).toMatch(/^FERRY-3/)
      expect(await found(place)).toEqual(numbered(0, 10))
    }
  })

  it.runIf(evolves && update !== 'overwrite')('gets columns that come later', async () => {
    const place = await make()
    const state = await newState()
    const { db, endpoint } = source(10)
    const job = into(place, endpoint, update, { job: { drift: 'evolve' } })
    await completed(state, job)
    db.exec('DELETE FROM t; ALTER TABLE t ADD COLUMN later INTEGER')
    for (let i = 10; i < 20; i++) db.exec(`INSERT INTO t VALUES ('r${i}', ${i}, ${i * 10})`)
    await completed(state, job)
    const columns = [...COLUMNS, { ...COLUMNS[1]!, name: 'later' }]
    const rows = await found(place, 'copy', columns)
    expect(rows).toContain('r15 15 150')
    expect(rows).toContain('r3 3 null')
  })
}
