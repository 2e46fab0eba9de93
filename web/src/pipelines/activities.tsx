/** The activities of a run: as a list, and over time. */
import { Button, makeStyles, Spinner, Text, tokens } from '@fluentui/react-components'
import { useQuery } from '@tanstack/react-query'
import { Link } from 'wouter'
import { duration, time } from '../format.ts'
import { Code } from '../parts/code.tsx'
import { Details } from '../parts/details.tsx'
import { Failure, FailureOf } from '../parts/failure.tsx'
import { Grid, type GridColumn } from '../parts/grid.tsx'
import { useMay } from '../parts/session.ts'
import { type ActivitySummary, activityQuery } from './api.ts'
import { link } from './runlist.tsx'
import { PipelineStatus, WORDS } from './status.tsx'

const useStyles = makeStyles({
  details: { display: 'flex', flexDirection: 'column', gap: '12px', minWidth: 'min(640px, 80vw)' },
  track: { position: 'relative', height: '18px', minWidth: '420px' },
  piece: { position: 'absolute', top: '3px', height: '12px', minWidth: '3px', borderRadius: '2px' },
})

const secondsOf = (a: ActivitySummary) => (a.durationInMs === null ? null : a.durationInMs / 1000)

export function ActivityList({ run, activities }: { run: string; activities: ActivitySummary[] }) {
  const maySee = useMay('operator')
  const columns: GridColumn<ActivitySummary>[] = [
    { name: 'Activity', cell: a => <span title={a.key}>{shownKey(a.key)}</span> },
    { name: 'Type', cell: a => a.activityType },
    { name: 'Status', cell: a => <PipelineStatus status={a.status} /> },
    { name: 'Started', cell: a => time(a.activityRunStart) },
    { name: 'Duration', number: true, cell: a => duration(secondsOf(a)) },
    { name: 'Retries', number: true, cell: a => (a.retryAttempt > 0 ? a.retryAttempt : '') },
    {
      name: 'Copy',
      cell: a =>
        a.copyRun && (
          <Link href={`/runs/${encodeURIComponent(a.copyRun)}`} style={link}>
            {a.copyRun}
          </Link>
        ),
    },
    ...(maySee
      ? [
          {
            name: 'Input and output',
            cell: (a: ActivitySummary) => (
              <Details
                title={shownKey(a.key)}
                wide
                open={
                  <Button size="small" appearance="subtle" aria-label={`Show input and output of ${a.key}`}>
                    Show
                  </Button>
                }
              >
                <ActivityDetails run={run} activity={a.key} />
              </Details>
            ),
          },
        ]
      : []),
  ]
  return <Grid label="Activities" columns={columns} rows={activities} keyOf={a => a.key} maxHeight="50vh" />
}

/** Slashes in the name of a branch are written as %2F. */
const shownKey = (key: string) => key.replaceAll('%2F', '/')

function ActivityDetails({ run, activity }: { run: string; activity: string }) {
  const styles = useStyles()
  const found = useQuery(activityQuery(run, activity))
  if (found.isError) return <Failure error={found.error} />
  if (!found.data) return <Spinner label="Loading" />
  const { input, output, error, userProperties } = found.data
  const { errorCode = '', message = '' } = (error ?? {}) as { errorCode?: string; message?: string }
  const hasProperties = typeof userProperties === 'object' && Object.keys(userProperties ?? {}).length > 0
  return (
    <div className={styles.details}>
      {error !== null && <FailureOf code={errorCode} message={message} hint="" />}
      <Part name="Input" value={input} />
      <Part name="Output" value={output} />
      {hasProperties && <Part name="User properties" value={userProperties} />}
    </div>
  )
}

function Part({ name, value }: { name: string; value: unknown }) {
  if (value === null || value === undefined) return <Text>{name}: none</Text>
  return (
    <section>
      <Text weight="semibold">{name}</Text>
      <Code label={name} text={typeof value === 'string' ? value : JSON.stringify(value, null, 2)} />
    </section>
  )
}

const COLOURS: Record<ActivitySummary['status'], string> = {
  InProgress: tokens.colorBrandBackground,
  Succeeded: tokens.colorPaletteGreenBackground3,
  Failed: tokens.colorPaletteRedBackground3,
  Skipped: tokens.colorNeutralStroke2,
  Cancelled: tokens.colorPaletteMarigoldBackground3,
}

/** When each activity began and ended; times are milliseconds since 1970. */
export function Gantt({ activities, from, to }: { activities: ActivitySummary[]; from: number; to: number }) {
  const styles = useStyles()
  const whole = Math.max(1, to - from)
  const columns: GridColumn<ActivitySummary>[] = [
    { name: 'Activity', width: '280px', cell: a => <span title={a.key}>{shownKey(a.key)}</span> },
    { name: 'Duration', number: true, width: '90px', cell: a => duration(secondsOf(a)) },
    {
      name: `${duration(whole / 1000)} from left to right`,
      cell: a => {
        const begin = Date.parse(a.activityRunStart)
        const end = a.activityRunEnd === null ? to : Date.parse(a.activityRunEnd)
        const left = Math.min(100, Math.max(0, ((begin - from) / whole) * 100))
        const width = Math.min(100 - left, Math.max(0, ((end - begin) / whole) * 100))
        const told = `${a.key}: ${WORDS[a.status]}, from ${duration((begin - from) / 1000)} to ${duration((end - from) / 1000)}`
        return (
          <div className={styles.track}>
            <div
              className={styles.piece}
              role="img"
              aria-label={told}
              title={told}
              style={{ left: `${left}%`, width: `${width}%`, backgroundColor: COLOURS[a.status] }}
            />
          </div>
        )
      },
    },
  ]
  return <Grid label="Activities over time" columns={columns} rows={activities} keyOf={a => a.key} maxHeight="50vh" />
}
