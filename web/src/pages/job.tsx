/** The panel of a job: its newest run, history, totals, schedules, definition. */
import {
  Button,
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
} from '@fluentui/react-components'
import { EditRegular, MoreHorizontalRegular, PlayRegular } from '@fluentui/react-icons'
import { queryOptions, useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { useLocation } from 'wouter'
import {
  act,
  call,
  jobQuery,
  jobYamlQuery,
  type PlanView,
  Problem,
  type RunView,
  runQuery,
  runsQuery,
  type TotalView,
  totalsQuery,
} from '../api.ts'
import { count, size, time } from '../format.ts'
import { Asked } from '../parts/confirm.tsx'
import { Empty } from '../parts/empty.tsx'
import { Failure } from '../parts/failure.tsx'
import { Grid } from '../parts/grid.tsx'
import { PageHead } from '../parts/page.tsx'
import { lastOf, PAGE, Pages } from '../parts/pages.tsx'
import { Plan } from '../parts/plan.tsx'
import { RunControls } from '../parts/runcontrols.tsx'
import { RunList } from '../parts/runlist.tsx'
import { RunPanel } from '../parts/runpanel.tsx'
import { Schedules } from '../parts/schedules.tsx'
import { useMay } from '../parts/session.ts'
import { isOver } from '../parts/status.tsx'
import { useAct } from '../parts/tell.tsx'
import { Triggers } from '../parts/triggers.tsx'
import { YamlEditor } from '../parts/yaml.tsx'

const useStyles = makeStyles({ body: { paddingTop: '16px' } })

/** The newest run of a job; null where it has never run. */
const lastRunQuery = (name: string) =>
  queryOptions({
    queryKey: ['job', name, 'last'],
    queryFn: async () => {
      const { runs } = await call<{ runs: RunView[] }>(`/runs?job=${encodeURIComponent(name)}&limit=1`)
      return runs[0] ?? null
    },
  })

export function JobPage({ name, tab }: { name: string; tab: string }) {
  const styles = useStyles()
  const [, go] = useLocation()
  const job = useQuery(jobQuery(name))
  const last = useQuery(lastRunQuery(name))
  const mayRun = useMay('operator')
  const mayEdit = useMay('admin')
  const run = useAct(
    (fullRefresh: boolean) => act.runJob(name, { fullRefresh }),
    () => `${name} runs`,
  )
  const reset = useAct(
    () => act.resetJob(name, []),
    () => 'The next run copies everything again',
  )
  const remove = useAct(
    () => act.removeJob(name),
    () => {
      go('/jobs')
      return `${name} is removed`
    },
  )
  const over = !last.data || isOver(last.data.state)
  const stands = last.data?.resumable === true
  const standing = useQuery({ ...runQuery(last.data?.id ?? ''), enabled: stands })
  // Resume continues an unfinished run. An edited job may also start a new run, which discards it.
  const begins = !stands || standing.data?.edited === true
  if (job.isError) {
    const gone = job.error instanceof Problem && job.error.status === 404
    return gone ? <Empty title={`There is no job ${name}`} /> : <Failure error={job.error} />
  }
  const place = `/jobs/${encodeURIComponent(name)}`
  return (
    <>
      <PageHead title={name} beside={<Text>{String(job.data?.definition.description ?? '')}</Text>}>
        {last.data && <RunControls run={last.data} />}
        {mayRun && begins && (
          <Button
            appearance={stands ? 'secondary' : 'primary'}
            icon={<PlayRegular />}
            {...(stands ? { title: 'The job was edited: a new run gives up the one that stands' } : {})}
            disabled={!over}
            disabledFocusable={run.isPending}
            onClick={() => run.mutate(false)}
          >
            Run now
          </Button>
        )}
        {mayEdit && (
          <Button icon={<EditRegular />} onClick={() => go(`${place}/edit`)}>
            Edit
          </Button>
        )}
        {mayRun && (
          <More
            over={over}
            mayEdit={mayEdit}
            onRefresh={() => run.mutate(true)}
            onReset={() => reset.mutate(undefined)}
            onRemove={() => remove.mutate(undefined)}
          />
        )}
      </PageHead>
      <TabList selectedValue={tab} onTabSelect={(_, { value }) => go(value === 'run' ? place : `${place}/${value}`)}>
        <Tab value="run">Newest run</Tab>
        <Tab value="history">Run history</Tab>
        <Tab value="totals">Totals</Tab>
        <Tab value="schedules">Schedules</Tab>
        <Tab value="plan">Plan</Tab>
        <Tab value="definition">Definition</Tab>
      </TabList>
      <div className={styles.body} role="tabpanel" aria-label={tab}>
        {tab === 'run' && <Newest last={last.data} pending={last.isPending} />}
        {tab === 'history' && <History name={name} />}
        {tab === 'totals' && <Totals name={name} />}
        {tab === 'schedules' && (
          <>
            <Schedules name={name} />
            <Triggers name={name} />
          </>
        )}
        {tab === 'plan' && <PlanOf name={name} />}
        {tab === 'definition' && <Definition name={name} />}
      </div>
    </>
  )
}

const QUESTIONS = {
  reset: {
    title: 'Reset the job?',
    text: 'The next run copies everything again, of all tables. An unfinished run is given up.',
    action: 'Reset',
  },
  remove: { title: 'Remove the job?', text: 'Its history goes too. What it has copied stays.', action: 'Remove' },
}

interface MoreProps {
  over: boolean
  mayEdit: boolean
  onRefresh: () => void
  onReset: () => void
  onRemove: () => void
}

function More({ over, mayEdit, onRefresh, onReset, onRemove }: MoreProps) {
  const [asked, setAsked] = useState<keyof typeof QUESTIONS>()
  return (
    <>
      <Menu>
        <MenuTrigger disableButtonEnhancement>
          <Button icon={<MoreHorizontalRegular />} aria-label="More" />
        </MenuTrigger>
        <MenuPopover>
          <MenuList>
            <MenuItem disabled={!over} onClick={onRefresh}>
              Run with full refresh
            </MenuItem>
            <MenuItem disabled={!over} onClick={() => setAsked('reset')}>
              Reset
            </MenuItem>
            {mayEdit && (
              <MenuItem disabled={!over} onClick={() => setAsked('remove')}>
                Remove
              </MenuItem>
            )}
          </MenuList>
        </MenuPopover>
      </Menu>
      {asked && (
        <Asked
          {...QUESTIONS[asked]}
          onConfirm={asked === 'reset' ? onReset : onRemove}
          onClose={() => setAsked(undefined)}
        />
      )}
    </>
  )
}

function Newest({ last, pending }: { last: RunView | null | undefined; pending: boolean }) {
  if (pending) return <Spinner label="Loading the run" />
  if (!last) return <Empty title="It has not run yet" text="Run it now, or give it a schedule." />
  return <RunPanel id={last.id} />
}

function History({ name }: { name: string }) {
  const [pages, setPages] = useState<string[]>([])
  const runs = useQuery(runsQuery({ job: name, before: pages.at(-1), limit: PAGE }))
  if (runs.isError) return <Failure error={runs.error} />
  if (!runs.data) return <Spinner label="Loading runs" />
  if (runs.data.runs.length === 0) return <Empty title="No runs yet" />
  return (
    <>
      <RunList runs={runs.data.runs} />
      <Pages pages={pages} last={lastOf(runs.data.runs)} onChange={setPages} />
    </>
  )
}

function Totals({ name }: { name: string }) {
  const totals = useQuery(totalsQuery(name))
  if (totals.isError) return <Failure error={totals.error} />
  if (!totals.data) return <Spinner label="Loading totals" />
  if (totals.data.length === 0)
    return <Empty title="Nothing yet" text="What the tables come to is counted over all runs that end." />
  const sum = (pick: (t: TotalView) => number) => totals.data.reduce((n, t) => n + pick(t), 0)
  return (
    <>
      <Text as="p">
        {count(totals.data.length)} tables in all runs: {count(sum(t => t.rowsRead))} rows read,{' '}
        {count(sum(t => t.rowsCopied))} written, {count(sum(t => t.rowsSkipped))} skipped, {size(sum(t => t.dataRead))}{' '}
        read.
      </Text>
      <Grid
        label="Totals"
        rows={totals.data}
        keyOf={t => `${t.source}\n${t.destination}`}
        columns={[
          { name: 'Source', cell: t => t.source },
          { name: 'Destination', cell: t => t.destination },
          { name: 'Runs', number: true, cell: t => count(t.runs) },
          { name: 'Not completed', number: true, cell: t => count(t.failures) },
          { name: 'Rows read', number: true, cell: t => count(t.rowsRead) },
          { name: 'Rows written', number: true, cell: t => count(t.rowsCopied) },
          { name: 'Skipped', number: true, cell: t => count(t.rowsSkipped) },
          { name: 'Data read', number: true, cell: t => size(t.dataRead) },
          { name: 'Last run', cell: t => time(t.lastAt) },
          { name: 'Incremental place', cell: t => time(t.position) },
        ]}
      />
    </>
  )
}

function PlanOf({ name }: { name: string }) {
  const mayPlan = useMay('operator')
  const plan = useQuery({
    queryKey: ['plan', name],
    queryFn: () => act.planJob(name),
    staleTime: Number.POSITIVE_INFINITY,
    retry: false,
    enabled: mayPlan,
  })
  if (!mayPlan) return <Empty title="Plans are for operators" />
  if (plan.isError) return <Failure error={plan.error} />
  if (!plan.data) return <Spinner label="Asking both stores" />
  return <Plan plan={plan.data as PlanView} />
}

function Definition({ name }: { name: string }) {
  const yaml = useQuery(jobYamlQuery(name))
  const mayEdit = useMay('admin')
  if (yaml.isError) return <Failure error={yaml.error} />
  if (yaml.data === undefined) return <Spinner label="Loading" />
  return (
    <YamlEditor
      key={yaml.data.version}
      name={name}
      version={yaml.data.version}
      yaml={yaml.data.value}
      {...(mayEdit ? { save: (text, version) => act.updateJobYaml(name, text, version) } : {})}
    />
  )
}
