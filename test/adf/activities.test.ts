/** Activities of a factory beside copies, against real stores and a real server. */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { account, fill, makeContainer } from '../cosmos.ts'
import { makeDatabase, temporaryFolder } from '../support.ts'
import {
  activity,
  after,
  collectionDataset,
  cosmosService,
  csvDataset,
  dataset,
  expression,
  filesDataset,
  folderService,
  postgresService,
  runFactory,
  service,
  tableDataset,
} from './factory.ts'

describe('Lookup', () => {
  it('gives the first row, or all of them', async () => {
    const { client, url } = await makeDatabase()
    await client.query(
      "CREATE TABLE t (id bigint, name text, price numeric, at timestamptz); INSERT INTO t VALUES (9007199254740993, 'x', 1.10, '2024-01-31T08:00:00Z'), (2, null, 2, null)",
    )
    const artifacts = { 'linkedService/pg': postgresService(url), 'dataset/table': tableDataset('pg') }
    const lookup = (name: string, more: object) =>
      activity(name, 'Lookup', {
        source: { type: 'AzurePostgreSqlSource', query: 'SELECT * FROM t ORDER BY id DESC' },
        dataset: dataset('table', { table: 't' }),
        ...more,
      })
    const ran = await runFactory(
      { ...artifacts, 'pipeline/p': { activities: [lookup('first', {}), lookup('all', { firstRowOnly: false })] } },
      'p',
    )
    expect(ran.end.error).toBeUndefined()
    expect(ran.of('first').output).toEqual({
      firstRow: { id: '9007199254740993', name: 'x', price: 1.1, at: '2024-01-31T08:00:00Z' },
    })
    expect(ran.of('all').output).toMatchObject({ count: 2, value: [{ name: 'x' }, { id: 2, name: null }] })
  })

  it('reads files and documents', async () => {
    const folder = temporaryFolder()
    writeFileSync(join(folder, 'a.csv'), 'id,name\n007,x\n')
    writeFileSync(join(folder, 'b.json'), '[{"a": {"b": [1]}}, {"a": null}]')
    const running = await account()
    makeContainer(running, 'orders')
    fill(running, 'orders', 5)
    const artifacts = {
      'linkedService/files': folderService(folder),
      'linkedService/cosmos': cosmosService(running),
      'dataset/csv': csvDataset('files'),
      'dataset/json': filesDataset('Json', 'files'),
      'dataset/collection': collectionDataset('cosmos'),
      'pipeline/p': {
        activities: [
          activity('csv', 'Lookup', {
            source: { type: 'DelimitedTextSource', storeSettings: { type: 'FileServerReadSettings' } },
            dataset: dataset('csv', { file: 'a.csv' }),
          }),
          activity('json', 'Lookup', {
            source: { type: 'JsonSource', storeSettings: { type: 'FileServerReadSettings' } },
            dataset: dataset('json', { file: 'b.json' }),
            firstRowOnly: false,
          }),
          activity('query', 'Lookup', {
            source: { type: 'CosmosDbSqlApiSource', query: 'SELECT VALUE COUNT(1) FROM c' },
            dataset: dataset('collection', { collection: 'orders' }),
          }),
          activity('documents', 'Lookup', {
            source: { type: 'CosmosDbSqlApiSource', query: "SELECT c.id FROM c WHERE c.id = 'o3'" },
            dataset: dataset('collection', { collection: 'orders' }),
            firstRowOnly: false,
          }),
        ],
      },
    }
    const ran = await runFactory(artifacts, 'p')
    expect(ran.of('csv').output).toEqual({ firstRow: { id: '007', name: 'x' } })
    expect(ran.of('json').output).toEqual({ count: 2, value: [{ a: { b: [1] } }, { a: null }] })
    expect(ran.of('documents').output).toEqual({ count: 1, value: [{ id: 'o3' }] })
  })

  it('stops at 5,000 rows and at 4 MB, and says so', async () => {
    const { client, url } = await makeDatabase()
    await client.query(
      "CREATE TABLE many AS SELECT i AS id FROM generate_series(1, 5001) i; CREATE TABLE large AS SELECT repeat('x', 100000) AS t FROM generate_series(1, 50)",
    )
    const lookup = (table: string) =>
      activity(table, 'Lookup', {
        source: { type: 'AzurePostgreSqlSource' },
        dataset: dataset('table', { table }),
        firstRowOnly: false,
      })
    const ran = await runFactory(
      {
        'linkedService/pg': postgresService(url),
        'dataset/table': tableDataset('pg'),
        'pipeline/p': { activities: [lookup('many'), lookup('large')] },
      },
      'p',
    )
    expect(ran.of('many').error.message).toMatch(/more than 5000 rows/)
    expect(ran.of('large').error.message).toMatch(/more than 4 MB/)
  })
})

function tree() {
  const folder = temporaryFolder()
  for (const path of ['4.txt', '5.csv', 'Folder_B_1/6.txt', 'Folder_B_1/7.csv', 'Folder_B_2/8.txt']) {
    mkdirSync(join(folder, 'Folder_A_2', path, '..'), { recursive: true })
    writeFileSync(join(folder, 'Folder_A_2', path), path)
  }
  const artifacts = {
    'linkedService/files': folderService(folder),
    'dataset/binary': filesDataset('Binary', 'files'),
    'dataset/csv': csvDataset('files'),
  }
  return { folder: join(folder, 'Folder_A_2'), artifacts }
}

describe('GetMetadata', () => {
  it('knows files, folders, and what is not there', async () => {
    const { artifacts, folder } = tree()
    writeFileSync(join(folder, 'c.csv'), 'id,name\n1,x\n')
    const get = (name: string, given: object, fieldList: string[], of = 'binary') =>
      activity(name, 'GetMetadata', { dataset: dataset(of, given), fieldList })
    const ran = await runFactory(
      {
        ...artifacts,
        'pipeline/p': {
          activities: [
            get('file', { folder: 'Folder_A_2', file: '4.txt' }, [
              'exists',
              'itemName',
              'itemType',
              'size',
              'lastModified',
              'contentMD5',
            ]),
            get('folder', { folder: 'Folder_A_2' }, ['itemName', 'itemType', 'childItems']),
            get('nothing', { folder: 'Folder_A_2', file: 'nope' }, ['exists', 'size']),
            get('error', { folder: 'Folder_A_2', file: 'nope' }, ['size']),
            get('columns', { folder: 'Folder_A_2', file: 'c.csv' }, ['structure', 'columnCount'], 'csv'),
          ],
        },
      },
      'p',
    )
    expect(ran.of('file').output).toMatchObject({
      exists: true,
      itemName: '4.txt',
      itemType: 'File',
      size: 5,
      contentMD5: createHash('md5').update('4.txt').digest('base64'),
    })
    expect(ran.of('file').output.lastModified).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
    expect(ran.of('folder').output).toEqual({
      itemName: 'Folder_A_2',
      itemType: 'Folder',
      childItems: [
        { name: 'Folder_B_1', type: 'Folder' },
        { name: 'Folder_B_2', type: 'Folder' },
        { name: '4.txt', type: 'File' },
        { name: '5.csv', type: 'File' },
        { name: 'c.csv', type: 'File' },
      ],
    })
    expect(ran.of('nothing').output).toEqual({ exists: false })
    expect(ran.of('error').error.message).toMatch(/there is no Folder_A_2\/nope/)
    expect(ran.of('columns').output).toEqual({
      structure: [
        { name: 'id', type: 'String' },
        { name: 'name', type: 'String' },
      ],
      columnCount: 2,
    })
  })
})

describe('Delete', () => {
  const left = (folder: string) =>
    (readdirSync(folder, { recursive: true }) as string[]).filter(p => /\./.test(p)).sort()
  const cases: [string, object, number, string[]][] = [
    ['the files of a folder', { recursive: false }, 2, ['Folder_B_1/6.txt', 'Folder_B_1/7.csv', 'Folder_B_2/8.txt']],
    ['all that is below it', { recursive: true }, 5, []],
    [
      'those of a pattern',
      { recursive: false, wildcardFileName: '*.txt' },
      1,
      ['5.csv', 'Folder_B_1/6.txt', 'Folder_B_1/7.csv', 'Folder_B_2/8.txt'],
    ],
    ['those of a pattern below it', { recursive: true, wildcardFileName: '*.txt' }, 3, ['5.csv', 'Folder_B_1/7.csv']],
  ]
  it.each(cases)('removes %s', async (_, settings, count, stay) => {
    const { artifacts, folder } = tree()
    const remove = activity('delete', 'Delete', {
      dataset: dataset('binary', { folder: 'Folder_A_2' }),
      storeSettings: { type: 'FileServerReadSettings', ...settings },
      enableLogging: false,
    })
    const ran = await runFactory({ ...artifacts, 'pipeline/p': { activities: [remove] } }, 'p')
    expect(ran.end.error).toBeUndefined()
    expect(ran.of('delete').output).toMatchObject({ filesDeleted: count })
    expect(existsSync(folder) ? left(folder) : []).toEqual(stay)
  })
})

describe('what Delete leaves', () => {
  it('is no empty folder, and a log where one is wanted', async () => {
    const { artifacts, folder } = tree()
    mkdirSync(join(folder, 'empty', 'deeper'), { recursive: true })
    const remove = activity('delete', 'Delete', {
      dataset: dataset('binary', { folder: 'Folder_A_2' }),
      storeSettings: { type: 'FileServerReadSettings', recursive: true },
      enableLogging: true,
      logStorageSettings: { linkedServiceName: service('files'), path: 'logs/deleted' },
    })
    const ran = await runFactory({ ...artifacts, 'pipeline/p': { activities: [remove] } }, 'p')
    expect(ran.end.error).toBeUndefined()
    expect(ran.of('delete').output).toMatchObject({ filesDeleted: 5, logPath: 'logs/deleted' })
    expect(existsSync(folder)).toBe(false)
    const logs = join(folder, '..', 'logs', 'deleted')
    const [log] = readdirSync(logs) as string[]
    const lines = readFileSync(join(logs, log!), 'utf8').trim().split('\n')
    expect(lines).toHaveLength(6)
    expect(lines).toContain('Folder_A_2/Folder_B_1/7.csv,File,Deleted,')
  })
})

describe('Validation', () => {
  it('waits until a file is there, and gives up in time', async () => {
    const { artifacts, folder } = tree()
    const validate = (name: string, file: string, timeout: string) =>
      activity(name, 'Validation', {
        dataset: dataset('binary', { folder: 'Folder_A_2', file }),
        timeout,
        sleep: 1,
        minimumSize: 3,
      })
    const running = runFactory(
      {
        ...artifacts,
        'pipeline/p': {
          activities: [validate('late', 'late.txt', '00:01:00'), validate('never', 'never.txt', '00:00:01')],
        },
      },
      'p',
    )
    writeFileSync(join(folder, 'late.txt'), 'here')
    const ran = await running
    expect(ran.of('late').output).toMatchObject({ exists: true, itemName: 'late.txt', size: 4 })
    expect(ran.of('never').error).toMatchObject({ errorCode: 'ActivityTimedOut' })
  })
})

describe('Script and stored procedures', () => {
  it('execute in the database that is at hand', async () => {
    const { client, url } = await makeDatabase()
    await client.query('CREATE TABLE t (id int, name text)')
    await client.query(
      'CREATE PROCEDURE add_row(id int, name text) LANGUAGE SQL AS $$ INSERT INTO t VALUES (id, name) $$',
    )
    const ran = await runFactory(
      {
        'linkedService/pg': postgresService(url),
        'pipeline/p': {
          activities: [
            activity(
              'script',
              'Script',
              {
                scripts: [
                  { type: 'NonQuery', text: "INSERT INTO t VALUES (1, 'a'), (2, 'b')" },
                  { type: 'Query', text: 'SELECT count(*) AS n FROM t' },
                ],
              },
              { linkedServiceName: service('pg') },
            ),
            activity(
              'call',
              'SqlServerStoredProcedure',
              {
                storedProcedureName: '[public].[add_row]',
                storedProcedureParameters: { id: { value: '3', type: 'Int32' }, name: { value: "it's" } },
              },
              { linkedServiceName: service('pg'), dependsOn: after('script') },
            ),
          ],
        },
      },
      'p',
    )
    expect(ran.end.error).toBeUndefined()
    expect(ran.of('script').output).toMatchObject({
      resultSetCount: 1,
      recordsAffected: 2,
      resultSets: [{ rowCount: 1, rows: [{ n: 2 }] }],
    })
    expect((await client.query('SELECT * FROM t WHERE id = 3')).rows).toEqual([{ id: 3, name: "it's" }])
  })
})

/** A server that answers as it is told to, and tells what it was asked. */
async function server(
  answer: (
    request: IncomingMessage,
    body: string,
  ) => { status?: number; headers?: Record<string, string>; body?: string },
) {
  const asked: { method: string; url: string; headers: IncomingMessage['headers']; body: string }[] = []
  const listening: Server = createServer((request, response) => {
    let body = ''
    request.on('data', chunk => {
      body += chunk
    })
    request.on('end', () => {
      asked.push({ method: request.method!, url: request.url!, headers: request.headers, body })
      const { status = 200, headers = {}, body: text = '' } = answer(request, body)
      response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(text)
    })
  })
  await new Promise<void>(resolve => listening.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void listening.close())
  return { asked, url: `http://127.0.0.1:${(listening.address() as AddressInfo).port}` }
}

describe('Web', () => {
  it('calls, and gives what was answered', async () => {
    const { asked, url } = await server(({ url: path }) =>
      path === '/list'
        ? { body: '[1,2]' }
        : path === '/gone'
          ? { status: 404, body: '{"error":"no such thing"}' }
          : { body: '{"id": 9007199254740993, "ok": true}' },
    )
    const web = (name: string, path: string, more: object, rest: object = {}) =>
      activity(name, 'WebActivity', { url: `${url}${path}`, method: 'GET', ...more }, rest)
    const ran = await runFactory(
      {
        'pipeline/p': {
          activities: [
            web('get', '/', {
              authentication: { type: 'Basic', username: 'u', password: { type: 'SecureString', value: 'pw' } },
            }),
            web(
              'post',
              '/',
              { method: 'POST', headers: { 'x-own': 'h' }, body: { value: "@concat('a', 1)" } },
              { dependsOn: after('get') },
            ),
            web('list', '/list', {}, { dependsOn: after('post') }),
            web('gone', '/gone', {}, { dependsOn: after('list') }),
            activity(
              'use',
              'SetVariable',
              { variableName: 'v', value: "@string(activity('get').output.id)" },
              { dependsOn: after('get') },
            ),
          ],
          variables: { v: { type: 'String' } },
        },
      },
      'p',
    )
    expect(ran.of('get').output).toMatchObject({ id: '9007199254740993', ok: true })
    expect(ran.of('use').output.value).toBe('9007199254740993')
    expect(ran.of('list').output.Response).toEqual([1, 2])
    expect(ran.of('gone').error).toMatchObject({
      errorCode: '2108',
      message: expect.stringMatching(/status code: '404'.*no such thing/s),
    })
    expect(asked[0]!.headers.authorization).toBe(`Basic ${Buffer.from('u:pw').toString('base64')}`)
    expect(asked[1]).toMatchObject({ method: 'POST', body: '{"value":"a1"}' })
    expect(JSON.stringify(ran.activities)).not.toContain('"pw"')
  })

  it('waits for what goes on at the other side, unless it is told not to', async () => {
    let left = 2
    const { asked, url } = await server(({ url: path }) =>
      path === '/start'
        ? { status: 202, headers: { location: '/state', 'retry-after': '0' } }
        : left-- > 0
          ? { status: 202, headers: { location: '/state', 'retry-after': '0' } }
          : { body: '{"done":true}' },
    )
    const start = (name: string, turnOffAsync: boolean) =>
      activity(name, 'WebActivity', { url: `${url}/start`, method: 'POST', body: '{}', turnOffAsync })
    const ran = await runFactory(
      { 'pipeline/p': { activities: [start('waits', false), { ...start('asks', true), dependsOn: after('waits') }] } },
      'p',
    )
    expect(ran.of('waits').output).toMatchObject({ done: true })
    expect(ran.of('asks').output.done).toBeUndefined()
    expect(asked.map(a => a.url)).toEqual(['/start', '/state', '/state', '/state', '/start'])
  })

  it('takes credentials to no other host', async () => {
    const other = await server(() => ({ body: '{}' }))
    const first = await server(() => ({ status: 302, headers: { location: other.url } }))
    const call = activity('call', 'WebActivity', {
      url: first.url,
      method: 'GET',
      headers: { authorization: 'Bearer t', 'x-key': 'k' },
    })
    await runFactory({ 'pipeline/p': { activities: [call] } }, 'p')
    expect(other.asked[0]!.headers.authorization).toBeUndefined()
    expect(other.asked[0]!.headers['x-key']).toBeUndefined()
  })
})

describe('ExecutePipeline', () => {
  it('runs another pipeline, gives it parameters, and gets what it returns', async () => {
    const child = {
      parameters: { n: { type: 'int' }, list: { type: 'array' } },
      activities: [
        activity('give', 'SetVariable', {
          variableName: 'pipelineReturnValue',
          setSystemVariable: true,
          value: [
            { key: 'twice', value: { type: 'Expression', content: '@mul(pipeline().parameters.n, 2)' } },
            { key: 'who', value: { type: 'Expression', content: '@pipeline()?.TriggeredByPipelineName' } },
            {
              key: 'nested',
              value: { type: 'Object', content: [{ key: 'a', value: { type: 'String', content: 'x' } }] },
            },
          ],
        }),
      ],
    }
    const failing = { activities: [activity('no', 'Fail', { message: 'no luck', errorCode: '7' })] }
    const call = (name: string, pipeline: string, more: object, rest: object = {}) =>
      activity(
        name,
        'ExecutePipeline',
        { pipeline: { referenceName: pipeline, type: 'PipelineReference' }, waitOnCompletion: true, ...more },
        rest,
      )
    const ran = await runFactory(
      {
        'pipeline/child': child,
        'pipeline/failing': failing,
        'pipeline/p': {
          variables: { v: { type: 'String' } },
          activities: [
            call('call', 'child', { parameters: { n: expression('@add(1, 2)'), list: '[1,2]' } }),
            activity(
              'use',
              'SetVariable',
              {
                variableName: 'v',
                value:
                  "@concat(activity('call').output.pipelineReturnValue.twice, activity('call').output.pipelineReturnValue.nested.a)",
              },
              { dependsOn: after('call') },
            ),
            call('fails', 'failing', {}, { dependsOn: after('use') }),
          ],
        },
      },
      'p',
    )
    expect(ran.of('call').output).toMatchObject({
      pipelineName: 'child',
      pipelineReturnValue: { twice: 6, who: 'p', nested: { a: 'x' } },
    })
    expect(ran.of('use').output.value).toBe('6x')
    expect(ran.of('fails').error.message).toBe('Operation on target no failed: no luck')
  })
})
