/** Applying changes to a table: what they come to by key, in one transaction with the ledger line. */
import type pg from 'pg'
import type { Batch, Checkpoint } from '../../batch/encoding.ts'
import { formatText, parseText } from '../../batch/text.ts'
import { bool, type LogicalType, type Row, utf8 } from '../../batch/types.ts'
import { FerryError, RowError } from '../../errors.ts'
import { ChangeFold, type PartialRow } from '../changes.ts'
import { CHANGES, type CommitResult, type Refused, type SplitWriter, type WriterWork } from '../connector.ts'
import { BinaryWriter } from './binarywrite.ts'
import { qualified } from './catalog.ts'
import { inTransaction, ledgerClient, quoteName, translate } from './client.ts'
import { copyIn } from './copyin.ts'
import { TextWriter } from './copytext.ts'
import type { PostgresSinkTable } from './sink.ts'
import * as sql from './statements.ts'

const FLUSH_BYTES = 1 << 16
/** Says of each column of a partial row, by a character, whether its value stays (`1`). */
const MASK = 'ferry_mask'
/** Whether the row's key changed, and its values are under the former one. */
const MOVED = 'ferry_moved'
const former = (key: string) => `ferry_was_${key}`

interface Written {
  name: string
  type: LogicalType
  native: string
}

let appliers = 0

/** Writes what changes come to. It keeps its temporary tables on each connection that it has used. */
export class Applier {
  private readonly table: PostgresSinkTable
  private readonly replays: boolean
  private readonly keys: number[]
  private readonly name = `ferry_changes_${++appliers}`
  private readonly ready = new WeakMap<pg.Client, Set<string>>()
  readonly fold: ChangeFold

  constructor(table: PostgresSinkTable, replays: boolean) {
    this.table = table
    this.replays = replays
    const { columns, keys } = table.request
    this.keys = keys.map(key => columns.findIndex(c => c.name === key))
    this.fold = new ChangeFold(this.keys)
  }

  /** Applies what was gathered, within the transaction that the client is in. */
  async apply(client: pg.Client): Promise<void> {
    const { cleared, deletes, partial, writes } = this.fold.take()
    const { request, target } = this.table
    const live = qualified(target)
    const keeps = request.follows?.deletes === 'ignore'
    // Only the index over the keys is of use, whatever the planner guesses of tables without statistics.
    await client.query('SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off')
    if (cleared && !keeps) await client.query(`DELETE FROM ${live}`)
    const staged = partial.length > 0 ? await this.stagePartial(client, partial) : ''
    const moved = partial.filter(p => p.before)
    const found = moved.length > 0 ? await this.carry(client, staged, moved) : []
    if (deletes.length > 0 && !keeps) await this.remove(client, deletes)
    const stays = partial.filter(p => !p.before)
    const whole = stays.length > 0 ? await this.writePartly(client, staged, stays) : []
    const rows = [...writes, ...found.map(p => p.row), ...whole]
    if (rows.length > 0) await this.write(client, rows)
  }

  /**
   * Values that are unique may change places between rows: what cannot be written in its place is undone, and done in
   * another way. Gives back whether it was.
   */
  private async undoneWhereUnique(client: pg.Client, work: () => Promise<void>): Promise<boolean> {
    await client.query('SAVEPOINT ferry_unique')
    try {
      await work()
      return false
    } catch (error) {
      if ((error as { code?: string }).code !== '23505') throw error
      await client.query('ROLLBACK TO SAVEPOINT ferry_unique')
      return true
    }
  }

  private get columns(): Written[] {
    return this.table.writerColumns()
  }

  private get keyColumns(): Written[] {
    return this.keys.map(at => this.columns[at]!)
  }

  /** A temporary table of the session that is empty in each transaction, filled with rows. */
  private async stage(
    client: pg.Client,
    kind: string,
    columns: Written[],
    select: string,
    rows: Row[],
  ): Promise<string> {
    const name = quoteName(`${this.name}_${kind}`)
    const made = this.ready.get(client) ?? new Set()
    this.ready.set(client, made)
    if (!made.has(kind)) {
      await client.query(`CREATE TEMPORARY TABLE ${name} ON COMMIT DELETE ROWS AS ${select} WITH NO DATA`)
      made.add(kind)
    }
    const writer = this.table.binaryRows ? new BinaryWriter(columns) : new TextWriter(columns)
    const format = writer instanceof TextWriter ? '(FORMAT text)' : '(FORMAT binary)'
    const copy = copyIn(
      client,
      sql.copyIn(
        name,
        columns.map(c => c.name),
        format,
      ),
    )
    await copy.write(writer.header, false)
    for (const [i, row] of rows.entries()) {
      try {
        writer.row(row)
      } catch (error) {
        if (error instanceof RowError) error.index = i
        throw error
      }
      if (writer.size > FLUSH_BYTES) await copy.write(writer.take(), true)
    }
    if (writer.size > 0) await copy.write(writer.take(), true)
    await copy.write(writer.trailer, false)
    await copy.end()
    return name
  }

  private async remove(client: pg.Client, rows: Row[]): Promise<void> {
    const { request, target } = this.table
    const keys = rows.map(row => this.keys.map(at => row[at]!))
    const select = `SELECT ${sql.names(request.keys)} FROM ${qualified(target)}`
    const name = await this.stage(client, 'deletes', this.keyColumns, select, keys)
    const match = request.keys.map(k => `t.${quoteName(k)} = s.${quoteName(k)}`).join(' AND ')
    await client.query(`DELETE FROM ${qualified(target)} t USING ${name} s WHERE ${match}`)
  }

  private async write(client: pg.Client, rows: Row[]): Promise<void> {
    const { request, target, columnNames, overriding } = this.table
    const live = qualified(target)
    const select = `SELECT ${sql.names(columnNames)} FROM ${live}`
    const name = await this.stage(client, 'writes', this.columns, select, rows)
    if (this.table.way.kind === 'merge' && !this.table.way.conflict) {
      for (const s of sql.mergeByComparison(live, name, columnNames, request.keys, overriding)) await client.query(s)
    } else {
      const upsert = sql.mergeOnConflict(live, name, columnNames, request.keys, { distinct: false, overriding })
      const isUndone = await this.undoneWhereUnique(client, async () => {
        await client.query(upsert)
      })
      if (!isUndone) return
      // All of them leave first.
      const match = request.keys.map(k => `t.${quoteName(k)} = s.${quoteName(k)}`).join(' AND ')
      await client.query(`DELETE FROM ${live} t USING ${name} s WHERE ${match}`)
      await client.query(upsert)
    }
  }

  /** Rows that keep some of their values. Gives back those that have to be written as a whole. */
  private async writePartly(client: pg.Client, name: string, rows: PartialRow[]): Promise<Row[]> {
    const { request, target } = this.table
    const match = request.keys.map(k => `t.${quoteName(k)} = s.${quoteName(k)}`).join(' AND ')
    const set = this.columns.flatMap((c, i) =>
      this.keys.includes(i) ? [] : [`${quoteName(c.name)} = ${chosen(c, i)}`],
    )
    let changed = 0
    const isUndone = await this.undoneWhereUnique(client, async () => {
      const update = `UPDATE ${qualified(target)} t SET ${set.join(', ')} FROM ${name} s WHERE NOT s.${MOVED} AND ${match}`
      changed = (await client.query(update)).rowCount ?? 0
    })
    if (isUndone) {
      return (await this.carry(client, name, rows)).map(r => r.row)
    }
    if (changed < rows.length) this.missing(rows.length - changed)
    return []
  }

  /** Values that the source does not tell again are nowhere. */
  private missing(count: number): void {
    // What the snapshot has not seen any more is about to be deleted by a later change.
    if (this.replays) return
    const what = 'that were changed at the source, which tells only the values that changed'
    throw new FerryError('FERRY-5007', `${this.table.request.object}: ${count} rows are not there ${what}`)
  }

  /** The values that rows keep are read from where they are, or were under another key. Gives back the rows that have them. */
  private async carry(client: pg.Client, name: string, rows: PartialRow[]): Promise<PartialRow[]> {
    const { request, target } = this.table
    const match = request.keys.map(k => `t.${quoteName(k)} = s.${quoteName(former(k))}`).join(' AND ')
    const moved = rows[0]!.before !== undefined
    const list = [
      ...request.keys.map(k => `s.${quoteName(k)}::text`),
      ...this.columns.map(c => `t.${quoteName(c.name)}::text`),
    ]
    const found = await client.query({
      text: `SELECT ${list.join(', ')} FROM ${name} s JOIN ${qualified(target)} t ON ${match} WHERE s.${MOVED} = ${moved}`,
      rowMode: 'array',
    })
    const { columns } = request
    const width = this.keys.length
    const byKey = new Map((found.rows as (string | null)[][]).map(v => [v.slice(0, width).join('\0'), v.slice(width)]))
    const keyOf = (row: Row) =>
      this.keys.map(at => (row[at] === null ? null : formatText(row[at]!, columns[at]!.type))).join('\0')
    const there = rows.filter(({ row }) => byKey.has(keyOf(row)))
    for (const { row, unchanged } of there) {
      const values = byKey.get(keyOf(row))!
      for (const at of unchanged) row[at] = values[at] === null ? null : parseText(values[at]!, columns[at]!.type)
    }
    if (there.length < rows.length) this.missing(rows.length - there.length)
    return there
  }

  private stagePartial(client: pg.Client, rows: PartialRow[]): Promise<string> {
    const { request, target, columnNames } = this.table
    const was = request.keys.map(k => `${quoteName(k)} AS ${quoteName(former(k))}`)
    const select = `SELECT ${[sql.names(columnNames), ...was, `''::text AS ${MASK}`, `false AS ${MOVED}`].join(', ')} FROM ${qualified(target)}`
    const columns: Written[] = [
      ...this.columns,
      ...this.keyColumns.map(c => ({ ...c, name: former(c.name) })),
      { name: MASK, type: utf8, native: 'text' },
      { name: MOVED, type: bool, native: 'boolean' },
    ]
    const staged = rows.map(({ row, unchanged, before }): Row => {
      const mask = this.columns.map((_, i) => (unchanged.includes(i) ? '1' : '0')).join('')
      return [...row, ...this.keys.map(at => (before ?? row)[at]!), mask, before !== undefined]
    })
    return this.stage(client, 'partial', columns, select, staged)
  }
}

function chosen({ name }: Written, at: number): string {
  const column = quoteName(name)
  return `CASE WHEN substr(s.${MASK}, ${at + 1}, 1) = '1' THEN t.${column} ELSE s.${column} END`
}

/** Applies the changes of a log: gathered in memory, written when they are committed. */
export class PostgresChangeWriter implements SplitWriter {
  private readonly table: PostgresSinkTable
  private readonly applier: Applier
  /** What the ledger said last. */
  private checkpoint: Checkpoint | null

  constructor(table: PostgresSinkTable, work: WriterWork) {
    this.table = table
    this.applier = new Applier(table, work.replays ?? false)
    this.checkpoint = table.applied
  }

  async write(batch: Batch): Promise<Refused[]> {
    if (batch.kind !== 'rows') throw new FerryError('FERRY-9000', 'changes are rows')
    this.applier.fold.addBatch(batch)
    return []
  }

  async commit(checkpoint: Checkpoint | undefined, counts: { rows: number; bytes: number }): Promise<CommitResult> {
    const { table } = this
    await table.ensureLedger()
    const client = await table.session.pool.take()
    try {
      await inTransaction(client, async () => {
        await this.claim(client)
        await this.applier.apply(client)
        if (table.ledger) await client.query(table.ledger.record(CHANGES, checkpoint, counts))
      })
      this.checkpoint = checkpoint ?? null
      table.session.pool.release(client)
      return {}
    } catch (error) {
      table.session.pool.drop(client)
      throw translate(error, table.request.object)
    }
  }

  /** Whoever applies changes takes the ledger's line first: a process that was given up must not write any more. */
  private async claim(client: pg.Client): Promise<void> {
    const { ledger, request } = this.table
    if (!ledger) return
    const line = await ledger.claim(ledgerClient(client), CHANGES)
    if (line.checkpoint !== this.checkpoint) {
      throw new FerryError('FERRY-5004', `changes of ${request.object} were committed by another process`)
    }
  }

  async abort(): Promise<void> {}
}
