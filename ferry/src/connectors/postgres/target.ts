import type pg from 'pg'
import type { RowError } from '../../errors.ts'
import type { SqlTarget } from '../sql/target.ts'
import { BinaryWriter } from './binarywrite.ts'
import { TextWriter } from './copytext.ts'

/** A column as rows are written into it: `native` is the type whose form its values have. */
export interface EncodedColumn {
  name: string
  type: ConstructorParameters<typeof BinaryWriter>[0][number]['type']
  native: string
}

/** What writers need of a PostgreSQL table. */
export interface PostgresTarget extends SqlTarget {
  readonly pool: { release(client: pg.Client): void; drop(client: pg.Client): void }
  readonly encoded: EncodedColumn[]
  /** True if every type has a binary encoder here: rows are then written in binary, else as text. */
  readonly isBinary: boolean
  /** The table that COPY writes to. */
  readonly copyTarget: string
  /** True if an identity column needs OVERRIDING SYSTEM VALUE in an INSERT. */
  readonly overriding: boolean
  leftOut(taken: number, given: number): RowError
}

export function encoderOf({ isBinary }: PostgresTarget, columns: EncodedColumn[]): BinaryWriter | TextWriter {
  return isBinary ? new BinaryWriter(columns) : new TextWriter(columns)
}
