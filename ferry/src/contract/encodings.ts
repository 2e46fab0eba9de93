import type { CsvDialect } from '../batch/encoding.ts'
import type { LogicalType } from '../batch/types.ts'

/** A form in which a sink takes rows. The source says whether it can make it. */
export type Offer =
  | { encoding: 'pg-copy-binary' | 'pg-copy-text'; wire: string[] }
  | {
      encoding: 'csv'
      types: LogicalType[]
      wire?: string[]
      dialect: CsvDialect | 'any'
      /** Who reads the fields: PostgreSQL refuses what is not of a type, DuckDB would round it, a file keeps it. */
      parser: 'postgres' | 'duckdb' | 'none'
    }
  | { encoding: 'duckdb-sql'; types: LogicalType[] }
  | { encoding: 'rows' }
