/** Names by pattern. Matching takes time proportional to the lengths of pattern and name. */
import { FerryError } from './errors.ts'

/** The most alternatives `{a,b}` of one pattern. */
const MOST_ALTERNATIVES = 256

export type Token = { kind: 'many' } | { kind: 'one' } | { kind: 'of'; has: (char: string) => boolean }

/** `*` and `?` in a name, in any case of letters unless `exact` is true. */
export function matcher(pattern: string, { exact = false } = {}): (name: string) => boolean {
  const fold = (text: string) => (exact ? text : text.toLowerCase())
  const tokens = [...fold(pattern)].map(plainToken)
  return name => matches(tokens, [...fold(name)])
}

function plainToken(char: string): Token {
  return char === '*' ? { kind: 'many' } : char === '?' ? { kind: 'one' } : { kind: 'of', has: c => c === char }
}

/** True if `name` has the form of `tokens`. One after the other; behind a `*` that took too little it is tried again from one character further on. */
export function matches(tokens: Token[], name: string[]): boolean {
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
export function segmentTokens(segment: string): Token[] {
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

/** No name has it. */
const SET = '\0'

/** The patterns that `{a,b}` in a pattern expands to, nested ones too. Throws FERRY-1003 for too many. */
export function alternatives(pattern: string): string[] {
  // A brace in a set stands for itself.
  let found = [pattern.replaceAll('[{]', SET)]
  for (;;) {
    const next = found.flatMap(one => {
      const [, before, inner, after] = /^(.*?)\{([^{}]*,[^{}]*)\}(.*)$/s.exec(one) ?? []
      return inner === undefined ? [one] : inner.split(',').map(part => `${before}${part}${after}`)
    })
    if (next.length > MOST_ALTERNATIVES) {
      throw new FerryError('FERRY-1003', `the pattern stands for more than ${MOST_ALTERNATIVES} others`)
    }
    if (next.length === found.length && next.every((one, i) => one === found[i]))
      return found.map(one => one.replaceAll(SET, '[{]'))
    found = next
  }
}

/** True if a part of a path is a pattern. */
export const isMagic = (segment: string) => /[*?[]/.test(segment)

/** The segments of a path's pattern; undefined for `**`, which is any number of folders. */
export type PathTokens = (Token[] | undefined)[]

export const pathTokens = (segments: string[]): PathTokens =>
  segments.map(segment => (segment === '**' ? undefined : segmentTokens(segment)))

/** True if the names of a path match. It takes time proportional to their number times that of the segments. */
export function matchesPath(segments: PathTokens, names: string[]): boolean {
  // Which numbers of segments the names so far can match.
  let reachable = new Set([0, ...following(segments, 0)])
  for (const name of names) {
    const next = new Set<number>()
    for (const at of reachable) {
      if (at >= segments.length) continue
      const tokens = segments[at]
      if (tokens === undefined) next.add(at)
      else if (matches(tokens, [...name])) next.add(at + 1)
    }
    for (const at of [...next]) for (const more of following(segments, at)) next.add(more)
    reachable = next
  }
  return reachable.has(segments.length)
}

/** A `**` may match no name. */
function following(segments: PathTokens, at: number): number[] {
  const found: number[] = []
  for (let i = at; i < segments.length && segments[i] === undefined; i++) found.push(i + 1)
  return found
}
