import { printJson, table } from './output.ts'
import { withState } from './state.ts'

export default async function listRuns([job]: string[], options: { json: boolean; most: number }): Promise<void> {
  await withState(async state => {
    let query = state.db.selectFrom('run').selectAll().orderBy('created_at', 'desc').limit(options.most)
    if (job !== undefined) query = query.where('job', '=', job)
    const runs = await query.execute()
    if (options.json) {
      printJson(runs.map(r => ({ ...r, definition: JSON.parse(r.definition), error: r.error && JSON.parse(r.error) })))
    } else if (runs.length === 0) process.stdout.write('No runs yet.\n')
    else {
      const rows = runs.map(r => [r.id, r.job, r.state, r.created_at.slice(0, 19), r.ended_at?.slice(0, 19) ?? ''])
      process.stdout.write(`${table(['run', 'job', 'state', 'started', 'ended'], rows)}\n`)
    }
  })
}
