/** A process that copies one split, given as JSON: prints its commits as lines of JSON. */
import type { Journal } from '../../ferry/src/engine/journal.ts'
import { Policy } from '../../ferry/src/policy.ts'
import { doSplitWork, splitWork } from '../../ferry/src/runtime/splitwork.ts'

const tell = (event: object) => process.stdout.write(`${JSON.stringify(event)}\n`)
const journal: Journal = {
  splits: async () => ({ splits: [], known: { splits: new Map(), published: false } }),
  committed: async (split, progress) => void tell({ split, ...progress }),
  rejected: async (split, _, rows) => void (rows.length > 0 && tell({ split, rejected: rows })),
}
const work = splitWork.parse(JSON.parse(process.argv[2]!))
const context = {
  policy: Policy.from(process.env),
  journal,
  signal: new AbortController().signal,
  confirm: async () => {},
}
await doSplitWork(work, context)
