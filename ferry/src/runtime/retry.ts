/** Copying the skipped rows of a run again, once their cause is mended. */
import { createHash } from 'node:crypto'
import { parseText } from '../batch/text.ts'
import { type Column, type Row, sameType } from '../batch/types.ts'
import type { MappedColumn, TableInfo } from '../contract/schema.ts'
import type { SinkSession, SinkTable } from '../contract/sink.ts'
import type { SourceSession } from '../contract/source.ts'
import type { Split } from '../contract/split.ts'
import { tablePlans } from '../engine/keptplan.ts'
import { rowMapper } from '../engine/rows.ts'
import type { TablePlan } from '../engine/tableplan.ts'
import { asFerryError, FerryError } from '../errors.ts'
import { readJob } from '../job/kept.ts'
import type { Policy } from '../policy.ts'
import { letGo, takeForRetry } from '../state/claims.ts'
import type { State } from '../state/database.ts'
import { HEARTBEAT_MS } from '../state/owner.ts'
import { heartbeat, type Lease, requireHeld, runTables } from '../state/runs.ts'
import type { RunRow, RunTableRow } from '../state/schema.ts'
import {
  firstSkipped,
  groupsOf,
  laterCopies,
  moveGroup,
  nextMark,
  replaceGroup,
  rowsOfGroup,
  type SkippedGroup,
  type SkippedRow,
} from '../state/skipped.ts'
import { type EditedRow, replaceRows } from './skipped.ts'
import { closeStores, openStores, type Stores } from './stores.ts'

export interface RetryReport {
  run: string
  /** `reason` is that of the first row that is left. */
  tables: { table: string; tried: number; copied: number; left: number; reason?: string }[]
}

/**
 * Tries all skipped rows of a run again. Rows that still do not fit stay with their new reason. `edited` are rows that take
 * the places of skipped ones first, by their ids.
 */
export async function retryRun(
  state: State,
  id: string,
  policy: Policy,
  edited: EditedRow[] = [],
): Promise<RetryReport> {
  const { row, lease } = await takeForRetry(state.db, id)
  const alive = setInterval(() => heartbeat(state.db, lease).catch(() => undefined), HEARTBEAT_MS)
  try {
    await replaceRows(state.db, lease, edited)
    return await retryTaken(state, row, lease, policy)
  } finally {
    clearInterval(alive)
    await letGo(state.db, lease)
  }
}

async function retryTaken(state: State, run: RunRow, lease: Lease, policy: Policy): Promise<RetryReport> {
  const stores = await openStores(readJob(run.definition), state, policy)
  const report: RetryReport = { run: run.id, tables: [] }
  try {
    for (const row of await runTables(state.db, run.id)) {
      const plan = tablePlans.read(row.plan)
      const total = { table: plan.from, tried: 0, copied: 0, left: 0 }
      const groups = await groupsOf(state.db, run.id, plan.ordinal)
      const isOvertaken = groups.length > 0 && (await wasOvertaken(state, run, plan, row))
      for (const group of groups) {
        const { tried, left } = await retryGroup(
          { db: state.db, run, lease, stores, plan, inserts: isOvertaken || group.mark.includes('~') },
          group,
        )
        total.tried += tried
        total.left += left
        total.copied += tried - left
      }
      if (total.tried === 0) continue
      const [first] = await firstSkipped(state.db, run.id, { ordinals: [plan.ordinal], limit: 1 })
      report.tables.push({ ...total, reason: first?.reason })
    }
  } finally {
    await closeStores(stores)
  }
  return report
}

interface RetryContext {
  db: State['db']
  run: RunRow
  lease: Lease
  stores: Stores
  plan: TablePlan
  /** True if rows that are there must stay as they are: they may be newer. */
  inserts: boolean
}

/**
 * True if a later run of the job has copied rows of the table. Throws FERRY-5006 if it has copied all rows again: those that were skipped
 * are skipped rows of that run now, or are copied.
 */
async function wasOvertaken(state: State, run: RunRow, plan: TablePlan, row: RunTableRow): Promise<boolean> {
  const later = await laterCopies(state.db, run, row)
  // An online copy asks the source for its rows as they are now.
  if (later.length === 0 || plan.read.online) return false
  if (plan.write.update === 'overwrite' || !plan.increment) {
    throw new FerryError(
      'FERRY-5006',
      `${plan.from} was copied again by run ${later[0]}: its rows of run ${run.id} are old`,
      {
        hint: `Retry the newest run of the job: ferry retry ${run.job}.`,
      },
    )
  }
  return true
}

/**
 * Copies one group, exactly once: the rows that stay are saved under a name of their own before the others commit, with a ledger
 * entry that is named after the content of the group. After a crash in between, the next retry finds both.
 */
async function retryGroup(context: RetryContext, group: SkippedGroup): Promise<{ tried: number; left: number }> {
  const { db, run, lease, stores, plan } = context
  const rows = await rowsOfGroup(db, run.id, group)
  const content = rows.map(row => `${JSON.stringify(row)}\n`).join('')
  // A group that was tried has another mark: its former ledger entry means nothing for it, though its rows be the same.
  const tried = group.mark.includes('^') ? group.mark : ''
  const digest = createHash('sha256').update(`${tried}${content}`).digest('hex').slice(0, 8)
  const next = { ...group, mark: `${group.mark}.${digest}.next` }
  const store = stores.destination
  const holds = () => requireHeld(db, lease)
  const identity = {
    run: `${run.id}.retry.${digest}`,
    job: `${run.job}#retry`,
    epoch: run.epoch,
    holds,
    confirm: holds,
  }
  const session = await store.sink(identity)
  let reading: SourceSession | undefined
  try {
    if (plan.read.online) reading = await stores.source.source()
    const existing = await store.existing({ object: plan.write.object, options: plan.write.options })
    if (!existing) {
      throw new FerryError('FERRY-3006', `${plan.to} takes no further rows: files are written whole`, {
        hint: 'Mend the source and run the job again.',
      })
    }
    const current = reading && (await currentRows(reading, plan))
    const sink = await write(session, retried(asItIs(plan, existing), context.inserts), rows, current, kept =>
      replaceGroup(db, lease, next, kept),
    )
    // The ledger entry must outlive this: without it the rows would be written again.
    const left = nextMark(group)
    await moveGroup(db, lease, { from: next, to: left, replaces: group })
    await sink.forget()
    return { tried: rows.length, left: (await rowsOfGroup(db, run.id, left)).length }
  } finally {
    await reading?.close()
    await session.close()
  }
}

/** The plan with the columns of the destination as they are now: someone may have widened them since. */
function asItIs(plan: TablePlan, existing: TableInfo): TablePlan {
  const now = (column: MappedColumn): MappedColumn => {
    const there = existing.columns.find(c => c.name === column.name)
    if (!there || sameType(there.type, column.type)) return column
    // What a text file holds is read as the destination has it.
    const sourceType = sameType(column.sourceType, column.type) ? there.type : column.sourceType
    return { ...column, sourceType, type: there.type, ...(there.native === undefined ? {} : { native: there.native }) }
  }
  const { read, write } = plan
  return {
    ...plan,
    read: { ...read, columns: read.columns.map(now) },
    write: { ...write, columns: write.columns.map(now), existing },
  }
}

/**
 * How rows are written again: a merge replaces rows, unless those may be newer; then a row whose key is there is rejected. Throws
 * FERRY-5006 if the destination would not reject it.
 */
function retried(plan: TablePlan, inserts: boolean): TablePlan {
  const { update, keys, existing } = plan.write
  if (update !== 'merge') return { ...plan, write: { ...plan.write, update: 'append' } }
  if (!inserts) return plan
  const key = existing?.primaryKey ?? []
  if (key.length === 0 || !key.every(name => keys.includes(name))) {
    throw new FerryError(
      'FERRY-5006',
      `${plan.to} has no primary key of ${keys.join(', ')}: an old row could replace a newer one`,
      {
        hint: 'Touch the rows at the source, so that the next run copies them.',
      },
    )
  }
  return { ...plan, write: { ...plan.write, update: 'append' } }
}

/** Writes rows, unless an earlier retry has committed them already; `keep` saves those that stay before the others commit. */
async function write(
  session: SinkSession,
  plan: TablePlan,
  skipped: SkippedRow[],
  current: CurrentRows | undefined,
  keep: (rows: SkippedRow[]) => Promise<void>,
): Promise<SinkTable> {
  const sink = await session.table({
    ...plan.write,
    truncate: false,
    before: [],
    after: [],
    skipBadRows: true,
  })
  const committed = await sink.prepare({ splits: new Map(), published: false })
  const split: Split = { id: 0, label: 'retry', spec: '' }
  if (committed.splits.has(0)) return sink
  const kept: SkippedRow[] = []
  const rows: Row[] = []
  const from: SkippedRow[] = []
  const columns = sourceColumns(plan)
  const map = rowMapper(columns, plan.read.columns) ?? (row => row)
  for (const line of skipped) {
    try {
      if (!line.values) throw new FerryError('FERRY-4002', `${line.reason}; to retry it, give it "values"`)
      const { values } = line
      requireColumns(values, columns)
      rows.push(map(columns.map(c => (values[c.name] == null ? null : parseText(values[c.name]!, c.type)))))
      from.push(line)
    } catch (error) {
      kept.push({ ...line, reason: asFerryError(error).message })
    }
  }
  const writer = await sink.open(split, { encoding: 'rows' })
  try {
    // Behind an online copy a row may have changed since, or be gone: it is written as the source holds it now.
    const now = current ? await current(rows) : rows
    const there = now.flatMap((row, i) => (row ? [{ row, line: from[i]! }] : []))
    const written = there.map(t => t.row)
    const changes = current ? { changes: there.map(() => 'replace' as const) } : {}
    const refused = await writer.write({ kind: 'rows', rows: written, bytes: 0, ...changes })
    for (const { index, error } of refused) kept.push({ ...there[index]!.line, reason: error.message })
    for (const { row, error } of (await writer.settle?.()) ?? []) {
      kept.push({ ...there[written.indexOf(row)]!.line, reason: error.message })
    }
    await keep(kept)
    await writer.commit(undefined, { rows: written.length - refused.length, bytes: 0 })
  } catch (error) {
    await writer.abort()
    throw error
  }
  return sink
}

/** Throws FERRY-3002 for values of a row that are not those of the columns: one that is missing would become null. */
function requireColumns(values: Record<string, string | null>, columns: Column[]): void {
  const missing = columns.find(c => !Object.hasOwn(values, c.name))
  if (missing) throw new FerryError('FERRY-3002', `the row's "values" have no ${missing.name}`)
  const unknown = Object.keys(values).find(name => !columns.some(c => c.name === name))
  if (unknown !== undefined)
    throw new FerryError('FERRY-3002', `the row's "values" have ${unknown}, which is no column`)
}

type CurrentRows = (rows: Row[]) => Promise<(Row | undefined)[]>

/** Asks the source of an online copy for rows as it holds them now. */
async function currentRows(session: SourceSession, plan: TablePlan): Promise<CurrentRows | undefined> {
  const table = await session.table(plan.read)
  return table.current?.bind(table)
}

function sourceColumns(plan: TablePlan): Column[] {
  const found = new Map<string, Column>()
  for (const c of plan.read.columns) {
    if (c.from !== undefined) found.set(c.from, { name: c.from, type: c.sourceType, nullable: true })
  }
  return [...found.values()]
}
