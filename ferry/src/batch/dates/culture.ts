/** Names of months and days, and the patterns of dates, of a culture such as `fr-FR`: those of the CLDR, as in .NET. */
import { FerryError } from '../../errors.ts'

export interface Names {
  months: string[]
  shortMonths: string[]
  /** As they stand without a day, which some languages write in another way. */
  loneMonths: string[]
  loneShortMonths: string[]
  /** From Sunday on. */
  days: string[]
  shortDays: string[]
  am: string
  pm: string
}

export interface Culture {
  locale: string
  isDayFirst: boolean
  /** The standard formats `d`, `D`, `t`, `T`, `M`, `Y` as patterns of .NET. */
  patterns: { d: string; D: string; t: string; T: string; M: string; Y: string }
}

const ENGLISH: Culture['patterns'] = {
  d: 'M/d/yyyy',
  D: 'dddd, MMMM d, yyyy',
  t: 'h:mm tt',
  T: 'h:mm:ss tt',
  M: 'MMMM d',
  Y: 'MMMM yyyy',
}

const cultures = new Map<string, Culture>()
const names = new Map<string, Names>()

/** Throws FERRY-7003 for a culture that nobody knows, and for one of another calendar. */
export function culture(name: string): Culture {
  const known = cultures.get(name)
  if (known) return known
  const locale = localeOf(name)
  // Where .NET counts years from another event, or months by the moon, the same text is another day.
  const { calendar } = new Intl.DateTimeFormat(locale).resolvedOptions()
  if (calendar !== 'gregory' || OTHER_CALENDARS.test(locale)) {
    throw new FerryError('FERRY-7003', `dates of the culture "${locale}" are of a calendar that is not known here`, {
      hint: 'Write them in another culture, such as en-US.',
    })
  }
  const d = patternOf(locale, { dateStyle: 'short' }).replace(/\byy\b/, 'yyyy')
  const patterns =
    locale === 'en-US'
      ? ENGLISH
      : {
          d,
          D: patternOf(locale, { dateStyle: 'full' }),
          t: patternOf(locale, { timeStyle: 'short' }),
          T: patternOf(locale, { timeStyle: 'medium' }),
          M: patternOf(locale, { month: 'long', day: 'numeric' }),
          Y: patternOf(locale, { month: 'long', year: 'numeric' }),
        }
  const found = { locale, isDayFirst: /^[^My]*d/.test(patterns.d), patterns }
  if (cultures.size < 1000) cultures.set(name, found)
  return found
}

/** Cultures of .NET whose calendar is not that of the CLDR. */
const OTHER_CALENDARS = /^(ar-SA|fa|th|ps|prs|uz-Arab|ckb-IR|lrc|mzn)\b/i

/** Throws FERRY-7003 for a culture that nobody knows. */
export function localeOf(name: string): string {
  try {
    const [found] = Intl.DateTimeFormat.supportedLocalesOf([name])
    if (found !== undefined) return found
  } catch {}
  throw new FerryError('FERRY-7003', `there is no culture "${name.slice(0, 40)}"`, { hint: 'Name one such as en-US.' })
}

export function namesOf(name: string): Names {
  const known = names.get(name)
  if (known) return known
  const locale = localeOf(name)
  const part = (options: Intl.DateTimeFormatOptions, type: string, ms: number) =>
    new Intl.DateTimeFormat(locale, { timeZone: 'UTC', ...options }).formatToParts(ms).find(p => p.type === type)
      ?.value ?? ''
  const alone = (month: 'long' | 'short') => {
    const format = new Intl.DateTimeFormat(locale, { timeZone: 'UTC', month })
    return Array.from({ length: 12 }, (_, i) => format.format(Date.UTC(2023, i, 15)))
  }
  const months = (month: 'long' | 'short', lone: string[]) =>
    lone.map((name, i) => {
      const found = part({ month, day: 'numeric' }, 'month', Date.UTC(2023, i, 15))
      // Beside a day some write a number, with a sign behind it that is a part of the name.
      return /^\d+$/.test(found) ? name : found
    })
  // The first of January 2023 was a Sunday.
  const days = (weekday: 'long' | 'short') =>
    Array.from({ length: 7 }, (_, i) => part({ weekday }, 'weekday', Date.UTC(2023, 0, 1 + i)))
  const half = (hour: number) => part({ hour: 'numeric', hour12: true }, 'dayPeriod', Date.UTC(2023, 0, 1, hour))
  const loneMonths = alone('long')
  const loneShortMonths = alone('short')
  const found = {
    months: months('long', loneMonths),
    shortMonths: months('short', loneShortMonths),
    loneMonths,
    loneShortMonths,
    days: days('long'),
    shortDays: days('short'),
    am: half(3),
    pm: half(15),
  }
  if (names.size < 1000) names.set(name, found)
  return found
}

/** The pattern of .NET by which a culture writes the second of January 2003, 04:05:06. */
function patternOf(locale: string, options: Intl.DateTimeFormatOptions): string {
  // In .NET digits are those of ASCII, whatever the culture.
  const format = new Intl.DateTimeFormat(locale, { timeZone: 'UTC', numberingSystem: 'latn', ...options })
  const { hour12 } = format.resolvedOptions()
  return format
    .formatToParts(Date.UTC(2003, 0, 2, 4, 5, 6))
    .map(({ type, value }) => {
      const two = value.length === 2
      if (type === 'year') return two ? 'yy' : 'yyyy'
      if (type === 'month')
        return /\d/.test(value) ? (two ? 'MM' : 'M') : value.length > 4 || /^J\p{L}+r$/u.test(value) ? 'MMMM' : 'MMM'
      if (type === 'day') return two ? 'dd' : 'd'
      if (type === 'weekday') return 'dddd'
      if (type === 'hour') return (hour12 ? 'h' : 'H').repeat(two ? 2 : 1)
      if (type === 'minute') return 'mm'
      if (type === 'second') return 'ss'
      if (type === 'dayPeriod') return 'tt'
      return type === 'literal' && /\p{L}/u.test(value) ? value.replace(/\p{L}[\p{L} .]*/gu, "'$&'") : value
    })
    .join('')
    .replaceAll('\u202f', ' ')
    .replaceAll('\u00a0', ' ')
}

/** What a culture has between the parts of its short date (`/`), or of its time (`:`). */
export function separatorOf(name: string, of: '/' | ':'): string {
  const { d, t } = culture(name).patterns
  const found = of === '/' ? /[dMy]([^dMy'\p{L}]+?)[dMy]/u.exec(d) : /[Hh]([^Hhm'\p{L}]+?)m/u.exec(t)
  return found?.[1]?.replace(/[\u200e\u200f]/g, '').trim() || of
}
