/** A server that speaks Google Cloud Storage: fake-gcs-server, which `npm run test:servers` installs. */
import { spawn } from 'node:child_process'
import { until } from '../support.ts'
import { programOf } from './go.ts'
import { freePort } from './postgres.ts'

export interface GcsServer {
  endpoint: string
  /** An empty bucket: the settings of a connection. */
  bucket(): Promise<{ kind: string } & Record<string, string>>
  stop(): Promise<void>
}

export async function startGcs(): Promise<GcsServer> {
  const port = await freePort()
  const endpoint = `http://127.0.0.1:${port}`
  const args = ['-backend', 'memory', '-scheme', 'http', '-host', '127.0.0.1', '-port', String(port)]
  const child = spawn(programOf('fake-gcs-server'), [...args, '-external-url', endpoint, '-log-level', 'error'], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const buckets = `${endpoint}/storage/v1/b?project=p`
  const listens = () =>
    fetch(buckets).then(
      r => r.ok,
      () => false,
    )
  await until(listens, 'fake-gcs-server to listen')
  let made = 0
  return {
    endpoint,
    bucket: async () => {
      const bucket = `b${process.pid}-${made++}`
      const headers = { 'content-type': 'application/json' }
      await fetch(buckets, { method: 'POST', headers, body: JSON.stringify({ name: bucket }) })
      return { kind: 'gcs', bucket, endpoint, credentials: 'anonymous' }
    },
    stop: async () => {
      const gone = new Promise(resolve => child.once('exit', resolve))
      child.kill('SIGKILL')
      await gone
    },
  }
}
