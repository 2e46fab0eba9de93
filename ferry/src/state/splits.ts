/** The splits of a table in a run, and how far each is committed. */
import type { Kysely } from 'kysely'
import type { Behind } from '../batch/encoding.ts'
import type { CommittedSplit, Split, SplitId } from '../contract/split.ts'
import { type Lease, requireHeld, whileHeld } from './runs.ts'
import type { Schema, SplitRow } from './schema.ts'
import { isSqlite } from './time.ts'

/** The number of the feed's row; ranges count from 0. */
export const FEED_ROW = -1

/** The number of a split's row. */
export const rowNumber = (id: SplitId) => (id === 'feed' ? FEED_ROW : id)

export interface KeptSplits {
  ranges: Split[]
  committed: Map<SplitId, CommittedSplit>
}

/** Undefined if none were recorded: nothing of the table was begun. */
export async function splitsOf(db: Kysely<Schema>, run: string, ordinal: number): Promise<KeptSplits | undefined> {
  const rows = await splitRows(db, run, ordinal)
  if (rows.length === 0) return undefined
  const begun = rows.filter(s => s.done === 1 || s.checkpoint !== null)
  return {
    ranges: rows.flatMap(({ id, label, spec }) => (id === FEED_ROW ? [] : [{ id, label, spec }])),
    committed: new Map(
      begun.map(s => [
        s.id === FEED_ROW ? 'feed' : s.id,
        { checkpoint: s.done === 1 ? undefined : s.checkpoint!, rows: s.rows_done, bytes: s.bytes_done },
      ]),
    ),
  }
}

export async function splitRows(db: Kysely<Schema>, run: string, ordinal: number): Promise<SplitRow[]> {
  return db
    .selectFrom('split')
    .selectAll()
    .where('run', '=', run)
    .where('ordinal', '=', ordinal)
    .orderBy('id')
    .execute()
}

/**
 * Records the splits of a table, all or none: a run is resumed with the ranges that it began with. Replaces those that are
 * there. Throws FERRY-5004.
 */
export async function saveSplits(
  db: Kysely<Schema>,
  lease: Lease,
  ordinal: number,
  ranges: Split[],
  { feed }: { feed: boolean },
): Promise<void> {
  const none = { done: 0, checkpoint: null, rows_done: 0, bytes_done: 0, behind: null, behind_since: null }
  const row = ({ id, label, spec, rows, bytes }: Split): SplitRow => ({
    ...{ run: lease.run, ordinal, id, label, spec, rows: rows ?? null, bytes: bytes ?? null },
    ...none,
  })
  const rows = [...ranges, ...(feed ? [{ id: FEED_ROW, label: 'the log', spec: '' }] : [])].map(row)
  await whileHeld(db, lease, async tx => {
    await tx.deleteFrom('split').where('run', '=', lease.run).where('ordinal', '=', ordinal).execute()
    // SQLite takes 32,766 parameters a statement.
    for (let i = 0; i < rows.length; i += 1000) {
      await tx
        .insertInto('split')
        .values(rows.slice(i, i + 1000))
        .execute()
    }
  })
}

/** Records a commit, with the totals of the split in the whole run. Throws FERRY-5004. */
export async function saveProgress(
  db: Kysely<Schema>,
  lease: Lease,
  ordinal: number,
  id: SplitId,
  { checkpoint, rows, bytes }: CommittedSplit,
  behind: Behind | undefined,
): Promise<void> {
  // One statement: a process that is stopped in the middle of a transaction would keep the run's line from the next one.
  const result = await db
    .with('held', held => {
      const run = held.selectFrom('run').select('id').where('id', '=', lease.run).where('epoch', '=', lease.epoch)
      return isSqlite(db) ? run : run.forShare()
    })
    .updateTable('split')
    .set({
      done: checkpoint === undefined ? 1 : 0,
      checkpoint: checkpoint ?? null,
      rows_done: rows,
      bytes_done: bytes,
      behind: behind?.changes ?? null,
      behind_since: behind?.since ?? null,
    })
    .where('run', '=', lease.run)
    .where('ordinal', '=', ordinal)
    .where('id', '=', rowNumber(id))
    .where(eb => eb.exists(eb.selectFrom('held').select('held.id')))
    .executeTakeFirst()
  // A table without rows has no splits: its end is not stored here.
  if (Number(result.numUpdatedRows) === 0) await requireHeld(db, lease)
}
