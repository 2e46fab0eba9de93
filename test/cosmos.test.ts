/** Copies from and to Azure Cosmos DB containers, on a local account. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { BulkOperationType, CosmosClient } from '@azure/cosmos'
import { describe, expect, it, onTestFinished } from 'vitest'
import { jobSchema } from '../ferry/src/job/schema.ts'
import { verifyJob } from '../ferry/src/runtime/verify.ts'
import { account, contents, endpointOf, fill, makeContainer } from './cosmos.ts'
import { copy, ferry, makeDatabase, policy, temporaryFolder } from './support.ts'

describe('containers', () => {
  it.each([
    ['another partition key', '/lines', 4, { key: '/id' }],
    ['a hierarchical partition key', '', 5, { key: '/customer,/id' }],
    ['unique keys', '', 3, { key: '/customer', rest: { uniqueKeyPolicy: { uniqueKeys: [{ paths: ['/id'] }] } } }],
  ] as const)('go as they are into one with %s', async (_, __, partitions, made) => {
    const from = await account()
    const to = await account({ partitions })
    makeContainer(from, 'orders')
    fill(from, 'orders', 3000)
    makeContainer(to, 'copy', made.key, 'rest' in made ? made.rest : {})
    const report = await copy({
      source: endpointOf(from),
      destination: endpointOf(to),
      update: 'merge',
      tables: [{ from: 'orders', to: 'copy' }],
    })
    expect(report.errors).toEqual([])
    expect(report).toMatchObject({ status: 'completed', rowsRead: 3000, rowsCopied: 3000 })
    expect(contents(to, 'copy')).toEqual(contents(from, 'orders'))
  })

  it('are the same as those that the official SDK writes', async () => {
    const from = await account()
    const to = await account()
    makeContainer(from, 'orders')
    const source = from.account.container('shop', 'orders')
    // Numbers as JavaScript has them: the SDK knows no others.
    for (let i = 0; i < 250; i++) {
      source.create(
        `{"id":"o${i}","customer":"c${i % 7}","n":${i / 4},"größe":"é😀","lines":[{"sku":"s","n":${i}}],"_x":null}`,
      )
    }
    makeContainer(to, 'sdk')
    makeContainer(to, 'ferry')
    const client = new CosmosClient({ endpoint: to.endpoint, key: to.key })
    const operations = [...contents(from, 'orders').values()].map(text => ({
      operationType: BulkOperationType.Upsert,
      partitionKey: JSON.parse(text).customer as string,
      resourceBody: JSON.parse(text),
    }))
    await client
      .database('shop')
      .container('sdk')
      .items.executeBulkOperations(operations as never)
    client.dispose()
    const job = { source: endpointOf(from), destination: endpointOf(to), update: 'merge' }
    expect((await copy({ ...job, tables: [{ from: 'orders', to: 'ferry' }] })).errors).toEqual([])
    expect(contents(to, 'ferry').size).toBe(250)
    expect(contents(to, 'ferry')).toEqual(contents(to, 'sdk'))
  })

  it('are verified down to the id of a document that differs', async () => {
    const from = await account()
    const to = await account({ partitions: 5 })
    makeContainer(from, 'orders')
    fill(from, 'orders', 500)
    makeContainer(to, 'copy', '/id')
    const job = {
      source: endpointOf(from),
      destination: endpointOf(to),
      update: 'merge',
      tables: [{ from: 'orders', to: 'copy' }],
    }
    expect((await copy(job)).errors).toEqual([])
    const parsed = jobSchema.parse({ name: 'verify', ...job })
    expect(await verifyJob(parsed, undefined, policy, { most: 5 })).toMatchObject([
      { equal: true, sourceRows: 500, destinationRows: 500 },
    ])
    const container = to.account.container('shop', 'copy')
    container.upsert('{"id":"o7","customer":"other"}', undefined)
    container.delete('o9', ['o9'])
    const [result] = await verifyJob(parsed, undefined, policy, { most: 5 })
    expect(result!.differences.map(d => `${d.kind} ${d.key}`).sort()).toEqual(['changed o7', 'missing o9'])
  })

  it('are read through splits, throttling, faults and lost answers', async () => {
    const from = await account({ partitions: 2 })
    const to = await account()
    makeContainer(from, 'orders')
    fill(from, 'orders', 4000)
    makeContainer(to, 'copy', '/id')
    for (const running of [from, to]) {
      running.inject({ probability: 0.05, status: 429, substatus: 3200, retryAfterMs: 5 })
      running.inject({ probability: 0.05, status: 503 })
      running.inject({ probability: 0.02, drop: 'before' })
      running.inject({ probability: 0.02, drop: 'after' })
      running.inject({ probability: 0.02, status: 449 })
    }
    let pages = 0
    const timer = setInterval(() => {
      if (pages++ < 3) {
        from.split('shop', 'orders')
        to.split('shop', 'copy')
      }
    }, 20)
    onTestFinished(() => clearInterval(timer))
    const report = await copy({
      source: endpointOf(from),
      destination: endpointOf(to),
      update: 'merge',
      tables: [{ from: 'orders', to: 'copy', read: { pageSize: 100 } }],
    })
    expect(report.errors).toEqual([])
    expect(contents(to, 'copy')).toEqual(contents(from, 'orders'))
  })

  it('refuse single documents by name, and keep them for a retry', async () => {
    const from = await account()
    const to = await account()
    makeContainer(from, 'orders')
    fill(from, 'orders', 300)
    makeContainer(to, 'copy', '/customer', { uniqueKeyPolicy: { uniqueKeys: [{ paths: ['/lines'] }] } })
    to.account.container('shop', 'copy').create('{"id":"taken","customer":"c7","lines":[{"sku":"s2","n":7}]}')
    const job = {
      source: endpointOf(from),
      destination: endpointOf(to),
      update: 'merge',
      tables: [{ from: 'orders', to: 'copy' }],
    }
    const failed = await copy(job)
    expect(failed.errors[0]).toMatchObject({ code: 'FERRY-4005', message: expect.stringMatching(/409/) })
    const report = await copy({ ...job, onRowError: 'skip' })
    expect(report).toMatchObject({ status: 'completed', rowsCopied: 299, rowsSkipped: 1 })
  })

  it('take rows of a table as documents, and give them back as rows', async () => {
    const running = await account()
    const { client, settings } = await makeDatabase()
    await client.query(`CREATE TABLE orders (id bigint PRIMARY KEY, customer text, total numeric(12,2), at timestamptz, tags text[]);
      INSERT INTO orders SELECT i, 'c' || i % 7, i / 3.0, '2024-01-01'::timestamptz + i * interval '1 h', ARRAY['a', 'b' || i] FROM generate_series(1, 500) i`)
    const there = await copy({
      source: { kind: 'postgres', ...settings },
      destination: endpointOf(running),
      update: 'merge',
      tables: [
        {
          from: 'public.orders',
          to: 'orders',
          columns: { id: 'id', customer: 'customer', total: 'amount.total', at: 'at', tags: 'tags' },
          write: { partitionKey: '/customer', throughput: 1_000_000 },
        },
      ],
    })
    expect(there.errors).toEqual([])
    const [first] = contents(running, 'orders').values()
    expect(JSON.parse(first!)).toMatchObject({ id: '1', customer: 'c1', amount: { total: 0.33 }, tags: ['a', 'b1'] })
    await client.query('CREATE TABLE back (id bigint PRIMARY KEY, customer text, at timestamptz, tags text[])')
    const back = await copy({
      name: 'back',
      source: endpointOf(running),
      destination: { kind: 'postgres', ...settings },
      narrowing: 'check',
      tables: [
        { from: 'orders', to: 'public.back', columns: { id: 'id', customer: 'customer', at: 'at', tags: 'tags' } },
      ],
    })
    expect(back.errors).toEqual([])
    const { rows } = await client.query(
      'SELECT count(*)::int AS n FROM orders o JOIN back b USING (id, customer, at, tags)',
    )
    expect(rows).toEqual([{ n: 500 }])
  })

  it('are made of rows without an id under their keys, each once', async () => {
    const running = await account()
    const { client, settings } = await makeDatabase()
    await client.query(`CREATE TABLE pairs (a text, b int, v text, PRIMARY KEY (a, b));
      INSERT INTO pairs SELECT 'a' || i % 3, i, 'v' FROM generate_series(1, 200) i`)
    const job = {
      source: { kind: 'postgres', ...settings },
      destination: endpointOf(running),
      update: 'merge',
      tables: [{ from: 'public.pairs', to: 'pairs', write: { partitionKey: '/a' } }],
    }
    expect((await copy(job)).errors).toEqual([])
    await client.query(`UPDATE pairs SET v = 'new' WHERE b = 7`)
    expect((await copy(job)).errors).toEqual([])
    const found = [...contents(running, 'pairs').values()].map(text => JSON.parse(text))
    expect(found).toHaveLength(200)
    expect(found.filter(d => d.v === 'new')).toMatchObject([{ a: 'a1', b: 7 }])
  })

  it('are exported to JSON Lines and imported again as they are', async () => {
    const running = await account()
    makeContainer(running, 'orders')
    fill(running, 'orders', 200)
    makeContainer(running, 'again')
    const folder = temporaryFolder()
    const out = await ferry(
      [
        'copy',
        `${running.endpoint.replace('http', 'cosmos')}/shop?key=${encodeURIComponent(running.key)}#orders`,
        join(folder, 'o.jsonl'),
      ],
      { home: folder },
    )
    expect(out.code, out.stderr).toBe(0)
    expect(readFileSync(join(folder, 'o.jsonl'), 'utf8').split('\n')).toHaveLength(201)
    writeFileSync(join(folder, 'home.txt'), '')
    const report = await copy({
      source: folder,
      destination: endpointOf(running),
      update: 'merge',
      tables: [{ from: 'o.jsonl', to: 'again' }],
    })
    expect(report.errors).toEqual([])
    expect(contents(running, 'again')).toEqual(contents(running, 'orders'))
  })

  it('explains a wrong key, a missing container and an unknown region', async () => {
    const running = await account()
    const job = { destination: temporaryFolder(), tables: [{ from: 'orders', to: 'o.jsonl' }] }
    const fails = async (source: Record<string, unknown>) => copy({ ...job, source }).catch(e => e)
    const wrong = await fails({ ...endpointOf(running), key: 'd3Jvbmc=' })
    expect((wrong.errors?.[0] ?? wrong).code).toBe('FERRY-2002')
    const missing = await fails(endpointOf(running))
    expect((missing.errors?.[0] ?? missing).code).toBe('FERRY-3001')
    const region = await fails({ ...endpointOf(running), preferredRegions: ['Moon'] })
    expect((region.errors?.[0] ?? region).message).toMatch(/no region Moon/)
  })
})
