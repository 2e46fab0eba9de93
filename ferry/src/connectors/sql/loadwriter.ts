/**
 * The writer of one split for stores that load rows in bulk, on a connection of the split's own: each commit carries the
 * ledger line of the split with it.
 */
import type { Batch, Checkpoint } from '../../batch/encoding.ts'
import type { Row } from '../../batch/types.ts'
import type { CommitResult, Refused, SplitWriter } from '../../contract/sink.ts'
import type { Split } from '../../contract/split.ts'
import { FerryError, RowError } from '../../errors.ts'
import { bisect, type Placed } from '../bisect.ts'
import type { LedgerClient } from '../ledger.ts'
import type { RowEncoder, SqlTarget } from './target.ts'

/** Rows are sent when the encoder holds so much. */
export const FLUSH_SIZE = 1 << 16

export abstract class LoadWriter<T extends SqlTarget> implements SplitWriter {
  protected readonly table: T
  private readonly split: Split
  private began = false
  /** The checkpoint that the next transaction must find in the ledger. */
  private checkpoint: Checkpoint | undefined
  /** Rows of savepoints that were loaded and not committed. */
  private loaded = 0

  constructor(table: T, split: Split, from: Checkpoint | undefined) {
    this.table = table
    this.split = split
    this.checkpoint = from
  }

  protected abstract readonly encoder: RowEncoder
  protected abstract readonly client: Pick<LedgerClient, 'query'>

  /** The store's error as Ferry's. */
  protected abstract explain(error: unknown): FerryError
  /** Sends what the encoder holds; the first time, starts to load. */
  protected abstract send(): Promise<void>
  /** Ends loading, and gives back how many rows the store took. */
  protected abstract finish(): Promise<number>
  /** Forgets a load that failed. */
  protected abstract reset(): void
  /** Merges what was loaded, and empties the temporary table. Nothing unless the strategy is `merge`. */
  protected abstract merge(rows: number): Promise<void>
  /** The connection can be used again. */
  protected abstract release(): void
  /** Closes the connection, which rolls back whatever was begun. */
  protected abstract drop(): void
  /** Called before each transaction, and in it. */
  protected async beforeTransaction(): Promise<void> {}
  protected async inTransaction(): Promise<void> {}
  /** Throws if the store took fewer rows than it was given. */
  protected checkCount(_taken: number, _given: number): void {}
  /** Bytes that pass unread. */
  protected writeBytes(_batch: Batch & { kind: 'bytes' }): Promise<void> {
    throw new FerryError('FERRY-9000', 'this store takes rows')
  }

  async write(batch: Batch): Promise<Refused[]> {
    try {
      await this.begin()
      if (batch.kind === 'bytes') await this.writeBytes(batch)
      if (batch.kind !== 'rows') return []
      if (this.table.request.skipBadRows) return await this.writeSkipping(batch.rows)
      await this.writeRows(batch.rows)
      return []
    } catch (error) {
      throw this.explain(error)
    }
  }

  private async writeRows(rows: Row[]): Promise<void> {
    const { encoder } = this
    for (let i = 0; i < rows.length; i++) {
      try {
        encoder.row(rows[i]!)
      } catch (error) {
        if (error instanceof RowError) error.index = i
        throw error
      }
      if (encoder.size > FLUSH_SIZE) await this.send()
    }
  }

  /** Starts the transaction with the ledger line of the split, so that a second writer of it waits here. */
  private async begin(): Promise<void> {
    if (this.began) return
    await this.beforeTransaction()
    await this.client.query('START TRANSACTION')
    this.began = true
    await this.table.ledger?.claim(this.client, this.split.id, this.checkpoint)
    await this.inTransaction()
  }

  /** Tries a batch in a savepoint; if it fails, bisects it to find the rows that do not fit. */
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
    const bad = await bisect(good, {
      begin: () => this.client.query('SAVEPOINT ferry_batch'),
      write: async some => {
        await this.writeRows(some.map(r => r.row))
        const taken = await this.finish()
        await this.merge(some.length)
        await this.client.query('RELEASE SAVEPOINT ferry_batch')
        this.loaded += taken
      },
      undo: async () => {
        this.reset()
        this.encoder.take()
        await this.client.query('ROLLBACK TO SAVEPOINT ferry_batch')
      },
      explain: error => this.explain(error),
    })
    return [...refused, ...bad].sort((a, b) => a.index - b.index)
  }

  async commit(checkpoint: Checkpoint | undefined, counts: { rows: number; bytes: number }): Promise<CommitResult> {
    const { table, client } = this
    try {
      await this.begin()
      const rows = (await this.finish()) + this.loaded
      this.loaded = 0
      this.checkCount(rows, counts.rows)
      if (!table.request.skipBadRows) await this.merge(rows)
      if (!table.ledger) await table.confirm()
      else await client.query(table.ledger.record(this.split.id, checkpoint, { rows, bytes: counts.bytes }))
      await client.query('COMMIT')
      this.began = false
      this.checkpoint = checkpoint
      if (checkpoint === undefined) this.release()
      return { rows }
    } catch (error) {
      throw this.explain(error)
    }
  }

  async abort(): Promise<void> {
    this.drop()
  }
}
