/** Pause, cancel, complete, resume and reset: requests stored with the run, read by the process that executes it. */
import type { Wish } from '../state/schema.ts'
import { withBackend } from './backend.ts'
import { execute } from './execute.ts'
import { policyOf, type VariableOptions } from './job.ts'
import { printJson } from './output.ts'

type Options = VariableOptions & { json: boolean }

export const pause = ([id]: string[], options: Options) => wish(id!, 'pause', options)
/** An online copy ends with what its source holds now. */
export const complete = ([id]: string[], options: Options) => wish(id!, 'complete', options)
export const cancel = ([id]: string[], options: Options) => wish(id!, 'cancel', options)

/** What happens to a request for a run that no process executes. */
const ANSWER: Record<Wish, (run: string) => string> = {
  pause: () => 'is not at work; it stays where it is',
  cancel: () => 'cancelled',
  complete: run => `is not at work; it ends when it has gone on: ferry resume ${run}`,
}

async function wish(id: string, what: Wish, options: Options): Promise<void> {
  const run = await withBackend(policyOf(options), backend => backend.wish(id, what))
  if (options.json) printJson({ run: run.id, job: run.job, wish: what, executing: run.executing })
  else if (run.executing) process.stdout.write(`run ${run.id}: asked to ${what}\n`)
  else process.stdout.write(`run ${run.id}: ${ANSWER[what](run.id)}\n`)
}

export async function resume([id]: string[], options: Options): Promise<void> {
  const atServer = await withBackend(policyOf(options), async backend => backend.server && (await backend.resume(id!)))
  if (atServer) {
    if (options.json) printJson(atServer)
    else process.stdout.write(`run ${atServer.id} goes on\n`)
    return
  }
  await execute({ run: id! }, { json: options.json, policy: policyOf(options) })
}

/** The next run copies everything again: of the whole job, or of some tables. An unfinished run is given up. */
export async function reset([job]: string[], options: Options & { table?: string[] }): Promise<void> {
  const { discarded, reset: tables } = await withBackend(policyOf(options), backend =>
    backend.reset(job!, options.table),
  )
  if (options.json) printJson({ job, discarded, reset: tables })
  else {
    const said = [discarded ? `run ${discarded} is given up` : `${job} has no unfinished run`]
    if (tables.length > 0) said.push(`the next run copies everything again of ${tables.join(', ')}`)
    process.stdout.write(`${said.join('; ')}\n`)
  }
}
