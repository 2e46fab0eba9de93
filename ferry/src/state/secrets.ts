/** Secrets of connections, sealed. Settings hold `sealed:NAME` in their place. */
import type { Kysely } from 'kysely'
import { isSecret } from '../connectors/settings.ts'
import { FerryError } from '../errors.ts'
import { Seal, sameSecret } from '../secrets/seal.ts'
import type { State } from './database.ts'
import type { Schema } from './schema.ts'

/** The connection that a secret belongs to. */
interface Owner {
  name: string
  kind: string
}

const PREFIX = 'sealed:'

export function isSealed(value: unknown): value is string {
  return typeof value === 'string' && value.startsWith(PREFIX)
}

/** Stores a secret; gives back the reference to it for settings. */
export async function keepSecret({ db, home }: State, name: string, secret: string): Promise<string> {
  const sealed = Seal.open(home).close(name, secret)
  const updated_at = new Date().toISOString()
  await db
    .insertInto('secret')
    .values({ name, sealed, updated_at })
    .onConflict(c => c.column('name').doUpdateSet({ sealed, updated_at }))
    .execute()
  return `${PREFIX}${name}`
}

/** Throws FERRY-2003 unless a sealed value is the connection's own secret, under a setting that is one. */
export function requireOwnSecret({ name, kind }: Owner, setting: string, value: string): void {
  if (isSecret(kind, setting) && value === `${PREFIX}${name}/${setting}`) return
  throw new FerryError('FERRY-2003', `${setting}: a secret of a connection is not given by its name`)
}

/** The settings of a connection with its own secrets in place of the references. Throws FERRY-2003. */
export async function withSecrets(
  { db, home }: State,
  connection: Owner & { settings: Record<string, unknown> },
): Promise<Record<string, unknown>> {
  const { settings } = connection
  if (!Object.values(settings).some(isSealed)) return settings
  const seal = Seal.open(home)
  const entries = Object.entries(settings).map(async ([key, value]) => {
    if (!isSealed(value)) return [key, value]
    requireOwnSecret(connection, key, value)
    const name = value.slice(PREFIX.length)
    const row = await db.selectFrom('secret').select('sealed').where('name', '=', name).executeTakeFirst()
    if (!row) throw new FerryError('FERRY-2003', `${key}: the secret ${name} is gone: give it again`)
    return [key, seal.reveal(name, row.sealed)]
  })
  return Object.fromEntries(await Promise.all(entries)) as Record<string, unknown>
}

/** Removes the secrets of a connection. */
export async function forgetSecrets(db: Kysely<Schema>, connection: string): Promise<void> {
  const all = await db.selectFrom('secret').select('name').execute()
  const own = all.map(s => s.name).filter(name => name.startsWith(`${connection}/`))
  if (own.length > 0) await db.deleteFrom('secret').where('name', 'in', own).execute()
}

const hookName = (job: string, trigger: string) => `hook:${job}/${trigger}`

/** Removes the secrets of a job's triggers but those that it still has. */
export async function forgetHookSecrets(db: Kysely<Schema>, job: string, kept: string[]): Promise<void> {
  const prefix = hookName(job, '')
  const names = new Set(kept.map(trigger => hookName(job, trigger)))
  const all = await db.selectFrom('secret').select('name').execute()
  const gone = all.map(s => s.name).filter(name => name.startsWith(prefix) && !names.has(name))
  if (gone.length > 0) await db.deleteFrom('secret').where('name', 'in', gone).execute()
}

/** Keeps the secret of a trigger that is called. */
export async function keepHookSecret(state: State, job: string, trigger: string, secret: string): Promise<void> {
  await keepSecret(state, hookName(job, trigger), secret)
}

export async function hasHookSecret(db: Kysely<Schema>, job: string, trigger: string): Promise<boolean> {
  const name = hookName(job, trigger)
  return (await db.selectFrom('secret').select('name').where('name', '=', name).executeTakeFirst()) !== undefined
}

/** Whether a secret is that of a trigger. */
export async function isHookSecret({ db, home }: State, job: string, trigger: string, given: string): Promise<boolean> {
  const name = hookName(job, trigger)
  const row = await db.selectFrom('secret').select('sealed').where('name', '=', name).executeTakeFirst()
  return row !== undefined && sameSecret(Seal.open(home).reveal(name, row.sealed), given)
}
