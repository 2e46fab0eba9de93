/** Speaking to the server: requests, their errors, and the queries that pages share. */
import { keepPreviousData, QueryClient, queryOptions } from '@tanstack/react-query'
import type {
  AuditView,
  ConnectionView,
  ConnectorView,
  Fault,
  GrowthView,
  JobView,
  ListedJob,
  ObjectView,
  PlanView,
  PreviewView,
  Role,
  RunDetail,
  RunView,
  ScheduleView,
  SessionView,
  SkippedView,
  TableView,
  TokenView,
  TotalView,
  TriggerView,
} from '../../ferry/src/runtime/schemas.ts'

export type * from '../../ferry/src/runtime/schemas.ts'

/** An error of the server: Ferry's code, the message, and what to do. */
export class Problem extends Error {
  readonly code: string
  readonly hint: string
  readonly status: number
  /** The settings that are wrong, where it is settings. */
  readonly faults: Fault[]

  constructor(status: number, code: string, detail: string, hint: string, faults: Fault[] = []) {
    super(detail)
    this.status = status
    this.code = code
    this.hint = hint
    this.faults = faults
  }
}

let csrf: string | null = null

interface Sent {
  method?: 'GET' | 'POST' | 'PUT' | 'DELETE'
  body?: unknown
  /** A text that is sent as it is: a job file. */
  yaml?: string
  /** The version that is changed; what somebody else has changed since is not overwritten. */
  version?: string | undefined
  /** Whether it is new: what has its name is not replaced. */
  isNew?: boolean
}

/** Versions of lists as they were loaded last, by their paths. */
const versions = new Map<string, string>()

export async function call<T>(path: string, sent: Sent = {}): Promise<T> {
  return (await callFor<T>(path, sent)).value
}

/** The same, with the version of what is answered. */
async function callFor<T>(path: string, sent: Sent = {}): Promise<{ value: T; version: string }> {
  const headers: Record<string, string> = { accept: 'application/json' }
  if (csrf !== null) headers['x-ferry-csrf'] = csrf
  const version = sent.version ?? (sent.method === 'PUT' ? versions.get(path) : undefined)
  if (version !== undefined) headers['if-match'] = version
  if (sent.isNew) headers['if-none-match'] = '*'
  let body: string | undefined
  if (sent.yaml !== undefined) {
    headers['content-type'] = 'application/yaml'
    body = sent.yaml
  } else if (sent.body !== undefined) {
    headers['content-type'] = 'application/json'
    body = JSON.stringify(sent.body)
  }
  const response = await fetch(`/api/v1${path}`, {
    method: sent.method ?? 'GET',
    headers,
    ...(body ? { body } : {}),
  }).catch(() => {
    throw new Problem(0, 'FERRY-6006', 'The server does not answer.', 'It may be restarting: this page tries again.')
  })
  const tag = response.headers.get('etag')
  if (tag !== null && /\/(schedules|triggers)$/.test(path)) versions.set(path, tag)
  // What hangs on a job has the job's own version.
  const owner = /^\/jobs\/[^/]+/.exec(path)?.[0]
  if (response.ok && sent.method === 'PUT' && owner) {
    for (const known of versions.keys()) if (known.startsWith(`${owner}/`)) versions.delete(known)
  }
  if (response.status === 204) return { value: undefined as T, version: '' }
  const text = await response.text()
  const isJson = /json/.test(response.headers.get('content-type') ?? '')
  const answer = isJson ? JSON.parse(text) : text
  if (response.ok) return { value: answer as T, version: tag ?? '' }
  const { code = 'FERRY-9000', detail = text, hint = '', faults = [] } = isJson ? answer : {}
  throw new Problem(response.status, code, detail, hint, faults)
}

export const client = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 2000,
      placeholderData: keepPreviousData,
      retry: (count, error) => error instanceof Problem && error.status === 0 && count < 5,
    },
  },
})

const part = encodeURIComponent

export function search(parameters: Record<string, string | number | undefined>): string {
  const given = Object.entries(parameters).filter(([, v]) => v !== undefined && v !== '')
  return given.length === 0 ? '' : `?${new URLSearchParams(given.map(([k, v]) => [k, String(v)]))}`
}

export async function signIn(token: string): Promise<SessionView> {
  const session = await call<SessionView>('/session', { method: 'POST', body: { token } })
  csrf = session.csrf
  return session
}

export async function signOut(): Promise<void> {
  await call('/session', { method: 'DELETE' })
  csrf = null
  client.clear()
  location.assign('/')
}

export const sessionQuery = queryOptions({
  queryKey: ['session'],
  staleTime: Number.POSITIVE_INFINITY,
  queryFn: async (): Promise<SessionView | null> => {
    try {
      const session = await call<SessionView>('/session')
      csrf = session.csrf
      return session
    } catch (error) {
      if (error instanceof Problem && error.status === 401) return null
      throw error
    }
  },
})

export const connectorsQuery = queryOptions({
  queryKey: ['connectors'],
  staleTime: Number.POSITIVE_INFINITY,
  queryFn: () => call<ConnectorView[]>('/connectors'),
})

export const connectionsQuery = queryOptions({
  queryKey: ['connections'],
  queryFn: () => call<ConnectionView[]>('/connections'),
})

/** What can be copied from a connection. */
export const objectsQuery = (connection: string, text: string) =>
  queryOptions({
    queryKey: ['objects', connection, text],
    staleTime: 60_000,
    queryFn: () =>
      call<{ objects: string[]; total: number }>(
        `/connections/${part(connection)}/objects${search({ search: text, limit: 10_000 })}`,
      ),
  })

export interface FolderView {
  folders: string[]
  files: { name: string; size: number; modified: number }[]
  more: boolean
}

/** What is directly in a folder of a connection. */
export const folderQuery = (connection: string, folder: string) =>
  queryOptions({
    queryKey: ['folder', connection, folder],
    staleTime: 60_000,
    queryFn: () => call<FolderView>(`/connections/${part(connection)}/folder${search({ folder })}`),
  })

/** The files that a pattern means. */
export const matchingQuery = (connection: string, pattern: string) =>
  queryOptions({
    queryKey: ['matching', connection, pattern],
    staleTime: 60_000,
    queryFn: () =>
      call<{ files: number; bytes: number; names: string[]; atLeast: boolean }>(
        `/connections/${part(connection)}/matching${search({ pattern })}`,
      ),
  })

/** What is looked at in a store: an object by its name, or a query; with the options of reading it. */
export interface Looked {
  object?: string
  query?: string
  read?: string
}

const looking = <T>(what: string, connection: string, looked: Looked, more: Record<string, string | number> = {}) =>
  queryOptions({
    queryKey: [what, connection, looked, more],
    staleTime: 60_000,
    placeholderData: undefined,
    queryFn: () => call<T>(`/connections/${part(connection)}/${what}${search({ ...looked, ...more })}`),
  })

export const columnsQuery = (connection: string, looked: Looked) => looking<ObjectView>('columns', connection, looked)

export const previewQuery = (connection: string, looked: Looked) =>
  looking<PreviewView>('preview', connection, looked, { limit: 20 })

/** What a copy by a column that grows would read at first. */
export const growthQuery = (connection: string, looked: Looked, column: string) =>
  looking<GrowthView>('growth', connection, looked, { column })

export const jobsQuery = (text: string) =>
  queryOptions({
    queryKey: ['jobs', text],
    queryFn: () => call<{ jobs: ListedJob[]; total: number }>(`/jobs${search({ search: text, limit: 500 })}`),
  })

export const jobQuery = (name: string) =>
  queryOptions({ queryKey: ['job', name], queryFn: () => call<JobView>(`/jobs/${part(name)}`) })

export const jobYamlQuery = (name: string) =>
  queryOptions({ queryKey: ['job', name, 'yaml'], queryFn: () => callFor<string>(`/jobs/${part(name)}/yaml`) })

/** The version of a job that was loaded. */
export const versionOf = (job: JobView): string => `"${job.updatedAt}"`

export const totalsQuery = (name: string) =>
  queryOptions({ queryKey: ['totals', name], queryFn: () => call<TotalView[]>(`/jobs/${part(name)}/totals`) })

export const schedulesQuery = (name: string) =>
  queryOptions({ queryKey: ['schedules', name], queryFn: () => call<ScheduleView[]>(`/jobs/${part(name)}/schedules`) })

export const triggersQuery = (name: string) =>
  queryOptions({ queryKey: ['triggers', name], queryFn: () => call<TriggerView[]>(`/jobs/${part(name)}/triggers`) })

export interface RunFilter {
  job?: string | undefined
  search?: string | undefined
  state?: string | undefined
  invokedBy?: string | undefined
  from?: string | undefined
  before?: string | undefined
  limit?: number | undefined
}

export const runsQuery = (filter: RunFilter) =>
  queryOptions({
    queryKey: ['runs', filter],
    queryFn: () => call<{ runs: RunView[] }>(`/runs${search({ ...filter })}`),
  })

export const runQuery = (id: string) =>
  queryOptions({ queryKey: ['run', id], queryFn: () => call<RunDetail>(`/runs/${part(id)}`) })

export const tablesQuery = (id: string) =>
  queryOptions({
    queryKey: ['tables', id],
    queryFn: () => call<{ run: RunView; tables: TableView[] }>(`/runs/${part(id)}/tables`),
  })

export const errorsQuery = (id: string) =>
  queryOptions({ queryKey: ['errors', id], queryFn: () => call<SkippedView>(`/runs/${part(id)}/errors`) })

export const summaryQuery = queryOptions({
  queryKey: ['summary'],
  queryFn: () => call<{ states: Record<string, number>; jobs: number }>('/summary'),
})

export const tokensQuery = queryOptions({ queryKey: ['tokens'], queryFn: () => call<TokenView[]>('/tokens') })

export const auditQuery = queryOptions({
  queryKey: ['audit'],
  queryFn: () => call<AuditView[]>('/audit?limit=200'),
})

/** What can be done; each gives back what the server answers. */
export const act = {
  /** `before` is the connection as it was loaded; undefined of a new one. */
  saveConnection: (name: string, kind: string, settings: Record<string, unknown>, before?: ConnectionView) =>
    call<ConnectionView>(`/connections/${part(name)}`, {
      method: 'PUT',
      body: { kind, settings },
      ...(before ? { version: `"${before.version}"` } : { isNew: true }),
    }),
  testSettings: (name: string | undefined, kind: string, settings: Record<string, unknown>) =>
    call<{ answer: string }>('/connections/test', {
      method: 'POST',
      body: { kind, settings, ...(name ? { name } : {}) },
    }),
  listed: (name: string | undefined, kind: string, settings: Record<string, unknown>) =>
    call<{ names: string[] }>('/connections/listed', {
      method: 'POST',
      body: { kind, settings, ...(name ? { name } : {}) },
    }),
  testConnection: (name: string) => call<{ answer: string }>(`/connections/${part(name)}/test`, { method: 'POST' }),
  removeConnection: (name: string) => call(`/connections/${part(name)}`, { method: 'DELETE' }),
  createJob: (definition: unknown) => call<JobView>('/jobs', { method: 'POST', body: definition }),
  createJobYaml: (yaml: string) => call<JobView>('/jobs', { method: 'POST', yaml }),
  updateJob: (name: string, definition: unknown, version: string) =>
    call<JobView>(`/jobs/${part(name)}`, { method: 'PUT', body: definition, version }),
  updateJobYaml: (name: string, yaml: string, version: string) =>
    call<JobView>(`/jobs/${part(name)}`, { method: 'PUT', yaml, version }),
  removeJob: (name: string) => call(`/jobs/${part(name)}`, { method: 'DELETE' }),
  /** The settings that are wrong. */
  checkDraft: (definition: unknown): Promise<Fault[]> =>
    call('/check', { method: 'POST', body: definition }).then(
      () => [],
      error => {
        if (error instanceof Problem && error.faults.length > 0) return error.faults
        throw error
      },
    ),
  planDraft: (definition: unknown) =>
    call<{ plan: PlanView; yaml: string }>('/plan', { method: 'POST', body: definition }),
  planJob: (name: string) => call<PlanView>(`/jobs/${part(name)}/plan`, { method: 'POST' }),
  runJob: (name: string, body: { fullRefresh?: boolean; tables?: string[] } = {}) =>
    call<{ run: string; outcome: string }>(`/jobs/${part(name)}/runs`, {
      method: 'POST',
      // No tables would be all of them: that is said by leaving them out.
      body: { ...body, tables: body.tables?.length ? body.tables : undefined },
    }),
  resetJob: (name: string, tables: string[]) =>
    call<{ discarded: string | null; reset: string[] }>(`/jobs/${part(name)}/reset`, {
      method: 'POST',
      body: tables.length > 0 ? { tables } : {},
    }),
  control: (id: string, verb: 'pause' | 'resume' | 'cancel' | 'complete') =>
    call<RunView>(`/runs/${part(id)}/${verb}`, { method: 'POST' }),
  retry: (id: string) =>
    call<{ tables: { table: string; tried: number; copied: number; left: number }[] }>(`/runs/${part(id)}/retry`, {
      method: 'POST',
    }),
  saveSchedules: (name: string, schedules: unknown[]) =>
    call<JobView>(`/jobs/${part(name)}/schedules`, { method: 'PUT', body: schedules }),
  saveTriggers: (name: string, triggers: unknown[]) =>
    call<JobView>(`/jobs/${part(name)}/triggers`, { method: 'PUT', body: triggers }),
  times: (schedule: unknown) => call<{ next: string[] }>('/schedules/times', { method: 'POST', body: schedule }),
  hookSecret: (name: string, trigger: string) =>
    call<{ secret: string; address: string }>(`/jobs/${part(name)}/triggers/${part(trigger)}/secret`, {
      method: 'POST',
    }),
  makeToken: (name: string, role: Role) =>
    call<{ id: string; token: string }>('/tokens', { method: 'POST', body: { name, role } }),
  removeToken: (id: string) => call(`/tokens/${part(id)}`, { method: 'DELETE' }),
}

/** Whether a role may do what another one may. */
export function may(session: SessionView, needed: Role): boolean {
  const rank = { viewer: 0, operator: 1, admin: 2 }
  return rank[session.role] >= rank[needed]
}
