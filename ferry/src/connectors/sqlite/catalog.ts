import type { DatabaseSync } from 'node:sqlite'
import { float64, int64 } from '../../batch/types.ts'
import { stripSemicolon } from '../../batch/usersql.ts'
import type { ObjectSpec, TableColumn, TableInfo } from '../../contract/schema.ts'
import { namePart, quoteName, tableName } from './database.ts'
import { toLogical } from './types.ts'

export interface SqliteTable extends TableInfo {
  table: string
  /** Whether rows have a rowid to cut ranges by. */
  rowid: boolean
  /** The column that is the rowid itself: INTEGER PRIMARY KEY. */
  rowidAlias?: string
}

export function listObjects(db: DatabaseSync, only?: 'tables'): string[] {
  const rows = db
    .prepare(
      // The tables that a virtual one keeps its data in are of type shadow.
      `SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'virtual'${only ? '' : `, 'view'`})
       AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name NOT LIKE 'ferry\\_%' ESCAPE '\\' ORDER BY name`,
    )
    .all()
  return rows.map(r => namePart(r.name as string))
}

export function describe(db: DatabaseSync, spec: ObjectSpec): SqliteTable | undefined {
  if (spec.query !== undefined) return describeQuery(db, spec.query)
  const table = tableName(spec.object)
  const found = relations(db).get(folded(table))
  if (!found) return undefined
  const { name } = found
  const info = db.prepare(`SELECT * FROM pragma_table_xinfo(?)`).all(name)
  // hidden: 2 and 3 are generated columns, 1 a hidden column of a virtual table.
  const columns: TableColumn[] = info
    .filter(c => c.hidden !== 1)
    .map(c => ({
      name: c.name as string,
      type: toLogical(c.type as string),
      native: c.type as string,
      nullable: c.notnull === 0 && !(c.pk !== 0 && /INT/i.test(c.type as string)),
      hasDefault: c.dflt_value !== null || isRowidAlias(info, c),
      ...(isRowidAlias(info, c) ? { autoIncrement: true } : {}),
      ...defaultOf(c.dflt_value as string | null),
      generated: c.hidden === 2 || c.hidden === 3,
    }))
  const { loose, first } = indexesOf(db, name)
  for (const column of columns) {
    if (loose.has(column.name)) column.loose = true
    if (found.type === 'table') column.indexed = first.has(column.name) || column.autoIncrement === true
  }
  const key = info.filter(c => (c.pk as number) > 0).sort((a, b) => (a.pk as number) - (b.pk as number))
  const rowid = found.type === 'table' && hasRowid(db, name)
  const rows = rowid
    ? (db
        .prepare(
          `SELECT (SELECT max(rowid) FROM ${quoteName(name)}) - (SELECT min(rowid) FROM ${quoteName(name)}) + 1.0 AS n`,
        )
        .get()!.n as number | null)
    : undefined
  return {
    object: namePart(name),
    table: name,
    rowid,
    ...(key.length === 1 && isRowidAlias(info, key[0]!) ? { rowidAlias: key[0]!.name as string } : {}),
    columns,
    primaryKey: key.map(c => c.name as string),
    ...untyped(columns),
    // The distance of keys does not tell the number of rows.
    ...(typeof rows === 'number' && rows < 1e10 ? { rows } : rows === null ? { rows: 0 } : {}),
  }
}

interface Relation {
  name: string
  type: string
}

/** Tables and views of each connection, as they are in a version of its schema. */
const known = new WeakMap<DatabaseSync, { version: unknown; relations: Map<string, Relation> }>()

/** Tables and views by their folded names: SQLite would look through all of them for each one. */
function relations(db: DatabaseSync): Map<string, Relation> {
  const { schema_version: version } = db.prepare('PRAGMA schema_version').get()!
  const kept = known.get(db)
  if (kept && kept.version === version) return kept.relations
  const rows = db.prepare(`SELECT name, type FROM sqlite_schema WHERE type IN ('table', 'view')`).all()
  const all = new Map(rows.map(r => [folded(r.name as string), { name: r.name as string, type: r.type as string }]))
  known.set(db, { version, relations: all })
  return all
}

/** A name as SQLite compares it: letters of ASCII are one in both cases. */
function folded(name: string): string {
  return name.replace(/[A-Z]/g, c => c.toLowerCase())
}

/** A default that is a constant, as text; one of SQLite's own words as it is written. */
function defaultOf(sql: string | null): Pick<TableColumn, 'missing' | 'defaultSql'> {
  if (sql === null) return {}
  const quoted = /^'((?:[^']|'')*)'$/.exec(sql)
  if (quoted) return { missing: quoted[1]!.replaceAll("''", "'") }
  if (/^-?\d+(\.\d+)?$/.test(sql)) return { missing: sql }
  return /^current_(timestamp|date|time)$/i.test(sql) ? { defaultSql: sql } : {}
}

/** Columns that hold values of any type: as texts they can all be carried. */
function untyped(columns: TableColumn[]): Pick<TableInfo, 'guesses'> {
  const names = columns.filter(c => /^(any)?$/i.test(c.native ?? '')).map(c => c.name)
  return names.length === 0
    ? {}
    : { guesses: [`values of ${names.join(', ')}, which have no type, are taken as texts`] }
}

/** Columns that some index compares otherwise than byte by byte, and those that one of all rows begins with. */
function indexesOf(db: DatabaseSync, table: string): { loose: Set<unknown>; first: Set<unknown> } {
  const rows = db
    .prepare(
      `SELECT c.name, c.coll <> 'BINARY' AS loose, c.seqno = 0 AND i.partial = 0 AS first
       FROM pragma_index_list(?) i, pragma_index_xinfo(i.name) c WHERE c.key = 1`,
    )
    .all(table)
  const having = (what: 'loose' | 'first') => new Set(rows.filter(r => r[what] === 1).map(r => r.name))
  return { loose: having('loose'), first: having('first') }
}

function isRowidAlias(info: Record<string, unknown>[], column: Record<string, unknown>): boolean {
  return column.pk === 1 && /^integer$/i.test(column.type as string) && info.filter(c => c.pk !== 0).length === 1
}

function hasRowid(db: DatabaseSync, table: string): boolean {
  try {
    db.prepare(`SELECT rowid FROM ${quoteName(table)} LIMIT 0`)
    // A real column may be called rowid; then the hidden one cannot be reached by this name.
    return db.prepare(`SELECT count(*) AS n FROM pragma_table_info(?) WHERE lower(name) = 'rowid'`).get(table)!.n === 0
  } catch {
    return false
  }
}

function describeQuery(db: DatabaseSync, query: string): SqliteTable {
  const text = stripSemicolon(query)
  const statement = db.prepare(text)
  const columns = statement.columns().map(c => ({
    name: c.name,
    type: toLogical(c.type ?? ''),
    native: c.type ?? '',
    nullable: true,
  }))
  const computed = columns.filter(c => c.native === '')
  if (computed.length > 0 && new Set(columns.map(c => c.name)).size === columns.length) typesOf(db, text, computed)
  return { object: '(query)', table: '', rowid: false, columns, primaryKey: [] }
}

/**
 * Gives columns that a query computes the type of their values, where all of them have one: whole numbers or numbers. SQLite
 * knows the type of each value only, so that all of them are looked at.
 */
function typesOf(db: DatabaseSync, query: string, columns: TableColumn[]): void {
  const counts = columns.flatMap(({ name }, i) => {
    const type = `typeof(${quoteName(name)})`
    return [`count(${quoteName(name)}) AS n${i}`, `sum(${type} = 'integer') AS i${i}`, `sum(${type} = 'real') AS r${i}`]
  })
  let found: Record<string, unknown> | undefined
  try {
    found = db.prepare(`SELECT ${counts.join(', ')} FROM (${query})`).get()
  } catch {
    // What cannot be a part of another query, such as a PRAGMA, keeps its texts.
    return
  }
  for (const [i, column] of columns.entries()) {
    const [all, integers, reals] = [`n${i}`, `i${i}`, `r${i}`].map(key => Number(found?.[key] ?? 0))
    if (all === 0) continue
    if (integers === all) column.type = int64
    else if (reals === all) column.type = float64
  }
}
