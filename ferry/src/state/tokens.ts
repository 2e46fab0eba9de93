/** Who may call the API: tokens with roles, and the sessions of browsers. Only hashes are stored. */
import { createHash, randomBytes } from 'node:crypto'
import type { Kysely } from 'kysely'
import { FerryError } from '../errors.ts'
import type { Role, Schema, TokenRow } from './schema.ts'
import { databaseNow } from './time.ts'

/** How long a browser stays signed in. */
const SESSION_MS = 12 * 3600 * 1000
/** How long without being used. */
const IDLE_MS = 3600 * 1000
/** The resolution of the time of a token's last use. */
const USED_MS = 60_000

export interface Caller {
  /** The token's name. */
  name: string
  role: Role
}

export const hashOf = (token: string) => createHash('sha256').update(token).digest('hex')

const newSecret = (prefix: string) => `${prefix}${randomBytes(32).toString('base64url')}`

/** Makes a token, which is shown only once. Throws FERRY-1008 where the name is taken. */
export async function makeToken(db: Kysely<Schema>, name: string, role: Role): Promise<{ id: string; token: string }> {
  const token = newSecret('ferry_')
  const id = randomBytes(6).toString('hex')
  const made = await db
    .insertInto('token')
    .values({ id, name, role, hash: hashOf(token), created_at: new Date().toISOString(), last_used_at: null })
    .onConflict(c => c.column('name').doNothing())
    .executeTakeFirst()
  if (Number(made.numInsertedOrUpdatedRows) === 0) {
    throw new FerryError('FERRY-1008', `there is a token "${name}" already`)
  }
  return { id, token }
}

export async function listTokens(db: Kysely<Schema>): Promise<Omit<TokenRow, 'hash'>[]> {
  const columns = ['id', 'name', 'role', 'created_at', 'last_used_at'] as const
  return db.selectFrom('token').select(columns).orderBy('name').execute()
}

/** Throws FERRY-1007. */
export async function removeToken(db: Kysely<Schema>, idOrName: string): Promise<void> {
  const row = await db
    .selectFrom('token')
    .select('id')
    .where(eb => eb.or([eb('id', '=', idOrName), eb('name', '=', idOrName)]))
    .executeTakeFirst()
  if (!row) throw new FerryError('FERRY-1007', `there is no token "${idOrName}"`)
  await db.deleteFrom('session').where('token', '=', row.id).execute()
  await db.deleteFrom('token').where('id', '=', row.id).execute()
}

/** The owner of a token; undefined if the token is unknown. */
export async function callerOf(db: Kysely<Schema>, token: string): Promise<(Caller & { id: string }) | undefined> {
  const row = await db.selectFrom('token').selectAll().where('hash', '=', hashOf(token)).executeTakeFirst()
  if (!row) return undefined
  if (row.last_used_at === null || Date.now() - Date.parse(row.last_used_at) > USED_MS) {
    await db.updateTable('token').set({ last_used_at: new Date().toISOString() }).where('id', '=', row.id).execute()
  }
  return { id: row.id, name: row.name, role: row.role }
}

/**
 * The id of what the environment's FERRY_TOKEN signs in with: it is no line of the state, and another value is another
 * token. Undefined where there is none.
 */
export function environmentToken(): string | undefined {
  const own = process.env.FERRY_TOKEN
  return own ? `environment:${hashOf(own)}` : undefined
}

/** Signs a browser in; gives back what its cookie holds. */
export async function openSession(db: Kysely<Schema>, token: string): Promise<{ secret: string; expires: Date }> {
  const secret = newSecret('')
  const now = await databaseNow(db)
  const expires_at = now + SESSION_MS
  await db.deleteFrom('session').where('expires_at', '<', now).execute()
  await db
    .insertInto('session')
    .values({ hash: hashOf(secret), token, expires_at, used_at: now })
    .execute()
  return { secret, expires: new Date(expires_at) }
}

/** Who is signed in; undefined if the session has ended. `looks` is no use of it: a page that waits for news. */
export async function sessionOf(
  db: Kysely<Schema>,
  secret: string,
  { looks = false } = {},
): Promise<Caller | undefined> {
  const row = await db
    .selectFrom('session')
    .leftJoin('token', 'token.id', 'session.token')
    .select(['session.token', 'session.expires_at', 'session.used_at', 'token.name', 'token.role'])
    .where('session.hash', '=', hashOf(secret))
    .executeTakeFirst()
  const now = await databaseNow(db)
  if (!row || Number(row.expires_at) < now || now - Number(row.used_at) > IDLE_MS) return undefined
  if (!looks && now - Number(row.used_at) > USED_MS) {
    await db.updateTable('session').set({ used_at: now }).where('hash', '=', hashOf(secret)).execute()
  }
  if (row.token === environmentToken()) return { name: 'FERRY_TOKEN', role: 'admin' }
  return row.name === null || row.role === null ? undefined : { name: row.name, role: row.role }
}

export async function closeSession(db: Kysely<Schema>, secret: string): Promise<void> {
  await db.deleteFrom('session').where('hash', '=', hashOf(secret)).execute()
}
