/** Named connections in the state. Secrets are stored as `${NAME}` only, and resolved when a store is opened. */
import { createHash } from 'node:crypto'
import type { Kysely } from 'kysely'
import { z } from 'zod'
import { isReference, isSecret } from '../connectors/settings.ts'
import { FerryError, nearest } from '../errors.ts'
import type { Schema } from './schema.ts'
import { isSealed, requireOwnSecret } from './secrets.ts'

export const connectionName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/, 'letters, digits, dot, dash and underscore, at most 100')

export interface Connection {
  name: string
  kind: string
  settings: Record<string, unknown>
}

/**
 * Keeps a connection, new or in place of `before`, as it was read. Throws FERRY-6008 if it has been changed since,
 * FERRY-2003 for a secret that would be stored as it is.
 */
export async function saveConnection(db: Kysely<Schema>, connection: Connection, before?: Connection): Promise<void> {
  for (const [name, value] of Object.entries(connection.settings)) {
    if (isSealed(value)) requireOwnSecret(connection, name, value)
    if (isSecret(connection.kind, name) && typeof value === 'string' && !isReference(value) && !isSealed(value)) {
      throw new FerryError('FERRY-2003', `${name} would be stored as it is: give the name of a variable instead`, {
        hint: `For example --set ${name}='\${${connection.name.toUpperCase().replace(/\W/g, '_')}_${name.toUpperCase()}}', and set that variable where Ferry runs.`,
      })
    }
  }
  const values = { kind: connection.kind, settings: JSON.stringify(connection.settings) }
  if (before) {
    const { numUpdatedRows } = await db
      .updateTable('connection')
      .set(values)
      .where('name', '=', before.name)
      .where('kind', '=', before.kind)
      .where('settings', '=', JSON.stringify(before.settings))
      .executeTakeFirst()
    if (numUpdatedRows > 0n) return
    throw changedMeanwhile(before.name)
  }
  await db
    .insertInto('connection')
    .values({ name: connection.name, ...values, created_at: new Date().toISOString() })
    .onConflict(c => c.column('name').doUpdateSet(values))
    .execute()
}

/** The version of a connection: another one for whatever is changed in it. */
export function versionOf({ kind, settings }: Connection): string {
  return createHash('sha256')
    .update(JSON.stringify([kind, settings]))
    .digest('base64url')
    .slice(0, 22)
}

/** Throws FERRY-6008 where a connection is not what a caller has seen. */
export function requireUnchanged(connection: Connection, seen: string | undefined): void {
  if (seen !== undefined && versionOf(connection) !== seen) throw changedMeanwhile(connection.name)
}

function changedMeanwhile(name: string): FerryError {
  return new FerryError('FERRY-6008', `connection ${name} was changed after what you have edited was loaded`)
}

export async function listConnections(db: Kysely<Schema>): Promise<Connection[]> {
  const rows = await db.selectFrom('connection').selectAll().orderBy('name').execute()
  return rows.map(r => ({ name: r.name, kind: r.kind, settings: JSON.parse(r.settings) }))
}

export async function findConnection(db: Kysely<Schema>, name: string): Promise<Connection> {
  const all = await listConnections(db)
  const found = all.find(c => c.name === name)
  if (found) return found
  const near = nearest(
    name,
    all.map(c => c.name),
  )
  throw new FerryError('FERRY-1007', `there is no connection "${name}"${near ? `: did you mean "${near}"?` : ''}`, {
    hint: `Add it: ferry connections add ${name} postgres://user@host/database`,
  })
}

export async function removeConnection(db: Kysely<Schema>, name: string): Promise<void> {
  await findConnection(db, name)
  await db.deleteFrom('connection').where('name', '=', name).execute()
}
