import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { typeName } from '../../batch/types.ts'
import { ofProbe, probes, whereAll } from '../../batch/usersql.ts'
import type { Increment, Overlap, ReadRequest, Since } from '../../contract/read.ts'
import type { TableColumn } from '../../contract/schema.ts'
import type { SourceSession, SourceTable } from '../../contract/source.ts'
import { FerryError } from '../../errors.ts'
import type { DatabaseFile } from '../databasefile.ts'
import { growingColumn, narrowed, type WatermarkQueries, watermark } from '../watermark.ts'
import { describe, type SqliteTable } from './catalog.ts'
import { openDatabase, quoteName, translate } from './database.ts'
import { relationOf, SqliteSourceTable } from './table.ts'

/** Reading in one transaction: all tables as of the run's start. */
export class SqliteSource implements SourceSession {
  readonly db: DatabaseSync

  constructor(file: DatabaseFile) {
    this.db = openDatabase(file, 'read')
    this.db.exec('BEGIN')
    this.db.prepare('SELECT count(*) FROM sqlite_schema').get()
  }

  async table(request: ReadRequest): Promise<SourceTable> {
    const table = this.describe(request)
    return new SqliteSourceTable(this.db, request, table)
  }

  /** Throws where the words of a job are no statement, more than one, or have a parameter, which nothing fills. */
  private refuseWords(request: ReadRequest, table: SqliteTable): void {
    for (const probe of probes(relationOf(request, table), request)) {
      const refuse = (why: string) => {
        const what = probe.setting === 'where' ? 'filter' : 'query'
        return ofProbe(new FerryError('FERRY-3016', `${table.object}: the ${what} ${why}`), probe)
      }
      let statement: StatementSync
      try {
        statement = this.db.prepare(probe.sql)
      } catch (error) {
        throw ofProbe(translate(error, table.object), probe)
      }
      // SQLite ignores all text after the first statement, and binds null to parameters.
      if (probe.sql.slice(statement.sourceSQL.length).trim() !== '') throw refuse('is more than one statement')
      if (statement.expandedSQL !== statement.sourceSQL) throw refuse('has a parameter, which nothing fills')
    }
  }

  private describe(request: ReadRequest): SqliteTable {
    try {
      const table = describe(this.db, request)
      if (!table) throw new FerryError('FERRY-3001', `there is no table ${request.object}`)
      this.refuseWords(request, table)
      return table
    } catch (error) {
      throw translate(error, request.object)
    }
  }

  async increment(request: ReadRequest, since: Since): Promise<Increment> {
    const table = this.describe(request)
    const column = growingColumn(table, since.column!)
    const name = quoteName(column.name)
    const ask = (expression: string, condition: string) => {
      const from = `${relationOf(request, table)}${whereAll(condition, request.where)}`
      try {
        return this.db.prepare(`SELECT ${expression} AS answer FROM ${from}`).get()!.answer
      } catch (error) {
        throw translate(error, table.object)
      }
    }
    const queries: WatermarkQueries = {
      name,
      // Each value has its own type in SQLite: they are saved as its literals.
      literal: text => text,
      highest: async condition => {
        // `quote` ends a text at its first NUL.
        const text = `'CAST(X''' || hex(max(${name})) || ''' AS TEXT)'`
        const hasNul = `typeof(max(${name})) = 'text' AND instr(CAST(max(${name}) AS BLOB), X'00') > 0`
        const answer = ask(`CASE WHEN ${hasNul} THEN ${text} ELSE quote(max(${name})) END`, condition) as string
        return answer === 'NULL' ? null : answer
      },
      count: async condition => ask('count(*)', condition) as number,
      earlier: (text, overlap) => earlier(text, column, overlap),
    }
    requireOrder(ask, column, table.object)
    const { condition, ...found } = await watermark(queries, column, since)
    return { ...found, read: narrowed(request, condition) }
  }

  async close(): Promise<void> {
    this.db.close()
  }
}

/**
 * Throws FERRY-3012 where SQLite does not compare the column's values as its type would: it compares numbers before texts,
 * and texts by their bytes, so that times must all be written in one form.
 */
function requireOrder(
  ask: (expression: string, condition: string) => unknown,
  column: TableColumn,
  object: string,
): void {
  const { name, type } = column
  const own = quoteName(name)
  const refuse = (why: string) =>
    new FerryError('FERRY-3012', `${object}: ${name} ${why}, so that SQLite does not compare them by their type`, {
      hint: 'Name a whole number, or write all its values in one form.',
    })
  const kinds = Number(
    ask(`count(DISTINCT CASE typeof(${own}) WHEN 'integer' THEN 'real' ELSE typeof(${own}) END)`, `${own} IS NOT NULL`),
  )
  if (kinds > 1) throw refuse('has values of several types')
  const highest = ask(`CASE WHEN typeof(max(${own})) = 'text' THEN max(${own}) END`, `${own} IS NOT NULL`)
  if (typeof highest !== 'string' || type.kind === 'utf8') return
  if (type.kind !== 'timestamp' && type.kind !== 'date') throw refuse('is held as texts')
  // The form of the highest one, digit by digit; a zone must be the same everywhere.
  const [, clock, fraction = '', zone = ''] =
    /^(\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d)?)?)(\.\d+)?(\s*(?:Z|[+-]\d\d(?::?\d\d)?)?)$/.exec(highest) ?? []
  if (clock === undefined) throw refuse(`holds ${highest}`)
  const digits = (text: string) => text.replace(/\d/g, '[0-9]')
  // A fraction may be left out where what follows comes before a point: a sign does, a Z does not.
  const forms = zone.trim().startsWith('Z')
    ? [`${digits(clock + fraction)}${zone}`]
    : [`${digits(clock)}${zone}`, `${digits(clock)}.[0-9]*${zone}`]
  const isOther = forms.map(form => `${own} NOT GLOB '${form}'`).join(' AND ')
  const others = ask(`min(${own})`, `${own} IS NOT NULL AND ${isOther}`)
  if (others !== null) throw refuse(`is written as ${highest} and as ${others}`)
}

/** A literal so much earlier; a time is a text in a form that the table's owner chose, and stays in it. */
function earlier(literal: string, { name, type }: TableColumn, overlap: Overlap): string {
  if ('amount' in overlap) return `${literal} - ${overlap.amount}`
  const parts = /^'(\d{4}-\d\d-\d\d)(?:([ T])(\d\d:\d\d:\d\d))?/.exec(literal)
  const at = parts ? Date.parse(`${parts[1]}T${parts[3] ?? '00:00:00'}Z`) : Number.NaN
  if (Number.isNaN(at)) throw new FerryError('FERRY-3012', `overlap: ${name} is not a ${typeName(type)} but ${literal}`)
  const then = new Date(at - overlap.seconds * 1000).toISOString()
  return `'${then.slice(0, 10)}${parts![2] === undefined ? '' : `${parts![2]}${then.slice(11, 19)}`}'`
}

/** What is read, as a relation of a statement. */
