/** The state's database: a SQLite file in FERRY_HOME, or the PostgreSQL of FERRY_DATABASE_URL. One schema for both. */
import { mkdirSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { Kysely, PostgresDialect, sql } from 'kysely'
import { Migrator } from 'kysely/migration'
import { withoutPassword } from '../connectors/settings.ts'
import { FerryError } from '../errors.ts'
import { importErrorFiles } from './errorfiles.ts'
import { MIGRATIONS } from './migrations.ts'
import type { Schema } from './schema.ts'
import { openSqlite } from './sqlite.ts'

export interface State {
  readonly db: Kysely<Schema>
  /** The folder for logs, and for the state if it is a file. */
  readonly home: string
  /** Throws if nothing can be stored any more: a full disk, a file that was removed. */
  check(): Promise<void>
  close(): Promise<void>
}

export function ferryHome(environment: NodeJS.ProcessEnv = process.env): string {
  return environment.FERRY_HOME || join(homedir(), '.ferry')
}

/**
 * Opens the state and brings its schema up to date; `openFile` opens one in SQLite. Throws FERRY-5002 or FERRY-5003.
 */
export async function openState(
  environment: NodeJS.ProcessEnv = process.env,
  openFile: (path: string) => Kysely<Schema> = openSqlite,
): Promise<State> {
  const home = ferryHome(environment)
  const url = environment.FERRY_DATABASE_URL
  const place = url === undefined ? home : withoutPassword(url)
  try {
    // The state holds rows that were skipped: readable by its owner only.
    mkdirSync(home, { recursive: true, mode: 0o700 })
    const path = url === undefined ? join(home, 'state.db') : undefined
    if (path !== undefined) refuseEmpty(path)
    const db = path === undefined ? await openPostgres(url!) : openFile(path)
    await migrate(db, place)
    await importErrorFiles(db, home)
    const file = path === undefined ? undefined : statSync(path, { bigint: true }).ino
    const check = async () => {
      if (path !== undefined && statSync(path, { bigint: true, throwIfNoEntry: false })?.ino !== file) {
        throw new FerryError('FERRY-5003', `${path} was taken away while it is worked with`)
      }
      // Written for good: what is taken back never reaches the disk, and would not find it full.
      await db
        .insertInto('queue')
        .values({ name: CHECK })
        .onConflict(c => c.column('name').doUpdateSet({ name: CHECK }))
        .execute()
    }
    return { db, home, check, close: () => db.destroy() }
  } catch (error) {
    if (error instanceof FerryError) throw error
    throw new FerryError('FERRY-5003', `${place}: ${(error as Error).message}`, { cause: error })
  }
}

/** The line that a check writes; no account of copy jobs has such a name. */
const CHECK = ':check'

/** A file that another process is creating may be empty for this long. */
const NEW_MS = 10_000

/** Throws FERRY-5003 for a state without anything: it was cut off, or is not Ferry's, and jobs would be gone silently. */
function refuseEmpty(path: string): void {
  const found = statSync(path, { throwIfNoEntry: false })
  if (!found || found.size > 0 || Date.now() - found.mtimeMs < NEW_MS) return
  const log = statSync(`${path}-wal`, { throwIfNoEntry: false })
  if (log && log.size > 0) return
  throw new FerryError('FERRY-5003', `${path} is there and empty: what it held is gone`, {
    hint: 'Put a copy of it back; or remove it to begin with a new state.',
  })
}

async function openPostgres(url: string): Promise<Kysely<Schema>> {
  const { default: pg } = await import('pg')
  const pool = new pg.Pool({
    connectionString: url,
    max: 4,
    application_name: 'ferry-state',
    // A process that is stopped in the middle of a transaction must not keep others from its run for ever.
    options: '-c search_path=ferry -c idle_in_transaction_session_timeout=20000',
    // Counts are bigint: as numbers they are exact to 2^53.
    types: { getTypeParser: (oid, format) => (oid === 20 ? Number : pg.types.getTypeParser(oid, format)) as never },
  })
  pool.on('error', () => {})
  await pool.query('CREATE SCHEMA IF NOT EXISTS ferry')
  return new Kysely<Schema>({ dialect: new PostgresDialect({ pool }) })
}

/** Runs the migrations that the state has not seen. `upTo` stops at an older version, for tests. */
export async function migrate(db: Kysely<Schema>, place: string, upTo?: string): Promise<void> {
  const done = await appliedMigrations(db)
  const unknown = done.find(name => !(name in MIGRATIONS))
  if (unknown !== undefined) {
    throw new FerryError('FERRY-5002', `${place} was written by a newer Ferry (it knows "${unknown}")`)
  }
  if (upTo === undefined && done.length === Object.keys(MIGRATIONS).length) return
  await db.connection().execute(async connection => {
    const migrator = new Migrator({ db: connection, provider: { getMigrations: async () => MIGRATIONS } })
    // On PostgreSQL the migrator locks by itself; on SQLite several processes that begin at once would all migrate.
    const own = !db.getExecutor().adapter.supportsTransactionalDdl
    if (own) await sql`begin immediate`.execute(connection)
    const { error } = upTo === undefined ? await migrator.migrateToLatest() : await migrator.migrateTo(upTo)
    if (own) await (error ? sql`rollback` : sql`commit`).execute(connection)
    if (error) throw error
  })
}

async function appliedMigrations(db: Kysely<Schema>): Promise<string[]> {
  try {
    const { rows } = await sql<{ name: string }>`SELECT name FROM kysely_migration`.execute(db)
    return rows.map(r => r.name)
  } catch {
    // No such table yet: a new state.
    return []
  }
}
