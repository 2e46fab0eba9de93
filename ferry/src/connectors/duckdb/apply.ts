/** Changes within a transaction of DuckDB. */
import type { Row } from '../../batch/types.ts'
import { type Duckdb, quoteName } from '../../duckdb/engine.ts'
import { RowIntake } from '../../duckdb/intake.ts'
import {
  type ChangeDialect,
  type ChangeTable,
  onConflict,
  STANDARD_CHANGES,
  type StagedColumn,
} from '../changes/changetable.ts'
import type { DuckdbTarget } from './target.ts'

export const bytes = (value: string) => `encode(${value}::VARCHAR)`

export const DIALECT: Omit<ChangeDialect, 'upsert'> = {
  ...STANDARD_CHANGES,
  same: (a, b) => `(${a} IS NOT DISTINCT FROM ${b} AND ${bytes(a)} IS NOT DISTINCT FROM ${bytes(b)})`,
  exact: (a, b) => `${bytes(a)} = ${bytes(b)}`,
}

export function changeTable(table: DuckdbTarget, db: Duckdb): ChangeTable {
  const { live } = table
  const { keys } = table.request
  return {
    live,
    columns: table.columns,
    quote: quoteName,
    stage: (kind, columns, select, rows) => stage(db, `ferry_${kind}`, { columns, select }, rows),
    run: async sql => void (await db.run(sql)),
    first: async sql => (await db.all(sql))[0],
    // DuckDB has no savepoints: a unique value that moves to another row is rejected, and the run fails.
    undoneWhereUnique: async work => {
      await work()
      return false
    },
    dialect: { ...DIALECT, upsert: rows => onConflict(quoteName, { ...rows, keys }) },
  }
}

async function stage(
  db: Duckdb,
  name: string,
  { columns, select }: { columns: StagedColumn[]; select: string },
  rows: Row[],
): Promise<string> {
  await db.run(`CREATE OR REPLACE TEMP TABLE ${quoteName(name)} AS ${select} LIMIT 0`)
  const intake = await RowIntake.open(db, { catalog: 'temp', schema: 'main', table: name }, columns, false)
  try {
    intake.append(rows.map((row, i) => intake.convert(row, i)))
    intake.flush()
  } finally {
    intake.close()
  }
  return `temp.main.${quoteName(name)}`
}
