/** One run of a copy job, from the claim to the report: new, or going on where an earlier try stopped. */
import { setImmediate } from 'node:timers/promises'
import { requireOwnDestinations } from '../engine/apart.ts'
import { copyTable } from '../engine/copy.ts'
import { tablePlans } from '../engine/keptplan.ts'
import { RateLimit, Slots } from '../engine/limits.ts'
import {
  type IdleTable,
  isSpecOf,
  type OpenTable,
  type PlanOptions,
  planTable,
  reopenTable,
  requireSamePlaces,
  requireSameShape,
  type Sessions,
  type TablePlan,
} from '../engine/plan.ts'
import type { TableProgress } from '../engine/progress.ts'
import { asFerryError, FerryError, NewColumns } from '../errors.ts'
import type { Variables } from '../job/read.ts'
import type { CopyJob } from '../job/schema.ts'
import { sizeOf } from '../size.ts'
import type { State } from '../state/database.ts'
import { HEARTBEAT_MS } from '../state/owner.ts'
import { completeTable, positionsOf } from '../state/positions.ts'
import { diedTooOften, MOST_DEATHS } from '../state/queue.ts'
import * as runs from '../state/runs.ts'
import type { RunRow, RunState, RunTableRow, Wish } from '../state/schema.ts'
import { saveSplits, splitsOf } from '../state/splits.ts'
import { errorFiles, errorFolder, firstErrors } from './errorfiles.ts'
import { abandon, forgetTable, refuseEdited, release } from './giveup.ts'
import { Hold } from './hold.ts'
import { StateJournal } from './journal.ts'
import { parallelOf, planOptions, tablesOf } from './plan.ts'
import { PULSE_MS, Pulse } from './pulse.ts'
import { errorInfo, type RunReport, reportOf } from './report.ts'
import { closeSessions, closeStores, openSessions, openStores, type Stores, withoutSecrets } from './stores.ts'

export interface RunOptions {
  state: State
  job: CopyJob
  variables?: Variables
  /** A copy of the command line: no list of jobs tells it. */
  oneOff?: boolean
  /** Give up an unfinished run and begin anew. */
  fresh?: boolean
  /** The run, where it was taken from a queue. */
  claimed?: runs.Claimed
  /** Only these source objects. */
  only?: string[]
  /** Stops the run as a pause does: a signal of the terminal. */
  signal?: AbortSignal
  /** Told once the tables are known; the array is live. */
  onStart?: (run: { id: string; resumed: boolean; tables: TableProgress[] }) => void
}

/** How often the wishes of other terminals are looked for. */
const WISH_MS = 250
/** How often an online copy that has caught up looks for new columns that no change has told of. */
const COLUMNS_MS = 15_000

/** Runs a job to its end. Throws only what kept the run from starting; everything later is in the report. */
export async function runJob(options: RunOptions): Promise<RunReport> {
  const { state, job } = options
  const db = state.db
  const definition = JSON.stringify(withoutSecrets(job))
  if (options.claimed) await refuseDying(options.state, options.claimed)
  const stores = await openStores(job, state, options.variables ?? {}).catch(async error => {
    // A run that was taken from its queue tells why it does not begin.
    if (options.claimed) {
      await runs.finishRun(db, options.claimed.lease, 'failed', { error: errorInfo(asFerryError(error)) })
    }
    throw error
  })
  try {
    const claimed =
      options.claimed ??
      (await runs.claimRun(db, job.name, definition, {
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
async function refuseDying({ db }: State, { row, lease }: runs.Claimed): Promise<void> {
  // One that was asked to be cancelled only removes what it left.
  if (row.deaths < (row.wish === 'cancel' ? 2 * MOST_DEATHS : MOST_DEATHS)) return
  const error = diedTooOften(row.id, row.deaths)
  await runs.finishRun(db, lease, 'failed', { error: errorInfo(error) })
  throw error
}

/** The earlier runs of a job that a new one was asked for: they will not go on. */
async function giveUpEarlier({ state, fresh }: RunOptions, claimed: runs.Claimed, stores: Stores): Promise<void> {
  try {
    for (;;) {
      const earlier = await runs.takeEarlier(state.db, claimed.row)
      if (!earlier) break
      await runs.cancelTaken(state.db, earlier, async (row, lease) => {
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
  private abort = new AbortController()
  private readonly complete = new AbortController()
  private readonly tables: TableProgress[] = []
  /** Tables whose source got new columns: they are planned anew, and go on where they are. */
  private drifted = new Set<number>()
  /** Of each the new columns that its last plan was made for. */
  private readonly evolved = new Map<number, string>()
  private readonly parallel: number
  private readonly folder: string
  private readonly pulse: Pulse
  private readonly hold: Hold
  private wish: Wish | undefined
  private told: string | undefined
  private former: string[] = []
  private readonly started = performance.now()

  constructor(options: RunOptions, stores: Stores, claimed: runs.Claimed) {
    this.options = options
    this.stores = stores
    this.lease = claimed.lease
    this.row = claimed.row
    this.resumed = claimed.resumed
    this.parallel = parallelOf(options.job, stores)
    this.pulse = new Pulse(options.state.db, claimed.lease, claimed.row.samples)
    this.hold = new Hold(options.state.db, claimed.lease, claimed.row.job)
    this.folder = errorFolder(options.state.home, claimed.lease.run)
  }

  async execute(): Promise<RunReport> {
    const watch = this.watch()
    let failure: FerryError | undefined
    try {
      await this.copyAll()
      while (this.drifted.size > 0 && this.wish === undefined && !this.options.signal?.aborted) {
        this.abort = new AbortController()
        this.tables.length = 0
        await this.copyAll()
      }
    } catch (error) {
      failure = asFerryError(error)
    }
    watch.stop()
    await this.pulse.settled
    return this.end(failure)
  }

  private async end(failure: FerryError | undefined): Promise<RunReport> {
    const status = this.statusAfter(failure)
    if (status === 'cancelled') await this.giveUp()
    if (status === 'completed') await release(this.options.state, this.row.job, this.stores.source, this.former)
    const seconds = (performance.now() - this.started) / 1000
    const report = reportOf(
      {
        id: this.lease.run,
        job: this.row.job,
        resumed: this.resumed,
        parallel: this.parallel,
        seconds,
        errorFiles: this.folder,
      },
      status,
      this.tables,
      status === 'failed' ? failure : undefined,
    )
    const first = report.errors[0]
    // What was asked to end and could not goes on ending when it goes on.
    const ending = this.complete.signal.aborted && (status === 'paused' || status === 'failed') ? 'complete' : null
    const error = status === 'failed' ? first : undefined
    const sums = this.pulse.sums(this.tables)
    const unless = status === 'paused' || status === 'failed' ? { unless: 'cancel' as const } : {}
    const db = this.options.state.db
    if (await runs.finishRun(db, this.lease, status, { error, wish: ending, sums, ...unless })) return report
    // Somebody has asked to cancel it in the last moment.
    this.wish = 'cancel'
    return this.end(failure)
  }

  private statusAfter(failure: FerryError | undefined): RunState {
    if (this.wish === 'cancel') return 'cancelled'
    if (this.tables.some(t => t.error) || (failure && !this.abort.signal.aborted)) return 'failed'
    return this.abort.signal.aborted ? 'paused' : 'completed'
  }

  private async copyAll(): Promise<void> {
    const { job, state } = this.options
    const sessions = await openSessions(this.stores, this.hold)
    try {
      await runs.setState(state.db, this.lease, 'planning')
      await this.lookForWish()
      const planned = await this.openTables(sessions)
      if (this.evolved.size === 0) {
        this.options.onStart?.({ id: this.lease.run, resumed: this.resumed, tables: this.tables })
      }
      await this.lookForWish()
      this.abort.signal.throwIfAborted()
      const opened = await this.follow(sessions, planned)
      await runs.setState(state.db, this.lease, this.complete.signal.aborted ? 'completing' : 'running')
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
        opened.map((table, i) => tables.use(() => this.copyOne(table, this.tables[i]!, { slots, rows, bytes }))),
      )
    } finally {
      await closeSessions(sessions)
    }
  }

  /** Plans of a new run, or those that the run began with. */
  private async openTables(sessions: Sessions): Promise<(OpenTable | undefined)[]> {
    const { state, job, only } = this.options
    const before = await runs.runTables(state.db, this.lease.run)
    if (before.length > 0) {
      const opened: (OpenTable | undefined)[] = []
      for (const row of before) {
        await this.breathe()
        const plan = tablePlans.read(row.plan)
        if (row.state === 'completed') {
          const more = this.copiesOn ? await this.nextIncrement(sessions, plan) : undefined
          Object.assign(this.track(more?.plan ?? plan), {
            ...(more ? {} : { state: 'completed' }),
            rowsRead: row.rows_read,
            rowsCopied: row.rows_copied,
            rowsSkipped: row.rows_skipped,
            bytesRead: row.bytes_read,
            bytesWritten: row.bytes_written,
          })
          if (more) {
            await this.saveTable(more.plan, this.tables.at(-1)!)
            opened.push(more)
            continue
          }
          // A try that was killed right behind the table's end has left its marks.
          if (!plan.increment?.isEmpty) await forgetTable(sessions.sink, plan)
          opened.push(undefined)
        } else opened.push(await this.reopen(sessions, plan))
      }
      this.drifted.clear()
      return opened
    }
    const specs = await tablesOf(job, this.stores, only)
    // A full refresh keeps the positions until it has reached new ones.
    const kept = this.options.fresh ? [] : await positionsOf(state.db, job.name)
    const all = { count: specs.length, kept, run: this.lease.run }
    const planned: (OpenTable | IdleTable)[] = []
    for (const [ordinal, spec] of specs.entries()) {
      await this.breathe()
      planned.push(await planTable(sessions, spec, ordinal, planOptions(job, this.stores, all)))
    }
    requireOwnDestinations(
      planned.map(t => t.plan),
      this.stores.destination,
    )
    // Kept only when all are planned: before any row moves, a fault of one table stops the run.
    const tables: (OpenTable | undefined)[] = []
    for (const table of planned) tables.push(await this.keep(table))
    return tables
  }

  /** True if tables that an earlier try has copied are copied on: one that fails again and again holds no other one back. */
  private get copiesOn(): boolean {
    return this.options.job.mode === 'incremental' && this.row.state === 'failed' && this.evolved.size === 0
  }

  /** What is new of a table that an earlier try has copied; undefined where nothing is. */
  private async nextIncrement(sessions: Sessions, plan: TablePlan): Promise<OpenTable | undefined> {
    if (!plan.increment?.isEmpty) await forgetTable(sessions.sink, plan)
    const made = await this.planAgain(sessions, plan)
    if (!('source' in made)) return undefined
    await saveSplits(this.options.state.db, this.lease, plan.ordinal, [], { feed: false })
    return made
  }

  /** Keeps the plan of a table; undefined where there is nothing to copy. */
  private async keep(table: OpenTable | IdleTable): Promise<OpenTable | undefined> {
    const progress = this.track(table.plan)
    if ('source' in table) {
      await this.saveTable(table.plan, progress)
      return table
    }
    progress.state = 'completed'
    await this.saveEnd(table.plan, progress)
    return undefined
  }

  /** A table that goes on: as it was planned, or with the columns that its source has now. */
  private async reopen(sessions: Sessions, plan: TablePlan): Promise<OpenTable | undefined> {
    requireSamePlaces(sessions, plan)
    if (!this.drifted.has(plan.ordinal)) {
      const table = await reopenTable(sessions, plan)
      if (plan.read.log !== undefined || (await this.goesOn(table))) {
        await requireSameShape(sessions, table)
        this.track(plan)
        return table
      }
      const made = await this.planAgain(sessions, plan)
      return this.keep(made)
    }
    const made = await this.planAgain(sessions, plan, {
      // From its own place: the log has moved beyond the one that is kept.
      goesOn: { increment: plan.increment!, log: plan.read.log! },
    })
    if (!('source' in made)) throw new FerryError('FERRY-9000', `${plan.from} has nothing to follow`)
    this.track(made.plan)
    return made
  }

  /**
   * Whether what was planned still holds. Where nothing is copied yet nothing of the former plan is kept: someone may have
   * mended the source, or the destination.
   */
  private async goesOn(table: OpenTable): Promise<boolean> {
    const { plan, sink } = table
    const { db } = this.options.state
    const kept = await splitsOf(db, this.lease.run, plan.ordinal)
    // Nothing was begun before there are splits.
    if (!kept) return false
    if (kept.committed.size > 0) return true
    // The destination knows of what was committed right before the process ended.
    const committed = await sink.committed({ splits: new Map(), published: false })
    if (committed.published || committed.splits.size > 0) return true
    await sink.discard()
    await saveSplits(db, this.lease, plan.ordinal, [], { feed: false })
    return false
  }

  private async planAgain(sessions: Sessions, plan: TablePlan, more: Partial<PlanOptions> = {}) {
    const { job, only, state } = this.options
    const specs = await tablesOf(job, this.stores, only)
    const kept = await positionsOf(state.db, job.name)
    // Not by its number: a pattern may stand for other tables by now.
    const spec = specs.find(s => isSpecOf(s, plan, sessions))
    if (!spec) throw new FerryError('FERRY-3001', `${plan.from} was there when the run was planned, and is gone`)
    const all = { count: specs.length, kept, run: this.lease.run }
    return planTable(sessions, spec, plan.ordinal, { ...planOptions(job, this.stores, all), ...more })
  }

  /** Follows the log for the tables that need it. The places that their feeds begin at are saved before the first row moves. */
  private async follow(sessions: Sessions, opened: (OpenTable | undefined)[]): Promise<(OpenTable | undefined)[]> {
    const tables = opened.filter(t => t !== undefined).filter(t => t.plan.read.log !== undefined)
    if (tables.length === 0 || !sessions.source.follow) return opened
    const kept = await positionsOf(this.options.state.db, this.row.job)
    // Released when this run is completed: former places in the log, and all places of an online copy.
    this.former = kept.map(p => p.value)
    if (this.options.job.mode === 'online') {
      this.former.push(...tables.flatMap(t => t.plan.increment?.position.value ?? []))
    }
    const feeds = await sessions.source.follow(
      tables.map(t => t.plan.read),
      kept.map(p => ({ object: p.source, position: p.value })),
    )
    const followed = tables.map((table, i) => {
      const feed = feeds[i]!
      return { ...table, feed, plan: { ...table.plan, read: feed.request } }
    })
    for (const { plan } of followed) await this.saveTable(plan, this.tables[plan.ordinal]!)
    return opened.map(t => followed.find(f => f.plan.ordinal === t?.plan.ordinal) ?? t)
  }

  private track(plan: TablePlan): TableProgress {
    const progress: TableProgress = {
      ordinal: plan.ordinal,
      from: plan.from,
      to: plan.to,
      encoding: plan.increment?.isEmpty ? 'none' : plan.offer.encoding,
      state: 'pending',
      rowsRead: 0,
      rowsCopied: 0,
      rowsSkipped: 0,
      bytesRead: 0,
      bytesWritten: 0,
      splits: 0,
      splitsDone: 0,
      behind: new Map(),
      ...(plan.guesses ? { guesses: plan.guesses } : {}),
      ...(plan.replaces ? { replaces: plan.replaces } : {}),
      ...(plan.rows === undefined ? {} : { totalRows: plan.rows }),
      ...(plan.bytes === undefined ? {} : { totalBytes: plan.bytes }),
    }
    this.tables.push(progress)
    return progress
  }

  private async copyOne(
    table: OpenTable | undefined,
    progress: TableProgress,
    limits: { slots: Slots; rows?: RateLimit | undefined; bytes?: RateLimit | undefined },
  ): Promise<void> {
    if (!table) return
    // Stores that answer at once would keep the wishes waiting until the last table is copied.
    await setImmediate()
    if (this.abort.signal.aborted) return
    progress.startedAt = Date.now()
    progress.state = 'running'
    let { plan } = table
    try {
      await this.copyRows(table, progress, {
        ...limits,
        onCut: async fingerprint => {
          if (fingerprint !== undefined) plan = { ...plan, fingerprint }
          await this.saveTable(plan, progress)
        },
      })
      await this.requireSameColumns(plan)
      plan = withPosition(plan, table.feed?.position())
      progress.state = 'completed'
      progress.rowsSkipped = await this.countErrors(plan.ordinal)
    } catch (error) {
      if (this.abort.signal.aborted) progress.state = 'paused'
      else if (this.mayEvolve(plan, error)) {
        progress.state = 'paused'
        this.drifted.add(plan.ordinal)
        // The others follow the same log: all of them go on together.
        this.abort.abort(error)
      } else {
        progress.state = 'failed'
        progress.error = asFerryError(error)
      }
    }
    table.feed?.stop()
    progress.endedAt = Date.now()
    await this.saveEnd(plan, progress)
    // The ledger's lines go only when the state knows the end: until then they are what decides.
    if (progress.state === 'completed') await table.sink.forget()
  }

  /** New columns that no change has told of yet have values all the same: those that their defaults gave older rows. */
  private async requireSameColumns({ read, from, ordinal }: TablePlan): Promise<void> {
    if (read.log === undefined || read.drift !== 'evolve') return
    const now = await this.stores.source.describe(read)
    const names = now?.columns.filter(c => !c.onRequest && !read.columns.some(r => r.from === c.name)).map(c => c.name)
    if (!names || names.length === 0) return
    // Those that the last plan has left out too stay out: the destination computes them.
    if (this.evolved.get(ordinal) !== names.join()) throw new NewColumns(from, names)
  }

  /** Whether new columns of the source are a reason to plan the table anew; once for each of them. */
  private mayEvolve(plan: TablePlan, error: unknown): boolean {
    if (plan.read.drift !== 'evolve' || !(error instanceof NewColumns)) return false
    const names = error.columns.join()
    const isNew = this.evolved.get(plan.ordinal) !== names
    this.evolved.set(plan.ordinal, names)
    return isNew
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
    const journal = new StateJournal(this.options.state, this.lease, {
      ordinal: plan.ordinal,
      from: plan.from,
      hasFeed: table.feed !== undefined,
      requireUnchanged: () => refuseChangedSource(table),
      onCut: async () => onCut(await table.source.fingerprint()),
      onCommit: async behind => {
        // An online copy has no end at which a new column would be found.
        if (!plan.read.online || behind?.changes !== 0 || performance.now() - lookedAt < COLUMNS_MS) return
        lookedAt = performance.now()
        await this.requireSameColumns(plan)
      },
    })
    await copyTable(table, {
      signal: this.abort.signal,
      complete: this.complete.signal,
      resumed: this.resumed || this.evolved.size > 0,
      parallel: this.parallel,
      ...limits,
      progress,
      journal,
    })
  }

  private async countErrors(ordinal: number): Promise<number> {
    const { total } = await firstErrors(errorFiles(this.folder, ordinal), 0)
    return total
  }

  /** The end of a table; where it is copied, its position moves with it. */
  private async saveEnd(plan: TablePlan, progress: TableProgress): Promise<void> {
    await this.pulse.settled
    const { increment } = plan
    const isOnline = this.options.job.mode === 'online'
    if (!increment || isOnline || progress.state !== 'completed') return this.saveTable(plan, progress)
    const { tracked, value } = increment.position
    const position = { job: this.row.job, source: plan.from, destination: plan.to, tracked, value }
    await completeTable(this.options.state.db, this.lease, this.tableRow(plan, progress), position)
  }

  private async saveTable(plan: TablePlan, progress: TableProgress): Promise<void> {
    await runs.saveTable(this.options.state.db, this.lease, this.tableRow(plan, progress))
  }

  private tableRow(plan: TablePlan, progress: TableProgress): RunTableRow {
    const time = (ms: number | undefined) => (ms === undefined ? null : new Date(ms).toISOString())
    return {
      run: this.lease.run,
      ordinal: plan.ordinal,
      source: plan.from,
      destination: plan.to,
      state: progress.state,
      plan: tablePlans.write(plan),
      rows_read: progress.rowsRead,
      rows_copied: progress.rowsCopied,
      rows_skipped: progress.rowsSkipped,
      bytes_read: progress.bytesRead,
      bytes_written: progress.bytesWritten,
      total_rows: plan.rows ?? null,
      started_at: time(progress.startedAt),
      ended_at: time(progress.endedAt),
      error: progress.error ? JSON.stringify(errorInfo(progress.error)) : null,
      encoding: progress.encoding,
    }
  }

  /** Gives signs of life and looks for wishes until stopped; losing the run to another process ends it at once. */
  private watch(): { stop: () => void } {
    const { db } = this.options.state
    const onSignal = () => this.stopBy('pause')
    this.options.signal?.addEventListener('abort', onSignal, { once: true })
    let lastBeat = Number.NEGATIVE_INFINITY
    let lastPulse = performance.now()
    let busy = false
    const timer = setInterval(async () => {
      if (busy) return
      busy = true
      try {
        await this.lookForWish()
        await this.tellWaiting()
        if (performance.now() - lastPulse > PULSE_MS) {
          await this.pulse.beat(this.tables)
          lastPulse = performance.now()
        }
        if (performance.now() - lastBeat > HEARTBEAT_MS) {
          await runs.heartbeat(db, this.lease)
          lastBeat = performance.now()
        }
      } catch (error) {
        this.abort.abort(asFerryError(error))
      } finally {
        busy = false
      }
    }, WISH_MS)
    return {
      stop: () => {
        clearInterval(timer)
        this.options.signal?.removeEventListener('abort', onSignal)
      },
    }
  }

  private stopBy(wish: Wish): void {
    this.wish = wish
    this.abort.abort(new FerryError('FERRY-5006', `the run was ${wish === 'pause' ? 'paused' : 'cancelled'}`))
  }

  private async lookForWish(): Promise<void> {
    const wish = await runs.readWish(this.options.state.db, this.lease)
    if (wish === 'complete') await this.drain()
    else if (wish) this.stopBy(wish)
  }

  /** Lets the wishes be heard between two tables: a store that answers at once leaves the clock no turn. */
  private async breathe(): Promise<void> {
    await setImmediate()
    this.abort.signal.throwIfAborted()
  }

  /** An online copy is to end with what its source holds now. */
  private async drain(): Promise<void> {
    if (this.complete.signal.aborted) return
    this.complete.abort()
    await runs.setState(this.options.state.db, this.lease, 'completing')
  }

  /** Keeps the reason why a store makes the run wait, where other terminals see it. */
  private async tellWaiting(): Promise<void> {
    const why = this.stores.source.throttle?.waitingFor() ?? this.stores.destination.throttle?.waitingFor()
    if (why === this.told) return
    this.told = why
    await runs.saveWaiting(this.options.state.db, this.lease, why)
  }

  /** What was asked to be cancelled leaves what others see already; its counts say so. */
  private async giveUp(): Promise<void> {
    const remains = await abandon(this.options.state, this.row, this.lease, this.stores)
    for (const table of this.tables) Object.assign(table, remains.get(table.ordinal))
  }
}

/** Throws FERRY-5005 if the source is not as it was when its splits were cut. */
async function refuseChangedSource({ plan, source }: OpenTable): Promise<void> {
  if (plan.fingerprint === undefined) return
  // The splits are cut by page: cutting them again makes the source know that, and its fingerprint comparable.
  await source.splits(plan.offer)
  if ((await source.fingerprint()) === plan.fingerprint) return
  throw new FerryError(
    'FERRY-5005',
    `${plan.from} changed while the run was interrupted, and has no key by which its splits would still hold`,
    { hint: 'Start again: ferry run JOB --full-refresh. Rows that an append has committed already stay there.' },
  )
}

/** The plan with the position that the next copy starts from. */
function withPosition(plan: TablePlan, value: string | undefined): TablePlan {
  const { increment } = plan
  if (!increment || value === undefined) return plan
  return { ...plan, increment: { ...increment, position: { ...increment.position, value } } }
}
