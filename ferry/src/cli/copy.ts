import { FerryError } from '../errors.ts'
import { execute } from './execute.ts'
import { oneOffJob, policyOf, type VariableOptions } from './job.ts'

interface CopyOptions extends VariableOptions {
  json: boolean
  quiet?: boolean
  fullRefresh?: boolean
  table?: string[]
  key?: string[]
  parallel?: number
  bytesPerSecond?: string
  rowsPerSecond?: number
  header?: boolean
  delimiter?: string
  encoding?: string
  names?: string[]
  type?: string[]
  nullText?: string
  nanoseconds?: string
  [setting: string]: unknown
}

export default async function copy([source, destination]: string[], options: CopyOptions): Promise<void> {
  const { json, quiet, fullRefresh, table, key, parallel, bytesPerSecond, rowsPerSecond, variables, set, ...others } =
    options
  const { header, delimiter, encoding, names, type, nullText, nanoseconds, ...rest } = others
  const read = {
    header,
    delimiter: delimiter?.replace('\\t', '\t'),
    encoding,
    names,
    nullText,
    nanoseconds,
    types: type && typesOf(type),
  }
  const job = oneOffJob(source!, destination!, {
    ...rest,
    read: Object.fromEntries(Object.entries(read).filter(([, value]) => value !== undefined)),
    ...(table ? { tables: table } : {}),
    ...(key ? { keys: key } : {}),
    limits: {
      parallel,
      bytesPerSecond,
      rowsPerSecond,
    },
  })
  await execute(job, {
    json,
    oneOff: true,
    quiet,
    fresh: fullRefresh,
    policy: policyOf(options),
  })
}

/** `zip=utf8` as the types of read options. Throws FERRY-1003. */
function typesOf(pairs: string[]): Record<string, string> {
  return Object.fromEntries(
    pairs.map(pair => {
      const at = pair.lastIndexOf('=')
      if (at > 0) return [pair.slice(0, at), pair.slice(at + 1)]
      throw new FerryError('FERRY-1003', `--type ${pair}: write column=type`)
    }),
  )
}
