/** What a server may open is limited; all that copies need still works. */
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { loadConnector } from '../ferry/src/connectors/registry.ts'
import { Policy } from '../ferry/src/policy.ts'
import { copy, makeDatabase, temporaryFolder } from './support.ts'

const ROWS = 3000
const FORMATS = ['csv', 'jsonl', 'parquet']

describe('copies in the folders of a server', () => {
  /** A folder with the same rows in each kind of store, made from a PostgreSQL. */
  async function stores(scratch = mkdtempSync(join(tmpdir(), 'ferry-test-scratch-'))) {
    const folder = temporaryFolder()
    onTestFinished(() => rmSync(scratch, { recursive: true, force: true }))
    const policy = Policy.from({ FERRY_FOLDERS: JSON.stringify([folder]), FERRY_SCRATCH: scratch })
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
      const report = await copy({ source, destination, update, tables: [table] }, policy)
      expect(report, JSON.stringify(report.errors)).toMatchObject({ status: 'completed', rowsCopied: ROWS })
    }
    return { folder, scratch, policy, client, postgres, duckdb, files, run }
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

  it.each(FORMATS)('%s into a folder, which each run adds files to', async format => {
    const { folder, postgres, files, run } = await stores()
    const table = { from: 'public.t', to: 'parts/', write: { format } }
    for (const times of [1, 2]) {
      await run(postgres, files, table, 'append')
      expect(readdirSync(join(folder, 'out', 'parts')).filter(name => name.endsWith(format)).length).toBe(times)
    }
    await run(postgres, files, table)
    expect(readdirSync(join(folder, 'out', 'parts')).length).toBe(1)
    expect(readdirSync(join(folder, 'out'))).toEqual(['parts'])
  })

  it('a name with characters of patterns is the name of one file, and of one folder', async () => {
    const { folder, policy, postgres, run } = await stores(mkdtempSync(join(tmpdir(), 'ferry-test-[scratch]-')))
    const within = join(folder, 'year [2024]*')
    mkdirSync(join(within, 'in'), { recursive: true })
    const files = { kind: 'files', folder: within }
    for (const format of FORMATS) {
      const names = ['part1', 'part[1]', '*', '?art1', '[ab]', 'a', ']', 'in/[in]']
      for (const [i, name] of names.entries()) {
        const part = { source: postgres, destination: files, update: 'overwrite' }
        const table = { from: 'public.t', where: `id <= ${i + 1}`, to: `${name}.${format}` }
        expect((await copy({ ...part, tables: [table] }, policy)).rowsCopied).toBe(i + 1)
      }
      for (const [i, name] of names.entries()) {
        const path = join(folder, `one-${format}.db`)
        const tables = [{ from: `${name}.${format}`, to: 't' }]
        const report = await copy({ source: files, destination: `sqlite:${path}`, update: 'overwrite', tables }, policy)
        expect(report.rowsCopied, `${name}.${format} ${JSON.stringify(report.errors)}`).toBe(i + 1)
      }
    }
    await run(postgres, { kind: 'duckdb', path: join(within, '[a].duckdb') }, { from: 'public.t', to: 't' })
    await run({ kind: 'duckdb', path: join(within, '[a].duckdb') }, files, { from: 't', to: 'all.parquet' })
  })

  it('a connection to a folder sees nothing outside of it, whatever a pattern says', async () => {
    const { folder, policy } = await stores()
    for (const name of ['own', 'other', join('own', 'deep')]) mkdirSync(join(folder, name))
    for (const name of ['other/secret', 'own/mine', 'own/deep/mine', 'outer']) {
      writeFileSync(join(folder, `${name}.csv`), `a\n${name}\n`)
    }
    symlinkSync(join(folder, 'other'), join(folder, 'own', 'link'))
    symlinkSync(join(folder, 'other', 'secret.csv'), join(folder, 'own', 'link.csv'))
    const store = (await loadConnector('files')).open({ folder: join(folder, 'own') }, policy)
    expect(await store.objects()).toEqual(['deep/mine.csv', 'mine.csv'])
    for (const pattern of [
      '{..,x}/other/*.csv',
      '{../other,x}/secret.csv',
      '*/../*/secret.csv',
      'li*/*.csv',
      'li*.csv',
      '[.][.]/*.csv',
      '*/secret.csv',
    ]) {
      expect(await store.describe({ object: pattern, options: {} }), pattern).toBeUndefined()
      expect(await store.arrivals!.find(pattern), pattern).toEqual([])
    }
    for (const pattern of ['../*.csv', '../other/secret.csv', 'link/*.csv', 'link.csv', join(folder, 'outer.csv')]) {
      const refused = store.describe({ object: pattern, options: {} })
      await expect(refused, pattern).rejects.toMatchObject({ code: 'FERRY-2006' })
    }
    const all = await store.describe({ object: '.', options: {} })
    expect(all?.parts).toEqual([join(folder, 'own', 'mine.csv')])
    expect((await store.describe({ object: '**/*.csv', options: {} }))?.parts).toHaveLength(2)
    // A folder that is none is no pattern either.
    const none = (await loadConnector('files')).open({ folder: join(folder, 'o*') }, policy)
    expect(await none.objects()).toEqual([])
    expect(await none.describe({ object: '*.csv', options: {} })).toBeUndefined()
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
    const { scratch, policy, postgres, duckdb, run } = await stores()
    await run(postgres, duckdb, { from: 'public.t', to: 't' })
    expect(readdirSync(scratch)).toEqual([])
    const outside = temporaryFolder()
    writeFileSync(join(outside, 'secret.csv'), 'id\n1\n')
    const job = { source: duckdb, destination: postgres, update: 'overwrite' }
    const query = `SELECT * FROM read_csv('${join(outside, 'secret.csv')}')`
    const report = await copy({ ...job, tables: [{ query, to: 'public.stolen' }] }, policy)
    expect(report.status).toBe('failed')
    expect(JSON.stringify(report.errors)).toContain('disabled by configuration')
    await expect(
      copy({ ...job, source: postgres, destination: '-', tables: ['public.t'] }, policy),
    ).resolves.toMatchObject({
      errors: [{ code: 'FERRY-2006' }],
    })
    const files = { kind: 'files', folder: outside }
    await expect(
      copy({ ...job, source: files, tables: [{ from: 'secret.csv', to: 'public.x' }] }, policy),
    ).rejects.toMatchObject({ code: 'FERRY-2006' })
  })

  it.each([
    "ATTACH '%' AS x",
    "ATTACH 'file:%?mode=rwc' AS x",
    "VACUUM INTO '%'",
    "PRAGMA temp_store_directory = '%'",
    "SELECT 1; ATTACH '%' AS x; CREATE TABLE x.t (a)",
  ])('SQLite does not open another file: %s', async statement => {
    const { folder, policy, postgres } = await stores()
    const outside = join(temporaryFolder(), 'other.db')
    const sqlite = { kind: 'sqlite', path: join(folder, 'own.db') }
    for (const when of ['before', 'after']) {
      const table = { from: 'public.t', to: 't', update: 'overwrite', [when]: statement.replaceAll('%', outside) }
      const report = await copy({ source: postgres, destination: sqlite, tables: [table] }, policy)
      expect(report.status, when).toBe('failed')
    }
    expect(existsSync(outside)).toBe(false)
  })

  it.each(['sqlite', 'duckdb'])('a link to nowhere does not let %s make a file outside', async kind => {
    const { folder, policy, postgres } = await stores()
    const outside = join(temporaryFolder(), 'made.file')
    symlinkSync(outside, join(folder, 'link'))
    const report = await copy(
      {
        source: postgres,
        destination: { kind, path: join(folder, 'link') },
        tables: ['public.t'],
      },
      policy,
    ).catch(error => ({ errors: [error] }))
    expect(report.errors[0]).toMatchObject({ code: 'FERRY-2006' })
    expect(existsSync(outside)).toBe(false)
  })

  it('stages no files outside of the folder of a connection', async () => {
    const { folder, policy, postgres, files } = await stores()
    for (const to of ['./', '.', '../out/']) {
      const table = { from: 'public.t', to, write: { format: 'csv' } }
      const job = { source: postgres, destination: { ...files, folder }, update: 'append', tables: [table] }
      const report = await copy(job, policy).catch(error => ({ errors: [error] }))
      expect(report.errors[0], to).toMatchObject({ code: 'FERRY-2006' })
    }
    expect(readdirSync(join(folder, '..')).filter(name => name.startsWith(`.${basename(folder)}`))).toEqual([])
  })

  it('gives no password or option of its environment to a server that somebody names', async () => {
    const { policy } = await stores()
    const heard: string[] = []
    const server = createServer(socket => {
      socket.on('error', () => {})
      socket.on('data', data => {
        heard.push(data.toString('latin1'))
        // AuthenticationCleartextPassword
        if (heard.length === 1) socket.write(Buffer.from([82, 0, 0, 0, 8, 0, 0, 0, 3]))
        else socket.destroy()
      })
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    Object.assign(process.env, { PGPASSWORD: 'topsecret', PGOPTIONS: '-c x=optsecret' })
    try {
      const { port } = server.address() as { port: number }
      const store = (await loadConnector('postgres')).open({ host: '127.0.0.1', port, user: 'bob' }, policy)
      await expect(store.test()).rejects.toMatchObject({ code: expect.stringMatching(/^FERRY-200/) })
      await store.close()
    } finally {
      delete process.env.PGPASSWORD
      delete process.env.PGOPTIONS
      server.close()
    }
    expect(heard.length).toBeGreaterThan(1)
    expect(heard.join()).not.toMatch(/topsecret|optsecret/)
  })
})
