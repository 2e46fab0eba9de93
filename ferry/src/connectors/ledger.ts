/**
 * The ledger that a destination with transactions keeps: one line for each split of a run, written in the transaction
 * of the split's rows. After a crash it says what is there.
 *
 * Its statements are plain SQL with literals; where stores differ, a {@link LedgerDialect} says it.
 */
import type { Checkpoint } from '../batch/encoding.ts'
import type { Committed, RunIdentity } from './connector.ts'

/** Lines that are no split: the preparation before the first row, and the change-over after the last. */
const PREPARE = -1
const PUBLISH = -2

export const LEDGER = 'ferry_ledger'

/** How the ledger's statements reach its store. */
export interface LedgerClient {
  query(sql: string): Promise<Record<string, unknown>[]>
  /** Runs the work in one transaction, rolled back when it throws. */
  transaction(work: () => Promise<void>): Promise<void>
}

/** What differs between the stores that keep a ledger. */
export interface LedgerDialect {
  /** The type of a short text, and of a text of any length. */
  key: string
  text: string
  literal(text: string): string
  /** Inserts a line; where it is there already it is changed as `set` says: by its old and by the new values. */
  upsert(name: string, values: string, set: (of: { old: string; fresh: (column: string) => string }) => string): string
}

/** Stores that know `INSERT ... ON CONFLICT`. */
const STANDARD: LedgerDialect = {
  key: 'TEXT',
  text: 'TEXT',
  literal: text => `'${text.replaceAll("'", "''")}'`,
  upsert: (name, values, set) =>
    `INSERT INTO ${name} AS l VALUES (${values}) ON CONFLICT (run, tbl, part) DO UPDATE SET ${set({
      old: 'l.',
      fresh: column => `excluded.${column}`,
    })}`,
}

/** The lines of one table in one run. */
export class Ledger {
  private readonly name: string
  private readonly run: string
  private readonly job: string
  private readonly table: number
  private readonly dialect: LedgerDialect

  /** `name` is the ledger's table, quoted. */
  constructor(name: string, run: RunIdentity, table: number, dialect: LedgerDialect = STANDARD) {
    this.name = name
    this.dialect = dialect
    this.run = dialect.literal(run.run)
    this.job = dialect.literal(run.job)
    this.table = table
  }

  get create(): string {
    const { key, text } = this.dialect
    return `CREATE TABLE IF NOT EXISTS ${this.name} (
      run ${key} NOT NULL, job ${key} NOT NULL, tbl INTEGER NOT NULL, part INTEGER NOT NULL,
      done BOOLEAN NOT NULL, checkpoint ${text}, row_count BIGINT NOT NULL, byte_count BIGINT NOT NULL,
      PRIMARY KEY (run, tbl, part))`
  }

  /** Takes the line of a split, waiting for whoever holds it; gives back how far it is. */
  async claim(
    client: Pick<LedgerClient, 'query'>,
    part: number,
  ): Promise<{ done: boolean; checkpoint: string | null }> {
    const values = `${this.run}, ${this.job}, ${this.table}, ${part}, FALSE, NULL, 0, 0`
    await client.query(this.dialect.upsert(this.name, values, ({ fresh }) => `job = ${fresh('job')}`))
    const [line] = await client.query(
      `SELECT done, checkpoint FROM ${this.name} WHERE run = ${this.run} AND tbl = ${this.table} AND part = ${part}`,
    )
    return { done: Boolean(line!.done), checkpoint: line!.checkpoint as string | null }
  }

  /** The statement that moves the line of a split on; no checkpoint is its end. */
  record(part: number, checkpoint: Checkpoint | undefined, counts: { rows: number; bytes: number }): string {
    const done = checkpoint === undefined ? 'TRUE' : 'FALSE'
    const mark = checkpoint === undefined ? 'NULL' : this.dialect.literal(checkpoint)
    const values = [this.run, this.job, this.table, part, done, mark, Math.round(counts.rows), Math.round(counts.bytes)]
    return this.dialect.upsert(this.name, values.join(', '), ({ old, fresh }) =>
      [
        `done = ${fresh('done')}`,
        `checkpoint = ${fresh('checkpoint')}`,
        `row_count = ${old}row_count + ${fresh('row_count')}`,
        `byte_count = ${old}byte_count + ${fresh('byte_count')}`,
      ].join(', '),
    )
  }

  async committed(client: LedgerClient): Promise<Committed & { prepared: boolean }> {
    const lines = await client.query(
      `SELECT part, done, checkpoint, row_count, byte_count FROM ${this.name}
       WHERE run = ${this.run} AND tbl = ${this.table}`,
    )
    const splits: Committed['splits'] = new Map()
    const ended = new Set<number>()
    for (const line of lines) {
      const part = Number(line.part)
      const done = Boolean(line.done)
      if (done) ended.add(part)
      // A line that is claimed and not moved on says nothing.
      if (part < 0 || (!done && line.checkpoint === null)) continue
      const checkpoint = done ? undefined : (line.checkpoint as string)
      splits.set(part, { checkpoint, rows: Number(line.row_count), bytes: Number(line.byte_count) })
    }
    return { splits, prepared: ended.has(PREPARE), published: ended.has(PUBLISH) }
  }

  /** Runs the preparation, once for all tries of the run. Gives back what they have committed. */
  async prepare(client: LedgerClient, work: () => Promise<void>): Promise<Committed> {
    const before = await this.committed(client)
    if (before.prepared || before.published) return before
    await this.once(client, PREPARE, work)
    return this.committed(client)
  }

  /** Runs the change-over, once for all tries of the run. */
  publish(client: LedgerClient, work: () => Promise<void>): Promise<void> {
    return this.once(client, PUBLISH, work)
  }

  private once(client: LedgerClient, part: number, work: () => Promise<void>): Promise<void> {
    return client.transaction(async () => {
      if ((await this.claim(client, part)).done) return
      await work()
      await client.query(this.record(part, undefined, { rows: 0, bytes: 0 }))
    })
  }

  /** Whether the ledger's table is there. */
  async exists(client: Pick<LedgerClient, 'query'>): Promise<boolean> {
    try {
      await client.query(`SELECT run FROM ${this.name} LIMIT 0`)
      return true
    } catch {
      return false
    }
  }

  /** The statement that drops the lines of this table, and those that earlier runs of the job left behind. */
  get forget(): string {
    return `DELETE FROM ${this.name} WHERE (run = ${this.run} AND tbl = ${this.table}) OR (job = ${this.job} AND run < ${this.run})`
  }
}

/** The name of a table's staging table: the same in every try of the run, different in every run. */
export function stageName(run: RunIdentity, table: number): string {
  return `ferry_${run.run.replace(/[^a-zA-Z0-9]/g, '').slice(-24)}_${table}`
}
