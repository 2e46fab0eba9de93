/** What tests share: folders, databases, the command line, stores opened and filled directly. */

import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import pg from 'pg'
import { inject, onTestFinished } from 'vitest'
import { connect as connectMysql, query as mysqlQuery } from '../ferry/src/connectors/mysql/client.ts'
import { readSettings as mysqlSettings } from '../ferry/src/connectors/mysql/settings.ts'
import { jobSchema } from '../ferry/src/job/schema.ts'
import { Policy } from '../ferry/src/policy.ts'
import type { RunReport } from '../ferry/src/runtime/report.ts'
import { runJob } from '../ferry/src/runtime/run.ts'
import { openState, type State } from '../ferry/src/state/database.ts'

export const root = join(import.meta.dirname, '..')
/** The command that tests start: what `test/servers/setup.ts` has installed. */
export const program = process.env.TEST_PROGRAM ?? join(root, 'ferry', 'bin', 'ferry.js')

/** What tests may use: all of this machine. */
export const policy = Policy.from(process.env)

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
export async function copy(job: Record<string, unknown>, allowed = policy): Promise<RunReport> {
  const state = await openState({ FERRY_HOME: temporaryFolder() })
  try {
    return await runJob({ policy: allowed, state, job: jobSchema.parse({ name: 'test', ...job }) })
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
