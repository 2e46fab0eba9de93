/** Copies into stores of objects, killed while they upload: 50 times for each kind by `FERRY_KILLS=50`. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { ListMultipartUploadsCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3'
import { describe, it } from 'vitest'
import { killUploads } from '../objectkills.ts'
import { seedOf } from '../seed.ts'
import { startGcs } from '../servers/gcs.ts'
import { startS3 } from '../servers/s3.ts'
import { startSftp } from '../servers/sftp.ts'

const KILLS = Number(process.env.FERRY_KILLS ?? 8)
const seed = seedOf('killed uploads')

describe('each row is there once, and nothing else', { timeout: 900_000 }, () => {
  it('S3', async ({ onTestFinished }) => {
    const server = await startS3()
    onTestFinished(() => server.stop())
    const endpoint = server.bucket()
    const { bucket: Bucket, accessKeyId, secretAccessKey } = endpoint as Record<string, string>
    const client = new S3Client({
      endpoint: server.endpoint,
      region: 'us-east-1',
      forcePathStyle: true,
      credentials: { accessKeyId: accessKeyId!, secretAccessKey: secretAccessKey! },
    })
    const everything = async () => {
      const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket }))
      const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket }))
      // An upload that is not completed is a leftover as well.
      return [...Contents.map(o => o.Key!), ...Uploads.map(u => `.ferry-upload of ${u.Key}`)]
    }
    await killUploads({ endpoint, everything }, KILLS, seed)
  })

  it('Google Cloud Storage', async ({ onTestFinished }) => {
    const server = await startGcs()
    onTestFinished(() => server.stop())
    const endpoint = await server.bucket()
    const everything = async () => {
      const answer = await fetch(`${server.endpoint}/storage/v1/b/${endpoint.bucket}/o?maxResults=5000`)
      const { items = [] } = (await answer.json()) as { items?: { name: string }[] }
      return items.map(o => o.name)
    }
    await killUploads({ endpoint, everything }, KILLS, seed)
  })

  it('SFTP', async ({ onTestFinished }) => {
    const server = await startSftp()
    onTestFinished(() => server.stop())
    const endpoint = server.folder()
    const everything = async () => readdirSync(join('/', String(endpoint.folder)), { recursive: true }) as string[]
    await killUploads({ endpoint, everything }, KILLS, seed)
  })
})
