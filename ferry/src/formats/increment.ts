/** Files that are new or changed since an earlier copy, by the modification time and size of each. */
import { z } from 'zod'
import type { Increment, ReadRequest } from '../contract/read.ts'
import { FerryError } from '../errors.ts'
import { KeptForm } from '../kept.ts'
import type { ObjectHead } from '../objects/store.ts'
import type { FileSet } from './bytes.ts'

/** Path of each file that was copied, with its modification time (nanoseconds since 1970), its size, and its version. */
const position = z.record(
  z.string(),
  z.union([z.tuple([z.string(), z.number(), z.string()]), z.tuple([z.string(), z.number()])]),
)
type Position = z.output<typeof position>
const positions = new KeptForm('list of copied files', position)
/** Paths of the files that a copy reads. */
const parts = new KeptForm('list of files to copy', z.array(z.string()))

/** The files that a copy reads, and what the next one knows of them. `after` is the position of the copy before. */
export function newFiles(files: ObjectHead[], request: ReadRequest, after: string | undefined): Increment {
  const before = after === undefined ? {} : positions.read(after)
  // Entries of files that are gone stay: the files may come back, as in a folder that is mounted.
  const position: Position = { ...before }
  const fresh: string[] = []
  for (const { key, modified, size, version } of files) {
    if (size === undefined) {
      throw new FerryError('FERRY-3012', 'standard input is read once: it has no earlier copy to go on from')
    }
    const known: [string, number] = [String(modified), size]
    const found: Position[string] = version === undefined ? known : [...known, version]
    if (before[key]?.join() === found.join()) continue
    position[key] = found
    fresh.push(key)
  }
  const copied = Object.keys(before).length
  return {
    read: { ...request, part: parts.write(fresh) },
    position: positions.write(position),
    isEmpty: after !== undefined && fresh.length === 0,
    range: `${fresh.length} files that are new or changed${copied === 0 ? '' : `; ${copied} are known`}`,
    notes: [],
  }
}

/** The files of a set that the request names, or all if it names none. Throws FERRY-3001 if one is gone since. */
export function partOf(set: FileSet, { part }: ReadRequest): FileSet {
  if (part === undefined) return set
  const chosen = new Set(parts.read(part))
  const files = set.files.filter(f => chosen.delete(f.key))
  const [gone] = chosen
  if (gone !== undefined) throw new FerryError('FERRY-3001', `${gone} was there when the run was planned, and is gone`)
  return { ...set, files }
}
