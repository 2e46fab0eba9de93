/**
 * The time of the state's database. Times that processes compare with each other are taken from it: the clocks of their
 * hosts may differ, and may be set back. Waiting within a process uses the monotonic `performance.now()`.
 */
import { type Kysely, type RawBuilder, sql } from 'kysely'
import type { Schema } from './schema.ts'

/** Milliseconds since 1970 by the database's clock, as an expression of a statement. */
export function databaseTime(db: Kysely<Schema>): RawBuilder<number> {
  return isSqlite(db)
    ? sql<number>`CAST(unixepoch('subsec') * 1000 AS INTEGER)`
    : sql<number>`CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)`
}

/** Milliseconds since 1970 by the database's clock. */
export async function databaseNow(db: Kysely<Schema>): Promise<number> {
  const { rows } = await sql<{ now: number }>`SELECT ${databaseTime(db)} AS now`.execute(db)
  return Number(rows[0]!.now)
}

/** SQLite is the database whose schema changes run outside Kysely's own transactions. */
/** Milliseconds since 1970 as the state keeps times: ISO 8601 in UTC. */
export const iso = (time: number): string => new Date(time).toISOString()

export function isSqlite(db: Kysely<Schema>): boolean {
  return !db.getExecutor().adapter.supportsTransactionalDdl
}
