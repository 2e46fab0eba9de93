/** All jobs, each with its newest run. */
import { Button, Input, Spinner, tokens } from '@fluentui/react-components'
import { AddRegular, PlayRegular, SearchRegular } from '@fluentui/react-icons'
import { useQuery } from '@tanstack/react-query'
import { useDeferredValue, useState } from 'react'
import { Link, useLocation } from 'wouter'
import { act, jobsQuery, type ListedJob } from '../api.ts'
import { count, time } from '../format.ts'
import { Empty } from '../parts/empty.tsx'
import { Failure } from '../parts/failure.tsx'
import { Grid, type GridColumn } from '../parts/grid.tsx'
import { PageHead } from '../parts/page.tsx'
import { useMay } from '../parts/session.ts'
import { isOver, RunStatus } from '../parts/status.tsx'
import { useAct } from '../parts/tell.tsx'

export function JobsPage() {
  const [text, setText] = useState('')
  const shown = useDeferredValue(text)
  const jobs = useQuery(jobsQuery(shown))
  const [, go] = useLocation()
  const mayEdit = useMay('admin')
  const mayRun = useMay('operator')
  const run = useAct(
    (name: string) => act.runJob(name),
    (_, name) => `${name} runs`,
  )
  const columns: GridColumn<ListedJob>[] = [
    {
      name: 'Job',
      cell: j => (
        <Link href={`/jobs/${encodeURIComponent(j.name)}`} style={{ color: tokens.colorBrandForegroundLink }}>
          {j.name}
        </Link>
      ),
    },
    { name: 'From', cell: j => j.source },
    { name: 'To', cell: j => j.destination },
    { name: 'Mode', cell: j => j.mode },
    { name: 'Last run', cell: j => j.lastRun && <RunStatus run={j.lastRun} /> },
    { name: 'Rows', number: true, cell: j => j.lastRun && count(j.lastRun.rowsCopied) },
    { name: 'Started', cell: j => time(j.lastRun?.startedAt ?? null) },
    { name: 'Next', cell: j => time(j.nextTime) },
    {
      name: 'Run',
      cell: j =>
        mayRun && (
          <Button
            size="small"
            appearance="subtle"
            icon={<PlayRegular />}
            aria-label={`Run ${j.name} now`}
            disabled={j.lastRun !== null && !isOver(j.lastRun.state)}
            onClick={() => run.mutate(j.name)}
          />
        ),
    },
  ]
  const create = mayEdit && (
    <>
      <Button appearance="primary" icon={<AddRegular />} onClick={() => go('/jobs/new')}>
        New copy job
      </Button>
      <Button onClick={() => go('/jobs/new/file')}>From a job file</Button>
    </>
  )
  const none = jobs.data?.total === 0 && shown === ''
  return (
    <>
      <PageHead title="Jobs">
        <Input
          contentBefore={<SearchRegular />}
          placeholder="Search"
          aria-label="Search jobs"
          value={text}
          onChange={(_, { value }) => setText(value)}
        />
        {!none && create}
      </PageHead>
      {jobs.isError && <Failure error={jobs.error} />}
      {jobs.isPending && <Spinner label="Loading jobs" />}
      {none && (
        <Empty title="No jobs yet" text="A copy job takes tables, containers or files from one store to another.">
          {create}
        </Empty>
      )}
      {jobs.data && jobs.data.total === 0 && !none && <Empty title={`No job is called like “${shown}”`} />}
      {jobs.data && jobs.data.total > 0 && (
        <Grid
          label="Jobs"
          columns={columns}
          rows={jobs.data.jobs}
          keyOf={j => j.name}
          maxHeight="calc(100vh - 180px)"
        />
      )}
    </>
  )
}
