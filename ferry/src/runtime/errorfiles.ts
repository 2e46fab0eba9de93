/** Files of rows that were skipped, beside the state: one line of JSON a row, one file a split and checkpoint. */
import { createHash } from 'node:crypto'
import { createReadStream, existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { Rejected } from '../batch/encoding.ts'
import type { SplitId } from '../contract/split.ts'

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
  split: SplitId,
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

/** The error files of a table in a run. */
export function errorFiles(folder: string, ordinal: number): string[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder)
    .filter(name => name.startsWith(`${ordinal}-`) && name.endsWith('.jsonl'))
    .sort()
    .map(name => join(folder, name))
}

/** Bytes of a line that is told as it is, and of all lines that are told at one time. */
const MOST_LINE = 200_000
const MOST_TOLD = 4_000_000

/** How many lines the error files have, and the first of them: at most `limit`, and about 4 MB. */
export async function firstErrors(paths: string[], limit: number): Promise<{ total: number; lines: ErrorLine[] }> {
  const lines: ErrorLine[] = []
  let total = 0
  let told = 0
  const tell = (path: string, parts: Buffer[], bytes: number) => {
    if (lines.length === limit || told + Math.min(bytes, MOST_LINE) > MOST_TOLD) return
    if (bytes > MOST_LINE) {
      const where = join('errors', basename(dirname(path)), basename(path))
      lines.push({
        table: '',
        place: where,
        reason: `a row of ${bytes} bytes: it is in ${where} of the state's folder`,
      })
    } else lines.push(JSON.parse(Buffer.concat(parts).toString()))
    told += Math.min(bytes, MOST_LINE)
  }
  for (const path of paths) {
    let parts: Buffer[] = []
    let bytes = 0
    for await (const chunk of createReadStream(path, { highWaterMark: 1_000_000 }) as AsyncIterable<Buffer>) {
      let from = 0
      for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
        total++
        bytes += end - from
        if (bytes <= MOST_LINE) parts.push(chunk.subarray(from, end))
        tell(path, parts, bytes)
        parts = []
        bytes = 0
        from = end + 1
      }
      bytes += chunk.length - from
      if (bytes <= MOST_LINE) parts.push(chunk.subarray(from))
    }
  }
  return { total, lines }
}
