import type { DatabaseSync } from 'node:sqlite'
import type { RowError } from '../../errors.ts'
import type { Ledger, LedgerClient } from '../ledger.ts'
import type { Mutex } from '../mutex.ts'
import type { SqlTarget } from '../sql/target.ts'
import type { Stored } from './store.ts'

/** What writers need of a SQLite table. */
export interface SqliteTarget extends SqlTarget {
  readonly ledger: Ledger
  readonly mutex: Mutex
  readonly db: DatabaseSync
  /** The statement that writes `count` rows. */
  insert(count: number): string
  /** The error of a row whose key the table takes for another one's. */
  keyTaken(values: Stored[]): RowError | undefined
}

/** Statements in SQL text over the run's connection. */
export function ledgerClient(db: DatabaseSync): LedgerClient {
  return {
    query: async sql => db.prepare(sql).all(),
    async transaction(work) {
      db.exec('BEGIN IMMEDIATE')
      try {
        await work()
        db.exec('COMMIT')
      } catch (error) {
        if (db.isTransaction) db.exec('ROLLBACK')
        throw error
      }
    },
  }
}
