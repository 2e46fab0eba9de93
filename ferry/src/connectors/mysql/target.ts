import type { SqlTarget } from '../sql/target.ts'
import type { Connection } from './client.ts'
import type { WrittenColumn } from './encode.ts'

/** What writers need of a MySQL table. */
export interface MysqlTarget extends SqlTarget {
  readonly connections: { release(connection: Connection): void; drop(connection: Connection): void }
  readonly columns: WrittenColumn[]
  /** The table that LOAD DATA writes to. */
  readonly loadTarget: string
  /** True if the keys are the only unique index, as those of a table that this run creates are. */
  readonly mergesByIndex: boolean
  /** The condition that a row of the table and a staged one have one key: by its bytes, or as the table compares it. */
  matching(loose?: string[]): string
}
