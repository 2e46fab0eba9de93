import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { Batch, Checkpoint } from '../../batch/encoding.ts'
import type { Row, Value } from '../../batch/types.ts'
import type { CommitResult, Refused, SplitWriter } from '../../contract/sink.ts'
import type { Split } from '../../contract/split.ts'
import { FerryError, RowError } from '../../errors.ts'
import { translate } from './database.ts'
import { type Stored, storer } from './store.ts'
import { ledgerClient, type SqliteTarget } from './target.ts'
import { toNative } from './types.ts'

/** Rows of one split, in one transaction with the split's ledger line. */
export class SqliteSplitWriter implements SplitWriter {
  private readonly table: SqliteTarget
  private readonly split: Split
  private readonly db: DatabaseSync
  private readonly encoders: ((value: Exclude<Value, null>) => Stored)[]
  private readonly perStatement: number
  /** Whether every row that is given changes one of the table. */
  private readonly countsAll: boolean
  /** Where the split is: what the next transaction must find in the ledger. */
  private checkpoint: Checkpoint | undefined
  private done: (() => void) | undefined
  private many: StatementSync | undefined
  private one: StatementSync | undefined

  constructor(table: SqliteTarget, split: Split, from: Checkpoint | undefined) {
    this.table = table
    this.split = split
    this.db = table.db
    this.checkpoint = from
    const { columns, skipBadRows } = table.request
    // Where all columns are keys, rows that are there are left as they are.
    this.countsAll =
      table.strategy.kind !== 'merge' || table.loose.length > 0 || columns.length > table.request.keys.length
    this.encoders = columns.map(c => storer(c.type, c.native ?? toNative(c.type)))
    // SQLite takes 32,766 parameters; beyond a few dozen rows a statement gains nothing more.
    this.perStatement = skipBadRows ? 1 : Math.max(1, Math.min(40, Math.floor(32_766 / Math.max(1, columns.length))))
  }

  async write(batch: Batch): Promise<Refused[]> {
    if (batch.kind !== 'rows') throw new FerryError('FERRY-9000', 'SQLite takes rows')
    await this.begin()
    try {
      const refused: Refused[] = []
      const { rows } = batch
      const width = this.encoders.length
      const parameters: Stored[] = new Array(this.perStatement * width)
      let filled = 0
      for (const [index, row] of rows.entries()) {
        try {
          this.encode(row, index, parameters, filled * width)
          if (++filled < this.perStatement) continue
          this.run(this.many!, parameters)
          filled = 0
        } catch (error) {
          const why = translate(error, this.table.request.object)
          if (!this.table.request.skipBadRows || !(why instanceof RowError)) throw why
          refused.push({ index, error: why })
          filled = 0
        }
      }
      for (let i = 0; i < filled; i++) this.run(this.one!, parameters.slice(i * width, (i + 1) * width))
      return refused
    } catch (error) {
      throw translate(error, this.table.request.object)
    }
  }

  private run(statement: StatementSync, parameters: Stored[]): void {
    const { changes } = statement.run(...parameters)
    const width = this.encoders.length
    const given = parameters.length / width
    if (Number(changes) === given || !this.countsAll) return
    for (let at = 0; at < parameters.length; at += width) {
      const taken = this.table.keyTaken(parameters.slice(at, at + width))
      if (taken) throw taken
    }
    const { object } = this.table.request
    const message = `${object}: SQLite took ${changes} of ${given} rows: a trigger leaves rows out`
    throw new RowError('FERRY-4005', message, undefined, { hint: 'Drop it for the copy, or copy into another table.' })
  }

  private encode(row: Row, index: number, into: Stored[], at: number): void {
    const { columns, keys, update } = this.table.request
    for (let i = 0; i < this.encoders.length; i++) {
      const value = row[i]!
      if (value === null) {
        if (update === 'merge' && keys.includes(columns[i]!.name)) {
          throw new RowError('FERRY-4001', `column ${columns[i]!.name}: a merge key has no value`, columns[i]!.name)
        }
        into[at + i] = null
        continue
      }
      try {
        into[at + i] = this.encoders[i]!(value)
      } catch (error) {
        if (!(error instanceof RowError)) throw error
        const named = new RowError(error.code, `column ${columns[i]!.name}: ${error.message}`, columns[i]!.name)
        named.index = index
        throw named
      }
    }
  }

  private async begin(): Promise<void> {
    if (this.done) return
    this.done = await this.table.mutex.take()
    const { db, table } = this
    try {
      db.exec('PRAGMA foreign_keys = ON')
      db.exec('BEGIN IMMEDIATE')
      await table.ledger.claim(ledgerClient(db), this.split.id, this.checkpoint)
      this.many = db.prepare(table.insert(this.perStatement))
      this.one = db.prepare(table.insert(1))
    } catch (error) {
      throw translate(error, table.request.object)
    }
  }

  async commit(checkpoint: Checkpoint | undefined, counts: { rows: number; bytes: number }): Promise<CommitResult> {
    await this.begin()
    const { db, table, split } = this
    try {
      db.exec(table.ledger.record(split.id, checkpoint, counts))
      db.exec('COMMIT')
      this.checkpoint = checkpoint
      this.end()
      return {}
    } catch (error) {
      throw translate(error, table.request.object)
    }
  }

  private end(): void {
    this.db.exec('PRAGMA foreign_keys = OFF')
    this.done?.()
    this.done = undefined
  }

  async abort(): Promise<void> {
    if (!this.done) return
    if (this.db.isTransaction) this.db.exec('ROLLBACK')
    this.end()
  }
}
