/** What the conformance suite needs of stores of files, in every format: as single files, and as folders. */
import type { Place, Subject } from '../contract/conformance/subject.ts'
import type { Kind } from '../contract/store.ts'

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

const subject = (kind: Kind, ending: string) => ({
  kind,
  evolves: false,
  refuses: REFUSES[ending]!,
  ...(killed.includes(ending) ? {} : { kills: 0 }),
})

/** An empty place: the settings of a connection. */
export type Endpoint = () => Promise<Place['endpoint']>

export function fileOf(ending: string, kind: Kind, endpoint: Endpoint): Subject {
  const make = async () => ({
    endpoint: await endpoint(),
    object: (name: string) => `${name}.${ending}`,
    all: `*.${ending}`,
  })
  return { ...subject(kind, ending), isWhole: true, make }
}

/** A folder, into which each run writes files of its own. */
export function folderOf(ending: string, kind: Kind, endpoint: Endpoint): Subject {
  const [format, compression] = ending.split('.') as [string, string | undefined]
  const packed = { gz: 'gzip', zst: 'zstd' }[compression ?? '']
  const forms = { read: { format }, write: { format, ...(packed ? { compression: packed } : {}) } }
  const make = async () => ({
    endpoint: await endpoint(),
    object: (name: string) => `${name}/`,
    all: '*/*',
    ...forms,
  })
  return { ...subject(kind, ending), make }
}
