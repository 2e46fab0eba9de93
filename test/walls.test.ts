/** What an attacker with a token has tried: secrets, variables, what outlives who was allowed it, what is told of it. */
import { fork, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, it, onTestFinished } from 'vitest'
import { makeSource, type Problem, startServer, type TestServer } from './server.ts'
import { ferry, program, temporaryFolder, until } from './support.ts'

const SECRET = 'hunter2-hunter2'

/** A line of the state as a former version, or somebody with the file, could have left it. */
function plant(server: TestServer, kind: string, settings: Record<string, unknown>): void {
  const db = new DatabaseSync(join(server.home, 'state.db'), { timeout: 5000 })
  db.prepare('INSERT OR REPLACE INTO connection (name, kind, settings, created_at) VALUES (?, ?, ?, ?)').run(
    'planted',
    kind,
    JSON.stringify(settings),
    '2026-01-01T00:00:00Z',
  )
  db.close()
}

describe('secrets', () => {
  it('are opened by their own connection only, under a setting that is one', async () => {
    const server = await startServer()
    const shop = { kind: 'postgres', settings: { host: '127.0.0.1', port: 1, user: 'u', password: SECRET } }
    expect((await server.call('PUT', '/connections/shop', shop)).status).toBe(200)
    const elsewhere: [string, Record<string, unknown>][] = [
      ['postgres', { host: '127.0.0.1', port: 1, database: 'sealed:shop/password' }],
      ['postgres', { host: '127.0.0.1', port: 1, user: 'sealed:shop/password' }],
      ['postgres', { host: '127.0.0.1', port: 1, password: 'sealed:shop/password' }],
      ['mysql', { host: '127.0.0.1', port: 1, password: 'sealed:planted/key' }],
      ['cosmos', { endpoint: 'http://127.0.0.1:1/', key: 'sealed:shop/password' }],
      ['sqlite', { path: 'sealed:shop/password' }],
    ]
    for (const [kind, settings] of elsewhere) {
      const kept = await server.call<Problem>('PUT', '/connections/other', { kind, settings })
      expect(kept.status, JSON.stringify(settings)).toBe(400)
      const tried = await server.call<Problem>('POST', '/connections/test', { kind, settings, name: 'shop' })
      expect(tried.status).toBe(400)
      plant(server, kind, settings)
      const planted = await server.call<Problem>('POST', '/connections/planted/test')
      expect(planted.body, JSON.stringify(settings)).toMatchObject({ code: 'FERRY-2003' })
      const job = { name: 'j', source: { kind, ...settings }, destination: 'sqlite:x.db', tables: ['t'] }
      expect((await server.call('POST', '/jobs', job)).status).toBe(400)
      for (const answer of [kept, tried, planted]) expect(JSON.stringify(answer.body)).not.toContain(SECRET)
    }
    expect(server.log()).not.toContain(SECRET)
  })

  it('do not stand in jobs, however they are written', async () => {
    const server = await startServer()
    for (const source of [
      `postgres://u:\${X}@h/d?password=${SECRET}`,
      `postgres://u@h/d?p%61ssword=${SECRET}`,
      `postgres://u@h/d?sas=${SECRET}`,
      `mysql://u@h/d?passphrase=${SECRET}`,
      `cosmos://h/d?connectionString=${SECRET}`,
      { kind: 'postgres', host: 'h', passphrase: SECRET },
      { kind: 'cosmos', endpoint: 'https://h/', servicePrincipalCredential: SECRET },
    ]) {
      const job = { name: 'j', source, destination: 'sqlite:x.db', tables: ['t'] }
      for (const path of ['/jobs', '/plan']) {
        const { status, body } = await server.call('POST', path, job)
        expect(status, JSON.stringify(source)).toBe(400)
        expect(JSON.stringify(body)).not.toContain(SECRET)
      }
    }
    expect(server.log()).not.toContain(SECRET)
  })

  it('of a trigger go with it', async () => {
    const folder = temporaryFolder()
    makeSource(folder, 3)
    const server = await startServer({ folder })
    const hook = { name: 'call', webhook: true }
    const job = { name: 'j', source: 'sqlite:source.db', destination: 'sqlite:x.db', tables: ['items'] }
    await server.call('POST', '/jobs', { ...job, triggers: [hook] })
    const { body } = await server.call<{ secret: string; address: string }>('POST', '/jobs/j/triggers/call/secret')
    const call = () => server.call('POST', body.address, undefined, { authorization: `Bearer ${body.secret}` })
    expect((await call()).status).toBe(202)
    for (const [path, without, again] of [
      ['/jobs/j/triggers', [], [hook]],
      ['/jobs/j', job, { ...job, triggers: [hook] }],
    ] as const) {
      expect((await server.call('PUT', path, without)).status).toBe(200)
      expect((await server.call('PUT', path, again)).status).toBe(200)
      expect((await call()).status).toBe(401)
      const made = await server.call<{ secret: string }>('POST', '/jobs/j/triggers/call/secret')
      body.secret = made.body.secret
      expect((await call()).status).toBe(202)
    }
  })
})

describe('variables of the environment', () => {
  const env = { PLAIN_VALUE: SECRET }
  const job = (where: string) => ({
    name: 'j',
    source: 'sqlite:a.db',
    destination: 'sqlite:b.db',
    tables: [{ from: 't', where }],
  })

  it('are not for jobs that say their names', async () => {
    const server = await startServer({ env })
    for (const body of [job('${PLAIN_VALUE}'), { ...job('1'), description: '${PLAIN_VALUE}' }]) {
      const kept = await server.call<Problem>('POST', '/jobs', body)
      expect(kept).toMatchObject({ status: 400, body: { code: 'FERRY-1004' } })
      expect(kept.body.hint).toContain('--variable PLAIN_VALUE')
    }
    const tried = await server.call('POST', '/connections/test', {
      kind: 'sqlite',
      settings: { path: '${PLAIN_VALUE}' },
    })
    expect(JSON.stringify(tried.body)).toContain('FERRY-1004')
    expect(JSON.stringify(tried.body)).not.toContain(SECRET)
  })

  it('but where the operator allows a name, and never what Ferry itself is told', async () => {
    const server = await startServer({ env, args: ['--variable', 'PLAIN_VALUE', '--variable', 'FERRY_TOKEN'] })
    expect((await server.call('POST', '/jobs', job('${PLAIN_VALUE}'))).status).toBe(201)
    expect((await server.call('POST', '/jobs', { ...job('${FERRY_TOKEN}'), name: 'k' })).status).toBe(400)
    expect((await server.call('POST', '/jobs', { ...job('${HOME}'), name: 'k' })).status).toBe(400)
  })
})

describe('who was allowed something', () => {
  it('hears no more when the token is removed', async () => {
    const server = await startServer()
    const { body } = await server.call<{ id: string; token: string }>('POST', '/tokens', { name: 'v', role: 'viewer' })
    const stream = await fetch(`${server.url}/api/v1/events`, { headers: { authorization: `Bearer ${body.token}` } })
    expect(stream.status).toBe(200)
    const reader = stream.body!.getReader()
    await reader.read()
    await server.call('DELETE', `/tokens/${body.id}`)
    let ended = false
    const reading = (async () => {
      try {
        while (!(await reader.read()).done);
      } catch {
        // Cut off is ended too.
      }
      ended = true
    })()
    await until(() => ended, 'the stream to end')
    await reading
  })

  it('is not signed in any more behind who signs in anew', async () => {
    const server = await startServer()
    const sign = async (cookie?: string) => {
      const headers = { authorization: '', ...(cookie ? { cookie } : {}) }
      const { headers: sent } = await server.call('POST', '/session', { token: server.token }, headers)
      return sent.get('set-cookie')!.split(';')[0]!
    }
    const first = await sign()
    const second = await sign(first)
    const ask = async (cookie: string) =>
      (await server.call('GET', '/jobs', undefined, { authorization: '', cookie })).status
    expect(await ask(first)).toBe(401)
    expect(await ask(second)).toBe(200)
  })

  it('is signed out after an hour without a use', async () => {
    const server = await startServer()
    const { headers } = await server.call('POST', '/session', { token: server.token }, { authorization: '' })
    const cookie = headers.get('set-cookie')!.split(';')[0]!
    const db = new DatabaseSync(join(server.home, 'state.db'), { timeout: 5000 })
    const ask = async () => (await server.call('GET', '/jobs', undefined, { authorization: '', cookie })).status
    db.exec(`UPDATE session SET used_at = used_at - ${59 * 60_000}`)
    expect(await ask()).toBe(200)
    db.exec(`UPDATE session SET used_at = used_at - ${61 * 60_000}`)
    expect(await ask()).toBe(401)
    db.close()
  })
})

describe('the audit and the log', () => {
  interface Line {
    who: string
    action: string
    object: string
    outcome: string
  }
  it('tell what was asked for, what was shown and refused, and strangers in a line a minute', async () => {
    const folder = temporaryFolder()
    makeSource(folder, 3)
    const server = await startServer({ folder })
    await server.call('PUT', '/connections/shop', { locator: 'sqlite:source.db' })
    await server.call('POST', '/jobs', {
      name: 'j',
      source: { connection: 'shop' },
      destination: 'sqlite:x.db',
      tables: ['items'],
    })
    await server.call(
      'POST',
      '/jobs',
      'name: k\nsource: { connection: shop }\ndestination: sqlite:y.db\ntables: [items]\n',
    )
    await server.call('POST', '/tokens', { name: 'v', role: 'viewer' })
    await server.call('GET', '/connections/shop/preview?object=items')
    await server.call('GET', `/connections/shop/preview?query=${encodeURIComponent(`SELECT '${SECRET}'`)}`)
    for (let i = 0; i < 300; i++) await server.call('GET', '/jobs', undefined, { authorization: '' })
    const { body } = await server.call<Line[]>('GET', '/audit?limit=500')
    const of = (action: string) => body.filter(l => l.action === action).map(l => `${l.object} ${l.outcome}`)
    expect(of('POST /api/v1/jobs').sort()).toEqual(['j 201', 'k 201'])
    expect(of('POST /api/v1/tokens')).toEqual(['v 201'])
    expect(of('GET /api/v1/connections/:name/preview').sort()).toEqual(['shop 200', 'shop/items 200'])
    expect(of('GET /api/v1/jobs')).toEqual([' 401'])
    expect(server.log()).not.toContain(SECRET)
  })
})

describe('files of the state', () => {
  it('are for their owner only, in whatever home', async () => {
    const home = join(temporaryFolder(), 'home')
    mkdirSync(home)
    chmodSync(home, 0o755)
    const server = await startServer({ home })
    await server.call('GET', '/jobs')
    for (const name of ['state.db', 'state.db-wal', 'state.db-shm', 'key']) {
      const path = join(home, name)
      if (existsSync(path)) expect(statSync(path).mode & 0o077, name).toBe(0)
    }
  })
})

const canMount = spawnSync('unshare', ['-rm', 'mount', '-t', 'tmpfs', 'none', '/mnt']).status === 0

describe('the state', () => {
  it('of a home is worked with by one server', async () => {
    const first = await startServer()
    const { code, stderr } = await ferry(['serve', '--port', '0', '--folder', temporaryFolder()], { home: first.home })
    expect(code).toBe(1)
    expect(stderr).toContain('FERRY-6007')
    expect(stderr).toContain(first.url)
    expect((await first.call('GET', '/jobs')).status).toBe(200)
  })

  it('that was taken away is noticed', async () => {
    const server = await startServer()
    expect((await server.call('GET', '/!readyz')).status).toBe(200)
    for (const name of ['state.db', 'state.db-wal', 'state.db-shm']) rmSync(join(server.home, name), { force: true })
    const ready = () => server.call<{ status: string }>('GET', '/!readyz')
    await until(async () => (await ready()).status === 503, 'it to be noticed')
    expect((await ready()).body.status).toContain('taken away')
  })

  it.skipIf(!canMount)(
    'on a disk that is full is told, and goes on when there is room',
    { timeout: 60_000 },
    async () => {
      const home = temporaryFolder()
      const within = ['unshare', '-rm', 'sh', '-c', `mount -t tmpfs -o size=4M none ${home} && exec "$@"`, 'sh']
      const server = await startServer({ home, within })
      const ready = () => server.call<{ status: string }>('GET', '/!readyz')
      expect((await ready()).status).toBe(200)
      // The disk as the server sees it.
      const filling = `/proc/${server.pid}/root${home}/filling`
      let size = 1 << 20
      while (size >= 1) {
        try {
          writeFileSync(filling, Buffer.alloc(size), { flag: 'a' })
        } catch {
          size >>= 1
        }
      }
      // What is there already of the log has room for a few more changes.
      const make = (n: number) => server.call<Problem>('POST', '/tokens', { name: `t${n}`, role: 'viewer' })
      let n = 0
      await until(async () => (await make(n++)).status >= 400, 'the disk to be full')
      const refused = await make(n++)
      expect(refused).toMatchObject({ status: 507, body: { code: 'FERRY-5013' } })
      await until(async () => (await ready()).status === 503, 'it to be told')
      expect((await ready()).body.status).toMatch(/full/)
      expect((await server.call('GET', '/!healthz')).status).toBe(200)
      expect((await server.call('GET', '/jobs')).status).toBe(200)
      rmSync(filling)
      await until(async () => (await ready()).status === 200, 'it to go on')
      expect((await make(n++)).status).toBe(201)
    },
  )

  it('that is empty is not taken for a new one', async () => {
    const home = temporaryFolder()
    writeFileSync(join(home, 'state.db'), '')
    utimesSync(join(home, 'state.db'), 1_700_000_000, 1_700_000_000)
    const { code, stderr } = await ferry(['list'], { home })
    expect(code).toBe(1)
    expect(stderr).toContain('FERRY-5003')
  })

  it('keeps a connection that jobs use, unless it is told otherwise', async () => {
    const folder = temporaryFolder()
    makeSource(folder, 3)
    const server = await startServer({ folder })
    await server.call('PUT', '/connections/shop', { locator: 'sqlite:source.db' })
    const job = { name: 'j', source: { connection: 'shop' }, destination: 'sqlite:x.db', tables: ['items'] }
    expect((await server.call('POST', '/jobs', job)).status).toBe(201)
    const refused = await server.call<Problem>('DELETE', '/connections/shop')
    expect(refused).toMatchObject({ status: 409, body: { code: 'FERRY-1009' } })
    expect(refused.body.detail).toContain('j')
    expect((await server.call('DELETE', '/connections/shop?force=true')).status).toBe(204)
  })
})

describe('two who edit one thing', () => {
  it('are told: the last one does not win silently', async () => {
    const server = await startServer()
    const job = { name: 'j', source: 'sqlite:a.db', destination: 'sqlite:b.db', tables: ['t'] }
    await server.call('POST', '/jobs', job)
    const tag = async (path = '/jobs/j') => (await server.call('GET', path)).headers.get('etag')!
    for (const path of ['/jobs/j', '/jobs/j/yaml', '/jobs/j/schedules', '/jobs/j/triggers']) {
      expect(await tag(path)).toBe(await tag())
    }
    const seen = await tag()
    const put = (path: string, body: unknown, version: string) =>
      server.call<Problem>('PUT', path, body, { 'if-match': version })
    expect((await put('/jobs/j', { ...job, description: 'one' }, seen)).status).toBe(200)
    for (const [path, body] of [
      ['/jobs/j', { ...job, description: 'two' }],
      ['/jobs/j/schedules', []],
      ['/jobs/j/triggers', []],
    ] as const) {
      expect(await put(path, body, seen)).toMatchObject({ status: 412, body: { code: 'FERRY-6008' } })
    }
    expect((await put('/jobs/j', job, 'no tag')).status).toBe(400)
    expect((await put('/jobs/j', job, await tag())).status).toBe(200)
    // Who says that it is new replaces nothing.
    const settings = { locator: 'sqlite:a.db' }
    const make = () => server.call<Problem>('PUT', '/connections/c', settings, { 'if-none-match': '*' })
    expect((await make()).status).toBe(200)
    expect(await make()).toMatchObject({ status: 409, body: { code: 'FERRY-1008' } })
  })
})

it('a run that takes more memory than it may is ended, and goes on where it may', async () => {
  const folder = temporaryFolder()
  makeSource(folder, 50_000)
  const home = join(temporaryFolder(), 'home')
  const narrow = await startServer({ folder, home, args: ['--run-memory', '40MB'] })
  await narrow.call('POST', '/jobs', {
    name: 'job',
    source: `sqlite:${join(folder, 'source.db')}`,
    destination: `sqlite:${join(folder, 'target.db')}`,
    tables: ['items'],
    limits: { rowsPerSecond: 10_000 },
  })
  await narrow.call('POST', '/jobs/job/runs')
  const failed = await narrow.waitFor('job', 'failed')
  expect(failed.error).toMatchObject({ code: 'FERRY-5014', message: expect.stringContaining('may have 40 MB') })
  expect(failed.resumable).toBe(true)
  narrow.kill('SIGTERM')
  await narrow.gone
  const wide = await startServer({ folder, home })
  await wide.call('POST', '/runs/job/resume')
  expect(await wide.waitFor('job', 'completed')).toMatchObject({ rowsCopied: 50_000 })
})

it('a server that another process has started ends when it is told to', async () => {
  const env = { ...process.env, FERRY_HOME: join(temporaryFolder(), 'home'), FERRY_TOKEN: 'token' }
  const words = ['serve', '--port', '0', '--folder', temporaryFolder(), '--log-level', 'silent']
  const child = fork(program, words, {
    env,
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  await once(child.stdout!, 'data')
  child.kill('SIGTERM')
  const [code] = await once(child, 'exit')
  expect(code).toBe(0)
})
