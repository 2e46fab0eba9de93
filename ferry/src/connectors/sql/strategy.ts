/** How the rows of a table get into a SQL destination: decided when the table is opened, from what depends on it. */
import type { TableColumn } from '../../contract/schema.ts'
import type { WriteRequest } from '../../contract/write.ts'
import { FerryError } from '../../errors.ts'

export type Strategy =
  /** Each split straight into the live table. */
  | { kind: 'direct' }
  /** Each split into a temporary table, and from there into the live one by key; `byIndex`: through a unique index. */
  | { kind: 'merge'; byIndex: boolean }
  /**
   * All splits into a staging table. At the end it becomes the table (`rename`) or takes the live one's place (`swap`), or its
   * rows replace the live ones: all of them (`refill`), or by key, since foreign keys refer to them (`byKey`).
   */
  | { kind: 'stage'; publish: 'rename' | 'swap' | 'refill' | 'byKey' }

/** What the strategy depends on, of a destination that is there. */
export interface LiveTable {
  /** False for a view: rows can only be added to it. */
  isTable: boolean
  columns: Pick<TableColumn, 'name' | 'generated'>[]
  /** True if a merge by the keys can go through a unique index. */
  mergesByIndex(): Promise<boolean>
  /** True if a unique index covers exactly the keys. */
  hasUniqueKeys(): Promise<boolean>
  /** True if foreign keys of other tables refer to it. */
  isReferenced(): Promise<boolean>
  /** True if anything depends on its identity, so that another table of its name could not take its place. */
  hasDependants(): Promise<boolean>
}

/** Throws FERRY-3005, FERRY-3006. */
export async function chooseStrategy(request: WriteRequest, live: LiveTable | undefined): Promise<Strategy> {
  const { update, object, columns } = request
  if (update === 'append') return { kind: 'direct' }
  if (live && !live.isTable) {
    throw new FerryError('FERRY-3006', `${object} is not a table: only append can write to it`)
  }
  if (update === 'merge') {
    // Rows of a snapshot that go into a new table have a key each: nothing is to be compared.
    if (!live) return request.follows?.log ? { kind: 'direct' } : { kind: 'merge', byIndex: true }
    return { kind: 'merge', byIndex: await live.mergesByIndex() }
  }
  if (!live) return { kind: 'stage', publish: 'rename' }
  if (await live.isReferenced()) {
    if (await live.hasUniqueKeys()) return { kind: 'stage', publish: 'byKey' }
    throw new FerryError('FERRY-3005', `${object} is referenced by foreign keys: overwriting it needs its keys`)
  }
  const isPartial = live.columns.some(c => !c.generated && !columns.some(r => r.name === c.name))
  return { kind: 'stage', publish: isPartial || (await live.hasDependants()) ? 'refill' : 'swap' }
}

/** What `plan` promises. */
export function guaranteeOf({ kind }: Strategy, { hasLedger }: { hasLedger: boolean }): string {
  if (hasLedger) return 'exactly once: each split commits with its ledger line'
  if (kind === 'merge') return 'exactly once by key: a repeated split writes the same rows again'
  if (kind === 'stage') return 'exactly once: staged in one transaction, published at once'
  return 'all or nothing in one transaction; a crash in the moment of its commit can repeat it'
}
