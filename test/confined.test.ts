/** What a server may open is limited; all that copies need still works. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { FOLDERS } from '../ferry/src/confinement.ts'
import { SCRATCH } from '../ferry/src/duckdb/scratch.ts'
import { copy, makeDatabase, temporaryFolder } from './support.ts'

const ROWS = 3000
const FORMATS = ['csv', 'jsonl', 'parquet']

describe('copies in the folders of a server', () => {
  const before = { [FOLDERS]: process.env[FOLDERS], [SCRATCH]: process.env[SCRATCH] }

  beforeAll(() => {
    process.env[SCRATCH] = mkdtempSync(join(tmpdir(), 'ferry-test-scratch-'))
  })

  afterAll(() => {
    for (const [name, value] of Object.entries(before)) {
      if (value === undefined) delete process.env[name]
      else process.env[name] = value
    }
  })

  /** A folder with the same rows in each kind of store, made from a PostgreSQL. */
  async function stores() {
    const folder = temporaryFolder()
    process.env[FOLDERS] = folder
    mkdirSync(join(folder, 'out'))
    const { client, settings } = await makeDatabase()
    await client.query(
      `CREATE TABLE t AS SELECT i AS id, 'row ' || i AS name, i / 7.0 AS share, now() AS at FROM generate_series(1, ${ROWS}) i`,
    )
    await client.query('ALTER TABLE t ADD PRIMARY KEY (id)')
    const postgres = { kind: 'postgres', ...settings }
    const duckdb = { kind: 'duckdb', path: join(folder, 'lake.duckdb') }
    const files = { kind: 'files', folder: join(folder, 'out') }
    const run = async (source: object, destination: object, table: Record<string, unknown>, update = 'overwrite') => {
      const report = await copy({ source, destination, update, tables: [table] })
      expect(report, JSON.stringify(report.errors)).toMatchObject({ status: 'completed', rowsCopied: ROWS })
    }
    return { folder, client, postgres, duckdb, files, run }
  }

  it.each(FORMATS)('%s, from and to PostgreSQL and DuckDB', async format => {
    const { client, postgres, duckdb, files, run } = await stores()
    await run(postgres, files, { from: 'public.t', to: `t.${format}` })
    await run(files, duckdb, { from: `t.${format}`, to: 't' })
    await run(duckdb, files, { from: 't', to: `back.${format}` })
    await run(files, postgres, { from: `back.${format}`, to: 'public.back', keys: ['id'] })
    const { rows } = await client.query('SELECT count(*)::int AS n, sum(id)::int AS ids FROM back')
    expect(rows[0]).toEqual({ n: ROWS, ids: (ROWS * (ROWS + 1)) / 2 })
  })

  it('SQLite into Parquet: rows are gathered in a folder of Ferry alone', async () => {
    const { postgres, files, folder, run } = await stores()
    const sqlite = { kind: 'sqlite', path: join(folder, 'shop.db') }
    await run(postgres, sqlite, { from: 'public.t', to: 't' })
    await run(sqlite, files, { from: 't', to: 't.parquet' })
  })

  it.each(['append', 'overwrite', 'merge'])('PostgreSQL and DuckDB, %s', async update => {
    const { client, postgres, duckdb, run } = await stores()
    await run(postgres, duckdb, { from: 'public.t', to: 't' }, update)
    if (update !== 'append') await run(postgres, duckdb, { from: 'public.t', to: 't' }, update)
    await run(duckdb, postgres, { from: 't', to: 'public.back' }, update)
    expect((await client.query('SELECT count(*)::int AS n FROM back')).rows[0].n).toBe(ROWS)
  })

  it('leaves nothing in the scratch folder, and refuses a path outside of the folders', async () => {
    const { postgres, duckdb, run } = await stores()
    await run(postgres, duckdb, { from: 'public.t', to: 't' })
    expect(readdirSync(process.env[SCRATCH]!)).toEqual([])
    const outside = temporaryFolder()
    writeFileSync(join(outside, 'secret.csv'), 'id\n1\n')
    const job = { source: duckdb, destination: postgres, update: 'overwrite' }
    const query = `SELECT * FROM read_csv('${join(outside, 'secret.csv')}')`
    const report = await copy({ ...job, tables: [{ query, to: 'public.stolen' }] })
    expect(report.status).toBe('failed')
    expect(JSON.stringify(report.errors)).toContain('disabled by configuration')
    await expect(copy({ ...job, source: postgres, destination: '-', tables: ['public.t'] })).resolves.toMatchObject({
      errors: [{ code: 'FERRY-2006' }],
    })
    const files = { kind: 'files', folder: outside }
    await expect(
      copy({ ...job, source: files, tables: [{ from: 'secret.csv', to: 'public.x' }] }),
    ).resolves.toMatchObject({
      status: 'failed',
      errors: [{ code: 'FERRY-2006' }],
    })
  })

  it.each([
    "ATTACH '%' AS x",
    "ATTACH 'file:%?mode=rwc' AS x",
    "VACUUM INTO '%'",
    "PRAGMA temp_store_directory = '%'",
    "SELECT 1; ATTACH '%' AS x; CREATE TABLE x.t (a)",
  ])('SQLite does not open another file: %s', async statement => {
    const { folder, postgres } = await stores()
    const outside = join(temporaryFolder(), 'other.db')
    const sqlite = { kind: 'sqlite', path: join(folder, 'own.db') }
    for (const when of ['before', 'after']) {
      const table = { from: 'public.t', to: 't', update: 'overwrite', [when]: statement.replaceAll('%', outside) }
      const report = await copy({ source: postgres, destination: sqlite, tables: [table] })
      expect(report.status, when).toBe('failed')
    }
    expect(existsSync(outside)).toBe(false)
  })

  it.each(['sqlite', 'duckdb'])('a link to nowhere does not let %s make a file outside', async kind => {
    const { folder, postgres } = await stores()
    const outside = join(temporaryFolder(), 'made.file')
    symlinkSync(outside, join(folder, 'link'))
    const report = await copy({
      source: postgres,
      destination: { kind, path: join(folder, 'link') },
      tables: ['public.t'],
    }).catch(error => ({ errors: [error] }))
    expect(report.errors[0]).toMatchObject({ code: 'FERRY-2006' })
    expect(existsSync(outside)).toBe(false)
  })
})
