import { subquery } from '../../batch/usersql.ts'
import type { ObjectSpec, TableInfo } from '../../contract/schema.ts'
import { type Duckdb, quoteName, quoteText } from '../../duckdb/engine.ts'
import type { Relation } from '../../duckdb/relation.ts'
import { toLogical } from '../../duckdb/types.ts'

export interface DuckdbTable extends TableInfo {
  relation: Relation
}

/** Schema and table of an object's name; the schema is `main` where none is named. */
export function splitName(object: string): { schema: string; table: string } {
  const match = /^(?:(?:"((?:[^"]|"")+)"|([^".]+))\.)?(?:"((?:[^"]|"")+)"|([^"]+))$/.exec(object)
  const [, quotedSchema, schema, quotedTable, table] = match ?? []
  const bare = (name: string | undefined) => name?.replaceAll('""', '"')
  return { schema: bare(quotedSchema) ?? schema ?? 'main', table: bare(quotedTable) ?? table ?? object }
}

/** A schema or a table in the name of an object. */
export function namePart(name: string): string {
  return /^[^".\s]+$/.test(name) ? name : quoteName(name)
}

function joinName(schema: string, table: string): string {
  return schema === 'main' ? namePart(table) : `${namePart(schema)}.${namePart(table)}`
}

export function qualified(name: { schema: string; table: string }): string {
  return `${quoteName(name.schema)}.${quoteName(name.table)}`
}

export async function listObjects(db: Duckdb, only?: 'tables'): Promise<string[]> {
  const rows = await db.all(
    `SELECT table_schema AS s, table_name AS t FROM information_schema.tables
     WHERE table_catalog = current_database() AND table_name NOT LIKE 'ferry\\_%' ESCAPE '\\'
       ${only ? `AND table_type <> 'VIEW'` : ''} ORDER BY 1, 2`,
  )
  return rows.map(r => joinName(String(r.s), String(r.t)))
}

export async function describe(db: Duckdb, spec: ObjectSpec): Promise<DuckdbTable | undefined> {
  if (spec.query !== undefined) {
    const sql = subquery(spec.query)
    await db.refuseStatement(`SELECT * FROM ${sql}`, 'the query')
    return { object: '(query)', columns: await columnsOf(db, sql), primaryKey: [], relation: await relationOf(db, sql) }
  }
  const name = splitName(spec.object)
  const [found] = await db.all(
    `SELECT estimated_size::DOUBLE AS rows, contains(lower(sql), 'collate') AS loose FROM duckdb_tables() WHERE database_name = current_database()
     AND schema_name = ${quoteText(name.schema)} AND lower(table_name) = lower(${quoteText(name.table)})
     UNION ALL SELECT NULL, false FROM duckdb_views() WHERE database_name = current_database()
     AND schema_name = ${quoteText(name.schema)} AND lower(view_name) = lower(${quoteText(name.table)})`,
  )
  if (!found) return undefined
  const sql = qualified(name)
  const details = await db.all(
    `SELECT column_name AS name, is_nullable AS nullable, column_default AS def FROM duckdb_columns()
     WHERE database_name = current_database() AND schema_name = ${quoteText(name.schema)}
     AND lower(table_name) = lower(${quoteText(name.table)})`,
  )
  const [key] = await db.all(
    `SELECT constraint_column_names AS names FROM duckdb_constraints() WHERE database_name = current_database()
     AND schema_name = ${quoteText(name.schema)} AND lower(table_name) = lower(${quoteText(name.table)})
     AND constraint_type = 'PRIMARY KEY'`,
  )
  const known = new Map(details.map(d => [d.name, d]))
  const columns = (await columnsOf(db, sql)).map(c => ({
    ...c,
    nullable: known.get(c.name)?.nullable !== false,
    hasDefault: typeof known.get(c.name)?.def === 'string',
    // The catalog does not say which column has the collation: every text column counts.
    ...(found.loose && c.type.kind === 'utf8' ? { loose: true } : {}),
  }))
  return {
    object: joinName(name.schema, name.table),
    columns,
    primaryKey: (key?.names as string[] | undefined) ?? [],
    relation: await relationOf(db, sql),
    ...(typeof found.rows === 'number' ? { rows: found.rows } : {}),
  }
}

async function columnsOf(db: Duckdb, sql: string) {
  return (await typesOf(db, sql)).map(({ name, type }) => ({
    name,
    type: toLogical(type),
    native: String(type),
    nullable: true,
  }))
}

/** Names and types of what a relation gives. */
export async function typesOf(db: Duckdb, sql: string) {
  const result = await db.run(`SELECT * FROM ${sql} LIMIT 0`)
  const types = result.columnTypes()
  return result.columnNames().map((name, i) => ({ name, type: types[i]! }))
}

async function relationOf(db: Duckdb, sql: string): Promise<Relation> {
  const columns = (await typesOf(db, sql)).map(({ name, type }) => ({
    name,
    type: toLogical(type),
    native: type,
    nullable: true,
  }))
  return { sql, setup: [], teardown: [], columns }
}
