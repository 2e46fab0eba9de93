/** Runs of pipelines, as `ferry adf list` and `show` print them: with the names that Data Factory has. */
import { parseValue, plainOf } from '../pipelines/expressions/values.ts'
import type { State } from '../state/database.ts'
import { activityRuns, findPipelineRun, listPipelineRuns } from '../state/pipelines.ts'
import type { ActivityRunRow, PipelineRunRow } from '../state/schema.ts'
import { moment, printJson, seconds, table } from './output.ts'
import { stateName, withState } from './state.ts'

export async function list(_: string[], options: { json: boolean; pipeline?: string; most: number }): Promise<void> {
  const rows = await withState(state => listPipelineRuns(state.db, { pipeline: options.pipeline, limit: options.most }))
  if (options.json) return printJson(rows.map(summaryOf))
  if (rows.length === 0) return void process.stdout.write(`No runs of pipelines yet in ${stateName()}.\n`)
  const lines = rows.map(r => [r.id, r.factory, r.pipeline, r.state, moment(r.created_at), durationOf(r)])
  process.stdout.write(`${table(['run', 'factory', 'pipeline', 'status', 'started', 'time'], lines)}\n`)
}

const durationOf = (r: PipelineRunRow) =>
  r.ended_at === null ? '' : seconds((Date.parse(r.ended_at) - Date.parse(r.created_at)) / 1000)

const parsed = (text: string | null) => (text === null ? null : plainOf(parseValue(text)))

/** A run with the names that Data Factory has. */
export function summaryOf(r: PipelineRunRow) {
  const { trigger } = parsed(r.info) as { trigger: { type: string; name: string } }
  return {
    runId: r.id,
    runGroupId: r.group_id,
    factory: r.factory,
    pipelineName: r.pipeline,
    status: r.state,
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
  return { ...summaryOf(row), activities: activities.filter(a => !a.type.startsWith('.')).map(activityView) }
}

function activityView(a: ActivityRunRow) {
  const secure = Number(a.secure)
  return {
    activityName: a.name,
    activityType: a.type,
    key: a.key,
    status: a.state,
    activityRunStart: new Date(Number(a.started_at)).toISOString(),
    activityRunEnd: a.ended_at === null ? null : new Date(Number(a.ended_at)).toISOString(),
    durationInMs: a.ended_at === null ? null : Number(a.ended_at) - Number(a.started_at),
    retryAttempt: a.attempt - 1,
    input: secure & 1 ? '***' : parsed(a.input),
    output: secure & 2 ? '***' : parsed(a.output),
    error: parsed(a.error),
    userProperties: parsed(a.user_properties) ?? {},
    copyRun: a.copy,
  }
}

export async function show([id]: string[], options: { json: boolean }): Promise<void> {
  const view = await withState(async state => viewOf(state, await findPipelineRun(state.db, id!)))
  if (options.json) return printJson(view)
  const out = process.stdout
  out.write(`${view.pipelineName} of ${view.factory}: ${view.status}\n`)
  out.write(`  run ${view.runId}, ${moment(view.runStart)}, by ${view.invokedBy.name}\n`)
  if (view.message !== '') out.write(`  ${view.message}\n`)
  const lines = view.activities.map(a => [
    a.key,
    a.activityType,
    a.status,
    a.durationInMs === null ? '' : seconds(a.durationInMs / 1000),
    a.copyRun ?? '',
    (a.error as { message?: string } | null)?.message?.slice(0, 100) ?? '',
  ])
  if (lines.length > 0) out.write(`\n${table(['activity', 'type', 'status', 'time', 'copy', 'error'], lines)}\n`)
}
