import type { Row } from '../../batch/types.ts'
import type { WriteRequest } from '../../contract/write.ts'
import type { Ledger, LedgerClient } from '../ledger.ts'
import type { Strategy } from './strategy.ts'

/** What writers need of the SQL table that they write to. */
export interface SqlTarget {
  readonly request: WriteRequest
  readonly strategy: Strategy
  /** Undefined where the user may not create one: the whole table is then one transaction. */
  readonly ledger: Ledger | undefined
  /** The table as statements name it. */
  readonly live: string
  readonly columnNames: string[]
  /** The columns as a list in statements. */
  readonly names: string
  /** Keys that the destination compares more loosely than they are written. */
  readonly loose: string[]
  /** Asks the state. Throws FERRY-5004 if another process has taken the run. */
  confirm(): Promise<void>
  /** Throws FERRY-4005 if a row of `stage` went into a live row whose key is written differently. */
  requireOwnKeys(client: Pick<LedgerClient, 'query'>, stage: string): Promise<void>
}

/** Rows in the form that a store loads them in. */
export interface RowEncoder {
  /** Appends a row. On a RowError, which names the column, nothing is appended. */
  row(row: Row): void
  /** How much is held, in bytes or characters. */
  readonly size: number
  /** Gives back what is held, and starts anew. */
  take(): unknown
}
