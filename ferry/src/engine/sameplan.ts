/** Whether a plan still holds when its run is resumed: the same places, the same columns. */
import { typeName } from '../batch/types.ts'
import type { ReadRequest } from '../contract/read.ts'
import type { Alteration, TableColumn, TableInfo } from '../contract/schema.ts'
import type { SinkTable } from '../contract/sink.ts'
import type { Store } from '../contract/store.ts'
import { FerryError } from '../errors.ts'
import type { Stores } from './increment.ts'
import type { OpenTable, Sessions, TablePlan } from './tableplan.ts'

/** Columns with their types; the inferred types of a text file are covered by the file's own fingerprint. */
export function shapeOf(source: TableInfo, existing: TableInfo | undefined, alter: Alteration[] = []): string {
  const altered = new Set(alter.map(a => a.column))
  const of = (columns: TableColumn[]) =>
    columns.filter(c => !c.inferred && !c.onRequest).map(c => `${c.name} ${c.native ?? typeName(c.type)}`)
  const there = existing?.columns.filter(c => !altered.has(c.name))
  return JSON.stringify([of(source.columns), there && !existing?.documents ? of(there) : null])
}

export function placesOf({ sourceStore, destinationStore }: Stores, { object, query }: ReadRequest, to: string) {
  const at = ({ place }: Store, key = '') => `${place} ${key}`.trim()
  return {
    from: at(sourceStore, query === undefined ? sourceStore.names.key(object) : undefined),
    to: at(destinationStore, destinationStore.names.key(to)),
  }
}

/**
 * Throws FERRY-5005 if the job names other stores than when the run began: variables have other values, relative
 * paths are read in another folder, or a connection was edited.
 */
export function requireSamePlaces(stores: Stores, { places, read, to }: TablePlan): void {
  if (!places) return
  const now = placesOf(stores, read, to)
  const side = (['from', 'to'] as const).find(s => places[s] !== now[s])
  if (!side) return
  const what = side === 'from' ? 'copies from' : 'copies to'
  throw new FerryError('FERRY-5005', `the unfinished run ${what} ${places[side]}, and not ${now[side]}`, {
    hint: 'Finish it in the folder, and with the variables, that it began with. Start again with --full-refresh to give it up.',
  })
}

/** Throws FERRY-5005 if the columns of a table have changed since the run was planned. */
export async function requireSameShape(sessions: Sessions, { plan, sink }: OpenTable): Promise<void> {
  if (plan.shape === undefined) return
  const { read, write } = plan
  if (!write.existing && write.update === 'overwrite') await requireNew(sessions, plan, sink)
  const source = await sessions.sourceStore.describe(read)
  const there =
    write.existing && (await sessions.destinationStore.existing({ object: write.object, options: write.options }))
  const [was, wasThere] = JSON.parse(plan.shape) as [string[], string[] | null]
  const [now, nowThere] = JSON.parse(
    shapeOf(source ?? { object: '', columns: [], primaryKey: [] }, there, write.alter),
  ) as [string[], string[] | null]
  const differ = (a: string[] | null, b: string[] | null) =>
    [...(a ?? []).filter(c => !b?.includes(c)), ...(b ?? []).filter(c => !a?.includes(c))][0]
  const [own, other] = [source?.documents ? undefined : differ(was, now), differ(wasThere, nowThere)]
  const what = own ?? other
  if (what === undefined) return
  throw new FerryError(
    'FERRY-5005',
    `the columns of ${own === undefined ? plan.to : plan.from} changed while the run was interrupted: ${what}`,
    { hint: 'Start again with --full-refresh. Rows that an append has committed already stay there.' },
  )
}

/** A table that others have made meanwhile is not replaced: the run was planned for none. */
async function requireNew({ destinationStore }: Sessions, { write }: TablePlan, sink: SinkTable): Promise<void> {
  if (!(await destinationStore.existing({ object: write.object, options: write.options }))) return
  // Or this run has, and ended before the state learned of it.
  if ((await sink.committed({ splits: new Map(), published: false })).published) return
  throw new FerryError('FERRY-5005', `${write.object} has come into being since the run was planned`, {
    hint: 'Start again with --full-refresh, which replaces it.',
  })
}

/** Texts without a zone that become instants: of which zone they are is a guess. */
