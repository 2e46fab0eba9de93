/** Pipelines whose processes are killed again and again: each item of a loop arrives exactly once. */
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { expect } from 'vitest'
import { randomOf } from '../seed.ts'
import { makeDatabase, startFerry, temporaryFolder, until } from '../support.ts'
import {
  after,
  copyOf,
  csvDataset,
  dataset,
  expression,
  folderService,
  postgresService,
  tableDataset,
  writeFactory,
} from './factory.ts'

const ITEMS = 24
const ROWS = 4000

interface Ended {
  status: string
  returnValue: { done: string[] }
}

/** Kills a run of a pipeline with copies in a ForEach so many times, at moments of the seed; gives back how often it was hit. */
export async function killPipelines(kills: number, seed: number): Promise<number> {
  const random = randomOf(seed)
  const data = temporaryFolder()
  mkdirSync(join(data, 'in'))
  for (let i = 0; i < ITEMS; i++) {
    const rows = Array.from({ length: ROWS }, (_, r) => `${i},${r}\n`)
    writeFileSync(join(data, 'in', `${String(i).padStart(2, '0')}.csv`), `item,n\n${rows.join('')}`)
  }
  let hits = 0
  while (hits < kills) {
    const home = temporaryFolder()
    const { client, url } = await makeDatabase()
    await client.query('CREATE TABLE t (item int, n int)')
    const source = { type: 'DelimitedTextSource', storeSettings: { type: 'FileServerReadSettings' } }
    const copy = copyOf(
      'copy',
      dataset('csv', { folder: 'in', file: '@item().name' }),
      dataset('table', { table: 't' }),
      {
        source,
        sink: { type: 'AzurePostgreSqlSink' },
      },
    )
    const out = copyOf(
      'file',
      dataset('csv', { folder: 'in', file: '@item().name' }),
      dataset('csv', { folder: 'out', file: '@item().name' }),
      {
        source,
        sink: { type: 'DelimitedTextSink', storeSettings: { type: 'FileServerWriteSettings' } },
      },
    )
    const note = {
      name: 'note',
      type: 'AppendVariable',
      dependsOn: after('copy'),
      typeProperties: { variableName: 'done', value: '@item().name' },
    }
    const pipeline = {
      variables: { done: { type: 'Array' } },
      activities: [
        {
          name: 'list',
          type: 'GetMetadata',
          typeProperties: { dataset: dataset('csv', { folder: 'in' }), fieldList: ['childItems'] },
        },
        {
          name: 'each',
          type: 'ForEach',
          dependsOn: after('list'),
          typeProperties: {
            items: expression("@activity('list').output.childItems"),
            batchCount: 4,
            activities: [copy, out, note],
          },
        },
        {
          name: 'give',
          type: 'SetVariable',
          dependsOn: after('each'),
          typeProperties: {
            variableName: 'pipelineReturnValue',
            setSystemVariable: true,
            value: [{ key: 'done', value: { type: 'Expression', content: "@variables('done')" } }],
          },
        },
      ],
    }
    const folder = writeFactory({
      'linkedService/files': folderService(data),
      'linkedService/pg': postgresService(url),
      'dataset/csv': csvDataset('files'),
      'dataset/table': tableDataset('pg'),
      'pipeline/p': pipeline,
    })
    const run = () => startFerry(['adf', 'run', '--factory', folder, '--pipeline', 'p', '--json'], { home })
    const newest = async () =>
      JSON.parse((await startFerry(['adf', 'list', '--json'], { home }).done).stdout)[0] as Ended
    const rows = async () => Number((await client.query('SELECT count(*) AS n FROM t')).rows[0].n)
    for (let ended = false; !ended && hits < kills; ) {
      const before = await rows()
      const running = run()
      running.done.then(() => {
        ended = true
      })
      // It is hit when it has begun to copy.
      await until(async () => ended || (await rows()) !== before)
      await setTimeout(random() * 400)
      if (ended) break
      hits++
      running.kill('SIGKILL')
      await running.done
      ended = (await newest()).status === 'Succeeded'
    }
    // The last kill may have hit a process whose run had ended.
    if ((await newest()).status !== 'Succeeded') {
      const { code, stderr } = await run().done
      expect(code, stderr).toBe(0)
    }
    const { status, returnValue } = await newest()
    expect(status).toBe('Succeeded')
    expect(returnValue.done.sort()).toEqual(readdirSync(join(data, 'in')).sort())
    const { rows: wrong } = await client.query(
      `SELECT item, count(*) AS n, count(DISTINCT n) AS d FROM t GROUP BY item HAVING count(*) <> ${ROWS} OR count(DISTINCT n) <> ${ROWS}`,
    )
    expect(wrong).toEqual([])
    expect(await rows()).toBe(ITEMS * ROWS)
    expect(readdirSync(join(data, 'out')).sort()).toEqual(readdirSync(join(data, 'in')).sort())
    await client.end()
  }
  return hits
}
