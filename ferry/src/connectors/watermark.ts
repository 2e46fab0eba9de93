/**
 * Finding changes by a column that grows, for all stores with a query language. A copy reads the rows
 * beyond the last value of the copy before it, up to the highest value at the time of its plan.
 */

import { z } from 'zod'
import { formatText, parseText } from '../batch/text.ts'
import { PER_SECOND } from '../batch/time.ts'
import { typeName } from '../batch/types.ts'
import { allOf } from '../batch/usersql.ts'
import type { Increment, Overlap, ReadRequest, Since } from '../contract/read.ts'
import type { TableColumn, TableInfo } from '../contract/schema.ts'
import { FerryError } from '../errors.ts'
import { KeptForm } from '../kept.ts'

/** How a store is asked about the column. */
export interface WatermarkQueries {
  /** The column in the store's language. */
  name: string
  /** Whether the column has a value, and whether it has none, where that is not `IS NOT NULL` and `IS NULL`. */
  present?: string
  absent?: string
  /** A value in the store's language, from its text. */
  literal(text: string): string
  /** The text of the highest value among the rows that the condition holds for; null where there is none. */
  highest(condition: string): Promise<string | null>
  /** How many rows the condition holds for. */
  count(condition: string): Promise<number>
  /** The text of a value so much earlier, where it is not that of the logical type. */
  earlier?(text: string, overlap: Overlap): string
}

/** What is known of the last value: rows that come later with the same value are noticed by their number. */
const position = z.object({ value: z.string().nullable(), ties: z.number() })
type Position = z.output<typeof position>
const positions = new KeptForm('highest value', position)

/** What a copy that goes by a column reads. `condition` is undefined where that is everything. */
export async function watermark(
  queries: WatermarkQueries,
  column: TableColumn,
  since: Since,
): Promise<Omit<Increment, 'read'> & { condition: string | undefined }> {
  const { name, literal } = queries
  const { present = `${name} IS NOT NULL`, absent = `${name} IS NULL` } = queries
  const after = since.after === undefined ? undefined : positions.read(since.after)
  if (since.overlap) requireOverlap(column, since)
  const unindexed =
    column.indexed === false ? [`no index begins with ${column.name}: each run reads the whole table`] : []
  const tiesOf = async (value: string | null) => (value === null ? 0 : queries.count(`${name} = ${literal(value)}`))
  if (after === undefined) {
    const value = requireFinite(await queries.highest(present), column)
    const bound = value === null ? undefined : `${name} <= ${literal(value)}`
    const position: Position = { value, ties: await tiesOf(value) }
    const condition = !column.nullable ? bound : bound === undefined ? absent : `${bound} OR ${absent}`
    return {
      condition,
      position: positions.write(position),
      isEmpty: false,
      range: value === null ? 'everything' : `everything, up to ${column.name} ${value}`,
      notes: [...unindexed, ...(column.nullable ? nullNotes(await queries.count(absent), column) : [])],
    }
  }
  const beyond = after.value === null ? present : `${name} > ${literal(after.value)}`
  const value = requireFinite(await queries.highest(beyond), column)
  const ties = await tiesOf(after.value)
  const hasTies = ties > after.ties
  const position: Position = value === null ? { value: after.value, ties } : { value, ties: await tiesOf(value) }
  // Their number may be the same though some are others: before the last value is passed for good, they are read again.
  const passes = value !== null && ties > 0
  const again = since.again && (hasTies || passes || since.overlap !== undefined)
  const low =
    after.value === null || !again
      ? beyond
      : `${name} >= ${literal(since.overlap ? (queries.earlier ?? earlierOf(column))(after.value, since.overlap) : after.value)}`
  const high = position.value === null ? undefined : `${name} <= ${literal(position.value)}`
  const notes = unindexed
  if (hasTies && !since.again) {
    notes.push(
      `${ties - after.ties} rows came later with the last value that was copied (${column.name} ${after.value}): append cannot tell them from those that are there; merge copies them`,
    )
  }
  return {
    condition: high === undefined ? low : `${low} AND ${high}`,
    position: positions.write(position),
    isEmpty: value === null && !again,
    range:
      value === null && !again
        ? `nothing beyond ${column.name} ${after.value ?? 'null'}`
        : `${low.replace(name, column.name)}${value === null ? '' : `, up to ${value}`}`,
    notes,
  }
}

/** Throws FERRY-3012 for a value that nothing comes behind. */
function requireFinite(value: string | null, { name }: TableColumn): string | null {
  if (value === null || !/^'?"?[+-]?(infinity|inf|nan)\b/i.test(value)) return value
  throw new FerryError('FERRY-3012', `the highest value of ${name} is ${value}: no change would come behind it`, {
    hint: `Leave such rows out (where), or name another column.`,
  })
}

/** The request that reads only up to the watermark. */
export function narrowed(request: ReadRequest, condition: string | undefined): ReadRequest {
  return condition === undefined ? request : { ...request, where: allOf(request.where, condition)! }
}

/** The column that a copy goes by. Throws FERRY-3002 or FERRY-3012. */
export function growingColumn(table: TableInfo, name: string): TableColumn {
  const column = table.columns.find(c => c.name === name)
  if (!column) {
    throw new FerryError('FERRY-3002', `${table.object} has no column ${name} to find changes by`, {
      hint: `Its columns: ${table.columns.map(c => c.name).join(', ')}.`,
    })
  }
  const grows = !['bool', 'json', 'interval', 'list', 'struct', 'map'].includes(column.type.kind)
  if (!grows || /^(uuid|bit|bit varying|varbit)\b/.test(column.native ?? '')) {
    throw new FerryError('FERRY-3012', `${table.object}: ${name} is ${typeName(column.type)}, which does not grow`, {
      hint: 'Name a number, a date, a timestamp or a text that is higher after every change.',
    })
  }
  return column
}

function nullNotes(nulls: number, { name }: TableColumn): string[] {
  if (nulls === 0) return []
  return [`${nulls} rows have no value in ${name}: the first load copies them, later runs do not see their changes`]
}

function requireOverlap(column: TableColumn, { again, overlap }: Since): void {
  if (!again) {
    throw new FerryError('FERRY-3012', `overlap reads rows again that were copied: append would double them`, {
      hint: 'Set update: merge.',
    })
  }
  const { kind } = column.type
  const isTime = kind === 'date' || kind === 'timestamp'
  const fits = 'seconds' in overlap! ? isTime : ['int', 'float', 'decimal', 'numeric'].includes(kind)
  if (fits) return
  const text = kind === 'utf8' || kind === 'binary' || kind === 'uuid'
  throw new FerryError('FERRY-3012', `overlap does not fit ${column.name} (${typeName(column.type)})`, {
    hint: text ? 'A text has no distance: leave it out.' : isTime ? 'Say it as a duration: 10 min.' : 'Say an amount.',
  })
}

/** A value's text so much earlier. */
const earlierOf =
  ({ type }: TableColumn) =>
  (text: string, overlap: Overlap): string => {
    const value = parseText(text, type)
    if (type.kind === 'date' && 'seconds' in overlap) {
      return formatText((value as number) - Math.ceil(overlap.seconds / 86_400), type)
    }
    if (type.kind === 'timestamp' && 'seconds' in overlap) {
      if (value === Infinity || value === -Infinity) return text
      const units = BigInt(Math.ceil(overlap.seconds)) * BigInt(PER_SECOND[type.unit])
      return formatText(BigInt(value as number | bigint) - units, type)
    }
    const amount = 'amount' in overlap ? overlap.amount : 0
    if (type.kind === 'float') return formatText((value as number) - amount, type)
    // Rounded down: what is read once more does no harm.
    const whole = BigInt(String(value).replace(/\..*$/, '') || '0')
    return String(whole - BigInt(Math.ceil(amount)) - 1n)
  }
