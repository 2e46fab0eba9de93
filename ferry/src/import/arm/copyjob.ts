/**
 * Copy jobs of Azure Cosmos DB: the words of `az cosmosdb copy` made into a copy job, and a run told in the shape of the
 * Azure Resource Manager.
 *
 * Source: https://learn.microsoft.com/cli/azure/cosmosdb/copy, Microsoft.DocumentDB 2025-11-01-preview
 */
import { type CopyJob, jobSchema } from '../../job/schema.ts'

export type CopyMode = 'Offline' | 'Online'

export interface Container {
  databaseName: string
  containerName: string
}

export interface Task {
  source: Container
  destination: Container
}

export interface CopyJobWords {
  jobName: string
  account: string
  sourceAccount: string
  resourceGroup: string
  mode: CopyMode
  tasks: Task[]
  read?: Record<string, unknown>
  write?: Record<string, unknown>
}

const TAG = {
  account: 'cosmos.account',
  job: 'cosmos.copyJob',
  group: 'cosmos.resourceGroup',
} as const

/** The name under which Ferry keeps a copy job: unique in its account, as the service has it. */
export function nameOf(account: string, jobName: string): string {
  return `${account}.${jobName}`
}

/** The object that names a container to the connector. */
export function objectOf({ databaseName, containerName }: Container): string {
  return `${databaseName}/${containerName}`
}

/** The copy job that the words mean: upserts, and a document that cannot be written is skipped and stored, and does not end the job. */
export function jobOf(words: CopyJobWords): CopyJob {
  return jobSchema.parse({
    name: nameOf(words.account, words.jobName),
    tags: { [TAG.account]: words.account, [TAG.job]: words.jobName, [TAG.group]: words.resourceGroup },
    source: { connection: words.sourceAccount },
    destination: { connection: words.account },
    mode: words.mode === 'Online' ? 'online' : 'full',
    update: 'merge',
    create: 'never',
    onRowError: 'skip',
    ...(words.read ? { read: words.read } : {}),
    ...(words.write ? { write: words.write } : {}),
    tables: words.tasks.map(t => ({ from: objectOf(t.source), to: objectOf(t.destination) })),
  })
}

/** The states of a run and what the service calls them. */
const STATUS = {
  pending: 'Pending',
  planning: 'Partitioning',
  running: 'Running',
  paused: 'Paused',
  completing: 'Running',
  completed: 'Completed',
  failed: 'Faulted',
  cancelled: 'Cancelled',
} as const

/** What is known of a run of a copy job. */
export interface CopyRun {
  job: CopyJob
  state: keyof typeof STATUS
  executing: boolean
  createdAt: string
  startedAt: string | null
  endedAt: string | null
  updatedAt: Date
  error: { code: string; message: string; hint: string } | undefined
  tables: { from: string; processed: number; total: number; skipped: number }[]
  /** Of an online copy that follows: changes that are left, and for how long. */
  behind?: { changes: number; seconds: number } | undefined
  /** Why nothing moves, where it does not. */
  waiting?: string | undefined
}

const SUBSCRIPTION = '00000000-0000-0000-0000-000000000000'

/** The job in the shape of the Azure Resource Manager; what has no place there is added to its properties. */
export function toArm(run: CopyRun) {
  const { job } = run
  const account = job.tags?.[TAG.account] ?? ''
  const jobName = job.tags?.[TAG.job] ?? job.name
  const group = job.tags?.[TAG.group] ?? ''
  const source = (job.source as { connection: string }).connection
  const sum = (pick: (t: CopyRun['tables'][number]) => number) => run.tables.reduce((n, t) => n + pick(t), 0)
  const name = `databaseAccounts/${account}/copyJobs/${jobName}`
  return {
    id: `/subscriptions/${SUBSCRIPTION}/resourceGroups/${group}/providers/Microsoft.DocumentDB/${name}`,
    name: jobName,
    type: 'Microsoft.DocumentDB/databaseAccounts/copyJobs',
    properties: {
      jobProperties: {
        jobType: 'NoSqlRUToNoSqlRU',
        ...(source === account ? {} : { sourceDetails: { remoteAccountName: source } }),
        tasks: job.tables.map((table, i) => {
          const { from, to } = table as { from: string; to: string }
          const counts = run.tables[i]
          return {
            source: containerOf(from),
            destination: containerOf(to),
            totalCount: counts?.total ?? 0,
            processedCount: counts?.processed ?? 0,
          }
        }),
      },
      mode: job.mode === 'online' ? 'Online' : 'Offline',
      status: STATUS[run.state],
      processedCount: sum(t => t.processed),
      totalCount: sum(t => t.total),
      workerCount: run.executing ? 1 : 0,
      lastUpdatedUtcTime: run.updatedAt.toISOString().replace('Z', '0000Z'),
      duration: durationOf(run),
      ...(run.error ? { error: { error: { ...run.error, target: jobName, details: [] } } } : {}),
      skippedCount: sum(t => t.skipped),
      ...(run.behind ? { lag: run.behind } : {}),
      ...(run.waiting === undefined ? {} : { waitingFor: run.waiting }),
    },
  }
}

function containerOf(object: string): Container {
  const at = object.indexOf('/')
  return { databaseName: object.slice(0, at), containerName: object.slice(at + 1) }
}

/** `hh:mm:ss` of the time at work. */
function durationOf({ startedAt, endedAt, executing, updatedAt }: CopyRun): string {
  if (startedAt === null) return '00:00:00'
  const until = executing || endedAt === null ? updatedAt.getTime() : Date.parse(endedAt)
  const seconds = Math.max(0, Math.floor((until - Date.parse(startedAt)) / 1000))
  const two = (n: number) => String(n).padStart(2, '0')
  return `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`
}
