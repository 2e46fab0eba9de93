import { withBackend } from './backend.ts'
import { policyOf } from './job.ts'
import { moment, printJson, table } from './output.ts'
import { stateName } from './state.ts'

export default async function listJobs(_: string[], options: { json: boolean; all?: boolean }): Promise<void> {
  const jobs = await withBackend(policyOf({}), backend => backend.jobs(options.all === true))
  if (options.json) printJson(jobs)
  else if (jobs.length === 0) process.stdout.write(`No jobs yet in ${stateName()}. Start one: ferry run JOB.yaml\n`)
  else {
    const rows = jobs.map(j => [
      j.name,
      j.lastRun?.state ?? '',
      j.lastRun?.id ?? '',
      j.nextTime ? moment(j.nextTime) : '',
      moment(j.updatedAt),
    ])
    process.stdout.write(`${table(['job', 'last run', 'run', 'next', 'changed'], rows)}\n`)
  }
}
