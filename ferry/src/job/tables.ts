/** The tables of a job: patterns expanded, defaults filled in, destinations named. */
import type { Overlap } from '../contract/read.ts'
import { FerryError, nearest } from '../errors.ts'
import { matcher } from '../glob.ts'
import { sizeOf } from '../size.ts'
import { parseDuration } from './duration.ts'
import type { CopyJob, TableEntry, TableSettings } from './schema.ts'

/** One table of a job with all its settings decided. */
export interface TableSpec
  extends Required<
    Pick<
      TableSettings,
      'create' | 'deletes' | 'mergeKind' | 'drift' | 'truncate' | 'narrowing' | 'onRowError' | 'casing'
    >
  > {
  /** The entry of the job's `tables` that it is of, from 0. */
  entry: number
  from: string
  query?: string
  /** Undefined where the destination names the object itself (a locator's `#object`, a single file). */
  to?: string
  update: 'append' | 'overwrite' | 'merge'
  keys?: string[]
  columns?: TableSettings['columns']
  constants?: TableSettings['constants']
  texts?: TableSettings['texts']
  where?: string
  limit?: number
  tracking?: 'watermark' | 'cdc'
  incrementalColumn?: string
  overlap?: Overlap
  /** Names of the audit columns that are wanted. */
  audit: Partial<Record<AuditColumn, string>>
  before: string[]
  after: string[]
  splitBytes: number
  read: Record<string, unknown>
  write: Record<string, unknown>
}

/** The meaning of an audit column. */
export type AuditColumn = 'run' | 'job' | 'loadedAt' | 'source'

const AUDIT: Record<AuditColumn, string> = {
  run: '_ferry_run',
  job: '_ferry_job',
  loadedAt: '_ferry_loaded_at',
  source: '_ferry_source',
}

const SPLIT_BYTES = 64_000_000

/** Whether any table of the job needs the source's list of objects. */
export function needsListing(job: CopyJob): boolean {
  return job.tables.some(t => isPattern(typeof t === 'string' ? t : t.from))
}

function isPattern(name: string | undefined): boolean {
  return name !== undefined && /[*?]/.test(name)
}

/** How names of objects are read and written. */
export interface NamesOfTables {
  /** Whether the source's own patterns serve: of files. */
  globs: boolean
  /** The parts of a source object's name. */
  parts: (object: string) => { schema: string; table: string }
  /** A name as a part of a destination object's name. */
  write: (name: string) => string
}

/**
 * The tables that a job names. `objects` is the source's list, needed for patterns. Throws FERRY-3008 for a pattern without match, FERRY-1005 for two tables
 * with one destination.
 */
export function expandTables(job: CopyJob, objects: string[], options: NamesOfTables): TableSpec[] {
  const excluded = job.exclude.map(glob => matcher(glob))
  const specs: TableSpec[] = []
  for (const [at, item] of job.tables.entries()) {
    const entry: TableEntry = typeof item === 'string' ? { from: item } : item
    const add = (from: string) => specs.push({ entry: at, ...specOf(job, entry, from, options) })
    if (!isPattern(entry.from) || options.globs) {
      add(entry.from ?? '(query)')
      continue
    }
    const wanted = matcher(entry.from!)
    const found = objects.filter(o => wanted(o) && !excluded.some(isExcluded => isExcluded(o)))
    if (found.length === 0) {
      const near = nearest(entry.from!.replace(/[*?]/g, ''), objects)
      throw new FerryError('FERRY-3008', `no table matches ${entry.from}${near ? `; the nearest is ${near}` : ''}`, {
        hint: 'Check the patterns of `tables` and `exclude`. Views are copied by their names, or with `include: views`.',
      })
    }
    // A table that the job also names by itself is not taken twice.
    const named = new Set(job.tables.map(t => (typeof t === 'string' ? t : t.from)))
    for (const object of found) if (!named.has(object)) add(object)
  }
  const seen = new Map<string, string>()
  for (const spec of specs) {
    if (spec.to === undefined) continue
    const first = seen.get(spec.to)
    if (first !== undefined) {
      throw new FerryError('FERRY-1005', `${first} and ${spec.from} both go to ${spec.to}`)
    }
    seen.set(spec.to, spec.from)
  }
  return specs
}

/** Defaults, if neither the job nor the table sets the option. */
export const TABLE_DEFAULTS = {
  update: 'append',
  casing: 'asIs',
  create: 'ifMissing',
  deletes: 'apply',
  mergeKind: 'scd1',
  drift: 'freeze',
  truncate: false,
  narrowing: 'refuse',
  onRowError: 'fail',
  audit: false,
} as const

function specOf(job: CopyJob, entry: TableEntry, from: string, names: NamesOfTables): Omit<TableSpec, 'entry'> {
  const s = { ...TABLE_DEFAULTS, ...(pick(job) as TableSettings), ...job.defaults, ...definedOnly(entry) }
  const splitBytes = s.splitSize === undefined ? SPLIT_BYTES : sizeOf(s.splitSize, 'splitSize')
  const overlap = s.overlap === undefined ? undefined : overlapOf(s.overlap)
  const list = (statements: string | string[] | undefined) =>
    statements === undefined ? [] : typeof statements === 'string' ? [statements] : statements
  return {
    from,
    query: entry.query,
    ...(entry.to === undefined ? {} : { to: fillName(entry.to, from, names) }),
    update: s.update,
    keys: s.keys,
    columns: s.columns,
    constants: s.constants,
    texts: s.texts,
    casing: s.casing,
    where: s.where,
    limit: s.limit,
    ...trackingOf(s),
    overlap,
    create: s.create,
    deletes: s.deletes,
    mergeKind: s.mergeKind,
    drift: s.drift,
    truncate: s.truncate,
    narrowing: s.narrowing,
    onRowError: s.onRowError,
    audit: s.audit === true ? AUDIT : s.audit || {},
    before: list(s.before),
    after: list(s.after),
    splitBytes,
    read: { ...job.read, ...job.defaults?.read, ...entry.read },
    write: { ...job.write, ...job.defaults?.write, ...entry.write },
  }
}

/** The column alone is enough. */
function trackingOf({ tracking, incrementalColumn }: TableSettings): Pick<TableSpec, 'tracking' | 'incrementalColumn'> {
  if (tracking === 'cdc') return { tracking }
  return incrementalColumn === undefined ? { tracking } : { tracking: 'watermark', incrementalColumn }
}

function overlapOf(text: string | number): Overlap {
  if (typeof text === 'number') return { amount: text }
  const seconds = parseDuration(text)
  if (seconds !== undefined) return { seconds }
  if (Number(text) > 0) return { amount: Number(text) }
  throw new FerryError('FERRY-1003', `overlap: ${text} is neither a duration such as 10 min nor an amount`)
}

const SETTINGS = [
  'update',
  'keys',
  'tracking',
  'incrementalColumn',
  'mergeKind',
  'deletes',
  'audit',
  'drift',
  'overlap',
  'columns',
  'constants',
  'texts',
  'casing',
  'where',
  'limit',
  'create',
  'truncate',
  'narrowing',
  'onRowError',
  'before',
  'after',
  'splitSize',
] as const

function pick(job: CopyJob): TableSettings {
  return Object.fromEntries(SETTINGS.flatMap(k => (job[k] === undefined ? [] : [[k, job[k]]])))
}

function definedOnly(entry: TableEntry): TableSettings {
  return Object.fromEntries(SETTINGS.flatMap(k => (entry[k] === undefined ? [] : [[k, entry[k]]])))
}

/** `{schema}`, `{table}` and `{object}` in a destination name, from the source's name. */
function fillName(to: string, from: string, { parts, write }: NamesOfTables): string {
  if (!/\{(schema|table|object)\}/.test(to)) return to
  const { schema, table } = parts(from)
  const values: Record<string, string> = { schema, table, object: from }
  return to.replace(/\{(schema|table|object)\}/g, (_, name: string) => write(values[name]!))
}

/** A column's name in the casing that a job asks for. */
export function applyCasing(name: string, casing: TableSpec['casing']): string {
  switch (casing) {
    case 'lower':
      return name.toLowerCase()
    case 'upper':
      return name.toUpperCase()
    case 'snake':
      return name
        .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
        .replace(/([A-Z]+)([A-Z][a-z])/g, '$1_$2')
        .replace(/[\s-]+/g, '_')
        .toLowerCase()
    default:
      return name
  }
}
