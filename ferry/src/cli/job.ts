/** The jobs that commands work on: from a file, or from a source and a destination on the command line. */

import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { isAbsolute } from 'node:path'
import { kindOf } from '../connectors/registry.ts'
import { withoutPassword } from '../connectors/settings.ts'
import { FerryError } from '../errors.ts'
import { readJob } from '../job/kept.ts'
import { type Locator, parseLocator } from '../job/locator.ts'
import { checkJob, readJobFile, readVariables } from '../job/read.ts'
import type { CopyJob } from '../job/schema.ts'
import { Policy } from '../policy.ts'
import { withState } from './state.ts'

export interface VariableOptions {
  variables?: string
  set?: string[]
}

/** What a command may use, with the values that it is given for variables. */
export const policyOf = (options: VariableOptions): Policy => Policy.from(process.env).withValues(valuesOf(options))

export function valuesOf(options: VariableOptions): Record<string, string> {
  const fromFile = options.variables === undefined ? {} : readVariables(options.variables)
  const pairs = (options.set ?? []).map(pair => {
    const at = pair.indexOf('=')
    return at < 0 ? [pair, ''] : [pair.slice(0, at), pair.slice(at + 1)]
  })
  return { ...fromFile, ...Object.fromEntries(pairs) }
}

export function jobOf(path: string, options: VariableOptions): CopyJob {
  return readJobFile(path, policyOf(options))
}

/** A job from a file, or a saved one by its name. Throws FERRY-1001 where there is neither. */
export async function jobNamed(pathOrName: string, options: VariableOptions): Promise<CopyJob> {
  if (existsSync(pathOrName) || !/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/.test(pathOrName)) return jobOf(pathOrName, options)
  const kept = await withState(state =>
    state.db.selectFrom('job').select('definition').where('name', '=', pathOrName).executeTakeFirst(),
  )
  if (kept) return readJob(kept.definition)
  throw new FerryError('FERRY-1001', `there is neither a file nor a kept job ${pathOrName}`, {
    hint: 'Check the path; `ferry list` tells the jobs that are kept.',
  })
}

/**
 * A one-off job. Its name comes from its words, so that the same command given again finds its unfinished run and goes
 * on with it.
 */
export function oneOffJob(source: string, destination: string, settings: Record<string, unknown>): CopyJob {
  const from = parseLocator(source)
  const to = parseLocator(destination)
  const { tables, query, format, toFormat: _, read, ...rest } = settings
  const isBinary = format === 'binary'
  // Files as they are stay what they are, where the destination has files.
  const toFormat = settings.toFormat ?? (isBinary && kindOf(to.kind).abilities.patterns ? 'binary' : undefined)
  // Limits may change between a run and its resumption.
  const same = { ...settings, limits: {} }
  const all = isBinary ? './' : '*'
  const objects = (tables as string[] | undefined) ?? (from.object === undefined ? [all] : [from.object])
  // Relative paths are others in another folder.
  const isRelative = [from, to].some(({ settings: s }) =>
    [s.path, s.folder].some(p => typeof p === 'string' && !isAbsolute(p)),
  )
  const place = isRelative ? [process.cwd()] : []
  const words = JSON.stringify([withoutPassword(source), withoutPassword(destination), same, ...place])
  const entries =
    query === undefined
      ? objects.map(object => ({
          from: object,
          ...(to.object === undefined && toFormat === 'binary' ? { to: './' } : {}),
          ...(to.object === undefined ? {} : { to: target(to, objects, from.kind, toFormat as string | undefined) }),
        }))
      : [{ query, to: to.object ?? 'query' }]
  return checkJob({
    name: `copy-${createHash('sha256').update(words).digest('hex').slice(0, 12)}`,
    source: endpointOf(from),
    destination: endpointOf(to),
    // A file is replaced when it is written again; a table is added to.
    update: kindOf(to.kind).abilities.update[0],
    ...rest,
    read: { ...(read as object), ...(format === undefined ? {} : { format }) },
    ...(toFormat === undefined ? {} : { write: { format: toFormat } }),
    tables: entries,
  })
}

/** What names of files end in. */
const ENDINGS = /\.(csv|tsv|jsonl|ndjson|json|parquet)(\.gz|\.zst)?$/i

/** Where an object goes: several of them each to a place of its own. Files that match a pattern are one object. */
function target({ kind, object = '' }: Locator, objects: string[], source: string, format = 'parquet'): string {
  const many = objects.length > 1 || (!kindOf(source).abilities.patterns && objects.some(o => /[*?]/.test(o)))
  if (!many || object.includes('{')) return object
  const isPath = kindOf(kind).abilities.patterns
  if (isPath && !ENDINGS.test(object)) return `${object.replace(/\/$/, '')}/{table}.${format}`
  throw new FerryError('FERRY-1005', `several tables would go to ${object}`, {
    hint: isPath
      ? `Copy into a folder, ${object.replace(/\.[^/]*$/, '')}/, or say which one: --table NAME.`
      : 'Write {table} into its name, as in #sales.{table}, or leave the name out.',
  })
}

function endpointOf(locator: { kind: string; settings: Record<string, unknown> }) {
  return { kind: locator.kind, ...locator.settings }
}
