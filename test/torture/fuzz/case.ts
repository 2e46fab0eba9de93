/** What a generator makes: files in pieces that the minimiser can leave out, and how they are meant to be read. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Reader } from './reader.ts'

export type Format = 'csv' | 'jsonl' | 'json' | 'parquet'

/** The columns of one Parquet file, made by `python/parquet.py`. */
export interface ParquetSpec {
  seed: string
  columns: { name: string; type: string }[]
  rows: number
  /** How often the rows are repeated. */
  repeat: number
  codec: string
  /** Rows in a row group. */
  group: number
  version: string
  dictionary: boolean
  int96: boolean
  storeSchema: boolean
  page: string
}

export type FileContent = { name: string } & ({ pieces: Buffer[] } | { parquet: ParquetSpec })

export interface Case {
  seed: number
  format: Format
  files: FileContent[]
  /** The name or pattern that the job gives. */
  object: string
  /** Options of Ferry's reader. */
  read: Record<string, unknown>
  /** How the independent reader is to read CSV. */
  csv: { delimiter: string; header: boolean }
  /** What the generator put in, for the report. */
  oddities: string[]
}

/** How many parts of a case can be left out: pieces, or columns of Parquet. */
export function partsOf(c: Case): number {
  return c.files.reduce((sum, f) => sum + ('pieces' in f ? f.pieces.length : f.parquet.columns.length), 0)
}

/** The case with only some of its parts; a file that keeps none is left out, unless it is the only one. */
export function withParts(c: Case, kept: ReadonlySet<number>): Case {
  let part = 0
  const files = c.files.map((f): FileContent => {
    if ('pieces' in f) return { ...f, pieces: f.pieces.filter(() => kept.has(part++)) }
    return { ...f, parquet: { ...f.parquet, columns: f.parquet.columns.filter(() => kept.has(part++)) } }
  })
  const filled = files.filter(f => ('pieces' in f ? f.pieces.length > 0 : f.parquet.columns.length > 0))
  return { ...c, files: filled.length > 0 ? filled : files.slice(0, 1) }
}

/** Writes the files of a case and returns their paths, sorted by name as Ferry reads them. */
export async function writeCase(c: Case, folder: string, reader: Reader): Promise<string[]> {
  for (const file of c.files) {
    const path = join(folder, file.name)
    if ('pieces' in file) writeFileSync(path, Buffer.concat(file.pieces))
    else await reader.make(path, file.parquet)
  }
  return c.files.map(f => join(folder, f.name)).sort()
}

/** A number as the sum of its half, a quarter, and so on, so that filler can be left out in parts. */
export function halves(total: number): number[] {
  const parts: number[] = []
  for (let left = total; left > 0; left -= parts.at(-1)!) parts.push(Math.ceil(left / 2))
  return parts
}
