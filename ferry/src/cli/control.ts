/** Pause, cancel, complete, resume and reset: wishes written to the run, seen by whichever process executes it. */
import { jobSchema } from '../job/schema.ts'
import { wishForRun } from '../runtime/control.ts'
import { resetJob } from '../runtime/giveup.ts'
import { findRun } from '../state/runs.ts'
import type { Wish } from '../state/schema.ts'
import { execute } from './execute.ts'
import { type VariableOptions, variablesOf } from './job.ts'
import { printJson } from './output.ts'
import { withState } from './state.ts'

type Options = VariableOptions & { json: boolean }

export const pause = ([id]: string[], options: Options) => wish(id!, 'pause', options)
/** An online copy ends with what its source holds now. */
export const complete = ([id]: string[], options: Options) => wish(id!, 'complete', options)
export const cancel = ([id]: string[], options: Options) => wish(id!, 'cancel', options)

/** What becomes of a wish for a run that nobody executes. */
const ANSWER: Record<Wish, (run: string) => string> = {
  pause: () => 'is not at work; it stays where it is',
  cancel: () => 'cancelled',
  complete: run => `is not at work; it ends when it has gone on: ferry resume ${run}`,
}

async function wish(id: string, what: Wish, options: Options): Promise<void> {
  await withState(async state => {
    const { row: run, executing: alive } = await wishForRun(state, id, what, variablesOf(options))
    if (options.json) printJson({ run: run.id, job: run.job, wish: what, executing: alive })
    else if (alive) process.stdout.write(`run ${run.id}: asked to ${what}\n`)
    else process.stdout.write(`run ${run.id}: ${ANSWER[what](run.id)}\n`)
  })
}

export async function resume([id]: string[], options: Options): Promise<void> {
  const { definition } = await withState(state => findRun(state.db, id!))
  await execute(jobSchema.parse(JSON.parse(definition)), { json: options.json, variables: variablesOf(options) })
}

/** The next run copies everything again: of the whole job, or of some tables. An unfinished run is given up. */
export async function reset([job]: string[], options: Options & { table?: string[] }): Promise<void> {
  await withState(async state => {
    const { run, tables } = await resetJob(state, job!, variablesOf(options), options.table)
    if (options.json) printJson({ job, discarded: run ?? null, reset: tables })
    else {
      const said = [run ? `run ${run} is given up` : `${job} has no unfinished run`]
      if (tables.length > 0) said.push(`the next run copies everything again of ${tables.join(', ')}`)
      process.stdout.write(`${said.join('; ')}\n`)
    }
  })
}
