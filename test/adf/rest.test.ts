/** REST as the source of a copy: pages by each rule that Data Factory has. */

import { readdirSync, readFileSync } from 'node:fs'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { describe, expect, it, onTestFinished } from 'vitest'
import { temporaryFolder } from '../support.ts'
import {
  copyOf,
  csvDataset,
  dataset,
  filesDataset,
  folderService,
  folderWith,
  fromCsv,
  runFactory,
  service,
} from './factory.ts'

interface Page {
  body: string
  headers?: Record<string, string>
  status?: number
}

async function serve(answer: (url: URL, request: IncomingMessage) => Page): Promise<{ url: string; asked: string[] }> {
  const asked: string[] = []
  const server = createServer((request, response) => {
    asked.push(request.url!)
    const { body, headers = {}, status = 200 } = answer(new URL(request.url!, 'http://x'), request)
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked }
}

async function copied(url: string, relativeUrl: string, source: object, more: object = {}) {
  const folder = temporaryFolder()
  const artifacts = {
    'linkedService/rest': { type: 'RestService', typeProperties: { url, authenticationType: 'Anonymous' } },
    'linkedService/files': folderService(folder),
    'dataset/rest': { type: 'RestResource', linkedServiceName: service('rest'), typeProperties: { relativeUrl } },
    'dataset/json': filesDataset('Json', 'files'),
    'pipeline/p': {
      activities: [
        copyOf('copy', dataset('rest'), dataset('json', { file: 'out.json' }), {
          source: { type: 'RestSource', requestInterval: '00:00:00', httpRequestTimeout: '00:01:40', ...source },
          sink: { type: 'JsonSink', storeSettings: { type: 'FileServerWriteSettings' } },
          ...more,
        }),
      ],
    },
  }
  const ran = await runFactory(artifacts, 'p')
  const left = readdirSync(folder).length > 0 ? readFileSync(join(folder, 'out.json'), 'utf8').trim().split('\n') : []
  return { ran, lines: left }
}

const page = (n: number, rest: object = {}) => JSON.stringify({ data: [{ n }], ...rest })

describe('pages', () => {
  it('are ranges of a placeholder in the address', async () => {
    const { url, asked } = await serve(u => ({ body: page(Number(u.searchParams.get('offset'))) }))
    const { lines } = await copied(url, 'items?offset={offset}', {
      paginationRules: { 'QueryParameters.{offset}': 'RANGE:0:40:20' },
    })
    expect(asked).toEqual(['/items?offset=0', '/items?offset=20', '/items?offset=40'])
    expect(lines).toEqual([page(0), page(20), page(40)])
  })

  it('end where a condition holds', async () => {
    const { url, asked } = await serve(u => {
      const n = Number(u.searchParams.get('n'))
      return { body: n < 3 ? page(n) : JSON.stringify({ data: [] }) }
    })
    await copied(url, 'items?n={n}', {
      paginationRules: { 'AbsoluteUrl.{n}': 'RANGE:1::1', 'EndCondition:$.data': 'Empty' },
    })
    expect(asked).toEqual(['/items?n=1', '/items?n=2', '/items?n=3'])
  })

  it('lead to the next by an address, by a parameter, by a header', async () => {
    const { url, asked } = await serve((u, request) => {
      if (u.pathname === '/a') return { body: u.search === '' ? page(1, { paging: { next: '/a?p=2' } }) : page(2) }
      if (u.pathname === '/b') return { body: u.searchParams.get('cursor') ? page(2) : page(1, { next: 'c2' }) }
      return request.headers['x-page'] === '2' ? { body: page(2) } : { body: page(1), headers: { 'x-next': '2' } }
    })
    const rules = { paginationRules: { AbsoluteUrl: '$.paging.next' } }
    expect((await copied(url, '/a', rules)).lines).toHaveLength(2)
    expect((await copied(url, '/b', { paginationRules: { 'QueryParameters.cursor': '$.next' } })).lines).toHaveLength(2)
    expect(
      (await copied(url, '/c', { paginationRules: { "Headers['x-page']": 'Headers.x-next' } })).lines,
    ).toHaveLength(2)
    expect(asked).toEqual(['/a', '/a?p=2', '/b', '/b?cursor=c2', '/c', '/c'])
  })

  it('follow links of RFC 5988 without a rule, and so many requests as allowed', async () => {
    const { url, asked } = await serve(u => ({ body: page(1), headers: { link: `<${u.pathname}x>; rel="next"` } }))
    await copied(url, '/l', { paginationRules: { SupportRFC5988: 'true', MaxRequestNumber: '3' } })
    expect(asked).toEqual(['/l', '/lx', '/lxx'])
  })

  it('that are lists are rows, with all their digits, and are mapped', async () => {
    const { url } = await serve(() => ({ body: '[{"id": 9007199254740993, "a": {"b": 1.10}}, {"id": 2}]' }))
    expect((await copied(url, '', {})).lines).toEqual(['{"id": 9007199254740993, "a": {"b": 1.10}}', '{"id": 2}'])
    const translator = {
      type: 'TabularTranslator',
      mappings: [{ source: { path: "$['a']['b']" }, sink: { name: 'b' } }],
    }
    expect((await copied(url, '', {}, { translator })).lines).toEqual(['{"b":1.1}', '{"b":null}'])
  })

  it('that cannot be had fail the copy', async () => {
    const { url } = await serve(() => ({ status: 500, body: '{"why":"no"}' }))
    expect((await copied(url, '', {})).ran.end.error!.message).toMatch(/answers 500: \{"why":"no"\}/)
    const text = await serve(() => ({ body: '<html>' }))
    expect((await copied(text.url, '', {})).ran.end.error!.message).toMatch(/answers no JSON/)
    const endless = await serve(() => ({ body: page(1) }))
    const rules = { paginationRules: { 'AbsoluteUrl.{n}': 'RANGE:1::1' } }
    expect((await copied(endless.url, '?n={n}', rules)).ran.end.error!.message).toMatch(/needs an end condition/)
  })
})

describe('rows to a service', () => {
  /** A service that keeps the lists it is sent; the requests whose numbers are in `refused` it answers by 503. */
  async function taking(refused: number[] = []) {
    const lists: unknown[][] = []
    const requests: { method: string; headers: IncomingMessage['headers'] }[] = []
    const server = createServer((request, response) => {
      const chunks: Buffer[] = []
      request.on('data', chunk => chunks.push(chunk))
      request.on('end', () => {
        requests.push({ method: request.method!, headers: request.headers })
        const isRefused = refused.includes(requests.length)
        const bytes = Buffer.concat(chunks)
        const text = request.headers['content-encoding'] === 'gzip' ? gunzipSync(bytes) : bytes
        if (!isRefused) lists.push(JSON.parse(text.toString()))
        response.writeHead(isRefused ? 503 : 200).end('{}')
      })
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void server.close())
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/api`, lists, requests }
  }
  async function sent(url: string, sink: object, more: object = {}) {
    const folder = folderWith({ 'in.csv': `id,name\n${[1, 2, 3, 4, 5].map(i => `${i},row ${i}\n`).join('')}` })
    return runFactory(
      {
        'linkedService/rest': { type: 'RestService', typeProperties: { url, authenticationType: 'Anonymous' } },
        'linkedService/files': folderService(folder),
        'dataset/rest': {
          type: 'RestResource',
          linkedServiceName: service('rest'),
          typeProperties: { relativeUrl: 'rows' },
        },
        'dataset/csv': csvDataset('files'),
        'pipeline/p': {
          activities: [
            copyOf(
              'copy',
              dataset('csv', { file: 'in.csv' }),
              dataset('rest'),
              { source: fromCsv(), sink: { type: 'RestSink', requestInterval: 0, ...sink } },
              more,
            ),
          ],
        },
      },
      'p',
    )
  }
  const row = (i: number) => ({ id: String(i), name: `row ${i}` })

  it('are sent as lists, so many in each, with its method and headers', async () => {
    const { url, lists, requests } = await taking()
    const ran = await sent(url, {
      requestMethod: 'PUT',
      writeBatchSize: 2,
      additionalHeaders: { 'x-who': 'ferry' },
      httpCompressionType: 'gzip',
    })
    expect(ran.end.error).toBeUndefined()
    expect(lists).toEqual([[row(1), row(2)], [row(3), row(4)], [row(5)]])
    expect(requests[0]).toMatchObject({ method: 'PUT', headers: { 'x-who': 'ferry', 'content-encoding': 'gzip' } })
    expect(ran.of('copy').output).toMatchObject({ rowsRead: 5, rowsCopied: 5 })
  })

  it('that were taken are not sent again when the activity is tried again', async () => {
    const { url, lists, requests } = await taking([2])
    const ran = await sent(url, { writeBatchSize: 2 }, { policy: { retry: 1, retryIntervalInSeconds: 0 } })
    expect(ran.end.error).toBeUndefined()
    expect(lists).toEqual([[row(1), row(2)], [row(3), row(4)], [row(5)]])
    expect(requests).toHaveLength(4)
  })

  it('that are refused fail the copy', async () => {
    const { url } = await taking([1])
    expect((await sent(url, {})).end.error!.message).toMatch(/answers 503/)
    expect((await sent(url, { requestMethod: 'DELETE' })).end.error!.message).toMatch(/requestMethod has to be one of/)
  })
})
