import { afterAll } from 'vitest'
import { faultyProxy } from '../faultyproxy.ts'
import { objectFaults } from '../objectfaults.ts'
import { seedOf } from '../seed.ts'
import { startGcs } from '../servers/gcs.ts'
import { startS3 } from '../servers/s3.ts'

const seed = seedOf('faults of a store of objects')
const [amazon, google] = await Promise.all([startS3(), startGcs()])
const [s3, gcs] = await Promise.all([faultyProxy(amazon.endpoint), faultyProxy(google.endpoint)])
afterAll(() => Promise.all([amazon, google, s3, gcs].map(server => server.stop())))

const xml = (status: number, code: string) => ({
  status,
  body: `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>${code} by a test</Message></Error>`,
})
const json = (status: number, message: string) => ({
  status,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ error: { code: status, message } }),
})

objectFaults(
  'S3',
  {
    proxy: s3,
    make: async () => ({ ...amazon.bucket(), endpoint: s3.endpoint }),
    slowDown: xml(503, 'SlowDown'),
    expired: xml(403, 'ExpiredToken'),
    gone: xml(404, 'NoSuchKey'),
    isRead: ({ method, headers }) => method === 'GET' && headers.range !== undefined,
  },
  seed,
)

objectFaults(
  'Google Cloud Storage',
  {
    proxy: gcs,
    make: async () => ({ ...(await google.bucket()), endpoint: gcs.endpoint }),
    slowDown: json(429, 'slow down'),
    expired: json(401, 'Invalid Credentials'),
    gone: json(404, 'No such object'),
    isRead: ({ method, url }) => method === 'GET' && /alt=media/.test(url!),
  },
  seed,
)
