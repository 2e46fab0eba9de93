/** Rows that a run skips: kept in the state, printed, corrected, and copied again exactly once. */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, it } from 'vitest'
import { ferry, temporaryFolder } from './support.ts'

/** A finished run over a table without a key, of which the rows 2 and 4 do not fit. */
async function skipping() {
  const folder = temporaryFolder()
  const home = join(folder, 'home')
  const open = (name: string, sql = '') => {
    const db = new DatabaseSync(join(folder, name))
    db.exec(sql)
    return db
  }
  open(
    's.db',
    `CREATE TABLE t (id INT, v TEXT); INSERT INTO t VALUES (1,'a'),(2,'bad'),(3,'c'),(4,'bad'),(5,'e')`,
  ).close()
  const target = open('d.db', `CREATE TABLE t (id INT, v TEXT CHECK (v <> 'bad'))`)
  const job = join(folder, 'job.json')
  const stores = { source: `sqlite:${join(folder, 's.db')}`, destination: `sqlite:${join(folder, 'd.db')}` }
  writeFileSync(
    job,
    JSON.stringify({ name: 'j', ...stores, update: 'append', onRowError: 'skip', narrowing: 'check', tables: ['t'] }),
  )
  const call = (...args: string[]) => ferry(args, { home })
  const done = await call('run', job, '--json')
  expect(JSON.parse(done.stdout), done.stderr).toMatchObject({ rowsCopied: 3, rowsSkipped: 2 })
  const copied = () =>
    target
      .prepare('SELECT id, v FROM t ORDER BY id')
      .all()
      .map(row => `${row.id}${row.v}`)
  const skipped = async () => (await call('skipped', 'j')).stdout.split('\n').filter(Boolean)
  /** The rows fit now. */
  const mend = () =>
    target.exec(
      'ALTER TABLE t RENAME TO old; CREATE TABLE t (id INT, v TEXT); INSERT INTO t SELECT * FROM old; DROP TABLE old',
    )
  const state = () => new DatabaseSync(join(home, 'state.db'))
  return { folder, home, target, call, copied, skipped, mend, state }
}

it('are printed, corrected by their values, and copied', async () => {
  const { folder, call, copied, skipped } = await skipping()
  const lines = await skipped()
  expect(lines.map(line => JSON.parse(line))).toMatchObject([
    { table: 't', values: { id: '2', v: 'bad' }, reason: expect.stringContaining('CHECK') },
    { table: 't', values: { id: '4', v: 'bad' } },
  ])
  const rows = join(folder, 'rows.jsonl')
  const retry = () => call('retry', 'j', '--rows', rows)
  const corrected = { ...JSON.parse(lines[0]!), values: { id: '2', v: 'b' } }
  writeFileSync(rows, `${JSON.stringify(corrected)}\n`)
  // The other row is not named, and stays.
  expect(await retry()).toMatchObject({ code: 1, stdout: expect.stringContaining('1 of 2 rows copied, 1 left') })
  expect(copied()).toEqual(['1a', '2b', '3c', '5e'])
  expect((await skipped()).map(line => JSON.parse(line).values.id)).toEqual(['4'])

  writeFileSync(rows, `${lines[1]}\n`)
  expect((await retry()).stderr).toMatch(/FERRY-1003 .*has no skipped row[\s\S]*print them again/)
  for (const [text, why] of [
    ['{"id":1}', /line 1 of the rows: id: must be a text/],
    ['\n{', /line 2 of the rows/],
    ['[]', /is no JSON object/],
  ] as const) {
    writeFileSync(rows, text)
    expect((await retry()).stderr).toMatch(why)
  }
  expect((await call('retry', 'j', '--rows', join(folder, 'none'))).stderr).toMatch(/FERRY-1003 .*ENOENT/)
  expect((await call('skipped', 'j', '--table', 'nosuch')).stderr).toMatch(/FERRY-3008 .*has no table nosuch/)
  expect(copied()).toHaveLength(4)
})

it('are copied once, whenever a retry is interrupted', async () => {
  const { call, copied, skipped, mend, state } = await skipping()
  mend()
  // Nothing more can be saved: after the rows have committed, and before the state knows it.
  const db = state()
  db.exec(`CREATE TRIGGER crash BEFORE DELETE ON skipped BEGIN SELECT RAISE(ABORT, 'crash'); END`)
  expect((await call('retry', 'j')).code).toBe(1)
  expect(copied()).toHaveLength(5)
  expect(await skipped()).toHaveLength(2)
  db.exec('DROP TRIGGER crash')
  db.close()
  expect(await call('retry', 'j')).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('2 of 2 rows copied, 0 left'),
  })
  expect(copied()).toEqual(['1a', '2bad', '3c', '4bad', '5e'])
  expect(await skipped()).toEqual([])
})

it('of an older version are taken from its files', async () => {
  const { home, call, copied, skipped, mend, state } = await skipping()
  const db = state()
  const run = db.prepare('SELECT DISTINCT run FROM skipped').get()!.run as string
  const lines = db
    .prepare('SELECT line FROM skipped ORDER BY seq')
    .all()
    .map(row => `${row.line}\n`)
  db.exec('DELETE FROM skipped')
  db.close()
  const folder = join(home, 'errors', run)
  mkdirSync(folder, { recursive: true })
  // Characters that other readers of lines take for ends of lines.
  const odd = JSON.stringify({ ...JSON.parse(lines[1]!), values: { id: '4', v: 'x\u2028y' } })
  writeFileSync(join(folder, '0-0-start.jsonl'), `${lines[0]}${odd}\n`)
  writeFileSync(join(folder, '0-0-0123456789ab.jsonl.tmp'), lines[0]!)
  const other = join(home, 'errors', '20200101T000000.000-0000')
  mkdirSync(other)
  expect((await skipped()).map(line => JSON.parse(line).values.v)).toEqual(['bad', 'x\u2028y'])
  expect(existsSync(folder)).toBe(false)
  // What is of no run of this state stays.
  expect(readdirSync(join(home, 'errors'))).toHaveLength(1)
  mend()
  expect((await call('retry', 'j')).code).toBe(0)
  expect(copied()).toEqual(['1a', '2bad', '3c', '4x\u2028y', '5e'])
})

it('are not taken for copied by the ledger of an earlier retry', async () => {
  const { target, call, copied, skipped, mend } = await skipping()
  expect((await call('retry', 'j')).code).toBe(1)
  // The ledger keeps its line: the process ends before it is removed.
  target.exec(`CREATE TRIGGER crash BEFORE DELETE ON ferry_ledger BEGIN SELECT RAISE(ABORT, 'crash'); END`)
  expect((await call('retry', 'j')).code).toBe(1)
  target.exec('DROP TRIGGER crash')
  expect(await call('retry', 'j')).toMatchObject({ stdout: expect.stringContaining('0 of 2 rows copied, 2 left') })
  expect(await skipped()).toHaveLength(2)
  mend()
  expect((await call('retry', 'j')).code).toBe(0)
  expect(copied()).toEqual(['1a', '2bad', '3c', '4bad', '5e'])
})

it.each([
  ['a column that is missing', { id: '2' }, 'have no v'],
  ['a column that is none', { id: '2', v: 'b', V: 'b' }, 'have V, which is no column'],
])('are not copied with %s', async (_, values, why) => {
  const { folder, call, copied, skipped } = await skipping()
  const [line] = await skipped()
  writeFileSync(join(folder, 'rows.jsonl'), JSON.stringify({ ...JSON.parse(line!), values }))
  const retried = await call('retry', 'j', '--rows', join(folder, 'rows.jsonl'))
  expect(retried.code).toBe(1)
  expect(copied()).toHaveLength(3)
  expect((await skipped()).join()).toContain(why)
  writeFileSync(join(folder, 'rows.jsonl'), `${(await skipped())[0]}\n${(await skipped())[0]}\n`)
  expect((await call('retry', 'j', '--rows', join(folder, 'rows.jsonl'))).stderr).toMatch(/FERRY-1003 .*twice/)
})

/** A table of which a row is skipped, and copied by a later run under `job`'s words; then the first run is tried again. */
async function overtaken(job: object) {
  const folder = temporaryFolder()
  const home = join(folder, 'home')
  const db = new DatabaseSync(join(folder, 's.db'))
  const target = new DatabaseSync(join(folder, 'd.db'))
  db.exec(`CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, v TEXT); INSERT INTO t VALUES (1, 1, 'a'), (5, 2, 'bad')`)
  target.exec(`CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, v TEXT CHECK (v <> 'bad'))`)
  const stores = { source: `sqlite:${join(folder, 's.db')}`, destination: `sqlite:${join(folder, 'd.db')}` }
  const path = join(folder, 'job.json')
  writeFileSync(
    path,
    JSON.stringify({ name: 'j', ...stores, onRowError: 'skip', narrowing: 'check', tables: ['t'], ...job }),
  )
  const call = (...args: string[]) => ferry(args, { home })
  const run = async () => {
    const { code, stdout, stderr } = await call('run', path, '--json')
    expect(code, stderr + stdout).toBe(0)
    return JSON.parse(stdout).runId as string
  }
  const first = await run()
  db.exec(`UPDATE t SET n = 3, v = 'new' WHERE id = 5`)
  await run()
  target.exec(
    'CREATE TABLE u (id INTEGER PRIMARY KEY, n INTEGER, v TEXT); INSERT INTO u SELECT * FROM t; DROP TABLE t; ALTER TABLE u RENAME TO t',
  )
  const retried = await call('retry', first)
  return {
    retried,
    rows: target
      .prepare('SELECT v FROM t ORDER BY id')
      .all()
      .map(row => row.v),
  }
}

it('do not replace newer rows of a later run', async () => {
  const merge = await overtaken({ mode: 'incremental', incrementalColumn: 'n', update: 'merge', keys: ['id'] })
  expect(merge.rows).toEqual(['a', 'new'])
  expect(merge.retried).toMatchObject({ code: 1, stdout: expect.stringContaining('0 of 1 rows copied, 1 left') })
  const full = await overtaken({ update: 'merge', keys: ['id'] })
  expect(full.rows).toEqual(['a', 'new'])
  expect(full.retried.stderr).toMatch(/FERRY-5006 .*was copied again by run/)
})
