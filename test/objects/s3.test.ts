import { text } from 'node:stream/consumers'
import { S3Client } from '@aws-sdk/client-s3'
import { afterAll, expect, it } from 'vitest'
import { crc32Of, Direct } from '../../ferry/src/connectors/s3/direct.ts'
import { readSettings, s3Kind } from '../../ferry/src/connectors/s3/settings.ts'
import { conformance } from '../../ferry/src/contract/conformance/suite.ts'
import { fileOf, folderOf } from '../../ferry/src/formats/conformance.ts'
import { openStore } from '../../ferry/src/runtime/stores.ts'
import { startS3 } from '../servers/s3.ts'
import { policy } from '../support.ts'

const server = await startS3()
afterAll(() => server.stop())
const endpoint = async () => server.bucket()

for (const ending of ['csv', 'jsonl.zst', 'parquet']) {
  conformance(ending, fileOf(ending, s3Kind, endpoint))
  conformance(`folders of ${ending}`, folderOf(ending, s3Kind, endpoint))
}

it('lists the buckets beside one', async () => {
  const [one, other] = [await server.bucket(), await server.bucket()]
  const { kind, ...settings } = { ...one }
  const store = await openStore({ kind, settings }, policy)
  const found = await store.folders!.listed!(1000)
  expect(found).toEqual(expect.arrayContaining([one.bucket, other.bucket]))
  await store.close()
})

it('signs requests itself, whatever the key and what is kept with it, so that the service takes them', async () => {
  const { kind: _, ...given } = server.bucket()
  const settings = readSettings(given, policy)
  const { endpoint, accessKeyId, secretAccessKey } = settings
  const credentials = { accessKeyId: accessKeyId!, secretAccessKey: secretAccessKey! }
  const client = new S3Client({ endpoint: endpoint!, region: 'us-east-1', credentials, forcePathStyle: true })
  const direct = new Direct(client, settings)
  for (const key of ['a b+c.txt', "it's (1)*!~.txt", 'ä/ü=1&x?y#z%20.txt', '日本/語', 'a//b', '$@:;,[]{}']) {
    const body = Buffer.from(`content of ${key}`)
    const headers = { 'x-amz-meta-note': 'a note', 'content-type': 'text/plain', 'x-amz-checksum-crc32': crc32Of(body) }
    const put = await direct.send({ method: 'PUT', key, headers, body })
    expect(put?.statusCode, key).toBe(200)
    await text(put!)
    const got = await direct.send({ method: 'GET', key, headers: { range: 'bytes=8-' } })
    expect(await text(got!)).toBe(`of ${key}`)
  }
  const damaged = { 'x-amz-checksum-crc32': crc32Of(Buffer.from('other')) }
  expect(await direct.send({ method: 'PUT', key: 'x', headers: damaged, body: Buffer.from('these') })).toBeUndefined()
  direct.close()
  client.destroy()
})
