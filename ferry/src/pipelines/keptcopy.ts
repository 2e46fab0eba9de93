/** The job of a copy as its activity began it: a process that goes on with the run resumes it, and whoever cancels it removes what it left. */
import { rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import { checkJob } from '../job/read.ts'
import type { CopyJob } from '../job/schema.ts'
import type { Policy } from '../policy.ts'
import { discardRun } from '../runtime/discard.ts'
import { Seal } from '../secrets/seal.ts'
import type { State } from '../state/database.ts'
import { activityRuns } from '../state/pipelines.ts'
import { newestRun } from '../state/runs.ts'
import type { ActivityContext } from './activity.ts'
import { printValue, type Value, valueOf } from './expressions/values.ts'
import { sealName } from './statejournal.ts'

/** The job that was kept, else the one that `make` makes, which is kept. The journal seals it: it may hold secrets. */
export async function keptCopy(context: ActivityContext, make: () => Promise<CopyJob>): Promise<CopyJob> {
  if (context.decision !== undefined) return openCopy(printValue(context.decision))
  const job = await make()
  context.decide(() => valueOf(job))
  return job
}

/** The same for an activity that makes several copies, in steps with names: all are kept until it ends. */
export async function keptCopies(
  context: ActivityContext,
  step: string,
  make: () => Promise<CopyJob[]>,
): Promise<CopyJob[]> {
  const kept = keptStep(context, step)
  if (kept) return kept.map(job => checkJob(JSON.parse(printValue(job))))
  const jobs = await make()
  keepStep(context, step, jobs)
  return jobs
}

/** What a step of an activity has kept; undefined if it has not come to it. */
export function keptStep({ decision }: ActivityContext, step: string): Value[] | undefined {
  return decision === undefined ? undefined : (decision as Record<string, Value[]>)[step]
}

export function keepStep(context: ActivityContext, step: string, kept: unknown[]): void {
  context.decideFurther(valueOf({ ...(context.decision as object | undefined), [step]: kept }))
}

/** Where activities keep files: a folder beside the state, with folders of their own in it. */
export const spoolFolder = ({ home }: Pick<State, 'home'>, ...own: string[]): string => join(home, 'spool', ...own)

const foldersOf = (kept: string, state: State) => {
  const { folders = [] } = JSON.parse(kept) as { folders?: string[] }
  return folders.map(name => spoolFolder(state, basename(name)))
}

/** What was kept is a job alone, or the jobs of steps. */
const copiesOf = (kept: string): CopyJob[] => {
  const { stages = [], deliveries = [], ...one } = JSON.parse(kept) as Record<string, unknown[]>
  return (Object.hasOwn(one, 'tables') ? [one] : [...stages, ...deliveries]).map(job => checkJob(job))
}

const openCopy = (kept: string): CopyJob => checkJob(JSON.parse(kept))

/** Gives up the unfinished run of a copy, and removes what it left; nothing if there is none. */
export async function discardCopy(state: State, job: CopyJob, policy: Policy): Promise<void> {
  const run = await newestRun(state.db, job.name)
  if (!run || ['completed', 'cancelled'].includes(run.state) || run.given_up === 1) return
  await discardRun(state, run, policy, job)
}

/** The same for all copies that a run of a pipeline has begun and not ended. */
export async function discardCopies(state: State, run: string, policy: Policy): Promise<void> {
  for (const { key, type, state: activity, decision } of await activityRuns(state.db, run)) {
    if (activity !== 'InProgress' || decision === null) continue
    if (type !== 'Copy' && type !== 'ExecuteDataFlow') continue
    const kept = Seal.open(state.home).reveal(sealName(key, 'decision'), decision)
    for (const job of copiesOf(kept)) await discardCopy(state, job, policy)
    for (const folder of foldersOf(kept, state)) rmSync(folder, { recursive: true, force: true })
  }
}
