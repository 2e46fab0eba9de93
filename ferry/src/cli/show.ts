import { existsSync } from 'node:fs'
import { CHANGES } from '../connectors/connector.ts'
import { errorFolder } from '../runtime/errorfiles.ts'
import { findRun, isAlive, runTables } from '../state/runs.ts'
import type { SplitRow } from '../state/schema.ts'
import { printError, printJson, size, table } from './output.ts'
import { lag } from './progress.ts'
import { withState } from './state.ts'

export default async function show([id]: string[], options: { json: boolean }): Promise<void> {
  await withState(async state => {
    const run = await findRun(state.db, id!)
    const tables = await runTables(state.db, run.id)
    const splits = await state.db.selectFrom('split').selectAll().where('run', '=', run.id).execute()
    const folder = errorFolder(state.home, run.id)
    const error = run.error === null ? undefined : JSON.parse(run.error)
    const orphaned = run.state === 'running' && !isAlive(run)
    if (options.json) {
      printJson({
        ...run,
        definition: JSON.parse(run.definition),
        error: error ?? null,
        orphaned,
        errorFiles: existsSync(folder) ? folder : null,
        tables: tables.map(t => ({ ...t, plan: JSON.parse(t.plan), error: t.error && JSON.parse(t.error) })),
      })
      return
    }
    const out = process.stdout
    out.write(
      `run ${run.id} of ${run.job}: ${run.state}${orphaned ? ' (its process is gone: run the job again to go on)' : ''}\n`,
    )
    if (run.waiting) out.write(`waits: ${run.waiting}\n`)
    out.write(`started ${run.started_at ?? ''}${run.ended_at ? `, ended ${run.ended_at}` : ''}\n\n`)
    const rows = tables.map(t => {
      const own = splits.filter(s => s.ordinal === t.ordinal)
      const following = own.filter(s => s.behind !== null)
      const done =
        following.length > 0 && t.state === 'running'
          ? lagOf(following)
          : `${own.filter(s => s.done === 1).length}/${own.filter(s => s.id !== CHANGES).length}`
      return [t.source, t.destination, t.state, done, t.rows_read, t.rows_copied, t.rows_skipped, size(t.bytes_read)]
    })
    const headings = ['source', 'destination', 'state', 'splits', 'rows read', 'copied', 'skipped', 'data']
    out.write(`${table(headings, rows)}\n`)
    if (existsSync(folder)) out.write(`\nskipped rows: ${folder}   to copy them again: ferry retry ${run.id}\n`)
    if (error) printError(error)
  })
}

function lagOf(splits: SplitRow[]): string {
  const left = splits.reduce((n, s) => n + Number(s.behind), 0)
  const since = Math.min(...splits.flatMap(s => (s.behind_since === null ? [] : [Number(s.behind_since)])))
  return lag(left, splits.some(s => s.id === CHANGES) ? 'bytes' : 'changes', since)
}
