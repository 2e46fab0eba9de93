/** Changes within a transaction of PostgreSQL: staged through COPY, applied by the index over the keys. */
import type pg from 'pg'
import { type Row, utf8 } from '../../batch/types.ts'
import { RowError } from '../../errors.ts'
import { type ChangeTable, onConflict, STANDARD_CHANGES, type StagedColumn } from '../changes/changetable.ts'
import { FLUSH_SIZE } from '../sql/loadwriter.ts'
import { quoteName } from './client.ts'
import { copyIn } from './copyin.ts'
import { TextWriter } from './copytext.ts'
import * as sql from './statements.ts'
import { encoderOf, type PostgresTarget } from './target.ts'

/** The types of what only staging tables have. */
const OWN_NATIVES: Record<string, string> = { utf8: 'text', int: 'integer' }

/** The staging tables that a connection has: they are empty in each transaction. */
const staged = new WeakMap<pg.Client, Set<string>>()

export function changeTable(table: PostgresTarget, client: pg.Client): ChangeTable {
  const { live, strategy } = table
  const byIndex = strategy.kind !== 'merge' || strategy.byIndex
  const overriding = table.overriding ? ' OVERRIDING SYSTEM VALUE' : ''
  return {
    live,
    columns: table.encoded,
    quote: quoteName,
    stage: (kind, columns, select, rows) => stage(table, client, { kind, columns, select }, rows),
    run: async text => void (await client.query(text)),
    first: async text => (await client.query(text)).rows[0],
    undoneWhereUnique: work => undoneWhereUnique(client, work),
    dialect: {
      ...STANDARD_CHANGES,
      // Not every type of PostgreSQL has an equality.
      same: (a, b) => `${a}::text COLLATE "C" IS NOT DISTINCT FROM ${b}::text COLLATE "C"`,
      exact: sql.exact,
      upsert: rows =>
        byIndex
          ? onConflict(quoteName, rows, overriding)
          : sql.mergeByComparison(
              live,
              `(SELECT *, ctid FROM ${rows.stage} AS s WHERE ${rows.where}) AS staged`,
              rows.columns,
              { keys: rows.keys, loose: table.loose },
              table.overriding,
            ),
    },
  }
}

async function stage(
  table: PostgresTarget,
  client: pg.Client,
  { kind, columns, select }: { kind: string; columns: StagedColumn[]; select: string },
  rows: Row[],
): Promise<string> {
  const name = quoteName(`ferry_${table.request.ordinal}_${kind}`)
  const made = staged.get(client) ?? new Set()
  staged.set(client, made)
  const known = `${name} ${select}`
  if (!made.has(known)) {
    // A table whose columns changed meanwhile is staged anew.
    await client.query(`DROP TABLE IF EXISTS pg_temp.${name}`)
    await client.query(`CREATE TEMPORARY TABLE ${name} ON COMMIT DELETE ROWS AS ${select} WITH NO DATA`)
    made.add(known)
  }
  const written = columns.map(c => ({ ...c, native: c.native ?? OWN_NATIVES[c.type.kind] ?? utf8.kind }))
  const writer = encoderOf(table, written)
  const format = writer instanceof TextWriter ? '(FORMAT text)' : '(FORMAT binary)'
  const names = columns.map(c => c.name)
  const copy = copyIn(client, sql.copyIn(name, names, format))
  try {
    await copy.write(writer.header, false)
    for (const [i, row] of rows.entries()) {
      try {
        writer.row(row)
      } catch (error) {
        if (error instanceof RowError) error.index = i
        throw error
      }
      if (writer.size > FLUSH_SIZE) await copy.write(writer.take(), true)
    }
    if (writer.size > 0) await copy.write(writer.take(), true)
    await copy.write(writer.trailer, false)
  } catch (error) {
    // What comes behind an open COPY would wait for it.
    await copy.fail()
    throw error
  }
  await copy.end()
  return name
}

async function undoneWhereUnique(client: pg.Client, work: () => Promise<void>): Promise<boolean> {
  await client.query('SAVEPOINT ferry_unique')
  try {
    await work()
    await client.query('RELEASE SAVEPOINT ferry_unique')
    return false
  } catch (error) {
    if ((error as { code?: string }).code !== '23505') throw error
    await client.query('ROLLBACK TO SAVEPOINT ferry_unique')
    return true
  }
}
