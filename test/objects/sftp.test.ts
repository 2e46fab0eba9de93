import { afterAll } from 'vitest'
import { sftpKind } from '../../ferry/src/connectors/sftp/settings.ts'
import { conformance } from '../../ferry/src/contract/conformance/suite.ts'
import { fileOf, folderOf } from '../../ferry/src/formats/conformance.ts'
import { startSftp } from '../servers/sftp.ts'

const server = await startSftp()
afterAll(() => server.stop())
const endpoint = async () => server.folder()

for (const ending of ['csv', 'jsonl.zst', 'parquet']) {
  conformance(ending, fileOf(ending, sftpKind, endpoint))
  conformance(`folders of ${ending}`, folderOf(ending, sftpKind, endpoint))
}
