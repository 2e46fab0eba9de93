/** The protocol as clients other than JavaScript's speak it. */
import { createHmac } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { get } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { certificateIn } from './certificate.ts'
import { type RunningAccount, type ServerOptions, startAccount } from './index.ts'

type Json = Record<string, unknown>

interface Sent {
  body?: unknown
  headers?: Record<string, string>
  /** What is signed, where it is not the path. */
  signed?: { type: string; resource: string }
}

/** A client without habits: signs a request and sends it. */
class Client {
  readonly account: RunningAccount

  constructor(account: RunningAccount) {
    this.account = account
  }

  async send(method: string, path: string, { body, headers = {}, signed }: Sent = {}) {
    const parts = path.split('/').map(decodeURIComponent)
    const even = parts.length % 2 === 0
    const { type, resource } = signed ?? {
      type: (even ? parts.at(-2) : parts.at(-1))!,
      resource: (even ? parts : parts.slice(0, -1)).join('/'),
    }
    const date = new Date().toUTCString()
    const text = `${method.toLowerCase()}\n${type}\n${resource}\n${date.toLowerCase()}\n\n`
    const signature = createHmac('sha256', Buffer.from(this.account.key, 'base64')).update(text).digest('base64')
    const authorization = encodeURIComponent(`type=master&ver=1.0&sig=${signature}`)
    const response = await fetch(`${this.account.endpoint}/${path}`, {
      method,
      headers: { authorization, 'x-ms-date': date, ...headers },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    const answer = await response.text()
    const json = answer === '' ? {} : (JSON.parse(answer) as Json)
    return { status: response.status, headers: response.headers, body: json, documents: json.Documents as Json[] }
  }

  query(query: string, headers: Record<string, string> = {}, path = 'dbs/shop/colls/orders/docs') {
    return this.send('POST', path, {
      body: { query, parameters: [] },
      headers: { 'content-type': 'application/query+json', ...headers },
    })
  }

  create(document: Json, key: unknown = document.customer, path = 'dbs/shop/colls/orders/docs') {
    return this.send('POST', path, { body: document, headers: keyOf(key) })
  }
}

const ALL = { 'x-ms-documentdb-query-enablecrosspartition': 'true' }

function keyOf(value: unknown) {
  return { 'x-ms-documentdb-partitionkey': JSON.stringify(value === undefined ? [{}] : [value]) }
}

async function shop(options: ServerOptions = {}, definition: Json = {}): Promise<Client> {
  const account = await startAccount(options)
  onTestFinished(() => account.close())
  const client = new Client(account)
  await client.send('POST', 'dbs', { body: { id: 'shop' } })
  const body = { id: 'orders', partitionKey: { paths: ['/customer'], version: 2 }, ...definition }
  expect((await client.send('POST', 'dbs/shop/colls', { body })).status).toBe(201)
  return client
}

describe('a query is known', () => {
  it.each([
    [{ 'content-type': 'application/query+json' }],
    [{ 'x-ms-documentdb-query': 'True' }],
    [{ 'x-ms-documentdb-isquery': 'true' }],
  ])('by %o', async headers => {
    const client = await shop()
    await client.create({ id: '1', customer: 'a' })
    const { documents } = await client.send('POST', 'dbs/shop/colls/orders/docs', {
      body: { query: 'SELECT VALUE c.id FROM c' },
      headers: { ...(headers as Record<string, string>), ...ALL },
    })
    expect(documents).toEqual(['1'])
  })
})

describe('resource ids', () => {
  it('stand for names, and are signed in lower case', async () => {
    const client = await shop()
    const made = await client.create({ id: '1', customer: 'a' })
    const self = String(made.body._self).replace(/\/$/, '')
    const rid = String(made.body._rid)
    const item = await client.send('GET', self, {
      headers: keyOf('a'),
      signed: { type: 'docs', resource: rid.toLowerCase() },
    })
    expect(item.body.id).toBe('1')
    const container = self.split('/').slice(0, 4).join('/')
    const ranges = await client.send('GET', `${container}/pkranges`, {
      signed: { type: 'pkranges', resource: container.split('/')[3]!.toLowerCase() },
    })
    expect(ranges.body._count).toBe(1)
    const gone = 'dbs/AAAAYw==/colls/AAAAYw=='
    expect((await client.send('GET', gone, { signed: { type: 'colls', resource: 'aaaayw==' } })).status).toBe(404)
  })

  it('are never used again', async () => {
    const client = await shop()
    const before = await client.send('GET', 'dbs/shop/colls/orders')
    await client.send('DELETE', 'dbs/shop/colls/orders')
    await client.send('POST', 'dbs/shop/colls', { body: { id: 'orders', partitionKey: { paths: ['/customer'] } } })
    const after = await client.send('GET', 'dbs/shop/colls/orders')
    expect(after.body._rid).not.toBe(before.body._rid)
  })
})

describe('partition key ranges', () => {
  it('that a client has are not sent again; after a split it gets the new ones', async () => {
    const client = await shop({ partitions: 2 })
    const ask = (etag?: string) =>
      client.send('GET', 'dbs/shop/colls/orders/pkranges', {
        headers: { 'a-im': 'Incremental Feed', ...(etag === undefined ? {} : { 'if-none-match': etag }) },
      })
    const first = await ask()
    expect(first.body._count).toBe(2)
    const etag = first.headers.get('etag')!
    expect((await ask(etag)).status).toBe(304)
    client.account.split('shop', 'orders', 0)
    const second = await ask(etag)
    expect((second.body.PartitionKeyRanges as Json[]).map(r => r.parents)).toEqual([['0'], ['0']])
    expect((await ask(second.headers.get('etag')!)).status).toBe(304)
    expect((await ask('"of another container"')).body._count).toBe(3)
  })
})

describe('sessions', () => {
  it('of several partitions are read, those ahead of the account are not, others are invalid', async () => {
    const client = await shop({ partitions: 2 })
    await client.create({ id: '1', customer: 'a' })
    const read = (token: string) =>
      client.query('SELECT * FROM c', { ...ALL, 'x-ms-session-token': token }).then(r => r.status)
    const { headers } = await client.query('SELECT VALUE COUNT(1) FROM c', keyOf('a'))
    expect(headers.get('x-ms-session-token')).toMatch(/^[01]:0#1$/)
    expect(await read('0:0#1,1:0#1#4=1')).toBe(200)
    expect(await read('0:0#1,1:0#99')).toBe(404)
    expect(await read('nonsense')).toBe(400)
  })
})

describe('queries', () => {
  it('over partitions have to be allowed, unless their filter names one key', async () => {
    const client = await shop({ partitions: 2 })
    const none = await client.query('SELECT * FROM c')
    expect([none.status, none.body.message]).toEqual([400, expect.stringContaining('required but disabled')])
    expect((await client.query("SELECT * FROM c WHERE c.customer = 'a' AND c.n > 1")).status).toBe(200)
    expect((await client.query("SELECT * FROM c WHERE c.customer = 'a' OR c.n > 1")).status).toBe(400)
    expect((await client.query('SELECT * FROM c', ALL)).status).toBe(200)
  })

  it.each([
    ['SELECT c.a, COUNT(1) AS n FROM c GROUP BY c.a', 'Aggregate', /contained GroupBy/],
    ['SELECT COUNT(1) FROM c', 'Aggregate', /contained NonValueAggregate/],
    ['SELECT VALUE COUNT(1) + 5 FROM c', 'Aggregate', /Compositions of aggregates/],
    ['SELECT VALUE COUNT(1) FROM (SELECT DISTINCT VALUE c.a FROM c)', 'Aggregate', /not supported over several/],
  ])('%s get no plan from a client that offers %s', async (query, features, message) => {
    const client = await shop()
    const answer = await client.query(query, {
      'x-ms-cosmos-is-query-plan-request': 'true',
      'x-ms-cosmos-supported-query-features': features,
    })
    expect(answer.status).toBe(400)
    expect(answer.body.message).toMatch(message)
  })

  it('tell what they cost where they are asked to', async () => {
    const client = await shop()
    for (const id of ['1', '2']) await client.create({ id, customer: 'a' })
    const { headers } = await client.query("SELECT * FROM c WHERE c.id = '2'", {
      ...ALL,
      'x-ms-documentdb-populatequerymetrics': 'true',
    })
    expect(headers.get('x-ms-documentdb-query-metrics')).toMatch(
      /retrievedDocumentCount=2;.*outputDocumentCount=1;.*indexUtilizationRatio=0.50$/,
    )
    expect(headers.get('lsn')).toBe('2')
  })

  it('end without a continuation where nothing is left', async () => {
    const client = await shop()
    for (const id of ['1', '2']) await client.create({ id, customer: 'a' })
    const { documents, headers } = await client.query('SELECT * FROM c', { ...ALL, 'x-ms-max-item-count': '2' })
    expect([documents.length, headers.get('x-ms-continuation')]).toEqual([2, null])
  })
})

describe('computed properties', () => {
  const lower = { name: 'cp', query: 'SELECT VALUE LOWER(c.name) FROM c' }

  it('are found by queries and are not part of items', async () => {
    const client = await shop({}, { computedProperties: [lower] })
    await client.create({ id: '1', customer: 'a', name: 'ADA', cp: 'own' })
    const [name] = (await client.query("SELECT VALUE c.cp FROM c WHERE c.cp = 'ada'", ALL)).documents
    expect(name).toBe('ada')
    const [item] = (await client.query("SELECT * FROM c WHERE c.cp = 'ada'", ALL)).documents
    expect(item).toMatchObject({ name: 'ADA', cp: 'own' })
  })

  it.each([
    [lower],
    [[lower, lower]],
    [[{ name: 'cp', query: 'SELECT VALUE c.a FROM c WHERE c.b' }]],
    [[{ name: 'cp', query: 'SELECT c.a FROM c' }]],
    [[{ name: 'cp', query: 'SELECT VALUE GetCurrentDateTime() FROM c' }]],
  ])('are refused as %o', async computedProperties => {
    const client = await shop()
    const body = { id: 'more', partitionKey: { paths: ['/a'] }, computedProperties }
    const { status, body: error } = await client.send('POST', 'dbs/shop/colls', { body })
    expect([status, error.message]).toEqual([400, expect.stringContaining('One of the specified inputs is invalid')])
  })
})

describe('containers', () => {
  it('get the defaults of the indexing policy that theirs leaves out', async () => {
    const client = await shop({}, { indexingPolicy: { excludedPaths: [{ path: '/secret/*' }] } })
    const { body } = await client.send('GET', 'dbs/shop/colls/orders')
    expect(body.indexingPolicy).toEqual({
      indexingMode: 'consistent',
      automatic: true,
      includedPaths: [{ path: '/*' }],
      excludedPaths: [{ path: '/secret/*' }, { path: '/"_etag"/?' }],
    })
  })

  it('take hierarchical keys without a version, and with the names that Java gives versions', async () => {
    const client = await shop()
    for (const [id, version] of Object.entries({ a: undefined, b: 'V2', c: 2 })) {
      const partitionKey = { paths: ['/x', '/y'], kind: 'MultiHash', version }
      const { body } = await client.send('POST', 'dbs/shop/colls', { body: { id, partitionKey } })
      expect(body.partitionKey).toEqual({ paths: ['/x', '/y'], kind: 'MultiHash', version: 2 })
    }
  })

  it('answer for names that no header can hold', async () => {
    const client = await shop()
    await client.send('POST', 'dbs/shop/colls', { body: { id: 'café 日本', partitionKey: { paths: ['/customer'] } } })
    const path = `dbs/shop/colls/${encodeURIComponent('café 日本')}/docs`
    const { status, headers } = await client.create({ id: 'ö', customer: 'a' }, 'a', path)
    expect([status, headers.get('x-ms-alt-content-path')]).toEqual([
      201,
      `dbs/shop/colls/${encodeURI('café 日本').replace('%20', ' ')}`,
    ])
  })
})

describe('items', () => {
  it('of a partition key are deleted at once', async () => {
    const client = await shop()
    for (const id of ['1', '2', '3']) await client.create({ id, customer: id === '3' ? 'b' : 'a' })
    const { status } = await client.send('POST', 'dbs/shop/colls/orders/operations/partitionkeydelete', {
      headers: keyOf('a'),
      signed: { type: 'colls', resource: 'dbs/shop/colls/orders' },
    })
    expect(status).toBe(200)
    expect((await client.query('SELECT VALUE c.id FROM c', ALL)).documents).toEqual(['3'])
  })

  it.each([null, 0, -2, 1.5, '5', 2_147_483_648])('have no ttl of %o', async ttl => {
    const client = await shop({}, { defaultTtl: -1 })
    const { status, body } = await client.create({ id: '1', customer: 'a', ttl })
    expect([status, body.message]).toEqual([400, expect.stringContaining('The input ttl')])
  })

  it('may be named with a percent sign, escaped or not', async () => {
    const client = await shop()
    await client.create({ id: '100%', customer: 'a' })
    const signed = { type: 'docs', resource: 'dbs/shop/colls/orders/docs/100%' }
    for (const id of ['100%25', '100%']) {
      const path = `dbs/shop/colls/orders/docs/${id}`
      const authorized = await client.send('GET', path.replace(/%$/, '%25'), { headers: keyOf('a'), signed })
      expect(authorized.body.id).toBe('100%')
    }
    // Node's client sends the second one as it is.
    const raw = await fetch(`${client.account.endpoint}/dbs/shop/colls/orders/docs/100%`)
    expect(raw.status).toBe(401)
  })

  it('whose key is an object have none', async () => {
    const client = await shop()
    const body = { id: '1', customer: { a: 1 } }
    const made = await client.send('POST', 'dbs/shop/colls/orders/docs', { body, headers: keyOf(undefined) })
    expect(made.status).toBe(201)
    const { status } = await client.send('GET', 'dbs/shop/colls/orders/docs/1', { headers: keyOf(undefined) })
    expect(status).toBe(200)
  })

  it('get another id by a replace, unless it is taken', async () => {
    const client = await shop()
    for (const id of ['1', '2']) await client.create({ id, customer: 'a' })
    const replace = (id: string) =>
      client.send('PUT', 'dbs/shop/colls/orders/docs/1', { body: { id, customer: 'a' }, headers: keyOf('a') })
    expect((await replace('2')).status).toBe(409)
    expect((await replace('3')).status).toBe(200)
    expect((await client.query('SELECT VALUE c.id FROM c ORDER BY c.id', keyOf('a'))).documents).toEqual(['2', '3'])
  })
})

describe('the certificate', () => {
  it('is made once, for its owner alone to use, and is trusted', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'cosmos-local-'))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    const made = certificateIn(folder, [])
    expect(certificateIn(folder, ['localhost']).cert).toBe(made.cert)
    expect(certificateIn(folder, ['cosmos.test']).cert).not.toBe(made.cert)
    const tls = certificateIn(folder, [])
    const account = await startAccount({ tls })
    onTestFinished(() => account.close())
    const url = account.endpoint.replace('127.0.0.1', 'localhost')
    for (const address of [url, account.endpoint]) {
      const status = await new Promise((resolve, reject) => {
        get(address, { ca: tls.cert, agent: false }, response => resolve(response.resume().statusCode)).once(
          'error',
          reject,
        )
      })
      expect(status).toBe(401)
    }
  })
})
