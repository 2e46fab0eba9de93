import { afterAll, expect, it } from 'vitest'
import { gcsKind } from '../../ferry/src/connectors/gcs/settings.ts'
import { conformance } from '../../ferry/src/contract/conformance/suite.ts'
import { fileOf, folderOf } from '../../ferry/src/formats/conformance.ts'
import { openStore } from '../../ferry/src/runtime/stores.ts'
import { startGcs } from '../servers/gcs.ts'
import { policy } from '../support.ts'

const server = await startGcs()
afterAll(() => server.stop())
const endpoint = async () => server.bucket()

for (const ending of ['csv', 'parquet']) {
  conformance(ending, fileOf(ending, gcsKind, endpoint))
  conformance(`folders of ${ending}`, folderOf(ending, gcsKind, endpoint))
}

it('lists the buckets beside one', async () => {
  const [one, other] = [await server.bucket(), await server.bucket()]
  const { kind, ...settings } = { ...one, userProject: 'p' }
  const store = await openStore({ kind, settings }, policy)
  const found = await store.folders!.listed!(1000)
  expect(found).toEqual(expect.arrayContaining([one.bucket, other.bucket]))
  await store.close()
})
