/** Moments as texts, by the standard and custom formats of .NET. */
import { FerryError } from '../../errors.ts'
import { culture, namesOf, separatorOf } from './culture.ts'
import { type Civil, civilOf, type Instant } from './instant.ts'

type Piece = (civil: Civil, instant: Instant) => string

const MOST_KEPT = 1000
const kept = new Map<string, Piece[]>()

/** The format of functions that name none. */
export const ROUND_TRIP = 'yyyy-MM-ddTHH:mm:ss.fffffffK'

/** Formats a moment. Throws FERRY-7003 for a format that .NET does not know either. */
export function formatInstant(instant: Instant, format: string, locale = 'en-US'): string {
  const key = `${locale}\0${format}`
  let pieces = kept.get(key)
  if (!pieces) {
    pieces = piecesOf(format, locale)
    if (kept.size >= MOST_KEPT) kept.clear()
    kept.set(key, pieces)
  }
  const civil = civilOf(instant)
  let text = ''
  for (const piece of pieces) text += piece(civil, instant)
  return text
}

const FIXED: Record<string, string> = {
  o: ROUND_TRIP,
  O: ROUND_TRIP,
  r: "ddd, dd MMM yyyy HH':'mm':'ss 'GMT'",
  R: "ddd, dd MMM yyyy HH':'mm':'ss 'GMT'",
  s: "yyyy'-'MM'-'dd'T'HH':'mm':'ss",
  u: "yyyy'-'MM'-'dd HH':'mm':'ss'Z'",
}

function standard(letter: string, locale: string): string | undefined {
  if (Object.hasOwn(FIXED, letter)) return FIXED[letter]
  const { d, D, t, T, M, Y } = culture(locale).patterns
  const all: Record<string, string> = {
    d,
    D,
    t,
    T,
    f: `${D} ${t}`,
    F: `${D} ${T}`,
    U: `${D} ${T}`,
    g: `${d} ${t}`,
    G: `${d} ${T}`,
    m: M,
    M,
    y: Y,
    Y,
  }
  return Object.hasOwn(all, letter) ? all[letter] : undefined
}

/** A custom format in its parts: runs of a letter, and texts that stand for themselves. */
export type Token = { letter: string; length: number } | { text: string }

/** The parts of a standard or custom format, and the culture whose words it has. Throws FERRY-7003. */
export function tokensOf(format: string, locale: string): { tokens: Token[]; locale: string } {
  if (format.length === 1) {
    const pattern = standard(format, locale)
    if (pattern === undefined) throw new FerryError('FERRY-7003', `"${format}" is no format of dates`)
    const own = /[rRsuoO]/.test(format) ? 'en-US' : locale
    return { tokens: custom(pattern, own), locale: own }
  }
  // "%d" is the custom format d.
  return { tokens: custom(format === '' ? standard('G', locale)! : format, locale), locale }
}

function piecesOf(format: string, given: string): Piece[] {
  const { tokens, locale } = tokensOf(format, given)
  return tokens.map(token => {
    if ('text' in token) return () => token.text
    return pieceOf(token.letter, token.length, locale)!
  })
}

const two = (n: number) => (n < 10 ? `0${n}` : String(n))

const LETTERS = 'dMyHhmsfFtKzg'

function custom(pattern: string, locale: string): Token[] {
  const tokens: Token[] = []
  for (let at = 0; at < pattern.length; ) {
    const letter = pattern[at]!
    if (letter === '\\') {
      const next = pattern[at + 1]
      if (next === undefined) throw new FerryError('FERRY-7003', `the format "${pattern}" ends with \\`)
      tokens.push({ text: next })
      at += 2
    } else if (letter === "'" || letter === '"') {
      const end = pattern.indexOf(letter, at + 1)
      if (end < 0) throw new FerryError('FERRY-7003', `the format "${pattern}" has a quote that is not closed`)
      tokens.push({ text: pattern.slice(at + 1, end) })
      at = end + 1
    } else if (letter === '%') at++
    else if (LETTERS.includes(letter)) {
      let length = 1
      while (pattern[at + length] === letter) length++
      tokens.push({ letter, length })
      at += length
    } else {
      // A slash and a colon stand for what the culture has between the parts of a date and of a time.
      const isSeparator = letter === '/' || letter === ':'
      tokens.push({ text: isSeparator ? separatorOf(locale, letter) : letter })
      at++
    }
  }
  if (tokens.some(t => 'letter' in t && t.letter === 'd' && t.length <= 2)) return tokens
  return tokens.map(t => ('letter' in t && t.letter === 'M' && t.length > 2 ? { ...t, letter: 'L' } : t))
}

function pieceOf(letter: string, length: number, locale: string): Piece | undefined {
  switch (letter) {
    case 'd': {
      if (length === 1) return c => String(c.day)
      if (length === 2) return c => two(c.day)
      const { days, shortDays } = namesOf(locale)
      return length === 3 ? c => shortDays[c.weekday]! : c => days[c.weekday]!
    }
    case 'M': {
      if (length === 1) return c => String(c.month)
      if (length === 2) return c => two(c.month)
      const { months, shortMonths } = namesOf(locale)
      return length === 3 ? c => shortMonths[c.month - 1]! : c => months[c.month - 1]!
    }
    case 'L': {
      const { loneMonths, loneShortMonths } = namesOf(locale)
      return length === 3 ? c => loneShortMonths[c.month - 1]! : c => loneMonths[c.month - 1]!
    }
    case 'y':
      if (length === 1) return c => String(c.year % 100)
      if (length === 2) return c => two(c.year % 100)
      return c => String(c.year).padStart(length, '0')
    case 'H':
      return length === 1 ? c => String(c.hour) : c => two(c.hour)
    case 'h':
      return length === 1 ? c => String(c.hour % 12 || 12) : c => two(c.hour % 12 || 12)
    case 'm':
      return length === 1 ? c => String(c.minute) : c => two(c.minute)
    case 's':
      return length === 1 ? c => String(c.second) : c => two(c.second)
    case 'f':
    case 'F': {
      if (length > 7) throw new FerryError('FERRY-7003', 'a format has at most 7 digits of a second')
      const digits: Piece = (c, { ticks }) =>
        (String(c.millisecond).padStart(3, '0') + String(ticks).padStart(4, '0')).slice(0, length)
      return letter === 'f' ? digits : (c, i) => digits(c, i).replace(/0+$/, '')
    }
    case 't': {
      const { am, pm } = namesOf(locale)
      return length === 1 ? c => (c.hour < 12 ? am : pm).slice(0, 1) : c => (c.hour < 12 ? am : pm)
    }
    case 'K':
      return (_c, { isUtc }) => (isUtc ? 'Z'.repeat(length) : '')
    case 'z':
      return () => (length === 1 ? '+0' : length === 2 ? '+00' : '+00:00')
    case 'g':
      return () => 'A.D.'
    default:
      return undefined
  }
}
