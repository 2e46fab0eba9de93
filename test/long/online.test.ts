/** Online copies of containers: a snapshot, then every change until they are told to end. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openState } from '../../ferry/src/state/database.ts'
import { findRun } from '../../ferry/src/state/runs.ts'
import { splitRows } from '../../ferry/src/state/splits.ts'
import { account, contents, endpointOf, fill, makeContainer, RandomWriter } from '../cosmos.ts'
import { seedOf } from '../seed.ts'
import { ferry, startFerry, temporaryFolder, until } from '../support.ts'

const seed = seedOf('online')
const KILLS = Number(process.env.FERRY_KILLS ?? 3)

/** The online copy of `orders` to `copy`, as a job file. */
function jobFile(folder: string, from: Parameters<typeof endpointOf>[0], to: typeof from, more = {}): string {
  const path = join(folder, 'job.json')
  const job = {
    name: 'online',
    mode: 'online',
    source: endpointOf(from),
    destination: endpointOf(to),
    update: 'merge',
    tables: [{ from: 'orders', to: 'copy', read: { pageSize: 50 } }],
    ...more,
  }
  writeFileSync(path, JSON.stringify(job))
  return path
}

async function inState<T>(home: string, work: (db: Awaited<ReturnType<typeof openState>>['db']) => Promise<T>) {
  const state = await openState({ FERRY_HOME: home })
  try {
    return await work(state.db)
  } finally {
    await state.close()
  }
}

/** Rows that the newest run has copied, and what it knows to be left. */
function progress(home: string): Promise<{ epoch: number; rows: number; behind: number | undefined }> {
  return inState(home, async db => {
    const run = await findRun(db, 'online').catch(() => undefined)
    if (!run) return { epoch: 0, rows: 0, behind: undefined }
    const splits = await splitRows(db, run.id, 0)
    const known = splits.length > 0 && splits.every(s => s.behind !== null)
    return {
      epoch: run.epoch,
      rows: splits.reduce((n, s) => n + s.rows_done, 0),
      behind: known ? splits.reduce((n, s) => n + s.behind!, 0) : undefined,
    }
  })
}

const SHAPES = {
  'under the same partition key': { key: '/customer', rest: {} },
  'under a partition key that changes': { key: '/place', rest: {} },
  'under a hierarchical partition key': { key: '/place,/customer', rest: {} },
  'with unique keys': {
    key: '/customer',
    rest: { uniqueKeyPolicy: { uniqueKeys: [{ paths: ['/slot', '/lines'] }] } },
  },
} as const

describe.each(Object.entries(SHAPES))('an online copy %s', (_, shape) => {
  const title = 'holds what its source holds, through kills, splits, throttling, lost answers and pauses'
  it(title, { timeout: 240_000 }, async () => {
    const home = temporaryFolder()
    const from = await account({ continuousBackup: true, partitions: 2 })
    const to = await account({ partitions: 3 })
    makeContainer(from, 'orders', '/customer', { defaultTtl: -1, ...shape.rest })
    fill(from, 'orders', 1000)
    makeContainer(to, 'copy', shape.key, shape.rest)
    for (const running of [from, to]) {
      running.inject({ probability: 0.02, status: 503 })
      running.inject({ probability: 0.02, drop: 'before' })
      running.inject({ probability: 0.02, drop: 'after' })
    }
    from.inject({ operation: 'feed', probability: 0.05, duplicates: 20 })
    const writer = new RandomWriter(from, 'orders', { seed })
    const job = jobFile(home, from, to)
    for (let kill = 0; kill < KILLS; kill++) {
      const before = await progress(home)
      const running = startFerry(['run', job, '--quiet'], { home })
      let ended = false
      running.done.then(() => {
        ended = true
      })
      await until(async () => ended || (await progress(home)).rows > before.rows, 'the copy goes on')
      if (ended) expect((await running.done).stderr).toBe('')
      for (const account of [from, to]) {
        account.inject({
          operation: ['feed', 'batch', 'query'],
          times: 20,
          status: 429,
          substatus: 3200,
          retryAfterMs: 5,
        })
      }
      if (kill === 0) from.split('shop', 'orders')
      if (kill === 1) to.split('shop', 'copy')
      running.kill('SIGKILL')
      await running.done
    }
    const { epoch } = await progress(home)
    const paused = startFerry(['run', job, '--quiet'], { home })
    await until(async () => (await progress(home)).epoch > epoch, 'it is taken over')
    const asked = performance.now()
    expect((await ferry(['pause', 'online'], { home })).code).toBe(0)
    expect((await paused.done).code).toBe(3)
    console.log(`paused after ${Math.round(performance.now() - asked)} ms`)
    const last = startFerry(['run', job, '--quiet', '--json'], { home })
    await until(async () => (await progress(home)).behind !== undefined, 'it follows')
    writer.stop()
    from.account.sweep()
    await until(async () => {
      from.account.sweep()
      return from.account.store.all('SELECT 1 FROM items WHERE expires IS NOT NULL').length === 0
    }, 'the last item has expired')
    expect((await ferry(['complete', 'online'], { home })).code).toBe(0)
    const { code, stdout, stderr } = await last.done
    expect(code, stderr + stdout).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ status: 'completed', errors: [] })
    expect(contents(to, 'copy', 'customer')).toEqual(contents(from, 'orders', 'customer'))
    console.log(`${writer.writes} writes, ${KILLS} kills`)
  })
})
