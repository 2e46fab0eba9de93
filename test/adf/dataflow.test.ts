/** Mapping data flows of a factory, run as they are. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { describe, expect, it } from 'vitest'
import { readRedirects } from '../../ferry/src/facades/datafactory/redirects.ts'
import { account, contents } from '../cosmos.ts'
import { hasMariadb, makeDatabase, makeMariadb, policy, temporaryFolder } from '../support.ts'
import {
  type Artifacts,
  activity,
  after,
  collectionDataset,
  cosmosService,
  csvDataset,
  dataset,
  filesDataset,
  flowOf,
  folderService,
  folderWith,
  postgresService,
  reference,
  runFactory,
  tableDataset,
} from './factory.ts'

const execute = (more: object = {}) =>
  activity('flow', 'ExecuteDataFlow', {
    dataflow: { ...reference('f', 'DataFlowReference'), ...more },
    compute: { coreCount: 8, computeType: 'General' },
    traceLevel: 'Fine',
  })

async function ran(artifacts: Artifacts, more?: object) {
  const found = await runFactory({ ...artifacts, 'pipeline/p': { activities: [execute(more)] } }, 'p')
  return found.activities[0]!
}

describe('a data flow', () => {
  it('reads files by their projections, joins, sums up and writes files', async () => {
    const folder = folderWith({
      'in/orders.csv':
        'id,customer,total,day\n1,a,10.50,24/12/2026\n2,b,7.25,25/12/2026\n3,a,0.50,\n4,z,1,01/01/2027\n',
      'in/customers.csv': 'id,name\na,Ada\nb,Bo\n',
    })
    const only = await ran({
      'linkedService/files': folderService(folder),
      'dataset/csv': csvDataset('files'),
      'dataset/json': filesDataset('Json', 'files'),
      'dataflow/f': flowOf(
        {
          orders: dataset('csv', { folder: 'in', file: 'orders.csv' }),
          customers: dataset('csv', { folder: 'in', file: 'customers.csv' }),
        },
        { out: dataset('json', { folder: 'out' }) },
        `parameters{ lowest as decimal(10,2) (0.5) }
source(output(id as integer, customer as string, total as decimal(10,2), day as date 'dd/MM/yyyy'), allowSchemaDrift: true) ~> orders
source(output(id as string, name as string), allowSchemaDrift: true, validateSchema: false) ~> customers
orders, customers join(orders@customer == customers@id, joinType:'left', broadcast: 'auto')~> joined
joined filter(total > $lowest) ~> some
some derive(name = iif(isNull(name), 'unknown', upper(name)), month = month(day)) ~> named
named aggregate(groupBy(name, month), total = sum(total), n = count()) ~> sums
sums sort(asc(name, true)) ~> sorted
sorted sink(allowSchemaDrift: true, validateSchema: false, partitionFileNames: ['sums.json'], partitionBy('hash', 1)) ~> out`,
      ),
    })
    expect(only.error).toBeNull()
    expect(only.output.runStatus.metrics.out).toMatchObject({ rowsWritten: 3, sources: { orders: { rowsRead: 4 } } })
    const rows = readFileSync(join(folder, 'out/sums.json'), 'utf8').trim().split('\n')
    expect(rows.map(row => JSON.parse(row))).toEqual([
      { name: 'ADA', month: 12, total: 10.5, n: 1 },
      { name: 'BO', month: 12, total: 7.25, n: 1 },
      { name: 'unknown', month: 1, total: 1, n: 1 },
    ])
  })

  it('reads Parquet where it lies, beside what is copied: the rows that were read are counted all the same', async () => {
    const folder = folderWith({ 'in/zones.csv': 'id,zone\n0,n\n1,s\n' })
    const connection = await (await DuckDBInstance.create()).connect()
    await connection.run(
      `COPY (SELECT i AS id, (i % 2)::INT AS zone, (i * 1.5)::DECIMAL(10,2) AS price FROM range(1000) t(i)) TO '${folder}/in/a.parquet' (FORMAT parquet)`,
    )
    connection.closeSync()
    const only = await ran({
      'linkedService/files': folderService(folder),
      'dataset/csv': csvDataset('files'),
      'dataset/json': filesDataset('Json', 'files'),
      'dataset/parquet': filesDataset('Parquet', 'files'),
      'dataflow/f': flowOf(
        {
          rows: dataset('parquet', { folder: 'in', file: 'a.parquet' }),
          zones: dataset('csv', { folder: 'in', file: 'zones.csv' }),
        },
        { out: dataset('json', { folder: 'out' }) },
        `source(output(id as long, zone as integer, price as decimal(10,2))) ~> rows
source(output(id as integer, zone as string)) ~> zones
rows, zones join(rows@zone == zones@id, joinType: 'inner') ~> joined
joined aggregate(groupBy(name = zones@zone), total = sum(price), n = count()) ~> sums
sums sort(asc(name, true)) ~> sorted
sorted sink(partitionFileNames: ['sums.json']) ~> out`,
      ),
    })
    expect(only.error).toBeNull()
    expect(only.output.runStatus.metrics.out.sources).toEqual({ rows: { rowsRead: 1000 }, zones: { rowsRead: 2 } })
    expect(
      readFileSync(join(folder, 'out/sums.json'), 'utf8')
        .trim()
        .split('\n')
        .map(row => JSON.parse(row)),
    ).toEqual([
      { name: 'n', total: 374250, n: 500 },
      { name: 's', total: 375000, n: 500 },
    ])
  })

  it('has its datasets in its script', async () => {
    const folder = folderWith({ 'data/in/2026/a.csv': 'made by hand\nid;name\n1;"a;b"\n2;c\n' })
    const { url, client } = await makeDatabase()
    await client.query('CREATE TABLE names (id int, name text)')
    const on = (stream: string, linked: string) => ({
      name: stream,
      linkedService: { referenceName: linked, type: 'LinkedServiceReference' },
    })
    const artifacts = (script: string) => ({
      'linkedService/files': folderService(folder),
      'linkedService/pg': postgresService(url),
      'dataflow/f': {
        type: 'MappingDataFlow',
        typeProperties: {
          sources: [on('raw', 'files')],
          sinks: [on('table', 'pg'), on('file', 'files')],
          scriptLines: script.split('\n'),
        },
      },
    })
    const script = `parameters{ year as string ('2026') }
source(output(id as integer, name as string), allowSchemaDrift: true, validateSchema: false, multiLineRow: true, skipLines: 1,
  format: 'delimited', fileSystem: 'data', folderPath: (concat('in/', $year)), fileName: 'a.csv', columnDelimiter: ';',
  escapeChar: '\\\\', quoteChar: '"', columnNamesAsHeader: true) ~> raw
raw sink(format: 'table', schemaName: 'public', tableName: 'names') ~> table
raw sink(format: 'json', container: 'data', folderPath: 'out', partitionFileNames: ['names.json']) ~> file`
    expect((await ran(artifacts(script))).error).toBeNull()
    expect((await client.query('SELECT * FROM names ORDER BY id')).rows).toEqual([
      { id: 1, name: 'a;b' },
      { id: 2, name: 'c' },
    ])
    expect(readFileSync(join(folder, 'data/out/names.json'), 'utf8')).toBe(
      '{"id":1,"name":"a;b"}\n{"id":2,"name":"c"}\n',
    )
    const avro = await ran(artifacts(script.replace("'delimited'", "'avro'")))
    expect(avro.error.message).toMatch(/line 2, column 1: raw: the format avro does not run here/)
    const both = artifacts(script)
    const named = { name: 'raw', dataset: { referenceName: 'csv', type: 'DatasetReference' } }
    both['dataflow/f'].typeProperties.sources = [named] as never
    const twice = await ran({ ...both, 'dataset/csv': csvDataset('files') })
    expect(twice.error.message).toMatch(/fileSystem is of a dataset that lies in the script, and raw has one/)
  })

  it('looks up a cache, which is written nowhere', async () => {
    const folder = folderWith({ 'in/a.csv': 'id,n\n1,5\n2,6\n', 'in/names.csv': 'id,name\n1,one\n' })
    const only = await ran({
      'linkedService/files': folderService(folder),
      'dataset/csv': csvDataset('files'),
      'dataset/json': filesDataset('Json', 'files'),
      'dataflow/f': flowOf(
        {
          rows: dataset('csv', { folder: 'in', file: 'a.csv' }),
          names: dataset('csv', { folder: 'in', file: 'names.csv' }),
        },
        { out: dataset('json', { folder: 'out' }) },
        `source(output(id as integer, n as integer)) ~> rows
source(output(id as integer, name as string)) ~> names
rows derive(name = iifNull(known#lookup(id).name, 'nobody')) ~> named
named sink(partitionFileNames: ['named.json']) ~> out
names sink(keys: ['id'], store: 'cache', format: 'inline', output: false, saveOrder: 1) ~> known`,
      ),
    })
    expect(only.error).toBeNull()
    expect(Object.keys(only.output.runStatus.metrics)).toEqual(['out'])
    expect(readFileSync(join(folder, 'out/named.json'), 'utf8').trim().split('\n').sort()).toEqual([
      '{"id":1,"n":5,"name":"one"}',
      '{"id":2,"n":6,"name":"nobody"}',
    ])
  })

  it('upserts by keys, inserts and truncates tables in order', async () => {
    const { client: db, url } = await makeDatabase()
    await db.query(
      'CREATE TABLE "in" (id int, name text, n bigint); INSERT INTO "in" VALUES (1,$$a$$,1),(2,$$b$$,2),(3,$$c$$,3)',
    )
    await db.query(
      'CREATE TABLE kept (id int PRIMARY KEY, name text, n bigint); INSERT INTO kept VALUES (2,$$old$$,0),(9,$$left$$,9)',
    )
    await db.query('CREATE TABLE fresh (id int, name text); INSERT INTO fresh VALUES (7,$$gone$$)')
    const only = await ran({
      'linkedService/pg': postgresService(url),
      'dataset/table': tableDataset('pg'),
      'dataflow/f': flowOf(
        { source1: dataset('table', { table: 'in' }) },
        { merged: dataset('table', { table: 'kept' }), all: dataset('table', { table: 'fresh' }) },
        `source(output(id as integer, name as string, n as long), allowSchemaDrift: false, format: 'table') ~> source1
source1 alterRow(upsertIf(n <= 2), insertIf(true())) ~> marked
marked sink(upsertable: true, insertable: true, keys: ['id'], format: 'table', saveOrder: 2) ~> merged
source1 select(mapColumn(id, name)) ~> slim
slim sink(truncate: true, format: 'table', preSQLs: ["INSERT INTO fresh VALUES (8, 'before')"], postSQLs: ["INSERT INTO fresh VALUES (99, 'after')"], saveOrder: 1) ~> all`,
      ),
    })
    expect(only.error).toBeNull()
    const rows = async (sql: string) => (await db.query(sql)).rows
    expect(await rows('SELECT * FROM kept ORDER BY id')).toEqual([
      { id: 1, name: 'a', n: '1' },
      { id: 2, name: 'b', n: '2' },
      { id: 3, name: 'c', n: '3' },
      { id: 9, name: 'left', n: '9' },
    ])
    expect((await rows('SELECT * FROM fresh ORDER BY id')).map(r => r.id)).toEqual([1, 2, 3, 99])
  })

  it('updates and deletes rows by keys', async () => {
    const { client: db, url } = await makeDatabase()
    await db.query(`CREATE TABLE news (id int, name text, gone boolean); INSERT INTO news VALUES (1,'one',false),(2,'two',true),(3,'three',false),(4,null,false);
      CREATE TABLE "Kept Rows" ("Id" smallint PRIMARY KEY, name varchar(9), other text); INSERT INTO "Kept Rows" VALUES (1,'a','x'),(2,'b','y'),(4,'d','z'),(5,'e','v')`)
    const only = await ran({
      'linkedService/pg': postgresService(url),
      'dataset/table': tableDataset('pg'),
      'dataflow/f': flowOf(
        { news: dataset('table', { table: 'news' }) },
        { kept: dataset('table', { table: 'Kept Rows' }) },
        `source(output(id as integer, name as string, gone as boolean), format: 'table') ~> news
news alterRow(deleteIf(gone), updateIf(true())) ~> marked
marked select(mapColumn(Id = id, name)) ~> slim
slim sink(insertable: false, updateable: true, deletable: true, keys: ['Id'], format: 'table') ~> kept`,
      ),
    })
    expect(only.error).toBeNull()
    const { rows } = await db.query('SELECT * FROM "Kept Rows" ORDER BY 1')
    expect(rows.map(r => [r.Id, r.name, r.other])).toEqual([
      [1, 'one', 'x'],
      [4, null, 'z'],
      [5, 'e', 'v'],
    ])
    const left = await db.query(`SELECT tablename FROM pg_tables WHERE tablename LIKE 'ferry_flow%'`)
    expect(left.rows).toEqual([])
  })

  const stores: [string, () => Promise<object>][] = [
    ['PostgreSQL', async () => ({ kind: 'postgres', settings: (await makeDatabase()).settings })],
    ['SQLite', async () => ({ kind: 'sqlite', settings: { path: join(temporaryFolder(), 'kept.db') } })],
    ['DuckDB', async () => ({ kind: 'duckdb', settings: { path: join(temporaryFolder(), 'kept.duckdb') } })],
    ...(hasMariadb()
      ? [
          ['MariaDB', async () => ({ kind: 'mysql', settings: (await makeMariadb()).settings })] as [
            string,
            () => Promise<object>,
          ],
        ]
      : []),
  ]

  it.each(stores)('makes anew, inserts, updates and deletes in %s', async (_, made) => {
    const store = await made()
    const folder = folderWith({
      'old.csv': 'Id,kind,name,n\n1,a,one,1\n2,a,two,2\n3,b,three,3\n3,a,kept,4\n',
      'news.csv': 'Id,kind,name,n\n1,a,ONE,10\n2,a,,0\n3,b,,0\n4,c,four,40\n9,z,nobody,9\n',
      'here.yaml': JSON.stringify({ linkedServices: { store: { ...store, tables: '{table}' } } }),
    })
    const projection = 'source(output(Id as integer, kind as string, name as string, n as long)) ~> rows\n'
    const table = dataset('table', { table: 'the kept' })
    const csv = (file: string) => dataset('csv', { file })
    const artifacts: Artifacts = {
      'linkedService/files': folderService(folder),
      'linkedService/store': { type: 'AzureSqlDatabase', typeProperties: {} },
      'dataset/csv': csvDataset('files'),
      'dataset/table': tableDataset('store', 'AzureSqlTable'),
      'dataflow/load': flowOf(
        { rows: csv('old.csv') },
        { out: table },
        `${projection}rows sink(recreate: true, format: 'table') ~> out`,
      ),
      'dataflow/change': flowOf(
        { rows: csv('news.csv') },
        { out: table },
        `${projection}rows alterRow(deleteIf(n == 0), updateIf(n <= 10), insertIf(true())) ~> marked
marked sink(insertable: true, updateable: true, deletable: true, keys: ['Id', 'kind'], format: 'table') ~> out`,
      ),
      'dataflow/read': flowOf(
        { rows: table },
        { out: csv('out.csv') },
        `source(allowSchemaDrift: true, format: 'table') ~> rows\nrows sort(asc(Id, true), asc(kind, true)) ~> sorted\nsorted sink() ~> out`,
      ),
      'pipeline/p': {
        activities: ['load', 'change', 'read'].map((name, i, all) =>
          activity(
            name,
            'ExecuteDataFlow',
            { dataflow: reference(name, 'DataFlowReference') },
            i === 0 ? {} : { dependsOn: after(all[i - 1]!) },
          ),
        ),
      },
    }
    const redirects = readRedirects(join(folder, 'here.yaml'), [], policy)
    const { activities } = await runFactory(artifacts, 'p', { redirects })
    expect(activities.map(a => a.error)).toEqual([null, null, null])
    expect(readFileSync(join(folder, 'out.csv'), 'utf8')).toBe(
      'Id,kind,name,n\r\n1,a,ONE,10\r\n3,a,kept,4\r\n4,c,four,40\r\n',
    )
  })

  it('makes documents of relations: orders with their lines embedded', async () => {
    const { client: db, url } = await makeDatabase()
    await db.query(`CREATE TABLE orders (id int PRIMARY KEY, customer text, placed timestamp, total numeric(12,2));
      CREATE TABLE lines (order_id int, no int, sku text, price numeric(10,2), gift boolean);
      INSERT INTO orders SELECT i, 'c' || i % 7, timestamp '2026-01-01' + i * interval '1 hour', i * 1.25 FROM generate_series(1, 200) i;
      INSERT INTO lines SELECT i, n, 's' || n, n * 0.1, n % 2 = 0 FROM generate_series(1, 200) i, generate_series(1, 5) n WHERE n <= i % 5 + 1`)
    const running = await account()
    const only = await ran({
      'linkedService/pg': postgresService(url),
      'linkedService/cosmos': cosmosService(running),
      'dataset/table': tableDataset('pg'),
      'dataset/items': collectionDataset('cosmos'),
      'dataflow/f': flowOf(
        { orders: dataset('table', { table: 'orders' }), lines: dataset('table', { table: 'lines' }) },
        { documents: dataset('items', { collection: 'orders' }) },
        `source(output(id as integer, customer as string, placed as timestamp, total as decimal(12,2)), allowSchemaDrift: true, format: 'table') ~> orders
source(output(order_id as integer, no as integer, sku as string, price as decimal(10,2), gift as boolean), format: 'table') ~> lines
lines derive(line = @(no = no, sku = sku, price = price, gift = gift)) ~> structured
structured aggregate(groupBy(order_id), lines = collect(line)) ~> collected
orders, collected join(id == order_id, joinType: 'inner') ~> joined
joined derive(id = toString(id), lines = sort(lines, compare(#item1.no, #item2.no))) ~> typed
typed select(mapColumn(id, customer, placed, total, lines), skipDuplicateMapInputs: true, skipDuplicateMapOutputs: true) ~> slim
slim sink(allowSchemaDrift: true, validateSchema: false, deletable: false, insertable: true, updateable: false, upsertable: false, recreate: true, partitionKey: ['/customer'], throughput: 1000, format: 'document') ~> documents`,
      ),
    })
    expect(only.error).toBeNull()
    const written = contents(running, 'orders')
    expect(written.size).toBe(200)
    const { rows } = await db.query(
      `SELECT o.id, o.customer, o.total::float8 AS total, (SELECT json_agg(json_build_object('no', no, 'sku', sku, 'price', price, 'gift', gift) ORDER BY no) FROM lines WHERE order_id = o.id) AS lines FROM orders o`,
    )
    for (const row of rows) {
      const { placed, ...document } = JSON.parse(written.get(String(row.id))!)
      expect(document).toEqual({ ...row, id: String(row.id) })
      expect(placed).toMatch(/^2026-01-\d\dT\d\d:00:00/)
    }
    expect(running.account.container('shop', 'orders').definition).toMatchObject({
      partitionKey: { paths: ['/customer'] },
    })
  })

  it('makes a table anew, and empties one whose rows are deleted alone', async () => {
    const { client: db, url } = await makeDatabase()
    await db.query(`CREATE TABLE news AS SELECT 1 AS id, 'a' AS v; CREATE TABLE anew (id int, other text, z text NOT NULL);
      CREATE TABLE emptied (id int, v text); INSERT INTO emptied VALUES (1, 'x'), (2, 'y')`)
    const only = await ran({
      'linkedService/pg': postgresService(url),
      'dataset/table': tableDataset('pg'),
      'dataflow/f': flowOf(
        { news: dataset('table', { table: 'news' }) },
        { anew: dataset('table', { table: 'anew' }), emptied: dataset('table', { table: 'emptied' }) },
        `source(output(id as integer, v as string), format: 'table') ~> news
news sink(recreate: true, format: 'table') ~> anew
news alterRow(deleteIf(true())) ~> marked
marked sink(insertable: false, deletable: true, truncate: true, keys: ['id'], format: 'table') ~> emptied`,
      ),
    })
    expect(only.error).toBeNull()
    expect((await db.query('SELECT * FROM anew')).rows).toEqual([{ id: 1, v: 'a' }])
    expect((await db.query('SELECT * FROM emptied')).rows).toEqual([])
  })

  it('leaves nothing in a store where it fails', async () => {
    const { client: db, url } = await makeDatabase()
    await db.query(`CREATE TABLE news AS SELECT 1 AS id, 'too long' AS v; CREATE TABLE kept (id int, v varchar(3))`)
    const only = await ran({
      'linkedService/pg': postgresService(url),
      'dataset/table': tableDataset('pg'),
      'dataflow/f': flowOf(
        { news: dataset('table', { table: 'news' }) },
        { kept: dataset('table', { table: 'kept' }) },
        `source(output(id as integer, v as string), format: 'table') ~> news
news alterRow(updateIf(true())) ~> marked
marked sink(insertable: false, updateable: true, keys: ['id'], format: 'table') ~> kept`,
      ),
    })
    expect(only.error.message).toContain('too long')
    expect((await db.query(`SELECT tablename FROM pg_tables WHERE tablename LIKE 'ferry_flow%'`)).rows).toEqual([])
  })

  it('takes no parameter that is not of its type, and no path that leads out of a folder', async () => {
    const folder = folderWith({ 'in/a.csv': 'id\n1\n', 'secret/s.csv': 'id\n9\n' })
    const files = {
      'linkedService/files': folderService(join(folder, 'in')),
      'dataset/csv': csvDataset('files'),
      'dataset/json': filesDataset('Json', 'files'),
    }
    const flow = (script: string) => ({
      ...files,
      'dataflow/f': flowOf(
        { s: dataset('csv', { file: 'a.csv' }) },
        { o: dataset('json', { folder: 'out' }) },
        `parameters{ n as integer (1) }\nsource(output(id as integer)) ~> s\n${script}`,
      ),
    })
    const out = `s sink(partitionFileNames: ['../../out.json']) ~> o`
    expect((await ran(flow(out))).error.message).toContain('leads out of the folder')
    const plain = 's sink() ~> o'
    const wild = flow(plain)
    wild['dataflow/f'].typeProperties.scriptLines[1] =
      "source(output(id as integer), wildcardPaths: ['../secret/*.csv']) ~> s"
    expect((await ran(wild)).error.message).toContain('leads out of the folder')
    const told = (await ran(flow(plain), { parameters: { n: "'1 OR 1=1'" } })).error.message
    expect(told).toContain('the parameter n of the data flow is integer')
  })

  it('knows where each row comes from', async () => {
    const folder = folderWith({ 'in/a.csv': 'id\n1\n', 'in/b.csv': 'id\n2\n' })
    const only = await ran({
      'linkedService/files': folderService(folder),
      'dataset/csv': csvDataset('files'),
      'dataset/json': filesDataset('Json', 'files'),
      'dataflow/f': flowOf(
        { s: dataset('csv') },
        { o: dataset('json', { file: 'out.json' }) },
        `source(output(id as integer), wildcardPaths: ['in/*.csv'], rowUrlColumn: 'u') ~> s
s derive(u = right(u, 5)) ~> d
d sort(asc(id, true)) ~> e
e sink() ~> o`,
      ),
    })
    expect(only.error).toBeNull()
    expect(readFileSync(join(folder, 'out.json'), 'utf8')).toBe('{"id":1,"u":"a.csv"}\n{"id":2,"u":"b.csv"}\n')
  })

  it('takes every type of a database in the types of data flows', async () => {
    const { client: db, url } = await makeDatabase()
    await db.query(`CREATE TYPE mood AS ENUM ('sad', 'glad');
      CREATE TABLE many AS SELECT 1 AS id, '0198c0de-0000-7000-8000-000000000001'::uuid AS u, timestamptz '2026-01-01 12:00:00+02' AS z,
        '{"a": {"b": [1, 2]}}'::jsonb AS j, time '12:30:00' AS t, 'glad'::mood AS m, ARRAY[1, 2] AS l, 1.50::numeric(10,2) AS n, 1.5::float4 AS f, true AS b, date '2026-02-03' AS d`)
    const folder = folderWith({ 'out/.keep': '' })
    const only = await ran({
      'linkedService/pg': postgresService(url),
      'linkedService/files': folderService(folder),
      'dataset/table': tableDataset('pg'),
      'dataset/json': filesDataset('Json', 'files'),
      'dataflow/f': flowOf(
        { s: dataset('table', { table: 'many' }) },
        { o: dataset('json', { file: 'out.json' }) },
        `source(allowSchemaDrift: true, format: 'table') ~> s
s derive(u = upper(u), z = addDays(z, 1), m = m + '!', t = left(t, 5), l = size(l), n = n * 2, y = year(d)) ~> e
e parse(j = j ? (a as (b as integer[])), format: 'json') ~> p
p derive(j = p.j.a.b[2]) ~> q
q sink() ~> o`,
      ),
    })
    expect(only.error).toBeNull()
    expect(JSON.parse(readFileSync(join(folder, 'out.json'), 'utf8'))).toEqual({
      id: 1,
      u: '0198C0DE-0000-7000-8000-000000000001',
      z: expect.stringMatching(/^2026-01-02T10:00:00/),
      j: 2,
      t: '12:30',
      m: 'glad!',
      l: 2,
      n: 3,
      f: 1.5,
      b: true,
      d: '2026-02-03',
      y: 2026,
    })
  })

  it('infers the types of what drifts, and goes on without files where it may', async () => {
    const folder = folderWith({ 'in/a.csv': 'id,n,when,mixed\n1,007,2026-01-02,1\n2,12,2026-03-04,x\n' })
    const artifacts = (script: string) => ({
      'linkedService/files': folderService(folder),
      'dataset/csv': csvDataset('files'),
      'dataset/json': filesDataset('Json', 'files'),
      'dataflow/f': flowOf(
        { s: dataset('csv', { folder: 'in', file: 'a.csv' }), none: dataset('csv', { folder: 'none' }) },
        { o: dataset('json', { file: 'out.json' }) },
        script,
      ),
    })
    const script = `source(output(id as integer), allowSchemaDrift: true, inferDriftedColumnTypes: true) ~> s
source(output(id as integer), ignoreNoFilesFound: true) ~> none
s, none exists(s@id == none@id, negate: true) ~> e
e derive(n = byName('n'), y = year(byName('when'))) ~> d
d sort(asc(id, true)) ~> t
t sink() ~> o`
    const only = await ran(artifacts(script))
    expect(only.error).toBeNull()
    expect(
      readFileSync(join(folder, 'out.json'), 'utf8')
        .trim()
        .split('\n')
        .map(r => JSON.parse(r)),
    ).toEqual([
      { id: 1, n: 7, when: '2026-01-02', mixed: '1', y: 2026 },
      { id: 2, n: 12, when: '2026-03-04', mixed: 'x', y: 2026 },
    ])
    const failed = await ran(artifacts(script.replace('ignoreNoFilesFound: true', 'ignoreNoFilesFound: false')))
    expect(failed.error.errorCode).toBe('FERRY-3001')
  })
})
