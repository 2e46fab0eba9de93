import { readFileSync } from 'node:fs'
import { FerryError } from '../errors.ts'
import { retryRun } from '../runtime/retry.ts'
import { readEdited } from '../runtime/skipped.ts'
import { policyOf, type VariableOptions } from './job.ts'
import { count, EXIT, printJson } from './output.ts'
import { withState } from './state.ts'

interface RetryOptions extends VariableOptions {
  json: boolean
  rows?: string
}

export default async function retry([id]: string[], options: RetryOptions): Promise<void> {
  const edited = options.rows === undefined ? [] : readEdited(textOf(options.rows))
  await withState(async state => {
    const report = await retryRun(state, id!, policyOf(options), edited)
    if (report.tables.some(t => t.left > 0)) process.exitCode = EXIT.failed
    if (options.json) printJson(report)
    else if (report.tables.length === 0) process.stdout.write(`run ${report.run} has no skipped rows\n`)
    for (const t of options.json ? [] : report.tables) {
      process.stdout.write(`${t.table}: ${count(t.copied)} of ${count(t.tried)} rows copied, ${count(t.left)} left\n`)
      if (t.reason !== undefined) process.stdout.write(`  ${t.reason}\n  see: ferry skipped ${report.run}\n`)
    }
  })
}

/** Throws FERRY-1003 for a file that cannot be read. */
function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new FerryError('FERRY-1003', `--rows ${path}: ${(error as Error).message}`, { cause: error })
  }
}
