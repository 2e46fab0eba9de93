/** Copy activities of a factory: what arrives, and what they put out. */
import { existsSync, readdirSync, readFileSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { account, contents, fill, makeContainer } from '../cosmos.ts'
import { makeDatabase } from '../support.ts'
import {
  type Artifacts,
  collectionDataset,
  copyOf,
  cosmosService,
  csvDataset,
  dataset,
  filesDataset,
  folderService,
  folderWith,
  fromCsv,
  postgresService,
  READ,
  runFactory,
  service,
  tableDataset,
  WRITE,
} from './factory.ts'

/** A folder with files, a linked service to it, and datasets of all formats. */
function files(written: Record<string, string>): { folder: string; artifacts: Artifacts } {
  const folder = folderWith(written)
  return {
    folder,
    artifacts: {
      'linkedService/files': folderService(folder),
      'dataset/csv': csvDataset('files'),
      'dataset/bare': csvDataset('files', { firstRowAsHeader: false }),
      'dataset/json': filesDataset('Json', 'files'),
      'dataset/parquet': filesDataset('Parquet', 'files', { compressionCodec: 'snappy' }),
      'dataset/binary': filesDataset('Binary', 'files'),
    },
  }
}

async function copied(artifacts: Artifacts, activity: object) {
  const ran = await runFactory({ ...artifacts, 'pipeline/p': { activities: [activity] } }, 'p')
  const [only] = ran.activities
  expect(only!.error).toBeNull()
  return only!.output
}

describe('what is read of delimited text', () => {
  it('begins behind the lines that are skipped', async () => {
    const { artifacts, folder } = files({ 'in/a.csv': 'made "by hand\n\nyesterday\nid,name\n1,x\n' })
    const source = fromCsv({ formatSettings: { type: 'DelimitedTextReadSettings', skipLineCount: 2 } })
    const output = await copied(
      artifacts,
      copyOf('copy', dataset('csv', { folder: 'in', file: 'a.csv' }), dataset('json', { file: 'out.json' }), {
        source,
        sink: { type: 'JsonSink', storeSettings: WRITE },
      }),
    )
    expect(output).toMatchObject({ rowsRead: 1 })
    expect(readFileSync(join(folder, 'out.json'), 'utf8')).toBe('{"id":"1","name":"x"}\n')
  })

  it('are the files of a list', async () => {
    const { artifacts, folder } = files({
      'in/a.csv': 'id\n1\n',
      'in/deep/b.csv': 'id\n2\n',
      'in/c.csv': 'id\n3\n',
      'lists/today.txt': 'a.csv\r\ndeep/b.csv\r\n',
    })
    const source = fromCsv({ storeSettings: { ...READ, fileListPath: 'lists/today.txt' } })
    for (const [sink, format] of [
      ['json', 'JsonSink'],
      ['csv', 'DelimitedTextSink'],
    ] as const) {
      await copied(
        artifacts,
        copyOf('copy', dataset('csv', { folder: 'in' }), dataset(sink, { folder: `out-${sink}` }), {
          source,
          sink: { type: format, storeSettings: WRITE },
        }),
      )
    }
    expect((readdirSync(join(folder, 'out-json'), { recursive: true }) as string[]).sort()).toEqual([
      'a.json',
      'deep',
      'deep/b.json',
    ])
    expect(readFileSync(join(folder, 'out-csv', 'deep', 'b.csv'), 'utf8')).toBe('id\r\n2\r\n')
    const missing = copyOf('copy', dataset('csv', { folder: 'in' }), dataset('csv', { folder: 'out' }), {
      source: fromCsv({ storeSettings: { ...READ, fileListPath: 'lists/none.txt' } }),
      sink: { type: 'DelimitedTextSink', storeSettings: WRITE },
    })
    const ran = await runFactory({ ...artifacts, 'pipeline/p': { activities: [missing] } }, 'p')
    expect(ran.end.error!.message).toMatch(/none\.txt/)
  })
})

describe('a copy from CSV', () => {
  it('gives the output that Data Factory gives', async () => {
    const { artifacts, folder } = files({ 'in/a.csv': 'id,name\n1,x\n2,\n' })
    const output = await copied(
      artifacts,
      copyOf(
        'copy',
        dataset('csv', { folder: 'in', file: 'a.csv' }),
        dataset('csv', { folder: 'out', file: 'b.csv' }),
        {
          source: fromCsv(),
          sink: {
            type: 'DelimitedTextSink',
            storeSettings: WRITE,
            formatSettings: { type: 'DelimitedTextWriteSettings', quoteAllText: true, fileExtension: '.txt' },
          },
          validateDataConsistency: true,
        },
      ),
    )
    expect(output).toMatchObject({
      rowsRead: 2,
      rowsCopied: 2,
      dataRead: 15,
      errors: [],
      usedDataIntegrationUnits: 1,
      dataConsistencyVerification: { VerificationResult: 'Verified', InconsistentData: 'None' },
      executionDetails: [{ source: { type: 'DelimitedText' }, sink: { type: 'DelimitedText' }, status: 'Succeeded' }],
    })
    expect(output.copyDuration).toBeGreaterThan(0)
    expect(readFileSync(join(folder, 'out/b.csv'), 'utf8')).toBe('"id","name"\r\n"1","x"\r\n"2",\r\n')
  })

  it('keeps texts as they are: nothing is taken for a number', async () => {
    const text = 'id,at,flag\n007,2024-01-02,TRUE\n1e3,"a ""b""",no\n'
    const { artifacts, folder } = files({ 'in/a.csv': text })
    const quotes = csvDataset('files', { escapeChar: '"' })
    await copied(
      { ...artifacts, 'dataset/csv': quotes },
      copyOf(
        'copy',
        dataset('csv', { folder: 'in', file: 'a.csv' }),
        dataset('csv', { folder: 'out', file: 'b.csv' }),
        {
          source: fromCsv(),
          sink: { type: 'DelimitedTextSink', storeSettings: WRITE },
        },
      ),
    )
    expect(readFileSync(join(folder, 'out/b.csv'), 'utf8')).toBe(text.replaceAll('\n', '\r\n'))
  })

  it('into a table parses texts by the types of its columns', async () => {
    const { artifacts } = files({ 'in/a.csv': 'id,name,at\n1,x,2024-01-02T03:04:05\n2,"\\"q\\"",\n' })
    const { client, url } = await makeDatabase()
    await client.query('CREATE TABLE t (id int PRIMARY KEY, name text, at timestamp)')
    await copied(
      { ...artifacts, 'linkedService/pg': postgresService(url), 'dataset/table': tableDataset('pg') },
      copyOf('copy', dataset('csv', { folder: 'in', file: 'a.csv' }), dataset('table', { table: 't' }), {
        source: fromCsv(),
        sink: {
          type: 'AzurePostgreSqlSink',
          writeBatchSize: 1000,
          preCopyScript: "INSERT INTO t VALUES (0, 'before')",
        },
      }),
    )
    const { rows } = await client.query('SELECT id, name, at::text FROM t ORDER BY id')
    expect(rows).toEqual([
      { id: 0, name: 'before', at: null },
      { id: 1, name: 'x', at: '2024-01-02 03:04:05' },
      { id: 2, name: '"q"', at: null },
    ])
  })

  it('skips rows that do not fit, where that is wanted', async () => {
    const { artifacts, folder } = files({ 'in/a.csv': 'id\n1\nx\n3\n' })
    const { client, url } = await makeDatabase()
    await client.query('CREATE TABLE t (id int)')
    const output = await copied(
      { ...artifacts, 'linkedService/pg': postgresService(url), 'dataset/table': tableDataset('pg') },
      copyOf('copy', dataset('csv', { folder: 'in', file: 'a.csv' }), dataset('table', { table: 't' }), {
        source: fromCsv(),
        sink: { type: 'AzurePostgreSqlSink' },
        enableSkipIncompatibleRow: true,
        logSettings: {
          enableCopyActivityLog: true,
          copyActivityLogSettings: { logLevel: 'Warning', enableReliableLogging: false },
          logLocationSettings: { linkedServiceName: service('files'), path: 'logs/here' },
        },
      }),
    )
    expect(output).toMatchObject({ rowsRead: 3, rowsCopied: 2, rowsSkipped: 1 })
    const logs = join(folder, output.logFilePath)
    const [head, line] = readFileSync(join(logs, readdirSync(logs)[0]!), 'utf8').split('\n')
    expect(head).toBe('Timestamp,Level,OperationName,OperationItem,Message')
    expect(line).toMatch(/,Warning,TabularRowSkip,x,"line 3, column id/)
  })

  it('adds columns: constants, the path of the file, copies of others', async () => {
    const { artifacts, folder } = files({ 'in/a.csv': 'id\n1\n' })
    await copied(
      artifacts,
      copyOf(
        'copy',
        dataset('csv', { folder: 'in', file: 'a.csv' }),
        dataset('csv', { folder: 'out', file: 'b.csv' }),
        {
          source: fromCsv({
            additionalColumns: [
              { name: 'who', value: 'me' },
              { name: 'path', value: '$$FILEPATH' },
            ],
          }),
          sink: { type: 'DelimitedTextSink', storeSettings: WRITE },
        },
      ),
    )
    const [head, row] = readFileSync(join(folder, 'out/b.csv'), 'utf8').split('\r\n')
    expect(head!.split(',').sort()).toEqual(['id', 'path', 'who'])
    expect(row).toContain('a.csv')
    expect(row).toContain('me')
  })

  it('finds files by wildcards and by when they were changed', async () => {
    const { artifacts, folder } = files({
      'in/2024/a.csv': 'id\n1\n',
      'in/2024/b.txt': 'id\n2\n',
      'in/2025/c.csv': 'id\n3\n',
      'in/2025/old.csv': 'id\n4\n',
    })
    utimesSync(join(folder, 'in/2025/old.csv'), 0, 1_000_000_000)
    await copied(
      artifacts,
      copyOf('copy', dataset('csv', { folder: 'in' }), dataset('csv', { folder: 'out', file: 'all.csv' }), {
        source: fromCsv({
          storeSettings: {
            ...READ,
            wildcardFolderPath: 'in/*',
            wildcardFileName: '*.csv',
            modifiedDatetimeStart: '2010-01-01',
          },
        }),
        sink: { type: 'DelimitedTextSink', storeSettings: WRITE },
      }),
    )
    expect(readFileSync(join(folder, 'out/all.csv'), 'utf8').split('\r\n').sort()).toEqual(['', '1', '3', 'id'])
  })

  it('into a folder keeps the names and folders of the files', async () => {
    const { artifacts, folder } = files({ 'in/x/a.csv': 'id\n1\n', 'in/b.csv': 'id\n2\n' })
    await copied(
      artifacts,
      copyOf('copy', dataset('csv', { folder: 'in' }), dataset('json', { folder: 'out' }), {
        source: fromCsv(),
        sink: {
          type: 'JsonSink',
          storeSettings: WRITE,
          formatSettings: { type: 'JsonWriteSettings', filePattern: 'setOfObjects' },
        },
      }),
    )
    expect(readFileSync(join(folder, 'out/x/a.json'), 'utf8')).toBe('{"id":"1"}\n')
    expect(readFileSync(join(folder, 'out/b.json'), 'utf8')).toBe('{"id":"2"}\n')
  })
})

describe('a mapping', () => {
  const document = {
    id: { $oid: '592e07800000000000000000' },
    number: '01',
    date: '20170122',
    orders: [
      { prod: 'p1', price: 23 },
      { prod: 'p2', price: 13 },
      { prod: 'p3', price: 231 },
    ],
    city: [{ name: 'Seattle' }],
  }
  const expected =
    'orderNumber,orderDate,order_pd,order_price,city\r\n01,20170122,p1,23,Seattle\r\n01,20170122,p2,13,Seattle\r\n01,20170122,p3,231,Seattle\r\n'
  const translators: Record<string, object> = {
    'by mappings': {
      type: 'TabularTranslator',
      mappings: [
        { source: { path: "$['number']" }, sink: { name: 'orderNumber' } },
        { source: { path: "$['date']" }, sink: { name: 'orderDate' } },
        { source: { path: "['prod']" }, sink: { name: 'order_pd' } },
        { source: { path: "['price']" }, sink: { name: 'order_price' } },
        { source: { path: "$['city'][0]['name']" }, sink: { name: 'city' } },
      ],
      collectionReference: "$['orders']",
    },
    'by the older schemaMapping': {
      type: 'TabularTranslator',
      schemaMapping: {
        '$.number': 'orderNumber',
        '$.date': 'orderDate',
        prod: 'order_pd',
        price: 'order_price',
        '$.city[0].name': 'city',
      },
      collectionReference: '$.orders',
    },
  }
  it.each(Object.entries(translators))('unrolls a list of a document: %s', async (_, translator) => {
    const { artifacts, folder } = files({ 'in/a.json': JSON.stringify(document, null, 2) })
    await copied(
      artifacts,
      copyOf(
        'copy',
        dataset('json', { folder: 'in', file: 'a.json' }),
        dataset('csv', { folder: 'out', file: 'b.csv' }),
        {
          source: { type: 'JsonSource', storeSettings: READ },
          sink: { type: 'DelimitedTextSink', storeSettings: WRITE },
          translator,
        },
      ),
    )
    expect(readFileSync(join(folder, 'out/b.csv'), 'utf8')).toBe(expected)
  })

  it('goes by position where a file has no names', async () => {
    const { artifacts, folder } = files({ 'in/a.csv': '1,x,2024\n' })
    await copied(
      artifacts,
      copyOf(
        'copy',
        dataset('bare', { folder: 'in', file: 'a.csv' }),
        dataset('csv', { folder: 'out', file: 'b.csv' }),
        {
          source: fromCsv(),
          sink: { type: 'DelimitedTextSink', storeSettings: WRITE },
          translator: {
            type: 'TabularTranslator',
            mappings: [
              { source: { ordinal: 3 }, sink: { name: 'ModifiedDate' } },
              { source: { ordinal: '1' }, sink: { name: 'CustomerID' } },
            ],
          },
        },
      ),
    )
    expect(readFileSync(join(folder, 'out/b.csv'), 'utf8')).toBe('ModifiedDate,CustomerID\r\n2024,1\r\n')
  })

  it.each([
    ['as an object', { UserId: 'MyUserId', Name: 'MyName' }],
    ['as a text', 'UserId: MyUserId, Name: MyName'],
  ])('is read in the older form columnMappings, %s', async (_, columnMappings) => {
    const { artifacts, folder } = files({ 'in/a.csv': 'UserId,Group,Name\n1,g,n\n' })
    await copied(
      artifacts,
      copyOf(
        'copy',
        dataset('csv', { folder: 'in', file: 'a.csv' }),
        dataset('csv', { folder: 'out', file: 'b.csv' }),
        {
          source: fromCsv(),
          sink: { type: 'DelimitedTextSink', storeSettings: WRITE },
          translator: { type: 'TabularTranslator', columnMappings },
        },
      ),
    )
    expect(readFileSync(join(folder, 'out/b.csv'), 'utf8')).toBe('MyUserId,MyName\r\n1,n\r\n')
  })

  it('may be an expression as a whole', async () => {
    const { artifacts, folder } = files({ 'in/a.csv': 'a,b\n1,2\n' })
    const translator = { type: 'TabularTranslator', mappings: [{ source: { name: 'b' }, sink: { name: 'c' } }] }
    const copy = copyOf(
      'copy',
      dataset('csv', { folder: 'in', file: 'a.csv' }),
      dataset('csv', { folder: 'out', file: 'b.csv' }),
      {
        source: fromCsv(),
        sink: { type: 'DelimitedTextSink', storeSettings: WRITE },
        translator: { value: '@json(pipeline().parameters.mapping)', type: 'Expression' },
      },
    )
    const pipeline = { parameters: { mapping: { type: 'string' } }, activities: [copy] }
    const ran = await runFactory({ ...artifacts, 'pipeline/p': pipeline }, 'p', {
      parameters: { mapping: JSON.stringify(translator) },
    })
    expect(ran.end.error).toBeUndefined()
    expect(readFileSync(join(folder, 'out/b.csv'), 'utf8')).toBe('c\r\n2\r\n')
  })
})

describe('Azure Cosmos DB', () => {
  it.each(['CosmosDbSqlApi', 'DocumentDbCollection'])(
    'documents go as they are between collections and files: %s',
    async kind => {
      const running = await account()
      makeContainer(running, 'orders')
      makeContainer(running, 'copy')
      fill(running, 'orders', 50)
      const { artifacts, folder } = files({})
      const type = kind === 'CosmosDbSqlApi' ? 'CosmosDbSqlApiCollection' : kind
      const all = {
        ...artifacts,
        'linkedService/cosmos': cosmosService(running),
        'dataset/collection': collectionDataset('cosmos', type),
      }
      await copied(
        all,
        copyOf(
          'out',
          dataset('collection', { collection: 'orders' }),
          dataset('json', { folder: 'out', file: 'all.json' }),
          {
            source: { type: `${kind}Source`, preferredRegions: ['East US'], pageSize: 10 },
            sink: { type: 'JsonSink', storeSettings: WRITE },
          },
        ),
      )
      expect(readFileSync(join(folder, 'out/all.json'), 'utf8').trim().split('\n')).toHaveLength(50)
      await copied(
        all,
        copyOf(
          'in',
          dataset('json', { folder: 'out', file: 'all.json' }),
          dataset('collection', { collection: 'copy' }),
          {
            source: { type: 'JsonSource', storeSettings: READ },
            sink: {
              type: `${kind}Sink`,
              writeBehavior: 'upsert',
              writeBatchSize: 10_000,
              disableMetricsCollection: true,
            },
          },
        ),
      )
      expect(contents(running, 'copy')).toEqual(contents(running, 'orders'))
    },
  )

  it('is asked by a query, and gives a table its columns', async () => {
    const running = await account()
    makeContainer(running, 'orders')
    fill(running, 'orders', 30)
    const { client, url } = await makeDatabase()
    await copied(
      {
        'linkedService/cosmos': cosmosService(running),
        'linkedService/pg': postgresService(url),
        'dataset/collection': collectionDataset('cosmos'),
        'dataset/table': tableDataset('pg'),
      },
      copyOf('copy', dataset('collection', { collection: 'orders' }), dataset('table', { table: 't' }), {
        source: {
          type: 'CosmosDbSqlApiSource',
          query: "SELECT c.id, c.customer FROM c WHERE c.customer = 'c1'",
          detectDatetime: false,
        },
        sink: { type: 'AzurePostgreSqlSink', tableOption: 'autoCreate' },
      }),
    )
    const { rows } = await client.query('SELECT id, customer FROM t ORDER BY id')
    expect(rows).toEqual([
      { id: 'o1', customer: 'c1' },
      { id: 'o24', customer: 'c1' },
    ])
  })

  it('gets documents of rows, with members in objects', async () => {
    const running = await account()
    makeContainer(running, 'people', '/id')
    const { artifacts } = files({ 'in/a.csv': 'id,city\n1,Rome\n' })
    await copied(
      {
        ...artifacts,
        'linkedService/cosmos': cosmosService(running),
        'dataset/collection': collectionDataset('cosmos'),
      },
      copyOf('copy', dataset('csv', { folder: 'in', file: 'a.csv' }), dataset('collection', { collection: 'people' }), {
        source: fromCsv(),
        sink: { type: 'CosmosDbSqlApiSink', writeBehavior: 'insert' },
        translator: {
          type: 'TabularTranslator',
          mappings: [
            { source: { name: 'id' }, sink: { path: "$['id']" } },
            { source: { name: 'city' }, sink: { path: "$['address']['city']" } },
          ],
        },
      }),
    )
    expect([...contents(running, 'people').values()].map(t => JSON.parse(t))).toEqual([
      { id: '1', address: { city: 'Rome' } },
    ])
  })
})

describe('files as they are', () => {
  it('keep their folders, are flattened or merged, and are removed where they were', async () => {
    const tree = { 'in/a.txt': 'A', 'in/x/b.txt': 'B' }
    const binary = (source: object, sink: object, output: object) =>
      copyOf('copy', dataset('binary', { folder: 'in' }), output, {
        source: { type: 'BinarySource', storeSettings: { ...READ, ...source } },
        sink: { type: 'BinarySink', storeSettings: { ...WRITE, ...sink } },
      })
    const kept = files(tree)
    const output = await copied(
      kept.artifacts,
      binary({ deleteFilesAfterCompletion: true }, {}, dataset('binary', { folder: 'out' })),
    )
    expect(output).toMatchObject({ filesRead: 2, filesWritten: 2 })
    expect(readFileSync(join(kept.folder, 'out/x/b.txt'), 'utf8')).toBe('B')
    expect(existsSync(join(kept.folder, 'in/a.txt'))).toBe(false)
    const flat = files(tree)
    await copied(flat.artifacts, binary({}, { copyBehavior: 'FlattenHierarchy' }, dataset('binary', { folder: 'out' })))
    expect(readdirSync(join(flat.folder, 'out'))).toHaveLength(2)
    const merged = files(tree)
    await copied(
      merged.artifacts,
      binary({}, { copyBehavior: 'MergeFiles' }, dataset('binary', { folder: 'out', file: 'all.txt' })),
    )
    expect(readFileSync(join(merged.folder, 'out/all.txt'), 'utf8').split('').sort().join('')).toBe('AB')
    const some = files(tree)
    await copied(some.artifacts, binary({ recursive: false }, {}, dataset('binary', { folder: 'out' })))
    expect(readdirSync(join(some.folder, 'out'))).toEqual(['a.txt'])
  })
})

describe('a copy that cannot be the same here', () => {
  const refused: [string, object, RegExp][] = [
    [
      'a procedure as the source',
      { source: { type: 'AzurePostgreSqlSource', sqlReaderStoredProcedureName: 'p' } },
      /stored procedure is no source/,
    ],
    [
      'a property that nobody knows',
      { source: fromCsv({ storeSettings: { ...READ, fileFilter: '*.csv' } }) },
      /has fileFilter, which is not known here/,
    ],
    [
      'a wrong copyBehavior',
      { sink: { type: 'DelimitedTextSink', storeSettings: { ...WRITE, copyBehavior: 'Merge' } } },
      /copyBehavior has to be/,
    ],
    [
      'a path that is none',
      { translator: { type: 'TabularTranslator', mappings: [{ source: { path: "$['a" }, sink: { name: 'b' } }] } },
      /no JSON path/,
    ],
  ]
  it.each(refused)('stops before anything moves: %s', async (_, more, message) => {
    const { artifacts, folder } = files({ 'in/a.csv': 'id\n1\n' })
    const copy = copyOf('copy', dataset('csv', { folder: 'in', file: 'a.csv' }), dataset('csv', { folder: 'out' }), {
      source: fromCsv(),
      sink: { type: 'DelimitedTextSink', storeSettings: WRITE },
      ...more,
    })
    const pg = {
      'linkedService/pg': postgresService('postgres://me@127.0.0.1:1/x'),
      'dataset/table': tableDataset('pg'),
    }
    const own = /procedure/.test(String(message)) ? { ...copy, inputs: [dataset('table', { table: 't' })] } : copy
    const ran = await runFactory({ ...artifacts, ...pg, 'pipeline/p': { activities: [own] } }, 'p')
    expect(ran.end.error!.message).toMatch(message)
    expect(existsSync(join(folder, 'out'))).toBe(false)
  })
})

describe('texts of dates and numbers', () => {
  const translator = (settings: object, mappings?: object[]) => ({
    type: 'TabularTranslator',
    typeConversion: true,
    typeConversionSettings: { allowDataTruncation: true, treatBooleanAsNumber: false, ...settings },
    ...(mappings ? { mappings } : {}),
  })

  it('are read and written in the formats of a translator, into tables and out of them', async () => {
    const { url, client } = await makeDatabase()
    await client.query('CREATE TABLE sales (id int, sold timestamp, amount numeric(10,2), took interval)')
    const { artifacts, folder } = files({
      'in.csv': 'id,sold,amount,took\n1,31.01.2024 10:00,"1.234,50",1.02:03\n2,01.02.2024 00:00,"5,00",0.00:01\n',
    })
    const settings = { dateTimeFormat: 'dd/MM/yyyy HH:mm', culture: 'de-de', timeSpanFormat: 'd\\.hh\\:mm' }
    const all = { ...artifacts, 'linkedService/pg': postgresService(url), 'dataset/table': tableDataset('pg') }
    await copied(
      all,
      copyOf('in', dataset('csv', { file: 'in.csv' }), dataset('table', { table: 'sales' }), {
        source: fromCsv(),
        sink: { type: 'AzurePostgreSqlSink' },
        translator: translator(settings),
      }),
    )
    expect((await client.query('SELECT id, sold::text, amount::text, took::text FROM sales ORDER BY id')).rows).toEqual(
      [
        { id: 1, sold: '2024-01-31 10:00:00', amount: '1234.50', took: '26:03:00' },
        { id: 2, sold: '2024-02-01 00:00:00', amount: '5.00', took: '00:01:00' },
      ],
    )
    await copied(
      all,
      copyOf('out', dataset('table', { table: 'sales' }), dataset('csv', { file: 'out.csv' }), {
        source: { type: 'AzurePostgreSqlSource', query: 'SELECT * FROM sales ORDER BY id' },
        sink: { type: 'DelimitedTextSink', storeSettings: WRITE },
        translator: translator(settings),
      }),
    )
    expect(readFileSync(join(folder, 'out.csv'), 'utf8')).toBe(
      'id,sold,amount,took\r\n1,31.01.2024 10:00,"1234,50",1.02:03\r\n2,01.02.2024 00:00,"5,00",0.00:01\r\n',
    )
  })

  it('have formats of their own for a column', async () => {
    const { artifacts, folder } = files({ 'in.csv': 'a,b\n31.01.24,x\n' })
    const column = (source: object, sink: object) => [
      { source: { name: 'a', ...source }, sink: { name: 'A', ...sink } },
    ]
    const run = (mappings: object[]) =>
      copied(
        artifacts,
        copyOf('copy', dataset('csv', { file: 'in.csv' }), dataset('csv', { file: 'out.csv' }), {
          source: fromCsv(),
          sink: { type: 'DelimitedTextSink', storeSettings: WRITE },
          translator: { type: 'TabularTranslator', mappings },
        }),
      )
    const source = { type: 'DateTime', format: 'dd.MM.yy' }
    await run(column(source, { type: 'DateTime', format: 'd MMMM yyyy', culture: 'de-de' }))
    expect(readFileSync(join(folder, 'out.csv'), 'utf8')).toBe('A\r\n31 Januar 2024\r\n')
    await run(column(source, {}))
    expect(readFileSync(join(folder, 'out.csv'), 'utf8')).toBe('A\r\n2024-01-31 00:00:00\r\n')
  })

  it('that are not of their format stop the copy, with the text and the column', async () => {
    const { artifacts } = files({ 'in.csv': 'a\n31.01.2024\n2024-01-31\n' })
    const activity = (source: object) =>
      copyOf('copy', dataset('csv', { file: 'in.csv' }), dataset('csv', { file: 'out.csv' }), {
        source: fromCsv(),
        sink: { type: 'DelimitedTextSink', storeSettings: WRITE },
        translator: {
          type: 'TabularTranslator',
          mappings: [{ source: { name: 'a', ...source }, sink: { name: 'a' } }],
        },
      })
    const failed = async (source: object) => {
      const ran = await runFactory({ ...artifacts, 'pipeline/p': { activities: [activity(source)] } }, 'p')
      return ran.activities[0]!.error.message
    }
    expect(await failed({ type: 'DateTime', format: 'dd.MM.yyyy' })).toMatch(/column a: "2024-01-31" is no timestamp/)
    expect(await failed({ type: 'DateTime', format: 'dd.dd.yyyy' })).toMatch(
      /a: the format "dd.dd.yyyy" says the day twice/,
    )
    expect(await failed({ type: 'DateTime', culture: 'no such' })).toMatch(/culture "no such"/)
  })
})
