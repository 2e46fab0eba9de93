import type { Batch, Checkpoint } from '../../batch/encoding.ts'
import type { Row } from '../../batch/types.ts'
import type { CommitResult, Refused, SplitWriter } from '../../contract/sink.ts'
import type { Split } from '../../contract/split.ts'
import { FerryError, RowError } from '../../errors.ts'
import { type Placed, tryHalves } from '../halves.ts'
import { type Connection, ledgerClient, query, quoteName, translate } from './client.ts'
import { fieldsInto, LoadEncoder } from './encode.ts'
import { Load } from './load.ts'
import type { MysqlSinkTable } from './sink.ts'
import * as sql from './statements.ts'

const FLUSH_CHARACTERS = 1 << 16

/** Writes one split: rows go through LOAD DATA, and each commit carries the ledger line of the split with it. */
export class MysqlSplitWriter implements SplitWriter {
  private readonly table: MysqlSinkTable
  private readonly split: Split
  private readonly connection: Connection
  private readonly encoder: LoadEncoder
  private load: Load | undefined
  private began = false
  /** Where the split is: what the next transaction must find in the ledger. */
  private checkpoint: Checkpoint | undefined
  private copied = 0

  constructor(table: MysqlSinkTable, split: Split, connection: Connection, from: Checkpoint | undefined) {
    this.table = table
    this.split = split
    this.connection = connection
    this.checkpoint = from
    const { keys, update } = table.request
    const required = table.columns.map(c => update === 'merge' && keys.includes(c.name))
    this.encoder = new LoadEncoder(table.columns, required)
  }

  async write(batch: Batch): Promise<Refused[]> {
    if (batch.kind !== 'rows') throw new FerryError('FERRY-9000', 'MySQL takes rows')
    try {
      await this.begin()
      if (this.table.request.skipBadRows) return await this.writeSkipping(batch.rows)
      await this.writeRows(batch.rows)
      return []
    } catch (error) {
      throw translate(error, this.table.request.object)
    }
  }

  private async writeRows(rows: Row[]): Promise<void> {
    for (let i = 0; i < rows.length; i++) {
      try {
        this.encoder.row(rows[i]!)
      } catch (error) {
        if (error instanceof RowError) error.index = i
        throw error
      }
      if (this.encoder.size > FLUSH_CHARACTERS) await this.send()
    }
  }

  private async send(): Promise<void> {
    const { table } = this
    const fields = fieldsInto(table.columns, quoteName)
    this.load ??= new Load(
      this.connection,
      sql.loadInto(table.loadTarget, fields, table.way.kind === 'merge'),
      table.request.object,
    )
    await this.load.write(this.encoder.take())
  }

  /** Starts the transaction with the ledger line of the split, so that a second writer of it waits here. */
  private async begin(): Promise<void> {
    if (this.began) return
    const { connection, table } = this
    if (table.way.kind === 'merge') for (const statement of table.mergeStage) await query(connection, statement)
    await query(connection, 'START TRANSACTION')
    this.began = true
    await table.ledger?.claim(ledgerClient(connection), this.split.id, this.checkpoint)
  }

  /** Ends LOAD DATA and gives back how many rows it took. */
  private async finish(): Promise<number> {
    if (this.encoder.size > 0) await this.send()
    const { load } = this
    this.load = undefined
    return load ? load.end() : 0
  }

  private async writeSkipping(rows: Row[]): Promise<Refused[]> {
    const refused: Refused[] = []
    const good: Placed[] = []
    for (const [index, row] of rows.entries()) {
      try {
        this.encoder.row(row)
        good.push({ row, index })
      } catch (error) {
        if (!(error instanceof RowError)) throw error
        refused.push({ index, error })
      }
    }
    this.encoder.take()
    const bad = await tryHalves(good, {
      begin: () => query(this.connection, 'SAVEPOINT ferry_batch'),
      write: async some => {
        await this.writeRows(some.map(r => r.row))
        this.copied += await this.finish()
        await this.merge()
      },
      undo: async () => {
        this.load = undefined
        this.encoder.take()
        await query(this.connection, 'ROLLBACK TO SAVEPOINT ferry_batch')
      },
      explain: error => translate(error, this.table.request.object),
    })
    return [...refused, ...bad].sort((a, b) => a.index - b.index)
  }

  private async merge(): Promise<void> {
    const { table, connection } = this
    if (table.way.kind !== 'merge') return
    for (const statement of table.mergeStatements) await query(connection, statement)
    await table.requireOwnKeys(ledgerClient(connection))
    await query(connection, `DELETE FROM ${table.loadTarget}`)
  }

  async commit(checkpoint: Checkpoint | undefined, counts: { rows: number; bytes: number }): Promise<CommitResult> {
    const { connection, table } = this
    try {
      await this.begin()
      const copied = (await this.finish()) + this.copied
      this.copied = 0
      if (!table.request.skipBadRows) await this.merge()
      if (table.ledger) {
        await query(connection, table.ledger.record(this.split.id, checkpoint, { rows: copied, bytes: counts.bytes }))
      } else await table.session.run.confirm()
      await query(connection, 'COMMIT')
      this.began = false
      this.checkpoint = checkpoint
      if (checkpoint === undefined) table.session.release(connection)
      return { rows: copied }
    } catch (error) {
      throw translate(error, table.request.object)
    }
  }

  async abort(): Promise<void> {
    // Closing the connection rolls back whatever was begun, also in the middle of a LOAD DATA.
    this.table.session.drop(this.connection)
  }
}
