/** Changes within a transaction of MySQL: staged through LOAD DATA. */
import type { Row } from '../../batch/types.ts'
import { RowError } from '../../errors.ts'
import type { ChangeDialect, ChangeTable, StagedColumn } from '../changes/changetable.ts'
import { FLUSH_SIZE } from '../sql/loadwriter.ts'
import { type Connection, cut, query, quoteName, type ServerError } from './client.ts'
import { fieldsInto, LoadEncoder } from './encode.ts'
import { Load } from './load.ts'
import * as sql from './statements.ts'
import type { MysqlTarget } from './target.ts'

export const DIALECT: Omit<ChangeDialect, 'upsert'> = {
  // Floats as texts are short of digits, and texts may be one under a collation.
  same: (a, b) => `(${a} <=> ${b} AND CAST(${a} AS BINARY) <=> CAST(${b} AS BINARY))`,
  exact: sql.exact,
  update: (into, set, from, match) =>
    `UPDATE ${into.name} ${into.as} JOIN ${from.name} ${from.as} ON ${match} SET ${set.map(s => `${into.as}.${s.column} = ${s.value}`).join(', ')}`,
  remove: (from, using, match) =>
    `DELETE ${from.as} FROM ${from.name} ${from.as} JOIN ${using.name} ${using.as} ON ${match}`,
  removeUnmatched: (from, without, match, condition) =>
    `DELETE ${from.as} FROM ${from.name} ${from.as} WHERE ${condition} AND NOT EXISTS (SELECT 1 FROM ${without.name} ${without.as} WHERE ${match})`,
}

export function changeTable(table: MysqlTarget, connection: Connection): ChangeTable {
  const { live } = table
  return {
    live,
    columns: table.columns,
    quote: quoteName,
    stage: (kind, columns, select, rows) => stage(table, connection, { kind, columns, select }, rows),
    run: async text => void (await query(connection, text)),
    first: async text => (await query(connection, text))[0],
    undoneWhereUnique: async work => {
      await query(connection, 'SAVEPOINT ferry_unique')
      try {
        await work()
        return false
      } catch (error) {
        if ((error as ServerError).errno !== 1062) throw error
        await query(connection, 'ROLLBACK TO SAVEPOINT ferry_unique')
        return true
      }
    },
    dialect: {
      ...DIALECT,
      upsert: ({ stage, columns, keys, where }) => [
        // The rows that are to be written are alone in the staging table from here on.
        ...(where === '1 = 1' ? [] : [`DELETE s FROM ${stage} s WHERE NOT (${where})`]),
        ...(table.mergesByIndex
          ? sql.mergeOnDuplicate(live, stage, columns, keys)
          : sql.mergeByComparison(live, stage, columns, { keys, match: table.matching() })),
      ],
    },
  }
}

async function stage(
  table: MysqlTarget,
  connection: Connection,
  { kind, columns, select }: { kind: string; columns: StagedColumn[]; select: string },
  rows: Row[],
): Promise<string> {
  const name = quoteName(`ferry_${table.request.ordinal}_${kind}`)
  // Of a text that is a constant the server would make a column without room.
  const roomy = select.replace("'' AS ferry_mask", 'CAST(NULL AS CHAR(4096)) AS ferry_mask')
  await query(connection, `DROP TEMPORARY TABLE IF EXISTS ${name}`)
  await query(connection, `CREATE TEMPORARY TABLE ${name} ${roomy} LIMIT 0`)
  const written = columns.map(c => ({ ...c, native: c.native ?? (c.type.kind === 'utf8' ? 'longtext' : 'int') }))
  const encoder = new LoadEncoder(written, [])
  const load = new Load(connection, sql.loadInto(name, fieldsInto(written, quoteName), false), table.request.object)
  for (const [i, row] of rows.entries()) {
    try {
      encoder.row(row)
    } catch (error) {
      // Whatever comes behind an open LOAD DATA would wait for it.
      cut(connection)
      if (error instanceof RowError) error.index = i
      throw error
    }
    if (encoder.size > FLUSH_SIZE) await load.write(encoder.take())
  }
  if (encoder.size > 0) await load.write(encoder.take())
  await load.end()
  return name
}
