/** Cancelling runs of pipelines, whether or not a process executes them. */
import type { Policy } from '../policy.ts'
import { wishForRun } from '../runtime/control.ts'
import { discardRun } from '../runtime/discard.ts'
import { Seal } from '../secrets/seal.ts'
import type { State } from '../state/database.ts'
import { activityRuns, endPipeline, findPipelineRun, takePipelineRun, wishCancelled } from '../state/pipelines.ts'
import { findRun } from '../state/runs.ts'
import type { PipelineRunRow } from '../state/schema.ts'
import { openCopy } from './keptcopy.ts'
import { sealName } from './statejournal.ts'

/** Asks for a run to be cancelled; one that no process executes is cancelled at once, with the copies that it has begun. */
export async function cancelPipeline(state: State, id: string, policy: Policy): Promise<PipelineRunRow> {
  for (const row of await wishCancelled(state.db, id)) {
    const taken = await takePipelineRun(state.db, row.id)
    for (const { key, copy, state: activity, decision } of await activityRuns(state.db, row.id)) {
      if (copy === null || activity !== 'InProgress') continue
      const kept = decision === null ? undefined : Seal.open(state.home).reveal(sealName(key, 'decision'), decision)
      const job = kept === undefined ? undefined : openCopy(kept)
      const run = await findRun(state.db, copy)
      if (['completed', 'cancelled'].includes(run.state)) continue
      await wishForRun(state, copy, 'cancel', found => discardRun(state, found, policy, job))
    }
    await endPipeline(
      state.db,
      { run: row.id, epoch: taken.epoch },
      { state: 'Cancelled', error: null, return_value: null },
    )
  }
  return findPipelineRun(state.db, id)
}
