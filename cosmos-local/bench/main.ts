/**
 * How fast the account is, client and server sharing the machine: the official SDK's bulk, batch requests as they are on
 * the wire, and the change feed.
 */

import { fork } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { Agent, request } from 'node:http'
import { fileURLToPath } from 'node:url'
import { ChangeFeedStartFrom, CosmosClient } from '@azure/cosmos'
import { startAccount } from '../src/index.ts'

const COUNT = Number(process.env.COSMOS_BENCH_ITEMS ?? 50_000)

if (process.argv[2] === 'serve') {
  const account = await startAccount({ key: process.argv[3]! })
  process.send!(account.endpoint)
} else await measure()

async function measure(): Promise<void> {
  const key = Buffer.from('a key for the benchmark only').toString('base64')
  const server = fork(fileURLToPath(import.meta.url), ['serve', key])
  const endpoint = await new Promise<string>(resolve => server.once('message', m => resolve(m as string)))
  const client = new CosmosClient({ endpoint, key })
  const { database } = await client.databases.create({ id: 'bench' })
  const filler = 'x'.repeat(900)
  const make = async (id: string) =>
    (await database.containers.create({ id, partitionKey: { paths: ['/pk'], version: 2 } } as never)).container
  const report = (what: string, count: number, began: number) => {
    const seconds = (performance.now() - began) / 1000
    console.log(
      `${what.padEnd(28)} ${Math.round(count / seconds)
        .toLocaleString('en-US')
        .padStart(9)} items/s`,
    )
  }

  const bulk = await make('bulk')
  const bulkCount = COUNT / 2
  const operations = Array.from({ length: bulkCount }, (_, i) => ({
    operationType: 'Upsert' as const,
    partitionKey: `p${i % 500}`,
    resourceBody: { id: `i${i}`, pk: `p${i % 500}`, n: i, filler },
  }))
  let began = performance.now()
  await bulk.items.executeBulkOperations(operations)
  report('upserts, SDK bulk', bulkCount, began)

  await make('batch')
  const texts = Array.from({ length: COUNT }, (_, i) => {
    const pk = `p${i % 500}`
    return `{"operationType":"Upsert","partitionKey":"[\\"${pk}\\"]","resourceBody":{"id":"i${i}","pk":"${pk}","n":${i},"filler":"${filler}"}}`
  })
  const bodies: string[] = []
  for (let at = 0; at < COUNT; at += 100) bodies.push(`[${texts.slice(at, at + 100).join(',')}]`)
  const send = wire(endpoint, key)
  began = performance.now()
  await Promise.all(
    Array.from({ length: 4 }, async () => {
      for (let body = bodies.pop(); body !== undefined; body = bodies.pop()) await send('batch', body)
    }),
  )
  report('upserts, batch requests', COUNT, began)

  const feed = database
    .container('batch')
    .items.getChangeFeedIterator({ maxItemCount: 1000, changeFeedStartFrom: ChangeFeedStartFrom.Beginning() })
  began = performance.now()
  let read = 0
  while (feed.hasMoreResults) {
    const page = await feed.readNext()
    if (page.statusCode === 304) break
    read += page.count
  }
  report('change feed, SDK', read, began)
  client.dispose()
  server.kill()
}

/** Batch requests without the SDK: signed, over connections that are kept. */
function wire(endpoint: string, key: string) {
  const agent = new Agent({ keepAlive: true, maxSockets: 4 })
  const { hostname, port } = new URL(endpoint)
  return (container: string, body: string) =>
    new Promise<void>((resolve, reject) => {
      const path = `dbs/bench/colls/${container}`
      const date = new Date().toUTCString()
      const text = `post\ndocs\n${path}\n${date.toLowerCase()}\n\n`
      const signature = createHmac('sha256', Buffer.from(key, 'base64')).update(text).digest('base64')
      const headers = {
        authorization: encodeURIComponent(`type=master&ver=1.0&sig=${signature}`),
        'x-ms-date': date,
        'x-ms-documentdb-partitionkeyrangeid': '0',
        'x-ms-cosmos-is-batch-request': 'true',
        'x-ms-cosmos-batch-atomic': 'false',
        prefer: 'return=minimal',
        'content-length': Buffer.byteLength(body),
      }
      const sent = request({ hostname, port, agent, method: 'POST', path: `/${path}/docs`, headers }, response => {
        response.resume()
        response.on('end', () =>
          response.statusCode === 200 ? resolve() : reject(new Error(String(response.statusCode))),
        )
      })
      sent.on('error', reject)
      sent.end(body)
    })
}
