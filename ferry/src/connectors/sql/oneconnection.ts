/** A table of a database that is one file: all tables of a run share a connection, and its transactions take turns. */
import type { FerryError } from '../../errors.ts'
import type { ChangeTable } from '../changes/changetable.ts'
import type { LedgerClient } from '../ledger.ts'
import type { Mutex } from '../mutex.ts'
import { SqlSinkTable } from './sinktable.ts'

export abstract class OneConnectionTable extends SqlSinkTable {
  readonly lanes = 1
  abstract readonly mutex: Mutex
  protected abstract client(): Promise<LedgerClient>
  protected abstract changeTable(): Promise<ChangeTable>
  protected abstract explain(error: unknown): FerryError

  protected async within<T>(work: (client: LedgerClient) => Promise<T>): Promise<T> {
    const done = await this.mutex.take()
    try {
      return await work(await this.client())
    } catch (error) {
      throw this.explain(error)
    } finally {
      done()
    }
  }

  async transaction(work: (table: ChangeTable, client: LedgerClient) => Promise<void>): Promise<void> {
    const table = await this.changeTable()
    await this.within(client => client.transaction(() => work(table, client)))
  }
}

/** What the strategy asks of such a table: no other table's keys are asked for, and it always keeps its identity. */
export function fileTable(
  request: { existing?: { primaryKey: string[] }; keys: string[] },
  columns: { name: string }[],
) {
  const { existing, keys } = request
  const key = existing?.primaryKey ?? []
  const isKey = key.length === keys.length && key.every(k => keys.includes(k))
  return {
    isTable: true,
    columns,
    mergesByIndex: async () => isKey,
    hasUniqueKeys: async () => isKey,
    isReferenced: async () => false,
    hasDependants: async () => true,
  }
}
