/** The command line of cosmos-local, as people start it: over HTTPS, with a certificate of its own. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface StartedAccount {
  /** `https://localhost:N/`. */
  endpoint: string
  key: string
  /** PEM file that clients have to trust. */
  certificate: string
  stop(): Promise<void>
}

const COMMAND = join(import.meta.dirname, '..', '..', 'cosmos-local', 'bin', 'cosmos-local.js')

/** Starts an account in memory. Throws what the command line says where it does not start. */
export async function startCommand(...options: string[]): Promise<StartedAccount> {
  const folder = mkdtempSync(join(tmpdir(), 'cosmos-local-clients-'))
  const port = await freePort()
  const child = spawn(
    process.execPath,
    [COMMAND, '--port', String(port), '--tls', '--tls-folder', folder, ...options],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  let said = ''
  const ended = new Promise<void>(resolve => child.once('close', () => resolve()))
  const connection = await new Promise<string>((resolve, reject) => {
    const listen = (text: Buffer) => {
      said += text
      const line = /AccountEndpoint=.*;\n/.exec(said)
      if (line) resolve(line[0])
    }
    child.stdout.on('data', listen)
    child.stderr.on('data', listen)
    ended.then(() => reject(new Error(`cosmos-local did not start: ${said}`)))
  })
  return {
    endpoint: `https://localhost:${port}/`,
    key: /AccountKey=([^;]*);/.exec(connection)![1]!,
    certificate: join(folder, 'cosmos-local.crt'),
    async stop() {
      child.kill()
      await ended
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise(resolve => server.close(resolve))
  return port
}
