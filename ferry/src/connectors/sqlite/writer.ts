import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { Batch, Checkpoint } from '../../batch/encoding.ts'
import { formatText, significantDigits } from '../../batch/text.ts'
import { type LogicalType, type Row, typeName, type Value } from '../../batch/types.ts'
import { FerryError, RowError } from '../../errors.ts'
import type { CommitResult, Refused, Split, SplitWriter } from '../connector.ts'
import { translate } from './database.ts'
import type { SqliteSinkTable } from './sink.ts'
import { affinity, toNative } from './types.ts'

/** Rows of one split, in one transaction with the split's ledger line. */
export class SqliteSplitWriter implements SplitWriter {
  private readonly table: SqliteSinkTable
  private readonly split: Split
  private readonly db: DatabaseSync
  private readonly encoders: ((value: Exclude<Value, null>) => Stored)[]
  private readonly perStatement: number
  private done: (() => void) | undefined
  private many: StatementSync | undefined
  private one: StatementSync | undefined

  constructor(table: SqliteSinkTable, split: Split) {
    this.table = table
    this.split = split
    this.db = table.session.db
    const { columns, skipBadRows } = table.request
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
          this.many!.run(...parameters)
          filled = 0
        } catch (error) {
          const why = translate(error, this.table.request.object)
          if (!this.table.request.skipBadRows || !(why instanceof RowError)) throw why
          refused.push({ index, error: why })
          filled = 0
        }
      }
      for (let i = 0; i < filled; i++) this.one!.run(...parameters.slice(i * width, (i + 1) * width))
      return refused
    } catch (error) {
      throw translate(error, this.table.request.object)
    }
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
    this.done = await this.table.session.turns.take()
    const { db, table } = this
    try {
      db.exec('PRAGMA foreign_keys = ON')
      db.exec('BEGIN IMMEDIATE')
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

type Stored = null | number | bigint | string | Uint8Array

/** A value as SQLite stores it without altering it; throws a RowError for what SQLite cannot hold. */
function storer(type: LogicalType, native: string): (value: Exclude<Value, null>) => Stored {
  switch (type.kind) {
    case 'bool':
      return value => (value ? 1 : 0)
    case 'int':
      if (type.signed || type.bits < 64) return value => value as number | bigint
      return value => {
        if ((value as number | bigint) > 9223372036854775807n) {
          throw new RowError('FERRY-4001', `${value} is beyond SQLite's 64-bit integers`)
        }
        return value as number | bigint
      }
    case 'float':
      return value => {
        if (Number.isNaN(value)) throw new RowError('FERRY-4001', 'SQLite has no NaN: it would store NULL')
        if (Object.is(value, -0)) throw new RowError('FERRY-4001', 'SQLite has no -0: it would store 0')
        return value as number
      }
    case 'binary':
      return value => value as Uint8Array
    case 'decimal':
    case 'numeric':
      if (affinity(native) === 'text') return value => value as string
      return value => {
        // Under NUMERIC affinity SQLite keeps 15 significant digits.
        if (significantDigits(value as string) > 15 || /[NI]/.test(value as string)) {
          throw new RowError('FERRY-4001', `${value} does not fit a ${native} column: SQLite would round it`)
        }
        return value as string
      }
    case 'utf8':
    case 'json':
      if (affinity(native) === 'text' || affinity(native) === 'blob') return text
      return value => {
        if (/^\s*[-+.\d]/.test(value as string)) {
          throw new RowError('FERRY-4001', `a ${native} column would turn ${typeName(type)} text into a number`)
        }
        return text(value)
      }
    default:
      return value => formatText(value, type)
  }
}

function text(value: Exclude<Value, null>): string {
  const s = value as string
  if (!s.isWellFormed()) throw new RowError('FERRY-4001', 'the text has half a surrogate pair')
  return s
}
