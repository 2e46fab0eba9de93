/**
 * The ledger that a destination with transactions keeps: one line for each split of a run, written in the transaction
 * of the split's rows. After a crash it shows what is stored.
 *
 * A run belongs to one process at a time, and the fence keeps the others out. It is a line of the table's own that carries
 * the epoch of the process that took the run last. Every transaction of a writer reads it first, with a lock that keeps it
 * from changing; a process that takes the run over raises it, which waits for the transactions of its predecessor. So what
 * the ledger says after that is final, and a process that was suspended and resumes finds a higher epoch, or no fence.
 *
 * Its statements are plain SQL with literals; a {@link LedgerDialect} has what differs between stores.
 */
import type { Checkpoint } from '../batch/encoding.ts'
import type { Committed } from '../contract/split.ts'
import type { RunIdentity } from '../contract/write.ts'
import { FerryError } from '../errors.ts'

/** Lines that are no split: the preparation before the first row, the change-over after the last, and the fence. */
const PREPARE = -1
const PUBLISH = -2
const FENCE = -3

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
  /** What makes a SELECT keep others from changing its lines until the transaction ends; empty where there is one writer. */
  share: string
  /** Inserts a line; if it exists, `set` changes it, from its old and the new values. */
  upsert(name: string, values: string, set: (of: { old: string; fresh: (column: string) => string }) => string): string
}

/** Stores that know `INSERT ... ON CONFLICT`. */
export const STANDARD: LedgerDialect = {
  key: 'TEXT',
  text: 'TEXT',
  literal: text => `'${text.replaceAll("'", "''")}'`,
  share: '',
  upsert: (name, values, set) =>
    `INSERT INTO ${name} AS l VALUES (${values}) ON CONFLICT (run, tbl, part) DO UPDATE SET ${set({
      old: 'l.',
      fresh: column => `excluded.${column}`,
    })}`,
}

/** The lines of one table in one run. */
export class Ledger {
  private readonly name: string
  private readonly identity: RunIdentity
  private readonly run: string
  private readonly job: string
  private readonly table: number
  private readonly dialect: LedgerDialect
  private fenced: Promise<void> | undefined

  /** `name` is the ledger's table, quoted. */
  constructor(name: string, run: RunIdentity, table: number, dialect: LedgerDialect = STANDARD) {
    this.name = name
    this.identity = run
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
      epoch BIGINT DEFAULT 0 NOT NULL,
      PRIMARY KEY (run, tbl, part))`
  }

  /** Adds what ledgers of older versions lack. */
  private async upgrade(client: Pick<LedgerClient, 'query'>): Promise<void> {
    const probe = `SELECT epoch FROM ${this.name} LIMIT 0`
    try {
      await client.query(probe)
    } catch {
      // Another process may be faster: then the column is there.
      await client.query(`ALTER TABLE ${this.name} ADD COLUMN epoch BIGINT DEFAULT 0`).catch(() => client.query(probe))
    }
  }

  /**
   * Raises the fence of this table to this process's epoch, once, and waits for the transactions of the process that had
   * the run before. The ledger's table must be there. Throws FERRY-5004 where another process has taken the run since.
   */
  raise(client: LedgerClient): Promise<void> {
    this.fenced ??= this.raiseOnce(client)
    return this.fenced
  }

  private async raiseOnce(client: LedgerClient): Promise<void> {
    await this.upgrade(client)
    const { epoch } = this.identity
    const values = `${this.run}, ${this.job}, ${this.table}, ${FENCE}, FALSE, NULL, 0, 0, ${epoch}`
    await client.transaction(async () => {
      const highest = ({ old, fresh }: { old: string; fresh: (column: string) => string }) =>
        `epoch = CASE WHEN ${old}epoch > ${fresh('epoch')} THEN ${old}epoch ELSE ${fresh('epoch')} END`
      await client.query(this.dialect.upsert(this.name, values, highest))
      if ((await this.fence(client)) !== epoch) throw this.lost()
    })
    // A fence that was forgotten when the run was completed is raised here anew: the state knows better.
    await this.identity.confirm()
  }

  /** The epoch that the fence carries; undefined where there is none. */
  private async fence(client: Pick<LedgerClient, 'query'>, lock = ''): Promise<number | undefined> {
    const [line] = await client.query(
      `SELECT epoch FROM ${this.name} WHERE run = ${this.run} AND tbl = ${this.table} AND part = ${FENCE}${lock}`,
    )
    return line === undefined ? undefined : Number(line.epoch)
  }

  /** Throws FERRY-5004 unless the fence carries this process's epoch, and keeps it so until the transaction ends. */
  private async hold(client: Pick<LedgerClient, 'query'>): Promise<void> {
    if ((await this.fence(client, this.dialect.share)) !== this.identity.epoch) throw this.lost()
  }

  private lost(): FerryError {
    return new FerryError('FERRY-5004', `run ${this.identity.run} was taken over by another process`)
  }

  /**
   * Begins a transaction of a split: it holds the fence, and takes the line of the split, which must be where the writer
   * begins. Throws FERRY-5004 where it is not, or the run is another process's.
   */
  async claim(client: Pick<LedgerClient, 'query'>, part: number, from: Checkpoint | undefined | null): Promise<void> {
    const line = await this.take(client, part)
    if (!line.done && line.checkpoint === (from ?? null)) return
    throw new FerryError('FERRY-5004', `split ${part} of run ${this.identity.run} was committed by another process`)
  }

  private async take(
    client: Pick<LedgerClient, 'query'>,
    part: number,
  ): Promise<{ done: boolean; checkpoint: string | null }> {
    await this.hold(client)
    const values = `${this.run}, ${this.job}, ${this.table}, ${part}, FALSE, NULL, 0, 0, ${this.identity.epoch}`
    await client.query(this.dialect.upsert(this.name, values, ({ fresh }) => `epoch = ${fresh('epoch')}`))
    const [line] = await client.query(
      `SELECT done, checkpoint FROM ${this.name} WHERE run = ${this.run} AND tbl = ${this.table} AND part = ${part}`,
    )
    return { done: Boolean(line!.done), checkpoint: line!.checkpoint as string | null }
  }

  /** The statement that moves the line of a split on; no checkpoint is its end. */
  record(part: number, checkpoint: Checkpoint | undefined, counts: { rows: number; bytes: number }): string {
    const done = checkpoint === undefined ? 'TRUE' : 'FALSE'
    const mark = checkpoint === undefined ? 'NULL' : this.dialect.literal(checkpoint)
    const sums = [Math.round(counts.rows), Math.round(counts.bytes)]
    const values = [this.run, this.job, this.table, part, done, mark, ...sums, this.identity.epoch]
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
      // A line that is claimed but has not advanced has no information.
      if (part < 0 || (!done && line.checkpoint === null)) continue
      const checkpoint = done ? undefined : (line.checkpoint as string)
      splits.set(part, { checkpoint, rows: Number(line.row_count), bytes: Number(line.byte_count) })
    }
    return { splits, prepared: ended.has(PREPARE), published: ended.has(PUBLISH) }
  }

  /** Runs the preparation, once for all tries of the run. Gives back what they have committed. */
  async prepare(client: LedgerClient, work: () => Promise<void>): Promise<Committed> {
    await this.raise(client)
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
      if ((await this.take(client, part)).done) return
      await work()
      await client.query(this.record(part, undefined, { rows: 0, bytes: 0 }))
    })
  }

  /** What this run has committed, and no other process of it can add to; nothing where there is no ledger yet. */
  async settled(client: LedgerClient): Promise<Committed> {
    if (!(await this.exists(client))) return { splits: new Map(), published: false }
    await this.raise(client)
    return this.committed(client)
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

  /**
   * Drops the lines of this table, and those that runs of the job left behind so long ago that none of them is resumed. Throws
   * FERRY-5004 where the run is another process's.
   */
  async forget(client: LedgerClient): Promise<void> {
    await this.upgrade(client)
    await client.transaction(async () => {
      const epoch = await this.fence(client, this.dialect.share)
      if (epoch !== undefined && epoch > this.identity.epoch) throw this.lost()
      const old = this.dialect.literal(monthBefore(this.identity.run))
      await client.query(
        `DELETE FROM ${this.name} WHERE (run = ${this.run} AND tbl = ${this.table}) OR (job = ${this.job} AND run < ${old})`,
      )
    })
  }
}

/** The beginning of ids of runs that are a month older: `20261121T072353.123-4f2a` gives `20261022`. */
function monthBefore(run: string): string {
  const [, year, month, day] = /^(\d{4})(\d\d)(\d\d)T/.exec(run) ?? []
  if (year === undefined) return ''
  const at = Date.UTC(Number(year), Number(month) - 1, Number(day)) - 30 * 86_400_000
  return new Date(at).toISOString().slice(0, 10).replaceAll('-', '')
}

/** The name of a table's staging table: the same in every try of the run, different in every run. */
export function stageName(run: RunIdentity, table: number): string {
  return `ferry_${run.run.replace(/[^a-zA-Z0-9]/g, '').slice(-24)}_${table}`
}

/** The epochs of processes that had a run before, the last ones first; of those long ago nothing is left. */
export function formerEpochs({ epoch }: RunIdentity): number[] {
  return Array.from({ length: Math.min(20, epoch - 1) }, (_, i) => epoch - 1 - i)
}
