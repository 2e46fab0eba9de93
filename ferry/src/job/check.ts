/** What is wrong with a job that its schema does not say: sizes, durations, and the options of the two kinds of stores. */
import type { z } from 'zod'
import { type Fault, FerryError } from '../errors.ts'
import { faultsIn, toldFaults } from '../faults.ts'
import { parseDuration } from './duration.ts'
import type { CopyJob } from './schema.ts'
import { parseSize } from './size.ts'

/** The options that a kind of store has for its objects; none where it has no schema for them. */
export interface KindOptions {
  readonly kind: string
  readonly options?: { read: z.ZodObject; write: z.ZodObject }
}

/** The kind of store that an endpoint of a job names; undefined where that is not known. */
export type KindAt = (endpoint: unknown) => KindOptions | undefined

type Json = Record<string, unknown>

const isRecord = (value: unknown): value is Json => value !== null && typeof value === 'object' && !Array.isArray(value)

/** Each fault with its place, `tables.3.splitSize`, of a job that may have faults of its schema too: these are not told here. */
export function faultsOf(job: unknown, kindAt: KindAt = () => undefined): Fault[] {
  if (!isRecord(job)) return []
  const { source, destination, limits, defaults, tables } = job
  const kinds = { read: kindAt(source), write: kindAt(destination) }
  return [
    ...(isRecord(limits) ? sizeFault(limits.bytesPerSecond, 'limits.bytesPerSecond') : []),
    ...faultsOfSettings(job, '', kinds),
    ...faultsOfSettings(defaults, 'defaults.', kinds),
    ...(Array.isArray(tables) ? tables.flatMap((t, i) => faultsOfSettings(t, `tables.${i}.`, kinds)) : []),
  ]
}

type Kinds = Record<'read' | 'write', KindOptions | undefined>

function faultsOfSettings(settings: unknown, at: string, kinds: Kinds): Fault[] {
  if (!isRecord(settings)) return []
  return [
    ...sizeFault(settings.splitSize, `${at}splitSize`),
    ...overlapFault(settings.overlap, `${at}overlap`),
    ...optionFaults(kinds, 'read', settings.read, `${at}read`),
    ...optionFaults(kinds, 'write', settings.write, `${at}write`),
  ]
}

function sizeFault(size: unknown, path: string): Fault[] {
  return typeof size !== 'string' || parseSize(size) ? [] : [{ path, message: `${size} is not a size such as 64MB` }]
}

function overlapFault(overlap: unknown, path: string): Fault[] {
  if (typeof overlap !== 'string' || parseDuration(overlap) !== undefined || Number(overlap) > 0) return []
  return [{ path, message: `${overlap} is neither a duration such as 10 min nor an amount` }]
}

/** What is wrong with options of a store's objects, by the schema that the kind declares. */
function optionFaults(kinds: Kinds, side: keyof Kinds, value: unknown, at: string): Fault[] {
  const kind = kinds[side]
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
