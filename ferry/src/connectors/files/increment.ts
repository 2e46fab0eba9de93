/** Files that are new or changed since an earlier copy: told by modification time and size, file by file. */
import { stat } from 'node:fs/promises'
import { z } from 'zod'
import type { Increment, ReadRequest } from '../../contract/read.ts'
import { FerryError } from '../../errors.ts'
import { KeptForm } from '../../kept.ts'
import { type FileSet, STDIN } from './bytes.ts'

/** Path of each file that was copied, with its modification time (nanoseconds since 1970) and size. */
const position = z.record(z.string(), z.tuple([z.string(), z.number()]))
type Position = z.output<typeof position>
const positions = new KeptForm('list of copied files', position)
/** Paths of the files that a copy reads. */
const parts = new KeptForm('list of files to copy', z.array(z.string()))

/** The files that a copy reads, and what the next one knows of them. */
export async function newFiles(paths: string[], request: ReadRequest, after: string | undefined): Promise<Increment> {
  if (paths.includes(STDIN)) {
    throw new FerryError('FERRY-3012', 'standard input is read once: it has no earlier copy to go on from')
  }
  const before = after === undefined ? {} : positions.read(after)
  // What is known of a file that is gone stays: it may come back, as in a folder that is mounted.
  const position: Position = { ...before }
  const fresh: string[] = []
  for (const path of paths) {
    const { mtimeNs, size } = await stat(path, { bigint: true })
    const print: [string, number] = [String(mtimeNs), Number(size)]
    if (before[path]?.join() === print.join()) continue
    position[path] = print
    fresh.push(path)
  }
  const known = Object.keys(before).length
  return {
    read: { ...request, part: parts.write(fresh) },
    position: positions.write(position),
    isEmpty: after !== undefined && fresh.length === 0,
    range: `${fresh.length} files that are new or changed${known === 0 ? '' : `; ${known} are known`}`,
    notes: [],
  }
}

/** The files of a set that the request names, where it names some. Throws FERRY-3001 where one is gone since. */
export function partOf(set: FileSet, { part }: ReadRequest): FileSet {
  if (part === undefined) return set
  const paths = parts.read(part)
  const gone = paths.find(path => !set.paths.includes(path))
  if (gone !== undefined) throw new FerryError('FERRY-3001', `${gone} was there when the run was planned, and is gone`)
  const chosen = new Set(paths)
  const prints = set.prints.filter((_, i) => chosen.has(set.paths[i]!))
  return { ...set, paths, prints }
}
