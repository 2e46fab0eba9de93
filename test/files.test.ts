/** Files as sources and destinations: splits, parts, compression, streams, and systems without named pipes. */
import { readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync, gzipSync, zstdDecompressSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { Duckdb } from '../ferry/src/duckdb/engine.ts'
import { ferry, makeDatabase, policy, temporaryFolder } from './support.ts'

/** Records with line feeds and quotes inside, so that a cut at any byte would fall into one. */
function awkwardCsv(rows: number): string {
  const lines = ['id,note']
  for (let i = 1; i <= rows; i++) lines.push(`${i},"line one of ${i}\nline ""two"", with a comma"`)
  return `${lines.join('\n')}\n`
}

async function run(folder: string, job: Record<string, unknown>, env: Record<string, string> = {}) {
  const path = join(folder, 'job.json')
  writeFileSync(path, JSON.stringify({ name: 'files', ...job }))
  const plan = await ferry(['plan', path, '--json'], { home: join(folder, 'home'), env })
  const result = await ferry(['run', path, '--json'], { home: join(folder, 'home'), env })
  expect(result.code, result.stderr).toBe(0)
  return { plan: JSON.parse(plan.stdout).tables[0], report: JSON.parse(result.stdout) }
}

describe('files', () => {
  it.each(['csv', 'jsonl'])('a large %s file is read in splits by byte range, each record once', async format => {
    const folder = temporaryFolder()
    const { client, settings } = await makeDatabase()
    const rows = 20_000
    const jsonl = () =>
      Array.from({ length: rows }, (_, i) => `{"id":${i + 1},"note":"line one\\nof ${i + 1} ünd"}\n`).join('')
    writeFileSync(join(folder, `t.${format}`), format === 'csv' ? awkwardCsv(rows) : jsonl())
    const { plan, report } = await run(folder, {
      source: folder,
      destination: { kind: 'postgres', ...settings },
      splitSize: '64kB',
      tables: [{ from: `t.${format}`, to: 'public.t' }],
    })
    expect(plan.splits).toBeGreaterThan(5)
    expect(report).toMatchObject({ rowsRead: rows, rowsCopied: rows })
    const found = await client.query(
      'SELECT count(*)::int AS n, count(DISTINCT id)::int AS k, sum(id)::int AS s FROM t',
    )
    expect(found.rows).toEqual([{ n: rows, k: rows, s: (rows * (rows + 1)) / 2 }])
  })

  it.each(['', '.gz'])('lines before the records are no part of them, whatever is in them: t.csv%s', async ending => {
    const folder = temporaryFolder()
    const { client, settings } = await makeDatabase()
    const rows = 20_000
    const text = `\uFEFFA report "of\r\n\r\n  \n"today\n${awkwardCsv(rows)}`
    writeFileSync(join(folder, `t.csv${ending}`), ending === '' ? text : gzipSync(text))
    const { plan, report } = await run(folder, {
      source: folder,
      destination: { kind: 'postgres', ...settings },
      splitSize: '64kB',
      tables: [{ from: `t.csv${ending}`, to: 'public.t', read: { skipLines: 3 } }],
    })
    expect(plan.splits > 5).toBe(ending === '')
    expect(report).toMatchObject({ rowsRead: rows, rowsCopied: rows })
    const found = await client.query('SELECT count(DISTINCT id)::int AS k, sum(id)::int AS s FROM t')
    expect(found.rows).toEqual([{ k: rows, s: (rows * (rows + 1)) / 2 }])
    // A line that is wrong has its number in the file.
    writeFileSync(join(folder, 'bad.csv'), 'one\ntwo\nid,note\n1,a\n2,b,c\n')
    const bad = {
      source: folder,
      destination: join(folder, 'o'),
      tables: [{ from: 'bad.csv', to: 'x.jsonl', read: { skipLines: 2 } }],
    }
    writeFileSync(join(folder, 'job.json'), JSON.stringify({ name: 'bad', ...bad }))
    const { stderr } = await ferry(['run', join(folder, 'job.json')], { home: join(folder, 'home') })
    expect(stderr).toMatch(/bad\.csv, line 5|bad\.csv:5/)
  })

  it.each(['csv', 'jsonl', 'parquet'])('rows say which of several %s files they are from', async format => {
    const folder = temporaryFolder()
    const { client, settings } = await makeDatabase()
    for (const [name, ids] of Object.entries({ a: [1, 2], b: [3] })) {
      const path = join(folder, `${name}.${format}`)
      if (format === 'csv') writeFileSync(path, `id\n${ids.join('\n')}\n`)
      else if (format === 'jsonl') writeFileSync(path, ids.map(id => `{"id":${id}}\n`).join(''))
      else {
        const db = await Duckdb.open(policy)
        await db.run(`COPY (SELECT unnest([${ids.join(', ')}]) AS id) TO '${path}'`)
        await db.close()
      }
    }
    const job = { source: folder, destination: { kind: 'postgres', ...settings } }
    await run(folder, { ...job, tables: [{ from: `*.${format}`, to: 'public.t', audit: { source: 'file' } }] })
    const expected = [
      { id: 1, file: join(folder, `a.${format}`) },
      { id: 2, file: join(folder, `a.${format}`) },
      { id: 3, file: join(folder, `b.${format}`) },
    ]
    expect((await client.query('SELECT id::int, file FROM t ORDER BY id')).rows).toEqual(expected)
    const columns = { id: 'id', $$FILEPATH: 'file' }
    await run(folder, { ...job, name: 'named', tables: [{ from: `*.${format}`, to: 'public.u', columns }] })
    expect((await client.query('SELECT id::int, file FROM u ORDER BY id')).rows).toEqual(expected)
  })

  it.each([
    ['rowsPerFile', { rowsPerFile: 300 }, 4],
    ['bytesPerFile', { bytesPerFile: '10kB' }, 4],
  ])('a destination split by %s', async (_, write, atLeast) => {
    const folder = temporaryFolder()
    writeFileSync(join(folder, 't.csv'), awkwardCsv(1000))
    await run(folder, {
      source: folder,
      destination: join(folder, 'out'),
      tables: [{ from: 't.csv', to: 'parts/', write: { format: 'jsonl', compression: 'gzip', ...write } }],
    })
    const parts = readdirSync(join(folder, 'out', 'parts')).filter(n => !n.startsWith('.'))
    expect(parts.length).toBeGreaterThanOrEqual(atLeast)
    const lines = parts.flatMap(name =>
      gunzipSync(readFileSync(join(folder, 'out', 'parts', name)))
        .toString()
        .trim()
        .split('\n'),
    )
    expect(new Set(lines.map(l => JSON.parse(l).id)).size).toBe(1000)
    expect(lines).toHaveLength(1000)
  })

  it('compressed on both sides, whatever the name says', async () => {
    const folder = temporaryFolder()
    writeFileSync(join(folder, 't.csv.gz'), gzipSync(awkwardCsv(500)))
    await run(folder, {
      source: folder,
      destination: join(folder, 'o'),
      tables: [{ from: 't.csv.gz', to: 't.csv.zst' }],
    })
    expect(zstdDecompressSync(readFileSync(join(folder, 'o', 't.csv.zst'))).toString()).toBe(awkwardCsv(500))
  })

  it('gzip from standard input, told by its first bytes', async () => {
    const home = temporaryFolder()
    const input = gzipSync('id,name\n1,Ada\n')
    const result = await ferry(['copy', '-', '-', '--format', 'csv', '--to-format', 'jsonl'], { home, input })
    expect(result).toMatchObject({ code: 0, stdout: '{"id":1,"name":"Ada"}\n' })
  })

  it('compressed under a name that does not say so is explained', async () => {
    const folder = temporaryFolder()
    writeFileSync(join(folder, 't.csv'), gzipSync('id\n1\n'))
    const result = await ferry(['copy', join(folder, 't.csv'), join(folder, 't.jsonl')], { home: folder })
    expect(result.stderr).toMatch(/FERRY-4003 .*t\.csv is not text: it is compressed with gzip/)
  })

  it('standard output is compressed where the job says so, and is one file of text', async () => {
    const home = temporaryFolder()
    writeFileSync(join(home, 't.csv'), 'id,name\n1,Ada\n')
    const to = async (write: Record<string, unknown>) => {
      const job = { name: 'out', source: home, destination: '-', tables: [{ from: 't.csv', to: '-', write }] }
      writeFileSync(join(home, 'job.json'), JSON.stringify(job))
      return ferry(['run', join(home, 'job.json')], { home })
    }
    const packed = await to({ format: 'jsonl', compression: 'gzip' })
    expect(packed.code, packed.stderr).toBe(0)
    expect(Buffer.from(packed.stdout).subarray(0, 1)).toEqual(Buffer.from([0x1f]))
    expect((await to({ format: 'parquet' })).stderr).toMatch(/FERRY-3006 .*Parquet needs a file/)
    expect((await to({ format: 'csv', rowsPerFile: 1 })).stderr).toMatch(/FERRY-1003 .*standard output is one file/)
  })

  it('standard input in another encoding', async () => {
    const home = temporaryFolder()
    const input = Buffer.from('id,name\n1,André\n', 'latin1')
    const job = join(home, 'job.json')
    const table = { from: '-', to: 'o.jsonl', read: { format: 'csv', encoding: 'latin1' } }
    writeFileSync(job, JSON.stringify({ name: 'l1', source: '-', destination: home, tables: [table] }))
    expect(await ferry(['run', job], { home, input })).toMatchObject({ code: 0 })
    expect(readFileSync(join(home, 'o.jsonl'), 'utf8')).toBe('{"id":1,"name":"André"}\n')
  })

  it('between PostgreSQL and Parquet without named pipes', async () => {
    const folder = temporaryFolder()
    const { client, settings } = await makeDatabase()
    const place = { kind: 'postgres', ...settings }
    await client.query(
      `CREATE TABLE s (id int PRIMARY KEY, at timestamptz, n numeric(20,5), v text);
       INSERT INTO s SELECT i, '2024-01-01'::timestamptz + i * interval '1.000001 s', i / 7.0, nullif('v' || i % 5, 'v0') FROM generate_series(1, 5000) i`,
    )
    const env = { FERRY_PIPES: 'off' }
    const out = await run(
      folder,
      { source: place, destination: folder, tables: [{ from: 'public.s', to: 's.parquet' }] },
      env,
    )
    expect(out.plan.offer.encoding).toBe('rows')
    const back = await run(
      folder,
      { name: 'back', source: folder, destination: place, tables: [{ from: 's.parquet', to: 'public.d' }] },
      env,
    )
    expect(back.plan.offer.encoding).toBe('rows')
    const { rows } = await client.query('SELECT count(*)::int AS n FROM s JOIN d ON s IS NOT DISTINCT FROM d')
    expect(rows).toEqual([{ n: 5000 }])
  })

  it('Parquet goes to Parquet and DuckDB inside DuckDB', async () => {
    const folder = temporaryFolder()
    const db = await Duckdb.open(policy)
    await db.run(`COPY (SELECT i AS id, [i, i + 1] AS l, {'a': i} AS s FROM range(1000) t(i)) TO '${folder}/t.parquet'`)
    await db.close()
    const { plan } = await run(folder, {
      source: folder,
      destination: { kind: 'duckdb', path: join(folder, 'd.duckdb') },
      tables: [{ from: 't.parquet', to: 't' }],
    })
    expect(plan.offer.encoding).toBe('duckdb-sql')
    const made = await Duckdb.open(policy, join(folder, 'd.duckdb'), 'read')
    expect(await made.all('SELECT count(*)::INT AS n, sum(l[2])::INT AS l, sum(s.a)::INT AS s FROM t')).toEqual([
      { n: 1000, l: 500500, s: 499500 },
    ])
    made.close()
    const verify = () => ferry(['verify', join(folder, 'job.json'), '--json'], { home: join(folder, 'home') })
    expect(JSON.parse((await verify()).stdout).tables).toMatchObject([
      { equal: true, method: 'stores', sourceRows: 1000, destinationRows: 1000 },
    ])
    const altered = await Duckdb.open(policy, join(folder, 'd.duckdb'))
    await altered.run('UPDATE t SET s = {a: 0} WHERE id = 77; DELETE FROM t WHERE id = 5')
    altered.close()
    const [result] = JSON.parse((await verify()).stdout).tables
    expect(result).toMatchObject({ equal: false, method: 'stores', sourceRows: 1000, destinationRows: 999 })
    // Without keys a row is its own key: the one that changed is missing, and another one is there.
    expect(result.differences.map((d: { kind: string }) => d.kind).sort()).toEqual(['extra', 'missing', 'missing'])
  })

  it.each(['append', 'merge'])(
    'rows that constraints of a DuckDB table refuse are skipped one by one (%s)',
    async update => {
      const folder = temporaryFolder()
      writeFileSync(
        join(folder, 't.csv'),
        'id,a,code,f\n1,5,x,1\n2,-1,y,1\n3,7,x,1\n4,8,z,9\n1,9,w,1\n6,,v,1\n7,1,u,1\n',
      )
      const path = join(folder, 'd.duckdb')
      const db = await Duckdb.open(policy, path)
      await db.run(`CREATE TABLE p (x INTEGER PRIMARY KEY); INSERT INTO p VALUES (1);
      CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER NOT NULL CHECK (a > 0), code VARCHAR UNIQUE, f INTEGER REFERENCES p(x));
      INSERT INTO t VALUES (7, 70, 'old', 1)`)
      await db.close()
      const { report } = await run(folder, {
        source: folder,
        destination: { kind: 'duckdb', path },
        update,
        narrowing: 'check',
        onRowError: 'skip',
        tables: [{ from: 't.csv', to: 't' }],
      })
      const after = await Duckdb.open(policy, path, 'read')
      const rows = await after.all('SELECT id, a FROM t ORDER BY id')
      after.close()
      const merged = update === 'merge'
      // 2: CHECK, 3: UNIQUE, 4: FOREIGN KEY, 6: NOT NULL; the second 1 and the 7 meet the key, which a merge replaces.
      expect(report).toMatchObject({ rowsRead: 7, rowsSkipped: merged ? 4 : 6 })
      expect(rows).toEqual(
        merged
          ? [
              { id: 1, a: 9 },
              { id: 7, a: 1 },
            ]
          : [
              { id: 1, a: 5 },
              { id: 7, a: 70 },
            ],
      )
      const { stdout: reasons } = await ferry(['skipped', report.runId], { home: join(folder, 'home') })
      for (const reason of ['CHECK((a > 0))', 'UNIQUE(code)', 'FOREIGN KEY (f) REFERENCES p(x)', 'NOT NULL of a']) {
        expect(reasons).toContain(`violates ${reason}`)
      }
    },
  )

  it('a record too long for a pipe is told, and goes through without', async () => {
    const folder = temporaryFolder()
    const { url, client } = await makeDatabase()
    await client.query(`CREATE TABLE t AS SELECT repeat('x', 20000000) AS v`)
    const call = (env: Record<string, string>) =>
      ferry(['copy', `${url}#t`, join(folder, 't.parquet'), '--full-refresh'], { home: join(folder, 'home'), env })
    const refused = await call({})
    expect(refused.stderr).toMatch(/FERRY-4001 .*longer than 16 MB[\s\S]*FERRY_PIPES=off/)
    expect(await call({ FERRY_PIPES: 'off' })).toMatchObject({ code: 0 })
  })

  it('a DuckDB file of a newer version is told to be one', async () => {
    const folder = temporaryFolder()
    const path = join(folder, 'newer.duckdb')
    const db = await Duckdb.open(policy, path)
    await db.run('CREATE TABLE t AS SELECT 1 AS a')
    await db.close()
    // Its main header: a sum of the 4 kB, "DUCK", and the version of its storage.
    const bytes = readFileSync(path)
    bytes.writeBigUInt64LE(200n, 12)
    let sum = 5381n
    for (let at = 8; at < 4096; at += 8) sum ^= (bytes.readBigUInt64LE(at) * 0xbf58476d1ce4e5b9n) & 0xffffffffffffffffn
    bytes.writeBigUInt64LE(sum, 0)
    writeFileSync(path, bytes)
    const { code, stderr } = await ferry(['copy', `duckdb:${path}#t`, join(folder, 't.csv')], {
      home: join(folder, 'h'),
    })
    expect(code).not.toBe(0)
    expect(stderr).toMatch(/FERRY-4009 .*newer\.duckdb.*version number 200.*newer version of DuckDB/)
  })

  it('a copy from DuckDB that fails in the middle ends, and so does its process', async () => {
    const folder = temporaryFolder()
    const { url, client } = await makeDatabase()
    const path = join(folder, 'numbers.duckdb')
    const db = await Duckdb.open(policy, path)
    await db.run("CREATE TABLE n AS SELECT i, repeat('x', 100) AS x FROM range(1000000) t(i)")
    await db.close()
    await client.query('CREATE TABLE n (i bigint CHECK (i <> 5), x text)')
    const { code, stderr } = await ferry(['copy', `duckdb:${path}#n`, `${url}#n`], { home: join(folder, 'home') })
    expect(code).toBe(1)
    expect(stderr).toMatch(/FERRY-4005/)
  })

  it.each(['csv', 'jsonl'])('a record of %s longer than a text can be is told by its byte', async format => {
    const folder = temporaryFolder()
    const path = join(folder, `long.${format}`)
    const [head, open] = format === 'csv' ? ['id,v\n1,a\n', '2,'] : ['{"id":1,"v":"a"}\n', '{"id":2,"v":"']
    writeFileSync(path, head + open)
    // A hole of the file system, and so no bytes on the disk.
    truncateSync(path, 600_000_000)
    for (const to of ['o.csv', 'o.jsonl']) {
      const { code, stderr } = await ferry(['copy', path, join(folder, to)], { home: join(folder, 'home') })
      expect(code).toBe(1)
      expect(stderr).toMatch(new RegExp(`FERRY-4008 .*long.${format}, byte ${head.length}: `))
    }
  })

  it.each([
    [
      'mended',
      'id,n\n1,1234567\n2,77\n3,88\n',
      [
        [1, 1234567],
        [2, 77],
        [3, 88],
      ],
    ],
    [
      'with its columns in another order',
      'n,id\n5,1\n77,2\n',
      [
        [1, 5],
        [2, 77],
      ],
    ],
    ['with a column renamed', 'id,c\n1,5\n2,77\n', 'FERRY-3013'],
    ['with a further column', 'id,n,c\n1,5,6\n', 'FERRY-3013'],
  ])('a file that was refused, and comes again %s, is planned anew', async (_, again, rows) => {
    const folder = temporaryFolder()
    const { url, client } = await makeDatabase()
    await client.query('CREATE TABLE t (id bigint, n numeric)')
    const path = join(folder, 'm.csv')
    const copy = () => ferry(['copy', path, `${url}#t`, '--update', 'append'], { home: join(folder, 'home') })
    writeFileSync(path, 'id,n\n1,x\n2,77\n3,88\n')
    expect((await copy()).stderr).toMatch(/FERRY-4001 .*m.csv, line 2, column n/)
    writeFileSync(path, again)
    const { code, stderr } = await copy()
    if (typeof rows === 'string') {
      expect(stderr).toContain(rows)
      return
    }
    expect(code, stderr).toBe(0)
    const found = await client.query({ text: 'SELECT id::int, n::int FROM t ORDER BY id', rowMode: 'array' })
    expect(found.rows).toEqual(rows)
  })

  it('bytes a second are limited', async () => {
    const folder = temporaryFolder()
    writeFileSync(join(folder, 't.csv'), awkwardCsv(20_000))
    const size = statSync(join(folder, 't.csv')).size
    const { report } = await run(folder, {
      source: folder,
      destination: join(folder, 'o'),
      limits: { bytesPerSecond: size / 2 },
      splitSize: '100kB',
      tables: [{ from: 't.csv', to: 't.jsonl' }],
    })
    // The first second's worth may pass at once.
    expect(report.copyDuration).toBeGreaterThanOrEqual(0.9)
    expect(report.rowsCopied).toBe(20_000)
  })
})
