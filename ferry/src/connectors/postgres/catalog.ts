/** What a PostgreSQL database holds, read from its catalog. */
import type pg from 'pg'
import { stripSemicolon } from '../../batch/usersql.ts'
import type { TableColumn, TableInfo } from '../../contract/schema.ts'
import { joinName, queryOne, quoteName, splitName } from './client.ts'
import { toLogical } from './types.ts'

const COLUMNS = `
  WITH RECURSIVE domains(oid, base, typmod) AS (
    SELECT oid, typbasetype, typtypmod FROM pg_type WHERE typtype = 'd'
    UNION ALL
    SELECT d.oid, t.typbasetype, t.typtypmod FROM domains d JOIN pg_type t ON t.oid = d.base WHERE t.typtype = 'd'
  )
  SELECT a.attname AS name, a.attnum::int AS place,
    CASE WHEN EXISTS (SELECT FROM pg_class c WHERE c.oid = a.attrelid AND c.relkind IN ('r', 'p', 'm')) THEN
      EXISTS (SELECT FROM pg_index i
        WHERE i.indrelid = a.attrelid AND i.indkey[0] = a.attnum AND i.indisvalid AND i.indpred IS NULL) END AS indexed,
    format_type(a.atttypid, a.atttypmod) AS native, t.typtype AS kind,
    (SELECT format_type(d.base, d.typmod) FROM domains d JOIN pg_type b ON b.oid = d.base
      WHERE d.oid = a.atttypid AND b.typtype <> 'd') AS base,
    NOT a.attnotnull AS nullable, a.attgenerated <> '' AS generated, a.attgenerated = 's' AS stored, a.attidentity AS identity,
    a.atthasdef OR a.attidentity <> '' AS has_default,
    (SELECT to_jsonb(c) ->> 'collisdeterministic' = 'false' FROM pg_collation c WHERE c.oid = a.attcollation) AS loose,
    (SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d
      WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.attgenerated = '') AS default_is
  FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
  WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`

const RELATION = `
  SELECT c.oid, c.relkind AS kind, c.reltuples::float8 AS rows,
    CASE WHEN c.relkind IN ('r', 'm') THEN pg_relation_size(c.oid) END AS bytes,
    (SELECT sum(pg_relation_size(i.relid)) FROM pg_partition_tree(c.oid) i WHERE i.isleaf) AS tree_bytes,
    (SELECT sum(greatest(p.reltuples, 0))::float8 FROM pg_partition_tree(c.oid) i
      JOIN pg_class p ON p.oid = i.relid WHERE i.isleaf) AS tree_rows
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p', 'v', 'm', 'f')`

const PRIMARY_KEY = `
  SELECT a.attname AS name FROM pg_index i
  CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, ord)
  JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
  WHERE i.indrelid = $1 AND i.indisprimary ORDER BY k.ord`

const OBJECTS = `
  SELECT n.nspname AS schema, c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind = ANY($1) AND NOT c.relispartition
    AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_t%'
    AND c.relname NOT LIKE 'ferry\\_%'
  ORDER BY 1, 2`

export interface PostgresTable extends TableInfo {
  schema: string
  table: string
  oid: number
  /** `r` table, `p` partitioned, `v` view, `m` materialised view, `f` foreign table. */
  kind: string
  columns: PostgresColumn[]
}

export interface PostgresColumn extends TableColumn {
  native: string
  /** The native type below a domain, else the native type itself. */
  base: string
  /** `b` base, `d` domain, `e` enum, `c` composite, `r` range, `m` multirange, `p` pseudo. */
  typeKind: string
  /** Its number in the table, which no other column ever gets. */
  place?: number
  /** Whether a generated column is stored, and not computed when it is read. */
  stored: boolean
  /** `a` always, `d` by default, empty where the column is no identity. */
  identity: string
}

export async function listObjects(client: pg.Client, only?: 'tables'): Promise<string[]> {
  const kinds = only ? ['r', 'p', 'f'] : ['r', 'p', 'f', 'v', 'm']
  const { rows } = await client.query<{ schema: string; name: string }>(OBJECTS, [kinds])
  return rows.map(r => joinName(r.schema, r.name))
}

/** The table or view of that name, or undefined. */
export async function describeTable(
  client: pg.Client,
  object: string,
  defaultSchema: string,
): Promise<PostgresTable | undefined> {
  const { schema, table } = splitName(object, defaultSchema)
  const { rows } = await client.query(RELATION, [schema, table])
  const relation = rows[0]
  if (!relation) return undefined
  const columns = await readColumns(client, relation.oid)
  const key = await client.query<{ name: string }>(PRIMARY_KEY, [relation.oid])
  const estimate = relation.kind === 'p' ? relation.tree_rows : relation.rows
  const bytes = relation.kind === 'p' ? relation.tree_bytes : relation.bytes
  return {
    object: joinName(schema, table),
    schema,
    table,
    oid: relation.oid,
    kind: relation.kind,
    columns,
    primaryKey: key.rows.map(r => r.name),
    ...(estimate > 0 ? { rows: Math.round(estimate) } : {}),
    ...(bytes === null ? {} : { bytes: Number(bytes) }),
  }
}

/** Types that take any text, and keep less of it. */
function altersOf(base: string): Pick<TableColumn, 'alters'> {
  const type = base.replace(/(\[\])+$/, '')
  const [, precision, scale] = /^numeric\((\d+),(-?\d+)\)$/.exec(type)?.map(Number) ?? []
  if (scale !== undefined && (scale < 0 || scale > precision!)) return { alters: 'rounds' }
  if (/^(oid|xid|cid|reg[a-z]+)$/.test(type)) return { alters: 'takes other numbers for its own' }
  if (type === 'money' || /^time\([0-5]\) with time zone$/.test(type)) return { alters: 'rounds' }
  if (type === 'name') return { alters: 'cuts texts to 63 bytes' }
  if (type === '"char"') return { alters: 'cuts texts to a byte' }
  return /^interval [a-z]/.test(type) ? { alters: 'leaves out what is finer' } : {}
}

async function readColumns(client: pg.Client, oid: number): Promise<PostgresColumn[]> {
  const { rows } = await client.query(COLUMNS, [oid])
  return rows.map(r => {
    const base: string = r.base ?? r.native
    return {
      name: r.name,
      type: toLogical(base),
      nullable: r.nullable,
      native: r.native,
      base,
      typeKind: r.kind,
      identity: r.identity,
      place: r.place,
      hasDefault: r.has_default,
      ...(r.indexed === null ? {} : { indexed: r.indexed }),
      ...missingOf(r.default_is),
      ...(r.identity !== '' || /^nextval\(/.test(r.default_is ?? '') ? { autoIncrement: true } : {}),
      ...(BUILT_IN.test(r.default_is ?? '') ? { defaultSql: r.default_is } : {}),
      ...altersOf(base),
      ...(r.loose || /(^|\.)citext$/.test(base) ? { loose: true } : {}),
      generated: r.generated,
      stored: r.stored,
    }
  })
}

/** Defaults that every server computes. */
const BUILT_IN =
  /^\(?(now\(\)|(clock|statement|transaction)_timestamp\(\)|gen_random_uuid\(\)|uuidv[47]\(\)|CURRENT_(TIMESTAMP|DATE|USER)(\(\d\))?|LOCALTIMESTAMP(\(\d\))?)( AT TIME ZONE '\w+'::text)?\)?(::[\w ]+)?$/

/** What rows hold that are older than a column: its default, where that is a constant such as `'new'::text` or `7`. */
function missingOf(expression: string | null): { missing?: string } {
  const quoted = /^'((?:[^']|'')*)'(?:::[\w\s"().,]+)?$/.exec(expression ?? '')
  if (quoted) return { missing: quoted[1]!.replaceAll("''", "'") }
  return expression !== null && /^(\(?-?[\d.]+\)?(::\w+)?|true|false)$/.test(expression)
    ? { missing: expression.replace(/[()]|::\w+/g, '') }
    : {}
}

/** The columns that a query gives, found by a temporary view in a transaction that is rolled back. */
export async function describeQuery(client: pg.Client, query: string): Promise<PostgresTable> {
  await client.query('BEGIN')
  try {
    await queryOne(client, `CREATE TEMPORARY VIEW ferry_query AS ${stripSemicolon(query)}`)
    const { rows } = await client.query(`SELECT 'pg_temp.ferry_query'::regclass::oid AS oid`)
    const columns = await readColumns(client, rows[0].oid)
    return { object: '(query)', schema: '', table: '', oid: 0, kind: 'v', columns, primaryKey: [] }
  } finally {
    await client.query('ROLLBACK')
  }
}

/** `"schema"."table"` for use in SQL. */
export function qualified(table: { schema: string; table: string }): string {
  return `${quoteName(table.schema)}.${quoteName(table.table)}`
}
