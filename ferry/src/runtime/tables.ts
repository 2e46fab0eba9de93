/** The tables of a run: planned when it begins, opened again when it is resumed, saved as they are. */
import { requireDistinctDestinations } from '../engine/destinations.ts'
import { tablePlans } from '../engine/keptplan.ts'
import { isSpecOf, planTable, reopenTable } from '../engine/plan.ts'
import { noProgress, type TableProgress } from '../engine/progress.ts'
import { requireSamePlaces, requireSameShape } from '../engine/sameplan.ts'
import type { IdleTable, OpenTable, PlanOptions, Sessions, TablePlan } from '../engine/tableplan.ts'
import { FerryError } from '../errors.ts'
import type { CopyJob } from '../job/schema.ts'
import type { State } from '../state/database.ts'
import { completeTable, confirmTable, positionsOf } from '../state/positions.ts'
import * as runs from '../state/runs.ts'
import type { PositionRow, RunRow, RunTableRow } from '../state/schema.ts'
import { closeGroups } from '../state/skipped.ts'
import { saveSplits, splitsOf } from '../state/splits.ts'
import { forgetTable } from './discard.ts'
import type { Drift } from './drift.ts'
import { planOptions, tablesOf } from './plan.ts'
import type { Pulse } from './pulse.ts'
import { errorInfo } from './report.ts'
import type { Stores } from './stores.ts'
import type { Watch } from './watch.ts'

export interface TablesContext {
  state: State
  job: CopyJob
  stores: Stores
  lease: runs.Lease
  row: RunRow
  /** Only these source objects. */
  only: string[] | undefined
  /** Gives up an unfinished run and starts anew. */
  fresh: boolean
  watch: Watch
  drift: Drift
  pulse: Pulse
}

export class RunTables {
  /** How far each table is, in their order; the array stays the same. */
  readonly progress: TableProgress[] = []
  /** Positions that the source need not keep when the run is completed. */
  former: string[] = []
  private readonly context: TablesContext

  constructor(context: TablesContext) {
    this.context = context
  }

  /** Plans of a new run, or those that the run began with. */
  async open(sessions: Sessions): Promise<(OpenTable | undefined)[]> {
    const { state, job, only, stores, lease, watch, drift, fresh } = this.context
    const before = await runs.runTables(state.db, lease.run)
    if (before.length > 0) {
      const opened: (OpenTable | undefined)[] = []
      for (const row of before) {
        await watch.breathe()
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
            await this.save(more.plan, this.progress.at(-1)!)
            opened.push(more)
            continue
          }
          // A try that was killed right behind the table's end has left its marks.
          if (!plan.increment?.isEmpty) await forgetTable(sessions.sink, plan)
          opened.push(undefined)
        } else opened.push(await this.reopen(sessions, plan))
      }
      drift.tables.clear()
      return opened
    }
    const specs = await tablesOf(job, stores, only)
    // A full refresh keeps the positions until it has reached new ones.
    const kept = fresh ? [] : await positionsOf(state.db, job.name)
    const all = { count: specs.length, kept, run: lease.run }
    const planned: (OpenTable | IdleTable)[] = []
    for (const [ordinal, spec] of specs.entries()) {
      await watch.breathe()
      planned.push(await planTable(sessions, spec, ordinal, planOptions(job, stores, all)))
    }
    requireDistinctDestinations(
      planned.map(t => t.plan),
      stores.destination,
    )
    // Kept only when all are planned: before any row moves, a fault of one table stops the run.
    const tables: (OpenTable | undefined)[] = []
    for (const table of planned) tables.push(await this.keep(table, kept))
    return tables
  }

  /** True if tables that an earlier try has copied are copied on: one that fails again and again holds no other one back. */
  private get copiesOn(): boolean {
    const { job, row, drift, stores } = this.context
    // Objects of a run are named by the run: a second increment in it would reuse the names of the first.
    const isApart = stores.destination.abilities.writesApart
    return job.mode === 'incremental' && row.state === 'failed' && !drift.hasBegun && !isApart
  }

  /** What is new of a table that an earlier try has copied; undefined where nothing is. */
  private async nextIncrement(sessions: Sessions, plan: TablePlan): Promise<OpenTable | undefined> {
    if (!plan.increment?.isEmpty) await forgetTable(sessions.sink, plan)
    const made = await this.planAgain(sessions, plan)
    if (!('source' in made)) return undefined
    const { state, lease } = this.context
    await saveSplits(state.db, lease, plan.ordinal, [], { feed: false })
    await closeGroups(state.db, lease, plan.ordinal)
    return made
  }

  /** Keeps the plan of a table; undefined where there is nothing to copy. */
  private async keep(table: OpenTable | IdleTable, kept: readonly PositionRow[] = []): Promise<OpenTable | undefined> {
    const progress = this.track(table.plan)
    if ('source' in table) {
      await this.save(table.plan, progress)
      return table
    }
    progress.state = 'completed'
    const { plan } = table
    const before = kept.find(p => p.source === plan.from && p.destination === plan.to)
    const { position } = plan.increment ?? {}
    const stays = before !== undefined && before.value === position?.value && before.tracked === position.tracked
    // A place in a log is released by what the plan has; what is known of a million files is not stored again.
    if (stays && plan.read.log === undefined) await this.saveIdle(plan, progress)
    else await this.saveEnd(plan, progress)
    return undefined
  }

  /** Resumes a table: as it was planned, or with the columns that its source has now. */
  private async reopen(sessions: Sessions, plan: TablePlan): Promise<OpenTable | undefined> {
    requireSamePlaces(sessions, plan)
    if (!this.context.drift.tables.has(plan.ordinal)) {
      const table = await reopenTable(sessions, plan)
      if (plan.read.log !== undefined || (await this.stillHolds(table))) {
        await requireSameShape(sessions, table)
        this.track(plan)
        return table
      }
      const made = await this.planAgain(sessions, plan)
      return this.keep(made)
    }
    const made = await this.planAgain(sessions, plan, {
      // From its own position: the log has moved beyond the saved one.
      resumesAt: { increment: plan.increment!, log: plan.read.log! },
    })
    if (!('source' in made)) throw new FerryError('FERRY-9000', `${plan.from} has nothing to follow`)
    this.track(made.plan)
    return made
  }

  /**
   * Whether what was planned still holds. Where nothing is copied yet nothing of the former plan is kept: someone may have
   * mended the source, or the destination.
   */
  private async stillHolds(table: OpenTable): Promise<boolean> {
    const { plan, sink } = table
    const { lease, state } = this.context
    const { db } = state
    const kept = await splitsOf(db, lease.run, plan.ordinal)
    // Nothing was begun before there are splits.
    if (!kept) return false
    if (kept.committed.size > 0) return true
    // The destination knows of what was committed right before the process ended.
    const committed = await sink.committed({ splits: new Map(), published: false })
    if (committed.published || committed.splits.size > 0) return true
    await sink.discard()
    await saveSplits(db, lease, plan.ordinal, [], { feed: false })
    return false
  }

  private async planAgain(sessions: Sessions, plan: TablePlan, more: Partial<PlanOptions> = {}) {
    const { job, only, state, stores, lease } = this.context
    const specs = await tablesOf(job, stores, only)
    const kept = await positionsOf(state.db, job.name)
    // Not by its number: a pattern may match other tables by now.
    const spec = specs.find(s => isSpecOf(s, plan, sessions))
    if (!spec) throw new FerryError('FERRY-3001', `${plan.from} was there when the run was planned, and is gone`)
    const all = { count: specs.length, kept, run: lease.run }
    return planTable(sessions, spec, plan.ordinal, { ...planOptions(job, stores, all), ...more })
  }

  /** Follows the log for the tables that need it. The places that their feeds begin at are saved before the first row moves. */
  async follow(sessions: Sessions, opened: (OpenTable | undefined)[]): Promise<(OpenTable | undefined)[]> {
    const tables = opened.filter(t => t !== undefined).filter(t => t.plan.read.log !== undefined)
    if (tables.length === 0 || !sessions.source.follow) return opened
    const { state, job, row } = this.context
    const kept = await positionsOf(state.db, row.job)
    // Released when this run is completed: former places in the log, and all places of an online copy.
    this.former = kept.map(p => p.value)
    if (job.mode === 'online') {
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
    for (const { plan } of followed) await this.save(plan, this.progress[plan.ordinal]!)
    return opened.map(t => followed.find(f => f.plan.ordinal === t?.plan.ordinal) ?? t)
  }

  private track(plan: TablePlan): TableProgress {
    const progress: TableProgress = {
      ...noProgress(plan),
      guesses: plan.guesses,
      replaces: plan.replaces,
      totalRows: plan.rows,
      totalBytes: plan.bytes,
    }
    this.progress.push(progress)
    return progress
  }

  /** The end of a table; where it is copied, its position moves with it. */
  async saveEnd(plan: TablePlan, progress: TableProgress): Promise<void> {
    const { state, job, lease, row, pulse } = this.context
    await pulse.settled
    const { increment } = plan
    const isOnline = job.mode === 'online'
    if (!increment || isOnline || progress.state !== 'completed') return this.save(plan, progress)
    const { tracked, value } = increment.position
    const position = { job: row.job, source: plan.from, destination: plan.to, tracked, value }
    await completeTable(state.db, lease, this.rowOf(plan, progress), position)
  }

  /** The end of a table that has nothing new: its position stays, and is that of this run. */
  private async saveIdle(plan: TablePlan, progress: TableProgress): Promise<void> {
    const { state, job, lease, row, pulse } = this.context
    await pulse.settled
    if (job.mode === 'online') return this.save(plan, progress)
    const { increment, from, to } = plan
    const bare = { ...plan, increment: { ...increment!, position: { ...increment!.position, value: '' } } }
    await confirmTable(state.db, lease, this.rowOf(bare, progress), { job: row.job, source: from, destination: to })
  }

  async save(plan: TablePlan, progress: TableProgress): Promise<void> {
    await runs.saveTable(this.context.state.db, this.context.lease, this.rowOf(plan, progress))
  }

  private rowOf(plan: TablePlan, progress: TableProgress): RunTableRow {
    const time = (ms: number | undefined) => (ms === undefined ? null : new Date(ms).toISOString())
    return {
      run: this.context.lease.run,
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
}
