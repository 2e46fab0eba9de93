import { Button, makeStyles, Text, Title3 } from '@fluentui/react-components'
import { AddRegular, DeleteRegular } from '@fluentui/react-icons'
import { useEffect, useState } from 'react'
import { Grid } from '../parts/grid.tsx'
import { ScheduleForm, wordsFor } from '../parts/scheduleform.tsx'
import type { StepProps } from './step.ts'

const useStyles = makeStyles({ bar: { display: 'flex' } })

export function ScheduleStep({ draft, set, onOpen }: StepProps & { onOpen: (isOpen: boolean) => void }) {
  const styles = useStyles()
  const [making, setMaking] = useState(false)
  useEffect(() => {
    onOpen(making)
    return () => onOpen(false)
  }, [making, onOpen])
  const { schedules } = draft
  const free = (n = schedules.length + 1): string =>
    schedules.some(s => s.name === `schedule ${n}`) ? free(n + 1) : `schedule ${n}`
  return (
    <>
      <Title3 as="h2">When does it run?</Title3>
      {schedules.length === 0 && !making && <Text>When it is started. A schedule starts it at set times.</Text>}
      {schedules.length > 0 && (
        <Grid
          label="Schedules"
          rows={schedules}
          keyOf={s => s.name}
          columns={[
            { name: 'Name', cell: s => s.name },
            { name: 'When', cell: s => wordsFor(s) },
            {
              name: 'Remove',
              cell: s => (
                <Button
                  size="small"
                  appearance="subtle"
                  icon={<DeleteRegular />}
                  aria-label={`Remove ${s.name}`}
                  onClick={() => set({ schedules: schedules.filter(o => o !== s) })}
                />
              ),
            },
          ]}
        />
      )}
      {making ? (
        <ScheduleForm
          name={free()}
          onDone={schedule => {
            set({ schedules: [...schedules, schedule] })
            setMaking(false)
          }}
          onCancel={() => setMaking(false)}
        />
      ) : (
        <div className={styles.bar}>
          <Button icon={<AddRegular />} onClick={() => setMaking(true)}>
            Add a schedule
          </Button>
        </div>
      )}
    </>
  )
}
