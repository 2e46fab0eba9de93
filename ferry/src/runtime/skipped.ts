/** The rows that a run has skipped, as lines for people: printed, edited, and put back. */
import type { Kysely } from 'kysely'
import { z } from 'zod'
import { FerryError } from '../errors.ts'
import { faultsIn, toldFaults } from '../faults.ts'
import { type Lease, runTables } from '../state/runs.ts'
import type { Schema } from '../state/schema.ts'
import { groupsOf, replaceGroup, rowsOfGroup, type SkippedGroup, type SkippedRow } from '../state/skipped.ts'

/** A line as `printed` gives it. */
const editedRow = z.strictObject({
  id: z.string(),
  table: z.string(),
  place: z.string(),
  reason: z.string(),
  column: z.string().exactOptional(),
  values: z.record(z.string(), z.string().nullable()).exactOptional(),
  raw: z.string().exactOptional(),
})
export type EditedRow = z.output<typeof editedRow>

const nameOf = ({ ordinal, split, mark }: SkippedGroup) => `${ordinal}.${split}.${mark}`

/** All skipped rows of a run, or of some tables, with ids that hold until they are copied again. */
export async function* printed(
  db: Kysely<Schema>,
  run: string,
  tables: string[] | undefined,
): AsyncGenerator<EditedRow> {
  const all = await runTables(db, run)
  const unknown = tables?.find(name => !all.some(t => t.source === name))
  if (unknown !== undefined) {
    throw new FerryError('FERRY-3008', `run ${run} has no table ${unknown}`, {
      hint: `Its tables: ${all.map(t => t.source).join(', ')}.`,
    })
  }
  for (const { ordinal } of all.filter(t => tables?.includes(t.source) ?? true)) {
    for (const group of await groupsOf(db, run, ordinal)) {
      const rows = await rowsOfGroup(db, run, group)
      for (const [i, row] of rows.entries()) yield { id: `${nameOf(group)}.${i}`, ...row }
    }
  }
}

/** Reads lines as `printed` gives them. Throws FERRY-1003 naming the line that is none. */
export function readEdited(text: string): EditedRow[] {
  return text.split('\n').flatMap((line, i) => {
    if (line.trim() === '') return []
    const refuse = (why: string) => new FerryError('FERRY-1003', `line ${i + 1} of the rows: ${why}`)
    let value: unknown
    try {
      value = JSON.parse(line)
    } catch (error) {
      throw refuse((error as Error).message)
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw refuse('it is no JSON object')
    const faults = faultsIn(editedRow, value as Record<string, unknown>)
    if (faults.length > 0) throw refuse(toldFaults(faults))
    editedRow.parse(value)
    // As it was parsed: a schema leaves out a column of the name `__proto__`.
    const row = value as EditedRow
    const odd = Object.entries(row.values ?? {}).find(([, v]) => v !== null && typeof v !== 'string')
    if (odd) throw refuse(`values.${odd[0]}: must be a text or null`)
    return [row]
  })
}

/** Puts edited rows in the places of skipped ones. Throws FERRY-1003 for an id that no skipped row of the run has. */
export async function replaceRows(db: Kysely<Schema>, lease: Lease, edited: EditedRow[]): Promise<void> {
  const byId = new Map(edited.map(({ id, ...row }) => [id, row]))
  const seen = new Set<string>()
  const twice = edited.find(({ id }) => seen.size === seen.add(id).size)
  if (twice) throw new FerryError('FERRY-1003', `the rows have ${twice.id} twice`)
  if (byId.size === 0) return
  const changed: [SkippedGroup, SkippedRow[]][] = []
  for (const { ordinal } of await runTables(db, lease.run)) {
    for (const group of await groupsOf(db, lease.run, ordinal)) {
      const rows = await rowsOfGroup(db, lease.run, group)
      const now = rows.map((row, i) => {
        const id = `${nameOf(group)}.${i}`
        const own = byId.get(id)
        byId.delete(id)
        return own ?? row
      })
      if (now.some((row, i) => row !== rows[i])) changed.push([group, now])
    }
  }
  const [unknown] = byId.keys()
  if (unknown !== undefined) {
    throw new FerryError('FERRY-1003', `run ${lease.run} has no skipped row ${unknown}`, {
      hint: `The ids change when rows are copied again: print them again with ferry skipped ${lease.run}.`,
    })
  }
  for (const [group, rows] of changed) await replaceGroup(db, lease, group, rows)
}
