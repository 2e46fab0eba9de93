/** What the log of a table can be followed by: checked before anything is made at the source. */
import type pg from 'pg'
import type { ReadRequest } from '../../contract/read.ts'
import { FerryError } from '../../errors.ts'
import { type PostgresTable, qualified } from './catalog.ts'

const SERVER = `SELECT current_setting('wal_level') AS level, pg_is_in_recovery() AS standby,
  (SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user) AS may, current_user AS name`

/** The columns that identify rows in the log, for each table that holds rows: for a partitioned one, its partitions. */
const IDENTITIES = `
  SELECT format('%I.%I', n.nspname, c.relname) AS name, c.relreplident AS identity,
    (SELECT array_agg(a.attname::text) FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
      WHERE i.indrelid = c.oid AND CASE c.relreplident WHEN 'i' THEN i.indisreplident ELSE i.indisprimary END) AS columns
  FROM pg_partition_tree($1) p JOIN pg_class c ON c.oid = p.relid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE p.isleaf
  UNION ALL
  SELECT format('%I.%I', n.nspname, c.relname), c.relreplident,
    (SELECT array_agg(a.attname::text) FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
      WHERE i.indrelid = c.oid AND CASE c.relreplident WHEN 'i' THEN i.indisreplident ELSE i.indisprimary END)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1 AND c.relkind = 'r'`

/** True if the log can have the values of stored generated columns: since PostgreSQL 18. */
export async function publishesGenerated(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query(`SELECT current_setting('server_version_num')::int AS version`)
  return rows[0].version >= 180000
}

/** Throws FERRY-3012 for a column whose values the log does not have: they would be replaced by null. */
export function requireTold(request: ReadRequest, table: PostgresTable, publishes: boolean): void {
  const untold = request.columns.flatMap(({ from }) => {
    const column = table.columns.find(c => c.name === from)
    return column?.generated && !(publishes && column.stored) ? [column.name] : []
  })
  if (untold.length === 0) return
  throw new FerryError('FERRY-3012', `${table.object}: the log does not tell generated columns: ${untold.join(', ')}`, {
    hint: publishes
      ? 'Leave them out (`columns`), or make them STORED; the destination can compute them too.'
      : 'Leave them out (`columns`): the destination can compute them. PostgreSQL 18 and later tell stored ones.',
  })
}

/** Throws FERRY-3011 or FERRY-3012 with the statement that mends it. */
export async function requireLog(
  client: pg.Client,
  request: ReadRequest,
  table: PostgresTable,
  keys: string[],
): Promise<void> {
  if (request.query !== undefined || request.where !== undefined) {
    throw new FerryError('FERRY-3012', `${table.object}: the log tells of whole tables: neither query nor where`, {
      hint: 'Leave them out, or find changes by a column: incrementalColumn.',
    })
  }
  if (table.kind !== 'r' && table.kind !== 'p') {
    throw new FerryError('FERRY-3012', `${table.object} is no table: the log does not tell of it`)
  }
  const { rows } = await client.query(SERVER)
  const { level, standby, may, name } = rows[0]
  if (standby) throw new FerryError('FERRY-3011', 'the server is a standby: follow the log of its primary')
  if (level !== 'logical') {
    throw new FerryError('FERRY-3011', `the server's wal_level is ${level}, and must be logical`, {
      hint: 'ALTER SYSTEM SET wal_level = logical, then restart the server.',
    })
  }
  if (!may) {
    throw new FerryError('FERRY-3011', `${name} may not read the log`, { hint: `ALTER ROLE ${name} REPLICATION;` })
  }
  const identities = await client.query(IDENTITIES, [table.oid])
  for (const { name: place, identity, columns } of identities.rows) {
    const known: string[] = columns ?? []
    if (identity === 'f' || (identity !== 'n' && keys.length > 0 && keys.every(key => known.includes(key)))) continue
    const why =
      identity === 'n' || known.length === 0
        ? 'has no replica identity: its updates and deletes could not be told'
        : `tells rows apart by ${known.join(', ')} in the log, not by the keys ${keys.join(', ')}`
    throw new FerryError('FERRY-3011', `${place} ${why}`, {
      hint: `ALTER TABLE ${place} REPLICA IDENTITY FULL; or give ${qualified(table)} a primary key that is the key of the copy.`,
    })
  }
}
