/** Data flows that read the change feed of a container: each run goes on where the last one has come to. */

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, it } from 'vitest'
import { readRedirects } from '../../ferry/src/facades/datafactory/redirects.ts'
import { executeRun } from '../../ferry/src/pipelines/execute.ts'
import { createRerun, createRun } from '../../ferry/src/pipelines/make.ts'
import { activityRuns, findPipelineRun } from '../../ferry/src/state/pipelines.ts'
import { account, makeContainer } from '../cosmos.ts'
import { policy, temporaryFolder } from '../support.ts'
import {
  activity,
  collectionDataset,
  cosmosService,
  dataset,
  flowOf,
  type Ran,
  reference,
  runFactory,
  tableDataset,
} from './factory.ts'

async function place(settings: string) {
  const running = await account()
  makeContainer(running, 'orders')
  const container = running.account.container('shop', 'orders')
  const write = (id: string, n: number) =>
    container.upsert(JSON.stringify({ id, customer: `c${id.length}`, n }), undefined)
  const folder = temporaryFolder()
  const path = join(folder, 'sink.db')
  const db = new DatabaseSync(path)
  db.exec('CREATE TABLE seen (id TEXT, n INTEGER)')
  const redirect = join(folder, 'here.json')
  writeFileSync(
    redirect,
    JSON.stringify({ linkedServices: { store: { kind: 'sqlite', settings: { path }, tables: '{table}' } } }),
  )
  const artifacts = {
    'linkedService/cosmos': cosmosService(running),
    'linkedService/store': { type: 'AzureSqlDatabase', typeProperties: {} },
    'dataset/items': collectionDataset('cosmos'),
    'dataset/table': tableDataset('store', 'AzureSqlTable'),
    'dataflow/f': flowOf(
      { orders: dataset('items', { collection: 'orders' }) },
      { out: dataset('table', { schema: 'dbo', table: 'seen' }) },
      `source(output(id as string, n as integer), allowSchemaDrift: false, validateSchema: false, format: 'document', ${settings}) ~> orders
orders sink(format: 'table') ~> out`,
    ),
    'pipeline/p': {
      activities: [activity('flow', 'ExecuteDataFlow', { dataflow: reference('f', 'DataFlowReference') })],
    },
  }
  /** What arrived since it was asked last. */
  const seen = () => {
    const rows = db
      .prepare('SELECT id, n FROM seen ORDER BY id, n')
      .all()
      .map(r => `${r.id} ${r.n}`)
    db.exec('DELETE FROM seen')
    return rows
  }
  const first = () => runFactory(artifacts, 'p', { redirects: readRedirects(redirect, [], policy) })
  return { write, seen, first, path, db }
}

async function again({ execution }: Ran) {
  const row = await createRun(execution, 'p', {}, { trigger: { type: 'Manual', name: 'Manual', id: 'Manual' } })
  const end = await executeRun(execution, row, false)
  return { end, activities: await activityRuns(execution.state.db, row.id) }
}

describe('a change feed', () => {
  it('is read from the beginning, then from where the last run has come to', async () => {
    const { write, seen, first } = await place('enableChangeFeed: true, changeFeedStartFromTheBeginning: true')
    for (let i = 0; i < 20; i++) write(`o${i}`, i)
    const ran = await first()
    expect(ran.activities[0]!.error).toBeNull()
    expect(seen()).toHaveLength(20)
    expect((await again(ran)).end.state).toBe('Succeeded')
    expect(seen()).toEqual([])
    write('o3', 33)
    write('o99', 99)
    const third = await again(ran)
    expect(third.end.state).toBe('Succeeded')
    expect(seen()).toEqual(['o3 33', 'o99 99'])
    // What runs a run again begins where that one began.
    write('o100', 100)
    const rerun = await createRerun(ran.execution, await findPipelineRun(ran.state.db, third.end.run), { from: 'flow' })
    expect((await executeRun(ran.execution, rerun, false)).state).toBe('Succeeded')
    expect(seen()).toEqual(['o100 100', 'o3 33', 'o99 99'])
    expect((await again(ran)).end.state).toBe('Succeeded')
    expect(seen()).toEqual([])
  }, 120_000)

  it('is read from now on, where it does not start from the beginning; what fails is read again', async () => {
    const { write, seen, first, db } = await place('enableChangeFeed: true, systemColumns: false')
    write('o1', 1)
    const ran = await first()
    expect(ran.activities[0]!.error).toBeNull()
    expect(seen()).toEqual([])
    write('o2', 2)
    db.exec('ALTER TABLE seen RENAME TO hidden')
    expect((await again(ran)).end.state).toBe('Failed')
    db.exec('ALTER TABLE hidden RENAME TO seen')
    write('o3', 3)
    expect((await again(ran)).end.state).toBe('Succeeded')
    expect(seen()).toEqual(['o2 2', 'o3 3'])
  }, 120_000)

  it('tells of no deletes, and says so', async () => {
    const { first } = await place('enableChangeFeed: true, captureUserDeletes: true')
    expect((await first()).activities[0]!.error.message).toMatch(/captureUserDeletes.*last state/)
  }, 60_000)
})
