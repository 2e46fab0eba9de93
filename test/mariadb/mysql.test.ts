/** What is MySQL's own: its types, its one snapshot on several connections, its ways of writing, its refusals. */
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { loadConnector } from '../../ferry/src/connectors/registry.ts'
import type { TableProgress } from '../../ferry/src/engine/progress.ts'
import { jobSchema } from '../../ferry/src/job/schema.ts'
import { runJob } from '../../ferry/src/runtime/run.ts'
import { openState } from '../../ferry/src/state/database.ts'
import { startMariadb } from '../servers/mariadb.ts'
import { copy, ferry, makeDatabase, makeMariadb, policy, temporaryFolder, until } from '../support.ts'

const at = (settings: Record<string, unknown>) => ({ kind: 'mysql', ...settings })

describe('types', () => {
  it('come to PostgreSQL with all that their values say', async () => {
    const from = await makeMariadb()
    const to = await makeDatabase()
    await from.exec(`CREATE TABLE t (
      id bigint unsigned PRIMARY KEY, tiny tinyint(1), small smallint unsigned, medium mediumint, bits bit(11), flag bit(1),
      exact decimal(65,30), single float, twice double, born date, precise datetime(6), seen timestamp(3) NULL,
      lasts time(6), made year, name varchar(40), state enum('new', 'it''s done'), tags set('a', 'b'), doc json,
      bytes varbinary(10), place point, who uuid, host inet6)`)
    await from.exec(`INSERT INTO t VALUES (18446744073709551615, 1, 65535, -8388608, b'10000000001', b'1',
      -12345678901234567890123456789012345.000000000000000000000000000001, 0.1, 0.1, '0001-01-01', '9999-12-31 23:59:59.999999',
      '2024-02-29 12:00:00.125', '-838:59:59', 1901, 'né 😀 "q", x', 'it''s done', 'a,b', '{"a": 1.10, "b": [12345678901234567890]}',
      x'00ff', ST_GeomFromText('POINT(1 2)'), '123e4567-e89b-12d3-a456-426614174000', '::1'),
      (2, 0, 0, 0, 0, b'0', 0, 0, 0, '2024-01-01', '2024-01-01', NULL, '100:00:00.5', 2155, '', 'new', '', '[]', '', NULL, NULL, NULL)`)
    const report = await copy({
      source: at(from.settings),
      destination: { kind: 'postgres', ...to.settings },
      tables: [{ from: 't', to: 'public.t' }],
    })
    expect(report.errors).toEqual([])
    expect(report.executionDetails[0]!.encoding).toBe('csv')
    const { rows } =
      await to.client.query(`SELECT to_jsonb(t) || jsonb_build_object('doc', doc::text, 'exact', exact::text,
      'single', single::text, 'bytes', encode(bytes, 'hex'), 'place', encode(place, 'hex'), 'lasts', extract(epoch from lasts)::text) AS r FROM t ORDER BY t.id DESC`)
    expect(rows[0].r).toMatchObject({
      tiny: true,
      small: 65535,
      medium: -8388608,
      bits: 1025,
      flag: true,
      exact: '-12345678901234567890123456789012345.000000000000000000000000000001',
      single: '0.1',
      twice: 0.1,
      born: '0001-01-01',
      precise: '9999-12-31T23:59:59.999999',
      lasts: '-3020399.000000',
      made: 1901,
      name: 'né 😀 "q", x',
      state: "it's done",
      tags: 'a,b',
      doc: '{"a": 1.10, "b": [12345678901234567890]}',
      bytes: '00ff',
      place: '0101000000000000000000f03f0000000000000040',
      who: '123e4567-e89b-12d3-a456-426614174000',
      host: '::1',
    })
    expect(rows[0].r.seen).toMatch(/^2024-02-29T12:00:00.125\+00/)
    expect(rows[1].r).toMatchObject({ name: '', lasts: '360000.500000', bytes: '', seen: null })
    const ids = await to.client.query('SELECT id::text FROM t ORDER BY t.id DESC')
    expect(ids.rows[0].id).toBe('18446744073709551615')
    // And back into a table of the same types, value for value.
    await from.exec('CREATE TABLE back LIKE t')
    const job = { source: at(from.settings), destination: at(from.settings), tables: [{ from: 't', to: 'back' }] }
    expect((await copy(job)).errors).toEqual([])
    const differing = await from.exec('SELECT count(*) AS n FROM (SELECT * FROM t EXCEPT SELECT * FROM back) d')
    expect(Number(differing[0]!.n)).toBe(0)
  })

  it('zero dates are refused by row, or become null where the connection says so', async () => {
    const from = await makeMariadb()
    await from.exec(`SET SESSION sql_mode = ''`)
    await from.exec(`CREATE TABLE t (id int PRIMARY KEY, d date, at datetime)`)
    await from.exec(`INSERT INTO t VALUES (1, '2024-01-01', '2024-01-01'), (2, '0000-00-00', '2024-00-10 00:00:00')`)
    for (const destination of ['sqlite', 'postgres'] as const) {
      const to = destination === 'sqlite' ? undefined : await makeDatabase()
      const path = join(temporaryFolder(), 'copy.db')
      const job = (settings: object) => ({
        source: { ...at(from.settings), ...settings },
        destination: to ? { kind: 'postgres', ...to.settings } : { kind: 'sqlite', path },
        update: 'overwrite',
        tables: [{ from: 't', to: 't' }],
      })
      const refused = await copy(job({}))
      expect(refused.errors[0]).toMatchObject({ code: 'FERRY-4001' })
      expect((await copy(job({ zeroDates: 'null' }))).errors).toEqual([])
      const store = (await loadConnector(to ? 'postgres' : 'sqlite')).open(to ? to.settings : { path }, policy)
      expect((await store.describe({ object: 't', options: {} }))?.columns.map(c => c.type.kind)).toEqual([
        'int',
        'date',
        'timestamp',
      ])
      await store.close()
    }
  })

  it('marks instants that it keeps as datetime, so that they come back as instants', async () => {
    const from = await makeDatabase()
    const to = await makeMariadb()
    await from.client.query(
      `CREATE TABLE t (id int PRIMARY KEY, at timestamptz, ok boolean, code text NOT NULL UNIQUE)`,
    )
    await from.client.query(
      `INSERT INTO t VALUES (1, '1815-06-18 12:00:00.123456+02', true, 'A '), (2, '2300-01-01Z', false, 'a')`,
    )
    const job = {
      source: { kind: 'postgres', ...from.settings },
      destination: at(to.settings),
      update: 'merge',
      tables: [{ from: 'public.t', to: 't' }],
    }
    for (let i = 0; i < 2; i++) expect((await copy(job)).errors).toEqual([])
    expect(await to.exec('SELECT id, at, ok FROM t ORDER BY id')).toEqual([
      { id: 1, at: '1815-06-18 10:00:00.123456', ok: 1 },
      { id: 2, at: '2300-01-01 00:00:00.000000', ok: 0 },
    ])
    // Trailing spaces and case tell texts apart, as in the source.
    expect(await to.exec(`SELECT id FROM t WHERE code = 'A' OR code = 'a '`)).toEqual([])
    const store = (await loadConnector('mysql')).open(to.settings, policy)
    const type = (await store.describe({ object: 't', options: {} }))?.columns.find(c => c.name === 'at')?.type
    expect(type).toEqual({ kind: 'timestamp', zone: true, unit: 'us' })
    await store.close()
  })
})

describe('the snapshot', () => {
  /** Accounts between which another client moves money all the time: each moment has the same sum. */
  async function bank(server: Awaited<ReturnType<typeof startMariadb>> | undefined, user: string) {
    const shared = server ? undefined : await makeMariadb()
    const settings = shared?.settings ?? { host: '127.0.0.1', port: server!.port, user: 'root', database: 'bank' }
    const { connect, query } = await import('../../ferry/src/connectors/mysql/client.ts')
    const { readSettings } = await import('../../ferry/src/connectors/mysql/settings.ts')
    const client = await connect(readSettings({ ...settings, database: undefined }))
    onTestFinished(() => client.destroy())
    await query(client, `CREATE DATABASE IF NOT EXISTS ${settings.database}`)
    await query(client, `USE ${settings.database}`)
    await query(
      client,
      'CREATE TABLE accounts (id int PRIMARY KEY, amount int NOT NULL, filler varchar(2000) NOT NULL)',
    )
    await query(client, `INSERT INTO accounts SELECT seq, 1000, repeat('x', 1500) FROM seq_1_to_3000`)
    await query(client, 'ANALYZE TABLE accounts')
    await query(client, `CREATE USER IF NOT EXISTS ${user}@'%'`)
    await query(client, `GRANT SELECT ON ${settings.database}.* TO ${user}@'%'`)
    let moving = true
    const moves = (async () => {
      for (let i = 0; moving; i++) {
        const [a, b] = [1 + ((i * 7919) % 3000), 1 + ((i * 104_729) % 3000)]
        if (a === b) continue
        await query(client, `UPDATE accounts SET amount = amount + IF(id = ${a}, 1, -1) WHERE id IN (${a}, ${b})`)
      }
    })()
    onTestFinished(async () => {
      moving = false
      await moves
    })
    return { ...settings, user }
  }

  async function sums(settings: Record<string, unknown>) {
    const to = await makeDatabase()
    for (let i = 0; i < 8; i++) {
      const report = await copy({
        source: at(settings),
        destination: { kind: 'postgres', ...to.settings },
        update: 'overwrite',
        splitSize: '500kB',
        limits: { parallel: 4 },
        tables: [{ from: 'accounts', to: 'public.accounts' }],
      })
      expect(report.errors).toEqual([])
      const { rows } = await to.client.query('SELECT count(*)::int AS n, sum(amount)::int AS sum FROM accounts')
      expect(rows[0]).toEqual({ n: 3000, sum: 3_000_000 })
    }
  }

  it('is one on all connections, by a lock of a moment', async () => {
    const settings = await bank(undefined, 'reader')
    await sums({ ...settings, user: 'root' })
    // Who may not lock reads over one connection.
    await sums(settings)
  })

  it('is one where there is no binary log', async () => {
    const server = await startMariadb({ 'skip-log-bin': '1', 'log-bin': '' } as never)
    onTestFinished(() => server.stop())
    const settings = await bank(server, 'locker')
    await sums({ ...settings, user: 'root' })
    // Who may not lock reads over one connection.
    await sums(settings)
  })
})

describe('writing', () => {
  const source = async (rows: string, columns = 'id int PRIMARY KEY, code varchar(20), n int') => {
    const from = await makeDatabase()
    await from.client.query(`CREATE TABLE t (${columns})`)
    await from.client.query(`INSERT INTO t VALUES ${rows}`)
    return from
  }
  const job = (from: { settings: object }, to: { settings: object }, rest: object = {}) => ({
    source: { kind: 'postgres', ...from.settings },
    destination: { kind: 'mysql', ...to.settings },
    tables: [{ from: 'public.t', to: 't', ...rest }],
  })
  const rowsOf = async (to: { exec: (sql: string) => Promise<unknown> }) =>
    to.exec('SELECT id, code, n FROM t ORDER BY id')

  it('merges by the key, also beside other unique indexes and where no index covers the keys', async () => {
    const from = await source(`(1, 'b', 1), (2, 'a', 2), (3, 'c', 3)`)
    const shapes = ['PRIMARY KEY (id)', 'PRIMARY KEY (id), UNIQUE (other)', 'INDEX (id)']
    for (const shape of shapes) {
      const to = await makeMariadb()
      await to.exec(
        `CREATE TABLE t (id int NOT NULL, code varchar(20), n int, other int DEFAULT 7, ${shape.replace('(other)', '(code, n)')})`,
      )
      await to.exec(`INSERT INTO t VALUES (1, 'a', 1, 9), (4, 'd', 4, 9)`)
      const report = await copy(job(from, to, { update: 'merge', keys: ['id'] }))
      expect(report.errors, shape).toEqual([])
      expect(await to.exec('SELECT id, code, n, other FROM t ORDER BY id')).toEqual([
        { id: 1, code: 'b', n: 1, other: 9 },
        { id: 2, code: 'a', n: 2, other: 7 },
        { id: 3, code: 'c', n: 3, other: 7 },
        { id: 4, code: 'd', n: 4, other: 9 },
      ])
    }
  })

  it.each([
    ['in one split', ['A'], 'PRIMARY KEY (code)'],
    ['with what is there', ['B'], 'PRIMARY KEY (code)'],
    ['by trailing spaces', ['b '], 'PRIMARY KEY (code)'],
    ['beside another index', ['A'], 'PRIMARY KEY (code), UNIQUE (id, n)'],
  ])('refuses to merge keys that are one there: %s', async (_, codes, shape) => {
    const from = await source(['a', ...codes].map((code, i) => `(${i + 1}, '${code}', ${i})`).join(', '))
    const to = await makeMariadb()
    await to.exec(`CREATE TABLE t (id int, code varchar(20), n int, ${shape}) COLLATE utf8mb4_general_ci`)
    await to.exec(`INSERT INTO t VALUES (9, 'b', 9)`)
    const report = await copy(job(from, to, { update: 'merge', keys: ['code'] }))
    expect(report.errors[0]).toMatchObject({ code: 'FERRY-4005' })
    expect(await rowsOf(to)).toEqual([{ id: 9, code: 'b', n: 9 }])
  })

  it('merges keys by their bytes where no index keeps them apart', async () => {
    const from = await source(`(1, 'a', 1), (2, 'A', 2), (3, 'b ', 3)`)
    const to = await makeMariadb()
    await to.exec('CREATE TABLE t (id int, code varchar(20), n int, INDEX (code)) COLLATE utf8mb4_general_ci')
    await to.exec(`INSERT INTO t VALUES (9, 'a', 9), (8, 'b', 8)`)
    const report = await copy(job(from, to, { update: 'merge', keys: ['code'] }))
    expect(report.errors).toEqual([])
    expect(await rowsOf(to)).toEqual([
      { id: 1, code: 'a', n: 1 },
      { id: 2, code: 'A', n: 2 },
      { id: 3, code: 'b ', n: 3 },
      { id: 8, code: 'b', n: 8 },
    ])
  })

  it('refuses to overwrite by keys that are one there', async () => {
    const from = await source(`(1, 'A', 1)`)
    const to = await makeMariadb()
    await to.exec('CREATE TABLE t (id int, code varchar(20) PRIMARY KEY, n int) COLLATE utf8mb4_general_ci')
    await to.exec(
      'CREATE TABLE c (code varchar(20) COLLATE utf8mb4_general_ci, FOREIGN KEY (code) REFERENCES t (code))',
    )
    await to.exec(`INSERT INTO t VALUES (9, 'a', 9)`)
    const report = await copy(job(from, to, { update: 'overwrite' }))
    expect(report.errors[0]).toMatchObject({ code: 'FERRY-4005' })
    expect(await rowsOf(to)).toEqual([{ id: 9, code: 'a', n: 9 }])
  })

  it('takes a change of letters alone for a new version', async () => {
    const from = await source(`(1, 'a', 1)`)
    const to = await makeMariadb()
    await to.exec(`CREATE TABLE t (id int, code varchar(20), n int, valid_from timestamp(6), valid_to timestamp(6) NULL,
      is_current tinyint(1), PRIMARY KEY (id, valid_from)) COLLATE utf8mb4_general_ci`)
    const versions = { update: 'merge', mergeKind: 'scd2', keys: ['id'] }
    expect((await copy(job(from, to, versions))).errors).toEqual([])
    await from.client.query(`UPDATE t SET code = 'A'`)
    expect((await copy(job(from, to, versions))).errors).toEqual([])
    expect(await to.exec('SELECT code, is_current AS now FROM t ORDER BY valid_from')).toEqual([
      { code: 'a', now: 0 },
      { code: 'A', now: 1 },
    ])
  })

  it.each([
    ['a plain table', [], 'RENAME'],
    ['a table with a trigger', ['CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW SET NEW.n = NEW.n'], 'DELETE FROM'],
    [
      'a table that others refer to',
      ['CREATE TABLE child (t_id int, FOREIGN KEY (t_id) REFERENCES t (id))', 'INSERT INTO child VALUES (1)'],
      'LEFT JOIN',
    ],
  ])('overwrites %s', async (_, more, how) => {
    const from = await source(`(1, 'new', 1), (2, NULL, 2)`)
    const to = await makeMariadb()
    await to.exec('CREATE TABLE t (id int PRIMARY KEY, code varchar(20), n int, KEY by_n (n))')
    await to.exec(`INSERT INTO t VALUES (1, 'old', 9), (9, 'gone', 9)`)
    for (const statement of more) await to.exec(statement)
    const home = temporaryFolder()
    const file = join(home, 'job.json')
    writeFileSync(file, JSON.stringify({ name: 'over', ...job(from, to, { update: 'overwrite', keys: ['id'] }) }))
    expect((await ferry(['plan', file], { home })).stdout).toContain(how)
    expect((await ferry(['run', file], { home })).stderr).toContain('completed')
    expect(await rowsOf(to)).toEqual([
      { id: 1, code: 'new', n: 1 },
      { id: 2, code: null, n: 2 },
    ])
    expect(await to.exec(`SHOW INDEX FROM t WHERE Key_name = 'by_n'`)).toHaveLength(1)
    const left = await to.exec(`SHOW TABLES LIKE 'ferry\\_%'`)
    expect(left.map(r => Object.values(r)[0])).toEqual(['ferry_ledger'])
    expect(await to.exec('SELECT * FROM ferry_ledger')).toEqual([])
  })

  it('refuses what the server would alter, and skips such rows where it may', async () => {
    const from = await source(`(1, 'short', 1), (2, 'far too long', 2), (3, 'ok', 400), (4, 'ok', 4), (5, 'dup', 5)`)
    const to = await makeMariadb()
    await to.exec('CREATE TABLE t (id int PRIMARY KEY, code varchar(6), n tinyint)')
    await to.exec(`INSERT INTO t VALUES (5, 'there', 0)`)
    await expect(copy(job(from, to))).resolves.toMatchObject({ status: 'failed' })
    const report = await copy(job(from, to, { narrowing: 'check', onRowError: 'skip' }))
    expect(report).toMatchObject({ status: 'completed', rowsCopied: 2, rowsSkipped: 3 })
    expect(await rowsOf(to)).toEqual([
      { id: 1, code: 'short', n: 1 },
      { id: 4, code: 'ok', n: 4 },
      { id: 5, code: 'there', n: 0 },
    ])
    const duplicate = await copy(job(from, to, { where: 'id = 5', narrowing: 'check' }))
    expect(duplicate.errors[0]).toMatchObject({ code: 'FERRY-4005' })
    expect(duplicate.errors[0]!.message).toMatch(/Duplicate entry '5'/)
  })

  it('keeps the year 0, and refuses years and fractions of seconds that the server would alter', async () => {
    const at = '2024-12-31 23:59:59'
    const columns = 'id int PRIMARY KEY, code timestamp, n smallint'
    const from = await source(`(1, '${at}.6', 2001), (2, '${at}', 5), (3, '${at}', 0), (4, '${at}', 1999)`, columns)
    const to = await makeMariadb()
    await to.exec('CREATE TABLE t (id int PRIMARY KEY, code datetime, n year)')
    expect((await copy(job(from, to))).errors[0]).toMatchObject({ code: 'FERRY-3004' })
    const report = await copy(job(from, to, { onRowError: 'skip', narrowing: 'check' }))
    expect(report).toMatchObject({ status: 'completed', rowsCopied: 2, rowsSkipped: 2 })
    expect(await to.exec('SELECT id, n + 0 AS n FROM t ORDER BY id')).toEqual([
      { id: 3, n: 0 },
      { id: 4, n: 1999 },
    ])
  })

  it('says what to set where the server takes no local files', async () => {
    const server = await startMariadb({ 'local-infile': '0' })
    onTestFinished(() => server.stop())
    const from = await source(`(1, 'a', 1)`)
    const to = { settings: { host: '127.0.0.1', port: server.port, user: 'root', database: 'mysql' } }
    const report = await copy(job(from, to))
    expect(report.errors[0]).toMatchObject({ code: 'FERRY-2003' })
    expect(report.errors[0]!.hint).toContain('SET GLOBAL local_infile')
  })
})

describe('faults', () => {
  it('a connection that the server kills ends the run clearly, and the next one completes it', async () => {
    const from = await makeMariadb()
    const to = await makeMariadb()
    await from.exec('CREATE TABLE t (id int PRIMARY KEY, v varchar(100))')
    await from.exec(`INSERT INTO t SELECT seq, repeat('v', 50) FROM seq_1_to_60000`)
    await from.exec('ANALYZE TABLE t')
    const state = await openState({ FERRY_HOME: temporaryFolder() })
    onTestFinished(() => state.close())
    for (const database of [from.name, to.name]) {
      await to.exec('DROP TABLE IF EXISTS t')
      const definition = {
        name: `lost-${database}`,
        source: at(from.settings),
        destination: at(to.settings),
        splitSize: '500kB',
        limits: { rowsPerSecond: 20_000, parallel: 2 },
        tables: [{ from: 't', to: database === from.name ? 't' : 't' }],
      }
      let struck: Promise<unknown> | undefined
      const strike = async (tables: TableProgress[]) => {
        await until(() => tables[0]!.splitsDone >= 2, 'two splits are done')
        const busy = await from.exec(
          `SELECT id FROM information_schema.processlist WHERE db = '${database}' AND id <> connection_id()`,
        )
        for (const { id } of busy) await from.exec(`KILL ${id}`).catch(() => undefined)
      }
      const report = await runJob({
        policy,
        state,
        job: jobSchema.parse(definition),
        onStart: ({ tables }) => {
          struck = strike(tables)
        },
      })
      await struck
      expect(report.status).toBe('failed')
      expect(report.errors[0]!.code).toBe('FERRY-2005')
      const again = await runJob({ policy, state, job: jobSchema.parse({ ...definition, limits: {} }) })
      expect(again).toMatchObject({ status: 'completed', resumed: true })
      expect(await copyEquals(from.settings, to.settings)).toBe(true)
    }
  })

  async function copyEquals(from: Record<string, unknown>, to: Record<string, unknown>): Promise<boolean> {
    const home = temporaryFolder()
    const path = join(home, 'job.json')
    writeFileSync(
      path,
      JSON.stringify({ name: 'same', source: at(from), destination: at(to), tables: [{ from: 't', to: 't' }] }),
    )
    const { code } = await ferry(['verify', path], { home })
    expect(existsSync(path)).toBe(true)
    return code === 0
  }
})

it('tells which columns an index of all rows begins with, and of a view nothing', async () => {
  const { exec, settings } = await makeMariadb()
  await exec('CREATE TABLE t (a int, b int, c int, d int, PRIMARY KEY (a, b), KEY (c, b))')
  await exec('CREATE VIEW v AS SELECT * FROM t')
  const store = (await loadConnector('mysql')).open(settings, policy)
  onTestFinished(() => store.close())
  const indexed = async (object: string) => {
    const table = await store.describe({ object, options: {} })
    return Object.fromEntries(table!.columns.map(c => [c.name, c.indexed]))
  }
  expect(await indexed('t')).toEqual({ a: true, b: false, c: true, d: false })
  expect(await indexed('v')).toEqual({ a: undefined, b: undefined, c: undefined, d: undefined })
})
