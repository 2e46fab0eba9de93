import { afterAll } from 'vitest'
import { s3Kind } from '../../ferry/src/connectors/s3/settings.ts'
import { conformance } from '../../ferry/src/contract/conformance/suite.ts'
import { fileOf, folderOf } from '../../ferry/src/formats/conformance.ts'
import { startS3 } from '../servers/s3.ts'

const server = await startS3()
afterAll(() => server.stop())
const endpoint = async () => server.bucket()

for (const ending of ['csv', 'jsonl.zst', 'parquet']) {
  conformance(ending, fileOf(ending, s3Kind, endpoint))
  conformance(`folders of ${ending}`, folderOf(ending, s3Kind, endpoint))
}
