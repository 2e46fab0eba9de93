/** What databases differ in where changes are applied to a table of them, and what the statements share. */
import type { LogicalType, Row } from '../../batch/types.ts'
import type { Aliased, TwoTables } from '../../contract/capabilities.ts'

/** A column of a staging table. */
export interface StagedColumn {
  name: string
  type: LogicalType
  /** The native type; undefined of a column that only staging tables have. */
  native?: string | undefined
}

/** A table within a transaction. Statements name it `t` and staging tables `s`. */
export interface ChangeTable {
  /** The table as statements name it. */
  live: string
  /** The columns as their values are staged, in the order of the mapping. */
  columns: StagedColumn[]
  quote(name: string): string
  /** Fills a temporary table with the result of `select`; gives back its name. */
  stage(kind: string, columns: StagedColumn[], select: string, rows: Row[]): Promise<string>
  run(sql: string): Promise<void>
  /** The first row that a query gives. */
  first(sql: string): Promise<Record<string, unknown> | undefined>
  /** Does the work, or rolls it back if it inserts a unique value twice; true if it was rolled back. */
  undoneWhereUnique(work: () => Promise<void>): Promise<boolean>
  dialect: ChangeDialect
}

/** Statements over two tables. */
export interface ChangeDialect extends TwoTables {
  /** Deletes what no row of another table matches. */
  removeUnmatched(from: Aliased, without: Aliased, match: string, condition: string): string
  /** That two values are the same, nulls too, to the last byte of a text. */
  same(a: string, b: string): string
  /** That two values are of the same bytes, where neither is null and a comparison takes more for one. */
  exact(a: string, b: string): string
  /** Rows of a staging table into the live one, over those of the same keys. */
  upsert(rows: { live: string; stage: string; columns: string[]; keys: string[]; where: string }): string[]
}

/** The dialect of stores that know `UPDATE ... FROM` and `DELETE ... USING`, without the upsert. */
export const STANDARD_CHANGES: Omit<ChangeDialect, 'upsert' | 'same' | 'exact'> = {
  update: (into, set, from, match) =>
    `UPDATE ${into.name} AS ${into.as} SET ${set.map(s => `${s.column} = ${s.value}`).join(', ')} FROM ${from.name} AS ${from.as} WHERE ${match}`,
  remove: (from, using, match) =>
    `DELETE FROM ${from.name} AS ${from.as} USING ${using.name} AS ${using.as} WHERE ${match}`,
  removeUnmatched: (from, without, match, condition) =>
    `DELETE FROM ${from.name} AS ${from.as} WHERE ${condition} AND NOT EXISTS (SELECT 1 FROM ${without.name} AS ${without.as} WHERE ${match})`,
}

/** `INSERT ... ON CONFLICT` over a unique index of the keys. */
export function onConflict(
  quote: (name: string) => string,
  { live, stage, columns, keys, where }: Parameters<ChangeDialect['upsert']>[0],
  overriding = '',
): string[] {
  const list = columns.map(quote).join(', ')
  const rest = columns.filter(c => !keys.includes(c))
  const action =
    rest.length === 0 ? 'DO NOTHING' : `DO UPDATE SET ${rest.map(c => `${quote(c)} = excluded.${quote(c)}`).join(', ')}`
  return [
    `INSERT INTO ${live} (${list})${overriding} SELECT ${list} FROM ${stage} AS s WHERE ${where} ON CONFLICT (${keys.map(quote).join(', ')}) ${action}`,
  ]
}

/** A column's value: the staged one, or the one that stays. */
export const chosen = (column: string, at: number) =>
  `CASE WHEN substr(s.${MASK}, ${at + 1}, 1) = '1' THEN t.${column} ELSE s.${column} END`

/** Says of each column of a partial row, by a character, whether its value stays (`1`). */
export const MASK = 'ferry_mask'
export const former = (key: string) => `ferry_was_${key}`
