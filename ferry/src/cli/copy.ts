import { execute } from './execute.ts'
import { oneOffJob, type VariableOptions, variablesOf } from './job.ts'

interface CopyOptions extends VariableOptions {
  json: boolean
  quiet?: boolean
  fullRefresh?: boolean
  table?: string[]
  key?: string[]
  parallel?: number
  bytesPerSecond?: string
  rowsPerSecond?: number
  [setting: string]: unknown
}

export default async function copy([source, destination]: string[], options: CopyOptions): Promise<void> {
  const { json, quiet, fullRefresh, table, key, parallel, bytesPerSecond, rowsPerSecond, variables, set, ...rest } =
    options
  const job = oneOffJob(source!, destination!, {
    ...rest,
    ...(table ? { tables: table } : {}),
    ...(key ? { keys: key } : {}),
    limits: {
      ...(parallel === undefined ? {} : { parallel }),
      ...(bytesPerSecond === undefined ? {} : { bytesPerSecond }),
      ...(rowsPerSecond === undefined ? {} : { rowsPerSecond }),
    },
  })
  await execute(job, {
    json,
    ...(quiet ? { quiet } : {}),
    ...(fullRefresh ? { fresh: true } : {}),
    variables: variablesOf(options),
  })
}
