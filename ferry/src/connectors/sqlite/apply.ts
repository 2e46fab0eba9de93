/** Changes within a transaction of SQLite. */
import type { DatabaseSync } from 'node:sqlite'
import type { Row, Value } from '../../batch/types.ts'
import { RowError } from '../../errors.ts'
import {
  type ChangeDialect,
  type ChangeTable,
  onConflict,
  STANDARD_CHANGES,
  type StagedColumn,
} from '../changes/changetable.ts'
import { quoteName } from './database.ts'
import { storer } from './store.ts'
import type { SqliteTarget } from './target.ts'
import { toNative } from './types.ts'

/** SQLITE_CONSTRAINT_UNIQUE and SQLITE_CONSTRAINT_PRIMARYKEY. */
const UNIQUE = new Set([2067, 1555])

export const DIALECT: Omit<ChangeDialect, 'upsert'> = {
  ...STANDARD_CHANGES,
  same: (a, b) => `${a} IS ${b} COLLATE BINARY`,
  exact: (a, b) => `${a} = ${b} COLLATE BINARY`,
  remove: (from, using, match) =>
    `DELETE FROM ${from.name} AS ${from.as} WHERE EXISTS (SELECT 1 FROM ${using.name} AS ${using.as} WHERE ${match})`,
}

export function changeTable(table: SqliteTarget, db: DatabaseSync): ChangeTable {
  const { columns, keys } = table.request
  const { live } = table
  return {
    live,
    columns: columns.map(c => ({ name: c.name, type: c.type, native: c.native ?? toNative(c.type) })),
    quote: quoteName,
    stage: async (kind, staged, select, rows) => stage(db, `ferry_${kind}`, { columns: staged, select }, rows),
    run: async sql => db.exec(sql),
    first: async sql => db.prepare(sql).get(),
    undoneWhereUnique: async work => {
      db.exec('SAVEPOINT ferry_unique')
      try {
        await work()
        db.exec('RELEASE ferry_unique')
        return false
      } catch (error) {
        if (!UNIQUE.has((error as { errcode?: number }).errcode ?? 0)) throw error
        db.exec('ROLLBACK TO ferry_unique; RELEASE ferry_unique')
        return true
      }
    },
    dialect: { ...DIALECT, upsert: rows => onConflict(quoteName, { ...rows, keys }) },
  }
}

function stage(
  db: DatabaseSync,
  kind: string,
  { columns, select }: { columns: StagedColumn[]; select: string },
  rows: Row[],
): string {
  const name = `temp.${quoteName(kind)}`
  db.exec(`DROP TABLE IF EXISTS ${name}; CREATE TEMPORARY TABLE ${quoteName(kind)} AS ${select} LIMIT 0`)
  const marks = columns.map(() => '?').join(', ')
  const insert = db.prepare(`INSERT INTO ${name} VALUES (${marks})`)
  const encoders = columns.map(c => storer(c.type, c.native ?? toNative(c.type)))
  for (const [index, row] of rows.entries()) {
    insert.run(...row.map((value: Value, i) => (value === null ? null : encoded(value, i, index))))
  }
  return name

  function encoded(value: Exclude<Value, null>, at: number, index: number) {
    try {
      return encoders[at]!(value)
    } catch (error) {
      if (!(error instanceof RowError)) throw error
      const column = columns[at]!.name
      const named = new RowError(error.code, `column ${column}: ${error.message}`, column)
      named.index = index
      throw named
    }
  }
}
