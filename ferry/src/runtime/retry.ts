/** Copying skipped rows again, from the error files of a run, once their cause is mended. */
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { parseText } from '../batch/text.ts'
import { type Column, type Row, sameType } from '../batch/types.ts'
import type { MappedColumn, TableInfo } from '../contract/schema.ts'
import type { SinkSession } from '../contract/sink.ts'
import type { SourceSession } from '../contract/source.ts'
import type { Split } from '../contract/split.ts'
import { tablePlans } from '../engine/keptplan.ts'
import type { TablePlan } from '../engine/plan.ts'
import { rowMapper } from '../engine/rows.ts'
import { asFerryError, FerryError } from '../errors.ts'
import { readJob } from '../job/kept.ts'
import type { Variables } from '../job/read.ts'
import type { State } from '../state/database.ts'
import { HEARTBEAT_MS } from '../state/owner.ts'
import { heartbeat, type Lease, letGo, requireHeld, runTables, takeForRetry } from '../state/runs.ts'
import type { RunRow } from '../state/schema.ts'
import { type ErrorLine, errorFiles, errorFolder, firstErrors } from './errorfiles.ts'
import { closeStores, openStores, type Stores } from './stores.ts'

export interface RetryReport {
  run: string
  tables: { table: string; tried: number; copied: number; left: number; reason?: string; folder?: string }[]
}

/** Tries all skipped rows of a run again. Rows that still do not fit stay in the error files with their new reason. */
export async function retryRun(state: State, id: string, variables: Variables): Promise<RetryReport> {
  const { row, lease } = await takeForRetry(state.db, id)
  const alive = setInterval(() => heartbeat(state.db, lease).catch(() => undefined), HEARTBEAT_MS)
  try {
    return await retryTaken(state, row, lease, variables)
  } finally {
    clearInterval(alive)
    await letGo(state.db, lease)
  }
}

async function retryTaken(state: State, run: RunRow, lease: Lease, variables: Variables): Promise<RetryReport> {
  const folder = errorFolder(state.home, run.id)
  const stores = await openStores(readJob(run.definition), state, variables)
  const report: RetryReport = { run: run.id, tables: [] }
  try {
    for (const row of await runTables(state.db, run.id)) {
      const plan = tablePlans.read(row.plan)
      const total = { table: plan.from, tried: 0, copied: 0, left: 0 }
      for (const path of errorFiles(folder, plan.ordinal)) {
        const { total: tried } = await firstErrors([path], 0)
        const left = await retryFile({ ...run, holds: () => requireHeld(state.db, lease) }, stores, plan, path)
        total.tried += tried
        total.left += left
        total.copied += tried - left
      }
      if (total.tried === 0) continue
      const [first] = (await firstErrors(errorFiles(folder, plan.ordinal), 1)).lines
      report.tables.push({ ...total, ...(first ? { reason: first.reason, folder } : {}) })
    }
  } finally {
    await closeStores(stores)
  }
  return report
}

/**
 * One error file, exactly once: the lines that stay are written beside it before the rows commit, under a ledger entry
 * named after the file's content. A crash in between is settled by the ledger when it is tried again.
 */
async function retryFile(
  run: { id: string; job: string; epoch: number; holds: () => Promise<void> },
  stores: Stores,
  plan: TablePlan,
  path: string,
): Promise<number> {
  const content = readFileSync(path, 'utf8')
  const print = createHash('sha256').update(content).digest('hex').slice(0, 8)
  const next = `${path}.${print}.next`
  const store = stores.destination
  const { epoch, holds } = run
  const identity = { run: `${run.id}.retry.${print}`, job: `${run.job}#retry`, epoch, holds, confirm: holds }
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
    const lines = content
      .split('\n')
      .filter(Boolean)
      .map(line => JSON.parse(line) as ErrorLine)
    const current = reading && (await currentRows(reading, plan))
    const left = await write(session, asItIs(plan, existing), lines, current, kept => {
      writeFileSync(next, kept.map(line => `${JSON.stringify(line)}\n`).join(''), { mode: 0o600, flush: true })
    })
    const remaining = left ?? (existsSync(next) ? readFileSync(next, 'utf8').split('\n').filter(Boolean).length : 0)
    if (remaining === 0) rmSync(path)
    else renameSync(next, path)
    rmSync(next, { force: true })
    return remaining
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

/** Writes the lines' rows; gives back how many stay, or undefined where an earlier try had committed them already. */
async function write(
  session: SinkSession,
  plan: TablePlan,
  lines: ErrorLine[],
  current: CurrentRows | undefined,
  keep: (lines: ErrorLine[]) => void,
): Promise<number | undefined> {
  const update = plan.write.update === 'merge' ? 'merge' : 'append'
  const sink = await session.table({
    ...plan.write,
    update,
    truncate: false,
    before: [],
    after: [],
    skipBadRows: true,
  })
  const committed = await sink.prepare({ splits: new Map(), published: false })
  const split: Split = { id: 0, label: 'retry', spec: '' }
  if (committed.splits.has(0)) {
    await sink.forget()
    return undefined
  }
  const kept: ErrorLine[] = []
  const rows: Row[] = []
  const from: ErrorLine[] = []
  const columns = sourceColumns(plan)
  const map = rowMapper(columns, plan.read.columns) ?? (row => row)
  for (const line of lines) {
    try {
      if (!line.values) throw new FerryError('FERRY-4002', `${line.reason}; to retry it, give the line "values"`)
      const { values } = line
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
    keep(kept)
    await writer.commit(undefined, { rows: written.length - refused.length, bytes: 0 })
  } catch (error) {
    await writer.abort()
    throw error
  }
  await sink.forget()
  return kept.length
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
