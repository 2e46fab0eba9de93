import { printJson, table } from './output.ts'
import { withState } from './state.ts'

export default async function listJobs(_: string[], options: { json: boolean }): Promise<void> {
  await withState(async state => {
    const jobs = await state.db.selectFrom('job').selectAll().orderBy('name').execute()
    const newest = await state.db
      .selectFrom('run')
      .select(['id', 'job', 'state', 'created_at'])
      .orderBy('created_at')
      .execute()
    const last = new Map(newest.map(r => [r.job, r]))
    if (options.json) {
      printJson(
        jobs.map(j => ({ name: j.name, definition: JSON.parse(j.definition), lastRun: last.get(j.name) ?? null })),
      )
      return
    }
    if (jobs.length === 0) process.stdout.write('No jobs yet. Start one: ferry run JOB.yaml\n')
    else {
      const rows = jobs.map(j => [
        j.name,
        last.get(j.name)?.state ?? '',
        last.get(j.name)?.id ?? '',
        j.updated_at.slice(0, 19),
      ])
      process.stdout.write(`${table(['job', 'last run', 'run', 'changed'], rows)}\n`)
    }
  })
}
