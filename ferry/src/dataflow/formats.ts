/** Patterns of Java for dates and numbers, as the engine has them. */
import { FerryError } from '../errors.ts'

/** Letters of Java's patterns, longest first, as `strftime` has them. */
const DATES: [RegExp, string][] = [
  [/^yyyy|^uuuu/, '%Y'],
  [/^yy/, '%y'],
  [/^MMMM/, '%B'],
  [/^MMM/, '%b'],
  [/^MM/, '%m'],
  [/^M/, '%-m'],
  [/^dd/, '%d'],
  [/^d/, '%-d'],
  [/^DDD/, '%j'],
  [/^HH/, '%H'],
  [/^H/, '%-H'],
  [/^hh/, '%I'],
  [/^h/, '%-I'],
  [/^mm/, '%M'],
  [/^m/, '%-M'],
  [/^ss/, '%S'],
  [/^s/, '%-S'],
  [/^SSSSSS/, '%f'],
  [/^SSS/, '%g'],
  [/^a/, '%p'],
  [/^EEEE/, '%A'],
  [/^E{1,3}/, '%a'],
  [/^XXX|^XX|^X|^Z/, '%z'],
]

/** Throws FERRY-7006 for a letter that is not known. */
export function datePattern(java: string): string {
  let found = ''
  for (let rest = java; rest !== ''; ) {
    const quoted = /^'((?:[^']|'')*)'/.exec(rest)
    if (quoted) {
      found += quoted[1] === '' ? "'" : quoted[1]!.replaceAll("''", "'").replaceAll('%', '%%')
      rest = rest.slice(quoted[0].length)
      continue
    }
    const known = DATES.find(([pattern]) => pattern.test(rest))
    if (known) {
      const [word] = known[0].exec(rest)!
      // `yyyyy` and `ddd` mean something else in Java.
      if (rest[word.length] === word[0] && /[a-zA-Z]/.test(word[0]!)) throw unknown(java, rest)
      found += known[1]
      rest = rest.slice(word.length)
      continue
    }
    if (/^[a-zA-Z]/.test(rest)) throw unknown(java, rest)
    found += rest[0] === '%' ? '%%' : rest[0]
    rest = rest.slice(1)
  }
  return found
}

function unknown(java: string, rest: string): FerryError {
  return new FerryError(
    'FERRY-7006',
    `the pattern ${JSON.stringify(java)} is not known here from ${JSON.stringify(rest)} on`,
  )
}

export interface NumberPattern {
  prefix: string
  suffix: string
  isGrouped: boolean
  leastWhole: number
  leastFraction: number
  mostFraction: number
}

/** Throws FERRY-7006 for what is not known: exponents, percents. */
export function numberPattern(java: string): NumberPattern {
  const match = /^([^#0,.E%‰;']*)([#0,]*)(?:\.([#0]*))?([^#0,.E%‰;']*)$/.exec(java)
  if (!match || (match[2] === '' && match[3] === undefined)) {
    throw new FerryError('FERRY-7006', `the pattern ${JSON.stringify(java)} of a number is not known here`)
  }
  const [, prefix = '', whole = '', fraction = '', suffix = ''] = match
  const zeros = (text: string) => text.replace(/[^0]/g, '').length
  return {
    prefix,
    suffix,
    isGrouped: whole.includes(','),
    leastWhole: zeros(whole),
    leastFraction: zeros(fraction),
    mostFraction: fraction.length,
  }
}
