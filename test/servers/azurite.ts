/** Azurite, the emulator of Azure Storage, for tests: a process of its own with an empty folder. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { BlobServiceClient, StorageSharedKeyCredential } from '@azure/storage-blob'
import { freePort } from './postgres.ts'

/** The account that every Azurite has; its key is in its documentation. */
const ACCOUNT = 'devstoreaccount1'
const KEY = 'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=='

export interface BlobServer {
  /** An empty container: the settings of a connection. */
  container(): Promise<{ kind: string; account: string; accountKey: string; endpoint: string; container: string }>
  service: BlobServiceClient
  stop(): Promise<void>
}

export async function startAzurite(port?: number): Promise<BlobServer> {
  const folder = mkdtempSync(join(tmpdir(), 'ferry-azurite-'))
  const blobPort = port ?? (await freePort())
  const main = join(dirname(createRequire(import.meta.url).resolve('azurite/package.json')), 'dist/src/blob/main.js')
  const args = ['--blobPort', String(blobPort), '--location', folder, '--silent', '--skipApiVersionCheck']
  // It would tell its maker of each start.
  const child = spawn(process.execPath, [main, ...args, '--disableTelemetry'], { stdio: ['ignore', 'pipe', 'inherit'] })
  await new Promise<void>((resolve, reject) => {
    child.stdout.on('data', text => /listens on/.test(String(text)) && resolve())
    child.once('exit', code => reject(new Error(`azurite ended with ${code}`)))
  })
  const endpoint = `http://127.0.0.1:${blobPort}/${ACCOUNT}`
  const service = new BlobServiceClient(endpoint, new StorageSharedKeyCredential(ACCOUNT, KEY))
  let made = 0
  return {
    service,
    container: async () => {
      const container = `c${process.pid}-${made++}`
      await service.createContainer(container)
      return { kind: 'azureblob', account: ACCOUNT, accountKey: KEY, endpoint, container }
    },
    stop: async () => {
      const gone = new Promise(resolve => child.once('exit', resolve))
      child.kill('SIGKILL')
      await gone
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
