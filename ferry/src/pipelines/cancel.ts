/** Cancelling runs of pipelines, whether or not a process executes them. */
import type { Policy } from '../policy.ts'
import { wishForRun } from '../runtime/control.ts'
import { discardRun } from '../runtime/discard.ts'
import type { State } from '../state/database.ts'
import { activityRuns, endPipeline, findPipelineRun, takePipelineRun, wishCancelled } from '../state/pipelines.ts'
import { findRun } from '../state/runs.ts'
import type { PipelineRunRow } from '../state/schema.ts'
import { parseValue } from './expressions/values.ts'
import { openCopy } from './keptcopy.ts'

/** Asks for a run to be cancelled; one that no process executes is cancelled at once, with the copies that it has begun. */
export async function cancelPipeline(state: State, id: string, policy: Policy): Promise<PipelineRunRow> {
  for (const row of await wishCancelled(state.db, id)) {
    const taken = await takePipelineRun(state.db, row.id)
    for (const { copy, state: activity, decision } of await activityRuns(state.db, row.id)) {
      if (copy === null || activity !== 'InProgress') continue
      const job = decision === null ? undefined : openCopy(state, String(parseValue(decision)))
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
