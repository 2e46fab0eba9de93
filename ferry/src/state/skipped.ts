/** The rows that runs have skipped: each is a line of JSON, and they are copied again in groups. */
import { createHash } from 'node:crypto'
import type { ExpressionBuilder, Kysely } from 'kysely'
import type { Checkpoint, Rejected } from '../batch/encoding.ts'
import type { SplitId } from '../contract/split.ts'
import { type Lease, whileHeld } from './runs.ts'
import type { RunRow, RunTableRow, Schema, SkippedLine } from './schema.ts'
import { rowNumber } from './splits.ts'

export interface SkippedRow extends Rejected {
  table: string
}

/** What was skipped of one split since one checkpoint. */
export type SkippedGroup = Pick<SkippedLine, 'ordinal' | 'split' | 'mark'>

const ofRun = (run: string, ordinals?: number[]) => (eb: ExpressionBuilder<Schema, 'skipped'>) =>
  eb.and([eb('run', '=', run), ...(ordinals ? [eb('ordinal', 'in', ordinals.length > 0 ? ordinals : [-1])] : [])])

const ofGroup = (run: string, group: SkippedGroup) => (eb: ExpressionBuilder<Schema, 'skipped'>) =>
  eb.and([eb('run', '=', run), ...(['ordinal', 'split', 'mark'] as const).map(name => eb(name, '=', group[name]))])

/**
 * Records what was skipped since a checkpoint. The group has the name of the checkpoint, so that a segment that is copied
 * again after a crash replaces its own rows instead of repeating them. Throws FERRY-5004.
 */
export async function saveSkipped(
  db: Kysely<Schema>,
  lease: Lease,
  { ordinal, split, from }: { ordinal: number; split: SplitId; from: Checkpoint | undefined },
  rows: SkippedRow[],
): Promise<void> {
  const mark = from === undefined ? 'start' : createHash('sha256').update(from).digest('hex').slice(0, 12)
  const group = { ordinal, split: rowNumber(split), mark }
  // Most commits skip nothing, and replace nothing.
  if (rows.length === 0 && (await rowsOfGroup(db, lease.run, group)).length === 0) return
  await replaceGroup(db, lease, group, rows)
}

/** Puts rows in the place of those of a group. Throws FERRY-5004. */
export async function replaceGroup(
  db: Kysely<Schema>,
  lease: Lease,
  group: SkippedGroup,
  rows: SkippedRow[],
): Promise<void> {
  await whileHeld(db, lease, tx => putGroup(tx, lease.run, group, rows))
}

/** The same within a transaction of the caller. */
export async function putGroup(
  tx: Kysely<Schema>,
  run: string,
  group: SkippedGroup,
  rows: SkippedRow[],
): Promise<void> {
  await tx.deleteFrom('skipped').where(ofGroup(run, group)).execute()
  const lines = rows.map((row, seq) => ({ run, ...group, seq, line: JSON.stringify(row) }))
  for (const some of inChunks(lines)) await tx.insertInto('skipped').values(some).execute()
}

/** The group of the rows that are left when a group was tried again. */
export function nextMark(group: SkippedGroup): SkippedGroup {
  const [mark, times = '0'] = group.mark.split('^') as [string, string?]
  return { ...group, mark: `${mark}^${Number(times) + 1}` }
}

/** Gives a group another name, and removes the one that it takes the place of, if there is one. Throws FERRY-5004. */
export async function moveGroup(
  db: Kysely<Schema>,
  lease: Lease,
  { from, to, replaces }: { from: SkippedGroup; to: SkippedGroup; replaces?: SkippedGroup },
): Promise<void> {
  await whileHeld(db, lease, async tx => {
    if (replaces) await tx.deleteFrom('skipped').where(ofGroup(lease.run, replaces)).execute()
    await tx.updateTable('skipped').set(to).where(ofGroup(lease.run, from)).execute()
  })
}

/** The later runs of the job that have copied rows of the same table, or completed it; the newest first. */
export async function laterCopies(
  db: Kysely<Schema>,
  { id, job }: Pick<RunRow, 'id' | 'job'>,
  { source, destination }: Pick<RunTableRow, 'source' | 'destination'>,
): Promise<string[]> {
  const rows = await db
    .selectFrom('run_table')
    .innerJoin('run', 'run.id', 'run_table.run')
    .select('run.id')
    .where('run.job', '=', job)
    .where('run.id', '>', id)
    .where('run_table.source', '=', source)
    .where('run_table.destination', '=', destination)
    .where('run_table.rows_copied', '>', 0)
    .orderBy('run.id', 'desc')
    .execute()
  return rows.map(r => r.id)
}

/** Separates the rows of a table from those of its next increment in the same run. Throws FERRY-5004. */
export async function closeGroups(db: Kysely<Schema>, lease: Lease, ordinal: number): Promise<void> {
  for (const group of await groupsOf(db, lease.run, ordinal)) {
    if (group.mark.includes('~')) continue
    await moveGroup(db, lease, { from: group, to: { ...group, mark: `${group.mark}~${lease.epoch}` } })
  }
}

/** The groups of a table, without those of a retry that was interrupted. */
export async function groupsOf(db: Kysely<Schema>, run: string, ordinal: number): Promise<SkippedGroup[]> {
  const groups = await db
    .selectFrom('skipped')
    .select(['ordinal', 'split', 'mark'])
    .distinct()
    .where(ofRun(run, [ordinal]))
    .where('mark', 'not like', '%.next')
    .orderBy('split')
    .orderBy('mark')
    .execute()
  // Those of earlier increments first: a newer version of a row is written over an older one.
  const age = ({ mark }: SkippedGroup) => Number(/~(\d+)/.exec(mark)?.[1] ?? Infinity)
  return groups.sort((a, b) => (age(a) === age(b) ? 0 : age(a) - age(b)))
}

export async function rowsOfGroup(db: Kysely<Schema>, run: string, group: SkippedGroup): Promise<SkippedRow[]> {
  const rows = await db.selectFrom('skipped').select('line').where(ofGroup(run, group)).orderBy('seq').execute()
  return rows.map(({ line }) => JSON.parse(line) as SkippedRow)
}

export async function countSkipped(db: Kysely<Schema>, run: string, ordinals?: number[]): Promise<number> {
  const { n } = await db
    .selectFrom('skipped')
    .select(eb => eb.fn.countAll<number | string>().as('n'))
    .where(ofRun(run, ordinals))
    .where('mark', 'not like', '%.next')
    .executeTakeFirstOrThrow()
  return Number(n)
}

/** The length of a line that is given as it is, and of all lines that are given at one time, in characters. */
const MOST_LINE = 200_000
const MOST_TOLD = 4_000_000

/** The first of the rows that tables have skipped, at most `limit` and about 4 MB. */
export async function firstSkipped(
  db: Kysely<Schema>,
  run: string,
  { ordinals, limit }: { ordinals?: number[]; limit: number },
): Promise<SkippedRow[]> {
  const found = await db
    .selectFrom('skipped')
    .select(eb => ['ordinal', 'split', 'mark', 'seq', eb.fn<number>('length', ['line']).as('size')] as const)
    .where(ofRun(run, ordinals))
    .where('mark', 'not like', '%.next')
    .orderBy('ordinal')
    .orderBy('split')
    .orderBy('mark')
    .orderBy('seq')
    .limit(limit)
    .execute()
  const rows: SkippedRow[] = []
  let told = 0
  for (const { size, seq, ...group } of found) {
    told += Math.min(size, MOST_LINE)
    if (told > MOST_TOLD) break
    if (size > MOST_LINE) {
      rows.push({
        table: '',
        place: '',
        reason: `a row of ${size} characters, too long for this list: on the command line ferry skipped ${run} prints it`,
      })
      continue
    }
    const { line } = await db
      .selectFrom('skipped')
      .select('line')
      .where(ofGroup(run, group))
      .where('seq', '=', seq)
      .executeTakeFirstOrThrow()
    rows.push(JSON.parse(line))
  }
  return rows
}

/** SQLite takes 32,766 parameters a statement, and long lines are sent a few at a time. */
function* inChunks(lines: SkippedLine[]): Generator<SkippedLine[]> {
  let some: SkippedLine[] = []
  let size = 0
  for (const line of lines) {
    some.push(line)
    size += line.line.length
    if (some.length < 1000 && size < 4_000_000) continue
    yield some
    some = []
    size = 0
  }
  if (some.length > 0) yield some
}
