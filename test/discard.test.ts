/** A run that will not go on leaves nothing, makes nothing, and can always be given up. */
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, it } from 'vitest'
import { loadConnector } from '../ferry/src/connectors/registry.ts'
import { jobSchema } from '../ferry/src/job/schema.ts'
import { resetJob } from '../ferry/src/runtime/discard.ts'
import { runJob } from '../ferry/src/runtime/run.ts'
import { openState } from '../ferry/src/state/database.ts'
import { makeSource, type Problem, startServer } from './server.ts'
import { makeDatabase, policy, temporaryFolder } from './support.ts'

const KINDS = ['sqlite', 'duckdb', 'postgres'] as const

async function placeOf(kind: (typeof KINDS)[number]) {
  if (kind === 'postgres') return { kind, ...(await makeDatabase()).settings }
  return { kind, path: join(temporaryFolder(), `to.${kind}`) }
}

describe.each(KINDS)('%s', kind => {
  it.each([
    ['a statement that fails', { before: 'nonsense' }],
    ['rows that do not fit', { columns: { id: 'id', name: { to: 'name', type: 'int64' } }, narrowing: 'check' }],
  ])('is as it was before: %s', async (_, settings) => {
    const folder = temporaryFolder()
    const state = await openState({ FERRY_HOME: folder })
    const destination = await placeOf(kind)
    const job = jobSchema.parse({
      name: 'j',
      source: `sqlite:${makeSource(folder, 100)}`,
      destination,
      update: 'append',
      tables: [{ from: 'items', to: 'copy', ...settings }],
    })
    await state.db.insertInto('job').values(jobRow(job)).execute()
    const report = await runJob({ policy, state, job })
    expect(report.status, JSON.stringify(report.errors)).toBe('failed')
    const { kind: _kind, ...own } = destination
    const store = (await loadConnector(kind)).open(own, policy)
    const before = await store.objects().catch(() => [])
    await expect(resetJob(state, 'j', policy)).resolves.toMatchObject({ run: report.runId })
    expect(await store.objects().catch(() => [])).toEqual(before)
    await store.close()
    await state.close()
  })
})

const jobRow = (job: { name: string }) => {
  const at = new Date().toISOString()
  return { name: job.name, definition: JSON.stringify(job), created_at: at, updated_at: at, one_off: 0 as const }
}

it('carries out no statement of the job', async () => {
  const folder = temporaryFolder()
  const server = await startServer({ folder })
  const path = join(folder, 'to.db')
  const to = new DatabaseSync(path)
  await server.call('PUT', '/connections/from', { locator: `sqlite:${makeSource(folder, 100)}` })
  await server.call('PUT', '/connections/to', { locator: `sqlite:${path}` })
  const job = {
    name: 'j',
    source: { connection: 'from' },
    destination: { connection: 'to' },
    update: 'append',
    tables: [{ from: 'items', to: 'copy', before: `INSERT INTO log VALUES ('x')` }],
  }
  expect((await server.call('POST', '/jobs', job)).status).toBe(201)
  await server.call('POST', '/jobs/j/runs')
  await server.waitFor('j', 'failed')
  to.exec('CREATE TABLE log (line TEXT)')
  expect((await server.call('POST', '/jobs/j/reset')).status).toBe(200)
  expect(to.prepare('SELECT count(*) AS n FROM log').get()!.n).toBe(0)
  expect(to.prepare(`SELECT name FROM sqlite_schema WHERE name = 'copy'`).all()).toEqual([])
  to.close()
})

it('carries out what comes before the first row once, also where a run goes on', async () => {
  const folder = temporaryFolder()
  const state = await openState({ FERRY_HOME: folder })
  const path = join(folder, 'to.db')
  const job = jobSchema.parse({
    name: 'j',
    source: `sqlite:${makeSource(folder, 100)}`,
    destination: `sqlite:${path}`,
    tables: [{ from: 'items', to: 'copy', before: `INSERT INTO log VALUES ('x')` }],
  })
  expect((await runJob({ policy, state, job })).status).toBe('failed')
  const to = new DatabaseSync(path)
  to.exec('CREATE TABLE log (line TEXT)')
  expect(await runJob({ policy, state, job })).toMatchObject({ status: 'completed', rowsCopied: 100 })
  expect(to.prepare('SELECT count(*) AS n FROM log').get()!.n).toBe(1)
  to.close()
  await state.close()
})

it('whose plan cannot be read, or whose connection is gone, does not hold its job for ever', async () => {
  const folder = temporaryFolder()
  const server = await startServer({ folder })
  await server.call('PUT', '/connections/from', { locator: `sqlite:${makeSource(folder, 10)}` })
  await server.call('PUT', '/connections/to', { locator: `sqlite:${join(folder, 'to.db')}` })
  const job = (name: string) => ({
    name,
    source: { connection: 'from' },
    destination: { connection: 'to' },
    update: 'append',
    tables: [{ from: 'items', to: name, before: 'nonsense' }],
  })
  for (const name of ['newer', 'gone']) {
    expect((await server.call('POST', '/jobs', job(name))).status).toBe(201)
    await server.call('POST', `/jobs/${name}/runs`)
    await server.waitFor(name, 'failed')
  }
  const state = new DatabaseSync(join(server.home, 'state.db'))
  state.exec(`UPDATE run_table SET plan = '{"form":"plan of a table","version":99,"value":{}}'
              WHERE run IN (SELECT id FROM run WHERE job = 'newer')`)
  state.close()
  expect((await server.call('POST', '/jobs/newer/reset')).status).toBe(200)
  expect((await server.call('DELETE', '/jobs/newer')).status).toBe(204)
  expect((await server.call('DELETE', '/connections/to?force=true')).status).toBe(204)
  const kept = await server.call<Problem>('DELETE', '/jobs/gone')
  expect(kept).toMatchObject({ status: 409, body: { code: 'FERRY-5006' } })
  expect(kept.body.hint).toContain('--force')
  expect((await server.call('DELETE', '/jobs/gone?force=true')).status).toBe(204)
})
