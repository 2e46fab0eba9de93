/** What changed under a copy without its rows being told: the run ends instead of going on with what it knew. */
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type CopyJob, jobSchema } from '../ferry/src/job/schema.ts'
import { planJob } from '../ferry/src/runtime/plan.ts'
import { runJob } from '../ferry/src/runtime/run.ts'
import { openState } from '../ferry/src/state/database.ts'
import { copy, makeDatabase, policy, temporaryFolder } from './support.ts'

const postgres = (settings: object) => ({ kind: 'postgres', ...settings })

/** A job that is run again and again; gives back the code of its error, or how many rows it copied. */
async function runner(define: (edit: object) => object) {
  const state = await openState({ FERRY_HOME: temporaryFolder() })
  onTestFinished(() => state.close())
  const job = (edit: object = {}): CopyJob => jobSchema.parse({ name: 'j', ...define(edit) })
  return {
    plan: async (edit: object = {}) => planJob(job(edit), state, policy),
    run: async (edit: object = {}): Promise<string | number> => {
      const report = await runJob({ policy, state, job: job(edit) }).catch(error => ({
        errors: [error],
        rowsCopied: 0,
      }))
      return report.errors[0]?.code ?? report.rowsCopied
    },
  }
}

describe('the columns of a run that goes on', () => {
  const changes: [string, string, string][] = [
    ['another type at the source', 'from', 'ALTER TABLE s ALTER v TYPE numeric USING v + 0.5'],
    ['a new column at the source', 'from', 'ALTER TABLE s ADD n int DEFAULT 7'],
    ['another type at the destination', 'to', 'ALTER TABLE s ALTER v TYPE smallint'],
  ]
  it.each(changes)('%s is no longer what was planned', async (_, where, statement) => {
    const [from, to] = [await makeDatabase(), await makeDatabase()]
    // The rows of one split are committed; the last ones are refused.
    await from.client.query(`CREATE TABLE s (id int PRIMARY KEY, v int, d text);
      INSERT INTO s SELECT i, 1, repeat('x', 100) FROM generate_series(1, 20000) i; UPDATE s SET d = 'bad' WHERE id = 20000; ANALYZE s`)
    await to.client.query(`CREATE TABLE s (id int PRIMARY KEY, v bigint, d text CHECK (d <> 'bad'))`)
    const { run } = await runner(() => ({
      source: postgres(from.settings),
      destination: postgres(to.settings),
      splitSize: '100kB',
      limits: { parallel: 1 },
      tables: ['public.s'],
    }))
    expect(await run()).toBe('FERRY-4005')
    const { rows } = await to.client.query('SELECT count(*)::int AS n FROM s')
    expect(rows[0].n).toBeGreaterThan(0)
    await from.client.query(`UPDATE s SET d = 'ok' WHERE id = 20000`)
    await (where === 'from' ? from : to).client.query(statement)
    expect(await run()).toBe('FERRY-5005')
  })

  it('are planned anew where nothing is copied yet', async () => {
    const [from, to] = [await makeDatabase(), await makeDatabase()]
    await from.client.query(`CREATE TABLE s (id int PRIMARY KEY, v text); INSERT INTO s VALUES (1, 'too long')`)
    await to.client.query('CREATE TABLE s (id int PRIMARY KEY, v varchar(3))')
    const { run } = await runner(() => ({
      source: postgres(from.settings),
      destination: postgres(to.settings),
      narrowing: 'check',
      tables: ['public.s'],
    }))
    expect(await run()).toBe('FERRY-4001')
    await to.client.query('ALTER TABLE s ALTER v TYPE varchar(10)')
    expect(await run()).toBe(1)
  })
})

describe('a table whose log PostgreSQL keeps', () => {
  const remakes: [string, string][] = [
    ['made anew', `DROP TABLE s; CREATE TABLE s (id int PRIMARY KEY, v text); INSERT INTO s VALUES (3, 'c')`],
    ['under the name of another', 'ALTER TABLE s RENAME TO s_old; CREATE TABLE s (id int PRIMARY KEY, v text)'],
    ['with a column made anew', 'ALTER TABLE s DROP v; ALTER TABLE s ADD v text'],
    ['with a column rewritten', `ALTER TABLE s ALTER v TYPE int USING length(v)`],
    [
      'out of the publication',
      `DO $$ DECLARE p text; BEGIN SELECT pubname INTO p FROM pg_publication WHERE pubname LIKE 'ferry%';
       EXECUTE format('ALTER PUBLICATION %I DROP TABLE s', p); END $$; INSERT INTO s VALUES (2, 'b')`,
    ],
  ]
  it.each(remakes)('%s is not gone on with', async (_, statements) => {
    const [server, to] = [await makeDatabase(), await makeDatabase()]
    onTestFinished(async () => {
      await server.client.query(
        'SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database()',
      )
    })
    await server.client.query(`CREATE TABLE s (id int PRIMARY KEY, v text); INSERT INTO s VALUES (1, 'a')`)
    const { run } = await runner(() => ({
      source: postgres(server.settings),
      destination: postgres(to.settings),
      mode: 'incremental',
      tracking: 'cdc',
      update: 'merge',
      tables: [{ from: 'public.s', to: 'public.d' }],
    }))
    expect(await run()).toBe(1)
    await server.client.query(`INSERT INTO s VALUES (9, 'i')`)
    expect(await run()).toBe(1)
    await server.client.query(statements)
    expect(await run()).toBe('FERRY-5010')
  })
})

describe('columns that grow', () => {
  const sqlite: [string, string, string][] = [
    ['DECIMAL TEXT(10,2)', `'9'`, `'10.5'`],
    ['DATETIME', `'2023-01-01T10:00:00'`, `'2023-01-01 11:00:00'`],
    ['TIMESTAMPTZ', `'2023-01-01 10:00:00+02:00'`, `'2023-01-01 09:00:00Z'`],
    ['TIMESTAMPTZ', `'2023-01-01 10:00:00Z'`, `'2023-01-01 10:00:00.5Z'`],
    ['', `'a'`, '5'],
  ]
  it.each(sqlite)('SQLite orders %s otherwise: %s and %s', async (type, first, later) => {
    const path = join(temporaryFolder(), 'x.db')
    const db = new DatabaseSync(path)
    db.exec(`CREATE TABLE s (id INTEGER PRIMARY KEY, u ${type}); INSERT INTO s VALUES (1, ${first})`)
    const { run } = await runner(() => ({
      source: { kind: 'sqlite', path },
      destination: { kind: 'sqlite', path: join(temporaryFolder(), 'y.db') },
      mode: 'incremental',
      update: 'merge',
      tables: [{ from: 's', incrementalColumn: 'u' }],
    }))
    const before = await run()
    db.exec(`INSERT INTO s VALUES (2, ${later})`)
    db.close()
    if (before === 1) expect(await run()).toBe('FERRY-3012')
    else expect(before).toBe('FERRY-3012')
  })

  it.each([
    ['timestamp', 'infinity'],
    ['float8', 'NaN'],
    ['float8', 'Infinity'],
    ['uuid', '123e4567-e89b-12d3-a456-426614174000'],
  ])('nothing comes behind a %s of %s', async (type, value) => {
    const [from, to] = [await makeDatabase(), await makeDatabase()]
    await from.client.query(`CREATE TABLE s (id int PRIMARY KEY, u ${type}); INSERT INTO s VALUES (1, '${value}')`)
    const { run } = await runner(() => ({
      source: postgres(from.settings),
      destination: postgres(to.settings),
      mode: 'incremental',
      update: 'merge',
      tables: [{ from: 'public.s', incrementalColumn: 'u' }],
    }))
    expect(await run()).toBe('FERRY-3012')
  })
})

describe('rows that the destination leaves out', () => {
  it.each(['append', 'merge', 'overwrite'])('by a trigger of PostgreSQL: %s', async update => {
    const [from, to] = [await makeDatabase(), await makeDatabase()]
    await from.client.query(`CREATE TABLE s (id int PRIMARY KEY, v text); INSERT INTO s VALUES (1, 'a'), (2, 'b')`)
    await to.client.query(`CREATE TABLE s (id int PRIMARY KEY, v text);
      CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.id = 1 THEN RETURN NULL; END IF; RETURN NEW; END $$;
      CREATE TRIGGER drops BEFORE INSERT ON s FOR EACH ROW EXECUTE FUNCTION f()`)
    const { run, plan } = await runner(() => ({
      source: postgres(from.settings),
      destination: postgres(to.settings),
      update,
      tables: ['public.s'],
    }))
    if (update !== 'overwrite') expect(JSON.stringify((await plan()).tables[0]!.notes)).toContain('drops')
    expect(await run()).toBe('FERRY-4005')
    expect((await to.client.query('SELECT * FROM s')).rows).toEqual([])
  })

  it('by a rule of PostgreSQL', async () => {
    const [from, to] = [await makeDatabase(), await makeDatabase()]
    await from.client.query(`CREATE TABLE s (id int PRIMARY KEY, v text); INSERT INTO s VALUES (1, 'a')`)
    await to.client.query(`CREATE TABLE s (id int PRIMARY KEY, v text);
      CREATE RULE r AS ON INSERT TO s WHERE NEW.id = 1 DO INSTEAD NOTHING`)
    const { run } = await runner(() => ({
      source: postgres(from.settings),
      destination: postgres(to.settings),
      update: 'merge',
      tables: ['public.s'],
    }))
    // A server that takes no upsert beside rules says so itself.
    expect(await run()).toMatch(/FERRY-(4005|3016)/)
  })

  it.each([
    ['id INTEGER PRIMARY KEY ON CONFLICT IGNORE, v TEXT', ''],
    ['id INTEGER PRIMARY KEY ON CONFLICT REPLACE, v TEXT', ''],
    ['id INT, v TEXT, UNIQUE (id) ON CONFLICT REPLACE', ''],
    ['id INTEGER PRIMARY KEY, v TEXT', 'CREATE TRIGGER g BEFORE INSERT ON s BEGIN SELECT raise(IGNORE); END'],
  ])('by SQLite: %s %s', async (columns, more) => {
    const folder = temporaryFolder()
    const [from, to] = [new DatabaseSync(join(folder, 'a.db')), new DatabaseSync(join(folder, 'b.db'))]
    from.exec(`CREATE TABLE s (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO s VALUES (1, 'abc')`)
    to.exec(`CREATE TABLE s (${columns}); INSERT INTO s VALUES (1, 'old'); ${more}`)
    const report = await copy({
      source: { kind: 'sqlite', path: join(folder, 'a.db') },
      destination: { kind: 'sqlite', path: join(folder, 'b.db') },
      tables: ['s'],
    })
    expect(report.errors[0]).toMatchObject({ code: 'FERRY-4005' })
    expect(to.prepare('SELECT v FROM s').all()).toEqual([{ v: 'old' }])
    for (const db of [from, to]) db.close()
  })
})

describe('rows that row security hides', () => {
  it('are not left out without a word', async () => {
    const [from, to] = [await makeDatabase(), await makeDatabase()]
    const { client, settings } = from
    await client.query(`CREATE TABLE s (id int PRIMARY KEY); INSERT INTO s SELECT generate_series(1, 10);
      ALTER TABLE s ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON s USING (id <= 3);
      DO $$ BEGIN CREATE ROLE joe LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$; GRANT SELECT ON s TO joe`)
    const { run } = await runner(edit => ({
      source: postgres({ ...settings, user: 'joe', ...edit }),
      destination: postgres(to.settings),
      update: 'overwrite',
      tables: ['public.s'],
    }))
    expect(await run()).toBe('FERRY-2004')
    expect(await run({ rowSecurity: 'apply' })).toBe(3)
  })
})
