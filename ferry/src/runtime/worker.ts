/** Executing runs that wait in the queue of the servers. */
import { FerryError } from '../errors.ts'
import { readJob } from '../job/kept.ts'
import type { CopyJob } from '../job/schema.ts'
import type { Claimed } from '../state/claims.ts'
import type { State } from '../state/database.ts'
import { claimQueued, JOBS, requeue } from '../state/queue.ts'
import { finishRun, type Lease } from '../state/runs.ts'
import { askedOf } from '../state/texts.ts'
import { errorInfo, type RunReport } from './report.ts'
import { type RunOptions, runJob } from './run.ts'

/**
 * Takes the oldest run that waits and executes it to its end; undefined where there is none, or so many are at work
 * already. A run that `signal` stops is put back: the next worker resumes it. Why a run could not start is
 * recorded as its error.
 */
export async function executeNext(
  state: State,
  options: Pick<RunOptions, 'signal' | 'policy'> & { most: number; onClaim?: (lease: Lease, job: string) => void },
): Promise<RunReport | FerryError | undefined> {
  const claimed = await claimQueued(state.db, JOBS, options.most)
  if (!claimed) return undefined
  options.onClaim?.(claimed.lease, claimed.row.job)
  const asked = askedOf(claimed.row.asked)
  const { signal, policy } = options
  try {
    const job = await jobOf(state, claimed)
    const report = await runJob({ state, job, policy, claimed, ...asked, signal })
    if (report.status === 'paused' && signal?.aborted) {
      await requeue(state.db, { id: claimed.lease.run, epoch: claimed.lease.epoch }, 'pending')
    }
    return report
  } catch (error) {
    if (error instanceof FerryError) return error
    throw error
  }
}

/** The job of a run. Throws FERRY-5015, which the run records, if it cannot be read. */
async function jobOf({ db }: State, { row, lease }: Claimed): Promise<CopyJob> {
  try {
    return readJob(row.definition)
  } catch (error) {
    await finishRun(db, lease, 'failed', { error: errorInfo(error as FerryError) })
    throw error
  }
}
