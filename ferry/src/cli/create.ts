import { withoutSecrets } from '../runtime/stores.ts'
import { withDesk } from './desk.ts'
import { jobOf, type VariableOptions } from './job.ts'
import { printJson } from './output.ts'

/** `ferry create JOB.yaml`: keeps a job, so that schedules, triggers, people and `ferry start` can run it. */
export default async function create(
  [path]: string[],
  options: VariableOptions & { json: boolean; replace?: boolean },
): Promise<void> {
  const job = withoutSecrets(jobOf(path!, options))
  // The job is kept with its values put in: only its stores are opened where it runs.
  const kept = await withDesk({}, desk => desk.keep(job, options.replace === true))
  if (options.json) printJson(kept)
  else process.stdout.write(`${kept.name} is kept; run it: ferry start ${kept.name}\n`)
}
