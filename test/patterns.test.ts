/** A pattern of a job matches tables; views are copied by name, or with `include: views`. */
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, it } from 'vitest'
import { Duckdb } from '../ferry/src/duckdb/engine.ts'
import { jobSchema } from '../ferry/src/job/schema.ts'
import { planJob } from '../ferry/src/runtime/plan.ts'
import { makeDatabase, policy, temporaryFolder } from './support.ts'

const SCHEMA = ['CREATE TABLE t (id int)', 'CREATE TABLE u (id int)', 'CREATE VIEW v AS SELECT * FROM t']

const SOURCES: Record<string, () => Promise<object>> = {
  PostgreSQL: async () => {
    const { client, settings } = await makeDatabase()
    await client.query([...SCHEMA, 'CREATE MATERIALIZED VIEW w AS SELECT * FROM t'].join('; '))
    return { kind: 'postgres', ...settings }
  },
  SQLite: async () => {
    const path = join(temporaryFolder(), 's.db')
    const db = new DatabaseSync(path)
    db.exec(SCHEMA.join('; '))
    db.close()
    return { kind: 'sqlite', path }
  },
  DuckDB: async () => {
    const path = join(temporaryFolder(), 's.duckdb')
    const db = await Duckdb.open(policy, path)
    for (const statement of SCHEMA) await db.all(statement)
    await db.close()
    return { kind: 'duckdb', path }
  },
}

it.each(Object.entries(SOURCES))('* means tables: %s', async (name, make) => {
  const source = await make()
  const tables = async (job: object) => {
    const all = { name: 'j', source, destination: join(temporaryFolder(), 'out'), write: { format: 'csv' }, ...job }
    const planned = await planJob(jobSchema.parse(all), undefined, policy)
    expect(planned.problems).toEqual([])
    return planned.tables.map(t => t.from.replace(/^.*\./, ''))
  }
  const views = name === 'PostgreSQL' ? ['v', 'w'] : ['v']
  expect(await tables({ tables: ['*'] })).toEqual(['t', 'u'])
  expect(await tables({ tables: ['*'], include: 'views' })).toEqual(['t', 'u', ...views])
  const schema = { PostgreSQL: 'public.', SQLite: '', DuckDB: 'main.' }[name]
  expect(await tables({ tables: [`${schema}v`] })).toEqual(['v'])
  await expect(tables({ tables: [`${schema}v*`] })).rejects.toMatchObject({
    hint: expect.stringContaining('include: views'),
  })
})
