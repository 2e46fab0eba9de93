/** What tests share: folders, databases, the command line, stores opened and filled directly. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import pg from 'pg'
import { inject, onTestFinished } from 'vitest'
import { converter, fit } from '../ferry/src/batch/convert.ts'
import type { Column, Row } from '../ferry/src/batch/types.ts'
import { typeName } from '../ferry/src/batch/types.ts'
import type { MappedColumn, Store } from '../ferry/src/connectors/connector.ts'
import { connect as connectMysql, query as mysqlQuery } from '../ferry/src/connectors/mysql/client.ts'
import { readSettings as mysqlSettings } from '../ferry/src/connectors/mysql/settings.ts'
import { jobSchema } from '../ferry/src/job/schema.ts'
import { unshared } from '../ferry/src/runtime/hold.ts'
import type { RunReport } from '../ferry/src/runtime/report.ts'
import { runJob } from '../ferry/src/runtime/run.ts'
import { openState, type State } from '../ferry/src/state/database.ts'

export const root = join(import.meta.dirname, '..')
/** The command that tests start: what `test/servers/setup.ts` has installed. */
export const program = process.env.TEST_PROGRAM ?? join(root, 'ferry', 'bin', 'ferry.js')

/** A folder that is removed when the test ends. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'ferry-test-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** Waits for a condition; fails when it does not come true in time. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what = 'a condition',
  ms = 60_000,
): Promise<void> {
  const end = Date.now() + ms
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`waited too long for: ${what}`)
    await setTimeout(10)
  }
}

/** Both kinds of state, each as the environment of a new one. */
export const STATES: Record<string, () => Promise<NodeJS.ProcessEnv>> = {
  SQLite: async () => ({ FERRY_HOME: temporaryFolder() }),
  PostgreSQL: async () => ({ FERRY_HOME: temporaryFolder(), FERRY_DATABASE_URL: (await makeDatabase()).url }),
}

/** A state, open for as long as it is worked with. */
export async function withState(environment: NodeJS.ProcessEnv, work: (state: State) => Promise<void>): Promise<void> {
  const state = await openState(environment)
  try {
    await work(state)
  } finally {
    await state.close()
  }
}

/** Runs a job in this process, in a state of its own. */
export async function copy(job: Record<string, unknown>): Promise<RunReport> {
  const state = await openState({ FERRY_HOME: temporaryFolder() })
  try {
    return await runJob({ state, job: jobSchema.parse({ name: 'test', ...job }) })
  } finally {
    await state.close()
  }
}

let databases = 0

export function postgresUrl(database = 'postgres'): string {
  return `postgres://postgres@127.0.0.1:${inject('postgresPort')}/${database}`
}

/** A new database on the tests' PostgreSQL, with a client connected to it. */
export async function makeDatabase(): Promise<{ url: string; client: pg.Client; settings: Record<string, unknown> }> {
  const name = `t${process.pid}_${Date.now().toString(36)}_${databases++}`
  const admin = new pg.Client({ connectionString: postgresUrl() })
  await admin.connect()
  await admin.query(`CREATE DATABASE ${name}`)
  await admin.end()
  const client = new pg.Client({ connectionString: postgresUrl(name) })
  client.on('error', () => {})
  await client.connect()
  onTestFinished(async () => {
    await client.end().catch(() => undefined)
    const last = new pg.Client({ connectionString: postgresUrl() })
    await last.connect()
    await last.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)
    await last.end()
  })
  const settings = { host: '127.0.0.1', port: inject('postgresPort'), user: 'postgres', database: name }
  return { url: postgresUrl(name), client, settings }
}

/** Whether the tests' MariaDB is there: `npm run test:servers` brings it. */
export const hasMariadb = () => inject('mariadbPort') > 0

/** A new database on the tests' MariaDB, with a client connected to it. */
export async function makeMariadb() {
  const name = `t${process.pid}_${Date.now().toString(36)}_${databases++}`
  const settings = { host: '127.0.0.1', port: inject('mariadbPort'), user: 'root', database: name }
  const admin = await connectMysql(mysqlSettings({ ...settings, database: undefined }))
  await mysqlQuery(admin, `CREATE DATABASE ${name}`)
  const client = await connectMysql(mysqlSettings(settings))
  onTestFinished(async () => {
    client.destroy()
    await mysqlQuery(admin, `DROP DATABASE IF EXISTS ${name}`)
    admin.destroy()
  })
  return { settings, exec: (sql: string) => mysqlQuery(client, sql), name }
}

export interface Result {
  code: number | null
  signal: NodeJS.Signals | null
  stdout: string
  stderr: string
}

export interface RunningFerry {
  pid: number
  kill: (signal: NodeJS.Signals) => void
  done: Promise<Result>
}

/** Starts the command line as a user does: a process of its own. */
export function startFerry(
  args: string[],
  options: { home: string; cwd?: string; env?: NodeJS.ProcessEnv; input?: string | Buffer; uid?: number },
): RunningFerry {
  const child = spawn(process.execPath, [program, ...args], {
    cwd: options.cwd ?? root,
    env: { ...process.env, NO_COLOR: '1', FERRY_HOME: options.home, ...options.env },
    stdio: ['pipe', 'pipe', 'pipe'],
    ...(options.uid === undefined ? {} : { uid: options.uid }),
  })
  child.stdin.end(options.input ?? '')
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', text => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', text => {
    stderr += text
  })
  const done = new Promise<Result>(resolve => {
    child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }))
  })
  return { pid: child.pid!, kill: signal => child.kill(signal), done }
}

export async function ferry(args: string[], options: Parameters<typeof startFerry>[1]): Promise<Result> {
  return startFerry(args, options).done
}

/** The mapping that writes columns into a new object of a store. */
export function mappingInto(
  store: Store,
  object: string,
  options: Record<string, unknown>,
  columns: Column[],
): MappedColumn[] {
  return columns.map(c => {
    const made = store.created(c, 'test', { object, options })
    return {
      name: c.name,
      from: c.name,
      sourceType: c.type,
      type: made.type,
      native: made.native,
      nullable: true,
      checked: fit(c.type, made.type) === 'narrower',
    }
  })
}

/** Writes rows into a new object of a store, through its sink alone. */
export async function writeRows(
  store: Store,
  object: string,
  options: Record<string, unknown>,
  columns: Column[],
  rows: Row[],
  keys: string[] = [],
): Promise<MappedColumn[]> {
  const mapped = mappingInto(store, object, options, columns)
  const session = await store.sink(unshared(`w${Date.now()}${Math.random().toString(36).slice(2, 6)}`, 'test'))
  try {
    const table = await session.table({
      object,
      options,
      ordinal: 0,
      columns: mapped,
      keys,
      update: 'overwrite',
      truncate: false,
      before: [],
      after: [],
      skipBadRows: false,
    })
    await table.prepare({ splits: new Map(), published: false })
    const writer = await table.open({ id: 0, label: 'all', spec: '' }, { encoding: 'rows' })
    try {
      const converters = mapped.map(c => converter(c.sourceType, c.type))
      const out = rows.map(row => row.map((value, i) => converters[i]?.(value) ?? value))
      await writer.write({ kind: 'rows', rows: out, bytes: 0 })
      await writer.commit(undefined, { rows: rows.length, bytes: 0 })
    } catch (error) {
      await writer.abort()
      await table.discard()
      throw error
    }
    await table.publish()
    await table.forget()
  } finally {
    await session.close()
  }
  return mapped
}

/** Options to read back what was written: text formats are told the types. */
export function readOptionsFor(
  store: Store,
  columns: { name: string; type: Column['type'] }[],
  options: Record<string, unknown>,
) {
  if (store.kind !== 'files' || options.format === 'parquet') return options
  return { ...options, types: Object.fromEntries(columns.map(c => [c.name, typeName(c.type)])) }
}

/** All rows of an object under the given types, through the store's source alone. */
export async function readRows(
  store: Store,
  object: string,
  options: Record<string, unknown>,
  columns: { name: string; type: Column['type'] }[],
): Promise<Row[]> {
  const session = await store.source()
  try {
    const table = await session.table({
      object,
      options: readOptionsFor(store, columns, options),
      columns: columns.map(c => ({
        name: c.name,
        from: c.name,
        sourceType: c.type,
        type: c.type,
        nullable: true,
        checked: false,
      })),
      splitBytes: 64_000_000,
      skipBadRows: false,
    })
    const order = columns.map(c => table.rowColumns.findIndex(r => r.name === c.name))
    const offer = { encoding: 'rows' } as const
    const rows: Row[] = []
    for (const split of await table.splits(offer)) {
      for await (const batch of table.read(split, { offer, signal: new AbortController().signal })) {
        if (batch.kind === 'rows') for (const row of batch.rows) rows.push(order.map(i => row[i]!))
      }
    }
    return rows
  } finally {
    await session.close()
  }
}
