/**
 * Applying changes to a table of a database: gathered by key in memory, written set by set in one transaction with the
 * ledger's line. What the stores differ in is said by a {@link ChangeTable}.
 */
import type { Batch, Checkpoint } from '../batch/encoding.ts'
import { int32, type LogicalType, type Row, utf8 } from '../batch/types.ts'
import { FerryError } from '../errors.ts'
import { ChangeFold, type PartialRow } from './changes.ts'
import {
  CHANGES,
  type ChangeSink,
  type CommitResult,
  type Committed,
  type Refused,
  type SplitWriter,
  type WriteRequest,
  type WriterWork,
} from './connector.ts'
import type { Ledger, LedgerClient } from './ledger.ts'

/** A column of a staging table. */
export interface StagedColumn {
  name: string
  type: LogicalType
  /** The native type; undefined of a column that only staging tables have. */
  native?: string | undefined
}

/** A table within a transaction. Statements name it `t` and staging tables `s`. */
export interface ChangeTable {
  /** The table as statements name it. */
  live: string
  /** The columns as their values are staged, in the order of the mapping. */
  columns: StagedColumn[]
  quote(name: string): string
  /** Fills a temporary table, made as `select` says it; gives back its name. */
  stage(kind: string, columns: StagedColumn[], select: string, rows: Row[]): Promise<string>
  run(sql: string): Promise<void>
  /** The number that a query gives. */
  count(sql: string): Promise<number>
  /** Does the work, or undoes it where it puts a unique value twice; says whether it was undone. */
  undoneWhereUnique(work: () => Promise<void>): Promise<boolean>
  dialect: ChangeDialect
}

/** Statements over two tables. */
export interface ChangeDialect {
  /** Sets columns of one table from another, where both match. */
  update(into: Aliased, set: { column: string; value: string }[], from: Aliased, match: string): string
  /** Deletes what another table matches. */
  remove(from: Aliased, using: Aliased, match: string): string
  /** Deletes what no row of another table matches. */
  removeUnmatched(from: Aliased, without: Aliased, match: string, condition: string): string
  /** Rows of a staging table into the live one, over those of the same keys. */
  upsert(rows: { live: string; stage: string; columns: string[]; keys: string[]; where: string }): string[]
}

export interface Aliased {
  name: string
  as: 's' | 't'
}

/** The dialect of stores that know `UPDATE ... FROM` and `DELETE ... USING`, without the upsert. */
export const STANDARD_CHANGES: Omit<ChangeDialect, 'upsert'> = {
  update: (into, set, from, match) =>
    `UPDATE ${into.name} AS ${into.as} SET ${set.map(s => `${s.column} = ${s.value}`).join(', ')} FROM ${from.name} AS ${from.as} WHERE ${match}`,
  remove: (from, using, match) =>
    `DELETE FROM ${from.name} AS ${from.as} USING ${using.name} AS ${using.as} WHERE ${match}`,
  removeUnmatched: (from, without, match, condition) =>
    `DELETE FROM ${from.name} AS ${from.as} WHERE ${condition} AND NOT EXISTS (SELECT 1 FROM ${without.name} AS ${without.as} WHERE ${match})`,
}

/** `INSERT ... ON CONFLICT` over a unique index of the keys. */
export function onConflict(
  quote: (name: string) => string,
  { live, stage, columns, keys, where }: Parameters<ChangeDialect['upsert']>[0],
  overriding = '',
): string[] {
  const list = columns.map(quote).join(', ')
  const rest = columns.filter(c => !keys.includes(c))
  const action =
    rest.length === 0 ? 'DO NOTHING' : `DO UPDATE SET ${rest.map(c => `${quote(c)} = excluded.${quote(c)}`).join(', ')}`
  return [
    `INSERT INTO ${live} (${list})${overriding} SELECT ${list} FROM ${stage} AS s WHERE ${where} ON CONFLICT (${keys.map(quote).join(', ')}) ${action}`,
  ]
}

/** Says of each column of a partial row, by a character, whether its value stays (`1`). */
const MASK = 'ferry_mask'
/** 1 where the row's key changed, and its values are under the former one. */
const MOVED = 'ferry_moved'
const former = (key: string) => `ferry_was_${key}`

/** What a sink table says of itself, so that changes can be applied to it. */
export interface ChangeTarget {
  request: WriteRequest
  ledger: Ledger | undefined
  /** How far changes are applied by the ledger, as it was when the run began. */
  applied: Map<number, string | null>
  /** Makes the ledger's table where it is missing. */
  ensureLedger(): Promise<void>
  /** Runs the work in a transaction: all of it is kept, or none. */
  transaction(work: (table: ChangeTable, client: Pick<LedgerClient, 'query'>) => Promise<void>): Promise<void>
}

/** The way of a sink table into changes of a log. `within` runs work on the connection for everything but rows. */
export function changeSink(
  target: ChangeTarget,
  within: <T>(work: (client: LedgerClient) => Promise<T>) => Promise<T>,
): ChangeSink {
  return {
    committed: async known => {
      const { ledger } = target
      if (!ledger) return known
      const committed = await within(client => committedIfThere(ledger, client))
      if (committed) noteApplied(target, committed)
      return committed?.splits.get(CHANGES) ?? known
    },
    open: async work => new ChangeWriter(target, CHANGES, work),
  }
}

/** What the ledger says, where it is there: nothing is made for a run that may find nothing. */
async function committedIfThere(ledger: Ledger, client: LedgerClient): Promise<Committed | undefined> {
  return (await ledger.exists(client)) ? ledger.committed(client) : undefined
}

export async function forgetIfThere(ledger: Ledger, client: LedgerClient): Promise<void> {
  if (await ledger.exists(client)) await client.query(ledger.forget)
}

export function noteApplied(target: ChangeTarget, { splits }: Committed): void {
  for (const [part, { checkpoint }] of splits) target.applied.set(part, checkpoint ?? null)
}

/** Writes the changes of one split of a run. */
export class ChangeWriter implements SplitWriter {
  private readonly target: ChangeTarget
  private readonly part: number
  private readonly replays: boolean
  private readonly fold: ChangeFold
  private readonly keys: number[]
  /** What the ledger said last. */
  private checkpoint: Checkpoint | null

  constructor(target: ChangeTarget, part: number, work: WriterWork) {
    this.target = target
    this.part = part
    this.replays = work.replays ?? true
    this.checkpoint = target.applied.get(part) ?? null
    const { columns, keys } = target.request
    this.keys = keys.map(key => columns.findIndex(c => c.name === key))
    this.fold = new ChangeFold(this.keys)
  }

  async write(batch: Batch): Promise<Refused[]> {
    if (batch.kind !== 'rows') throw new FerryError('FERRY-9000', 'changes are rows')
    this.fold.addBatch(batch)
    return []
  }

  async commit(checkpoint: Checkpoint | undefined, counts: { rows: number; bytes: number }): Promise<CommitResult> {
    const { target, part } = this
    const { ledger } = target
    await target.ensureLedger()
    await target.transaction(async (table, client) => {
      if (ledger) await this.claim(ledger, client)
      await this.apply(table)
      if (ledger) await client.query(ledger.record(part, checkpoint, counts))
    })
    this.checkpoint = checkpoint ?? null
    return {}
  }

  /** Whoever applies changes takes the ledger's line first: a process that was given up must not write any more. */
  private async claim(ledger: Ledger, client: Pick<LedgerClient, 'query'>): Promise<void> {
    const line = await ledger.claim(client, this.part)
    if (line.done || line.checkpoint !== this.checkpoint) {
      throw new FerryError('FERRY-5004', `changes of ${this.target.request.object} were committed by another process`)
    }
  }

  private async apply(table: ChangeTable): Promise<void> {
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

  private get columnNames(): string[] {
    return this.target.request.columns.map(c => c.name)
  }

  /** That a row of the live table and a staged one have one key, the former one where `was` says so. */
  private match(table: ChangeTable, was = false): string {
    const { keys } = this.target.request
    return keys.map(k => `t.${table.quote(k)} = s.${table.quote(was ? former(k) : k)}`).join(' AND ')
  }

  private async remove(table: ChangeTable, rows: Row[]): Promise<void> {
    const { keys } = this.target.request
    const select = `SELECT ${keys.map(table.quote).join(', ')} FROM ${table.live}`
    const columns = this.keys.map(at => table.columns[at]!)
    const only = rows.map(row => this.keys.map(at => row[at]!))
    const stage = await table.stage('deletes', columns, select, only)
    await this.removeStaged(table, stage, '1 = 1')
  }

  /** The place of the column that says when a row was deleted; -1 where deletes are not marked. */
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
    const column = quote(this.columnNames[at]!)
    return `CASE WHEN substr(s.${MASK}, ${at + 1}, 1) = '1' THEN t.${column} ELSE s.${column} END`
  }

  /** Values that the source does not tell again must be there. */
  private async requireThere(table: ChangeTable, stage: string, match: string, where: string): Promise<void> {
    // What the snapshot has not seen any more is about to be deleted by a later change.
    if (this.replays) return
    const missing = await table.count(
      `SELECT count(*) AS n FROM ${stage} AS s WHERE ${where} AND NOT EXISTS (SELECT 1 FROM ${table.live} AS t WHERE ${match})`,
    )
    if (missing === 0) return
    const what = 'that were changed at the source, which tells only the values that changed'
    throw new FerryError('FERRY-5007', `${this.target.request.object}: ${missing} rows are not there ${what}`)
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

  async abort(): Promise<void> {}
}
