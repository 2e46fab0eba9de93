import { temporaryFolder } from '../../../../test/support.ts'
import { conformance } from '../../contract/conformance/suite.ts'
import { ENDINGS, fileOf } from '../../formats/conformance.ts'
import { filesKind } from './settings.ts'

const endpoint = async () => ({ kind: 'files', folder: temporaryFolder() })

for (const ending of ENDINGS) conformance(ending, fileOf(ending, filesKind, endpoint))
