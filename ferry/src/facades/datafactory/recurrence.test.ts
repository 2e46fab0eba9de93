/** When schedule triggers fire: the documented examples, time zones and the ends of months. */
import { describe, expect, it } from 'vitest'
import { nextTime, recurrenceSchema } from './recurrence.ts'

function times(recurrence: object, after: string, count: number): string[] {
  const read = recurrenceSchema.parse(recurrence)
  const found: string[] = []
  for (let at: number | undefined = Date.parse(after); found.length < count; ) {
    at = nextTime(read, at)
    if (at === undefined) break
    found.push(new Date(at).toISOString().replace(':00.000Z', 'Z'))
  }
  return found
}

describe('a recurrence', () => {
  it('begins with the first time in the future, counted from its start', () => {
    const every2 = { frequency: 'Day', interval: 2, startTime: '2017-04-07T14:00:00Z' }
    expect(times(every2, '2017-04-08T13:00:00Z', 3)).toEqual([
      '2017-04-09T14:00Z',
      '2017-04-11T14:00Z',
      '2017-04-13T14:00Z',
    ])
    expect(times({ ...every2, startTime: '2017-04-01T14:00:00Z' }, '2017-04-08T13:00:00Z', 1)).toEqual([
      '2017-04-09T14:00Z',
    ])
  })

  it('has the minutes and hours of its schedule', () => {
    const day = { frequency: 'Day', startTime: '2024-01-01T00:00:00Z', schedule: { minutes: [15, 45], hours: [5, 17] } }
    expect(times(day, '2024-01-01T00:00:00Z', 5)).toEqual([
      '2024-01-01T05:15Z',
      '2024-01-01T05:45Z',
      '2024-01-01T17:15Z',
      '2024-01-01T17:45Z',
      '2024-01-02T05:15Z',
    ])
    const hour = { frequency: 'Hour', interval: 3, startTime: '2024-01-01T00:10:00Z', schedule: { minutes: [0, 30] } }
    expect(times(hour, '2024-01-01T00:10:00Z', 3)).toEqual([
      '2024-01-01T00:30Z',
      '2024-01-01T03:00Z',
      '2024-01-01T03:30Z',
    ])
  })

  it('has days of weeks and of months, from the end too', () => {
    const week = { frequency: 'Week', startTime: '2024-01-01T08:00:00Z', schedule: { weekDays: ['Monday', 'friday'] } }
    expect(times(week, '2024-01-01T08:00:00Z', 3)).toEqual([
      '2024-01-05T08:00Z',
      '2024-01-08T08:00Z',
      '2024-01-12T08:00Z',
    ])
    const last = {
      frequency: 'Month',
      startTime: '2024-01-01T00:00:00Z',
      schedule: { minutes: [0], hours: [6], monthDays: [-1] },
    }
    expect(times(last, '2024-01-31T06:00:00Z', 2)).toEqual(['2024-02-29T06:00Z', '2024-03-31T06:00Z'])
    const third = {
      frequency: 'Month',
      startTime: '2024-01-01T00:00:00Z',
      schedule: { monthlyOccurrences: [{ day: 'friday', occurrence: -3 }] },
    }
    expect(times(third, '2024-01-01T00:00:00Z', 2)).toEqual(['2024-01-12T00:00Z', '2024-02-09T00:00Z'])
    const fifth = {
      frequency: 'Month',
      startTime: '2024-01-01T00:00:00Z',
      schedule: { monthlyOccurrences: [{ day: 'friday', occurrence: 5 }] },
    }
    expect(times(fifth, '2024-01-01T00:00:00Z', 2)).toEqual(['2024-03-29T00:00Z', '2024-05-31T00:00Z'])
  })

  it('leaves out months without its day', () => {
    const day31 = { frequency: 'Month', startTime: '2024-01-31T00:00:00Z' }
    expect(times(day31, '2024-01-31T00:00:00Z', 2)).toEqual(['2024-03-31T00:00Z', '2024-05-31T00:00Z'])
  })

  it('keeps to the clocks of its time zone', () => {
    const daily = { frequency: 'Day', startTime: '2024-03-29T02:30:00', timeZone: 'W. Europe Standard Time' }
    // On the 31st clocks leave 02:30 out.
    expect(times(daily, '2024-03-28T00:00:00Z', 3)).toEqual([
      '2024-03-29T01:30Z',
      '2024-03-30T01:30Z',
      '2024-04-01T00:30Z',
    ])
  })

  it('ends', () => {
    const ends = {
      frequency: 'Minute',
      interval: 15,
      startTime: '2024-01-01T00:00:00Z',
      endTime: '2024-01-01T00:30:00Z',
    }
    expect(times(ends, '2023-12-31T00:00:00Z', 9)).toEqual([
      '2024-01-01T00:00Z',
      '2024-01-01T00:15Z',
      '2024-01-01T00:30Z',
    ])
  })
})
