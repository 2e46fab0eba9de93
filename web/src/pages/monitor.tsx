/** Runs of all jobs, with filters. */
import { Card, Input, makeStyles, Select, Spinner, Text, Title3, tokens } from '@fluentui/react-components'
import { useQuery } from '@tanstack/react-query'
import { useDeferredValue, useState } from 'react'
import { useSearchParams } from 'wouter'
import { type RunView, runsQuery, summaryQuery } from '../api.ts'
import { count } from '../format.ts'
import { Empty } from '../parts/empty.tsx'
import { Failure } from '../parts/failure.tsx'
import { PageHead } from '../parts/page.tsx'
import { lastOf, PAGE, Pages } from '../parts/pages.tsx'
import { RunList } from '../parts/runlist.tsx'

const STATES: RunView['state'][] = [
  'pending',
  'planning',
  'running',
  'completing',
  'paused',
  'failed',
  'completed',
  'cancelled',
]
const SINCE: Record<string, number> = { 'last hour': 3600, 'last day': 86_400, 'last 7 days': 604_800 }

const useStyles = makeStyles({
  cards: { display: 'flex', flexWrap: 'wrap', gap: '12px', marginBottom: '16px' },
  card: { minWidth: '92px', padding: '10px 14px', gap: 0 },
  filters: { display: 'flex', flexWrap: 'wrap', gap: '12px', marginBottom: '12px' },
  muted: { color: tokens.colorNeutralForeground2 },
})

export function MonitorPage() {
  const styles = useStyles()
  // In the address: who reloads, goes back or sends it on sees the same.
  const [words, setWords] = useSearchParams()
  const word = (name: string) => words.get(name) ?? ''
  const job = word('job')
  const state = word('state')
  const invokedBy = word('by')
  const since = word('since')
  const [pages, setPages] = useState<string[]>([])
  const before = pages.at(-1)
  const filter = {
    search: useDeferredValue(job) || undefined,
    state: state || undefined,
    invokedBy: invokedBy || undefined,
    from: SINCE[since]
      ? new Date(Math.floor(Date.now() / 60_000) * 60_000 - SINCE[since]! * 1000).toISOString()
      : undefined,
    before,
    limit: PAGE,
  }
  const runs = useQuery(runsQuery(filter))
  const summary = useQuery(summaryQuery)
  const change =
    (name: string) =>
    (_: unknown, { value }: { value: string }) => {
      setWords(
        before => {
          if (value === '') before.delete(name)
          else before.set(name, value)
          return before
        },
        { replace: true },
      )
      setPages([])
    }
  return (
    <>
      <PageHead title="Monitor" />
      <div className={styles.cards}>
        {STATES.map(name => (
          <Card key={name} className={styles.card} size="small">
            <Title3 as="h2">{count(summary.data?.states[name] ?? 0)}</Title3>
            <Text size={200} className={styles.muted}>
              {name}
            </Text>
          </Card>
        ))}
      </div>
      <search className={styles.filters}>
        <Input placeholder="Job" aria-label="Job" value={job} onChange={change('job')} />
        <Select aria-label="State" value={state} onChange={change('state')}>
          <option value="">every state</option>
          {STATES.map(s => (
            <option key={s}>{s}</option>
          ))}
        </Select>
        <Select aria-label="Invoked by" value={invokedBy} onChange={change('by')}>
          <option value="">invoked by anything</option>
          <option value="manual">a person</option>
          <option value="schedule">a schedule</option>
          <option value="trigger">a trigger</option>
        </Select>
        <Select aria-label="Time" value={since} onChange={change('since')}>
          <option value="">at any time</option>
          {Object.keys(SINCE).map(s => (
            <option key={s}>{s}</option>
          ))}
        </Select>
      </search>
      {runs.isError && <Failure error={runs.error} />}
      {runs.isPending && <Spinner label="Loading runs" />}
      {runs.data?.runs.length === 0 && (
        <Empty
          title="No such runs"
          text={pages.length > 0 ? 'There are no older ones.' : 'Run a job, or choose other filters.'}
        />
      )}
      {runs.data && runs.data.runs.length > 0 && (
        <RunList runs={runs.data.runs} showJob maxHeight="calc(100vh - 330px)" />
      )}
      <Pages pages={pages} last={lastOf(runs.data?.runs)} onChange={setPages} />
    </>
  )
}
