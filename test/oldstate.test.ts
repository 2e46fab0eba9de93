/** A state that was written before kept forms had versions: unfinished runs go on, and later copies go on from theirs. */
import { statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, it } from 'vitest'
import { ferry, makeDatabase, startFerry, temporaryFolder, until } from './support.ts'

/** A text without the names and versions of the forms in it, however deep. */
function older(text: string): string {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return text
  }
  if (typeof value !== 'object' || value === null) return text
  const { form, version } = value as Record<string, unknown>
  const bare = typeof form === 'string' && typeof version === 'number' ? (value as { value: unknown }).value : value
  return JSON.stringify(bare, (_, inner) => (typeof inner === 'string' ? older(inner) : inner))
}

/** Makes a state what it would be, had an older version written it; gives how many texts became other ones. */
function makeOld(home: string): number {
  const db = new DatabaseSync(join(home, 'state.db'))
  let changed = 0
  for (const [table, column] of [
    ['run_table', 'plan'],
    ['split', 'spec'],
    ['split', 'checkpoint'],
    ['position', 'value'],
    ['position', 'tracked'],
  ]) {
    const rows = db.prepare(`SELECT rowid AS id, ${column} AS text FROM ${table} WHERE ${column} IS NOT NULL`).all()
    for (const { id, text } of rows) {
      const old = older(String(text))
      if (old === text) continue
      db.prepare(`UPDATE ${table} SET ${column} = ? WHERE rowid = ?`).run(old, id!)
      changed++
    }
  }
  db.close()
  return changed
}

const ROWS = 40_000

/** Runs a job until some splits are done, kills it, makes its state old, and lets it go on. */
async function goOn(job: object): Promise<void> {
  const home = temporaryFolder()
  const path = join(temporaryFolder(), 'job.json')
  writeFileSync(path, JSON.stringify({ ...job, limits: { rowsPerSecond: 20_000, parallel: 1 } }))
  const first = startFerry(['run', path], { home })
  const splits = () => {
    try {
      const db = new DatabaseSync(join(home, 'state.db'), { readOnly: true })
      const [row] = db.prepare('SELECT sum(done) AS n FROM split').all()
      db.close()
      return Number(row!.n ?? 0)
    } catch {
      return 0
    }
  }
  await until(() => splits() > 0, 'a split to be done')
  first.kill('SIGKILL')
  await first.done
  expect(makeOld(home)).toBeGreaterThan(2)
  writeFileSync(path, JSON.stringify(job))
  const second = await ferry(['run', path, '--json'], { home })
  expect(second.code, second.stderr).toBe(0)
}

it('an unfinished run of SQLite goes on', async () => {
  const folder = temporaryFolder()
  const source = join(folder, 's.db')
  const db = new DatabaseSync(source)
  db.exec(`CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT);
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${ROWS})
    INSERT INTO t SELECT i, 'row ' || i || printf('%.*c', 80, 'x') FROM n`)
  db.close()
  const destination = join(folder, 'd.db')
  const update = 'append'
  await goOn({
    name: 'j',
    source: `sqlite:${source}`,
    destination: `sqlite:${destination}`,
    update,
    tables: ['t'],
    splitSize: '200kB',
  })
  const [row] = new DatabaseSync(destination).prepare('SELECT count(*) AS n, sum(id) AS sum FROM t').all()
  expect(row).toEqual({ n: ROWS, sum: (ROWS * (ROWS + 1)) / 2 })
})

it('an unfinished run of a CSV file goes on, and one of PostgreSQL', async () => {
  const folder = temporaryFolder()
  const { url, client } = await makeDatabase()
  const lines = Array.from({ length: ROWS }, (_, i) => `${i + 1},${'x'.repeat(80)}`)
  writeFileSync(join(folder, 't.csv'), `id,text\n${lines.join('\n')}\n`)
  const file = {
    name: 'f',
    source: `files:${folder}`,
    destination: url,
    update: 'append',
    tables: [{ from: 't.csv', to: 'public.t' }],
    splitSize: '200kB',
  }
  await goOn({ ...file, source: { kind: 'files', folder } })
  const sums = async (table: string) =>
    (await client.query(`SELECT count(*)::int AS n, sum(id)::int AS sum FROM ${table}`)).rows[0]
  const all = { n: ROWS, sum: (ROWS * (ROWS + 1)) / 2 }
  expect(await sums('t')).toEqual(all)
  await goOn({
    name: 'p',
    source: url,
    destination: url,
    update: 'append',
    tables: [{ from: 'public.t', to: 'public.u' }],
    splitSize: '200kB',
  })
  expect(await sums('u')).toEqual(all)
})

it('later copies go on from what the last one kept: a column, the log of a store, files', async () => {
  const folder = temporaryFolder()
  const home = temporaryFolder()
  const { url, client } = await makeDatabase()
  await client.query('CREATE TABLE s (id int PRIMARY KEY, v text); INSERT INTO s VALUES (1, $$a$$), (2, $$b$$)')
  const run = async (job: object) => {
    const path = join(folder, 'job.json')
    writeFileSync(path, JSON.stringify({ mode: 'incremental', ...job }))
    const { code, stdout, stderr } = await ferry(['run', path, '--json'], { home })
    expect(code, `${stdout}${stderr}`).toBe(0)
    return (JSON.parse(stdout) as { rowsCopied: number }).rowsCopied
  }
  const of = (name: string, words: object) => ({
    name,
    source: url,
    destination: url,
    update: 'merge',
    tables: [{ from: 'public.s', to: `public.${name}`, ...words }],
  })
  const jobs = [of('by_column', { incrementalColumn: 'id' }), of('by_log', { tracking: 'cdc' })]
  writeFileSync(join(folder, 'a.csv'), 'id\n1\n')
  const files = {
    name: 'by_files',
    source: { kind: 'files', folder },
    destination: url,
    update: 'append',
    tables: [{ from: '*.csv', to: 'public.by_files', tracking: 'watermark' }],
  }
  for (const job of jobs) expect(await run(job)).toBe(2)
  expect(await run(files)).toBe(1)
  expect(makeOld(home)).toBeGreaterThan(5)
  // Of files their paths were kept, with time and size of each.
  const { mtimeNs, size } = statSync(join(folder, 'a.csv'), { bigint: true })
  const state = new DatabaseSync(join(home, 'state.db'))
  const kept = JSON.stringify({ [join(folder, 'a.csv')]: [String(mtimeNs), Number(size)] })
  expect(state.prepare("UPDATE position SET value = ? WHERE job = 'by_files'").run(kept).changes).toBe(1)
  state.close()
  await client.query('INSERT INTO s VALUES (3, $$c$$)')
  writeFileSync(join(folder, 'b.csv'), 'id\n2\n')
  // A merge reads rows of the last value again.
  expect([await run(jobs[0]!), await run(jobs[1]!)]).toEqual([2, 1])
  expect(await run(files)).toBe(1)
  expect((await client.query('SELECT id FROM by_log ORDER BY id')).rows.map(r => r.id)).toEqual([1, 2, 3])
  expect((await client.query('SELECT id FROM by_files ORDER BY id')).rows.map(r => Number(r.id))).toEqual([1, 2])
  await ferry(['reset', 'by_log'], { home })
})
