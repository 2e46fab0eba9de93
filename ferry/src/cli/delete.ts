/** `ferry delete JOB`: deletes a job and its history; the copied rows stay. */
import { withBackend } from './backend.ts'
import { policyOf, type VariableOptions } from './job.ts'
import { printJson } from './output.ts'

export default async function remove(
  [job]: string[],
  options: VariableOptions & { json: boolean; force?: boolean },
): Promise<void> {
  await withBackend(policyOf(options), backend => backend.remove(job!, options.force === true))
  if (options.json) printJson({ deleted: job })
  else process.stdout.write(`${job} is deleted; what it has copied stays\n`)
}
