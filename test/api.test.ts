import { describe, expect, it, onTestFinished } from 'vitest'
import { type Problem, serverWithJob, startServer } from './server.ts'
import { startAzurite } from './servers/azurite.ts'
import { ferry, makeDatabase, until } from './support.ts'

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
    const growth = await server.call('GET', '/connections/source/growth?object=items&column=id')
    expect(growth.body).toEqual({ range: 'everything, up to id 1000', notes: [] })
    const unindexed = await server.call<{ notes: string[] }>(
      'GET',
      '/connections/source/growth?object=items&column=changed',
    )
    expect(unindexed.body.notes[0]).toBe('no index begins with changed: each run reads the whole table')
    const { body: operator } = await server.call<{ token: string }>('POST', '/tokens', { name: 'o', role: 'operator' })
    const asOperator = { authorization: `Bearer ${operator.token}` }
    const looked = (what: string) => server.call('GET', `/connections/source/preview?${what}`, undefined, asOperator)
    expect((await looked('object=items')).status).toBe(200)
    expect((await looked('query=SELECT%201')).status).toBe(403)
    const near = await server.call<Problem>('GET', '/connections/source/columns?object=itemz')
    expect(near.body.detail).toContain('did you mean items')
    const plan = await server.call<{ tables: object[] }>('POST', '/jobs/job/plan')
    expect(plan.body.tables).toMatchObject([{ from: 'items', create: true, update: 'merge' }])
    // A client may say that it sends JSON, and send nothing.
    const json = { 'content-type': 'application/json' }
    const asked = await server.call<{ run: string }>('POST', '/jobs/job/runs', undefined, json)
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

  it('keeps a job that others run behind', async () => {
    const { server, definition } = await serverWithJob(1)
    const behind = { ...definition, name: 'behind', triggers: [{ name: 'then', after: 'job' }] }
    expect((await server.call('POST', '/jobs', behind)).status).toBe(201)
    const refused = await server.call<Problem>('DELETE', '/jobs/job')
    expect(refused).toMatchObject({
      status: 409,
      body: { code: 'FERRY-1009', detail: '1 jobs run behind job: behind' },
    })
    const { code, stderr } = await ferry(['delete', 'job'], { home: server.home })
    expect({ code, stderr }).toMatchObject({ code: 2, stderr: expect.stringContaining('FERRY-1009') })
    expect((await server.call('DELETE', '/jobs/behind')).status).toBe(204)
    expect((await server.call('DELETE', '/jobs/job')).status).toBe(204)
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
      state: 'failed',
      resumable: false,
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

  it('runs behind the notification of a store about an object that is meant', async () => {
    const { server } = await serverWithJob()
    await server.call('PUT', '/jobs/job/triggers', [{ name: 'arrived', events: 'in/**/*.csv' }])
    const made = await server.call<{ secret: string; address: string }>('POST', '/jobs/job/triggers/arrived/secret')
    const { secret, address } = made.body
    const blob = (name: string) => [
      { eventType: 'Microsoft.Storage.BlobCreated', subject: `/blobServices/default/containers/c/blobs/${name}` },
    ]
    const send = async (body: unknown, words: { query?: string; headers?: Record<string, string> }) => {
      const answer = await fetch(`${server.url}${address}${words.query ?? ''}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...words.headers },
        body: JSON.stringify(body),
      })
      return { status: answer.status, body: (await answer.json()) as { run?: string; outcome?: string } }
    }
    const inAddress = { query: `?secret=${secret}` }
    expect((await send(blob('in/a.csv'), {})).status).toBe(401)
    expect((await send(blob('in/a.csv'), { query: '?secret=wrong' })).status).toBe(401)
    expect(await send(blob('out/a.csv'), inAddress)).toEqual({ status: 202, body: { run: null, outcome: 'nothing' } })
    const code = { eventType: 'Microsoft.EventGrid.SubscriptionValidationEvent', data: { validationCode: 'c' } }
    expect(await send([code], inAddress)).toEqual({ status: 200, body: { validationResponse: 'c' } })
    expect((await send({ something: 'else' }, inAddress)).status).toBe(400)
    const cloud = { type: 'Microsoft.Storage.BlobCreated', subject: '/blobServices/default/containers/c/blobs/x.txt' }
    for (const body of [
      { Event: 's3:TestEvent' },
      cloud,
      { message: { attributes: { eventType: 'OBJECT_FINALIZE', objectId: 'out/x' } } },
    ]) {
      expect((await send(body, inAddress)).status, JSON.stringify(body)).toBe(202)
    }
    const many = Array.from({ length: 1500 }, (_, i) => blob(`out/${i}.csv`)[0])
    expect((await send(many, inAddress)).status).toBe(202)
    expect((await send(many, { query: '?secret=wrong' })).status).toBe(413)
    expect((await send({ something: 'else' }, { query: '?secret=wrong' })).status).toBe(401)
    const basic = Buffer.from(`any:${secret}`).toString('base64')
    const fired = await send(blob('in/x/a.csv'), { headers: { authorization: `Basic ${basic}` } })
    expect(fired).toMatchObject({ status: 202, body: { outcome: 'queued' } })
    await server.waitFor(fired.body.run!, 'completed')
    // SNS sends text, and asks first.
    const confirm = { Type: 'SubscriptionConfirmation', SubscribeURL: 'https://sns.example/confirm' }
    const asked = await send(confirm, { ...inAddress, headers: { 'content-type': 'text/plain' } })
    expect(asked.status).toBe(202)
    const { body } = await server.call<{ outcome: string }[]>('GET', '/jobs/job/triggers')
    expect(body[0]!.outcome).toContain('https://sns.example/confirm')
    const handshake = await fetch(`${server.url}${address}?secret=${secret}`, {
      method: 'OPTIONS',
      headers: { 'webhook-request-origin': 'eventgrid.azure.net' },
    })
    expect(handshake.headers.get('webhook-allowed-origin')).toBe('eventgrid.azure.net')
    // The secret in an address comes into no log.
    expect(server.log()).not.toContain(secret)
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

describe('a connection that is about to be made', () => {
  it('lists the containers that it may lead to', async () => {
    const azurite = await startAzurite()
    onTestFinished(() => azurite.stop())
    const [one, other] = [await azurite.container(), await azurite.container()]
    const server = await startServer()
    const { kind, container: _, ...settings } = one
    const found = await server.call('POST', '/connections/listed', { kind, settings })
    expect(found.body).toEqual({ names: [one.container, other.container].sort() })
    const kinds = (
      await server.call<{ kind: string; settings: { name: string; listed: boolean }[] }[]>('GET', '/connectors')
    ).body
    const listed = kinds.flatMap(k => k.settings.filter(s => s.listed).map(s => `${k.kind} ${s.name}`))
    expect(listed.sort()).toEqual(['azureblob container', 'gcs bucket', 's3 bucket'])
    const wrong = { ...settings, accountKey: Buffer.from('no key').toString('base64') }
    const refused = await server.call<Problem>('POST', '/connections/listed', { kind, settings: wrong })
    expect([refused.status, refused.body.code]).toEqual([422, 'FERRY-2004'])
    const none = await server.call<Problem>('POST', '/connections/listed', {
      kind: 'sqlite',
      settings: { path: 'a.db' },
    })
    expect(none.body.detail).toMatch(/sqlite has no setting whose values it lists/)
  }, 60_000)
})
