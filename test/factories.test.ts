/** Factories in a server, over HTTP: kept, run, gone on with after a kill, triggered by events and files, webhooks. */
import { appendFileSync, existsSync, mkdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type Artifacts, csvDataset, flowOf, folderService, writeFactory } from './adf/factory.ts'
import { type Problem, startServer, type TestServer } from './server.ts'
import { temporaryFolder, until } from './support.ts'

interface Run {
  runId: string
  status: string
  message: string
  pipelineName: string
  invokedBy: { name: string; invokedByType: string }
  returnValue: unknown
}

const returns = (values: Record<string, string>) => ({
  name: 'return',
  type: 'SetVariable',
  typeProperties: {
    variableName: 'pipelineReturnValue',
    setSystemVariable: true,
    value: Object.entries(values).map(([key, content]) => ({ key, value: { type: 'Expression', content } })),
  },
})

const wait = (name: string, seconds: number) => ({ name, type: 'Wait', typeProperties: { waitTimeInSeconds: seconds } })

async function serverWith(artifacts: Artifacts, source: object = {}, options: Parameters<typeof startServer>[0] = {}) {
  const factory = writeFactory(artifacts)
  const server = await startServer({ folder: factory, ...options })
  const added = await server.call<{ name: string } & Problem>('POST', '/factories', { factory, ...source })
  expect(added.status, JSON.stringify(added.body)).toBe(200)
  return { server, factory }
}

async function run(server: TestServer, pipeline: string, parameters: object = {}): Promise<string> {
  const { status, body } = await server.call<Run>('POST', `/factories/tests/pipelines/${pipeline}/runs`, { parameters })
  expect(status, JSON.stringify(body)).toBe(202)
  return body.runId
}

async function ended(server: TestServer, id: string): Promise<Run> {
  let found: Run | undefined
  await until(
    async () => {
      found = (await server.call<Run>('GET', `/pipelineruns/${id}`)).body
      return !['Queued', 'InProgress'].includes(found.status)
    },
    `run ${id} to end`,
    60_000,
  )
  return found!
}

const runsOf = async (server: TestServer) => (await server.call<{ runs: Run[] }>('GET', '/pipelineruns')).body.runs

describe('factories in a server', { timeout: 120_000 }, () => {
  it('are kept under their names, and only from folders that the server may open', async () => {
    const { server, factory } = await serverWith({ 'pipeline/p': { activities: [] } })
    expect((await server.call<Problem>('POST', '/factories', { factory })).body.code).toBe('FERRY-1008')
    const own = await server.call<{ name: string }>('POST', '/factories', { factory, name: 'mine' })
    expect(own.body.name).toBe('mine')
    const outside = writeFactory({ 'pipeline/p': { activities: [] } })
    expect((await server.call<Problem>('POST', '/factories', { factory: outside })).body.code).toBe('FERRY-2006')
    // Nor by links from within.
    const secret = temporaryFolder()
    mkdirSync(join(secret, 'pipeline'))
    writeFileSync(join(secret, 'pipeline', 'x.json'), '{"name": "secret-name", "properties": {}}')
    const linked = join(factory, 'linked')
    mkdirSync(linked)
    symlinkSync(join(secret, 'pipeline'), join(linked, 'pipeline'))
    const answer = await server.call('POST', '/factories', { factory: linked })
    expect(answer.status).toBe(403)
    const file = join(factory, 'alone')
    mkdirSync(join(file, 'pipeline'), { recursive: true })
    symlinkSync(join(secret, 'pipeline', 'x.json'), join(file, 'pipeline', 'x.json'))
    expect(JSON.stringify((await server.call('POST', '/factories', { factory: file })).body)).not.toContain(
      'secret-name',
    )
    for (const body of [
      { factory, redirect: join(secret, 'r.yaml') },
      { factory, parameters: ['/etc/passwd'] },
    ]) {
      expect((await server.call('POST', '/factories', { ...body, name: 'other' })).status).toBeGreaterThanOrEqual(400)
    }
    for (const name of ['-x', '--help', '.', '..', 'a/b']) {
      expect((await server.call('POST', '/factories', { factory, name })).status, name).toBe(400)
    }
    expect((await server.call('DELETE', '/factories/mine')).status).toBe(204)
    expect((await server.call<Problem>('GET', '/factories/mine')).status).toBe(404)
  })

  it('run, and take over what is edited between runs', async () => {
    const { server, factory } = await serverWith({
      'pipeline/p': {
        parameters: { n: { type: 'int' } },
        activities: [returns({ twice: '@mul(pipeline().parameters.n, 2)' })],
      },
    })
    expect((await server.call<Problem>('POST', '/factories/tests/pipelines/q/runs', {})).body.code).toBe('FERRY-7007')
    expect((await server.call<Problem>('POST', '/factories/tests/pipelines/p/runs', {})).body.code).toBe('FERRY-7004')
    const first = await ended(server, await run(server, 'p', { n: 4 }))
    expect(first).toMatchObject({ status: 'Succeeded', returnValue: { twice: 8 } })
    const path = join(factory, 'pipeline', 'p.json')
    writeFileSync(path, readFileSync(path, 'utf8').replace('n, 2)', 'n, 3)'))
    const second = await ended(server, await run(server, 'p', { n: 4 }))
    expect(second).toMatchObject({ status: 'Succeeded', returnValue: { twice: 12 } })
    writeFileSync(path, '{')
    expect(
      (await server.call<Problem>('POST', '/factories/tests/pipelines/p/runs', { parameters: { n: 1 } })).body.code,
    ).toBe('FERRY-7001')
  })

  it('keep every digit of what they are given', async () => {
    const { server } = await serverWith({
      'pipeline/p': {
        parameters: { n: { type: 'int' }, o: { type: 'object' }, d: { type: 'int', defaultValue: 1 } },
        activities: [returns({ n: '@string(pipeline().parameters.n)', o: '@string(pipeline().parameters.o)' })],
      },
    })
    const text = '{"parameters":{"n":9007199254740993,"o":{"a":9007199254740993,"b":1.0}}}'
    const answer = await fetch(`${server.url}/api/v1/factories/tests/pipelines/p/runs`, {
      method: 'POST',
      headers: { authorization: `Bearer ${server.token}`, 'content-type': 'application/json' },
      body: text,
    })
    const { runId } = (await answer.json()) as Run
    expect((await ended(server, runId)).returnValue).toEqual({
      n: '9007199254740993',
      o: '{"a":9007199254740993,"b":1.0}',
    })
  })

  it('belong to the factory that they were asked of, whatever becomes of its files', async () => {
    const says = (who: string) => ({ activities: [returns({ who: `@concat('${who}')` })] })
    const { server, factory } = await serverWith({
      'pipeline/p': says('A'),
      'pipeline/long': { activities: [wait('w', 600)] },
    })
    const other = writeFactory({ 'pipeline/p': says('B') })
    // It is read where it was put instead, at once.
    const place = join(factory, 'other')
    renameSync(other, place)
    const whoNow = async () => (await ended(server, await run(server, 'p'))).returnValue
    expect(await whoNow()).toEqual({ who: 'A' })
    for (const [from, who] of [
      [place, 'B'],
      [factory, 'A'],
      [place, 'B'],
    ] as const) {
      expect((await server.call('POST', '/factories?replace=true', { factory: from })).status).toBe(200)
      expect(await whoNow()).toEqual({ who })
    }
    expect((await server.call('POST', '/factories?replace=true', { factory })).status).toBe(200)
    const long = await run(server, 'long')
    expect((await server.call<Problem>('DELETE', '/factories/tests')).body.code).toBe('FERRY-1009')
    // One that calls itself otherwise is another one.
    writeFileSync(join(factory, 'factory', 'tests.json'), '{"name":"others","properties":{}}')
    expect((await server.call<Problem>('POST', '/factories/tests/pipelines/p/runs')).body.code).toBe('FERRY-7001')
    await server.call('POST', `/pipelineruns/${long}/cancel`)
    expect((await ended(server, long)).status).toBe('Cancelled')
    expect((await server.call('DELETE', '/factories/tests')).status).toBe(204)
  })

  it('go on although other artifacts were edited, and say so where their own were', async () => {
    const home = join(temporaryFolder(), 'home')
    const waits = { activities: [wait('first', 2), { ...wait('second', 1), dependsOn: [{ activity: 'first' }] }] }
    const { server, factory } = await serverWith({ 'pipeline/p': waits, 'pipeline/q': waits }, {}, { home })
    const [p, q] = [await run(server, 'p'), await run(server, 'q')]
    const begun = async (id: string) =>
      (await server.call<Run>('GET', `/pipelineruns/${id}`)).body.status === 'InProgress'
    await until(async () => (await begun(p)) && (await begun(q)), 'both to begin')
    const path = join(factory, 'pipeline', 'q.json')
    writeFileSync(path, readFileSync(path, 'utf8').replace('"waitTimeInSeconds":1', '"waitTimeInSeconds":0'))
    server.kill('SIGKILL')
    await server.gone
    const again = await startServer({ home, folder: factory })
    expect((await ended(again, p)).status).toBe('Succeeded')
    const told = async () => (await again.call<Run>('GET', `/pipelineruns/${q}`)).body
    await until(async () => /cannot go on/.test((await told()).message), 'it to say so')
    expect((await told()).status).toBe('InProgress')
    // Others of its pipeline are not held up.
    expect((await ended(again, await run(again, 'q'))).status).toBe('Succeeded')
    await again.call('POST', `/pipelineruns/${q}/cancel`)
    expect((await ended(again, q)).status).toBe('Cancelled')
  })

  it('go on after the server was killed, and nothing that ended runs again', async () => {
    const home = join(temporaryFolder(), 'home')
    const { server, factory } = await serverWith(
      {
        'pipeline/p': {
          variables: { times: { type: 'Array' } },
          activities: [
            {
              name: 'each',
              type: 'ForEach',
              typeProperties: {
                items: '@range(0, 6)',
                isSequential: true,
                activities: [
                  wait('pause', 1),
                  {
                    name: 'note',
                    type: 'AppendVariable',
                    dependsOn: [{ activity: 'pause', dependencyConditions: ['Succeeded'] }],
                    typeProperties: { variableName: 'times', value: '@string(item())' },
                  },
                ],
              },
            },
            { ...returns({ all: "@join(variables('times'), ',')" }), dependsOn: [{ activity: 'each' }] },
          ],
        },
      },
      {},
      { home },
    )
    const id = await run(server, 'p')
    const done = async () =>
      (await server.call<{ activities: { key: string; status: string }[] }>('GET', `/pipelineruns/${id}/activities`))
        .body.activities
    await until(async () => (await done()).filter(a => /note$/.test(a.key)).length >= 2, 'two items')
    server.kill('SIGKILL')
    await server.gone
    const again = await startServer({ home, folder: factory })
    expect(await ended(again, id)).toMatchObject({ status: 'Succeeded', returnValue: { all: '0,1,2,3,4,5' } })
  })

  it('are cancelled and rerun', async () => {
    const { server } = await serverWith({
      'pipeline/p': { activities: [wait('long', 600), { ...wait('never', 1), dependsOn: [{ activity: 'long' }] }] },
      'pipeline/fails': {
        activities: [
          wait('first', 0),
          {
            name: 'stop',
            type: 'Fail',
            dependsOn: [{ activity: 'first' }],
            typeProperties: { message: 'no', errorCode: '1' },
          },
        ],
      },
    })
    const id = await run(server, 'p')
    await until(
      async () => (await server.call<Run>('GET', `/pipelineruns/${id}`)).body.status === 'InProgress',
      'it to begin',
    )
    await server.call('POST', `/pipelineruns/${id}/cancel`)
    expect((await ended(server, id)).status).toBe('Cancelled')
    const failed = await ended(server, await run(server, 'fails'))
    expect(failed).toMatchObject({ status: 'Failed', message: 'Operation on target stop failed: no' })
    const { body } = await server.call<Run>('POST', `/pipelineruns/${failed.runId}/rerun`)
    expect((await ended(server, body.runId)).status).toBe('Failed')
    const { body: told } = await server.call<{ activities: { key: string; activityRunStart: string }[] }>(
      'GET',
      `/pipelineruns/${body.runId}/activities`,
    )
    const { body: before } = await server.call<typeof told>('GET', `/pipelineruns/${failed.runId}/activities`)
    const startOf = (all: typeof told, key: string) => all.activities.find(a => a.key === key)!.activityRunStart
    expect(startOf(told, 'first')).toBe(startOf(before, 'first'))
    expect(startOf(told, 'stop')).not.toBe(startOf(before, 'stop'))
  })

  it('wait for events of Event Grid, with the secret alone', async () => {
    const { server } = await serverWith({
      'pipeline/p': {
        parameters: { day: { type: 'string' } },
        activities: [returns({ day: '@pipeline().parameters.day', type: '@pipeline().TriggerType' })],
      },
      'trigger/arrived': {
        type: 'CustomEventsTrigger',
        pipelines: [
          { pipelineReference: { referenceName: 'p' }, parameters: { day: '@triggerBody().event.data.day' } },
        ],
        typeProperties: { events: ['day.complete'], subjectBeginsWith: 'shop/', scope: '/topics/t' },
      },
    })
    const { body } = await server.call<{ secret: string; address: string }>(
      'POST',
      '/factories/tests/triggers/arrived/secret',
    )
    const send = (events: unknown, secret = body.secret) =>
      fetch(`${server.url}${body.address}?secret=${secret}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(events),
      })
    const event = (day: string, more: object = {}) => ({
      id: day,
      eventType: 'day.complete',
      subject: 'shop/x',
      eventTime: '2026-11-28T00:00:00Z',
      dataVersion: '1',
      data: { day },
      ...more,
    })
    expect((await send([event('a')], 'wrong')).status).toBe(401)
    expect((await send([event('a')])).status).toBe(404)
    expect((await server.call('POST', '/factories/tests/triggers/arrived/start')).status).toBe(204)
    const asked = {
      eventType: 'Microsoft.EventGrid.SubscriptionValidationEvent',
      subject: '',
      data: { validationCode: 'c0de' },
    }
    expect(await (await send([asked])).json()).toEqual({ validationResponse: 'c0de' })
    const came = await send([
      event('a'),
      event('b', { subject: 'other/x' }),
      event('c', { eventType: 'day.begun' }),
      event('d'),
    ])
    expect(came.status).toBe(202)
    const { runs } = (await came.json()) as { runs: string[] }
    expect(runs).toHaveLength(2)
    const ends = await Promise.all(runs.map(id => ended(server, id)))
    expect(ends.map(e => e.returnValue)).toEqual(['a', 'd'].map(day => ({ day, type: 'CustomEventsTrigger' })))
    expect(await runsOf(server)).toHaveLength(2)
    // An event whose answer was lost comes again; large ones come too, with all their digits.
    expect(await (await send([event('a')])).json()).toEqual({ runs: [] })
    const large = await send([event('e', { data: { day: 'e', more: 'x'.repeat(100_000) } })])
    expect(((await large.json()) as { runs: string[] }).runs).toHaveLength(1)
    expect((await server.call<Problem>('POST', '/factories/tests/triggers/nosuch/secret')).body.code).toBe('FERRY-7007')
    expect((await server.call('POST', '/factories/tests/triggers/ARRIVED/stop')).body).toEqual({ stopped: true })
    const viewer = await server.call<{ token: string }>('POST', '/tokens', { name: 'looks', role: 'viewer' })
    const { triggers } = (
      await server.call<{ triggers: { outcome: string }[] }>('GET', '/factories/tests', undefined, {
        authorization: `Bearer ${viewer.body.token}`,
      })
    ).body
    expect(triggers.map(t => t.outcome)).toEqual([''])
    // The secret goes with the factory.
    await until(async () => (await runsOf(server)).every(x => x.status === 'Succeeded'), 'all to end')
    const [{ source }] = (await server.call<{ source: object }[]>('GET', '/factories')).body as [{ source: object }]
    expect((await server.call('DELETE', '/factories/tests')).status).toBe(204)
    expect((await server.call('POST', '/factories', source)).status).toBe(200)
    expect((await send([event('z')])).status).toBe(401)
  })

  it('wait for files, each of which has a run of its own, and none twice', async () => {
    const data = temporaryFolder()
    mkdirSync(join(data, 'in', 'old'), { recursive: true })
    writeFileSync(join(data, 'in', 'old', 'before.csv'), 'a')
    const redirect = join(data, 'here.json')
    writeFileSync(
      redirect,
      JSON.stringify({ linkedServices: { landing: './' }, storageAccounts: { shopstore: 'landing' } }),
    )
    const { server } = await serverWith(
      {
        'pipeline/p': {
          parameters: { folder: { type: 'string' }, file: { type: 'string' } },
          activities: [returns({ at: "@concat(pipeline().parameters.folder, '|', pipeline().parameters.file)" })],
        },
        'linkedService/landing': { type: 'AzureBlobStorage', typeProperties: { connectionString: 'x' } },
        'trigger/files': {
          type: 'BlobEventsTrigger',
          pipelines: [
            {
              pipelineReference: { referenceName: 'p' },
              parameters: {
                folder: '@triggerBody().folderPath',
                file: "@if(startsWith(triggerBody().fileName, '0-'), int('no number'), triggerBody().fileName)",
              },
            },
          ],
          typeProperties: {
            blobPathBeginsWith: '/in/blobs/',
            blobPathEndsWith: '.csv',
            ignoreEmptyBlobs: true,
            scope: '/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/shopstore',
            events: ['Microsoft.Storage.BlobCreated'],
          },
        },
      },
      { redirect },
      { args: ['--folder', data] },
    )
    expect((await server.call('POST', '/factories/tests/triggers/files/start')).status).toBe(204)
    // What comes from now on has arrived, when it is whole.
    for (const name of ['one.csv', 'two.txt', 'three.csv']) writeFileSync(join(data, 'in', name), 'x')
    writeFileSync(join(data, 'in', 'empty.csv'), '')
    writeFileSync(join(data, 'in', 'old', 'four.csv'), 'x')
    writeFileSync(join(data, 'in', '0-bad.csv'), 'x')
    const growing = setInterval(() => appendFileSync(join(data, 'in', 'grows.csv'), 'a line\n'), 500)
    const grown = setTimeout(() => clearInterval(growing), 9000)
    onTestFinished(() => {
      clearInterval(growing)
      clearTimeout(grown)
    })
    const done = async () => (await runsOf(server)).filter(x => x.status === 'Succeeded')
    await until(async () => (await done()).length >= 4, 'four runs', 90_000)
    const at = (await done()).map(x => (x.returnValue as { at: string }).at).sort()
    expect(at).toEqual(['in/old|four.csv', 'in|grows.csv', 'in|one.csv', 'in|three.csv'])
    const { body } = await server.call<{ triggers: { outcome: string }[] }>('GET', '/factories/tests')
    expect(server.log() + body.triggers[0]!.outcome).toMatch(/0-bad\.csv: FERRY-7/)
  })

  it('call webhooks, and go on with what is sent back', async () => {
    const called: { callBackUri: string; what: string }[] = []
    const other = createServer((request, response) => {
      let text = ''
      request.on('data', chunk => {
        text += chunk
      })
      request.on('end', () => {
        called.push(JSON.parse(text))
        response.end('{}')
      })
    })
    await new Promise<void>(resolve => other.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void other.close())
    const url = `http://127.0.0.1:${(other.address() as AddressInfo).port}/do`
    const hook = (name: string, more: object = {}) => ({
      name,
      type: 'WebHook',
      typeProperties: { url, method: 'POST', body: { what: name }, timeout: '00:01:00', ...more },
    })
    const { server } = await serverWith({
      'pipeline/p': {
        activities: [
          hook('ask'),
          { ...returns({ got: "@activity('ask').output.answer" }), dependsOn: [{ activity: 'ask' }] },
        ],
      },
      'pipeline/reports': { activities: [hook('report', { reportStatusOnCallBack: true })] },
      'pipeline/late': { activities: [hook('late', { timeout: '00:00:01' })] },
    })
    const answer = async (what: string, body: object) => {
      await until(() => called.some(c => c.what === what), `${what} to be called`)
      const { callBackUri } = called.find(c => c.what === what)!
      return fetch(callBackUri, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      })
    }
    const asks = await run(server, 'p')
    expect((await answer('ask', { answer: 42 })).status).toBe(200)
    expect(await ended(server, asks)).toMatchObject({ status: 'Succeeded', returnValue: { got: 42 } })
    expect((await answer('ask', { answer: 43 })).status).toBe(404)
    const reports = await run(server, 'reports')
    await answer('report', { StatusCode: '403', Error: { ErrorCode: 'E7', Message: 'not today' } })
    expect(await ended(server, reports)).toMatchObject({
      status: 'Failed',
      message: expect.stringContaining('not today'),
    })
    expect(await ended(server, await run(server, 'late'))).toMatchObject({
      status: 'Failed',
      message: expect.stringContaining('No answer came'),
    })
    // Nobody waits for what comes too late.
    expect((await answer('late', {})).status).toBe(404)
    expect(called.filter(c => c.what === 'ask')).toHaveLength(1)
  })

  it('copy from a service, and to one, within what the server may open', async () => {
    const lists: unknown[][] = []
    const other = createServer((request, response) => {
      let text = ''
      request.on('data', chunk => {
        text += chunk
      })
      request.on('end', () => {
        if (request.method === 'POST') lists.push(JSON.parse(text))
        response.setHeader('content-type', 'application/json').end('[{"id": 1}, {"id": 2}]')
      })
    })
    await new Promise<void>(resolve => other.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void other.close())
    const url = `http://127.0.0.1:${(other.address() as AddressInfo).port}`
    const { server } = await serverWith({
      'linkedService/rest': { type: 'RestService', typeProperties: { url, authenticationType: 'Anonymous' } },
      'dataset/rest': { type: 'RestResource', linkedServiceName: { referenceName: 'rest' }, typeProperties: {} },
      'pipeline/p': {
        activities: [
          {
            name: 'copy',
            type: 'Copy',
            inputs: [{ referenceName: 'rest' }],
            outputs: [{ referenceName: 'rest' }],
            typeProperties: { source: { type: 'RestSource' }, sink: { type: 'RestSink' } },
          },
        ],
      },
    })
    expect(await ended(server, await run(server, 'p'))).toMatchObject({ status: 'Succeeded', message: '' })
    expect(lists).toEqual([[{ id: 1 }, { id: 2 }]])
  })

  it('copy between stores, and never where the server may not write', async () => {
    const data = temporaryFolder()
    const source = new DatabaseSync(join(data, 'shop.db'))
    source.exec(
      'CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO t VALUES (1, $a$), (2, $b$)'.replaceAll(
        /\$(\w)\$/g,
        "'$1'",
      ),
    )
    source.close()
    const outside = join(temporaryFolder(), 'out.db')
    const dataset = (service: string) => ({
      type: 'AzureSqlTable',
      linkedServiceName: { referenceName: service },
      typeProperties: { table: 't' },
    })
    const copy = (sink: string) => ({
      activities: [
        {
          name: 'copy',
          type: 'Copy',
          inputs: [{ referenceName: 'from' }],
          outputs: [{ referenceName: sink }],
          typeProperties: {
            source: { type: 'AzureSqlSource' },
            sink: { type: 'AzureSqlSink', tableOption: 'autoCreate' },
          },
        },
      ],
    })
    const sqlite = (path: string) => ({ kind: 'sqlite', settings: { path } })
    const redirect = join(data, 'here.json')
    const linkedServices = { from: sqlite('./shop.db'), to: sqlite('./copy.db'), out: sqlite(outside) }
    writeFileSync(redirect, JSON.stringify({ linkedServices }))
    const { server } = await serverWith(
      {
        ...Object.fromEntries(
          ['from', 'to', 'out'].map(name => [
            `linkedService/${name}`,
            { type: 'AzureSqlDatabase', typeProperties: {} },
          ]),
        ),
        ...Object.fromEntries(['from', 'to', 'out'].map(name => [`dataset/${name}`, dataset(name)])),
        'pipeline/inside': copy('to'),
        'pipeline/outside': copy('out'),
      },
      { redirect },
      { args: ['--folder', data] },
    )
    expect((await ended(server, await run(server, 'inside'))).status).toBe('Succeeded')
    const copied = new DatabaseSync(join(data, 'copy.db'), { readOnly: true })
    expect(
      copied
        .prepare('SELECT id, name FROM t ORDER BY id')
        .all()
        .map(r => ({ ...r })),
    ).toEqual([
      { id: 1, name: 'a' },
      { id: 2, name: 'b' },
    ])
    copied.close()
    const refused = await ended(server, await run(server, 'outside'))
    expect(refused).toMatchObject({ status: 'Failed', message: expect.stringMatching(/folder/) })
  })

  it('run data flows between files of their folders, and show them', async () => {
    const data = temporaryFolder()
    writeFileSync(join(data, 'in.csv'), 'id,name\n1,a\n2,b\n3,c\n')
    const redirect = join(data, 'here.json')
    writeFileSync(redirect, JSON.stringify({ linkedServices: { files: './' } }))
    const script = `source(output(id as integer, name as string)) ~> raw
raw split(id > 1, disjoint: false) ~> parts@(some, rest)
parts@some derive(name = upper(name)) ~> loud
loud sink(partitionFileNames: ['out.csv']) ~> out`
    const csv = (file: string) => ({ referenceName: 'csv', type: 'DatasetReference', parameters: { file } })
    const flow = flowOf({ raw: csv('in.csv') }, { out: csv('') }, script)
    const dataflow = { referenceName: 'f', type: 'DataFlowReference' }
    const { server } = await serverWith(
      {
        'pipeline/p': { activities: [{ name: 'flow', type: 'ExecuteDataFlow', typeProperties: { dataflow } }] },
        'dataflow/f': flow,
        'dataflow/broken': flowOf({ raw: csv('in.csv') }, { out: csv('') }, script.replace('upper', 'uper')),
        'dataset/csv': csvDataset('files'),
        'linkedService/files': folderService('elsewhere'),
      },
      { redirect },
      { args: ['--folder', data] },
    )
    const found = await server.call<{ streams: { name: string; kind: string; inputs: string[]; columns: object[] }[] }>(
      'GET',
      '/factories/tests/dataflows/f',
    )
    expect(found.body.streams.map(s => [s.name, s.kind, s.inputs])).toEqual([
      ['raw', 'source', []],
      ['parts@', 'split', ['raw']],
      ['parts@some', 'split', ['parts@']],
      ['parts@rest', 'split', ['parts@']],
      ['loud', 'derive', ['parts@some']],
      ['out', 'sink', ['loud']],
    ])
    expect(found.body.streams[4]!.columns).toEqual([
      { name: 'id', type: 'integer', isDrifted: false },
      { name: 'name', type: 'string', isDrifted: false },
    ])
    const broken = await server.call<{ findings: { message: string }[]; streams: object[] }>(
      'GET',
      '/factories/tests/dataflows/broken',
    )
    expect(broken.body.findings[0]!.message).toContain('there is no function uper: did you mean upper?')
    expect(broken.body.streams.length).toBe(5)
    const rows = (stream: string, parameters: string[] = []) =>
      server.call<{ columns: string[]; rows: unknown[][] } & Problem>('POST', '/factories/tests/dataflows/f/rows', {
        stream,
        parameters,
      })
    expect((await rows('loud')).body).toEqual({
      columns: ['id', 'name'],
      rows: [
        ['2', 'B'],
        ['3', 'C'],
      ],
    })
    expect((await rows('loude')).body.detail).toContain('no stream loude: did you mean loud?')
    expect((await rows('loud', ['none=1'])).body.code).toBe('FERRY-7004')
    expect(
      (await server.call<Problem>('POST', '/factories/tests/dataflows/broken/rows', { stream: 'raw' })).status,
    ).toBe(422)
    expect(existsSync(join(data, 'out.csv'))).toBe(false)
    const viewer = (await server.call<{ token: string }>('POST', '/tokens', { name: 'v', role: 'viewer' })).body.token
    const asViewer = { authorization: `Bearer ${viewer}` }
    const refused = await server.call('POST', '/factories/tests/dataflows/f/rows', { stream: 'raw' }, asViewer)
    expect(refused.status).toBe(403)
    expect(await ended(server, await run(server, 'p'))).toMatchObject({ status: 'Succeeded', message: '' })
    expect(readFileSync(join(data, 'out.csv'), 'utf8')).toBe('id,name\r\n2,B\r\n3,C\r\n')
  })
})
