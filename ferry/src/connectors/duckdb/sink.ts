import type { DuckDBValue } from '@duckdb/node-api'
import type { Batch, Checkpoint, Encoding } from '../../batch/encoding.ts'
import { FERRY_CSV } from '../../batch/encoding.ts'
import type { Row } from '../../batch/types.ts'
import { Duckdb, quoteName, quoteText, translate } from '../../duckdb/engine.ts'
import { PipeIntake, RowIntake } from '../../duckdb/intake.ts'
import { toNative } from '../../duckdb/logical.ts'
import { hasPipes } from '../../duckdb/pipe.ts'
import { RowError } from '../../errors.ts'
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
import { qualified, splitName } from './catalog.ts'

const PREPARE = -1
const PUBLISH = -2
const LEDGER = 'main.ferry_ledger'
const CREATE_LEDGER = `CREATE TABLE IF NOT EXISTS ${LEDGER} (run VARCHAR, job VARCHAR, tbl INTEGER, part INTEGER,
  done BOOLEAN, checkpoint VARCHAR, row_count BIGINT, byte_count BIGINT, PRIMARY KEY (run, tbl, part))`

/** Writing to a database file. All tables of a run share one connection, and its transactions take turns. */
export class DuckdbSink implements SinkSession {
  readonly run: RunIdentity
  private readonly path: string
  private opened: Promise<Duckdb> | undefined
  readonly turns = new Turns()

  constructor(path: string, run: RunIdentity) {
    this.path = path
    this.run = run
  }

  db(): Promise<Duckdb> {
    this.opened ??= Duckdb.open(this.path, 'write')
    return this.opened
  }

  async table(request: WriteRequest): Promise<SinkTable> {
    return new DuckdbSinkTable(this, request)
  }

  async close(): Promise<void> {
    const db = await this.opened?.catch(() => undefined)
    db?.close()
    this.opened = undefined
  }
}

export class DuckdbSinkTable implements SinkTable {
  readonly plan
  readonly unit = 'split'
  readonly lanes = 1
  readonly session: DuckdbSink
  readonly request: WriteRequest
  readonly target: { schema: string; table: string }
  readonly stage: { schema: string; table: string }

  constructor(session: DuckdbSink, request: WriteRequest) {
    this.session = session
    this.request = request
    this.target = splitName(request.object)
    const short = session.run.run.replace(/[^a-zA-Z0-9]/g, '')
    this.stage = { schema: this.target.schema, table: `ferry_${short}_${request.ordinal}` }
    this.plan = {
      statements: [...this.preparation(), ...this.publication()],
      guarantee: 'exactly once: each split commits with its ledger line',
      notes: request.skipBadRows
        ? ['a row that violates a constraint ends the run: DuckDB gives up its transaction']
        : [],
    }
  }

  get staged(): boolean {
    return this.request.update === 'overwrite'
  }

  get intakeTarget(): { schema: string; table: string } {
    return this.staged ? this.stage : this.target
  }

  get columns() {
    return this.request.columns.map(c => ({ name: c.name, type: c.type }))
  }

  get names(): string {
    return this.request.columns.map(c => quoteName(c.name)).join(', ')
  }

  offer(encoding: Encoding): Offer | string {
    if (encoding === 'rows') return { encoding }
    if (this.request.skipBadRows) return 'bad rows are to be skipped one by one'
    const types = this.request.columns.map(c => c.type)
    if (encoding === 'duckdb-sql') return { encoding, types }
    if (encoding !== 'csv') return 'DuckDB does not read it'
    if (!hasPipes) return 'this system has no named pipes'
    if (types.some(t => ['list', 'struct', 'map', 'interval'].includes(t.kind))) return 'a column has no common text'
    return { encoding, types, dialect: FERRY_CSV, parser: 'duckdb' }
  }

  private create(name: { schema: string; table: string }): string {
    const { columns, keys } = this.request
    const lines = columns.map(
      c => `${quoteName(c.name)} ${toNative(c.type)}${c.nullable && !keys.includes(c.name) ? '' : ' NOT NULL'}`,
    )
    if (keys.length > 0) lines.push(`PRIMARY KEY (${keys.map(quoteName).join(', ')})`)
    return `CREATE TABLE IF NOT EXISTS ${qualified(name)} (\n  ${lines.join(',\n  ')}\n)`
  }

  private preparation(): string[] {
    const { request } = this
    const statements = [...request.before]
    if (this.target.schema !== 'main') statements.push(`CREATE SCHEMA IF NOT EXISTS ${quoteName(this.target.schema)}`)
    if (!request.existing) statements.push(this.create(this.intakeTarget))
    else if (this.staged) {
      const select = `SELECT ${this.names} FROM ${qualified(this.target)} LIMIT 0`
      statements.push(`CREATE TABLE IF NOT EXISTS ${qualified(this.stage)} AS ${select}`)
    }
    if (request.truncate && !this.staged && request.existing) statements.push(`DELETE FROM ${qualified(this.target)}`)
    return statements
  }

  private publication(): string[] {
    const { request } = this
    const live = qualified(this.target)
    const stage = qualified(this.stage)
    if (!this.staged) return request.after
    if (!request.existing) {
      return [`ALTER TABLE ${stage} RENAME TO ${quoteName(this.target.table)}`, ...request.after]
    }
    const insert = `INSERT INTO ${live} (${this.names}) SELECT ${this.names} FROM ${stage}`
    return [`DELETE FROM ${live}`, insert, `DROP TABLE ${stage}`, ...request.after]
  }

  async prepare(): Promise<Committed> {
    return this.inTurn(async db => {
      await db.run(CREATE_LEDGER)
      const lines = await this.ledgerLines(db)
      if (lines.some(l => l.part === PREPARE)) return this.committed(lines)
      await this.transaction(db, async () => {
        for (const statement of this.preparation()) await db.run(statement)
        await this.record(db, PREPARE, true, undefined, 0, 0)
      })
      return this.committed([])
    })
  }

  private async ledgerLines(db: Duckdb) {
    return db.all(
      `SELECT part, done, checkpoint, row_count::DOUBLE AS rows, byte_count::DOUBLE AS bytes FROM ${LEDGER}
       WHERE run = ${quoteText(this.session.run.run)} AND tbl = ${this.request.ordinal}`,
    )
  }

  private committed(lines: Record<string, unknown>[]): Committed {
    const splits: Committed['splits'] = new Map()
    for (const line of lines) {
      if ((line.part as number) < 0) continue
      const checkpoint = line.done ? undefined : (line.checkpoint as string)
      splits.set(line.part as number, { checkpoint, rows: line.rows as number, bytes: line.bytes as number })
    }
    return { splits, published: lines.some(l => l.part === PUBLISH) }
  }

  async record(db: Duckdb, part: number, done: boolean, checkpoint: string | undefined, rows: number, bytes: number) {
    const { run, job } = this.session.run
    const mark = checkpoint === undefined ? 'NULL' : quoteText(checkpoint)
    await db.run(
      `INSERT INTO ${LEDGER} VALUES (${quoteText(run)}, ${quoteText(job)}, ${this.request.ordinal}, ${part}, ${done}, ${mark},
       ${rows}, ${Math.round(bytes)}) ON CONFLICT DO UPDATE SET done = excluded.done, checkpoint = excluded.checkpoint,
       row_count = row_count + excluded.row_count, byte_count = byte_count + excluded.byte_count`,
    )
  }

  async open(split: Split): Promise<SplitWriter> {
    return new DuckdbSplitWriter(this, split)
  }

  async publish(): Promise<void> {
    await this.inTurn(async db => {
      if ((await this.ledgerLines(db)).some(l => l.part === PUBLISH)) return
      await this.transaction(db, async () => {
        for (const statement of this.publication()) await db.run(statement)
        await this.record(db, PUBLISH, true, undefined, 0, 0)
      })
    })
  }

  async forget(): Promise<void> {
    const { run, job } = this.session.run
    await this.inTurn(db =>
      db.run(
        `DELETE FROM ${LEDGER} WHERE (run = ${quoteText(run)} AND tbl = ${this.request.ordinal})
         OR (job = ${quoteText(job)} AND run < ${quoteText(run)})`,
      ),
    )
  }

  async discard(): Promise<void> {
    await this.inTurn(async db => {
      await db.run(`DROP TABLE IF EXISTS ${qualified(this.stage)}`)
      await db.run(CREATE_LEDGER)
    })
    await this.forget()
  }

  private async transaction(db: Duckdb, work: () => Promise<void>): Promise<void> {
    await db.run('BEGIN')
    try {
      await work()
      await db.run('COMMIT')
    } catch (error) {
      await db.run('ROLLBACK').catch(() => undefined)
      throw error
    }
  }

  private async inTurn<T>(work: (db: Duckdb) => Promise<T>): Promise<T> {
    const done = await this.session.turns.take()
    try {
      return await work(await this.session.db())
    } catch (error) {
      throw translate(error, this.request.object)
    } finally {
      done()
    }
  }
}

/** Rows of one split, in one transaction with the split's ledger line. */
class DuckdbSplitWriter implements SplitWriter {
  private readonly table: DuckdbSinkTable
  private readonly split: Split
  private db: Duckdb | undefined
  private done: (() => void) | undefined
  private pipe: PipeIntake | undefined
  private rows: RowIntake | undefined
  private copied = 0

  constructor(table: DuckdbSinkTable, split: Split) {
    this.table = table
    this.split = split
  }

  private async begin(): Promise<Duckdb> {
    if (this.db) return this.db
    this.done = await this.table.session.turns.take()
    const db = await this.table.session.db()
    await db.run('BEGIN')
    this.db = db
    if (this.merging) {
      const { names, target } = this.table
      await db.run(`CREATE OR REPLACE TEMP TABLE ferry_merge AS SELECT ${names} FROM ${qualified(target)} LIMIT 0`)
    }
    return db
  }

  private get merging(): boolean {
    return this.table.request.update === 'merge'
  }

  private get into(): { schema: string; table: string } {
    return this.merging ? { schema: 'main', table: 'ferry_merge' } : this.table.intakeTarget
  }

  async write(batch: Batch): Promise<Refused[]> {
    const place = this.table.request.object
    try {
      const db = await this.begin()
      const insert = (query: string) => `INSERT INTO ${this.intoSql()} (${this.table.names}) ${query}`
      if (batch.kind === 'query') {
        for (const statement of batch.query.setup) await db.run(statement)
        this.copied += await this.insertQuery(db, insert(batch.query.sql))
        for (const statement of batch.query.teardown) this.teardown.push(statement)
      } else if (batch.kind === 'bytes') {
        this.pipe ??= new PipeIntake(db, this.table.columns, { finite: false, place }, insert)
        await this.pipe.write(batch.data)
      } else return await this.writeRows(db, batch.rows)
      return []
    } catch (error) {
      throw translate(error, place)
    }
  }

  private readonly teardown: string[] = []

  private intoSql(): string {
    return this.merging ? 'temp.main.ferry_merge' : qualified(this.into)
  }

  private async insertQuery(db: Duckdb, sql: string): Promise<number> {
    const result = await db.connection.run(sql)
    return result.rowsChanged
  }

  private async writeRows(db: Duckdb, rows: Row[]): Promise<Refused[]> {
    // The appender needs the table's columns in their own order: rows go through a staging table of the mapped ones.
    this.rows ??= await this.openRows(db)
    const refused: Refused[] = []
    const good: DuckDBValue[][] = []
    for (let i = 0; i < rows.length; i++) {
      try {
        good.push(this.rows.convert(rows[i]!, i))
      } catch (error) {
        if (!this.table.request.skipBadRows || !(error instanceof RowError)) throw error
        refused.push({ index: i, error })
      }
    }
    this.rows.append(good)
    return refused
  }

  private async openRows(db: Duckdb): Promise<RowIntake> {
    const { columns, names, target } = this.table
    if (!this.merging) {
      await db.run(
        `CREATE OR REPLACE TEMP TABLE ferry_rows AS SELECT ${names} FROM ${qualified(this.table.staged ? this.table.stage : target)} LIMIT 0`,
      )
    }
    return RowIntake.open(
      db,
      { catalog: 'temp', schema: 'main', table: this.merging ? 'ferry_merge' : 'ferry_rows' },
      columns,
      false,
    )
  }

  async commit(checkpoint: Checkpoint | undefined, counts: { rows: number; bytes: number }): Promise<CommitResult> {
    const { table } = this
    try {
      const db = await this.begin()
      if (this.pipe) {
        await this.pipe.finish()
        this.pipe = undefined
      }
      if (this.rows) {
        this.rows.close()
        this.rows = undefined
        if (!this.merging) {
          await db.run(
            `INSERT INTO ${qualified(this.into)} (${table.names}) SELECT ${table.names} FROM temp.main.ferry_rows`,
          )
          await db.run('DROP TABLE temp.main.ferry_rows')
        }
      }
      if (this.merging) await this.merge(db)
      await table.record(
        db,
        this.split.id,
        checkpoint === undefined,
        checkpoint,
        counts.rows || this.copied,
        counts.bytes,
      )
      await db.run('COMMIT')
      for (const statement of this.teardown.splice(0)) await db.run(statement)
      const rows = this.copied
      this.copied = 0
      this.end()
      return rows > 0 ? { rows } : {}
    } catch (error) {
      throw translate(error, table.request.object)
    }
  }

  private async merge(db: Duckdb): Promise<void> {
    const { request, names, target } = this.table
    const keys = request.keys.map(quoteName)
    const [empty] = await db.all(
      `SELECT 1 AS x FROM temp.main.ferry_merge WHERE ${keys.map(k => `${k} IS NULL`).join(' OR ')} LIMIT 1`,
    )
    if (empty) throw new RowError('FERRY-4001', `a row has no value in its merge key (${request.keys.join(', ')})`)
    const live = qualified(target)
    const last = `SELECT DISTINCT ON (${keys.join(', ')}) ${names} FROM temp.main.ferry_merge ORDER BY ${keys.join(', ')}, rowid DESC`
    const key = request.existing ? request.existing.primaryKey : request.keys
    const sameKey = key.length === request.keys.length && key.every(k => request.keys.includes(k))
    if (sameKey) {
      const rest = request.columns.filter(c => !request.keys.includes(c.name)).map(c => quoteName(c.name))
      const set = rest.map(c => `${c} = excluded.${c}`).join(', ')
      const action = rest.length === 0 ? 'DO NOTHING' : `DO UPDATE SET ${set}`
      await db.run(`INSERT INTO ${live} (${names}) ${last} ON CONFLICT (${keys.join(', ')}) ${action}`)
    } else {
      const match = keys.map(k => `t.${k} = s.${k}`).join(' AND ')
      await db.run(`DELETE FROM ${live} AS t USING temp.main.ferry_merge AS s WHERE ${match}`)
      await db.run(`INSERT INTO ${live} (${names}) ${last}`)
    }
    await db.run('DROP TABLE temp.main.ferry_merge')
  }

  private end(): void {
    this.db = undefined
    this.done?.()
    this.done = undefined
  }

  async abort(): Promise<void> {
    if (!this.db) {
      this.end()
      return
    }
    await this.pipe?.abort()
    this.pipe = undefined
    this.rows = undefined
    await this.db.run('ROLLBACK').catch(() => undefined)
    for (const statement of this.teardown.splice(0)) await this.db.run(statement).catch(() => undefined)
    this.end()
  }
}
