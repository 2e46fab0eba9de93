/** Change data capture: what the log of a PostgreSQL says arrives at the destination, exactly. */
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type pg from 'pg'
import { describe, expect, it, onTestFinished } from 'vitest'
import { Duckdb } from '../ferry/src/duckdb/engine.ts'
import { jobSchema } from '../ferry/src/job/schema.ts'
import { resetJob } from '../ferry/src/runtime/discard.ts'
import { planJob } from '../ferry/src/runtime/plan.ts'
import { runJob } from '../ferry/src/runtime/run.ts'
import { openState } from '../ferry/src/state/database.ts'
import { wishFor } from '../ferry/src/state/runs.ts'
import { makeDatabase, makeMariadb, policy, temporaryFolder, until } from './support.ts'

async function world(table: Record<string, unknown> = {}, more: Record<string, unknown> = {}) {
  const from = await makeDatabase()
  const to = await makeDatabase()
  const state = await openState({ FERRY_HOME: temporaryFolder() })
  onTestFinished(async () => {
    await state.close()
    await from.client.query(
      `SELECT pg_terminate_backend(active_pid, 10000) FROM pg_replication_slots WHERE database = current_database() AND active`,
    )
    await from.client.query(
      `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database()`,
    )
  })
  const define = (edit: Record<string, unknown> = {}) =>
    jobSchema.parse({
      name: 'cdc',
      source: { kind: 'postgres', ...from.settings },
      destination: { kind: 'postgres', ...to.settings },
      mode: 'incremental',
      tracking: 'cdc',
      update: 'merge',
      tables: [{ from: 'public.t', to: 'public.t', ...table }],
      ...more,
      ...edit,
    })
  /** `fresh` is a full refresh; all else edits the job. */
  const run = async ({ fresh, ...edit }: { fresh?: boolean; [key: string]: unknown } = {}) => {
    const report = await runJob({ policy, state, job: define(edit), ...(fresh ? { fresh } : {}) })
    if (report.errors.length > 0) throw new Error(report.errors.map(e => `${e.code} ${e.message}`).join('; '))
    return report.rowsCopied
  }
  const plan = async (edit: Record<string, unknown> = {}) => {
    const { tables, problems } = await planJob(define(edit), state, policy)
    if (problems.length > 0) throw problems[0]!.error
    return tables[0]!
  }
  const same = async (name = 't') => {
    const rows = async (client: pg.Client) =>
      (await client.query(`SELECT ${name}::text AS r FROM ${name} ORDER BY 1`)).rows
    expect(await rows(to.client)).toEqual(await rows(from.client))
  }
  return { from: from.client, to: to.client, settings: from.settings, state, define, run, plan, same }
}

describe.skipIf(process.env.FERRY_SERVERS !== undefined)('PostgreSQL to PostgreSQL', () => {
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

  it('follows with column mapping, keys of several columns, a full replica identity and without a primary key', async () => {
    const { from, to, run } = await world({
      keys: ['region', 'no'],
      columns: { region: 'region', no: 'number', note: { to: 'remark', type: 'utf8' } },
    })
    await from.query('CREATE TABLE t (region text, no int, hidden int, note varchar(20))')
    await from.query(`INSERT INTO t VALUES ('eu', 1, 1, 'a'), ('eu', 2, 2, 'b'), ('us', 1, 3, NULL)`)
    await expect(run()).rejects.toThrow(/FERRY-3011 .*no replica identity/)
    await from.query('ALTER TABLE t REPLICA IDENTITY FULL')
    await run()
    await from.query(
      `UPDATE t SET note = 'c' WHERE region = 'us'; UPDATE t SET no = 3 WHERE no = 2; DELETE FROM t WHERE region = 'eu' AND no = 1`,
    )
    await run()
    const { rows } = await to.query('SELECT * FROM t ORDER BY region')
    expect(rows).toEqual([
      { region: 'eu', number: 3, remark: 'b' },
      { region: 'us', number: 1, remark: 'c' },
    ])
  })

  it('keeps large values of rows whose key changes, and unique values that change places', async () => {
    const { from, to, run, same } = await world()
    await from.query('CREATE TABLE t (id int PRIMARY KEY, u int UNIQUE DEFERRABLE, big text)')
    await to.query('CREATE TABLE t (id int PRIMARY KEY, u int UNIQUE, big text)')
    await from.query('ALTER TABLE t ALTER big SET STORAGE EXTERNAL')
    await from.query(`INSERT INTO t SELECT i, i, repeat('b', 4000) || i FROM generate_series(1, 50) i`)
    await run()
    await from.query('UPDATE t SET id = id + 100 WHERE id <= 20')
    await from.query('UPDATE t SET id = id - 100, u = u + 1000 WHERE id > 110')
    await from.query(
      'BEGIN; UPDATE t SET id = 500 WHERE id = 101; DELETE FROM t WHERE id = 500; INSERT INTO t VALUES (500, 7777); COMMIT',
    )
    await run()
    await same()
    await from.query('BEGIN; SET CONSTRAINTS ALL DEFERRED; UPDATE t SET u = 61 - u WHERE u IN (30, 31); COMMIT')
    await run()
    await same()
  })

  it('carries generated columns that the log tells, and refuses those that it does not: untold is not null', async () => {
    const { from, to, run } = await world()
    await from.query(`CREATE TABLE t (id int PRIMARY KEY, v int, twice int GENERATED ALWAYS AS (v * 2) STORED)`)
    await from.query('INSERT INTO t (id, v) VALUES (1, 1), (2, 2)')
    await run()
    await from.query('UPDATE t SET v = 10 WHERE id = 1; INSERT INTO t (id, v) VALUES (3, 3)')
    await run()
    const { rows } = await to.query('SELECT id, v, twice FROM t ORDER BY id')
    expect(rows).toEqual([
      { id: 1, v: 10, twice: 20 },
      { id: 2, v: 2, twice: 4 },
      { id: 3, v: 3, twice: 6 },
    ])
    await from.query('ALTER TABLE t ADD COLUMN virtual int GENERATED ALWAYS AS (v * 3) VIRTUAL')
    const other = await world({ columns: { id: 'id', virtual: 'virtual' } })
    await other.from.query(
      'CREATE TABLE t (id int PRIMARY KEY, v int, virtual int GENERATED ALWAYS AS (v * 3) VIRTUAL)',
    )
    await expect(other.run()).rejects.toThrow(/FERRY-3012 .*does not tell generated columns: virtual/)
    expect(await other.run({ tables: [{ from: 'public.t', to: 'public.t', columns: { id: 'id', v: 'v' } }] })).toBe(0)
  })

  it('follows a partitioned table as one', async () => {
    const { from, run, same } = await world()
    await from.query(`CREATE TABLE t (id int, at date, v text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
      CREATE TABLE t1 PARTITION OF t FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
      CREATE TABLE t2 PARTITION OF t FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')`)
    await from.query(`INSERT INTO t SELECT i, date '2024-06-01' + i * 10, 'v' FROM generate_series(1, 50) i`)
    await run()
    await from.query(
      `UPDATE t SET at = at + 300 WHERE id < 10; DELETE FROM t WHERE id = 20; INSERT INTO t VALUES (99, '2025-02-02', 'new')`,
    )
    await run()
    await same()
  })

  it('says what is missing before anything is made', async () => {
    const { from, plan, settings } = await world()
    await from.query('CREATE TABLE t (id int PRIMARY KEY, v text)')
    await from.query(`CREATE ROLE plain_reader LOGIN; GRANT SELECT ON t TO plain_reader`).catch(() => undefined)
    await from.query(`GRANT SELECT ON t TO plain_reader`)
    await expect(plan({ source: { kind: 'postgres', ...settings, user: 'plain_reader' } })).rejects.toThrow(
      /may not read the log/,
    )
    await expect(plan({ update: 'append' })).rejects.toThrow(/update: merge/)
    await expect(plan({ where: 'id > 1' })).rejects.toThrow(/neither query nor where/)
    await from.query('CREATE VIEW w AS SELECT * FROM t')
    await expect(plan({ tables: [{ from: 'public.w', to: 'public.w', keys: ['id'] }] })).rejects.toThrow(/is no table/)
    expect(await slots(from)).toEqual([])
  })

  it('removes slot and publication with a reset, and makes new ones with the next run', async () => {
    const { from, run, same, state } = await world()
    await from.query(`CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a')`)
    await run()
    const [first] = await slots(from)
    await from.query(`INSERT INTO t VALUES (2, 'b')`)
    await run({ fresh: true })
    const [second, ...rest] = await slots(from)
    expect([second === first, rest]).toEqual([false, []])
    await resetJob(state, 'cdc', policy)
    expect(await slots(from)).toEqual([])
    expect((await from.query('SELECT 1 FROM pg_publication')).rows).toEqual([])
    await run()
    await same()
  })

  it('says that the log is gone, and offers a reset', async () => {
    const { from, run, same, state } = await world()
    await from.query(`CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a')`)
    await run()
    const [slot] = await slots(from)
    await from.query(`INSERT INTO t VALUES (2, 'b')`)
    await from.query(`SELECT pg_replication_slot_advance('${slot}', pg_current_wal_lsn())`)
    await expect(run()).rejects.toThrow(/FERRY-5010 .*somebody else read from it/)
    await from.query(`SELECT pg_drop_replication_slot('${slot}')`)
    await expect(run()).rejects.toThrow(/FERRY-5010 .*is gone/)
    await resetJob(state, 'cdc', policy)
    await run()
    await same()
  })

  it('follows some tables by the log and others by a column, and takes new tables in', async () => {
    const first = { from: 'public.t', to: 'public.t' }
    const { from, to, run, same } = await world(
      {},
      { tables: [first, { from: 'public.w', to: 'public.w', tracking: 'watermark', incrementalColumn: 'n' }] },
    )
    await from.query(
      `CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE w (id int PRIMARY KEY, n int); CREATE TABLE late (id int PRIMARY KEY, v text)`,
    )
    await from.query(`INSERT INTO t VALUES (1, 'a'); INSERT INTO w VALUES (1, 1); INSERT INTO late VALUES (1, 'l')`)
    await run()
    await from.query(`UPDATE t SET v = 'b'; INSERT INTO w VALUES (2, 2); UPDATE late SET v = 'm'`)
    await run({ tables: [first, { from: 'public.late', to: 'public.late' }] })
    await same()
    await same('late')
    expect((await to.query('SELECT count(*)::int AS n FROM w')).rows[0].n).toBe(1)
    await from.query(`UPDATE late SET v = 'n'; DELETE FROM t`)
    await run({ tables: [first, { from: 'public.late', to: 'public.late' }] })
    await same()
    await same('late')
    expect(await slots(from)).toHaveLength(1)
  })

  it('keeps deleted rows where the job says so', async () => {
    const { from, to, run } = await world({ deletes: 'ignore' })
    await from.query(`CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a'), (2, 'b')`)
    await run()
    await from.query(`DELETE FROM t WHERE id = 1; UPDATE t SET v = 'c' WHERE id = 2`)
    await run()
    expect((await to.query('SELECT * FROM t ORDER BY id')).rows).toEqual([
      { id: 1, v: 'a' },
      { id: 2, v: 'c' },
    ])
  })

  it('marks deleted rows where the job says so, and takes the mark away from rows that come again', async () => {
    const { from, to, run } = await world({ deletes: 'mark' })
    await from.query(`CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')`)
    await run()
    await from.query(`DELETE FROM t WHERE id < 3; INSERT INTO t VALUES (2, 'again')`)
    await run()
    const marked = async () =>
      (await to.query(`SELECT id, v, _deleted_at > now() - interval '1 minute' AS gone FROM t ORDER BY id`)).rows
    expect(await marked()).toEqual([
      { id: 1, v: 'a', gone: true },
      { id: 2, v: 'again', gone: null },
      { id: 3, v: 'c', gone: null },
    ])
    await from.query('TRUNCATE t')
    await run()
    expect((await marked()).map(r => r.gone)).toEqual([true, true, true])
  })

  it('adds columns that say which run wrote a row, when, and from where', async () => {
    const { from, to, run, state } = await world({ audit: { run: 'run', loadedAt: 'loaded', source: 'came_from' } })
    await from.query(`CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a'), (2, 'b')`)
    await run()
    await from.query(`UPDATE t SET v = 'c' WHERE id = 2`)
    await run()
    const runs = (await state.db.selectFrom('run').select('id').orderBy('created_at').execute()).map(r => r.id)
    const { rows } = await to.query(
      `SELECT id, run, loaded > now() - interval '1 minute' AS fresh, came_from FROM t ORDER BY id`,
    )
    expect(rows.map(r => [r.id, r.run, r.fresh])).toEqual([
      [1, runs[0], true],
      [2, runs[1], true],
    ])
    expect(rows[0].came_from).toMatch(/^postgres:.* public\.t$/)
    // A table that is there already gets them too.
    await run({ tables: [{ from: 'public.t', to: 'public.t', audit: true }] })
    expect(Object.keys((await to.query('SELECT * FROM t')).rows[0])).toContain('_ferry_job')
  })

  it('is followed online until it is completed, and leaves nothing behind', async () => {
    const { from, to, same, state, define } = await world({}, { mode: 'online', tracking: undefined })
    await from.query(
      `CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, 'v' FROM generate_series(1, 1000) i`,
    )
    const running = runJob({ policy, state, job: define() })
    const count = async () =>
      Number((await to.query('SELECT count(*) AS n FROM t').catch(() => ({ rows: [{ n: 0 }] }))).rows[0].n)
    await until(async () => (await count()) === 1000, 'the snapshot')
    await from.query(`INSERT INTO t SELECT i, 'w' FROM generate_series(1001, 1500) i`)
    await until(async () => (await count()) === 1500, 'the changes')
    await from.query('DELETE FROM t WHERE id <= 500')
    const [run] = await state.db.selectFrom('run').selectAll().execute()
    await wishFor(state.db, run!.id, 'complete')
    expect((await running).status).toBe('completed')
    await same()
    expect(await slots(from)).toEqual([])
  })
})

describe.skipIf(process.env.FERRY_SERVERS !== undefined)('columns that are new at the source', () => {
  it('stop the copy by name, are left out, or are added with what their rows hold', async () => {
    const { from, to, run, same } = await world()
    await from.query(
      `CREATE TABLE t (id int PRIMARY KEY, v varchar(10), n smallint); INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2)`,
    )
    await run()
    await from.query(`ALTER TABLE t ADD COLUMN added text DEFAULT 'it''s old'; INSERT INTO t VALUES (3, 'c', 3, 'new')`)
    await expect(run()).rejects.toThrow(/FERRY-3013 .*no column added/)
    await run({ drift: 'ignore' })
    expect((await to.query('SELECT * FROM t ORDER BY id')).rows).toEqual([
      { id: 1, v: 'a', n: 1 },
      { id: 2, v: 'b', n: 2 },
      { id: 3, v: 'c', n: 3 },
    ])
    await from.query(
      `ALTER TABLE t ALTER v TYPE varchar(50), ALTER n TYPE bigint; UPDATE t SET v = repeat('w', 40), n = 5000000000 WHERE id = 2`,
    )
    await run({ drift: 'evolve' })
    await to.query(`UPDATE t SET added = 'new' WHERE id = 3`)
    await same()
  })

  it('are added in the middle of changes too, and in the middle of an online copy', async () => {
    for (const online of [false, true]) {
      const { from, run, same, state, define, to } = await world(
        {},
        { drift: 'evolve', ...(online ? { mode: 'online', tracking: undefined } : {}) },
      )
      await from.query(`CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a'), (2, 'b')`)
      const ddl = `UPDATE t SET v = 'before'; ALTER TABLE t ADD COLUMN x int DEFAULT 7; INSERT INTO t VALUES (3, 'c', 8); ALTER TABLE t ADD COLUMN y text; UPDATE t SET y = 'y' WHERE id = 1`
      if (!online) {
        await run()
        // The plan knows of the first column only.
        await from.query(ddl)
        await run()
        await same()
        continue
      }
      const running = runJob({ policy, state, job: define() })
      const has = (text: string) => async () => {
        const { rows } = await to.query('SELECT t::text AS r FROM t').catch(() => ({ rows: [] }))
        return rows.some(r => r.r.includes(text))
      }
      await until(has('(2,b)'), 'the snapshot')
      for (const statement of ddl.split('; ')) await from.query(statement)
      await until(has('y'), 'the columns')
      await from.query(`DELETE FROM t WHERE id = 2`)
      const [row] = await state.db.selectFrom('run').selectAll().execute()
      await wishFor(state.db, row!.id, 'complete')
      expect((await running).errors).toEqual([])
      await same()
    }
  })
})

describe.skipIf(process.env.FERRY_SERVERS !== undefined)('a run that plans its tables anew', () => {
  it('finds each table by its name: one that came meanwhile and sorts before them changes nothing', async () => {
    const made = await world({}, { mode: 'online', tracking: undefined, drift: 'evolve', tables: ['public.*'] })
    const { from, to, same, state, define } = made
    await from.query(`CREATE TABLE b (id int PRIMARY KEY, v text); INSERT INTO b VALUES (1, 'b')`)
    await from.query(`CREATE TABLE c (id int PRIMARY KEY, w text); INSERT INTO c VALUES (1, 'c')`)
    const running = runJob({ policy, state, job: define() })
    const has = (table: string, text: string) => async () => {
      const { rows } = await to.query(`SELECT ${table}::text AS r FROM ${table}`).catch(() => ({ rows: [] }))
      return rows.some(r => r.r.includes(text))
    }
    await until(has('c', 'c'), 'the snapshot')
    await from.query(`CREATE TABLE a (id int PRIMARY KEY, x text); INSERT INTO a VALUES (1, 'a')`)
    await from.query(`ALTER TABLE b ADD COLUMN added int DEFAULT 5; INSERT INTO b VALUES (2, 'new', 6)`)
    await until(has('b', 'new'), 'the column')
    await from.query(`INSERT INTO c VALUES (2, 'later')`)
    await until(has('c', 'later'), 'the other table')
    const [row] = await state.db.selectFrom('run').selectAll().execute()
    await wishFor(state.db, row!.id, 'complete')
    expect((await running).errors).toEqual([])
    await same('b')
    await same('c')
    const { rows } = await to.query(`SELECT count(*)::int AS n FROM pg_class WHERE relname = 'a'`)
    expect(rows[0].n, 'a table that came meanwhile is for the next run').toBe(0)
  })

  it('goes on from its own place, though the log was given up to beyond the last copy', async () => {
    const { from, run, same, state, define } = await world({}, { drift: 'evolve' })
    await from.query(`CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a'), (2, 'b')`)
    await run()
    await from.query(`INSERT INTO t SELECT i, 'n' FROM generate_series(3, 60000) i; UPDATE t SET v = 'new'`)
    let altered: Promise<unknown> | undefined
    const onStart = () => {
      altered = from.query('ALTER TABLE t ADD COLUMN z int DEFAULT 3')
    }
    expect((await runJob({ policy, state, job: define(), onStart })).errors).toEqual([])
    await altered
    await same()
  })
})

describe.skipIf(process.env.FERRY_SERVERS !== undefined)('a run that fails on its way', () => {
  /** Fills `u` with so much that a part is committed before the row that the destination refuses. */
  async function failing({ from, to, run }: Awaited<ReturnType<typeof world>>) {
    await to.query('ALTER TABLE u ADD CONSTRAINT small CHECK (v < 100000)')
    await from.query(`INSERT INTO u SELECT i, i, repeat('w', 1000) FROM generate_series(10, 40000) i`)
    await from.query('INSERT INTO u VALUES (-1, 100001)')
    await expect(run()).rejects.toThrow(/small/)
    const { rows } = await to.query('SELECT count(*)::int AS n FROM u')
    expect(rows[0].n).toBeGreaterThan(10_000)
    await to.query('ALTER TABLE u DROP CONSTRAINT small')
  }
  const start = async (names: string[]) => {
    const made = await world({}, { tables: names.map(n => ({ from: `public.${n}`, to: `public.${n}` })) })
    for (const name of ['t', 'u']) await made.from.query(`CREATE TABLE ${name} (id int PRIMARY KEY, v int, w text)`)
    await made.run()
    return made
  }

  it('keeps the log of the tables that had ended before it', async () => {
    const made = await start(['t', 'u'])
    const { from, to, run, same } = made
    await to.query('ALTER TABLE u ADD CONSTRAINT none CHECK (id > 1)')
    await from.query('INSERT INTO t VALUES (1, 1); INSERT INTO u VALUES (1, 1)')
    // One table ends, the other goes on beyond its place in two more tries.
    await expect(run()).rejects.toThrow(/none/)
    await to.query('ALTER TABLE u DROP CONSTRAINT none')
    await from.query('INSERT INTO t VALUES (2, 2)')
    await failing(made)
    await run()
    await run()
    await same('t')
    await same('u')
  })

  it('is gone on from when it is given up', async () => {
    const made = await start(['u'])
    await failing(made)
    await made.run({ limits: { parallel: 1 } })
    await made.same('u')
  })
})

/** Destinations that take changes, each with a way to read a table as texts. */
const DESTINATIONS: Record<
  string,
  () => Promise<{ endpoint: Record<string, unknown>; object: string; rows: (where?: string) => Promise<string[]> }>
> = {
  postgres: async () => {
    const { settings, client } = await makeDatabase()
    const rows = async (where = '1 = 1') => {
      const found = await client.query(`SELECT id, v, length(big) AS big, u FROM t WHERE ${where}`)
      return found.rows.map(r => Object.values(r).join('|')).sort()
    }
    return { endpoint: { kind: 'postgres', ...settings }, object: 'public.t', rows }
  },
  sqlite: async () => {
    const path = join(temporaryFolder(), 'copy.db')
    const rows = async (where = '1 = 1') => {
      const db = new DatabaseSync(path, { readOnly: true })
      const found = db.prepare(`SELECT id, v, length(big) AS big, u FROM t WHERE ${where}`).all()
      db.close()
      return found.map(r => Object.values(r).join('|')).sort()
    }
    return { endpoint: { kind: 'sqlite', path }, object: 't', rows }
  },
  duckdb: async () => {
    const path = join(temporaryFolder(), 'copy.duckdb')
    const rows = async (where = '1 = 1') => {
      const db = await Duckdb.open(policy, path, 'read')
      const found = await db.all(`SELECT id, v, length(big)::INT AS big, u FROM t WHERE ${where}`)
      await db.close()
      return found.map(r => Object.values(r).join('|')).sort()
    }
    return { endpoint: { kind: 'duckdb', path }, object: 't', rows }
  },
  mariadb: async () => {
    const { settings, exec } = await makeMariadb()
    const rows = async (where = '1 = 1') => {
      const found = await exec(`SELECT id, v, char_length(big) AS big, u FROM t WHERE ${where}`)
      return found
        .map(r =>
          Object.values(r)
            .map(v => (v === null ? '' : v))
            .join('|'),
        )
        .sort()
    }
    return { endpoint: { kind: 'mysql', ...settings }, object: 't', rows }
  },
}
const onlyServers = process.env.FERRY_SERVERS !== undefined

describe.each(Object.keys(DESTINATIONS).filter(name => (name === 'mariadb') === onlyServers))(
  'versions at %s',
  name => {
    it('are kept with the time that they were valid', async () => {
      const to = await DESTINATIONS[name]!()
      const tables = [
        { from: 'public.t', to: to.object, mergeKind: 'scd2', constants: { big: '', u: { value: 0, type: 'int32' } } },
      ]
      const { from, run } = await world({}, { destination: to.endpoint, tables })
      await from.query(
        `CREATE TABLE t (id int PRIMARY KEY, v varchar(10)); INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')`,
      )
      await run()
      await from.query(`UPDATE t SET v = 'a2' WHERE id = 1`)
      await from.query(`UPDATE t SET v = 'a3' WHERE id = 1; DELETE FROM t WHERE id = 2`)
      await from.query(`UPDATE t SET v = 'c' WHERE id = 3; INSERT INTO t VALUES (4, 'd')`)
      await from.query(`UPDATE t SET id = 5 WHERE id = 4`)
      await run()
      const values = (rows: string[]) => rows.map(r => r.split('|').slice(0, 2).join('|')).sort()
      expect(values(await to.rows())).toEqual(['1|a', '1|a2', '1|a3', '2|b', '3|c', '4|d', '5|d'])
      expect(values(await to.rows('is_current'))).toEqual(['1|a3', '3|c', '5|d'])
      expect(values(await to.rows('valid_to IS NULL'))).toEqual(['1|a3', '3|c', '5|d'])
      expect(values(await to.rows('valid_to > valid_from'))).toEqual(['1|a', '1|a2', '2|b', '4|d'])
      // One follows the other without a gap.
      const chain = 'EXISTS (SELECT 1 FROM t n WHERE n.id = t.id AND n.valid_from = t.valid_to)'
      expect(values(await to.rows(chain))).toEqual(['1|a', '1|a2'])
      await from.query('TRUNCATE t')
      await run()
      expect(await to.rows('is_current')).toEqual([])
      await from.query(`INSERT INTO t VALUES (1, 'back')`)
      await run()
      expect(values(await to.rows('is_current'))).toEqual(['1|back'])
    })
  },
)

describe.each(Object.keys(DESTINATIONS).filter(name => (name === 'mariadb') === onlyServers))('columns at %s', name => {
  it('are added and widened', async () => {
    const to = await DESTINATIONS[name]!()
    const tables = [{ from: 'public.t', to: to.object, drift: 'evolve' }]
    const { from, run } = await world({}, { destination: to.endpoint, tables })
    await from.query(`CREATE TABLE t (id int PRIMARY KEY, v varchar(10)); INSERT INTO t VALUES (1, 'a')`)
    await run()
    await from.query(`ALTER TABLE t ADD COLUMN big text DEFAULT 'xyz', ADD COLUMN u int, ALTER v TYPE varchar(60)`)
    // DuckDB does not change the type of a key.
    if (name !== 'duckdb') await from.query('ALTER TABLE t ALTER id TYPE bigint')
    const id = name === 'duckdb' ? 5 : 5_000_000_000
    await from.query(`INSERT INTO t VALUES (${id}, repeat('w', 50), 'four', 4)`)
    await run()
    expect(await to.rows()).toEqual([`1|a|3|`, `${id}|${'w'.repeat(50)}|4|4`])
  })
})

describe.each(Object.keys(DESTINATIONS).filter(name => (name === 'mariadb') === onlyServers))(
  'PostgreSQL to %s',
  name => {
    it('applies inserts, updates, deletes, moved keys, values that are told in part, and truncations', async () => {
      const to = await DESTINATIONS[name]!()
      const { from, run } = await world(
        {},
        {
          destination: to.endpoint,
          tables: [
            {
              from: 'public.t',
              to: to.object,
              columns: { id: { to: 'id', type: 'int64' }, v: 'v', big: 'big', u: 'u' },
            },
          ],
        },
      )
      await from.query('CREATE TABLE t (id int PRIMARY KEY, v varchar(40), big text, u int)')
      await from.query('ALTER TABLE t ALTER big SET STORAGE EXTERNAL')
      await from.query(`INSERT INTO t SELECT i, 'v' || i, repeat('b', 4000 + i), i FROM generate_series(1, 60) i`)
      const same = async () => {
        const { rows } = await from.query('SELECT id, v, length(big) AS big, u FROM t')
        expect(await to.rows()).toEqual(rows.map(r => Object.values(r).join('|')).sort())
      }
      expect(await run()).toBe(60)
      await same()
      expect(await run()).toBe(0)
      await from.query(`INSERT INTO t VALUES (100, NULL, NULL, NULL), (101, '', '', 0)`)
      await from.query(`UPDATE t SET v = 'kept large' WHERE id <= 10`)
      await from.query(`UPDATE t SET id = id + 1000 WHERE id BETWEEN 5 AND 15`)
      await from.query(`DELETE FROM t WHERE id BETWEEN 20 AND 30`)
      await from.query(
        `BEGIN; UPDATE t SET v = 'a' WHERE id = 40; UPDATE t SET id = 41000 WHERE id = 40; UPDATE t SET id = 40 WHERE id = 41000; COMMIT`,
      )
      await from.query(`UPDATE t SET u = 103 - u WHERE u IN (51, 52)`)
      await run()
      await same()
      await from.query(`BEGIN; TRUNCATE t; INSERT INTO t VALUES (1, 'anew', 'x', 1); COMMIT`)
      await run()
      await same()
    })
  },
)

async function slots(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query(
    'SELECT slot_name AS name FROM pg_replication_slots WHERE database = current_database()',
  )
  return rows.map(r => r.name)
}
