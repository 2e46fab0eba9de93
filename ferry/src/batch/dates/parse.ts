/** Texts as moments, as .NET's DateTime.Parse takes them. What it would have to guess is refused. */
import { FerryError } from '../../errors.ts'
import { culture, namesOf } from './culture.ts'
import { type Instant, instantOf } from './instant.ts'

const ISO =
  /^(\d{4})-(\d{1,2})-(\d{1,2})(?:(?:T|t| +)(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?)?\s*(Z|z|[+-]\d{2}(?::?\d{2})?)?$/
const TIME = /(\d{1,2})(?::(\d{2}))?(?::(\d{2})(?:\.(\d{1,9}))?)?\s*(AM|PM|am|pm)?/
const NUMBERS = new RegExp(
  `^(\\d{1,4})([-/.])(\\d{1,2})\\2(\\d{1,4})(?:,?[T ]+${TIME.source})?\\s*(Z|GMT|UTC|[+-]\\d{2}:?\\d{2})?$`,
)
const WORDS = new RegExp(
  `^(?:\\p{L}+\\.?,? +)?(?:(\\d{1,2})(?: +|-)(\\p{L}+)\\.?,?(?: +|-)(\\d{4})|(\\p{L}+)\\.? +(\\d{1,2})(?:st|nd|rd|th)?,? +(\\d{4}))(?:,? +${TIME.source})?\\s*(Z|GMT|UTC|[+-]\\d{2}:?\\d{2})?$`,
  'u',
)

/**
 * The moment of a text: ISO 8601, numbers in the order of the culture (month first in `en-US`), or words such as
 * `15 March 2018`. A text with an offset becomes UTC; one without is in no zone. Throws FERRY-7003.
 */
export function parseInstant(text: string, locale = 'en-US'): Instant {
  const found = fromIso(text) ?? fromNumbers(text, locale) ?? fromWords(text, locale)
  if (found) return found
  throw new FerryError('FERRY-7003', `"${text.slice(0, 100)}" is no date and time`, {
    hint: 'Write it as 2018-03-15T13:27:36Z.',
  })
}

function fromIso(text: string): Instant | undefined {
  const match = ISO.exec(text.trim())
  if (!match) return undefined
  const [, year, month, day, hour = '0', minute = '0', second = '0', fraction = '', zone] = match
  return made(year!, month!, day!, { hour, minute, second, fraction, zone })
}

/** Numbers in the order of the culture; a year of four digits in front is a year. */
function fromNumbers(text: string, locale: string): Instant | undefined {
  const match = NUMBERS.exec(text.trim())
  if (!match) return undefined
  const [, first, , second, third, hour, minute, seconds, fraction, half, zone] = match
  const time = { hour, minute, second: seconds, fraction, half, zone }
  if (first!.length === 4) return made(first!, second!, third!, time)
  // A year of two digits would be guessed.
  if (third!.length !== 4) return undefined
  return culture(locale).isDayFirst ? made(third!, second!, first!, time) : made(third!, first!, second!, time)
}

function fromWords(text: string, locale: string): Instant | undefined {
  const match = WORDS.exec(text.trim())
  if (!match) return undefined
  const [, dayA, nameA, yearA, nameB, dayB, yearB, hour, minute, second, fraction, half, zone] = match
  const name = (nameA ?? nameB)!.toLowerCase()
  const { months, shortMonths } = namesOf(locale)
  const at = [months, shortMonths].map(list => list.findIndex(m => m.replace('.', '').toLowerCase() === name))
  const month = Math.max(...at) + 1
  if (month === 0) return undefined
  return made((yearA ?? yearB)!, String(month), (dayA ?? dayB)!, { hour, minute, second, fraction, half, zone })
}

interface Time {
  hour?: string | undefined
  minute?: string | undefined
  second?: string | undefined
  fraction?: string | undefined
  half?: string | undefined
  zone?: string | undefined
}

function made(year: string, month: string, day: string, time: Time): Instant | undefined {
  const { hour = '0', minute, second = '0', fraction = '', half, zone } = time
  // "10" behind a date is no time of day, unless it is "10 PM".
  if (time.hour !== undefined && minute === undefined && half === undefined) return undefined
  let hours = Number(hour)
  if (half !== undefined) {
    if (hours < 1 || hours > 12) return undefined
    hours = (hours % 12) + (half.toLowerCase() === 'pm' ? 12 : 0)
  }
  const offset = zone === undefined ? undefined : offsetOf(zone)
  if (offset !== undefined && (Math.abs(offset) > 14 * 60 || /:?[6-9]\d$/.test(zone!))) return undefined
  return instantOf({
    year: Number(year),
    month: Number(month),
    day: Number(day),
    hour: hours,
    minute: Number(minute ?? '0'),
    second: Number(second),
    fraction: rounded(fraction),
    offset,
  })
}

/** .NET keeps seven digits. */
function rounded(fraction: string): string {
  return fraction.slice(0, 7)
}

function offsetOf(zone: string): number {
  if (/^(z|gmt|utc)$/i.test(zone)) return 0
  const [, sign, hours, minutes = '0'] = /^([+-])(\d{2}):?(\d{2})?$/.exec(zone)!
  return (sign === '-' ? -1 : 1) * (Number(hours) * 60 + Number(minutes))
}
