/** The times of a schedule, in its own time zone. */
import { setImmediate } from 'node:timers/promises'
import { Cron } from 'croner'
import { parseDuration } from './duration.ts'
import type { Schedule } from './schedules.ts'

/** When a schedule is due. Times are milliseconds since 1970. */
export interface Times {
  /** The first time behind `after`; undefined where there is none any more. */
  next(after: number): number | undefined
  /** The last time up to and with `upTo`; undefined where there was none yet. */
  last(upTo: number): number | undefined
}

/** What the ways to write a schedule have in common. */
type When = Pick<Schedule, 'cron' | 'every' | 'daily' | 'weekly' | 'monthly' | 'timeZone' | 'from' | 'until'>

/**
 * A time of day that a change of the clocks skips is due when the skipped hour ends; one that comes twice is due the
 * first time. Hours and minutes with `*` occur in both. Throws where a cron expression is none.
 */
export function timesOf(schedule: When): Times {
  const { timeZone } = schedule
  const from = schedule.from === undefined ? -Infinity : instantOf(schedule.from, timeZone)
  const until = schedule.until === undefined ? Infinity : instantOf(schedule.until, timeZone)
  const plain = schedule.every === undefined ? byClock(schedule) : byInterval(schedule.every, from)
  return {
    next: after => {
      const time = plain.next(Math.max(after, from - 1))
      return time !== undefined && time <= until ? time : undefined
    },
    last: upTo => {
      const time = plain.last(Math.min(upTo, until))
      return time !== undefined && time >= from ? time : undefined
    },
  }
}

/** What was found of schedules: it holds until the first of its times has come. */
const kept = new Map<string, { after: number; times: number[] }>()
const MOST_KEPT = 2000

/** The next times, at most so many. A rare time takes long to find: others have their turn in between. */
export async function nextTimes(schedule: When, after: number, count: number): Promise<number[]> {
  const { cron, every, daily, weekly, monthly, timeZone, from, until } = schedule
  const key = JSON.stringify([count, cron, every, daily, weekly, monthly, timeZone, from, until])
  const known = kept.get(key)
  if (known && known.after <= after && !(after >= known.times[0]!)) return known.times
  const times = timesOf(schedule)
  const found: number[] = []
  let time: number | undefined = after
  while (found.length < count) {
    await setImmediate()
    time = times.next(time)
    if (time === undefined) break
    found.push(time)
  }
  if (kept.size >= MOST_KEPT) kept.delete(kept.keys().next().value!)
  kept.set(key, { after, times: found })
  return found
}

function byInterval(every: string, from: number): Times {
  const period = parseDuration(every)! * 1000
  const origin = Number.isFinite(from) ? from : 0
  return {
    next: after => (after < origin ? origin : origin + (Math.floor((after - origin) / period) + 1) * period),
    last: upTo => (upTo < origin ? undefined : origin + Math.floor((upTo - origin) / period) * period),
  }
}

function byClock(schedule: When): Times {
  // Of UTC the clocks need not be asked for.
  const zone = schedule.timeZone === 'UTC' ? { utcOffset: 0 } : { timezone: schedule.timeZone }
  const crons = patternsOf(schedule).map(
    pattern => new Cron(pattern, { ...zone, paused: true, fixedTimeRule: 'no-wildcard' }),
  )
  return {
    next: after => {
      const found = crons.flatMap(c => c.nextRun(new Date(after))?.getTime() ?? [])
      return found.length > 0 ? Math.min(...found) : undefined
    },
    last: upTo => {
      // What is due at the very moment counts; croner looks before it, in whole seconds.
      const found = crons.flatMap(c => c.previousRuns(2, new Date(upTo + 1000)).map(time => time.getTime()))
      const past = found.filter(time => time <= upTo)
      return past.length > 0 ? Math.max(...past) : undefined
    },
  }
}

function patternsOf({ cron, daily, weekly, monthly }: When): string[] {
  if (cron !== undefined) return [cron]
  const at = (clock: string, days: string, weekdays: string) => {
    const [hour, minute] = clock.split(':').map(Number)
    return `${minute} ${hour} ${days} * ${weekdays}`
  }
  if (daily) return daily.map(clock => at(clock, '*', '*'))
  if (weekly) return weekly.at.map(clock => at(clock, '*', weekly.days.join(',')))
  const days = monthly!.days.map(day => (day === 'last' ? 'L' : day)).join(',')
  return monthly!.at.map(clock => at(clock, days, '*'))
}

/** A time without an offset is one of the time zone's clocks. */
export function instantOf(text: string, timeZone: string): number {
  if (/(?:Z|[+-]\d\d:?\d\d)$/i.test(text)) return Date.parse(text)
  const seconds = /^[^.]*/.exec(text)![0]
  const full = /T\d\d:\d\d$/.test(seconds) ? `${seconds}:00` : seconds
  return new Cron(full, { timezone: timeZone, paused: true }).nextRun(new Date(0))?.getTime() ?? Number.NaN
}
