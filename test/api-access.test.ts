/** Who may call the API, and what it refuses. */
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { describedBy, operations } from './openapi.ts'
import { makeSource, type Problem, serverWithJob, startServer, type TestServer } from './server.ts'
import { ferry, makeDatabase, temporaryFolder } from './support.ts'

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
      'POST /api/v1/callbacks/{id}',
      'POST /api/v1/factories/{name}/triggers/{trigger}/events',
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
    expect(await raw(server, 'GET', 'http://evil.example/api/v1/jobs', headers('localhost:1'))).toBe(400)
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
    expect(yaml.problem.detail).toContain('job:4: tabels: is unknown: did you mean "tables"?')
    // A text that would grow without end does not.
    const laughs = `a: &a [x,x,x,x,x,x,x,x,x]\n${'bcdefghi'
      .split('')
      .map((c, i) => `${c}: &${c} [${Array(9).fill(`*${'abcdefgh'[i]}`).join(',')}]`)
      .join('\n')}\n`
    expect((await send(laughs, 'application/yaml')).status).toBe(400)
  })

  it('settings that are wrong, each with its place', async () => {
    const { server, folder } = await serverWithJob()
    await server.call('PUT', '/connections/files', { kind: 'files', settings: { folder } })
    const job = {
      name: 'j',
      source: { connection: 'files' },
      destination: 'sqlite:b.db',
      read: { delimitr: '|', header: 'maybe' },
      write: { header: true },
      limits: { bytesPerSecond: 'fast', parallel: 0 },
      tables: ['a.csv', { from: 'b.csv', limit: -1, splitSize: '8 potatoes', read: { sample: 0 } }],
      schedules: [{ name: 's', cron: '0 99 * * *' }],
    }
    const placesOf = ({ body }: { body: Problem }) => body.faults?.map(f => f.path).sort()
    for (const path of ['/check', '/jobs', '/plan']) {
      const answer = await server.call<Problem>('POST', path, job)
      expect(answer.status).toBe(400)
      expect(placesOf(answer)).toEqual([
        'limits.bytesPerSecond',
        'limits.parallel',
        'read.delimitr',
        'read.header',
        'schedules.0.cron',
        'tables.1.limit',
        'tables.1.read.sample',
        'tables.1.splitSize',
        'write.header',
      ])
    }
    const settings = { host: 'h', port: 'x', pasword: 'p' }
    const store = await server.call<Problem>('POST', '/connections/test', { kind: 'postgres', settings })
    expect(placesOf(store)).toEqual(['pasword', 'port'])
  })

  it('values that would be taken for others, or for none, each by its place', async () => {
    const { server, folder } = await serverWithJob()
    await server.call('PUT', '/connections/files', { kind: 'files', settings: { folder } })
    const table = (settings: object) => ({ tables: [{ from: 'items', ...settings }] })
    const schedule = (settings: object) => ({ schedules: [{ name: 's', ...settings }] })
    const faults: [string, object][] = [
      ...['abc', '-5MB', '1e3', '2mbit', '0MB', '0'].map((v): [string, object] => [
        'limits.bytesPerSecond',
        { limits: { bytesPerSecond: v } },
      ]),
      ['limits.bytesPerSecond', { limits: { bytesPerSecond: 1e-9 } }],
      ['limits.rowsPerSecond', { limits: { rowsPerSecond: 1e-9 } }],
      ...['abc', '0', `${'9'.repeat(400)}TB`].map((v): [string, object] => ['splitSize', { splitSize: v }]),
      ...['abc', 'Infinity', '0x10', '0 min', '10 months'].map((v): [string, object] => [
        'tables.0.overlap',
        table({ overlap: v }),
      ]),
      ...['5 months', '10 ms', '1 decade', '1.5 sheep'].map((v): [string, object] => [
        'schedules.0.every',
        schedule({ every: v }),
      ]),
      ['triggers.0.settled', { triggers: [{ name: 't', files: '*.csv', settled: '500 ms' }] }],
      ['schedules.0.cron', schedule({ cron: '0 0 30 2 *' })],
      ['schedules.0.until', schedule({ daily: ['06:00'], from: '2030-01-02T00:00', until: '2030-01-01T00:00' })],
      ['schedules.0.monthly.days.0', schedule({ monthly: { days: [1.5], at: ['06:00'] } })],
      ['tables.0.columns.id', table({ columns: { id: 5 } })],
      ['tables.0.columns.id.nope', table({ columns: { id: { nope: 1 } } })],
      ['tables.0.columns.id.type', table({ columns: { id: { type: 'nonsense' } } })],
      ['tables.0.columns.id.type', table({ columns: { id: { type: 'decimal(5,9)' } } })],
      ['tables.0.constants.c.type', table({ constants: { c: { value: 1, type: 'integr' } } })],
      ['tables.0.keys', table({ keys: ['id', 'id'] })],
      ['tables.0.to', table({ to: 'a\0b' })],
      ['tables.0.where', table({ where: [] })],
      ['read.quote', { source: { connection: 'files' }, read: { quote: '|', delimiter: '|' } }],
      ['read.delimiter', { source: { connection: 'files' }, read: { delimiter: '\n' } }],
    ]
    const base = {
      name: 'j',
      source: { connection: 'source' },
      destination: { connection: 'target' },
      tables: ['items'],
    }
    for (const [path, part] of faults) {
      const answer = await server.call<Problem>('POST', '/jobs', { ...base, ...part })
      const told = `${path} ${JSON.stringify(part).slice(0, 80)}: ${answer.body.detail}`
      expect(answer.status, told).toBe(400)
      expect(
        answer.body.faults?.map(f => f.path),
        told,
      ).toEqual([path])
      expect(answer.body.detail, told).toContain(path)
    }
    const unions = await server.call<Problem>('POST', '/jobs', {
      ...base,
      ...schedule({ monthly: { days: [1.5], at: ['06:00'] } }),
    })
    expect(unions.body.detail).toContain('must be a whole number, or last')
    for (const read of ['{"format":"csv"}', '{"constructor":1}']) {
      const address = `/connections/source/columns?object=items&read=${encodeURIComponent(read)}`
      expect((await server.call('GET', address)).status).toBe(400)
    }
  })

  it('what is no address, too long, or packed, with the same form and status', async () => {
    const server = await startServer()
    for (const [path, status] of [
      ['/jobs/%zz', 400],
      [`/jobs/${'x'.repeat(1500)}`, 414],
      ['/nothing/here', 404],
    ] as const) {
      const answer = await server.call<Problem>('GET', path)
      expect(answer, path).toMatchObject({ status, body: { status } })
      expect(answer.body.code, path).toMatch(/^FERRY-600[34]$/)
      expect(answer.headers.get('content-type'), path).toContain('problem+json')
    }
    const sent = [
      [JSON.stringify({ name: 'x'.repeat(2_000_000) }), { 'content-type': 'application/json' }, 413],
      ['<job/>', { 'content-type': 'application/xml' }, 415],
      ['name: j', { 'content-type': 'application/yaml', 'content-encoding': 'gzip' }, 415],
    ] as const
    for (const [body, headers, status] of sent) {
      const answer = await server.call<Problem>('POST', '/jobs', body, headers)
      expect(answer).toMatchObject({ status, body: { status } })
    }
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
    // A connection to one of the server's folders names nothing in the others.
    mkdirSync(join(folder, 'other'))
    writeFileSync(join(folder, 'other', 'theirs.csv'), 'a\n1\n')
    await server.call('PUT', '/connections/inner', { kind: 'files', settings: { folder: join(folder, 'in') } })
    for (const object of [
      '../other/theirs.csv',
      join(folder, 'other', 'theirs.csv'),
      '../other/*.csv',
      '../**/*.csv',
    ]) {
      const path = `/connections/inner/preview?object=${encodeURIComponent(object)}`
      expect((await server.call<Problem>('GET', path)).body, object).toMatchObject({ code: 'FERRY-2006', status: 403 })
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
