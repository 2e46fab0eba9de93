/** Calls that activities of pipelines wait for: each has an id that nobody can guess. */
import { randomBytes } from 'node:crypto'
import type { Kysely } from 'kysely'
import type { CallbackRow, Schema } from './schema.ts'

type Waiting = Pick<CallbackRow, 'run' | 'key' | 'attempt'>

/** What an attempt of an activity waits for, made if it is not there; `isCalled`: the other side was asked already. */
export async function callbackFor(
  db: Kysely<Schema>,
  { run, key, attempt }: Waiting,
): Promise<{ id: string; isCalled: boolean }> {
  const known = await db
    .selectFrom('callback')
    .select(['id', 'called'])
    .where('run', '=', run)
    .where('key', '=', key)
    .where('attempt', '=', attempt)
    .executeTakeFirst()
  if (known) return { id: known.id, isCalled: Number(known.called) === 1 }
  const id = randomBytes(32).toString('base64url')
  await db.insertInto('callback').values({ id, run, key, attempt, called: 0, body: null }).execute()
  return { id, isCalled: false }
}

export async function markCalled(db: Kysely<Schema>, id: string): Promise<void> {
  await db.updateTable('callback').set({ called: 1 }).where('id', '=', id).execute()
}

/** What was sent; undefined until then. */
export async function answerOf(db: Kysely<Schema>, id: string): Promise<string | undefined> {
  const row = await db.selectFrom('callback').select('body').where('id', '=', id).executeTakeFirst()
  return row?.body ?? undefined
}

/** Saves what was sent; the first answer counts. False if nobody waits for it. */
export async function answerCallback(db: Kysely<Schema>, id: string, body: string): Promise<boolean> {
  const [row] = await db
    .updateTable('callback')
    .set({ body, called: 1 })
    .where('id', '=', id)
    .where('body', 'is', null)
    .returning('id')
    .execute()
  return row !== undefined
}

/** Takes no answer any more; gives back one that has come meanwhile. */
export async function closeCallback(db: Kysely<Schema>, id: string): Promise<string | undefined> {
  return db.transaction().execute(async tx => {
    await tx.updateTable('callback').set({ called: 1 }).where('id', '=', id).execute()
    const body = await answerOf(tx, id)
    if (body === undefined) await tx.deleteFrom('callback').where('id', '=', id).execute()
    return body
  })
}

/** True if somebody waits for an answer of this id. */
export async function isAwaited(db: Kysely<Schema>, id: string): Promise<boolean> {
  const row = await db
    .selectFrom('callback')
    .select('id')
    .where('id', '=', id)
    .where('body', 'is', null)
    .executeTakeFirst()
  return row !== undefined
}
