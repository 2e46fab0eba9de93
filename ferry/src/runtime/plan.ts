/** What a job would copy: its tables, and the plan of each. */
import { availableParallelism } from 'node:os'
import { requireDistinctDestinations } from '../engine/destinations.ts'
import { planTable } from '../engine/plan.ts'
import type { PlanOptions, TablePlan } from '../engine/tableplan.ts'
import { asFerryError, type ErrorCode, FerryError } from '../errors.ts'
import type { CopyJob, TableSettings } from '../job/schema.ts'
import { expandTables, needsListing, type TableSpec } from '../job/tables.ts'
import type { Policy } from '../policy.ts'
import type { State } from '../state/database.ts'
import { positionsOf } from '../state/positions.ts'
import type { PositionRow } from '../state/schema.ts'
import { type Clash, clashesOf } from './clashes.ts'
import { unshared } from './hold.ts'
import { closeSessions, closeStores, openSessions, openStores, type Stores } from './stores.ts'

/** The tables of a job as its stores have them now. */
export async function tablesOf(job: CopyJob, { source, destination }: Stores, only?: string[]): Promise<TableSpec[]> {
  const globs = source.abilities.patterns
  const objects =
    needsListing(job) && !globs ? await source.objects(job.include === 'views' ? undefined : 'tables') : []
  const specs = expandTables(job, objects, {
    globs,
    parts: object => source.names.parts(object),
    write: name => destination.names.part(name),
  })
  if (!only || only.length === 0) return specs
  const isMeant = (from: string, word: string) => from === word || from.endsWith(`.${word}`)
  // One that is not there is a mistake, also among others.
  const unknown = only.filter(word => !specs.some(s => isMeant(s.from, word)))
  if (unknown.length === 0) return specs.filter(s => only.some(word => isMeant(s.from, word)))
  throw new FerryError('FERRY-3008', `the job has no table ${unknown.join(', ')}`, {
    hint: `Its tables: ${specs.map(s => s.from).join(', ')}.`,
  })
}

/** Plans a job without running it: nothing is written. */
export async function planJob(
  job: CopyJob,
  state: State | undefined,
  policy: Policy,
): Promise<{
  tables: (TablePlan & { splits: number })[]
  problems: Problem[]
  clashes: Clash[]
}> {
  const stores = await openStores(job, state, policy)
  try {
    const sessions = await openSessions(stores, unshared('plan', job.name))
    const tables: (TablePlan & { splits: number })[] = []
    const problems: Problem[] = []
    try {
      const specs = await tablesOf(job, stores)
      const kept = state ? await positionsOf(state.db, job.name) : []
      const all = { count: specs.length, kept, run: 'plan' }
      for (const [ordinal, spec] of specs.entries()) {
        try {
          const table = await planTable(sessions, spec, ordinal, planOptions(job, stores, all))
          const splits = 'source' in table ? (await table.source.splits(table.plan.offer)).length : 0
          tables.push({ ...table.plan, splits })
        } catch (error) {
          const { code, message, hint, faults } = asFerryError(error)
          const setting = settingOf(code, spec)
          const own = faults.length > 0 ? faults : setting === undefined ? [] : [{ path: setting, message }]
          const placed = own.map(f => ({ ...f, path: `${placeOf(job, spec, f.path)}${f.path}` }))
          problems.push({
            table: spec.from,
            error: new FerryError(code, message, { hint, faults: placed, cause: error }),
          })
        }
      }
      try {
        requireDistinctDestinations(tables, stores.destination)
      } catch (error) {
        problems.push({ table: job.name, error: asFerryError(error) })
      }
    } finally {
      await closeSessions(sessions)
    }
    const clashes = state ? await clashesOf({ state, policy }, job.name, tables, stores.destination) : []
    return { tables, problems, clashes }
  } finally {
    await closeStores(stores)
  }
}

/** A table that cannot be copied; the faults of its error say which settings of the job are wrong. */
export interface Problem {
  table: string
  error: FerryError
}

/** The setting of a table that an error is about, if its code determines it. */
function settingOf(code: ErrorCode, spec: TableSpec): string | undefined {
  switch (code) {
    case 'FERRY-3005':
      return 'keys'
    case 'FERRY-3006':
      return 'update'
    case 'FERRY-3012':
      return spec.incrementalColumn === undefined ? undefined : 'incrementalColumn'
    default:
      return undefined
  }
}

/** Where the job sets an option of a table: at the table itself, under `defaults`, or for all. */
function placeOf(job: CopyJob, { entry }: TableSpec, path: string): string {
  const [setting, option] = path.split('.') as [keyof CopyJob['defaults'], string?]
  const says = (settings: TableSettings | undefined) => {
    const value: unknown = settings?.[setting]
    return value !== undefined && (option === undefined || Object.hasOwn(value as object, option))
  }
  const own = job.tables[entry]!
  if (typeof own !== 'string' && says(own)) return `tables.${entry}.`
  return says(job.defaults) ? 'defaults.' : says(job) ? '' : `tables.${entry}.`
}

/** How many splits are at work at one time: from the job, else what processors and stores can use. */
export function parallelOf(job: CopyJob, { source, destination }: Stores): number {
  const own = Math.max(2, Math.min(8, availableParallelism()))
  return job.limits.parallel ?? Math.max(own, source.throttle?.parallel ?? 0, destination.throttle?.parallel ?? 0)
}

/** Settings of the whole job that the plan of each table needs. */
export function planOptions(
  job: CopyJob,
  stores: Stores,
  tables: { count: number; kept: PositionRow[]; run: string },
): PlanOptions {
  return {
    identity: { run: tables.run, job: job.name },
    // Where a limit counts rows, bytes may not pass unread.
    rowsOnly: job.limits.rowsPerSecond !== undefined,
    // All tables of an online copy are at work all the time: they share what may be.
    online:
      job.mode === 'online' ? { splits: Math.max(1, Math.floor(parallelOf(job, stores) / tables.count)) } : undefined,
    incremental: job.mode === 'incremental' ? incrementalOf(tables.kept) : undefined,
  }
}

function incrementalOf(kept: PositionRow[]): PlanOptions['incremental'] {
  return { all: kept.map(p => p.value), kept: (from, to) => kept.find(p => p.source === from && p.destination === to) }
}
