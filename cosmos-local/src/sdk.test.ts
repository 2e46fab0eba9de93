/** The account as the official SDK finds it. */

import { readFileSync } from 'node:fs'
import { Agent } from 'node:https'
import { join } from 'node:path'
import {
  ChangeFeedMode,
  ChangeFeedStartFrom,
  type Container,
  CosmosClient,
  PartitionKeyDefinitionVersion,
  PartitionKeyKind,
} from '@azure/cosmos'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type RunningAccount, type ServerOptions, startAccount } from './index.ts'

async function account(options: ServerOptions = {}): Promise<{ account: RunningAccount; client: CosmosClient }> {
  const running = await startAccount(options)
  onTestFinished(() => running.close())
  const client = new CosmosClient({ endpoint: running.endpoint, key: running.key })
  onTestFinished(() => client.dispose())
  return { account: running, client }
}

async function container(options: ServerOptions = {}, definition: Record<string, unknown> = {}) {
  const { account: running, client } = await account(options)
  const { database } = await client.databases.create({ id: 'shop' })
  const { container: made } = await database.containers.create({
    id: 'orders',
    partitionKey: { paths: ['/customer'], version: PartitionKeyDefinitionVersion.V2, kind: PartitionKeyKind.Hash },
    ...definition,
  } as never)
  return { running, client, database, container: made }
}

async function fill(into: Container, count: number): Promise<void> {
  const operations = Array.from({ length: count }, (_, i) => ({
    operationType: 'Create' as const,
    partitionKey: `c${i % 17}`,
    resourceBody: {
      id: `o${i}`,
      customer: `c${i % 17}`,
      n: i,
      team: i % 3 === 0 ? 'red' : 'blue',
      tags: ['a', `t${i % 4}`],
    },
  }))
  for (let at = 0; at < count; at += 100) {
    const results = await into.items.executeBulkOperations(operations.slice(at, at + 100))
    for (const result of results) expect(result.response?.statusCode).toBe(201)
  }
}

describe('databases and containers', () => {
  it('are created, listed, read, replaced and deleted', async () => {
    const { client } = await account()
    const { database, statusCode } = await client.databases.createIfNotExists({ id: 'shop' })
    expect(statusCode).toBe(201)
    expect((await client.databases.createIfNotExists({ id: 'shop' })).statusCode).toBe(200)
    const { container: made } = await database.containers.createIfNotExists({
      id: 'orders',
      partitionKey: '/customer',
      throughput: 1200,
    } as never)
    const { resource } = await made.read()
    expect(resource).toMatchObject({ id: 'orders', partitionKey: { paths: ['/customer'], kind: 'Hash' } })
    await made.replace({ ...resource!, defaultTtl: 60 })
    expect((await made.read()).resource!.defaultTtl).toBe(60)
    expect((await database.containers.readAll().fetchAll()).resources.map(c => c.id)).toEqual(['orders'])
    const { resource: offer } = await made.readOffer()
    expect(offer!.content!.offerThroughput).toBe(1200)
    await made.delete()
    await expect(made.read()).rejects.toMatchObject({ code: 404 })
    await database.delete()
    await expect(
      client.database('shop').containers.create({ id: 'x', partitionKey: '/a' } as never),
    ).rejects.toMatchObject({ code: 404, substatus: 1003 })
  })

  it('refuse a wrong key, and writes with the read-only one', async () => {
    const { account: running, client } = await account()
    await client.databases.create({ id: 'shop' })
    const wrong = new CosmosClient({ endpoint: running.endpoint, key: Buffer.from('wrong').toString('base64') })
    await expect(wrong.databases.readAll().fetchAll()).rejects.toMatchObject({ code: 401 })
    const reader = new CosmosClient({ endpoint: running.endpoint, key: running.account.keys.readOnly })
    expect((await reader.databases.readAll().fetchAll()).resources).toHaveLength(1)
    await expect(reader.databases.create({ id: 'more' })).rejects.toMatchObject({ code: 403 })
    wrong.dispose()
    reader.dispose()
  })

  it('take Entra tokens where told to, and no keys where local auth is disabled', async () => {
    const { account: running } = await account({ acceptToken: token => token === 'good', localAuthDisabled: true })
    const withKey = new CosmosClient({ endpoint: running.endpoint, key: running.key })
    await expect(withKey.databases.readAll().fetchAll()).rejects.toMatchObject({ code: 401, substatus: 5202 })
    const raw = await fetch(`${running.endpoint}/dbs`, {
      headers: { authorization: encodeURIComponent('type=aad&ver=1.0&sig=good') },
    })
    expect(raw.status).toBe(200)
    withKey.dispose()
  })
})

describe('the account', () => {
  it('listens for each region, and over HTTPS', async () => {
    const pem = (name: string) => readFileSync(join(import.meta.dirname, '..', 'test', name), 'utf8')
    const tls = { cert: pem('localhost.crt'), key: pem('localhost.key') }
    const running = await startAccount({ tls, regions: ['West Europe', 'North Europe'] })
    onTestFinished(() => running.close())
    const agent = new Agent({ ca: tls.cert })
    const client = new CosmosClient({
      endpoint: running.endpoint,
      key: running.key,
      agent,
      connectionPolicy: { preferredLocations: ['North Europe'] },
    })
    onTestFinished(() => client.dispose())
    await client.databases.create({ id: 'shop' })
    expect(await client.getReadEndpoint()).toBe(`${running.endpoints[1]}/`)
    expect(await client.getWriteEndpoint()).toBe(`${running.endpoints[0]}/`)
    expect((await client.databases.readAll().fetchAll()).resources).toHaveLength(1)
  })
})

describe('items', () => {
  it.each([1, 2])('go in bulk to the partitions that hash version %i says', async version => {
    const { container: orders } = await container(
      { partitions: 5 },
      { partitionKey: { paths: ['/customer'], ...(version === 2 ? { version: 2 } : {}) } },
    )
    await fill(orders, 200)
    const { resources: ranges } = await orders.readPartitionKeyRanges().fetchAll()
    expect(ranges).toHaveLength(5)
    for (const customer of ['c0', 'c16']) {
      const found = await orders.items.query('SELECT * FROM c', { partitionKey: customer }).fetchAll()
      expect(found.resources.length).toBeGreaterThan(10)
    }
  })

  it('that are too large or not well made are refused', async () => {
    const { container: orders } = await container()
    const large = { id: 'large', customer: 'a', text: 'x'.repeat(2_200_000) }
    await expect(orders.items.create(large)).rejects.toMatchObject({ code: 413 })
    await expect(orders.items.create({ id: 'a/b', customer: 'a' })).rejects.toThrow()
  })

  it('are created, read, replaced, upserted, patched and deleted, with etags', async () => {
    const { container: orders } = await container()
    const { resource, etag, requestCharge } = await orders.items.create({ id: '1', customer: 'a', total: 5 })
    expect(resource).toMatchObject({ id: '1', total: 5, _etag: etag, _attachments: 'attachments/' })
    expect(requestCharge).toBeGreaterThan(4)
    await expect(orders.items.create({ id: '1', customer: 'a' })).rejects.toMatchObject({ code: 409 })
    const item = orders.item('1', 'a')
    const replaced = await item.replace(
      { id: '1', customer: 'a', total: 6 },
      { accessCondition: { type: 'IfMatch', condition: etag! } },
    )
    await expect(
      item.replace({ id: '1', customer: 'a' }, { accessCondition: { type: 'IfMatch', condition: etag! } }),
    ).rejects.toMatchObject({ code: 412 })
    expect((await item.read({ accessCondition: { type: 'IfNoneMatch', condition: replaced.etag! } })).statusCode).toBe(
      304,
    )
    const { resource: patched } = await item.patch([
      { op: 'incr', path: '/total', value: 4 },
      { op: 'add', path: '/tags', value: ['x'] },
      { op: 'add', path: '/tags/-', value: 'y' },
      { op: 'set', path: '/status', value: 'open' },
    ])
    expect(patched).toMatchObject({ total: 10, tags: ['x', 'y'], status: 'open' })
    await expect(
      item.patch({ condition: 'from c where c.status = "closed"', operations: [{ op: 'remove', path: '/status' }] }),
    ).rejects.toMatchObject({ code: 412 })
    expect((await orders.items.upsert({ id: '2', customer: 'b' })).statusCode).toBe(201)
    expect((await orders.items.upsert({ id: '2', customer: 'b', v: 1 })).statusCode).toBe(200)
    expect((await item.delete()).statusCode).toBe(204)
    expect((await item.read()).statusCode).toBe(404)
  })

  it('keep hierarchical, missing and null keys apart', async () => {
    const { container: byTenant } = await container(
      {},
      {
        id: 'h',
        partitionKey: {
          paths: ['/tenant', '/user'],
          kind: PartitionKeyKind.MultiHash,
          version: PartitionKeyDefinitionVersion.V2,
        },
      },
    )
    for (const [i, tenant] of ['a', 'a', 'b'].entries())
      await byTenant.items.create({ id: `${i}`, tenant, user: `u${i}` })
    expect((await byTenant.item('1', ['a', 'u1']).read()).resource).toMatchObject({ user: 'u1' })
    const prefix = await byTenant.items.query('SELECT VALUE c.id FROM c', { partitionKey: ['a'] }).fetchAll()
    expect(prefix.resources.sort()).toEqual(['0', '1'])
    const { container: plain } = await container()
    await plain.items.create({ id: 'x', customer: null })
    await plain.items.create({ id: 'x' })
    expect((await plain.item('x', null).read()).statusCode).toBe(200)
    expect((await plain.items.query('SELECT * FROM c').fetchAll()).resources).toHaveLength(2)
  })

  it('keep numbers as they came', async () => {
    const { container: orders, running } = await container()
    await orders.items.create({ id: '1', customer: 'a' })
    const text = '{"id":"2","customer":"a","big":12345678901234567890,"exact":1.10,"_ts":5}'
    const kept = running.account.container('shop', 'orders')
    kept.create(text)
    expect(kept.shown(kept.read('["a"]', '2') as never)).toContain('"big":12345678901234567890,"exact":1.10,')
  })

  it('obey unique keys within a partition key', async () => {
    const { container: orders } = await container({}, { uniqueKeyPolicy: { uniqueKeys: [{ paths: ['/email'] }] } })
    await orders.items.create({ id: '1', customer: 'a', email: 'x' })
    await expect(orders.items.create({ id: '2', customer: 'a', email: 'x' })).rejects.toMatchObject({ code: 409 })
    await orders.items.create({ id: '2', customer: 'b', email: 'x' })
    await orders.item('1', 'a').delete()
    await orders.items.create({ id: '3', customer: 'a', email: 'x' })
  })

  it('expire', async () => {
    let now = 1_700_000_000_000
    const { container: orders, running } = await container({ clock: () => now }, { defaultTtl: 100 })
    await orders.items.create({ id: 'short', customer: 'a', ttl: 10 })
    await orders.items.create({ id: 'default', customer: 'a' })
    await orders.items.create({ id: 'never', customer: 'a', ttl: -1 })
    now += 11_000
    expect((await orders.item('short', 'a').read()).statusCode).toBe(404)
    now += 100_000
    running.account.sweep()
    expect((await orders.items.query('SELECT VALUE c.id FROM c').fetchAll()).resources).toEqual(['never'])
  })

  it('go through a transactional batch all or none', async () => {
    const { container: orders } = await container()
    const good = await orders.items.batch(
      [
        { operationType: 'Create', resourceBody: { id: '1', customer: 'a' } },
        { operationType: 'Upsert', resourceBody: { id: '2', customer: 'a' } },
      ],
      'a',
    )
    expect(good.code).toBe(200)
    const bad = await orders.items.batch(
      [
        { operationType: 'Delete', id: '2' },
        { operationType: 'Create', resourceBody: { id: '1', customer: 'a' } },
      ],
      'a',
    )
    expect(bad.result!.map(r => r.statusCode)).toEqual([424, 409])
    expect((await orders.item('2', 'a').read()).statusCode).toBe(200)
  })
})

describe('queries', () => {
  it.each([1, 4])('over %i partitions', async partitions => {
    const { container: orders } = await container({ partitions })
    await fill(orders, 300)
    const ask = async (query: string, parameters: { name: string; value: never }[] = []) =>
      (await orders.items.query({ query, parameters }, { maxItemCount: 37 }).fetchAll()).resources
    expect(await ask('SELECT VALUE c.n FROM c WHERE c.n < @most', [{ name: '@most', value: 5 as never }])).toHaveLength(
      5,
    )
    expect(await ask('SELECT TOP 3 VALUE c.n FROM c ORDER BY c.n DESC')).toEqual([299, 298, 297])
    expect(await ask('SELECT VALUE c.n FROM c ORDER BY c.n OFFSET 10 LIMIT 3')).toEqual([10, 11, 12])
    expect(await ask('SELECT VALUE COUNT(1) FROM c WHERE c.team = "red"')).toEqual([100])
    expect(await ask('SELECT VALUE AVG(c.n) FROM c')).toEqual([149.5])
    expect(await ask('SELECT VALUE MAX(c.n) FROM c')).toEqual([299])
    expect(await ask('SELECT VALUE SUM(c.n) FROM c')).toEqual([44850])
    expect((await ask('SELECT DISTINCT VALUE c.team FROM c')).sort()).toEqual(['blue', 'red'])
    expect(
      (await ask('SELECT c.team, COUNT(1) AS n, MIN(c.n) AS low FROM c GROUP BY c.team')).sort((a, b) => a.n - b.n),
    ).toEqual([
      { team: 'red', n: 100, low: 0 },
      { team: 'blue', n: 200, low: 1 },
    ])
    expect(await ask('SELECT VALUE t FROM c JOIN t IN c.tags WHERE c.n = 7')).toEqual(['a', 't3'])
    expect(
      await ask('SELECT c.id FROM c WHERE c.customer = "c1" AND STARTSWITH(c.id, "o1") AND c.n BETWEEN 0 AND 20'),
    ).toEqual([{ id: 'o1' }, { id: 'o18' }])
    expect((await orders.items.readAll({ maxItemCount: 50 }).fetchAll()).resources).toHaveLength(300)
  })

  it('explain what they do not understand', async () => {
    const { container: orders } = await container()
    await orders.items.create({ id: '1', customer: 'a' })
    await expect(orders.items.query('SELECT * FROM c WHERE c.n >').fetchAll()).rejects.toMatchObject({ code: 400 })
    await expect(orders.items.query('SELECT VALUE NOSUCH(c.n) FROM c').fetchAll()).rejects.toMatchObject({ code: 400 })
  })
})

/** A document of the feed, or a change of the all-versions feed. */
interface Seen {
  id: string
  current: Record<string, unknown>
  previous: Record<string, unknown>
  metadata: Record<string, unknown>
}

async function readFeed(
  orders: Container,
  options: Parameters<Container['items']['getChangeFeedIterator']>[0],
  between: () => Promise<void> = async () => {},
) {
  const iterator = orders.items.getChangeFeedIterator(options)
  const seen: Seen[] = []
  let pages = 0
  while (iterator.hasMoreResults) {
    const page = await iterator.readNext()
    if (page.statusCode === 304) return { seen, continuation: page.continuationToken }
    seen.push(...(page.result as unknown as Seen[]))
    if (++pages === 2) await between()
  }
  throw new Error('a change feed has no end')
}

describe('the change feed', () => {
  it('gives the latest version of each item, from the beginning and from a continuation, across a split', async () => {
    const { container: orders, running } = await container({ partitions: 2 })
    await fill(orders, 500)
    const first = await readFeed(
      orders,
      {
        changeFeedMode: ChangeFeedMode.LatestVersion,
        changeFeedStartFrom: ChangeFeedStartFrom.Beginning(),
        maxItemCount: 60,
      },
      async () => running.split('shop', 'orders'),
    )
    expect(new Set(first.seen.map(d => d.id)).size).toBe(500)
    expect(first.seen).toHaveLength(500)
    await orders.items.upsert({ id: 'o3', customer: 'c3', n: -1 })
    await orders.item('o4', 'c4').delete()
    const second = await readFeed(orders, {
      changeFeedMode: ChangeFeedMode.LatestVersion,
      changeFeedStartFrom: ChangeFeedStartFrom.Continuation(first.continuation),
    })
    expect(second.seen.map(d => d.id)).toEqual(['o3'])
    const now = await readFeed(orders, { changeFeedStartFrom: ChangeFeedStartFrom.Now() })
    expect(now.seen).toEqual([])
  })

  it('gives all versions and deletes, in order', async () => {
    let time = 1_700_000_000_000
    const { container: orders, running } = await container(
      { continuousBackup: true, partitions: 2, clock: () => time },
      { defaultTtl: -1 },
    )
    const start = await readFeed(orders, {
      changeFeedMode: ChangeFeedMode.AllVersionsAndDeletes,
      changeFeedStartFrom: ChangeFeedStartFrom.Now(),
    })
    await orders.items.create({ id: '1', customer: 'a', v: 1 })
    await orders.items.upsert({ id: '1', customer: 'a', v: 2 })
    await orders.item('1', 'a').delete()
    await orders.items.create({ id: '2', customer: 'a', ttl: 5 })
    time += 10_000
    running.account.sweep()
    const { seen } = await readFeed(orders, {
      changeFeedMode: ChangeFeedMode.AllVersionsAndDeletes,
      changeFeedStartFrom: ChangeFeedStartFrom.Continuation(start.continuation),
    })
    expect(seen.map(c => [c.metadata.operationType, c.current.v, c.metadata.timeToLiveExpired])).toEqual([
      ['create', 1, undefined],
      ['replace', 2, undefined],
      ['delete', undefined, false],
      ['create', undefined, undefined],
      ['delete', undefined, true],
    ])
    expect(seen[2]!.metadata).toMatchObject({ id: '1', partitionKey: { customer: 'a' } })
    expect(seen[2]!.previous).toMatchObject({ v: 2 })
  })

  it('needs continuous backup for all versions', async () => {
    const { container: orders } = await container()
    await expect(
      readFeed(orders, {
        changeFeedMode: ChangeFeedMode.AllVersionsAndDeletes,
        changeFeedStartFrom: ChangeFeedStartFrom.Now(),
      }),
    ).rejects.toThrow(/continuous backup/)
  })
})

describe('throughput', () => {
  it('is enforced, with the time to wait', async () => {
    // Time stands still: what is too much does not depend on how fast the machine is.
    let time = 0
    const { container: orders, running } = await container({ enforceThroughput: true, clock: () => time })
    const client = new CosmosClient({
      endpoint: running.endpoint,
      key: running.key,
      connectionPolicy: { retryOptions: { maxRetryAttemptCount: 0 } as never },
    })
    const impatient = client.database('shop').container('orders')
    const outcomes = await Promise.allSettled(
      Array.from({ length: 200 }, (_, i) => impatient.items.create({ id: `${i}`, customer: 'a' })),
    )
    const refused = outcomes.flatMap(o => (o.status === 'rejected' ? [o.reason] : []))
    expect(refused.length).toBeGreaterThan(0)
    expect(refused[0]).toMatchObject({ code: 429, substatus: 3200 })
    expect(refused[0].retryAfterInMs).toBeGreaterThan(0)
    client.dispose()
    time += 60_000
    await orders.items.create({ id: 'patient', customer: 'a' })
  })

  it('splits partitions when it grows beyond them', async () => {
    const { container: orders, client } = await container()
    const { resource: offer } = await orders.readOffer()
    await client.offer(offer!.id).replace({ ...offer!, content: { ...offer!.content!, offerThroughput: 25_000 } })
    expect((await orders.readPartitionKeyRanges().fetchAll()).resources).toHaveLength(3)
  })

  it('is refused by a serverless account', async () => {
    const { client } = await account({ serverless: true })
    const { database } = await client.databases.create({ id: 'shop' })
    await expect(
      database.containers.create({ id: 'x', partitionKey: '/a', throughput: 400 } as never),
    ).rejects.toMatchObject({ code: 400 })
    await database.containers.create({ id: 'x', partitionKey: '/a' } as never)
  })
})

describe('faults', () => {
  it.each([
    [408, 0],
    [449, 0],
    [503, 0],
    [403, 3],
    [410, 1007],
  ])('%i/%i reaches the client', async (status, substatus) => {
    const { running } = await account().then(({ account: a }) => ({ running: a }))
    running.inject({ status, substatus })
    const headers = { authorization: encodeURIComponent('type=aad&ver=1.0&sig=x') }
    running.account.options.acceptToken = () => true
    const response = await fetch(`${running.endpoint}/dbs`, { headers })
    expect([response.status, Number(response.headers.get('x-ms-substatus') ?? 0)]).toEqual([status, substatus])
  })

  it('a feed may deliver twice, and an answer may get lost when the work is done', async () => {
    const { container: orders, running } = await container()
    await fill(orders, 20)
    const first = await readFeed(orders, { changeFeedStartFrom: ChangeFeedStartFrom.Beginning() })
    running.inject({ operation: 'feed', duplicates: 5, times: 1 })
    const again = await readFeed(orders, { changeFeedStartFrom: ChangeFeedStartFrom.Continuation(first.continuation) })
    expect(again.seen).toHaveLength(5)
    running.inject({ operation: 'write', drop: 'after', times: 1 })
    await orders.items.create({ id: 'lost', customer: 'a' }).catch(() => undefined)
    expect((await orders.item('lost', 'a').read()).statusCode).toBe(200)
  })

  it('are met and survived', async () => {
    const { container: orders, running } = await container()
    running.inject({ operation: 'write', status: 429, substatus: 3200, retryAfterMs: 5, times: 3 })
    await orders.items.create({ id: '1', customer: 'a' })
    running.inject({ operation: 'read', status: 410, substatus: 1002, times: 1 })
    running.inject({ operation: 'read', drop: 'before', times: 1 })
    await expect(
      orders
        .item('1', 'a')
        .read()
        .catch(() => orders.item('1', 'a').read()),
    ).resolves.toMatchObject({ statusCode: 200 })
  })
})

describe('the state', () => {
  it('is there again after a restart, continuations too', async () => {
    const { mkdtempSync, rmSync } = await import('node:fs')
    const { tmpdir } = await import('node:os')
    const folder = mkdtempSync(join(tmpdir(), 'cosmos-local-'))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    const path = join(folder, 'account.db')
    const first = await container({ path })
    await fill(first.container, 50)
    const { continuation } = await readFeed(first.container, { changeFeedStartFrom: ChangeFeedStartFrom.Beginning() })
    const { keys } = first.running.account
    await first.running.close()
    const again = await account({ path, key: keys.primary })
    const orders = again.client.database('shop').container('orders')
    expect((await orders.items.query('SELECT VALUE COUNT(1) FROM c').fetchAll()).resources).toEqual([50])
    await orders.items.upsert({ id: 'new', customer: 'z' })
    const { seen } = await readFeed(orders, { changeFeedStartFrom: ChangeFeedStartFrom.Continuation(continuation) })
    expect(seen.map(d => d.id)).toEqual(['new'])
  })
})
