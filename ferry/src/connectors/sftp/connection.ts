/** One connection to a server, opened when it is needed and again when it was lost. */
import { existsSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { Client, SFTPWrapper } from 'ssh2'
import { FerryError } from '../../errors.ts'
import { fingerprint, isKnown } from './hostkeys.ts'
import type { SftpSettings } from './settings.ts'

const CONNECT_MS = 20_000
const ALIVE_MS = 15_000

/** True if the server says that there is no such file. */
export const isMissing = (error: unknown): boolean => (error as { code?: unknown }).code === 2

export class SftpConnection {
  private readonly settings: SftpSettings
  private current: Promise<SFTPWrapper> | undefined
  private client: Client | undefined
  private readonly clients = new Set<Client>()
  private isClosed = false

  constructor(settings: SftpSettings) {
    this.settings = settings
  }

  /** Throws FERRY-2001 to FERRY-2004. */
  session(): Promise<SFTPWrapper> {
    if (this.isClosed) return Promise.reject(Object.assign(new Error('the store is closed'), { name: 'AbortError' }))
    const opening = this.current ?? this.connect()
    this.current = opening
    opening.catch(() => {
      if (this.current === opening) this.current = undefined
    })
    return opening
  }

  private async connect(): Promise<SFTPWrapper> {
    const { Client } = await import('ssh2')
    const { host, port, user, password, passphrase, hostKey, policy } = this.settings
    const client = new Client()
    this.clients.add(client)
    const isOwn = () => this.client === client
    this.client = client
    let shown = ''
    const expected = hostKey ?? (policy.isLimited ? '' : knownHosts())
    return new Promise((resolve, reject) => {
      const refuse = (error: Error & { level?: string }) => {
        client.end()
        reject(explained(error, { host, port, user, shown }))
      }
      client.on('error', refuse)
      client.on('close', () => {
        this.clients.delete(client)
        // A connection that was opened since stays.
        if (isOwn()) this.current = undefined
        refuse(Object.assign(new Error('the connection was closed'), { code: 'ECONNRESET' }))
      })
      client.on('ready', () => {
        // Requests are small: none waits for the acknowledgement of the one before.
        client.setNoDelay(true)
        client.sftp((error, sftp) => {
          if (error) return refuse(error)
          sftp.setMaxListeners(0)
          resolve(sftp)
        })
      })
      const key = this.privateKey()
      client.connect({
        host,
        port,
        username: user,
        readyTimeout: CONNECT_MS,
        keepaliveInterval: ALIVE_MS,
        ...(password === undefined ? {} : { password }),
        ...(key === undefined ? {} : { privateKey: key }),
        ...(passphrase === undefined ? {} : { passphrase }),
        // The agent of the user at a terminal.
        ...(key === undefined && password === undefined && !policy.isLimited
          ? { agent: policy.valueOf('SSH_AUTH_SOCK') }
          : {}),
        hostVerifier: (offered: Buffer) => {
          if (isKnown(expected, offered, { host, port })) return true
          shown = fingerprint(offered)
          return false
        },
      })
    })
  }

  private privateKey(): string | undefined {
    const { privateKey, policy } = this.settings
    if (privateKey === undefined || privateKey.includes('-----BEGIN')) return privateKey
    try {
      return readFileSync(policy.pathOf(privateKey.replace(/^~(?=\/)/, homedir())), 'utf8')
    } catch (error) {
      if (error instanceof FerryError) throw error
      // It may be a key in another form: it is not shown.
      const why = (error as NodeJS.ErrnoException).code ?? 'it cannot be read'
      throw new FerryError(
        'FERRY-2003',
        `sftp connection: privateKey is no key of OpenSSH or PEM, nor a file (${why})`,
        {
          hint: 'Give the key itself, from -----BEGIN on, or the path of its file; a .ppk of PuTTY is made one with puttygen.',
        },
      )
    }
  }

  close(): void {
    this.isClosed = true
    // Those that are lost and have not noticed, too.
    for (const client of this.clients) client.end()
    this.current = undefined
  }
}

function knownHosts(): string {
  const path = join(homedir(), '.ssh', 'known_hosts')
  return existsSync(path) ? readFileSync(path, 'utf8') : ''
}

function explained(
  error: Error & { level?: string; code?: string },
  { host, port, user, shown }: { host: string; port: number; user: string; shown: string },
): Error {
  if (error instanceof FerryError) return error
  const place = `sftp://${user}@${host}:${port}`
  if (shown !== '') {
    return new FerryError('FERRY-2002', `${place}: the key of the server is not known: ${shown}`, {
      hint: `Ask who runs the server whether this is its key; then set hostKey: "${shown}".`,
    })
  }
  if (error.level === 'client-authentication') {
    return new FerryError('FERRY-2002', `${place}: ${error.message}`, {
      hint: 'Check user, password and privateKey, and that the server takes this way to sign in.',
      cause: error,
    })
  }
  if (/private ?key|passphrase|Encrypted/i.test(error.message)) {
    return new FerryError('FERRY-2003', `${place}: ${error.message}`, {
      hint: 'Check privateKey and passphrase.',
      cause: error,
    })
  }
  if (error.level === 'client-timeout' || /^(ECONN|ENOTFOUND|EHOST|ENET|EAI|ETIMEDOUT)/.test(error.code ?? '')) {
    return Object.assign(new Error(`${place}: ${error.message}`), { code: error.code ?? 'ETIMEDOUT' })
  }
  return new FerryError('FERRY-2001', `${place}: ${error.message}`, { cause: error })
}
