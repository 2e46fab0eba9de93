/** A query that the destination's own DuckDB runs: no byte passes through JavaScript. */
import { z } from 'zod'
import type { LogicalType } from '../batch/types.ts'
import { logicalType } from '../batch/typeschema.ts'

declare module '../contract/encodings.ts' {
  interface Offers {
    duckdb: { encoding: 'duckdb-sql'; types: LogicalType[] }
  }
}

export const DUCKDB_ENCODINGS = {
  'duckdb-sql': z.object({ encoding: z.literal('duckdb-sql'), types: z.array(logicalType) }),
}
