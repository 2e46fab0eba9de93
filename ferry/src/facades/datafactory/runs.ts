/** Runs of pipelines as people and programs see them: with the names that Data Factory has. */
import { parseValue, plainOf } from '../../pipelines/expressions/values.ts'
import type { State } from '../../state/database.ts'
import { activityRuns } from '../../state/pipelines.ts'
import type { ActivityRunRow, PipelineRunRow } from '../../state/schema.ts'
import type { ActivityRunView, ActivitySummary, PipelineRunView } from './views.ts'

const parsed = (text: string | null) => (text === null ? null : plainOf(parseValue(text)))

export function summaryOf(r: PipelineRunRow): PipelineRunView {
  const { trigger } = parsed(r.info) as { trigger: { type: string; name: string } }
  return {
    runId: r.id,
    runGroupId: r.group_id,
    factory: r.factory,
    pipelineName: r.pipeline,
    status: r.state,
    cancelling: r.wish === 'cancel' && (r.state === 'InProgress' || r.state === 'Queued'),
    runStart: r.created_at,
    runEnd: r.ended_at,
    invokedBy: { name: trigger.name, invokedByType: trigger.type },
    rerunOf: r.rerun_of,
    parentRun: r.parent_run,
    message: (parsed(r.error) as { message?: string } | null)?.message ?? '',
    returnValue: parsed(r.return_value),
  }
}

/** A run with its activities. */
export async function viewOf(state: State, row: PipelineRunRow) {
  const activities = await activityRuns(state.db, row.id)
  return { ...summaryOf(row), activities: activities.filter(isShown).map(activityView) }
}

/** The runner's own steps are no activities. */
export const isShown = (a: Pick<ActivityRunRow, 'type'>) => !a.type.startsWith('.')

/** An activity without what it got and gave. */
export function activitySummary(a: Omit<ActivityRunRow, 'input' | 'output' | 'decision' | 'effect'>): ActivitySummary {
  return {
    activityName: a.name,
    activityType: a.type,
    key: a.key,
    status: a.state,
    activityRunStart: new Date(Number(a.started_at)).toISOString(),
    activityRunEnd: a.ended_at === null ? null : new Date(Number(a.ended_at)).toISOString(),
    durationInMs: a.ended_at === null ? null : Number(a.ended_at) - Number(a.started_at),
    retryAttempt: a.attempt - 1,
    copyRun: a.copy,
  }
}

export function activityView(a: ActivityRunRow): ActivityRunView {
  const secure = Number(a.secure)
  return {
    ...activitySummary(a),
    input: secure & 1 ? '***' : parsed(a.input),
    output: secure & 2 ? '***' : parsed(a.output),
    error: parsed(a.error),
    userProperties: parsed(a.user_properties) ?? {},
  }
}
