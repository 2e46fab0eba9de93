/** The connector against an account that nobody here wrote, for what that one can do. */
import { readFileSync, writeFileSync } from 'node:fs'
import type { Server } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { CosmosClient } from '@azure/cosmos'
import { describe, expect, it, onTestFinished } from 'vitest'
import { jobSchema } from '../../ferry/src/job/schema.ts'
import { verifyJob } from '../../ferry/src/runtime/verify.ts'
import { copy, policy, temporaryFolder } from '../support.ts'

const { createHttpServer } = createRequire(import.meta.url)('@vercel/cosmosdb-server') as {
  createHttpServer: () => Server
}

const key = Buffer.from('any key').toString('base64')

async function account(): Promise<{ endpoint: { kind: string } & Record<string, unknown>; client: CosmosClient }> {
  const server = createHttpServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.close()
  })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const client = new CosmosClient({ endpoint: url, key, connectionPolicy: { enableEndpointDiscovery: false } })
  const { database } = await client.databases.createIfNotExists({ id: 'shop' })
  for (const [id, path] of [
    ['orders', '/customer'],
    ['copy', '/id'],
  ] as const) {
    await database.containers.createIfNotExists({ id, partitionKey: { paths: [path] } })
  }
  return { endpoint: { kind: 'cosmos', endpoint: url, key, database: 'shop', endpointDiscovery: false }, client }
}

const orders = Array.from({ length: 300 }, (_, i) => ({
  id: `o${i}`,
  customer: `c${i % 7}`,
  total: i / 4,
  lines: [{ sku: 's', n: i }],
}))

function file(): string {
  const folder = temporaryFolder()
  writeFileSync(join(folder, 'orders.jsonl'), orders.map(o => `${JSON.stringify(o)}\n`).join(''))
  return folder
}

/** What the official SDK finds in a container, without what the service adds. */
async function found(client: CosmosClient, container: string) {
  const { resources } = await client.database('shop').container(container).items.readAll().fetchAll()
  return resources
    .map(({ _rid, _self, _etag, _attachments, _ts, ...own }) => own)
    .sort((a, b) => Number(a.id!.slice(1)) - Number(b.id!.slice(1)))
}

describe('an account that nobody here wrote', () => {
  it('takes documents from a file, gives them to another container, and both are verified', async () => {
    const { endpoint, client } = await account()
    const there = await copy({
      source: file(),
      destination: endpoint,
      update: 'merge',
      tables: [{ from: 'orders.jsonl', to: 'orders' }],
    })
    expect(there.errors).toEqual([])
    expect(await found(client, 'orders')).toEqual(orders)
    const job = {
      source: endpoint,
      destination: endpoint,
      update: 'merge',
      tables: [{ from: 'orders', to: 'copy' }],
    }
    const over = await copy(job)
    expect(over.errors).toEqual([])
    expect(over).toMatchObject({ rowsCopied: 300 })
    expect(await found(client, 'copy')).toEqual(orders)
    const [verified] = await verifyJob(jobSchema.parse({ name: 'v', ...job }), undefined, policy, { most: 3 })
    expect(verified).toMatchObject({ equal: true, sourceRows: 300, destinationRows: 300 })
  })

  it('answers queries, and takes the same documents again', async () => {
    const { endpoint } = await account()
    const table = { from: 'orders.jsonl', to: 'orders' }
    expect((await copy({ source: file(), destination: endpoint, tables: [table] })).errors).toEqual([])
    // The same once more: it is there as it should be.
    const again = await copy({ source: file(), destination: endpoint, tables: [table], name: 'again' })
    expect(again.errors).toEqual([])
    const out = temporaryFolder()
    const read = { query: 'SELECT c.id, c.total FROM c WHERE c.total > 70' }
    const tables = [{ from: 'orders', to: 'some.jsonl', read }]
    expect((await copy({ source: endpoint, destination: out, update: 'overwrite', tables })).errors).toEqual([])
    const lines = readFileSync(join(out, 'some.jsonl'), 'utf8').trim().split('\n')
    expect(lines.map(line => JSON.parse(line).id).sort()).toEqual(
      orders
        .filter(o => o.total > 70)
        .map(o => o.id)
        .sort(),
    )
  })
})
