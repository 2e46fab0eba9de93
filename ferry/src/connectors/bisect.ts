/** Writes rows of which a store may reject some: a part that fails is bisected until the bad rows are found. */
import type { Row } from '../batch/types.ts'
import type { Refused } from '../contract/sink.ts'
import { type FerryError, RowError } from '../errors.ts'

/** A row with its position in the batch. */
export interface Placed {
  row: Row
  index: number
}

export interface Attempt {
  /** Marks the place to come back to. */
  begin(): Promise<unknown>
  write(rows: Placed[]): Promise<unknown>
  /** Comes back to the place. */
  undo(): Promise<unknown>
  explain(error: unknown): FerryError
}

/** Gives back the rows that were refused; all others are written. Throws what is not about a row. */
export async function bisect(rows: Placed[], attempt: Attempt): Promise<Refused[]> {
  if (rows.length === 0) return []
  await attempt.begin()
  try {
    await attempt.write(rows)
    return []
  } catch (error) {
    const why = attempt.explain(error)
    if (!(why instanceof RowError)) throw why
    await attempt.undo()
    if (rows.length === 1) return [{ index: rows[0]!.index, error: why }]
    const half = rows.length >> 1
    const first = await bisect(rows.slice(0, half), attempt)
    return [...first, ...(await bisect(rows.slice(half), attempt))]
  }
}
