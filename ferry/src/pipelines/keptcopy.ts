/** The job of a copy as its activity began it: a process that goes on with the run resumes it, and whoever cancels it removes what it left. */
import { checkJob } from '../job/read.ts'
import type { CopyJob } from '../job/schema.ts'
import type { ActivityContext } from './activity.ts'
import { printValue, valueOf } from './expressions/values.ts'

/** The job that was kept, else the one that `make` makes, which is kept. The journal seals it: it may hold secrets. */
export async function keptCopy(context: ActivityContext, make: () => Promise<CopyJob>): Promise<CopyJob> {
  if (context.decision !== undefined) return openCopy(printValue(context.decision))
  const job = await make()
  context.decide(() => valueOf(job))
  return job
}

/** The job of a copy from what its activity keeps, as JSON. */
export function openCopy(kept: string): CopyJob {
  return checkJob(JSON.parse(kept))
}
