/** Mapping data flows of a factory, run as they are. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { makeDatabase } from '../support.ts'
import {
  type Artifacts,
  activity,
  csvDataset,
  dataset,
  filesDataset,
  folderService,
  folderWith,
  postgresService,
  reference,
  runFactory,
  tableDataset,
} from './factory.ts'

export const flowOf = (sources: Record<string, object>, sinks: Record<string, object>, script: string) => {
  const side = (all: Record<string, object>) => Object.entries(all).map(([name, of]) => ({ name, dataset: of }))
  return {
    type: 'MappingDataFlow',
    typeProperties: {
      sources: side(sources),
      sinks: side(sinks),
      transformations: [],
      scriptLines: script.split('\n'),
    },
  }
}

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
      'in/orders.csv': 'id,customer,total,day\n1,a,10.50,24/12/2026\n2,b,7.25,25/12/2026\n3,a,0.50,\n4,z,1,01/01/2027\n',
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

  it('upserts by keys, inserts and truncates tables in order', async () => {
    const db = await makeDatabase()
    await db.query('CREATE TABLE "in" (id int, name text, n bigint); INSERT INTO "in" VALUES (1,$$a$$,1),(2,$$b$$,2),(3,$$c$$,3)')
    await db.query('CREATE TABLE kept (id int PRIMARY KEY, name text, n bigint); INSERT INTO kept VALUES (2,$$old$$,0),(9,$$left$$,9)')
    await db.query('CREATE TABLE fresh (id int, name text); INSERT INTO fresh VALUES (7,$$gone$$)')
    const only = await ran({
      'linkedService/pg': postgresService(db.url),
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
})
