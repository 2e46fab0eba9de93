/**
 * What triggers have seen, files or runs of another job: how it was, since when, and whether it has asked for a run.
 */
import type { Kysely } from 'kysely'
import type { Schema } from './schema.ts'

/** A trigger by its job and its name, `trigger:NAME`. */
export interface Watcher {
  job: string
  name: string
}

/** A file, or a run, as it is now; `fingerprint` changes when it does. */
export interface Seen {
  path: string
  fingerprint: string
}

const keyed = ({ job, name }: Watcher) => ({ job, name })

/** Begins anew with what is there: it has not arrived. */
export async function beginWith(db: Kysely<Schema>, watcher: Watcher, there: Seen[], now: number): Promise<void> {
  await db.deleteFrom('arrival').where('job', '=', watcher.job).where('name', '=', watcher.name).execute()
  for (const { path, fingerprint: print } of there) {
    await db
      .insertInto('arrival')
      .values({ ...keyed(watcher), path, print, since: now, fired: 1 })
      // Another server begins too.
      .onConflict(c => c.columns(['job', 'name', 'path']).doNothing())
      .execute()
  }
}

/**
 * Keeps what is new, changed or gone; gives back what has not asked for a run yet and has been as it is since `before`
 * (milliseconds since 1970) at least.
 */
export async function settledOf(
  db: Kysely<Schema>,
  watcher: Watcher,
  there: Seen[],
  { now, before }: { now: number; before: number },
): Promise<Seen[]> {
  const { job, name } = watcher
  const kept = await db.selectFrom('arrival').selectAll().where('job', '=', job).where('name', '=', name).execute()
  const known = new Map(kept.map(k => [k.path, k]))
  const paths = new Set(there.map(f => f.path))
  for (const { path } of kept.filter(k => !paths.has(k.path))) {
    await db.deleteFrom('arrival').where('job', '=', job).where('name', '=', name).where('path', '=', path).execute()
  }
  for (const { path, fingerprint: print } of there) {
    const row = known.get(path)
    // A time in the future was saved before the clock was set back.
    if (row?.print === print && (row.fired === 1 || row.since <= now)) continue
    await db
      .insertInto('arrival')
      .values({ ...keyed(watcher), path, print, since: now, fired: 0 })
      .onConflict(c => c.columns(['job', 'name', 'path']).doUpdateSet({ print, since: now, fired: 0 }))
      .execute()
  }
  return there.filter(f => {
    const row = known.get(f.path)
    if (row?.print !== f.fingerprint) return now <= before
    return row.fired === 0 && row.since <= before
  })
}

/** Marks what asks for a run; false where another server was faster with some of it. */
export async function takeSeen(db: Kysely<Schema>, { job, name }: Watcher, seen: Seen[]): Promise<boolean> {
  for (const { path, fingerprint: print } of seen) {
    const marked = await db
      .updateTable('arrival')
      .set({ fired: 1 })
      .where('job', '=', job)
      .where('name', '=', name)
      .where('path', '=', path)
      .where('print', '=', print)
      .where('fired', '=', 0)
      .executeTakeFirst()
    if (Number(marked.numUpdatedRows) === 0) return false
  }
  return true
}

/** Keeps that something has come, for what comes by itself and may come again; false if it was kept before. */
export async function isFirst(db: Kysely<Schema>, watcher: Watcher, path: string, now: number): Promise<boolean> {
  const made = await db
    .insertInto('arrival')
    .values({ ...keyed(watcher), path: path.slice(0, 500), print: 'event', since: now, fired: 1 })
    .onConflict(c => c.columns(['job', 'name', 'path']).doNothing())
    .executeTakeFirst()
  return Number(made.numInsertedOrUpdatedRows ?? 0) > 0
}

/** Forgets what was seen before a moment. */
export async function forgetSeen(db: Kysely<Schema>, { job, name }: Watcher, before: number): Promise<void> {
  await db.deleteFrom('arrival').where('job', '=', job).where('name', '=', name).where('since', '<', before).execute()
}
