/** Objects by pattern. What is listed is only what can match: each segment of the pattern narrows the prefix. */
import { FerryError } from '../../errors.ts'
import { alternatives, isMagic, matches, matchesPath, pathTokens, segmentTokens } from '../../glob.ts'
import type { ObjectService, RemoteHead } from './service.ts'
import { retried } from './upload.ts'

/** The most objects that one pattern finds. */
export const MOST_OBJECTS = 2_000_000

/** Yields the objects whose keys match a pattern below a folder (empty, or with a slash at its end); each once, in no order. */
export async function* findObjects(
  service: ObjectService,
  folder: string,
  pattern: string,
): AsyncGenerator<RemoteHead[]> {
  const all = alternatives(pattern).map(one => placeOf(folder, one, service.keysArePaths === true))
  // Several alternatives may find the same object.
  const seen = all.length > 1 ? new Set<string>() : undefined
  const fresh = (found: RemoteHead[]) => (seen ? found.filter(o => !seen.has(o.key) && seen.add(o.key)) : found)
  /** What is behind a `**`, by the prefix before it: all of them are answered by one listing. */
  const deeps = new Map<string, string[][]>()
  for (const { prefix, segments } of all) {
    if (segments[0] === '**') deeps.set(prefix, [...(deeps.get(prefix) ?? []), segments.slice(1)])
    else for await (const found of walk(service, prefix, segments)) yield fresh(found)
  }
  for (const [prefix, rests] of deeps) for await (const found of deep(service, prefix, rests)) yield fresh(found)
}

/** The parts of a name between slashes. Of a key that is no path each of them counts, empty ones too. */
export function segmentsOf(name: string, arePaths: boolean): string[] {
  const segments = name.split('/')
  return arePaths ? segments.filter(s => s !== '' && s !== '.') : segments
}

/** What keys begin with that match a pattern, and the segments behind it, of which the first one is a pattern. */
function placeOf(folder: string, pattern: string, arePaths: boolean): { prefix: string; segments: string[] } {
  const segments = segmentsOf(pattern, arePaths)
  if (segments.includes('..')) throw new FerryError('FERRY-2006', `${pattern} leads out of the folder`)
  return literal(folder, segments)
}

/** Moves segments that are no patterns into the prefix. */
function literal(before: string, segments: string[]): { prefix: string; segments: string[] } {
  const first = segments.findIndex(isMagic)
  if (first < 0) return { prefix: before + segments.join('/'), segments: [] }
  return {
    prefix: [before, ...segments.slice(0, first).map(s => `${s}/`)].join(''),
    segments: segments.slice(first),
  }
}

async function* walk(service: ObjectService, prefix: string, segments: string[]): AsyncGenerator<RemoteHead[]> {
  const [segment, ...rest] = segments
  if (segment === undefined) {
    const head = await retried(service, prefix, () => service.head(prefix))
    if (head) yield [head]
    return
  }
  if (segment === '**') {
    yield* deep(service, prefix, [rest])
    return
  }
  const tokens = segmentTokens(segment)
  const beginning = /^[^*?[]*/.exec(segment)![0]
  const fits = (name: string) => isShown(name, segment) && matches(tokens, [...name])
  for await (const { objects, folders } of service.list(prefix + beginning, true)) {
    if (rest.length === 0) {
      const found = objects.filter(o => fits(o.key.slice(prefix.length)))
      if (found.length > 0) yield found
      continue
    }
    for (const name of folders) {
      if (!fits(name.slice(prefix.length, -1))) continue
      const below = literal(name, rest)
      yield* walk(service, below.prefix, below.segments)
    }
  }
}

/** `**`: any number of folders. All below the prefix is listed once; an object is found by any of the patterns `rests`. */
async function* deep(service: ObjectService, prefix: string, rests: string[][]): AsyncGenerator<RemoteHead[]> {
  const patterns = rests.map(rest => ({
    tokens: pathTokens(['**', ...rest]),
    showsHidden: rest.at(-1)?.startsWith('.') === true,
  }))
  const fits = (key: string) => {
    const names = key.slice(prefix.length).split('/')
    if (names.slice(0, -1).some(name => name.startsWith('.'))) return false
    const isHidden = names.at(-1)!.startsWith('.')
    return patterns.some(p => (!isHidden || p.showsHidden) && matchesPath(p.tokens, names))
  }
  for await (const { objects } of service.list(prefix, false)) {
    const found = objects.filter(o => fits(o.key))
    if (found.length > 0) yield found
  }
}

/** Names that begin with a dot are hidden, unless the pattern begins with one. */
function isShown(name: string, segment: string): boolean {
  return !name.startsWith('.') || segment.startsWith('.')
}
