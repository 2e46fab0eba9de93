/** When a schedule trigger of Data Factory fires. */
import { z } from 'zod'
import { civilOf, DAY, daysInMonth, type Instant, instantOf } from '../../batch/dates/instant.ts'
import { parseInstant } from '../../batch/dates/parse.ts'
import { fromUtc, toUtc, zoneOf } from '../../batch/dates/zones.ts'
import { FerryError } from '../../errors.ts'

const WEEKDAYS = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday']
const weekday = z
  .string()
  .transform(day => WEEKDAYS.indexOf(day.toLowerCase()))
  .refine(at => at >= 0, 'is no day of the week')

export const recurrenceSchema = z.looseObject({
  frequency: z.enum(['Minute', 'Hour', 'Day', 'Week', 'Month']),
  interval: z.number().int().min(1).max(1000).default(1),
  startTime: z.string(),
  endTime: z.string().optional(),
  timeZone: z.string().default('UTC'),
  schedule: z
    .looseObject({
      minutes: z.array(z.number().int().min(0).max(59)).optional(),
      hours: z.array(z.number().int().min(0).max(23)).optional(),
      weekDays: z.array(weekday).max(7).optional(),
      monthDays: z
        .array(
          z
            .number()
            .int()
            .min(-31)
            .max(31)
            .refine(d => d !== 0, 'is no day'),
        )
        .optional(),
      monthlyOccurrences: z
        .array(z.looseObject({ day: weekday, occurrence: z.number().int().min(-5).max(5).optional() }))
        .optional(),
    })
    .optional(),
})

export type Recurrence = z.output<typeof recurrenceSchema>

/** How many periods without a time are looked through: years of months that have no fifth Friday on the 31st. */
const MOST_PERIODS = 100_000

/** What the clocks of a zone show, as milliseconds. */
interface Local {
  start: number
  end: number
  zone: string
}

/** The first time behind a moment, in milliseconds since 1970; undefined if there is none. Throws FERRY-7001. */
export function nextTime(recurrence: Recurrence, after: number): number | undefined {
  const local = localOf(recurrence)
  const { zone } = local
  // Clocks may be set back by an hour or more: a little before is looked at, too.
  const from = fromUtc({ ms: after, ticks: 0, isUtc: true }, zone).ms - 2 * 3_600_000
  for (let period = Math.max(0, periodOf(recurrence, local.start, from) - 1), i = 0; i < MOST_PERIODS; period++, i++) {
    const times = timesIn(recurrence, local.start, period)
    for (const time of times) {
      if (time > local.end) return undefined
      const moment = utcOf(time, zone)
      if (time >= local.start && moment !== undefined && moment > after) return moment
    }
    if (startOf(recurrence, local.start, period) > local.end) return undefined
  }
  return undefined
}

/** A time that clocks leave out is none. */
function utcOf(ms: number, zone: string): number | undefined {
  try {
    return toUtc({ ms, ticks: 0, isUtc: false }, zone).ms
  } catch (error) {
    if (error instanceof FerryError) return undefined
    throw error
  }
}

function localOf({ startTime, endTime, timeZone }: Recurrence): Local {
  const zone = zoneOf(timeZone)
  const local = (text: string) => {
    const instant = parseInstant(text)
    // With a Z it is UTC; without, it is what the clocks of the zone show.
    return instant.isUtc ? fromUtc(instant, zone).ms : instant.ms
  }
  return { start: local(startTime), end: endTime === undefined ? Number.POSITIVE_INFINITY : local(endTime), zone }
}

const UNIT = { Minute: 60_000, Hour: 3_600_000, Day: DAY, Week: 7 * DAY }

/** The number of the period that a local time is in; periods are `interval` units long, and begin with that of the start. */
function periodOf({ frequency, interval }: Recurrence, start: number, at: number): number {
  if (frequency !== 'Month') return Math.floor((at - start) / (UNIT[frequency] * interval))
  const [a, b] = [civilAt(start), civilAt(at)]
  return Math.floor(((b.year - a.year) * 12 + b.month - a.month) / interval)
}

/** The beginning of a period: its moment without a schedule; else the day, week or month that is looked through. */
function startOf({ frequency, interval, schedule }: Recurrence, start: number, period: number): number {
  if (frequency === 'Month') {
    const { year, month } = civilAt(start)
    const count = year * 12 + month - 1 + period * interval
    return msOf(Math.floor(count / 12), (count % 12) + 1, 1)
  }
  const at = start + period * interval * UNIT[frequency]
  if (!schedule || frequency === 'Minute') return at
  if (frequency === 'Hour') return Math.floor(at / UNIT.Hour) * UNIT.Hour
  const day = Math.floor(at / DAY) * DAY
  // Weeks begin on Sunday.
  return frequency === 'Day' ? day : day - civilAt(day).weekday * DAY
}

/** The local times of a period, in their order. */
function timesIn(recurrence: Recurrence, start: number, period: number): number[] {
  const { frequency, schedule } = recurrence
  const begin = startOf(recurrence, start, period)
  const first = civilAt(start)
  if (!schedule) {
    if (frequency !== 'Month') return [begin]
    const { year, month } = civilAt(begin)
    // A month without this day has no time.
    if (first.day > daysInMonth(year, month)) return []
    return [begin + (first.day - 1) * DAY + (start - Math.floor(start / DAY) * DAY)]
  }
  const second = first.second * 1000 + first.millisecond
  const minutes = schedule.minutes ?? [first.minute]
  if (frequency === 'Minute') return [begin]
  if (frequency === 'Hour') return sorted(minutes.map(m => begin + m * 60_000 + second))
  const hours = schedule.hours ?? [first.hour]
  const within = (day: number) => hours.flatMap(h => minutes.map(m => day + h * UNIT.Hour + m * 60_000 + second))
  return sorted(daysIn(recurrence, begin, first.day, first.weekday).flatMap(within))
}

const sorted = (times: number[]) => [...new Set(times)].sort((a, b) => a - b)

/** The days of a period on which there are times. */
function daysIn({ frequency, schedule }: Recurrence, begin: number, day: number, ofWeek: number): number[] {
  if (frequency === 'Day') return [begin]
  if (frequency === 'Week') return (schedule!.weekDays ?? [ofWeek]).map(d => begin + d * DAY)
  const { year, month } = civilAt(begin)
  const length = daysInMonth(year, month)
  const { monthDays, monthlyOccurrences } = schedule!
  const numbers = (monthDays ?? (monthlyOccurrences ? [] : [day])).map(d => (d < 0 ? length + 1 + d : d))
  const named = (monthlyOccurrences ?? []).flatMap(({ day: wanted, occurrence }) => {
    const all: number[] = []
    for (let d = 1; d <= length; d++) if (civilAt(begin + (d - 1) * DAY).weekday === wanted) all.push(d)
    if (occurrence === undefined) return all
    const found = occurrence > 0 ? all[occurrence - 1] : all.at(occurrence)
    return found === undefined ? [] : [found]
  })
  return [...numbers, ...named].filter(d => d >= 1 && d <= length).map(d => begin + (d - 1) * DAY)
}

const civilAt = (ms: number) => civilOf({ ms, ticks: 0, isUtc: false } satisfies Instant)

function msOf(year: number, month: number, day: number): number {
  return instantOf({ year, month, day })!.ms
}
