/** Rows that were once lost, doubled or changed, and reported as copied: each of these stays as a small copy. */
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { zstdCompressSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { Duckdb } from '../ferry/src/duckdb/engine.ts'
import { jobSchema } from '../ferry/src/job/schema.ts'
import { discardRun } from '../ferry/src/runtime/discard.ts'
import { runJob } from '../ferry/src/runtime/run.ts'
import { openState } from '../ferry/src/state/database.ts'
import { findRun } from '../ferry/src/state/runs.ts'
import { firstSkipped } from '../ferry/src/state/skipped.ts'
import {
  copy,
  ferry,
  hasMariadb,
  makeDatabase,
  makeMariadb,
  policy,
  startFerry,
  temporaryFolder,
  until,
} from './support.ts'

/** A SQLite file with a table `t`, by statements. */
function sqlite(path: string, statements: string): string {
  const db = new DatabaseSync(path)
  db.exec(statements)
  db.close()
  return path
}

function numbered(path: string, rows: number, name = 't'): string {
  const numbers = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${rows})`
  return sqlite(
    path,
    `CREATE TABLE ${name} (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO ${name} ${numbers} SELECT i, 'v' || i || hex(zeroblob(40)) FROM n`,
  )
}

function rowsOf(path: string, sql: string): Record<string, unknown>[] {
  const db = new DatabaseSync(path)
  try {
    return db.prepare(sql).all() as Record<string, unknown>[]
  } finally {
    db.close()
  }
}

async function parquet(path: string, query: string): Promise<void> {
  const db = await Duckdb.open(policy)
  await db.run(`COPY (${query}) TO '${path}'`)
  await db.close()
}

/** Copies files of a folder into a SQLite table, and gives back its rows. */
async function read(folder: string, from: string, settings: Record<string, unknown> = {}) {
  const path = join(temporaryFolder(), 'to.db')
  const report = await copy({
    source: folder,
    destination: `sqlite:${path}`,
    tables: [{ from, to: 't', ...settings }],
  })
  return { report, rows: report.status === 'completed' ? rowsOf(path, 'SELECT * FROM t') : [] }
}

const csv = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `${from + i},x\n`).join('')
const SKIPPABLE = Buffer.from([0x51, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3])

describe('zstd of several frames', () => {
  const frames = [zstdCompressSync(`id,v\n${csv(0, 1000)}`), zstdCompressSync(csv(1000, 2000))] as const

  it.each([
    ['one after the other', [...frames]],
    ['with frames to skip', [SKIPPABLE, frames[0], SKIPPABLE, frames[1], SKIPPABLE]],
    ['that are empty', [frames[0], zstdCompressSync(''), frames[1]]],
    ['with checksums', [zstdCompressSync(`id,v\n${csv(0, 1000)}`, { params: { 201: 1 } }), frames[1]]],
  ])('is read to its end: %s', async (_, parts) => {
    const folder = temporaryFolder()
    writeFileSync(join(folder, 'a.csv.zst'), Buffer.concat(parts))
    expect((await read(folder, 'a.csv.zst')).rows).toHaveLength(2000)
  })

  it.each([
    ['is cut off', Buffer.concat([frames[0], frames[1].subarray(0, -5)])],
    ['is cut off in its mark', Buffer.concat([frames[0], frames[1].subarray(0, 3)])],
    ['is none', Buffer.concat([frames[0], Buffer.from('garbage')])],
  ])('is refused where the last one %s', async (_, bytes) => {
    const folder = temporaryFolder()
    writeFileSync(join(folder, 'a.csv.zst'), bytes)
    const { report } = await read(folder, 'a.csv.zst')
    expect(report.errors[0]?.code).toBe('FERRY-4004')
  })
})

describe('Parquet', () => {
  it('holds what its file says, whatever its folders are named', async () => {
    const folder = temporaryFolder()
    mkdirSync(join(folder, 'id=99', 'day=1'), { recursive: true })
    await parquet(join(folder, 'id=99', 'day=1', 'a.parquet'), `SELECT 1::INT AS id, 'a' AS v`)
    expect((await read(folder, 'id=99/**/*.parquet')).rows).toEqual([{ id: 1, v: 'a' }])
  })

  it('may have a column of the name by which DuckDB numbers rows', async () => {
    const folder = temporaryFolder()
    await parquet(join(folder, 'a.parquet'), `SELECT i AS id, -i AS file_row_number FROM range(400000) t(i)`)
    const path = join(folder, 'to.db')
    const tables = [{ from: 'a.parquet', to: 't' }]
    const report = await copy({ source: folder, destination: `sqlite:${path}`, splitSize: '100kB', tables })
    expect(report, JSON.stringify(report.errors)).toMatchObject({ status: 'completed', rowsCopied: 400_000 })
    expect(rowsOf(path, 'SELECT count(*) AS n FROM t WHERE file_row_number = -id')).toEqual([{ n: 400_000 }])
  })

  it.each(['freeze', 'evolve', 'ignore'])('is refused where columns differ in case alone: %s', async drift => {
    const folder = temporaryFolder()
    await parquet(join(folder, '1.parquet'), `SELECT 1::INT AS id, 'a' AS v`)
    await parquet(join(folder, '2.parquet'), `SELECT 7::INT AS "ID", 'x' AS v`)
    const { report } = await read(folder, '*.parquet', { drift })
    expect(report.errors[0]?.code).toBe('FERRY-3013')
  })
})

describe('a folder', () => {
  it.each(['orders-0000.csv/', 'x-00000-0000.d/'])('named like its parts holds all rows, once: %s', async to => {
    const folder = temporaryFolder()
    const source = numbered(join(folder, 's.db'), 5000)
    const job = {
      source: `sqlite:${source}`,
      destination: join(folder, 'out'),
      update: 'overwrite',
      splitSize: '64kB',
      limits: { parallel: 1 },
      tables: [{ from: 't', to, write: { format: 'csv', rowsPerFile: 100 } }],
    }
    for (let i = 0; i < 2; i++) {
      expect(await copy(job)).toMatchObject({ status: 'completed', rowsCopied: 5000 })
      const place = join(folder, 'out', to)
      const lines = readdirSync(place).flatMap(name =>
        readFileSync(join(place, name), 'utf8').trim().split('\n').slice(1),
      )
      expect(new Set(lines).size).toBe(5000)
      expect(lines).toHaveLength(5000)
    }
  })

  it.each(['append', 'overwrite'])(
    'of a run that is given up behind its last file is as it is told: %s',
    async update => {
      const folder = temporaryFolder()
      const source = numbered(join(folder, 's.db'), 500)
      const state = await openState({ FERRY_HOME: join(folder, 'home') })
      try {
        const definition = {
          name: 'j',
          source: `sqlite:${source}`,
          destination: join(folder, 'out'),
          update,
          tables: [{ from: 't', to: 'o/', write: { format: 'csv' } }],
        }
        const path = join(folder, 'j.json')
        writeFileSync(path, JSON.stringify(definition))
        // The mark that the run has published is the last thing it writes before the state learns of it.
        const kill = join(folder, 'kill.cjs')
        writeFileSync(
          kill,
          `const f = require('node:fs/promises'); const { syncBuiltinESMExports } = require('node:module')
         const write = f.writeFile
         f.writeFile = async (path, ...rest) => { await write(path, ...rest); if (/done$/.test(String(path))) process.kill(process.pid, 'SIGKILL') }
         syncBuiltinESMExports()`,
        )
        const env = { NODE_OPTIONS: `--require ${kill}` }
        expect((await ferry(['run', path], { home: join(folder, 'home'), env })).code).not.toBe(0)
        const files = () => readdirSync(join(folder, 'out', 'o')).filter(n => !n.startsWith('.')).length
        expect(files()).toBe(1)
        const run = await findRun(state.db, 'j')
        await discardRun(state, run!, policy)
        const [table] = await state.db.selectFrom('run_table').selectAll().where('run', '=', run!.id).execute()
        expect({ files: files(), copied: table!.rows_copied }).toEqual(
          update === 'append' ? { files: 0, copied: 0 } : { files: 1, copied: 500 },
        )
        expect(existsSync(join(folder, 'out', 'o'))).toBe(true)
        const report = await runJob({ policy, state, job: jobSchema.parse(definition) })
        expect(report.status).toBe('completed')
        expect(files()).toBe(1)
      } finally {
        await state.close()
      }
    },
  )

  it('is one place under all of its names', async () => {
    const folder = temporaryFolder()
    const source = sqlite(join(folder, 's.db'), 'CREATE TABLE a (id INTEGER); CREATE TABLE b (id INTEGER)')
    mkdirSync(join(folder, 'real'))
    symlinkSync('real', join(folder, 'link'))
    const tables = [
      { from: 'a', to: 'real/x.csv' },
      { from: 'b', to: 'link/x.csv' },
    ]
    await expect(
      copy({ source: `sqlite:${source}`, destination: folder, update: 'overwrite', tables }),
    ).resolves.toMatchObject({
      status: 'failed',
      errors: [{ code: 'FERRY-1005' }],
    })
  })
})

it('a file that came into being during an append is not replaced', async () => {
  const folder = temporaryFolder()
  const source = numbered(join(folder, 's.db'), 20_000)
  const to = join(folder, 'out.csv')
  const running = startFerry(['copy', `${source}#t`, to, '--update', 'append', '--rows-per-second', '10000'], {
    home: join(folder, 'home'),
  })
  await until(() => readdirSync(folder).some(name => name.startsWith('.out.csv')), 'the run writes')
  writeFileSync(to, 'mine')
  const { code, stderr } = await running.done
  expect({ code, told: /FERRY-3006/.test(stderr) }).toEqual({ code: 1, told: true })
  expect(readFileSync(to, 'utf8')).toBe('mine')
})

it('an append that ended before the state learned of it knows its own file', async () => {
  const folder = temporaryFolder()
  const home = join(folder, 'home')
  const source = numbered(join(folder, 's.db'), 100)
  const path = join(folder, 'j.json')
  const tables = [{ from: 't', to: 'out.csv' }]
  writeFileSync(
    path,
    JSON.stringify({ name: 'j', source: `sqlite:${source}`, destination: folder, update: 'append', tables }),
  )
  for (const [call, pattern] of [
    ['link', 'out.csv$'],
    ['rm', 'ferry-'],
  ]) {
    const kill = join(folder, `${call}.cjs`)
    writeFileSync(
      kill,
      `const f = require('node:fs/promises'); const { syncBuiltinESMExports } = require('node:module')
       const own = f.${call}
       f.${call} = async (...all) => { const x = await own(...all); if (/${pattern}/.test(String(all[0]))) process.kill(process.pid, 'SIGKILL'); return x }
       syncBuiltinESMExports()`,
    )
    expect((await ferry(['run', path], { home, env: { NODE_OPTIONS: `--require ${kill}` } })).code, call).not.toBe(0)
  }
  const { code, stderr } = await ferry(['run', path], { home })
  expect(code, stderr).toBe(0)
  expect(readFileSync(join(folder, 'out.csv'), 'utf8').trim().split('\n')).toHaveLength(101)
  expect(readdirSync(folder).filter(name => name.startsWith('.'))).toEqual([])
})

describe('an unfinished run', () => {
  it('is not resumed over other stores than it began with', async () => {
    const folder = temporaryFolder()
    const home = join(folder, 'home')
    for (const side of ['a', 'b']) {
      mkdirSync(join(folder, side))
      numbered(join(folder, side, 's.db'), side === 'a' ? 20_000 : 30_000)
    }
    const path = join(folder, 'j.json')
    const place = (file: string) => `sqlite:${folder}/\${SIDE}/${file}`
    const tables = [{ from: 't', to: 't' }]
    const limits = { rowsPerSecond: 5000 }
    const job = { name: 'j', source: place('s.db'), destination: place('to.db'), splitSize: '64kB', update: 'append' }
    writeFileSync(path, JSON.stringify({ ...job, limits, tables }))
    const first = startFerry(['run', path, '--set', 'SIDE=a'], { home })
    const to = join(folder, 'a', 'to.db')
    const count = () =>
      existsSync(to) ? rowsOf(to, `SELECT count(*) AS n FROM sqlite_master WHERE name = 't'`)[0]!.n : 0
    await until(() => count() === 1, 'the first rows')
    first.kill('SIGKILL')
    await first.done
    writeFileSync(path, JSON.stringify({ ...job, tables }))
    const other = await ferry(['run', path, '--set', 'SIDE=b'], { home })
    expect({ code: other.code, told: /FERRY-5005/.test(other.stderr) }).toEqual({ code: 1, told: true })
    expect(existsSync(join(folder, 'b', 'to.db'))).toBe(false)
    expect((await ferry(['run', path, '--set', 'SIDE=a'], { home })).code).toBe(0)
    expect(rowsOf(to, 'SELECT count(*) AS n, count(DISTINCT id) AS k FROM t')).toEqual([{ n: 20_000, k: 20_000 }])
  })

  it('of a one-off copy is found in its own folder only', async () => {
    const folder = temporaryFolder()
    const names = new Set<string>()
    for (const side of ['a', 'b']) {
      mkdirSync(join(folder, side))
      numbered(join(folder, side, 's.db'), 3)
      const { code, stdout } = await ferry(['copy', 's.db#t', 'o.db#t', '--json'], {
        home: join(folder, 'home'),
        cwd: join(folder, side),
      })
      expect(code).toBe(0)
      names.add(JSON.parse(stdout).job)
    }
    expect(names.size).toBe(2)
  })
})

describe('an incremental column', () => {
  /** Copies twice, the second time with a higher value. */
  async function twice(source: Record<string, unknown>, column: string, add: () => unknown) {
    const folder = temporaryFolder()
    const state = await openState({ FERRY_HOME: folder })
    try {
      const to = join(folder, 'to.db')
      const job = jobSchema.parse({
        name: 'j',
        source,
        destination: `sqlite:${to}`,
        mode: 'incremental',
        update: 'append',
        tables: [{ from: 't', to: 't', incrementalColumn: column }],
      })
      const counts: number[] = []
      for (let i = 0; i < 3; i++) {
        const report = await runJob({ policy, state, job })
        expect(report.status, JSON.stringify(report.errors)).toBe('completed')
        counts.push(report.rowsCopied)
        if (i === 0) await add()
      }
      return counts
    } finally {
      await state.close()
    }
  }

  it('may hold bytes: PostgreSQL', async () => {
    const { client, settings } = await makeDatabase()
    await client.query(
      `CREATE TABLE t (id bytea PRIMARY KEY, v int); INSERT INTO t VALUES ('\\x018f', 1), ('\\x018ff3', 2), ('\\xff00', 3)`,
    )
    const add = () => client.query(`INSERT INTO t VALUES ('\\xff01', 4)`)
    expect(await twice({ kind: 'postgres', ...settings }, 'id', add)).toEqual([3, 1, 0])
  })

  it.skipIf(!hasMariadb())('may hold bytes: MariaDB', async () => {
    const { exec, settings } = await makeMariadb()
    await exec('CREATE TABLE t (id BINARY(4) PRIMARY KEY, v INT)')
    await exec(`INSERT INTO t VALUES (X'018F0001', 1), (X'018F00F3', 2), (X'FF000000', 3)`)
    const add = () => exec(`INSERT INTO t VALUES (X'FF000001', 4)`)
    expect(await twice({ kind: 'mysql', ...settings }, 'id', add)).toEqual([3, 1, 0])
  })

  it('may hold texts with NUL: SQLite', async () => {
    const path = sqlite(
      join(temporaryFolder(), 's.db'),
      `CREATE TABLE t (id INTEGER PRIMARY KEY, w TEXT); INSERT INTO t VALUES (1, 'a'), (2, 'b' || char(0) || 'c')`,
    )
    const add = () => sqlite(path, `INSERT INTO t VALUES (3, 'b' || char(0) || 'd')`)
    expect(await twice({ kind: 'sqlite', path }, 'w', add)).toEqual([2, 1, 0])
  })

  it('may hold texts with a byte order mark: DuckDB', async () => {
    const path = join(temporaryFolder(), 's.duckdb')
    const change = async (sql: string) => {
      const db = await Duckdb.open(policy, path)
      await db.run(sql)
      await db.close()
    }
    await change(`CREATE TABLE t (id INTEGER, w VARCHAR)`)
    await change(`INSERT INTO t VALUES (1, 'a'), (2, chr(65279) || 'y')`)
    const add = () => change(`INSERT INTO t VALUES (3, chr(65279) || 'z')`)
    expect(await twice({ kind: 'duckdb', path }, 'w', add)).toEqual([2, 1, 0])
  })

  it('belongs to incremental copies alone', async () => {
    const path = numbered(join(temporaryFolder(), 's.db'), 3)
    const report = await copy({
      source: `sqlite:${path}`,
      destination: `sqlite:${path}2`,
      tables: [{ from: 't', incrementalColumn: 'id' }],
    })
    expect(report.errors[0]).toMatchObject({ code: 'FERRY-3012' })
  })
})

it('a table that fails again and again holds no other one back', async () => {
  const folder = temporaryFolder()
  const state = await openState({ FERRY_HOME: folder })
  try {
    const source = sqlite(
      join(folder, 's.db'),
      `CREATE TABLE good (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO good VALUES (1, 'a');
       CREATE TABLE bad (id INTEGER PRIMARY KEY, n INT8); INSERT INTO bad VALUES (1, 'x')`,
    )
    const to = join(folder, 'to.db')
    const job = (update: string) =>
      jobSchema.parse({
        name: 'j',
        source: `sqlite:${source}`,
        destination: `sqlite:${to}`,
        mode: 'incremental',
        update,
        incrementalColumn: 'id',
        tables: ['good', 'bad'],
      })
    for (let i = 2; i < 5; i++) {
      expect((await runJob({ policy, state, job: job('append') })).status).toBe('failed')
      expect(rowsOf(to, 'SELECT count(*) AS n, max(id) AS last FROM good')).toEqual([{ n: i - 1, last: i - 1 }])
      sqlite(source, `INSERT INTO good VALUES (${i}, 'b')`)
    }
    sqlite(source, `UPDATE bad SET n = 7`)
    const report = await runJob({ policy, state, job: job('append') })
    expect(report).toMatchObject({ status: 'completed', rowsCopied: 5 })
    expect(rowsOf(to, 'SELECT count(*) AS n FROM good')).toEqual([{ n: 4 }])
    expect(rowsOf(to, 'SELECT id, n FROM bad')).toEqual([{ id: 1, n: 7 }])
  } finally {
    await state.close()
  }
})

it('a folder that runs add files to keeps those of a table that is copied, while another one fails', async () => {
  const folder = temporaryFolder()
  const source = sqlite(
    join(folder, 's.db'),
    `CREATE TABLE a (id INTEGER PRIMARY KEY); INSERT INTO a VALUES (1), (2);
     CREATE TABLE b (id INTEGER PRIMARY KEY, n INTEGER); INSERT INTO b VALUES (1, 1), (2, 'bad')`,
  )
  const job = join(folder, 'job.json')
  const tables = ['a', 'b'].map(name => ({ from: name, to: `${name}/` }))
  const stores = { source: `sqlite:${source}`, destination: join(folder, 'out') }
  const mode = { mode: 'incremental', incrementalColumn: 'id', write: { format: 'csv' } }
  writeFileSync(job, JSON.stringify({ name: 'j', ...stores, ...mode, tables }))
  const run = () => ferry(['run', job], { home: join(folder, 'home') })
  expect((await run()).code).toBe(1)
  sqlite(source, 'INSERT INTO a VALUES (3)')
  expect((await run()).code).toBe(1)
  sqlite(source, 'INSERT INTO a VALUES (4); UPDATE b SET n = 2 WHERE id = 2')
  expect((await run()).code).toBe(0)
  await run()
  const files = readdirSync(join(folder, 'out', 'a'))
  const ids = files.flatMap(name =>
    readFileSync(join(folder, 'out', 'a', name), 'utf8')
      .trim()
      .split('\n')
      .slice(1),
  )
  expect(ids.sort()).toEqual(['1', '2', '3', '4'])
})

it('an incremental job is verified: by all rows, not by what is new', async () => {
  const folder = temporaryFolder()
  const source = sqlite(
    join(folder, 's.db'),
    'CREATE TABLE t (id INTEGER PRIMARY KEY, n INT); INSERT INTO t VALUES (1, 1), (2, 2)',
  )
  const job = join(folder, 'job.json')
  const table = { from: 't', incrementalColumn: 'n', overlap: 1 }
  const stores = { source: `sqlite:${source}`, destination: `sqlite:${join(folder, 'd.db')}` }
  writeFileSync(job, JSON.stringify({ name: 'j', ...stores, mode: 'incremental', update: 'merge', tables: [table] }))
  const call = (...args: string[]) => ferry([...args, job], { home: join(folder, 'home') })
  expect((await call('run')).code).toBe(0)
  expect(await call('verify')).toMatchObject({ code: 0, stdout: expect.stringContaining('equal') })
})

it('a query is refused by stores that have none', async () => {
  const folder = temporaryFolder()
  writeFileSync(join(folder, '(query).csv'), 'a\n1\n')
  const job = {
    source: folder,
    destination: `sqlite:${join(folder, 'd.db')}`,
    tables: [{ query: 'SELECT 99', to: 't' }],
  }
  expect(await copy(job)).toMatchObject({ status: 'failed', errors: [{ code: 'FERRY-3006' }] })
})

it('rows that a table skips stay to be copied again, and its later ones are copied, while another one fails', async () => {
  const folder = temporaryFolder()
  const home = join(folder, 'home')
  const state = await openState({ FERRY_HOME: home })
  try {
    const source = sqlite(
      join(folder, 's.db'),
      `CREATE TABLE good (id INTEGER PRIMARY KEY, n INT8); INSERT INTO good VALUES (1, 1), (2, 'x');
       CREATE TABLE bad (id INTEGER PRIMARY KEY)`,
    )
    const to = sqlite(join(folder, 'to.db'), 'CREATE TABLE bad (id INTEGER PRIMARY KEY CHECK (id < 0))')
    sqlite(source, 'INSERT INTO bad VALUES (1)')
    const tables = [{ from: 'good', onRowError: 'skip' }, 'bad']
    const mode = { mode: 'incremental', update: 'append', incrementalColumn: 'id' }
    const job = jobSchema.parse({ name: 'j', source: `sqlite:${source}`, destination: `sqlite:${to}`, ...mode, tables })
    for (const [id, value] of [
      [3, '7'],
      [4, "'y'"],
      [5, '8'],
    ] as const) {
      const report = await runJob({ policy, state, job })
      expect(report).toMatchObject({ status: 'failed', rowsSkipped: id === 5 ? 2 : 1 })
      sqlite(source, `INSERT INTO good VALUES (${id}, ${value})`)
    }
    expect(rowsOf(to, 'SELECT id FROM good ORDER BY id')).toEqual([{ id: 1 }, { id: 3 }])
    const run = await findRun(state.db, 'j')
    const skipped = await firstSkipped(state.db, run!.id, { limit: 10 })
    expect(skipped.map(row => row.values?.id).sort()).toEqual(['2', '4'])
  } finally {
    await state.close()
  }
})

it.each(['sqlite', 'postgres'])(
  'a table that comes into being during an overwrite is not in its way: %s',
  async kind => {
    const folder = temporaryFolder()
    const state = await openState({ FERRY_HOME: folder })
    try {
      const source = numbered(join(folder, 's.db'), 2000)
      const database = kind === 'postgres' ? await makeDatabase() : undefined
      const path = join(folder, 'to.db')
      const run = (sql: string) => (database ? database.client.query(sql) : sqlite(path, sql))
      const job = jobSchema.parse({
        name: 'j',
        source: `sqlite:${source}`,
        destination: database ? { kind, ...database.settings } : `sqlite:${path}`,
        update: 'overwrite',
        splitSize: '16kB',
        tables: [{ from: 't', to: 't' }],
      })
      const stop = new AbortController()
      const first = await runJob({
        policy,
        state,
        job: { ...job, limits: { rowsPerSecond: 500, parallel: 1 } },
        signal: stop.signal,
        onStart: async ({ tables }) => {
          await until(() => tables[0]!.splitsDone > 0, 'a split is committed')
          await run('CREATE TABLE t (id BIGINT PRIMARY KEY, v TEXT)')
          stop.abort()
        },
      })
      expect(first.status).toBe('paused')
      const again = await runJob({ policy, state, job })
      expect(again.errors[0]).toMatchObject({ code: 'FERRY-5005', hint: expect.stringContaining('--full-refresh') })
      expect(await runJob({ policy, state, job, fresh: true })).toMatchObject({ status: 'completed', rowsCopied: 2000 })
    } finally {
      await state.close()
    }
  },
)

it('a table that a job follows twice is refused: its changes would go to one place only', async () => {
  const { client, settings } = await makeDatabase()
  await client.query('CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)')
  const report = await copy({
    source: { kind: 'postgres', ...settings },
    destination: `sqlite:${join(temporaryFolder(), 'to.db')}`,
    mode: 'incremental',
    update: 'merge',
    tracking: 'cdc',
    tables: [
      { from: 'public.t', to: 'one' },
      { from: 'public.t', to: 'two' },
    ],
  })
  expect(report.errors[0]).toMatchObject({ code: 'FERRY-3009' })
})

it('deleted rows are not to be marked where nothing tells of them', async () => {
  const source = numbered(join(temporaryFolder(), 's.db'), 3)
  const job = { source: `sqlite:${source}`, destination: `sqlite:${source}2`, deletes: 'mark', tables: ['t'] }
  expect((await copy(job)).errors[0]).toMatchObject({ code: 'FERRY-3012' })
})

describe('nullText', () => {
  it.each(['a,b', '"', 'x"y', '\n', '""'])('is no mark of CSV: %j', async nullText => {
    const folder = temporaryFolder()
    const source = numbered(join(folder, 's.db'), 3)
    const tables = [{ from: 't', to: 'o.csv', write: { nullText } }]
    const report = await copy({ source: `sqlite:${source}`, destination: folder, tables, update: 'overwrite' })
    expect(report.errors[0]).toMatchObject({ code: 'FERRY-1003' })
  })
})
