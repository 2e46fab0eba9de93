import { Badge, type BadgeProps } from '@fluentui/react-components'
import type { RunView } from '../api.ts'

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
export function Status({ state }: { state: State }) {
  return (
    <Badge appearance="tint" color={COLOURS[state]} data-state={state}>
      {state}
    </Badge>
  )
}

export const isOver = (state: State) => ['completed', 'failed', 'cancelled', 'paused'].includes(state)
