/** Rows that a run has left out, with their reasons, and another try. */
import { Button, MessageBar, MessageBarActions, MessageBarBody } from '@fluentui/react-components'
import { useQuery } from '@tanstack/react-query'
import { act, errorsQuery, type RunDetail } from '../api.ts'
import { count } from '../format.ts'
import { Details } from './details.tsx'
import { Grid } from './grid.tsx'
import { useMay } from './session.ts'
import { isOver } from './status.tsx'
import { useAct } from './tell.tsx'

export function Skipped({ run }: { run: RunDetail }) {
  const mayAct = useMay('operator')
  const errors = useQuery({ ...errorsQuery(run.id), enabled: mayAct && run.rowsSkipped > 0 && isOver(run.state) })
  const retry = useAct(
    () => act.retry(run.id),
    ({ tables }) => {
      const sum = (pick: (t: (typeof tables)[number]) => number) => tables.reduce((n, t) => n + pick(t), 0)
      return `${count(sum(t => t.copied))} rows copied, ${count(sum(t => t.left))} are left`
    },
  )
  if (!errors.data || errors.data.total === 0) return null
  return (
    <MessageBar intent="warning" layout="multiline">
      <MessageBarBody>
        {count(errors.data.total)} rows were skipped, the first because: {errors.data.rows[0]?.reason}
      </MessageBarBody>
      <MessageBarActions>
        <Details title="Skipped rows" wide open={<Button size="small">Show rows</Button>}>
          <Grid
            label="Skipped rows"
            rows={errors.data.rows.map((row, i) => ({ ...row, i }))}
            keyOf={r => r.i}
            columns={[
              { name: 'Table', cell: r => r.table },
              { name: 'Reason', cell: r => <span title={r.reason}>{r.reason}</span> },
              { name: 'Row', cell: r => <code title={JSON.stringify(r.row)}>{JSON.stringify(r.row)}</code> },
            ]}
          />
        </Details>
        {run.state === 'completed' && (
          <Button size="small" disabledFocusable={retry.isPending} onClick={() => retry.mutate(undefined)}>
            Retry skipped rows
          </Button>
        )}
      </MessageBarActions>
    </MessageBar>
  )
}
