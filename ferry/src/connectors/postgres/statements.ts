/** The SQL that writing to PostgreSQL needs, readable in one place. */
import type { MappedColumn } from '../connector.ts'
import { qualified } from './catalog.ts'
import { quoteName } from './client.ts'
import { toNative } from './types.ts'

type Name = { schema: string; table: string }

export const names = (columns: string[]): string => columns.map(quoteName).join(', ')

/** The destination's statement for a table that is not there yet. */
export function createTable(table: Name, columns: MappedColumn[], primaryKey: string[]): string {
  const lines = columns.map(
    c =>
      `${quoteName(c.name)} ${c.native ?? toNative(c.type)}${c.nullable && !primaryKey.includes(c.name) ? '' : ' NOT NULL'}`,
  )
  if (primaryKey.length > 0) lines.push(`PRIMARY KEY (${names(primaryKey)})`)
  return `CREATE TABLE IF NOT EXISTS ${qualified(table)} (\n  ${lines.join(',\n  ')}\n)`
}

export function copyIn(target: string, columns: string[], options: string): string {
  return `COPY ${target} (${names(columns)}) FROM STDIN ${options}`
}

/** Rows from a staging table into the live one by key: rows that are there are updated, others inserted. */
export function mergeOnConflict(
  target: string,
  staging: string,
  columns: string[],
  keys: string[],
  options: { distinct: boolean; overriding: boolean },
): string {
  const rest = columns.filter(c => !keys.includes(c))
  const action =
    rest.length === 0
      ? 'DO NOTHING'
      : `DO UPDATE SET ${rest.map(c => `${quoteName(c)} = excluded.${quoteName(c)}`).join(', ')}`
  // Of several rows with one key the last one read stands.
  const rows = options.distinct
    ? `SELECT DISTINCT ON (${names(keys)}) ${names(columns)} FROM ${staging} ORDER BY ${names(keys)}, ctid DESC`
    : `SELECT ${names(columns)} FROM ${staging}`
  const overriding = options.overriding ? ' OVERRIDING SYSTEM VALUE' : ''
  return `INSERT INTO ${target} (${names(columns)})${overriding} ${rows} ON CONFLICT (${names(keys)}) ${action}`
}

/** The same where no unique index covers the keys; the caller holds the lock that keeps others from inserting. */
export function mergeByComparison(
  target: string,
  staging: string,
  columns: string[],
  keys: string[],
  overriding: boolean,
): string[] {
  const rest = columns.filter(c => !keys.includes(c))
  const match = keys.map(k => `t.${quoteName(k)} = s.${quoteName(k)}`).join(' AND ')
  const rows = `(SELECT DISTINCT ON (${names(keys)}) ${names(columns)} FROM ${staging} ORDER BY ${names(keys)}, ctid DESC)`
  const statements: string[] = []
  if (rest.length > 0) {
    const set = rest.map(c => `${quoteName(c)} = s.${quoteName(c)}`).join(', ')
    statements.push(`UPDATE ${target} t SET ${set} FROM ${rows} s WHERE ${match}`)
  }
  const selected = columns.map(c => `s.${quoteName(c)}`).join(', ')
  statements.push(
    `INSERT INTO ${target} (${names(columns)})${overriding ? ' OVERRIDING SYSTEM VALUE' : ''}
     SELECT ${selected} FROM ${rows} s WHERE NOT EXISTS (SELECT 1 FROM ${target} t WHERE ${match})`,
  )
  return statements
}

/** Makes the live table equal to the staging one without emptying it, for tables that foreign keys point at. */
export function replaceByKey(
  target: string,
  staging: string,
  columns: string[],
  keys: string[],
  overriding: boolean,
): string[] {
  const match = keys.map(k => `t.${quoteName(k)} = s.${quoteName(k)}`).join(' AND ')
  return [
    `DELETE FROM ${target} t WHERE NOT EXISTS (SELECT 1 FROM ${staging} s WHERE ${match})`,
    mergeOnConflict(target, staging, columns, keys, { distinct: false, overriding }),
  ]
}

/** How many foreign keys of other tables point at the table. */
export const INBOUND_KEYS = `SELECT count(*)::int AS count FROM pg_constraint
  WHERE contype = 'f' AND confrelid = $1 AND conrelid <> $1`

/** Whether the columns are exactly those of a unique index without predicate or expression. */
export const UNIQUE_ON = `SELECT EXISTS (
  SELECT 1 FROM pg_index i WHERE i.indrelid = $1 AND i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL
    AND i.indimmediate AND (SELECT array_agg(a.attname::text ORDER BY a.attname) FROM pg_attribute a
      WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey[0:i.indnkeyatts - 1]))
    = (SELECT array_agg(k ORDER BY k) FROM unnest($2::text[]) k)) AS found`

/**
 * Whether anything hangs on the table's identity, so that a table of the same name could not take its place:
 * views, foreign keys, triggers, grants, policies, storage options, publications, inheritance, owned sequences.
 */
export const HAS_DEPENDANTS = `SELECT
  EXISTS (SELECT 1 FROM pg_depend d WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = $1
    AND d.deptype IN ('n', 'a') AND d.classid IN ('pg_rewrite'::regclass, 'pg_proc'::regclass, 'pg_class'::regclass)
    AND NOT (d.classid = 'pg_class'::regclass AND EXISTS (SELECT 1 FROM pg_index i WHERE i.indexrelid = d.objid)))
  OR EXISTS (SELECT 1 FROM pg_depend d WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = $1
    AND d.deptype = 'i' AND d.classid = 'pg_class'::regclass AND d.refobjsubid > 0)
  OR EXISTS (SELECT 1 FROM pg_constraint c WHERE c.confrelid = $1 OR (c.conrelid = $1 AND c.contype = 'f'))
  OR EXISTS (SELECT 1 FROM pg_trigger g WHERE g.tgrelid = $1 AND NOT g.tgisinternal)
  OR EXISTS (SELECT 1 FROM pg_policy p WHERE p.polrelid = $1)
  OR EXISTS (SELECT 1 FROM pg_publication_rel p WHERE p.prrelid = $1)
  OR EXISTS (SELECT 1 FROM pg_inherits i WHERE i.inhrelid = $1 OR i.inhparent = $1)
  OR EXISTS (SELECT 1 FROM pg_rewrite r WHERE r.ev_class = $1)
  OR EXISTS (SELECT 1 FROM pg_description d WHERE d.objoid = $1 AND d.classoid = 'pg_class'::regclass)
  OR EXISTS (SELECT 1 FROM pg_statistic_ext e WHERE e.stxrelid = $1)
  OR EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = $1 AND a.attnum > 0
    AND (a.attacl IS NOT NULL OR a.attoptions IS NOT NULL OR a.attstattarget > 0))
  OR EXISTS (SELECT 1 FROM pg_class c WHERE c.oid = $1 AND (c.relkind <> 'r' OR c.relacl IS NOT NULL
    OR c.reloptions IS NOT NULL OR c.relrowsecurity OR c.relreplident <> 'd' OR c.reltablespace <> 0
    OR c.relowner <> (SELECT oid FROM pg_roles WHERE rolname = current_user))) AS found`
