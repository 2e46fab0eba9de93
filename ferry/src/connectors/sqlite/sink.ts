import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { Batch, Checkpoint, Encoding } from '../../batch/encoding.ts'
import { formatText, significantDigits } from '../../batch/text.ts'
import { type LogicalType, type Row, typeName, type Value } from '../../batch/types.ts'
import { FerryError, RowError } from '../../errors.ts'
import type {
  CommitResult,
  Committed,
  Offer,
  Refused,
  RunIdentity,
  SinkSession,
  SinkTable,
  Split,
  SplitWriter,
  WriteRequest,
} from '../connector.ts'
import { Turns } from '../turns.ts'
import { openDatabase, quoteName, tableName, translate } from './database.ts'
import { affinity, toNative } from './types.ts'

const LEDGER = 'ferry_ledger'
const CREATE_LEDGER = `CREATE TABLE IF NOT EXISTS ${LEDGER} (
  run TEXT NOT NULL, job TEXT NOT NULL, tbl INTEGER NOT NULL, part INTEGER NOT NULL, done INTEGER NOT NULL,
  checkpoint TEXT, row_count INTEGER NOT NULL, byte_count INTEGER NOT NULL, PRIMARY KEY (run, tbl, part)) WITHOUT ROWID`
const RECORD = `INSERT INTO ${LEDGER} (run, job, tbl, part, done, checkpoint, row_count, byte_count)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (run, tbl, part) DO UPDATE SET done = excluded.done,
  checkpoint = excluded.checkpoint, row_count = row_count + excluded.row_count,
  byte_count = byte_count + excluded.byte_count`
const PREPARE = -1
const PUBLISH = -2

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

class SqliteSinkTable implements SinkTable {
  readonly plan
  readonly unit = 'split'
  readonly lanes = 1
  readonly session: SqliteSink
  readonly request: WriteRequest
  readonly name: string
  readonly stage: string

  constructor(session: SqliteSink, request: WriteRequest) {
    this.session = session
    this.request = request
    this.name = tableName(request.object)
    this.stage = `ferry_${session.run.run.replace(/[^a-zA-Z0-9]/g, '')}_${request.ordinal}`
    this.plan = {
      statements: [...this.preparation(), this.insert(1), ...this.publication()],
      guarantee: 'exactly once: each split commits with its ledger line',
      notes: [] as string[],
    }
  }

  get staged(): boolean {
    return this.request.update === 'overwrite'
  }

  offer(encoding: Encoding): Offer | string {
    return encoding === 'rows' ? { encoding } : 'SQLite takes rows only'
  }

  private preparation(): string[] {
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
      return `${quoteName(c.name)} ${c.native ?? toNative(c.type)}${required}`
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
    const insert = `INSERT INTO ${target} (${this.names()}) VALUES ${rows}`
    if (request.update !== 'merge') return insert
    const rest = request.columns.filter(c => !request.keys.includes(c.name)).map(c => quoteName(c.name))
    const action =
      rest.length === 0 ? 'DO NOTHING' : `DO UPDATE SET ${rest.map(c => `${c} = excluded.${c}`).join(', ')}`
    return `${insert} ON CONFLICT (${request.keys.map(quoteName).join(', ')}) ${action}`
  }

  async prepare(): Promise<Committed> {
    return this.inTurn(db => {
      db.exec(CREATE_LEDGER)
      const before = this.readLedger(db)
      if (before.published || this.isRecorded(db, PREPARE)) return before
      db.exec('BEGIN IMMEDIATE')
      for (const statement of this.preparation()) db.exec(statement)
      this.record(db, PREPARE, true, null, 0, 0)
      db.exec('COMMIT')
      return before
    })
  }

  private isRecorded(db: DatabaseSync, part: number): boolean {
    return this.readLines(db).some(r => r.part === part && r.done === 1)
  }

  private readLines(db: DatabaseSync): Record<string, unknown>[] {
    return db
      .prepare(`SELECT part, done, checkpoint, row_count, byte_count FROM ${LEDGER} WHERE run = ? AND tbl = ?`)
      .all(this.session.run.run, this.request.ordinal)
  }

  private readLedger(db: DatabaseSync): Committed {
    const splits: Committed['splits'] = new Map()
    let published = false
    for (const line of this.readLines(db)) {
      if (line.part === PUBLISH) published = true
      else if (line.part !== PREPARE) {
        splits.set(line.part as number, {
          checkpoint: line.done === 1 ? undefined : (line.checkpoint as string),
          rows: line.row_count as number,
          bytes: line.byte_count as number,
        })
      }
    }
    return { splits, published }
  }

  record(db: DatabaseSync, part: number, done: boolean, checkpoint: string | null, rows: number, bytes: number): void {
    const { run, job } = this.session.run
    db.prepare(RECORD).run(run, job, this.request.ordinal, part, done ? 1 : 0, checkpoint, rows, bytes)
  }

  async open(split: Split): Promise<SplitWriter> {
    return new SqliteSplitWriter(this, split)
  }

  async publish(): Promise<void> {
    await this.inTurn(db => {
      if (this.isRecorded(db, PUBLISH)) return
      db.exec('BEGIN IMMEDIATE')
      for (const statement of this.publication()) db.exec(statement)
      if (this.staged && this.request.existing) this.checkForeignKeys(db)
      this.record(db, PUBLISH, true, null, 0, 0)
      db.exec('COMMIT')
    })
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

  async forget(): Promise<void> {
    const { run, job } = this.session.run
    await this.inTurn(db => {
      db.prepare(`DELETE FROM ${LEDGER} WHERE (run = ? AND tbl = ?) OR (job = ? AND run < ?)`).run(
        run,
        this.request.ordinal,
        job,
        run,
      )
    })
  }

  async discard(): Promise<void> {
    await this.inTurn(db => {
      db.exec(`DROP TABLE IF EXISTS ${quoteName(this.stage)}`)
      db.exec(CREATE_LEDGER)
    })
    await this.forget()
  }

  private async inTurn<T>(work: (db: DatabaseSync) => T): Promise<T> {
    const done = await this.session.turns.take()
    try {
      return work(this.session.db)
    } catch (error) {
      if (this.session.db.isTransaction) this.session.db.exec('ROLLBACK')
      throw translate(error, this.request.object)
    } finally {
      done()
    }
  }
}

class SqliteSplitWriter implements SplitWriter {
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
      const done = checkpoint === undefined
      table.record(db, split.id, done, checkpoint ?? null, counts.rows, counts.bytes)
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
