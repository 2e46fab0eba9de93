/** Texts as moments by a format, as .NET's DateTime.ParseExact reads them: every character has to be what the format says. */
import { FerryError } from '../../errors.ts'
import { escaped } from '../escaped.ts'
import { namesOf } from './culture.ts'
import { tokensOf } from './format.ts'
import { civilOf, type Instant, instantOf } from './instant.ts'

/** Reads a text; undefined if it is not of the format, or no such moment is there. */
export type ExactParser = (text: string) => Instant | undefined

type Part =
  | 'year'
  | 'shortYear'
  | 'month'
  | 'monthName'
  | 'day'
  | 'dayName'
  | 'hour'
  | 'half'
  | 'minute'
  | 'second'
  | 'fraction'
  | 'zone'

const oneOf = (words: readonly string[]) =>
  [...words]
    .sort((a, b) => b.length - a.length)
    .map(escaped)
    .join('|')

/** Throws FERRY-7003 for a format that says one part twice, or that cannot be read. */
export function exactParser(format: string, given = 'en-US'): ExactParser {
  const { tokens, locale } = tokensOf(format, given)
  const names = namesOf(locale)
  const parts: Part[] = []
  let pattern = ''
  const take = (part: Part, expression: string) => {
    if (parts.includes(part)) throw new FerryError('FERRY-7003', `the format "${format}" says the ${part} twice`)
    parts.push(part)
    pattern += `(${expression})`
  }
  for (const token of tokens) {
    if ('text' in token) {
      pattern += escaped(token.text)
      continue
    }
    const { letter, length } = token
    const digits = length === 1 ? '\\d{1,2}' : '\\d{2}'
    switch (letter) {
      case 'y':
        if (length <= 2) take('shortYear', digits)
        else take('year', length === 3 ? '\\d{3,4}' : `\\d{${length}}`)
        break
      case 'M':
        if (length <= 2) take('month', digits)
        else take('monthName', oneOf(length === 3 ? names.shortMonths : names.months))
        break
      case 'L':
        take('monthName', oneOf(length === 3 ? names.loneShortMonths : names.loneMonths))
        break
      case 'd':
        if (length <= 2) take('day', digits)
        else take('dayName', oneOf(length === 3 ? names.shortDays : names.days))
        break
      case 'H':
      case 'h':
        take('hour', digits)
        break
      case 'm':
        take('minute', digits)
        break
      case 's':
        take('second', digits)
        break
      case 'f':
      case 'F':
        if (length > 7) throw new FerryError('FERRY-7003', 'a format has at most 7 digits of a second')
        take('fraction', letter === 'f' ? `\\d{${length}}` : `\\d{0,${length}}`)
        break
      case 't':
        if (length === 1 && names.am.slice(0, 1).toLowerCase() === names.pm.slice(0, 1).toLowerCase()) {
          throw new FerryError(
            'FERRY-7003',
            `the format "${format}" has t, which is one letter for both halves of the day in ${locale}`,
          )
        }
        take('half', oneOf([names.am, names.pm].map(word => (length === 1 ? word.slice(0, 1) : word))))
        break
      case 'K':
        take('zone', '(?:Z|[+-]\\d{2}:[0-5]\\d)?')
        break
      case 'z':
        take('zone', length === 1 ? '[+-]\\d{1,2}' : length === 2 ? '[+-]\\d{2}' : '[+-]\\d{2}:[0-5]\\d')
        break
      default:
        throw new FerryError(
          'FERRY-7003',
          `the format "${format}" has "${letter.repeat(length)}", which is not read here`,
        )
    }
  }
  // In .NET, too, a point before a fraction that may be missing may be missing.
  const whole = new RegExp(`^${pattern.replace(/\\\.\((\\d\{0,\d\})\)/g, '(?:\\.($1))?')}$`, 'i')
  const isTwelve = tokens.some(t => 'letter' in t && t.letter === 'h')
  return text => {
    const match = whole.exec(text)
    if (!match) return undefined
    const found = new Map<Part, string | undefined>(parts.map((part, i) => [part, match[i + 1]]))
    return momentOf(found, names, isTwelve)
  }
}

function momentOf(
  found: Map<Part, string | undefined>,
  { months, shortMonths, loneMonths, loneShortMonths, days, shortDays, pm }: ReturnType<typeof namesOf>,
  isTwelve: boolean,
): Instant | undefined {
  const number = (part: Part, other: number) => Number(found.get(part) ?? other)
  const name = found.get('monthName')?.toLowerCase()
  const named = [months, shortMonths, loneMonths, loneShortMonths].map(list =>
    list.findIndex(m => m.toLowerCase() === name),
  )
  const month = name === undefined ? number('month', 1) : Math.max(...named) + 1
  let hour = number('hour', 0)
  const half = found.get('half')
  if (isTwelve && (hour < 1 || hour > 12)) return undefined
  const isPm = half !== undefined && pm.toLowerCase().startsWith(half.toLowerCase())
  if (isTwelve) hour = (hour % 12) + (isPm ? 12 : 0)
  // Of 24 hours the half is only said once more.
  else if (half !== undefined && isPm !== hour >= 12) return undefined
  const year = yearOf(found)
  if (year === undefined) return undefined
  const day = number('day', 1)
  const dayName = found.get('dayName')?.toLowerCase()
  const date = instantOf({ year, month, day })
  if (date === undefined) return undefined
  const { weekday } = civilOf(date)
  if (dayName !== undefined && ![days, shortDays].some(list => list[weekday]!.toLowerCase() === dayName))
    return undefined
  const offset = offsetOf(found.get('zone'))
  if (offset !== undefined && Math.abs(offset) > 14 * 60) return undefined
  return instantOf({
    year,
    month,
    day,
    hour,
    minute: number('minute', 0),
    second: number('second', 0),
    fraction: found.get('fraction') ?? '',
    offset,
  })
}

/** Versions of .NET disagree on the century of 30 to 49: such a year is not guessed, and neither is one that is not said. */
function yearOf(found: Map<Part, string | undefined>): number | undefined {
  const short = found.get('shortYear')
  if (short === undefined) return found.has('year') ? Number(found.get('year')) : undefined
  const year = Number(short)
  return year < 30 ? 2000 + year : year >= 50 ? 1900 + year : undefined
}

function offsetOf(zone: string | undefined): number | undefined {
  if (zone === undefined || zone === '') return undefined
  if (/^z$/i.test(zone)) return 0
  const [, sign, hours, minutes = '0'] = /^([+-])(\d{1,2})(?::(\d{2}))?$/.exec(zone)!
  return (sign === '-' ? -1 : 1) * (Number(hours) * 60 + Number(minutes))
}
