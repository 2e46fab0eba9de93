/** Factories in a real browser: added, checked, a pipeline run with parameters, watched, looked into, rerun. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { flowOf, folderWith, writeFactory } from '../adf/factory.ts'
import { startServer } from '../server.ts'
import { closeBrowser, openBrowser, picture, seriousFaults, signIn } from './browser.ts'

afterAll(closeBrowser)

const after = (activity: string, condition = 'Succeeded') => [{ activity, dependencyConditions: [condition] }]

/** Copies each file that it finds, then looks for a marker: it fails while there is none. */
function load(items: object[]) {
  return {
    description: 'Loads the files of a day.',
    folder: { name: 'daily' },
    parameters: {
      day: { type: 'string' },
      table: { type: 'string', defaultValue: 'orders' },
      secret: { type: 'securestring', defaultValue: 'never to be seen' },
    },
    variables: { loaded: { type: 'Array' } },
    activities: [
      {
        name: 'Find files',
        type: 'GetMetadata',
        typeProperties: {
          dataset: { referenceName: 'files', type: 'DatasetReference' },
          fieldList: ['childItems'],
        },
      },
      {
        name: 'Each file',
        type: 'ForEach',
        dependsOn: after('Find files'),
        typeProperties: {
          items: "@activity('Find files').output.childItems",
          batchCount: 2,
          activities: [
            {
              name: 'Copy it',
              type: 'Copy',
              inputs: [{ referenceName: 'files', type: 'DatasetReference', parameters: { file: '@item().name' } }],
              outputs: [{ referenceName: 'table', type: 'DatasetReference' }],
              typeProperties: {
                source: { type: 'DelimitedTextSource', storeSettings: { type: 'AzureBlobStorageReadSettings' } },
                sink: { type: 'AzureSqlSink', tableOption: 'autoCreate' },
              },
            },
            {
              name: 'Note it',
              type: 'AppendVariable',
              dependsOn: after('Copy it'),
              typeProperties: { variableName: 'loaded', value: '@item().name' },
            },
          ],
        },
      },
      {
        name: 'Is it monday',
        type: 'IfCondition',
        dependsOn: after('Each file'),
        typeProperties: {
          expression: '@equals(dayOfWeek(pipeline().parameters.day), 1)',
          ifTrueActivities: [{ name: 'Rest', type: 'Wait', typeProperties: { waitTimeInSeconds: 1 } }],
          ifFalseActivities: items,
        },
      },
      {
        name: 'Alert',
        type: 'Wait',
        dependsOn: after('Each file', 'Failed'),
        typeProperties: { waitTimeInSeconds: 1 },
      },
      {
        name: 'Tell',
        type: 'SetVariable',
        dependsOn: after('Each file'),
        typeProperties: {
          variableName: 'pipelineReturnValue',
          setSystemVariable: true,
          value: [{ key: 'files', value: { type: 'Expression', content: "@length(variables('loaded'))" } }],
        },
      },
    ],
  }
}

const look = {
  name: 'Look for the marker',
  type: 'GetMetadata',
  typeProperties: { dataset: { referenceName: 'marker', type: 'DatasetReference' }, fieldList: ['size'] },
}

const TOTALS = `source(output(id as integer, customer as integer, total as decimal(10,2), day as date 'yyyy-MM-dd')) ~> orders
source(output(id as integer, name as string, zone as string)) ~> customers
orders split(total >= 0, disjoint: false) ~> checked@(good, bad)
checked@good, customers join(orders@customer == customers@id, joinType: 'inner', broadcast: 'auto') ~> joined
joined derive(month = month(day), name = upper(name)) ~> named
named aggregate(groupBy(zone, month), total = sum(total), orders = count()) ~> sums
sums sink(recreate: true, format: 'table') ~> warehouse
checked@bad sink(recreate: true, format: 'table') ~> doubts`

function factory() {
  const place = writeFactory({
    'pipeline/load': load([look]),
    'pipeline/cannot': { activities: [{ name: 'Flow', type: 'Unheard', typeProperties: {} }] },
    'pipeline/sums': {
      activities: [
        {
          name: 'Sum up',
          type: 'ExecuteDataFlow',
          typeProperties: { dataflow: { referenceName: 'totals', type: 'DataFlowReference' } },
        },
      ],
    },
    'dataflow/totals': flowOf(
      {
        orders: { referenceName: 'files', type: 'DatasetReference' },
        customers: { referenceName: 'files', type: 'DatasetReference' },
      },
      {
        warehouse: { referenceName: 'table', type: 'DatasetReference' },
        doubts: { referenceName: 'table', type: 'DatasetReference' },
      },
      TOTALS,
    ),
    'dataset/files': {
      type: 'DelimitedText',
      linkedServiceName: { referenceName: 'landing' },
      parameters: { file: { type: 'string', defaultValue: '' } },
      typeProperties: {
        location: { type: 'AzureBlobStorageLocation', container: 'in', fileName: '@dataset().file' },
        columnDelimiter: ',',
        firstRowAsHeader: true,
      },
    },
    'dataset/marker': {
      type: 'Binary',
      linkedServiceName: { referenceName: 'landing' },
      typeProperties: { location: { type: 'AzureBlobStorageLocation', container: 'marks', fileName: 'ready' } },
    },
    'dataset/table': {
      type: 'AzureSqlTable',
      linkedServiceName: { referenceName: 'warehouse' },
      typeProperties: { schema: 'dbo', table: 'orders' },
    },
    'linkedService/landing': { type: 'AzureBlobStorage', typeProperties: { connectionString: 'x' } },
    'linkedService/warehouse': { type: 'AzureSqlDatabase', typeProperties: {} },
    'trigger/nightly': {
      type: 'ScheduleTrigger',
      pipelines: [{ pipelineReference: { referenceName: 'load' }, parameters: { day: '@trigger().scheduledTime' } }],
      typeProperties: {
        recurrence: { frequency: 'Day', interval: 1, startTime: '2020-01-01T00:00:00Z', timeZone: 'UTC' },
      },
    },
    'trigger/arrived': {
      type: 'CustomEventsTrigger',
      pipelines: [
        { pipelineReference: { referenceName: 'load' }, parameters: { day: '@triggerBody().event.data.day' } },
      ],
      typeProperties: { events: ['day.complete'], scope: '/topics/t' },
    },
  })
  const data = folderWith({
    ...Object.fromEntries(
      Array.from({ length: 6 }, (_, i) => [`in/part${i}.csv`, `id,name\n${i},row ${i}\n${i + 100},row ${i + 100}\n`]),
    ),
    'marks/other': 'x',
  })
  const redirect = join(place, 'here.json')
  writeFileSync(
    redirect,
    JSON.stringify({
      linkedServices: {
        landing: `${data}/`,
        warehouse: { kind: 'sqlite', settings: { path: join(data, 'warehouse.db') }, tables: '{table}' },
      },
    }),
  )
  return { place, data, redirect }
}

describe('factories', () => {
  it('are added, checked, and their pipelines run, watched and rerun', async () => {
    const { place, data, redirect } = factory()
    const server = await startServer({ folder: place, args: ['--folder', data] })
    const page = await signIn(await openBrowser(), server)
    await page.getByRole('link', { name: 'Factories' }).click()
    await page.getByText('No factories yet').waitFor()
    await page.getByRole('button', { name: 'Add a factory' }).click()
    await page.getByLabel('Folder or template').fill(`${place}/nowhere`)
    await page.getByRole('button', { name: 'Add', exact: true }).click()
    await page.getByText(/nowhere is not there/).waitFor()
    await page.getByLabel('Folder or template').fill(place)
    await page.getByLabel('File of redirects').fill(redirect)
    await page.getByRole('button', { name: 'Add', exact: true }).click()
    await page.getByRole('heading', { name: 'tests' }).waitFor()
    await page.getByRole('table', { name: 'Pipelines' }).waitFor()
    expect(await seriousFaults(page)).toEqual([])

    await page.getByRole('tab', { name: 'Check' }).click()
    await page.getByText('Unheard: activities of this type do not run here').waitFor()
    expect(await seriousFaults(page)).toEqual([])

    await page.getByRole('tab', { name: 'Pipelines' }).click()
    await page.getByRole('link', { name: 'load', exact: true }).click()
    const graph = page.getByRole('region', { name: 'Activities of load' })
    await graph.getByRole('button', { name: /^Each file ForEach after Find files succeeded/ }).waitFor()
    expect(await seriousFaults(page)).toEqual([])
    // The arrows lead along the lines.
    await graph.getByRole('button', { name: /^Find files/ }).focus()
    await page.keyboard.press('ArrowRight')
    expect(await page.evaluate(() => (document.activeElement as HTMLElement).dataset.activity)).toBe('Each file')
    await page.keyboard.press('ArrowRight')
    await page.keyboard.press('Enter')
    await page.getByText('Is it monday: IfCondition').waitFor()

    await page.getByRole('button', { name: 'Run load' }).click()
    await page.getByRole('button', { name: 'Run', exact: true }).click()
    await page.getByText(/needs a value for its parameter day/).waitFor()
    expect(await page.content()).not.toContain('never to be seen')
    await page.getByLabel('day').fill('2026-11-24')
    await page.getByRole('button', { name: 'Run', exact: true }).click()
    await page.getByRole('heading', { name: 'load: a run' }).waitFor()
    await page.locator('main [data-status=Failed]').first().waitFor({ timeout: 60_000 })
    await graph.getByRole('button', { name: /^Each file ForEach · succeeded/ }).waitFor()
    await graph.getByRole('button', { name: /^Copy it Copy · succeeded \(6 of 6\)/ }).waitFor()
    await graph.getByRole('button', { name: /^Look for the marker GetMetadata · failed/ }).waitFor()
    await graph.getByRole('button', { name: /^Tell SetVariable · succeeded/ }).waitFor()
    expect(await seriousFaults(page)).toEqual([])
    await picture(page, 'pipeline', graph)

    // What one activity got and gave, and the run of its copy.
    await graph.getByRole('button', { name: /^Copy it/ }).click()
    await page.getByText(/^6 of/).waitFor()
    await page.getByRole('button', { name: /^Show input and output of Each file\/0\/Copy it/ }).click()
    await page.getByText(/"rowsCopied": 2/).waitFor()
    await page.getByRole('button', { name: 'Close' }).click()
    await page.getByLabel('Search activities').fill('')
    await page.getByRole('tab', { name: 'Gantt' }).click()
    await page.getByRole('img', { name: /^Each file\/5\/Copy it: succeeded, from/ }).waitFor()
    expect(await seriousFaults(page)).toEqual([])

    writeFileSync(join(data, 'marks', 'ready'), 'now')
    await page.getByRole('button', { name: 'Rerun from failed' }).click()
    await page.getByRole('link', { name: 'The run before it' }).waitFor()
    await page.locator('main [data-status=Succeeded]').first().waitFor({ timeout: 60_000 })
    await page.getByRole('region', { name: 'Return value' }).waitFor()
    const { body } = await server.call<{ runs: { status: string; returnValue: unknown }[] }>('GET', '/pipelineruns')
    expect(body.runs.map(r => [r.status, r.returnValue])).toEqual([
      ['Succeeded', { files: 6 }],
      ['Failed', { files: 6 }],
    ])
  })

  it('show their data flows: streams, columns, rows and SQL', async () => {
    const { place, data, redirect } = factory()
    const orders = Array.from({ length: 20 }, (_, i) => `${i},${i % 3},${i}.50,2026-0${1 + (i % 2)}-10`)
    writeFileSync(join(data, 'in/orders.csv'), `id,customer,total,day\n${orders.join('\n')}\n`)
    writeFileSync(join(data, 'in/customers.csv'), 'id,name,zone\n0,Ada,north\n1,Bo,south\n2,Cy,north\n')
    const server = await startServer({ folder: place, args: ['--folder', data] })
    expect((await server.call('POST', '/factories', { factory: place, redirect })).status).toBe(200)
    const page = await signIn(await openBrowser(), server)
    await page.goto(`${server.url}/factories/tests/pipelines/sums`)
    await page.getByRole('button', { name: /^Sum up ExecuteDataFlow: totals/ }).click()
    await page.getByRole('link', { name: 'totals' }).click()
    const graph = page.getByRole('region', { name: 'Streams of totals' })
    await graph.getByRole('button', { name: /^sums aggregate/ }).click()
    await page.getByRole('table', { name: 'Columns of sums' }).getByText('decimal(20,2)').waitFor()
    await page.getByText(/^SELECT "zone", "month"/).waitFor()
    expect(await seriousFaults(page)).toEqual([])
    await page.getByLabel('Parameters').fill('orders.file=none.csv')
    await page.getByRole('button', { name: 'Show the first rows' }).click()
    await page.getByText(/none\.csv/).waitFor()
    await page.getByLabel('Parameters').fill('orders.file=orders.csv\ncustomers.file=customers.csv')
    await page.getByRole('button', { name: 'Show the first rows' }).click()
    const rows = page.getByRole('table', { name: 'Rows of sums' })
    await rows.getByText('south').first().waitFor()
    expect(await rows.getByRole('row').count()).toBe(5)
    expect(await seriousFaults(page)).toEqual([])
    await graph.evaluate(element => element.scrollTo(0, 0))
    await picture(page, 'dataflow')
    await page.goto(`${server.url}/factories/tests/dataflows`)
    await page.getByRole('table', { name: 'Data flows' }).getByRole('link', { name: 'totals' }).waitFor()
  })

  it('show their triggers, and start and stop them; a viewer sees no values', async () => {
    const { place, data, redirect } = factory()
    const server = await startServer({ folder: place, args: ['--folder', data] })
    expect((await server.call('POST', '/factories', { factory: place, redirect })).status).toBe(200)
    const page = await signIn(await openBrowser(), server)
    await page.goto(`${server.url}/factories/tests/triggers`)
    await page.getByRole('button', { name: 'Start nightly' }).click()
    await page.getByRole('button', { name: 'Stop nightly' }).click()
    await page.getByRole('button', { name: 'Start nightly' }).waitFor()
    await page.getByRole('button', { name: 'Start arrived' }).click()
    await page.getByRole('button', { name: 'An address for arrived' }).click()
    await page.getByRole('button', { name: 'Make it' }).click()
    await page.getByText(/…/).waitFor()
    expect(await seriousFaults(page)).toEqual([])

    const asked = { parameters: { day: '2026-11-24' } }
    expect((await server.call('POST', '/factories/tests/pipelines/load/runs', asked)).status).toBe(202)
    const made = await server.call<{ token: string }>('POST', '/tokens', { name: 'looks', role: 'viewer' })
    const viewer = await signIn(await openBrowser(), { ...server, token: made.body.token })
    await viewer.goto(`${server.url}/factories/tests/runs`)
    await viewer.locator('main [data-status=Failed]').first().waitFor({ timeout: 60_000 })
    await viewer.getByRole('link', { name: /^[0-9a-f-]{36}$/ }).click()
    await viewer.getByText('It failed: operators see why').waitFor()
    expect(await viewer.getByRole('button', { name: /input and output/ }).count()).toBe(0)
    expect(await viewer.getByRole('button', { name: /^Re?run/ }).count()).toBe(0)
  })
})
