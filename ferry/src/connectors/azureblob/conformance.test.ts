import { afterAll } from 'vitest'
import { startAzurite } from '../../../../test/servers/azurite.ts'
import { conformance } from '../../contract/conformance/suite.ts'
import { fileOf, folderOf } from '../../formats/conformance.ts'
import { azureblobKind } from './settings.ts'

const azurite = await startAzurite()
afterAll(() => azurite.stop())
const endpoint = () => azurite.container()

// What is the formats' own is tried with files.
for (const ending of ['csv', 'jsonl.zst', 'parquet']) {
  conformance(ending, fileOf(ending, azureblobKind, endpoint))
  conformance(`folders of ${ending}`, folderOf(ending, azureblobKind, endpoint))
}
