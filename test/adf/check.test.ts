/** `ferry adf check`: what of a factory runs here, in git's form and as a template. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { checkFactory } from '../../ferry/src/facades/datafactory/check.ts'
import { readFactory } from '../../ferry/src/facades/datafactory/read.ts'
import { NO_REDIRECTS, readRedirects } from '../../ferry/src/facades/datafactory/redirects.ts'
import { policy, temporaryFolder } from '../support.ts'
import {
  type Artifacts,
  copyOf,
  csvDataset,
  dataset,
  expression,
  folderService,
  service,
  tableDataset,
  writeFactory,
} from './factory.ts'

const findings = (artifacts: Artifacts, name = 'p') =>
  checkFactory(readFactory(writeFactory(artifacts, { zone: 'eu' }), [], policy), NO_REDIRECTS)
    .find(a => a.name === name)!
    .findings.map(f => `${f.path}: ${f.message}`)

const call = (referenceName: string, parameters?: object) => ({
  name: `call ${referenceName}`,
  type: 'ExecutePipeline',
  typeProperties: { pipeline: { referenceName, type: 'PipelineReference' }, ...(parameters ? { parameters } : {}) },
})

describe('check', () => {
  const copy = copyOf('copy', dataset('csv', { folder: 'in' }), dataset('table', { table: 't' }), {
    source: {},
    sink: {},
  })
  const shop: Artifacts = {
    'linkedService/files': folderService('/data'),
    'linkedService/sql': { type: 'AzureSqlDatabase', typeProperties: {} },
    'dataset/csv': csvDataset('files'),
    'dataset/table': tableDataset('sql', 'AzureSqlTable'),
    'pipeline/p': { activities: [copy] },
    'pipeline/caller': { activities: [call('p')] },
    'pipeline/free': { activities: [{ name: 'w', type: 'Wait', typeProperties: { waitTimeInSeconds: 1 } }] },
  }

  it('says of each artifact whether it runs, and what it would need', () => {
    const factory = readFactory(writeFactory(shop), [], policy)
    const verdicts = (redirects = NO_REDIRECTS) =>
      Object.fromEntries(checkFactory(factory, redirects).map(a => [a.name, a.verdict]))
    expect(verdicts()).toEqual({
      files: 'runs',
      sql: 'cannot run',
      csv: 'runs',
      table: 'cannot run',
      p: 'cannot run',
      caller: 'cannot run',
      free: 'runs',
    })
    const file = join(temporaryFolder(), 'here.yaml')
    writeFileSync(file, 'linkedServices: { sql: /data/here.db }\n')
    const there = verdicts(readRedirects(file, [], policy))
    expect(there).toMatchObject({
      sql: 'runs with a redirect',
      table: 'runs with a redirect',
      p: 'runs with a redirect',
      caller: 'runs with a redirect',
      free: 'runs',
    })
  })

  it('names what is not there, with the nearest name', () => {
    const other = {
      ...shop,
      'pipeline/p': { activities: [copyOf('copy', dataset('csvv'), dataset('csv'), { source: {}, sink: {} })] },
    }
    expect(findings(other)).toEqual([
      '$.properties.activities[0].inputs[0]: there is no dataset csvv: did you mean csv?',
    ])
    expect(findings({ 'pipeline/p': { activities: [call('q')] } })[0]).toMatch(/there is no pipeline q/)
    const wrong = {
      ...shop,
      'pipeline/p': { activities: [copyOf('copy', dataset('csv', { foldr: 'x' }), dataset('csv'), {})] },
    }
    expect(findings(wrong)).toEqual([
      '$.properties.activities[0].inputs[0].parameters.foldr: dataset csv has no parameter foldr: did you mean folder?',
    ])
  })

  it('finds parameters that have no value, and circles of pipelines', () => {
    const child = { parameters: { day: { type: 'string' } }, activities: [] }
    expect(findings({ 'pipeline/child': child, 'pipeline/p': { activities: [call('child')] } })).toEqual([
      '$.properties.activities[0].typeProperties.parameters: pipeline child needs a value for its parameter day',
    ])
    const circle: Artifacts = {
      'pipeline/p': { activities: [call('q')] },
      'pipeline/q': {
        activities: [
          {
            name: 'if',
            type: 'IfCondition',
            typeProperties: { expression: expression('@bool(1)'), ifTrueActivities: [call('p')] },
          },
        ],
      },
    }
    expect(findings(circle).join()).toMatch(/execute one another without end: p -> q -> p/)
  })

  it('finds faults of expressions, wherever they are', () => {
    const inner = {
      name: 'set',
      type: 'SetVariable',
      typeProperties: { variableName: 'v', value: "@concatt('a', item())" },
    }
    const loop = {
      name: 'loop',
      type: 'ForEach',
      typeProperties: { items: expression('@range(1, 3)'), activities: [inner] },
    }
    expect(findings({ 'pipeline/p': { variables: { v: { type: 'String' } }, activities: [loop] } })).toEqual([
      "$.properties.activities[0].typeProperties.activities[0].typeProperties.value: @concatt('a', item()) (position 2): there is no function concatt: did you mean concat?",
    ])
    const globals = {
      name: 'set',
      type: 'Wait',
      typeProperties: { waitTimeInSeconds: '@pipeline().globalParameters.zon' },
    }
    expect(findings({ 'pipeline/p': { activities: [globals] } })[0]).toMatch(
      /no global parameter zon: did you mean zone\?/,
    )
  })

  it('names a data flow that is not there', () => {
    const flow = { name: 'flow', type: 'ExecuteDataFlow', typeProperties: {} }
    expect(findings({ 'pipeline/p': { activities: [flow] } })).toEqual([
      '$.properties.activities[0].typeProperties.dataflow: the reference to a dataflow has no name',
    ])
  })
})

describe('a template', () => {
  const resource = (type: string, name: string, properties: object) => ({
    type: `Microsoft.DataFactory/factories/${type}`,
    name: `[concat(parameters('factoryName'), '/${name}')]`,
    apiVersion: '2018-06-01',
    properties,
  })
  const template = {
    $schema: 'http://schema.management.azure.com/schemas/2015-01-01/deploymentTemplate.json#',
    parameters: {
      factoryName: { type: 'string', defaultValue: 'shop-df' },
      files_host: { type: 'string', defaultValue: '/data' },
      pg_password: { type: 'secureString' },
      p_parameters: { type: 'object', defaultValue: { day: { type: 'string', defaultValue: '[[today]' } } },
    },
    variables: { factoryId: "[concat('Microsoft.DataFactory/factories/', parameters('factoryName'))]" },
    resources: [
      resource('linkedServices', 'files', {
        type: 'FileServer',
        typeProperties: { host: "[parameters('files_host')]" },
      }),
      resource('linkedServices', 'pg', {
        type: 'AzurePostgreSql',
        typeProperties: {
          connectionString: 'host=h;uid=u',
          password: { type: 'SecureString', value: "[parameters('pg_password')]" },
        },
      }),
      resource('pipelines', 'p', {
        activities: [
          { name: 'w', type: 'Wait', typeProperties: { waitTimeInSeconds: 1, note: '[[not an expression]' } },
        ],
        parameters: "[parameters('p_parameters')]",
      }),
      resource('pipelines', 'q', { activities: [copyOf('c', dataset('d'), dataset('d'), { source: {}, sink: {} })] }),
      resource('datasets', 'd', {
        type: 'AzurePostgreSqlTable',
        linkedServiceName: service('pg'),
        typeProperties: { table: 't' },
      }),
      {
        type: 'Microsoft.DataFactory/factories',
        name: "[parameters('factoryName')]",
        properties: { globalParameters: { zone: { type: 'string', value: 'eu' } } },
      },
    ],
  }

  function written(files: Record<string, object>): string {
    const folder = temporaryFolder()
    for (const [name, content] of Object.entries(files)) {
      mkdirSync(join(folder, name, '..'), { recursive: true })
      writeFileSync(join(folder, name), `\uFEFF${JSON.stringify(content)}`)
    }
    return folder
  }

  it('is read with its parameters, variables, escapes and global parameters', () => {
    const factory = readFactory(join(written({ 'template.json': template }), 'template.json'), [], policy)
    expect(factory.name).toBe('shop-df')
    expect(factory.globalParameters).toEqual({ zone: 'eu' })
    expect(factory.require('linkedService', 'FILES').properties).toEqual({
      type: 'FileServer',
      typeProperties: { host: '/data' },
    })
    const { activities, parameters } = factory.require('pipeline', 'p').properties as {
      activities: { typeProperties: object }[]
      parameters: object
    }
    expect(activities[0]!.typeProperties).toEqual({ waitTimeInSeconds: 1, note: '[not an expression]' })
    expect(parameters).toEqual({ day: { type: 'string', defaultValue: '[today]' } })
  })

  it('says which parameters have no value, and takes them from a file', () => {
    const folder = written({
      'template.json': template,
      'values.json': { parameters: { pg_password: { value: 'pw' }, files_host: { value: '/other' } } },
    })
    const path = join(folder, 'template.json')
    const check = (files: string[]) => checkFactory(readFactory(path, files, policy), NO_REDIRECTS)
    expect(check([]).find(a => a.name === 'pg')!.findings[0]!.message).toMatch(
      /values that the template leaves open: pg_password/,
    )
    expect(check([]).find(a => a.name === 'q')!.verdict).toBe('cannot run')
    expect(check([join(folder, 'values.json')]).every(a => a.verdict === 'runs')).toBe(true)
    expect(
      readFactory(path, [join(folder, 'values.json')], policy).require('linkedService', 'files').properties,
    ).toMatchObject({ typeProperties: { host: '/other' } })
  })

  it('leads to linked templates beside it, and to those within it', () => {
    const [files, pg, ...rest] = template.resources
    const inner = { ...template, resources: [files] }
    const master = {
      parameters: { ...template.parameters, containerUri: { type: 'string' } },
      resources: [
        {
          type: 'Microsoft.Resources/deployments',
          name: 'a',
          properties: {
            templateLink: { uri: "[concat(parameters('containerUri'), '/part_0.json')]" },
            parameters: { factoryName: { value: "[parameters('factoryName')]" } },
          },
        },
        {
          type: 'Microsoft.Resources/deployments',
          name: 'b',
          properties: { template: { ...template, resources: [pg] }, parameters: {} },
        },
        ...rest,
      ],
    }
    const folder = written({ 'master.json': master, 'part_0.json': inner })
    const factory = readFactory(join(folder, 'master.json'), [], policy)
    expect(factory.named('linkedService').sort()).toEqual(['files', 'pg'])
    expect(factory.named('pipeline').sort()).toEqual(['p', 'q'])
  })

  it('that is none is told so, with the place of what is wrong', () => {
    const folder = written({ 'a.json': { resources: [] } })
    writeFileSync(join(folder, 'b.json'), '{\n "a": 1,\n}')
    expect(() => readFactory(join(folder, 'a.json'), [], policy)).toThrow(/no resources of a data factory/)
    expect(() => readFactory(join(folder, 'b.json'), [], policy)).toThrow(/b\.json/)
    expect(() => readFactory(folder, [], policy)).toThrow(/no folder of a factory/)
    expect(() => readFactory(join(folder, 'c'), [], policy)).toThrow(/is not there/)
  })
})
