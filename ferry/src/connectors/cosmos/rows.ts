/** What reading the feed and reading a query share: rows of documents, and pieces of the key space. */
import { members } from '../../batch/json.ts'
import type { Column, Row } from '../../batch/types.ts'
import { FerryError, RowError } from '../../errors.ts'
import type { ReadRequest } from '../connector.ts'
import { documentRow, unwound } from '../documents.ts'
import type { PartitionRange } from './container.ts'
import { ownText } from './documents.ts'
import type { CosmosReadOptions } from './options.ts'

/** The columns of the rows that a table gives: what its mapping reads. */
export function wantedColumns(request: ReadRequest): Column[] {
  const wanted = new Map(request.columns.flatMap(c => (c.from === undefined ? [] : [[c.from, c.sourceType] as const])))
  return [...wanted].map(([name, type]) => ({ name, type, nullable: true }))
}

/** The rows of documents as they come from the service. Throws a RowError that names document and column. */
export function rowsOf(documents: string[], columns: Column[], options: CosmosReadOptions): Row[] {
  const { unwind, systemProperties } = options
  const texts = systemProperties ? documents : documents.map(ownText)
  return (unwind === undefined ? texts : texts.flatMap(text => unwound(text, unwind))).map((text, index) => {
    try {
      return documentRow(text, columns)
    } catch (error) {
      if (!(error instanceof RowError)) throw error
      const id = new Map(members(text)).get('id') ?? `number ${index}`
      throw new RowError(error.code, `document ${id}, ${error.column}: ${error.message}`, error.column)
    }
  })
}

/** The partitions that hold a part of the key space. */
export function overlapping<T extends PartitionRange>(ranges: T[], piece: { low: string; high: string }): T[] {
  const found = ranges.filter(r => r.low < piece.high && piece.low < r.high)
  if (found.length > 0) return found
  throw new FerryError('FERRY-9000', `no partition holds the keys from ${piece.low} to ${piece.high}`)
}

/** A piece cut along the partitions that hold it, each part at the same place of its feed. */
export function partsOf<T extends { low: string; high: string }>(piece: T, parts: PartitionRange[]): T[] {
  return parts.map(p => ({
    ...piece,
    low: p.low > piece.low ? p.low : piece.low,
    high: p.high < piece.high ? p.high : piece.high,
  }))
}
