/** Services that answer otherwise than they should: what they say is not believed. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { describe, expect, it, onTestFinished } from 'vitest'
import { startAzurite } from '../../../../test/servers/azurite.ts'
import { BlobService } from '../../connectors/azureblob/service.ts'
import { readSettings as blobSettings } from '../../connectors/azureblob/settings.ts'
import { S3Service } from '../../connectors/s3/service.ts'
import { readSettings } from '../../connectors/s3/settings.ts'
import { Policy } from '../../policy.ts'
import { findAll } from '../store.ts'
import { readSection } from './reader.ts'
import type { ObjectService } from './service.ts'
import { RemoteStore } from './store.ts'

const policy = Policy.from({})

async function s3(answer: (request: IncomingMessage, response: ServerResponse) => void) {
  const server = createServer(answer)
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const keys = { accessKeyId: 'a', secretAccessKey: 'very-secret' }
  const settings = readSettings({ bucket: 'b', endpoint, region: 'us-east-1', ...keys }, policy)
  return new RemoteStore(new S3Service(settings), '', policy)
}

const xml = (response: ServerResponse, body: string, headers = {}) => {
  response.writeHead(200, { 'content-type': 'application/xml', ...headers })
  response.end(`<?xml version="1.0" encoding="UTF-8"?>${body}`)
}
const entry = (key: string) =>
  `<Contents><Key>${key}</Key><Size>3</Size><ETag>"e"</ETag><LastModified>2026-01-01T00:00:00Z</LastModified></Contents>`
const listing = (keys: string[], more = '<IsTruncated>false</IsTruncated>') =>
  `<ListBucketResult><Name>b</Name>${more}${keys.map(entry).join('')}</ListBucketResult>`
const keysOf = async (store: RemoteStore) => (await findAll(store, 'd/')).map(o => o.key)

describe('S3', { timeout: 60_000 }, () => {
  it('goes on behind the last key where a listing has more and does not say how', async () => {
    const store = await s3((request, response) => {
      const after = new URL(request.url!, 'http://x').searchParams.get('start-after')
      if (after === null) xml(response, listing(['d/1', 'd/2'], '<IsTruncated>true</IsTruncated>'))
      else xml(response, listing(after === 'd/2' ? ['d/3'] : []))
    })
    expect(await keysOf(store)).toEqual(['d/1', 'd/2', 'd/3'])
  })

  it('stops where a page comes again', async () => {
    const more = '<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>'
    const store = await s3((_, response) => xml(response, listing(['d/1', 'd/2'], more)))
    await expect(keysOf(store)).rejects.toMatchObject({ code: 'FERRY-2007' })
  })

  it('takes a page of somebody else for no empty listing', async () => {
    const store = await s3((_, response) => xml(response, '<html><body>Please sign in</body></html>'))
    await expect(keysOf(store)).rejects.toMatchObject({ code: 'FERRY-2007' })
  })

  it('takes keys as they are, whether the service encodes them or not', async () => {
    const keys = ['d/a%41', 'd/a+b', 'd/100%']
    const plain = await s3((_, response) => xml(response, listing(keys)))
    expect(await keysOf(plain)).toEqual([...keys].sort())
    const encoded = keys.map(k => encodeURIComponent(k).replaceAll('%2F', '/').replaceAll('%20', '+'))
    const more = '<IsTruncated>false</IsTruncated><EncodingType>url</EncodingType>'
    const other = await s3((_, response) => xml(response, listing(encoded, more)))
    expect(await keysOf(other)).toEqual([...keys].sort())
  })

  it('reads no other bytes and no other version than it asked for', async () => {
    const head = { key: 'k', size: 20, modified: 0n, version: '"e"' }
    const read = async (headers: Record<string, string>, start: number) => {
      const store = await s3((_, response) => {
        response.writeHead(206, { 'content-length': '10', etag: '"e"', ...headers })
        response.end('0123456789')
      })
      const chunks: string[] = []
      for await (const chunk of store.readRange(head, { start, end: start + 10 })) chunks.push(String(chunk))
      return chunks.join('')
    }
    expect(await read({ 'content-range': 'bytes 10-19/20' }, 10)).toBe('0123456789')
    await expect(read({ 'content-range': 'bytes 8-17/20' }, 10)).rejects.toMatchObject({ code: 'FERRY-2007' })
    await expect(read({}, 10)).rejects.toMatchObject({ code: 'FERRY-2007' })
    await expect(read({ 'content-range': 'bytes 10-19/20', etag: '"f"' }, 10)).rejects.toMatchObject({
      code: 'FERRY-5005',
    })
  })

  it('takes an upload for complete only where the answer says so, and shows no secret', async () => {
    const store = await s3((request, response) => {
      request.resume()
      if (request.method === 'HEAD') return response.writeHead(404).end()
      xml(response, '<html>gateway very-secret</html>')
    })
    const staged = { key: 'k', id: 'u', parts: ['"e"'], size: 1 }
    await expect(store.remote.reveal(staged, { by: 'r', ifAbsent: false, isOwn: true })).rejects.toThrow('complete')
    const refused = await s3((request, response) => {
      request.resume()
      response.writeHead(403, { 'content-type': 'application/xml' })
      response.end('<Error><Code>AccessDenied</Code><Message>no: very-secret</Message></Error>')
    })
    const error = await keysOf(refused).catch(e => e)
    expect(error).toMatchObject({ code: 'FERRY-2004' })
    expect(error.message).not.toContain('very-secret')
  })
})

it('reads on where no byte comes any more', async () => {
  let reads = 0
  const service = {
    stallMs: 100,
    explain: (error: unknown) => error,
    read: async (_: string, start: number) => {
      reads++
      if (start > 0) return Readable.from([Buffer.from('6789')])
      // It gives something, and then nothing for ever.
      return new Readable({
        read() {
          if (this.readableLength === 0 && start === 0) this.push(Buffer.from('012345'))
          start = 1
        },
      })
    },
  }
  const head = { key: 'k', size: 10, modified: 0n, version: 'v' }
  let text = ''
  for await (const chunk of readSection(service, head, { start: 0 }, undefined)) text += String(chunk)
  expect(text).toBe('0123456789')
  expect(reads).toBe(2)
})

describe('a folder in a store', { timeout: 60_000 }, () => {
  const run = (id: string, epoch = 1) => ({
    run: id,
    job: 'j',
    epoch,
    confirm: async () => {},
    holds: async () => {},
  })
  const request = {
    object: 'out/',
    options: {},
    ordinal: 0,
    columns: [],
    keys: [],
    update: 'overwrite' as const,
    truncate: false,
    before: [],
    after: [],
    skipBadRows: false,
  }
  const place = async () => {
    const azurite = await startAzurite()
    onTestFinished(() => azurite.stop())
    const { kind: _, ...container } = await azurite.container()
    return new BlobService(blobSettings(container, policy))
  }
  const write = async (service: ObjectService, id: string, text: string) => {
    const store = new RemoteStore(service, '', policy)
    const staging = store.stage(run(id), request, { ending: 'csv', many: true })
    await staging.prepare({ splits: new Map(), published: false })
    await staging.begin(0, undefined)
    const writer = await staging.create(0, 1)
    await writer.write(Buffer.from(text))
    await writer.finish()
    await staging.reached(0, undefined, 1)
    return { staging, store }
  }
  const contents = async (store: RemoteStore) => {
    const all: string[] = []
    for (const head of await findAll(store, 'out/')) {
      for await (const chunk of store.readRange(head, { start: 0 })) all.push(String(chunk))
    }
    return all
  }

  it('is published whole, or stops, where what the run keeps there is removed', async () => {
    const service = await place()
    const first = await write(service, '20260101T000000.000-aaaa', 'old')
    await first.staging.publish()
    await first.staging.forget()
    const { staging, store } = await write(service, '20260102T000000.000-aaaa', 'new')
    const hidden: string[] = []
    for await (const { objects } of service.list('out/.ferry-', false)) hidden.push(...objects.map(o => o.key))
    expect(hidden).toHaveLength(1)
    await service.remove(hidden)
    await staging.publish()
    expect(await contents(store)).toEqual(['new'])
    // Another process knows of a split what the state says, and finds nothing of it.
    const other = store.stage(run('20260103T000000.000-aaaa', 2), request, { ending: 'csv', many: true })
    const done = { checkpoint: undefined, rows: 1, bytes: 1 }
    const taken = await other.prepare({ splits: new Map([[0, done]]), published: false })
    expect(taken.splits.size).toBe(0)
  })

  it('holds one of two copies that overwrite it at once: the later one', async () => {
    for (const lastIsLater of [true, false]) {
      const service = await place()
      // Both list what is there before either shows anything.
      let arrived = 0
      let open = () => {}
      const both = new Promise<void>(resolve => {
        open = resolve
      })
      const turns: (() => void)[] = []
      const slow = (isLast: boolean): ObjectService =>
        Object.create(service, {
          reveal: {
            value: async (...words: Parameters<ObjectService['reveal']>) => {
              if (++arrived === 2) open()
              await both
              if (isLast) await new Promise<void>(resolve => turns.push(resolve))
              return service.reveal(...words)
            },
          },
        })
      const earlier = await write(slow(!lastIsLater), '20260101T000000.000-aaaa', 'earlier')
      const later = await write(slow(lastIsLater), '20260102T000000.000-aaaa', 'later')
      const publishing = [earlier, later].map(one => one.staging.publish().catch(error => error))
      const first = publishing[lastIsLater ? 0 : 1]!
      await first
      while (turns.length === 0) await new Promise(resolve => setImmediate(resolve))
      for (const go of turns) go()
      const [a, b] = await Promise.all(publishing)
      expect(b).toBeUndefined()
      if (!lastIsLater) expect(a).toMatchObject({ code: 'FERRY-5007' })
      expect(await contents(later.store)).toEqual(['later'])
    }
  })
})
