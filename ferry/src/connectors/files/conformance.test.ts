import { temporaryFolder } from '../../../../test/support.ts'
import { conformance, type Subject } from '../../contract/conformance/suite.ts'
import { filesKind } from './settings.ts'

const noNumber = (text: string) => /NaN|[Ii]nf/.test(text)
const JSON_REFUSES = { float32: noNumber, float64: noNumber, numeric: noNumber }
const PARQUET_REFUSES = { date: noNumber, timestamp: noNumber, timestamptz: noNumber }

const REFUSES: Record<string, Subject['refuses']> = {
  csv: {},
  'csv.gz': {},
  jsonl: JSON_REFUSES,
  'jsonl.zst': JSON_REFUSES,
  json: JSON_REFUSES,
  parquet: PARQUET_REFUSES,
}

for (const [ending, refuses] of Object.entries(REFUSES)) {
  const { abilities } = filesKind
  const make = async () => ({ endpoint: { kind: 'files', folder: temporaryFolder() } })
  conformance(ending, {
    abilities,
    evolves: false,
    isWhole: true,
    refuses: refuses!,
    make: async () => ({ ...(await make()), object: name => `${name}.${ending}`, all: `*.${ending}` }),
  })
  // A folder, into which each run writes files of its own.
  const [format, compression] = ending.split('.') as [string, string | undefined]
  const packed = { gz: 'gzip', zst: 'zstd' }[compression ?? '']
  conformance(`folders of ${ending}`, {
    abilities,
    evolves: false,
    refuses: refuses!,
    make: async () => ({
      ...(await make()),
      object: name => `${name}/`,
      all: '*/*',
      read: { format },
      write: { format, ...(packed ? { compression: packed } : {}) },
    }),
  })
}
