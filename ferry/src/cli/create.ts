import { FerryError } from '../errors.ts'
import { withoutSecrets } from '../runtime/stores.ts'
import { withBackend } from './backend.ts'
import { jobOf, policyOf, type VariableOptions } from './job.ts'
import { printJson } from './output.ts'

/** `ferry create JOB.yaml`: keeps a job, so that schedules, triggers, people and `ferry start` can run it. */
export default async function create(
  [path]: string[],
  options: VariableOptions & { json: boolean; replace?: boolean },
): Promise<void> {
  const job = withoutSecrets(jobOf(path!, options))
  // The job is saved with its variables replaced; its stores are opened where it runs.
  const kept = await withBackend(policyOf({}), backend => backend.keep(job, options.replace === true)).catch(error => {
    if (!(error instanceof FerryError) || error.code !== 'FERRY-1008') throw error
    throw new FerryError('FERRY-1008', error.message, { hint: 'Give it another name, or --replace that one.' })
  })
  if (options.json) printJson(kept)
  else process.stdout.write(`${kept.name} saved; run it: ferry start ${kept.name}\n`)
}
