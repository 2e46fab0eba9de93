/** The schedules of a job, with their next times and what came of them. */
import { Button, makeStyles, Spinner, Switch, Text, Title3 } from '@fluentui/react-components'
import { AddRegular, DeleteRegular, EditRegular } from '@fluentui/react-icons'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { act, type ScheduleView, schedulesQuery } from '../api.ts'
import { time } from '../format.ts'
import { Failure } from './failure.tsx'
import { Grid } from './grid.tsx'
import { ScheduleForm, type ScheduleValue, wordsFor } from './scheduleform.tsx'
import { useMay } from './session.ts'
import { useAct } from './tell.tsx'

const useStyles = makeStyles({ part: { display: 'flex', flexDirection: 'column', gap: '12px', marginBottom: '28px' } })

export function Schedules({ name }: { name: string }) {
  const styles = useStyles()
  const schedules = useQuery(schedulesQuery(name))
  const mayEdit = useMay('operator')
  const [edited, setEdited] = useState<number | 'new'>()
  const save = useAct(
    (all: ScheduleValue[]) => act.saveSchedules(name, all),
    () => {
      setEdited(undefined)
      return 'Schedules saved'
    },
    { isTold: true },
  )
  if (schedules.isError) return <Failure error={schedules.error} />
  if (!schedules.data) return <Spinner label="Loading schedules" />
  const all = schedules.data.map(s => s.schedule as ScheduleValue)
  // While it is being saved, the list that is shown is the former one: an edit of that would be lost.
  const keep = (schedules: ScheduleValue[]) => save.isPending || save.mutate(schedules)
  const replace = (at: number, by?: ScheduleValue) => keep(all.flatMap((s, i) => (i === at ? (by ? [by] : []) : [s])))
  const free = (n = all.length + 1): string =>
    all.some(s => s.name === `schedule ${n}`) ? free(n + 1) : `schedule ${n}`
  return (
    <section className={styles.part} aria-label="Schedules">
      <Title3 as="h2">Schedules</Title3>
      {all.length === 0 && edited === undefined && (
        <Text>No schedules yet: the job runs when it is started, or by a trigger.</Text>
      )}
      {all.length > 0 && (
        <Grid
          label="Schedules"
          rows={schedules.data}
          keyOf={s => String(s.schedule.name)}
          columns={[
            { name: 'Name', cell: s => String(s.schedule.name) },
            { name: 'When', cell: s => wordsFor(s.schedule) },
            { name: 'Next', cell: s => time(s.next[0] ?? null) || 'never' },
            {
              name: 'Last',
              cell: (s: ScheduleView) =>
                s.outcome && <span title={s.outcome}>{`${time(s.outcomeAt)}: ${s.outcome}`}</span>,
            },
            {
              name: 'On',
              cell: (s, i) => (
                <Switch
                  checked={s.schedule.enabled !== false}
                  disabled={!mayEdit}
                  aria-label={`${s.schedule.name} is on`}
                  onChange={(_, { checked }) => replace(i, { ...all[i]!, enabled: checked })}
                />
              ),
            },
            {
              name: 'Actions',
              cell: (s, i) =>
                mayEdit && (
                  <>
                    <Button
                      size="small"
                      appearance="subtle"
                      icon={<EditRegular />}
                      aria-label={`Edit ${s.schedule.name}`}
                      disabledFocusable={save.isPending}
                      onClick={() => setEdited(i)}
                    />
                    <Button
                      size="small"
                      appearance="subtle"
                      icon={<DeleteRegular />}
                      aria-label={`Remove ${s.schedule.name}`}
                      disabledFocusable={save.isPending}
                      onClick={() => replace(i)}
                    />
                  </>
                ),
            },
          ]}
        />
      )}
      {schedules.data
        .filter(s => s.next.length > 0)
        .map(s => (
          <Text key={String(s.schedule.name)} size={200}>
            {String(s.schedule.name)}, the next five times: {s.next.map(time).join(' · ')}
          </Text>
        ))}
      {save.isError && <Failure error={save.error} />}
      {edited !== undefined ? (
        <ScheduleForm
          key={edited}
          name={free()}
          {...(edited === 'new' ? {} : { schedule: all[edited]! })}
          onDone={value => (edited === 'new' ? keep([...all, value]) : replace(edited, value))}
          onCancel={() => setEdited(undefined)}
        />
      ) : (
        mayEdit && (
          <div>
            <Button icon={<AddRegular />} onClick={() => setEdited('new')}>
              New schedule
            </Button>
          </div>
        )
      )}
    </section>
  )
}
