/**
 * Faults that users have seen, each a numbered file: what they saw, the input, and what is right. Each is tried with every
 * destination that it names; what arrives is read by that store's own means, as texts.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'
import { parseRecords } from '../../ferry/src/batch/csv.ts'
import { FERRY_CSV } from '../../ferry/src/batch/encoding.ts'
import { members } from '../../ferry/src/batch/json.ts'
import { Duckdb } from '../../ferry/src/duckdb/engine.ts'
import { asFerryError } from '../../ferry/src/errors.ts'
import { jobSchema } from '../../ferry/src/job/schema.ts'
import { runJob } from '../../ferry/src/runtime/run.ts'
import { verifyJob } from '../../ferry/src/runtime/verify.ts'
import { openState } from '../../ferry/src/state/database.ts'
import { makeDatabase, policy, temporaryFolder } from '../support.ts'

const DESTINATIONS = ['postgres', 'sqlite', 'duckdb', 'csv', 'jsonl', 'parquet'] as const
type Destination = (typeof DESTINATIONS)[number]

const faultSchema = z.strictObject({
  saw: z.string().describe('What a user saw, in one line'),
  /** Files by their names, as text, as bytes in hex, or as lines repeated. */
  files: z
    .record(
      z.string(),
      z.union([
        z.string(),
        z.strictObject({ hex: z.string() }),
        z.strictObject({ lines: z.array(z.strictObject({ line: z.string(), times: z.number() })) }),
      ]),
    )
    .optional(),
  /** Statements that fill a source of a kind. */
  sqlite: z.array(z.string()).optional(),
  postgres: z.array(z.string()).optional(),
  from: z.string(),
  to: z.array(z.enum(DESTINATIONS)).default([...DESTINATIONS]),
  /** Statements that prepare a destination, by its kind. */
  prepare: z.partialRecord(z.enum(DESTINATIONS), z.array(z.string())).optional(),
  job: z.record(z.string(), z.unknown()).default({}),
  /** The rows that are right, as texts; or how many there are. */
  rows: z.array(z.array(z.union([z.string(), z.null()]))).optional(),
  count: z.number().optional(),
  columns: z.array(z.string()).optional(),
  /** Whether `verify` is right to find a difference. */
  differs: z.boolean().default(false),
  /** Or that the copy is refused, with its code, and what the message says. */
  refused: z.strictObject({ code: z.string(), says: z.string().optional() }).optional(),
  /** What `copy` tells of its guesses. */
  guesses: z.string().optional(),
})

const folder = import.meta.dirname
const faults = readdirSync(folder)
  .filter(name => name.endsWith('.yaml'))
  .sort()
  .map(name => ({ name, fault: faultSchema.parse(parse(readFileSync(join(folder, name), 'utf8'))) }))

describe('faults that users have seen', () => {
  for (const { name, fault } of faults) {
    for (const to of fault.to) {
      it(`${name.replace('.yaml', '')}, into ${to}: ${fault.saw}`, async () => {
        const place = temporaryFolder()
        const source = await makeSource(fault, place)
        const destination = await makeDestination(to, place)
        for (const statement of fault.prepare?.[to] ?? []) await destination.run(statement)
        const job = jobSchema.parse({
          name: 'fault',
          source,
          destination: destination.endpoint,
          update: destination.update,
          ...fault.job,
          tables: [{ from: fault.from, to: destination.object }],
        })
        const state = await openState({ FERRY_HOME: join(place, 'home') })
        try {
          const report = await runJob({ policy, state, job }).catch(error => asFerryError(error))
          const error = report instanceof Error ? report : report.errors[0]
          if (fault.refused) {
            expect(error, 'it is refused').toMatchObject({ code: fault.refused.code })
            if (fault.refused.says) expect(error!.message).toMatch(new RegExp(fault.refused.says))
            return
          }
          expect(error).toBeUndefined()
          const { columns, rows } = await destination.read()
          if (fault.columns) expect(columns).toEqual(fault.columns)
          // Splits arrive in no order.
          const sorted = (some: unknown[]) => some.map(r => JSON.stringify(r)).sort()
          if (fault.rows) expect(sorted(rows)).toEqual(sorted(fault.rows))
          if (fault.count !== undefined) expect(rows).toHaveLength(fault.count)
          if (fault.guesses) {
            const told = report instanceof Error ? [] : report.executionDetails.flatMap(t => t.guesses ?? [])
            expect(told.join('; ')).toMatch(new RegExp(fault.guesses))
          }
          for (const v of await verifyJob(job, state, policy, { most: 5 }))
            expect(v, 'verify').toMatchObject({ differs: fault.differs })
        } finally {
          await state.close()
        }
      })
    }
  }

  it('each says what a user saw, and has a number of its own', () => {
    const numbers = faults.map(({ name }) => name.slice(0, 3))
    expect(new Set(numbers).size).toBe(numbers.length)
    for (const { name } of faults) expect(name).toMatch(/^\d{3}-[a-z0-9-]+\.yaml$/)
  })
})

type Fault = z.output<typeof faultSchema>

async function makeSource(fault: Fault, place: string): Promise<Record<string, unknown>> {
  if (fault.sqlite) {
    const path = join(place, 'source.db')
    const db = new DatabaseSync(path)
    for (const statement of fault.sqlite) db.exec(statement)
    db.close()
    return { kind: 'sqlite', path }
  }
  if (fault.postgres) {
    const { client, settings } = await makeDatabase()
    for (const statement of fault.postgres) await client.query(statement)
    return { kind: 'postgres', ...settings }
  }
  const files = join(place, 'in')
  for (const [name, content] of Object.entries(fault.files ?? {})) {
    mkdirSync(dirname(join(files, name)), { recursive: true })
    const bytes =
      typeof content === 'string'
        ? content
        : 'hex' in content
          ? Buffer.from(content.hex.replace(/\s/g, ''), 'hex')
          : content.lines.map(({ line, times }) => `${line}\n`.repeat(times)).join('')
    writeFileSync(join(files, name), bytes)
  }
  return { kind: 'files', folder: files }
}

interface Made {
  endpoint: Record<string, unknown>
  object: string
  update: string
  run(sql: string): Promise<unknown>
  read(): Promise<{ columns: string[]; rows: (string | null)[][] }>
}

async function makeDestination(kind: Destination, place: string): Promise<Made> {
  const out = join(place, 'out')
  mkdirSync(out)
  const file = { endpoint: { kind: 'files', folder: out }, update: 'overwrite', run: async () => {} }
  switch (kind) {
    case 'postgres': {
      const { client, settings } = await makeDatabase()
      return {
        endpoint: { kind: 'postgres', ...settings },
        object: 'public.t',
        update: 'append',
        run: sql => client.query(sql),
        read: async () => {
          const { fields } = await client.query('SELECT * FROM t LIMIT 0')
          const list = fields.map(f => `"${f.name.replaceAll('"', '""')}"::text`).join(', ')
          const found = await client.query({ text: `SELECT ${list} FROM t ORDER BY ctid`, rowMode: 'array' })
          return { columns: fields.map(f => f.name), rows: found.rows }
        },
      }
    }
    case 'sqlite': {
      const path = join(out, 't.db')
      const on = <T>(work: (db: DatabaseSync) => T): T => {
        const db = new DatabaseSync(path)
        try {
          return work(db)
        } finally {
          db.close()
        }
      }
      return {
        endpoint: { kind: 'sqlite', path },
        object: 't',
        update: 'append',
        run: async sql => on(db => db.exec(sql)),
        read: async () =>
          on(db => {
            const statement = db.prepare('SELECT * FROM t ORDER BY rowid')
            statement.setReadBigInts(true)
            const columns = statement.columns().map(c => c.name)
            const text = (v: unknown) =>
              v === null ? null : v instanceof Uint8Array ? Buffer.from(v).toString('hex') : String(v)
            return { columns, rows: statement.all().map(row => columns.map(c => text(row[c]))) }
          }),
      }
    }
    case 'duckdb': {
      const path = join(out, 't.duckdb')
      return {
        endpoint: { kind: 'duckdb', path },
        object: 't',
        update: 'append',
        ...duckdb(path, 't', ' ORDER BY rowid'),
      }
    }
    case 'parquet':
      return { ...duckdb(':memory:', `read_parquet('${join(out, 't.parquet')}')`, ''), ...file, object: 't.parquet' }
    case 'csv':
      return {
        ...file,
        object: 't.csv',
        read: async () => {
          const [first, ...rest] = [...parseRecords(readFileSync(join(out, 't.csv'), 'utf8'), FERRY_CSV, 1)]
          return { columns: first!.fields.map(String), rows: rest.map(r => r.fields) }
        },
      }
    case 'jsonl':
      return {
        ...file,
        object: 't.jsonl',
        read: async () => {
          const lines = readFileSync(join(out, 't.jsonl'), 'utf8').split('\n').filter(Boolean)
          const rows = lines.map(line => members(line))
          const plain = (text: string) => (text === 'null' ? null : text.startsWith('"') ? JSON.parse(text) : text)
          return { columns: rows[0]?.map(([k]) => k) ?? [], rows: rows.map(r => r.map(([, v]) => plain(v))) }
        },
      }
  }
}

function duckdb(path: string, from: string, order: string): Pick<Made, 'run' | 'read'> {
  const on = async <T>(work: (db: Duckdb) => Promise<T>): Promise<T> => {
    const db = await Duckdb.open(policy, path)
    try {
      return await work(db)
    } finally {
      await db.close()
    }
  }
  return {
    run: sql => on(db => db.run(sql)),
    read: () =>
      on(async db => {
        const result = await db.run(`SELECT CAST(COLUMNS(*) AS VARCHAR) FROM ${from}${order}`)
        return { columns: result.columnNames(), rows: (await result.getRowsJS()) as (string | null)[][] }
      }),
  }
}
