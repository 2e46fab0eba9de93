/** Writes one split: rows go through COPY. */
import type pg from 'pg'
import type { Batch, Checkpoint, CsvDialect } from '../../batch/encoding.ts'
import type { Offer } from '../../contract/encodings.ts'
import type { Split } from '../../contract/split.ts'
import { type FerryError, RowError } from '../../errors.ts'
import { oneKey } from '../changes/loosekeys.ts'
import type { LedgerClient } from '../ledger.ts'
import { LoadWriter } from '../sql/loadwriter.ts'
import type { BinaryWriter } from './binarywrite.ts'
import { ledgerClient, quoteText, translate } from './client.ts'
import { type CopyIn, copyIn } from './copyin.ts'
import { TextWriter } from './copytext.ts'
import * as sql from './statements.ts'
import { encoderOf, type PostgresTarget } from './target.ts'
import { isFramed } from './wire.ts'

/** The temporary table that rows are merged from. */
export const MERGE = 'ferry_merge'

export class PostgresSplitWriter extends LoadWriter<PostgresTarget> {
  protected readonly encoder: BinaryWriter | TextWriter
  protected readonly client: LedgerClient
  private readonly connection: pg.Client
  private readonly offer: Offer
  private copy: CopyIn | undefined

  constructor(table: PostgresTarget, split: Split, connection: pg.Client, offer: Offer, from: Checkpoint | undefined) {
    super(table, split, from)
    this.connection = connection
    this.client = ledgerClient(connection)
    this.offer = offer
    this.encoder = encoderOf(table, table.encoded)
  }

  protected explain(error: unknown): FerryError {
    return translate(error, this.table.request.object)
  }

  protected override async inTransaction(): Promise<void> {
    const { strategy, live, names } = this.table
    if (strategy.kind !== 'merge') return
    const create = `CREATE TEMPORARY TABLE ${MERGE} ON COMMIT DROP`
    await this.client.query(`${create} AS SELECT ${names} FROM ${live} WITH NO DATA`)
    if (!strategy.byIndex) await this.client.query(`LOCK TABLE ${live} IN SHARE ROW EXCLUSIVE MODE`)
  }

  protected override async writeBytes({ data, release }: Batch & { kind: 'bytes' }): Promise<void> {
    await (await this.started()).write(data, isFramed(this.offer), release)
  }

  protected async send(): Promise<void> {
    await (await this.started()).write(this.encoder.take(), true)
  }

  private async started(): Promise<CopyIn> {
    if (this.copy) return this.copy
    const { table, encoder } = this
    const options = copyOptions(this.offer, encoder)
    this.copy = copyIn(this.connection, sql.copyIn(table.copyTarget, table.columnNames, options))
    if (this.offer.encoding === 'rows') await this.copy.write(encoder.header, false)
    return this.copy
  }

  protected async finish(): Promise<number> {
    if (this.encoder.size > 0) await this.send()
    const { copy } = this
    if (!copy) return 0
    this.copy = undefined
    if (this.offer.encoding === 'rows') await copy.write(this.encoder.trailer, false)
    return copy.end()
  }

  protected reset(): void {
    this.copy = undefined
  }

  /** Rows whose number is known must all be there: a trigger may leave some out. */
  protected override checkCount(taken: number, given: number): void {
    if (given > 0 && taken !== given) throw this.table.leftOut(taken, given)
  }

  protected async merge(staged: number): Promise<void> {
    const { client, table } = this
    const { strategy, request, live, columnNames: columns, overriding, loose } = table
    if (strategy.kind !== 'merge') return
    const keyNull = request.keys.map(k => `${sql.names([k])} IS NULL`).join(' OR ')
    const nulls = await client.query(`SELECT 1 FROM ${MERGE} WHERE ${keyNull} LIMIT 1`)
    if (nulls.length > 0) {
      const message = `${request.object}: a row has no value in its merge key (${request.keys.join(', ')})`
      throw new RowError('FERRY-4001', message)
    }
    const on = { keys: request.keys, loose }
    if (strategy.byIndex) {
      await this.upsert(staged)
      await table.requireOwnKeys(client, MERGE)
    } else {
      for (const statement of sql.mergeByComparison(live, MERGE, columns, on, overriding)) await client.query(statement)
    }
    // Other rows of the same transaction follow.
    if (request.skipBadRows) await client.query(`TRUNCATE ${MERGE}`)
  }

  /** Rows that are assumed to have distinct keys, until the server reports otherwise. */
  private async upsert(staged: number): Promise<void> {
    const { client, connection, table } = this
    const { request, live, columnNames: columns, overriding, loose } = table
    const upsert = (distinct: boolean) =>
      sql.mergeOnConflict(live, MERGE, columns, { keys: request.keys, loose }, { distinct, overriding })
    await client.query('SAVEPOINT ferry_upsert')
    try {
      const { rowCount } = await connection.query(upsert(false))
      // Where all columns are keys, rows that are there are left as they are.
      if (columns.length > request.keys.length && rowCount !== staged) throw table.leftOut(rowCount ?? 0, staged)
    } catch (error) {
      // 21000: two rows of this split have one key. Only then is sorting for the last of them worth it.
      if ((error as { code?: string }).code !== '21000') throw error
      await client.query('ROLLBACK TO SAVEPOINT ferry_upsert')
      for (const key of loose) {
        const [one] = await client.query(sql.keysThatAreOne(MERGE, request.keys, key))
        if (one) throw oneKey(request.object, key, one.a, one.b)
      }
      await client.query(upsert(true))
    }
  }

  protected release(): void {
    this.table.pool.release(this.connection)
  }

  protected drop(): void {
    this.table.pool.drop(this.connection)
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
