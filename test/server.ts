/** A server as a user starts it: a process of its own, spoken to over HTTP. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, onTestFinished } from 'vitest'
import { program, temporaryFolder, until } from './support.ts'

export interface TestServer {
  url: string
  token: string
  home: string
  pid: number
  /** What it has logged so far. */
  log: () => string
  /** Calls the API; a body that is a text is YAML. */
  call: <T = unknown>(
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ) => Promise<Answer<T>>
  /** Waits until the newest run of a job, or a run, is in one of these states. */
  waitFor: (job: string, ...states: string[]) => Promise<Record<string, unknown>>
  kill: (signal: NodeJS.Signals) => void
  gone: Promise<number | null>
}

export interface Answer<T> {
  status: number
  body: T
  headers: Headers
}

export const TOKEN = 'a-token-for-tests'

export async function startServer(
  options: {
    home?: string
    folder?: string
    args?: string[]
    env?: NodeJS.ProcessEnv
    port?: number
    /** Words of a command that becomes the server in the end. */
    within?: string[]
  } = {},
): Promise<TestServer> {
  const home = options.home ?? join(temporaryFolder(), 'home')
  const folder = options.folder ?? temporaryFolder()
  const args = ['serve', '--port', String(options.port ?? 0), '--folder', folder, ...(options.args ?? [])]
  const words = [...(options.within ?? []), process.execPath, program, ...args]
  const child = spawn(words[0]!, words.slice(1), {
    cwd: folder,
    env: { ...process.env, NO_COLOR: '1', FERRY_HOME: home, FERRY_TOKEN: TOKEN, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let out = ''
  let log = ''
  child.stdout.setEncoding('utf8').on('data', text => {
    out += text
  })
  child.stderr.setEncoding('utf8').on('data', text => {
    log += text
  })
  const gone = new Promise<number | null>(resolve => child.once('exit', code => resolve(code)))
  onTestFinished(async () => {
    child.kill('SIGTERM')
    await gone
  })
  let ended = false
  gone.then(() => {
    ended = true
  })
  await until(() => ended || /listens at .*\n/.test(out), 'the server to listen')
  if (ended) throw new Error(`the server ended: ${out}${log}`)
  const url = /listens at (\S+)/.exec(out)![1]!
  const token = /#token=(\S+)/.exec(out)?.[1] ?? TOKEN
  const call: TestServer['call'] = async (method, path, body, headers = {}) => {
    const isText = typeof body === 'string'
    const response = await fetch(
      `${url}${path.startsWith('/api/') || path.startsWith('/!') ? path.replace('/!', '/') : `/api/v1${path}`}`,
      {
        method,
        headers: {
          authorization: `Bearer ${token}`,
          ...(body === undefined ? {} : { 'content-type': isText ? 'application/yaml' : 'application/json' }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: isText ? body : JSON.stringify(body) }),
      },
    )
    const text = await response.text()
    const isJson = /json/.test(response.headers.get('content-type') ?? '')
    return { status: response.status, body: (isJson ? JSON.parse(text) : text) as never, headers: response.headers }
  }
  return {
    url,
    token,
    home,
    pid: child.pid!,
    log: () => log,
    call,
    waitFor: async (job, ...states) => {
      let run: Record<string, unknown> = {}
      await until(
        async () => {
          run = (await call<Record<string, unknown>>('GET', `/runs/${encodeURIComponent(job)}`)).body
          return states.includes(String(run.state))
        },
        `${job} to be ${states.join(' or ')}`,
      )
      return run
    },
    kill: signal => child.kill(signal),
    gone,
  }
}

/** Problem details (RFC 9457). */
export interface Problem {
  code: string
  status: number
  detail: string
  hint: string
  faults?: { path: string; message: string }[]
}

/** A small SQLite database in a folder that the server may use. */
export function makeSource(folder: string, rows = 10): string {
  const path = join(folder, 'source.db')
  const db = new DatabaseSync(path)
  db.exec('CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT NOT NULL, changed INTEGER NOT NULL)')
  const insert = db.prepare('INSERT INTO items VALUES (?, ?, ?)')
  db.exec('BEGIN')
  for (let i = 1; i <= rows; i++) insert.run(i, `item ${i}`, i)
  db.exec('COMMIT')
  db.close()
  return path
}

/** A server with connections `source` and `target` and a job between them. */
export async function serverWithJob(rows = 10) {
  const folder = temporaryFolder()
  makeSource(folder, rows)
  const server = await startServer({ folder })
  await server.call('PUT', '/connections/source', { locator: `sqlite:${join(folder, 'source.db')}` })
  await server.call('PUT', '/connections/target', { locator: `duckdb:${join(folder, 'target.duckdb')}` })
  const definition = {
    name: 'job',
    source: { connection: 'source' },
    destination: { connection: 'target' },
    update: 'merge',
    tables: ['items'],
  }
  expect((await server.call('POST', '/jobs', definition)).status).toBe(201)
  return { server, folder, definition }
}

/** A server whose job has skipped the rows that a check of its destination refuses; `target` is the destination. */
export async function serverWithSkipped(rows: number, columns: string) {
  const folder = temporaryFolder()
  makeSource(folder, rows)
  const path = join(folder, 'target.db')
  const target = new DatabaseSync(path)
  onTestFinished(() => target.close())
  target.exec(`CREATE TABLE items (${columns})`)
  const server = await startServer({ folder })
  const definition = {
    name: 'job',
    source: `sqlite:${join(folder, 'source.db')}`,
    destination: `sqlite:${path}`,
    tables: ['items'],
    onRowError: 'skip',
  }
  await server.call('POST', '/jobs', definition)
  await server.call('POST', '/jobs/job/runs')
  return { server, target, run: await server.waitFor('job', 'completed') }
}
