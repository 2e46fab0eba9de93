/** Factories and runs of pipelines: what the server is asked, and what can be done. */
import { queryOptions, useQuery } from '@tanstack/react-query'
import type {
  ActivityRunView,
  ActivitySummary,
  DataFlowView,
  FactoryView,
  FlowRows,
  KeptFactory,
  PipelineRunView,
  PipelineView,
} from '../../../ferry/src/facades/datafactory/views.ts'
import { call, client, search } from '../api.ts'

export type * from '../../../ferry/src/facades/datafactory/views.ts'

const part = encodeURIComponent

/** How often a run that is not at its end is asked for again. */
const LIVE_MS = 1000
/** Activities that a page holds of one run. */
export const MOST_ACTIVITIES = 20_000
const PAGE = 2000

export const isEnded = (status: PipelineRunView['status']) => status !== 'Queued' && status !== 'InProgress'

export const factoriesQuery = queryOptions({
  queryKey: ['factories'],
  queryFn: () => call<KeptFactory[]>('/factories'),
})

export const factoryQuery = (name: string) =>
  queryOptions({ queryKey: ['factory', name], queryFn: () => call<FactoryView>(`/factories/${part(name)}`) })

export const pipelineQuery = (factory: string, pipeline: string) =>
  queryOptions({
    queryKey: ['factory', factory, 'pipeline', pipeline],
    queryFn: () => call<PipelineView>(`/factories/${part(factory)}/pipelines/${part(pipeline)}`),
  })

export const dataFlowQuery = (factory: string, flow: string) =>
  queryOptions({
    queryKey: ['factory', factory, 'dataflow', flow],
    queryFn: () => call<DataFlowView>(`/factories/${part(factory)}/dataflows/${part(flow)}`),
  })

export interface PipelineRunFilter {
  factory?: string | undefined
  pipeline?: string | undefined
  status?: string | undefined
  before?: string | undefined
  limit?: number | undefined
}

export const pipelineRunsQuery = (filter: PipelineRunFilter) =>
  queryOptions({
    queryKey: ['pipelineruns', filter],
    queryFn: () => call<{ runs: PipelineRunView[] }>(`/pipelineruns${search({ ...filter })}`),
    refetchInterval: query => (query.state.data?.runs.every(r => isEnded(r.status)) ? 5000 : LIVE_MS),
  })

export const pipelineRunQuery = (id: string) =>
  queryOptions({
    queryKey: ['pipelinerun', id],
    queryFn: () => call<PipelineRunView>(`/pipelineruns/${part(id)}`),
    refetchInterval: query => (query.state.data && isEnded(query.state.data.status) ? false : LIVE_MS),
  })

interface Known {
  activities: ActivitySummary[]
  next: number
  /** Whether there are more than a page holds. */
  more: boolean
}

/** The activities of a run, and those that have changed since they were asked for last; `isOver` with the run at its end. */
export function useActivities(id: string, isOver: boolean) {
  const queryKey = ['pipelinerun', id, 'activities', isOver]
  return useQuery({
    queryKey,
    refetchInterval: isOver ? false : LIVE_MS,
    queryFn: async (): Promise<Known> => {
      const known =
        client.getQueryData<Known>(queryKey) ?? client.getQueryData<Known>(['pipelinerun', id, 'activities', false])
      const byKey = new Map((known?.activities ?? []).map(a => [a.key, a]))
      let next = known?.next ?? 0
      for (;;) {
        const found = await call<Known>(`/pipelineruns/${part(id)}/activities${search({ after: next, limit: PAGE })}`)
        for (const activity of found.activities) byKey.set(activity.key, activity)
        next = found.next
        if (found.more && byKey.size < MOST_ACTIVITIES) continue
        return { activities: [...byKey.values()], next, more: found.more }
      }
    },
  })
}

export const activityQuery = (run: string, key: string) =>
  queryOptions({
    queryKey: ['pipelinerun', run, 'activity', key],
    queryFn: () => call<ActivityRunView>(`/pipelineruns/${part(run)}/activity${search({ key })}`),
  })

export const actOn = {
  flowRows: (factory: string, flow: string, stream: string, parameters: string[]) =>
    call<FlowRows>(`/factories/${part(factory)}/dataflows/${part(flow)}/rows`, {
      method: 'POST',
      body: { stream, parameters },
    }),
  addFactory: (source: object) => call<KeptFactory>('/factories', { method: 'POST', body: source }),
  removeFactory: (name: string) => call(`/factories/${part(name)}`, { method: 'DELETE' }),
  run: (factory: string, pipeline: string, parameters: Record<string, unknown>) =>
    call<PipelineRunView>(`/factories/${part(factory)}/pipelines/${part(pipeline)}/runs`, {
      method: 'POST',
      body: { parameters },
    }),
  cancel: (run: string) => call<PipelineRunView>(`/pipelineruns/${part(run)}/cancel`, { method: 'POST' }),
  rerun: (run: string, from?: string) =>
    call<PipelineRunView>(`/pipelineruns/${part(run)}/rerun`, { method: 'POST', body: from ? { from } : {} }),
  trigger: (factory: string, trigger: string, verb: 'start' | 'stop') =>
    call(`/factories/${part(factory)}/triggers/${part(trigger)}/${verb}`, { method: 'POST' }),
  secret: (factory: string, trigger: string) =>
    call<{ secret: string; address: string }>(`/factories/${part(factory)}/triggers/${part(trigger)}/secret`, {
      method: 'POST',
    }),
}
