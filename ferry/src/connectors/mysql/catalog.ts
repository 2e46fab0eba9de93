/** What a database holds, read from `information_schema`. */
import { jsonb } from '../../batch/types.ts'
import { subquery } from '../../batch/usersql.ts'
import type { ObjectSpec, TableColumn, TableInfo } from '../../contract/schema.ts'
import { type Answer, type Connection, joinName, type Name, query, quoteText, splitName } from './client.ts'
import type { MysqlSettings } from './settings.ts'
import { toLogical, UTC } from './types.ts'

export interface MysqlTable extends TableInfo, Name {
  columns: MysqlColumn[]
  isView: boolean
}

export interface MysqlColumn extends TableColumn {
  /** The column type as `information_schema` writes it. */
  native: string
  /** The character set of a text. */
  charset?: string
}

/** The only collations in which all different texts are unequal, trailing spaces too. */
const EXACT = /^binary$|_nopad_bin$|_0900_bin$/

export async function listObjects(connection: Connection, settings: MysqlSettings, only?: 'tables'): Promise<string[]> {
  const where =
    settings.database === undefined
      ? `table_schema NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys')`
      : `table_schema = ${quoteText(settings.database)}`
  const rows = await query(
    connection,
    `SELECT table_schema AS d, table_name AS t FROM information_schema.tables
     WHERE ${where} AND table_type IN ('BASE TABLE'${only ? '' : `, 'VIEW'`}) AND table_name NOT LIKE 'ferry\\_%' ORDER BY 1, 2`,
  )
  return rows.map(r => joinName({ database: String(r.d), table: String(r.t) }, settings))
}

/** The table or view of that name, or what a query gives; undefined where there is none. */
export async function describe(
  connection: Connection,
  spec: Pick<ObjectSpec, 'object' | 'query'>,
  settings: MysqlSettings,
): Promise<MysqlTable | undefined> {
  if (spec.query !== undefined) return describeQuery(connection, spec.query, settings)
  const name = splitName(spec.object, settings)
  const place = `table_schema = ${quoteText(name.database)} AND table_name = ${quoteText(name.table)}`
  const [table] = await query(
    connection,
    `SELECT table_name AS name, table_type AS type, table_rows AS n, data_length AS bytes
     FROM information_schema.tables WHERE ${place}`,
  )
  if (!table) return undefined
  const columns = await columnsOf(connection, place, settings)
  const indexes = await query(
    connection,
    `SELECT column_name AS name, index_name AS of_index, seq_in_index AS place FROM information_schema.statistics
     WHERE ${place} ORDER BY seq_in_index`,
  )
  const isView = table.type !== 'BASE TABLE'
  const first = new Set(indexes.filter(r => Number(r.place) === 1).map(r => r.name))
  return {
    ...name,
    object: joinName(name, settings),
    isView,
    columns: isView ? columns : columns.map(c => ({ ...c, indexed: first.has(c.name) })),
    primaryKey: indexes.filter(r => r.of_index === 'PRIMARY').map(r => String(r.name)),
    ...(table.n === null ? {} : { rows: Number(table.n) }),
    ...(table.bytes === null ? {} : { bytes: Number(table.bytes) }),
  }
}

async function columnsOf(connection: Connection, place: string, settings: MysqlSettings): Promise<MysqlColumn[]> {
  const rows = await query(
    connection,
    `SELECT column_name AS name, column_type AS type, is_nullable AS nullable, column_default AS def, extra AS extra,
       column_comment AS comment, character_set_name AS charset, collation_name AS collation FROM information_schema.columns WHERE ${place} ORDER BY ordinal_position`,
  )
  const json = rows.some(r => r.type === 'longtext') ? await jsonColumns(connection, place) : new Set<string>()
  return rows.map(r => columnOf(r, json, settings))
}

function columnOf(row: Answer, json: Set<string>, settings: MysqlSettings): MysqlColumn {
  const name = String(row.name)
  const extra = String(row.extra ?? '')
  const marked = row.comment === UTC && String(row.type).startsWith('datetime') ? ` COMMENT '${UTC}'` : ''
  const native = json.has(name) ? 'json' : `${row.type}${marked}`
  return {
    name,
    // MySQL stores JSON by its values, MariaDB as its text.
    type: row.type === 'json' ? jsonb : toLogical(native, settings.tinyInt1),
    native,
    // A zero that is read as null needs a place for it.
    nullable: row.nullable === 'YES' || (settings.zeroDates === 'null' && /^(date|datetime|timestamp)\b/.test(native)),
    hasDefault: (row.def !== null && row.def !== 'NULL') || /auto_increment|on update|default_generated/i.test(extra),
    ...missingOf(row),
    ...(/auto_increment/i.test(extra) ? { autoIncrement: true } : {}),
    ...(/^current_timestamp(\(\d*\))?$/i.test(String(row.def)) ? { defaultSql: String(row.def) } : {}),
    ...(/^(float|double)\(\d+,/.test(native) ? { alters: 'rounds' } : {}),
    ...(typeof row.charset === 'string' ? { charset: row.charset } : {}),
    ...(typeof row.collation === 'string' && !EXACT.test(row.collation) ? { loose: true } : {}),
    generated: /(virtual|stored|persistent) generated|^(virtual|stored|persistent)$/i.test(extra),
  }
}

/** What rows hold that are older than a column: its default, where that is a constant. MariaDB writes it as SQL. */
function missingOf({ def, nullable }: Answer): { missing?: string } {
  if (def === null || def === 'NULL') return {}
  const text = String(def)
  const quoted = /^'([\s\S]*)'$/.exec(text)
  if (quoted) return { missing: quoted[1]!.replaceAll("''", "'") }
  return /[()]/.test(text) || (nullable === 'NO' && /^current_timestamp/i.test(text)) ? {} : { missing: text }
}

/** MariaDB's JSON is a text with a check of its own. */
async function jsonColumns(connection: Connection, place: string): Promise<Set<string>> {
  const checks = await query(
    connection,
    `SELECT check_clause AS clause FROM information_schema.check_constraints
     WHERE ${place.replace('table_schema', 'constraint_schema')}`,
  ).catch(() => [])
  const names = checks.flatMap(r => /^json_valid\(`((?:[^`]|``)+)`\)$/i.exec(String(r.clause))?.[1] ?? [])
  return new Set(names.map(name => name.replaceAll('``', '`')))
}

/** The columns that a query gives, found by a temporary table without rows. */
async function describeQuery(connection: Connection, text: string, settings: MysqlSettings): Promise<MysqlTable> {
  const place = await query(connection, 'SELECT database() AS d')
  const database = String(place[0]?.d ?? '')
  await query(connection, `CREATE TEMPORARY TABLE ferry_query SELECT * FROM ${subquery(text)} AS q LIMIT 0`)
  try {
    const rows = await query(connection, 'SHOW FULL COLUMNS FROM ferry_query')
    const columns = rows.map(r =>
      columnOf(
        {
          name: r.Field,
          type: r.Type,
          nullable: r.Null,
          def: null,
          extra: '',
          comment: r.Comment,
          collation: r.Collation,
        },
        new Set(),
        settings,
      ),
    )
    return { database, table: '(query)', object: '(query)', isView: true, columns, primaryKey: [] }
  } finally {
    await query(connection, 'DROP TEMPORARY TABLE ferry_query').catch(() => undefined)
  }
}

/** What hangs on a table, so that another could not take its place. */
export interface Dependants {
  /** Foreign keys of other tables that point at it. */
  inbound: number
  /** Its own foreign keys and triggers. */
  own: number
  /** The columns of its unique indexes, sorted. */
  unique: string[][]
}

export async function dependantsOf(connection: Connection, { database, table }: Name): Promise<Dependants> {
  const [d, t] = [quoteText(database), quoteText(table)]
  const [counts] = await query(
    connection,
    `SELECT (SELECT count(*) FROM information_schema.key_column_usage WHERE referenced_table_schema = ${d}
        AND referenced_table_name = ${t} AND NOT (table_schema = ${d} AND table_name = ${t})) AS inbound,
      (SELECT count(*) FROM information_schema.key_column_usage WHERE table_schema = ${d} AND table_name = ${t}
        AND referenced_table_name IS NOT NULL) + (SELECT count(*) FROM information_schema.triggers
        WHERE event_object_schema = ${d} AND event_object_table = ${t}) AS own`,
  )
  const indexes = await query(
    connection,
    `SELECT index_name AS i, column_name AS c, sub_part AS part FROM information_schema.statistics
     WHERE table_schema = ${d} AND table_name = ${t} AND non_unique = 0 ORDER BY 1, seq_in_index`,
  )
  const unique = [...Map.groupBy(indexes, r => String(r.i)).values()]
    .filter(columns => columns.every(c => c.part === null && c.c !== null))
    .map(columns => columns.map(c => String(c.c)).sort())
  return { inbound: Number(counts!.inbound), own: Number(counts!.own), unique }
}
