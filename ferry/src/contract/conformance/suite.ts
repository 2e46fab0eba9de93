/**
 * The suite that every store passes. What a kind declares in its abilities is what is tried; a store says in about ten lines
 * how one of it is made, and which values it may refuse. All else it must take, and give back as it was.
 */
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import fc from 'fast-check'
import { describe, expect, it, onTestFinished } from 'vitest'
import { seedOf } from '../../../../test/seed.ts'
import { policy, temporaryFolder, until } from '../../../../test/support.ts'
import { converter } from '../../batch/convert.ts'
import { type Column, parseType, type Row, type Value } from '../../batch/types.ts'
import { loadConnector } from '../../connectors/registry.ts'
import { FerryError } from '../../errors.ts'
import { type CopyJob, jobSchema } from '../../job/schema.ts'
import type { RunReport } from '../../runtime/report.ts'
import { runJob } from '../../runtime/run.ts'
import { verifyJob } from '../../runtime/verify.ts'
import { openState, type State } from '../../state/database.ts'
import type { Abilities, Store } from '../store.ts'
import type { RunIdentity } from '../write.ts'
import { mappingInto, readRows, shown, writeRows } from './rows.ts'
import { SAMPLES, type Sample } from './samples.ts'

const seed = seedOf('conformance suite')

/** A store made anew for a test. */
export interface Place {
  endpoint: { kind: string } & Record<string, unknown>
  /** The name of an object there. */
  object: (name: string) => string
  /** The pattern of all objects, where the store has patterns of its own. */
  all?: string
  /** What a job says of its objects, in `read` and in `write`. */
  read?: Record<string, unknown>
  write?: Record<string, unknown>
}

export interface Subject {
  abilities: Abilities
  make: () => Promise<Place>
  /** Of each sample of values what the store may refuse; the others it must take. */
  refuses?: Record<string, (text: string) => boolean>
  /** Whether columns can be added to what is there by a later run. */
  evolves: boolean
  /** Whether what is there is never added to: a single file. */
  isWhole?: true
  /** Whether one process opens it at a time: its lock keeps a former one out. */
  isLocked?: true
}

/** What no store has to take: half a surrogate pair is no text. */
const isText = (value: Value) => typeof value !== 'string' || value.isWellFormed()

const ID: Column = { name: 'id', type: parseType('utf8')!, nullable: false }

export function conformance(name: string, subject: Subject): void {
  describe(name, () => {
    describe('values', () => valuesOf(subject))
    describe.each(subject.abilities.update)('%s', update => writing(subject, update))
    describe('reading', () => reading(subject))
  })
}

/** The store itself, closed when the test ends. */
async function open({ endpoint: { kind, ...settings } }: Place): Promise<Store> {
  const store = (await loadConnector(kind)).open(settings, policy)
  onTestFinished(() => store.close())
  return store
}

async function newState(): Promise<State> {
  const state = await openState({ FERRY_HOME: temporaryFolder() })
  onTestFinished(() => state.close())
  return state
}

/** A SQLite database that is copied from, or to. */
function database(): { db: DatabaseSync; endpoint: object } {
  const path = join(temporaryFolder(), 'other.db')
  const db = new DatabaseSync(path)
  onTestFinished(() => db.close())
  return { db, endpoint: { kind: 'sqlite', path } }
}

const jobOf = (job: object): CopyJob => jobSchema.parse({ name: 'conformance', ...job })

async function completed(state: State, job: CopyJob): Promise<RunReport> {
  const report = await runJob({ policy, state, job })
  expect(report.status, JSON.stringify(report.errors)).toBe('completed')
  return report
}

// Values

function valuesOf({ make, refuses = {} }: Subject): void {
  it.each(Object.entries(SAMPLES))(
    '%s: each is held exactly, and refused only where the store says so',
    async (key, sample) => {
      const place = await make()
      const store = await open(place)
      const columns: Column[] = [ID, { name: 'v', type: sample.type, nullable: true }]
      const rows = valuesIn(sample).map((v, i): Row => [`r${i}`, v])
      const taken = await takenOf(store, place, columns, rows, (value, error) => {
        const text = shown(value, sample.type)
        expect(error, text.slice(0, 200)).toBeInstanceOf(FerryError)
        expect((error as FerryError).code, (error as FerryError).message.slice(0, 300)).toMatch(
          /^FERRY-(4001|4002|4008|3003)$/,
        )
        expect(
          !isText(value) || (refuses[key]?.(text) ?? false),
          `${key} ${text.slice(0, 200)}: ${(error as Error).message.slice(0, 300)}`,
        ).toBe(true)
      })
      if (taken.length === 0) return
      const made = store.created(columns[1]!, 'test', { object: place.object('t'), options: place.write ?? {} })
      const read = await readRows(store, place.object('t'), place.read ?? {}, [ID, { name: 'v', type: made.type }])
      const convert = converter(sample.type, made.type) ?? (v => v)
      const wanted = new Map(taken.map(row => [row[0], shown(convert(row[1]!), made.type)]))
      expect(new Map(read.map(row => [row[0], shown(row[1]!, made.type)]))).toEqual(wanted)
    },
  )
}

const valuesIn = (sample: Sample): Value[] => [
  null,
  ...sample.extremes,
  ...fc.sample(sample.any, { numRuns: 20, seed }),
]

/** Writes all rows at once, or, where some are refused, those that are not. */
async function takenOf(
  store: Store,
  place: Place,
  columns: Column[],
  rows: Row[],
  onRefused: (value: Value, error: unknown) => void,
): Promise<Row[]> {
  const write = (object: string, some: Row[]) =>
    writeRows(store, place.object(object), place.write ?? {}, columns, some)
  try {
    await write('t', rows)
    return rows
  } catch {
    const taken: Row[] = []
    for (const row of rows) {
      try {
        await write(`one${row[0]}`, [row])
        taken.push(row)
      } catch (error) {
        onRefused(row[1]!, error)
      }
    }
    if (taken.length > 0) await write('t', taken)
    return taken
  }
}

// Writing

const COLUMNS: Column[] = [ID, { name: 'n', type: parseType('int64')!, nullable: true }]

/** A source of rows `r0` to `r(count - 1)`, and what is to be at the destination. */
function source(count: number) {
  const { db, endpoint } = database()
  db.exec('CREATE TABLE t (id TEXT PRIMARY KEY, n INTEGER)')
  const put = db.prepare('INSERT OR REPLACE INTO t VALUES (?, ?)')
  const add = (from: number, to: number, n = 0) => {
    for (let i = from; i < to; i++) put.run(`r${i}`, i + n)
  }
  add(0, count)
  return { db, endpoint, add }
}

async function found(place: Place, name = 'copy', columns = COLUMNS): Promise<string[]> {
  const store = await open(place)
  const object = place.object(name)
  if (!(await store.describe({ object, options: place.read ?? {} }))) return []
  const rows = await readRows(store, object, place.read ?? {}, columns)
  return rows.map(row => row.map((v, i) => shown(v, columns[i]!.type)).join(' ')).sort()
}

const numbered = (from: number, to: number, n = 0) =>
  Array.from({ length: to - from }, (_, i) => `r${from + i} ${from + i + n}`).sort()

function writing({ make, evolves, isWhole, isLocked }: Subject, update: Abilities['update'][number]): void {
  const into = (place: Place, from: object, more: { table?: object; job?: object } = {}) =>
    jobOf({
      source: from,
      destination: place.endpoint,
      update,
      write: place.write ?? {},
      tables: [{ from: 't', to: place.object('copy'), keys: ['id'], ...more.table }],
      ...more.job,
    })

  it('takes rows, and those of a second run as its method says', async () => {
    const place = await make()
    const state = await newState()
    const { db, endpoint, add } = source(50)
    const job = into(place, endpoint)
    expect(await completed(state, job)).toMatchObject({ rowsCopied: 50 })
    expect(await found(place)).toEqual(numbered(0, 50))
    db.exec('DELETE FROM t')
    if (update === 'append') add(50, 80)
    else add(30, 80, 1000)
    if (update === 'append' && isWhole) {
      expect(await runJob({ policy, state, job })).toMatchObject({ status: 'failed', errors: [{ code: 'FERRY-3006' }] })
      expect(await found(place)).toEqual(numbered(0, 50))
      return
    }
    await completed(state, job)
    const kept = update === 'append' ? numbered(0, 80) : numbered(30, 80, 1000)
    expect(await found(place)).toEqual([...(update === 'merge' ? numbered(0, 30) : []), ...kept].sort())
  })

  it('takes an empty table', async () => {
    const place = await make()
    const state = await newState()
    expect(await completed(state, into(place, source(0).endpoint))).toMatchObject({ rowsCopied: 0 })
    expect(await found(place)).toEqual([])
  })

  it('takes wide and long rows', async () => {
    const place = await make()
    const { db, endpoint } = database()
    const names = Array.from({ length: 200 }, (_, i) => `c${i}`)
    db.exec(`CREATE TABLE t (id TEXT PRIMARY KEY, long TEXT, ${names.map(n => `${n} INTEGER`).join(', ')})`)
    const long = 'é"\\,\n'.repeat(100_000)
    db.prepare(`INSERT INTO t VALUES ('a', ?, ${names.map((_, i) => i).join(', ')})`).run(long)
    await completed(await newState(), into(place, endpoint))
    const columns = [ID, { ...ID, name: 'long' }, ...names.map(name => ({ ...COLUMNS[1]!, name }))]
    const [row] = await readRows(await open(place), place.object('copy'), place.read ?? {}, columns)
    expect(row).toEqual(['a', long, ...names.map((_, i) => i)])
  })

  it('goes on where it was stopped: each row is there once', async () => {
    const place = await make()
    const state = await newState()
    const { endpoint } = source(6000)
    const job = into(place, endpoint, { job: { splitSize: '20kB', limits: { rowsPerSecond: 3000, parallel: 1 } } })
    const stop = new AbortController()
    const running = runJob({ policy, state, job, signal: stop.signal })
    await until(
      async () => (await state.db.selectFrom('split').select('id').where('rows', '>', 0).execute()).length > 0,
    )
    stop.abort()
    expect((await running).status).toBe('paused')
    const after = await runJob({ policy, state, job: into(place, endpoint, { job: { splitSize: '20kB' } }) })
    expect(after, JSON.stringify(after.errors)).toMatchObject({ status: 'completed', resumed: true })
    expect(await found(place)).toEqual(numbered(0, 6000))
  })

  it.skipIf(isLocked)('lets a process that has lost its run write nothing more', async () => {
    const place = await make()
    const store = await open(place)
    const lost = { is: false }
    const late = async () => {
      if (lost.is) throw new FerryError('FERRY-5004', 'the run was taken over by another process')
    }
    const identity = (epoch: number, holds: () => Promise<void>): RunIdentity => ({
      run: '20260101T000000.000-abcd',
      job: 'conformance',
      epoch,
      holds,
      confirm: holds,
    })
    const object = place.object('copy')
    const request = {
      object,
      options: place.write ?? {},
      ordinal: 0,
      columns: mappingInto(store, object, place.write ?? {}, COLUMNS),
      keys: ['id'],
      update,
      truncate: false,
      before: [],
      after: [],
      skipBadRows: false,
    }
    const session = async (epoch: number, holds: () => Promise<void>) => {
      const sink = await store.sink(identity(epoch, holds))
      onTestFinished(() => sink.close().catch(() => undefined))
      const table = await sink.table(request)
      const { splits } = await table.prepare({ splits: new Map(), published: false })
      expect(splits.size).toBe(0)
      const writer = await table.open({ id: 0, label: 'all', spec: '' }, { encoding: 'rows' })
      return { table, writer }
    }
    const write = async ({ writer }: Awaited<ReturnType<typeof session>>, rows: Row[]) => {
      await writer.write({ kind: 'rows', rows, bytes: 100 })
      await writer.commit(undefined, { rows: rows.length, bytes: 100 })
    }
    const former = await session(1, late)
    lost.is = true
    const next = await session(2, async () => {})
    await expect(write(former, [['late', 1]]).then(() => former.table.publish())).rejects.toBeInstanceOf(FerryError)
    await former.writer.abort().catch(() => undefined)
    await write(next, [['r0', 0]])
    await next.table.publish()
    await next.table.forget()
    expect(await found(place)).toEqual(['r0 0'])
  })

  it('leaves out rows that do not fit, where it may', async () => {
    const place = await make()
    const { db, endpoint } = source(20)
    db.exec(`UPDATE t SET n = 'none' WHERE id = 'r7'`)
    const table = { columns: { id: { to: 'id', type: 'utf8' }, n: { to: 'n', type: 'int64' } }, narrowing: 'check' }
    const report = await completed(await newState(), into(place, endpoint, { table, job: { onRowError: 'skip' } }))
    expect(report).toMatchObject({ rowsCopied: 19, rowsSkipped: 1 })
    expect(await found(place)).toEqual(numbered(0, 20).filter(row => !row.startsWith('r7 ')))
  })

  it.runIf(evolves && update !== 'overwrite')('gets columns that come later', async () => {
    const place = await make()
    const state = await newState()
    const { db, endpoint } = source(10)
    const job = into(place, endpoint, { job: { drift: 'evolve' } })
    await completed(state, job)
    db.exec('DELETE FROM t; ALTER TABLE t ADD COLUMN later INTEGER')
    for (let i = 10; i < 20; i++) db.exec(`INSERT INTO t VALUES ('r${i}', ${i}, ${i * 10})`)
    await completed(state, job)
    const columns = [...COLUMNS, { ...COLUMNS[1]!, name: 'later' }]
    const rows = await found(place, 'copy', columns)
    expect(rows).toContain('r15 15 150')
    expect(rows).toContain('r3 3 null')
  })
}

// Reading

function reading({ abilities, make }: Subject): void {
  const filled = async (place: Place, state: State, from: object, update = 'append') =>
    completed(
      state,
      jobOf({
        name: 'fill',
        source: from,
        destination: place.endpoint,
        update,
        write: place.write ?? {},
        tables: [{ from: 't', to: place.object('copy') }],
      }),
    )

  it('gives what it was given, and both sides are equal by their checksums', async () => {
    const place = await make()
    const state = await newState()
    const given = source(3000)
    await filled(place, state, given.endpoint, abilities.update[0])
    const back = database()
    const job = jobOf({
      source: place.endpoint,
      destination: back.endpoint,
      update: 'overwrite',
      read: place.read ?? {},
      tables: [{ from: place.object('copy'), to: 'back', columns: { id: 'id', n: 'n' } }],
    })
    await completed(state, job)
    const rows = back.db.prepare('SELECT id, n FROM back').all()
    expect(rows.map(r => `${r.id} ${r.n}`).sort()).toEqual(numbered(0, 3000))
    const [equal] = await verifyJob(job, state, policy, { most: 10 })
    expect(equal).toMatchObject({ sourceRows: 3000, destinationRows: 3000, equal: true })
    back.db.exec(`UPDATE back SET n = -1 WHERE id = 'r77'`)
    const [differs] = await verifyJob(job, state, policy, { most: 10 })
    expect(differs!.equal).toBe(false)
  })

  it('tells what is new since the last copy', async () => {
    const place = await make()
    const state = await newState()
    const { db, endpoint, add } = source(100)
    await filled(place, state, endpoint, abilities.writesApart ? 'overwrite' : 'append')
    const back = database()
    const tracked = abilities.knowsNew ? {} : { incrementalColumn: 'n' }
    const job = jobOf({
      source: place.endpoint,
      destination: back.endpoint,
      mode: 'incremental',
      update: 'append',
      read: place.read ?? {},
      tables: [
        {
          from: place.all ?? place.object('copy'),
          to: 'back',
          columns: { id: 'id', n: 'n' },
          ...tracked,
        },
      ],
    })
    expect(await completed(state, job)).toMatchObject({ rowsCopied: 100 })
    expect(await completed(state, job)).toMatchObject({ rowsCopied: 0 })
    db.exec('DELETE FROM t')
    add(100, 130)
    if (abilities.arrivals) {
      const more = jobOf({
        name: 'more',
        source: endpoint,
        destination: place.endpoint,
        update: 'overwrite',
        write: place.write ?? {},
        tables: [{ from: 't', to: place.object('more') }],
      })
      await completed(state, more)
    } else await filled(place, state, endpoint)
    expect(await completed(state, job)).toMatchObject({ rowsCopied: 30 })
    expect(back.db.prepare('SELECT count(*) AS n, count(DISTINCT id) AS ids FROM back').get()).toMatchObject({
      n: 130,
      ids: 130,
    })
  })
}
