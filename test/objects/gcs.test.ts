import { afterAll } from 'vitest'
import { gcsKind } from '../../ferry/src/connectors/gcs/settings.ts'
import { conformance } from '../../ferry/src/contract/conformance/suite.ts'
import { fileOf, folderOf } from '../../ferry/src/formats/conformance.ts'
import { startGcs } from '../servers/gcs.ts'

const server = await startGcs()
afterAll(() => server.stop())
const endpoint = async () => server.bucket()

for (const ending of ['csv', 'parquet']) {
  conformance(ending, fileOf(ending, gcsKind, endpoint))
  conformance(`folders of ${ending}`, folderOf(ending, gcsKind, endpoint))
}
