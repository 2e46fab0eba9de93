/**
 * What makes jobs run by themselves: schedules and triggers, looked at every second by each server.
 *
 * The state knows up to when the times of a schedule, or the events of a trigger, are dealt with. That place moves in one
 * transaction with the run that is asked for, and only from where it was read: whatever is killed, and however many
 * servers there are, nothing is lost and nothing comes twice.
 */

import { createHash } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import { FerryError } from '../errors.ts'
import { parseDuration } from '../job/duration.ts'
import { readJob } from '../job/kept.ts'
import type { Schedule, Trigger } from '../job/schedules.ts'
import type { CopyJob, EndpointSpec } from '../job/schema.ts'
import { type Times, timesOf } from '../job/times.ts'
import { beginWith, type Seen, settledOf, takeSeen } from '../state/arrivals.ts'
import type { State } from '../state/database.ts'
import { findFiring, firingOf, type Known, movePlace, tellOutcome } from '../state/firings.ts'
import { type Answer, type Asking, askWithin } from '../state/queue.ts'
import type { FiringRow } from '../state/schema.ts'
import { databaseNow } from '../state/time.ts'

/** A time further in the past than this was missed: no server was running. */
const GRACE_MS = 60_000
/** The runs of another job that are looked at: those that have completed last. */
const LAST_RUNS = 50
/** How often files are looked for. */
const FILES_MS = 2000

/** What came of a schedule's time or a trigger's event. */
export interface Fired {
  job: string
  /** `schedule:NAME` or `trigger:NAME`. */
  name: string
  outcome: string
  /** The run that was requested, or the one that blocked it. */
  run?: string
}

type Arrivals = (endpoint: EndpointSpec, pattern: string) => Promise<Seen[]>

interface Watched {
  updatedAt: string
  job: CopyJob | undefined
}

/** Ends a transaction whose files another server has taken. */
class Taken extends Error {}

export class Clock {
  private readonly state: State
  private readonly arrivals: Arrivals
  private readonly jobs = new Map<string, Watched>()
  private readonly due = new Map<string, { row: FiringRow; times: Times; next: number | undefined }>()
  /** When files were looked for last, by this process's monotonic clock. */
  private lookedAt = Number.NEGATIVE_INFINITY

  /** `arrivals` looks for files. */
  constructor(state: State, arrivals: Arrivals) {
    this.state = state
    this.arrivals = arrivals
  }

  /** Does what is due at `now` (milliseconds since 1970, by the state's clock). A trigger that cannot be checked has the reason as its outcome. */
  async tick(at?: number): Promise<Fired[]> {
    const now = at ?? (await databaseNow(this.state.db))
    await this.refresh()
    const looks = at !== undefined || performance.now() - this.lookedAt >= FILES_MS
    if (looks) this.lookedAt = performance.now()
    const fired: Fired[] = []
    for (const { job } of this.jobs.values()) {
      if (!job) continue
      for (const schedule of job.schedules.filter(s => s.enabled)) {
        const name = `schedule:${schedule.name}`
        const one = await this.bySchedule(job.name, schedule, now).catch(error => this.troubled(job.name, name, error))
        if (one) fired.push(one)
      }
      for (const trigger of job.triggers.filter(t => t.enabled)) {
        if (trigger.files !== undefined && !looks) continue
        const name = `trigger:${trigger.name}`
        const one = await this.byTrigger(job, trigger, now).catch(error => this.troubled(job.name, name, error))
        if (one) fired.push(one)
      }
    }
    return fired
  }

  /** Reads the jobs that are new or were edited. */
  private async refresh(): Promise<void> {
    const rows = await this.state.db.selectFrom('job').select(['name', 'updated_at']).execute()
    const there = new Set(rows.map(r => r.name))
    for (const name of this.jobs.keys()) if (!there.has(name)) this.forget(name)
    const stale = rows.filter(r => this.jobs.get(r.name)?.updatedAt !== r.updated_at)
    for (const { name, updated_at } of stale) {
      const row = await this.state.db.selectFrom('job').select('definition').where('name', '=', name).executeTakeFirst()
      if (!row) continue
      this.forget(name)
      const job = readable(row.definition)
      const runsByItself = job && job.schedules.length + job.triggers.length > 0
      this.jobs.set(name, { updatedAt: updated_at, job: runsByItself ? job : undefined })
    }
  }

  private forget(job: string): void {
    this.jobs.delete(job)
    for (const key of this.due.keys()) if (key.startsWith(`${job}\n`)) this.due.delete(key)
  }

  private async bySchedule(job: string, schedule: Schedule, now: number): Promise<Fired | undefined> {
    const name = `schedule:${schedule.name}`
    const key = `${job}\n${name}`
    let known = this.due.get(key)
    if (!known) {
      const row = await this.placeOf({ job, name, print: printOf(schedule), now })
      const times = timesOf(schedule)
      // A rare time takes long to find: others have their turn in between.
      await setImmediate()
      known = { row, times, next: times.next(row.at) }
      this.due.set(key, known)
    }
    if (known.next === undefined || known.next > now) return undefined
    // Of many times that were missed the last one counts.
    const at = known.times.last(now) ?? known.next
    this.due.delete(key)
    if (schedule.missed === 'skip' && now - at > GRACE_MS) {
      const outcome = `missed ${new Date(at).toISOString()}: nobody was there`
      const moved = await movePlace(this.state.db, known.row, at, outcome)
      return moved ? { job, name, outcome } : undefined
    }
    return this.fire(known.row, at, { by: name, overlap: schedule.overlap })
  }

  /** The place of a schedule. One that lies in the future was reached before the state's clock went back. */
  private async placeOf(known: Known): Promise<FiringRow> {
    const { db } = this.state
    const row = await firingOf(db, known)
    if (row.at <= known.now + GRACE_MS) return row
    await movePlace(db, row, known.now, row.outcome ?? '')
    return firingOf(db, known)
  }

  /** Moves the place and asks for the run, both or none; undefined where another server was faster. */
  private async fire(row: FiringRow, at: number, asking: Asking): Promise<Fired | undefined> {
    const { job, name } = row
    return this.state.db.transaction().execute(async tx => {
      if (!(await movePlace(tx, row, at, ''))) return undefined
      const answer = await askWithin(tx, job, asking)
      const outcome = OUTCOMES[answer.outcome](answer.row.id)
      await tellOutcome(tx, row, outcome)
      return { job, name, outcome, run: answer.row.id }
    })
  }

  private async byTrigger(job: CopyJob, trigger: Trigger, now: number): Promise<Fired | undefined> {
    if (isCalled(trigger)) return undefined
    const known: Known = { job: job.name, name: `trigger:${trigger.name}`, print: printOf(trigger), now }
    const { db } = this.state
    const row = await findFiring(db, known)
    const isNew = row?.print !== known.print
    const there =
      trigger.files === undefined ? await this.completedOf(trigger.after!) : await this.filesOf(job, trigger)
    if (isNew) {
      // Files that exist at the first check have not arrived.
      await db.transaction().execute(async tx => {
        await beginWith(tx, known, there, now)
        await firingOf(tx, known)
      })
      return undefined
    }
    const settled = trigger.files === undefined ? 0 : parseDuration(trigger.settled)! * 1000
    const ready = await settledOf(db, known, there, { now, before: now - settled })
    if (ready.length === 0) return undefined
    return db.transaction().execute(async tx => {
      if (!(await takeSeen(tx, known, ready))) throw new Taken()
      await movePlace(tx, row, now, '')
      const answer = await askWithin(tx, job.name, { by: known.name, overlap: trigger.overlap })
      const came =
        ready.length === 1 ? ready[0]!.path : `${ready.length} ${trigger.files === undefined ? 'runs' : 'files'}`
      const outcome = `${came}: ${OUTCOMES[answer.outcome](answer.row.id)}`
      await tellOutcome(tx, known, outcome)
      return { job: job.name, name: known.name, outcome, run: answer.row.id }
    })
  }

  /** The runs of a job that have completed last: what has been dealt with is known by its id, and no clock is asked. */
  private async completedOf(job: string): Promise<Seen[]> {
    const rows = await this.state.db
      .selectFrom('run')
      .select('id')
      .where('job', '=', job)
      .where('state', '=', 'completed')
      .orderBy('id', 'desc')
      .limit(LAST_RUNS)
      .execute()
    return rows.map(({ id }) => ({ path: id, fingerprint: 'completed' }))
  }

  private async filesOf(job: CopyJob, trigger: Trigger): Promise<Seen[]> {
    const spec = trigger.connection === undefined ? job.source : { connection: trigger.connection }
    return this.arrivals(spec, trigger.files!)
  }

  /** Saves why a trigger cannot be checked as its outcome, once for each cause; the other triggers are checked. */
  private async troubled(job: string, name: string, error: unknown): Promise<Fired | undefined> {
    // Another server has taken what came: that is no trouble.
    if (error instanceof Taken) return undefined
    const outcome = `cannot be looked at: ${(error as Error).message}`
    const { db } = this.state
    const own = { job, name }
    const row = await findFiring(db, own)
    if (row?.outcome === outcome) return undefined
    if (row) await tellOutcome(db, own, outcome)
    return { job, name, outcome }
  }
}

/** True for a trigger that others call, with its secret. */
export const isCalled = (trigger: Trigger): boolean => trigger.webhook === true || trigger.events !== undefined

/** A trigger that is called. Throws FERRY-1007 where there is no such trigger, or it is turned off. */
export async function calledTrigger(state: State, job: string, name: string): Promise<Trigger> {
  const row = await state.db.selectFrom('job').select('definition').where('name', '=', job).executeTakeFirst()
  const trigger = row && readJob(row.definition).triggers.find(t => t.name === name && isCalled(t))
  if (!trigger?.enabled) throw new FerryError('FERRY-1007', `there is no trigger "${name}" of a job "${job}"`)
  return trigger
}

/** Runs the job of a trigger that was called; `came` is what it was called for. */
export async function fireCalled(state: State, job: string, trigger: Trigger, came?: string): Promise<Answer> {
  const known = await knownOf(state, job, trigger)
  return state.db.transaction().execute(async tx => {
    await firingOf(tx, known)
    const answer = await askWithin(tx, job, { by: known.name, overlap: trigger.overlap })
    const outcome = OUTCOMES[answer.outcome](answer.row.id)
    await tellOutcome(tx, known, came === undefined ? outcome : `${came}: ${outcome}`)
    return answer
  })
}

/** Keeps something for people as the outcome of a trigger. */
export async function tellOfTrigger(state: State, job: string, trigger: Trigger, outcome: string): Promise<void> {
  const known = await knownOf(state, job, trigger)
  await firingOf(state.db, known)
  await tellOutcome(state.db, known, outcome)
}

async function knownOf(state: State, job: string, trigger: Trigger): Promise<Known> {
  return { job, name: `trigger:${trigger.name}`, print: printOf(trigger), now: await databaseNow(state.db) }
}

const OUTCOMES: Record<Answer['outcome'], (run: string) => string> = {
  queued: run => `run ${run} asked for`,
  resumed: run => `run ${run} goes on`,
  running: run => `left out: run ${run} is not finished`,
  paused: run => `left out: run ${run} is paused`,
}

/** What an edit changes. */
function printOf(what: Schedule | Trigger): string {
  return createHash('sha256').update(JSON.stringify(what)).digest('hex').slice(0, 16)
}

/** One job that cannot be read keeps no others from their times. */
function readable(definition: string): CopyJob | undefined {
  try {
    return readJob(definition)
  } catch {
    return undefined
  }
}
