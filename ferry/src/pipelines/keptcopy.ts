/** The job of a copy as its activity began it: a process that goes on with the run resumes it, and whoever cancels it removes what it left. */
import { checkJob } from '../job/read.ts'
import type { CopyJob } from '../job/schema.ts'
import { Seal } from '../secrets/seal.ts'
import type { State } from '../state/database.ts'
import type { ActivityContext } from './activity.ts'

const NAME = 'copy of a pipeline'

/** The job that was kept, else the one that `make` makes, which is kept: sealed, since it may hold secrets. */
export async function keptCopy(state: State, context: ActivityContext, make: () => Promise<CopyJob>): Promise<CopyJob> {
  if (typeof context.decision === 'string') return openCopy(state, context.decision)
  const job = await make()
  context.decide(() => Seal.open(state.home).close(NAME, JSON.stringify(job)))
  return job
}

/** The job of a copy from what its activity keeps. Throws FERRY-5011. */
export function openCopy(state: State, kept: string): CopyJob {
  return checkJob(JSON.parse(Seal.open(state.home).reveal(NAME, kept)))
}
