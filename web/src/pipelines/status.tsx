/** How pipelines, activities and artifacts stand, in a word and a colour. */
import { Badge, type BadgeProps } from '@fluentui/react-components'
import type { ActivitySummary, FactoryView, PipelineRunView } from './api.ts'

export type AnyStatus = PipelineRunView['status'] | ActivitySummary['status']
export type Verdict = FactoryView['pipelines'][number]['verdict']

const COLOURS: Record<AnyStatus, BadgeProps['color']> = {
  Queued: 'subtle',
  InProgress: 'brand',
  Succeeded: 'success',
  Failed: 'danger',
  Skipped: 'subtle',
  Cancelled: 'subtle',
}
const VERDICTS: Record<Verdict, BadgeProps['color']> = {
  runs: 'success',
  'runs with a redirect': 'informative',
  'cannot run': 'danger',
}

export const WORDS: Record<AnyStatus, string> = {
  Queued: 'queued',
  InProgress: 'in progress',
  Succeeded: 'succeeded',
  Failed: 'failed',
  Skipped: 'skipped',
  Cancelled: 'cancelled',
}

export function PipelineStatus({ status, cancelling }: { status: AnyStatus; cancelling?: boolean }) {
  return (
    <Badge appearance="tint" color={COLOURS[status]} data-status={status}>
      {cancelling ? 'being cancelled' : WORDS[status]}
    </Badge>
  )
}

export function VerdictBadge({ verdict }: { verdict: Verdict }) {
  return (
    <Badge appearance="tint" color={VERDICTS[verdict]}>
      {verdict}
    </Badge>
  )
}
