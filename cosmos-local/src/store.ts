/** What the account keeps, in SQLite: in a file, or in memory. */
import { DatabaseSync, type StatementSync } from 'node:sqlite'

const SCHEMA = `
CREATE TABLE IF NOT EXISTS databases (num INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, ts INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS containers (num INTEGER PRIMARY KEY, db INTEGER NOT NULL, id TEXT NOT NULL,
  definition TEXT NOT NULL, lsn INTEGER NOT NULL, ts INTEGER NOT NULL, UNIQUE (db, id));
CREATE TABLE IF NOT EXISTS numbers (kind TEXT PRIMARY KEY, last INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS offers (num INTEGER PRIMARY KEY, resource TEXT NOT NULL UNIQUE, content TEXT NOT NULL, ts INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS partitions (container INTEGER NOT NULL, id INTEGER NOT NULL, low TEXT NOT NULL, high TEXT NOT NULL,
  parents TEXT NOT NULL, gone INTEGER NOT NULL, PRIMARY KEY (container, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS items (num INTEGER PRIMARY KEY AUTOINCREMENT, container INTEGER NOT NULL, part INTEGER NOT NULL,
  epk TEXT NOT NULL, pk TEXT NOT NULL, id TEXT NOT NULL, lsn INTEGER NOT NULL, ts INTEGER NOT NULL, expires INTEGER,
  crts INTEGER NOT NULL, body TEXT NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS items_key ON items (container, pk, id);
CREATE INDEX IF NOT EXISTS items_feed ON items (container, part, lsn);
CREATE INDEX IF NOT EXISTS items_expiry ON items (expires) WHERE expires IS NOT NULL;
CREATE TABLE IF NOT EXISTS uniques (container INTEGER NOT NULL, pk TEXT NOT NULL, n INTEGER NOT NULL, value TEXT NOT NULL,
  item INTEGER NOT NULL, PRIMARY KEY (container, pk, n, value)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS uniques_item ON uniques (item);
CREATE TABLE IF NOT EXISTS changes (container INTEGER NOT NULL, part INTEGER NOT NULL, lsn INTEGER NOT NULL, epk TEXT NOT NULL,
  operation TEXT NOT NULL, id TEXT NOT NULL, pk TEXT NOT NULL, num INTEGER NOT NULL, current TEXT, previous TEXT,
  previous_lsn INTEGER, previous_ts INTEGER, ts INTEGER NOT NULL, expired INTEGER NOT NULL,
  PRIMARY KEY (container, part, lsn)) WITHOUT ROWID;
`

/** A stored item. `pk` is its partition key as JSON, `body` its text without system properties. */
export interface ItemRow {
  num: number
  part: number
  epk: string
  pk: string
  id: string
  lsn: number
  ts: number
  expires: number | null
  crts: number
  body: string
}

/** The columns of an {@link ItemRow}. */
export const ITEM_COLUMNS = 'num, part, epk, pk, id, lsn, ts, expires, crts, body'

/** A change as the all-versions feed gives it. */
export interface ChangeRow {
  part: number
  lsn: number
  epk: string
  operation: 'create' | 'replace' | 'delete'
  id: string
  pk: string
  num: number
  current: string | null
  previous: string | null
  previous_lsn: number | null
  previous_ts: number | null
  ts: number
  expired: number
}

const SQLITE_BUSY = 5

export class Store {
  readonly db: DatabaseSync
  private readonly statements = new Map<string, StatementSync>()

  constructor(path: string) {
    this.db = new DatabaseSync(path)
    this.own(path)
    this.db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -65536')
    this.db.exec(SCHEMA)
  }

  /** Two accounts over one file would undo each other's work: the first one has it until it ends. */
  private own(path: string): void {
    if (path === ':memory:') return
    try {
      // In this mode a lock is held once it was taken.
      this.db.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; COMMIT')
    } catch (error) {
      this.db.close()
      if (((error as { errcode?: number }).errcode ?? 0) % 256 !== SQLITE_BUSY) throw error
      throw new Error(`${path} is the file of an account that runs already: end that one, or name another file`)
    }
  }

  /** Runs a statement, prepared once. */
  run(sql: string, ...values: (string | number | null)[]) {
    return this.statement(sql).run(...values)
  }

  /**
   * The next number of a database or a container. Numbers make resource ids, by which clients keep session tokens and
   * partition maps: one that was used again would mix them up with those of what was deleted.
   */
  nextNumber(table: 'databases' | 'containers' | 'offers'): number {
    const sql = `INSERT INTO numbers VALUES (?1, (SELECT coalesce(max(num), 0) + 1 FROM ${table}))
      ON CONFLICT (kind) DO UPDATE SET last = last + 1 RETURNING last`
    return this.get<{ last: number }>(sql, table)!.last
  }

  get<T>(sql: string, ...values: (string | number | null)[]): T | undefined {
    return this.statement(sql).get(...values) as T | undefined
  }

  all<T>(sql: string, ...values: (string | number | null)[]): T[] {
    return this.statement(sql).all(...values) as T[]
  }

  private statement(sql: string): StatementSync {
    let statement = this.statements.get(sql)
    if (!statement) {
      statement = this.db.prepare(sql)
      this.statements.set(sql, statement)
    }
    return statement
  }

  /** All or nothing. */
  transaction<T>(work: () => T): T {
    this.db.exec('BEGIN')
    try {
      const result = work()
      this.db.exec('COMMIT')
      return result
    } catch (error) {
      this.db.exec('ROLLBACK')
      throw error
    }
  }

  close(): void {
    this.db.close()
  }
}
