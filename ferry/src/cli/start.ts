/** `ferry start JOB`: asks for a run; a server or a worker executes it. */
import { setTimeout } from 'node:timers/promises'
import type { RunDetail } from '../runtime/schemas.ts'
import { type Backend, withBackend } from './backend.ts'
import { policyOf } from './job.ts'
import { count, EXIT, paint, printError, printJson } from './output.ts'

const LOOK_MS = 500

interface Options {
  json: boolean
  fullRefresh?: boolean
  table?: string[]
  wait?: boolean
}

export default async function start([job]: string[], options: Options): Promise<void> {
  await withBackend(policyOf({}), async backend => {
    const asking = { fullRefresh: options.fullRefresh === true, tables: options.table ?? [] }
    const { run, outcome } = await backend.start(job!, asking)
    if (!options.wait) {
      if (options.json) printJson({ run, outcome })
      else
        process.stdout.write(`run ${run} ${outcome === 'resumed' ? 'goes on' : 'is asked for'}${whoWorks(backend)}\n`)
      return
    }
    const end = await ended(backend, run, options.json)
    if (options.json) printJson(end)
    else {
      const colour = end.state === 'completed' ? '32' : end.state === 'failed' ? '31' : '33'
      process.stderr.write(`${paint(colour, end.state)}: ${count(end.rowsCopied)} rows  run ${end.id}\n`)
      if (end.error) printError(end.error as Parameters<typeof printError>[0])
    }
    process.exitCode = end.state === 'completed' ? EXIT.done : end.state === 'failed' ? EXIT.failed : EXIT.stopped
  })
}

/** What to do if no process is there to execute it. */
export function whoWorks(backend: Backend): string {
  return backend.server ? ` at ${backend.server}` : '; nobody is at work here: ferry serve, or ferry worker --once'
}

/** Waits for the end of a run, and prints its progress. */
async function ended(backend: Backend, id: string, quiet: boolean): Promise<RunDetail> {
  let shown = ''
  for (;;) {
    const run = await backend.run(id)
    if (['completed', 'failed', 'cancelled', 'paused'].includes(run.state)) return run
    const line = `${run.state}: ${count(run.rowsRead)} rows read, ${run.tablesDone} of ${run.tables} tables\n`
    if (!quiet && line !== shown) process.stderr.write(line)
    shown = line
    await setTimeout(LOOK_MS)
  }
}
