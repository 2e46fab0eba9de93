/** One factory: its pipelines, what of it runs here, its triggers, its runs. */
import { Button, makeStyles, Select, Spinner, Tab, TabList, Text, tokens } from '@fluentui/react-components'
import { DeleteRegular, KeyRegular, PlayRegular, StopRegular } from '@fluentui/react-icons'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { Link, useLocation } from 'wouter'
import { count, time } from '../format.ts'
import { Confirm } from '../parts/confirm.tsx'
import { CopyButton } from '../parts/copybutton.tsx'
import { Empty } from '../parts/empty.tsx'
import { Failure } from '../parts/failure.tsx'
import { Grid, type GridColumn } from '../parts/grid.tsx'
import { PageHead } from '../parts/page.tsx'
import { useMay } from '../parts/session.ts'
import { useAct } from '../parts/tell.tsx'
import { pageWords } from '../words.ts'
import { actOn, type FactoryView, factoryQuery } from './api.ts'
import { flowPathOf, link, PipelineRunList, pathOf } from './runlist.tsx'
import { RunPipeline } from './runpipeline.tsx'
import { type Verdict, VerdictBadge } from './status.tsx'

const useStyles = makeStyles({
  body: { paddingTop: '16px', display: 'flex', flexDirection: 'column', gap: '12px' },
  bar: { display: 'flex', flexWrap: 'wrap', gap: '12px', alignItems: 'center' },
  muted: { color: tokens.colorNeutralForeground2 },
  findings: { margin: 0, paddingLeft: '18px' },
  artifact: { padding: '8px 0', borderBottom: `1px solid ${tokens.colorNeutralStroke3}` },
})

export default function FactoryPage({ name, tab }: { name: string; tab: string }) {
  const styles = useStyles()
  const [, go] = useLocation()
  const factory = useQuery(factoryQuery(name))
  const mayEdit = useMay('admin')
  const remove = useAct(
    () => actOn.removeFactory(name),
    () => {
      go('/factories')
      return `${name} is removed`
    },
  )
  const { data } = factory
  return (
    <>
      <PageHead title={name} beside={data && <Text className={styles.muted}>{data.source.factory}</Text>}>
        {mayEdit && (
          <Confirm
            title={`Remove ${name}?`}
            text="Its triggers stop. Its files, and the runs that it has had, stay."
            action="Remove"
            onConfirm={() => remove.mutate(undefined)}
          >
            <Button icon={<DeleteRegular />}>Remove</Button>
          </Confirm>
        )}
      </PageHead>
      <TabList selectedValue={tab} onTabSelect={(_, { value }) => go(`${pathOf(name)}/${value}`)}>
        <Tab value="pipelines">Pipelines</Tab>
        <Tab value="dataflows">Data flows</Tab>
        <Tab value="check">Check</Tab>
        <Tab value="triggers">Triggers</Tab>
        <Tab value="runs">Runs</Tab>
      </TabList>
      <div className={styles.body}>
        {factory.isError && <Failure error={factory.error} />}
        {factory.isPending && <Spinner label="Reading the factory" />}
        {data && tab === 'pipelines' && <Pipelines factory={data} />}
        {data && tab === 'dataflows' && <DataFlows factory={data} />}
        {data && tab === 'check' && <Check factory={data} />}
        {data && tab === 'triggers' && <Triggers factory={data} />}
        {tab === 'runs' && <PipelineRunList filter={{ factory: name }} maxHeight="calc(100vh - 260px)" />}
      </div>
    </>
  )
}

function Pipelines({ factory }: { factory: FactoryView }) {
  const mayRun = useMay('operator')
  const columns: GridColumn<FactoryView['pipelines'][number]>[] = [
    {
      name: 'Pipeline',
      cell: p => (
        <Link href={pathOf(factory.name, p.name)} style={link}>
          {p.name}
        </Link>
      ),
    },
    { name: 'Folder', cell: p => p.folder ?? '' },
    { name: 'Activities', number: true, cell: p => count(p.activities) },
    { name: 'Here', cell: p => <VerdictBadge verdict={p.verdict} /> },
    { name: 'Description', cell: p => p.description },
    ...(mayRun
      ? [
          {
            name: 'Run',
            cell: (p: FactoryView['pipelines'][number]) =>
              p.verdict !== 'cannot run' && <RunPipeline factory={factory.name} pipeline={p.name} small />,
          },
        ]
      : []),
  ]
  if (factory.pipelines.length === 0) return <Empty title="It has no pipelines" />
  return (
    <Grid
      label="Pipelines"
      columns={columns}
      rows={factory.pipelines}
      keyOf={p => p.name}
      maxHeight="calc(100vh - 240px)"
    />
  )
}

function DataFlows({ factory }: { factory: FactoryView }) {
  const columns: GridColumn<FactoryView['dataflows'][number]>[] = [
    {
      name: 'Data flow',
      cell: f => (
        <Link href={flowPathOf(factory.name, f.name)} style={link}>
          {f.name}
        </Link>
      ),
    },
    { name: 'Folder', cell: f => f.folder ?? '' },
    { name: 'Here', cell: f => <VerdictBadge verdict={f.verdict} /> },
    { name: 'Description', cell: f => f.description },
  ]
  if (factory.dataflows.length === 0) return <Empty title="It has no data flows" />
  return (
    <Grid
      label="Data flows"
      columns={columns}
      rows={factory.dataflows}
      keyOf={f => f.name}
      maxHeight="calc(100vh - 240px)"
    />
  )
}

const VERDICTS: Verdict[] = ['cannot run', 'runs with a redirect', 'runs']

/** What of a factory runs here, and why the rest does not. */
function Check({ factory }: { factory: FactoryView }) {
  const styles = useStyles()
  const [verdict, setVerdict] = useState('')
  const [category, setCategory] = useState('')
  const counted = (v: Verdict) => factory.artifacts.filter(a => a.verdict === v).length
  const shown = factory.artifacts
    .filter(a => (verdict === '' || a.verdict === verdict) && (category === '' || a.category === category))
    .sort((a, b) => VERDICTS.indexOf(a.verdict) - VERDICTS.indexOf(b.verdict))
  const categories = [...new Set(factory.artifacts.map(a => a.category))]
  return (
    <>
      <div className={styles.bar}>
        {VERDICTS.map(v => (
          <span key={v}>
            <VerdictBadge verdict={v} /> {count(counted(v))}
          </span>
        ))}
        <Select aria-label="Whether it runs" value={verdict} onChange={(_, { value }) => setVerdict(value)}>
          <option value="">all</option>
          {VERDICTS.map(v => (
            <option key={v}>{v}</option>
          ))}
        </Select>
        <Select aria-label="Kind of artifact" value={category} onChange={(_, { value }) => setCategory(value)}>
          <option value="">every kind</option>
          {categories.map(c => (
            <option key={c}>{c}</option>
          ))}
        </Select>
      </div>
      <section aria-label="Artifacts">
        {shown.slice(0, 500).map(a => (
          <div key={`${a.category}/${a.name}/${a.file}`} className={styles.artifact}>
            <VerdictBadge verdict={a.verdict} /> <Text weight="semibold">{a.name}</Text>{' '}
            <Text className={styles.muted}>
              {a.category}, {withinOf(factory, a.file)}
            </Text>
            {a.findings.length > 0 && (
              <ul className={styles.findings}>
                {a.findings.slice(0, 50).map(f => (
                  <li key={`${f.path}\n${f.message}`}>
                    {pageWords(f.message)} <code className={styles.muted}>{f.path}</code>
                  </li>
                ))}
              </ul>
            )}
          </div>
        ))}
        {shown.length > 500 && <Text>and {count(shown.length - 500)} more</Text>}
      </section>
    </>
  )
}

/** A file of a factory as its folder names it. */
const withinOf = ({ source }: FactoryView, file: string) =>
  file.startsWith(`${source.factory}/`) ? file.slice(source.factory.length + 1) : file

type TriggerOf = FactoryView['triggers'][number]

function Triggers({ factory }: { factory: FactoryView }) {
  const mayRun = useMay('operator')
  const mayEdit = useMay('admin')
  const act = useAct(
    ({ name, started }: TriggerOf) => actOn.trigger(factory.name, name, started ? 'stop' : 'start'),
    (_, { name, started }) => `${name} is ${started ? 'stopped' : 'started'}`,
  )
  if (factory.triggers.length === 0) return <Empty title="It has no triggers" />
  const columns: GridColumn<TriggerOf>[] = [
    { name: 'Trigger', cell: t => t.name },
    { name: 'Type', cell: t => t.type },
    { name: 'Pipelines', cell: t => t.pipelines.join(', ') },
    { name: 'State', cell: t => (t.started ? 'started' : 'stopped') },
    { name: 'Last', cell: t => <span title={t.outcome}>{t.outcome}</span> },
    { name: 'When', cell: t => time(t.outcomeAt) },
    ...(mayRun
      ? [
          {
            name: 'Start or stop',
            cell: (t: TriggerOf) => (
              <Button
                size="small"
                icon={t.started ? <StopRegular /> : <PlayRegular />}
                aria-label={`${t.started ? 'Stop' : 'Start'} ${t.name}`}
                disabled={act.isPending}
                onClick={() => act.mutate(t)}
              >
                {t.started ? 'Stop' : 'Start'}
              </Button>
            ),
          },
        ]
      : []),
    ...(mayEdit && factory.triggers.some(t => t.hook)
      ? [{ name: 'Address', cell: (t: TriggerOf) => t.hook && <Secret factory={factory.name} trigger={t.name} /> }]
      : []),
  ]
  return <Grid label="Triggers" columns={columns} rows={factory.triggers} keyOf={t => t.name} />
}

/** The address that events are sent to; its secret is shown once. */
function Secret({ factory, trigger }: { factory: string; trigger: string }) {
  const make = useAct(() => actOn.secret(factory, trigger))
  if (make.data) {
    const address = `${location.origin}${make.data.address}?secret=${make.data.secret}`
    return (
      <>
        <code>{address.slice(0, 40)}…</code> <CopyButton text={address} what={`the address of ${trigger}`} />
      </>
    )
  }
  return (
    <Confirm
      title={`An address for ${trigger}?`}
      text="Its secret is shown once. One that was made before is no longer valid."
      action="Make it"
      onConfirm={() => make.mutate(undefined)}
    >
      <Button size="small" icon={<KeyRegular />} aria-label={`An address for ${trigger}`}>
        Address
      </Button>
    </Confirm>
  )
}
