/** A plan names the rows that a run will replace, and the other jobs that write the same table. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, it } from 'vitest'
import { jobSchema } from '../ferry/src/job/schema.ts'
import { planJob } from '../ferry/src/runtime/plan.ts'
import { runJob } from '../ferry/src/runtime/run.ts'
import { saveConnection } from '../ferry/src/state/connections.ts'
import { createJob } from '../ferry/src/state/jobs.ts'
import { makeDatabase, policy, STATES, temporaryFolder, withState } from './support.ts'

function shop(folder: string): string {
  const path = join(folder, 'shop.db')
  const db = new DatabaseSync(path)
  db.exec('CREATE TABLE s (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO s VALUES (1, NULL), (2, NULL)')
  db.close()
  return path
}

it('an overwrite, and what empties its destination first, say what will be gone', async () => {
  const folder = temporaryFolder()
  const to = await makeDatabase()
  await to.client.query(
    'CREATE TABLE s AS SELECT i::bigint AS id FROM generate_series(1, 500) i; ANALYZE s; CREATE TABLE v (v text)',
  )
  mkdirSync(join(folder, 'out'))
  writeFileSync(join(folder, 'out', 's.csv'), 'id\n1\n')
  const source = { kind: 'sqlite', path: shop(folder) }
  const postgres = { kind: 'postgres', ...to.settings }
  const replaces = async (job: object) => {
    const planned = await planJob(jobSchema.parse({ name: 'j', source, ...job }), undefined, policy)
    expect(planned.problems).toEqual([])
    return planned.tables[0]!.replaces
  }
  const into = (update: string, more: object = {}) => ({
    destination: postgres,
    update,
    tables: [{ from: 's', to: 'public.s', columns: { id: 'id' }, ...more }],
  })
  expect(await replaces(into('overwrite'))).toBe('what public.s holds, about 500 rows')
  expect(await replaces(into('append', { truncate: true }))).toBe('what public.s holds, about 500 rows')
  expect(await replaces(into('append'))).toBeUndefined()
  expect(await replaces(into('overwrite', { to: 'public.new' }))).toBeUndefined()
  const file = { destination: join(folder, 'out'), tables: [{ from: 's', to: 's.csv' }], update: 'overwrite' }
  expect(await replaces(file)).toMatch(/^the file .*s\.csv$/)
  expect(await replaces({ ...file, tables: [{ from: 's', to: 'none.csv' }] })).toBeUndefined()
})

it.each(Object.entries(STATES))(
  'two jobs that write one table are told, however they name it: %s',
  async (_, place) => {
    const folder = temporaryFolder()
    const to = await makeDatabase()
    const source = { kind: 'sqlite', path: shop(folder) }
    const settings = { ...to.settings, host: 'localhost' }
    await withState(await place(), async state => {
      await saveConnection(state.db, { name: 'target', kind: 'postgres', settings })
      const keep = (name: string, more: object) =>
        createJob(state.db, name, JSON.stringify(jobSchema.parse({ name, source, tables: ['s'], ...more })))
      await keep('named', { destination: { connection: 'target' }, tables: [{ from: 's', to: 's' }] })
      await keep('elsewhere', { destination: { connection: 'target' }, tables: [{ from: 's', to: 'other' }] })
      await keep('gone', { destination: { connection: 'nobody' } })
      await keep('locked', { destination: 'postgres://u:${SECRET}@127.0.0.1/x' })
      const ran = jobSchema.parse({
        name: 'ran',
        source,
        destination: { kind: 'postgres', ...to.settings },
        tables: ['*'],
        update: 'overwrite',
      })
      expect((await runJob({ policy, state, job: ran })).errors).toEqual([])
      const own = jobSchema.parse({ ...ran, name: 'own', tables: [{ from: 's', to: 'public.s' }] })
      const { clashes, problems } = await planJob(own, state, policy)
      expect(problems).toEqual([])
      expect(clashes.map(c => c.message).sort()).toEqual([
        'job named writes public.s too',
        'job ran writes public.s too',
      ])
    })
  },
)

it('files of one name in two folders are two files', async () => {
  const folder = temporaryFolder()
  const source = { kind: 'sqlite', path: shop(folder) }
  const into = (name: string, out: string) => {
    const tables = [{ from: 's', to: 's.csv' }]
    return jobSchema.parse({ name, source, destination: join(folder, out), tables, update: 'overwrite' })
  }
  await withState({ FERRY_HOME: join(folder, 'home') }, async state => {
    await createJob(state.db, 'first', JSON.stringify(into('first', 'one')))
    expect((await planJob(into('second', 'two'), state, policy)).clashes).toEqual([])
    const { clashes } = await planJob(into('third', 'one'), state, policy)
    expect(clashes.map(c => c.message)).toEqual(['job first writes s.csv too'])
  })
})
