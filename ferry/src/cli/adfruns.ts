/** Runs of pipelines, as `ferry adf list` and `show` print them: with the names that Data Factory has. */
import { summaryOf, viewOf } from '../facades/datafactory/runs.ts'
import { findPipelineRun, listPipelineRuns } from '../state/pipelines.ts'
import type { PipelineRunRow } from '../state/schema.ts'
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
