import { Badge, type BadgeProps, Button } from '@fluentui/react-components'
import type { RunView } from '../api.ts'
import { count } from '../format.ts'
import { Details } from './details.tsx'
import { FailureOf } from './failure.tsx'

type State = RunView['state']

const COLOURS: Record<State, BadgeProps['color']> = {
  pending: 'subtle',
  planning: 'informative',
  running: 'brand',
  paused: 'warning',
  completing: 'brand',
  completed: 'success',
  failed: 'danger',
  cancelled: 'subtle',
}

/** The state of a run or a table, in a word and a colour. */
export function Status({ state, skipped = 0 }: { state: State; skipped?: number }) {
  // Not all of it is there.
  const isPart = state === 'completed' && skipped > 0
  return (
    <Badge appearance="tint" color={isPart ? 'warning' : COLOURS[state]} data-state={state}>
      {isPart ? `${state}, ${count(skipped)} skipped` : state}
    </Badge>
  )
}

/** The state of a run; a failed one opens its error. */
export function RunStatus({ run }: { run: Pick<RunView, 'state' | 'error' | 'rowsSkipped' | 'job'> }) {
  const { job, state, error, rowsSkipped } = run
  if (!error) return <Status state={state} skipped={rowsSkipped} />
  return <FailedStatus of={job} title={`${job}: ${state}`} state={state} error={error} />
}

/** A state that opens what went wrong. */
export function FailedStatus({ of, title, state, error }: Failed) {
  const open = (
    <Button size="small" appearance="subtle" aria-label={`${of} ${state}: show why`}>
      <Status state={state} />
    </Button>
  )
  return (
    <Details title={title} open={open}>
      <FailureOf {...error} />
    </Details>
  )
}

interface Failed {
  /** The run's job, or the table. */
  of: string
  title: string
  state: State
  error: NonNullable<RunView['error']>
}

export const isOver = (state: State) => ['completed', 'failed', 'cancelled', 'paused'].includes(state)
