/** A run that a process takes, up to its first write: what `engine/copy.ts` calls of a destination, without vitest. */
import type { SinkSession, SinkTable } from '../sink.ts'
import type { Committed, Split } from '../split.ts'
import type { Store } from '../store.ts'
import type { RunIdentity, UpdateMethod } from '../write.ts'
import { mappingInto } from './rows.ts'

export const NOTHING: Committed = { splits: new Map(), published: false }
export const SPLIT: Split = { id: 0, label: 'all', spec: '' }

export interface Taken {
  session: SinkSession
  table: SinkTable
  committed: Committed
  close: () => Promise<void>
}

export interface TakeOptions {
  run?: string
  epoch?: number
  /** That of another table of the run. */
  session?: SinkSession
  /** The position of the table in its job. */
  ordinal?: number
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
  {
    run = '20260101T000000.000-abcd',
    epoch = 1,
    ordinal = 0,
    known = NOTHING,
    confirm = async () => {},
    isGivenUp,
    session: own,
  }: TakeOptions,
): Promise<Taken> {
  const identity: RunIdentity = { run, job: 'conformance', epoch, holds: confirm, confirm }
  const existing = await store.existing({ object, options: write })
  const session = own ?? (await store.sink(identity))
  const table = await session.table({
    object,
    options: write,
    ordinal,
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
  return { session, table, committed, close: () => session.close() }
}
