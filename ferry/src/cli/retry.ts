import { retryRun } from '../runtime/retry.ts'
import { type VariableOptions, variablesOf } from './job.ts'
import { count, EXIT, printJson } from './output.ts'
import { withState } from './state.ts'

export default async function retry([id]: string[], options: VariableOptions & { json: boolean }): Promise<void> {
  await withState(async state => {
    const report = await retryRun(state, id!, variablesOf(options))
    if (report.tables.some(t => t.left > 0)) process.exitCode = EXIT.failed
    if (options.json) printJson(report)
    else if (report.tables.length === 0) process.stdout.write(`run ${report.run} has no skipped rows\n`)
    for (const t of options.json ? [] : report.tables) {
      process.stdout.write(`${t.table}: ${count(t.copied)} of ${count(t.tried)} rows copied, ${count(t.left)} left\n`)
      if (t.reason !== undefined) process.stdout.write(`  ${t.reason}\n  see ${t.folder}\n`)
    }
  })
}
