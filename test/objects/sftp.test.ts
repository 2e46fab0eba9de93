import { afterAll } from 'vitest'
import { sftpKind } from '../../ferry/src/connectors/sftp/settings.ts'
import { conformance } from '../../ferry/src/contract/conformance/suite.ts'
import { fileOf, folderOf } from '../../ferry/src/formats/conformance.ts'
import { startSftp } from '../servers/sftp.ts'

const server = await startSftp()
afterAll(() => server.stop())
const endpoint = async () => server.folder()

// Each session is a process of the server: what the other kinds try too is left out.
conformance('csv', fileOf('csv', sftpKind, endpoint))
for (const ending of ['csv', 'parquet']) conformance(`folders of ${ending}`, folderOf(ending, sftpKind, endpoint))
