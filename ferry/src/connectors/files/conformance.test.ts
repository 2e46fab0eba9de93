import { conformance } from '../../contract/conformance/suite.ts'
import { ENDINGS, fileOf } from './conformance.ts'

for (const ending of ENDINGS) conformance(ending, fileOf(ending))
