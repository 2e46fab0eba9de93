/** Copy jobs of Azure Cosmos DB accounts, as their users give them: on the command line. */
import type { RunningAccount } from 'cosmos-local'
import { describe, expect, it } from 'vitest'
import { account, contents, fill, makeContainer } from './cosmos.ts'
import { ferry, type Result, type RunningFerry, startFerry, temporaryFolder, until } from './support.ts'

interface ArmJob {
  name: string
  properties: {
    status: string
    mode: string
    processedCount: number
    totalCount: number
    skippedCount: number
    waitingFor?: string
    lag?: { changes: number; seconds: number }
    error?: { error: { code: string; message: string } }
    jobProperties: { jobType: string; tasks: { totalCount: number; processedCount: number }[] }
  }
}

/** A user with accounts as named connections; their keys are in the environment. */
class User {
  readonly home = temporaryFolder()
  private readonly env: NodeJS.ProcessEnv = {}

  async has(name: string, running: RunningAccount, more: string[] = []): Promise<void> {
    const variable = `KEY_${name.toUpperCase()}`
    this.env[variable] = running.key
    const settings = [`key=\${${variable}}`, ...more].flatMap(pair => ['--set', pair])
    const { code, stderr } = await this.says(
      'connections',
      'add',
      name,
      running.endpoint.replace('http', 'cosmos'),
      ...settings,
    )
    expect(code, stderr).toBe(0)
  }

  says(...words: string[]): Promise<Result> {
    return ferry(words, { home: this.home, env: this.env })
  }

  starts(...words: string[]): RunningFerry {
    return startFerry(words, { home: this.home, env: this.env })
  }

  copy(...words: string[]): Promise<Result> {
    return this.says('cosmos', 'copy', ...words)
  }

  /** The job that a verb answers. */
  async job(...words: string[]): Promise<ArmJob> {
    const { code, stdout, stderr } = await this.copy(...words)
    expect(code, stderr + stdout).toBe(0)
    return JSON.parse(stdout) as ArmJob
  }

  show(name: string, of = 'prod'): Promise<ArmJob> {
    return this.job('show', '-g', 'rg', '-a', of, '--job-name', name)
  }

  /** The error of a command that fails. */
  async fails(
    ...words: string[]
  ): Promise<{ code: string; message: string; hint: string; service?: { code: string; message: string } }> {
    const { code, stdout } = await this.copy(...words, '--json')
    expect(code).toBeGreaterThan(0)
    return JSON.parse(stdout).error
  }
}

async function user(options: Parameters<typeof account>[0] = {}): Promise<{ me: User; prod: RunningAccount }> {
  const prod = await account(options)
  const me = new User()
  await me.has('prod', prod)
  return { me, prod }
}

/** The same with so many orders and an empty `copy` beside them. */
async function shop(count: number, key = '/customer', rest: Record<string, unknown> = {}) {
  const made = await user()
  makeContainer(made.prod, 'orders')
  fill(made.prod, 'orders', count)
  makeContainer(made.prod, 'copy', key, rest)
  return made
}

const words = (name: string, from = 'orders', to = 'copy') => [
  'create',
  '-g',
  'rg',
  '--job-name',
  name,
  '--dest-account',
  'prod',
  '--src-account',
  'prod',
  '--src-nosql',
  'database=shop',
  `container=${from}`,
  '--dest-nosql',
  'database=shop',
  `container=${to}`,
]

describe('an offline copy job', () => {
  it('is created, shown and listed in the shape of the Azure Resource Manager', async () => {
    const { me, prod } = await shop(500, '/id')
    const made = await me.job(...words('j1'), '--wait')
    expect(made).toMatchObject({
      id: '/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg/providers/Microsoft.DocumentDB/databaseAccounts/prod/copyJobs/j1',
      type: 'Microsoft.DocumentDB/databaseAccounts/copyJobs',
      properties: {
        jobProperties: {
          jobType: 'NoSqlRUToNoSqlRU',
          tasks: [
            {
              source: { databaseName: 'shop', containerName: 'orders' },
              destination: { databaseName: 'shop', containerName: 'copy' },
              totalCount: 500,
              processedCount: 500,
            },
          ],
        },
        mode: 'Offline',
        status: 'Completed',
        processedCount: 500,
        totalCount: 500,
        lastUpdatedUtcTime: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z$/),
        duration: expect.stringMatching(/^00:00:\d\d$/),
      },
    })
    expect(contents(prod, 'copy')).toEqual(contents(prod, 'orders'))
    const verified = await me.copy('verify', '-a', 'prod', '--job-name', 'j1')
    expect(JSON.parse(verified.stdout)).toMatchObject([{ equal: true, sourceRows: 500, destinationRows: 500 }])
    const listed = await me.copy('list', '-g', 'rg', '--account-name', 'prod')
    expect(JSON.parse(listed.stdout)).toMatchObject([{ name: 'j1', properties: { status: 'Completed' } }])
    const shown = await me.copy('list', '-a', 'prod', '-o', 'table')
    expect(shown.stdout).toMatch(/^job .*status.*\nj1 .*Offline +Completed +500 +500/)
  })

  it('has a name that is unique in its account, and is not found under another', async () => {
    const { me, prod } = await user()
    makeContainer(prod, 'orders')
    makeContainer(prod, 'copy')
    await me.job(...words('j1'), '--wait')
    const again = await me.fails(...words('j1'))
    expect(again).toMatchObject({ code: 'FERRY-1008', service: { code: '409' } })
    expect(await me.fails('show', '-a', 'prod', '--job-name', 'j2')).toMatchObject({ service: { code: '404' } })
    expect(await me.fails('create', '--job-name', 'a b', '--dest-account', 'prod')).toMatchObject({
      code: 'FERRY-1003',
    })
  })

  it('does not begin where something is missing, and says so in the words of the service', async () => {
    const { me, prod } = await user()
    makeContainer(prod, 'orders')
    const missing = await me.fails(...words('j1'))
    expect(missing.service).toMatchObject({
      code: '404',
      message: expect.stringMatching(
        /^Response status code does not indicate success: NotFound \(404\); Substatus: 1003; ActivityId: [-0-9a-f]{36}; Reason: .*Owner resource does not exist/,
      ),
    })
    expect(missing.hint).toMatch(/--create-targets/)
    expect((await me.fails(...words('j1', 'nothing'))).service).toMatchObject({ code: '404' })
    expect(prod.account.containersOf('shop').map(c => c.definition.id)).toEqual(['orders'])
    expect(JSON.parse((await me.copy('list', '-a', 'prod')).stdout)).toEqual([])

    expect(await me.fails(...words('j1', 'orders', 'orders'))).toMatchObject({ code: 'FERRY-1003' })
    const two = ['--src-nosql', 'database=shop', 'container=orders', '--dest-nosql', 'database=shop', 'container=copy']
    expect(await me.fails(...words('j1'), ...two)).toMatchObject({ code: 'FERRY-1005' })

    const locked = await account({ localAuthDisabled: true })
    makeContainer(locked, 'copy')
    await me.has('locked', locked)
    const denied = await me.fails(...words('j2').map(w => (w === 'prod' ? 'locked' : w)))
    expect(denied.service).toMatchObject({
      code: '401',
      message: expect.stringMatching(/Unauthorized \(401\); Substatus: 5202; .*Local Authorization is disabled/),
    })
    expect(denied.hint).toMatch(/Entra identity/)

    makeContainer(prod, 'copy')
    const noBackup = await me.fails(...words('j3'), '--mode', 'Online')
    expect(noBackup).toMatchObject({ code: 'FERRY-3011', service: { code: '400' } })
    expect(noBackup.hint).toMatch(/Enable continuous backup/)

    const merging = await account({ mergeEnabled: true })
    await me.has('merging', merging)
    const merge = await me.fails(...words('j4').map(w => (w === 'prod' ? 'merging' : w)))
    expect(merge).toMatchObject({ code: 'FERRY-3011', hint: expect.stringMatching(/Merge partition/) })

    prod.inject({ operation: 'metadata', status: 500 })
    const trouble = await me.fails(...words('j5'))
    expect(trouble.service).toMatchObject({
      code: '500',
      message: expect.stringMatching(
        /^Error while getting resources for job, StatusCode: 500, SubStatusCode: 0, OperationId: .+, ActivityId: .+/,
      ),
    })
  })

  it('runs behind the other jobs of its account, and says what it waits for', async () => {
    const { me, prod } = await user()
    makeContainer(prod, 'orders')
    fill(prod, 'orders', 3000)
    for (const to of ['a', 'b']) makeContainer(prod, to)
    const slow = prod.inject({ operation: 'batch', latencyMs: 4000 })
    await me.job(...words('first', 'orders', 'a'))
    await until(async () => (await me.show('first')).properties.status === 'Running', 'the first runs')
    await me.job(...words('second', 'orders', 'b'))
    expect((await me.show('second')).properties).toMatchObject({
      status: 'Pending',
      waitingFor: 'job first of the same account',
    })
    slow()
    await until(async () => (await me.show('second')).properties.status === 'Completed', 'the second is done')
    expect((await me.show('first')).properties.status).toBe('Completed')
    expect(contents(prod, 'b')).toEqual(contents(prod, 'orders'))
  })

  it('runs beside other jobs where the account lets it', async () => {
    const prod = await account()
    const me = new User()
    await me.has('prod', prod, ['copiesAtOnce=2'])
    makeContainer(prod, 'orders')
    fill(prod, 'orders', 2000)
    for (const to of ['a', 'b']) makeContainer(prod, to)
    const slow = prod.inject({ operation: 'batch', latencyMs: 4000 })
    for (const to of ['a', 'b']) await me.job(...words(to, 'orders', to))
    const running = async () => {
      const all = await Promise.all(['a', 'b'].map(name => me.show(name)))
      return all.every(j => j.properties.status === 'Running')
    }
    await until(running, 'both are running')
    slow()
    for (const name of ['a', 'b']) {
      await until(async () => (await me.show(name)).properties.status === 'Completed', `${name} is done`)
    }
  })

  it('is paused, resumed and cancelled from another terminal within a second', async () => {
    const { me, prod } = await shop(5000)
    const slow = prod.inject({ operation: 'batch', latencyMs: 4000 })
    await me.job(...words('j1'))
    const running = async () => (await me.show('j1')).properties.status === 'Running'
    await until(running, 'it runs')
    const timed = async (verb: string) => {
      const began = performance.now()
      const { status } = (await me.job(verb, '-g', 'rg', '-a', 'prod', '--job-name', 'j1')).properties
      console.log(`${verb}: ${Math.round(performance.now() - began)} ms, the start of two processes included`)
      return status
    }
    expect(await timed('pause')).toBe('Paused')
    expect(contents(prod, 'copy').size).toBeLessThan(5000)
    expect(await me.fails('pause', '-a', 'prod', '--job-name', 'j1')).toMatchObject({ code: 'FERRY-5006' })
    expect(['Pending', 'Partitioning', 'Running']).toContain(await timed('resume'))
    await until(running, 'it runs again')
    expect(await timed('cancel')).toBe('Cancelled')
    slow()
    expect(await me.fails('resume', '-a', 'prod', '--job-name', 'j1')).toMatchObject({ code: 'FERRY-5006' })
    await me.job(...words('j2'), '--wait')
    expect(contents(prod, 'copy')).toEqual(contents(prod, 'orders'))
  })

  it('goes on behind a throttled container when it is paused', async () => {
    const { me, prod } = await shop(1000)
    const storm = prod.inject({ operation: 'batch', status: 429, substatus: 3200, retryAfterMs: 60_000 })
    await me.job(...words('j1'))
    await until(async () => /request units/.test((await me.show('j1')).properties.waitingFor ?? ''), 'it says so')
    const began = performance.now()
    expect((await me.job('pause', '-a', 'prod', '--job-name', 'j1')).properties.status).toBe('Paused')
    // It did not wait until the container takes requests again.
    expect(performance.now() - began).toBeLessThan(50_000)
    storm()
    await me.job('resume', '-a', 'prod', '--job-name', 'j1', '--wait')
    expect(contents(prod, 'copy')).toEqual(contents(prod, 'orders'))
  })

  it('tells why it stands still', async () => {
    const { me, prod } = await shop(100)
    const busy = prod.inject({ operation: ['batch', 'feed'], status: 503 })
    await me.job(...words('j1'))
    await until(async () => /answers 503/.test((await me.show('j1')).properties.waitingFor ?? ''), 'the reason is told')
    busy()
    await until(async () => (await me.show('j1')).properties.status === 'Completed', 'it is done')
    expect((await me.show('j1')).properties.waitingFor).toBeUndefined()
  })

  it('goes on when its process was killed', async () => {
    const { me, prod } = await shop(3000)
    const slow = prod.inject({ operation: 'batch', latencyMs: 4000 })
    await me.job(...words('j1'), '--no-start')
    expect((await me.show('j1')).properties.waitingFor).toMatch(/ferry cosmos copy work --account-name prod/)
    await me.job('show', '-a', 'prod', '--job-name', 'j1')
    await me.copy('resume', '-a', 'prod', '--job-name', 'j1')
    await until(async () => (await me.show('j1')).properties.status === 'Running', 'it runs')
    const { stdout } = await me.says('show', 'prod.j1', '--json')
    process.kill(JSON.parse(stdout).owner.process, 'SIGKILL')
    await until(async () => (await me.show('j1')).properties.waitingFor !== undefined, 'it is missed')
    slow()
    await me.job('resume', '-a', 'prod', '--job-name', 'j1', '--wait')
    expect(contents(prod, 'copy')).toEqual(contents(prod, 'orders'))
  })

  it('goes back into the queue when its worker is stopped, and on with the next one', async () => {
    const { me, prod } = await shop(3000)
    const slow = prod.inject({ operation: 'batch', latencyMs: 4000 })
    await me.job(...words('j1'), '--no-start')
    const worker = me.starts('cosmos', 'copy', 'work', '-a', 'prod')
    await until(async () => (await me.show('j1')).properties.status === 'Running', 'it runs')
    worker.kill('SIGTERM')
    expect((await worker.done).code).toBe(3)
    expect((await me.show('j1')).properties.status).toBe('Pending')
    slow()
    const { code, stderr } = await me.copy('work', '-a', 'prod')
    expect(code, stderr).toBe(0)
    expect((await me.show('j1')).properties.status).toBe('Completed')
    expect(contents(prod, 'copy')).toEqual(contents(prod, 'orders'))
  })

  it('keeps documents that cannot be written, and writes them when they can', async () => {
    const { me, prod } = await shop(300, '/customer', { uniqueKeyPolicy: { uniqueKeys: [{ paths: ['/lines'] }] } })
    const copy = prod.account.container('shop', 'copy')
    copy.create('{"id":"taken","customer":"c7","lines":[{"sku":"s2","n":7}]}')
    const made = await me.job(...words('j1'), '--wait')
    expect(made.properties).toMatchObject({ status: 'Completed', processedCount: 300, skippedCount: 1 })
    const still = await me.copy('retry', '-a', 'prod', '--job-name', 'j1')
    expect(still.code).toBe(1)
    copy.delete('taken', ['c7'])
    const { code, stdout } = await me.copy('retry', '-a', 'prod', '--job-name', 'j1')
    expect(code, stdout).toBe(0)
    expect(contents(prod, 'copy')).toEqual(contents(prod, 'orders'))
  })
})

describe('the scenarios that copy jobs are for', () => {
  const scenario = async (me: User, from: string, to: string, more: string[] = []) =>
    me.job(
      'create',
      '--job-name',
      'j1',
      '--dest-account',
      'prod',
      '--src-nosql',
      ...from.split(' '),
      '--dest-nosql',
      ...to.split(' '),
      '--wait',
      ...more,
    )

  it('change the partition key, adopt a hierarchical one, change unique keys', async () => {
    for (const [key, rest] of [
      ['/id', {}],
      ['/customer,/id', {}],
      ['/customer', { uniqueKeyPolicy: { uniqueKeys: [{ paths: ['/lines'] }] } }],
    ] as const) {
      const { me, prod } = await user()
      makeContainer(prod, 'orders')
      fill(prod, 'orders', 300)
      makeContainer(prod, 'copy', key, rest)
      await scenario(me, 'database=shop container=orders', 'database=shop container=copy')
      expect(contents(prod, 'copy')).toEqual(contents(prod, 'orders'))
    }
  })

  it('rename a container and a database', async () => {
    const { me, prod } = await user()
    makeContainer(prod, 'orders', '/customer', { defaultTtl: 86_400 })
    makeContainer(prod, 'customers', '/id')
    fill(prod, 'orders', 300)
    prod.account.createDatabase('store.v2', {})
    const made = await scenario(me, 'database=shop container=*', 'database=store.v2', ['--create-targets'])
    expect(made.properties).toMatchObject({ status: 'Completed', processedCount: 300 })
    expect(made.properties.jobProperties.tasks).toHaveLength(2)
    const copies = prod.account.containersOf('store.v2')
    expect(copies.map(c => [c.definition.id, c.count()]).sort()).toEqual([
      ['customers', 0],
      ['orders', 300],
    ])
    expect(copies.find(c => c.definition.id === 'orders')!.definition).toMatchObject({
      defaultTtl: 86_400,
      partitionKey: { paths: ['/customer'] },
    })
  })

  it('move throughput from the database to a container and back', async () => {
    const { me, prod } = await user()
    prod.account.createDatabase('shared', { manual: 1000 })
    prod.account.createContainer(
      'shared',
      { id: 'orders', partitionKey: { paths: ['/customer'], kind: 'Hash', version: 2 } },
      {},
    )
    makeContainer(prod, 'orders')
    fill(prod, 'orders', 100)
    await scenario(me, 'database=shop container=orders', 'database=shared container=orders')
    expect(prod.account.container('shared', 'orders').count()).toBe(100)
    makeContainer(prod, 'back')
    const backwards = words('j2', 'orders', 'back')
    backwards[backwards.indexOf('--src-nosql') + 1] = 'database=shared'
    await me.job(...backwards, '--wait')
    expect(contents(prod, 'back').size).toBe(100)
  })

  it('change the capacity mode of an account, from serverless to provisioned and back', async () => {
    const me = new User()
    const serverless = await account({ serverless: true })
    const prod = await account()
    // A connection may name a database: jobs name theirs all the same.
    await me.has('serverless', serverless, ['database=shop'])
    await me.has('prod', prod)
    serverless.account.createContainer(
      'shop',
      { id: 'orders', partitionKey: { paths: ['/customer'], kind: 'Hash', version: 2 } },
      {},
    )
    fill(serverless, 'orders', 200)
    makeContainer(prod, 'orders')
    const there = await scenario(me, 'database=shop container=orders', 'database=shop container=orders', [
      '--src-account',
      'serverless',
    ])
    expect(there.properties.jobProperties).toMatchObject({ sourceDetails: { remoteAccountName: 'serverless' } })
    expect(prod.account.container('shop', 'orders').count()).toBe(200)
    const back = await me.job(
      'create',
      '--job-name',
      'back',
      '--dest-account',
      'serverless',
      '--src-account',
      'prod',
      '--src-nosql',
      'database=*',
      'container=*',
      '--dest-nosql',
      'database=back',
      '--create-targets',
      '--wait',
    )
    expect(back.properties).toMatchObject({ status: 'Completed', processedCount: 200 })
  })
})

describe('an online copy job', () => {
  it('follows its source, tells how far behind it is, and ends when it is completed', async () => {
    const { me, prod } = await user({ continuousBackup: true })
    const orders = makeContainer(prod, 'orders')
    fill(prod, 'orders', 500)
    makeContainer(prod, 'copy', '/id')
    await me.job(...words('j1'), '--mode', 'Online')
    await until(async () => (await me.show('j1')).properties.lag?.changes === 0, 'it has caught up')
    expect((await me.show('j1')).properties).toMatchObject({ status: 'Running', mode: 'Online', processedCount: 500 })
    orders.upsert('{"id":"o1","customer":"c1","changed":true}', undefined)
    orders.delete('o2', ['c2'])
    orders.create('{"id":"new","customer":"c1"}')
    await until(async () => (await me.show('j1')).properties.processedCount === 503, 'it has followed')
    expect(contents(prod, 'copy')).toEqual(contents(prod, 'orders'))
    await me.job('pause', '-a', 'prod', '--job-name', 'j1')
    orders.delete('o3', ['c3'])
    const done = await me.job('complete', '-a', 'prod', '--job-name', 'j1', '--wait')
    expect(done.properties).toMatchObject({ status: 'Completed', processedCount: 504, totalCount: 504 })
    expect(contents(prod, 'copy')).toEqual(contents(prod, 'orders'))
    expect(await me.fails('complete', '-a', 'prod', '--job-name', 'j1')).toMatchObject({ code: 'FERRY-5006' })
  })

  it('retries a refused document as its source holds it then', async () => {
    const { me, prod } = await user({ continuousBackup: true })
    const orders = makeContainer(prod, 'orders')
    const unique = { uniqueKeyPolicy: { uniqueKeys: [{ paths: ['/mail'] }] } }
    const copy = makeContainer(prod, 'copy', '/customer', unique)
    for (const id of ['a', 'b', 'c']) orders.create(`{"id":"${id}","customer":"c1","mail":"same"}`)
    await me.job(...words('j1'), '--mode', 'Online')
    await until(async () => (await me.show('j1')).properties.lag?.changes === 0, 'it has caught up')
    const done = await me.job('complete', '-a', 'prod', '--job-name', 'j1', '--wait')
    expect(done.properties).toMatchObject({ status: 'Completed', skippedCount: 2 })
    const [there] = contents(prod, 'copy').keys()
    const [changed, deleted] = ['a', 'b', 'c'].filter(id => id !== there)
    orders.upsert(`{"id":"${changed}","customer":"c1","mail":"another"}`, undefined)
    orders.delete(deleted!, ['c1'])
    const { code, stdout } = await me.copy('retry', '-a', 'prod', '--job-name', 'j1')
    expect(code, stdout).toBe(0)
    expect(contents(prod, 'copy')).toEqual(contents(prod, 'orders'))
    expect(copy.count()).toBe(2)
  })

  it('refuses the second of two documents that want one place', async () => {
    const { me, prod } = await user({ continuousBackup: true })
    const orders = makeContainer(prod, 'orders')
    orders.create('{"id":"1","customer":"c1","place":"p"}')
    orders.create('{"id":"1","customer":"c2","place":"p"}')
    makeContainer(prod, 'copy', '/place')
    let first: string[] | undefined
    for (const mode of ['Offline', 'Online']) {
      await me.job(...words(mode), '--mode', mode)
      if (mode === 'Online') {
        await until(async () => (await me.show(mode)).properties.lag?.changes === 0, 'it has caught up')
        orders.create('{"id":"1","customer":"c3","place":"p"}')
        await me.job('complete', '-a', 'prod', '--job-name', mode, '--wait')
      }
      await until(async () => (await me.show(mode)).properties.status === 'Completed', 'it is done')
      expect((await me.show(mode)).properties).toMatchObject({ skippedCount: mode === 'Online' ? 2 : 1 })
      expect([...contents(prod, 'copy').values()]).toEqual(first ?? [expect.stringMatching(/c[12]/)])
      first = [...contents(prod, 'copy').values()]
    }
    const still = await me.copy('retry', '-a', 'prod', '--job-name', 'Offline')
    expect(JSON.parse(still.stdout).tables).toMatchObject([{ tried: 1, copied: 0, left: 1 }])
  })

  it('is only completed where it is online', async () => {
    const { me, prod } = await user()
    makeContainer(prod, 'orders')
    makeContainer(prod, 'copy')
    await me.job(...words('j1'), '--no-start')
    expect(await me.fails('complete', '-a', 'prod', '--job-name', 'j1')).toMatchObject({
      code: 'FERRY-5006',
      message: expect.stringMatching(/no online copy/),
    })
  })
})
