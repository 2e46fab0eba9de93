/** The connector's options: queries, datetimes, arrays as rows and back, and what is done with each row. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { RunningAccount } from 'cosmos-local'
import { describe, expect, it } from 'vitest'
import { loadConnector } from '../ferry/src/connectors/registry.ts'
import { account, contents, endpointOf, fill, makeContainer } from './cosmos.ts'
import { copy, makeDatabase, policy, temporaryFolder } from './support.ts'

const parsed = (running: RunningAccount, id: string) =>
  [...contents(running, id).values()].map(text => JSON.parse(text))

/** Rows as a JSON Lines file to copy from. */
function lines(rows: unknown[]): { source: string; from: string } {
  const folder = temporaryFolder()
  writeFileSync(join(folder, 'rows.jsonl'), rows.map(row => `${JSON.stringify(row)}\n`).join(''))
  return { source: folder, from: 'rows.jsonl' }
}

describe('a query as the source', () => {
  it('filters and projects in every partition, page by page', async () => {
    const running = await account()
    makeContainer(running, 'orders')
    fill(running, 'orders', 1000)
    const out = temporaryFolder()
    const report = await copy({
      source: endpointOf(running),
      destination: out,
      update: 'overwrite',
      tables: [
        {
          from: 'orders',
          to: 'some.jsonl',
          read: { query: "SELECT c.id, c.customer AS who FROM c WHERE c.customer IN ('c1', 'c2')", pageSize: 7 },
        },
      ],
    })
    expect(report.errors).toEqual([])
    const found = readFileSync(join(out, 'some.jsonl'), 'utf8').trim().split('\n').sort()
    const wanted = parsed(running, 'orders')
      .filter(d => ['c1', 'c2'].includes(d.customer))
      .map(d => `{"id":"${d.id}","who":"${d.customer}"}`)
      .sort()
    expect(found).toEqual(wanted)
  })

  it('that sorts and counts is put together from all partitions', async () => {
    const running = await account()
    makeContainer(running, 'orders')
    fill(running, 'orders', 230)
    const out = temporaryFolder()
    const read = { query: 'SELECT c.customer, COUNT(1) AS orders FROM c GROUP BY c.customer' }
    const report = await copy({
      source: endpointOf(running),
      destination: out,
      update: 'overwrite',
      tables: [{ from: 'orders', to: 'counts.csv', read }],
    })
    expect(report.errors).toEqual([])
    const rows = readFileSync(join(out, 'counts.csv'), 'utf8').trim().split('\n')
    expect(rows).toHaveLength(24)
    expect(rows.slice(1).every(row => /^c\d+,10$/.test(row))).toBe(true)
  })

  it('is read through splits of its partitions', async () => {
    const running = await account()
    makeContainer(running, 'orders')
    fill(running, 'orders', 2000)
    makeContainer(running, 'copy', '/id')
    let splits = 0
    const timer = setInterval(() => {
      if (splits++ < 4) running.split('shop', 'orders')
    }, 15)
    const report = await copy({
      source: endpointOf(running),
      destination: endpointOf(running),
      update: 'merge',
      tables: [{ from: 'orders', to: 'copy', read: { query: 'SELECT * FROM c', pageSize: 20 } }],
    })
    clearInterval(timer)
    expect(report.errors).toEqual([])
    expect(contents(running, 'copy')).toEqual(contents(running, 'orders'))
  })

  it('is refused with its reason', async () => {
    const running = await account()
    makeContainer(running, 'orders')
    fill(running, 'orders', 10)
    const says = async (query: string) => {
      const table = { from: 'orders', to: 'o.jsonl', read: { query } }
      const report = await copy({ source: endpointOf(running), destination: temporaryFolder(), tables: [table] })
      return `${report.errors[0]!.code} ${report.errors[0]!.message}`
    }
    expect(await says('SELEC * FROM c')).toMatch(/^FERRY-3006 .*status 400/)
    expect(await says('SELECT VALUE c.id FROM c')).toMatch(/^FERRY-3006 .*instead of objects/)
  })
})

describe('system properties', () => {
  it.each([false, true])('come along where they are asked for: %s', async systemProperties => {
    const running = await account()
    makeContainer(running, 'orders')
    fill(running, 'orders', 5)
    const out = temporaryFolder()
    const tables = [{ from: 'orders', to: 'o.jsonl', read: { systemProperties } }]
    expect((await copy({ source: endpointOf(running), destination: out, tables })).errors).toEqual([])
    const [first] = readFileSync(join(out, 'o.jsonl'), 'utf8').split('\n')
    const names = Object.keys(JSON.parse(first!)).filter(name => ['_rid', '_self', '_etag', '_ts'].includes(name))
    expect(names).toHaveLength(systemProperties ? 4 : 0)
  })
})

describe('documents as rows', () => {
  const document = (id: string, at: string) => ({
    id,
    customer: 'c1',
    at,
    address: { city: 'Köln', geo: { lat: 50.9 } },
    lines: [
      { sku: 'a', n: 1 },
      { sku: 'b', n: 2 },
    ],
  })

  it('take instants from texts, unless told not to', async () => {
    const running = await account()
    const orders = makeContainer(running, 'orders')
    for (const id of ['1', '2']) orders.create(JSON.stringify(document(id, `2024-01-0${id}T08:00:00Z`)))
    const { client, settings } = await makeDatabase()
    const typeOf = async (table: string, read: Record<string, unknown>) => {
      const report = await copy({
        source: endpointOf(running),
        destination: { kind: 'postgres', ...settings },
        tables: [{ from: 'orders', to: `public.${table}`, read, columns: { id: 'id', at: 'at' } }],
      })
      expect(report.errors).toEqual([])
      const { rows } = await client.query(`SELECT pg_typeof(at)::text AS t FROM ${table}`)
      return rows[0].t
    }
    expect(await typeOf('a', {})).toBe('timestamp with time zone')
    expect(await typeOf('b', { detectDatetime: false })).toBe('text')
  })

  it('give nested members by their path, and a row for each element of an array', async () => {
    const running = await account()
    const orders = makeContainer(running, 'orders')
    orders.create(JSON.stringify(document('1', 'x')))
    orders.create(JSON.stringify({ ...document('2', 'x'), lines: [], address: { city: 'Ulm' } }))
    const { client, settings } = await makeDatabase()
    const report = await copy({
      source: endpointOf(running),
      destination: { kind: 'postgres', ...settings },
      narrowing: 'check',
      tables: [
        {
          from: 'orders',
          to: 'public.lines',
          read: { unwind: 'lines' },
          columns: {
            id: 'order_id',
            'address.city': 'city',
            'address.geo.lat': 'lat',
            'lines.sku': 'sku',
            'lines.n': 'n',
          },
        },
      ],
    })
    expect(report.errors).toEqual([])
    const { rows } = await client.query('SELECT * FROM lines ORDER BY order_id, sku')
    expect(rows).toEqual([
      { order_id: '1', city: 'Köln', lat: 50.9, sku: 'a', n: '1' },
      { order_id: '1', city: 'Köln', lat: 50.9, sku: 'b', n: '2' },
      { order_id: '2', city: 'Ulm', lat: null, sku: null, n: null },
    ])
  })

  it('come back from rows: orders with their lines embedded', async () => {
    const running = await account()
    const { client, settings } = await makeDatabase()
    await client.query(`CREATE TABLE orders (id int PRIMARY KEY, customer text, city text);
      CREATE TABLE lines (order_id int, sku text, n int);
      INSERT INTO orders SELECT i, 'c' || i % 5, 'city ' || i FROM generate_series(1, 100) i;
      INSERT INTO lines SELECT i, 's' || j, j FROM generate_series(1, 100) i, generate_series(1, 3) j`)
    const report = await copy({
      source: { kind: 'postgres', ...settings },
      destination: endpointOf(running),
      update: 'merge',
      tables: [
        {
          query: `SELECT o.id, o.customer, o.city, (SELECT json_agg(json_build_object('sku', l.sku, 'n', l.n) ORDER BY l.n)
            FROM lines l WHERE l.order_id = o.id) AS lines FROM orders o`,
          to: 'orders',
          columns: { id: 'id', customer: 'customer', city: 'address.city', lines: 'lines' },
          write: { partitionKey: '/customer', throughput: 1_000_000 },
        },
      ],
    })
    expect(report.errors).toEqual([])
    const found = parsed(running, 'orders')
    expect(found).toHaveLength(100)
    expect(found.find(d => d.id === '7')).toEqual({
      id: '7',
      customer: 'c2',
      address: { city: 'city 7' },
      lines: [
        { sku: 's1', n: 1 },
        { sku: 's2', n: 2 },
        { sku: 's3', n: 3 },
      ],
    })
  })
})

describe('an account', () => {
  it('is listed to its end', async () => {
    const running = await account({ partitions: 120 })
    for (let i = 0; i < 230; i++) running.account.createDatabase(`db${String(i).padStart(3, '0')}`, {})
    const definition = { partitionKey: { paths: ['/pk'], kind: 'Hash', version: 2 } }
    for (let i = 0; i < 130; i++) {
      running.account.createContainer('shop', { ...definition, id: `c${i}` } as never, { manual: 400 })
    }
    makeContainer(running, 'orders')
    fill(running, 'orders', 500)
    const { endpoint, key } = running
    const store = (await loadConnector('cosmos')).open({ endpoint, key }, policy)
    expect(await store.test()).toMatch(/231 databases/)
    expect(await store.objects()).toHaveLength(131)
    await store.close()
    const out = temporaryFolder()
    const report = await copy({
      source: endpointOf(running),
      destination: out,
      tables: [{ from: 'orders', to: 'o.jsonl' }],
    })
    expect(report).toMatchObject({ status: 'completed', rowsCopied: 500, errors: [] })
  })
})

describe('what is done with each row', () => {
  const made = async () => {
    const running = await account()
    const container = makeContainer(running, 'items', '/pk')
    for (const id of ['1', '2']) container.create(`{"id":"${id}","pk":"a","n":1,"kept":true}`)
    const write = async (operation: string, rows: unknown[], more: Record<string, unknown> = {}) => {
      const { source, from } = lines(rows)
      const table = { from, to: 'items', write: { operation }, onRowError: 'skip', ...more }
      return copy({ name: `${operation}${Math.random()}`, source, destination: endpointOf(running), tables: [table] })
    }
    return { running, write }
  }

  it('replace: only what is there', async () => {
    const { running, write } = await made()
    const report = await write('replace', [
      { id: '1', pk: 'a', n: 2 },
      { id: '3', pk: 'a', n: 2 },
    ])
    expect(report).toMatchObject({ status: 'completed', rowsCopied: 1, rowsSkipped: 1 })
    expect(parsed(running, 'items')).toEqual([
      { id: '1', pk: 'a', n: 2 },
      { id: '2', pk: 'a', n: 1, kept: true },
    ])
  })

  it('patch: the values of the row, and no others', async () => {
    const { running, write } = await made()
    const report = await write('patch', [
      { id: '1', pk: 'a', n: 2, 'a/b~': 'x' },
      { id: '3', pk: 'a', n: 2 },
      { id: '2', pk: 'a', ...Object.fromEntries(Array.from({ length: 11 }, (_, i) => [`v${i}`, i])) },
    ])
    expect(report).toMatchObject({ status: 'completed', rowsCopied: 1, rowsSkipped: 2 })
    expect(parsed(running, 'items')[0]).toEqual({ id: '1', pk: 'a', n: 2, kept: true, 'a/b~': 'x' })
  })

  it('delete: what is there no more is as it should be', async () => {
    const { running, write } = await made()
    const report = await write('delete', [
      { id: '1', pk: 'a' },
      { id: '3', pk: 'a' },
    ])
    expect(report).toMatchObject({ status: 'completed', rowsSkipped: 0 })
    expect(parsed(running, 'items')).toMatchObject([{ id: '2' }])
  })

  it('insert: what is there already is refused, unless it is the same', async () => {
    const { running, write } = await made()
    const report = await write('insert', [
      { id: '1', pk: 'a', n: 1, kept: true },
      { id: '2', pk: 'a', n: 2 },
      { id: '3', pk: 'a' },
    ])
    expect(report).toMatchObject({ status: 'completed', rowsSkipped: 1 })
    expect(parsed(running, 'items')).toMatchObject([{ n: 1 }, { n: 1 }, { id: '3' }])
  })

  it('gives rows without id one, each row its own', async () => {
    const { running, write } = await made()
    const rows = Array.from({ length: 500 }, (_, i) => ({ pk: 'b', same: i % 3 }))
    const lost = running.inject({ operation: 'batch', probability: 0.3, drop: 'after' })
    expect((await write('insert', rows)).errors).toEqual([])
    lost()
    const found = parsed(running, 'items').filter(d => d.pk === 'b')
    expect(found).toHaveLength(500)
    expect(new Set(found.map(d => d.id)).size).toBe(500)
    expect(found[0].id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}$/)
    const refused = await write('insert', [{ pk: 'b' }], { write: { generateIds: false } })
    expect(refused).toMatchObject({ rowsSkipped: 1 })
  })

  it('recreates the container with its keys, unique keys, time to live and throughput', async () => {
    const { running, write } = await made()
    const report = await write('insert', [{ id: '9', tenant: 't', user: 'u' }], {
      write: {
        recreate: true,
        partitionKey: ['/tenant', '/user'],
        uniqueKeys: ['/mail', ['/a', '/b']],
        defaultTtl: 3600,
        autoscale: 4000,
      },
    })
    expect(report.errors).toEqual([])
    expect(parsed(running, 'items')).toEqual([{ id: '9', tenant: 't', user: 'u' }])
    const { definition } = running.account.container('shop', 'items')
    expect(definition).toMatchObject({
      partitionKey: { paths: ['/tenant', '/user'], kind: 'MultiHash', version: 2 },
      uniqueKeyPolicy: { uniqueKeys: [{ paths: ['/mail'] }, { paths: ['/a', '/b'] }] },
      defaultTtl: 3600,
    })
    expect(running.account.allOffers().map(o => o.content.offerAutopilotSettings)).toContainEqual({
      maxThroughput: 4000,
    })
  })

  it('sends priority and throughput bucket with each request', async () => {
    const running = await account()
    makeContainer(running, 'items', '/pk')
    const seen = new Set<string>()
    running.watch((operation, { headers }) => {
      if (operation === 'batch' || operation === 'feed') {
        seen.add(`${headers['x-ms-cosmos-priority-level']} ${headers['x-ms-cosmos-throughput-bucket']}`)
      }
    })
    const { source, from } = lines([{ id: '1', pk: 'a' }])
    const yielding = { priority: 'Low', throughputBucket: 2 }
    const there = { from, to: 'items', write: yielding }
    expect((await copy({ source, destination: endpointOf(running), tables: [there] })).errors).toEqual([])
    expect([...seen]).toEqual(['Low 2'])
    const back = { from: 'items', to: 'o.jsonl', read: { ...yielding, priority: 'High' } }
    await copy({ name: 'back', source: endpointOf(running), destination: temporaryFolder(), tables: [back] })
    expect([...seen]).toContain('High 2')
  })

  it('reads from the region that is preferred, and writes to the one that is written to', async () => {
    const running = await account({ regions: ['West US', 'East US'] })
    makeContainer(running, 'orders')
    fill(running, 'orders', 50)
    makeContainer(running, 'copy')
    const hosts = new Map<string, Set<string>>()
    running.watch((operation, { headers }) => {
      hosts.set(operation, (hosts.get(operation) ?? new Set()).add(`http://${headers.host}`))
    })
    const endpoint = { ...endpointOf(running), preferredRegions: ['eastus'] }
    const table = { from: 'orders', to: 'copy' }
    expect((await copy({ source: endpoint, destination: endpoint, update: 'merge', tables: [table] })).errors).toEqual(
      [],
    )
    expect([...hosts.get('feed')!]).toEqual([running.endpoints[1]])
    expect([...hosts.get('batch')!]).toEqual([running.endpoints[0]])
  })

  it('cuts large batches to what one request may hold, and refuses a document that is larger', async () => {
    const running = await account()
    makeContainer(running, 'items', '/pk')
    const rows = Array.from({ length: 12 }, (_, i) => ({
      id: `${i}`,
      pk: 'a',
      text: 'x'.repeat(i === 5 ? 2_200_000 : 900_000),
    }))
    const { source, from } = lines(rows)
    const table = { from, to: 'items', onRowError: 'skip' }
    const report = await copy({ source, destination: endpointOf(running), tables: [table] })
    expect(report).toMatchObject({ status: 'completed', rowsCopied: 11, rowsSkipped: 1 })
  })
})
