/** Artifacts of Data Factory over MariaDB: a copy into it, a lookup, a script, a procedure. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { after, copyOf, csvDataset, dataset, folderService, runFactory, service, tableDataset } from '../adf/factory.ts'
import { makeMariadb, temporaryFolder } from '../support.ts'

it('copies, looks up, executes and calls', async () => {
  const { settings, exec } = await makeMariadb()
  const folder = temporaryFolder()
  mkdirSync(join(folder, 'in'))
  writeFileSync(join(folder, 'in/a.csv'), "id,name\n1,it's\n2,\n")
  await exec('CREATE TABLE t (id int PRIMARY KEY, name varchar(20))')
  await exec('CREATE PROCEDURE add_row(IN p_id int, IN p_name varchar(20)) INSERT INTO t VALUES (p_id, p_name)')
  const { host, port, user, database } = settings as Record<string, unknown>
  const more = { linkedServiceName: service('db') }
  const ran = await runFactory(
    {
      'linkedService/files': folderService(folder),
      'linkedService/db': {
        type: 'MariaDB',
        typeProperties: { server: host, port, database, username: user, sslMode: 0 },
      },
      'dataset/csv': csvDataset('files'),
      'dataset/table': {
        ...tableDataset('db', 'MariaDBTable'),
        typeProperties: { tableName: { value: '@dataset().table', type: 'Expression' } },
      },
      'pipeline/p': {
        activities: [
          copyOf('copy', dataset('csv', { folder: 'in', file: 'a.csv' }), dataset('table', { table: 't' }), {
            source: { type: 'DelimitedTextSource', storeSettings: { type: 'FileServerReadSettings' } },
            sink: { type: 'MariaDBSink' },
          }),
          {
            name: 'call',
            type: 'SqlServerStoredProcedure',
            ...more,
            dependsOn: after('copy'),
            typeProperties: {
              storedProcedureName: 'add_row',
              storedProcedureParameters: { p_name: { value: "o'k" }, p_id: { value: 3, type: 'Int32' } },
            },
          },
          {
            name: 'script',
            type: 'Script',
            ...more,
            dependsOn: after('call'),
            typeProperties: { scripts: [{ type: 'NonQuery', text: 'UPDATE t SET id = id + 10' }] },
          },
          {
            name: 'look',
            type: 'Lookup',
            dependsOn: after('script'),
            typeProperties: {
              source: { type: 'MariaDBSource', query: 'SELECT * FROM t ORDER BY id' },
              dataset: dataset('table', { table: 't' }),
              firstRowOnly: false,
            },
          },
        ],
      },
    },
    'p',
  )
  expect(ran.end.error).toBeUndefined()
  expect(ran.of('script').output).toMatchObject({ recordsAffected: 3 })
  expect(ran.of('look').output).toEqual({
    count: 3,
    value: [
      { id: 11, name: "it's" },
      { id: 12, name: null },
      { id: 13, name: "o'k" },
    ],
  })
})
