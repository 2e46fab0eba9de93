/** JSON as it comes from callers. */
import { FerryError } from '../errors.ts'
import { MOST_DEPTH } from '../job/read.ts'

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/**
 * Throws FERRY-6003 for a text of JSON whose values lie too deep within one another, or where a key occurs twice in an
 * object: of these JSON keeps the last one, silently.
 */
export function refuseUnclear(text: string): void {
  const open: (Set<string> | undefined)[] = []
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i)
    if (c === 0x5b || c === 0x7b) {
      open.push(c === 0x7b ? new Set() : undefined)
      if (open.length > MOST_DEPTH) {
        throw new FerryError('FERRY-6003', `values lie more than ${MOST_DEPTH} deep within one another`)
      }
    } else if (c === 0x5d || c === 0x7d) open.pop()
    else if (c === 0x22) {
      const start = i
      for (i++; i < text.length && text.charCodeAt(i) !== 0x22; i++) if (text.charCodeAt(i) === 0x5c) i++
      const keys = open.at(-1)
      if (keys && isKey(text, i + 1)) refuseTwice(keys, text.slice(start, i + 1))
    }
  }
}

/** Whether what ends before a place is followed by a colon. */
function isKey(text: string, at: number): boolean {
  let end = at
  while (text.charCodeAt(end) <= 0x20) end++
  return text.charCodeAt(end) === 0x3a
}

function refuseTwice(keys: Set<string>, quoted: string): void {
  let key = quoted
  try {
    if (quoted.includes('\\')) key = JSON.stringify(JSON.parse(quoted))
  } catch {
    // It is no JSON: the parser reports that.
  }
  if (keys.has(key)) throw new FerryError('FERRY-6003', `the key ${key.slice(0, 100)} stands twice`)
  keys.add(key)
}
