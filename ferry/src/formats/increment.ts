/** Files that are new or changed since an earlier copy, by modification time, size and version of each. */
import { z } from 'zod'
import type { Increment, ReadRequest } from '../contract/read.ts'
import { FerryError } from '../errors.ts'
import { KeptForm } from '../kept.ts'
import { type Found, type ObjectHead, type ObjectStore, sorted } from '../objects/store.ts'
import type { FileSet } from './bytes.ts'
import { keyMark, Marks, stateMark } from './marks.ts'

/** Modification time (nanoseconds since 1970), size, and version. */
const state = z.union([z.tuple([z.string(), z.number(), z.string()]), z.tuple([z.string(), z.number()])])
const older = z.record(z.string(), state)
/** What is known of the files that were copied: see `Marks`. */
const positions = new KeptForm('list of copied files', z.object({ marks: z.string() }), [
  old => old,
  old => {
    const marks = new Marks()
    for (const [key, [modified, size, version]] of Object.entries(older.parse(old))) {
      marks.set(keyMark(key), stateMark({ modified: BigInt(modified), size, version }))
    }
    return { marks: marks.write() }
  },
])
/** The files that a copy reads: their keys, or marks of them where there are many. */
const parts = new KeptForm('list of files to copy', z.union([z.array(z.string()), z.object({ marks: z.string() })]))
/** So many are kept by name, so that messages can name them. */
const MOST_NAMES = 10_000

/** The files that a copy reads, and what the next one knows of them. `after` is the position of the copy before. */
export async function newFiles(
  pages: AsyncIterable<ObjectHead[]>,
  request: ReadRequest,
  after: string | undefined,
): Promise<Increment> {
  // Entries of files that are gone stay: the files may come back, as in a folder that is mounted.
  const known = new Marks(after === undefined ? undefined : positions.read(after).marks)
  const copied = known.size
  const names: string[] = []
  const fresh = new Marks()
  let count = 0
  for await (const page of pages) {
    for (const head of page) {
      if (head.size === undefined) {
        throw new FerryError('FERRY-3012', 'standard input is read once: it has no earlier copy to go on from')
      }
      const key = keyMark(head.key)
      const state = stateMark(head)
      if (!known.set(key, state)) continue
      count++
      if (names.length < MOST_NAMES) names.push(head.key)
      fresh.set(key, state)
    }
  }
  const part = count <= MOST_NAMES ? names.sort() : { marks: fresh.write() }
  return {
    read: { ...request, part: parts.write(part) },
    // Nothing else is to be kept where nothing came.
    position: count === 0 && after !== undefined ? after : positions.write({ marks: known.write() }),
    isEmpty: after !== undefined && count === 0,
    range: `${count} files that are new or changed${copied === 0 ? '' : `; ${copied} are known`}`,
    notes: [],
  }
}

/** Yields the files that the request names, or all if it names none. Throws FERRY-3001 if one is gone since. */
export async function* partOf(
  pages: AsyncIterable<ObjectHead[]>,
  { part }: Pick<ReadRequest, 'part'>,
): AsyncGenerator<ObjectHead[]> {
  if (part === undefined) {
    yield* pages
    return
  }
  const named = parts.read(part)
  if (Array.isArray(named)) {
    const chosen = new Set(named)
    for await (const page of pages) yield page.filter(f => chosen.delete(f.key))
    const [gone] = chosen
    if (gone !== undefined)
      throw new FerryError('FERRY-3001', `${gone} was there when the run was planned, and is gone`)
    return
  }
  const marks = new Marks(named.marks)
  let found = 0
  for await (const page of pages) {
    const chosen = page.filter(f => marks.has(keyMark(f.key)))
    found += chosen.length
    yield chosen
  }
  if (found < marks.size) {
    const gone = marks.size - found
    throw new FerryError(
      'FERRY-3001',
      `${gone} of ${marks.size} files that were there when the run was planned are gone`,
    )
  }
}

/** The files that a name means, as the options say: of a folder those in it, or below it; all but hidden ones. */
export async function listed(store: ObjectStore, name: string, options: Record<string, unknown>): Promise<Found> {
  return changedWithin(await named(store, name, options), options)
}

/** Only the files that were changed from a moment on, and before another one. */
function changedWithin(found: Found, { modifiedFrom, modifiedBefore }: Record<string, unknown>): Found {
  if (modifiedFrom === undefined && modifiedBefore === undefined) return found
  const at = (moment: unknown) => BigInt(Date.parse(String(moment))) * 1_000_000n
  const from = modifiedFrom === undefined ? undefined : at(modifiedFrom)
  const before = modifiedBefore === undefined ? undefined : at(modifiedBefore)
  const chosen = async function* () {
    for await (const page of found.pages) {
      yield page.filter(
        ({ modified }) => (from === undefined || modified >= from) && (before === undefined || modified < before),
      )
    }
  }
  return { ...found, pages: chosen() }
}

async function named(store: ObjectStore, name: string, options: Record<string, unknown>): Promise<Found> {
  if (options.format === 'binary') return store.list(name, { deep: true })
  if (options.recursive !== true) return store.list(name)
  const found = await store.list(name, { deep: true })
  const isShown = ({ key }: ObjectHead) => !/(^|[/\\])\./.test(key.slice(found.base.length))
  const shown = async function* () {
    for await (const page of found.pages) yield page.filter(isShown)
  }
  return { ...found, pages: shown() }
}

/** The files that a request names, sorted by key. Undefined if there are none. */
export async function filesOf(
  store: ObjectStore,
  request: Pick<ReadRequest, 'object' | 'options' | 'part'>,
): Promise<FileSet | undefined> {
  const found = await listed(store, request.object, request.options)
  const files = await sorted(partOf(found.pages, request))
  return files.length === 0 ? undefined : { name: request.object, store, base: found.base, files }
}
