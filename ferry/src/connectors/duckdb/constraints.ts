/**
 * Rows that a table's constraints would refuse, found by queries before they are inserted: DuckDB gives up its whole
 * transaction at the first violation, so rows to be skipped must not get that far.
 */
import { type Duckdb, quoteName, quoteText } from '../../duckdb/engine.ts'
import { qualified } from './catalog.ts'

type Name = { schema: string; table: string }

export interface Violation {
  index: number
  reason: string
}

/** Where rows wait: a table with the mapped columns and {@link INDEX}. */
export const WAITING = 'temp.main.ferry_rows'
/** The row's position in its batch. */
export const INDEX = 'ferry_index'

/**
 * Takes the rows out of those waiting that constraints of `target` refuse. Rows for `into` are compared with what is
 * there; `keys` of a merge may meet their like.
 */
export async function takeRefused(
  db: Duckdb,
  table: { target: Name; into: Name; columns: string[]; keys: string[] },
): Promise<Violation[]> {
  const violations: Violation[] = []
  for (const { condition, text } of await conditions(db, table)) {
    const found = await db.all(`SELECT ${INDEX} AS i FROM ${WAITING} AS w WHERE ${condition}`)
    if (found.length === 0) continue
    const indexes = found.map(r => r.i as number)
    violations.push(...indexes.map(index => ({ index, reason: `violates ${text}` })))
    await db.run(`DELETE FROM ${WAITING} WHERE ${INDEX} IN (${indexes.join(', ')})`)
  }
  return violations
}

async function conditions(
  db: Duckdb,
  { target, into, columns, keys }: { target: Name; into: Name; columns: string[]; keys: string[] },
): Promise<{ condition: string; text: string }[]> {
  const constraints = await db.all(
    `SELECT constraint_type AS kind, constraint_text AS text, expression, constraint_column_names AS names,
       referenced_table AS parent, referenced_column_names AS parents FROM duckdb_constraints()
     WHERE database_name = current_database() AND schema_name = ${quoteText(target.schema)}
     AND table_name = ${quoteText(target.table)}
     ORDER BY constraint_type IN ('PRIMARY KEY', 'UNIQUE'), constraint_index`,
  )
  return constraints.flatMap(c => {
    const names = c.names as string[]
    const mapped = names.every(n => columns.includes(n))
    const present = names.map(n => `w.${quoteName(n)} IS NOT NULL`).join(' AND ')
    const text = c.kind === 'NOT NULL' ? `NOT NULL of ${names[0]}` : String(c.text)
    const given = (condition: string) => [{ condition, text }]
    switch (c.kind) {
      case 'NOT NULL':
        return mapped ? given(`w.${quoteName(names[0]!)} IS NULL`) : []
      case 'CHECK':
        return mapped ? given(`NOT (${c.expression})`) : []
      case 'FOREIGN KEY': {
        const parent = qualified({ schema: target.schema, table: String(c.parent) })
        return mapped ? given(`${present} AND NOT EXISTS (${like('p', parent, c.parents as string[], names)})`) : []
      }
      default: {
        const merged = keys.length === names.length && names.every(n => keys.includes(n))
        if (!mapped || merged) return []
        const earlier = `${like('e', WAITING, names, names)} AND e.${INDEX} < w.${INDEX}`
        return given(`${present} AND (EXISTS (${earlier}) OR EXISTS (${like('t', qualified(into), names, names)}))`)
      }
    }
  })
}

/** Rows of a table whose columns equal those of the waiting row. */
function like(alias: string, table: string, theirs: string[], ours: string[]): string {
  const equal = theirs.map((name, i) => `${alias}.${quoteName(name)} = w.${quoteName(ours[i]!)}`)
  return `SELECT 1 FROM ${table} AS ${alias} WHERE ${equal.join(' AND ')}`
}
