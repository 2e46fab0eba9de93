/** Sizes that take too long for every change: memory over 20 GB, one changed byte in ten million rows. */
import { describe, expect, it } from 'vitest'
import { jobSchema } from '../../ferry/src/job/schema.ts'
import { runJob } from '../../ferry/src/runtime/run.ts'
import { verifyJob } from '../../ferry/src/runtime/verify.ts'
import { openState } from '../../ferry/src/state/database.ts'
import { peakMemory, SHAPES } from '../memory.ts'
import { makeDatabase, policy, temporaryFolder } from '../support.ts'

const LARGE = Number(process.env.FERRY_TORTURE_BYTES ?? 20_000_000_000)
const ROWS = Number(process.env.FERRY_TORTURE_ROWS ?? 10_000_000)

describe('peak memory of 20 GB is that of 200 MB', () => {
  it.each(Object.entries(SHAPES))('%s', async (name, shape) => {
    const { url } = await makeDatabase()
    const folder = temporaryFolder()
    // A short copy's peak depends on when its garbage happens to be collected: the highest of three is its peak.
    const small = Math.max(
      await peakMemory(url, shape, 200_000_000, folder),
      await peakMemory(url, shape, 200_000_000, folder),
      await peakMemory(url, shape, 200_000_000, folder),
    )
    const large = await peakMemory(url, shape, LARGE, folder)
    console.log(`${name}: ${small} MB for 200 MB, ${large} MB for ${LARGE / 1e9} GB`)
    expect(large).toBeLessThan(name.includes('DuckDB') ? 450 : 300)
    expect(large).toBeLessThan(small * 1.1)
  })
})

it('verify finds one changed byte in ten million rows', async () => {
  const from = await makeDatabase()
  const to = await makeDatabase()
  await from.client.query(
    `CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, md5(i::text) FROM generate_series(1, ${ROWS}) i`,
  )
  const state = await openState({ FERRY_HOME: temporaryFolder() })
  const job = jobSchema.parse({
    name: 'v',
    source: { kind: 'postgres', ...from.settings },
    destination: { kind: 'postgres', ...to.settings },
    tables: ['public.t'],
  })
  expect((await runJob({ policy, state, job })).rowsCopied).toBe(ROWS)
  await to.client.query(`UPDATE t SET v = overlay(v placing 'Z' from 7) WHERE id = 7654321`)
  const began = performance.now()
  const [result] = await verifyJob(job, state, policy, { most: 5 })
  console.log(`verify: ${ROWS} rows in ${Math.round((performance.now() - began) / 1000)} s`)
  expect(result!.differences).toEqual([{ kind: 'changed', key: '7654321' }])
})
