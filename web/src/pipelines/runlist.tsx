/** Runs of pipelines, newest first. */
import { tokens } from '@fluentui/react-components'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { Link } from 'wouter'
import { duration, time } from '../format.ts'
import { Empty } from '../parts/empty.tsx'
import { Failure } from '../parts/failure.tsx'
import { Grid, type GridColumn } from '../parts/grid.tsx'
import { lastOf, PAGE, Pages } from '../parts/pages.tsx'
import { type PipelineRunFilter, type PipelineRunView, pipelineRunsQuery } from './api.ts'
import { PipelineStatus } from './status.tsx'

export const link = { color: tokens.colorBrandForegroundLink }

export const secondsOf = ({ runStart, runEnd }: Pick<PipelineRunView, 'runStart' | 'runEnd'>) =>
  runEnd === null ? null : (Date.parse(runEnd) - Date.parse(runStart)) / 1000

export const flowPathOf = (factory: string, flow: string) =>
  `/factories/${encodeURIComponent(factory)}/dataflows/${encodeURIComponent(flow)}`

export const pathOf = (factory: string, pipeline?: string) =>
  `/factories/${encodeURIComponent(factory)}${pipeline === undefined ? '' : `/pipelines/${encodeURIComponent(pipeline)}`}`

export function PipelineRunList({ filter, maxHeight }: { filter: PipelineRunFilter; maxHeight?: string }) {
  const [pages, setPages] = useState<string[]>([])
  const runs = useQuery(pipelineRunsQuery({ ...filter, before: pages.at(-1), limit: PAGE }))
  const columns: GridColumn<PipelineRunView>[] = [
    {
      name: 'Run',
      cell: r => (
        <Link href={`/pipelineruns/${r.runId}`} style={link}>
          {r.runId}
        </Link>
      ),
    },
    ...(filter.pipeline === undefined
      ? [
          {
            name: 'Pipeline',
            cell: (r: PipelineRunView) => (
              <Link href={pathOf(r.factory, r.pipelineName)} style={link}>
                {r.pipelineName}
              </Link>
            ),
          },
        ]
      : []),
    ...(filter.factory === undefined ? [{ name: 'Factory', cell: (r: PipelineRunView) => r.factory }] : []),
    { name: 'Status', cell: r => <PipelineStatus status={r.status} cancelling={r.cancelling} /> },
    { name: 'Started by', cell: r => (r.invokedBy.invokedByType === 'Manual' ? 'a person' : r.invokedBy.name) },
    { name: 'Started', cell: r => time(r.runStart) },
    { name: 'Duration', number: true, cell: r => duration(secondsOf(r)) },
    { name: 'Error', cell: r => <span title={r.message}>{r.message}</span> },
  ]
  if (runs.isError) return <Failure error={runs.error} />
  if (runs.data?.runs.length === 0 && pages.length === 0) {
    return <Empty title="No runs yet" text="Run a pipeline, or start a trigger." />
  }
  return (
    <>
      <Grid
        label="Runs of pipelines"
        columns={columns}
        rows={runs.data?.runs ?? []}
        keyOf={r => r.runId}
        maxHeight={maxHeight}
      />
      <Pages pages={pages} last={lastOf(runs.data?.runs.map(r => ({ id: r.runId })))} onChange={setPages} />
    </>
  )
}
