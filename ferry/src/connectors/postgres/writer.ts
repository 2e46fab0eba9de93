import type pg from 'pg'
import type { Batch, Checkpoint, CsvDialect } from '../../batch/encoding.ts'
import type { Row } from '../../batch/types.ts'
import type { Offer } from '../../contract/encodings.ts'
import type { CommitResult, Refused, SplitWriter } from '../../contract/sink.ts'
import type { Split } from '../../contract/split.ts'
import { RowError } from '../../errors.ts'
import { oneKey } from '../changes/loosekeys.ts'
import { type Placed, tryHalves } from '../halves.ts'
import { BinaryWriter } from './binarywrite.ts'
import { qualified } from './catalog.ts'
import { ledgerClient, quoteText, translate } from './client.ts'
import { type CopyIn, copyIn } from './copyin.ts'
import { TextWriter } from './copytext.ts'
import type { PostgresSinkTable } from './sink.ts'
import * as sql from './statements.ts'
import { isFramed } from './wire.ts'

const FLUSH_BYTES = 1 << 16

/** Writes one split: rows go through COPY, and each commit carries the ledger line of the split with it. */
export class PostgresSplitWriter implements SplitWriter {
  private readonly table: PostgresSinkTable
  private readonly split: Split
  private readonly client: pg.Client
  private readonly offer: Offer
  private readonly rows: BinaryWriter | TextWriter
  private copy: CopyIn | undefined
  private began = false
  /** Where the split is: what the next transaction must find in the ledger. */
  private checkpoint: Checkpoint | undefined
  private copied = 0

  constructor(table: PostgresSinkTable, split: Split, client: pg.Client, offer: Offer, from: Checkpoint | undefined) {
    this.table = table
    this.split = split
    this.client = client
    this.offer = offer
    this.checkpoint = from
    this.rows = table.binaryRows ? new BinaryWriter(table.writerColumns()) : new TextWriter(table.writerColumns())
  }

  async write(batch: Batch): Promise<Refused[]> {
    try {
      await this.begin()
      if (batch.kind === 'bytes') await this.send(batch.data, isFramed(this.offer), batch.release)
      else if (batch.kind === 'rows') {
        if (this.table.request.skipBadRows) return await this.writeSkipping(batch.rows)
        await this.writeRows(batch.rows)
      }
      return []
    } catch (error) {
      throw translate(error, this.table.request.object)
    }
  }

  private async writeRows(rows: Row[]): Promise<void> {
    for (let i = 0; i < rows.length; i++) {
      try {
        this.rows.row(rows[i]!)
      } catch (error) {
        if (error instanceof RowError) error.index = i
        throw error
      }
      if (this.rows.size > FLUSH_BYTES) await this.send(this.rows.take(), true)
    }
  }

  /** Starts the transaction with the ledger line of the split, so that a second writer of it waits here. */
  private async begin(): Promise<void> {
    if (this.began) return
    const { client, table } = this
    await client.query('BEGIN')
    this.began = true
    await table.ledger?.claim(ledgerClient(client), this.split.id, this.checkpoint)
    if (table.way.kind === 'merge') {
      const live = qualified(table.target)
      await client.query(
        `CREATE TEMPORARY TABLE ferry_merge ON COMMIT DROP AS SELECT ${sql.names(table.columnNames)} FROM ${live} WITH NO DATA`,
      )
      if (!table.way.conflict) await client.query(`LOCK TABLE ${live} IN SHARE ROW EXCLUSIVE MODE`)
    }
  }

  /** Sends bytes into the COPY, which the first ones start. */
  private async send(data: Buffer, framed: boolean, release?: () => void): Promise<void> {
    if (!this.copy) {
      const { table, rows } = this
      const options = copyOptions(this.offer, rows)
      this.copy = copyIn(this.client, sql.copyIn(table.copyTarget, table.columnNames, options))
      if (this.offer.encoding === 'rows') await this.copy.write(rows.header, false)
    }
    await this.copy.write(data, framed, release)
  }

  /** Ends the COPY and gives back how many rows it took. */
  private async finishCopy(): Promise<number> {
    if (this.rows.size > 0) await this.send(this.rows.take(), true)
    const { copy } = this
    if (!copy) return 0
    this.copy = undefined
    if (this.offer.encoding === 'rows') await copy.write(this.rows.trailer, false)
    return copy.end()
  }

  /** Tries a batch in a savepoint; where it fails, halves find the rows that do not fit. */
  private async writeSkipping(rows: Row[]): Promise<Refused[]> {
    const refused: Refused[] = []
    const good: Placed[] = []
    for (const [index, row] of rows.entries()) {
      try {
        this.rows.row(row)
        good.push({ row, index })
      } catch (error) {
        if (!(error instanceof RowError)) throw error
        refused.push({ index, error })
      }
    }
    this.rows.take()
    const bad = await tryHalves(good, {
      begin: () => this.client.query('SAVEPOINT ferry_batch'),
      write: some => this.trySome(some.map(r => r.row)),
      undo: async () => {
        this.copy = undefined
        this.rows.take()
        await this.client.query('ROLLBACK TO SAVEPOINT ferry_batch')
      },
      explain: error => translate(error, this.table.request.object),
    })
    return [...refused, ...bad].sort((a, b) => a.index - b.index)
  }

  private async trySome(rows: Row[]): Promise<void> {
    await this.writeRows(rows)
    let count = await this.finishCopy()
    if (this.table.way.kind === 'merge') {
      await this.merge(rows.length)
      await this.client.query('TRUNCATE ferry_merge')
      count = rows.length
    }
    await this.client.query('RELEASE SAVEPOINT ferry_batch')
    this.copied += count
  }

  /** Of so many staged rows, where they are known to have a key each. */
  private async merge(staged: number): Promise<void> {
    const { client, table } = this
    const { way, request } = table
    if (way.kind !== 'merge') return
    const live = qualified(table.target)
    const keyNull = request.keys.map(k => `${sql.names([k])} IS NULL`).join(' OR ')
    const { rows } = await client.query(`SELECT 1 FROM ferry_merge WHERE ${keyNull} LIMIT 1`)
    if (rows.length > 0) {
      throw new RowError(
        'FERRY-4001',
        `${request.object}: a row has no value in its merge key (${request.keys.join(', ')})`,
      )
    }
    const { columnNames: columns, overriding, loose } = table
    const on = { keys: request.keys, loose }
    if (!way.conflict) {
      for (const statement of sql.mergeByComparison(live, 'ferry_merge', columns, on, overriding)) {
        await client.query(statement)
      }
      return
    }
    await client.query('SAVEPOINT ferry_upsert')
    try {
      const { rowCount } = await client.query(
        sql.mergeOnConflict(live, 'ferry_merge', columns, on, { distinct: false, overriding }),
      )
      // Where all columns are keys, rows that are there are left as they are.
      if (columns.length > request.keys.length && rowCount !== staged) throw table.leftOut(rowCount ?? 0, staged)
    } catch (error) {
      // 21000: two rows of this split have one key. Only then is sorting for the last of them worth it.
      if ((error as { code?: string }).code !== '21000') throw error
      await client.query('ROLLBACK TO SAVEPOINT ferry_upsert')
      for (const key of loose) {
        const { rows: one } = await client.query(sql.keysThatAreOne('ferry_merge', request.keys, key))
        if (one.length > 0) throw oneKey(request.object, key, one[0].a, one[0].b)
      }
      await client.query(sql.mergeOnConflict(live, 'ferry_merge', columns, on, { distinct: true, overriding }))
    }
    await table.requireOwnKeys(ledgerClient(client), 'ferry_merge')
  }

  async commit(checkpoint: Checkpoint | undefined, counts: { rows: number; bytes: number }): Promise<CommitResult> {
    const { client, table } = this
    try {
      await this.begin()
      const copied = (await this.finishCopy()) + this.copied
      this.copied = 0
      // Rows whose number is known must all be there: a trigger may leave some out.
      if (counts.rows > 0 && copied !== counts.rows) throw table.leftOut(copied, counts.rows)
      if (table.way.kind === 'merge' && !table.request.skipBadRows) await this.merge(copied)
      if (table.ledger) {
        await client.query(table.ledger.record(this.split.id, checkpoint, { rows: copied, bytes: counts.bytes }))
      } else await table.session.run.confirm()
      await client.query('COMMIT')
      this.began = false
      this.checkpoint = checkpoint
      if (checkpoint === undefined) table.session.pool.release(client)
      return { rows: copied }
    } catch (error) {
      throw translate(error, table.request.object)
    }
  }

  async abort(): Promise<void> {
    // Closing the connection rolls back whatever was begun, also in the middle of a COPY.
    this.table.session.pool.drop(this.client)
  }
}

function copyOptions(offer: Offer, rows: BinaryWriter | TextWriter): string {
  if (offer.encoding === 'csv') return csvOptions(offer.dialect as CsvDialect)
  if (offer.encoding === 'pg-copy-text') return '(FORMAT text)'
  if (offer.encoding === 'rows' && rows instanceof TextWriter) return '(FORMAT text)'
  return '(FORMAT binary)'
}

function csvOptions(dialect: CsvDialect): string {
  const options = ['FORMAT csv', `DELIMITER ${quoteText(dialect.delimiter)}`, `NULL ${quoteText(dialect.nullText)}`]
  options.push(`QUOTE ${quoteText(dialect.quote)}`, `ESCAPE ${quoteText(dialect.escape)}`)
  if (dialect.encoding !== 'utf-8') options.push(`ENCODING ${quoteText(dialect.encoding)}`)
  return `(${options.join(', ')})`
}
