/** OpenSSH's server, from Debian's packages, with keys of its own. */
import { spawn, spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { until } from '../support.ts'
import { freePort } from './postgres.ts'

const SSHD = '/usr/sbin/sshd'

export interface SftpServer {
  port: number
  user: string
  privateKey: string
  /** The server's key, as its .pub file has it. */
  hostKey: string
  /** An empty folder: the settings of a connection. */
  folder(): { kind: string; host: string; port: number } & Record<string, unknown>
  stop(): Promise<void>
}

export async function startSftp(): Promise<SftpServer> {
  const folder = mkdtempSync(join(tmpdir(), 'ferry-sftp-'))
  chmodSync(folder, 0o755)
  const key = (name: string) => {
    const path = join(folder, name)
    spawnSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', path])
    return path
  }
  const host = key('host')
  const own = key('own')
  writeFileSync(join(folder, 'authorized'), readFileSync(`${own}.pub`), { mode: 0o600 })
  const port = await freePort()
  // Root's server separates what it may do in a folder that the package's own script makes.
  if (process.getuid?.() === 0) mkdirSync('/run/sshd', { recursive: true })
  const config = join(folder, 'config')
  const lines = {
    Port: port,
    ListenAddress: '127.0.0.1',
    HostKey: host,
    PidFile: 'none',
    AuthorizedKeysFile: join(folder, 'authorized'),
    PasswordAuthentication: 'no',
    PermitRootLogin: 'prohibit-password',
    StrictModes: 'no',
    UsePAM: 'no',
    MaxStartups: '100:30:200',
    Subsystem: 'sftp internal-sftp',
  }
  writeFileSync(
    config,
    Object.entries(lines)
      .map(([name, value]) => `${name} ${value}\n`)
      .join(''),
  )
  const child = spawn(SSHD, ['-D', '-e', '-f', config], { stdio: ['ignore', 'ignore', 'pipe'] })
  let log = ''
  child.stderr.on('data', text => {
    log += text
  })
  await until(() => isOpen(port), 'sshd to listen').catch(error => {
    throw new Error(`${error.message}: ${log}`)
  })
  const { username } = userInfo()
  let made = 0
  return {
    port,
    user: username,
    privateKey: readFileSync(own, 'utf8'),
    hostKey: readFileSync(`${host}.pub`, 'utf8').trim(),
    folder: () => {
      const path = join(folder, `f${made++}`)
      mkdirSync(path)
      return {
        kind: 'sftp',
        host: '127.0.0.1',
        port,
        user: username,
        privateKey: readFileSync(own, 'utf8'),
        hostKey: readFileSync(`${host}.pub`, 'utf8').trim(),
        // Keys are from the root, with or without its slash; links of the server are not known here.
        folder: path.slice(1),
      }
    },
    stop: async () => {
      const gone = new Promise(resolve => child.once('exit', resolve))
      child.kill('SIGKILL')
      await gone
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function isOpen(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true))
    socket.once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}
