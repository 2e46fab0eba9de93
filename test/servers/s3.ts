/** A server that speaks S3, over a folder: versitygw, which `npm run test:servers` installs. */
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { until } from '../support.ts'
import { programOf } from './go.ts'
import { freePort } from './postgres.ts'

export interface S3Server {
  endpoint: string
  /** Where its buckets are folders. */
  folder: string
  /** An empty bucket: the settings of a connection. */
  bucket(): { kind: string; bucket: string } & Record<string, string>
  stop(): Promise<void>
}

export async function startS3(): Promise<S3Server> {
  const folder = mkdtempSync(join(tmpdir(), 'ferry-s3-'))
  const port = await freePort()
  const env = { ...process.env, ROOT_ACCESS_KEY: 'ferry', ROOT_SECRET_KEY: 'ferrysecret' }
  const args = ['--port', `127.0.0.1:${port}`, '--quiet', '--keep-alive', 'posix', folder]
  const child = spawn(programOf('versitygw'), args, { env, stdio: ['ignore', 'ignore', 'inherit'] })
  const endpoint = `http://127.0.0.1:${port}`
  await until(
    () =>
      fetch(endpoint).then(
        () => true,
        () => false,
      ),
    'versitygw to listen',
  )
  let made = 0
  return {
    endpoint,
    folder,
    bucket: () => {
      const bucket = `b${process.pid}-${made++}`
      mkdirSync(join(folder, bucket))
      return { kind: 's3', bucket, endpoint, region: 'us-east-1', accessKeyId: 'ferry', secretAccessKey: 'ferrysecret' }
    },
    stop: async () => {
      const gone = new Promise(resolve => child.once('exit', resolve))
      child.kill('SIGKILL')
      await gone
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
