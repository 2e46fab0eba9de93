/** Change data capture from MariaDB: what its binary log says arrives as the snapshot does. */
import { describe, expect, it, onTestFinished } from 'vitest'
import { connect, query } from '../../ferry/src/connectors/mysql/client.ts'
import { readSettings } from '../../ferry/src/connectors/mysql/settings.ts'
import { jobSchema } from '../../ferry/src/job/schema.ts'
import { planJob } from '../../ferry/src/runtime/plan.ts'
import { runJob } from '../../ferry/src/runtime/run.ts'
import { openState } from '../../ferry/src/state/database.ts'
import { FRESH_ROWS, filledMariadb, followThroughFaults, ownPostgres } from '../follow.ts'
import { seedOf } from '../seed.ts'
import { startMariadb } from '../servers/mariadb.ts'
import { makeDatabase, makeMariadb, policy, temporaryFolder, until } from '../support.ts'

const seed = seedOf('MariaDB follow tests')
const faults = Number(process.env.FERRY_KILLS ?? 4)

async function world(table: Record<string, unknown> = {}) {
  const from = await makeMariadb()
  const to = await makeDatabase()
  const state = await openState({ FERRY_HOME: temporaryFolder() })
  onTestFinished(() => state.close())
  const define = (edit: Record<string, unknown> = {}) =>
    jobSchema.parse({
      name: 'cdc',
      source: { kind: 'mysql', ...from.settings },
      destination: { kind: 'postgres', ...to.settings },
      mode: 'incremental',
      tracking: 'cdc',
      update: 'merge',
      tables: [{ from: 't', to: 'public.t', ...table }],
      ...edit,
    })
  const run = async (edit: Record<string, unknown> = {}) => {
    const report = await runJob({ policy, state, job: define(edit) })
    if (report.errors.length > 0) throw new Error(report.errors.map(e => `${e.code} ${e.message}`).join('; '))
    return report.rowsCopied
  }
  const rows = async (select = 'SELECT t::text AS r FROM t ORDER BY id') => (await to.client.query(select)).rows
  return { exec: from.exec, from, to: to.client, run, rows, define, state }
}

describe('MariaDB to PostgreSQL', () => {
  it('reads every type from the log as from the table', async () => {
    const { exec, run, rows } = await world()
    await exec(`CREATE TABLE t (
      id int PRIMARY KEY, tiny tinyint, utiny tinyint unsigned, small smallint, usmall smallint unsigned, medium mediumint,
      umedium mediumint unsigned, i int, ui int unsigned, big bigint, ubig bigint unsigned, flag tinyint(1), bits bit(11), one bit(1),
      exact decimal(65,30), money decimal(10,2), whole decimal(5,0), single float, twice double, born date, plain datetime, precise datetime(6),
      tenth datetime(1), seen timestamp(3) NULL, second timestamp NULL, lasts time(6), short_time time, hundredth time(2), made year,
      name varchar(40), wide varchar(400), fixed_text char(5), latin varchar(20) CHARACTER SET latin1, state enum('new', 'it''s done'),
      tags set('a', 'b', 'c'), doc json, tinytext_ tinytext, longtext_ longtext, bytes varbinary(10), padded binary(4), blob_ blob, place point)`)
    const values = [
      `-128, 255, -32768, 65535, -8388608, 16777215, -2147483648, 4294967295, -9223372036854775808, 18446744073709551615, 1, b'10000000001', b'1',
       -12345678901234567890123456789012345.000000000000000000000000000001, -0.05, -7, 0.1, 1e300, '0001-01-01', '1000-01-01 00:00:00', '9999-12-31 23:59:59.999999',
       '2024-02-29 10:20:30.4', '2024-02-29 12:00:00.125', '2038-01-19 03:14:07', '-838:59:58.000001', '-00:00:01', '-12:30:00.05', 1901,
       'né 😀 "q", x', repeat('ü', 200), 'ab', 'café €', 'it''s done', 'a,c', '{"a": 1.10}', 'tiny', repeat('x', 70000), x'00ff', x'0100', x'00', ST_GeomFromText('POINT(1 2)')`,
      `127, 0, 32767, 0, 8388607, 0, 2147483647, 0, 9223372036854775807, 0, 0, 0, b'0', 99999999999999999999999999999999999.999999999999999999999999999999,
       99999999.99, 99999, -3.4028234e38, -0.5, '9999-12-31', '2024-01-01 01:02:03', '2024-01-01 00:00:00', '2024-01-01 00:00:00', '1970-01-01 00:00:01', '1970-01-01 00:00:01',
       '838:59:58.999999', '100:00:00', '00:00:00', 2155, '', '', '', '', 'new', '', '[]', '', '', '', '', '', NULL`,
      Array.from({ length: 41 }, () => 'NULL').join(', '),
    ]
    for (const [i, v] of values.entries()) await exec(`INSERT INTO t VALUES (${i}, ${v})`)
    expect(await run()).toBe(3)
    for (const [i, v] of values.entries()) await exec(`INSERT INTO t VALUES (${i + 10}, ${v})`)
    await run()
    const found = await rows(
      `SELECT id, to_jsonb(t) - 'id' || jsonb_build_object('doc', doc::text, 'exact', exact::text, 'lasts', lasts::text) AS r FROM t ORDER BY id`,
    )
    expect(found).toHaveLength(6)
    for (const i of [0, 1, 2]) expect(found[i + 3].r).toEqual(found[i].r)
  })

  it('reads addresses and UUIDs', async () => {
    const { exec, run, rows } = await world()
    await exec('CREATE TABLE t (id int PRIMARY KEY, u uuid, six inet6, four inet4)')
    const values = [
      `'123e4567-e89b-12d3-a456-426655440000', '2001:db8::ff00:42:8329', '192.0.2.1'`,
      `'9b0e4567-e89b-42d3-8456-426655440000', '::ffff:192.0.2.128', '0.0.0.0'`,
      `'018f4567-e89b-72d3-a456-426655440000', '::', '255.255.255.255'`,
      `'018f4567-e89b-62d3-0456-426655440000', '1:0:0:2:0:0:0:3', '1.2.3.4'`,
      `'00000000-0000-0000-0000-000000000000', '::1', '10.0.0.0'`,
      `'ffffffff-ffff-ffff-ffff-ffffffffffff', 'fe80:0:0:1::', NULL`,
      `NULL, '1:2:3:4:5:6:7:8', NULL`,
      `NULL, '::1.2.3.4', NULL`,
      `NULL, '1:0:3:4:5:6:7:8', NULL`,
    ]
    for (const [i, v] of values.entries()) await exec(`INSERT INTO t VALUES (${i}, ${v})`)
    await run()
    for (const [i, v] of values.entries()) await exec(`INSERT INTO t VALUES (${i + 10}, ${v})`)
    await run()
    const found = await rows(`SELECT to_jsonb(t) - 'id' AS r FROM t ORDER BY id`)
    expect(found.slice(values.length)).toEqual(found.slice(0, values.length))
  })

  it('refuses what the destination cannot hold, and goes on when it is mended', async () => {
    const { exec, run, rows } = await world()
    await exec('CREATE TABLE t (id int PRIMARY KEY, v varchar(40))')
    await run()
    await exec(`INSERT INTO t VALUES (1, 'a'), (2, concat('b', char(0)))`)
    await expect(run()).rejects.toThrow(/public\.t, id 2: .*\\u0000|NUL/)
    expect(await run({ tables: [{ from: 't', to: 'public.t', onRowError: 'skip' }] })).toBe(1)
    expect(await rows()).toEqual([{ r: '(1,a)' }])
  })

  it('applies updates, deletes, moved keys, truncations, and statements of more than one table', async () => {
    const { exec, run, rows } = await world()
    await exec('CREATE TABLE t (id int PRIMARY KEY, v varchar(40)) ')
    await exec('CREATE TABLE other (id int PRIMARY KEY, v varchar(40))')
    await exec(`INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')`)
    await run()
    expect(await run()).toBe(0)
    await exec(`INSERT INTO other VALUES (1, 'x')`)
    await exec(`UPDATE t, other SET t.v = 'both', other.v = 'both' WHERE t.id = other.id`)
    await exec('UPDATE t SET id = 20 WHERE id = 2')
    await exec('DELETE FROM t WHERE id = 3')
    await exec('FLUSH BINARY LOGS')
    await exec(`INSERT INTO t VALUES (4, 'd') ON DUPLICATE KEY UPDATE v = 'e'`)
    await run()
    expect(await rows()).toEqual([{ r: '(1,both)' }, { r: '(4,d)' }, { r: '(20,b)' }])
    await exec('TRUNCATE TABLE t')
    await exec(`INSERT INTO t VALUES (5, 'anew')`)
    await run()
    expect(await rows()).toEqual([{ r: '(5,anew)' }])
  })

  it('fills rows that the log tells in part', async () => {
    const { exec, run, rows } = await world()
    await exec('CREATE TABLE t (id int PRIMARY KEY, v varchar(40), big text)')
    await exec(`INSERT INTO t VALUES (1, 'a', repeat('b', 10)), (2, 'c', NULL)`)
    await run()
    await exec(`SET SESSION binlog_row_image = 'MINIMAL'`)
    await exec(`UPDATE t SET v = 'changed'`)
    await exec(`UPDATE t SET id = 3 WHERE id = 1`)
    await exec('DELETE FROM t WHERE id = 2')
    await run()
    expect(await rows()).toEqual([{ r: '(3,changed,bbbbbbbbbb)' }])
  })

  it('reads a compressed log', async () => {
    const server = await startMariadb({ 'log-bin-compress': 'ON', 'log-bin-compress-min-len': '10' })
    onTestFinished(() => server.stop())
    const settings = { host: '127.0.0.1', port: server.port, user: 'root', database: 'shop' }
    const admin = await connect(readSettings({ ...settings, database: undefined }))
    onTestFinished(() => admin.destroy())
    await query(admin, 'CREATE DATABASE shop')
    await query(admin, 'USE shop')
    await query(admin, 'CREATE TABLE t (id int PRIMARY KEY, v varchar(40), big text)')
    const { run, rows } = await world()
    const source = { kind: 'mysql', ...settings }
    await run({ source })
    await query(admin, `INSERT INTO t SELECT seq, concat('v', seq), repeat('x', 5000) FROM seq_1_to_500`)
    await query(admin, `UPDATE t SET v = 'changed' WHERE id <= 100`)
    await query(admin, 'DELETE FROM t WHERE id > 300')
    expect(await run({ source })).toBe(800)
    const shown = await rows(
      `SELECT count(*)::int AS n, count(*) FILTER (WHERE v = 'changed')::int AS c, min(length(big)) AS l FROM t`,
    )
    expect(shown).toEqual([{ n: 300, c: 100, l: 5000 }])
    await query(admin, 'TRUNCATE TABLE t')
    await run({ source })
    expect(await rows()).toEqual([])
  })

  it('says what the server lacks, and that its log is gone', async () => {
    const { exec, run, define, state } = await world()
    await exec('CREATE TABLE t (id int PRIMARY KEY, v varchar(40))')
    await exec(`INSERT INTO t VALUES (1, 'a')`)
    await run()
    // The server keeps a file as long as a connection reads it.
    await until(async () => {
      await exec('FLUSH BINARY LOGS')
      const logs = await exec('SHOW BINARY LOGS')
      await exec(`PURGE BINARY LOGS TO '${logs.at(-1)!.Log_name}'`)
      return (await exec('SHOW BINARY LOGS')).length === 1
    }, 'the log is purged')
    await expect(run()).rejects.toThrow(/FERRY-5010 .*purged/)
    const server = await startMariadb({ 'binlog-format': 'MIXED' })
    onTestFinished(() => server.stop())
    const other = { kind: 'mysql', host: '127.0.0.1', port: server.port, user: 'root', database: 'mysql' }
    const { problems } = await planJob(
      define({ source: other, tables: [{ from: 'db', to: 'public.db', keys: ['Host', 'Db', 'User'] }] }),
      state,
      policy,
    )
    expect(problems[0]!.error.message).toContain('binlog_format is MIXED')
  })

  it.each([
    ['runs that end', { mode: 'incremental', tracking: 'cdc' }],
    ['one that follows online', { mode: 'online' }],
  ])('at random through faults, %s', { timeout: 600_000 }, async (name, job) => {
    const from = await filledMariadb()
    const to = await ownPostgres()
    const result = await followThroughFaults(from, to, { seed, faults, job, evolving: 'with values' })
    expect(FRESH_ROWS).toBeGreaterThan(0)
    console.log(`MariaDB -> PostgreSQL, ${name}: ${result.writes} transactions, ${JSON.stringify(result.faults)}`)
  })
})

describe('a table whose log MariaDB keeps', () => {
  const remakes: [string, string[]][] = [
    [
      'dropped and made again',
      ['DROP TABLE t', 'CREATE TABLE t (id int PRIMARY KEY, v varchar(20))', "INSERT INTO t VALUES (3, 'c')"],
    ],
    ['changed with another', ['CREATE TABLE n LIKE t', "INSERT INTO n VALUES (3, 'c')", 'RENAME TABLE t TO o, n TO t']],
    ['made anew in one', ['CREATE OR REPLACE TABLE t (id int PRIMARY KEY, v varchar(20))']],
    ['with a column made anew', ['ALTER TABLE t DROP v, ADD v varchar(20)']],
    [
      'without a partition of it',
      [
        'ALTER TABLE t PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (2), PARTITION p1 VALUES LESS THAN MAXVALUE)',
        'ALTER TABLE t TRUNCATE PARTITION p0',
      ],
    ],
    [
      'with another character set',
      ["INSERT INTO t VALUES (2, 'é')", 'ALTER TABLE t MODIFY v varchar(20) CHARACTER SET latin1'],
    ],
  ]
  it.each(remakes)('%s is not gone on with', async (_, statements) => {
    const { exec, run } = await world()
    await exec('CREATE TABLE t (id int PRIMARY KEY, v varchar(20)) CHARACTER SET utf8mb4')
    await exec("INSERT INTO t VALUES (1, 'a')")
    expect(await run()).toBe(1)
    await exec("INSERT INTO t VALUES (9, 'i')")
    expect(await run()).toBe(1)
    for (const statement of statements) await exec(statement)
    await expect(run()).rejects.toThrow('FERRY-5010')
  })

  it('with other labels is not gone on with', async () => {
    const { exec, run } = await world()
    await exec("CREATE TABLE t (id int PRIMARY KEY, v enum('a', 'b'))")
    await exec("INSERT INTO t VALUES (1, 'a')")
    await run()
    await exec("INSERT INTO t VALUES (2, 'b')")
    await exec("ALTER TABLE t MODIFY v enum('b', 'a', 'c')")
    await expect(run()).rejects.toThrow('FERRY-5010')
  })

  it('is gone on with where another one is made anew, or columns come at its end', async () => {
    const { exec, run } = await world({ drift: 'evolve' })
    await exec('CREATE TABLE t (id int PRIMARY KEY, v varchar(20))')
    await exec("INSERT INTO t VALUES (1, 'a')")
    await run()
    await exec('CREATE TABLE other (id int PRIMARY KEY)')
    await exec('DROP TABLE other')
    await exec('ALTER TABLE t ADD w int')
    await exec('ALTER TABLE t ADD INDEX by_w (w)')
    await exec('ALTER TABLE t DROP INDEX by_w')
    await exec("INSERT INTO t VALUES (2, 'b', 2)")
    expect(await run()).toBe(1)
  })
})

it('a FLOAT of MySQL is no column to find changes by', async () => {
  const { exec, run } = await world({ tracking: 'watermark', incrementalColumn: 'u' })
  await exec('CREATE TABLE t (id int PRIMARY KEY, u float)')
  await exec('INSERT INTO t VALUES (1, 0.1)')
  await expect(run()).rejects.toThrow('FERRY-3012')
})
