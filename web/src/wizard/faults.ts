/** The faults of a draft, shown beside its fields while it is edited. */
import { keepPreviousData, queryOptions, useQuery } from '@tanstack/react-query'
import { act, type Fault } from '../api.ts'
import { useSettled } from '../parts/settled.ts'
import { type Draft, definitionOf } from './draft.ts'

export const JOB_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/

/** The steps of the wizard. The mode decides how rows may be written: it comes before what each table becomes. */
export const STEPS = ['Source', 'Tables', 'Destination', 'Copy mode', 'Mapping', 'Schedule', 'Review'] as const
export type Step = (typeof STEPS)[number]

/** The step whose form has the field of a setting. */
export function stepOf(path: string): Step {
  const [first, , setting = first] = path.split('.')
  if (first === 'name') return 'Review'
  if (first === 'source' || first === 'destination') return first === 'source' ? 'Source' : 'Destination'
  if (first === 'schedules') return 'Schedule'
  const meant = first === 'tables' ? setting! : first!
  if (['read', 'query', 'from', 'tables'].includes(meant)) return 'Tables'
  return ['mode', 'deletes', 'tracking', 'incrementalColumn'].includes(meant) ? 'Copy mode' : 'Mapping'
}

/** A name for a job that has none yet. */
export function nameOf({ name, source, destination }: Draft): string {
  return name ?? `${source}-to-${destination}`.replace(/[^A-Za-z0-9._-]/g, '-').slice(0, 100)
}

/** What a run of the draft would do; asked for by its definition as a text. */
export const draftPlanQuery = (definition: string) =>
  queryOptions({
    queryKey: ['draft', definition],
    queryFn: () => act.planDraft(JSON.parse(definition)),
    retry: false,
    staleTime: 30_000,
    placeholderData: undefined,
  })

/** The faults of a draft: of its settings by themselves at once, and what its plan found, as long as it is that draft. */
export function useFaults(draft: Draft): Fault[] {
  const definition = JSON.stringify(definitionOf({ ...draft, name: nameOf(draft) }))
  const asked = useSettled(definition)
  const isWhole = draft.source !== '' && draft.destination !== '' && draft.tables.length > 0
  const checked = useQuery({
    queryKey: ['check', asked],
    queryFn: () => act.checkDraft(JSON.parse(asked)),
    enabled: isWhole,
    retry: false,
    staleTime: 60_000,
    placeholderData: keepPreviousData,
  })
  const planned = useQuery({ ...draftPlanQuery(definition), enabled: false })
  return [...(checked.data ?? []), ...(planned.data?.plan.problems.flatMap(p => p.faults) ?? [])]
}
