/** A real MariaDB for tests and benchmarks, from Debian's packages. As root it runs as another user. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { chmodSync, chownSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import mysql from 'mysql2'
import { freePort, type Server } from './postgres.ts'

const NOBODY = 65534
const asRoot = process.getuid?.() === 0
// Debian keeps servers where not everybody looks for programs.
const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` }
const user = asRoot ? { uid: NOBODY, gid: NOBODY, env } : { env }

/** Whether this machine has one. */
export function hasMariadb(): boolean {
  return spawnSync('mariadbd', ['--version'], { stdio: 'ignore', env }).status === 0
}

/** Starts a server with a new, empty data folder: `root` without a password. */
export async function startMariadb(settings: Record<string, string> = {}): Promise<Server> {
  const folder = mkdtempSync(join(tmpdir(), 'ferry-mariadb-'))
  chmodSync(folder, 0o755)
  if (asRoot) chownSync(folder, NOBODY, NOBODY)
  const data = join(folder, 'data')
  // A server that starts removes what others have in a folder of temporary tables that they share.
  const temporary = mkdtempSync(join(folder, 'tmp-'))
  if (asRoot) chownSync(temporary, NOBODY, NOBODY)
  const made = spawnSync(
    'mariadb-install-db',
    [
      '--no-defaults',
      `--datadir=${data}`,
      `--tmpdir=${temporary}`,
      '--auth-root-authentication-method=normal',
      '--skip-test-db',
    ],
    { ...user, encoding: 'utf8' },
  )
  if (made.status !== 0) throw new Error(`mariadb-install-db failed: ${made.stdout}${made.stderr}${made.error ?? ''}`)
  const port = await freePort()
  const options = {
    datadir: data,
    tmpdir: temporary,
    socket: join(folder, 'socket'),
    'pid-file': join(folder, 'pid'),
    'bind-address': '127.0.0.1',
    port: String(port),
    'server-id': '1',
    'log-bin': 'binlog',
    'binlog-format': 'ROW',
    'binlog-row-metadata': 'FULL',
    'character-set-server': 'utf8mb4',
    'max-connections': '300',
    'innodb-buffer-pool-size': '256M',
    'innodb-log-file-size': '256M',
    'log-error': join(folder, 'log'),
    ...settings,
  }
  let child: ChildProcess
  const start = async () => {
    const args = ['--no-defaults', ...Object.entries(options).map(([name, value]) => `--${name}=${value}`)]
    child = spawn('mariadbd', args, { ...user, stdio: 'ignore', detached: true })
    child.unref()
    await ready(port)
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
    url: (database = '') => `mysql://root@127.0.0.1:${port}/${database}`,
    restart: async how => {
      await stop(how === 'fast' ? 'SIGTERM' : 'SIGKILL')
      await start()
    },
    stop: async () => {
      await stop('SIGTERM')
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function ready(port: number): Promise<void> {
  const until = Date.now() + 60_000
  for (;;) {
    const connection = mysql.createConnection({ host: '127.0.0.1', port, user: 'root' })
    connection.on('error', () => {})
    const error = await new Promise<Error | null>(resolve => connection.connect(resolve))
    connection.destroy()
    if (!error) return
    if (Date.now() > until) throw error
    await setTimeout(50)
  }
}
