/** Change data capture: what the log of a PostgreSQL says arrives at the destination, exactly. */
import type pg from 'pg'
import { describe, expect, it, onTestFinished } from 'vitest'
import { jobSchema } from '../ferry/src/job/schema.ts'
import { planJob } from '../ferry/src/runtime/plan.ts'
import { runJob } from '../ferry/src/runtime/run.ts'
import { openState } from '../ferry/src/state/database.ts'
import { makeDatabase, temporaryFolder } from './support.ts'

async function world(table: Record<string, unknown> = {}, more: Record<string, unknown> = {}) {
  const from = await makeDatabase()
  const to = await makeDatabase()
  const state = await openState({ FERRY_HOME: temporaryFolder() })
  onTestFinished(async () => {
    await state.close()
    await from.client.query(
      `SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE database = current_database() AND active`,
    )
    await from.client.query(
      `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database()`,
    )
  })
  const job = jobSchema.parse({
    name: 'cdc',
    source: { kind: 'postgres', ...from.settings },
    destination: { kind: 'postgres', ...to.settings },
    mode: 'incremental',
    tracking: 'cdc',
    update: 'merge',
    tables: [{ from: 'public.t', to: 'public.t', ...table }],
    ...more,
  })
  const run = async (options: object = {}) => {
    const report = await runJob({ state, job, ...options })
    if (report.errors.length > 0) throw new Error(report.errors.map(e => `${e.code} ${e.message}`).join('; '))
    return report.rowsCopied
  }
  const plan = async () => (await planJob(job, state, {})).tables[0]!
  const same = async (name = 't') => {
    const rows = async (client: pg.Client) =>
      (await client.query(`SELECT ${name}::text AS r FROM ${name} ORDER BY 1`)).rows
    expect(await rows(to.client)).toEqual(await rows(from.client))
  }
  return { from: from.client, to: to.client, state, job, run, plan, same }
}

describe('PostgreSQL to PostgreSQL', () => {
  it('copies a snapshot first, and then inserts, updates, deletes, moved keys, kept large values and truncations', async () => {
    const { from, to, run, same, plan } = await world()
    await from.query(
      `CREATE TABLE t (id int PRIMARY KEY, v text, big text, n numeric, at timestamptz, tags int[], doc jsonb)`,
    )
    await from.query(`ALTER TABLE t ALTER big SET STORAGE EXTERNAL`)
    await from.query(
      `INSERT INTO t SELECT i, 'v' || i, repeat('b', 5000) || i, i * 1.10, now(), ARRAY[i, NULL, 3], '{"a": 1.10}' FROM generate_series(1, 100) i`,
    )
    expect((await plan()).notes.join()).toContain('replication slot')
    expect(await run()).toBe(100)
    await same()
    expect(await run()).toBe(0)
    await from.query(`INSERT INTO t VALUES (101, NULL, '', 0, 'infinity', '{}', 'null')`)
    await from.query(`UPDATE t SET v = 'x' WHERE id <= 10`)
    await from.query(`UPDATE t SET id = id + 1000 WHERE id BETWEEN 20 AND 25`)
    await from.query(`DELETE FROM t WHERE id BETWEEN 50 AND 60`)
    await from.query(
      `BEGIN; UPDATE t SET v = 'once' WHERE id = 1; UPDATE t SET id = -1 WHERE id = 1; UPDATE t SET v = 'twice' WHERE id = -1; COMMIT`,
    )
    expect(await run()).toBeGreaterThan(0)
    await same()
    await from.query('TRUNCATE t')
    await from.query(`INSERT INTO t (id, v) VALUES (1, 'anew')`)
    await run()
    await same()
    expect((await to.query('SELECT count(*)::int AS n FROM t')).rows[0].n).toBe(1)
    expect(await run()).toBe(0)
  })
})
