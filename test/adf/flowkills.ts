/** Data flows whose processes are killed again and again: each row arrives exactly once, in each of the ways that a sink takes. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { expect } from 'vitest'
import { randomOf } from '../seed.ts'
import { makeDatabase, startFerry, temporaryFolder, until } from '../support.ts'
import { activity, dataset, flowOf, postgresService, reference, tableDataset, writeFactory } from './factory.ts'

const ROWS = 20_000

const SCRIPT = `source(output(id as integer, n as integer), format: 'table') ~> news
news derive(mark = uuid()) ~> marked
marked select(mapColumn(id, n, mark)) ~> all
all sink(format: 'table', saveOrder: 1) ~> appended
all alterRow(deleteIf(n % 3 == 0), updateIf(n % 3 == 1), upsertIf(true())) ~> changes
changes sink(insertable: false, updateable: true, upsertable: true, deletable: true, keys: ['id'], format: 'table', saveOrder: 2) ~> kept
changes sink(insertable: false, updateable: true, upsertable: true, deletable: true, keys: ['id'], format: 'table', saveOrder: 3) ~> again`

/** Kills runs of a pipeline with a data flow so many times, at moments of the seed; gives back how often it was hit. */
export async function killFlows(kills: number, seed: number): Promise<number> {
  const random = randomOf(seed)
  let hits = 0
  while (hits < kills) {
    const home = temporaryFolder()
    const { client, url } = await makeDatabase()
    await client.query(`CREATE TABLE news AS SELECT i AS id, i AS n FROM generate_series(1, ${ROWS}) i`)
    await client.query('CREATE TABLE appended (id int, n int, mark text)')
    await client.query(`CREATE TABLE kept (id int PRIMARY KEY, n int, mark text);
      INSERT INTO kept SELECT i, 0, 'old' FROM generate_series(2, ${ROWS}, 2) i`)
    await client.query('CREATE TABLE again (LIKE kept INCLUDING ALL); INSERT INTO again SELECT * FROM kept')
    const folder = writeFactory({
      'linkedService/pg': postgresService(url),
      'dataset/table': tableDataset('pg'),
      'dataflow/f': flowOf(
        { news: dataset('table', { table: 'news' }) },
        {
          appended: dataset('table', { table: 'appended' }),
          kept: dataset('table', { table: 'kept' }),
          again: dataset('table', { table: 'again' }),
        },
        SCRIPT,
      ),
      'pipeline/p': {
        activities: [activity('flow', 'ExecuteDataFlow', { dataflow: reference('f', 'DataFlowReference') })],
      },
    })
    const newest = async () => {
      const { stdout } = await startFerry(['adf', 'list', '--json'], { home }).done
      return (JSON.parse(stdout) as { status: string }[])[0]?.status
    }
    for (let ended = false; !ended; ) {
      const running = startFerry(['adf', 'run', '--factory', folder, '--pipeline', 'p', '--json'], { home })
      const done = running.done.then(result => {
        ended = true
        return result
      })
      if (hits < kills) {
        await Promise.race([done, setTimeout(300 + random() * 2500)])
        if (!ended) {
          hits++
          running.kill('SIGKILL')
          await running.done
          // It may have hit a process whose run had ended.
          ended = (await newest()) === 'Succeeded'
          continue
        }
      }
      const { stdout, code } = await done
      expect(code, stdout).toBe(0)
    }
    const one = async (sql: string) => (await client.query(sql)).rows[0]
    expect(
      await one(
        'SELECT count(*)::int AS n, count(DISTINCT id)::int AS ids, count(DISTINCT mark)::int AS marks FROM appended',
      ),
    ).toEqual({
      n: ROWS,
      ids: ROWS,
      marks: ROWS,
    })
    // Deleted are multiples of three, updated are even ones alone, upserted are all the others.
    const wrong = `SELECT count(*)::int AS n FROM appended a FULL JOIN kept k USING (id)
      WHERE CASE WHEN a.n % 3 = 0 THEN k.id IS NOT NULL
        WHEN a.n % 3 = 1 AND a.n % 2 = 1 THEN k.id IS NOT NULL
        ELSE k.id IS NULL OR k.n <> a.n OR k.mark <> a.mark END`
    expect(await one(wrong)).toEqual({ n: 0 })
    const other =
      'SELECT count(*)::int AS n FROM kept FULL JOIN again USING (id, n, mark) WHERE kept.id IS NULL OR again.id IS NULL'
    expect(await one(other.replaceAll(/(kept|again)\.id IS NULL/g, '$1.ctid IS NULL'))).toEqual({ n: 0 })
    expect(await one(`SELECT count(*)::int AS n FROM pg_tables WHERE tablename LIKE 'ferry_flow%'`)).toEqual({ n: 0 })
    const spool = join(home, 'spool')
    expect(existsSync(spool) ? readdirSync(spool) : []).toEqual([])
  }
  return hits
}

/** Kills a data flow while it copies, and cancels its run; gives back what stays in the folder beside the state. */
export async function cancelFlow(): Promise<string[]> {
  const home = temporaryFolder()
  const { client, url } = await makeDatabase()
  await client.query(
    'CREATE TABLE news AS SELECT i AS id FROM generate_series(1, 200000) i; CREATE TABLE kept (id int)',
  )
  const folder = writeFactory({
    'linkedService/pg': postgresService(url),
    'dataset/table': tableDataset('pg'),
    'dataflow/f': flowOf(
      { news: dataset('table', { table: 'news' }) },
      { kept: dataset('table', { table: 'kept' }) },
      `source(output(id as integer), format: 'table') ~> news\nnews sink(format: 'table') ~> kept`,
    ),
    'pipeline/p': {
      activities: [activity('flow', 'ExecuteDataFlow', { dataflow: reference('f', 'DataFlowReference') })],
    },
  })
  // The sink waits: the run is killed in its midst.
  await client.query('BEGIN')
  await client.query('LOCK TABLE kept IN ACCESS EXCLUSIVE MODE')
  const running = startFerry(['adf', 'run', '--factory', folder, '--pipeline', 'p', '--json'], { home })
  const spool = join(home, 'spool')
  const flows = () => (existsSync(spool) ? readdirSync(spool) : [])
  await until(async () => flows().length > 0)
  running.kill('SIGKILL')
  await running.done
  expect(flows().length).toBe(1)
  await client.query('COMMIT')
  const list = await startFerry(['adf', 'list', '--json'], { home }).done
  const [{ runId }] = JSON.parse(list.stdout) as [{ runId: string }]
  const cancelled = await startFerry(['adf', 'cancel', runId], { home }).done
  expect(cancelled.code, cancelled.stderr).toBe(0)
  return flows()
}
