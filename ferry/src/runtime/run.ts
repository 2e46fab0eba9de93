/** One run of a copy job, from the claim to the report: new, or going on where an earlier try stopped. */
import { setImmediate } from 'node:timers/promises'
import { copyTable } from '../engine/copy.ts'
import { RateLimit, Slots } from '../engine/limits.ts'
import type { TableProgress } from '../engine/progress.ts'
import type { OpenTable, TablePlan } from '../engine/tableplan.ts'
import { asFerryError, FerryError } from '../errors.ts'
import type { CopyJob } from '../job/schema.ts'
import type { Policy } from '../policy.ts'
import { sizeOf } from '../size.ts'
import * as claims from '../state/claims.ts'
import type { State } from '../state/database.ts'
import { diedTooOften, MOST_DEATHS } from '../state/queue.ts'
import * as runs from '../state/runs.ts'
import type { RunRow, RunState } from '../state/schema.ts'
import { countSkipped } from '../state/skipped.ts'
import { abandon, refuseEdited, release } from './discard.ts'
import { Drift } from './drift.ts'
import { Hold } from './hold.ts'
import { StateJournal } from './journal.ts'
import { parallelOf } from './plan.ts'
import { Pulse } from './pulse.ts'
import { errorInfo, type RunReport, reportOf } from './report.ts'
import { closeSessions, closeStores, openSessions, openStores, type Stores, withoutSecrets } from './stores.ts'
import { RunTables } from './tables.ts'
import { Watch } from './watch.ts'

export interface RunOptions {
  state: State
  job: CopyJob
  policy: Policy
  /** True for a copy of the command line, which lists of jobs leave out. */
  oneOff?: boolean
  /** Give up an unfinished run and begin anew. */
  fresh?: boolean
  /** The run, where it was taken from a queue. */
  claimed?: claims.Claimed
  /** Only these source objects. */
  only?: string[]
  /** Stops the run as a pause does: a signal of the terminal. */
  signal?: AbortSignal
  /** Told once the tables are known; the array is live. */
  onStart?: (run: { id: string; resumed: boolean; tables: TableProgress[] }) => void
}

/** How often an online copy that has caught up looks for new columns that no change has shown. */
const COLUMNS_MS = 15_000

/** Runs a job to its end. Throws only errors that prevent the start; later errors are in the report. */
export async function runJob(options: RunOptions): Promise<RunReport> {
  const { state, job } = options
  const db = state.db
  const definition = JSON.stringify(withoutSecrets(job))
  if (options.claimed) await refuseDying(options.state, options.claimed)
  const stores = await openStores(job, state, options.policy).catch(async error => {
    // A run that was taken from its queue records why it does not begin.
    if (options.claimed) {
      await runs.finishRun(db, options.claimed.lease, 'failed', { error: errorInfo(asFerryError(error)) })
    }
    throw error
  })
  try {
    const claimed =
      options.claimed ??
      (await claims.claimRun(db, job.name, definition, {
        fresh: options.fresh ?? false,
        oneOff: options.oneOff ?? false,
        abandon: async (row, lease) => {
          if (!options.fresh) await refuseEdited(state, row)
          await abandon(state, row, lease, stores)
        },
      }))
    if (options.claimed) await giveUpEarlier(options, claimed, stores)
    const run = new Run(options, stores, claimed)
    return await run.execute()
  } finally {
    await closeStores(stores)
  }
}

/** Throws FERRY-5012 for a run whose processes died again and again; it is ended. */
async function refuseDying({ db }: State, { row, lease }: claims.Claimed): Promise<void> {
  // One that was asked to be cancelled only removes what it left.
  if (row.deaths < (row.wish === 'cancel' ? 2 * MOST_DEATHS : MOST_DEATHS)) return
  const error = diedTooOften(row.id, row.deaths)
  await runs.finishRun(db, lease, 'failed', { error: errorInfo(error) })
  throw error
}

/** The earlier runs of a job for which a new one was requested: they are not resumed. */
async function giveUpEarlier({ state, fresh }: RunOptions, claimed: claims.Claimed, stores: Stores): Promise<void> {
  try {
    for (;;) {
      const earlier = await claims.takeEarlier(state.db, claimed.row)
      if (!earlier) break
      await claims.cancelTaken(state.db, earlier, async (row, lease) => {
        if (!fresh) await refuseEdited(state, row)
        await abandon(state, row, lease, stores)
      })
    }
  } catch (error) {
    await runs.finishRun(state.db, claimed.lease, 'failed', { error: errorInfo(asFerryError(error)) })
    throw error
  }
}

class Run {
  private readonly options: RunOptions
  private readonly stores: Stores
  private readonly lease: runs.Lease
  private readonly row: RunRow
  private readonly resumed: boolean
  private readonly tables: RunTables
  private readonly watch: Watch
  private readonly drift = new Drift()
  private readonly parallel: number
  private readonly pulse: Pulse
  private readonly hold: Hold
  private readonly started = performance.now()

  constructor(options: RunOptions, stores: Stores, claimed: claims.Claimed) {
    const { state, job, only, fresh = false } = options
    const { lease, row, resumed } = claimed
    this.options = options
    this.stores = stores
    this.lease = lease
    this.row = row
    this.resumed = resumed
    this.parallel = parallelOf(job, stores)
    this.pulse = new Pulse(state.db, lease, row.samples)
    this.hold = new Hold(state.db, lease, row.job)
    this.watch = new Watch(state, lease, stores, this.pulse)
    const { watch, drift, pulse } = this
    this.tables = new RunTables({ state, job, stores, lease, row, only, fresh, watch, drift, pulse })
  }

  async execute(): Promise<RunReport> {
    const { signal } = this.options
    const watching = this.watch.start(this.tables.progress, signal)
    let failure: FerryError | undefined
    try {
      await this.copyAll()
      while (this.drift.tables.size > 0 && this.watch.wish === undefined && !signal?.aborted) {
        this.watch.restart()
        this.tables.progress.length = 0
        await this.copyAll()
      }
    } catch (error) {
      failure = asFerryError(error)
    }
    watching.end()
    await this.pulse.settled
    return this.end(failure)
  }

  private async end(failure: FerryError | undefined): Promise<RunReport> {
    const status = this.statusAfter(failure)
    if (status === 'cancelled') await this.giveUp()
    if (status === 'completed') await release(this.options.state, this.row.job, this.stores.source, this.tables.former)
    const seconds = (performance.now() - this.started) / 1000
    const report = reportOf(
      {
        id: this.lease.run,
        job: this.row.job,
        resumed: this.resumed,
        parallel: this.parallel,
        seconds,
      },
      status,
      this.tables.progress,
      status === 'failed' ? failure : undefined,
    )
    const first = report.errors[0]
    // A run that was to be completed and could not be is completed when it is resumed.
    const ending = this.watch.complete.aborted && (status === 'paused' || status === 'failed') ? 'complete' : null
    const error = status === 'failed' ? first : undefined
    const sums = this.pulse.sums(this.tables.progress)
    const unless = status === 'paused' || status === 'failed' ? { unless: 'cancel' as const } : {}
    const db = this.options.state.db
    if (await runs.finishRun(db, this.lease, status, { error, wish: ending, sums, ...unless })) return report
    // Somebody has asked to cancel it in the last moment.
    this.watch.wish = 'cancel'
    return this.end(failure)
  }

  private statusAfter(failure: FerryError | undefined): RunState {
    if (this.watch.wish === 'cancel') return 'cancelled'
    if (this.tables.progress.some(t => t.error) || (failure && !this.watch.signal.aborted)) return 'failed'
    return this.watch.signal.aborted ? 'paused' : 'completed'
  }

  private async copyAll(): Promise<void> {
    const { job, state } = this.options
    const { watch, drift, tables: own } = this
    const sessions = await openSessions(this.stores, this.hold)
    try {
      await runs.setState(state.db, this.lease, 'planning')
      await watch.look()
      const planned = await own.open(sessions)
      if (!drift.hasBegun) {
        this.options.onStart?.({ id: this.lease.run, resumed: this.resumed, tables: own.progress })
      }
      await watch.look()
      watch.signal.throwIfAborted()
      const opened = await own.follow(sessions, planned)
      await runs.setState(state.db, this.lease, watch.complete.aborted ? 'completing' : 'running')
      // What follows its source never ends by itself: nothing can wait for it.
      const isLogged = opened.some(t => t?.plan.write.follows?.log)
      const follows = job.mode === 'online' || isLogged
      const slots = new Slots(isLogged || !follows ? this.parallel : Infinity)
      const rows = job.limits.rowsPerSecond === undefined ? undefined : new RateLimit(job.limits.rowsPerSecond)
      const perSecond =
        job.limits.bytesPerSecond === undefined ? undefined : sizeOf(job.limits.bytesPerSecond, 'limits.bytesPerSecond')
      const bytes = perSecond === undefined ? undefined : new RateLimit(perSecond)
      const tables = new Slots(follows ? Infinity : this.parallel)
      await Promise.all(
        opened.map((table, i) => tables.use(() => this.copyOne(table, own.progress[i]!, { slots, rows, bytes }))),
      )
    } finally {
      await closeSessions(sessions)
    }
  }

  private async copyOne(
    table: OpenTable | undefined,
    progress: TableProgress,
    limits: { slots: Slots; rows?: RateLimit | undefined; bytes?: RateLimit | undefined },
  ): Promise<void> {
    if (!table) return
    // Stores that answer at once would keep the wishes waiting until the last table is copied.
    await setImmediate()
    if (this.watch.signal.aborted) return
    progress.startedAt = Date.now()
    progress.state = 'running'
    let { plan } = table
    try {
      await this.copyRows(table, progress, {
        ...limits,
        onCut: async fingerprint => {
          if (fingerprint !== undefined) plan = { ...plan, fingerprint }
          await this.tables.save(plan, progress)
        },
      })
      await this.drift.requireSameColumns(this.stores.source, plan)
      plan = withPosition(plan, table.feed?.position())
      progress.state = 'completed'
      progress.rowsSkipped = await countSkipped(this.options.state.db, this.lease.run, [plan.ordinal])
    } catch (error) {
      if (this.watch.signal.aborted) progress.state = 'paused'
      else if (this.drift.takes(plan, error)) {
        progress.state = 'paused'
        // The other tables follow the same log: all of them are resumed together.
        this.watch.stop(error)
      } else {
        progress.state = 'failed'
        progress.error = asFerryError(error)
      }
    }
    table.feed?.stop()
    progress.endedAt = Date.now()
    await this.tables.saveEnd(plan, progress)
    // The ledger's lines go only when the state knows the end: until then they are what decides.
    if (progress.state === 'completed') await table.sink.forget()
  }

  private async copyRows(
    table: OpenTable,
    progress: TableProgress,
    {
      onCut,
      ...limits
    }: {
      slots: Slots
      rows?: RateLimit | undefined
      bytes?: RateLimit | undefined
      onCut: (fingerprint: string | undefined) => Promise<void>
    },
  ): Promise<void> {
    const { plan } = table
    if (plan.write.alter) await table.sink.alter?.()
    let lookedAt = performance.now()
    const journal = new StateJournal(this.options.state.db, this.lease, {
      ordinal: plan.ordinal,
      from: plan.from,
      hasFeed: table.feed !== undefined,
      requireUnchanged: () => refuseChangedSource(table),
      onCut: async () => onCut(await table.source.fingerprint()),
      onCommit: async behind => {
        // An online copy has no end at which a new column would be found.
        if (!plan.read.online || behind?.changes !== 0 || performance.now() - lookedAt < COLUMNS_MS) return
        lookedAt = performance.now()
        await this.drift.requireSameColumns(this.stores.source, plan)
      },
    })
    await copyTable(table, {
      signal: this.watch.signal,
      complete: this.watch.complete,
      resumed: this.resumed || this.drift.hasBegun,
      parallel: this.parallel,
      ...limits,
      progress,
      journal,
    })
  }

  /** What was asked to be cancelled leaves what others see already; its counts say so. */
  private async giveUp(): Promise<void> {
    const remains = await abandon(this.options.state, this.row, this.lease, this.stores)
    for (const table of this.tables.progress) Object.assign(table, remains.get(table.ordinal))
  }
}

/** Throws FERRY-5005 if the source is not as it was when its splits were cut. */
async function refuseChangedSource({ plan, source }: OpenTable): Promise<void> {
  if (plan.fingerprint === undefined) return
  // The splits are cut by page: cutting them again makes the source know that, and its fingerprint comparable.
  await source.splits(plan.offer)
  if ((await source.fingerprint()) === plan.fingerprint) return
  throw new FerryError('FERRY-5005', `${plan.from} changed while the run was interrupted: its splits no longer hold`, {
    hint: 'Start again: ferry run JOB --full-refresh. Rows that an append has committed already stay there.',
  })
}

/** The plan with the position that the next copy starts from. */
function withPosition(plan: TablePlan, value: string | undefined): TablePlan {
  const { increment } = plan
  if (!increment || value === undefined) return plan
  return { ...plan, increment: { ...increment, position: { ...increment.position, value } } }
}
