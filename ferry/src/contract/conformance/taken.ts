/** A run that a process takes, up to its first write: what `engine/copy.ts` calls of a destination, without vitest. */
import type { SinkTable } from '../sink.ts'
import type { Committed, Split } from '../split.ts'
import type { Store } from '../store.ts'
import type { RunIdentity, UpdateMethod } from '../write.ts'
import { mappingInto } from './rows.ts'

export const NOTHING: Committed = { splits: new Map(), published: false }
export const SPLIT: Split = { id: 0, label: 'all', spec: '' }

export interface Taken {
  table: SinkTable
  committed: Committed
  close: () => Promise<void>
}

export interface TakeOptions {
  run?: string
  epoch?: number
  known?: Committed
  /** Asks the state. */
  confirm?: () => Promise<void>
  /** True if the run will not be resumed. */
  isGivenUp?: boolean
}

export async function takeFrom(
  store: Store,
  { object, write, update }: { object: string; write: Record<string, unknown>; update: UpdateMethod },
  columns: Parameters<typeof mappingInto>[3],
  { run = '20260101T000000.000-abcd', epoch = 1, known = NOTHING, confirm = async () => {}, isGivenUp }: TakeOptions,
): Promise<Taken> {
  const identity: RunIdentity = { run, job: 'conformance', epoch, holds: confirm, confirm }
  const existing = await store.existing({ object, options: write })
  const sink = await store.sink(identity)
  const table = await sink.table({
    object,
    options: write,
    ordinal: 0,
    columns: mappingInto(store, object, write, columns),
    ...(existing ? { existing } : {}),
    keys: ['id'],
    update,
    truncate: false,
    before: [],
    after: [],
    skipBadRows: false,
  })
  const committed = await (isGivenUp ? table.committed(known) : table.prepare(known))
  return { table, committed, close: () => sink.close() }
}
