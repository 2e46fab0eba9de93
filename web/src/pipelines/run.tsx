/** One run of a pipeline, live: the graph, the activities as a list and over time, what each got and gave. */
import {
  Button,
  Input,
  Menu,
  MenuItem,
  MenuList,
  MenuPopover,
  MenuTrigger,
  makeStyles,
  Spinner,
  Tab,
  TabList,
  Text,
  tokens,
} from '@fluentui/react-components'
import { ArrowClockwiseRegular, DismissCircleRegular, SearchRegular } from '@fluentui/react-icons'
import { useQuery } from '@tanstack/react-query'
import { useDeferredValue, useMemo, useState } from 'react'
import { Link, useLocation } from 'wouter'
import { count, duration, time } from '../format.ts'
import { Code } from '../parts/code.tsx'
import { Confirm } from '../parts/confirm.tsx'
import { Failure, FailureOf } from '../parts/failure.tsx'
import { PageHead } from '../parts/page.tsx'
import { useMay } from '../parts/session.ts'
import { useAct } from '../parts/tell.tsx'
import { ActivityList, Gantt } from './activities.tsx'
import {
  actOn,
  isEnded,
  MOST_ACTIVITIES,
  type PipelineRunView,
  pipelineQuery,
  pipelineRunQuery,
  useActivities,
} from './api.ts'
import { PipelineGraph, standings } from './graph.tsx'
import { link, pathOf, secondsOf } from './runlist.tsx'
import { PipelineStatus } from './status.tsx'

const useStyles = makeStyles({
  part: { display: 'flex', flexDirection: 'column', gap: '14px' },
  bar: { display: 'flex', flexWrap: 'wrap', gap: '10px', alignItems: 'center' },
  muted: { color: tokens.colorNeutralForeground2 },
})

export default function PipelineRunPage({ id }: { id: string }) {
  const styles = useStyles()
  const run = useQuery(pipelineRunQuery(id))
  const { data } = run
  return (
    <>
      <PageHead title={data ? `${data.pipelineName}: a run` : 'Run of a pipeline'}>
        {data && (
          <Link href={pathOf(data.factory, data.pipelineName)} style={link}>
            To the pipeline
          </Link>
        )}
        {data && <Controls run={data} />}
      </PageHead>
      {run.isError && <Failure error={run.error} />}
      {run.isPending && <Spinner label="Loading the run" />}
      {data && (
        <div className={styles.part}>
          <div className={styles.bar}>
            <PipelineStatus status={data.status} cancelling={data.cancelling} />
            <Text className={styles.muted}>
              Run <code>{data.runId}</code> of {data.factory}, started by{' '}
              {data.invokedBy.invokedByType === 'Manual' ? 'a person' : data.invokedBy.name}, {time(data.runStart)}
              {data.runEnd ? `, ${duration(secondsOf(data))}` : ''}
            </Text>
            {data.rerunOf && (
              <Link href={`/pipelineruns/${data.rerunOf}`} style={link}>
                The run before it
              </Link>
            )}
            {data.parentRun && (
              <Link href={`/pipelineruns/${data.parentRun}`} style={link}>
                The run that started it
              </Link>
            )}
          </div>
          {data.message !== '' && <FailureOf code="FERRY-7005" message={data.message} hint="" />}
          {data.status === 'Queued' && <Text>It waits for its turn.</Text>}
          <Activities run={data} />
          {data.returnValue !== null && <Code label="Return value" text={JSON.stringify(data.returnValue, null, 2)} />}
        </div>
      )}
    </>
  )
}

function Controls({ run }: { run: PipelineRunView }) {
  const [, go] = useLocation()
  const mayAct = useMay('operator')
  const pipeline = useQuery(pipelineQuery(run.factory, run.pipelineName))
  const cancel = useAct(() => actOn.cancel(run.runId))
  const rerun = useAct(
    (from: string | undefined) => actOn.rerun(run.runId, from),
    ({ runId }) => {
      go(`/pipelineruns/${runId}`)
      return undefined
    },
  )
  if (!mayAct) return null
  if (!isEnded(run.status)) {
    return (
      <Confirm
        title="Cancel the run?"
        text="It stops for good. What its copies have not published yet is removed; rows that others see already stay."
        action="Cancel the run"
        onConfirm={() => cancel.mutate(undefined)}
      >
        <Button icon={<DismissCircleRegular />} disabledFocusable={cancel.isPending || run.cancelling}>
          Cancel
        </Button>
      </Confirm>
    )
  }
  return (
    <>
      {run.status !== 'Succeeded' && (
        <Button
          appearance="primary"
          icon={<ArrowClockwiseRegular />}
          disabled={rerun.isPending}
          onClick={() => rerun.mutate(undefined)}
        >
          Rerun from failed
        </Button>
      )}
      {pipeline.data && (
        <Menu>
          <MenuTrigger disableButtonEnhancement>
            <Button disabled={rerun.isPending}>Rerun from …</Button>
          </MenuTrigger>
          <MenuPopover>
            <MenuList>
              {pipeline.data.activities.map(a => (
                <MenuItem key={a.name} onClick={() => rerun.mutate(a.name)}>
                  {a.name}
                </MenuItem>
              ))}
            </MenuList>
          </MenuPopover>
        </Menu>
      )}
    </>
  )
}

function Activities({ run }: { run: PipelineRunView }) {
  const styles = useStyles()
  const pipeline = useQuery(pipelineQuery(run.factory, run.pipelineName))
  const activities = useActivities(run.runId, isEnded(run.status))
  const [tab, setTab] = useState('list')
  const [text, setText] = useState('')
  const wanted = useDeferredValue(text).toLowerCase()
  const all = activities.data?.activities ?? []
  const standing = useMemo(() => standings(all), [all])
  const shown = useMemo(
    () =>
      all
        .filter(a => wanted === '' || a.key.toLowerCase().includes(wanted))
        .sort((a, b) =>
          a.activityRunStart < b.activityRunStart ? -1 : a.activityRunStart > b.activityRunStart ? 1 : 0,
        ),
    [all, wanted],
  )
  return (
    <>
      {pipeline.data && <PipelineGraph pipeline={pipeline.data} standing={standing} onOpen={setText} />}
      {activities.isError && <Failure error={activities.error} />}
      <div className={styles.bar}>
        <TabList selectedValue={tab} onTabSelect={(_, { value }) => setTab(String(value))}>
          <Tab value="list">Activities</Tab>
          <Tab value="gantt">Gantt</Tab>
        </TabList>
        <Input
          contentBefore={<SearchRegular />}
          placeholder="Search activities"
          aria-label="Search activities"
          value={text}
          onChange={(_, { value }) => setText(value)}
        />
        <Text className={styles.muted} aria-live="polite">
          {count(shown.length)} of {count(all.length)}
          {activities.data?.more ? `, and more: a page shows ${count(MOST_ACTIVITIES)}` : ''}
        </Text>
      </div>
      {tab === 'list' ? (
        <ActivityList run={run.runId} activities={shown} />
      ) : (
        <Gantt
          activities={shown}
          from={Date.parse(run.runStart)}
          to={run.runEnd ? Date.parse(run.runEnd) : Date.now()}
        />
      )}
    </>
  )
}
