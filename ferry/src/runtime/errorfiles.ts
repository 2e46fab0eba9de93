/** Files of rows that were skipped, beside the state: one line of JSON a row, one file a split and checkpoint. */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Rejected } from '../batch/encoding.ts'

export interface ErrorLine extends Rejected {
  table: string
}

export function errorFolder(home: string, run: string): string {
  return join(home, 'errors', run)
}

/**
 * Keeps what was skipped since a checkpoint. The name comes from the checkpoint, so that a segment that is copied again
 * after a crash replaces its own lines instead of repeating them.
 */
export function writeErrors(
  folder: string,
  ordinal: number,
  split: number,
  from: string | undefined,
  table: string,
  rows: Rejected[],
): void {
  const mark = from === undefined ? 'start' : createHash('sha256').update(from).digest('hex').slice(0, 12)
  const path = join(folder, `${ordinal}-${split}-${mark}.jsonl`)
  if (rows.length === 0) {
    rmSync(path, { force: true })
    return
  }
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const lines = rows.map(row => `${JSON.stringify({ table, ...row } satisfies ErrorLine)}\n`)
  writeFileSync(`${path}.tmp`, lines.join(''), { mode: 0o600, flush: true })
  renameSync(`${path}.tmp`, path)
}

/** The error files of a table in a run, with their lines. */
export function readErrors(folder: string, ordinal: number): { path: string; lines: ErrorLine[] }[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder)
    .filter(name => name.startsWith(`${ordinal}-`) && name.endsWith('.jsonl'))
    .sort()
    .map(name => {
      const path = join(folder, name)
      const lines = readFileSync(path, 'utf8').split('\n').filter(Boolean)
      return { path, lines: lines.map(line => JSON.parse(line) as ErrorLine) }
    })
}
