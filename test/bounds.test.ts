/** What one caller asks of a server is bounded, taken by its word, and done outside the server's own process. */
import { readFileSync } from 'node:fs'
import { request } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, it, onTestFinished } from 'vitest'
import { describedBy, operations } from './openapi.ts'
import { type Problem, serverWithJob, serverWithSkipped, startServer, type TestServer } from './server.ts'
import { temporaryFolder, until } from './support.ts'

/** Another caller, of a role. */
async function tokenOf(server: TestServer, role: string): Promise<Record<string, string>> {
  const { body } = await server.call<{ token: string }>('POST', '/tokens', { name: role, role })
  return { authorization: `Bearer ${body.token}` }
}

describe('a word that is not known', () => {
  it('is refused in every body and every address', { timeout: 60_000 }, async () => {
    const { server } = await serverWithJob()
    const api = await describedBy(server)
    let asked = 0
    for (const { method, path, operation } of operations(api)) {
      if (path.endsWith('/events')) continue
      const address = path.replace(/\{\w+\}/g, 'job')
      const isInQuery = operation.parameters?.some(p => p.in === 'query')
      const body = operation.requestBody?.content['application/json']?.schema as { type?: string; anyOf?: object[] }
      const isList = body?.type === 'array'
      if (isInQuery) {
        const answer = await server.call<Problem>(method, `/!${address.slice(1)}?nonsense=1`)
        expect(answer.status, `${method} ${address}?nonsense`).toBe(400)
        asked++
      }
      // What stores send is read once the secret is known.
      if (body && !isList && !/\/(hooks|callbacks)\//.test(path)) {
        const answer = await server.call<Problem>(method, `/!${address.slice(1)}`, { nonsense: 1 })
        expect(answer.status, `${method} ${address} {nonsense}`).toBe(400)
        expect(answer.body.detail, `${method} ${address}`).toMatch(/nonsense|is missing|must be/)
        asked++
      }
    }
    expect(asked).toBeGreaterThan(15)
  })

  it('resets nothing', async () => {
    const { server } = await serverWithJob()
    const answer = await server.call<Problem>('POST', '/jobs/job/reset', { table: ['items'] })
    expect(answer.status).toBe(400)
    expect(answer.body.detail).toContain('table')
  })
})

describe('a body', () => {
  it.each([
    ['JSON', `{"name":${'['.repeat(9000)}${']'.repeat(9000)}}`, 'application/json'],
    ['an alias of what holds it', 'name: &n\n  x: *n\n', 'application/yaml'],
    ['YAML', `name: ${'['.repeat(9000)}${']'.repeat(9000)}`, 'application/yaml'],
  ])('that lies too deep within itself is refused: %s', async (_, text, type) => {
    const server = await startServer()
    for (const path of ['/jobs', '/plan']) {
      const answer = await server.call<Problem>('POST', path, text, { 'content-type': type })
      expect(answer.status).toBe(400)
      expect(answer.body.detail).toMatch(/deep/)
    }
  })

  it('that comes slowly is one of five of a caller', async () => {
    const server = await startServer()
    const { port } = new URL(server.url)
    const head = [
      'POST /api/v1/jobs HTTP/1.1',
      `host: localhost:${port}`,
      'authorization: Bearer a-token-for-tests',
      'content-type: application/json',
      'content-length: 900000',
      '',
      '{',
    ].join('\r\n')
    const answers: string[] = []
    for (let i = 0; i < 30; i++) {
      const socket = connect(Number(port), '127.0.0.1', () => socket.write(head))
      socket.on('error', () => {})
      socket.on('data', data => answers.push(data.toString().split('\r\n')[0]!))
      onTestFinished(() => {
        socket.destroy()
      })
    }
    await until(() => answers.length === 25, 'all but five to be refused')
    expect(new Set(answers)).toEqual(new Set(['HTTP/1.1 429 Too Many Requests']))
    // Small ones go on.
    expect((await server.call('POST', '/schedules/times', { name: 's', every: '1 d' })).status).toBe(200)
  })
})

it('who sends byte by byte takes no memory, and keeps nobody waiting', { timeout: 60_000 }, async () => {
  const server = await startServer()
  const before = rssOf(server.pid)
  const pieces = Buffer.from('1\r\nx\r\n'.repeat(10_000))
  const { port } = new URL(server.url)
  /** A body of 200,000 pieces; gives back the first line of the answer. */
  const send = (path: string, token?: string) =>
    new Promise<string>(resolve => {
      const socket = connect(Number(port), '127.0.0.1', () => {
        const who = token === undefined ? '' : `authorization: Bearer ${token}\r\n`
        const head = `POST ${path} HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\n${who}content-type: application/json`
        socket.write(`${head}\r\ntransfer-encoding: chunked\r\n\r\n`)
        let sent = 0
        const go = () => {
          while (sent++ < 20 && !socket.destroyed) if (!socket.write(pieces)) return void socket.once('drain', go)
        }
        go()
      })
      let answer = ''
      socket.on('data', data => {
        answer += data
      })
      socket.on('error', () => undefined)
      socket.once('close', () => resolve(answer.split('\r\n')[0]!))
    })
  let slowest = 0
  let isOver = false
  const asking = (async () => {
    while (!isOver) {
      const start = performance.now()
      await fetch(`${server.url}/healthz`)
      slowest = Math.max(slowest, performance.now() - start)
    }
  })()
  const answers = await Promise.all([
    ...Array.from({ length: 5 }, () => send('/api/v1/schedules/times', server.token)),
    ...Array.from({ length: 15 }, () => send('/api/v1/jobs/x/runs')),
  ])
  isOver = true
  await asking
  expect(new Set(answers)).toEqual(new Set(['HTTP/1.1 413 Payload Too Large', 'HTTP/1.1 401 Unauthorized']))
  // Four million pieces are parsed meanwhile, beside other tests.
  expect(slowest).toBeLessThan(10_000)
  expect(rssOf(server.pid) - before).toBeLessThan(60)
})

/** Megabytes of memory of a process. */
const rssOf = (pid: number) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024

it('whose body is refused reads why, by whatever way it is sent', { timeout: 60_000 }, async () => {
  const server = await startServer()
  const body = Buffer.alloc(5_000_000, 'x')
  const statuses = new Map<string, Set<number | undefined>>()
  /** One request by a connection of its own, whose body begins before the answer and is not at its end. */
  const send = (headers: Record<string, string>) =>
    new Promise<number | undefined>((resolve, reject) => {
      const sent = request(`${server.url}/api/v1/jobs`, { method: 'POST', agent: false, headers }, answer => {
        answer.resume().once('error', reject)
        answer.once('end', () => resolve(answer.statusCode))
      })
      sent.once('error', reject)
      sent.write(body.subarray(0, 1000))
      sent.end(body.subarray(1000))
    })
  for (let i = 0; i < 10; i++) {
    for (const token of [server.token, 'x']) {
      for (const size of [undefined, body.length]) {
        const headers: Record<string, string> = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
        if (size !== undefined) headers['content-length'] = `${size}`
        const seen = statuses.get(token) ?? new Set()
        seen.add(await send(headers))
        seen.add((await fetch(`${server.url}/api/v1/jobs`, { method: 'POST', headers, body })).status)
        statuses.set(token, seen)
      }
    }
  }
  expect(statuses).toEqual(
    new Map([
      [server.token, new Set([413])],
      ['x', new Set([401])],
    ]),
  )
})

it('whose refused body does not end is let go', { timeout: 60_000 }, async () => {
  const { url } = await startServer()
  const { port } = new URL(url)
  const socket = connect(Number(port), '127.0.0.1')
  let isClosed = false
  socket.on('error', () => {}).on('close', () => (isClosed = true))
  socket.write(`POST /api/v1/jobs HTTP/1.1\r\nhost: localhost:${port}\r\ncontent-length: 900000000\r\n\r\n`)
  const feed = setInterval(() => socket.write('x'), 50)
  onTestFinished(() => clearInterval(feed))
  await until(() => isClosed, 'the connection to be closed')
})

it('one caller has so many event streams, and others theirs', { timeout: 60_000 }, async () => {
  const server = await startServer()
  const operator = await tokenOf(server, 'operator')
  const stop = new AbortController()
  onTestFinished(() => stop.abort())
  const open = async (headers: Record<string, string>) => {
    const answer = await fetch(`${server.url}/api/v1/events`, { headers, signal: stop.signal })
    return answer.status
  }
  const statuses = await Promise.all(Array.from({ length: 105 }, () => open(operator)))
  expect(statuses.filter(s => s === 200)).toHaveLength(100)
  expect(statuses.filter(s => s === 429)).toHaveLength(5)
  expect(await open({ authorization: `Bearer ${server.token}` })).toBe(200)
})

it('a message is kept short, whatever stands in it', async () => {
  const { server } = await serverWithJob()
  const tables = Array.from({ length: 9000 }, (_, i) => `no-table-of-this-long-name-and-number-${i}`)
  expect((await server.call('POST', '/jobs/job/runs', { tables })).status).toBe(202)
  const run = await server.waitFor('job', 'failed')
  expect((run.error as Problem & { message: string }).message.length).toBeLessThan(5000)
})

it('a schedule has times that a date can be', async () => {
  const { server } = await serverWithJob()
  const schedules = [{ name: 's', cron: '0 6 * * *', from: '1960-01-01T00:00:00' }]
  const answer = await server.call<Problem>('PUT', '/jobs/job/schedules', schedules)
  expect(answer.status).toBe(400)
  expect(answer.body.detail).toContain('1971')
  expect((await server.call('GET', '/jobs/job/schedules')).status).toBe(200)
})

it('viewers are told that a value does not fit, and not the value', { timeout: 60_000 }, async () => {
  const folder = temporaryFolder()
  const db = new DatabaseSync(join(folder, 'source.db'))
  db.exec(`CREATE TABLE items (id INTEGER PRIMARY KEY, n INTEGER); INSERT INTO items VALUES (1, 'secret-value')`)
  db.close()
  const server = await startServer({ folder })
  const definition = {
    name: 'job',
    source: `sqlite:${join(folder, 'source.db')}`,
    destination: `duckdb:${join(folder, 'target.duckdb')}`,
    tables: ['items'],
  }
  expect((await server.call('POST', '/jobs', definition)).status).toBe(201)
  const viewer = await tokenOf(server, 'viewer')
  const stop = new AbortController()
  onTestFinished(() => stop.abort())
  const stream = await fetch(`${server.url}/api/v1/events`, { headers: viewer, signal: stop.signal })
  await server.call('POST', '/jobs/job/runs')
  await server.waitFor('job', 'failed')
  const texts = async (headers: Record<string, string>) => {
    const all = ['/runs', '/runs/job', '/runs/job/tables', '/jobs'].map(p => server.call('GET', p, undefined, headers))
    return (await Promise.all(all)).map(a => JSON.stringify(a.body))
  }
  for (const text of await texts({})) expect(text).toContain('secret-value')
  for (const text of await texts(viewer)) expect(text).not.toContain('secret-value')
  for (const text of await texts(viewer)) expect(text).toContain('operators see which value')
  let told = ''
  for await (const chunk of stream.body!.pipeThrough(new TextDecoderStream())) {
    told += chunk
    if (told.includes('"state":"failed"')) break
  }
  expect(told).toContain('operators see which value')
  expect(told).not.toContain('secret-value')
})

it('skipped rows are copied again once, however many ask for it at one time', { timeout: 60_000 }, async () => {
  // Without a key nothing but Ferry keeps a row from being there twice.
  const { server, target, run } = await serverWithSkipped(
    500,
    'id INTEGER, name TEXT CHECK (id % 2 = 0), changed INTEGER',
  )
  expect(run).toMatchObject({ rowsCopied: 250, rowsSkipped: 250 })
  target.exec(`CREATE TABLE wide (id INTEGER, name TEXT, changed INTEGER); INSERT INTO wide SELECT * FROM items;
    DROP TABLE items; ALTER TABLE wide RENAME TO items`)
  const answers = await Promise.all(Array.from({ length: 5 }, () => server.call('POST', '/runs/job/retry')))
  const statuses = answers.map(a => a.status)
  expect(new Set([200, 409, ...statuses])).toEqual(new Set([200, 409]))
  expect(statuses).toContain(200)
  expect(target.prepare('SELECT count(*) AS n, count(DISTINCT id) AS ids FROM items').get()).toEqual({
    n: 500,
    ids: 500,
  })
})

it('a run is of all tables that are asked for, and of no others', { timeout: 60_000 }, async () => {
  const { server } = await serverWithJob()
  // One that is not there is told, also among others.
  await server.call('POST', '/jobs/job/runs', { tables: ['items', 'nosuch'] })
  const failed = await server.waitFor('job', 'failed')
  expect(failed.error).toMatchObject({ code: 'FERRY-3008', message: expect.stringContaining('nosuch') })
  // Who asks for the job afterwards means all of it: the mistake is not gone on with.
  const started = await server.call<{ run: string; outcome: string }>('POST', '/jobs/job/runs')
  expect(started.body.outcome).toBe('queued')
  expect(await server.waitFor(started.body.run, 'completed', 'failed')).toMatchObject({ state: 'completed' })
  expect((await server.call('POST', '/runs/job/pause')).status).toBe(409)
})

it.each([
  ['POST', '/jobs/job/reset?tables=items', undefined],
  ['POST', '/jobs/job/reset', '{"tables":["items"],"tables":["other"]}'],
  ['POST', '/jobs/job/reset', { tables: [] }],
  ['POST', '/jobs/job/runs?fullRefresh=true', undefined],
  ['POST', '/jobs/job/plan', { tables: ['items'] }],
  ['POST', '/runs/job/retry', { tables: ['items'] }],
  ['POST', '/runs/job/cancel?now=1', undefined],
])('%s %s that means something else is refused', async (method, path, body) => {
  const { server } = await serverWithJob()
  const type: Record<string, string> = typeof body === 'string' ? { 'content-type': 'application/json' } : {}
  const answer = await server.call<Problem>(method, path, body, type)
  expect(answer).toMatchObject({ status: 400, body: { code: 'FERRY-6003' } })
})

it('the audit has a line of whatever is done, with whatever body', async () => {
  const { server } = await serverWithJob()
  await server.call('POST', '/jobs/job/reset', { name: { toString: 1 } })
  const { body } = await server.call<{ events: { action: string; outcome: string }[] }>('GET', '/audit')
  expect(JSON.stringify(body)).toContain('/jobs/:name/reset')
})

it('a connection that sends request after request and reads nothing is let go', async () => {
  const server = await startServer()
  const { port } = new URL(server.url)
  const one = `GET /api/openapi.json HTTP/1.1\r\nhost: localhost:${port}\r\nauthorization: Bearer ${server.token}\r\n\r\n`
  const socket = connect(Number(port), '127.0.0.1', () => socket.write(one.repeat(300)))
  socket.on('error', () => {})
  const gone = new Promise(resolve => socket.once('close', resolve))
  socket.resume()
  await gone
  expect((await server.call('GET', '/!healthz')).status).toBe(200)
})

it('names with letters that patterns have are found by them', async () => {
  const { server, definition } = await serverWithJob()
  for (const name of ['a_b', 'a.b', 'axb']) await server.call('POST', '/jobs', { ...definition, name })
  const found = async (search: string) =>
    (await server.call<{ jobs: { name: string }[] }>('GET', `/jobs?search=${search}`)).body.jobs.map(j => j.name)
  expect(await found('a_b')).toEqual(['a_b'])
  expect(await found('%25')).toEqual([])
  expect(await found('B')).toEqual(expect.arrayContaining(['a_b', 'a.b', 'axb']))
})
