/** Files that are copied as they are, from and to the stores of objects. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { ListMultipartUploadsCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3'
import { afterAll, describe, it } from 'vitest'
import { binaryCopies, type FilePlace, keepsAbout } from '../binary.ts'
import { seedOf } from '../seed.ts'
import { startGcs } from '../servers/gcs.ts'
import { startS3 } from '../servers/s3.ts'
import { startSftp } from '../servers/sftp.ts'

const seed = seedOf('files as they are')
const KILLS = Number(process.env.FERRY_KILLS ?? 3)
const [amazon, google, ssh] = await Promise.all([startS3(), startGcs(), startSftp()])
afterAll(() => Promise.all([amazon, google, ssh].map(server => server.stop())))

const s3: FilePlace = {
  make: async () => amazon.bucket(),
  everything: async endpoint => {
    const { bucket: Bucket, accessKeyId, secretAccessKey } = endpoint as Record<string, string>
    const credentials = { accessKeyId: accessKeyId!, secretAccessKey: secretAccessKey! }
    const client = new S3Client({ endpoint: amazon.endpoint, region: 'us-east-1', forcePathStyle: true, credentials })
    const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket }))
    const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket }))
    // An upload that is not completed is a leftover as well. This server keeps folders of what is gone.
    const names = Contents.map(o => o.Key!).filter(key => !key.endsWith('/'))
    return [...names, ...Uploads.map(u => `.ferry-upload of ${u.Key}`)]
  },
}

const gcs: FilePlace = {
  make: () => google.bucket(),
  everything: async ({ bucket }) => {
    const answer = await fetch(`${google.endpoint}/storage/v1/b/${bucket}/o?maxResults=5000`)
    const { items = [] } = (await answer.json()) as { items?: { name: string }[] }
    return items.map(o => o.name)
  },
  copiesAnything: true,
}

const sftp: FilePlace = {
  make: async () => ssh.folder(),
  everything: async ({ folder }) =>
    readdirSync(join('/', String(folder)), { recursive: true, withFileTypes: true })
      // A folder that Ferry made for itself is a leftover as well.
      .filter(e => e.isFile() || e.name.startsWith('.ferry-'))
      .map(e => e.name),
  arePaths: true,
}

binaryCopies('S3', s3, s3, seed, KILLS)
binaryCopies('Google Cloud Storage', gcs, gcs, seed, KILLS)
binaryCopies('S3 to SFTP', s3, sftp, seed, KILLS)
binaryCopies('SFTP to Google Cloud Storage', sftp, gcs, seed, KILLS)

describe('what is kept with an object', { timeout: 120_000 }, () => {
  for (const [name, place, sizes] of [
    ['S3', s3, [10, 20_000_000, 300_000_000]],
    ['Google Cloud Storage', gcs, [10, 20_000_000]],
  ] as const) {
    it(`${name}: it comes along, whether the service copies by itself or the bytes pass through here`, async () => {
      const about = { contentType: 'text/x-odd', metadata: { one: '1', two: 'zwei' } }
      await keepsAbout(place, sizes, about)
    })
  }
})
