/** Saves the progress of a run in the state while it is at work, so that every process can read it. */
import type { Kysely } from 'kysely'
import type { TableProgress } from '../engine/progress.ts'
import { type Counts, type Lease, type Sums, saveCounts, saveSums } from '../state/runs.ts'
import type { Schema } from '../state/schema.ts'
import { type Sample, samplesOf } from '../state/texts.ts'

/** How often. */
export const PULSE_MS = 1000
/** Most samples stored for a run; beyond that, every second one is dropped. */
const MOST_SAMPLES = 240

/** Seconds of work, rows and bytes at a moment. */

export class Pulse {
  private readonly db: Kysely<Schema>
  private readonly lease: Lease
  private readonly saved = new Map<number, string>()
  private readonly started = performance.now()
  private readonly before: number
  private samples: Sample[]
  private every = PULSE_MS / 1000

  /** `kept` are the samples of earlier tries, as JSON. */
  constructor(db: Kysely<Schema>, lease: Lease, kept: string | null) {
    this.db = db
    this.lease = lease
    this.samples = samplesOf(kept)
    this.before = this.samples.at(-1)?.[0] ?? 0
  }

  /** Waits for the write in progress, which is the last one. */
  settled: Promise<void> = Promise.resolve()

  /** Keeps what has changed since the last beat. */
  beat(tables: TableProgress[]): Promise<void> {
    const beating = this.save(tables)
    this.settled = beating.catch(() => undefined)
    return beating
  }

  private async save(tables: TableProgress[]): Promise<void> {
    const changed = new Map<number, Counts>()
    for (const table of tables) {
      const counts = countsOf(table)
      const text = JSON.stringify(counts)
      if (this.saved.get(table.ordinal) === text) continue
      changed.set(table.ordinal, counts)
      this.saved.set(table.ordinal, text)
    }
    await saveCounts(this.db, this.lease, changed)
    await saveSums(this.db, this.lease, this.sums(tables))
  }

  /** The sums over all tables, with the sample of this moment. */
  sums(tables: TableProgress[]): Sums {
    const sum = (pick: (t: TableProgress) => number) => tables.reduce((total, t) => total + pick(t), 0)
    const seconds = this.before + (performance.now() - this.started) / 1000
    const rows = sum(t => t.rowsRead)
    const bytes = sum(t => t.bytesRead)
    const last = this.samples.at(-1)
    if (!last || seconds - last[0] >= this.every * 0.9) {
      this.samples.push([Math.round(seconds * 10) / 10, rows, Math.round(bytes)])
    }
    if (this.samples.length > MOST_SAMPLES) {
      this.samples = this.samples.filter((_, i) => i % 2 === 0)
      this.every *= 2
    }
    return {
      rows_read: rows,
      rows_copied: sum(t => t.rowsCopied),
      rows_skipped: sum(t => t.rowsSkipped),
      bytes_read: Math.round(bytes),
      bytes_written: Math.round(sum(t => t.bytesWritten)),
      tables: tables.length,
      tables_done: tables.filter(t => t.state === 'completed').length,
      samples: JSON.stringify(this.samples),
    }
  }
}

function countsOf(t: TableProgress): Counts {
  return {
    state: t.state,
    rows_read: t.rowsRead,
    rows_copied: t.rowsCopied,
    rows_skipped: t.rowsSkipped,
    bytes_read: Math.round(t.bytesRead),
    bytes_written: Math.round(t.bytesWritten),
    started_at: t.startedAt === undefined ? null : new Date(t.startedAt).toISOString(),
  }
}
