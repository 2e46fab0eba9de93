/** One run: its state, counts, chart and tables. */
import {
  Button,
  Card,
  Input,
  MessageBar,
  MessageBarBody,
  makeStyles,
  ProgressBar,
  Spinner,
  Text,
  Title3,
  tokens,
} from '@fluentui/react-components'
import { ArrowResetRegular, SearchRegular } from '@fluentui/react-icons'
import { useQuery } from '@tanstack/react-query'
import { useDeferredValue, useState } from 'react'
import { act, type RunDetail, runQuery, type TableView, tablesQuery } from '../api.ts'
import { count, duration, invoker, lag, rate, size, time } from '../format.ts'
import { Chart } from './chart.tsx'
import { Confirm } from './confirm.tsx'
import { Failure, FailureOf } from './failure.tsx'
import { Grid, type GridColumn } from './grid.tsx'
import { useMay } from './session.ts'
import { Skipped } from './skipped.tsx'
import { FailedStatus, isOver, Status } from './status.tsx'
import { useAct } from './tell.tsx'

const useStyles = makeStyles({
  facts: { display: 'flex', flexWrap: 'wrap', gap: '12px' },
  fact: { minWidth: '110px', padding: '10px 14px', gap: 0 },
  muted: { color: tokens.colorNeutralForeground2 },
  part: { display: 'flex', flexDirection: 'column', gap: '14px' },
  bar: { display: 'flex', flexWrap: 'wrap', gap: '8px', alignItems: 'center' },
})

export function RunPanel({ id }: { id: string }) {
  const styles = useStyles()
  const run = useQuery(runQuery(id))
  const tables = useQuery(tablesQuery(id))
  if (run.isError) return <Failure error={run.error} />
  if (!run.data) return <Spinner label="Loading the run" />
  const { data } = run
  return (
    <div className={styles.part}>
      <div className={styles.bar}>
        <Status state={data.state} skipped={data.rowsSkipped} />
        <Text className={styles.muted}>
          Run <code>{data.id}</code>, invoked by {invoker(data.invokedBy)}
          {data.startedAt ? `, started ${time(data.startedAt)}` : ''}
          {data.endedAt ? `, ended ${time(data.endedAt)}` : ''}
        </Text>
      </div>
      <Wishes run={data} />
      {data.error && <FailureOf {...data.error} />}
      {isOver(data.state) && !data.resumable && data.state !== 'completed' && (
        <MessageBar>
          <MessageBarBody>
            It does not go on. {count(data.rowsCopied)} rows of it stay at the destination.
          </MessageBarBody>
        </MessageBar>
      )}
      {data.waiting && (
        <MessageBar intent="warning">
          <MessageBarBody>It waits: {data.waiting}</MessageBarBody>
        </MessageBar>
      )}
      <Skipped run={data} />
      <Facts run={data} tables={tables.data?.tables ?? []} />
      <Chart samples={data.samples} />
      {data.attempts.length > 1 && <Attempts run={data} />}
      {tables.isError && <Failure error={tables.error} />}
      {tables.data && tables.data.tables.length > 0 && <Tables run={data} tables={tables.data.tables} />}
    </div>
  )
}

/** What was asked of the run, until it is done. */
function Wishes({ run }: { run: RunDetail }) {
  if (run.wish && run.executing) {
    const doing = {
      pause: 'It is being paused.',
      cancel: 'It is being cancelled.',
      complete: 'It copies what its source holds now, then ends.',
    }
    return (
      <MessageBar>
        <MessageBarBody>{doing[run.wish]}</MessageBarBody>
      </MessageBar>
    )
  }
  if (run.state === 'pending' && !run.executing) {
    return (
      <MessageBar>
        <MessageBarBody>It waits for its turn.</MessageBarBody>
      </MessageBar>
    )
  }
  return null
}

/** The processes that worked at the run, one after another. */
function Attempts({ run }: { run: RunDetail }) {
  return (
    <section aria-label="Attempts">
      <Title3 as="h2">Attempts</Title3>
      <Grid
        label="Attempts"
        rows={run.attempts}
        keyOf={a => a.startedAt}
        maxHeight="30vh"
        columns={[
          { name: 'Started', cell: a => time(a.startedAt) },
          { name: 'Ended', cell: a => time(a.endedAt) },
          { name: 'At work', number: true, cell: a => duration(a.duration) },
          { name: 'Came to', cell: a => (a.outcome === 'died' ? 'its process was gone' : (a.outcome ?? 'at work')) },
          { name: 'Host', cell: a => a.host },
          { name: 'Error', cell: a => a.error && `${a.error.code} ${a.error.message}` },
        ]}
      />
    </section>
  )
}

function Facts({ run, tables }: { run: RunDetail; tables: TableView[] }) {
  const styles = useStyles()
  const behind = tables.flatMap(t => (t.lag ? [t.lag] : []))
  const slowest = behind.sort((a, b) => b.seconds - a.seconds)[0]
  const facts: [string, string][] = [
    ['Rows read', count(run.rowsRead)],
    ['Rows written', count(run.rowsCopied)],
    ['Skipped', count(run.rowsSkipped)],
    ['Data read', size(run.dataRead)],
    ['Time at work', duration(run.duration)],
    ['Throughput', rate(run.throughput)],
    ['Tables', `${count(run.tablesDone)} of ${count(run.tables)}`],
    ...(slowest ? ([['Behind', lag(slowest)]] as [string, string][]) : []),
  ]
  return (
    <div className={styles.facts}>
      {facts.map(([name, value]) => (
        <Card key={name} className={styles.fact} size="small">
          <Title3 as="span" data-fact={name}>
            {value || '–'}
          </Title3>
          <Text size={200} className={styles.muted}>
            {name}
          </Text>
        </Card>
      ))}
    </div>
  )
}

function Tables({ run, tables }: { run: RunDetail; tables: TableView[] }) {
  const styles = useStyles()
  const [text, setText] = useState('')
  const shown = useDeferredValue(text.toLowerCase())
  const mayAct = useMay('operator')
  const reset = useAct(
    (table: string) => act.resetJob(run.job, [table]),
    (_, table) => `The next run copies everything of ${table} again`,
  )
  const follows = tables.some(t => t.lag)
  const columns: GridColumn<TableView>[] = [
    { name: 'Source', cell: t => <span title={t.source}>{t.source}</span> },
    { name: 'Destination', cell: t => <span title={t.destination}>{t.destination}</span> },
    {
      name: 'Status',
      cell: t =>
        t.error ? (
          <FailedStatus of={t.source} title={t.source} state={t.state} error={t.error} />
        ) : (
          <Status state={t.state} skipped={t.rowsSkipped} />
        ),
    },
    { name: 'Progress', cell: t => <Progress table={t} /> },
    ...(follows ? [{ name: 'Lag', cell: (t: TableView) => t.lag && lag(t.lag) }] : []),
    { name: 'Rows read', number: true, cell: t => count(t.rowsRead) },
    { name: 'Rows written', number: true, cell: t => count(t.rowsCopied) },
    { name: 'Skipped', number: true, cell: t => count(t.rowsSkipped) },
    { name: 'Duration', number: true, cell: t => duration(t.duration) },
    { name: 'Throughput', number: true, cell: t => rate(t.throughput) },
    { name: 'Start', cell: t => time(t.startedAt) },
    { name: 'Stop', cell: t => time(t.endedAt) },
    { name: 'Encoding', cell: t => t.encoding },
    ...(mayAct && run.mode === 'incremental'
      ? [
          {
            name: 'Reset',
            cell: (t: TableView) => (
              <Confirm
                title={`Reset ${t.source}?`}
                text="The next run copies everything of this table again."
                action="Reset"
                onConfirm={() => reset.mutate(t.source)}
              >
                <Button
                  size="small"
                  appearance="subtle"
                  icon={<ArrowResetRegular />}
                  aria-label={`Reset ${t.source}`}
                  disabled={!isOver(run.state)}
                />
              </Confirm>
            ),
          },
        ]
      : []),
  ]
  const chosen = shown ? tables.filter(t => `${t.source} ${t.destination}`.toLowerCase().includes(shown)) : tables
  return (
    <>
      {tables.length > 10 && (
        <div className={styles.bar}>
          <Input
            contentBefore={<SearchRegular />}
            placeholder="Search tables"
            aria-label="Search tables"
            value={text}
            onChange={(_, { value }) => setText(value)}
          />
          <Text className={styles.muted}>
            {count(chosen.length)} of {count(tables.length)} tables
          </Text>
        </div>
      )}
      <Grid label="Tables" columns={columns} rows={chosen} keyOf={t => t.ordinal} maxHeight="50vh" />
    </>
  )
}

function Progress({ table: t }: { table: TableView }) {
  if (t.state === 'completed') return null
  const bySplits = t.splits > 1 ? t.splitsDone / t.splits : 0
  const byRows = t.totalRows ? t.rowsRead / t.totalRows : 0
  const share = Math.min(0.99, Math.max(bySplits, byRows))
  if (t.state === 'pending' || (share === 0 && t.state !== 'running')) return null
  const label = `${t.source}: ${Math.round(share * 100)} %`
  return <ProgressBar value={share} thickness="large" style={{ width: 90 }} aria-label={label} title={label} />
}
