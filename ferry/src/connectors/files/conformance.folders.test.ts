import { conformance } from '../../contract/conformance/suite.ts'
import { ENDINGS, folderOf } from './conformance.ts'

for (const ending of ENDINGS) conformance(`folders of ${ending}`, folderOf(ending))
