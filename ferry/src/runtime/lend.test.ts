/** A table that is read where it lies gives what a copy of it gives. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { describe, expect, it } from 'vitest'
import { policy, startFerry, temporaryFolder } from '../../../test/support.ts'
import { checkJob } from '../job/read.ts'
import { openState } from '../state/database.ts'
import { lendTable } from './lend.ts'

const TYPES = `i AS id, i % 2 = 0 AS flag, (i % 100)::TINYINT AS small, i::UBIGINT AS large, (i / 7)::FLOAT AS single, i / 3 AS double,
  (i * 1.25)::DECIMAL(12,3) AS price, CASE WHEN i % 5 > 0 THEN 'nämé ' || i END AS name, DATE '2024-01-01' + i::INT AS day,
  TIME '00:00:01' + to_microseconds(i) AS at, TIMESTAMP '2024-01-01' + to_microseconds(i) AS moment,
  (TIMESTAMP '2024-01-01' + to_microseconds(i))::TIMESTAMPTZ AS instant, ('n' || i)::BLOB AS bytes,
  '12345678-1234-5678-1234-567812345678'::UUID AS key, [i, NULL, i + 1] AS list, {'a': i, 'b': 'x'} AS pair, MAP {'k': i} AS map,
  TIMESTAMP_NS '2024-01-01 00:00:00.123456789' AS fine`

async function parquet(path: string, rows: string): Promise<void> {
  const connection = await (await DuckDBInstance.create()).connect()
  await connection.run(`COPY (SELECT ${rows}) TO '${path}' (FORMAT parquet)`)
  connection.closeSync()
}

function jobIn(folder: string, from: string, more: object = {}) {
  return checkJob({
    name: 'stage',
    source: { kind: 'files', folder: join(folder, 'in') },
    destination: { kind: 'duckdb', path: join(folder, 'copied.duckdb') },
    tables: [{ from, to: 'copied', update: 'overwrite', read: { format: 'parquet', ...more } }],
  })
}

async function setUp() {
  const folder = temporaryFolder()
  mkdirSync(join(folder, 'in'))
  return { folder, state: await openState({ FERRY_HOME: join(folder, 'home') }) }
}

describe('a table of Parquet files that is lent', () => {
  it('has the columns, types and rows of its copy', async () => {
    const { folder, state } = await setUp()
    for (const [name, first] of [
      ['a', 0],
      ['b', 500],
    ] as const) {
      await parquet(join(folder, 'in', `${name}.parquet`), `${TYPES} FROM range(${first}, ${first + 500}) t(i)`)
    }
    const job = jobIn(folder, '*.parquet')
    const lent = await lendTable(job, state, policy)
    expect(lent).toBeDefined()
    const { source, destination, tables, name } = job
    const path = join(folder, 'job.json')
    writeFileSync(path, JSON.stringify({ name, source, destination, tables }))
    const { code, stderr } = await startFerry(['run', path, '--quiet'], { home: join(folder, 'other') }).done
    expect(code, stderr).toBe(0)
    const connection = await (await DuckDBInstance.create(join(folder, 'copied.duckdb'))).connect()
    const all = async (sql: string) => (await connection.runAndReadAll(sql)).getRowsJson()
    expect((await all(`DESCRIBE (${lent!.sql})`)).map(r => r.slice(0, 2))).toEqual(
      (await all('DESCRIBE copied')).map(r => r.slice(0, 2)),
    )
    expect(await all(`SELECT count(*) FROM (${lent!.sql})`)).toEqual([['1000']])
    for (const [one, other] of [
      [`(${lent!.sql})`, 'copied'],
      ['copied', `(${lent!.sql})`],
    ]) {
      expect(await all(`SELECT count(*) FROM (FROM ${one} EXCEPT ALL FROM ${other})`)).toEqual([['0']])
    }
    await lent!.requireSame()
    await parquet(join(folder, 'in', 'b.parquet'), `${TYPES} FROM range(500, 1001) t(i)`)
    await expect(lent!.requireSame()).rejects.toMatchObject({ code: 'FERRY-5005' })
    connection.closeSync()
    await state.close()
  }, 60_000)

  it('is refused where there is none, and copied where its rows have what their folders say', async () => {
    const { folder, state } = await setUp()
    await expect(lendTable(jobIn(folder, 'none.parquet'), state, policy)).rejects.toMatchObject({ code: 'FERRY-3001' })
    mkdirSync(join(folder, 'in', 'year=2024'))
    await parquet(join(folder, 'in', 'year=2024', 'a.parquet'), '1 AS id')
    expect(await lendTable(jobIn(folder, 'year=*/a.parquet', { partitions: true }), state, policy)).toBeUndefined()
    await state.close()
  }, 60_000)
})
