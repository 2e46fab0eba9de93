/** What is wrong with a job that its schema does not say: sizes, durations, and the options of the two kinds of stores. */
import type { z } from 'zod'
import { parseType } from '../batch/types.ts'
import { type Fault, FerryError } from '../errors.ts'
import { faultsIn, toldFaults } from '../faults.ts'
import { parseSize } from '../size.ts'
import { parseDuration } from './duration.ts'
import { comesEver, scheduleSchema } from './schedules.ts'
import type { CopyJob } from './schema.ts'
import { instantOf } from './times.ts'

/** The options that a kind of store has for its objects; none where it has no schema for them. */
export interface KindOptions {
  readonly kind: string
  readonly options?: { read: z.ZodObject; write: z.ZodObject }
}

/** The kind of store that an endpoint of a job names; undefined where that is not known. */
export type KindAt = (endpoint: unknown) => KindOptions | undefined

type Json = Record<string, unknown>

const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : [])

const isRecord = (value: unknown): value is Json => value !== null && typeof value === 'object' && !Array.isArray(value)

/** Each fault with its place, `tables.3.splitSize`, of a job that may have faults of its schema too: these are not reported here. */
export function faultsOf(job: unknown, kindAt: KindAt = () => undefined): Fault[] {
  if (!isRecord(job)) return []
  const { source, destination, limits, defaults, tables, schedules } = job
  const kinds = { read: kindAt(source), write: kindAt(destination) }
  return [
    ...(isRecord(limits) ? limitFaults(limits) : []),
    ...listOf(schedules).flatMap((s, i) => scheduleFaults(s, `schedules.${i}`)),
    ...faultsOfSettings(job, '', kinds),
    ...faultsOfSettings(defaults, 'defaults.', kinds),
    ...listOf(tables).flatMap((t, i) => faultsOfSettings(t, `tables.${i}.`, kinds)),
    ...listOf(tables).flatMap((t, i) => nameFaults(t, `tables.${i}`)),
  ]
}

type Kinds = Record<'read' | 'write', KindOptions | undefined>

function faultsOfSettings(settings: unknown, at: string, kinds: Kinds): Fault[] {
  if (!isRecord(settings)) return []
  return [
    ...sizeFault(settings.splitSize, `${at}splitSize`),
    ...overlapFault(settings.overlap, `${at}overlap`),
    ...keyFaults(settings.keys, `${at}keys`),
    ...typeFaults(settings.columns, `${at}columns`),
    ...typeFaults(settings.constants, `${at}constants`),
    ...optionFaults(kinds.read, 'read', settings.read, `${at}read`),
    ...optionFaults(kinds.write, 'write', settings.write, `${at}write`),
  ]
}

function sizeFault(size: unknown, path: string): Fault[] {
  if (typeof size !== 'string') return []
  const bytes = parseSize(size)
  if (bytes === undefined || bytes < 1) return [{ path, message: `${size} is not a size such as 64MB` }]
  return bytes > Number.MAX_SAFE_INTEGER ? [{ path, message: `${size.slice(0, 30)} is more than there can be` }] : []
}

/** Less than one a second is no speed that anybody waits for. */
function limitFaults(limits: Json): Fault[] {
  const slow = ['rowsPerSecond', 'bytesPerSecond'].filter(name => typeof limits[name] === 'number' && limits[name] < 1)
  return [
    ...slow.map(name => ({ path: `limits.${name}`, message: 'must be at least 1' })),
    ...sizeFault(limits.bytesPerSecond, 'limits.bytesPerSecond'),
  ]
}

function overlapFault(overlap: unknown, path: string): Fault[] {
  if (typeof overlap !== 'string') return []
  const amount = parseDuration(overlap) ?? (/^\s*\d+(\.\d+)?\s*$/.test(overlap) ? Number(overlap) : 0)
  if (amount > 0 && Number.isFinite(amount)) return []
  return [{ path, message: `${overlap} is neither a duration such as 10 min nor an amount` }]
}

function keyFaults(keys: unknown, path: string): Fault[] {
  const twice = listOf(keys).find((key, i, all) => all.indexOf(key) !== i)
  return twice === undefined ? [] : [{ path, message: `${twice} stands twice` }]
}

/** Types that columns or constants are to have. */
function typeFaults(columns: unknown, path: string): Fault[] {
  if (!isRecord(columns)) return []
  return Object.entries(columns).flatMap(([name, target]) => {
    const type = isRecord(target) ? target.type : undefined
    if (typeof type !== 'string') return []
    const meant = parseType(type)
    const isNone = meant?.kind === 'decimal' && (meant.precision < 1 || meant.scale > meant.precision)
    return meant && !isNone ? [] : [{ path: `${path}.${name}.type`, message: `there is no type "${type}"` }]
  })
}

function nameFaults(table: unknown, path: string): Fault[] {
  const { from, to } = isRecord(table) ? table : { from: table, to: undefined }
  const message = 'has a character that no name can have: NUL'
  return [
    ...(String(from).includes('\0') ? [{ path: typeof table === 'string' ? path : `${path}.from`, message }] : []),
    ...(String(to).includes('\0') ? [{ path: `${path}.to`, message }] : []),
  ]
}

/** A schedule that never runs is a mistake. */
function scheduleFaults(value: unknown, path: string): Fault[] {
  const schedule = scheduleSchema.safeParse(value).data
  if (!schedule) return []
  const { from, until, timeZone } = schedule
  if (from !== undefined && until !== undefined && instantOf(until, timeZone) <= instantOf(from, timeZone)) {
    return [{ path: `${path}.until`, message: 'is not behind `from`: it would never run' }]
  }
  if (schedule.cron === undefined || comesEver(schedule.cron)) return []
  return [{ path: `${path}.cron`, message: 'never comes: there is no such day' }]
}

/** What is wrong with options of a store's objects, by the schema that the kind declares. */
export function optionFaults(
  kind: KindOptions | undefined,
  side: 'read' | 'write',
  value: unknown,
  at: string,
): Fault[] {
  if (!kind || !isRecord(value)) return []
  if (kind.options) return faultsIn(kind.options[side], value, at)
  const message = `tables of ${kind.kind} have no such option: \`${side}\` is for files and containers`
  return Object.keys(value).map(name => ({ path: `${at}.${name}`, message }))
}

/** Throws FERRY-1003 with each fault of a job. */
export function requireNoFaults(job: CopyJob): void {
  const faults = faultsOf(job)
  if (faults.length > 0) throw new FerryError('FERRY-1003', toldFaults(faults), { faults })
}
