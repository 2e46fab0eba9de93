/** Executing runs that wait in the queue of the servers. */
import { FerryError } from '../errors.ts'
import { jobSchema } from '../job/schema.ts'
import type { State } from '../state/database.ts'
import { type Asked, claimQueued, JOBS, requeue } from '../state/queue.ts'
import type { Lease } from '../state/runs.ts'
import type { RunReport } from './report.ts'
import { type RunOptions, runJob } from './run.ts'

/**
 * Takes the oldest run that waits and executes it to its end; undefined where there is none, or so many are at work
 * already. A run that `signal` stops is put back: whoever works next goes on with it. What kept a run from starting is
 * told by the run.
 */
export async function executeNext(
  state: State,
  options: Pick<RunOptions, 'signal'> & { most: number; onClaim?: (lease: Lease, job: string) => void },
): Promise<RunReport | FerryError | undefined> {
  const claimed = await claimQueued(state.db, JOBS, options.most)
  if (!claimed) return undefined
  options.onClaim?.(claimed.lease, claimed.row.job)
  const asked = JSON.parse(claimed.row.asked ?? '{}') as Asked
  const job = jobSchema.parse(JSON.parse(claimed.row.definition))
  const { signal } = options
  try {
    const report = await runJob({ state, job, claimed, ...asked, ...(signal ? { signal } : {}) })
    if (report.status === 'paused' && signal?.aborted) {
      await requeue(state.db, { id: claimed.lease.run, epoch: claimed.lease.epoch }, 'pending')
    }
    return report
  } catch (error) {
    if (error instanceof FerryError) return error
    throw error
  }
}
