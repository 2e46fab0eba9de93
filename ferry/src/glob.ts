/**
 * Names by pattern. Matching takes time by the lengths of pattern and name alone; files are found by what folders say of
 * themselves, so that no pattern leads out of where it begins.
 */
import { readdir, stat } from 'node:fs/promises'
import { join, parse, resolve, sep } from 'node:path'
import { isAllowed } from './confinement.ts'
import { FerryError } from './errors.ts'

/** So many alternatives `{a,b}` a pattern may stand for, and so many files be found by one. */
const MOST_ALTERNATIVES = 256
const MOST_FILES = 100_000

type Token = { kind: 'many' } | { kind: 'one' } | { kind: 'of'; has: (char: string) => boolean }

/** `*` and `?` in a name, whatever its case unless `exact` says so. */
export function matcher(pattern: string, { exact = false } = {}): (name: string) => boolean {
  const fold = (text: string) => (exact ? text : text.toLowerCase())
  const tokens = [...fold(pattern)].map(plainToken)
  return name => matches(tokens, [...fold(name)])
}

function plainToken(char: string): Token {
  return char === '*' ? { kind: 'many' } : char === '?' ? { kind: 'one' } : { kind: 'of', has: c => c === char }
}

/** One after the other; behind a `*` that took too little it is tried again from one character further on. */
function matches(tokens: Token[], name: string[]): boolean {
  let [at, token, star, from] = [0, 0, -1, 0]
  while (at < name.length) {
    const t = tokens[token]
    if (t?.kind === 'many') {
      star = token++
      from = at
    } else if (t && (t.kind === 'one' || t.has(name[at]!))) {
      at++
      token++
    } else if (star >= 0) {
      token = star + 1
      at = ++from
    } else return false
  }
  while (tokens[token]?.kind === 'many') token++
  return token === tokens.length
}

/** A part of a path between slashes: `*`, `?`, `[a-z]`, `[!a]`. */
function segmentTokens(segment: string): Token[] {
  const chars = [...segment]
  const tokens: Token[] = []
  for (let i = 0; i < chars.length; i++) {
    const close = chars[i] === '[' ? chars.indexOf(']', i + (/[!^]/.test(chars[i + 1] ?? '') ? 3 : 2)) : -1
    if (close < 0) {
      tokens.push(plainToken(chars[i]!))
      continue
    }
    tokens.push({ kind: 'of', has: setOf(chars.slice(i + 1, close)) })
    i = close
  }
  return tokens
}

function setOf(chars: string[]): (char: string) => boolean {
  const isNot = chars[0] === '!' || chars[0] === '^'
  const all = isNot ? chars.slice(1) : chars
  const ranges: [string, string][] = []
  for (let i = 0; i < all.length; i++) {
    if (all[i + 1] === '-' && i + 2 < all.length) {
      ranges.push([all[i]!, all[i + 2]!])
      i += 2
    } else ranges.push([all[i]!, all[i]!])
  }
  return char => ranges.some(([from, to]) => char >= from && char <= to) !== isNot
}

/** What `{a,b}` in a pattern stands for, one within another too. Throws FERRY-1003 for too many. */
function alternatives(pattern: string): string[] {
  let found = [pattern]
  for (;;) {
    const next = found.flatMap(one => {
      const [, before, inner, after] = /^(.*?)\{([^{}]*,[^{}]*)\}(.*)$/s.exec(one) ?? []
      return inner === undefined ? [one] : inner.split(',').map(part => `${before}${part}${after}`)
    })
    if (next.length > MOST_ALTERNATIVES) {
      throw new FerryError('FERRY-1003', `the pattern stands for more than ${MOST_ALTERNATIVES} others`)
    }
    if (next.length === found.length && next.every((one, i) => one === found[i])) return found
    found = next
  }
}

const isMagic = (segment: string) => /[*?[]/.test(segment)

/**
 * Files and folders that a path with patterns names, sorted, each once. The folder that it starts from is no pattern,
 * whatever its name; what `isSeen` does not allow, links followed, is not there.
 */
export async function find(
  pattern: string,
  from = '.',
  isSeen: (path: string) => boolean = isAllowed,
): Promise<string[]> {
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
