/** Cancelling runs of pipelines, whether or not a process executes them. */
import type { Policy } from '../policy.ts'
import type { State } from '../state/database.ts'
import { endPipeline, findPipelineRun, takePipelineRun, wishCancelled } from '../state/pipelines.ts'
import type { PipelineRunRow } from '../state/schema.ts'
import { discardCopies } from './keptcopy.ts'

/** Asks for a run to be cancelled; one that no process executes is cancelled at once, with the copies that it has begun. */
export async function cancelPipeline(state: State, id: string, policy: Policy): Promise<PipelineRunRow> {
  for (const row of await wishCancelled(state.db, id)) {
    const { epoch } = await takePipelineRun(state.db, row.id)
    await discardCopies(state, row.id, policy)
    await endPipeline(state.db, { run: row.id, epoch }, { state: 'Cancelled', error: null, return_value: null })
  }
  return findPipelineRun(state.db, id)
}
