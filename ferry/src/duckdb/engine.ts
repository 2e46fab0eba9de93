/**
 * DuckDB as Ferry uses it: for Parquet, for `.duckdb` files, and for queries between the two. Memory is limited, and
 * no extension is fetched from anywhere.
 */
import { availableParallelism } from 'node:os'
import {
  type DuckDBAppender,
  type DuckDBConnection,
  DuckDBInstance,
  type DuckDBMaterializedResult,
  type DuckDBResult,
} from '@duckdb/node-api'
import accessors from '@duckdb/node-api/lib/vectors/dataAccessors.js'
import { type ErrorCode, FerryError, placed, RowError, TAKEN_HINT } from '../errors.ts'
import type { Policy } from '../policy.ts'
import { makeScratch, removeScratch } from '../scratch.ts'

// A byte order mark is a character of a text like any other: the package's own decoder leaves the first one out.
Object.assign(accessors, { textDecoder: new TextDecoder('utf-8', { ignoreBOM: true }) })

/** DuckDB's own memory, next to what Node needs. */
export const MEMORY_LIMIT = '144MB'

/** An open DuckDB with one connection. */
export class Duckdb {
  private readonly connection: DuckDBConnection
  private readonly instance: DuckDBInstance
  /** Statements that are at work. A connection that is closed under one of them holds its thread for ever. */
  private readonly working = new Set<Promise<unknown>>()
  /** Where it spills; undefined for a further connection. */
  private readonly scratch: string | undefined

  /** Where temporary files of statements are. */
  readonly scratchParent: string

  private constructor(
    instance: DuckDBInstance,
    connection: DuckDBConnection,
    { scratchParent, scratch }: { scratchParent: string; scratch?: string },
  ) {
    this.scratchParent = scratchParent
    this.instance = instance
    this.connection = connection
    this.scratch = scratch
  }

  /** Opens a database file, or one in memory. Throws FERRY-2001 or FERRY-4004. */
  static async open(policy: Policy, named = ':memory:', mode: 'read' | 'write' = 'write'): Promise<Duckdb> {
    return Duckdb.openAt(policy, named === ':memory:' ? named : policy.fileOf(named), mode)
  }

  /** Opens a file of Ferry's own: one in a scratch folder, which is in none of a server's folders. */
  static async openAt(policy: Policy, path: string, mode: 'read' | 'write' = 'write'): Promise<Duckdb> {
    const scratchParent = policy.scratch
    const scratch = makeScratch(scratchParent, 'duckdb')
    try {
      const instance = await DuckDBInstance.create(path, {
        threads: String(Math.min(4, availableParallelism())),
        memory_limit: MEMORY_LIMIT,
        // What a task has freed goes back to the system: else the allocator keeps up to as much again.
        allocator_flush_threshold: '8MB',
        allocator_bulk_deallocation_flush_threshold: '8MB',
        temp_directory: scratch,
        autoinstall_known_extensions: 'false',
        autoload_known_extensions: 'false',
        ...(mode === 'read' && path !== ':memory:' ? { access_mode: 'READ_ONLY' } : {}),
      })
      const connection = await instance.connect()
      await connection.run(`SET TimeZone = 'UTC'`)
      await confine(connection, path, policy)
      return new Duckdb(instance, connection, { scratchParent, scratch })
    } catch (error) {
      removeScratch(scratch)
      throw translate(error, path)
    }
  }

  run(sql: string): Promise<DuckDBMaterializedResult> {
    return this.work(this.connection.run(sql))
  }

  /** All rows of a small result, as objects of plain JavaScript values. */
  async all(sql: string): Promise<Record<string, unknown>[]> {
    const reader = await this.work(this.connection.runAndReadAll(sql))
    return reader.getRowObjectsJS() as Record<string, unknown>[]
  }

  /** Throws where a text is no statement, more than one, or has a parameter, which nothing fills. */
  async refuseStatement(sql: string, place: string): Promise<void> {
    const prepared = await this.work(this.connection.prepare(sql)).catch(error => {
      const told = translate(error, place)
      throw told.code === 'FERRY-4001' ? new FerryError('FERRY-3016', told.message, { cause: error }) : told
    })
    const { parameterCount } = prepared
    prepared.destroySync()
    if (parameterCount > 0) throw new FerryError('FERRY-3016', `${place}: a parameter has no value`)
  }

  /** Rows as they are asked for, in chunks. */
  stream(sql: string): Promise<DuckDBResult> {
    return this.work(this.connection.stream(sql))
  }

  appender(table: { catalog?: string; schema: string; table: string }): Promise<DuckDBAppender> {
    return this.work(this.connection.createAppender(table.table, table.schema, table.catalog))
  }

  /** Ends the statement that is at work, if there is one, with an error. */
  interrupt(): void {
    this.connection.interrupt()
  }

  private async work<T>(statement: Promise<T>): Promise<T> {
    this.working.add(statement)
    try {
      return await statement
    } finally {
      this.working.delete(statement)
    }
  }

  /** A further connection to the same database, within the same memory; the first one is closed last. */
  async sibling(): Promise<Duckdb> {
    const connection = await this.instance.connect()
    await connection.run(`SET TimeZone = 'UTC'`)
    return new Duckdb(this.instance, connection, { scratchParent: this.scratchParent })
  }

  /** Ends what is at work, and waits for its end. */
  async close(): Promise<void> {
    if (this.working.size > 0) {
      this.interrupt()
      await Promise.allSettled(this.working)
    }
    this.connection.closeSync()
    if (this.scratch === undefined) return
    this.instance.closeSync()
    removeScratch(this.scratch)
  }
}

/** SQL of users can read any file that the process may: on a server only those of its folders. */
async function confine(connection: DuckDBConnection, path: string, { folders, scratch }: Policy): Promise<void> {
  if (!folders) return
  const named = [...folders, scratch, ...(path === ':memory:' ? [] : [path])]
  const all = [...new Set(named.flatMap(p => [p, literally(p)]))]
  await connection.run(`SET allowed_directories = [${all.map(quoteText).join(', ')}]`)
  // Neither can be changed again while the database is open.
  await connection.run('SET enable_external_access = false')
}

/** What DuckDB said, as one of Ferry's errors. */
export function translate(error: unknown, place: string): FerryError {
  if (error instanceof FerryError) return error
  const e = error as Error
  const code = classify(e.message)
  // DuckDB explains CSV options over many lines; the first ones name the fault.
  const message = `${place}: ${e.message.split('\n\n')[0]!.split('\n').slice(0, 3).join(' ')}`
  if (code === 'FERRY-4001' || code === 'FERRY-4005') {
    const hint = /Duplicate key/i.test(message) ? { hint: TAKEN_HINT } : {}
    return placed(new RowError(code, message, undefined, { cause: error, ...hint }))
  }
  return new FerryError(code, message, { cause: error })
}

function classify(message: string): ErrorCode {
  if (/No such file|does not exist.*file|Cannot open file.*No such|No files found/i.test(message)) return 'FERRY-3001'
  if (/Conflicting lock|already open|lock on file/i.test(message)) return 'FERRY-2001'
  if (/Permission denied/i.test(message)) return 'FERRY-2004'
  if (/No space left|File too large|disk.*full/i.test(message)) return 'FERRY-4006'
  if (/^Out of Memory Error|could not allocate|failed to (pin|allocate|offload)/i.test(message)) return 'FERRY-4008'
  if (/has no infinite dates/.test(message)) return 'FERRY-4001'
  if (/file with version number|newer version of DuckDB/i.test(message)) return 'FERRY-4009'
  if (/^(Not implemented|Invalid|IO).*(codec|compression|encoding|encrypt)/is.test(message)) return 'FERRY-4009'
  if (
    /^(Invalid|IO).*(not a valid|magic|Parquet|footer|too small|corrupt|cannot be opened|not a DuckDB)/is.test(message)
  ) {
    return 'FERRY-4004'
  }
  if (/^Constraint Error/.test(message)) return 'FERRY-4005'
  if (/^(Conversion|Out of Range|Invalid Input) Error/i.test(message)) return 'FERRY-4001'
  if (/^Catalog Error.*Table/i.test(message)) return 'FERRY-3001'
  if (/^Binder Error.*column/i.test(message)) return 'FERRY-3002'
  if (/^(Parser|Binder|Catalog|Not implemented|Syntax|Permission|Dependency) Error/i.test(message)) return 'FERRY-3016'
  if (/^(TransactionContext|Transaction|Interrupt|INTERRUPT) Error/i.test(message)) return 'FERRY-2005'
  return /^[A-Za-z ]+ Error: /.test(message) ? 'FERRY-2007' : 'FERRY-9000'
}

export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

export function quoteText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}

/** The path of one file as DuckDB's readers take it, which is a pattern for them. Throws FERRY-4009 where it cannot be said. */
export function quotePath(path: string): string {
  const literal = literally(path)
  if (literal === path || !path.includes('\\')) return quoteText(literal)
  throw new FerryError(
    'FERRY-4009',
    `${path}: of a name with a backslash DuckDB cannot read what has one of [ ] * ? too`,
    {
      hint: 'Give the file another name.',
    },
  )
}

/** A path as a pattern that only it matches. */
function literally(path: string): string {
  return path.replace(/[[\]*?]/g, '[$&]')
}
