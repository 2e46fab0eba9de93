import { withBackend } from './backend.ts'
import { policyOf } from './job.ts'
import { moment, printJson, seconds, table } from './output.ts'
import { stateName } from './state.ts'

export default async function listRuns([job]: string[], options: { json: boolean; most: number }): Promise<void> {
  const runs = await withBackend(policyOf({}), backend => backend.runs(job, options.most))
  if (options.json) printJson(runs)
  else if (runs.length === 0) process.stdout.write(`No runs yet in ${stateName()}.\n`)
  else {
    const rows = runs.map(r => [
      r.id,
      r.job,
      r.state,
      r.invokedBy,
      r.rowsCopied,
      moment(r.startedAt ?? r.createdAt),
      r.duration === null ? '' : seconds(r.duration),
    ])
    const headings = ['run', 'job', 'state', 'invoked by', 'rows', 'started', 'time']
    process.stdout.write(`${table(headings, rows)}\n`)
  }
}
