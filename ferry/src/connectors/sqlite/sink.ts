import type { DatabaseSync } from 'node:sqlite'
import { type Offer, ROWS } from '../../contract/encodings.ts'
import type { SinkSession, SinkTable, SplitWriter, WriterWork } from '../../contract/sink.ts'
import type { Split } from '../../contract/split.ts'
import type { RunIdentity, WriteRequest } from '../../contract/write.ts'
import { RowError } from '../../errors.ts'
import type { ChangeTable } from '../changes/changetable.ts'
import { looseNotes, oneKey } from '../changes/loosekeys.ts'
import { LEDGER, Ledger, type LedgerClient, stageName } from '../ledger.ts'
import { SqlSinkTable } from '../sql/sinktable.ts'

import { Turns } from '../turns.ts'
import { changeTable } from './apply.ts'
import { openDatabase, quoteName, tableName, translate } from './database.ts'
import type { Stored } from './store.ts'
import { toNative } from './types.ts'
import { SqliteSplitWriter } from './writer.ts'

/** SQLite has one writer: all tables of a run share one connection, and its transactions take turns. */
export class SqliteSink implements SinkSession {
  readonly run: RunIdentity
  private readonly path: string
  private opened: DatabaseSync | undefined
  readonly turns = new Turns()

  constructor(path: string, run: RunIdentity) {
    this.path = path
    this.run = run
  }

  get db(): DatabaseSync {
    this.opened ??= openDatabase(this.path, 'write')
    return this.opened
  }

  async table(request: WriteRequest): Promise<SinkTable> {
    return new SqliteSinkTable(this, request)
  }

  async close(): Promise<void> {
    this.opened?.close()
    this.opened = undefined
  }
}

export class SqliteSinkTable extends SqlSinkTable implements SinkTable {
  readonly plan
  readonly unit = 'split'
  readonly lanes = 1
  readonly session: SqliteSink
  readonly name: string
  readonly stage: string
  readonly ledger: Ledger

  constructor(session: SqliteSink, request: WriteRequest) {
    super(session.run, request)
    this.session = session
    this.name = tableName(request.object)
    this.stage = stageName(session.run, request.ordinal)
    this.ledger = new Ledger(LEDGER, session.run, request.ordinal)
    this.plan = {
      statements: [...this.preparation(), this.insert(1), ...this.publication()],
      guarantee: 'exactly once: each split commits with its ledger line',
      notes: looseNotes(request),
    }
  }

  get staged(): boolean {
    return this.request.update === 'overwrite'
  }

  readonly offers: Offer[] = [ROWS]

  protected preparation(): string[] {
    const { request } = this
    const statements = [...request.before]
    const target = quoteName(this.staged ? this.stage : this.name)
    if (!request.existing) statements.push(this.create(target))
    else if (this.staged) {
      statements.push(
        `CREATE TABLE IF NOT EXISTS ${target} AS SELECT ${this.names()} FROM ${quoteName(this.name)} WHERE false`,
      )
    }
    if (request.truncate && !this.staged && request.existing) statements.push(`DELETE FROM ${target}`)
    return statements
  }

  private create(target: string): string {
    const { columns, keys } = this.request
    const lines = columns.map(c => {
      const required = !c.nullable || keys.includes(c.name) ? ' NOT NULL' : ''
      const { filled } = c
      const given = filled?.by === 'text' ? quoteText(filled.text) : filled?.by === 'sql' ? filled.sql : undefined
      return `${quoteName(c.name)} ${c.native ?? toNative(c.type)}${required}${given === undefined ? '' : ` DEFAULT ${given}`}`
    })
    if (keys.length > 0) lines.push(`PRIMARY KEY (${keys.map(quoteName).join(', ')})`)
    return `CREATE TABLE IF NOT EXISTS ${target} (\n  ${lines.join(',\n  ')}\n)`
  }

  private publication(): string[] {
    const { request } = this
    const live = quoteName(this.name)
    const stage = quoteName(this.stage)
    if (!this.staged) return request.after
    if (!request.existing) return [`ALTER TABLE ${stage} RENAME TO ${live}`, ...request.after]
    const names = this.names()
    return [
      `DELETE FROM ${live}`,
      `INSERT INTO ${live} (${names}) SELECT ${names} FROM ${stage}`,
      `DROP TABLE ${stage}`,
      ...request.after,
    ]
  }

  names(): string {
    return this.request.columns.map(c => quoteName(c.name)).join(', ')
  }

  /** The statement that writes `count` rows. */
  insert(count: number): string {
    const { request } = this
    const marks = `(${request.columns.map(() => '?').join(', ')})`
    const rows = Array.from({ length: count }, () => marks).join(', ')
    const target = quoteName(this.staged ? this.stage : this.name)
    // Whatever conflict clauses the columns were declared with.
    const insert = `INSERT OR ABORT INTO ${target} (${this.names()}) VALUES ${rows}`
    if (request.update !== 'merge') return insert
    const loose = this.loose.map(quoteName)
    const rest = request.columns.filter(c => !request.keys.includes(c.name)).map(c => quoteName(c.name))
    const set = (rest.length > 0 ? rest : loose.slice(0, 1)).map(c => `${c} = excluded.${c}`).join(', ')
    // A row whose key is written otherwise is not updated: the writer counts.
    const same = loose.map(c => `${target}.${c} = excluded.${c} COLLATE BINARY`).join(' AND ')
    const action = set === '' ? 'DO NOTHING' : `DO UPDATE SET ${set}${same === '' ? '' : ` WHERE ${same}`}`
    return `${insert} ON CONFLICT (${request.keys.map(quoteName).join(', ')}) ${action}`
  }

  /** What is wrong with the key of a row that the table takes for another one. */
  keyTaken(values: Stored[]): RowError | undefined {
    const { keys, columns, object } = this.request
    const of = (key: string) => values[columns.findIndex(c => c.name === key)]!
    const match = keys.map(key => `${quoteName(key)} = ?`).join(' AND ')
    const row = this.session.db
      .prepare(`SELECT ${keys.map(quoteName).join(', ')} FROM ${quoteName(this.name)} WHERE ${match}`)
      .get(...keys.map(of))
    const key = this.loose.find(k => row && row[k] !== of(k))
    return key === undefined ? undefined : oneKey(object, key, of(key), row![key])
  }

  async alter(): Promise<void> {
    await this.within(async client => {
      const there = await client.query(`SELECT name FROM pragma_table_info(${quoteText(this.name)})`)
      for (const { kind, column, native, missing } of this.request.alter ?? []) {
        // A declared type says nothing of what SQLite can hold: wider values fit as they are.
        if (kind === 'widen' || there.some(c => c.name === column)) continue
        const fill = missing === undefined ? '' : ` DEFAULT ${quoteText(missing)}`
        await client.query(`ALTER TABLE ${quoteName(this.name)} ADD COLUMN ${quoteName(column)} ${native}${fill}`)
      }
    })
  }

  async transaction(work: (table: ChangeTable, client: LedgerClient) => Promise<void>): Promise<void> {
    const { db } = this.session
    await this.within(client => client.transaction(() => work(changeTable(this, db), client)))
  }

  protected async writer(split: Split, _offer: Offer, work: WriterWork): Promise<SplitWriter> {
    return new SqliteSplitWriter(this, split, work.from)
  }

  /** A text of the job may be several statements. */
  protected override async execute(_client: LedgerClient, statement: string): Promise<void> {
    this.session.db.exec(statement)
  }

  protected async changeOver(): Promise<void> {
    for (const statement of this.publication()) this.session.db.exec(statement)
    if (this.staged && this.request.existing) this.checkForeignKeys(this.session.db)
  }

  protected get stageName(): string {
    return quoteName(this.stage)
  }

  /** Enforcement is off while rows are replaced, since deleting them would cascade: the result is checked instead. */
  private checkForeignKeys(db: DatabaseSync): void {
    const violation = db
      .prepare('SELECT "table" AS child, parent FROM pragma_foreign_key_check WHERE parent = ? OR "table" = ? LIMIT 1')
      .get(this.name, this.name)
    if (!violation) return
    throw new RowError(
      'FERRY-4005',
      `after the overwrite, rows of ${violation.child} would refer to none of ${violation.parent}`,
    )
  }

  protected async within<T>(work: (client: LedgerClient) => Promise<T>): Promise<T> {
    const done = await this.session.turns.take()
    try {
      return await work(ledgerClient(this.session.db))
    } catch (error) {
      throw translate(error, this.request.object)
    } finally {
      done()
    }
  }
}

const quoteText = (text: string) => `'${text.replaceAll("'", "''")}'`

/** Statements in SQL text over the run's connection. */
export function ledgerClient(db: DatabaseSync): LedgerClient {
  return {
    query: async sql => db.prepare(sql).all(),
    async transaction(work) {
      db.exec('BEGIN IMMEDIATE')
      try {
        await work()
        db.exec('COMMIT')
      } catch (error) {
        if (db.isTransaction) db.exec('ROLLBACK')
        throw error
      }
    },
  }
}
