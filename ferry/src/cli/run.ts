import { execute } from './execute.ts'
import { jobNamed, policyOf, type VariableOptions } from './job.ts'

interface Options extends VariableOptions {
  json: boolean
  quiet?: boolean
  fullRefresh?: boolean
  table?: string[]
}

export default async function run([path]: string[], options: Options): Promise<void> {
  await execute(await jobNamed(path!, options), {
    json: options.json,
    quiet: options.quiet,
    fresh: options.fullRefresh,
    only: options.table,
    policy: policyOf(options),
  })
}
