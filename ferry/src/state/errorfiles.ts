/** Versions before the table `skipped` stored the rows that a run skipped in files of the state's folder. */
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Kysely } from 'kysely'
import type { Schema } from './schema.ts'
import { putGroup, type SkippedGroup, type SkippedRow } from './skipped.ts'
import { FEED_ROW } from './splits.ts'

/** Moves such files into the state, those of runs that it has. Can be repeated. */
export async function importErrorFiles(db: Kysely<Schema>, home: string): Promise<void> {
  const errors = join(home, 'errors')
  if (!existsSync(errors)) return
  const found = readdirSync(errors)
  for (const run of found) {
    const known = await db.selectFrom('run').select('id').where('id', '=', run).executeTakeFirst()
    if (!known) continue
    const folder = join(errors, run)
    for (const name of readdirSync(folder)) {
      const group = groupOf(name)
      const path = join(folder, name)
      if (group) await db.transaction().execute(async tx => putGroup(tx, run, group, rowsIn(path)))
      rmSync(path, { force: true })
    }
    rmSync(folder, { recursive: true, force: true })
  }
  if (readdirSync(errors).length === 0) rmSync(errors, { recursive: true, force: true })
}

/** `2-17-start.jsonl`, or with `.3f2a91bc.next` the rows that a retry left over. Undefined for a file that was not finished. */
function groupOf(name: string): SkippedGroup | undefined {
  const [, ordinal, split, mark, next = ''] =
    /^(\d+)-(\d+|feed)-([a-z0-9~]+)\.jsonl(\.[0-9a-f]+\.next)?$/.exec(name) ?? []
  if (mark === undefined) return undefined
  // The feed had the number of the millionth range before it had a name.
  const row = split === 'feed' || split === '1000000' ? FEED_ROW : Number(split)
  return { ordinal: Number(ordinal), split: row, mark: `${mark}${next}` }
}

function rowsIn(path: string): SkippedRow[] {
  const bytes = readFileSync(path)
  const rows: SkippedRow[] = []
  for (let from = 0, end = bytes.indexOf(10); end >= 0; from = end + 1, end = bytes.indexOf(10, from)) {
    rows.push(JSON.parse(bytes.toString('utf8', from, end)))
  }
  return rows
}
