/** Schedules and triggers: the times, and that each asks for one run, on both kinds of state. */
import { mkdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { scheduleSchema } from '../ferry/src/job/schedules.ts'
import { jobSchema } from '../ferry/src/job/schema.ts'
import { nextTimes, timesOf } from '../ferry/src/job/times.ts'
import { Clock, calledTrigger, fireCalled } from '../ferry/src/runtime/clock.ts'
import { look } from '../ferry/src/runtime/looks.ts'
import { claimRun } from '../ferry/src/state/claims.ts'
import type { State } from '../ferry/src/state/database.ts'
import { createJob, updateJob } from '../ferry/src/state/jobs.ts'
import { askForRun } from '../ferry/src/state/queue.ts'
import { finishRun } from '../ferry/src/state/runs.ts'
import { policy, STATES, temporaryFolder, withState } from './support.ts'

/** One that looks for files in this process. */
const clockOf = (state: State) =>
  new Clock(state, (endpoint, pattern) => look({ state, policy }, 'arrivals', { at: { endpoint }, pattern }))

const at = (iso: string) => Date.parse(iso)
const schedule = (words: Record<string, unknown>) => scheduleSchema.parse({ name: 's', ...words })
const iso = (times: number[]) => times.map(t => new Date(t).toISOString())

it.each([
  ['0 25 * * *', 'the hour of the cron expression is wrong: 25'],
  ['61 6 * * *', 'the minute of the cron expression is wrong: 61'],
  ['0 6 * foo *', 'the month of the cron expression is wrong: foo'],
  ['0 6 * * 1-9', 'the day of the week of the cron expression is wrong: 1-9'],
  ['99 0 6 * * 1', 'the second of the cron expression is wrong: 99'],
  ['0 6 * *', 'here are 4'],
  ['2026-01-01T00:00:00', 'here are 1'],
])('%s is no cron expression: %s', (cron, why) => {
  const told = scheduleSchema.safeParse({ name: 's', cron }).error?.issues.map(i => i.message)
  expect(told).toEqual([expect.stringContaining(why)])
})

describe('times of a schedule', () => {
  it('are those of the clocks of its time zone, also when they change', async () => {
    const daily = schedule({ daily: ['02:30', '06:00'], timeZone: 'Europe/Berlin' })
    // In spring 02:30 does not come: it is due when the hour that is left out ends.
    expect(iso(await nextTimes(daily, at('2026-03-28T23:30:00Z'), 3))).toEqual([
      '2026-03-29T01:00:00.000Z',
      '2026-03-29T04:00:00.000Z',
      '2026-03-30T00:30:00.000Z',
    ])
    // In autumn it comes twice: the first one counts.
    expect(iso(await nextTimes(daily, at('2026-10-24T22:00:00Z'), 3))).toEqual([
      '2026-10-25T00:30:00.000Z',
      '2026-10-25T05:00:00.000Z',
      '2026-10-26T01:30:00.000Z',
    ])
  })

  it.each([
    [{ every: '15 min' }, ['2026-01-01T00:15:00.000Z', '2026-01-01T00:30:00.000Z']],
    [{ every: '90 min', from: '2026-01-01T01:00:00' }, ['2026-01-01T01:00:00.000Z', '2026-01-01T02:30:00.000Z']],
    [{ cron: '*/20 8-9 * * *' }, ['2026-01-01T08:00:00.000Z', '2026-01-01T08:20:00.000Z']],
    [{ weekly: { days: ['fri', 'mon'], at: ['09:00'] } }, ['2026-01-02T09:00:00.000Z', '2026-01-05T09:00:00.000Z']],
    [{ monthly: { days: ['last'], at: ['23:00'] } }, ['2026-01-31T23:00:00.000Z', '2026-02-28T23:00:00.000Z']],
    [{ monthly: { days: [31], at: ['23:00'] } }, ['2026-01-31T23:00:00.000Z', '2026-03-31T23:00:00.000Z']],
    [{ daily: ['12:00'], until: '2026-01-01T13:00:00Z' }, ['2026-01-01T12:00:00.000Z']],
    [
      { daily: ['00:10'], from: '2026-06-01T00:00:00', timeZone: 'Asia/Kolkata' },
      ['2026-05-31T18:40:00.000Z', '2026-06-01T18:40:00.000Z'],
    ],
  ])('%j', async (words, expected) => {
    expect(iso(await nextTimes(schedule(words), at('2026-01-01T00:00:00Z'), 2))).toEqual(expected)
  })

  it('have no gap and no time twice, whichever is asked for', () => {
    for (const words of [
      { daily: ['02:30'], timeZone: 'America/New_York' },
      { every: '7 min' },
      { cron: '0 */3 * * *', timeZone: 'Australia/Lord_Howe' },
    ]) {
      const times = timesOf(schedule(words))
      let time = at('2026-03-01T00:00:00Z')
      for (let i = 0; i < 300; i++) {
        const next = times.next(time)!
        expect(next).toBeGreaterThan(time)
        expect(times.last(next)).toBe(next)
        if (i > 0) expect(times.last(next - 1)).toBe(time)
        time = next
      }
    }
  })

  it.each([
    { cron: '61 * * * *' },
    { cron: '2026-01-01T00:00:00' },
    { every: 'soon' },
    { daily: ['25:00'] },
    { daily: ['06:00'], cron: '* * * * *' },
    { timeZone: 'Mars/Base', every: '1 h' },
    {},
  ])('refuse %j', words => {
    expect(scheduleSchema.safeParse({ name: 's', ...words }).success).toBe(false)
  })
})

const job = (words: Record<string, unknown>) =>
  JSON.stringify(
    jobSchema.parse({ name: 'j', source: 'sqlite:a.db', destination: 'sqlite:b.db', tables: ['t'], ...words }),
  )

const runsOf = async (state: State, name = 'j') =>
  state.db
    .selectFrom('run')
    .select(['id', 'state', 'invoked_by', 'wish'])
    .where('job', '=', name)
    .orderBy('id')
    .execute()

/** Ends all runs that wait, as a worker does. */
async function workOff(state: State) {
  for (const { id, state: is } of await runsOf(state)) {
    if (is !== 'pending') continue
    const { epoch } = await state.db.selectFrom('run').select('epoch').where('id', '=', id).executeTakeFirstOrThrow()
    await finishRun(state.db, { run: id, epoch }, 'completed')
  }
}

const start = at('2026-01-01T00:00:30Z')

it('a job does not run behind itself', () => {
  const words = { name: 'j', source: 'a.db', destination: 'b.db', tables: ['t'] }
  expect(jobSchema.safeParse({ ...words, triggers: [{ name: 't', after: 'other' }] }).success).toBe(true)
  expect(jobSchema.safeParse({ ...words, triggers: [{ name: 't', after: 'j' }] }).success).toBe(false)
})

describe.each(Object.entries(STATES))('the clock, with its state in %s', (kind, place) => {
  it('asks once for each time, whatever number of servers look, and however often', async () => {
    const environment = await place()
    await withState(environment, async state => {
      await withState(environment, async other => {
        await createJob(state.db, 'j', job({ schedules: [{ name: 's', every: '1 min' }] }))
        const clocks = [clockOf(state), clockOf(other)]
        const fired: string[] = []
        for (let now = start; now < start + 5 * 60_000; now += 10_000) {
          // SQLite's driver waits without letting others of its process go on: there they take turns.
          const all = kind === 'SQLite' ? [] : await Promise.all(clocks.map(c => c.tick(now)))
          for (const clock of kind === 'SQLite' ? clocks : []) all.push(await clock.tick(now))
          fired.push(...all.flat().map(f => f.outcome))
          await workOff(state)
        }
        expect(fired).toHaveLength(5)
        const runs = await runsOf(state)
        expect(runs.map(r => r.invoked_by)).toEqual(Array(5).fill('schedule:s'))
      })
    })
  })

  it('of times that were missed runs once, or leaves them', async () => {
    await withState(await place(), async state => {
      const missed = [
        { name: 'catches up', every: '1 min' },
        { name: 'leaves it', every: '1 min', missed: 'skip' },
      ]
      await createJob(state.db, 'j', job({ schedules: missed }))
      await clockOf(state).tick(start)
      // A day later another server starts.
      const clock = clockOf(state)
      const later = at('2026-01-02T00:01:20Z')
      const fired = await clock.tick(later + 3600_000 * 0.9)
      expect(fired.map(f => f.name)).toContain('schedule:catches up')
      const runs = await runsOf(state)
      expect(runs).toHaveLength(1)
    })
    await withState(await place(), async state => {
      await createJob(state.db, 'j', job({ schedules: [{ name: 's', daily: ['06:00'], missed: 'skip' }] }))
      await clockOf(state).tick(start)
      const fired = await clockOf(state).tick(at('2026-01-01T09:00:00Z'))
      expect(fired[0]!.outcome).toContain('missed 2026-01-01T06:00:00.000Z')
      expect(await runsOf(state)).toHaveLength(0)
      expect((await clockOf(state).tick(at('2026-01-02T06:00:01Z')))[0]!.outcome).toContain('asked for')
    })
  })

  it('leaves a time out, queues one run, or cancels, when the job still runs', async () => {
    for (const overlap of ['skip', 'queue', 'cancel'] as const) {
      await withState(await place(), async state => {
        await createJob(state.db, 'j', job({ schedules: [{ name: 's', every: '1 min', overlap }] }))
        const definition = job({ schedules: [{ name: 's', every: '1 min', overlap }] })
        const clock = clockOf(state)
        await clock.tick(start)
        // This process executes the job.
        await claimRun(state.db, 'j', definition, { fresh: false, abandon: async () => {} })
        for (const seconds of [60, 120, 180]) await clock.tick(start + seconds * 1000)
        const runs = await runsOf(state)
        expect(runs).toHaveLength(overlap === 'skip' ? 1 : 2)
        expect(runs[0]!.wish).toBe(overlap === 'cancel' ? 'cancel' : null)
        if (overlap !== 'skip') expect(runs[1]).toMatchObject({ state: 'pending', invoked_by: 'schedule:s' })
      })
    }
  })

  it('begins anew with a schedule that was edited or turned on', async () => {
    await withState(await place(), async state => {
      const with_ = (words: object) => job({ schedules: [{ name: 's', ...words }] })
      await createJob(state.db, 'j', with_({ every: '1 h', enabled: false }))
      const clock = clockOf(state)
      expect(await clock.tick(start)).toEqual([])
      await updateJob(state.db, 'j', with_({ every: '1 min' }))
      // Two hours of minutes are not caught up.
      expect(await clock.tick(start + 7200_000)).toEqual([])
      expect(await clock.tick(start + 7260_000)).toHaveLength(1)
    })
  })

  it('does not let go on what a person has paused', async () => {
    await withState(await place(), async state => {
      const definition = job({ schedules: [{ name: 's', every: '1 min' }] })
      await createJob(state.db, 'j', definition)
      const clock = clockOf(state)
      await clock.tick(start)
      const { lease } = await claimRun(state.db, 'j', definition, { fresh: false, abandon: async () => {} })
      await finishRun(state.db, lease, 'paused')
      const [fired] = await clock.tick(start + 60_000)
      expect(fired!.outcome).toContain('is paused')
      expect(await askForRun(state.db, 'j', { by: 'manual', overlap: 'skip' })).toMatchObject({ outcome: 'resumed' })
    })
  })

  it('runs a job behind another one, once for what has completed', async () => {
    await withState(await place(), async state => {
      await createJob(state.db, 'first', '{}')
      await createJob(state.db, 'j', job({ triggers: [{ name: 'behind', after: 'first' }] }))
      const clock = clockOf(state)
      const began = Date.now() - 1000
      expect(await clock.tick(began)).toEqual([])
      const { lease } = await claimRun(state.db, 'first', '{}', { fresh: true, abandon: async () => {} })
      expect(await clock.tick(began + 2000)).toEqual([])
      await finishRun(state.db, lease, 'completed')
      expect(await clock.tick(began + 4000)).toHaveLength(1)
      expect(await clock.tick(began + 6000)).toEqual([])
      expect((await runsOf(state)).map(r => r.invoked_by)).toEqual(['trigger:behind'])
      // The next one completes on a machine whose clock is minutes behind.
      await workOff(state)
      const next = await claimRun(state.db, 'first', '{}', { fresh: true, abandon: async () => {} })
      await finishRun(state.db, next.lease, 'completed')
      const changed_at = Date.now() - 300_000
      await state.db.updateTable('run').set({ changed_at }).where('id', '=', next.lease.run).execute()
      expect(await clock.tick(began + 8000)).toHaveLength(1)
      expect(await clockOf(state).tick(began + 10_000)).toEqual([])
    })
  })

  it('is called by name only where there is such a trigger, and it is on', async () => {
    await withState(await place(), async state => {
      await createJob(
        state.db,
        'j',
        job({
          triggers: [
            { name: 'hook', webhook: true },
            { name: 'off', webhook: true, enabled: false },
          ],
        }),
      )
      const fire = async (name: string) => fireCalled(state, 'j', await calledTrigger(state, 'j', name))
      expect(await fire('hook')).toMatchObject({ outcome: 'queued' })
      // One that waits is enough.
      expect(await fire('hook')).toMatchObject({ outcome: 'running' })
      await expect(fire('off')).rejects.toMatchObject({ code: 'FERRY-1007' })
      await expect(fire('none')).rejects.toMatchObject({ code: 'FERRY-1007' })
    })
  })

  it('runs a job when files have arrived and stay as they are', async () => {
    await withState(await place(), async state => {
      const folder = temporaryFolder()
      mkdirSync(join(folder, 'in'))
      const write = (name: string, text: string) => writeFileSync(join(folder, 'in', name), text)
      write('old.csv', 'a\n1\n')
      const source = { kind: 'files', folder }
      await createJob(
        state.db,
        'j',
        job({
          source,
          tables: [{ from: 'in/*.csv', to: 't' }],
          triggers: [{ name: 'in', files: 'in/*.csv', settled: '10 s' }],
        }),
      )
      const clock = clockOf(state)
      const seconds = (n: number) => clock.tick(start + n * 1000)
      expect(await seconds(0), 'what is there already has not arrived').toEqual([])
      write('new.csv', 'a\n')
      write('other.txt', 'x')
      expect(await seconds(3)).toEqual([])
      write('new.csv', 'a\n2\n')
      utimesSync(join(folder, 'in', 'new.csv'), 1, 1)
      expect(await seconds(12), 'it has just changed').toEqual([])
      expect(await seconds(16)).toEqual([])
      const fired = await seconds(23)
      expect(fired).toHaveLength(1)
      expect(fired[0]!.outcome).toContain('new.csv')
      expect(await seconds(30)).toEqual([])
      // Another server knows what this one has seen.
      expect(await clockOf(state).tick(start + 40_000)).toEqual([])
      rmSync(join(folder, 'in'), { recursive: true })
      expect(await seconds(50)).toEqual([])
      expect(await runsOf(state)).toHaveLength(1)
    })
  })

  it('tells once why a trigger cannot be looked at', async () => {
    await withState(await place(), async state => {
      await createJob(state.db, 'j', job({ triggers: [{ name: 'in', files: '*.csv' }] }))
      const clock = clockOf(state)
      const [fired] = await clock.tick(start)
      expect(fired!.outcome).toContain('has no files that could arrive')
    })
  })
})
