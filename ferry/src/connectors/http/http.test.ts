import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { buffer } from 'node:stream/consumers'
import { gzipSync } from 'node:zlib'
import { describe, expect, it, onTestFinished } from 'vitest'
import { policy, startFerry, temporaryFolder } from '../../../../test/support.ts'
import { LocalFolder } from '../../objects/local/store.ts'
import { findAll } from '../../objects/store.ts'
import { HttpStore } from './objects.ts'

const CONTENT = Buffer.from(Array.from({ length: 300_000 }, (_, i) => `${i},row ${i}\n`).join(''))

/** A store of a server that answers as `answer` does. */
async function served(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<HttpStore> {
  const server = createServer(answer)
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return new HttpStore({ url: `http://127.0.0.1:${port}/data/` }, policy)
}

/** What a server with ranges sends for a request. */
function ranged(request: IncomingMessage, response: ServerResponse, etag = '"1"'): Buffer {
  const [, from, to] = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? '')?.map(Number) ?? []
  response.setHeader('etag', etag)
  if (from === undefined || to === undefined) {
    response.writeHead(200, { 'content-length': CONTENT.length })
    return request.method === 'HEAD' ? Buffer.alloc(0) : CONTENT
  }
  const part = CONTENT.subarray(from, to + 1)
  response.writeHead(206, {
    'content-range': `bytes ${from}-${from + part.length - 1}/${CONTENT.length}`,
    'content-length': part.length,
  })
  return part
}

const read = async (store: HttpStore, start = 0) => {
  const [head] = await findAll(store, 'rows.csv')
  return buffer(store.readRange(head!, { start }))
}

describe('files of a web server', () => {
  it('are read by range', async () => {
    const store = await served((request, response) => response.end(ranged(request, response)))
    expect((await read(store, 1000)).equals(CONTENT.subarray(1000))).toBe(true)
  })

  it('are read from the beginning where the server has no ranges', async () => {
    const store = await served((request, response) => {
      response.writeHead(200, { 'content-length': CONTENT.length, etag: '"1"' })
      response.end(request.method === 'HEAD' ? undefined : CONTENT)
    })
    expect((await read(store, 1000)).equals(CONTENT.subarray(1000))).toBe(true)
  })

  it('are read on at the byte where a connection broke, and after a storm of refusals', async () => {
    let asked = 0
    const store = await served((request, response) => {
      asked++
      if (request.method !== 'HEAD' && asked % 3 === 0) return response.writeHead(503).end()
      const body = ranged(request, response)
      if (request.method === 'HEAD' || asked % 2 === 0 || body.length < 100) return response.end(body)
      response.write(body.subarray(0, body.length >> 1), () => response.destroy())
    })
    expect((await read(store)).equals(CONTENT)).toBe(true)
  })

  it('are refused where they change while they are read', async () => {
    let asked = 0
    const store = await served((request, response) => {
      asked++
      response.end(ranged(request, response, asked > 1 ? '"2"' : '"1"'))
    })
    await expect(read(store)).rejects.toMatchObject({ code: 'FERRY-5005' })
  })

  it('are there for servers that do not know HEAD', async () => {
    const store = await served((request, response) => {
      if (request.method === 'HEAD') return response.writeHead(405).end()
      response.end(ranged(request, response))
    })
    expect((await read(store)).equals(CONTENT)).toBe(true)
  })

  it('keep the bytes that are stored, and no others', async () => {
    const packed = gzipSync(CONTENT)
    const store = await served((request, response) => {
      response.writeHead(200, { 'content-length': packed.length, etag: '"1"' })
      response.end(request.method === 'HEAD' ? undefined : packed)
    })
    expect((await read(store)).equals(packed)).toBe(true)
  })

  it('keep them where the server packs them though it was asked not to', async () => {
    const packed = gzipSync(CONTENT)
    const store = await served((request, response) => {
      response.writeHead(200, { 'content-length': packed.length, 'content-encoding': 'gzip', etag: '"1"' })
      response.end(request.method === 'HEAD' ? undefined : packed)
    })
    expect((await read(store)).equals(packed)).toBe(true)
  })

  it('are those that are named: a # is a part of a name, a query is sent and not shown, a page is no file', async () => {
    const asked: string[] = []
    const store = await served((request, response) => {
      asked.push(request.url!)
      response.writeHead(403).end()
    })
    await expect(findAll(store, 'orders#1.csv?sig=very-secret')).rejects.toThrow(/orders#1\.csv\?…: 403/)
    expect(asked[0]).toBe('/data/orders%231.csv?sig=very-secret')
    const page = await served((_, response) => {
      response.writeHead(200, { 'content-type': 'text/html; charset=utf-8', 'content-length': '20' })
      response.end('<html>sign in</html>')
    })
    await expect(findAll(page, 'rows.csv')).rejects.toMatchObject({ code: 'FERRY-2007' })
  })

  it('are read by a job whose locator has a signature', async () => {
    const server = createServer((request, response) => {
      if (!request.url!.endsWith('/rows.csv?sig=a%2Fb*')) return response.writeHead(404).end()
      response.end(ranged(request, response))
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void server.close(server.closeAllConnections() as never))
    const { port } = server.address() as AddressInfo
    const folder = temporaryFolder()
    const source = `http://127.0.0.1:${port}/data/rows.csv?sig=a%2Fb*`
    const to = `sqlite:${join(folder, 'to.db')}#rows`
    const { code, stderr } = await startFerry(['copy', source, to, '--header', 'no', '--quiet'], {
      home: join(folder, 'home'),
    }).done
    expect(code, stderr).toBe(0)
    const copied = new DatabaseSync(join(folder, 'to.db')).prepare('SELECT count(*) AS n FROM rows').get()
    expect({ ...copied }).toEqual({ n: 300_000 })
  })

  it('are copied as they are into a folder, and not a file of this machine that has their name', async () => {
    const store = await served((request, response) => response.end(ranged(request, response)))
    const [head] = await findAll(store, 'rows.csv')
    const folder = temporaryFolder()
    const run = { run: 'r', job: 'j', epoch: 1, confirm: async () => {}, holds: async () => {} }
    const files = new LocalFolder(folder, policy).files(run, 'out/', 0)
    await files.put('rows.csv', { store, head: head! }, new AbortController().signal)
    expect(readFileSync(join(folder, 'out/rows.csv')).equals(CONTENT)).toBe(true)
  })

  it('are errors with a next step', async () => {
    const statuses: [number, string][] = [
      [401, 'FERRY-2002'],
      [403, 'FERRY-2004'],
      [400, 'FERRY-2007'],
    ]
    for (const [status, code] of statuses) {
      const store = await served((_, response) => response.writeHead(status).end())
      await expect(findAll(store, 'rows.csv')).rejects.toMatchObject({ code })
    }
    const missing = await served((_, response) => response.writeHead(404).end())
    expect(await findAll(missing, 'rows.csv')).toEqual([])
    await expect(findAll(missing, '*.csv')).rejects.toMatchObject({ code: 'FERRY-3001' })
    expect(() => missing.identityOf('../secret')).toThrow(/leads out/)
  })
})
