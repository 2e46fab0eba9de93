import type { DuckDBValue } from '@duckdb/node-api'
import type { Batch, Checkpoint } from '../../batch/encoding.ts'
import { int32, type Row } from '../../batch/types.ts'
import type { CommitResult, Refused, SplitWriter } from '../../contract/sink.ts'
import type { Split } from '../../contract/split.ts'
import { type Duckdb, quoteName, translate } from '../../duckdb/engine.ts'
import { PipeIntake, RowIntake } from '../../duckdb/intake.ts'
import { RowError } from '../../errors.ts'
import { matchKeys } from '../changes/loosekeys.ts'
import { bytes, DIALECT } from './apply.ts'
import { qualified } from './catalog.ts'
import { INDEX, takeRefused, WAITING } from './constraints.ts'
import { type DuckdbTarget, ledgerClient } from './target.ts'

/** Rows of one split, in one transaction with the split's ledger line. */
export class DuckdbSplitWriter implements SplitWriter {
  private readonly table: DuckdbTarget
  private readonly split: Split
  /** Where the split is: what the next transaction must find in the ledger. */
  private checkpoint: Checkpoint | undefined
  private db: Duckdb | undefined
  private done: (() => void) | undefined
  private pipe: PipeIntake | undefined
  private rows: RowIntake | undefined
  private copied = 0

  constructor(table: DuckdbTarget, split: Split, from: Checkpoint | undefined) {
    this.table = table
    this.split = split
    this.checkpoint = from
  }

  private async begin(): Promise<Duckdb> {
    if (this.db) return this.db
    this.done = await this.table.mutex.take()
    const db = await this.table.db()
    await db.run('BEGIN')
    this.db = db
    await this.table.ledger.claim(ledgerClient(db), this.split.id, this.checkpoint)
    if (this.merging) {
      const { names, live } = this.table
      await db.run(`CREATE OR REPLACE TEMP TABLE ferry_merge AS SELECT ${names} FROM ${live} LIMIT 0`)
    }
    return db
  }

  private get merging(): boolean {
    return this.table.strategy.kind === 'merge'
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
        this.copied += (await db.run(insert(batch.query.sql))).rowsChanged
        for (const statement of batch.query.teardown) this.teardown.push(statement)
      } else if (batch.kind === 'bytes') {
        this.pipe ??= new PipeIntake(db, this.table.columns, { finite: false, place }, insert)
        await this.pipe.write(batch.data, batch.release)
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

  private async writeRows(db: Duckdb, rows: Row[]): Promise<Refused[]> {
    // The appender needs the table's columns in their own order: rows go through a staging table of the mapped ones.
    this.rows ??= await this.openRows(db)
    const skip = this.table.request.skipBadRows
    const refused: Refused[] = []
    const good: DuckDBValue[][] = []
    for (let i = 0; i < rows.length; i++) {
      try {
        good.push(this.rows.convert(skip ? [...rows[i]!, i] : rows[i]!, i))
      } catch (error) {
        if (!skip || !(error instanceof RowError)) throw error
        refused.push({ index: i, error })
      }
    }
    this.rows.append(good)
    if (skip) refused.push(...(await this.insertAllowed(db)))
    return refused
  }

  private async openRows(db: Duckdb): Promise<RowIntake> {
    const { columns, names, intakeTarget, request } = this.table
    const place = { catalog: 'temp', schema: 'main' }
    if (this.merging && !request.skipBadRows) {
      return RowIntake.open(db, { ...place, table: 'ferry_merge' }, columns, false)
    }
    const index = request.skipBadRows ? `, 0::INTEGER AS ${INDEX}` : ''
    const like = qualified(intakeTarget)
    await db.run(`CREATE OR REPLACE TEMP TABLE ferry_rows AS SELECT ${names}${index} FROM ${like} LIMIT 0`)
    const all = request.skipBadRows ? [...columns, { name: INDEX, type: int32 }] : columns
    return RowIntake.open(db, { ...place, table: 'ferry_rows' }, all, false)
  }

  /** Inserts the waiting rows that no constraint refuses; gives back the others. */
  private async insertAllowed(db: Duckdb): Promise<Refused[]> {
    const { target, intakeTarget, names, request } = this.table
    this.rows!.flush()
    const columns = request.columns.map(c => c.name)
    const keys = this.merging ? request.keys : []
    const violations = await takeRefused(db, { target, into: intakeTarget, columns, keys })
    await db.run(`INSERT INTO ${this.intoSql()} (${names}) SELECT ${names} FROM ${WAITING} ORDER BY ${INDEX}`)
    await db.run(`DELETE FROM ${WAITING}`)
    return violations.map(({ index, reason }) => ({ index, error: new RowError('FERRY-4005', reason) }))
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
        if (!this.merging && !table.request.skipBadRows) {
          await db.run(
            `INSERT INTO ${qualified(this.into)} (${table.names}) SELECT ${table.names} FROM temp.main.ferry_rows`,
          )
        }
        await db.run(`DROP TABLE IF EXISTS ${WAITING}`)
      }
      if (this.merging) await this.merge(db)
      const rows = counts.rows || this.copied
      await db.run(table.ledger.record(this.split.id, checkpoint, { rows, bytes: counts.bytes }))
      await db.run('COMMIT')
      this.checkpoint = checkpoint
      for (const statement of this.teardown.splice(0)) await db.run(statement)
      const { copied } = this
      this.copied = 0
      this.end()
      return copied > 0 ? { rows: copied } : {}
    } catch (error) {
      throw translate(error, table.request.object)
    }
  }

  private async merge(db: Duckdb): Promise<void> {
    const { request, names, live, loose, strategy } = this.table
    const keys = request.keys.map(quoteName)
    const [empty] = await db.all(
      `SELECT 1 AS x FROM temp.main.ferry_merge WHERE ${keys.map(k => `${k} IS NULL`).join(' OR ')} LIMIT 1`,
    )
    if (empty) throw new RowError('FERRY-4001', `a row has no value in its merge key (${request.keys.join(', ')})`)
    const one = request.keys.map(k => (loose.includes(k) ? bytes(quoteName(k)) : quoteName(k))).join(', ')
    const last = `SELECT DISTINCT ON (${one}) ${names} FROM temp.main.ferry_merge ORDER BY ${one}, rowid DESC`
    const rest = request.columns.filter(c => !request.keys.includes(c.name)).map(c => quoteName(c.name))
    if (strategy.kind === 'merge' && strategy.byIndex) {
      const set = rest.map(c => `${c} = excluded.${c}`).join(', ')
      const action = rest.length === 0 ? 'DO NOTHING' : `DO UPDATE SET ${set}`
      await db.run(`INSERT INTO ${live} (${names}) ${last} ON CONFLICT (${keys.join(', ')}) ${action}`)
    } else {
      const match = matchKeys(request.keys, loose, { quote: quoteName, dialect: DIALECT })
      const set = rest.map(c => `${c} = s.${c}`).join(', ')
      if (rest.length > 0) await db.run(`UPDATE ${live} AS t SET ${set} FROM (${last}) AS s WHERE ${match}`)
      await db.run(
        `INSERT INTO ${live} (${names}) SELECT * FROM (${last}) AS s WHERE NOT EXISTS (SELECT 1 FROM ${live} AS t WHERE ${match})`,
      )
    }
    await this.table.requireOwnKeys(ledgerClient(db), 'temp.main.ferry_merge')
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
