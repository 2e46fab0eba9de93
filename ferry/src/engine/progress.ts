/** What a run has done so far, table by table: written by the engine, read for display. */
import type { Behind } from '../batch/encoding.ts'
import type { SplitId } from '../contract/split.ts'
import type { FerryError } from '../errors.ts'
import type { TablePlan } from './tableplan.ts'

/** Where a run, or a table of one, is. */
export type RunState =
  | 'pending'
  | 'planning'
  | 'running'
  | 'paused'
  | 'completing'
  | 'completed'
  | 'failed'
  | 'cancelled'

export interface TableProgress {
  ordinal: number
  from: string
  to: string
  encoding: string
  state: RunState
  /** Estimates of what there is, where the source has them. */
  totalRows?: number
  totalBytes?: number
  rowsRead: number
  rowsCopied: number
  rowsSkipped: number
  bytesRead: number
  bytesWritten: number
  splits: number
  splitsDone: number
  /** What was inferred about the source. */
  guesses?: string[]
  /** What is at the destination and will be gone. */
  replaces?: string
  /** Of an online copy: what each split knows to be left. */
  behind: Map<SplitId, Behind>
  startedAt?: number
  endedAt?: number
  error?: FerryError
}

/** The progress of a table that has not begun. */
export function noProgress(plan: Pick<TablePlan, 'ordinal' | 'from' | 'to' | 'offer' | 'increment'>): TableProgress {
  return {
    ordinal: plan.ordinal,
    from: plan.from,
    to: plan.to,
    encoding: plan.increment?.isEmpty ? 'none' : plan.offer.encoding,
    state: 'pending',
    rowsRead: 0,
    rowsCopied: 0,
    rowsSkipped: 0,
    bytesRead: 0,
    bytesWritten: 0,
    splits: 0,
    splitsDone: 0,
    behind: new Map(),
  }
}

/** The share of a table that is done, between 0 and 1, or undefined where nothing is known to measure it by. */
export function fraction(table: TableProgress): number | undefined {
  if (table.state === 'completed') return 1
  const bySplits = table.splits > 0 ? table.splitsDone / table.splits : 0
  const byRows = table.totalRows ? table.rowsRead / table.totalRows : undefined
  const byBytes = table.totalBytes ? table.bytesRead / table.totalBytes : undefined
  const best = Math.max(bySplits, byRows ?? byBytes ?? 0)
  if (table.splits === 0 || (table.splits === 1 && byRows === undefined && byBytes === undefined)) return undefined
  return Math.min(0.99, best)
}
