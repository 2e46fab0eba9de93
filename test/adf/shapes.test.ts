/** The properties that are known here, held against the types that Data Factory's own library declares. */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { describe, expect, it } from 'vitest'
import { DATASET_TYPES } from '../../ferry/src/facades/datafactory/datasets.ts'
import { REDIRECTED, STORES } from '../../ferry/src/facades/datafactory/linkedservices.ts'
import { ACTIVITY_TYPES } from '../../ferry/src/facades/datafactory/program.ts'
import * as known from '../../ferry/src/facades/datafactory/properties.ts'

const declared = readFileSync(
  createRequire(import.meta.url).resolve('@azure/arm-datafactory/types/arm-datafactory.d.ts'),
  'utf8',
).replaceAll('\r\n', '\n')

interface Shape {
  parents: string[]
  names: string[]
  text: string
}

const shapes = new Map<string, Shape>()
for (const [, name, parents = '', text] of declared.matchAll(
  /^export declare interface (\w+)(?: extends ([\w, ]+))? \{\n([\s\S]*?)^\}/gm,
)) {
  const names = [...text!.matchAll(/^ {4}(\w+)\??: /gm)].map(m => m[1]!)
  const all = parents.split(',').map(p => p.trim())
  shapes.set(name!, { names, text: text!, parents: all.filter(p => p !== '') })
}

function namesOf(interfaces: readonly string[]): Set<string> {
  return new Set(
    interfaces.flatMap(name => {
      const shape = shapes.get(name)
      if (!shape) throw new Error(`there is no ${name}`)
      return [...shape.names, ...namesOf(shape.parents)]
    }),
  )
}

/** The types that an interface may be of, by their names in JSON. */
const typesOf = (name: string) =>
  new Set(
    [...(/type: ((?:"[^"]+"(?: \| )?)+);/.exec(shapes.get(name)!.text)?.[1] ?? '').matchAll(/"([^"]+)"/g)].map(
      m => m[1]!,
    ),
  )

const FILES = [
  'AzureBlobStorage',
  'AzureBlobFS',
  'AmazonS3',
  'AmazonS3Compatible',
  'GoogleCloudStorage',
  'FileServer',
  'Sftp',
]

/** `without`: what Data Factory has and is not known here: set to something, it stops a copy. `more`: of older or other sources. */
const groups: { of: { names: readonly string[] }; in: string[]; without: string[]; more?: string[] }[] = [
  {
    of: known.SOURCE,
    in: [
      ...['DelimitedTextSource', 'JsonSource', 'ParquetSource', 'BinarySource', 'CosmosDbSqlApiSource'],
      ...['DocumentDbCollectionSource', 'AzureSqlSource', 'SqlSource', 'AzurePostgreSqlSource', 'PostgreSqlSource'],
      ...['AzureMySqlSource', 'MySqlSource', 'MariaDBSource', 'AzureMariaDBSource', 'OracleSource', 'SnowflakeSource'],
    ],
    without: [
      ...['exportSettings', 'nestingSeparator', 'produceAdditionalTypes', 'sqlReaderStoredProcedureName'],
      'storedProcedureParameters',
    ],
    more: ['recursive', 'sourceQuery'],
  },
  { of: known.REST_SOURCE, in: ['RestSource'], without: [] },
  { of: known.REST_SINK, in: ['RestSink'], without: [] },
  {
    of: known.SINK,
    in: [
      ...[
        'DelimitedTextSink',
        'JsonSink',
        'ParquetSink',
        'BinarySink',
        'CosmosDbSqlApiSink',
        'AzureSqlSink',
        'SqlSink',
      ],
      ...['AzurePostgreSqlSink', 'AzureMySqlSink', 'SqlDWSink', 'BlobSink'],
    ],
    without: [
      ...['blobWriterAddHeader', 'blobWriterDateTimeFormat', 'blobWriterOverwriteFiles', 'metadata'],
      ...['sqlWriterStoredProcedureName', 'sqlWriterTableType', 'storedProcedureParameters'],
      'storedProcedureTableTypeParameterName',
    ],
    more: ['commandTimeout', 'writeMethod'],
  },
  {
    of: known.READ_STORE,
    in: [...FILES.map(f => `${f}ReadSettings`), 'HttpReadSettings'],
    without: ['additionalColumns', 'fileFilter'],
  },
  {
    of: known.WRITE_STORE,
    in: ['AzureBlobStorage', 'AzureBlobFS', 'FileServer', 'Sftp'].map(f => `${f}WriteSettings`),
    without: [],
  },
  {
    of: known.READ_FORMAT,
    in: ['DelimitedTextReadSettings', 'JsonReadSettings', 'ParquetReadSettings', 'BinaryReadSettings'],
    without: [],
  },
  {
    of: known.WRITE_FORMAT,
    in: ['DelimitedTextWriteSettings', 'JsonWriteSettings', 'ParquetWriteSettings'],
    without: [],
  },
  {
    of: known.LOCATION,
    in: [...FILES.map(f => `${f}Location`), 'HttpServerLocation'],
    without: ['version'],
  },
]

/** What all activities have. */
const ACTIVITY = namesOf(['ExecutionActivity'])

describe('what is known here of Data Factory', () => {
  it.each(groups)('$of.what', ({ of, in: interfaces, without, more = [] }) => {
    const all = namesOf(interfaces)
    expect(of.names.filter(name => !all.has(name)).sort()).toEqual(more)
    expect([...all].filter(name => !of.names.includes(name)).sort()).toEqual([...without].sort())
  })

  it('a Copy has no other properties', () => {
    const own = [...namesOf(['CopyActivity'])].filter(name => !ACTIVITY.has(name) && !/^(in|out)puts$/.test(name))
    expect(own.sort()).toEqual([...known.COPY.names].sort())
  })

  it('types of activities, datasets and linked services are those that it has', () => {
    const activities = typesOf('Activity')
    expect(ACTIVITY_TYPES.filter(type => !activities.has(type))).toEqual([])
    const control = [
      'ForEach',
      'IfCondition',
      'Switch',
      'Until',
      'Wait',
      'Filter',
      'SetVariable',
      'AppendVariable',
      'Fail',
    ]
    expect(control.filter(type => !ACTIVITY_TYPES.includes(type))).toEqual([])
    const datasets = typesOf('Dataset')
    // Of a version that this library does not have.
    expect(DATASET_TYPES.filter(type => !datasets.has(type))).toEqual(['PostgreSqlV2Table'])
    const services = typesOf('LinkedService')
    const more = ['DataWarehouse', 'Lakehouse', 'PostgreSqlV2']
    expect([...STORES, ...REDIRECTED].filter(type => !services.has(type)).sort()).toEqual(more)
  })
})
