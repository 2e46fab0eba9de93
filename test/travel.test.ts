/** A run that travels: each split is copied by a process that gets nothing but JSON, and may be killed. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import type { CommittedSplit, SplitId } from '../ferry/src/contract/split.ts'
import { tablePlans } from '../ferry/src/engine/keptplan.ts'
import { planTable, reopenTable } from '../ferry/src/engine/plan.ts'
import { jobSchema } from '../ferry/src/job/schema.ts'
import { planOptions, tablesOf } from '../ferry/src/runtime/plan.ts'
import { closeSessions, closeStores, openSessions, openStores } from '../ferry/src/runtime/stores.ts'
import { randomOf, seedOf } from './seed.ts'
import { makeDatabase, policy, root } from './support.ts'

const ROWS = 60_000

it.each(['append', 'overwrite', 'merge'])(
  'each row is there once, whoever copied it, and who was killed: %s',
  async update => {
    const { client, settings } = await makeDatabase()
    await client.query(
      `CREATE TABLE t AS SELECT i AS id, repeat('x', 40) || i AS v FROM generate_series(1, ${ROWS}) i;
     ALTER TABLE t ADD PRIMARY KEY (id)`,
    )
    const { password: _, ...store } = settings
    const endpoint = { kind: 'postgres', ...store }
    const tables = [{ from: 'public.t', to: 'public.copy', keys: ['id'], splitSize: '600kB' }]
    const job = jobSchema.parse({ name: 'travels', source: endpoint, destination: endpoint, update, tables })
    const run = { run: '20260101T000000.000-abcd', job: job.name }
    const random = randomOf(seedOf('runs that travel'))
    const stores = await openStores(job, undefined, policy)
    const begin = (epoch: number) =>
      openSessions(stores, { ...run, epoch, confirm: async () => {}, holds: async () => {} })

    // The owner of the run plans, and cuts the splits.
    const planning = await begin(1)
    const [spec] = await tablesOf(job, stores, undefined)
    const options = planOptions(job, stores, { count: 1, kept: [], run: run.run })
    const planned = await planTable(planning, spec!, 0, options)
    if (!('source' in planned)) throw new Error('nothing to copy')
    const splits = await planned.source.splits(planned.plan.offer)
    expect(splits.length).toBeGreaterThan(4)
    const plan = tablePlans.write(planned.plan)
    await closeSessions(planning)

    const known = new Map<SplitId, CommittedSplit>()
    let epoch = 1
    for (const [i, split] of splits.entries()) {
      for (;;) {
        const before = known.get(split.id)
        const work = {
          definition: JSON.stringify(job),
          plan,
          split,
          ...(before ? { before } : {}),
          run: { ...run, epoch },
          limits: {},
        }
        const child = spawn(process.execPath, [join(root, 'test', 'travel', 'worker.ts'), JSON.stringify(work)], {
          stdio: ['ignore', 'pipe', 'inherit'],
        })
        let told = ''
        child.stdout.setEncoding('utf8').on('data', text => {
          told += text
        })
        const exited = once(child, 'exit')
        // Every other one is killed, at any moment.
        if (i % 2 === 0 && epoch <= i + 1) await Promise.race([sleep(random() * 1500), exited])
        else await exited
        child.kill('SIGKILL')
        await exited
        for (const line of told.split('\n').filter(Boolean)) {
          const { split: id, checkpoint, rows, bytes } = JSON.parse(line)
          known.set(id, { checkpoint, rows, bytes })
        }
        if (known.get(split.id) && known.get(split.id)!.checkpoint === undefined) break
        // The next process has a higher epoch: a late commit of the former one is refused.
        epoch++
      }
    }

    const ending = await begin(epoch)
    const table = await reopenTable(ending, tablePlans.read(plan))
    const committed = await table.sink.prepare({ splits: known, published: false })
    expect(committed.splits.size).toBe(splits.length)
    await table.sink.publish()
    await table.sink.forget()
    await closeSessions(ending)
    await closeStores(stores)
    const { rows } = await client.query(
      'SELECT count(*)::int AS n, count(DISTINCT id)::int AS ids, sum(id)::float8 AS sum FROM copy',
    )
    expect(rows).toEqual([{ n: ROWS, ids: ROWS, sum: (ROWS * (ROWS + 1)) / 2 }])
  },
)
