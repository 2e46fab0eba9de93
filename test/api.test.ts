/** The API: who may call what, what it refuses, what it tells, and that a run goes from the first call to its end. */
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { Ajv2020 } from 'ajv/dist/2020.js'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { seedOf } from './seed.ts'
import { type Answer, startServer, type TestServer } from './server.ts'
import { ferry, makeDatabase, temporaryFolder, until } from './support.ts'

const seed = seedOf('API')

interface Problem {
  code: string
  status: number
  detail: string
  hint: string
}

interface Operation {
  'x-ferry-role': string
  parameters?: { name: string; in: string; required?: boolean; schema: object }[]
  requestBody?: { content: Record<string, { schema: object }> }
  responses: Record<string, { content?: Record<string, { schema: object }> }>
}

interface OpenApi {
  openapi: string
  paths: Record<string, Record<string, Operation>>
  components: object
}

async function describedBy(server: TestServer): Promise<OpenApi> {
  return (await server.call<OpenApi>('GET', '/api/openapi.json')).body
}

/** All operations with a path that can be called. */
function operations(api: OpenApi) {
  return Object.entries(api.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      method: method.toUpperCase(),
      path,
      operation,
      address: path.replace(/\{(\w+)\}/g, 'x'),
    })),
  )
}

/** A small SQLite database in a folder that the server may use. */
function makeSource(folder: string, rows = 10): string {
  const path = join(folder, 'source.db')
  const db = new DatabaseSync(path)
  db.exec('CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT NOT NULL, changed INTEGER NOT NULL)')
  const insert = db.prepare('INSERT INTO items VALUES (?, ?, ?)')
  db.exec('BEGIN')
  for (let i = 1; i <= rows; i++) insert.run(i, `item ${i}`, i)
  db.exec('COMMIT')
  db.close()
  return path
}

async function serverWithJob(rows = 10) {
  const folder = temporaryFolder()
  makeSource(folder, rows)
  const server = await startServer({ folder })
  await server.call('PUT', '/connections/source', { locator: `sqlite:${join(folder, 'source.db')}` })
  await server.call('PUT', '/connections/target', { locator: `duckdb:${join(folder, 'target.duckdb')}` })
  const definition = {
    name: 'job',
    source: { connection: 'source' },
    destination: { connection: 'target' },
    update: 'merge',
    tables: ['items'],
  }
  expect((await server.call('POST', '/jobs', definition)).status).toBe(201)
  return { server, folder, definition }
}

/** A request as it is, without what fetch would mend. */
function raw(server: TestServer, method: string, path: string, headers: Record<string, string>): Promise<number> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(server.url)
    const sent = request({ hostname, port, method, path, headers, setHost: false }, answer => {
      answer.resume()
      resolve(answer.statusCode!)
    })
    sent.on('error', reject)
    sent.end()
  })
}

describe('who may call', () => {
  it('nobody without a token, and with a token only what its role allows', async () => {
    const server = await startServer()
    const api = await describedBy(server)
    expect(api.openapi).toBe('3.1.0')
    const tokens: Record<string, string> = {}
    for (const role of ['viewer', 'operator']) {
      const made = await server.call<{ token: string }>('POST', '/tokens', { name: role, role })
      tokens[role] = made.body.token
    }
    const all = operations(api)
    expect(all.length).toBeGreaterThan(45)
    const open = all.filter(o => o.operation['x-ferry-role'] === 'public').map(o => `${o.method} ${o.path}`)
    expect(open.sort()).toEqual([
      'GET /healthz',
      'GET /readyz',
      'POST /api/v1/hooks/{name}/{trigger}',
      'POST /api/v1/session',
    ])
    const rank: Record<string, number> = { viewer: 0, operator: 1, admin: 2 }
    for (const { method, address, operation, path } of all) {
      const needed = operation['x-ferry-role']
      if (needed === 'public') continue
      const at = `/!${address.slice(1)}`
      for (const bad of ['', 'Bearer wrong', 'Basic eDp5', `Bearer ${server.token}x`]) {
        const answer = await server.call<Problem>(method, at, undefined, { authorization: bad })
        expect(answer.status, `${method} ${path} with "${bad}"`).toBe(401)
        expect(answer.body.code).toBe('FERRY-6001')
      }
      for (const [role, token] of Object.entries(tokens)) {
        if (path === '/api/v1/events' || rank[role]! >= rank[needed]!) continue
        const answer = await server.call<Problem>(method, at, undefined, { authorization: `Bearer ${token}` })
        expect(answer.status, `${method} ${path} as ${role}`).toBe(403)
      }
    }
    const docs = await server.call('GET', '/!docs/', undefined, { authorization: '' })
    expect(docs.status).toBe(401)
    expect((await server.call('GET', '/!docs/')).status).toBe(200)
    // What was refused is told too.
    const audit = await server.call<{ who: string; action: string; outcome: string }[]>('GET', '/audit?limit=500')
    expect(audit.body.some(e => e.who === '(nobody)' && e.outcome === '401')).toBe(true)
    expect(audit.body.find(e => e.who === 'viewer' && e.action === 'POST /api/v1/plan')?.outcome).toBe('403')
  })

  it('browsers with a cookie, for what changes something only from its own pages', async () => {
    const server = await startServer()
    const signed = await server.call<{ csrf: string }>(
      'POST',
      '/session',
      { token: server.token },
      { authorization: '' },
    )
    expect(signed.status).toBe(200)
    const cookie = signed.headers.get('set-cookie')!
    expect(cookie).toMatch(/HttpOnly/)
    expect(cookie).toMatch(/SameSite=Strict/)
    const headers = { authorization: '', cookie: cookie.split(';')[0]! }
    expect((await server.call('GET', '/jobs', undefined, headers)).status).toBe(200)
    const make = (more: Record<string, string>) =>
      server.call<Problem>('POST', '/tokens', { name: `t${Math.random()}`, role: 'viewer' }, { ...headers, ...more })
    expect((await make({})).status).toBe(403)
    expect((await make({ 'x-ferry-csrf': 'guess' })).status).toBe(403)
    expect((await make({ 'x-ferry-csrf': signed.body.csrf, 'sec-fetch-site': 'cross-site' })).status).toBe(403)
    expect((await make({ 'x-ferry-csrf': signed.body.csrf })).status).toBe(201)
    const own = { ...headers, 'x-ferry-csrf': signed.body.csrf }
    expect((await server.call('DELETE', '/session', undefined, own)).status).toBe(204)
    expect((await server.call('GET', '/jobs', undefined, headers)).status).toBe(401)
  })

  it('a token that is removed opens nothing any more, nor does a session that it opened', async () => {
    const server = await startServer()
    const { body } = await server.call<{ id: string; token: string }>('POST', '/tokens', { name: 'a', role: 'admin' })
    const signed = await server.call('POST', '/session', { token: body.token }, { authorization: '' })
    const cookie = signed.headers.get('set-cookie')!.split(';')[0]!
    expect((await server.call('GET', '/jobs', undefined, { authorization: '', cookie })).status).toBe(200)
    expect((await server.call('DELETE', `/tokens/${body.id}`)).status).toBe(204)
    expect((await server.call('GET', '/jobs', undefined, { authorization: '', cookie })).status).toBe(401)
    expect((await server.call('GET', '/jobs', undefined, { authorization: `Bearer ${body.token}` })).status).toBe(401)
  })

  it("another value of the environment's token is another token, also for sessions", async () => {
    const home = join(temporaryFolder(), 'home')
    const server = await startServer({ home, env: { FERRY_TOKEN: 'first' } })
    const as = (token: string) => ({ authorization: `Bearer ${token}` })
    const signed = await server.call('POST', '/session', { token: 'first' }, { authorization: '' })
    const headers = { authorization: '', cookie: signed.headers.get('set-cookie')!.split(';')[0]! }
    expect((await server.call('GET', '/jobs', undefined, headers)).status).toBe(200)
    server.kill('SIGTERM')
    await server.gone
    const second = await startServer({ home, env: { FERRY_TOKEN: 'second' } })
    expect((await second.call('GET', '/jobs', undefined, as('second'))).status).toBe(200)
    expect((await second.call('GET', '/jobs', undefined, as('first'))).status).toBe(401)
    expect((await second.call('GET', '/jobs', undefined, headers)).status).toBe(401)
  })

  it('makes a token at its first start, tells it once, and keeps it where only its owner reads it', async () => {
    const home = join(temporaryFolder(), 'home')
    const server = await startServer({ home, env: { FERRY_TOKEN: '' } })
    expect(server.token).toMatch(/^ferry_/)
    expect((await server.call('GET', '/session')).status).toBe(200)
    expect(readFileSync(join(home, 'state.db')).includes(server.token)).toBe(false)
    server.kill('SIGTERM')
    expect(await server.gone).toBe(0)
    const again = await startServer({ home, env: { FERRY_TOKEN: '' } })
    expect(again.token, 'it is not told again').not.toMatch(/^ferry_/)
    const headers = { authorization: `Bearer ${server.token}` }
    expect((await again.call('GET', '/session', undefined, headers)).status).toBe(200)
  })

  it('only under its own names', async () => {
    const server = await startServer({ args: ['--allowed-host', 'ferry.example.org'] })
    const headers = (host: string) => ({ host, authorization: `Bearer ${server.token}` })
    expect(await raw(server, 'GET', '/api/v1/jobs', headers('evil.example'))).toBe(400)
    expect(await raw(server, 'GET', '/api/v1/jobs', headers('127.0.0.1.evil.example:7070'))).toBe(400)
    expect(await raw(server, 'GET', '/api/v1/jobs', headers('ferry.example.org'))).toBe(200)
    expect(await raw(server, 'GET', '/api/v1/jobs', headers('localhost:1'))).toBe(200)
  })

  it('signing in is tried so often only', async () => {
    const server = await startServer()
    const statuses: number[] = []
    for (let i = 0; i < 25; i++) {
      statuses.push((await server.call('POST', '/session', { token: 'x' }, { authorization: '' })).status)
    }
    expect(statuses.slice(0, 20)).toEqual(Array(20).fill(401))
    expect(statuses.at(-1)).toBe(429)
  })
})

describe('what it refuses', () => {
  it('bodies that are too large, are no JSON, or of an unknown kind', async () => {
    const server = await startServer()
    const send = async (body: string, type: string) => {
      const answer = await fetch(`${server.url}/api/v1/jobs`, {
        method: 'POST',
        headers: { authorization: `Bearer ${server.token}`, 'content-type': type },
        body,
      })
      return { status: answer.status, problem: (await answer.json()) as Problem }
    }
    expect((await send('{"a":', 'application/json')).status).toBe(400)
    expect((await send(JSON.stringify({ name: 'x'.repeat(5_000_000) }), 'application/json')).status).toBe(413)
    expect((await send('<job/>', 'application/xml')).status).toBe(415)
    expect((await send('{"__proto__":{"admin":true}}', 'application/json')).status).toBe(400)
    const yaml = await send('name: j\nsource: sqlite:a.db\ndestination: sqlite:b.db\ntabels: [t]\n', 'application/yaml')
    expect(yaml.status).toBe(400)
    expect(yaml.problem).toMatchObject({ code: 'FERRY-1003' })
    expect(yaml.problem.detail).toContain('job:4: unknown key "tabels": did you mean "tables"?')
    // A text that would grow without end does not.
    const laughs = `a: &a [x,x,x,x,x,x,x,x,x]\n${'bcdefghi'
      .split('')
      .map((c, i) => `${c}: &${c} [${Array(9).fill(`*${'abcdefgh'[i]}`).join(',')}]`)
      .join('\n')}\n`
    expect((await send(laughs, 'application/yaml')).status).toBe(400)
  })

  it('files outside its folders, by whatever way they are named', async () => {
    const folder = temporaryFolder()
    const outside = temporaryFolder()
    const secret = makeSource(outside)
    writeFileSync(join(outside, 'secret.csv'), 'a\n1\n')
    mkdirSync(join(folder, 'in'))
    symlinkSync(outside, join(folder, 'link'))
    symlinkSync(join(outside, 'secret.csv'), join(folder, 'in', 'link.csv'))
    const server = await startServer({ folder })
    const test = (body: object) => server.call<Problem>('POST', '/connections/test', body)
    for (const body of [
      { kind: 'sqlite', settings: { path: secret } },
      { kind: 'sqlite', settings: { path: join(folder, '..', outside.split('/').at(-1)!, 'source.db') } },
      { kind: 'sqlite', settings: { path: join(folder, 'link', 'source.db') } },
      { kind: 'duckdb', settings: { path: '/etc/passwd' } },
      { kind: 'files', settings: { folder: outside } },
      { kind: 'files', settings: { folder: '/' } },
      { locator: 'file:///etc' },
      { kind: 'sqlite', settings: { path: join(server.home, 'state.db') } },
    ]) {
      expect((await test(body)).body, JSON.stringify(body)).toMatchObject({ code: 'FERRY-2006', status: 403 })
    }
    await server.call('PUT', '/connections/files', { kind: 'files', settings: { folder } })
    const preview = (object: string) =>
      server.call<Problem>('GET', `/connections/files/preview?object=${encodeURIComponent(object)}`)
    for (const object of [
      join('..', outside.split('/').at(-1)!, 'secret.csv'),
      join(outside, 'secret.csv'),
      'link/secret.csv',
      'in/link.csv',
      'in/*.csv',
      '../**/*.csv',
      `${server.home}/token`,
    ]) {
      const { status, body } = await preview(object)
      expect([403, 404], `${object}: ${JSON.stringify(body)}`).toContain(status)
    }
    await server.call('PUT', '/connections/lake', { kind: 'duckdb', settings: { path: join(folder, 'lake.duckdb') } })
    for (const query of [
      `SELECT * FROM read_text('${join(outside, 'secret.csv')}')`,
      `SELECT * FROM read_csv('/etc/passwd')`,
      `SELECT * FROM read_text('${server.home}/*')`,
      `FROM sqlite_scan('${secret}', 'items')`,
    ]) {
      const { status, body } = await server.call('GET', `/connections/lake/preview?query=${encodeURIComponent(query)}`)
      expect(status, JSON.stringify(body)).toBeGreaterThanOrEqual(400)
      expect(JSON.stringify(body)).not.toMatch(/root:x|"1"/)
    }
    for (const path of [
      '/assets/../../../package.json',
      '/assets/%2e%2e/%2e%2e/package.json',
      '/docs/static/..%2f..%2fpackage.json',
    ]) {
      expect(
        await raw(server, 'GET', path, { host: 'localhost', authorization: `Bearer ${server.token}` }),
      ).toBeGreaterThanOrEqual(400)
    }
    // A job has no other ways than a connection has.
    await server.call('POST', '/jobs', {
      name: 'j',
      source: `sqlite:${secret}`,
      destination: { connection: 'lake' },
      tables: ['items'],
    })
    expect((await server.call('POST', '/jobs/j/runs')).status).toBe(202)
    expect(await server.waitFor('j', 'failed')).toMatchObject({ error: { code: 'FERRY-2006' } })
  })

  it('addresses at which a machine gets its credentials', async () => {
    const server = await startServer()
    for (const body of [
      { kind: 'postgres', settings: { host: '169.254.169.254', port: 80 } },
      { kind: 'postgres', settings: { host: '2852039166', port: 80 } },
      { kind: 'postgres', settings: { host: '0xA9FEA9FE', port: 80 } },
      { kind: 'mysql', settings: { host: '::ffff:169.254.169.254' } },
      { kind: 'mysql', settings: { host: 'fe80::1' } },
      { kind: 'postgres', settings: { host: 'metadata.google.internal' } },
      { kind: 'cosmos', settings: { endpoint: 'http://169.254.169.254/', key: 'eA==' } },
      { kind: 'cosmos', settings: { connectionString: 'AccountEndpoint=http://169.254.169.254/;AccountKey=eA==;' } },
      { kind: 'cosmos', settings: { endpoint: 'http://[fd00:ec2::254]/', key: 'eA==' } },
      { kind: 'cosmos', settings: { endpoint: 'http://100.100.100.200/', key: 'eA==' } },
      { locator: 'postgres://a@169.254.169.254/latest' },
    ]) {
      const { body: problem } = await server.call<Problem>('POST', '/connections/test', body)
      expect(problem, JSON.stringify(body)).toMatchObject({ code: 'FERRY-2006' })
    }
  })

  it('names that would be more than names', async () => {
    const { server } = await serverWithJob()
    for (const name of ['a\r\nset-cookie: x=1', 'a\nb', '../b', 'a/b', '<script>', 'x'.repeat(300), '']) {
      const answer = await server.call('PUT', `/connections/${encodeURIComponent(name)}`, { locator: 'sqlite:a.db' })
      expect(answer.status, JSON.stringify(name)).toBeGreaterThanOrEqual(400)
      expect(answer.headers.get('set-cookie')).toBeNull()
      const job = await server.call('POST', '/jobs', { name, source: 'a.db', destination: 'b.db', tables: ['t'] })
      expect(job.status).toBe(400)
    }
    const wrong = await server.call<Problem>('GET', `/runs/${encodeURIComponent("x' OR '1'='1")}`)
    expect(wrong.status).toBe(404)
    expect((await server.call('GET', '/jobs?search=%25')).status).toBe(200)
  })

  it('a home inside of a folder that files may be in', async () => {
    const folder = temporaryFolder()
    const home = join(folder, 'home')
    const { code, stderr } = await ferry(['serve', '--port', '0', '--folder', folder], { home })
    expect(code).toBe(1)
    expect(stderr).toContain('FERRY-2006')
    expect(stderr).toContain('--folder')
  })

  it('secrets in jobs; those of connections are kept so that nobody reads them', async () => {
    const { client, settings } = await makeDatabase()
    await client.query(`CREATE ROLE with_password LOGIN SUPERUSER PASSWORD 'hunter2-hunter2'`).catch(() => undefined)
    await client.query(`ALTER ROLE with_password PASSWORD 'hunter2-hunter2'`)
    const server = await startServer()
    const secret = 'hunter2-hunter2'
    const own = { ...settings, user: 'with_password', password: secret }
    const saved = await server.call('PUT', '/connections/pg', { kind: 'postgres', settings: own })
    expect(saved.status, JSON.stringify(saved.body)).toBe(200)
    expect(JSON.stringify(saved.body)).not.toContain(secret)
    const tested = await server.call<{ answer: string }>('POST', '/connections/pg/test')
    expect(tested.body.answer).toContain('PostgreSQL')
    expect(JSON.stringify((await server.call('GET', '/connections')).body)).not.toContain(secret)
    // As it is shown it can be saved again, but not sent to another place.
    const again = { kind: 'postgres', settings: { ...own, password: '***', ssl: 'disable' } }
    expect((await server.call('PUT', '/connections/pg', again)).status).toBe(200)
    expect((await server.call('POST', '/connections/pg/test')).status).toBe(200)
    const moved = { kind: 'postgres', settings: { ...own, password: '***', host: 'evil.example' } }
    expect((await server.call<Problem>('PUT', '/connections/pg', moved)).body.detail).toContain('another place')
    expect((await server.call<Problem>('POST', '/connections/test', { ...moved, name: 'pg' })).status).toBe(400)
    const stolen = { kind: 'postgres', settings: { ...own, password: 'sealed:pg/password', host: 'evil.example' } }
    expect((await server.call('PUT', '/connections/thief', stolen)).status).toBe(400)
    const wrong = { kind: 'postgres', settings: { ...own, password: 'wrong-wrong' } }
    const refused = await server.call<Problem>('POST', '/connections/test', wrong)
    expect(refused.body.code).toBe('FERRY-2002')
    expect(JSON.stringify(refused.body)).not.toContain('wrong-wrong')
    const job = { name: 'j', destination: { connection: 'pg' }, tables: ['t'] }
    for (const source of [
      `postgres://u:${secret}@h/d`,
      { kind: 'postgres', ...own },
      { kind: 'postgres', password: 'sealed:pg/password' },
    ]) {
      expect((await server.call<Problem>('POST', '/jobs', { ...job, source })).body).toMatchObject({
        code: 'FERRY-6003',
      })
    }
    server.kill('SIGTERM')
    await server.gone
    for (const file of readdirSync(server.home, { recursive: true, withFileTypes: true })) {
      if (!file.isFile()) continue
      expect(readFileSync(join(file.parentPath, file.name)).includes(secret), file.name).toBe(false)
    }
    expect(server.log()).not.toContain(secret)
    // Another key opens nothing.
    const key = Buffer.alloc(32, 7).toString('base64')
    const other = await startServer({ home: server.home, env: { FERRY_KEY: key } })
    expect((await other.call<Problem>('POST', '/connections/pg/test')).body).toMatchObject({ code: 'FERRY-5011' })
  })

  it('sends headers that keep pages to themselves', async () => {
    const server = await startServer()
    const page = await server.call('GET', '/!jobs', undefined, { accept: 'text/html', authorization: '' })
    const policy = page.headers.get('content-security-policy')!
    expect(policy).toContain("default-src 'none'")
    expect(policy).toContain("script-src 'self'")
    expect(policy).toContain("frame-ancestors 'none'")
    expect(policy).not.toContain('unsafe')
    for (const [name, value] of [
      ['x-content-type-options', 'nosniff'],
      ['x-frame-options', 'SAMEORIGIN'],
      ['referrer-policy', 'no-referrer'],
    ]) {
      expect(page.headers.get(name!)).toBe(value)
    }
    const answer = await server.call('GET', '/jobs')
    expect(answer.headers.get('cache-control')).toBe('no-store')
    expect(answer.headers.get('access-control-allow-origin')).toBeNull()
  })
})

describe('fuzzed from its own description', () => {
  const hostile = fc.constantFrom<unknown>(
    '',
    '\0',
    'x'.repeat(3000),
    '../../etc/passwd',
    "'; DROP TABLE run; --",
    '{{7*7}}',
    '%00',
    '\u{1f600}\ud800',
    -1,
    1e308,
    null,
    true,
    [],
    {},
    ['a'],
    '__proto__',
    'NaN',
  )

  /** A value that fits a schema, now and then one that does not. */
  function valueOf(schema: Record<string, unknown>, api: OpenApi): fc.Arbitrary<unknown> {
    const at = schema.$ref as string | undefined
    if (at)
      return valueOf(
        at
          .split('/')
          .slice(1)
          .reduce<Record<string, unknown>>((node, key) => node[key] as never, api as never),
        api,
      )
    const of = (all: unknown) => (all as Record<string, unknown>[]).map(s => valueOf(s, api))
    const made = () => {
      if (schema.anyOf) return fc.oneof(...of(schema.anyOf))
      if (schema.allOf)
        return fc.tuple(...of(schema.allOf)).map(all => Object.assign({}, ...all.filter(a => typeof a === 'object')))
      if (schema.enum) return fc.constantFrom(...(schema.enum as unknown[]))
      if ('const' in schema) return fc.constant(schema.const)
      if (schema.type === 'object') {
        const properties = Object.entries((schema.properties ?? {}) as Record<string, Record<string, unknown>>)
        const shape = Object.fromEntries(properties.map(([k, v]) => [k, valueOf(v, api)]))
        const more = schema.additionalProperties
          ? fc.dictionary(fc.string({ maxLength: 8 }), hostile, { maxKeys: 3 })
          : fc.constant({})
        return fc.tuple(fc.record(shape, { requiredKeys: [] }), more).map(([a, b]) => ({ ...b, ...a }))
      }
      if (schema.type === 'array') return fc.array(valueOf((schema.items ?? {}) as never, api), { maxLength: 3 })
      if (schema.type === 'integer' || schema.type === 'number') return fc.integer({ min: -10, max: 600 })
      if (schema.type === 'boolean') return fc.boolean()
      if (schema.type === 'null') return fc.constant(null)
      return fc.oneof(
        fc.string(),
        fc.constantFrom('job', 'items', 'source', 'target', 'sqlite', '06:00', '15 min', '* * * * *'),
      )
    }
    return fc.oneof({ weight: 6, arbitrary: made() }, { weight: 1, arbitrary: hostile })
  }

  it('answers whatever comes, with what it says that it answers', { timeout: 300_000 }, async () => {
    const { server } = await serverWithJob()
    await server.call('POST', '/jobs/job/runs')
    await server.waitFor('job', 'completed')
    const api = await describedBy(server)
    const ajv = new Ajv2020({ strict: false, validateFormats: false })
    ajv.addSchema({ $id: 'api', components: api.components })
    const known = ['job', 'source', 'target', 'x']
    let answered = 0
    const fits = async (answer: Answer<unknown>, operation: Operation, what: string) => {
      answered++
      expect(answer.status, `${what}: ${JSON.stringify(answer.body)}`).toBeLessThan(500)
      const told = operation.responses[answer.status] ?? operation.responses[`${String(answer.status)[0]}XX`]
      expect(told, `${what} answered ${answer.status}`).toBeDefined()
      const schema = told!.content?.['application/json']?.schema
      if (!schema || answer.status === 204 || typeof answer.body === 'string') return
      const text = JSON.stringify(schema).replaceAll('"#/components/', '"api#/components/')
      const check = ajv.compile(JSON.parse(text))
      expect(
        check(answer.body),
        `${what}: ${JSON.stringify(check.errors)} ${JSON.stringify(answer.body).slice(0, 500)}`,
      ).toBe(true)
      if (answer.status >= 400) expect(answer.headers.get('content-type')).toContain('application/problem+json')
    }
    for (const { method, path, operation } of operations(api)) {
      // One never ends, one ends the session, and others reach for hosts that are not there.
      if (path === '/api/v1/events' || path === '/metrics' || path.startsWith('/api/v1/session')) continue
      const parameters = operation.parameters ?? []
      const body = operation.requestBody?.content['application/json']?.schema as Record<string, unknown> | undefined
      const property = fc.asyncProperty(
        fc.record(
          Object.fromEntries(
            parameters.map(p => [
              p.name,
              p.in === 'path'
                ? fc.oneof(fc.constantFrom(...known), fc.string({ minLength: 1, maxLength: 20 }))
                : fc.option(valueOf(p.schema as never, api), { nil: undefined }),
            ]),
          ),
        ),
        body ? valueOf(body, api) : fc.constant(undefined),
        async (values, sent) => {
          const inPath = (name: string) => encodeURIComponent(String(values[name]).toWellFormed())
          const address = path.replace(/\{(\w+)\}/g, (_, name: string) => inPath(name))
          if (/\/\.{1,2}(\/|$)/.test(address)) return
          const query = parameters.filter(p => p.in === 'query' && values[p.name] !== undefined)
          const search = new URLSearchParams(
            query.map((p): [string, string] => [p.name, String(values[p.name]).toWellFormed()]),
          )
          const isJob = path === '/api/v1/jobs' || path === '/api/v1/plan'
          // A random job may name hosts of the network.
          const safe = isJob && typeof sent === 'object' && sent !== null ? { ...sent, source: 'sqlite:none.db' } : sent
          if (path.startsWith('/api/v1/connections') && ['PUT', 'POST'].includes(method) && hasHost(safe)) return
          const answer = await server.call(
            method,
            `/!${address.slice(1)}?${search}`,
            typeof safe === 'string' ? { text: safe } : safe,
          )
          await fits(answer, operation, `${method} ${address}?${search} ${JSON.stringify(safe)}`)
        },
      )
      await fc.assert(property, { numRuns: 25, seed, endOnFailure: true })
    }
    expect(answered).toBeGreaterThan(500)
    expect((await server.call('GET', '/!healthz')).status).toBe(200)
    expect(server.log()).not.toContain('unexpected error')
  })

  function hasHost(body: unknown): boolean {
    const { kind, locator } = (body ?? {}) as Record<string, unknown>
    return ['postgres', 'mysql', 'cosmos'].includes(String(kind)) || /:\/\//.test(String(locator))
  }
})

describe('from the first call to the end of a run', () => {
  it('looks into a source, plans, runs, tells what came of it', async () => {
    const { server, folder } = await serverWithJob(1000)
    const objects = await server.call('GET', '/connections/source/objects')
    expect(objects.body).toEqual({ objects: ['items'], total: 1 })
    const preview = await server.call('GET', '/connections/source/preview?object=items&limit=2')
    expect(preview.body).toMatchObject({
      rows: [
        ['1', 'item 1', '1'],
        ['2', 'item 2', '2'],
      ],
    })
    const { body: operator } = await server.call<{ token: string }>('POST', '/tokens', { name: 'o', role: 'operator' })
    const asOperator = { authorization: `Bearer ${operator.token}` }
    const looked = (what: string) => server.call('GET', `/connections/source/preview?${what}`, undefined, asOperator)
    expect((await looked('object=items')).status).toBe(200)
    expect((await looked('query=SELECT%201')).status).toBe(403)
    const near = await server.call<Problem>('GET', '/connections/source/columns?object=itemz')
    expect(near.body.detail).toContain('did you mean items')
    const plan = await server.call<{ tables: object[] }>('POST', '/jobs/job/plan')
    expect(plan.body.tables).toMatchObject([{ from: 'items', create: true, update: 'merge' }])
    const asked = await server.call<{ run: string }>('POST', '/jobs/job/runs')
    expect(asked.status).toBe(202)
    expect(asked.headers.get('location')).toBe(`/api/v1/runs/${asked.body.run}`)
    expect(await server.waitFor('job', 'completed')).toMatchObject({ rowsRead: 1000, rowsCopied: 1000, tablesDone: 1 })
    const { body } = await server.call<{ tables: object[] }>('GET', '/runs/job/tables')
    expect(body.tables).toMatchObject([{ source: 'items', state: 'completed', rowsCopied: 1000 }])
    await server.call('POST', '/jobs/job/runs')
    await until(async () => (await server.call<object[]>('GET', '/jobs/job/totals')).body.length > 0)
    await server.waitFor('job', 'completed')
    const totals = await server.call('GET', '/jobs/job/totals')
    expect(totals.body).toMatchObject([{ source: 'items', runs: 2, rowsCopied: 2000, failures: 0 }])
    const runs = await server.call<{ runs: object[] }>('GET', '/runs?job=job&state=completed,failed&invokedBy=manual')
    expect(runs.body.runs).toHaveLength(2)
    const jobs = await server.call<{ jobs: object[] }>('GET', '/jobs?search=JO')
    expect(jobs.body.jobs).toMatchObject([{ name: 'job', lastRun: { state: 'completed' } }])
    const yaml = await server.call<string>('GET', '/jobs/job/yaml')
    expect(yaml.body).toContain('name: job\nsource:\n  connection: source\n')
    expect((await server.call('PUT', '/jobs/job', `${yaml.body}description: mine\n`)).status).toBe(200)
    const metrics = await server.call<string>('GET', '/!metrics')
    expect(metrics.body).toContain('ferry_rows_copied_total 2000')
    expect(metrics.body).toMatch(
      /http_server_request_duration_seconds_bucket\{.*http_route="\/api\/v1\/jobs\/:name\/runs"/,
    )
    // The commands see the same.
    const shown = await ferry(['show', 'job', '--json'], { home: server.home, cwd: folder })
    expect(JSON.parse(shown.stdout)).toMatchObject({ state: 'completed', rowsCopied: 1000 })
    expect((await server.call('DELETE', '/jobs/job')).status).toBe(204)
    expect((await server.call('GET', '/runs/job')).status).toBe(404)
  })

  it('pauses, refuses a second run, goes on, cancels, starts behind what waits', async () => {
    const { server, definition } = await serverWithJob(20_000)
    await server.call('PUT', '/jobs/job', { ...definition, limits: { rowsPerSecond: 2000 } })
    const { body } = await server.call<{ run: string }>('POST', '/jobs/job/runs')
    await server.waitFor('job', 'running')
    const second = await server.call<Problem>('POST', '/jobs/job/runs')
    expect(second).toMatchObject({ status: 409, body: { code: 'FERRY-5001' } })
    expect((await server.call<Problem>('DELETE', '/jobs/job')).status).toBe(409)
    expect((await server.call('POST', `/runs/${body.run}/pause`)).status).toBe(202)
    await server.waitFor('job', 'paused')
    expect((await server.call<Problem>('POST', `/runs/${body.run}/pause`)).status).toBe(409)
    expect((await server.call<Problem>('POST', `/runs/${body.run}/complete`)).status).toBe(409)
    expect((await server.call('POST', `/runs/${body.run}/resume`)).status).toBe(202)
    await server.waitFor('job', 'running')
    expect((await server.call('POST', '/runs/job/cancel')).status).toBe(202)
    await server.waitFor('job', 'cancelled')
    expect((await server.call<Problem>('POST', `/runs/${body.run}/resume`)).status).toBe(409)
  })

  it('cancels the run that is meant, also where a newer one waits', async () => {
    const { server, definition, folder } = await serverWithJob()
    const broken = { ...definition, tables: ['nothing'] }
    await server.call('PUT', '/jobs/job', broken)
    const { body: first } = await server.call<{ run: string }>('POST', '/jobs/job/runs')
    await server.waitFor('job', 'failed')
    server.kill('SIGTERM')
    await server.gone
    // Nobody works: what is asked for waits.
    const idle = await startServer({ home: server.home, folder, args: ['--most', '0'] })
    await idle.call('PUT', '/jobs/job', definition)
    const { body: second } = await idle.call<{ run: string }>('POST', '/jobs/job/runs')
    expect(second.run).not.toBe(first.run)
    expect((await idle.call('POST', `/runs/${first.run}/cancel`)).body).toMatchObject({
      id: first.run,
      state: 'cancelled',
    })
    expect((await idle.call('GET', `/runs/${second.run}`)).body).toMatchObject({ state: 'pending' })
  })

  it('a run of which nobody is left is set aside, or given up, by the server', async () => {
    const { server } = await serverWithJob()
    // Nobody works: it waits.
    const idle = await startServer({ args: ['--most', '0'] })
    await idle.call('POST', '/jobs', { name: 'w', source: 'sqlite:a.db', destination: 'sqlite:b.db', tables: ['t'] })
    await idle.call('POST', '/jobs/w/runs')
    expect((await idle.call('POST', '/runs/w/pause')).body).toMatchObject({ state: 'paused' })
    expect((await idle.call('POST', '/runs/w/resume')).body).toMatchObject({ state: 'pending' })
    expect((await idle.call('POST', '/runs/w/cancel')).body).toMatchObject({ state: 'cancelled' })
    expect((await server.call('GET', '/!readyz')).body).toEqual({ status: 'ok' })
  })

  it('skipped rows are shown, and copied again once their cause is mended', async () => {
    const { client, settings } = await makeDatabase()
    await client.query('CREATE TABLE items (id int PRIMARY KEY, name text CHECK (length(name) < 7), changed int)')
    const { server, definition } = await serverWithJob(12)
    await server.call('PUT', '/connections/pg', { kind: 'postgres', settings })
    const job = {
      ...definition,
      name: 'skips',
      destination: { connection: 'pg' },
      onRowError: 'skip',
      narrowing: 'check',
    }
    await server.call('POST', '/jobs', { ...job, tables: [{ from: 'items', to: 'public.items' }], update: 'append' })
    await server.call('POST', '/jobs/skips/runs')
    expect(await server.waitFor('skips', 'completed')).toMatchObject({ rowsSkipped: 3, rowsCopied: 9 })
    const skipped = await server.call<{ total: number; rows: { reason: string }[] }>('GET', '/runs/skips/errors')
    expect(skipped.body.total).toBe(3)
    expect(skipped.body.rows[0]!.reason).toContain('items_name_check')
    await client.query('ALTER TABLE items DROP CONSTRAINT items_name_check')
    const retried = await server.call('POST', '/runs/skips/retry')
    expect(retried.body).toMatchObject({ tables: [{ tried: 3, copied: 3, left: 0 }] })
    expect((await client.query('SELECT count(*)::int AS n FROM items')).rows[0].n).toBe(12)
  })

  it('resets one table of an incremental job, by the API', async () => {
    const { server, definition } = await serverWithJob(50)
    const incremental = {
      ...definition,
      mode: 'incremental',
      tables: [{ from: 'items', incrementalColumn: 'changed' }],
    }
    await server.call('PUT', '/jobs/job', incremental)
    const run = async () => {
      await server.call('POST', '/jobs/job/runs')
      return server.waitFor('job', 'completed')
    }
    expect(await run()).toMatchObject({ rowsRead: 50 })
    const second = await run()
    expect(second).toMatchObject({ rowsRead: 0, mode: 'incremental' })
    expect((await server.call('POST', '/jobs/job/reset', { tables: ['items'] })).body).toEqual({
      discarded: null,
      reset: ['items'],
    })
    expect(await run()).toMatchObject({ rowsRead: 50 })
    const refresh = await server.call('POST', '/jobs/job/runs', { fullRefresh: true })
    expect(refresh.status).toBe(202)
    expect(await server.waitFor('job', 'completed')).toMatchObject({ rowsRead: 50 })
  })

  it('runs behind a call with the right secret only', async () => {
    const { server } = await serverWithJob()
    await server.call('PUT', '/jobs/job/triggers', [{ name: 'call me', webhook: true }])
    const none = await server.call<Problem>('POST', '/hooks/job/call%20me')
    expect(none.status).toBe(401)
    const made = await server.call<{ secret: string; address: string }>('POST', '/jobs/job/triggers/call%20me/secret')
    const { secret, address } = made.body
    const call = (given: string) =>
      server.call<{ run: string }>('POST', address, undefined, { authorization: `Bearer ${given}` })
    expect((await call('wrong')).status).toBe(401)
    expect((await call(server.token)).status).toBe(401)
    const answer = await call(secret)
    expect(answer.status).toBe(202)
    expect(await server.waitFor(answer.body.run, 'completed')).toMatchObject({ invokedBy: 'trigger:call me' })
    const again = await server.call<{ secret: string }>('POST', '/jobs/job/triggers/call%20me/secret')
    expect((await call(secret)).status).toBe(401)
    expect((await call(again.body.secret)).status).toBe(202)
    // The secret opens nothing else.
    expect((await server.call('GET', '/jobs', undefined, { authorization: `Bearer ${secret}` })).status).toBe(401)
  })

  it('tells live what becomes of a run', async () => {
    const { server } = await serverWithJob(5000)
    const stop = new AbortController()
    const headers = { authorization: `Bearer ${server.token}` }
    const stream = await fetch(`${server.url}/api/v1/events?job=job`, { headers, signal: stop.signal })
    expect(stream.headers.get('content-type')).toContain('text/event-stream')
    let text = ''
    const reading = (async () => {
      for await (const chunk of stream.body!) text += Buffer.from(chunk).toString()
    })().catch(() => undefined)
    await until(() => text.includes(': here'))
    await server.call('POST', '/jobs/job/runs')
    await until(() => text.includes('"state":"completed"'))
    stop.abort()
    await reading
    const runs = [...text.matchAll(/^event: run\ndata: (.*)$/gm)].map(m => JSON.parse(m[1]!))
    expect(runs.at(-1)).toMatchObject({ job: 'job', state: 'completed', rowsRead: 5000 })
  })
})
