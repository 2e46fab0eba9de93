/**
 * Applying changes to a table of a database: gathered by key in memory, written set by set in one transaction with the
 * ledger's line. A {@link ChangeTable} has what differs between stores.
 */
import type { RowBatch } from '../../batch/encoding.ts'
import { int32, type Row, utf8 } from '../../batch/types.ts'
import type { ChangeSink, SplitWriter, WriterWork } from '../../contract/sink.ts'
import type { Committed } from '../../contract/split.ts'
import type { WriteRequest } from '../../contract/write.ts'
import type { Ledger, LedgerClient } from '../ledger.ts'
import { type ChangeTable, chosen, former, MASK, type StagedColumn } from './changetable.ts'
import { ChangeFold, type PartialRow } from './fold.ts'
import { type ChangeTarget, GatheringWriter } from './gathering.ts'
import { HistoryWriter } from './history.ts'
import { looseKeys, matchKeys, requireOwnKeys } from './loosekeys.ts'

/** 1 where the row's key changed, and its values are under the former one. */
const MOVED = 'ferry_moved'

/** The ledger's number for the feed: those of ranges are smaller, since a table that is followed has few of them. */
const FEED = 1_000_000

/** What the changes of a log need of a sink table. `within` runs work on the connection for everything but rows. */
export function changeSink(
  target: ChangeTarget,
  within: <T>(work: (client: LedgerClient) => Promise<T>) => Promise<T>,
): ChangeSink {
  return {
    committed: async known => {
      const { ledger } = target
      if (!ledger) return known
      const committed = await within(async client => {
        // Nothing is made for a run that may find nothing.
        if (!(await ledger.exists(client))) return undefined
        await ledger.raise(client)
        return ledger.committed(client)
      })
      if (committed) noteApplied(target, committed)
      return committed?.splits.get(FEED) ?? known
    },
    open: async work => changeWriter(target, FEED, work),
  }
}

export async function forgetIfThere(ledger: Ledger, client: LedgerClient): Promise<void> {
  if (await ledger.exists(client)) await ledger.forget(client)
}

export function noteApplied(target: ChangeTarget, { splits }: Committed): void {
  for (const [part, { checkpoint }] of splits) target.applied.set(part as number, checkpoint ?? null)
}

/** The ledger of a table, with the feed by its name. */
export function withFeed({ splits, published }: Committed, { follows }: WriteRequest): Committed {
  const feed = follows?.log ? splits.get(FEED) : undefined
  if (!feed) return { splits, published }
  const others = [...splits].filter(([part]) => part !== FEED)
  return { splits: new Map([...others, ['feed', feed]]), published }
}

/** Whether rows are applied as changes are, and not loaded: they come among changes, or make versions of others. */
export function appliesRows({ follows, history, existing }: WriteRequest): boolean {
  return follows?.log === false || (history !== undefined && existing !== undefined)
}

/** The writer of changes that the request asks for. */
export function changeWriter(target: ChangeTarget, part: number, work: WriterWork): SplitWriter {
  return target.request.history ? new HistoryWriter(target, part, work) : new ChangeWriter(target, part, work)
}

/** Makes the table what its source is: of each row the last state. */
class ChangeWriter extends GatheringWriter {
  private readonly fold: ChangeFold
  private readonly keys: number[]

  constructor(target: ChangeTarget, part: number, work: WriterWork) {
    super(target, part, work)
    const { columns, keys } = target.request
    this.keys = keys.map(key => columns.findIndex(c => c.name === key))
    this.fold = new ChangeFold(this.keys)
  }

  protected gather(batch: RowBatch): void {
    this.fold.addBatch(batch)
  }

  protected async apply(table: ChangeTable): Promise<void> {
    const { cleared, deletes, deletedAt, partial, writes, at } = this.fold.take()
    const policy = this.target.request.follows?.deletes ?? 'apply'
    const keeps = policy === 'ignore'
    const moved = partial.filter(p => p.before)
    if (cleared && !keeps) await this.clear(table, at)
    const stage = partial.length > 0 ? await this.stagePartial(table, partial) : ''
    if (moved.length > 0) await this.carry(table, stage, 1)
    if (deletes.length > 0 && policy === 'apply') await this.remove(table, deletes)
    if (deletes.length > 0 && policy === 'mark') await this.mark(table, deletes, deletedAt)
    if (partial.length > moved.length) await this.writePartly(table, stage)
    if (moved.length > 0) await this.upsert(table, stage, `s.${MOVED} = 1`)
    if (writes.length === 0) return
    const names = this.columnNames
    const select = `SELECT ${names.map(table.quote).join(', ')} FROM ${table.live}`
    await this.upsert(table, await table.stage('writes', table.columns, select, writes), '1 = 1')
  }

  /** The condition that a row of the live table and a staged one have the same key; the previous key if `was` is true. */
  private match(table: ChangeTable, was = false): string {
    const { request } = this.target
    return matchKeys(request.keys, looseKeys(request), table, was ? { theirs: former } : {})
  }

  private async remove(table: ChangeTable, rows: Row[]): Promise<void> {
    const { keys } = this.target.request
    const select = `SELECT ${keys.map(table.quote).join(', ')} FROM ${table.live}`
    const columns = this.keys.map(at => table.columns[at]!)
    const only = rows.map(row => this.keys.map(at => row[at]!))
    const stage = await table.stage('deletes', columns, select, only)
    await this.removeStaged(table, stage, '1 = 1')
  }

  /** The index of the column with the time of the delete; -1 if deletes are not marked. */
  private get markAt(): number {
    const { columns, follows } = this.target.request
    return follows?.deletes === 'mark' ? columns.findIndex(c => c.name === follows.deletedAt) : -1
  }

  /** Rows that were deleted stay, and say so. */
  private async mark(table: ChangeTable, rows: Row[], times: (number | undefined)[]): Promise<void> {
    const { keys } = this.target.request
    const column = table.columns[this.markAt]!
    const names = [...keys, column.name].map(table.quote)
    const columns = [...this.keys.map(at => table.columns[at]!), column]
    const staged = rows.map((row, i): Row => [...this.keys.map(at => row[at]!), this.timeOf(times[i])])
    const stage = await table.stage('marks', columns, `SELECT ${names.join(', ')} FROM ${table.live}`, staged)
    const set = [{ column: table.quote(column.name), value: `s.${table.quote(column.name)}` }]
    await table.run(
      table.dialect.update({ name: table.live, as: 't' }, set, { name: stage, as: 's' }, this.match(table)),
    )
  }

  /** A time as the column that marks deleted rows holds it; now, where the source does not say. */
  private timeOf(micros: number | undefined): number {
    const { type } = this.target.request.columns[this.markAt]!
    const at = micros ?? Date.now() * 1000
    return type.kind === 'timestamp' && type.unit === 'ms' ? Math.floor(at / 1000) : at
  }

  /** All rows go: they are deleted, or marked as such. */
  private async clear(table: ChangeTable, at: number | undefined): Promise<void> {
    if (this.markAt < 0) {
      await table.run(`DELETE FROM ${table.live}`)
      return
    }
    const column = table.columns[this.markAt]!
    const name = table.quote(column.name)
    const select = `SELECT ${name} FROM ${table.live}`
    const stage = await table.stage('clear', [column], select, [[this.timeOf(at)]])
    await table.run(`UPDATE ${table.live} SET ${name} = (SELECT ${name} FROM ${stage}) WHERE ${name} IS NULL`)
  }

  private async removeStaged(table: ChangeTable, stage: string, where: string): Promise<void> {
    const match = `${this.match(table)} AND ${where}`
    await table.run(table.dialect.remove({ name: table.live, as: 't' }, { name: stage, as: 's' }, match))
  }

  /** Values that are unique may change places between rows: then all of these leave before they are written. */
  private async upsert(table: ChangeTable, stage: string, where: string): Promise<void> {
    const { keys } = this.target.request
    const write = async () => {
      const rows = { live: table.live, stage, columns: this.columnNames, keys, where }
      for (const statement of table.dialect.upsert(rows)) await table.run(statement)
      await requireOwnKeys(table, this.target.request, stage, where)
    }
    if (!(await table.undoneWhereUnique(write))) return
    await this.removeStaged(table, stage, where)
    await write()
  }

  /** Rows that keep some of their values where they are. */
  private async writePartly(table: ChangeTable, stage: string): Promise<void> {
    const { quote, dialect, live } = table
    const where = `s.${MOVED} = 0`
    const match = `${this.match(table)} AND ${where}`
    await this.requireThere(table, stage, this.match(table), where)
    const set = this.columnNames.flatMap((name, i) =>
      this.keys.includes(i) ? [] : [{ column: quote(name), value: this.chosen(table, i) }],
    )
    const isUndone = await table.undoneWhereUnique(() =>
      table.run(dialect.update({ name: live, as: 't' }, set, { name: stage, as: 's' }, match)),
    )
    if (!isUndone) return
    await this.carry(table, stage, 0)
    await this.upsert(table, stage, where)
  }

  /** The values that rows keep are put into the staging table, from where they are, or were under another key. */
  private async carry(table: ChangeTable, stage: string, moved: 0 | 1): Promise<void> {
    const { quote, dialect, live } = table
    const match = this.match(table, true)
    const where = `s.${MOVED} = ${moved}`
    await this.requireThere(table, stage, match, where)
    await table.run(dialect.removeUnmatched({ name: stage, as: 's' }, { name: live, as: 't' }, match, where))
    const set = this.columnNames.flatMap((name, i) =>
      this.keys.includes(i) ? [] : [{ column: quote(name), value: this.chosen(table, i) }],
    )
    await table.run(dialect.update({ name: stage, as: 's' }, set, { name: live, as: 't' }, `${match} AND ${where}`))
  }

  private chosen({ quote }: ChangeTable, at: number): string {
    return chosen(quote(this.columnNames[at]!), at)
  }

  private stagePartial(table: ChangeTable, rows: PartialRow[]): Promise<string> {
    const { keys } = this.target.request
    const { quote, columns } = table
    const was = keys.map(k => `${quote(k)} AS ${quote(former(k))}`)
    const own = [`'' AS ${MASK}`, `0 AS ${MOVED}`]
    const select = `SELECT ${[...this.columnNames.map(quote), ...was, ...own].join(', ')} FROM ${table.live}`
    const all: StagedColumn[] = [
      ...columns,
      ...this.keys.map(at => ({ ...columns[at]!, name: former(columns[at]!.name) })),
      { name: MASK, type: utf8 },
      { name: MOVED, type: int32 },
    ]
    const staged = rows.map(({ row, unchanged, before }): Row => {
      const mask = columns.map((_, i) => (unchanged.includes(i) ? '1' : '0')).join('')
      return [...row, ...this.keys.map(at => (before ?? row)[at]!), mask, before ? 1 : 0]
    })
    return table.stage('partial', all, select, staged)
  }
}
