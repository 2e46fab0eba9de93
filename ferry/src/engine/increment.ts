/** Incremental copies: what of a table has been copied, what is new, and when a copy has to begin again. */

import { z } from 'zod'
import type { Increment, ReadRequest, Since } from '../contract/read.ts'
import type { SourceSession } from '../contract/source.ts'
import type { Store } from '../contract/store.ts'
import { FerryError } from '../errors.ts'
import type { TableSpec } from '../job/tables.ts'
import { KeptForm } from '../kept.ts'

/** How far copies of a table are, as the state keeps it. */
export interface KeptPosition {
  /** What it depends on: see {@link trackedBy}. */
  tracked: string
  value: string
}

/** What an incremental copy of a table does, as part of its plan. */
export interface IncrementPlan {
  /** `first`: everything; `reset`: everything once more; `changes`: what is new. */
  load: 'first' | 'reset' | 'changes'
  /** What is read, for people. */
  range: string
  isEmpty: boolean
  /** What is saved when the table is copied. */
  position: KeptPosition
}

/** An edit of any of these makes what was copied worthless as a beginning. */
const tracked = z.object({
  source: z.string(),
  destination: z.string(),
  by: z.string(),
  column: z.string().optional(),
  where: z.string().optional(),
})
type Tracked = z.output<typeof tracked>
const allTracked = new KeptForm('list of what a copy depends on', tracked)

const NAMES: Record<keyof Tracked, string> = {
  source: 'the source',
  destination: 'the destination',
  by: 'the tracking',
  column: 'the incremental column',
  where: 'the filter',
}

export interface Stores {
  sourceStore: Store
  destinationStore: Store
}

/** Checks that a table can be copied incrementally. Throws FERRY-3006 or FERRY-3012. */
export function requireIncremental(spec: TableSpec, source: Store): void {
  if (spec.update === 'overwrite') {
    throw new FerryError('FERRY-3006', `${spec.from}: overwrite would replace the table by what is new alone`, {
      hint: 'Use merge, or append; with truncate: true the first load empties the destination.',
    })
  }
  if (spec.limit !== undefined) {
    throw new FerryError('FERRY-3012', `${spec.from}: what a limit leaves out would never be copied`, {
      hint: 'Leave limit out, or choose rows with `where`.',
    })
  }
  if (spec.tracking === 'cdc') {
    if (spec.update === 'merge') return
    throw new FerryError('FERRY-3006', `${spec.from}: changes from the log are applied by key: update: merge`)
  }
  if (spec.incrementalColumn === undefined && !source.abilities.knowsNew) {
    throw new FerryError('FERRY-3012', `${spec.from}: an incremental copy needs a way to find changes`, {
      hint: 'Name a column that grows with every change, incrementalColumn: updated_at; or tracking: cdc for the log.',
    })
  }
}

/** Throws FERRY-3012 if deleted rows are to be marked and nothing reports them. */
export function requireDeletes(spec: TableSpec, { isOnline }: { isOnline: boolean }): void {
  if (spec.deletes !== 'mark' || isOnline || spec.tracking === 'cdc') return
  throw new FerryError('FERRY-3012', `${spec.from}: deletes: mark needs changes that tell of deleted rows`, {
    hint: 'Set mode: incremental with tracking: cdc, or mode: online; or leave deletes out.',
  })
}

/** Throws FERRY-3012 for words of incremental copies in a job of another mode, which would copy everything each time. */
export function requireMode(spec: TableSpec, { isOnline }: { isOnline: boolean }): void {
  const named = spec.incrementalColumn !== undefined ? 'incrementalColumn' : spec.overlap ? 'overlap' : undefined
  const word = named ?? (spec.tracking === 'cdc' ? 'tracking: cdc' : undefined)
  if (word === undefined || isOnline) return
  throw new FerryError('FERRY-3012', `${spec.from}: ${word} needs mode: incremental`, {
    hint: `Set mode: incremental, or leave ${word} out.`,
  })
}

/** What to read of a table from its saved position. */
export async function planIncrement(
  session: SourceSession,
  read: ReadRequest,
  spec: TableSpec,
  context: { tracked: string; kept: KeptPosition | undefined; others: string[]; isThere: boolean; keys: string[] },
): Promise<{ plan: IncrementPlan; read: ReadRequest; notes: string[] }> {
  const { tracked, kept } = context
  const why = kept && resetReason(kept.tracked, context)
  const after = why === undefined ? kept?.value : undefined
  const since: Since = {
    cdc: spec.tracking === 'cdc',
    keys: context.keys,
    others: context.others,
    column: spec.incrementalColumn,
    overlap: spec.overlap,
    after,
    again: spec.update === 'merge',
  }
  if (!session.increment) throw new FerryError('FERRY-3012', `${spec.from}: the source does not tell what is new`)
  const found: Increment = await session.increment(read, since)
  const load = after !== undefined ? 'changes' : kept ? 'reset' : 'first'
  const { range, isEmpty, position } = found
  return {
    plan: { load, range, isEmpty, position: { tracked, value: position } },
    read: found.read,
    notes: why === undefined ? found.notes : [`everything is copied again: ${why}`, ...found.notes],
  }
}

/** What the position of a table depends on. */
export function trackedBy(spec: TableSpec, { sourceStore, destinationStore }: Stores): string {
  return allTracked.write({
    source: spec.query ?? sourceStore.label,
    destination: destinationStore.label,
    by: spec.tracking ?? 'the store',
    column: spec.incrementalColumn,
    where: spec.where,
  })
}

/** Why what was copied is no beginning any more; undefined where it is. */
function resetReason(kept: string, { tracked, isThere }: { tracked: string; isThere: boolean }): string | undefined {
  if (!isThere) return 'the destination table is gone'
  const before = allTracked.read(kept)
  const now = allTracked.read(tracked)
  const edited = (Object.keys(NAMES) as (keyof Tracked)[]).filter(key => before[key] !== now[key])
  return edited.length === 0 ? undefined : `${edited.map(key => NAMES[key]).join(' and ')} of the job changed`
}
