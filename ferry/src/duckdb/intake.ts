/** Rows into DuckDB: CSV through pipes that a statement reads, or data chunks appended to a table. */
import { writeFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { type DuckDBAppender, DuckDBDataChunk, type DuckDBType, type DuckDBValue } from '@duckdb/node-api'
import { RecordEnds } from '../batch/csv.ts'
import { FERRY_CSV } from '../batch/encoding.ts'
import type { LogicalType, Row } from '../batch/types.ts'
import { FerryError, RowError } from '../errors.ts'
import { makeScratch, removeScratch } from '../scratch.ts'
import { drained } from '../streams.ts'
import { type Duckdb, quoteName, quotePath, translate } from './engine.ts'
import { toNative } from './logical.ts'
import { NamedPipe } from './pipe.ts'
import { valueWriter } from './vectors.ts'

/** Longest CSV record that DuckDB is asked to take, and how much of the pipe it reads at a time. */
const LONGEST_LINE = 16 << 20
/** No system's pipe holds more. */
const MORE_THAN_A_PIPE = 1 << 20

/**
 * CSV that one DuckDB statement reads from a pipe while it comes. `statement` makes the whole statement from the query
 * that reads the pipe. Several lanes may write, since each write is of whole records.
 */
export class PipeIntake {
  /** The first bytes: a pipe is made only for more than it can hold. */
  private waiting: Buffer[] = []
  private held = 0
  private opened: { pipe: NamedPipe; socket: Socket; done: Promise<void> } | undefined
  private failure: unknown
  private readonly db: Duckdb
  private readonly place: string
  private readonly statement: (path: string, data: Buffer) => string

  constructor(
    db: Duckdb,
    columns: { name: string; type: LogicalType }[],
    options: { finite: boolean; place: string },
    statement: (query: string) => string,
  ) {
    this.db = db
    this.place = options.place
    this.statement = (path, data) => statement(pipeQuery(path, columns, { ...options, lineEnd: lineEndOf(data) }))
  }

  /** `data` is what comes first. */
  private open(data: Buffer) {
    const pipe = new NamedPipe(this.db.scratchParent)
    const socket = pipe.writer()
    socket.on('error', error => {
      this.failure ??= error
    })
    const done = this.read(this.statement(pipe.path, data)).catch(error => {
      // DuckDB's error is reported rather than the broken pipe that it causes.
      this.failure = error
      socket.destroy()
    })
    this.opened = { pipe, socket, done }
    return this.opened
  }

  private async read(statement: string): Promise<void> {
    // Keeping the order of the records would cost twice the time, and splits come in no order anyway.
    await this.db.run('SET preserve_insertion_order = false')
    await this.db.run(statement)
  }

  /** Sends bytes; `release` is called when they are no longer needed. */
  async write(data: Buffer, release?: () => void): Promise<void> {
    if (!this.opened && this.held + data.length <= MORE_THAN_A_PIPE) {
      this.waiting.push(Buffer.from(data))
      this.held += data.length
      release?.()
      return
    }
    const { socket } = this.opened ?? this.open(Buffer.concat([...this.waiting, data]))
    for (const first of this.waiting.splice(0)) socket.write(first)
    if (this.failure) await this.fail()
    if (socket.write(data, release)) return
    await drained(socket)
    if (this.failure) await this.fail()
  }

  private async fail(): Promise<never> {
    this.opened?.pipe.finish()
    await this.opened?.done
    throw this.explained()
  }

  /** A record that is too long for the pipe is not too long for DuckDB. */
  private explained(): FerryError {
    if (!/Maximum line size/.test((this.failure as Error).message)) return translate(this.failure, this.place)
    return new FerryError('FERRY-4001', `${this.place}: a record is longer than ${LONGEST_LINE >> 20} MB`, {
      hint: 'Run again with FERRY_PIPES=off: rows then go one by one.',
      cause: this.failure,
    })
  }

  /** Ends the pipe and waits for the statement. */
  async finish(): Promise<void> {
    if (!this.opened) return this.readFile()
    const { pipe, socket, done } = this.opened
    await new Promise<void>(resolve => {
      if (socket.destroyed) resolve()
      socket.once('close', () => resolve())
      socket.end(() => socket.destroy())
    })
    pipe.finish()
    await done
    pipe.close()
    if (this.failure) throw this.explained()
  }

  /**
   * What fits into a pipe could be all in it, and the pipe closed again, before DuckDB has opened it: then it would wait
   * for ever. So little goes through a file.
   */
  private async readFile(): Promise<void> {
    const folder = makeScratch(this.db.scratchParent, 'rows')
    try {
      const path = join(folder, 'rows.csv')
      const data = Buffer.concat(this.waiting.splice(0))
      writeFileSync(path, data, { mode: 0o600 })
      await this.read(this.statement(path, data))
    } catch (error) {
      this.failure = error
      throw this.explained()
    } finally {
      removeScratch(folder)
    }
  }

  async abort(): Promise<void> {
    if (!this.opened) return
    const { pipe, socket, done } = this.opened
    this.db.interrupt()
    socket.destroy()
    pipe.finish()
    await done
    pipe.close()
  }
}

/** What ends the records: unless it is stated, DuckDB takes a carriage return in the first value for one. */
function lineEndOf(data: Buffer): string {
  const end = new RecordEnds(FERRY_CSV).first(data)
  return end > 1 && data[end - 2] === 13 ? '\\r\\n' : '\\n'
}

function pipeQuery(
  path: string,
  columns: { name: string; type: LogicalType }[],
  { finite, lineEnd }: { finite: boolean; lineEnd: string },
): string {
  const read = columns.map((c, i) => `c${i}: '${readType(c.type)}'`)
  const list = columns.map((c, i) => `${fromText(`c${i}`, c.type, finite)} AS ${quoteName(c.name)}`)
  const options = [
    'auto_detect = false',
    'header = false',
    `delim = ','`,
    `quote = '"'`,
    `escape = '"'`,
    `new_line = '${lineEnd}'`,
    `nullstr = ''`,
    'allow_quoted_nulls = false',
    'parallel = true',
    `max_line_size = ${LONGEST_LINE}`,
    `buffer_size = ${LONGEST_LINE}`,
  ]
  return `SELECT ${list.join(', ')} FROM read_csv(${quotePath(path)}, columns = {${read.join(', ')}}, ${options.join(', ')})`
}

function readType(type: LogicalType): string {
  return ['binary', 'date', 'timestamp', 'json'].includes(type.kind) ? 'VARCHAR' : toNative(type)
}

function fromText(column: string, type: LogicalType, finite: boolean): string {
  switch (type.kind) {
    case 'binary':
      return `unhex(substr(${column}, 3))`
    case 'date':
    case 'timestamp': {
      const native = toNative(type)
      const before = `WHEN contains(${column}, 'BC') THEN CAST(replace(${column}, ' BC', ' (BC)') AS ${native})`
      // Parquet has no infinity: what a reader would make of the number behind it is anybody's guess.
      const infinite = finite
        ? ` WHEN contains(${column}, 'inf') THEN error('Conversion Error: Parquet has no infinite dates and timestamps')`
        : ''
      return `CASE ${before}${infinite} ELSE CAST(${column} AS ${native}) END`
    }
    case 'json':
      return `CAST(${column} AS JSON)`
    default:
      return column
  }
}

/** Appends rows to a DuckDB table. */
export class RowIntake {
  private readonly appender: DuckDBAppender
  private readonly types: DuckDBType[]
  private readonly writers: ((value: NonNullable<Row[number]>) => DuckDBValue)[]
  private readonly names: string[]

  private constructor(appender: DuckDBAppender, columns: { name: string; type: LogicalType }[], finite: boolean) {
    this.appender = appender
    this.types = columns.map((_, i) => appender.columnType(i))
    this.writers = columns.map(c => valueWriter(c.type, finite))
    this.names = columns.map(c => c.name)
  }

  static async open(
    db: Duckdb,
    table: { catalog?: string; schema: string; table: string },
    columns: { name: string; type: LogicalType }[],
    finite: boolean,
  ): Promise<RowIntake> {
    return new RowIntake(await db.appender(table), columns, finite)
  }

  /** Values as DuckDB takes them; throws a RowError naming column and position. */
  convert(row: Row, index: number): DuckDBValue[] {
    const out: DuckDBValue[] = new Array(row.length)
    for (let i = 0; i < this.writers.length; i++) {
      const value = row[i]!
      try {
        out[i] = value === null ? null : this.writers[i]!(value)
      } catch (error) {
        if (!(error instanceof RowError)) throw error
        const named = new RowError(error.code, `column ${this.names[i]}: ${error.message}`, this.names[i])
        named.index = index
        throw named
      }
    }
    return out
  }

  /** Appends converted rows, a chunk of at most 2,048 at a time. */
  append(rows: DuckDBValue[][]): void {
    for (let from = 0; from < rows.length; from += 2048) {
      const some = rows.slice(from, from + 2048)
      const chunk = DuckDBDataChunk.create(this.types, some.length)
      for (let column = 0; column < this.types.length; column++) {
        chunk.setColumnValues(
          column,
          some.map(row => row[column]!),
        )
      }
      this.appender.appendDataChunk(chunk)
    }
  }

  flush(): void {
    this.appender.flushSync()
  }

  close(): void {
    this.appender.closeSync()
  }
}
