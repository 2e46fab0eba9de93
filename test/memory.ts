/** Peak memory of a copy of synthesised rows, by the operating system's own account (Linux). */
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { program } from './support.ts'

export interface Shape {
  /** Bytes of a row, and what it is copied to. */
  rowBytes: number
  destination: (folder: string) => string[]
}

export const SHAPES: Record<string, Shape> = {
  'bytes to CSV': { rowBytes: 1000, destination: () => ['-', '--to-format', 'csv'] },
  'rows to JSON Lines': { rowBytes: 1000, destination: folder => [join(folder, 'out.jsonl')] },
  'bytes to Parquet, through DuckDB': { rowBytes: 1000, destination: folder => [join(folder, 'out.parquet')] },
  'rows of 5 MB to CSV': { rowBytes: 5_000_000, destination: () => ['-', '--to-format', 'csv'] },
  'rows of 5 MB to JSON Lines': { rowBytes: 5_000_000, destination: folder => [join(folder, 'out.jsonl')] },
}

/** Peak resident memory, in MB, of copying so many bytes. */
export async function peakMemory(url: string, shape: Shape, bytes: number, folder: string): Promise<number> {
  const rows = Math.max(1, Math.round(bytes / shape.rowBytes))
  // Digits that differ from row to row, so that Parquet's encodings have something to do.
  const query = `SELECT i AS id, repeat(md5(i::text), ${Math.ceil(shape.rowBytes / 32)}) AS v FROM generate_series(1, ${rows}) i`
  const args = [program, 'copy', url, ...shape.destination(folder), '--query', query, '--quiet', '--full-refresh']
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, FERRY_HOME: join(folder, 'home') },
  })
  let errors = ''
  child.stderr.on('data', text => {
    errors += text
  })
  let peak = 0
  const timer = setInterval(() => {
    try {
      const line = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))
      if (line) peak = Math.max(peak, Number(line[1]) / 1000)
    } catch {
      // It has ended between two looks.
    }
  }, 20)
  const code = await new Promise(resolve => child.on('close', resolve))
  clearInterval(timer)
  if (code !== 0) throw new Error(errors)
  return Math.round(peak)
}
