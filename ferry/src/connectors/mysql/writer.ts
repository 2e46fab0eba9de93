/** Writes one split: rows go through LOAD DATA. */
import type { Checkpoint } from '../../batch/encoding.ts'
import type { Split } from '../../contract/split.ts'
import type { FerryError } from '../../errors.ts'
import type { LedgerClient } from '../ledger.ts'
import { LoadWriter } from '../sql/loadwriter.ts'
import { type Connection, ledgerClient, quoteName, translate } from './client.ts'
import { fieldsInto, LoadEncoder } from './encode.ts'
import { Load } from './load.ts'
import * as sql from './statements.ts'
import type { MysqlTarget } from './target.ts'

/** The temporary table that rows are merged from. */
export const MERGE = 'ferry_merge'

export function mergeStatements(table: MysqlTarget): string[] {
  const { live, columnNames, mergesByIndex } = table
  const { keys } = table.request
  if (mergesByIndex) return sql.mergeOnDuplicate(live, MERGE, columnNames, keys)
  return sql.mergeByComparison(live, MERGE, columnNames, { keys, match: table.matching() })
}

export class MysqlSplitWriter extends LoadWriter<MysqlTarget> {
  protected readonly encoder: LoadEncoder
  protected readonly client: LedgerClient
  private readonly connection: Connection
  private load: Load | undefined

  constructor(table: MysqlTarget, split: Split, connection: Connection, from: Checkpoint | undefined) {
    super(table, split, from)
    this.connection = connection
    this.client = ledgerClient(connection)
    const { keys, update } = table.request
    this.encoder = new LoadEncoder(
      table.columns,
      table.columns.map(c => update === 'merge' && keys.includes(c.name)),
    )
  }

  protected explain(error: unknown): FerryError {
    return translate(error, this.table.request.object)
  }

  /** DDL would end the transaction. */
  protected override async beforeTransaction(): Promise<void> {
    const { strategy, request, loose, names, live } = this.table
    if (strategy.kind !== 'merge') return
    // If a key occurs twice in one split, the last row wins.
    const key = loose.length > 0 ? '' : `(PRIMARY KEY (${sql.names(request.keys)}))`
    await this.client.query(`CREATE OR REPLACE TEMPORARY TABLE ${MERGE} ${key} SELECT ${names} FROM ${live} LIMIT 0`)
    if (loose.length > 0) await this.client.query(sql.exactKeys(MERGE, request.keys))
  }

  protected async send(): Promise<void> {
    const { table } = this
    const into = sql.loadInto(table.loadTarget, fieldsInto(table.columns, quoteName), table.strategy.kind === 'merge')
    this.load ??= new Load(this.connection, into, table.request.object)
    await this.load.write(this.encoder.take())
  }

  protected async finish(): Promise<number> {
    if (this.encoder.size > 0) await this.send()
    const { load } = this
    this.load = undefined
    return load ? load.end() : 0
  }

  protected reset(): void {
    this.load = undefined
  }

  protected async merge(): Promise<void> {
    const { table, client } = this
    if (table.strategy.kind !== 'merge') return
    for (const statement of mergeStatements(table)) await client.query(statement)
    await table.requireOwnKeys(client, MERGE)
    await client.query(`DELETE FROM ${MERGE}`)
  }

  protected release(): void {
    this.table.connections.release(this.connection)
  }

  protected drop(): void {
    this.table.connections.drop(this.connection)
  }
}
