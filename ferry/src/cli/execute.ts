/** Running a job in the foreground: progress while it runs, the report at its end. Shared by `copy`, `run`, `resume`. */

import { readJob } from '../job/kept.ts'
import type { CopyJob } from '../job/schema.ts'
import type { Policy } from '../policy.ts'
import type { RunReport } from '../runtime/report.ts'
import { type RunOptions, runJob } from '../runtime/run.ts'
import { takeRun } from '../state/claims.ts'
import { openState, type State } from '../state/database.ts'
import { findRun } from '../state/runs.ts'
import { count, EXIT, isUsage, paint, printError, printJson, seconds, size, table } from './output.ts'
import { ProgressDisplay } from './progress.ts'

export interface ExecuteOptions {
  json: boolean
  quiet?: boolean
  fresh?: boolean
  oneOff?: boolean
  only?: string[]
  policy: Policy
}

/** `work` is a job, or an unfinished run, which is resumed as it began even if its job has changed. */
export async function execute(work: CopyJob | { run: string }, options: ExecuteOptions): Promise<RunReport> {
  const state = await openState()
  const stop = new AbortController()
  const display = new ProgressDisplay()
  let signals = 0
  const onSignal = () => {
    // The second one does not wait for the splits at work.
    if (++signals > 1) process.exit(130)
    process.stderr.write(
      '\nPausing: the splits at work are given up, what is committed stays. Again to stop at once.\n',
    )
    stop.abort()
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  try {
    const report = await runJob({
      state,
      ...('run' in work ? await unfinishedRun(state, work.run) : { job: work }),
      policy: options.policy,
      signal: stop.signal,
      fresh: options.fresh,
      oneOff: options.oneOff,
      only: options.only,
      onStart: run => {
        if (options.json || options.quiet) return
        if (run.resumed) process.stderr.write(`Run ${run.id} goes on where it stopped.\n`)
        for (const { from, guesses, replaces } of run.tables) {
          if (replaces && !run.resumed) process.stderr.write(`${from}: replaces ${replaces}\n`)
          if (guesses) process.stderr.write(`${from}: guessed ${guesses.join('; ')}\n`)
        }
        display.start(run.tables)
      },
    })
    display.stop()
    if (options.json) printJson(report)
    else printReport(report)
    process.exitCode = exitOf(report)
    return report
  } finally {
    display.stop()
    process.off('SIGINT', onSignal)
    process.off('SIGTERM', onSignal)
    await state.close()
  }
}

async function unfinishedRun(state: State, id: string): Promise<Pick<RunOptions, 'job' | 'claimed'>> {
  const job = readJob((await findRun(state.db, id)).definition)
  return { claimed: await takeRun(state.db, id), job }
}

export function exitOf(report: RunReport): number {
  if (report.status === 'completed') return EXIT.done
  if (report.status !== 'failed') return EXIT.stopped
  return report.errors.every(e => isUsage(e.code)) ? EXIT.usage : EXIT.failed
}

/** The report for a person; on stderr, so that a copy to standard output stays clean. */
export function printReport(report: RunReport): void {
  const rows = report.executionDetails.map(t => [
    t.source,
    t.sink,
    t.status,
    t.encoding,
    t.rowsRead,
    t.rowsCopied,
    t.rowsSkipped,
    size(t.dataRead),
    seconds(t.duration),
  ])
  const out = process.stderr
  if (rows.length > 0) {
    const headings = ['source', 'destination', 'status', 'encoding', 'rows read', 'copied', 'skipped', 'data', 'time']
    out.write(`\n${table(headings, rows)}\n`)
  }
  const colour = report.status === 'completed' ? '32' : report.status === 'failed' ? '31' : '33'
  out.write(
    `\n${paint(colour, report.status)}: ${count(report.rowsCopied)} rows, ${size(report.dataRead)} in ${seconds(report.copyDuration)} ` +
      `(${count(Math.round(report.rowsCopied / Math.max(report.copyDuration, 0.001)))} rows/s, ${size(report.throughput * 1000)}/s)  run ${report.runId}\n`,
  )
  if (report.rowsSkipped > 0) {
    out.write(
      `${count(report.rowsSkipped)} rows were skipped: ferry skipped ${report.runId} prints them, ferry retry ${report.runId} copies them again\n`,
    )
  }
  for (const error of report.errors) printError(error as Parameters<typeof printError>[0])
  if (report.status === 'paused') out.write('To go on, run the same command again.\n')
}
