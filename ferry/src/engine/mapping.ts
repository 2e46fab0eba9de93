/** The mapping of a table applied to batches of rows, and rows named in errors: by table, key and column. */
import type { Rejected, RowBatch } from '../batch/encoding.ts'
import { members } from '../batch/json.ts'
import { formatText } from '../batch/text.ts'
import type { Column, Row } from '../batch/types.ts'
import type { Offer } from '../contract/encodings.ts'
import { DOCUMENT } from '../contract/schema.ts'
import { type FerryError, RowError } from '../errors.ts'
import { type RowMapper, rowMapper } from './rows.ts'
import type { OpenTable } from './tableplan.ts'

export class TableMapping {
  private readonly table: OpenTable
  /** Undefined if rows are written as they are read. */
  private readonly map: RowMapper | undefined
  private readonly keys: { name: string; at: number }[]
  /** The source row of each mapped row, while its batch is written: only if rows may be skipped. */
  private readonly sources = new WeakMap<Row, Row>()

  constructor(table: OpenTable, offer: Offer) {
    this.table = table
    const { plan, source } = table
    this.map = offer.encoding === 'rows' ? rowMapper(source.rowColumns, plan.read.columns) : undefined
    this.keys = plan.write.keys.flatMap(key => {
      const name = plan.read.columns.find(c => c.name === key)?.from
      const at = source.rowColumns.findIndex(c => c.name === name)
      return at < 0 ? [] : [{ name: name!, at }]
    })
  }

  get skipsRows(): boolean {
    return this.table.plan.onRowError === 'skip'
  }

  /** The batch as the destination takes it. Rows that cannot be mapped go to `reject`, or throw a RowError. */
  batch(batch: RowBatch, reject: (row: Rejected) => void): RowBatch {
    const { map, skipsRows } = this
    if (!map) return batch
    const mapped: Row[] = []
    const kept: number[] = []
    for (const [i, row] of batch.rows.entries()) {
      try {
        const out = row.length === 0 ? row : map(row)
        if (skipsRows) this.sources.set(out, row)
        mapped.push(out)
        kept.push(i)
      } catch (error) {
        if (!(error instanceof RowError)) throw error
        if (!skipsRows) {
          throw new RowError(
            error.code,
            `${this.table.plan.from}${this.placeAtSource(row)}: ${error.message}`,
            error.column,
          )
        }
        reject(this.rejection(row, error))
      }
    }
    if (!batch.changes) return { ...batch, rows: mapped }
    const { changes, unchanged, before, times } = batch
    return {
      ...batch,
      rows: mapped,
      changes: kept.map(i => changes[i]!),
      ...(unchanged ? { unchanged: kept.map(i => this.positions(unchanged[i])) } : {}),
      ...(before ? { before: kept.map(i => before[i] && map(before[i])) } : {}),
      ...(times ? { times: kept.map(i => times[i]!) } : {}),
    }
  }

  /** The positions at the destination of values at these positions at the source. */
  private positions(atSource: readonly number[] | undefined): number[] | undefined {
    if (!atSource) return undefined
    const { rowColumns } = this.table.source
    const names = new Set(atSource.map(at => rowColumns[at]!.name))
    return this.table.plan.read.columns.flatMap((c, i) => (c.from !== undefined && names.has(c.from) ? [i] : []))
  }

  /** A skipped row, given as the destination refused it or as the source gave it. */
  rejection(row: Row, error: FerryError): Rejected {
    const original = this.sources.get(row) ?? row
    const { rowColumns } = this.table.source
    const values = rowColumns.map((c, i) => [c.name, original[i] === null ? null : shown(original[i]!, c)] as const)
    return {
      place: this.placeAtSource(original).replace(/^, /, ''),
      reason: error.message,
      values: Object.fromEntries(values),
      ...(error instanceof RowError && error.column !== undefined ? { column: error.column } : {}),
    }
  }

  /** The error of a sink, which names a column and the position of a row among `rows`, with the table and the row's key. */
  explain(error: unknown, rows: Row[]): unknown {
    if (!(error instanceof RowError) || error.isPlaced) return error
    const { to, write } = this.table.plan
    const row = error.index === undefined ? undefined : rows[error.index]
    const place = row ? placeOf(row, write.columns, positionsOf(write.keys, write.columns)) : ''
    return new RowError(error.code, `${to}${place}: ${error.message}`, error.column, { cause: error.cause })
  }

  private placeAtSource(row: Row): string {
    return placeOf(row, this.table.source.rowColumns, this.keys)
  }
}

function positionsOf(keys: string[], columns: { name: string }[]): { name: string; at: number }[] {
  return keys.map(name => ({ name, at: columns.findIndex(c => c.name === name) })).filter(k => k.at >= 0)
}

/** `, id 7` */
function placeOf(row: Row, columns: Pick<Column, 'name' | 'type'>[], keys: { name: string; at: number }[]): string {
  const parts = keys.map(({ name, at }) => `, ${name} ${shown(row[at]!, columns[at]!)}`)
  return parts.length > 0 ? parts.join('') : documentPlace(row, columns)
}

/** The id of a row that is a whole document. */
function documentPlace(row: Row, columns: { name: string }[]): string {
  if (columns[0]?.name !== DOCUMENT) return ''
  const id = members(row[0] as string).find(([name]) => name === 'id')?.[1]
  return id === undefined ? '' : `, id ${id.replace(/^"|"$/g, '')}`
}

function shown(value: Row[number], column: Pick<Column, 'type'>): string {
  return value === null ? 'null' : formatText(value, column.type)
}
