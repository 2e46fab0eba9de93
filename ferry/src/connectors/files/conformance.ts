/** What the conformance suite needs of files, in every format: as single files, and as folders. */
import { temporaryFolder } from '../../../../test/support.ts'
import type { Subject } from '../../contract/conformance/subject.ts'
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

export const ENDINGS = Object.keys(REFUSES)

/** Formats of one kind of writer commit in the same way. */
const killed = ['csv', 'parquet']

const subject = (ending: string) => ({
  kind: filesKind,
  evolves: false,
  refuses: REFUSES[ending]!,
  ...(killed.includes(ending) ? {} : { kills: 0 }),
})
const place = async () => ({ endpoint: { kind: 'files', folder: temporaryFolder() } })

export function fileOf(ending: string): Subject {
  const make = async () => ({ ...(await place()), object: (name: string) => `${name}.${ending}`, all: `*.${ending}` })
  return { ...subject(ending), isWhole: true, make }
}

/** A folder, into which each run writes files of its own. */
export function folderOf(ending: string): Subject {
  const [format, compression] = ending.split('.') as [string, string | undefined]
  const packed = { gz: 'gzip', zst: 'zstd' }[compression ?? '']
  const forms = { read: { format }, write: { format, ...(packed ? { compression: packed } : {}) } }
  const make = async () => ({ ...(await place()), object: (name: string) => `${name}/`, all: '*/*', ...forms })
  return { ...subject(ending), make }
}
