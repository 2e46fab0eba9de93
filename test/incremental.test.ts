/** Copies of only what changed, by a column that grows: every source, every type of column, what keeps and what resets. */
import { utimesSync, writeFileSync } from 'node:fs'
import { mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import pg from 'pg'
import { describe, expect, it, onTestFinished } from 'vitest'
import { Duckdb } from '../ferry/src/duckdb/engine.ts'
import { jobSchema } from '../ferry/src/job/schema.ts'
import { planJob } from '../ferry/src/runtime/plan.ts'
import type { RunReport } from '../ferry/src/runtime/report.ts'
import { runJob } from '../ferry/src/runtime/run.ts'
import { openState, type State } from '../ferry/src/state/database.ts'
import { resetPositions } from '../ferry/src/state/positions.ts'
import { account, endpointOf, makeContainer } from './cosmos.ts'
import { startPostgres } from './servers/postgres.ts'
import { ferry, makeDatabase, makeMariadb, policy, temporaryFolder, until } from './support.ts'

interface Source {
  locator: Record<string, unknown>
  exec: (sql: string) => Promise<void>
}

const SOURCES: Record<string, () => Promise<Source>> = {
  postgres: async () => {
    const { settings, client } = await makeDatabase()
    return { locator: { kind: 'postgres', ...settings }, exec: async sql => void (await client.query(sql)) }
  },
  mariadb: async () => {
    const { settings, exec } = await makeMariadb()
    return { locator: { kind: 'mysql', ...settings }, exec: async sql => void (await exec(inMysql(sql))) }
  },
  sqlite: async () => {
    const path = join(temporaryFolder(), 'shop.db')
    const db = new DatabaseSync(path)
    onTestFinished(() => db.close())
    return { locator: { kind: 'sqlite', path }, exec: async sql => db.exec(sql) }
  },
  duckdb: async () => {
    const path = join(temporaryFolder(), 'shop.duckdb')
    const exec = async (sql: string) => {
      const db = await Duckdb.open(policy, path, 'write')
      await db.run(sql)
      await db.close()
    }
    return { locator: { kind: 'duckdb', path }, exec }
  },
}

/** What needs a MariaDB is a part of `npm run test:servers`. */
const onlyServers = process.env.FERRY_SERVERS !== undefined
const kinds = Object.keys(SOURCES).filter(kind => (kind === 'mariadb') === onlyServers)

function inMysql(sql: string): string {
  return sql
    .replace(/VARCHAR/g, 'VARCHAR(40)')
    .replace(/TIMESTAMPTZ/g, 'TIMESTAMP(6) NULL')
    .replace(/TIMESTAMP(?!\()/g, 'DATETIME(6)')
    .replace(/\+00'/g, "'")
}

/** A job whose runs share one state, into a SQLite file. */
async function world(source: Record<string, unknown>, table: Record<string, unknown>) {
  const path = join(temporaryFolder(), 'copy.db')
  const state = await openState({ FERRY_HOME: temporaryFolder() })
  onTestFinished(() => state.close())
  const definition = (more: Record<string, unknown> = {}) =>
    jobSchema.parse({
      name: 'shop',
      source,
      destination: { kind: 'sqlite', path },
      mode: 'incremental',
      update: 'merge',
      tables: [{ from: 'orders', to: 'orders', ...table, ...more }],
    })
  const run = async (more: Record<string, unknown> = {}, options: { fresh?: boolean } = {}) => {
    const report = await runJob({ policy, state, job: definition(more), ...options })
    return { status: report.status, rows: report.rowsCopied, errors: report.errors.map(e => e.message) }
  }
  const plan = async (more: Record<string, unknown> = {}) => {
    const { tables, problems } = await planJob(definition(more), state, policy)
    if (problems.length > 0) throw problems[0]!.error
    return tables[0]!
  }
  const rows = () => {
    const db = new DatabaseSync(path, { readOnly: true })
    try {
      return db
        .prepare('SELECT id, name FROM orders ORDER BY id')
        .all()
        .map(r => `${r.id} ${r.name}`)
    } finally {
      db.close()
    }
  }
  return { state, path, run, plan, rows }
}

/** Column types that grow, with five values in their order. */
const TYPES: [string, string, string[]][] = [
  ['integers', 'BIGINT', ['1', '2', '9007199254740993', '9007199254740994', '9223372036854775807']],
  ['decimals', 'DECIMAL(20,4)', ['1.0001', '1.0002', '99.5', '100.25', '1000000.75']],
  ['dates', 'DATE', ["'2024-01-01'", "'2024-01-02'", "'2024-06-01'", "'2025-01-01'", "'2026-01-01'"]],
  [
    'timestamps',
    'TIMESTAMP',
    [
      "'2024-01-01 10:00:00'",
      "'2024-01-01 10:00:00.000001'",
      "'2024-01-01 11:00:00'",
      "'2025-01-01 00:00:00'",
      "'2026-01-01 00:00:00'",
    ],
  ],
  [
    'instants',
    'TIMESTAMPTZ',
    [
      "'2024-01-01 10:00:00+00'",
      "'2024-01-01 10:00:00.000001+00'",
      "'2024-01-01 11:00:00+00'",
      "'2025-01-01 00:00:00+00'",
      "'2026-01-01 00:00:00+00'",
    ],
  ],
  ['texts', 'VARCHAR', ["'a'", "'a''b'", "'b'", "'c'", "'d'"]],
]

describe.each(kinds)('from %s', kind => {
  it.each(TYPES)('finds changes by %s', async (_, type, values) => {
    const { locator, exec } = await SOURCES[kind]!()
    await exec(`CREATE TABLE orders (id INTEGER PRIMARY KEY, name VARCHAR, changed ${type})`)
    await exec(`INSERT INTO orders VALUES (1, 'one', ${values[0]}), (2, 'two', ${values[1]}), (3, 'none', NULL)`)
    const { run, rows, plan } = await world(locator, { incrementalColumn: 'changed' })
    const first = await plan()
    expect(first.increment!.load).toBe('first')
    expect(first.notes.join()).toContain('1 rows have no value in changed')
    expect(await run()).toEqual({ status: 'completed', rows: 3, errors: [] })
    expect(await run()).toMatchObject({ status: 'completed', rows: 0 })
    await exec(`INSERT INTO orders VALUES (4, 'four', ${values[2]})`)
    await exec(`UPDATE orders SET name = 'uno', changed = ${values[3]} WHERE id = 1`)
    expect((await plan()).increment!.load).toBe('changes')
    expect(await run()).toMatchObject({ status: 'completed', rows: 3 })
    expect(rows()).toEqual(['1 uno', '2 two', '3 none', '4 four'])
    await exec(`INSERT INTO orders VALUES (5, 'five', ${values[4]})`)
    // The row of the former last value is read again before it is passed.
    expect(await run()).toMatchObject({ rows: 2 })
    expect((await plan()).increment).toMatchObject({ isEmpty: true })
  })

  it('copies rows that come later with the last value, and tells append of them', async () => {
    const { locator, exec } = await SOURCES[kind]!()
    await exec(`CREATE TABLE orders (id INTEGER PRIMARY KEY, name VARCHAR, changed BIGINT NOT NULL)`)
    await exec(`INSERT INTO orders VALUES (1, 'one', 1), (2, 'two', 2)`)
    const merged = await world(locator, { incrementalColumn: 'changed' })
    const appended = await world(locator, { incrementalColumn: 'changed', update: 'append' })
    await merged.run()
    await appended.run()
    await exec(`INSERT INTO orders VALUES (3, 'three', 2)`)
    expect(await merged.run()).toMatchObject({ rows: 2 })
    expect(merged.rows()).toEqual(['1 one', '2 two', '3 three'])
    expect((await appended.plan()).notes.join()).toContain('1 rows came later with the last value')
    expect(await appended.run()).toMatchObject({ status: 'completed', rows: 0 })
  })

  it('loses no row of the last value whose number stays the same', async () => {
    const { locator, exec } = await SOURCES[kind]!()
    await exec(`CREATE TABLE orders (id INTEGER PRIMARY KEY, name VARCHAR, changed BIGINT NOT NULL)`)
    await exec(`INSERT INTO orders VALUES (1, 'one', 1), (2, 'two', 2)`)
    const { run, rows } = await world(locator, { incrementalColumn: 'changed' })
    await run()
    await exec(`DELETE FROM orders WHERE id = 2`)
    await exec(`INSERT INTO orders VALUES (3, 'three', 2)`)
    await run()
    await exec(`INSERT INTO orders VALUES (4, 'four', 3)`)
    await run()
    expect(rows()).toEqual(['1 one', '2 two', '3 three', '4 four'])
  })

  it('looks back as far as the overlap says, for transactions that commit late', async () => {
    const { locator, exec } = await SOURCES[kind]!()
    await exec(`CREATE TABLE orders (id INTEGER PRIMARY KEY, name VARCHAR, changed TIMESTAMP NOT NULL)`)
    await exec(`INSERT INTO orders VALUES (1, 'one', '2024-01-01 10:00:00'), (2, 'two', '2024-01-01 12:00:00')`)
    const { run, rows, plan } = await world(locator, { incrementalColumn: 'changed', overlap: '10 min' })
    await run()
    await exec(`INSERT INTO orders VALUES (3, 'late', '2024-01-01 11:55:00'), (4, 'too late', '2024-01-01 11:45:00')`)
    expect(await run()).toMatchObject({ status: 'completed', rows: 2 })
    expect(rows()).toEqual(['1 one', '2 two', '3 late'])
    await expect(plan({ update: 'append' })).rejects.toThrow(/append would double/)
    await expect(plan({ overlap: 5 })).rejects.toThrow(/overlap does not fit/)
  })

  it('goes by a query as well', async () => {
    const { locator, exec } = await SOURCES[kind]!()
    await exec(`CREATE TABLE orders (id INTEGER PRIMARY KEY, name VARCHAR, changed BIGINT NOT NULL)`)
    await exec(`INSERT INTO orders VALUES (1, 'one', 1), (2, 'two', 2)`)
    const query = 'SELECT id, upper(name) AS name, changed FROM orders WHERE id <> 99;'
    const { run, rows } = await world(locator, { from: undefined, query, keys: ['id'], incrementalColumn: 'changed' })
    expect(await run()).toMatchObject({ status: 'completed', rows: 2 })
    await exec(`INSERT INTO orders VALUES (3, 'three', 3), (99, 'no', 4)`)
    expect(await run()).toMatchObject({ rows: 2 })
    expect(rows()).toEqual(['1 ONE', '2 TWO', '3 THREE'])
  })
})

describe.skipIf(onlyServers)('what an incremental copy keeps', () => {
  async function shop(table: Record<string, unknown> = {}) {
    const { locator, exec } = await SOURCES.sqlite!()
    await exec(`CREATE TABLE orders (id INTEGER PRIMARY KEY, name VARCHAR, changed BIGINT, other BIGINT)`)
    await exec(`INSERT INTO orders VALUES (1, 'one', 1, 9), (2, 'two', 2, 8)`)
    return { exec, locator, ...(await world(locator, { incrementalColumn: 'changed', ...table })) }
  }

  it('copies everything again when the column is another one, or the filter', async () => {
    const { run, plan } = await shop()
    await run()
    const edited = await plan({ incrementalColumn: 'other' })
    expect(edited.increment!.load).toBe('reset')
    expect(edited.notes.join()).toContain('the incremental column of the job changed')
    expect((await plan({ where: 'id < 10' })).notes.join()).toContain('the filter of the job changed')
    expect(await run({ incrementalColumn: 'other' })).toMatchObject({ rows: 2 })
    expect(await run({ incrementalColumn: 'other' })).toMatchObject({ rows: 0 })
  })

  it('copies everything again when the destination table is gone', async () => {
    const { run, plan, path, rows } = await shop()
    await run()
    const db = new DatabaseSync(path)
    db.exec('DROP TABLE orders')
    db.close()
    expect((await plan()).notes.join()).toContain('the destination table is gone')
    expect(await run()).toMatchObject({ rows: 2 })
    expect(rows()).toHaveLength(2)
  })

  it('moves with success only', async () => {
    const { run, exec, rows } = await shop()
    await run()
    await exec(`INSERT INTO orders VALUES (3, 'three', 3, 7)`)
    const failed = await run({ after: 'SELECT * FROM nowhere' })
    expect(failed.status).toBe('failed')
    await expect(run({ after: 'SELECT 1' })).resolves.toMatchObject({ status: 'completed', rows: 2 })
    expect(rows()).toEqual(['1 one', '2 two', '3 three'])
    expect(await run()).toMatchObject({ rows: 0 })
  })

  it('keeps the progress of the tables that a failed one leaves behind', async () => {
    const { state, locator, path, exec } = await shop()
    await exec(`CREATE TABLE bad (id INTEGER PRIMARY KEY, name TINYINT, changed BIGINT)`)
    await exec(`INSERT INTO bad VALUES (1, 'not a number', 1)`)
    const both = jobSchema.parse({
      name: 'both',
      source: locator,
      destination: { kind: 'sqlite', path },
      mode: 'incremental',
      update: 'merge',
      incrementalColumn: 'changed',
      tables: [
        { from: 'bad', to: 'bad' },
        { from: 'orders', to: 'orders' },
      ],
    })
    const report = await runJob({ policy, state, job: both })
    expect(report.status).toBe('failed')
    expect(report.executionDetails.map(t => [t.source, t.status])).toEqual([
      ['bad', 'failed'],
      ['orders', 'completed'],
    ])
    await exec(`DELETE FROM bad`)
    await exec(`INSERT INTO bad VALUES (1, 5, 1)`)
    await exec(`INSERT INTO orders VALUES (3, 'three', 3, 7)`)
    // The failed run is resumed, and copies what is new of the table that it has copied already, too.
    expect((await runJob({ policy, state, job: both })).rowsCopied).toBe(5)
    expect((await runJob({ policy, state, job: both })).rowsCopied).toBe(0)
  })

  it('is reset as a whole, or for one table; truncate empties on a first and on a reset load only', async () => {
    const { state, run, exec, rows, plan } = await shop({ truncate: true })
    await run()
    await exec(`DELETE FROM orders WHERE id = 1`)
    await exec(`INSERT INTO orders VALUES (3, 'three', 3, 7)`)
    expect((await plan()).statements.join()).not.toContain('DELETE')
    await run()
    expect(rows()).toEqual(['1 one', '2 two', '3 three'])
    expect(await resetPositions(state.db, 'shop', ['nothing'])).toEqual([])
    expect((await resetPositions(state.db, 'shop', ['orders'])).map(p => p.source)).toEqual(['orders'])
    expect((await plan()).statements.join()).toContain('DELETE')
    await run()
    expect(rows()).toEqual(['2 two', '3 three'])
    await exec(`DELETE FROM orders WHERE id = 2`)
    expect(await run({}, { fresh: true })).toMatchObject({ rows: 1 })
    expect(rows()).toEqual(['3 three'])
    expect(await run()).toMatchObject({ rows: 0 })
  })

  it('refuses what cannot be incremental, in words', async () => {
    const { plan } = await shop()
    await expect(plan({ incrementalColumn: 'nme' })).rejects.toThrow(/no column nme/)
    await expect(plan({ incrementalColumn: undefined })).rejects.toThrow(/needs a way to find changes/)
    await expect(plan({ update: 'overwrite' })).rejects.toThrow(/replace the table by what is new alone/)
    await expect(plan({ limit: 5 })).rejects.toThrow(/limit/)
  })

  it('ends in under a second where nothing is new, and is reset from the command line', async () => {
    const { locator, exec } = await SOURCES.sqlite!()
    await exec(`CREATE TABLE orders (id INTEGER PRIMARY KEY, changed BIGINT); INSERT INTO orders VALUES (1, 1)`)
    const home = temporaryFolder()
    const file = join(home, 'job.yaml')
    const job = `{ name: shop, source: 'sqlite:${locator.path}', destination: '${home}/out', mode: incremental, tables: [{ from: orders, to: orders/, incrementalColumn: changed, write: { format: csv } }] }`
    writeFileSync(file, job)
    expect((await ferry(['run', file], { home })).stderr).toContain('completed')
    expect(await readdir(join(home, 'out', 'orders'))).toHaveLength(1)
    const nothing = await ferry(['run', file, '--json'], { home })
    expect(JSON.parse(nothing.stdout) as RunReport).toMatchObject({ status: 'completed', rowsCopied: 0 })
    expect(await readdir(join(home, 'out', 'orders'))).toHaveLength(1)
    expect((await ferry(['reset', 'shop', '--table', 'nix'], { home })).stderr).toContain('keeps no position of nix')
    expect((await ferry(['reset', 'shop', '--table', 'orders'], { home })).stdout).toContain(
      'everything again of orders',
    )
    const again = await ferry(['run', file, '--json'], { home })
    expect((JSON.parse(again.stdout) as RunReport).rowsCopied).toBe(1)
  })
})

describe.skipIf(onlyServers)('from files', () => {
  it('copies files that are new or changed, and each of them once', async () => {
    const folder = temporaryFolder()
    const put = (name: string, text: string, at: number) => {
      writeFileSync(join(folder, name), text)
      utimesSync(join(folder, name), at, at)
    }
    put('a.csv', 'id,name\n1,one\n', 1000)
    put('b.csv', 'id,name\n2,two\n', 1001)
    const { run, rows, plan } = await world({ kind: 'files', folder }, { from: '*.csv', keys: ['id'] })
    expect(await run()).toMatchObject({ status: 'completed', rows: 2 })
    expect((await plan()).increment!.isEmpty).toBe(true)
    // A file that is older than those that were copied is new all the same; one of the same time and size is not.
    put('c.csv', 'id,name\n3,three\n', 500)
    put('b.csv', 'id,name\n2,dos\n', 1001)
    put('a.csv', 'id,name\n1,uno\n', 1002)
    expect((await plan()).increment!.range).toContain('2 files')
    expect(await run()).toMatchObject({ rows: 2 })
    expect(rows()).toEqual(['1 uno', '2 two', '3 three'])
  })

  it('goes on when all files were taken away', async () => {
    const folder = temporaryFolder()
    writeFileSync(join(folder, 'a.csv'), 'id,name\n1,one\n')
    const out = join(temporaryFolder(), 'out')
    const state: State = await openState({ FERRY_HOME: temporaryFolder() })
    onTestFinished(() => state.close())
    const job = jobSchema.parse({
      name: 'inbox',
      source: { kind: 'files', folder },
      destination: { kind: 'files', folder: out },
      mode: 'incremental',
      tables: [{ from: '*.csv', to: 'all/', write: { format: 'jsonl' } }],
    })
    expect((await runJob({ policy, state, job })).rowsCopied).toBe(1)
    await rm(join(folder, 'a.csv'))
    expect(await runJob({ policy, state, job })).toMatchObject({ status: 'completed', rowsCopied: 0 })
    writeFileSync(join(folder, 'b.csv'), 'id,name\n2,two\n')
    expect((await runJob({ policy, state, job })).rowsCopied).toBe(1)
    const written = await readdir(join(out, 'all'))
    expect(written).toHaveLength(2)
    const texts = await Promise.all(written.map(name => readFile(join(out, 'all', name), 'utf8')))
    expect(texts.sort().join('')).toBe('{"id":1,"name":"one"}\n{"id":2,"name":"two"}\n')
  })

  it('refuses a single file as the destination, which each run would replace', async () => {
    const folder = temporaryFolder()
    await mkdir(join(folder, 'out'))
    writeFileSync(join(folder, 'a.csv'), 'id,name\n1,one\n')
    const job = jobSchema.parse({
      name: 'one',
      source: { kind: 'files', folder },
      destination: { kind: 'files', folder },
      mode: 'incremental',
      tables: [{ from: 'a.csv', to: 'out/a.csv' }],
    })
    const { problems } = await planJob(job, undefined, policy)
    expect(problems[0]!.error.hint).toContain('to: out/a/')
  })
})

describe.skipIf(onlyServers)('by the row versions of PostgreSQL', () => {
  it.each(['', 'PARTITION BY RANGE (id)'])('finds what late transactions wrote too %s', async partitions => {
    // Transactions of other tests would be waited for too: they are the server's, not the database's.
    const server = await startPostgres({ fsync: 'off' })
    onTestFinished(() => server.stop())
    const settings = { host: '127.0.0.1', port: server.port, user: 'postgres', database: 'postgres' }
    const client = new pg.Client(settings)
    await client.connect()
    onTestFinished(() => client.end())
    await client.query(`CREATE TABLE orders (id int PRIMARY KEY, name text) ${partitions}`)
    if (partitions !== '') {
      await client.query('CREATE TABLE low PARTITION OF orders FOR VALUES FROM (0) TO (3)')
      await client.query('CREATE TABLE high PARTITION OF orders FOR VALUES FROM (3) TO (100)')
    }
    await client.query(`INSERT INTO orders VALUES (1, 'one'), (2, 'two'), (3, 'three')`)
    const late = new pg.Client(settings)
    await late.connect()
    onTestFinished(() => late.end())
    await late.query(`BEGIN; INSERT INTO orders VALUES (4, 'late')`)
    const { run, rows, plan } = await world({ kind: 'postgres', ...settings }, { incrementalColumn: 'xmin' })
    expect(await run()).toEqual({ status: 'completed', rows: 3, errors: [] })
    await client.query(`UPDATE orders SET name = 'uno' WHERE id = 1`)
    expect(await run()).toMatchObject({ status: 'completed', rows: 1 })
    await late.query('COMMIT')
    expect(await run()).toMatchObject({ status: 'completed', rows: 2 })
    expect(rows()).toEqual(['1 uno', '2 two', '3 three', '4 late'])
    expect((await plan()).increment!.isEmpty).toBe(true)
    expect(await run()).toMatchObject({ rows: 0 })
    await expect(plan({ update: 'append' })).rejects.toThrow(/append would double/)
    await expect(plan({ overlap: 5 })).rejects.toThrow(/miss nothing/)
  })

  it('begins anew where the last copy was too many transactions ago', async () => {
    const { settings, client } = await makeDatabase()
    await client.query(`CREATE TABLE orders (id int PRIMARY KEY, name text); INSERT INTO orders VALUES (1, 'one')`)
    const { run, state, plan } = await world({ kind: 'postgres', ...settings }, { incrementalColumn: 'xmin' })
    await run()
    const { rows } = await client.query('SELECT pg_current_xact_id()::text AS id')
    await state.db
      .updateTable('position')
      .set({ value: String(BigInt(rows[0].id) - 2n ** 31n) })
      .execute()
    expect((await plan()).increment!.range).toMatch(/everything: the last copy was too many transactions ago/)
  })
})

describe.skipIf(onlyServers)('from Cosmos DB', () => {
  it.each([
    ['the change feed', undefined],
    ['_ts', '_ts'],
    ['a property', 'changed'],
  ])('finds changes by %s', async (_, incrementalColumn) => {
    const shop = await account()
    makeContainer(shop, 'orders', '/id')
    const put = (...documents: object[]) =>
      shop.account.store.transaction(() => {
        const container = shop.account.container('shop', 'orders')
        for (const document of documents) container.upsert(JSON.stringify(document), undefined)
        container.saveLsn()
      })
    put({ id: '1', name: 'one', changed: 1 }, { id: '2', name: 'two', changed: 2 })
    const { run, rows, plan } = await world(endpointOf(shop), { keys: ['id'], incrementalColumn })
    expect(await run()).toEqual({ status: 'completed', rows: 2, errors: [] })
    expect((await plan()).increment!.isEmpty).toBe(true)
    if (incrementalColumn === '_ts') await until(() => Date.now() % 1000 > 900)
    if (incrementalColumn === '_ts') await until(() => Date.now() % 1000 < 800)
    put({ id: '1', name: 'uno', changed: 4 }, { id: '3', name: 'three', changed: 3 })
    expect(await run()).toMatchObject({ status: 'completed', errors: [] })
    expect(rows()).toEqual(['1 uno', '2 two', '3 three'])
    expect(await run()).toMatchObject({ rows: 0 })
  })
})
