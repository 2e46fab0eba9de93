/** Files by pattern. Folders are listed, so that no pattern leads out of where it begins. */
import { readdir, stat } from 'node:fs/promises'
import { join, parse, resolve, sep } from 'node:path'
import { FerryError } from '../../errors.ts'
import { alternatives, isMagic, matches, segmentTokens } from '../../glob.ts'
import { isFerrys, type ObjectHead } from '../store.ts'
import { translate } from './errors.ts'

/** The most files that one pattern finds. */
const MOST_FILES = 100_000

/**
 * Files and folders that a path with patterns names, sorted, each once. The folder that it starts from is no pattern,
 * whatever its name; what `isSeen` does not allow, links followed, is not there.
 */
export async function find(pattern: string, from: string, isSeen: (path: string) => boolean): Promise<string[]> {
  const found = new Set<string>()
  const base = resolve(from)
  for (const one of alternatives(pattern)) {
    const path = resolve(base, one)
    const start = path === base || path.startsWith(join(base, sep)) ? base : parse(path).root
    const segments = path.slice(start.length).split(sep).filter(Boolean)
    const first = segments.findIndex(isMagic)
    const plain = first < 0 ? segments : segments.slice(0, first)
    await walk(join(start, ...plain), first < 0 ? [] : segments.slice(first), { found, isSeen })
  }
  return [...found].sort()
}

interface Walk {
  found: Set<string>
  isSeen: (path: string) => boolean
}

async function walk(path: string, segments: string[], going: Walk): Promise<void> {
  const { found, isSeen } = going
  if (!isSeen(path)) return
  const [segment, ...rest] = segments
  if (segment === undefined) {
    if (!(await stat(path).catch(() => undefined))) return
    found.add(path)
    if (found.size > MOST_FILES) throw new FerryError('FERRY-1003', `more than ${MOST_FILES} files match`)
    return
  }
  if (!isMagic(segment)) return walk(join(path, segment), rest, going)
  const isDeep = segment === '**'
  if (isDeep) await walk(path, rest, going)
  const tokens = isDeep ? [] : segmentTokens(segment)
  const entries = await readdir(path, { withFileTypes: true }).catch(() => [])
  for (const entry of entries) {
    const { name } = entry
    // Hidden names are matched by patterns that begin with a dot.
    if (name.startsWith('.') && (isDeep || !segment.startsWith('.'))) continue
    if (isDeep) {
      // Links to folders could lead around in circles.
      if (entry.isDirectory()) await walk(join(path, name), segments, going)
    } else if (matches(tokens, [...name])) await walk(join(path, name), rest, going)
  }
}

/** All files below a folder, hidden ones too, but for what Ferry keeps there. Links to files count as what they lead to. */
export async function* below(folder: string, isSeen: (path: string) => boolean): AsyncGenerator<ObjectHead[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(error => {
    throw translate(error, folder)
  })
  // Their bytes are lost: nothing could open them.
  const odd = entries.find(({ name }) => name.includes('\ufffd'))
  if (odd) {
    throw new FerryError('FERRY-3015', `${join(folder, odd.name)}: its name is not in UTF-8`, {
      hint: 'Rename it, for example with convmv, or copy others by a pattern.',
    })
  }
  const shown = entries.filter(({ name }) => !isFerrys(name) && isSeen(join(folder, name)))
  const files = shown.filter(entry => !entry.isDirectory()).map(({ name }) => join(folder, name))
  const heads = await Promise.all(files.map(headOf))
  yield heads.filter(head => head !== undefined)
  // Links to folders could lead around in circles.
  for (const entry of shown) if (entry.isDirectory()) yield* below(join(folder, entry.name), isSeen)
}

/** Undefined for what is no file, or is gone. */
export async function headOf(path: string): Promise<ObjectHead | undefined> {
  const info = await stat(path, { bigint: true }).catch(error => {
    // A link to nowhere, or around in a circle, is no file.
    if (error.code === 'ENOENT' || error.code === 'ELOOP') return undefined
    throw translate(error, path)
  })
  return info?.isFile() ? { key: path, size: Number(info.size), modified: info.mtimeNs } : undefined
}
