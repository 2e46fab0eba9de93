/** The report of a run, with the names that Azure Data Factory's copy activity output has. */

import type { TableProgress } from '../engine/progress.ts'
import type { FerryError } from '../errors.ts'
import type { RunState } from '../state/schema.ts'

export interface RunReport {
  runId: string
  job: string
  status: RunState
  resumed: boolean
  rowsRead: number
  rowsCopied: number
  rowsSkipped: number
  /** Bytes as read from the source and as handed to the destination. */
  dataRead: number
  dataWritten: number
  /** Seconds. */
  copyDuration: number
  /** Kilobytes read a second. */
  throughput: number
  usedParallelCopies: number
  errors: { code: string; message: string; hint: string; table?: string }[]
  executionDetails: TableReport[]
}

export interface TableReport {
  source: string
  sink: string
  status: RunState
  encoding: string
  start?: string
  duration: number
  rowsRead: number
  rowsCopied: number
  rowsSkipped: number
  dataRead: number
  dataWritten: number
  throughput: number
  /** What was inferred about the source. */
  guesses?: string[]
}

export function errorInfo(error: FerryError, table?: string) {
  return { code: error.code, message: error.message, hint: error.hint, table }
}

export function reportOf(
  run: { id: string; job: string; resumed: boolean; parallel: number; seconds: number },
  status: RunState,
  tables: TableProgress[],
  failure: FerryError | undefined,
): RunReport {
  const sum = (pick: (t: TableProgress) => number) => tables.reduce((total, t) => total + pick(t), 0)
  const dataRead = sum(t => t.bytesRead)
  const rowsSkipped = sum(t => t.rowsSkipped)
  const errors = tables.flatMap(t => (t.error ? [errorInfo(t.error, t.from)] : []))
  return {
    runId: run.id,
    job: run.job,
    status,
    resumed: run.resumed,
    rowsRead: sum(t => t.rowsRead),
    rowsCopied: sum(t => t.rowsCopied),
    rowsSkipped,
    dataRead,
    dataWritten: sum(t => t.bytesWritten),
    copyDuration: round(run.seconds),
    throughput: round(dataRead / 1000 / Math.max(run.seconds, 0.001)),
    usedParallelCopies: run.parallel,
    errors: failure && errors.length === 0 ? [errorInfo(failure)] : errors,
    executionDetails: tables.map(tableReport),
  }
}

function tableReport(t: TableProgress): TableReport {
  const seconds = t.startedAt === undefined ? 0 : ((t.endedAt ?? Date.now()) - t.startedAt) / 1000
  return {
    source: t.from,
    sink: t.to,
    status: t.state,
    encoding: t.encoding,
    ...(t.startedAt === undefined ? {} : { start: new Date(t.startedAt).toISOString() }),
    duration: round(seconds),
    rowsRead: t.rowsRead,
    rowsCopied: t.rowsCopied,
    rowsSkipped: t.rowsSkipped,
    dataRead: t.bytesRead,
    dataWritten: t.bytesWritten,
    throughput: round(t.bytesRead / 1000 / Math.max(seconds, 0.001)),
    ...(t.guesses ? { guesses: t.guesses } : {}),
  }
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000
}
