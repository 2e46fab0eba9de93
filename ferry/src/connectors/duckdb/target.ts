import type { Column } from '../../batch/types.ts'
import type { Duckdb } from '../../duckdb/engine.ts'
import type { Ledger, LedgerClient } from '../ledger.ts'
import type { Mutex } from '../mutex.ts'
import type { SqlTarget } from '../sql/target.ts'

/** What writers need of a DuckDB table. */
export interface DuckdbTarget extends SqlTarget {
  readonly ledger: Ledger
  readonly mutex: Mutex
  readonly target: { schema: string; table: string }
  /** The table that rows are inserted into, unless they are merged. */
  readonly intakeTarget: { schema: string; table: string }
  readonly columns: Pick<Column, 'name' | 'type'>[]
  db(): Promise<Duckdb>
}

/** Statements in SQL text over the run's connection. */
export function ledgerClient(db: Duckdb): LedgerClient {
  return {
    query: sql => db.all(sql),
    async transaction(work) {
      await db.run('BEGIN')
      try {
        await work()
        await db.run('COMMIT')
      } catch (error) {
        await db.run('ROLLBACK').catch(() => undefined)
        throw error
      }
    },
  }
}
