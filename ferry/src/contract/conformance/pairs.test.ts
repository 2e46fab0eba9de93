/** Pairs of stores: each type goes from every one to every other; and what a filter or a query may be. */
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { seedOf } from '../../../../test/seed.ts'
import { hasMariadb, makeDatabase, makeMariadb, policy, temporaryFolder } from '../../../../test/support.ts'
import { converter } from '../../batch/convert.ts'
import { formatText } from '../../batch/text.ts'
import { type Column, type LogicalType, type Row, typeName, type Value } from '../../batch/types.ts'
import { loadConnector } from '../../connectors/registry.ts'
import { tablePlans } from '../../engine/keptplan.ts'
import type { FerryError } from '../../errors.ts'
import { jobSchema } from '../../job/schema.ts'
import { planJob } from '../../runtime/plan.ts'
import { runJob } from '../../runtime/run.ts'
import { openState } from '../../state/database.ts'
import type { Store } from '../store.ts'
import { readRows, shown, writeRows } from './rows.ts'
import { SAMPLES, type Sample } from './samples.ts'

const seed = seedOf('pairs of stores')

interface Place {
  store: Store
  endpoint: Record<string, unknown>
  object: (name: string) => string
  options: Record<string, unknown>
}

/** The stores under test, each made anew for a test. */
const STORES: Record<string, () => Promise<Place>> = {
  postgres: async () => {
    const { settings } = await makeDatabase()
    const store = (await loadConnector('postgres')).open(settings, policy)
    return { store, endpoint: { kind: 'postgres', ...settings }, object: name => `public.${name}`, options: {} }
  },
  mariadb: async () => {
    const { settings } = await makeMariadb()
    const store = (await loadConnector('mysql')).open(settings, policy)
    return { store, endpoint: { kind: 'mysql', ...settings }, object: name => name, options: {} }
  },
  sqlite: async () => fileStore('sqlite', 'store.db'),
  duckdb: async () => fileStore('duckdb', 'store.duckdb'),
  csv: async () => filesStore('csv', 'csv'),
  'csv.gz': async () => filesStore('csv', 'csv.gz'),
  jsonl: async () => filesStore('jsonl', 'jsonl'),
  'jsonl.zst': async () => filesStore('jsonl', 'jsonl.zst'),
  json: async () => filesStore('json', 'json'),
  parquet: async () => filesStore('parquet', 'parquet'),
}

async function fileStore(kind: string, file: string): Promise<Place> {
  const settings = { path: join(temporaryFolder(), file) }
  const store = (await loadConnector(kind)).open(settings, policy)
  return { store, endpoint: { kind, ...settings }, object: name => name, options: {} }
}

async function filesStore(format: string, ending: string): Promise<Place> {
  const settings = { folder: temporaryFolder() }
  const store = (await loadConnector('files')).open(settings, policy)
  return { store, endpoint: { kind: 'files', ...settings }, object: name => `${name}.${ending}`, options: { format } }
}

/** What a value looks like in the type that the store gives the column; undefined where it has none there. */
function carried(value: Value, from: LogicalType, to: LogicalType): Value | undefined {
  try {
    return (converter(from, to) ?? (v => v))(value)
  } catch {
    return undefined
  }
}

/** With `FERRY_SERVERS` set, what needs these servers; else all the others. */
const servers = process.env.FERRY_SERVERS?.split(',') ?? []
const isHere = (name: string) => name !== 'mariadb' || hasMariadb()
const isDue = (...names: string[]) => servers.length === 0 || names.some(name => servers.includes(name))

describe.each(Object.keys(STORES).filter(name => isDue(name)))('%s', name => {
  it.runIf(!isHere(name)).skip('is there: npm run test:servers brings it', () => {})
  if (!isHere(name)) return

  it('tells in the plan that a filter is none, is more than one statement, or has a parameter', async () => {
    const place = await STORES[name]!()
    const columns: Column[] = [{ name: 'id', type: { kind: 'int', bits: 32, signed: true }, nullable: false }]
    await writeRows(place.store, place.object('t'), place.options, columns, [[1], [2]])
    const isSql = place.store.kind !== 'files'
    const problemsOf = async (table: object, more: object = {}) => {
      const job = jobSchema.parse({
        name: 'j',
        source: place.endpoint,
        destination: { kind: 'sqlite', path: join(temporaryFolder(), 'to.db') },
        read: place.options,
        tables: [{ to: 'copy', ...table }],
        ...more,
      })
      return (await planJob(job, undefined, policy)).problems.map(p => p.error)
    }
    const refused = (errors: FerryError[], setting: string, words: string) => {
      expect(
        errors.map(e => e.code),
        words,
      ).toEqual([expect.stringMatching(/^FERRY-30(01|02|06|14|16)$/)])
      if (isSql)
        expect(
          errors[0]!.faults.map(f => f.path),
          words,
        ).toEqual([`tables.0.${setting}`])
    }
    const from = place.object('t')
    const bad = [
      ...['no_such = 1', 'id = ', 'id = ?', 'id = $1', '1 = 1); SELECT (1', '1 = 1); nonsense', ') OR ('],
      // What closes a parenthesis that it has not opened would end Ferry's own conditions.
      ...['1 = 1) OR (1 = 1', '1 = 1) -- ', 'id > 0 /*', '1 = 1 ORDER BY id', '1 = 1; nonsense'],
    ]
    for (const where of bad) {
      refused(await problemsOf({ from, where }), 'where', where)
      if (!isSql) continue
      const incremental = { mode: 'incremental', update: 'append' }
      refused(await problemsOf({ from, where, incrementalColumn: 'id' }, incremental), 'where', where)
    }
    if (!isSql) return
    for (const query of [
      ...[
        'SELECT',
        'SELECT no_such FROM t',
        'SELECT * FROM t WHERE id = ?',
        'SELECT ? AS a',
        'SELECT * FROM t; SELECT 1',
      ],
      'SELECT 1 AS a) AS x, (SELECT 2 AS b',
      ...[' ', ';', '-- nothing', '/* open'],
    ]) {
      const [error] = await problemsOf({ query })
      expect(error?.code, query).toMatch(/^FERRY-30(01|02|06|14|16)$/)
    }
    // A comment at the end of either ends with it.
    const commented = { query: `SELECT * FROM ${from} -- all`, where: 'id > 1 -- all but the first' }
    for (const [table, job] of [
      [commented, {}],
      [{ from, where: commented.where }, {}],
      [{ ...commented, incrementalColumn: 'id' }, { mode: 'incremental' }],
    ] as const) {
      expect(await problemsOf(table, job)).toEqual([])
    }
    const state = await openState({ FERRY_HOME: temporaryFolder() })
    const path = join(temporaryFolder(), 'to.db')
    const job = jobSchema.parse({
      name: 'j',
      source: place.endpoint,
      destination: { kind: 'sqlite', path },
      tables: [{ ...commented, to: 'copy' }],
    })
    const report = await runJob({ policy, state, job })
    expect(report).toMatchObject({ status: 'completed', rowsCopied: 1 })
    await state.close()
    await place.store.close()
  })
})

describe('every pair of stores', () => {
  const pairs = Object.keys(STORES)
    .flatMap(a => Object.keys(STORES).map(b => [a, b] as const))
    .filter(pair => pair.every(isHere) && isDue(...pair))

  it.each(pairs)('%s -> %s carries every type', async (a, b) => {
    const from = await STORES[a]!()
    const to = await STORES[b]!()
    const columns: Column[] = [{ name: 'id', type: { kind: 'int', bits: 32, signed: true }, nullable: false }]
    const pools: Value[][] = [[]]
    for (const [name, sample] of Object.entries(SAMPLES)) {
      columns.push({ name, type: sample.type, nullable: true })
      pools.push(plainValues(sample))
    }
    const rows: Row[] = Array.from({ length: 24 }, (_, i) =>
      columns.map((_, at) => (at === 0 ? i : (pools[at]![i % pools[at]!.length] ?? null))),
    )
    const written = await writeRows(from.store, from.object('t'), from.options, columns, rows)
    const state = await openState({ FERRY_HOME: temporaryFolder() })
    const types =
      from.store.kind === 'files' && from.options.format !== 'parquet'
        ? { types: Object.fromEntries(written.map(c => [c.name, typeName(c.type)])) }
        : {}
    const job = jobSchema.parse({
      name: `${a}-to-${b}`,
      source: from.endpoint,
      destination: to.endpoint,
      update: 'overwrite',
      read: { ...from.options, ...types },
      write: to.options,
      tables: [{ from: from.object('t'), to: to.object('copy') }],
    })
    const report = await runJob({ policy, state, job })
    expect(report.errors).toEqual([])
    expect(report).toMatchObject({ status: 'completed', rowsRead: 24, rowsCopied: 24 })
    const plan = tablePlans.read((await state.db.selectFrom('run_table').select('plan').executeTakeFirstOrThrow()).plan)
    const made: { name: string; type: LogicalType }[] = plan.write.columns
    const read = await readRows(to.store, to.object('copy'), to.options, made)
    const text = (row: Row, types: LogicalType[]) => row.map((v, i) => shown(v, types[i]!))
    const wanted = rows.map(row =>
      text(
        row.map((v, i) => carried(carried(v, columns[i]!.type, written[i]!.type)!, written[i]!.type, made[i]!.type)!),
        made.map(c => c.type),
      ),
    )
    const found = [...read]
      .sort((x, y) => Number(x[0]) - Number(y[0]))
      .map(row =>
        text(
          row,
          made.map(c => c.type),
        ),
      )
    expect(found).toEqual(wanted)
    await state.close()
    await from.store.close()
    await to.store.close()
  })
})

/** Values that every store holds. */
function plainValues(sample: Sample): Value[] {
  const odd = (v: Value): boolean =>
    (typeof v === 'number' && (!Number.isFinite(v) || Object.is(v, -0))) ||
    (typeof v === 'string' && (/[\0\ud800]/.test(v) || v === 'NaN' || v.length > 10_000 || v === '1e400')) ||
    (typeof v === 'bigint' && v > 2n ** 63n - 1n) ||
    (['date', 'timestamp'].includes(sample.type.kind) && !/^\d{4}-[^B]*$/.test(formatText(v!, sample.type))) ||
    (sample.type.kind === 'numeric' && !/^-?\d{1,35}(\.\d{1,30})?$/.test(v as string)) ||
    (sample.type.kind === 'timestamp' && sample.type.unit === 'ns' && BigInt(v as number) % 1000n !== 0n) ||
    (Array.isArray(v) &&
      JSON.stringify(v, (_, x) => (typeof x === 'bigint' ? String(x) : Object.is(x, -0) ? 'odd' : x)).includes('odd'))
  return [...sample.extremes, ...fc.sample(sample.any, { numRuns: 10, seed })].filter(v => !odd(v))
}
