import { temporaryFolder } from '../../../../test/support.ts'
import { conformance } from '../../contract/conformance/suite.ts'
import { ENDINGS, folderOf } from '../../formats/conformance.ts'
import { filesKind } from './settings.ts'

const endpoint = async () => ({ kind: 'files', folder: temporaryFolder() })

for (const ending of ENDINGS) conformance(`folders of ${ending}`, folderOf(ending, filesKind, endpoint))
