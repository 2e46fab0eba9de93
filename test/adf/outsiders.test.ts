/** Faults that outsiders found in artifacts of Data Factory, each as a small factory. */
import { readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, it } from 'vitest'
import { checkFactory } from '../../ferry/src/facades/datafactory/check.ts'
import { readFactory } from '../../ferry/src/facades/datafactory/read.ts'
import { NO_REDIRECTS, readRedirects } from '../../ferry/src/facades/datafactory/redirects.ts'
import { policy, temporaryFolder } from '../support.ts'
import {
  activity as act,
  after,
  copyOf,
  csvDataset,
  dataset,
  expression,
  filesDataset,
  folderService,
  folderWith,
  READ,
  runFactory,
  service,
  tableDataset,
  writeFactory,
} from './factory.ts'

function folder(files: Record<string, string>) {
  const root = folderWith(files)
  const artifacts = {
    'linkedService/files': folderService(root),
    'dataset/csv': csvDataset('files'),
    'dataset/json': filesDataset('Json', 'files'),
    'dataset/binary': filesDataset('Binary', 'files'),
  }
  return { root, artifacts }
}

const remove = (given: object, storeSettings: object) =>
  act('delete', 'Delete', { dataset: dataset('binary', given), storeSettings, enableLogging: false })
const one = async (artifacts: Record<string, object>, ...activities: object[]) =>
  runFactory({ ...artifacts, 'pipeline/p': { activities } }, 'p')

describe('files', () => {
  it('are called by their names: brackets are no pattern', async () => {
    const { artifacts, root } = folder({ 'x1.csv': 'a', 'x2.csv': 'b', 'x[3].csv': 'c' })
    await one(artifacts, remove({ file: 'x[12].csv' }, READ))
    expect(readdirSync(root).sort()).toEqual(['x1.csv', 'x2.csv', 'x[3].csv'])
    await one(artifacts, remove({ file: 'x[3].csv' }, READ))
    expect(readdirSync(root).sort()).toEqual(['x1.csv', 'x2.csv'])
  })

  it('are found by * and ? alone, and ^ stands before one that is meant', async () => {
    const names = ['r[1]a.csv', 'r1a.csv', 'q{1,2}.csv', 'q1.csv', 'r*x.csv', 'r^zx.csv']
    const left = async (wildcardFileName: string) => {
      const { artifacts, root } = folder(Object.fromEntries(names.map(n => [`d/${n}`, ''])))
      await one(artifacts, remove({ folder: 'd' }, { ...READ, wildcardFileName }))
      return names.filter(n => !readdirSync(join(root, 'd')).includes(n))
    }
    expect(await left('r[1]*.csv')).toEqual(['r[1]a.csv'])
    expect(await left('q{1,2}.csv')).toEqual(['q{1,2}.csv'])
    expect(await left('r^*x.csv')).toEqual(['r*x.csv'])
    expect(await left('q1?.csv')).toEqual(['q1.csv'])
  })

  it('have been changed in UTC, wherever this machine is', async () => {
    const { artifacts, root } = folder({ 'd/old.txt': '', 'd/new.txt': '' })
    utimesSync(join(root, 'd/old.txt'), 0, Date.parse('2026-11-28T11:00:00Z') / 1000)
    utimesSync(join(root, 'd/new.txt'), 0, Date.parse('2026-11-28T14:00:00Z') / 1000)
    const before = process.env.TZ
    process.env.TZ = 'America/New_York'
    try {
      await one(
        artifacts,
        remove({ folder: 'd' }, { ...READ, wildcardFileName: '*', modifiedDatetimeEnd: '2026-11-28T12:00:00' }),
      )
    } finally {
      if (before === undefined) delete process.env.TZ
      else process.env.TZ = before
    }
    expect(readdirSync(join(root, 'd'))).toEqual(['new.txt'])
  })

  it('that are no archives though their dataset says so fail by their name', async () => {
    const { artifacts } = folder({ 'a.zip': 'PK' })
    const packed = {
      ...artifacts,
      'dataset/zip': filesDataset('Binary', 'files', { compression: { type: 'ZipDeflate' } }),
    }
    const copy = copyOf('copy', dataset('zip', { file: 'a.zip' }), dataset('binary', { folder: 'out' }), {
      source: { type: 'BinarySource', storeSettings: READ },
      sink: { type: 'BinarySink', storeSettings: { type: 'FileServerWriteSettings' } },
    })
    expect((await one(packed, copy)).end.error!.message).toMatch(/: a\.zip cannot be unpacked: /)
  })

  it('that are new are copied by when they were changed, as they are', async () => {
    const { artifacts, root } = folder({ 'in/old.bin': 'o', 'in/new.bin': 'n' })
    utimesSync(join(root, 'in/old.bin'), 0, 1_000_000_000)
    const copy = copyOf('copy', dataset('binary', { folder: 'in' }), dataset('binary', { folder: 'out' }), {
      source: { type: 'BinarySource', storeSettings: { ...READ, modifiedDatetimeStart: '2020-01-01T00:00:00Z' } },
      sink: { type: 'BinarySink', storeSettings: { type: 'FileServerWriteSettings' } },
    })
    expect((await one(artifacts, copy)).end.error).toBeUndefined()
    expect(readdirSync(join(root, 'out'))).toEqual(['new.bin'])
  })
})

describe('values', () => {
  it('that a query computes are numbers', async () => {
    const path = join(temporaryFolder(), 'a.db')
    new DatabaseSync(path).exec("CREATE TABLE t (k TEXT); INSERT INTO t VALUES ('a'), ('b')")
    const file = join(temporaryFolder(), 'r.yaml')
    writeFileSync(file, `linkedServices: { sql: ${path} }`)
    const lookup = act('look', 'Lookup', {
      source: { type: 'AzureSqlSource', sqlReaderQuery: 'SELECT count(*) AS n, 1.5 AS f, k FROM t' },
      dataset: dataset('table', { table: 't' }),
    })
    const choose = act(
      'if',
      'IfCondition',
      {
        expression: expression("@equals(activity('look').output.firstRow.n, 2)"),
        ifTrueActivities: [act('yes', 'Wait', { waitTimeInSeconds: 0 })],
      },
      { dependsOn: after('look') },
    )
    const artifacts = {
      'linkedService/sql': { type: 'AzureSqlDatabase', typeProperties: {} },
      'dataset/table': tableDataset('sql', 'AzureSqlTable'),
    }
    const ran = await runFactory({ ...artifacts, 'pipeline/p': { activities: [lookup, choose] } }, 'p', {
      redirects: readRedirects(file, [], policy),
    })
    expect(ran.of('look').output).toEqual({ firstRow: { n: 2, f: 1.5, k: 'a' } })
    expect(ran.of('yes').state).toBe('Succeeded')
  })

  it('that are texts in JSON stay what they are in CSV', async () => {
    const { artifacts, root } = folder({ 'a.json': '{"a":"2020-01-01T00:00:00Z","tz":"2020-01-01T05:00:00+02:00"}' })
    const copy = copyOf('copy', dataset('json', { file: 'a.json' }), dataset('csv', { file: 'b.csv' }), {
      source: { type: 'JsonSource', storeSettings: READ },
      sink: { type: 'DelimitedTextSink', storeSettings: { type: 'FileServerWriteSettings' } },
    })
    await one(artifacts, copy)
    expect(readFileSync(join(root, 'b.csv'), 'utf8')).toBe('a,tz\r\n2020-01-01T00:00:00Z,2020-01-01T05:00:00+02:00\r\n')
  })

  it('of files without names are called Prop_0, Prop_1 in a Lookup', async () => {
    const { artifacts } = folder({ 'a.csv': '1,x\n' })
    const bare = { ...artifacts, 'dataset/bare': csvDataset('files', { firstRowAsHeader: false }) }
    const ran = await one(
      bare,
      act('look', 'Lookup', {
        source: { type: 'DelimitedTextSource', storeSettings: READ },
        dataset: dataset('bare', { file: 'a.csv' }),
      }),
    )
    expect(ran.of('look').output).toEqual({ firstRow: { Prop_0: '1', Prop_1: 'x' } })
  })
})

describe('scripts', () => {
  it('run in the database that a linked service is redirected to', async () => {
    const path = join(temporaryFolder(), 'a.db')
    new DatabaseSync(path).exec('CREATE TABLE t (id INTEGER)')
    const file = join(temporaryFolder(), 'r.yaml')
    writeFileSync(file, `linkedServices: { sql: ${path} }`)
    const script = act(
      'script',
      'Script',
      {
        scripts: [
          { type: 'NonQuery', text: 'INSERT INTO t VALUES (1), (2); DELETE FROM t WHERE id = 1' },
          { type: 'Query', text: 'SELECT * FROM t' },
        ],
      },
      { linkedServiceName: service('sql') },
    )
    const artifacts = { 'linkedService/sql': { type: 'AzureSqlDatabase', typeProperties: {} } }
    const ran = await runFactory({ ...artifacts, 'pipeline/p': { activities: [script] } }, 'p', {
      redirects: readRedirects(file, [], policy),
    })
    expect(ran.of('script').output).toMatchObject({ recordsAffected: 3, resultSets: [{ rows: [{ id: 2 }] }] })
  })
})

describe('names', () => {
  it('are found in any case', async () => {
    const ran = await runFactory(
      {
        'pipeline/child': { parameters: { ExecutionId: { type: 'string' } }, activities: [] },
        'pipeline/p': {
          variables: { Total: { type: 'String' } },
          activities: [
            act('Wait One', 'SetVariable', { variableName: 'total', value: 'x' }),
            act(
              'call',
              'ExecutePipeline',
              {
                pipeline: { referenceName: 'CHILD', type: 'PipelineReference' },
                parameters: { executionid: "@activity('wait one').output.value" },
              },
              { dependsOn: after('Wait One') },
            ),
          ],
        },
      },
      'p',
    )
    expect(ran.end.error).toBeUndefined()
  })
})

describe('check', () => {
  const findings = (artifacts: Record<string, object>) =>
    checkFactory(readFactory(writeFactory(artifacts), [], policy), NO_REDIRECTS)

  it('is fast, however often pipelines execute one another', () => {
    const all = Object.fromEntries(
      Array.from({ length: 40 }, (_, i) => {
        const call = (n: number) =>
          act(`call ${n}`, 'ExecutePipeline', { pipeline: { referenceName: `p${i + 1}`, type: 'PipelineReference' } })
        return [`pipeline/p${i}`, { activities: i < 39 ? [call(1), call(2)] : [] }]
      }),
    )
    expect(findings(all).every(a => a.verdict === 'runs')).toBe(true)
  })

  it('reads the rest where one file is broken', () => {
    const root = writeFactory({ 'pipeline/good': { activities: [] } })
    writeFileSync(join(root, 'pipeline', 'bad.json'), '{')
    writeFileSync(
      join(root, 'pipeline', 'twice.json'),
      JSON.stringify({ name: 'good', properties: { activities: [] } }),
    )
    const verdicts = checkFactory(readFactory(root, [], policy), NO_REDIRECTS).map(a => [
      a.file.split('/').at(-1),
      a.verdict,
    ])
    expect(verdicts).toEqual([
      ['bad.json', 'cannot run'],
      ['good.json', 'runs'],
      ['twice.json', 'cannot run'],
    ])
  })

  it('leaves inactive activities out, and knows what does not run', () => {
    const inactive = act('n', 'DatabricksNotebook', {}, { state: 'Inactive', linkedServiceName: service('nowhere') })
    expect(findings({ 'pipeline/p': { activities: [inactive] } })[0]!.verdict).toBe('runs')
    const messages = (activity: object) =>
      findings({ 'pipeline/p': { activities: [activity] } })[0]!
        .findings.map(f => f.message)
        .join()
    expect(
      messages(
        act('w', 'WebActivity', {
          url: 'http://x',
          method: 'GET',
          authentication: { type: 'ClientCertificate', pfx: 'x' },
        }),
      ),
    ).toMatch(/authentication by ClientCertificate/)
    expect(messages(act('s', 'SetVariable', { variableName: 'nope', value: 1 }))).toMatch(/no variable nope/)
    expect(
      messages(
        act('l', 'Lookup', {
          dataset: dataset('x'),
          source: { type: 'AzureSqlSource', sqlReaderStoredProcedureName: 'p' },
        }),
      ),
    ).toMatch(/sqlReaderStoredProcedureName/)
  })

  it('reads names that are no expressions, and runtimes of Azure', () => {
    const found = findings({
      'integrationRuntime/UK': { type: 'Managed', typeProperties: {} },
      'linkedService/files': {
        ...folderService('/data'),
        connectVia: { referenceName: 'UK', type: 'IntegrationRuntimeReference' },
      },
      'dataset/csv': { ...csvDataset('files'), schema: [{ name: '@odata.id', type: 'String' }] },
    })
    expect(found.every(a => a.verdict === 'runs')).toBe(true)
  })
})

describe('templates of the gallery', () => {
  it('are read without a name of the factory, and lead to services that are chosen here', () => {
    const root = temporaryFolder()
    const name = (type: string, own: string) => ({
      type: `Microsoft.DataFactory/factories/${type}`,
      name: `[concat(parameters('factoryName'), '/${own}')]`,
    })
    const template = {
      parameters: { factoryName: { type: 'string', metadata: 'Name' }, Source: { type: 'string' } },
      resources: [
        {
          ...name('datasets', 'csv'),
          properties: {
            ...csvDataset('x'),
            linkedServiceName: { referenceName: "[parameters('Source')]", type: 'LinkedServiceReference' },
          },
        },
        {
          ...name('linkedServices', 'keys'),
          properties: {
            type: 'AzureBlobStorage',
            typeProperties: { connectionString: "[concat('AccountKey=', listKeys('a', 'b').keys[0].value)]" },
          },
        },
        { ...name('pipelines', 'off'), condition: false, properties: { activities: [] } },
        {
          type: 'Microsoft.Resources/deployments',
          name: 'inner',
          properties: { template: { resources: [{ ...name('pipelines', 'in'), properties: { activities: [] } }] } },
        },
      ],
    }
    writeFileSync(join(root, 'ARMTemplateForFactory.json'), JSON.stringify(template))
    writeFileSync(join(root, 'values.json'), JSON.stringify({ parameters: { Source: { value: 'BlobA' } } }))
    const factory = readFactory(join(root, 'ARMTemplateForFactory.json'), [join(root, 'values.json')], policy)
    expect(factory.artifacts.map(a => a.name).sort()).toEqual(['csv', 'in', 'keys'])
    writeFileSync(join(root, 'r.yaml'), 'linkedServices: { BlobA: ./data/ }')
    const redirects = readRedirects(join(root, 'r.yaml'), [], policy)
    const verdicts = Object.fromEntries(checkFactory(factory, redirects).map(a => [a.name, a.verdict]))
    expect(verdicts).toEqual({ csv: 'runs with a redirect', in: 'runs', keys: 'cannot run' })
    expect(readFactory(root, [], policy).named('dataset')).toEqual(['csv'])
  })
})
