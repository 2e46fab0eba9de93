/** When a job runs by itself: schedules by the clock, and triggers by what happens. */
import { Cron } from 'croner'
import { z } from 'zod'
import { parseDuration } from './duration.ts'

const text = z.string().min(1).max(1000)
const clock = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'a time of day such as 06:30')
const instant = z.iso
  .datetime({ offset: true, local: true })
  .refine(t => t >= '1971' && t < '9999', 'a time from 1971 to 9998')

export const WEEKDAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const

const name = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9 ._-]{0,59}$/, 'letters, digits, space, dot, dash and underscore, at most 60')

/** Ten years: times beyond are none that anybody waits for. */
const MOST_SECONDS = 10 * 366 * 86_400

/** How the times of a schedule are given: exactly one of them. */
const TIMES = ['cron', 'every', 'daily', 'weekly', 'monthly'] as const

export const scheduleSchema = z
  .strictObject({
    name: name.describe('Unique in the job'),
    enabled: z.boolean().default(true).describe('Whether it is turned on'),
    cron: text
      .superRefine((pattern, context) => {
        const fault = cronFault(pattern)
        if (fault !== undefined) context.addIssue({ code: 'custom', message: fault })
      })
      .optional()
      .describe('Five fields, such as `0 6 * * 1-5`; six with seconds'),
    every: text
      .refine(isPeriod, 'a duration such as 15 min, of a second to ten years')
      .optional()
      .describe('A duration such as `15 min`, counted from `from`, else from midnight UTC of 1970-01-01'),
    daily: z.array(clock).min(1).max(24).optional().describe('Times of day'),
    weekly: z
      .strictObject({ days: z.array(z.enum(WEEKDAYS)).min(1).max(7), at: z.array(clock).min(1).max(24) })
      .optional()
      .describe('`{ days: [mon, fri], at: ["06:00"] }`'),
    monthly: z
      .strictObject({
        days: z
          .array(z.union([z.number().int().min(1).max(31), z.literal('last')]))
          .min(1)
          .max(32),
        at: z.array(clock).min(1).max(24),
      })
      .optional()
      .describe('`{ days: [1, last], at: ["23:00"] }`; a month without the day is left out'),
    timeZone: z
      .string()
      .refine(isTimeZone, 'a time zone such as Europe/Berlin')
      .default('UTC')
      .describe('Whose clocks count'),
    from: instant.optional().describe('Not before'),
    until: instant.optional().describe('Not after'),
    missed: z
      .enum(['run', 'skip'])
      .default('run')
      .describe('When nobody was there at the time: run once as soon as possible, or leave it'),
    overlap: z
      .enum(['skip', 'queue', 'cancel'])
      .default('skip')
      .describe('When the job still runs: leave this time out, run behind it, or cancel it'),
  })
  .refine(s => TIMES.filter(t => s[t] !== undefined).length === 1, {
    message: `a schedule has exactly one of ${TIMES.join(', ')}`,
  })

export const triggerSchema = z
  .strictObject({
    name: name.describe('Unique in the job'),
    enabled: z.boolean().default(true).describe('Whether it is turned on'),
    files: text
      .optional()
      .describe('Files that arrive, as a pattern in the folder of a `connection` of files: `in/*.csv`'),
    connection: text.optional().describe("The connection of `files`; the job's source where omitted"),
    settled: text
      .refine(t => (parseDuration(t) ?? Infinity) <= MOST_SECONDS, 'a duration such as 10 s, of ten years at most')
      .default('10 s')
      .describe('How long a file must stay as it is before it counts as arrived'),
    webhook: z.literal(true).optional().describe('A call of an address with a secret'),
    events: text
      .optional()
      .describe('Objects that a store tells of, as a pattern of their names: `in/**/*.csv`; called with a secret'),
    after: text.optional().describe('Another job, whenever it has completed'),
    overlap: z.enum(['skip', 'queue', 'cancel']).default('queue').describe('As of schedules'),
  })
  .refine(t => [t.files, t.webhook, t.events, t.after].filter(x => x !== undefined).length === 1, {
    message: 'a trigger has exactly one of files, webhook, events, after',
  })

export type Schedule = z.output<typeof scheduleSchema>
export type Trigger = z.output<typeof triggerSchema>

function isPeriod(text: string): boolean {
  const seconds = parseDuration(text)
  return seconds !== undefined && seconds >= 1 && seconds <= MOST_SECONDS
}

const CRON_PARTS = ['minute', 'hour', 'day of the month', 'month', 'day of the week']

/** What is wrong with a cron expression, and which part of it; undefined where it is one. */
function cronFault(pattern: string): string | undefined {
  const parts = pattern.trim().split(/\s+/)
  // A date would be a time too, but one that comes once.
  if (parts.length < 5 || parts.length > 6) {
    return `a cron expression has five parts, or six with seconds, such as 0 6 * * 1-5: here are ${parts.length}`
  }
  if (isCron(pattern)) return undefined
  const names = parts.length === 6 ? ['second', ...CRON_PARTS] : CRON_PARTS
  const wrong = names.findIndex((_, i) => !isCron(names.map((__, k) => (k === i ? parts[i] : '*')).join(' ')))
  if (wrong < 0) return 'its parts are no cron expression together, such as 0 6 * * 1-5'
  return `the ${names[wrong]} of the cron expression is wrong: ${parts[wrong]!.slice(0, 100)}`
}

function isCron(pattern: string): boolean {
  try {
    new Cron(pattern, { paused: true })
    return true
  } catch {
    return false
  }
}

/** The days of a month at the most. */
const MOST_DAYS = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
const MONTHS = 'jan feb mar apr may jun jul aug sep oct nov dec'.split(' ')

/**
 * False for a cron expression that names days which none of its months has, such as 30 February. Looking for its next time
 * would take as long as looking through all years.
 */
export function comesEver(pattern: string): boolean {
  const [day, month, weekday] = pattern.trim().split(/\s+/).slice(-3) as [string, string, string]
  if (!/^[*?]$/.test(weekday)) return true
  const days = numbersOf(day, 31)
  const months = numbersOf(
    month.toLowerCase().replace(/[a-z]{3}/g, name => String(MONTHS.indexOf(name) + 1)),
    12,
  )
  if (!days || !months) return true
  return months.some(m => MOST_DAYS[m - 1]! >= Math.min(...days))
}

/** The numbers of a part of a cron expression that is a list of numbers and ranges, or `*`; undefined for other forms. */
function numbersOf(part: string, most: number): number[] | undefined {
  if (part === '*' || part === '?') return Array.from({ length: most }, (_, i) => i + 1)
  if (!/^\d+(-\d+)?(,\d+(-\d+)?)*$/.test(part)) return undefined
  return part.split(',').flatMap(piece => {
    const [low, high = low] = piece.split('-').map(Number) as [number, number?]
    return Array.from({ length: Math.max(0, Math.min(high, most) - low + 1) }, (_, i) => low + i)
  })
}

function isTimeZone(zone: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: zone })
    return true
  } catch {
    return false
  }
}
