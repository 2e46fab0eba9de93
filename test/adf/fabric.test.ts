/** Pipelines of Fabric, from the folders that its git integration writes: datasets are in the activities, connections are ids. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { checkFactory } from '../../ferry/src/facades/datafactory/check.ts'
import { readFactory } from '../../ferry/src/facades/datafactory/read.ts'
import { readRedirects } from '../../ferry/src/facades/datafactory/redirects.ts'
import { policy, temporaryFolder } from '../support.ts'
import { folderWith, runRead } from './factory.ts'

const CONNECTION = '0f2a9c1e-6d51-4f0e-9a8e-0b8a5b1b8c11'

const csv = (fileName: unknown) => ({
  annotations: [],
  type: 'DelimitedText',
  typeProperties: {
    location: { type: 'AzureBlobStorageLocation', container: 'in', fileName },
    columnDelimiter: ',',
    firstRowAsHeader: true,
  },
  schema: [],
  externalReferences: { connection: CONNECTION },
})

const lakehouse = (type: string, typeProperties: object) => ({
  annotations: [],
  type,
  typeProperties,
  schema: [],
  linkedService: {
    name: 'shop_lake',
    properties: { annotations: [], type: 'Lakehouse', typeProperties: { workspaceId: 'w', artifactId: 'a' } },
  },
})

const content = {
  properties: {
    parameters: { part: { type: 'string', defaultValue: 'a.csv' } },
    activities: [
      {
        name: 'Look',
        type: 'Lookup',
        dependsOn: [],
        policy: { timeout: '0.12:00:00', retry: 0 },
        typeProperties: {
          source: {
            type: 'DelimitedTextSource',
            storeSettings: { type: 'AzureBlobStorageReadSettings' },
            datasetSettings: csv('names.csv'),
          },
          firstRowOnly: false,
        },
      },
      {
        name: 'Each',
        type: 'ForEach',
        dependsOn: [{ activity: 'Look', dependencyConditions: ['Succeeded'] }],
        typeProperties: {
          items: { value: "@activity('Look').output.value", type: 'Expression' },
          activities: [
            {
              name: 'Load',
              type: 'Copy',
              dependsOn: [],
              typeProperties: {
                source: {
                  type: 'DelimitedTextSource',
                  storeSettings: { type: 'AzureBlobStorageReadSettings' },
                  datasetSettings: csv({ value: '@item().file', type: 'Expression' }),
                },
                sink: {
                  type: 'DelimitedTextSink',
                  storeSettings: { type: 'LakehouseWriteSettings' },
                  formatSettings: { type: 'DelimitedTextWriteSettings', quoteAllText: false },
                  datasetSettings: lakehouse('DelimitedText', {
                    location: {
                      type: 'LakehouseLocation',
                      folderPath: 'landed',
                      fileName: { value: '@item().file', type: 'Expression' },
                    },
                    columnDelimiter: ',',
                    firstRowAsHeader: true,
                  }),
                },
                enableStaging: false,
              },
            },
          ],
        },
      },
      {
        name: 'Is there',
        type: 'GetMetadata',
        dependsOn: [{ activity: 'Each', dependencyConditions: ['Succeeded'] }],
        typeProperties: {
          fieldList: ['exists', 'size'],
          datasetSettings: csv({ value: '@pipeline().parameters.part', type: 'Expression' }),
        },
      },
    ],
  },
}

it('runs a pipeline of Fabric', async () => {
  const root = temporaryFolder()
  mkdirSync(join(root, 'Load shop.DataPipeline'))
  writeFileSync(join(root, 'Load shop.DataPipeline', 'pipeline-content.json'), JSON.stringify(content))
  const data = folderWith({ 'in/names.csv': 'file\na.csv\nb.csv\n', 'in/a.csv': 'id\n1\n', 'in/b.csv': 'id\n2\n' })
  const lake = temporaryFolder()
  const factory = readFactory(root, [], policy)
  const verdicts = (redirects: ReturnType<typeof readRedirects>) =>
    checkFactory(factory, redirects).filter(a => a.category === 'pipeline')
  const [without] = verdicts(readRedirects(undefined, [], policy))
  expect(without!.verdict).toBe('cannot run')
  expect(without!.findings.map(f => f.message).join('\n')).toMatch(new RegExp(`no linkedService ${CONNECTION}`))
  const file = join(root, 'here.json')
  writeFileSync(file, JSON.stringify({ linkedServices: { [CONNECTION]: `${data}/`, shop_lake: `${lake}/` } }))
  const redirects = readRedirects(file, [], policy)
  expect(verdicts(redirects)).toMatchObject([{ name: 'Load shop', verdict: 'runs with a redirect' }])
  const ran = await runRead(factory, 'Load shop', { part: 'a.csv' }, redirects)
  expect(ran.end.error).toBeUndefined()
  for (const [name, id] of [
    ['a', 1],
    ['b', 2],
  ] as const) {
    expect(readFileSync(join(lake, 'landed', `${name}.csv`), 'utf8')).toBe(`id\r\n${id}\r\n`)
  }
  expect(ran.of('Is there').output).toMatchObject({ exists: true, size: 5 })
})
