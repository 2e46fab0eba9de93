/** Folders as columns, and Parquet of which only the bytes that are needed are fetched. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { describe, expect, it } from 'vitest'
import { temporaryFolder } from '../../../test/support.ts'
import { filesKind } from '../connectors/files/settings.ts'
import type { ReadRequest } from '../contract/read.ts'
import { LocalFolder } from '../objects/local/store.ts'
import { Spool } from '../objects/remote/spool.ts'
import type { ByteRange, ObjectHead } from '../objects/store.ts'
import { Policy } from '../policy.ts'
import { FilesStore } from './store.ts'

const policy = Policy.from({})

async function duckdb(sql: string): Promise<void> {
  const connection = await (await DuckDBInstance.create()).connect()
  for (const statement of sql.split(';')) await connection.run(statement)
  connection.closeSync()
}

/** A folder whose files are reached as those of a distant store are: by ranges, which are counted. */
function distant(folder: string) {
  const store = new LocalFolder(folder, policy)
  const spool = new Spool(policy)
  const counted = { fetched: 0 }
  const read = (head: ObjectHead, range: ByteRange) =>
    store.readRange(head, range).on('data', chunk => {
      counted.fetched += chunk.length
    })
  const far = Object.assign(store, {
    fileAt: undefined as never,
    localFile: async (head: ObjectHead, ranges: () => Promise<ByteRange[]> | ByteRange[]) =>
      spool.fileOf(head, await ranges(), range => read(head, range)),
    close: async () => spool.close(),
  })
  return { far, counted }
}

async function rowsOf(store: FilesStore, object: string, options: object, more: Partial<ReadRequest> = {}) {
  const info = (await store.describe({ object, options: { ...options } }))!
  const named = more.columns?.map(c => c.name) ?? info.columns.filter(c => !c.onRequest).map(c => c.name)
  const columns = named.map(name => {
    const { type } = info.columns.find(c => c.name === name)!
    return { name, from: name, sourceType: type, type, nullable: true, checked: false }
  })
  const request = { object, options: { ...options }, splitBytes: 64_000_000, skipBadRows: false, ...more, columns }
  const session = await store.source()
  const table = await session.table(request)
  const offer = { encoding: 'rows' } as const
  const rows: unknown[][] = []
  for (const split of await table.splits(offer)) {
    for await (const batch of table.read(split, { offer, signal: new AbortController().signal })) {
      if (batch.kind === 'rows') rows.push(...batch.rows)
    }
  }
  return {
    info,
    rows: rows.map(row => row.map(v => (typeof v === 'bigint' ? Number(v) : v))),
    columns: table.rowColumns,
  }
}

describe('folders as columns', () => {
  const make = async (ending: string, write: (path: string, id: number) => Promise<void> | void) => {
    const folder = temporaryFolder()
    const paths = ['year=2025/place=a%2Fb', 'year=2025/place=__HIVE_DEFAULT_PARTITION__', 'year=2026/place=007']
    for (const [i, path] of paths.entries()) {
      const file = join(folder, path, `part.${ending}`)
      mkdirSync(dirname(file), { recursive: true })
      await write(file, i)
    }
    return new FilesStore(filesKind, new LocalFolder(folder, policy), policy)
  }
  const writers = {
    csv: (path: string, id: number) => writeFileSync(path, `id,name\n${id},n${id}\n`),
    jsonl: (path: string, id: number) => writeFileSync(path, `{"id":${id},"name":"n${id}"}\n`),
    parquet: (path: string, id: number) =>
      duckdb(`COPY (SELECT ${id}::BIGINT AS id, 'n${id}' AS name) TO '${path}' (FORMAT parquet)`),
  }

  for (const [ending, write] of Object.entries(writers)) {
    it(`${ending}: they have the values of their names, typed, and null`, async () => {
      const store = await make(ending, write)
      const pattern = `year=*/*/*.${ending}`
      const { rows, info } = await rowsOf(store, pattern, { partitions: true })
      expect(info.columns.filter(c => !c.onRequest).map(c => [c.name, c.type.kind])).toEqual([
        ['id', 'int'],
        ['name', 'utf8'],
        ['year', 'int'],
        ['place', 'utf8'],
      ])
      expect(rows.sort((a, b) => Number(a[0]) - Number(b[0]))).toEqual([
        [0, 'n0', 2025, 'a/b'],
        [1, 'n1', 2025, null],
        [2, 'n2', 2026, '007'],
      ])
      const plain = await rowsOf(store, pattern, {})
      expect(plain.info.columns.map(c => c.name)).toEqual(['id', 'name', '$$FILEPATH'])
      const one = await rowsOf(store, pattern, { partitions: true }, { limit: 2 })
      if (ending === 'parquet') expect(one.rows).toHaveLength(2)
      await store.close()
    })
  }

  it('are those below what was named', async () => {
    const folder = temporaryFolder()
    const path = join(folder, 'env=prod/po/year=2026/a.csv')
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, 'id\n1\n')
    const store = new FilesStore(filesKind, new LocalFolder(folder, policy), policy)
    const options = { partitions: true, recursive: true, format: 'csv' }
    const info = await store.describe({ object: 'env=prod/po/', options })
    const named = (i: typeof info) => i!.columns.filter(c => !c.onRequest).map(c => c.name)
    expect(named(info)).toEqual(['id', 'year'])
    const object = 'env=prod/po/year=2026/a.csv'
    for (const [partitionRoot, names] of [
      ['.', ['id', 'env', 'year']],
      ['env=prod/', ['id', 'year']],
      ['/env=prod/po', ['id', 'year']],
    ] as const) {
      expect(named(await store.describe({ object, options: { ...options, partitionRoot } }))).toEqual(names)
      const { rows } = await rowsOf(store, object, { ...options, partitionRoot })
      expect(rows[0]!.slice(-1)).toEqual([2026])
    }
    await expect(store.describe({ object, options: { ...options, partitionRoot: 'env=pro' } })).rejects.toMatchObject({
      code: 'FERRY-3002',
    })
  })

  it('stops where files have other folders, or a column of the same name', async () => {
    const folder = temporaryFolder()
    const put = (path: string, text: string) => {
      mkdirSync(dirname(join(folder, path)), { recursive: true })
      writeFileSync(join(folder, path), text)
    }
    put('a/year=1/x.csv', 'id\n1\n')
    put('a/month=1/x.csv', 'id\n1\n')
    put('b/id=1/x.csv', 'ID\n1\n')
    const store = new FilesStore(filesKind, new LocalFolder(folder, policy), policy)
    const describe = (object: string) => store.describe({ object, options: { partitions: true } })
    await expect(describe('a/*/x.csv')).rejects.toMatchObject({ code: 'FERRY-4002' })
    await expect(describe('b/*/x.csv')).rejects.toMatchObject({ code: 'FERRY-3015' })
  })
})

describe('Parquet at a distance', () => {
  it('fetches footers for a plan, and the row groups and columns that are read: the same values', async () => {
    const folder = temporaryFolder()
    const path = join(folder, 'big.parquet')
    await duckdb(`COPY (SELECT i AS id, hash(i) AS noise, md5(i::VARCHAR) AS text, i % 7 AS small FROM range(700000) t(i))
      TO '${path}' (FORMAT parquet, ROW_GROUP_SIZE 100000)`)
    const bytes = (await new LocalFolder(folder, policy).head(path))!.size!
    const { far, counted } = distant(folder)
    const store = new FilesStore(filesKind, far, policy)
    const near = new FilesStore(filesKind, new LocalFolder(folder, policy), policy)
    await store.describe({ object: 'big.parquet', options: {} })
    expect(counted.fetched).toBeLessThan(200_000)
    const wanted = [{ name: 'id' }, { name: 'small' }] as never
    const found = await rowsOf(store, 'big.parquet', {}, { columns: wanted, splitBytes: 1_000_000 })
    expect(counted.fetched).toBeLessThan(bytes / 3)
    const expected = await rowsOf(near, 'big.parquet', {}, { columns: wanted })
    expect(found.rows.sort((a, b) => Number(a[0]) - Number(b[0]))).toEqual(expected.rows)
    const limited = await rowsOf(store, 'big.parquet', {}, { limit: 3 })
    expect(limited.rows).toHaveLength(3)
    const filtered = await rowsOf(store, 'big.parquet', {}, { where: 'id = 699999', columns: wanted })
    expect(filtered.rows).toEqual([[699999, 699999 % 7]])
    await Promise.all([store.close(), near.close()])
  })
})
