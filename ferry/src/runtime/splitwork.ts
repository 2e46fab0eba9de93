/**
 * The copy of one split from plain data, for a process or a machine that knows nothing else of the run: it opens the stores
 * itself, and tells a journal what it commits and rejects. The run's owner plans, prepares and publishes.
 */
import { z } from 'zod'
import type { CommittedSplit, Split } from '../contract/split.ts'
import type { RunIdentity } from '../contract/write.ts'
import { copySplit } from '../engine/copy.ts'
import type { Journal } from '../engine/journal.ts'
import { tablePlans } from '../engine/keptplan.ts'
import { RateLimit, Slots } from '../engine/limits.ts'
import { reopenTable } from '../engine/plan.ts'
import { noProgress } from '../engine/progress.ts'
import { requireSamePlaces, requireSameShape } from '../engine/sameplan.ts'
import { readJob } from '../job/kept.ts'
import type { Policy } from '../policy.ts'
import { closeSessions, closeStores, openSessions, openStores } from './stores.ts'

const split = z.object({ id: z.number(), label: z.string(), spec: z.string() })
const committed = z.object({ checkpoint: z.string().optional(), rows: z.number(), bytes: z.number() })

/** What a split's copy is given: JSON. Secrets are references, which the policy of the process that copies resolves. */
export const splitWork = z.object({
  /** The job's definition, and the plan of the table, as the state keeps them. */
  definition: z.string(),
  plan: z.string(),
  split,
  /** What is committed of the split; missing if nothing is. */
  before: committed.exactOptional(),
  run: z.object({ run: z.string(), job: z.string(), epoch: z.number() }),
  limits: z.object({ rowsPerSecond: z.number().exactOptional(), bytesPerSecond: z.number().exactOptional() }),
})
export type SplitWork = z.output<typeof splitWork>

export interface SplitContext {
  policy: Policy
  journal: Journal
  signal: AbortSignal
  /** Asks the run's owner whether the lease of `run.epoch` still holds. Throws FERRY-5004 if it does not. */
  confirm: () => Promise<void>
}

/** Copies the split to its end. Gives back how many rows were copied. Throws what ended it; what is committed stays. */
export async function doSplitWork(work: SplitWork, context: SplitContext): Promise<number> {
  const { policy, journal, signal, confirm } = context
  const plan = tablePlans.read(work.plan)
  const identity: RunIdentity = { ...work.run, confirm, holds: confirm }
  const stores = await openStores(readJob(work.definition), undefined, policy)
  try {
    const sessions = await openSessions(stores, identity)
    try {
      requireSamePlaces(sessions, plan)
      const table = await reopenTable(sessions, plan)
      await requireSameShape(sessions, table)
      const known = new Map(work.before ? [[work.split.id, committedOf(work.before)]] : [])
      const { splits, published } = await table.sink.prepare({ splits: known, published: false })
      const had = splits.get(work.split.id)
      if (published || (had && had.checkpoint === undefined)) return 0
      const progress = noProgress(plan)
      const { rowsPerSecond, bytesPerSecond } = work.limits
      await copySplit(
        table,
        {
          signal,
          resumed: had !== undefined,
          slots: new Slots(1),
          parallel: 1,
          rows: rowsPerSecond === undefined ? undefined : new RateLimit(rowsPerSecond),
          bytes: bytesPerSecond === undefined ? undefined : new RateLimit(bytesPerSecond),
          progress,
          journal,
        },
        work.split satisfies Split,
        had,
      )
      return progress.rowsCopied
    } finally {
      await closeSessions(sessions)
    }
  } finally {
    await closeStores(stores)
  }
}

const committedOf = ({ checkpoint, rows, bytes }: NonNullable<SplitWork['before']>): CommittedSplit => ({
  checkpoint,
  rows,
  bytes,
})
